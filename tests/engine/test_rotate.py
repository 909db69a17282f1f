"""Parts by time and by size: every frame in exactly one of them, none visible before it is complete."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

from tests.engine.fakes import box, frame
from tracker.errors import SinkError
from tracker.plugins import open_sink
from tracker.sinks.rotate import RETRY_S, RotatingSink
from tracker.types import TrackedFrame


class Clock:
    def __init__(self) -> None:
        self.s = 0.0

    def now(self) -> datetime:
        return datetime(2026, 11, 22, 14, 0, tzinfo=UTC) + timedelta(seconds=self.s)

    def monotonic(self) -> float:
        return self.s


def tracked(index: int) -> TrackedFrame:
    return TrackedFrame(frame=frame(index), instances=box(), tracks=None, class_names=("person",))


def sink(folder: Path, clock: Clock, opener=None, **options) -> RotatingSink:
    return RotatingSink(
        str(folder / "gate-{time}.jsonl"),
        opener or (lambda path: open_sink(path, class_names=("person",))),
        now=clock.now,
        monotonic=clock.monotonic,
        **options,
    )


def rows(path: Path) -> list[int]:
    return [json.loads(line)["frame"] for line in path.read_text().splitlines()]


def test_parts_by_time(tmp_path) -> None:
    clock = Clock()
    rotating = sink(tmp_path, clock, every_s=10.0)
    for index in range(25):
        clock.s = float(index)
        rotating.write(tracked(index))
        assert len(list(tmp_path.glob("gate-*.jsonl"))) == index // 10
    rotating.close()
    rotating.close()
    parts = sorted(tmp_path.glob("gate-*.jsonl"))
    assert [part.name for part in parts] == [f"gate-20261122T1400{second:02d}Z.jsonl" for second in (0, 10, 20)]
    assert [rows(part) for part in parts] == [list(range(10)), list(range(10, 20)), list(range(20, 25))]
    assert not list(tmp_path.glob(".*"))


def test_parts_by_size(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr("tracker.sinks.text.FLUSH_S", 0.0)
    clock = Clock()
    rotating = sink(tmp_path, clock, every_s=None, max_bytes=2000)
    for index in range(400):
        clock.s = index * 0.5
        rotating.write(tracked(index))
    rotating.close()
    parts = sorted(tmp_path.glob("gate-*.jsonl"))
    assert len(parts) == rotating.parts > 1
    assert sorted(row for part in parts for row in rows(part)) == list(range(400))


def test_two_parts_within_a_second_have_two_names(tmp_path) -> None:
    clock = Clock()
    rotating = sink(tmp_path, clock, every_s=0.25)
    for index in range(4):
        clock.s = index * 0.3
        rotating.write(tracked(index))
    rotating.close()
    assert len(list(tmp_path.glob("gate-*.jsonl"))) == 4
    assert (tmp_path / "gate-20261122T140000Z-2.jsonl").exists()


def test_a_refusal_costs_the_frames_until_the_next_try_only(tmp_path) -> None:
    clock, told = Clock(), []
    full = True

    def opener(path: Path):
        if full:
            raise SinkError(path, "expected to write here, found: No space left on device", "make room")
        return open_sink(path, class_names=("person",))

    rotating = sink(tmp_path, clock, opener, on_error=told.append)
    rotating.write(tracked(0))
    clock.s = RETRY_S / 2
    rotating.write(tracked(1))
    assert len(told) == 1
    full = False
    clock.s = RETRY_S + 1
    rotating.write(tracked(2))
    rotating.close()
    [part] = tmp_path.glob("gate-*.jsonl")
    assert rows(part) == [2]


def test_a_missing_folder_costs_the_frames_until_it_is_there(tmp_path) -> None:
    clock, told = Clock(), []
    rotating = sink(tmp_path / "later", clock, on_error=told.append)
    rotating.write(tracked(0))
    assert "expected the folder" in str(told[0])
    (tmp_path / "later").mkdir()
    clock.s = RETRY_S + 1
    rotating.write(tracked(1))
    rotating.close()
    [part] = (tmp_path / "later").glob("gate-*.jsonl")
    assert rows(part) == [1]


def test_a_part_that_is_removed_is_noticed_within_a_second(tmp_path) -> None:
    clock, told = Clock(), []
    rotating = sink(tmp_path, clock, on_error=told.append)
    for index in range(10):
        clock.s = index * 0.3
        rotating.write(tracked(index))
        if index == 3:
            [part] = tmp_path.glob(".gate-*.part")
            part.unlink()
    rotating.close()
    assert len(told) == 1
    assert "found it was removed" in str(told[0])
    [part] = tmp_path.glob("gate-*.jsonl")
    assert rows(part) == list(range(4, 10))
