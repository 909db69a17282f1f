"""Editions of a store: a recording counted anew replaces nothing and holds all at once."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from tracker.errors import SinkError, SourceError
from tracker.events import Event
from tracker.formats.ledger import read_editions, read_events
from tracker.plugins import open_sink
from tracker.sinks.base import Edition
from tracker.sinks.sqlite import SqliteSink


def crossing(second: float, *, stream: str = "a.mp4", place: str = "old", identity: int = 1) -> Event:
    return Event(
        kind="crossing", stream=stream, time_s=second, place=place, direction="in", identity=identity, class_name="car"
    )


OLD = [crossing(1), crossing(2, identity=2)]
NEW = [crossing(1, place="new"), crossing(3, place="new", identity=3), crossing(4, place="new", identity=4)]


def write(path: Path, events: list[Event], edition: Edition = "append", stream: str = "a.mp4") -> None:
    with open_sink(path, edition=edition, stream=stream) as sink:
        sink.write_events(events)


@pytest.fixture
def store(tmp_path: Path) -> Path:
    path = tmp_path / "all.sqlite"
    write(path, OLD)
    write(path, [crossing(1, stream="b.mp4")], stream="b.mp4")
    return path


def rows(path: Path, query: str) -> list[tuple]:
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(query).fetchall()


def test_the_last_edition_holds_and_the_others_are_there(store: Path) -> None:
    write(store, NEW, "revise")
    assert list(read_events(store)) == [crossing(1, stream="b.mp4"), *NEW]
    assert list(read_events(store, edition=1)) == [*OLD, crossing(1, stream="b.mp4")]
    assert list(read_events(store, edition=2)) == NEW
    found = read_editions(store)
    assert [(one.stream, one.edition, one.rows) for one in found] == [("a.mp4", 1, 2), ("a.mp4", 2, 3), ("b.mp4", 1, 1)]
    assert [one.at_ms is None for one in found] == [True, False, True]
    for view in ("counted", "events"):
        assert rows(store, f"SELECT place, count(*) FROM {view} WHERE stream = 'a.mp4' GROUP BY 1") == [("new", 3)]
    assert rows(store, "SELECT count(*) FROM ledger") == [(6,)]


def test_the_same_events_are_no_new_edition(store: Path) -> None:
    for _ in range(2):
        write(store, OLD, "revise")
        assert len(read_editions(store)) == 2
    for _ in range(2):
        write(store, NEW, "revise")
        assert len(read_editions(store)) == 3
    write(store, OLD, "revise")  # back to what was counted first
    assert list(read_events(store)) == [crossing(1, stream="b.mp4"), *OLD]
    assert [one.edition for one in read_editions(store)] == [1, 2, 3, 1]


def test_a_change_that_no_key_shows_is_one(store: Path) -> None:
    write(store, [replace(event, class_name="bus") for event in OLD], "revise")
    assert {event.class_name for event in read_events(store, edition=2)} == {"bus"}


def test_nothing_counted_any_more_is_an_edition_too(store: Path) -> None:
    write(store, [], "revise")
    assert [event.stream for event in read_events(store)] == ["b.mp4"]
    assert [(one.edition, one.rows) for one in read_editions(store) if one.stream == "a.mp4"] == [(1, 2), (2, 0)]


def test_a_stream_that_is_new_begins_with_the_first(store: Path) -> None:
    write(store, [crossing(1, stream="c.mp4")], "revise", "c.mp4")
    assert [one.edition for one in read_editions(store) if one.stream == "c.mp4"] == [1]


def test_what_is_being_written_is_not_seen_and_what_breaks_off_is_gone(store: Path) -> None:
    before = list(read_events(store))
    sink = open_sink(store, edition="revise", stream="a.mp4")
    sink.write_events(NEW[:2])
    assert list(read_events(store)) == before
    sink.abort()
    assert list(read_events(store)) == before
    assert rows(store, "SELECT max(edition) FROM ledger") == [(1,)]
    killed = SqliteSink(store, edition="revise", stream="a.mp4")
    killed.write_events(NEW[:1])
    killed._connection.close()  # as the end of its process does
    assert list(read_events(store)) == before
    write(store, NEW, "revise")
    assert [event for event in read_events(store) if event.stream == "a.mp4"] == NEW
    assert rows(store, "SELECT DISTINCT edition FROM ledger ORDER BY 1") == [(1,), (3,)]


def test_held_back_until_it_is_settled(store: Path) -> None:
    write(store, NEW, "hold")
    assert len(read_editions(store)) == 2
    SqliteSink.settle(str(store), "a.mp4")
    assert [event for event in read_events(store) if event.stream == "a.mp4"] == NEW
    SqliteSink.settle(str(store), "a.mp4")
    assert len(read_editions(store)) == 3


def test_what_is_appended_later_goes_into_the_edition_that_holds(store: Path) -> None:
    write(store, NEW, "revise")
    write(store, [*NEW, crossing(9, place="new", identity=9)])
    assert [event.identity for event in read_events(store, edition=2)] == [1, 3, 4, 9]
    with pytest.raises(SinkError, match=r"(?s)found others of the same time.*--revise"):
        write(store, OLD)


def test_a_store_of_a_version_before_is_refused(store: Path) -> None:
    with closing(sqlite3.connect(store)) as connection:
        connection.execute("PRAGMA journal_mode = delete")
        connection.execute("PRAGMA user_version = 1")
    with pytest.raises(SinkError, match="found one of a masktrail in development"):
        open_sink(store)
    with pytest.raises(SourceError, match="found one of a masktrail in development"):
        list(read_events(store))
