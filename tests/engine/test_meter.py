"""Counts of identities: by class, with memory for the living ones only, and going on after a restart."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tests.engine.fakes import CountingTracker, FakeSource, frame, stream
from tracker.associate.tracker import Tracker
from tracker.engine.meter import Census, StreamMeter
from tracker.engine.resume import restore
from tracker.engine.snapshot import Kept, Snapshots
from tracker.engine.stage import FilterStage, Stage
from tracker.engine.steady import SteadyTracker
from tracker.types import Instances, TrackedFrame, Tracks

NAMES = ("person", "car")


def tracks(ids: list[int], class_ids: list[int], ended: tuple[int, ...] = ()) -> Tracks:
    count = len(ids)
    return Tracks(
        ids=np.array(ids, np.int64),
        detection_rows=np.full(count, -1),
        boxes=np.zeros((count, 4), np.float32),
        velocities=np.zeros((count, 2), np.float32),
        class_ids=np.array(class_ids, np.int64),
        scores=np.zeros(count, np.float32),
        ages_s=np.zeros(count, np.float32),
        ended_ids=np.array(ended, np.int64),
    )


def test_a_class_is_final_when_its_identity_ends_and_gaps_in_the_numbers_count_for_nothing() -> None:
    census = Census()
    census.update(tracks([1, 1007], [0, 1]), NAMES)
    census.update(tracks([1, 1007], [1, 1]), NAMES)  # the vote on 1 has changed
    assert census.by_class() == {"car": 2}
    census.update(tracks([1007], [0], ended=(1,)), NAMES)
    assert census.by_class() == {"car": 1, "person": 1}
    assert len(census.state()["living"]) == 1


def test_identities_that_were_hardly_seen_are_told_apart_when_they_end() -> None:
    census, later = Census(), Census()
    for number in range(5):
        seen = replace(tracks([1, 2], [0, 1]), detection_rows=np.array([0, 1 if number < 2 else -1]))
        census.update(seen, NAMES)
    assert census.brief() == 0  # both are there still
    later.restore(census.state())
    later.update(tracks([], [], ended=(1, 2)), NAMES)
    assert (later.brief(), later.by_class().total()) == (1, 2)


def test_it_goes_on_after_a_restart(tmp_path) -> None:
    before = Census()
    before.update(tracks([1, 2, 3], [0, 1, 1]), NAMES)
    before.update(tracks([2, 3], [1, 1], ended=(1,)), NAMES)
    snapshots = Snapshots(tmp_path)
    snapshots.save("gate", before.state())
    loaded = snapshots.load("gate")
    assert loaded is not None
    same_scene, another = Census(), Census()
    same_scene.restore(loaded.state)
    another.restore(loaded.state, living=False)
    assert same_scene.by_class() == another.by_class() == {"person": 1, "car": 2}
    for census in (same_scene, another):
        census.update(tracks([2, 4], [1, 0], ended=(3,)), ("walker", "lorry"))
    assert same_scene.by_class() == {"person": 1, "lorry": 2, "walker": 1}
    assert another.by_class() == {"person": 1, "car": 2, "lorry": 1, "walker": 1}  # its number 2 is another one
    nobody = Census()
    nobody.restore(Census().state())
    assert nobody.by_class() == {}


def test_a_state_of_an_older_version_gives_the_tracker_its_numbers() -> None:
    tracker = SteadyTracker(Tracker(class_count=1))
    tracker.update(Instances.empty(), 0.0, (64, 48))
    flat = tracker.state()
    assert flat is not None
    flat["tracker"]["next_id"] = 12
    fresh, meter = SteadyTracker(Tracker(class_count=1)), StreamMeter()
    restore([fresh], meter, Kept(state=flat, elapsed_s=1.0))
    assert fresh.state()["tracker"]["next_id"] == 12
    assert meter.figures().identities == 0


class Counter(Stage):
    """Remembers how many frames it has seen, for ever or until a pause."""

    name = "counter"

    def __init__(self) -> None:
        self.count = 0

    def process(self, tracked: TrackedFrame) -> TrackedFrame:
        self.count += 1
        return tracked

    def state(self) -> dict[str, int]:
        return {"count": self.count}

    def restore(self, kept: Kept) -> None:
        self.count = kept.state["count"]


class Momentary(Counter):
    name = "momentary"
    outlasts_restart = False


def test_each_stage_gets_its_own_state_back() -> None:
    source = FakeSource("a")
    one = stream(source, stages=[Counter(), Momentary()], tracker=CountingTracker())
    one.start(lambda: None)
    source.fill(3)
    for _ in range(3):
        ticket = one.take()
        assert ticket is not None
        one.complete(ticket, Instances.empty(), 0.25, NAMES)
    kept = one.snapshot()
    assert kept is not None
    assert kept["stages"] == {"counter": {"count": 3}}
    later = Counter()
    restore([later, Momentary()], StreamMeter(), Kept(state=kept, elapsed_s=5.0))
    assert later.count == 3
    figures = one.figures()
    assert list(figures.stage_s) == ["segment", "counter", "momentary", "associate"]
    assert figures.stage_s["segment"] == pytest.approx(0.75)


def test_a_filter_keeps_classes_and_scores() -> None:
    instances = Instances(
        boxes=np.zeros((4, 4), np.float32),
        scores=np.array([0.9, 0.5, 0.4, 0.5], np.float32),
        class_ids=np.array([0, 1, 1, 2]),
    )
    tracked = TrackedFrame(frame=frame(0), instances=instances, tracks=None, class_names=("a", "b", "c"))
    found = FilterStage(class_ids=[1, 2], lowest_score=0.5).process(tracked).instances
    assert found.class_ids.tolist() == [1, 2]
    assert FilterStage(lowest_score=0.1).process(tracked) is tracked
