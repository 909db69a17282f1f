"""Queries of a ledger: sums of bins, outages, corrections, stays and presence; a store's views say the same."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.analytics.walks import frames, of, through
from tests.sinks.ledgers import START_MS, SUFFIXES, crossing, write_ledger
from tests.thorough import examples
from tracker.analytics.corrections import Corrections
from tracker.analytics.counts import BY, BinCount, Sums, balances, count_bins, counts, filled, od_matrix, sums_of
from tracker.analytics.measures import SiteMeasures
from tracker.analytics.stays import presence, stays
from tracker.errors import ConfigError
from tracker.events import Event, Stay
from tracker.formats.event_store import grouped, open_store, outages, spans
from tracker.formats.ledger import read_events
from tracker.plugins import open_sink
from tracker.site import Doors, Flow, Line, Site, Zone

TIMES = st.integers(0, 7_200_000)


@st.composite
def ledgers(draw: st.DrawFn) -> list[Event]:
    """Rows of a few streams, lines and identities, in any order, with and without a wall clock."""
    rows = []
    for _ in range(draw(st.integers(0, 25))):
        kind = draw(
            st.sampled_from(
                [
                    "crossing",
                    "crossing",
                    "flow",
                    "enter",
                    "leave",
                    "reclassified",
                    "rekeyed",
                    "gap",
                    "dark",
                    "loitering",
                ]
            )
        )
        stream = draw(st.sampled_from(["gate", "yard"]))
        at_ms, ago_ms = draw(TIMES), draw(st.integers(0, 600_000))
        time_s, since_s = at_ms / 1000, max(at_ms - ago_ms, 0) / 1000
        stay = None
        if kind in {"enter", "leave", "loitering"}:
            stay = Stay(
                entered_s=time_s if kind == "enter" else since_s,
                left_s=time_s if kind == "leave" else None,
                began=draw(st.sampled_from(["entered", "already_inside"])),
                end=draw(st.sampled_from(["left", "lost", "open", "restart"])) if kind == "leave" else "open",
            )
        rows.append(
            Event(
                kind=kind,
                stream=stream,
                time_s=time_s,
                utc_ms=START_MS + at_ms if stream == "gate" else None,
                place=draw(st.sampled_from(["a", "b"])),
                direction=draw(st.sampled_from(["in", "out"])) if kind == "crossing" else "",
                identity=draw(st.integers(1, 4)),
                class_name=draw(st.sampled_from(["car", "bus"])),
                since_s=since_s if kind in {"flow", "gap"} or (kind == "dark" and draw(st.booleans())) else None,
                stay=stay,
                was_identity=draw(st.integers(1, 4)) if kind == "rekeyed" else 0,
                was_class="car" if kind == "reclassified" else "",
            )
        )
    return list({event.key: event for event in rows}.values())


def in_store(path: Path, kind: str, by=BY, bin_s: int = 900, **limits: int) -> list[BinCount]:
    """The same counts by SQL."""
    from tracker.app.sums import sums_of_ledgers

    sums = sums_of_ledgers([path], [kind], by, bin_s, (limits.get("start_ms"), limits.get("end_ms")))
    return list(filled(sums, by=by, bin_s=bin_s, **limits))


@settings(max_examples=examples(60), deadline=None)
@given(events=ledgers(), kind=st.sampled_from(["crossing", "flow", "enter", "leave", "loitering"]))
def test_sums_of_bins_are_totals_and_the_store_counts_the_same(tmp_path_factory, events, kind):
    path = write_ledger(tmp_path_factory.mktemp("x") / "x.sqlite", events)
    events = list(read_events(path))  # with the stays that the store itself ended, if any
    total = sum(event.kind == kind and counts(event) for event in events)
    for bin_s in (60, 900, 3600):
        bins = count_bins(events, kinds=[kind], bin_s=bin_s)
        assert sum(one.count or 0 for one in bins) == total
        assert bins == in_store(path, kind, bin_s=bin_s)
        assert len({(one.utc, one.start_ms, one.group) for one in bins}) == len(bins)
    by_class = Counter[str]()
    for one in count_bins(events, kinds=[kind], by=["class"]):
        by_class[one.group[0]] += one.count or 0
    corrections = Corrections.of(events)
    final = Counter(corrections.apply(event).class_name for event in events if event.kind == kind and counts(event))
    assert +by_class == final


@settings(max_examples=examples(60), deadline=None)
@given(events=ledgers())
def test_the_store_knows_the_same_stays(tmp_path_factory, events):
    path = write_ledger(tmp_path_factory.mktemp("x") / "x.sqlite", events)
    with open_store(path) as connection:
        query = 'SELECT stream, place, identity, class, began, "end", closed, entered_ms FROM stays WHERE utc'
        found = connection.execute(query.replace(" WHERE utc", "")).fetchall()
    expected = stays(list(read_events(path)))
    assert len(found) == len(expected)
    gate = sorted((row for row in found if row[0] == "gate"), key=str)
    ours = [
        (one.stream, one.place, one.identity, one.class_name, one.began, one.end, one.closed, one.entered_ms)
        for one in expected
        if one.stream == "gate"
    ]
    assert [tuple(row) for row in gate] == sorted(ours, key=str)


@settings(max_examples=examples(40), deadline=None)
@given(events=ledgers(), start=TIMES, length=TIMES)
def test_halves_of_a_time_add_up(events, start, length):
    start_ms, end_ms = START_MS + start, START_MS + start + length
    middle_ms = (start_ms + end_ms) // 2
    known = [event for event in events if event.utc_ms is not None]

    def total(start_ms: int, end_ms: int) -> int:
        return sum(one.count or 0 for one in count_bins(known, start_ms=start_ms, end_ms=end_ms))

    assert total(start_ms, middle_ms) + total(middle_ms, end_ms) == total(start_ms, end_ms)


def test_bins_are_zero_where_nothing_came_and_unknown_where_the_camera_was_out():
    gap = Event(kind="gap", stream="gate", time_s=2800.0, utc_ms=START_MS + 2_800_000, since_s=1900.0)
    events = [crossing(100, direction="in"), gap, crossing(3000, direction="in"), crossing(5500, direction="in")]
    bins = count_bins(events, by=["stream"])
    assert [(one.count, one.outage) for one in bins] == [
        (1, False),
        (0, False),
        (None, True),
        (1, True),
        (0, False),
        (0, False),
        (1, False),
    ]
    assert bins == count_bins(events, by=["stream"], groups=[("gate",)])


def test_a_state_that_is_not_over_lasts_until_the_last_row():
    dark = Event(kind="dark", stream="gate", time_s=1000.0, utc_ms=START_MS + 1_000_000)
    other = crossing(4000, stream="yard")
    bins = count_bins([crossing(10), dark, crossing(2000), other], by=["stream"])
    assert [one.outage for one in bins if one.group == ("gate",)] == [False, True, True, True, True]
    assert [one.count for one in bins if one.group == ("gate",)] == [1, None, 1, None, None]
    # Of each stream its own events say when it was looking; together they are looking where one of them is.
    assert [one.count for one in bins if one.group == ("yard",)] == [None, None, None, None, 1]
    together = count_bins([crossing(10), dark, crossing(2000), other], by=["place"])
    assert [one.count for one in together] == [1, None, 1, None, 1]
    assert any(one.outage for one in count_bins([crossing(10), dark], by=["class"]))


def test_classes_and_numbers_are_the_final_ones():
    events = [
        crossing(1, identity=7, class_name="car"),
        crossing(2, identity=5, class_name="car"),
        crossing(3, identity=3, class_name="car"),
        Event(kind="rekeyed", stream="gate", time_s=4.0, identity=5, was_identity=7, class_name="car"),
        Event(kind="rekeyed", stream="gate", time_s=5.0, identity=3, was_identity=5, class_name="car"),
        Event(kind="reclassified", stream="gate", time_s=9.0, identity=3, class_name="bus", was_class="car"),
    ]
    corrected = [Corrections.of(events).apply(event) for event in events[:3]]
    assert [(event.identity, event.class_name) for event in corrected] == [(3, "bus")] * 3
    assert Corrections.of([]).apply(events[0]) is events[0]


def test_counts_of_two_semantics_are_not_added():
    sums = Sums(semantics={1, 2})
    with pytest.raises(ConfigError, match="found semantics 1 and 2"):
        list(filled(sums, by=BY, bin_s=900))


def stay_row(kind: str, at: int, *, identity: int = 7, **stay: object) -> Event:
    return crossing(at, kind=kind, place="shop", direction="", identity=identity, stay=Stay(**stay))


def test_of_several_ends_that_in_view_holds():
    events = [
        stay_row("enter", 10, entered_s=10.0),
        stay_row("leave", 90, entered_s=10.0, left_s=90.0, end="left"),
        stay_row("leave", 50, entered_s=10.0, left_s=50.0, end="restart"),
        stay_row("enter", 100, entered_s=100.0, began="already_inside"),
        stay_row("leave", 130, entered_s=100.0, left_s=130.0, end="restart"),
        stay_row("enter", 200, entered_s=200.0),
    ]
    found = stays(events)
    assert [(one.dwell_s, one.end, one.closed) for one in found] == [
        (80.0, "left", True),
        (30.0, "restart", False),
        (None, None, False),
    ]


def test_presence_is_seconds_over_seconds():
    events = [
        stay_row("enter", 0, entered_s=0.0),
        stay_row("enter", 450, identity=8, entered_s=450.0),
        stay_row("leave", 900, entered_s=0.0, left_s=900.0, end="left"),
        stay_row("leave", 1800, identity=8, entered_s=450.0, left_s=1800.0, end="left"),
        stay_row("enter", 1800, identity=9, entered_s=1800.0),
    ]
    rows = presence(stays(events), until_ms=START_MS + 2_250_000)
    assert [((one.start_ms - START_MS) // 900_000, one.mean, one.most) for one in rows if one.mean] == [
        (0, 1.5, 2),
        (1, 1.0, 1),
        (2, 0.5, 1),
    ]


WEST = Line(name="west", points=((0.2, 0.0), (0.2, 1.0)))
EAST = Line(name="east", points=((0.8, 0.0), (0.8, 1.0)))
SITE = Site(
    lines=(WEST, EAST),
    zones=(Zone(name="middle", polygons=(((0.4, 0.1), (0.6, 0.1), (0.6, 0.9), (0.4, 0.9)),)),),
    flows=(Flow(name="W-E", start="west", end="east"), Flow(name="E-W", start="east", end="west")),
    doors=(Doors(name="room", lines=("west",)),),
)


@pytest.mark.quick(".events.jsonl")
@pytest.mark.parametrize("suffix", SUFFIXES)
def test_the_ledger_gives_what_the_process_had(tmp_path, suffix):
    start_ms = round(datetime(2026, 10, 25, 0, 50, tzinfo=UTC).timestamp() * 1000)
    paths = {n: through((30.0 * n, 0.1, 0.2 + 0.02 * n), (30.0 * n + 9, 0.9, 0.2 + 0.02 * n)) for n in range(1, 21)}
    paths |= {n: through((30.0 * n, 0.9, 0.7), (30.0 * n + 9, 0.1, 0.7)) for n in range(21, 29)}
    measures = SiteMeasures(SITE, stream="gate", start_utc_ms=start_ms)
    live: list[Event] = []
    path = tmp_path / f"x{suffix}"
    with open_sink(path, stream="gate") as sink:
        for frame in frames(paths, fps=5, duration_s=900):
            from dataclasses import replace

            found = measures.process(frame)
            live += found
            sink.write(replace(frame, events=found))
        last = measures.close()
        sink.write_events(last)
        live += last
    read = list(read_events(path))
    assert read == live
    assert balances(read, SITE.doors, timezone="UTC") == measures.occupancy().balance
    assert od_matrix(SITE, read) == {("west", "east"): 20, ("east", "west"): 8}
    rows = count_bins(read, by=["place", "direction"])
    totals = Counter[tuple[str, ...]]()
    for row in rows:
        totals[row.group] += row.count or 0
    assert totals == Counter((event.place, event.direction) for event in of(live, "crossing"))
    closed = [one for one in stays(read) if one.closed]
    assert len(closed) == 28
    assert sum(one.dwell_s or 0.0 for one in closed) == pytest.approx(28 * 9 * 0.2 / 0.8, abs=0.2)


def test_store_functions_of_an_empty_ledger(tmp_path):
    path = write_ledger(tmp_path / "x.sqlite", [])
    with open_store(path) as connection:
        assert (spans(connection), outages(connection)) == ({}, [])
        assert grouped(connection, kinds=["crossing"], by=BY, bin_ms=900_000) == []
    assert sums_of([], corrections=Corrections()).counts == {}
