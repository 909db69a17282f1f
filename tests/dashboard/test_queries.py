"""Questions of the pages: counts and stays as the commands give them, days of 23 and 25 hours, gaps that are not 0."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.analytics.test_counts import TIMES, in_store, ledgers
from tests.dashboard.test_history import read
from tests.sinks.ledgers import START_MS, crossing, write_ledger
from tests.thorough import examples
from tracker.analytics.bins import shifted
from tracker.analytics.counts import BY
from tracker.analytics.dwell import quantiles
from tracker.analytics.stays import stays
from tracker.dashboard.bin_series import bin_series
from tracker.dashboard.bins import edges_of
from tracker.dashboard.dwell import dwell
from tracker.dashboard.filters import Filter
from tracker.dashboard.problems import ApiError
from tracker.dashboard.queries import CountQuery, counts, flows, places, present, today
from tracker.events import Event, Stay
from tracker.formats.ledger import read_events

BERLIN = ZoneInfo("Europe/Berlin")
EVERY = ("gate", "yard")


def ms(text: str) -> int:
    return round(datetime.fromisoformat(text).timestamp() * 1000)


@settings(max_examples=examples(120), deadline=None)
@given(
    events=ledgers(),
    kind=st.sampled_from(["crossing", "flow", "enter", "leave", "loitering"]),
    bins=st.tuples(st.sampled_from([60, 900, 3600]), st.sampled_from([BY, BY[1:]])),
    limits=st.none() | st.tuples(TIMES, TIMES).map(sorted),
)
def test_counts_are_those_of_the_command_in_every_bin(tmp_path_factory, events, kind, bins, limits):
    bin_s, by = bins
    path = write_ledger(tmp_path_factory.mktemp("x") / "x.sqlite", events)
    found = read(path)
    limited = {} if limits is None else {"start_ms": START_MS + limits[0], "end_ms": START_MS + limits[1]}
    expected = in_store(path, kind, by=by, bin_s=bin_s, **limited)
    for utc in (True, False) if limits is None else (True,):
        asked = Filter(streams=EVERY, kinds=(kind,), from_ms=limited.get("start_ms"), to_ms=limited.get("end_ms"))
        answer = counts(found.history, CountQuery(asked=asked, by=by, bin_s=bin_s, zone=ZoneInfo("UTC"), utc=utc))
        ours = {
            (start, tuple(series["group"].values())): count
            for series in answer["series"]
            for start, count in zip(answer["starts_ms"], series["counts"], strict=True)
        }
        # Groups of the other clock have rows in the command's table, too.
        theirs = [one for one in expected if one.utc == utc]
        groups = {one.group for one in theirs if one.count}
        assert ours == {(one.start_ms, one.group): one.count for one in theirs if one.group in groups}


@settings(max_examples=examples(60), deadline=None)
@given(events=ledgers())
def test_dwell_is_that_of_the_stays(tmp_path_factory, events):
    path = write_ledger(tmp_path_factory.mktemp("x") / "x.sqlite", events)
    found = dwell(read(path).history, Filter(streams=["gate"]))
    expected = [one for one in stays(list(read_events(path))) if one.stream == "gate"]
    closed = [one.dwell_s for one in expected if one.closed]
    assert (found["n"], found["closed"]) == (len(expected), len(closed))
    assert found["mean_s"] == (pytest.approx(sum(closed) / len(closed), abs=2e-3) if closed else None)
    assert sum(one["count"] for one in found["histogram"]) == len(closed)
    assert sum(one["n"] for one in found["by"]) == len(expected)


def test_the_median_counts_stays_whose_end_was_not_seen():
    length = np.array([10.0, 20.0, 30.0, 40.0, 50.0])
    assert quantiles(length, np.ones(5, np.bool_), [0.5, 0.9]) == [30.0, 50.0]
    # Three of five were lost at 25 s and later: half of all stays were longer than 40 s.
    assert quantiles(length, np.array([True, True, False, True, True]), [0.5]) == [40.0]
    assert quantiles(length, np.array([True, False, False, False, False]), [0.5]) == [None]
    assert quantiles(length[:0], np.ones(0, np.bool_), [0.5]) == [None]


@pytest.mark.parametrize(("day", "hours"), [("2026-03-29", 23), ("2026-10-25", 25), ("2026-06-01", 24)])
def test_a_local_day_is_one_bin_however_long(day, hours):
    begin = ms(f"{day}T00:00+0{1 if day[5:7] == '03' else 2}:00")
    edges = edges_of(begin, begin + 3_600_000, 86_400, BERLIN)
    assert edges.tolist() == [begin, begin + hours * 3_600_000]
    assert len(edges_of(begin, begin + hours * 3_600_000, 3600, BERLIN)) == hours + 1


@given(
    at=st.datetimes(datetime(2025, 1, 1), datetime(2027, 1, 1)),  # noqa: DTZ001 - made aware below
    hours=st.integers(0, 2000),
    bin_s=st.sampled_from([60, 900, 3600, 86_400, 7 * 86_400]),
)
def test_edges_cover_the_time_and_rise(at, hours, bin_s):
    from_ms = round(at.replace(tzinfo=UTC).timestamp() * 1000)
    to_ms = from_ms + min(hours, bin_s) * 3_600_000
    edges = edges_of(from_ms, to_ms, bin_s, BERLIN)
    assert edges[-1] >= to_ms
    assert edges[0] <= from_ms
    assert (np.diff(edges) > 0).all()
    if bin_s >= 86_400:
        local = [datetime.fromtimestamp(edge / 1000, BERLIN) for edge in edges.tolist()]
        assert all((one.hour, one.minute) == (0, 0) for one in local)


def test_last_week_is_the_same_time_on_the_clock():
    begin = ms("2026-03-30T00:00+02:00")
    edges = edges_of(begin, begin + 86_400_000, 3600, BERLIN)
    before = [datetime.fromtimestamp(edge / 1000, BERLIN) for edge in shifted(edges, 604_800, BERLIN).tolist()]
    assert [one.hour for one in before] == [*range(24), 0]
    assert before[0].date().isoformat() == "2026-03-23"
    assert shifted(edges, 3600, BERLIN).tolist() == (edges - 3_600_000).tolist()


def test_too_many_bins_are_refused_with_the_remedy():
    with pytest.raises(ApiError, match="bin_s"):
        edges_of(0, 86_400_000 * 365, 60, BERLIN)
    with pytest.raises(ApiError):
        edges_of(10, 5, 60, BERLIN)


@pytest.fixture
def history(tmp_path):
    week = 7 * 86_400
    events = [
        *(crossing(10 * n, identity=n, direction="in", class_name="car") for n in range(1, 6)),
        *(crossing(10 * n + week, identity=n + 10, direction="in", class_name="car") for n in range(1, 9)),
        crossing(20 + week, identity=30, direction="out", class_name="bus"),
        crossing(25 + week, identity=31, stream="secret", place="vault", direction="in"),
        Event(
            kind="gap",
            stream="gate",
            time_s=week + 5400.0,
            utc_ms=START_MS + 1000 * (week + 5400),
            since_s=week + 3700.0,
        ),
        crossing(week + 9000, identity=40, direction="in", class_name="car"),
        crossing(week + 40, kind="flow", place="through", direction="", identity=33, since_s=week + 30.0),
        crossing(week + 50, kind="enter", place="hall", direction="", identity=34, stay=Stay(entered_s=week + 50.0)),
    ]
    return read(write_ledger(tmp_path / "x.sqlite", events)).history


def test_a_week_is_compared_bin_by_bin(history):
    week_ms = 7 * 86_400_000
    asked = Filter(
        streams=["gate"], kinds=("crossing",), from_ms=START_MS + week_ms, to_ms=START_MS + week_ms + 3_600_000
    )
    query = CountQuery(asked=asked, by=("direction",), bin_s=3600, zone=ZoneInfo("UTC"), compare_s=604_800)
    answer = counts(history, query)
    assert [(one["group"]["direction"], one["total"]) for one in answer["series"]] == [("in", 8), ("out", 1)]
    assert [(one["group"]["direction"], one["total"]) for one in answer["compared"]] == [("in", 5)]


def test_an_outage_is_never_a_zero(history):
    week_ms = 7 * 86_400_000
    begin = START_MS + week_ms
    asked = Filter(streams=["gate"], kinds=("crossing",), from_ms=begin, to_ms=begin + 10_800_000)
    answer = counts(history, CountQuery(asked=asked, by=("direction",), bin_s=1800, zone=ZoneInfo("UTC")))
    of_in = next(one for one in answer["series"] if one["group"]["direction"] == "in")
    assert of_in["counts"] == [8, 0, None, None, 0, 1]
    assert answer["outage_bins"] == [False, False, True, True, False, False]
    assert [(one["stream"], one["kind"]) for one in answer["outages"]] == [("gate", "gap")]


def test_of_a_time_without_any_event_nothing_is_known(history):
    """Not even 0: a camera that was added on Monday did not count nobody on Sunday."""
    week_ms, hour_ms = 7 * 86_400_000, 3_600_000
    begin = START_MS - hour_ms
    asked = Filter(streams=EVERY, kinds=("crossing",), from_ms=begin, to_ms=begin + 4 * hour_ms)
    query = CountQuery(asked=asked, by=("stream",), bin_s=3600, zone=ZoneInfo("UTC"), compare_s=3600)
    answer = counts(history, query)
    assert answer["series"][0]["counts"] == [None, 5, 0, 0]
    assert answer["compared"][0]["counts"] == [None, None, 5, 0]
    assert answer["outage_bins"] == [False] * 4  # nothing was out
    late = replace(asked, from_ms=START_MS + week_ms + hour_ms, to_ms=START_MS + week_ms + 5 * hour_ms)
    assert counts(history, replace(query, asked=late, compare_s=None))["series"][0]["counts"] == [None, 1, None, None]


def test_between_two_recordings_nothing_is_known(tmp_path):
    hour_s = 3600
    first, later, bare = crossing(10), crossing(3 * hour_s + 10, stream="yard"), crossing(20, stream="old")
    events = [first, later, replace(bare, utc_ms=None)]
    history = read(write_ledger(tmp_path / "x.sqlite", events)).history
    asked = Filter(streams=["gate", "yard", "old"], kinds=("crossing",))
    query = CountQuery(asked=asked, by=("kind",), bin_s=hour_s, zone=ZoneInfo("UTC"))
    answer = counts(history, query)
    assert answer["series"][0]["counts"] == [1, None, None, 1]
    assert answer["left_out"] == ["old"]
    # With limits of the time who asks knows that media time is not in it; alone it is what is answered.
    limited = replace(asked, from_ms=START_MS, to_ms=START_MS + hour_s * 1000)
    assert counts(history, replace(query, asked=limited))["left_out"] == []
    alone = counts(history, replace(query, asked=replace(asked, streams=["old"])))
    assert (alone["utc"], alone["left_out"]) == (False, [])
    assert bin_series(history, asked, hour_s).left_out == ["old"]


def test_what_a_camera_that_sees_now_has_not_told_did_not_happen(history):
    """Until now it is 0, beyond it nothing is known; of a stream that does not see now its last event decides."""
    hour_ms = 3_600_000
    begin = START_MS + 7 * 86_400_000 + hour_ms
    asked = Filter(streams=EVERY, kinds=("crossing",), from_ms=begin, to_ms=begin + 5 * hour_ms)
    query = CountQuery(asked=asked, by=("stream",), bin_s=3600, zone=ZoneInfo("UTC"))
    for looking, expected in (
        ({}, [None, 1, None, None, None]),
        ({"gate": begin + 3 * hour_ms + 5}, [None, 1, 0, 0, None]),
        ({"yard": begin + 3 * hour_ms + 5}, [None, 1, None, None, None]),
    ):
        answer = counts(history, replace(query, looking=looking))
        gate = next(one for one in answer["series"] if one["group"]["stream"] == "gate")
        assert gate["counts"] == expected


def test_streams_that_may_not_be_seen_are_in_no_answer(history):
    for streams in ([], ["gate"]):
        asked = Filter(streams=streams)
        text = repr(
            [
                counts(history, CountQuery(asked=asked, by=("stream", *BY[1:]), bin_s=86_400, zone=BERLIN)),
                dwell(history, asked),
                flows(history, asked),
                present(history, streams),
                places(history, asked),
            ]
        )
        assert "vault" not in text
        assert "secret" not in text
    assert "gate" not in repr(flows(history, Filter(streams=[])))


def test_small_questions(history):
    assert flows(history, Filter(streams=["gate"])) == [{"stream": "gate", "name": "through", "count": 1}]
    assert [(one["place"], one["present"]) for one in present(history, ["gate"])] == [("hall", 1)]
    since = START_MS + round(timedelta(days=7) / timedelta(milliseconds=1))
    assert today(history, {"gate": since, "none": None})["gate"] == [
        {"place": "door", "direction": "in", "count": 9},
        {"place": "door", "direction": "out", "count": 1},
        {"place": "hall", "direction": "", "count": 1},
    ]
    found = places(history, Filter(streams=["gate"]))
    assert found["places"] == ["door", "hall", "through"]
    assert found["directions"] == ["in", "out"]


def test_rules_of_two_versions_are_not_added(tmp_path):
    path = write_ledger(tmp_path / "x.sqlite", [crossing(1), crossing(2, semantics=0)])
    found = read(path)
    with pytest.raises(ApiError, match="semantics"):
        counts(found.history, CountQuery(asked=Filter(streams=["gate"]), zone=BERLIN))
