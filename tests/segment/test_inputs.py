"""Networks with several named inputs: what is beside the image is made for each frame as its name and shape ask."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from tests.segment.models import end2end_model
from tests.segment.test_session import picture
from tracker.errors import ModelError
from tracker.segment.reid import OnnxEmbedder
from tracker.segment.session import OnnxSegmenter

if TYPE_CHECKING:
    from pathlib import Path

WIDTH, HEIGHT = 160, 96


def sizes_model(path: Path, extras: tuple[str, ...], *, batch: int | str = "batch") -> Path:
    """One instance whose box is the content that ``extras[0]`` tells, and whose score is half of ``extras[-1]``'s y.

    The image input comes second in the file: order must not matter.
    """
    constants: dict[str, Any] = {
        "unit": np.array([HEIGHT, WIDTH], np.float32),
        "half": np.array([[0.5]], np.float32),
        "zero": np.zeros(1, np.int64),
        "one": np.ones(1, np.int64),
        "two": np.full(1, 2, np.int64),
        "swap": np.array([1, 0], np.int64),
        "rest": np.array([1, 24, 40], np.int64),
        "mask": np.full((1, 1, 24, 40), 255, np.uint8),
    }
    nodes = [
        helper.make_node("Div", [extras[0], "unit"], ["fraction"]),
        helper.make_node("Gather", ["fraction", "swap"], ["corner"], axis=1),  # (B, 2) x, y
        helper.make_node("Sub", ["corner", "corner"], ["origin"]),
        helper.make_node("Concat", ["origin", "corner"], ["box"], axis=1),
        helper.make_node("Unsqueeze", ["box", "one"], ["boxes"]),
        helper.make_node("Slice", [extras[-1], "zero", "one", "one"], ["y"]),
        helper.make_node("Mul", ["y", "half"], ["scores"]),
        helper.make_node("Cast", ["origin"], ["whole"], to=TensorProto.INT64),
        helper.make_node("Slice", ["whole", "zero", "one", "one"], ["class_ids"]),
        helper.make_node("Shape", ["image"], ["image_shape"]),
        helper.make_node("Slice", ["image_shape", "zero", "one"], ["count"]),
        helper.make_node("Concat", ["count", "rest"], ["mask_shape"], axis=0),
        helper.make_node("Expand", ["mask", "mask_shape"], ["masks"]),
    ]
    tensor = helper.make_tensor_value_info
    graph = helper.make_graph(
        nodes,
        "sizes",
        [
            tensor(extras[0], TensorProto.FLOAT, [batch, 2]),
            tensor("image", TensorProto.FLOAT, [batch, 3, HEIGHT, WIDTH]),
            *(tensor(name, TensorProto.FLOAT, [batch, 2]) for name in extras[1:]),
        ],
        [
            tensor("boxes", TensorProto.FLOAT, [batch, 1, 4]),
            tensor("scores", TensorProto.FLOAT, [batch, 1]),
            tensor("class_ids", TensorProto.INT64, [batch, 1]),
            tensor("masks", TensorProto.UINT8, [batch, 1, 24, 40]),
        ],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    helper.set_model_props(model, {"masktrail.classes": json.dumps(["thing"])})
    onnx.save(model, path)
    return path


@pytest.mark.parametrize("where", ["cpu", "card"])
def test_sizes_beside_the_image_are_those_of_each_frame(
    tmp_path: Path, request: pytest.FixtureRequest, where: str
) -> None:
    if where == "card":
        request.getfixturevalue("card")
    segmenter = OnnxSegmenter(sizes_model(tmp_path / "m.onnx", ("im_shape", "scale_factor")), max_batch=2)
    frames = [picture((320, 180), 0), picture((400, 120), 1), picture((160, 192), 2)]
    feeds = segmenter.pack(frames[:2])
    assert list(feeds) == ["image", "im_shape", "scale_factor"]
    np.testing.assert_array_equal(feeds["im_shape"], np.array([[90, 160], [48, 160]], np.float32), strict=True)
    np.testing.assert_array_equal(feeds["scale_factor"], np.array([[0.5, 0.5], [0.4, 0.4]], np.float32), strict=True)
    for frame, found, score in zip(frames, segmenter.segment(frames), (0.25, 0.2, 0.25), strict=True):
        np.testing.assert_allclose(found.boxes, [[0, 0, *frame.size]], atol=1e-4)
        np.testing.assert_allclose(found.scores, [score], atol=1e-6)


def test_one_input_may_ask_for_the_size_of_the_image(tmp_path: Path) -> None:
    segmenter = OnnxSegmenter(sizes_model(tmp_path / "m.onnx", ("orig_im_size",)))
    np.testing.assert_array_equal(segmenter.pack([picture((320, 180))])["orig_im_size"], [[180, 320]])


def test_a_fixed_batch_is_filled_up_in_every_input(tmp_path: Path) -> None:
    segmenter = OnnxSegmenter(sizes_model(tmp_path / "m.onnx", ("im_shape", "scale_factor"), batch=2))
    frames = [picture((320, 180), index) for index in range(3)]
    assert [found.boxes.round(3).tolist() for found in segmenter.segment(frames)] == [[[0, 0, 320, 180]]] * 3


@pytest.mark.parametrize(
    ("extras", "shape", "named"), [(("im_shape", "mystery"), 2, "mystery"), (("im_shape",), 3, r"im_shape \(1, 3\)")]
)
def test_inputs_that_nobody_can_make_are_named(tmp_path: Path, extras: tuple[str, ...], shape: int, named: str) -> None:
    path = tmp_path / "m.onnx"
    model = onnx.load(sizes_model(path, extras))
    for tensor in model.graph.input:
        if tensor.name in extras:
            tensor.type.tensor_type.shape.dim[1].dim_value = shape
    if shape != 2:
        del model.graph.node[:]
        model.graph.node.append(helper.make_node("Identity", ["mask"], ["masks"]))
        del model.graph.output[:3]
    onnx.save(model, path)
    with pytest.raises(ModelError, match=rf"no contract knows how to make: .*{named}"):
        OnnxSegmenter(path)


def test_a_model_without_an_image_is_refused(tmp_path: Path) -> None:
    value = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 2])
    out = helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 2])
    graph = helper.make_graph([helper.make_node("Identity", ["x"], ["y"])], "none", [value], [out])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), tmp_path / "m.onnx")
    with pytest.raises(ModelError, match=r"expected one image input .*found x \(1, 2\) float32"):
        OnnxSegmenter(tmp_path / "m.onnx")


@pytest.mark.parametrize(
    "sizes", [(1, 0, 160), (1 << 31, 96, 160), (1, 96, 1 << 62), (1, 20_000, 16), (4096, 640, 640)]
)
def test_an_input_that_no_memory_holds_is_refused(tmp_path: Path, sizes: tuple[int, int, int]) -> None:
    path = end2end_model(tmp_path / "m.onnx")
    model = onnx.load(path)
    for axis, size in enumerate(sizes):
        model.graph.input[0].type.tensor_type.shape.dim[axis].dim_value = size
    metadata = [note for note in model.metadata_props if note.key != "masktrail.input"]
    del model.metadata_props[:]
    model.metadata_props.extend(metadata)
    path.write_bytes(model.SerializeToString())
    for opened in (OnnxSegmenter, OnnxEmbedder):
        with pytest.raises(
            ModelError, match=r"expected an image input with sides of 1 to 16384 pixels and a batch of at"
        ):
            opened(path)


def test_metadata_that_is_no_text_is_refused(tmp_path: Path) -> None:
    path = end2end_model(tmp_path / "m.onnx")
    path.write_bytes(path.read_bytes().replace(b"Apache-2.0", b"Apache\xf3\xff.0"))
    with pytest.raises(ModelError, match="expected names and metadata in UTF-8, found the byte 0xf3"):
        OnnxSegmenter(path)
