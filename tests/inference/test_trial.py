"""Model files that ask for memory or time without end: refused within limits, each with its own error."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from tests.segment.models import end2end_model
from tracker.errors import ModelError
from tracker.inference import trial
from tracker.inference.graph import read_graph
from tracker.segment.check import check_model
from tracker.segment.session import OnnxSegmenter

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(autouse=True)
def tried(monkeypatch: pytest.MonkeyPatch) -> None:
    """The rest of the tests opens models without a trial, which costs a second each."""
    monkeypatch.delenv(trial.SWITCH, raising=False)
    monkeypatch.setattr(trial, "_passed", set())


def saved(path: Path, nodes: list[Any], initializers: list[Any] | None = None) -> Path:
    """A graph from an image to ``o``."""
    image = helper.make_tensor_value_info("images", TensorProto.FLOAT, [1, 3, 64, 64])
    graph = helper.make_graph(
        nodes, "g", [image], [helper.make_tensor_value_info("o", TensorProto.FLOAT, None)], initializers or []
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), path)
    return path


def endless(path: Path) -> Path:
    """A Loop whose condition stays true and whose trip count is not given."""
    body = helper.make_graph(
        [helper.make_node("Identity", ["go"], ["on"]), helper.make_node("Mul", ["v", "v"], ["w"])],
        "body",
        [
            helper.make_tensor_value_info("i", TensorProto.INT64, []),
            helper.make_tensor_value_info("go", TensorProto.BOOL, []),
            helper.make_tensor_value_info("v", TensorProto.FLOAT, [1, 3, 64, 64]),
        ],
        [
            helper.make_tensor_value_info("on", TensorProto.BOOL, []),
            helper.make_tensor_value_info("w", TensorProto.FLOAT, [1, 3, 64, 64]),
        ],
    )
    return saved(
        path,
        [helper.make_node("Loop", ["", "go", "images"], ["o"], body=body)],
        [numpy_helper.from_array(np.array(True), "go")],
    )


@pytest.mark.slow
def test_a_loop_without_end_is_refused_in_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trial, "CPU_S", 2)
    path, started_s = endless(tmp_path / "loop.onnx"), time.monotonic()
    with pytest.raises(ModelError, match=r"within 2 s, found that it takes longer\n  remedy: .*MASKTRAIL_TRIAL=off"):
        check_model(path)
    assert time.monotonic() - started_s < 60


def test_a_constant_of_8_gb_is_refused_before_it_is_made(tmp_path: Path) -> None:
    path = saved(
        tmp_path / "big.onnx",
        [
            helper.make_node("ConstantOfShape", ["shape"], ["c"]),
            helper.make_node("ReduceSum", ["c"], ["s"], keepdims=0),
            helper.make_node("Mul", ["images", "s"], ["o"]),
        ],
        [numpy_helper.from_array(np.array([2_000_000_000], np.int64), "shape")],
    )
    with pytest.raises(ModelError, match=r"runs within 4\.0 GB, found that it wants more"):
        OnnxSegmenter(path)
    with pytest.raises(ModelError, match=r"runs within 4\.0 GB, found that it wants more"):
        check_model(path)


def nested(depth: int) -> bytes:
    """An If in an If in an If ...: protobuf written by hand, since the onnx package gives up long before."""

    def field(number: int, data: bytes) -> bytes:
        size, length = len(data), b""
        while size > 0x7F:
            length += bytes([size & 0x7F | 0x80])
            size >>= 7
        return bytes([number << 3 | 2]) + length + bytes([size]) + data

    graph = field(2, b"g")
    for _ in range(depth):
        graph = field(1, field(4, b"If") + field(5, field(1, b"then_branch") + field(6, graph)))
    return b"\x08\x09" + field(7, graph) + field(8, b"\x0a\x00\x10\x11")


def test_graphs_in_graphs_end_in_an_error_of_ours(tmp_path: Path) -> None:
    path = tmp_path / "deep.onnx"
    path.write_bytes(nested(3000))
    for opened in (check_model, OnnxSegmenter):
        with pytest.raises(ModelError, match="expected graphs at most 32 deep in one another, found more"):
            opened(path)
    path.write_bytes(nested(31))
    assert read_graph(path).operators == {"If": 31}


def test_weights_that_are_not_in_the_file_are_refused(tmp_path: Path) -> None:
    weights = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[1 << 31], raw_data=b"1234")
    path = saved(tmp_path / "hollow.onnx", [helper.make_node("Identity", ["w"], ["o"])], [weights])
    with pytest.raises(ModelError, match=r"expected weights 'w' of 2,147,483,648 elements, found \d+ bytes for them"):
        check_model(path)


def test_a_good_file_is_tried_once_and_opened(tmp_path: Path) -> None:
    path = end2end_model(tmp_path / "m.onnx", embeddings=5, open_batch=True)
    assert check_model(path).passed
    assert len(trial._passed) == 1
    before = set(trial._passed)
    assert OnnxSegmenter(path).contract == "end2end-1"
    assert trial._passed == before


def test_the_command_line_of_the_trial_names_no_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A path may hold what came from the environment, and ``ps`` shows command lines to everybody."""
    asked: list[Any] = []
    start = subprocess.Popen

    def noted(words: list[str], **options: Any) -> Any:
        asked.append(words)
        return start(words, **options)

    monkeypatch.setattr(trial.subprocess, "Popen", noted)
    OnnxSegmenter(end2end_model(tmp_path / "secret.onnx"))
    assert asked == [[sys.executable, "-P", str(trial.SCRIPT)]]


def test_a_process_that_dies_is_the_files_fault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = tmp_path / "dies.py"
    script.write_text('import os, sys\nsys.stdin.readline()\nprint(\'{"state": "ready"}\', flush=True)\nos.abort()\n')
    monkeypatch.setattr(trial, "SCRIPT", script)
    with pytest.raises(ModelError, match=r"found that it ends ONNX Runtime \(exit status -6\)"):
        OnnxSegmenter(end2end_model(tmp_path / "m.onnx"))


def test_the_switch_leaves_the_trial_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(os.environ, trial.SWITCH, "off")
    monkeypatch.setattr(trial.subprocess, "Popen", None)
    assert OnnxSegmenter(end2end_model(tmp_path / "m.onnx")).contract == "end2end-1"
