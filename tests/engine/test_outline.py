"""Outlines of tracks: in the place of masks, gated, moved, predicted, carried between detections; identities stay."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from demos.scenes.road import road
from demos.scenes.writers import write_video
from tests.segment.promptables import ellipse, write_folder
from tracker import ConfigError, Tracker
from tracker.engine.outline import BUDGET_S, OutlineStage, automatic_every
from tracker.engine.run import run as run_streams
from tracker.engine.snapshot import Kept
from tracker.engine.steady import SteadyTracker
from tracker.formats.instances import open_saved, pack_frame
from tracker.masks.grid_masks import GridMasks
from tracker.render.privacy import presence_of
from tracker.render.privacy_paint import fill
from tracker.segment.output_settings import PromptableSettings
from tracker.segment.promptable.encoder import Embedded, Placement
from tracker.settings.stream import RunSettings
from tracker.settings.yaml_file import parse_service_settings
from tracker.types import Frame, Instances, TrackedFrame, Tracks

SIZE, STEP = (160, 96), 2.0
FPS = 20.0
NAMES = ("person", "car")


class Ellipses:
    """Outlines every box by the ellipse in it; counts pictures and boxes.

    Args:
        expected: IoU of each box that is expected, by its left edge; else 0.95.
    """

    device = "cpu"

    def __init__(self, encode_s=0.0, expected=None, **levels):
        self.settings = PromptableSettings(**levels)
        self.encode_s, self.expected = encode_s, expected or {}
        self.pictures, self.boxes = 0, 0

    def place(self, size):
        return Placement(image_size=size, scale=(1.0, 1.0), step_px=(STEP, STEP), shape=(size[1] // 2, size[0] // 2))

    def embed(self, picture):
        self.pictures += 1
        return Embedded(features={}, placement=self.place(picture.shape[1::-1]))

    def outlines(self, embedded, boxes):
        self.boxes += len(boxes)
        place = embedded.placement
        grids = [ellipse(box / STEP, place.shape[::-1]).astype(np.uint8) * 255 for box in boxes]
        masks = GridMasks(probabilities=np.array(grids), step_px=place.step_px, image_size=place.image_size)
        return masks, np.array([self.expected.get(int(box[0]), 0.95) for box in boxes], np.float32)


def frame_of(number, boxes, *, detected=True, rows=None, ids=None, masked=True, track_boxes=None):
    """A tracked frame whose tracks took the boxes in turn; masks are the whole boxes."""
    boxes = np.array(boxes, np.float32).reshape(-1, 4)
    grids = np.zeros((len(boxes), 24, 40), np.uint8)
    for grid, (x0, y0, x1, y1) in zip(grids, boxes / 4, strict=True):
        grid[int(y0) : int(np.ceil(y1)), int(x0) : int(np.ceil(x1))] = 255
    masks = GridMasks(probabilities=grids, step_px=(4.0, 4.0), image_size=SIZE)
    ones = np.ones(len(boxes), np.float32)
    instances = Instances(
        boxes=boxes, scores=ones, class_ids=np.zeros(len(boxes), np.int64), masks=masks if masked else None
    )
    rows = np.arange(len(boxes)) if rows is None else np.array(rows)
    track_boxes = boxes if track_boxes is None else np.array(track_boxes, np.float32)
    count = len(rows)
    tracks = Tracks(
        ids=np.arange(1, count + 1) if ids is None else np.array(ids),
        detection_rows=rows,
        boxes=track_boxes,
        velocities=np.zeros((count, 2), np.float32),
        class_ids=np.zeros(count, np.int64),
        scores=np.ones(count, np.float32),
        ages_s=np.ones(count, np.float32),
    )
    image = np.zeros((SIZE[1], SIZE[0], 3), np.uint8)
    frame = Frame(index=number, time_s=number / FPS, arrived_s=0.0, source="s", size=SIZE, image=image)
    return TrackedFrame(frame=frame, instances=instances, tracks=tracks, class_names=NAMES, detected=detected)


def silhouette(tracked, row):
    return tracked.instances.masks.full(row, np.array([0, 0, *SIZE]))


def overlap(one, other):
    return (one & other).sum() / max((one | other).sum(), 1)


LEFT, RIGHT = [20.0, 20, 60, 80], [90.0, 20, 130, 80]


def test_outlines_take_the_place_of_masks_and_nothing_else_changes():
    before = frame_of(0, [LEFT, RIGHT])
    after = OutlineStage(Ellipses()).process(before)
    for row, box in enumerate((LEFT, RIGHT)):
        assert overlap(silhouette(after, row), ellipse(box, SIZE)) > 0.95
    assert after.outlined.tolist() == [True, True]
    assert after.tracks is before.tracks
    for name in ("boxes", "scores", "class_ids"):
        assert getattr(after.instances, name) is getattr(before.instances, name)
    assert after.segmented is before.instances  # what is saved, and what privacy covers as well


def test_privacy_covers_the_outline_and_the_mask_of_before():
    """An outline that reaches out of the detector's mask is covered, and so is what it leaves out of it."""
    before = frame_of(0, [LEFT])
    narrow = before.instances.masks.probabilities.copy()
    narrow[:, :, 12:] = 0  # the left 28 of 40 pixels
    masks = replace(before.instances.masks, probabilities=narrow)
    before = replace(before, instances=replace(before.instances, masks=masks))
    after = OutlineStage(Ellipses()).process(before)
    assert after.outlined.tolist() == [True]
    bare = {}
    for name, tracked in {"before": before, "after": after}.items():
        picture = np.zeros((SIZE[1], SIZE[0], 3), np.uint8)
        fill(picture, presence_of(tracked).shapes, SIZE)
        covered = picture.any(axis=2)
        bare[name] = (silhouette(before, 0) & ~covered).sum(), (ellipse(LEFT, SIZE) & ~covered).sum()
    assert bare["after"] == (0, 0)
    assert bare["before"][1] > 0


