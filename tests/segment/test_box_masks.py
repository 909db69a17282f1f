"""Masks per box end to end, from a contract of the test's own to pictures, records and the second pass."""

from __future__ import annotations

import dataclasses
import json
from typing import TYPE_CHECKING

import numpy as np
import pytest

from tests.segment.models import constant_model
from tracker import plugins
from tracker.associate.camera import CameraMotion
from tracker.associate.tracker import Tracker
from tracker.formats.run_length import decode_rle
from tracker.masks.box_masks import BoxMasks
from tracker.plugins import open_sink
from tracker.refine.filled import with_filled
from tracker.refine.refine import refine
from tracker.refine.spool import Spool
from tracker.segment.contracts.contract import Contract
from tracker.segment.contracts.decoder import Decoded, Decoder, default_class_names
from tracker.segment.manifest import InputSpec
from tracker.segment.session import OnnxSegmenter
from tracker.types import Frame, TrackedFrame

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path
    from typing import Any

    from numpy.typing import NDArray

    from tracker.segment.contracts.decoder import Limits, ModelInfo
    from tracker.types import Instances

SIZE = (320, 180)
FRAMES = 12
BOX = (40.0, 30.0, 120.0, 100.0)


class BoxesDecoder(Decoder):
    """Boxes ``(n, 4)`` in input pixels, scores ``(n)``, masks ``(n, 1, 28, 28)`` of probabilities: Mask R-CNN's."""

    contract = "test-boxes"
    input_defaults = InputSpec(channels="BGR", resize="stretch", mean=(0.0,) * 3, std=(1.0,) * 3)

    def __init__(self, info: ModelInfo, names: Mapping[str, str]) -> None:
        self.output_names = dict(names)
        self.class_names = default_class_names(info, 1)

    def decode(self, outputs: Mapping[str, NDArray[Any]], row: int, limits: Limits) -> Decoded:
        assert row == 0
        rows = (outputs[self.output_names["scores"]] >= limits.score_threshold).nonzero()[0]
        return Decoded(
            boxes=outputs[self.output_names["boxes"]][rows],
            scores=outputs[self.output_names["scores"]][rows],
            class_ids=np.zeros(len(rows), np.int64),
            masks=np.rint(255 * outputs[self.output_names["masks"]][rows, 0]).astype(np.uint8),
            per_box=True,
        )


def match(info: ModelInfo) -> dict[str, str] | None:
    by_rank = {len(output.shape): output.name for output in info.outputs}
    roles = {2: "boxes", 1: "scores", 4: "masks"}
    return {roles[rank]: name for rank, name in by_rank.items()} if by_rank.keys() == roles.keys() else None


CONTRACT = Contract(name="test-boxes", form="boxes, scores, masks", match=match, decoder=BoxesDecoder)


@pytest.fixture
def segmenter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> OnnxSegmenter:
    entry = plugins.Entry(name="test-boxes", target=f"{__name__}:CONTRACT")
    monkeypatch.setattr(plugins.CONTRACTS, "_built_in", [*plugins.CONTRACTS._built_in, entry])
    y, x = np.mgrid[:28, :28] - 13.5
    disk = (np.hypot(x, y) < 13).astype(np.float32)
    outputs = {
        "a": np.array([BOX, (200, 60, 260, 150), (0, 0, 5, 5)], np.float32),
        "b": np.array([0.9, 0.8, 0.05], np.float32),
        "c": np.stack([disk, np.ones((28, 28), np.float32), disk])[:, None],
    }
    return OnnxSegmenter(constant_model(tmp_path / "m.onnx", outputs, input_shape=(1, 3, 180, 320)))


def frames() -> Iterator[Frame]:
    rng = np.random.default_rng(0)
    for index in range(FRAMES):
        image = rng.integers(0, 255, (SIZE[1], SIZE[0], 3)).astype(np.uint8)
        yield Frame(index=index, time_s=index / 10, arrived_s=0.0, source="t", size=SIZE, image=image)


