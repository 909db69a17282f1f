"""The segmenter on constant models: the known instances, in image pixels."""

from __future__ import annotations

import itertools
import json
import threading
from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest

from tests.segment.models import END2END_INPUT, brightness_model, constant_model, end2end_model, end2end_outputs
from tracker.associate.parameters import TrackerSettings
from tracker.associate.tracker import Tracker
from tracker.errors import ConfigError, ModelError
from tracker.segment.session import DEFAULT_CONFIRMATION_SCORE, OnnxSegmenter
from tracker.sources.open import open_source
from tracker.types import Frame, Letterbox

if TYPE_CHECKING:
    from pathlib import Path


def picture(size: tuple[int, int] = (320, 180), index: int = 0) -> Frame:
    return Frame(
        index=index,
        time_s=index / 30,
        arrived_s=0.0,
        source="test",
        size=size,
        image=np.zeros((size[1], size[0], 3), np.uint8),
    )


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return end2end_model(tmp_path_factory.mktemp("model") / "constant.onnx", embeddings=5)


def test_instances_leave_in_image_pixels_best_first(model: Path) -> None:
    instances = OnnxSegmenter(model).segment([picture()])[0]
    # 160 x 96 network over 320 x 180: two image pixels per network pixel.
    np.testing.assert_allclose(instances.boxes, [[160, 48, 288, 144], [32, 38.4, 96, 153.6]], rtol=1e-6)
    np.testing.assert_allclose(instances.scores, [0.9, 0.6], rtol=1e-6)
    assert instances.class_ids.tolist() == [1, 0]
    assert instances.embeddings is not None
    np.testing.assert_array_equal(instances.embeddings, np.eye(4, 5)[[1, 0]])


def test_masks_lie_on_their_boxes(model: Path) -> None:
    instances = OnnxSegmenter(model).segment([picture()])[0]
    masks = instances.masks
    assert masks is not None
    assert masks.image_size == (320, 180)
    assert masks.step_px == (8.0, 8.0)
    assert masks.probabilities.shape == (2, 23, 40)  # 24 rows, of which the last lies wholly in the padding
    crop, corner = masks.lift(0, instances.boxes[0])
    assert corner == (160, 48)
    assert crop.shape == (96, 128)
    assert crop[:, 8:-8].all()  # only the corners are rounded by the interpolation
    assert crop[8:-8].all()


def test_class_names_and_geometry_are_the_files(model: Path) -> None:
    segmenter = OnnxSegmenter(model)
    assert segmenter.class_names == ("person", "car")
    assert segmenter.network_size == (160, 96)
    assert segmenter.keep_aspect
    assert segmenter.contract == "end2end-1"
    assert segmenter.batch_size == 1
    assert segmenter.device == "cpu"
    assert segmenter.provider == "CPUExecutionProvider"
    for word in ("160 x 96", "end2end-1", "2 classes", "cpu"):
        assert word in segmenter.describe()


def test_the_order_of_the_outputs_does_not_matter(tmp_path: Path) -> None:
    reference = OnnxSegmenter(end2end_model(tmp_path / "plain.onnx", embeddings=5)).segment([picture()])[0]
    names = ["boxes", "scores", "class_ids", "masks", "embeddings"]
    for number, order in enumerate(itertools.islice(itertools.permutations(names), 1, 120, 17)):
        for metadata in (True, False):
            path = end2end_model(tmp_path / f"{number}{metadata}.onnx", order=order, metadata=metadata, embeddings=5)
            instances = OnnxSegmenter(path).segment([picture()])[0]
            np.testing.assert_array_equal(instances.boxes, reference.boxes)
            np.testing.assert_array_equal(instances.scores, reference.scores)
            np.testing.assert_array_equal(instances.embeddings, reference.embeddings)


