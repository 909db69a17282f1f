"""Files that ONNX Runtime refuses: what a user should do about each."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from tracker.errors import ModelError
from tracker.segment.check import check_model

if TYPE_CHECKING:
    from pathlib import Path


def saved(path: Path, node: Any, domain: str = "", weights: list[Any] | None = None, **options: Any) -> Path:
    image, out = (helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 3, 64, 64]) for name in ("images", "o"))
    opsets = [helper.make_opsetid("", 17), *([helper.make_opsetid(domain, 1)] if domain else [])]
    model = helper.make_model(
        helper.make_graph([node], "g", [image], [out], weights or []), opset_imports=opsets, ir_version=9
    )
    onnx.save(model, path, **options)
    return path


def refused(path: Path) -> tuple[str, str]:
    with pytest.raises(ModelError) as failure:
        check_model(path)
    return failure.value.problem, failure.value.remedy


def external(folder: Path) -> Path:
    weights = numpy_helper.from_array(np.ones((1, 3, 64, 64), np.float32), "w")
    node = helper.make_node("Mul", ["images", "w"], ["o"])
    options = {"save_as_external_data": True, "location": "m.onnx.data", "size_threshold": 0}
    return saved(folder / "m.onnx", node, weights=[weights], **options)


def test_weights_that_were_not_copied_along(tmp_path: Path) -> None:
    path = external(tmp_path)
    (tmp_path / "m.onnx.data").unlink()
    problem, remedy = refused(path)
    assert "External data path does not exist" in problem
    assert remedy == "copy m.onnx.data beside m.onnx: the weights are in it, and the two files go together"


def test_weights_that_are_cut_off(tmp_path: Path) -> None:
    path = external(tmp_path)
    (tmp_path / "m.onnx.data").write_bytes(b"1234")
    _, remedy = refused(path)
    assert remedy == "copy the weights again: they are cut off, or belong to another export"


def test_a_plugin_of_tensorrt(tmp_path: Path) -> None:
    node = helper.make_node("EfficientNMS_TRT", ["images"], ["o"], domain="trt.plugins")
    _, remedy = refused(saved(tmp_path / "m.onnx", node, "trt.plugins"))
    assert remedy.startswith("export without the NMS plugin: EfficientNMS_TRT is TensorRT's own")


def test_operators_of_others(tmp_path: Path) -> None:
    node = helper.make_node("Deform", ["images"], ["o"], domain="mmdeploy")
    _, remedy = refused(saved(tmp_path / "m.onnx", node, "mmdeploy"))
    assert remedy == "export with standard operators only: Deform belongs to mmdeploy, which is not here"
