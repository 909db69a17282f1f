"""Several sinks at once: one that dies does not stop the others."""

from __future__ import annotations

import json

import pytest

from tests.sinks.streams import CLASS_NAMES, stream, tracked_frame
from tracker.errors import SinkError
from tracker.plugins import open_sink
from tracker.sinks.base import Sink
from tracker.sinks.multi import MultiSink


class Dying(Sink):
    """A sink that takes ``frames`` frames."""

    def __init__(self, frames: int, *, error: Exception | None = None) -> None:
        self.left = frames
        self.error = error or SinkError("camera wall", "expected a wall, found none", "build one")
        self.closed = 0

    def write(self, tracked_frame):
        if self.left == 0:
            raise self.error
        self.left -= 1

    def close(self):
        self.closed += 1


def test_all_sinks_get_every_frame(tmp_path):
    paths = [tmp_path / name for name in ("out.mp4", "out.jsonl", "out.txt", "out.coco.json")]
    with MultiSink([open_sink(path, class_names=CLASS_NAMES) for path in paths]) as sink:
        for frame in stream():
            sink.write(frame)
    assert sorted(entry.name for entry in tmp_path.iterdir()) == sorted(path.name for path in paths)
    assert set(sink.cpu_s) == {"draw", "encode", "records"}


def test_one_that_dies_does_not_stop_the_others(tmp_path):
    told = []
    dying = Dying(3)
    sink = MultiSink([dying, open_sink(tmp_path / "out.jsonl", class_names=CLASS_NAMES)], on_error=told.append)
    for frame in stream():
        sink.write(frame)
    assert (sink.living, dying.closed, len(told)) == (1, 1, 1)
    with pytest.raises(SinkError, match="camera wall"):
        sink.close()
    assert len((tmp_path / "out.jsonl").read_text().splitlines()) == 34
    sink.close()


def test_unexpected_errors_become_sink_errors():
    sink = MultiSink([Dying(0, error=ValueError("odd"))])
    sink.write(tracked_frame(boxes=[]))
    assert isinstance(sink.errors[0].__cause__, ValueError)
    with pytest.raises(SinkError, match="ValueError: odd"):
        sink.close()


def test_several_deaths_are_told_together():
    sink = MultiSink([Dying(0), Dying(1), Dying(9)])
    for _ in range(3):
        sink.write(tracked_frame(boxes=[]))
    with pytest.raises(SinkError, match=r"(?s)2 outputs.*camera wall.*camera wall") as caught:
        sink.close()
    assert str(caught.value).count("build one") == 1


def test_a_death_while_closing_is_told_and_the_others_are_closed(tmp_path):
    class DiesAtTheEnd(Dying):
        def close(self):
            super().close()
            if self.closed == 1:
                raise self.error

    last = open_sink(tmp_path / "out.jsonl", class_names=CLASS_NAMES)
    sink = MultiSink([DiesAtTheEnd(9), last])
    sink.write(tracked_frame(boxes=[(4, 4, 60, 60)]))
    with pytest.raises(SinkError, match="camera wall"):
        sink.close()
    assert json.loads((tmp_path / "out.jsonl").read_text())["id"] == 1


def test_an_exception_of_the_caller_keeps_what_is_done(tmp_path):
    def broken():
        with MultiSink([open_sink(tmp_path / "out.jsonl", class_names=CLASS_NAMES)]) as sink:
            sink.write(tracked_frame(boxes=[(4, 4, 60, 60)]))
            raise KeyError

    with pytest.raises(KeyError):
        broken()
    assert len((tmp_path / "out.jsonl").read_text().splitlines()) == 1