@pytest.mark.parametrize(
    ("levels", "expected"),
    [({"expected_iou": 0.96}, {}), ({"outline_iou": 0.99}, {}), ({"detector_iou": 0.85}, {}), ({}, {20: 0.8})],
    ids=["expected IoU", "own box", "detector's mask", "one of them"],
)
def test_what_is_not_believed_keeps_the_detectors_mask(levels, expected):
    """The ellipse has pi / 4 of the detector's box, and cells end beside the box's sides."""
    before = frame_of(0, np.array([LEFT, RIGHT]) + (0.8 if "outline_iou" in levels else 0))
    after = OutlineStage(Ellipses(expected=expected, **levels)).process(before)
    if levels:
        assert after is before
    else:
        assert after.outlined.tolist() == [False, True]
        assert overlap(silhouette(after, 0), silhouette(before, 0)) > 0.97


def test_detections_without_masks_keep_their_boxes():
    after = OutlineStage(Ellipses(expected={20: 0.5})).process(frame_of(0, [LEFT, RIGHT], masked=False))
    assert silhouette(after, 0)[20:80, 20:60].all()
    assert overlap(silhouette(after, 1), ellipse(RIGHT, SIZE)) > 0.95


def test_small_boxes_cost_no_prompt():
    outliner = Ellipses()
    small = [5.0, 5, 20, 20]  # 225 of 64 cells of 4 pixels
    assert OutlineStage(outliner).process(frame_of(0, [small])).outlined is None
    assert (outliner.pictures, outliner.boxes) == (0, 0)
    OutlineStage(outliner).process(frame_of(0, [small, LEFT]))
    assert (outliner.pictures, outliner.boxes) == (1, 1)


def test_between_encoded_frames_an_outline_moves_with_its_box():
    outliner = Ellipses()
    stage = OutlineStage(outliner, every=4)
    for number in range(8):
        shift = np.array([3.0 * number, 0, 3 * number, 0])
        after = stage.process(frame_of(number, [LEFT + shift]))
        assert after.outlined.tolist() == [True]
        assert overlap(silhouette(after, 0), ellipse(LEFT + shift, SIZE)) > 0.93
    assert outliner.pictures == 2


def test_outlines_do_not_move_for_long():
    stage = OutlineStage(Ellipses(), every=100)
    kept = [stage.process(frame_of(number, [LEFT])).outlined is not None for number in range(12)]
    assert kept == [number <= 3 for number in range(12)]


def test_how_often_follows_the_cost():
    assert [automatic_every(Ellipses(cost * BUDGET_S)) for cost in (0.5, 1.5, 3, 4.5, 100)] == [1, 2, 4, 8, 8]
    on_card = Ellipses(100 * BUDGET_S)
    on_card.device = "cuda"
    assert automatic_every(on_card) == 1
    outliner = Ellipses(100 * BUDGET_S)
    stage = OutlineStage(outliner)
    for number in range(16):
        assert stage.process(frame_of(number, [LEFT])).outlined is not None  # 0.15 s are 3 frames
    assert outliner.pictures == 4


def test_a_missed_track_is_outlined_where_it_is_predicted_for_a_moment():
    stage = OutlineStage(Ellipses())
    stage.process(frame_of(0, [LEFT, RIGHT]))
    for number in range(1, 10):
        moved = [RIGHT[0] + number, RIGHT[1], RIGHT[2] + number, RIGHT[3]]
        after = stage.process(frame_of(number, [LEFT], rows=[0, -1], track_boxes=[LEFT, moved]))
        if number > 6:
            assert after.predicted_masks is None
            continue
        assert after.predicted_masks.rows.tolist() == [1]
        found = after.predicted_masks.masks.full(0, np.array([0, 0, *SIZE]))
        assert overlap(found, ellipse(moved, SIZE)) > 0.95
        assert after.tracks.detection_rows.tolist() == [0, -1]


