"""The engine with fake parts: order, fairness, batches, and that one stream's trouble is no other's."""

from __future__ import annotations

import math
import threading
import time

import pytest

from tests.engine.fakes import CountingTracker, FakeSource, ListSink, SlowSegmenter, frame, stream
from tests.sources.cameras import wait_until
from tracker.engine.scheduler import Engine
from tracker.errors import SourceError
from tracker.sources.reconnect import Link


@pytest.fixture
def engines():
    """Engines that are closed whatever happens."""
    made: list[Engine] = []

    def make(segmenter, **options) -> Engine:
        made.append(Engine(segmenter=segmenter, **options))
        return made[-1]

    yield make
    for engine in made:
        for one in engine.streams:
            one.close()
        try:
            engine.close()
        except RuntimeError:
            continue


@pytest.mark.parametrize(("workers", "batch_size"), [(1, 1), (3, 1), (2, 4)])
def test_recordings_come_whole_and_in_order(engines, workers: int, batch_size: int) -> None:
    segmenter = SlowSegmenter(0.0005, jitter=0.002)
    engine = engines(segmenter, workers=workers, batch_size=batch_size)
    sinks = {name: ListSink() for name in "abc"}
    trackers = {name: CountingTracker() for name in "abc"}
    for name, sink in sinks.items():
        source = FakeSource(name)
        engine.add(stream(source, sink=sink, tracker=trackers[name], max_in_flight=6))
        threading.Thread(target=source.fill, args=(60,), daemon=True).start()
    assert engine.wait(60)
    for name, sink in sinks.items():
        assert [written.frame.index for written in sink.frames] == list(range(60))
        assert {written.frame.source for written in sink.frames} == {name}
        assert sink.closed == 1
        assert trackers[name].times_s == sorted(trackers[name].times_s)
    assert engine.batchers[0].batched_frames == 180
    assert {one.state for one in engine.streams} == {"ended"}


def test_saturated_streams_are_served_alike_whatever_their_rates(engines) -> None:
    segmenter = SlowSegmenter(0.004)
    engine = engines(segmenter, workers=2)
    rates = (30, 30, 60, 60, 120, 120, 240, 240)
    sources = [FakeSource(f"s{number}", policy="latest") for number in range(len(rates))]
    for source, rate in zip(sources, rates, strict=True):
        engine.add(stream(source))
        source.feed(rate)
    assert wait_until(lambda: len(segmenter.batches) > 60)
    served = {source.name: 0 for source in sources}
    # Two workers need 4 ms a frame: 8 streams get 62 a second at most, more than the slowest cameras give.
    fast = [source.name for source, rate in zip(sources, rates, strict=True) if rate >= 120]
    start = len(segmenter.batches)
    assert wait_until(lambda: len(segmenter.batches) > start + 300)
    for batch in segmenter.batches[start : start + 300]:
        for name, _ in batch:
            served[name] += 1
    counts = [served[name] for name in fast]
    assert max(counts) <= 1.2 * min(counts)
    for source in sources:
        source.close()


def test_a_lone_slow_stream_is_not_starved_by_greedy_recordings(engines) -> None:
    segmenter = SlowSegmenter(0.002)
    engine = engines(segmenter, workers=1)
    greedy = [FakeSource(name) for name in ("g1", "g2")]
    slow = FakeSource("slow", policy="latest")
    streams = {source.name: stream(source, max_in_flight=4) for source in (*greedy, slow)}
    for one in streams.values():
        engine.add(one)
    for source in greedy:
        threading.Thread(target=source.fill, args=(400,), daemon=True).start()
    slow.feed(20)
    assert wait_until(lambda: streams["slow"].meter.figures().frames >= 10)
    position = [n for n, batch in enumerate(segmenter.batches) if batch[0][0] == "slow"]
    # It is taken in the next turn: between its frames the others had theirs, and never a whole queue.
    assert len(position) >= 10
    slow.close()


def test_a_batch_is_filled_from_all_streams_and_not_held_for_a_dead_one(engines) -> None:
    segmenter = SlowSegmenter(0.01)
    engine = engines(segmenter, workers=1, batch_size=4, batch_wait_s=0.02)
    sources = [FakeSource(name, policy="latest") for name in ("a", "b", "c", "dead")]
    for source in sources:
        engine.add(stream(source))
    for source in sources[:3]:
        source.feed(200)
    assert wait_until(lambda: len(segmenter.batches) > 30)
    late = segmenter.batches[5:30]
    assert all(len({name for name, _ in batch}) == len(batch) for batch in late if len(batch) <= 3)
    assert sum(len(batch) for batch in late) / len(late) > 2
    assert "dead" not in {name for batch in segmenter.batches for name, _ in batch}
    for source in sources:
        source.close()


