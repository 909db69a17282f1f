"""The history in memory says what the views of a ledger say: numbers, classes, counts, stays and outages."""

from __future__ import annotations

import itertools
import sqlite3
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.analytics.test_counts import ledgers
from tests.sinks.ledgers import START_MS, crossing, write_ledger
from tests.thorough import examples
from tracker.dashboard.history import ENDS, KINDS
from tracker.dashboard.ledgers import Ledgers
from tracker.events import Event, Stay
from tracker.formats.event_store import open_store, outages


def read(*paths) -> Ledgers:
    found = Ledgers()
    found.want(paths)
    found.read()
    assert found.problems() == []
    return found


def rows_of(found: Ledgers) -> list[tuple]:
    events, texts = found.history.events, found.history.names.texts
    names = ("kind", "stream", "place", "direction", "identity", "class", "booked", "utc", "counts")
    rows = zip(*(events[name].tolist() for name in names), strict=True)
    return sorted(
        (KINDS[kind], texts[stream], texts[place], texts[direction], identity, texts[name], booked, utc, counts)
        for kind, stream, place, direction, identity, name, booked, utc, counts in rows
    )


def stays_of(found: Ledgers) -> list[tuple]:
    history = found.history
    rows, texts, events = history.stays, history.names.texts, history.events
    stays = history.stay_rows
    event = stays["event"][rows]
    return [
        (
            texts[events["stream"][one]],
            texts[events["place"][one]],
            int(events["identity"][one]),
            texts[events["class"][one]],
            "entered" if entered else "already_inside",
            ENDS[end] if leave else None,
            int(at),
        )
        for one, entered, end, leave, at in zip(
            event.tolist(),
            *(stays[name][rows].tolist() for name in ("entered", "end", "leave", "entered_ms")),
            strict=True,
        )
    ]


def in_views(path) -> tuple[list[tuple], list[tuple], list[tuple]]:
    with open_store(path) as connection:
        counted = connection.execute(
            "SELECT kind, stream, place, direction, identity, class, at_ms, utc, coalesce(counts, 0) FROM counted"
        ).fetchall()
        found = connection.execute(
            """SELECT stream, place, identity, class, began, "end", entered_ms, entered_s FROM stays"""
        ).fetchall()
        out = sorted(outages(connection))
    stays = [(*row[:6], row[6] if row[6] is not None else round(row[7] * 1000)) for row in found]
    return sorted((*row[:7], bool(row[7]), bool(row[8])) for row in counted), sorted(stays, key=str), out


@settings(max_examples=examples(150), deadline=None)
@given(events=ledgers())
def test_the_history_says_what_the_views_say(tmp_path_factory, events):
    path = write_ledger(tmp_path_factory.mktemp("x") / "x.sqlite", events)
    found = read(path)
    counted, stays, out = in_views(path)
    assert rows_of(found) == counted
    assert sorted(stays_of(found), key=str) == stays
    texts = found.history.names.texts
    ours = found.history.outages(range(len(texts)))
    assert sorted((texts[stream], *rest) for stream, *rest in ours) == out


@settings(max_examples=examples(80), deadline=None)
@given(events=ledgers(), cuts=st.lists(st.integers(0, 25), max_size=4))
def test_row_by_row_is_the_same_as_all_at_once(tmp_path_factory, events, cuts):
    folder = tmp_path_factory.mktemp("x")
    path = folder / "x.sqlite"
    write_ledger(path, [])
    found = read(path)
    edges = [0, *sorted(cuts), len(events)]
    for first, beyond in itertools.pairwise(edges):
        if events[first:beyond]:
            insert(path, events[first:beyond])
        found.read()
    counted, stays, _ = in_views(path)
    assert rows_of(found) == counted
    assert sorted(stays_of(found), key=str) == stays
    at_once = read(path)
    assert rows_of(at_once) == counted


def insert(path, events, edition=1) -> None:
    """As the sink does, without what it adds by itself."""
    from tracker.formats.event_rows import row_of
    from tracker.formats.event_store import insertion

    connection = sqlite3.connect(path)
    connection.executemany(insertion(), [row_of(event) | {"edition": edition} for event in events])
    connection.commit()
    connection.close()


