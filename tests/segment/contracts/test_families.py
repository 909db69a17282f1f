"""Families decoded to identity: exact outputs for a rendered clip give its instances and its identities."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from tests.segment.contracts.families import CASES, Case
from tests.segment.family_graphs import CLASSES, frames, scores
from tracker.associate.camera import CameraMotion
from tracker.associate.tracker import Tracker
from tracker.segment.session import OnnxSegmenter

if TYPE_CHECKING:
    from pathlib import Path

    from tracker.types import Instances


@pytest.fixture(autouse=True)
def _without_trials(monkeypatch: pytest.MonkeyPatch) -> None:
    """A trial in a process of its own takes a second."""
    monkeypatch.setenv("MASKTRAIL_TRIAL", "off")


def agreement(found: Instances, case: Case, number: int, scale: int) -> tuple[float, float]:
    """Least mask IoU and largest box error in network pixels against the truth, by class and overlap."""
    clip = case.clip()
    assert found.masks is not None
    ious, errors = [], []
    for row, class_id in enumerate(CLASSES):
        mask = clip.masks[number, row].repeat(scale, axis=0).repeat(scale, axis=1)
        best = (0.0, 1e9)
        for other in np.flatnonzero(found.class_ids == class_id):
            lifted = found.masks.full(other, found.boxes[other])
            iou = (lifted & mask).sum() / (lifted | mask).sum()
            error = np.abs(found.boxes[other] / scale - clip.boxes[number, row]).max()
            best = max(best, (float(iou), float(error)))
        ious.append(best[0])
        errors.append(best[1])
    return min(ious), max(errors)


LARGE = {"rtmdet-ins", "sparseinst"}
EACH = [pytest.param(name, marks=pytest.mark.slow if name in LARGE else ()) for name in CASES]


@pytest.mark.parametrize("name", EACH)
def test_outputs_for_the_truth_give_the_truth(tmp_path: Path, name: str) -> None:
    case, scale = CASES[name], 2
    segmenter = OnnxSegmenter(case.write(tmp_path / "m.onnx"), device="cpu")
    assert segmenter.contract == case.contract
    assert segmenter.decoder.family
    assert segmenter.keep_aspect is not case.stretch
    tracker, camera = Tracker(class_count=len(segmenter.class_names)), CameraMotion()
    identities: list[set[int]] = [set() for _ in CLASSES]
    clip = case.clip()
    for frame in frames(case.size, scale):
        (found,) = segmenter.segment([frame])
        assert len(found) == len(CLASSES)
        assert (np.diff(found.scores) <= 0).all()
        np.testing.assert_allclose(np.sort(found.scores), np.sort(scores(clip)[0]), atol=0.08)
        iou, error_px = agreement(found, case, frame.index, scale)
        assert iou >= case.least_iou
        assert error_px <= case.most_px
        tracks = tracker.update(found, frame.time_s, warp=camera.update(frame, found))
        for identity, row in zip(tracks.ids, tracks.detection_rows, strict=True):
            if row >= 0:
                identities[nearest(found.boxes[row] / scale, clip.boxes[frame.index])].add(int(identity))
    assert [len(one) for one in identities] == [1, 1, 1, 1]
    assert len(set.union(*identities)) == 4


def nearest(box: np.ndarray, boxes: np.ndarray) -> int:
    return int(np.abs(boxes - box).sum(axis=1).argmin())


@pytest.mark.parametrize("name", EACH)
@pytest.mark.parametrize("change", ["channels", "mean", "order"])
def test_a_wrong_input_is_noticed_and_the_order_of_outputs_is_not(tmp_path: Path, name: str, change: str) -> None:
    """The graph reads the frame's number where its family has red: the test of the tests above."""
    case = CASES[name]
    changes: dict[str, Any] = {}
    if change == "channels":
        changes["red"] = 2 - case.red
        changes["mean"], changes["std"] = case.mean[::-1], case.std[::-1]
    elif change == "mean":
        changes["mean"] = tuple(value + 40 for value in case.mean)
    else:
        changes["outputs"] = dict(reversed(case.outputs(case.clip()).items()))
    segmenter = OnnxSegmenter(case.write(tmp_path / "m.onnx", **changes), device="cpu")
    ious = [agreement(segmenter.segment([frame])[0], case, frame.index, 1)[0] for frame in frames(case.size, count=3)]
    if name == "solov2-paddle":
        return  # its masks have the picture's size, which only scale 2 has
    assert (min(ious) >= case.least_iou) is (change == "order")


def test_masks_one_pixel_off_are_noticed(tmp_path: Path) -> None:
    """Least IoU in the tests above is higher than what a shift of a pixel leaves."""
    case = CASES["torchvision"]
    outputs = case.outputs(case.clip())
    outputs["masks"] = np.roll(outputs["masks"], 1, axis=-1)
    segmenter = OnnxSegmenter(case.write(tmp_path / "m.onnx", outputs=outputs), device="cpu")
    ious = [agreement(segmenter.segment([frame])[0], case, frame.index, 1)[0] for frame in frames(case.size, count=4)]
    assert max(ious) < 0.95
