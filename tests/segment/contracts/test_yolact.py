"""Raw YOLACT heads decoded equal to a slow reference written from the paper and dbolya's code."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import pytest

from tests.segment.models import constant_model
from tracker.errors import ModelError
from tracker.segment.contracts.yolact import make_priors
from tracker.segment.session import OnnxSegmenter
from tracker.types import Frame

if TYPE_CHECKING:
    from pathlib import Path

SIZE = 64
CLASSES = 3
PROTOTYPES = 8
LEVELS = ((8, 24), (16, 48), (32, 96), (64, 192), (128, 384))


def slow_priors(size: int, *, square: bool = True) -> np.ndarray:
    """make_priors of dbolya's yolact.py, one anchor at a time; the chain of convolutions rounds sizes up."""
    priors = []
    for stride, scale in LEVELS:
        side = math.ceil(size / stride)
        for row in range(side):
            for column in range(side):
                for ratio in (1, 1 / 2, 2):
                    width = int(scale * size / 550) * math.sqrt(ratio) / size  # preapply_sqrt is False there
                    height = int(scale * size / 550) / math.sqrt(ratio) / size
                    priors.append([(column + 0.5) / side, (row + 0.5) / side, width, width if square else height])
    return np.array(priors, np.float32)


def heads(seed: int, count: int, *, size: int = SIZE, classes: int = CLASSES) -> dict[str, np.ndarray]:
    generator = np.random.default_rng(seed)
    logits = generator.normal(0, 3, (1, count, classes + 1))
    logits[..., 0] += 2
    conf = np.exp(logits) / np.exp(logits).sum(axis=-1, keepdims=True)
    return {
        "loc": generator.normal(0, 1, (1, count, 4)).astype(np.float32),
        "conf": conf.astype(np.float32),
        "mask": np.tanh(generator.normal(0, 1, (1, count, PROTOTYPES))).astype(np.float32),
        "proto": np.maximum(generator.normal(0, 2, (1, size // 4, size // 4, PROTOTYPES)), 0).astype(np.float32),
    }


def slow_iou(a: np.ndarray, b: np.ndarray) -> float:
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    shared = max(width, 0) * max(height, 0)
    return shared / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - shared)


def slow_decode(
    outputs: dict[str, np.ndarray], priors: np.ndarray, *, score: float, iou: float, cross_class: bool
) -> list[tuple]:
    """``(score, class, box in pixels, coefficients)``, best first, one row at a time."""
    found = []
    for row, (x, y, width, height) in enumerate(priors.astype(np.float64)):
        code = outputs["loc"][0, row]
        centre_x, centre_y = x + code[0] * 0.1 * width, y + code[1] * 0.1 * height
        half_width, half_height = width * math.exp(code[2] * 0.2) / 2, height * math.exp(code[3] * 0.2) / 2
        box = SIZE * np.array(
            [centre_x - half_width, centre_y - half_height, centre_x + half_width, centre_y + half_height]
        )
        conf = outputs["conf"][0, row, 1:]
        wanted = [int(conf.argmax())] if cross_class else range(CLASSES)
        found += [(float(conf[k]), k, box, outputs["mask"][0, row]) for k in wanted if conf[k] >= score]
    found.sort(key=lambda entry: -entry[0])
    groups = [found] if cross_class else [[entry for entry in found if entry[1] == k] for k in range(CLASSES)]
    kept = []
    for group in groups:
        best = group[:200]
        for number, entry in enumerate(best):
            if all(slow_iou(better[2], entry[2]) <= iou for better in best[:number]):
                kept.append(entry)
    return sorted(kept, key=lambda entry: -entry[0])


def frame(size: tuple[int, int] = (SIZE, SIZE)) -> Frame:
    return Frame(
        index=0, time_s=0.0, arrived_s=0.0, source="t", size=size, image=np.zeros((size[1], size[0], 3), np.uint8)
    )


def save(path: Path, outputs: dict[str, np.ndarray], *, size: int = SIZE) -> Path:
    return constant_model(path, outputs, input_shape=(1, 3, size, size))


@pytest.mark.parametrize("with_priors", [True, False])
@pytest.mark.parametrize("cross_class", [True, False])
@pytest.mark.parametrize("seed", [0, 1])
def test_instances_equal_the_slow_reference(tmp_path: Path, seed: int, cross_class: bool, with_priors: bool) -> None:
    priors = slow_priors(SIZE)
    outputs = heads(seed, len(priors))
    if with_priors:
        outputs["priors"] = priors
    path = save(tmp_path / "raw.onnx", outputs)
    path.with_suffix(".toml").write_text(f"[yolact]\ncross_class_nms = {str(cross_class).lower()}\n")
    segmenter = OnnxSegmenter(path, score_threshold=0.3, max_instances=1000)
    assert segmenter.contract == "yolact"
    assert not segmenter.keep_aspect
    instances = segmenter.segment([frame()])[0]
    expected = slow_decode(outputs, priors, score=0.3, iou=0.5, cross_class=cross_class)
    visible = [
        entry
        for entry in expected
        if min(entry[2][2], SIZE) > max(entry[2][0], 0) and min(entry[2][3], SIZE) > max(entry[2][1], 0)
    ]
    assert len(visible) > 20
    assert len(instances) == len(visible)
    np.testing.assert_allclose(instances.scores, [entry[0] for entry in visible], rtol=1e-5)
    assert instances.class_ids.tolist() == [entry[1] for entry in visible]
    np.testing.assert_allclose(instances.boxes, np.clip([entry[2] for entry in visible], 0, SIZE), atol=1e-3)
    assert instances.masks is not None
    for row, (_, _, box, coefficients) in enumerate(visible):
        logits = outputs["proto"][0] @ coefficients  # (h, w)
        probabilities = 255 / (1 + np.exp(-logits.astype(np.float64)))
        got = instances.masks.probabilities[row].astype(np.float64)
        x, y = np.meshgrid((np.arange(SIZE // 4) + 0.5) * 4, (np.arange(SIZE // 4) + 0.5) * 4)
        inside = (x > box[0]) & (x < box[2]) & (y > box[1]) & (y < box[3])
        np.testing.assert_allclose(got[inside], probabilities[inside], atol=0.51)
        far = (x < box[0] - 6.1) | (x > box[2] + 6.1) | (y < box[1] - 6.1) | (y > box[3] + 6.1)  # a cell and a half
        assert not got[far].any()


def test_the_published_550_pixel_configurations_have_19248_anchors() -> None:
    priors = make_priors((550, 550))
    assert priors.shape == (19248, 4)
    assert [math.ceil(550 / stride) for stride, _ in LEVELS] == [69, 35, 18, 9, 5]
    np.testing.assert_allclose(priors, slow_priors(550), atol=1e-7)
    side = 24 * math.sqrt(0.5) / 550  # ratio 1/2, yet square
    np.testing.assert_allclose(priors[1], [0.5 / 69, 0.5 / 69, side, side], rtol=1e-6)


def test_anchors_of_the_700_pixel_configuration_scale() -> None:
    scales = [(int(scale * 700 / 550),) for _, scale in LEVELS]
    assert scales == [(30,), (61,), (122,), (244,), (488,)]
    priors = make_priors((700, 700), scales_px=scales)
    np.testing.assert_allclose(priors, slow_priors(700), atol=1e-7)


def test_anchors_that_are_not_square() -> None:
    priors = make_priors((550, 550), square=False)
    np.testing.assert_allclose(priors[2, 2:] * 550, [24 * math.sqrt(2), 24 / math.sqrt(2)], rtol=1e-6)


def test_every_order_of_outputs_and_either_axis_of_proto(tmp_path: Path) -> None:
    priors = slow_priors(SIZE)
    outputs = heads(2, len(priors), classes=5) | {"priors": priors}
    reference = OnnxSegmenter(save(tmp_path / "a.onnx", outputs)).segment([frame()])[0]
    shuffled = {name: outputs[name] for name in ("priors", "proto", "mask", "conf", "loc")}
    shuffled["proto"] = np.ascontiguousarray(shuffled["proto"].transpose(0, 3, 1, 2))
    anonymous = {f"output_{number}": value for number, value in enumerate(shuffled.values())}
    for number, variant in enumerate((shuffled, anonymous)):
        instances = OnnxSegmenter(save(tmp_path / f"{number}.onnx", variant)).segment([frame()])[0]
        np.testing.assert_array_equal(instances.boxes, reference.boxes)
        assert instances.masks is not None
        assert reference.masks is not None
        difference = instances.masks.probabilities.astype(int) - reference.masks.probabilities
        assert np.abs(difference).max() <= 1  # the other axis order sums in another order


def test_names_settle_what_shapes_leave_open(tmp_path: Path) -> None:
    """Three classes and a background make conf as wide as loc, priors with a batch axis as well."""
    priors = slow_priors(SIZE)
    outputs = heads(3, len(priors)) | {"priors": priors[None]}
    assert outputs["conf"].shape == outputs["loc"].shape == outputs["priors"].shape
    segmenter = OnnxSegmenter(save(tmp_path / "a.onnx", outputs), score_threshold=0.3, max_instances=1000)
    expected = slow_decode(outputs, priors, score=0.3, iou=0.5, cross_class=True)
    np.testing.assert_allclose(
        segmenter.segment([frame()])[0].scores[:5], [entry[0] for entry in expected[:5]], rtol=1e-5
    )
    anonymous = {f"output_{number}": value for number, value in enumerate(outputs.values())}
    with pytest.raises(ModelError, match="no known instance segmentation contract"):
        OnnxSegmenter(save(tmp_path / "b.onnx", anonymous))


def test_logits_are_noticed_and_another_background_index_is_followed(tmp_path: Path) -> None:
    priors = slow_priors(SIZE)
    outputs = heads(4, len(priors)) | {"priors": priors}
    reference = OnnxSegmenter(save(tmp_path / "a.onnx", outputs), score_threshold=0.3).segment([frame()])[0]
    moved = dict(outputs)
    moved["conf"] = np.log(np.roll(outputs["conf"], -1, axis=-1))  # background last, before the softmax
    path = save(tmp_path / "b.onnx", moved)
    path.with_suffix(".toml").write_text(f"[yolact]\nbackground_index = {CLASSES}\n")
    instances = OnnxSegmenter(path, score_threshold=0.3).segment([frame()])[0]
    np.testing.assert_allclose(instances.scores, reference.scores, rtol=1e-4)
    np.testing.assert_array_equal(instances.class_ids, reference.class_ids)


def test_81_channels_are_cocos_names_and_others_are_numbered(tmp_path: Path) -> None:
    priors = slow_priors(SIZE)
    outputs = heads(5, len(priors)) | {"priors": priors}
    assert OnnxSegmenter(save(tmp_path / "a.onnx", outputs)).class_names == ("class 0", "class 1", "class 2")
    conf = np.zeros((1, len(priors), 81), np.float32)
    conf[..., 0] = 1
    segmenter = OnnxSegmenter(save(tmp_path / "b.onnx", outputs | {"conf": conf}))
    assert segmenter.class_names[2] == "car"
    assert len(segmenter.class_names) == 80
    assert len(segmenter.segment([frame()])[0]) == 0


def test_a_wrong_number_of_class_names_is_an_error(tmp_path: Path) -> None:
    priors = slow_priors(SIZE)
    path = save(tmp_path / "a.onnx", heads(6, len(priors)) | {"priors": priors})
    path.with_suffix(".toml").write_text('classes = ["car"]\n')
    with pytest.raises(ModelError, match="expected 3 class names, one per score channel, found 1"):
        OnnxSegmenter(path)


def test_unknown_anchors_are_an_error_and_the_manifest_cures_it(tmp_path: Path) -> None:
    count = 2 * (8 * 8 + 4 * 4)
    path = save(tmp_path / "a.onnx", heads(7, count))
    with pytest.raises(ModelError, match=rf"loc has {count} rows, but the known anchors give 258 or 774"):
        OnnxSegmenter(path)
    path.with_suffix(".toml").write_text(
        "[yolact]\naspect_ratios = [1.0, 2.0]\nscales_px = [[8], [16]]\nstrides = [8, 16]\nsquare_anchors = false\n"
    )
    assert len(OnnxSegmenter(path, score_threshold=0.3).segment([frame()])[0]) > 0


def test_boxes_stretch_back_to_the_image(tmp_path: Path) -> None:
    priors = np.array([[0.5, 0.5, 0.5, 0.25]], np.float32)
    outputs = {
        "loc": np.zeros((1, 1, 4), np.float32),
        "conf": np.array([[[0.1, 0.8, 0.05, 0.05]]], np.float32),
        "coef": np.ones((1, 1, PROTOTYPES), np.float32),
        "proto": np.ones((1, 16, 16, PROTOTYPES), np.float32),
        "priors": priors,
    }
    instances = OnnxSegmenter(save(tmp_path / "a.onnx", outputs)).segment([frame((200, 100))])[0]
    np.testing.assert_allclose(instances.boxes, [[50, 37.5, 150, 62.5]], rtol=1e-6)
    assert instances.masks is not None
    assert instances.masks.step_px == (200 / 16, 100 / 16)


def test_the_official_normalisation_reaches_the_network(tmp_path: Path) -> None:
    """A grey-blue picture through ImageNet statistics, RGB: checked on the bare input of the network."""
    priors = slow_priors(SIZE)
    segmenter = OnnxSegmenter(save(tmp_path / "a.onnx", heads(8, len(priors)) | {"priors": priors}))
    image = np.empty((SIZE, SIZE, 3), np.uint8)
    image[:] = (200, 100, 50)  # BGR
    frame = Frame(index=0, time_s=0.0, arrived_s=0.0, source="t", size=(SIZE, SIZE), image=image)
    (batch,) = segmenter.pack([frame]).values()
    assert batch.shape == (1, 3, SIZE, SIZE)
    expected = [(50 - 123.68) / 58.40, (100 - 116.78) / 57.12, (200 - 103.94) / 57.38]
    np.testing.assert_allclose(batch[0, :, 5, 5], expected, rtol=1e-5)


@pytest.mark.parametrize("cross_class", ["true", "false"])
def test_nothing_seen_is_zero_rows(tmp_path: Path, cross_class: str) -> None:
    priors = slow_priors(SIZE)
    outputs = heads(9, len(priors)) | {"priors": priors}
    outputs["conf"][:] = (1, 0, 0, 0)
    path = save(tmp_path / "a.onnx", outputs)
    path.with_suffix(".toml").write_text(f"[yolact]\ncross_class_nms = {cross_class}\n")
    instances = OnnxSegmenter(path).segment([frame()])[0]
    assert instances.boxes.shape == (0, 4)
    assert instances.masks is not None
    assert instances.masks.probabilities.shape == (0, 16, 16)


def test_metadata_of_our_own_raw_exports_is_read(tmp_path: Path) -> None:
    """The Darknet-53 configuration divides by 255; class names travel in the file."""
    priors = slow_priors(SIZE)
    path = constant_model(
        tmp_path / "a.onnx",
        heads(10, len(priors)) | {"priors": priors},
        input_shape=(1, 3, SIZE, SIZE),
        metadata={
            "masktrail.contract": "yolact",
            "masktrail.classes": '["car", "van", "bus"]',
            "masktrail.input": '{"mean": [0, 0, 0], "std": [255, 255, 255]}',
        },
    )
    segmenter = OnnxSegmenter(path)
    assert segmenter.class_names == ("car", "van", "bus")
    image = np.full((SIZE, SIZE, 3), 51, np.uint8)
    frame = Frame(index=0, time_s=0.0, arrived_s=0.0, source="t", size=(SIZE, SIZE), image=image)
    (batch,) = segmenter.pack([frame]).values()
    np.testing.assert_allclose(batch, 0.2, rtol=1e-6)