def test_scores_classes_and_number_are_limited(model: Path) -> None:
    assert OnnxSegmenter(model, score_threshold=0.7).segment([picture()])[0].class_ids.tolist() == [1]
    assert OnnxSegmenter(model, score_threshold=0.95).segment([picture()])[0].boxes.shape == (0, 4)
    assert OnnxSegmenter(model, classes=["Person"]).segment([picture()])[0].class_ids.tolist() == [0]
    assert OnnxSegmenter(model, max_instances=1).segment([picture()])[0].class_ids.tolist() == [1]
    assert len(OnnxSegmenter(model, score_threshold=0.0).segment([picture()])[0]) == 2  # empty slots have score 0


def test_an_own_iou_threshold_suppresses_after_the_graph(tmp_path: Path) -> None:
    outputs = end2end_outputs()
    outputs["boxes"][0, 0] = (0.5, 0.25, 0.9, 0.70)  # overlaps the car by 0.9
    path = constant_model(tmp_path / "m.onnx", outputs, input_shape=(1, 96, 160, 3), input_dtype="uint8")
    assert len(OnnxSegmenter(path).segment([picture()])[0]) == 2
    assert OnnxSegmenter(path, iou_threshold=0.5).segment([picture()])[0].class_ids.tolist() == [1]


def test_boxes_are_clipped_and_empty_ones_dropped(tmp_path: Path) -> None:
    outputs = end2end_outputs()
    outputs["boxes"][0, 0] = (0.0, 0.95, 0.5, 1.0)  # in the padding: network rows 91.2-96, content ends at 90
    outputs["boxes"][0, 1] = (-0.2, 0.5, 1.2, 1.1)
    path = constant_model(tmp_path / "m.onnx", outputs, input_shape=(1, 96, 160, 3), input_dtype="uint8")
    instances = OnnxSegmenter(path).segment([picture()])[0]
    np.testing.assert_allclose(instances.boxes, [[0, 96, 320, 180]])
    assert instances.masks is not None
    assert len(instances.masks) == 1


def test_boxes_that_are_not_finite_are_dropped(tmp_path: Path) -> None:
    outputs = end2end_outputs()
    outputs["boxes"][0, 0] = np.nan
    path = constant_model(tmp_path / "m.onnx", outputs, input_shape=(1, 96, 160, 3), input_dtype="uint8")
    assert OnnxSegmenter(path).segment([picture()])[0].class_ids.tolist() == [1]


@pytest.mark.parametrize("count", [0, 1, 3, 5])
def test_batches_and_loops_give_the_same(tmp_path: Path, count: int) -> None:
    frames = [picture((320 + 10 * index, 180), index) for index in range(count)]
    looped = OnnxSegmenter(end2end_model(tmp_path / "one.onnx")).segment(frames)
    open_batch = OnnxSegmenter(end2end_model(tmp_path / "open.onnx", open_batch=True), max_batch=2)
    assert open_batch.batch_size == 2
    batched = open_batch.segment(frames)
    assert len(looped) == len(batched) == count
    for one, other in zip(looped, batched, strict=True):
        np.testing.assert_array_equal(one.boxes, other.boxes)
        assert one.masks is not None
        assert other.masks is not None
        np.testing.assert_array_equal(one.masks.probabilities, other.masks.probabilities)
        assert one.masks.step_px == other.masks.step_px


def test_a_fixed_batch_is_filled_up(tmp_path: Path) -> None:
    outputs = {name: np.repeat(value, 2, axis=0) for name, value in end2end_outputs().items()}
    path = constant_model(tmp_path / "two.onnx", outputs, input_shape=(2, 96, 160, 3), input_dtype="uint8")
    segmenter = OnnxSegmenter(path)
    assert segmenter.batch_size == 2
    assert [len(instances) for instances in segmenter.segment([picture(index=n) for n in range(3)])] == [2, 2, 2]


def test_a_sources_network_image_is_used_without_the_image(model: Path) -> None:
    letterbox = Letterbox.fit((320, 180), (160, 96))
    frame = Frame(
        index=0,
        time_s=0.0,
        arrived_s=0.0,
        source="camera",
        size=(320, 180),
        network_image=np.zeros((96, 160, 3), np.uint8),
        letterbox=letterbox,
    )
    np.testing.assert_allclose(OnnxSegmenter(model).segment([frame])[0].boxes[0], [160, 48, 288, 144])


