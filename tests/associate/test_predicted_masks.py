"""Masks of coasting tracks: where the object went, what others own, what is left out, memory and state."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from tracker.associate.predicted_masks import MaskPredictor
from tracker.engine.predicted_masks import PredictedMaskStage
from tracker.engine.snapshot import Kept
from tracker.masks.prototypes import Prototypes
from tracker.render.annotate import Annotator
from tracker.sinks.lines import CsvSink, JsonLinesSink
from tracker.types import Frame, Instances, PredictedMasks, TrackedFrame, Tracks

if TYPE_CHECKING:
    from pathlib import Path

STEP_PX, SIZE = 4, (96, 64)
SPAN = (16, 32)  # width and height of an object
COEFFICIENTS = np.array([8.0, -4.0], np.float32)  # sure inside the object's prototype, sure outside


def box(x: float, y: float) -> list[float]:
    return [x, y, x + SPAN[0], y + SPAN[1]]


def prototypes(*corners: tuple[int, int]) -> Prototypes:
    """One map that is 1 on every object, and a constant one."""
    values = np.zeros((2, SIZE[1] // STEP_PX, SIZE[0] // STEP_PX), np.float32)
    values[1] = 1
    for x, y in corners:
        values[0, y // STEP_PX : (y + SPAN[1]) // STEP_PX, x // STEP_PX : (x + SPAN[0]) // STEP_PX] = 1
    return Prototypes(values=values, step_px=(STEP_PX, STEP_PX), image_size=SIZE)


def instances(found: Prototypes, *corners: tuple[int, int]) -> Instances:
    """What was detected of the objects."""
    boxes = np.array([box(*corner) for corner in corners], np.float32).reshape(-1, 4)
    coefficients = np.tile(COEFFICIENTS, (len(boxes), 1))
    return Instances(
        boxes=boxes,
        scores=np.ones(len(boxes), np.float32),
        class_ids=np.zeros(len(boxes), np.int64),
        masks=found.masks(coefficients, boxes),
        coefficients=coefficients,
        prototypes=found,
    )


def tracks(rows: dict[int, tuple[int, tuple[float, float]]], ended: tuple[int, ...] = ()) -> Tracks:
    """Identities with the instance that each took and the corner of its box."""
    count = len(rows)
    return Tracks(
        ids=np.array(list(rows), np.int64),
        detection_rows=np.array([row for row, _ in rows.values()], np.int64),
        boxes=np.array([box(*corner) for _, corner in rows.values()], np.float32).reshape(-1, 4),
        velocities=np.zeros((count, 2), np.float32),
        class_ids=np.zeros(count, np.int64),
        scores=np.ones(count, np.float32),
        ages_s=np.ones(count, np.float32),
        ended_ids=np.array(ended, np.int64),
    )


def missed(predictor: MaskPredictor, *, at: tuple[int, int], expected_at: tuple[float, float]) -> PredictedMasks | None:
    """One object is seen, then missed while it is really ``at`` a place."""
    predictor.update(instances(prototypes((8, 16)), (8, 16)), tracks({1: (0, (8, 16))}))
    return predictor.update(instances(prototypes(at)), tracks({1: (-1, expected_at)}))


def test_the_mask_is_where_the_object_is_now() -> None:
    found = missed(MaskPredictor(), at=(24, 16), expected_at=(22, 17))
    assert found is not None
    assert found.rows.tolist() == [0]
    silhouette = found.masks.grid(0) >= 128
    wanted = np.zeros_like(silhouette)
    wanted[16 // STEP_PX : 48 // STEP_PX, 24 // STEP_PX : 40 // STEP_PX] = True
    np.testing.assert_array_equal(silhouette, wanted & (found.masks.grid(0) > 0))
    assert silhouette.sum() >= 0.8 * wanted.sum()


def test_a_place_without_the_object_gives_no_mask() -> None:
    assert missed(MaskPredictor(), at=(72, 16), expected_at=(24, 16)) is None


@pytest.mark.parametrize(("shift", "kept"), [(16, True), (12, True), (4, False), (0, False)])
def test_pixels_of_visible_tracks_are_theirs_and_a_rest_below_30_percent_is_left_out(shift: int, kept: bool) -> None:
    """Another object stands before it; of the hidden one ``shift`` of 16 columns show."""
    predictor = MaskPredictor()
    predictor.update(
        instances(prototypes((8, 16), (60, 16)), (8, 16), (60, 16)), tracks({1: (0, (8, 16)), 2: (1, (60, 16))})
    )
    now = instances(prototypes((24, 16), (24 + shift, 16)), (24 + shift, 16))
    found = predictor.update(now, tracks({1: (-1, (24, 16)), 2: (0, (24 + shift, 16))}))
    assert (found is not None) == kept
    if found is not None:
        assert now.masks is not None
        assert not ((found.masks.grid(0) >= 128) & (now.masks.grid(0) >= 128)).any()


def test_nothing_is_predicted_without_prototypes_or_a_first_sight() -> None:
    predictor = MaskPredictor()
    bare = Instances.empty()
    assert predictor.update(bare, tracks({1: (-1, (8, 16))})) is None
    assert predictor.update(instances(prototypes((8, 16))), tracks({2: (-1, (8, 16))})) is None
    assert missed(predictor, at=(24, 16), expected_at=(24, 16)) is not None
    assert predictor.update(bare, tracks({1: (-1, (24, 16))})) is None


def test_an_identity_that_was_not_reported_for_a_while_has_its_coefficients_still() -> None:
    predictor = MaskPredictor()
    predictor.update(instances(prototypes((8, 16)), (8, 16)), tracks({1: (0, (8, 16))}))
    for _ in range(3):
        assert predictor.update(instances(prototypes()), tracks({})) is None
    assert predictor.update(instances(prototypes((24, 16))), tracks({1: (-1, (24, 16))})) is not None


def test_memory_ends_with_the_identities() -> None:
    predictor = MaskPredictor()
    for identity in range(1, 50):
        predictor.update(instances(prototypes((8, 16)), (8, 16)), tracks({identity: (0, (8, 16))}))
        predictor.update(instances(prototypes()), tracks({identity: (-1, (8, 16))}))
        assert len(predictor.state()["ids"]) == 1
        predictor.update(instances(prototypes()), tracks({}, ended=(identity,)))
        assert len(predictor.state()["ids"]) == 0


@pytest.mark.parametrize("unseen", [0, 1, 3])
def test_a_restored_state_predicts_the_same(unseen: int) -> None:
    one = PredictedMaskStage()
    frames = [tracked(prototypes((8, 16)), {1: (0, (8, 16))}, (8, 16))]
    frames += [tracked(prototypes((12, 16)), {1: (-1, (12, 16))})] * unseen
    for frame in frames:
        one.process(frame)
    other = PredictedMaskStage()
    other.restore(Kept(state=one.state(), elapsed_s=None))
    last = tracked(prototypes((24, 16)), {1: (-1, (24, 16))})
    found, again = one.process(last).predicted_masks, other.process(last).predicted_masks
    assert found is not None
    assert again is not None
    np.testing.assert_array_equal(found.masks.grid(0), again.masks.grid(0))


def test_coefficients_of_another_network_in_a_state_are_not_used() -> None:
    predictor = MaskPredictor()
    state = {"ids": np.array([1]), "coefficients": np.zeros((1, 9), np.float32), "fills": np.array([1.0])}
    predictor.restore(state)
    assert predictor.update(instances(prototypes((24, 16))), tracks({1: (-1, (24, 16))})) is None


def tracked(
    found: Prototypes, rows: dict[int, tuple[int, tuple[float, float]]], *detected: tuple[int, int], index: int = 0
) -> TrackedFrame:
    image = np.full((SIZE[1], SIZE[0], 3), 60, np.uint8)
    frame = Frame(index=index, time_s=index / 10, arrived_s=0.0, source="made", size=SIZE, image=image)
    return TrackedFrame(
        frame=frame, instances=instances(found, *detected), tracks=tracks(rows), class_names=("person",)
    )


def test_records_say_that_the_mask_is_predicted(tmp_path: Path) -> None:
    stage = PredictedMaskStage()
    frames = [
        stage.process(tracked(prototypes((8, 16)), {1: (0, (8, 16))}, (8, 16))),
        stage.process(tracked(prototypes((24, 16)), {1: (-1, (24, 16))}, index=1)),
        stage.process(tracked(prototypes(), {1: (-1, (24, 16))}, index=2)),
    ]
    for name, sink in (("a.jsonl", JsonLinesSink), ("none.jsonl", JsonLinesSink), ("a.csv", CsvSink)):
        with sink(tmp_path / name, masks="none" if name.startswith("none") else "rle") as written:
            for frame in frames:
                written.write(frame)
    seen, predicted, empty = [json.loads(line) for line in (tmp_path / "a.jsonl").read_text().splitlines()]
    assert seen["mask"] is not None
    assert "mask_from" not in seen
    assert (predicted["mask_from"], predicted["coasting"], predicted["detection"]) == ("predicted", True, None)
    assert predicted["area_px"] is None  # not seen
    assert predicted["mask"]["size"] == [SIZE[1], SIZE[0]]
    assert empty["mask"] is None
    assert "mask_from" not in empty
    assert "mask_from" not in (tmp_path / "none.jsonl").read_text()
    assert all(not row.endswith('"') for row in (tmp_path / "a.csv").read_text().splitlines()[2:])


def test_the_picture_shows_it_fainter_than_what_is_seen() -> None:
    stage = PredictedMaskStage()
    seen = stage.process(tracked(prototypes((8, 16)), {1: (0, (8, 16))}, (8, 16)))
    unseen = stage.process(tracked(prototypes((12, 16)), {1: (-1, (12, 16))}, index=1))
    assert unseen.predicted_masks is not None
    middle, drawn = (slice(28, 36), slice(18, 22)), []
    for frame in (unseen, replace(unseen, predicted_masks=None)):
        annotator = Annotator(labels=False, trail_s=0)
        strong = np.abs(annotator.draw(seen)[middle].astype(int) - 60).mean()
        drawn.append(np.abs(annotator.draw(frame)[middle].astype(int) - 60).mean())
    assert strong > drawn[0] > drawn[1] == 0