def test_a_full_batch_does_not_wait(engines) -> None:
    segmenter = SlowSegmenter()
    engine = engines(segmenter, workers=1, batch_size=2, batch_wait_s=60.0)
    sources = [FakeSource(name) for name in "ab"]
    for source in sources:
        engine.add(stream(source, max_in_flight=4))
    for source in sources:
        source.handoff.put(frame(0, source=source.name))
    assert wait_until(lambda: segmenter.batches)
    assert sorted(segmenter.batches[0]) == [("a", 0), ("b", 0)]


def test_a_broken_source_fails_alone_and_its_frames_are_kept(engines) -> None:
    engine = engines(SlowSegmenter())
    bad_sink, good_sink = ListSink(), ListSink()
    bad, good = FakeSource("bad"), FakeSource("good")
    engine.add(stream(bad, sink=bad_sink))
    engine.add(stream(good, sink=good_sink))
    bad.fill(5, SourceError("bad", "expected more, found nothing", ""))
    good.fill(9)
    assert engine.wait(60)
    states = {one.name: (one.state, len(one.failures)) for one in engine.streams}
    assert states == {"bad": ("failed", 1), "good": ("ended", 0)}
    assert (len(bad_sink.frames), len(good_sink.frames), bad_sink.closed) == (5, 9, 1)


def test_frames_under_way_when_a_source_breaks_off_are_kept(engines) -> None:
    engine = engines(SlowSegmenter(0.05), workers=3)
    sink, source = ListSink(), FakeSource("a")
    one = stream(source, sink=sink, max_in_flight=6)
    engine.add(one)
    source.fill(7, SourceError("a", "expected more, found nothing", ""))
    assert engine.wait(60)
    assert (one.state, len(one.failures), one.problem) == ("failed", 1, "expected more, found nothing")
    assert [written.frame.index for written in sink.frames] == list(range(7))


class Broken(CountingTracker):
    """Fails from the fourth frame on."""

    def update(self, instances, time_s):
        if time_s > 0.1:
            message = "no such row"
            raise IndexError(message)
        return super().update(instances, time_s)


def test_a_source_that_cannot_be_opened_for_a_reason_of_the_systems_fails_alone(engines) -> None:
    class NoThreads(FakeSource):
        def open(self, on_ready, on_link):
            message = "can't start new thread"
            raise RuntimeError(message)

    engine = engines(SlowSegmenter())
    sink, good = ListSink(), FakeSource("good")
    one = stream(NoThreads("bad"), sink=ListSink())
    engine.add(one)
    engine.add(stream(good, sink=sink))
    good.fill(5)
    assert engine.wait(60)
    assert (one.state, "can't start new thread" in one.problem) == ("failed", True)
    assert len(sink.frames) == 5


def test_a_camera_whose_stream_failed_is_let_go_of(engines) -> None:
    """And stays failed, whatever its connection still says."""
    engine = engines(SlowSegmenter(0.01), workers=3)
    source = FakeSource("a", policy="latest")
    one = stream(source, tracker=Broken(), max_in_flight=3)
    engine.add(one)
    source.feed(200)
    assert wait_until(lambda: one.state == "failed")
    assert wait_until(source.closed.is_set)
    source.on_link(Link(state="live"))
    source.on_link(Link(state="lost", problem="gone"))
    assert (one.state, len(one.failures)) == ("failed", 1)
    assert "IndexError" in one.problem
    assert engine.wait(60)


def test_a_stream_ends_once_however_many_say_so() -> None:
    """The camera's thread, workers and the engine decide at the same moment: the state that is told is the last."""
    for _ in range(50):
        source = FakeSource("a", policy="latest")
        one = stream(source)
        one.start(lambda: None)
        barrier = threading.Barrier(4)
        outcomes = []

        def decide(act, barrier=barrier) -> None:
            barrier.wait()
            act()

        acts = [
            lambda one=one: one.fail(SourceError("a", "broken", "")),
            lambda one=one, outcomes=outcomes: outcomes.append(one.finish()),
            lambda source=source: source.on_link(Link(state="live")),
            lambda source=source: source.on_link(Link(state="lost", problem="gone")),
        ]
        threads = [threading.Thread(target=decide, args=(act,)) for act in acts]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(10)
        assert (one.state, len(one.failures)) == (("ended", 0) if outcomes == [True] else ("failed", 1))


def test_a_tracker_that_fails_ends_its_stream_only(engines) -> None:
    engine = engines(SlowSegmenter(), workers=2)
    good_sink = ListSink()
    bad, good = FakeSource("bad"), FakeSource("good")
    engine.add(stream(bad, tracker=Broken()))
    engine.add(stream(good, sink=good_sink))
    bad.fill(20)
    good.fill(20)
    assert engine.wait(60)
    failed = next(one for one in engine.streams if one.name == "bad")
    assert failed.state == "failed"
    assert "IndexError: no such row" in str(failed.failures[0])
    assert len(good_sink.frames) == 20


