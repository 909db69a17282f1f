"""Reports of the model check: properties and faults of model files."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import numpy as np
import onnx
import pytest
from onnx import helper

from tests.segment.models import constant_model, end2end_model, end2end_outputs
from tracker.errors import ModelError
from tracker.inference.graph import read_graph
from tracker.segment.check import check_model
from tracker.segment.zoo import find_model

if TYPE_CHECKING:
    from pathlib import Path


def test_a_good_file_passes(tmp_path: Path) -> None:
    path = end2end_model(tmp_path / "m.onnx", embeddings=5, open_batch=True)
    report = check_model(find_model(path))
    assert report.passed
    assert report.problems == ()
    assert (report.name, report.version, report.licence) == ("constant", "1", "Apache-2.0")
    assert report.contract == "end2end-1"
    assert report.class_names == ("person", "car")
    assert report.network_size == (160, 96)
    assert report.open_axes == ("batch",)
    assert report.graph.opset == 17
    assert report.trial_instances == 2
    assert report.run_ms > 0
    assert report.segment_ms is not None
    assert report.segment_ms > 0
    assert "constant 1: end2end-1, 160 x 96, 2 classes" in report.headline
    rows = dict(report.rows())
    assert rows["opset"] == "17"
    assert "person, car" in rows["classes"]
    assert "uint8, NHWC BGR, letterbox-top-left to 160 x 96" in rows["input"]


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("scores", 1.5, "scores reach from 0 to 1.5"),
        ("boxes", 40.0, "boxes reach from .* to 40, expected fractions"),
        ("class_ids", 90, "class ids from 0 to 90, but there are 80 class names"),
        ("boxes", np.nan, "output boxes holds values that are not finite"),
    ],
)
def test_values_that_break_the_contract_are_problems(tmp_path: Path, name: str, value: float, message: str) -> None:
    outputs = end2end_outputs()
    outputs["scores"][0, 0] = 0.9
    outputs[name].reshape(-1)[0] = value
    path = constant_model(tmp_path / "m.onnx", outputs, input_shape=(1, 96, 160, 3), input_dtype="uint8")
    report = check_model(path)
    assert not report.passed
    assert any(re.search(message, problem) for problem in report.problems), report.problems
    assert "problem" in report.headline


def test_operators_that_keep_a_graph_off_the_gpu_are_found(tmp_path: Path) -> None:
    nodes = [helper.make_node("NonZero", ["input_shape"], ["where"])]
    outputs = end2end_outputs()
    path = constant_model(
        tmp_path / "m.onnx", outputs, input_shape=(1, 96, 160, 3), input_dtype="uint8", extra_nodes=[]
    )
    loaded = onnx.load(path)
    loaded.graph.node.extend(nodes)
    onnx.save(loaded, path)
    report = check_model(path)
    assert any("NonZero keep the graph from CUDA graphs" in problem for problem in report.problems)
    assert any("recognised as end2end-1 by the shapes" in note for note in report.notes)


def test_the_graph_is_read_like_the_onnx_package_reads_it(tmp_path: Path) -> None:
    """Operators in subgraphs count as well."""
    branch = helper.make_graph(
        [helper.make_node("Neg", ["x"], ["b"])], "branch", [], [helper.make_tensor_value_info("b", 1, [1])]
    )
    other = helper.make_graph(
        [helper.make_node("Abs", ["x"], ["a"])], "other", [], [helper.make_tensor_value_info("a", 1, [1])]
    )
    node = helper.make_node("If", ["flag"], ["y"], then_branch=branch, else_branch=other)
    graph = helper.make_graph(
        [node, helper.make_node("Relu", ["y"], ["z"])],
        "g",
        [helper.make_tensor_value_info("x", 1, [1]), helper.make_tensor_value_info("flag", 9, [])],
        [helper.make_tensor_value_info("z", 1, [1])],
    )
    domains = [helper.make_opsetid("", 18), helper.make_opsetid("com.microsoft", 1)]
    path = tmp_path / "if.onnx"
    onnx.save(helper.make_model(graph, opset_imports=domains), path)
    summary = read_graph(path)
    assert summary.opset == 18
    assert summary.domains == {"com.microsoft": 1}
    assert summary.operators == {"Abs": 1, "If": 1, "Neg": 1, "Relu": 1}


@pytest.mark.parametrize("content", [b"this is no model", b"\xff" * 40, b"\x3a\xff\x01abc"])
def test_what_is_no_model_is_an_error(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "bad.onnx"
    path.write_bytes(content)
    with pytest.raises(ModelError, match="expected an ONNX model, found"):
        check_model(path)