def test_a_contract_may_give_masks_per_box(segmenter: OnnxSegmenter) -> None:
    (found,) = segmenter.segment([next(frames())])
    assert segmenter.contract == "test-boxes"
    assert isinstance(found.masks, BoxMasks)
    np.testing.assert_array_equal(found.boxes[0], BOX)
    areas = found.masks.areas_px()
    assert areas[0] == pytest.approx(np.pi / 4 * 80 * 70 * (26 / 28) ** 2, rel=0.02)
    assert areas[1] == 60 * 90 - 4  # the four corners fall below one half


def test_a_picture_twice_as_large_has_boxes_twice_as_large(segmenter: OnnxSegmenter) -> None:
    image = np.zeros((360, 640, 3), np.uint8)
    (found,) = segmenter.segment([Frame(index=0, time_s=0.0, arrived_s=0.0, source="t", size=(640, 360), image=image)])
    assert isinstance(found.masks, BoxMasks)
    np.testing.assert_array_equal(found.boxes[0], 2 * np.array(BOX))
    np.testing.assert_array_equal(found.masks.boxes[0], 2 * np.array(BOX))


def tracked(segmenter: OnnxSegmenter, missed: int | None = None) -> Iterator[TrackedFrame]:
    """The stream, associated; in frame ``missed`` the better instance is not seen."""
    tracker, camera_motion = Tracker(class_count=1), CameraMotion()
    for frame in frames():
        (found,) = segmenter.segment([frame])
        found = found.take(np.array([1])) if frame.index == missed else found
        tracks = tracker.update(found, frame.time_s, warp=camera_motion.update(frame, found))
        yield TrackedFrame(frame=frame, instances=found, tracks=tracks, class_names=segmenter.class_names)


def test_they_are_written_drawn_and_spooled(tmp_path: Path, segmenter: OnnxSegmenter) -> None:
    names = ("r.jsonl", "r.mots.txt", "r.mp4")
    spool, sinks = Spool(), [open_sink(tmp_path / name, class_names=segmenter.class_names) for name in names]
    for frame in tracked(segmenter):
        for sink in sinks:
            sink.write(frame)
        spool.write(frame)
    for sink in sinks:
        sink.close()
    last = [json.loads(line) for line in (tmp_path / "r.jsonl").read_text().splitlines()][-2:]
    (expected,) = segmenter.segment([next(frames())])
    assert isinstance(expected.masks, BoxMasks)
    for row, line in enumerate(sorted(last, key=lambda line: -line["score"])):
        np.testing.assert_array_equal(decode_rle(line["mask"]), expected.masks.full(row, expected.boxes[row]))
    _, again = spool.read(5)
    assert isinstance(again.masks, BoxMasks)
    np.testing.assert_array_equal(again.masks.probabilities, expected.masks.probabilities)
    np.testing.assert_array_equal(again.masks.boxes, expected.masks.boxes)
    spool.close()


def test_what_was_not_seen_is_filled_in_as_a_mask_of_its_box(segmenter: OnnxSegmenter) -> None:
    spool, stream = Spool(), list(tracked(segmenter, missed=8))
    for frame in stream:
        spool.write(frame)
    recording, tracklets, _ = spool.recording()
    spool.close()
    refined = refine(recording, tracklets)

    def find(flat: int) -> tuple[Instances, int]:
        number = int(np.searchsorted(recording.starts, flat, side="right")) - 1
        return stream[number].instances, flat - int(recording.starts[number])

    rows = refined.rows(8)
    tracks = stream[7].tracks
    assert tracks is not None
    tracks = dataclasses.replace(
        tracks, boxes=refined.boxes[rows].astype(np.float32), detection_rows=refined.detections[rows]
    )
    seen = tracks.detection_rows >= 0
    assert seen.tolist() == [False, True]
    tracks = dataclasses.replace(tracks, detection_rows=np.where(seen, 0, -1))
    instances, filled = with_filled(stream[8].instances, tracks, refined, 8, find)
    assert (len(instances), filled.detection_rows.tolist()) == (2, [1, 0])
    assert isinstance(instances.masks, BoxMasks)
    before = stream[7].instances.masks
    assert before is not None
    expected, found = before.full(0, np.array(BOX)), instances.masks.full(1, instances.boxes[1])
    assert (found & expected).sum() / (found | expected).sum() > 0.9