def test_a_frame_without_a_usable_picture_is_an_error(model: Path) -> None:
    frame = Frame(index=7, time_s=0.0, arrived_s=0.0, source="camera", size=(320, 180))
    with pytest.raises(ModelError, match=r"camera: frame 7 .*\(160, 96\)"):
        OnnxSegmenter(model).segment([frame])


def test_threads_do_not_disturb_each_other(tmp_path: Path) -> None:
    """Each thread gets its own input buffer: the network's outputs follow the picture of its own call."""
    path = brightness_model(tmp_path / "mean.onnx")
    segmenter = OnnxSegmenter(path, threads=1)
    wrong: list[float] = []

    def work(grey: int) -> None:
        image = np.full((180, 320, 3), grey, np.uint8)
        frame = Frame(index=0, time_s=0.0, arrived_s=0.0, source="t", size=(320, 180), image=image)
        expected = (grey * 90 + 114 * 6) / 96 / 255
        for _ in range(30):
            score = float(segmenter.segment([frame])[0].scores[0])
            if abs(score - expected) > 1e-3:
                wrong.append(score - expected)

    threads = [threading.Thread(target=work, args=(grey,)) for grey in (40, 90, 200)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_an_unknown_class_names_the_close_match(model: Path) -> None:
    with pytest.raises(ConfigError, match=r"--classes persn: no such class.*person, car\n.*'person'"):
        OnnxSegmenter(model, classes=["persn"])


@pytest.mark.parametrize("option", ["score_threshold", "iou_threshold"])
def test_thresholds_out_of_range_are_errors(model: Path, option: str) -> None:
    with pytest.raises(ConfigError, match=r"from 0 to 1, found 25"):
        OnnxSegmenter(model, **{option: 25})


def test_unknown_outputs_are_listed_with_the_contracts(tmp_path: Path) -> None:
    path = constant_model(
        tmp_path / "detector.onnx", {"detections": np.zeros((1, 300, 6), np.float32)}, input_shape=(1, 3, 64, 64)
    )
    with pytest.raises(ModelError) as caught:
        OnnxSegmenter(path)
    for word in ("detections (1, 300, 6) float32", "end2end-1", "yolact", "yolo", "proto"):
        assert word in str(caught.value)


def test_embeddings_of_other_rows_than_the_boxes_are_refused(tmp_path: Path) -> None:
    outputs = end2end_outputs() | {"embeddings": np.zeros((1, 16, 25), np.float32)}
    wrong = constant_model(tmp_path / "m.onnx", outputs, input_shape=(1, 96, 160, 3), input_dtype="uint8")
    with pytest.raises(ModelError, match=r"embeddings \(1, 16, 25\) float32"):
        OnnxSegmenter(wrong)
    outputs = end2end_outputs() | {"other": np.zeros((1, 16, 25), np.float32)}
    beside = constant_model(tmp_path / "b.onnx", outputs, input_shape=(1, 96, 160, 3), input_dtype="uint8")
    assert "embeddings" not in OnnxSegmenter(beside).output_names, "an output of another kind is left alone"


def test_a_contract_of_the_future_is_named(tmp_path: Path) -> None:
    path = constant_model(
        tmp_path / "new.onnx",
        end2end_outputs(),
        input_shape=(1, 96, 160, 3),
        input_dtype="uint8",
        metadata={"masktrail.contract": "end2end-7"},
    )
    with pytest.raises(ModelError, match="contract 'end2end-7'; this version knows end2end-1"):
        OnnxSegmenter(path)


def test_an_unknown_contract_of_a_manifest_is_named(tmp_path: Path) -> None:
    path = end2end_model(tmp_path / "m.onnx", metadata=False)
    path.with_suffix(".toml").write_text("contract = 'yolo9'")
    with pytest.raises(ModelError, match="contract 'yolo9'; this version knows end2end-1, end2end-2, yolact, yolo"):
        OnnxSegmenter(path)


@pytest.mark.parametrize(
    ("metadata", "message"),
    [
        ({"masktrail.input": "{"}, "masktrail.input is not JSON"),
        ({"masktrail.input": '{"hight": 96}'}, "unknown key `masktrail.input.hight`.*\n.*did you mean `height`"),
        ({"masktrail.input": "[]"}, "expected an object"),
        ({"masktrail.classes": '{"a": 1}'}, "expected a list of names"),
        ({"masktrail.classes": "person"}, "masktrail.classes is not JSON"),
    ],
)
def test_broken_metadata_is_named(tmp_path: Path, metadata: dict[str, str], message: str) -> None:
    path = constant_model(
        tmp_path / "m.onnx", end2end_outputs(), input_shape=(1, 96, 160, 3), input_dtype="uint8", metadata=metadata
    )
    with pytest.raises(ModelError, match=message):
        OnnxSegmenter(path)


@pytest.mark.parametrize(
    ("shape", "dtype", "message"),
    [
        ((1, 4, 64, 64), "float32", r"expected one image input .*found frames \(1, 4, 64, 64\)"),
        ((1, 10), "float32", "found frames"),
    ],
)
def test_an_input_that_is_no_picture_is_an_error(
    tmp_path: Path, shape: tuple[int, ...], dtype: str, message: str
) -> None:
    path = constant_model(tmp_path / "m.onnx", end2end_outputs(), input_shape=shape, input_dtype=dtype)
    with pytest.raises(ModelError, match=message):
        OnnxSegmenter(path)


def test_a_fixed_size_refuses_another(model: Path) -> None:
    with pytest.raises(ModelError, match="fixed at 160 x 96 pixels, asked was 640 x 640"):
        OnnxSegmenter(model, network_size=(640, 640))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "an empty file"),
        (b"this is no model at all", "found 23 bytes that are none"),
        (b"PK\x03\x04" + bytes(100), "zip archive, as PyTorch"),
    ],
)
def test_what_is_no_onnx_file_is_named(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "bad.onnx"
    path.write_bytes(content)
    with pytest.raises(ModelError, match=message) as caught:
        OnnxSegmenter(path)
    assert caught.value.remedy
    assert len(str(caught.value).splitlines()) == 2


def test_half_precision_inputs_and_scores_are_accepted(tmp_path: Path) -> None:
    outputs = {
        name: value.astype(np.float16) if value.dtype == np.float32 else value
        for name, value in end2end_outputs().items()
    }
    path = constant_model(tmp_path / "half.onnx", outputs, input_shape=(1, 3, 96, 160), input_dtype="float16")
    instances = OnnxSegmenter(path).segment([picture()])[0]
    assert instances.boxes.dtype == instances.scores.dtype == np.float32
    np.testing.assert_allclose(instances.boxes[0], [160, 48, 288, 144], atol=0.1)


def test_metadata_speaks_before_the_shapes(tmp_path: Path) -> None:
    import json

    spec = END2END_INPUT | {"channels": "RGB", "resize": "stretch", "mean": [1, 2, 3], "std": [2, 2, 2]}
    path = constant_model(
        tmp_path / "m.onnx",
        end2end_outputs(),
        input_shape=(1, 96, 160, 3),
        input_dtype="uint8",
        metadata={"masktrail.input": json.dumps(spec)},
    )
    segmenter = OnnxSegmenter(path)
    assert not segmenter.keep_aspect
    assert segmenter.input_spec.channels == "RGB"
    assert segmenter.input_spec.mean == (1.0, 2.0, 3.0)
    np.testing.assert_allclose(segmenter.segment([picture()])[0].boxes[0], [160, 45, 288, 135])  # stretched: 180 / 96


def test_a_class_beyond_the_names_is_an_error(tmp_path: Path) -> None:
    outputs = end2end_outputs()
    outputs["class_ids"][0, 1] = 90
    path = constant_model(tmp_path / "m.onnx", outputs, input_shape=(1, 96, 160, 3), input_dtype="uint8")
    with pytest.raises(ModelError, match="an instance of class 90, but there are 80 class names"):
        OnnxSegmenter(path).segment([picture()])
    assert OnnxSegmenter(path, classes=["person"]).segment([picture()])[0].class_ids.tolist() == [0]


def stretching_model(path: Path) -> Path:
    """Our contract, except that pictures are stretched to the input, as official YOLACT wants it."""
    props = {"masktrail.contract": "end2end-1", "masktrail.input": json.dumps(END2END_INPUT | {"resize": "stretch"})}
    return constant_model(path, end2end_outputs(), input_shape=(1, 96, 160, 3), input_dtype="uint8", metadata=props)


def test_a_source_opened_for_a_segmenter_fits_it(tmp_path: Path) -> None:
    """Square pictures through a stretching network: without ``like`` they would come letterboxed and be refused."""
    image = np.full((200, 200, 3), 90, np.uint8)
    cv2.imwrite(str(tmp_path / "0001.png"), image)
    segmenter = OnnxSegmenter(stretching_model(tmp_path / "m.onnx"))
    with open_source(tmp_path / "0001.png", like=segmenter, want_image=False) as source:
        (frame,) = source
    assert frame.letterbox == Letterbox.fit((200, 200), (160, 96), keep_aspect=False)
    (found,) = segmenter.segment([frame])
    np.testing.assert_allclose(found.boxes[0], [100, 50, 180, 150], rtol=1e-6)
    with pytest.raises(ConfigError, match="network_size: expected one of like and network_size, found both"):
        open_source(tmp_path / "0001.png", like=segmenter, network_size=(160, 96))


def test_the_confirmation_score_is_the_models(tmp_path: Path) -> None:
    path = end2end_model(tmp_path / "m.onnx")
    assert OnnxSegmenter(path).confirmation_score == DEFAULT_CONFIRMATION_SCORE == 0.5
    path.with_suffix(".toml").write_text("confirmation_score = 0.3")
    assert OnnxSegmenter(path).confirmation_score == 0.3
    assert OnnxSegmenter("yolact-nano").confirmation_score == 0.5


@pytest.mark.parametrize(
    ("noted", "asked", "confirmed"), [(0.95, None, 0), (0.85, None, 1), (0.55, None, 2), (0.95, 0.7, 1), (0.5, 0.0, 2)]
)
def test_a_tracker_for_a_model_confirms_from_its_score_on(
    tmp_path: Path, noted: float, asked: float | None, confirmed: int
) -> None:
    """The instances have scores 0.9 and 0.6; a score that is asked for goes before the model's."""
    path = end2end_model(tmp_path / "m.onnx")
    path.with_suffix(".toml").write_text(f"confirmation_score = {noted}")
    segmenter = OnnxSegmenter(path)
    tracker = Tracker.for_model(segmenter, confirmation_score=asked, settings=TrackerSettings(lost_s=1.0))
    for number in range(20):
        tracks = tracker.update(segmenter.segment([picture()])[0], number / 10)
    assert len(tracks) == confirmed


def test_arrays_are_pictures_too(tmp_path: Path) -> None:
    segmenter = OnnxSegmenter(end2end_model(tmp_path / "m.onnx"), device="cpu")
    image = np.zeros((90, 160, 3), np.uint8)
    [of_array, other], [of_frame] = (
        segmenter.segment([image, image[:60]]),
        segmenter.segment([Frame(index=0, time_s=0.0, arrived_s=0.0, source="a", size=(160, 90), image=image)]),
    )
    np.testing.assert_array_equal(of_array.boxes, of_frame.boxes)
    assert of_array.masks is not None
    assert other.masks is not None
    whole = of_array.masks.full_size(of_array.boxes)
    assert (whole.shape, whole.dtype) == ((2, 90, 160), np.bool_)
    np.testing.assert_array_equal(whole[1], of_array.masks.full(1, of_array.boxes[1]))
    assert other.masks.full_size(other.boxes).shape == (2, 60, 160)
    assert of_array.take(np.zeros(0, np.int64)).masks.full_size(np.zeros((0, 4), np.float32)).shape == (0, 90, 160)
    for wrong in (image[..., 0], image.astype(np.float32), image.tolist(), image[:0]):
        with pytest.raises(ModelError, match=r"picture 1: expected a frame or an array \(H, W, 3\) of uint8, found"):
            segmenter.segment([image, wrong])
