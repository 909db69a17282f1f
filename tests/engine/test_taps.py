"""Taps see every finished frame in order, and cost their stream nothing."""

from __future__ import annotations

from tests.engine.fakes import FakeSource, ListSink, SlowSegmenter, stream
from tracker.engine.scheduler import Engine


def test_a_tap_sees_every_frame_once_in_order_with_its_tracks() -> None:
    source, seen = FakeSource("a"), []
    one = stream(source)
    one.taps.add(seen.append)
    engine = Engine(segmenter=SlowSegmenter())
    engine.add(one)
    source.fill(30)
    assert engine.wait(60)
    engine.close()
    assert [tracked.frame.index for tracked in seen] == list(range(30))
    assert all(len(tracked.tracks) == 1 for tracked in seen)


def test_a_tap_that_raises_is_dropped_and_the_stream_and_its_outputs_go_on(caplog) -> None:
    source, sink, seen = FakeSource("a"), ListSink(), []
    one = stream(source, sink=sink)

    def broken(_tracked) -> None:
        seen.append(1)
        message = "no room"
        raise OSError(message)

    one.taps.add(broken)
    engine = Engine(segmenter=SlowSegmenter())
    engine.add(one)
    source.fill(10)
    assert engine.wait(60)
    engine.close()
    assert (one.state, one.failures, len(sink.frames), len(seen)) == ("ended", [], 10, 1)
    assert [record.getMessage() for record in caplog.records if "tap" in record.getMessage()] == ["tap dropped"]


def test_a_tap_that_was_removed_sees_nothing_more() -> None:
    source, seen = FakeSource("a"), []
    one = stream(source)
    tap = seen.append
    one.taps.add(tap)
    one.taps.remove(tap)
    one.taps.remove(tap)  # twice is no error
    engine = Engine(segmenter=SlowSegmenter())
    engine.add(one)
    source.fill(5)
    assert engine.wait(60)
    engine.close()
    assert not seen


def test_pictures_are_asked_of_the_source_only_while_it_is_open() -> None:
    source = FakeSource("a")
    one = stream(source)
    one.show_images(wanted=True)  # not open yet: nothing happens
    engine = Engine(segmenter=SlowSegmenter())
    engine.add(one)
    one.show_images(wanted=True)
    assert source.shows_images
    one.show_images(wanted=False)
    assert not source.shows_images
    source.fill(1)
    assert engine.wait(60)
    engine.close()
