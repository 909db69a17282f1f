"""Share of frames that are lost in the last minutes: windows, other sources, and a stream that is too slow."""

from __future__ import annotations

import logging
from types import SimpleNamespace

import pytest

from tests.engine.fakes import FakeSource, SlowSegmenter, frame, stream
from tests.sources.cameras import wait_until
from tracker.engine.losses import LEAST_S, WINDOW_S, Losses
from tracker.engine.meter import StreamMeter
from tracker.engine.scheduler import Engine
from tracker.service.cameras import LiveService
from tracker.service.status import health
from tracker.types import Instances, TrackedFrame


def fed(losses: Losses, seconds: range, *, taken: int, lost: int, counts: tuple[int, int] = (0, 0)) -> tuple[int, int]:
    """Frames per second for some seconds, on top of the counts so far; the counts after them."""
    for second in seconds:
        counts = (counts[0] + taken, counts[1] + lost)
        losses.add(float(second), *counts)
    return counts


def test_a_share_is_of_the_last_minutes_only() -> None:
    losses = Losses()
    counts = fed(losses, range(1000), taken=5, lost=20)
    found = losses.recent(999.0)
    assert found is not None
    assert found.share == pytest.approx(0.8)
    assert WINDOW_S - 5 <= found.seconds <= WINDOW_S
    fed(losses, range(1000, 1150), taken=25, lost=0, counts=counts)
    found = losses.recent(1149.0)
    assert found is not None
    assert 0 < found.share < 0.8, "the slow minutes are still in it"
    fed(losses, range(1150, 1460), taken=25, lost=0, counts=(counts[0] + 150 * 25, counts[1]))
    assert losses.recent(1459.0).share == 0.0
    assert len(losses._marks) <= WINDOW_S / 5 + 1


def test_nothing_is_said_of_the_start_of_silence_and_of_another_source() -> None:
    losses = Losses()
    assert losses.recent(0.0) is None
    counts = fed(losses, range(int(LEAST_S)), taken=1, lost=9)
    assert losses.recent(LEAST_S) is None
    fed(losses, range(int(LEAST_S), 60), taken=1, lost=9, counts=counts)
    assert losses.recent(60.0).share == pytest.approx(0.9)
    assert losses.recent(60.0 + WINDOW_S) is None, "no frame came in that time"
    losses.add(61.0, 61, 0)
    assert losses.recent(61.0) is None, "the counts of a new source"
    fed(losses, range(62, 100), taken=1, lost=1, counts=(61, 0))
    assert losses.recent(99.0).share == pytest.approx(0.5)


def test_a_camera_that_comes_too_fast_is_named_and_called_well(monkeypatch, caplog) -> None:
    monkeypatch.setattr("tracker.engine.losses.LEAST_S", 0.0)
    monkeypatch.setattr("tracker.engine.losses.STEP_S", 0.0)
    engine = Engine(segmenter=SlowSegmenter(0.0), workers=1)
    try:
        fast, calm = FakeSource("fast", policy="latest"), FakeSource("calm")
        for source in (fast, calm):
            engine.add(stream(source))
        done = {one.name: one for one in engine.streams}
        for index in range(4):
            calm.handoff.put(frame(index, source="calm"))
            assert wait_until(lambda count=index + 1: done["calm"].meter.figures().frames == count)
        fast.handoff.put(frame(0, source="fast"))
        assert wait_until(lambda: done["fast"].meter.figures().frames == 1)
        fast.handoff.dropped = 3  # as if three had come while the one after them waited
        fast.handoff.put(frame(4, source="fast"))
        assert wait_until(lambda: done["fast"].meter.figures().frames == 2)
        found = health(engine)
        assert (found["status"], found["not_well"], found["losing_frames"]) == ("ok", [], ["fast"])
        assert found["cameras"]["fast"]["lost_share"] == 0.75
        assert found["cameras"]["calm"]["lost_share"] == 0.0
        with caplog.at_level(logging.INFO, logger="tracker.live"):
            LiveService.report(SimpleNamespace(engine=engine))
        told = {record.camera: record.lost_share for record in caplog.records if record.getMessage() == "figures"}
        assert told == {"fast": 0.75, "calm": 0.0}
    finally:
        engine.close()


def test_the_source_is_asked_now_and_then_and_at_the_end(monkeypatch) -> None:
    monkeypatch.setattr("tracker.engine.losses.LEAST_S", 0.0)
    monkeypatch.setattr("tracker.engine.losses.STEP_S", 3600.0)
    meter, asked = StreamMeter(), list[int]()
    for index in range(20):
        done = TrackedFrame(frame=frame(index), instances=Instances.empty(), tracks=None, class_names=())
        meter.add(done, lost=lambda: asked.append(0) or 0)
    assert len(asked) == 1
    assert meter.figures().losses is None or meter.figures().losses.share == 0.0
    meter.note_losses(19)
    assert meter.figures().losses.share == pytest.approx(0.5), "19 of the 38 frames after the first"
