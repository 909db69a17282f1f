"""The zoo's models on real pictures: usable instances, and those that a person would mark."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest

from tracker import run
from tracker.inference.device import survey
from tracker.segment.check import check_model
from tracker.segment.session import OnnxSegmenter
from tracker.segment.zoo import list_models
from tracker.types import Frame, Letterbox

if TYPE_CHECKING:
    from pathlib import Path

FILES = [file for entry in list_models() for file in entry.files]
needs_model = pytest.mark.skipif(not FILES, reason="no model in this checkout")


def clip_frame(path: Path, number: int) -> Frame:
    video = cv2.VideoCapture(str(path))
    video.set(cv2.CAP_PROP_POS_FRAMES, number)
    found, image = video.read()
    video.release()
    assert found
    size = (image.shape[1], image.shape[0])
    return Frame(index=number, time_s=number / 30, arrived_s=0.0, source=path.name, size=size, image=image)


@pytest.mark.quick("yolact-nano-384x640.onnx")
@needs_model
@pytest.mark.parametrize("file", FILES, ids=[file.name for file in FILES])
def test_every_file_of_the_zoo_passes_its_check(file: Path) -> None:
    report = check_model(file)
    assert report.problems == ()
    assert report.licence
    assert report.contract == ("solo" if file.name.startswith("solov2") else "end2end-2")
    assert report.open_axes in {(), ("batch",)}


@needs_model
@pytest.mark.data
def test_vehicles_on_the_highway_have_silhouettes(data_root: Path) -> None:
    frame = clip_frame(data_root / "clips" / "traffic.mp4", 100)
    segmenter = OnnxSegmenter(score_threshold=0.5, source_size=frame.size)
    instances = segmenter.segment([frame])[0]
    names = [segmenter.class_names[class_id] for class_id in instances.class_ids]
    vehicles = [name in {"car", "truck", "bus"} for name in names]
    assert 5 <= sum(vehicles) <= 8  # a person counts six in full sight and one at the upper edge
    assert all(vehicles)
    assert instances.masks is not None
    width, height = (instances.boxes[:, 2:] - instances.boxes[:, :2]).T
    fill = instances.masks.areas_px() / (width * height)
    # A mask ends at whole cells of its grid, up to half a cell beyond the box: a tenth of a vehicle of 20 px.
    assert ((fill > 0.4) & (fill < 1.15)).all(), fill


@needs_model
@pytest.mark.data
@pytest.mark.parametrize(
    ("clip", "names", "low", "high"),
    [("traffic.mp4", {"car", "bus", "truck"}, 8, 14), ("corridor.mp4", {"person"}, 1, 2)],
)
def test_a_second_family_gives_identities_on_real_clips(
    data_root: Path, clip: str, names: set[str], low: int, high: int
) -> None:
    """In 6 and 18 seconds; yolact-nano finds 10 and 1."""
    [outcome] = run(data_root / "clips" / clip, model="solov2-nano", stride=3, limit=60)
    assert set(outcome.identities) <= names
    assert low <= outcome.identities.total() <= high


@needs_model
@pytest.mark.data
def test_shoppers_are_seen_in_either_shape_and_either_way(data_root: Path) -> None:
    """1920 x 1080 resized here, or by the source beforehand: the same people."""
    frame = clip_frame(data_root / "clips" / "retail.mp4", 350)
    segmenter = OnnxSegmenter(score_threshold=0.5, classes=["person"], variant="384x640")
    letterbox = Letterbox.fit(frame.size, segmenter.network_size)
    network_image = np.full((384, 640, 3), 114, np.uint8)
    network_image[:360] = cv2.resize(frame.image, (640, 360), interpolation=cv2.INTER_AREA)
    prepared = Frame(
        index=0,
        time_s=0.0,
        arrived_s=0.0,
        source="retail",
        size=frame.size,
        network_image=network_image,
        letterbox=letterbox,
    )
    ours, theirs = segmenter.segment([frame, prepared])
    assert len(ours) >= 6
    np.testing.assert_array_equal(ours.boxes, theirs.boxes)
    # At 416 x 234 pixels the same people are less certain: scores count the mask's certainty too.
    square = OnnxSegmenter(score_threshold=0.35, classes=["person"], variant="416x416").segment([frame])[0]
    assert len(square) >= 5
    assert (square.boxes[:, 2] <= 1920).all()
    assert (square.boxes[:, 3] <= 1080).all()


@needs_model
@pytest.mark.gpu
@pytest.mark.skipif(survey().obstacle("cuda") is not None, reason="no CUDA here")
@pytest.mark.parametrize("count", [1, 4])
def test_the_gpu_sees_what_the_cpu_sees(count: int) -> None:
    generator = np.random.default_rng(0)
    images = [np.repeat(generator.integers(0, 256, (45, 80, 3), np.uint8), 8, 0).repeat(8, 1) for _ in range(count)]
    frames = [
        Frame(index=number, time_s=0.0, arrived_s=0.0, source="noise", size=(640, 360), image=image)
        for number, image in enumerate(images)
    ]
    gpu = OnnxSegmenter(device="cuda", score_threshold=0.02).segment(frames)
    cpu = OnnxSegmenter(device="cpu", score_threshold=0.02).segment(frames)
    for one, other in zip(gpu, cpu, strict=True):
        assert abs(len(one) - len(other)) <= 2
        shared = min(len(one), len(other), 5)
        np.testing.assert_allclose(one.scores[:shared], other.scores[:shared], atol=0.02)