def test_a_track_behind_another_one_has_no_outline():
    stage = OutlineStage(Ellipses())
    stage.process(frame_of(0, [LEFT, RIGHT]))
    behind = [LEFT[0] + 4, LEFT[1], LEFT[2] + 4, LEFT[3]]
    after = stage.process(frame_of(1, [LEFT], rows=[0, -1], track_boxes=[LEFT, behind]))
    assert after.predicted_masks is None
    assert after.outlined.tolist() == [True]


def test_frames_without_a_detector_have_what_is_outlined():
    stage = OutlineStage(Ellipses(expected={RIGHT[0]: 0.2}))
    stage.process(frame_of(0, [LEFT, [91.0, *RIGHT[1:]]]))
    after = stage.process(frame_of(1, [], detected=False, rows=[-1, -1], track_boxes=[LEFT, RIGHT]))
    assert after.tracks.detection_rows.tolist() == [0, -1]
    np.testing.assert_allclose(after.instances.boxes, [LEFT], atol=STEP)
    np.testing.assert_array_equal(after.tracks.boxes, [after.instances.boxes[0], RIGHT])
    assert overlap(silhouette(after, 0), ellipse(LEFT, SIZE)) > 0.95
    assert after.tracks.ids.tolist() == [1, 2]


def test_a_recording_continues_in_the_middle():
    frames = [frame_of(number, [LEFT + np.array([number, 0, number, 0])]) for number in range(10)]
    whole = OutlineStage(Ellipses(), every=4)
    expected = [pack_frame(whole.process(frame), outlines=True) for frame in frames]
    first, second = OutlineStage(Ellipses(), every=4), OutlineStage(Ellipses(), every=4)
    found = [first.process(frame) for frame in frames[:6]]
    second.restore(Kept(state=first.state(), elapsed_s=None))
    found += [second.process(frame) for frame in frames[6:]]
    assert [pack_frame(frame, outlines=True) for frame in found] == expected


# predicted tracks between detections


def test_between_detections_the_tracker_predicts_and_learns_nothing():
    def instances(number):
        box = np.array([[20 + 3.0 * number, 20, 60 + 3 * number, 80]], np.float32)
        return Instances(boxes=box, scores=np.full(1, 0.9, np.float32), class_ids=np.zeros(1, np.int64))

    asked, other = Tracker(), Tracker()
    for number in range(0, 40, 4):
        for tracker in (asked, other):
            tracks = tracker.update(instances(number), number / FPS)
        for between in (1, 2, 3):
            predicted = asked.predicted((number + between) / FPS)
            assert predicted.ids.tolist() == tracks.ids.tolist()
            assert (predicted.detection_rows == -1).all()
        if number >= 20:
            np.testing.assert_allclose(predicted.boxes, instances(number + 3).boxes, atol=1.5)
    for name, value in other.state()["tracks"].items():
        np.testing.assert_array_equal(asked.state()["tracks"][name], value)


def test_earlier_detections_are_counted_in_frames():
    """A track is confirmed after some updates; what it took before is so many frames ago."""
    found = {}
    for every in (1, 3):
        steady = SteadyTracker(Tracker())
        for number in range(30):
            detected = number % every == 0
            frame = frame_of(number, [LEFT] if detected else [], detected=detected)
            weak = replace(frame.instances, scores=np.full(int(detected), 0.3, np.float32))
            frame = replace(frame, instances=weak)
            tracks = steady.process(replace(frame, tracks=None)).tracks
            if len(tracks.earlier_rows):
                found[every] = number, tracks.earlier_rows[:, 1].tolist()
    updates = len(found[1][1])
    assert found[3][1][:updates] == [3 * (ago + 1) for ago in range(len(found[3][1]))]
    assert found[3][0] - max(found[3][1]) == 0  # back to the first frame


# through the engine


@pytest.fixture(scope="module")
def scene(tmp_path_factory):
    path = tmp_path_factory.mktemp("scene") / "road.mp4"
    write_video(road(seed=1), path, fps=12.5, duration_s=1.7)
    return path


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("MASKTRAIL_TRIAL", "off")
    return write_folder(tmp_path / "sam")