def test_a_slow_sink_drops_its_own_camera_only(engines) -> None:
    engine = engines(SlowSegmenter(0.001), workers=1)
    slow, quick = FakeSource("slow", policy="latest"), FakeSource("quick", policy="latest")
    slow_stream = stream(slow, sink=ListSink(seconds=0.2))
    quick_stream = stream(quick, sink=ListSink())
    engine.add(slow_stream)
    engine.add(quick_stream)
    slow.feed(100)
    quick.feed(100)
    assert wait_until(lambda: quick_stream.meter.figures().frames > 80)
    assert slow_stream.meter.figures().frames < 30
    assert slow.counters.dropped > 30
    for source in (slow, quick):
        source.close()


def test_a_sink_that_breaks_ends_while_the_stream_goes_on(engines) -> None:
    engine = engines(SlowSegmenter())
    source, sink = FakeSource("a"), ListSink(fails_at=3)
    one = stream(source, sink=sink)
    engine.add(one)
    source.fill(10)
    assert engine.wait(60)
    assert one.state == "ended"
    assert one.meter.figures().frames == 10
    assert (len(sink.frames), sink.closed) == (3, 1)


def test_a_segmenter_that_fails_ends_everything_and_is_raised(engines) -> None:
    engine = engines(SlowSegmenter(fails_after=4))
    sink = ListSink()
    source = FakeSource("a")
    engine.add(stream(source, sink=sink))
    source.fill(10)
    assert engine.wait(60)
    with pytest.raises(RuntimeError, match="fell off"):
        engine.close()
    assert len(sink.frames) == 4
    assert sink.closed == 1


def test_a_fault_between_batches_is_raised_and_not_a_standstill(engines) -> None:
    engine = engines(SlowSegmenter(), workers=2)
    source, sink = FakeSource("a"), ListSink()
    one = stream(source, sink=sink)
    engine.add(one)
    source.handoff.put(frame(0))
    assert wait_until(lambda: sink.frames)

    class Broken:
        def __iter__(self):
            message = "no list any more"
            raise RuntimeError(message)

    engine.batchers[0].streams = Broken()
    assert engine.wait(60)
    with pytest.raises(RuntimeError, match="no list"):
        engine.close()


def test_closing_completes_what_is_under_way(engines) -> None:
    engine = engines(SlowSegmenter(0.05), workers=2)
    sink = ListSink()
    source = FakeSource("a", policy="latest")
    engine.add(stream(source, sink=sink))
    source.feed(100)
    assert wait_until(lambda: sink.frames)
    engine.close()
    assert sink.closed == 1
    indexes = [written.frame.index for written in sink.frames]
    assert indexes == sorted(set(indexes))
    assert source.closed.is_set()


def test_streams_come_and_go_while_others_run(engines) -> None:
    engine = engines(SlowSegmenter(0.001))
    stays, goes, comes = (FakeSource(name, policy="latest") for name in ("stays", "goes", "comes"))
    staying, going, coming = stream(stays), stream(goes, sink=ListSink()), stream(comes)
    engine.add(staying)
    engine.add(going)
    stays.feed(100)
    goes.feed(100)
    assert wait_until(lambda: going.meter.figures().frames > 3)
    engine.remove(going)
    assert going.state == "ended"
    assert going.written
    engine.add(coming)
    comes.feed(100)
    before = staying.meter.figures().frames
    assert wait_until(lambda: coming.meter.figures().frames > 3)
    assert staying.meter.figures().frames > before
    assert [one.name for one in engine.streams] == ["stays", "comes"]
    for source in (stays, comes):
        source.close()


def test_ages_are_measured_from_arrival_to_tracks(engines) -> None:
    engine = engines(SlowSegmenter(0.05))
    source = FakeSource("a", policy="latest")
    one = stream(source, max_in_flight=1)
    engine.add(one)
    source.feed(500)
    assert wait_until(lambda: one.meter.figures().frames >= 10)
    figures = one.meter.figures()
    assert 0.05 <= figures.age_p50_s <= figures.age_p99_s
    assert figures.stage_s["segment"] >= 0.5
    assert figures.identities == 1
    source.close()
    assert wait_until(lambda: one.drained)
    one.meter.reset_ages()
    assert math.isnan(one.meter.figures().age_p99_s)


def test_stuck_is_noticed_only_with_frames_under_way(engines) -> None:
    engine = engines(SlowSegmenter(0.5))
    source = FakeSource("a")
    engine.add(stream(source))
    time.sleep(0.05)
    assert engine.stuck_s == 0.0
    source.fill(1)
    assert wait_until(lambda: engine.stuck_s > 0.1)
    assert wait_until(lambda: engine.stuck_s == 0.0)