def test_an_event_in_two_ledgers_counts_once(tmp_path):
    first = write_ledger(tmp_path / "a.events.jsonl", [crossing(1), crossing(2)])
    second = write_ledger(tmp_path / "b.sqlite", [crossing(2), crossing(3), crossing(9, stream="yard")])
    third = write_ledger(tmp_path / "c.events.parquet", [crossing(3), crossing(4), crossing(9, stream="yard")])
    found = read(first, second, third)
    assert sorted(found.history.events["at"].tolist()) == [START_MS + 1000 * number for number in (1, 2, 3, 4, 9)]
    whole = found.rows(1, [2, 1])
    assert [row["key"] for row in whole] == [crossing(3).key, crossing(2).key]
    found.close()


@pytest.mark.parametrize("clock_first", [True, False])
def test_an_event_in_two_ledgers_counts_once_where_one_has_no_clock(tmp_path, clock_first):
    timed = [crossing(1), replace(crossing(2), since_s=1.5), crossing(3)]
    plain = [replace(event, utc_ms=None) for event in (*timed, crossing(4))]
    both = [write_ledger(tmp_path / "a.sqlite", timed), write_ledger(tmp_path / "b.events.jsonl", plain)]
    found = read(*both) if clock_first else read(*reversed(both))
    assert len(found.history.events) == 4
    found.close()


def test_two_runs_of_a_camera_have_equal_media_times_and_count_both(tmp_path):
    again = replace(crossing(1), utc_ms=START_MS + 90_000)
    first, second = (
        write_ledger(tmp_path / f"{name}.sqlite", [one]) for name, one in (("a", crossing(1)), ("b", again))
    )
    assert len(read(first, second).history.events) == 2


def test_rows_that_were_deleted_are_forgotten(tmp_path):
    path = write_ledger(tmp_path / "b.sqlite", [crossing(2), crossing(3), crossing(9, stream="yard")])
    found = read(path)
    connection = sqlite3.connect(path)
    connection.execute("DELETE FROM ledger WHERE stream = 'yard'")
    connection.commit()
    connection.close()
    found._looks = 59
    found.read()
    assert len(found.history.events) == 2
    path.unlink()
    write_ledger(path, [crossing(5)])
    found.read()
    assert found.history.events["at"].tolist() == [START_MS + 5000]


def test_a_recording_that_was_counted_anew_counts_once(tmp_path):
    path = write_ledger(tmp_path / "b.sqlite", [crossing(2), crossing(3), crossing(9, stream="yard")])
    found = read(path)
    insert(path, [crossing(2), crossing(4), crossing(5)], edition=2)
    insert(path, [crossing(10, stream="yard")])
    found.read()
    assert len(found.history.events) == 4, "the new edition does not hold yet"
    connection = sqlite3.connect(path)
    connection.execute("INSERT INTO editions VALUES ('gate', 2, 5)")
    connection.commit()
    connection.close()
    found.read()
    at = found.history.events["at"].tolist()
    assert sorted(at) == [START_MS + 1000 * number for number in (2, 4, 5, 9, 10)]


def test_it_says_when_all_is_read(tmp_path):
    path = write_ledger(tmp_path / "b.sqlite", [crossing(2)])
    found = Ledgers()
    found.want([path])
    assert not found.whole()
    assert found.facts()["reading"]
    found.start()
    assert found.whole(20)
    assert len(found.history.events) == 1
    found.close()


def test_a_ledger_that_cannot_be_read_does_not_keep_the_others_away(tmp_path):
    good = write_ledger(tmp_path / "b.sqlite", [crossing(2)])
    bad = tmp_path / "a.events.jsonl"
    bad.write_text("{", "utf-8")
    found = Ledgers()
    found.want([bad, tmp_path / "not-yet.sqlite", good])
    found.read()
    assert len(found.history.events) == 1
    assert [one["ledger"] for one in found.problems()] == ["a.events.jsonl"]
    found.close()


def test_a_stay_that_goes_on_under_another_number_is_one(tmp_path):
    def stay_row(kind: str, at: int, identity: int, **stay: object) -> Event:
        return crossing(at, kind=kind, place="shop", direction="", identity=identity, stay=Stay(**stay))

    events = [
        stay_row("enter", 10, 1, entered_s=10.0),
        stay_row("leave", 30, 2, entered_s=10.0, left_s=30.0, end="left"),
    ]
    path = write_ledger(tmp_path / "b.sqlite", events)
    found = read(path)
    assert len(stays_of(found)) == 2
    insert(path, [crossing(40, kind="rekeyed", place="", direction="", identity=1, was_identity=2)])
    found.read()
    assert [stay[5] for stay in stays_of(found)] == ["left"]