def rows_of(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def saved_of(path):
    with path.open("rb") as file:
        return list(open_saved(path, file)[1])


def bare(rows):
    """Rows without masks and what is measured in them."""
    left_out = ("mask", "mask_from", "area_px", "contact", "contact_state", "notes")
    return [{name: value for name, value in row.items() if name not in left_out} for row in rows]


@pytest.mark.slow
def test_identities_and_boxes_are_the_same_with_and_without(scene, folder, tmp_path):
    for name, options in {"without": {}, "with": {"outline": str(folder)}}.items():
        records = [str(tmp_path / f"{name}{suffix}") for suffix in (".jsonl", ".txt", ".instances")]
        run_streams(scene, records=records, device="cpu", limit=20, **options)
    without, outlined = rows_of(tmp_path / "without.jsonl"), rows_of(tmp_path / "with.jsonl")
    assert bare(without) == bare(outlined)
    assert (tmp_path / "without.txt").read_bytes() == (tmp_path / "with.txt").read_bytes()
    for one, other in zip(*(saved_of(tmp_path / f"{name}.instances") for name in ("without", "with")), strict=True):
        for kept, again in zip(one.instances.masks.pack(), other.instances.masks.pack(), strict=True):
            np.testing.assert_array_equal(kept, again)
        np.testing.assert_array_equal(one.instances.boxes, other.instances.boxes)
    changed = [row for row in outlined if row.get("mask_from") == "outline"]
    assert len(changed) > len(outlined) / 2
    before = {(row["frame"], row["id"]): row["mask"] for row in without}
    assert all(before[row["frame"], row["id"]] != row["mask"] for row in changed)


@pytest.mark.slow
def test_a_second_pass_keeps_the_outlines(scene, folder, tmp_path):
    for name, options in {"without": {}, "with": {"outline": str(folder)}}.items():
        run_streams(scene, records=str(tmp_path / f"{name}.mots.txt"), device="cpu", limit=16, refine=True, **options)
    without, outlined = ((tmp_path / f"{name}.mots.txt").read_text().split("\n") for name in ("without", "with"))
    assert [line.split()[:3] for line in without] == [line.split()[:3] for line in outlined]
    assert sum(one != other for one, other in zip(without, outlined, strict=True)) > len(without) / 2


@pytest.mark.slow
def test_outlines_carry_tracks_between_detections(scene, folder, tmp_path):
    records = [str(tmp_path / name) for name in ("a.jsonl", "a.instances")]
    [outcome] = run_streams(scene, records=records, device="cpu", limit=20, outline=str(folder), detect_every=4)
    run_streams(scene, records=str(tmp_path / "every.jsonl"), device="cpu", limit=20)
    rows = rows_of(tmp_path / "a.jsonl")
    between = [row for row in rows if row["frame"] % 4]
    assert len(between) > 20
    seen = [row for row in between if not row["coasting"]]
    assert len(seen) > 0.8 * len(between)
    truth = {(row["frame"], row["id"]): row["box"] for row in rows_of(tmp_path / "every.jsonl")}
    known = [row for row in seen if (row["frame"], row["id"]) in truth]
    errors = [np.abs(np.array(row["box"]) - truth[row["frame"], row["id"]]).max() for row in known]
    assert len(errors) > 20
    assert np.median(errors) < 4
    assert [saved.frame.index for saved in saved_of(tmp_path / "a.instances")] == list(range(0, 20, 4))
    assert outcome.figures.frames == 20


def test_segment_outlines_every_instance(scene, folder, tmp_path, run):
    out = tmp_path / "a.jsonl"
    result = run("segment", scene, "--device", "cpu", "--limit", 3, "--outline", folder, "--records", out)
    assert result.status == 0, result.text
    assert "outlines: tiny, sam, 64 x 64" in result.text
    assert {row.get("mask_from") for row in rows_of(out)} >= {"outline"}


def test_settings_say_what_is_missing(tmp_path):
    for name, value in (("detect_every", 2), ("outline_every", 2)):
        with pytest.raises(ConfigError, match=f"{name}.*expected a folder of a promptable segmenter in `outline`"):
            RunSettings(sources=("a.mp4",), **{name: value})
    with pytest.raises(ConfigError, match=r"detect_every.*expected 1 with `privacy`"):
        RunSettings(sources=("a.mp4",), outline="sam", detect_every=2, privacy="fill")
    text = "cameras: [{name: a, url: 'rtsp://h/1', outline: sam, outline_every: 4, detect_every: 2}]"
    [camera] = parse_service_settings(text).cameras
    assert (camera.outline, camera.outline_every, camera.detect_every) == ("sam", 4, 2)


def test_a_broken_folder_is_one_line(scene, tmp_path, run):
    result = run("track", scene, "--outline", tmp_path / "none", "--records", tmp_path / "a.jsonl")
    assert result.status != 0
    assert "expected a folder with encoder.onnx and decoder.onnx" in result.text
    assert "Traceback" not in result.text
    assert not (tmp_path / "a.jsonl").exists()
