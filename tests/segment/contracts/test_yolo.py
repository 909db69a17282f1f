"""YOLO-style outputs decoded to instances computed by hand."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from tests.segment.models import constant_model
from tracker.errors import ModelError
from tracker.segment.session import OnnxSegmenter
from tracker.types import Frame

if TYPE_CHECKING:
    from pathlib import Path

SIZE = 64
CELLS = 8 * 8 + 4 * 4 + 2 * 2
PROTOTYPES = 32
NAMES = {"names": "{0: 'person', 1: 'car'}"}


def frame(size: tuple[int, int] = (SIZE, SIZE)) -> Frame:
    return Frame(
        index=0, time_s=0.0, arrived_s=0.0, source="t", size=size, image=np.zeros((size[1], size[0], 3), np.uint8)
    )


def proto() -> np.ndarray:
    """Prototype 0 is +4 on the left and -4 on the right, the others are noise that no coefficient picks up."""
    values = np.random.default_rng(0).normal(0, 1, (1, PROTOTYPES, 16, 16)).astype(np.float32)
    values[0, 0, :, :8], values[0, 0, :, 8:] = 4, -4
    return values


def dense() -> np.ndarray:
    """``(1, 4 + 2 + 32, 84)``: a person, a weaker double of it, a car on the same place, and a weak box."""
    values = np.zeros((1, 4 + 2 + PROTOTYPES, CELLS), np.float32)
    for cell, box, scores in (
        (3, (32, 32, 32, 16), (0.9, 0.1)),
        (40, (33, 32, 32, 16), (0.8, 0.1)),
        (41, (32, 32, 32, 16), (0.2, 0.7)),
        (70, (10, 10, 8, 8), (0.05, 0.02)),
    ):
        values[0, :4, cell], values[0, 4:6, cell] = box, scores
        values[0, 6, cell] = 1  # coefficient of prototype 0
    return values


def forms() -> dict[str, np.ndarray]:
    values = dense()
    scored = values[0].T  # (84, 38)
    v5 = np.zeros((1, 3 * CELLS, 5 + 2 + PROTOTYPES), np.float32)
    v5[0, CELLS : 2 * CELLS, :4], v5[0, CELLS : 2 * CELLS, 5:] = scored[:, :4], scored[:, 4:]
    v5[0, :, 4] = 1
    return {"v8": values, "transposed": values.transpose(0, 2, 1).copy(), "v5": v5}


@pytest.mark.parametrize("form", ["v8", "transposed", "v5"])
@pytest.mark.parametrize("swapped", [True, False])
def test_instances_are_those_computed_by_hand(tmp_path: Path, form: str, swapped: bool) -> None:
    outputs = {"output0": forms()[form], "output1": proto()}
    if swapped:
        outputs = dict(reversed(outputs.items()))
    path = constant_model(
        tmp_path / "m.onnx", outputs, input_shape=(1, 3, SIZE, SIZE), input_name="images", metadata=NAMES
    )
    segmenter = OnnxSegmenter(path)
    assert segmenter.contract == "yolo"
    assert segmenter.class_names == ("person", "car")
    assert segmenter.keep_aspect
    instances = segmenter.segment([frame()])[0]
    # The double overlaps by 31 / 33 and goes; the car stays, because classes do not suppress each other.
    np.testing.assert_allclose(instances.boxes, [[16, 24, 48, 40], [16, 24, 48, 40]])
    np.testing.assert_allclose(instances.scores, [0.9, 0.7], rtol=1e-6)
    assert instances.class_ids.tolist() == [0, 1]
    assert instances.masks is not None
    expected = np.zeros((16, 16), np.uint8)
    expected[5:11, 3:8] = round(255 / (1 + np.exp(-4)))  # half a cell past the box, as the lift needs it
    expected[5:11, 8:13] = round(255 / (1 + np.exp(4)))
    np.testing.assert_array_equal(instances.masks.probabilities[0], expected)


def test_the_iou_threshold_decides_about_doubles(tmp_path: Path) -> None:
    outputs = {"output0": dense(), "output1": proto()}
    path = constant_model(tmp_path / "m.onnx", outputs, input_shape=(1, 3, SIZE, SIZE), metadata=NAMES)
    np.testing.assert_allclose(OnnxSegmenter(path, iou_threshold=0.95).segment([frame()])[0].scores, [0.9, 0.8, 0.7])
    assert OnnxSegmenter(path, classes=["car"]).segment([frame()])[0].class_ids.tolist() == [1]
    assert len(OnnxSegmenter(path, score_threshold=0.01).segment([frame()])[0]) == 3


def test_outputs_with_suppression_inside(tmp_path: Path) -> None:
    rows = np.zeros((1, 300, 6 + PROTOTYPES), np.float32)
    rows[0, 0, :7] = (16, 24, 48, 40, 0.6, 1, 1)
    rows[0, 1, :7] = (10, 10, 20, 20, 0.8, 0, 1)
    path = constant_model(
        tmp_path / "m.onnx", {"output0": rows, "output1": proto()}, input_shape=(1, 3, SIZE, SIZE), metadata=NAMES
    )
    instances = OnnxSegmenter(path).segment([frame((128, 128))])[0]
    np.testing.assert_allclose(instances.boxes, [[20, 20, 40, 40], [32, 48, 96, 80]])
    assert instances.class_ids.tolist() == [0, 1]


def test_an_open_size_follows_the_source_and_the_exporters_note(tmp_path: Path) -> None:
    cells = 8 * 4 + 4 * 2 + 2 * 1
    values = np.zeros((1, 6 + PROTOTYPES, cells), np.float32)
    path = constant_model(
        tmp_path / "m.onnx",
        {"output0": values, "output1": np.zeros((1, PROTOTYPES, 8, 16), np.float32)},
        input_shape=("batch", 3, "height", "width"),
        metadata=NAMES | {"imgsz": "[64, 64]"},
    )
    assert OnnxSegmenter(path, source_size=(1280, 640)).network_size == (64, 32)
    assert OnnxSegmenter(path, source_size=(640, 1280)).network_size == (32, 64)
    assert OnnxSegmenter(path).network_size == (64, 64)
    assert OnnxSegmenter(path, network_size=(96, 32)).network_size == (96, 32)


def test_pixels_reach_the_network_as_rgb_from_zero_to_one(tmp_path: Path) -> None:
    path = constant_model(
        tmp_path / "m.onnx", {"output0": dense(), "output1": proto()}, input_shape=(1, 3, SIZE, SIZE), metadata=NAMES
    )
    image = np.empty((32, 64, 3), np.uint8)
    image[:] = (255, 51, 0)
    frame = Frame(index=0, time_s=0.0, arrived_s=0.0, source="t", size=(64, 32), image=image)
    (batch,) = OnnxSegmenter(path).pack([frame]).values()
    np.testing.assert_allclose(batch[0, :, 10, 10], [0, 0.2, 1], rtol=1e-6)
    np.testing.assert_allclose(batch[0, :, 40, 10], 114 / 255, rtol=1e-6)


def test_names_of_another_number_are_an_error(tmp_path: Path) -> None:
    path = constant_model(
        tmp_path / "m.onnx",
        {"output0": dense(), "output1": proto()},
        input_shape=(1, 3, SIZE, SIZE),
        metadata={"names": "['person']"},
    )
    with pytest.raises(ModelError, match="expected 2 class names, one per score channel, found 1"):
        OnnxSegmenter(path)


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ('{"0": "helmet", "1": "vest"}', ("helmet", "vest")),
        ('["helmet", "vest"]', ("helmet", "vest")),
        ("{1: 'vest'}", ("class 0", "vest")),
        ("{0: 'helmet'}", ("helmet", "class 1")),
    ],
)
def test_names_are_read_as_json_or_python_by_number(tmp_path: Path, text: str, names: tuple[str, ...]) -> None:
    path = constant_model(
        tmp_path / "m.onnx",
        {"output0": dense(), "output1": proto()},
        input_shape=(1, 3, SIZE, SIZE),
        metadata={"names": text},
    )
    assert OnnxSegmenter(path).class_names == names


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("{1: 'helmet', 2: 'vest'}", "expected 2 class names, one per score channel, found 3"),
        ("{-1: 'helmet'}", "metadata names: expected"),
        ("{'a': 'helmet'}", "metadata names: expected"),
        ("helmet, vest", "metadata names: expected"),
        ("[" * 100_000, "metadata names: expected"),
        ("{99999999999: 'helmet'}", "metadata names: expected"),
    ],
)
def test_names_that_cannot_be_meant_are_refused(tmp_path: Path, text: str, problem: str) -> None:
    path = constant_model(
        tmp_path / "m.onnx",
        {"output0": dense(), "output1": proto()},
        input_shape=(1, 3, SIZE, SIZE),
        metadata={"names": text},
    )
    with pytest.raises(ModelError, match=problem):
        OnnxSegmenter(path)


def test_a_detector_without_masks_is_told_so(tmp_path: Path) -> None:
    path = constant_model(tmp_path / "m.onnx", {"output0": dense()[:, :6]}, input_shape=(1, 3, SIZE, SIZE))
    with pytest.raises(ModelError, match=r"output0 \(1, 6, 84\) float32"):
        OnnxSegmenter(path)


@pytest.mark.parametrize("form", ["v8", "transposed", "v5"])
def test_nothing_seen_is_zero_rows(tmp_path: Path, form: str) -> None:
    outputs = {"output0": np.zeros_like(forms()[form]), "output1": proto()}
    path = constant_model(tmp_path / "m.onnx", outputs, input_shape=(1, 3, SIZE, SIZE), metadata=NAMES)
    instances = OnnxSegmenter(path, classes=["car"]).segment([frame()])[0]
    assert instances.boxes.shape == (0, 4)
    assert instances.masks is not None
    assert instances.masks.probabilities.shape == (0, 16, 16)


# ---- outputs that are odd --------------------------------------------------------------------------------------------


def suppressed(*rows: tuple[float, ...]) -> np.ndarray:
    """``(1, 300, 38)``: box, score, class; coefficient of prototype 0."""
    values = np.zeros((1, 300, 6 + PROTOTYPES), np.float32)
    for place, row in enumerate(rows):
        values[0, place, :6], values[0, place, 6] = row, 1
    return values


NAN = float("nan")


@pytest.mark.parametrize(
    "odd",
    [
        (NAN, NAN, NAN, NAN, 0.9, 0),
        (8, 8, float("inf"), 40, 0.9, 0),
        (8, 8, 40, 40, 0.9, -1),
        (8, 8, 40, 40, 0.9, NAN),
        (8, 8, 40, 40, NAN, 0),
    ],
)
@pytest.mark.parametrize("classes", [None, ["car", "person"]])
def test_rows_that_are_no_instances_are_dropped_before_any_cast(
    tmp_path: Path, odd: tuple[float, ...], classes: list[str] | None
) -> None:
    """Warnings are errors here: a NaN that is cast would be one."""
    outputs = {"output0": suppressed((8, 8, 40, 24, 0.8, 1), odd), "output1": proto()}
    path = constant_model(tmp_path / "m.onnx", outputs, input_shape=(1, 3, SIZE, SIZE), metadata=NAMES)
    (found,) = OnnxSegmenter(path, classes=classes).segment([frame()])
    np.testing.assert_array_equal(found.boxes, [[8, 8, 40, 24]])
    np.testing.assert_array_equal(found.class_ids, [1])


def test_dense_boxes_that_are_not_finite_are_dropped(tmp_path: Path) -> None:
    values = dense()
    values[0, :4, 40] = NAN
    values[0, :4, 41] = float("inf")
    path = constant_model(
        tmp_path / "m.onnx", {"a": values, "b": proto()}, input_shape=(1, 3, SIZE, SIZE), metadata=NAMES
    )
    (found,) = OnnxSegmenter(path).segment([frame()])
    np.testing.assert_array_equal(found.boxes, [[16, 24, 48, 40]])


def test_all_classes_of_one_name_are_chosen_by_it(tmp_path: Path) -> None:
    outputs = {"a": suppressed((8, 8, 40, 24, 0.8, 0), (8, 40, 40, 56, 0.7, 1), (40, 8, 60, 24, 0.6, 2)), "b": proto()}
    names = {"names": "{0: 'car', 1: 'Car', 2: 'bus'}"}
    path = constant_model(tmp_path / "m.onnx", outputs, input_shape=(1, 3, SIZE, SIZE), metadata=names)
    (found,) = OnnxSegmenter(path, classes=["car"]).segment([frame()])
    np.testing.assert_array_equal(found.class_ids, [0, 1])


def test_prototypes_with_channels_last_are_known_by_the_aspect(tmp_path: Path) -> None:
    """(B, h, w, M) with h = M = 16 of a wide input: read as (B, M, h, w) it has other classes, and other masks."""
    width = 2 * SIZE
    cells = 2 * CELLS
    values = np.zeros((1, 4 + 2 + 16, cells), np.float32)
    values[0, :4, 3], values[0, 4:6, 3], values[0, 6, 3] = (64, 32, 64, 16), (0.9, 0.1), 1
    prototypes = np.random.default_rng(0).normal(0, 1, (1, 16, 16, 32)).astype(np.float32)
    prototypes[0, 0, :, :16], prototypes[0, 0, :, 16:] = 4, -4
    found = []
    for name, value in (("first", prototypes), ("last", prototypes.transpose(0, 2, 3, 1).copy())):
        path = constant_model(
            tmp_path / f"{name}.onnx", {"a": values, "b": value}, input_shape=(1, 3, SIZE, width), metadata=NAMES
        )
        segmenter = OnnxSegmenter(path)
        assert segmenter.class_names == ("person", "car")
        found += segmenter.segment([frame((width, SIZE))])
    first, last = found
    np.testing.assert_array_equal(first.boxes, [[32, 24, 96, 40]])
    np.testing.assert_array_equal(last.boxes, first.boxes)
    np.testing.assert_array_equal(last.masks.probabilities, first.masks.probabilities)
    assert first.masks.probabilities[0, 8, 10] > 240
    assert first.masks.probabilities[0, 8, 20] < 15


def test_sides_are_multiples_of_the_files_own_stride(tmp_path: Path) -> None:
    """A network with a P6 level wants 64: 1280 x 720 becomes 1280 x 768, not 736."""
    for stride, size in (
        ("64", (1280, 768)),
        ("[64]", (1280, 768)),
        ("32", (1280, 736)),
        ("0", (1280, 736)),
        ("x", (1280, 736)),
    ):
        path = constant_model(
            tmp_path / "m.onnx",
            {"a": dense(), "b": proto()},
            input_shape=(1, 3, "h", "w"),
            metadata=NAMES | {"imgsz": "[1280, 1280]", "stride": stride},
        )
        assert OnnxSegmenter(path, source_size=(1920, 1080)).network_size == size


@pytest.mark.parametrize("imgsz", ["[10000000, 10000000]", "-5", "0"])
def test_a_size_that_no_picture_has_is_refused(tmp_path: Path, imgsz: str) -> None:
    path = constant_model(
        tmp_path / "m.onnx",
        {"a": dense(), "b": proto()},
        input_shape=(1, 3, "h", "w"),
        metadata=NAMES | {"imgsz": imgsz},
    )
    with pytest.raises(ModelError, match="metadata imgsz: expected sides of 1 to 16384 pixels, found"):
        OnnxSegmenter(path)


def test_control_characters_are_stripped_from_class_names(tmp_path: Path) -> None:
    path = constant_model(
        tmp_path / "m.onnx",
        {"a": dense(), "b": proto()},
        input_shape=(1, 3, SIZE, SIZE),
        metadata={"names": '{"0": "\\u001b[31mper\\nson\\u202e", "1": "\\u0007"}'},
    )
    assert OnnxSegmenter(path).class_names == ("[31mperson", "class 1")


def test_rows_with_suppression_inside_and_zeros_at_their_end(tmp_path: Path) -> None:
    """What Ultralytics writes with ``nms=True``, and YOLO26 always: 300 rows, best first, the rest zero."""
    rows = np.zeros((1, 300, 6 + PROTOTYPES), np.float32)
    rows[0, 0, :7] = 16, 24, 48, 40, 0.9, 0, 1
    rows[0, 1, :7] = 15, 24, 48, 40, 0.8, 1, 1  # another class on its place: the network decided to keep it
    path = constant_model(
        tmp_path / "m.onnx", {"output0": rows, "output1": proto()}, input_shape=(1, 3, SIZE, SIZE), metadata=NAMES
    )
    segmenter = OnnxSegmenter(path, device="cpu")
    assert segmenter.contract == "yolo"
    (found,) = segmenter.segment([frame()])
    np.testing.assert_allclose(found.boxes, rows[0, :2, :4])
    np.testing.assert_allclose(found.scores, [0.9, 0.8])
    assert found.class_ids.tolist() == [0, 1]
    assert found.masks is not None
    assert found.masks.areas_px().min() > 100
