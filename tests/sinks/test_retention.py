"""Old events are deleted in batches: counts stay the same at every moment, and nothing comes twice."""

from __future__ import annotations

import sqlite3
import threading
from contextlib import closing
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from tests.sinks.ledgers import START_MS, crossing, frames_with
from tracker.analytics.turnover import parkings
from tracker.dashboard.filters import Filter
from tracker.dashboard.ledgers import Ledgers
from tracker.dashboard.queries import flows, spans, today
from tracker.errors import SinkError, SourceError
from tracker.events import Event, Stay
from tracker.formats import event_store
from tracker.formats.event_store import BIN_MS, grouped, open_store, outages
from tracker.formats.ledger import read_events
from tracker.plugins import open_sink
from tracker.report.period import Period
from tracker.report.questions import Store as Questions
from tracker.sinks import retention
from tracker.sinks.retention import DAY_MS, prune
from tracker.sinks.store_care import check

COUNTS = "SELECT stream, kind, place, direction, class, bin_ms, count FROM counts_15min ORDER BY 1, 2, 3, 4, 5, 6"


def write(path: Path, events: list[Event], **context: object) -> None:
    with open_sink(path, **context) as sink:
        for frame in frames_with(events):
            sink.write(frame)


def asked(path: Path, query: str) -> list[tuple]:
    with open_store(path) as connection:
        return connection.execute(query).fetchall()


def stay(kind: str, at_s: float, identity: int, **facts: object) -> Event:
    given = {"entered_s": at_s, "left_s": None, "began": "entered", "end": "open"} | facts
    return Event(
        kind=kind,
        stream="gate",
        time_s=at_s,
        utc_ms=START_MS + round(1000 * at_s),
        place="hall",
        identity=identity,
        class_name="person",
        stay=Stay(**given),
    )


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """An hour of crossings at another camera too, a stay, one that lasts, an outage, and a corrected class."""
    path = tmp_path / "events.sqlite"
    crossings = [crossing(number * 20) for number in range(180)]
    others = [crossing(number * 60, stream="side") for number in range(60)]
    rest = [
        stay("enter", 100.0, 501),
        stay("leave", 160.0, 501, entered_s=100.0, left_s=160.0, end="left"),
        stay("enter", 200.0, 502),
        Event(kind="gap", stream="gate", time_s=300.0, utc_ms=START_MS + 300_000, since_s=250.0),
        crossing(400, identity=900, class_name="person"),
        Event(
            kind="reclassified",
            stream="gate",
            time_s=410.0,
            utc_ms=START_MS + 410_000,
            identity=900,
            class_name="bicycle",
        ),
        Event(
            kind="flow",
            stream="gate",
            time_s=960.0,
            utc_ms=START_MS + 960_000,
            since_s=880.0,
            place="through",
            identity=7,
            class_name="person",
        ),
    ]
    events = sorted([*crossings, *rest], key=lambda one: one.time_s)
    write(path, events)
    write(path, others)
    return path


def counts(path: Path) -> dict[str, object]:
    """Every way in which counts are asked for."""
    with open_store(path) as connection:
        by = ("stream", "kind", "place", "direction", "class")
        rows = grouped(connection, kinds=("crossing", "enter", "leave", "flow"), by=by, bin_ms=BIN_MS)
        return {
            "view": connection.execute(COUNTS).fetchall(),
            "command": sorted(rows),
            "outages": outages(connection),
        }


@pytest.mark.parametrize("minutes", [0, 30, 1000])
def test_what_was_counted_is_counted_still(store: Path, minutes: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "BATCH_ROWS", 7)
    monkeypatch.setattr(retention, "PAUSE_S", 0.0)
    before = counts(store)
    assert before["view"]
    done = prune(store, events_before_ms=START_MS + 60_000 * minutes)
    assert counts(store) == before
    assert (done.events > 0) == (minutes > 0)
    left = list(read_events(store))
    cut_ms = (START_MS + 60_000 * minutes) // BIN_MS * BIN_MS
    old = [event for event in left if event.utc_ms < cut_ms]
    assert {(event.kind, event.identity) for event in old} <= {("gap", 0), ("enter", 502), ("reclassified", 900)}
    assert check(store).deleted == done.events


def test_the_dashboard_counts_the_same(store: Path) -> None:
    def seen() -> tuple:
        ledgers = Ledgers()
        ledgers.want([store])
        ledgers.read()
        history = ledgers.history
        return (
            today(history, {"gate": None, "side": None}),
            flows(history, Filter(streams=["gate"])),
            spans(history, ["gate", "side"])[True][1] >= START_MS,
        )

    before = seen()
    prune(store, events_before_ms=START_MS + 1_000_000_000)
    assert seen() == before


def test_counts_are_right_at_every_moment(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A reader between the batches."""
    monkeypatch.setattr(retention, "BATCH_ROWS", 11)
    monkeypatch.setattr(retention, "PAUSE_S", 0.0)
    before, wrong = asked(store, COUNTS), []

    def look(rows: int) -> None:
        if asked(store, COUNTS) != before:
            wrong.append(rows)

    prune(store, events_before_ms=START_MS + 1_000_000_000, progress=look)
    assert wrong == []


def test_it_can_be_stopped_and_continued(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "BATCH_ROWS", 5)
    stop, before = threading.Event(), asked(store, COUNTS)
    first = prune(store, events_before_ms=START_MS + DAY_MS, stop=stop, progress=lambda _: stop.set())
    assert 1 <= first.events <= 5
    assert asked(store, COUNTS) == before
    second = prune(store, events_before_ms=START_MS + DAY_MS)
    assert second.events > 200
    assert asked(store, COUNTS) == before
    assert check(store).deleted == first.events + second.events


def test_a_dry_run_changes_nothing(store: Path) -> None:
    bytes_before = asked(store, "SELECT count(*) FROM ledger")
    told = prune(store, events_before_ms=START_MS + 10 * DAY_MS, dry_run=True)
    assert asked(store, "SELECT count(*) FROM ledger") == bytes_before
    assert told.events > 200
    assert told.counted == 180 + 60 + 1 + 1 + 1 + 3 - 1  # crossings, entry and exit, the corrected one, the flow


def test_events_that_were_deleted_do_not_come_again(store: Path) -> None:
    before = asked(store, COUNTS)
    prune(store, events_before_ms=START_MS + 10 * DAY_MS)
    write(store, [crossing(number * 60, stream="side") for number in range(60)])
    assert asked(store, COUNTS) == before
    assert asked(store, "SELECT count(*) FROM events WHERE stream = 'side'") == [(0,)]
    with pytest.raises(SinkError, match=r"those before .* deleted by their age"):
        open_sink(store, edition="revise", stream="side")


def test_bins_have_an_age_of_their_own(store: Path) -> None:
    prune(store, events_before_ms=START_MS + 10 * DAY_MS)
    held = asked(store, "SELECT count(*) FROM bins")[0][0]
    first = START_MS // BIN_MS * BIN_MS + BIN_MS
    gone = prune(store, bins_before_ms=first).bins
    assert 0 < gone < held
    assert asked(store, "SELECT min(bin_ms) FROM bins") == [(first,)]


def test_deleted_texts_are_not_left_in_the_file(store: Path) -> None:
    write(store, [crossing(9, stream="gate9", place="a-place-with-a-name")])
    prune(store, events_before_ms=START_MS + 10 * DAY_MS)
    prune(store, bins_before_ms=START_MS + 10 * DAY_MS)
    with closing(sqlite3.connect(store)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    assert b"a-place-with-a-name" not in store.read_bytes()


def test_events_without_a_wall_clock_stay_and_are_told(tmp_path: Path) -> None:
    path = tmp_path / "old.sqlite"
    write(path, [crossing(number, utc=False) for number in range(5)])
    done = prune(path, events_before_ms=START_MS + 10_000 * DAY_MS)
    assert (done.events, done.undated) == (0, 5)


def test_no_store_is_one_clear_line_and_none_is_made(tmp_path: Path, run) -> None:
    with pytest.raises(SourceError, match="expected a ledger, found nothing"):
        prune(tmp_path / "none.sqlite", events_before_ms=0)
    result = run("store", "prune", tmp_path / "none.sqlite", "--events-days", 90)
    assert result.status != 0
    assert "expected a ledger, found nothing" in result.text
    assert not (tmp_path / "none.sqlite").exists()
    result = run("store", "prune", tmp_path / "none.sqlite")
    assert "add --events-days 90, say" in result.text


def test_the_command_says_what_it_deleted(store: Path, run, tmp_path: Path) -> None:
    result = run("store", "prune", store, "--events-days", 1, "--bins-days", 20_000, "--json", tmp_path / "p.json")
    assert result.status == 0, result.text
    assert "events deleted" in result.text
    assert "0 bins deleted" in result.text
    assert '"counted": ' in (tmp_path / "p.json").read_text()
    result = run("store", "check", store)
    assert "deleted by age:" in result.text


def test_readers_of_the_version_before_refuse_a_store_with_bins(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(event_store, "SCHEMA_VERSION", 3)
    assert event_store.store_kind(store) == "newer"


@pytest.mark.parametrize("streams", [(), ("gate",)])
def test_reports_count_the_same(store: Path, streams: tuple[str, ...]) -> None:
    period = Period(
        utc=True,
        from_ms=START_MS - DAY_MS,
        to_ms=START_MS + DAY_MS,
        zone=ZoneInfo("UTC"),
        bin_s=900,
        edges=np.zeros(2, np.int64),
    )

    def told() -> tuple[list, int]:
        with open_store(store) as connection:
            asked_of = Questions(connection, streams)
            rows = sorted(asked_of.counts(period, ("crossing", "enter", "flow"), width_ms=BIN_MS))
            return rows, len(asked_of.spans())

    before = told()
    assert before[0]
    prune(store, events_before_ms=START_MS + 10 * DAY_MS)
    assert told() == before


def test_counts_of_a_pruned_store_beside_another_ledger_are_refused(store: Path, run, tmp_path: Path) -> None:
    write(tmp_path / "other.sqlite", [crossing(number, stream="back") for number in range(3)])
    assert run("counts", store, tmp_path / "other.sqlite").status == 0
    prune(store, events_before_ms=START_MS + 10 * DAY_MS)
    assert run("counts", store).status == 0
    result = run("counts", store, tmp_path / "other.sqlite")
    assert result.status == 2
    assert "expected a store with all of its events beside other ledgers" in result.text


def of_bay(kind: str, at_s: float, bay: str, **facts: object) -> Event:
    place = {"stream": "lot", "time_s": at_s, "utc_ms": START_MS + round(1000 * at_s), "place": bay}
    return Event(kind=kind, **(place | facts))


def test_what_lasts_keeps_its_beginning_until_it_is_over(tmp_path: Path) -> None:
    path = tmp_path / "events.sqlite"
    events = [
        of_bay("bay_taken", 10.0, "B1", identity=1, class_name="car"),
        of_bay("bay_taken", 20.0, "B2", identity=2, class_name="car"),
        of_bay("bay_taken", 30.0, "B3", identity=3, class_name="car"),
        of_bay("alert", 40.0, "full", value=3.0),
        of_bay("alert", 50.0, "jam", value=8.0),
        of_bay("alert", 60.0, "jam", value=2.0, since_s=50.0),
        of_bay("bay_free", 900.0, "B1", identity=1, class_name="car", value=890.0, since_s=10.0),
        of_bay("bay_free", 5000.0, "B3", identity=3, class_name="car", value=4970.0, since_s=30.0),
        of_bay("bay_taken", 5100.0, "B1", identity=4, class_name="car"),
    ]
    write(path, events)
    kept = [event for event in events if event.place in {"B2", "full"} or event.time_s > 3600]
    told = prune(path, events_before_ms=START_MS + 3_600_000, dry_run=True)
    done = prune(path, events_before_ms=START_MS + 3_600_000)
    assert told.events == done.events == len(events) - len(kept)
    assert sorted(read_events(path), key=lambda one: one.time_s) == kept
    now = {one.place: one.free_ms for one in parkings(list(read_events(path)))}
    assert now == {"B1": None, "B2": None, "B3": START_MS + 5_000_000}
    write(path, [of_bay("bay_free", 9000.0, "B2", identity=2, class_name="car", value=8980.0, since_s=20.0)])
    prune(path, events_before_ms=START_MS + 7_200_000)
    assert [event.kind for event in read_events(path)] == ["alert", "bay_taken", "bay_free"]


def of_road_user(kind: str, at_s: float, identity: int, place: str = "bus lane", **facts: object) -> Event:
    return of_bay(kind, at_s, place, identity=identity, class_name="car", **facts)


SPELLS = {
    "stopped": ("stopped", {"since_s": 10.0}),
    "wrong_way": ("wrong_way", {"since_s": 10.0}),
    "loitering": ("loitering", {"since_s": 10.0}),
    "queue_join": ("queue_leave", {"since_s": 10.0, "value": 20.0, "direction": "served"}),
}


@pytest.mark.parametrize("kind", SPELLS)
def test_what_an_identity_does_keeps_its_beginning_until_it_is_over(tmp_path: Path, kind: str) -> None:
    """Identity 1 ends it, 2 is gone without a word, 3 died with the process, 4 goes on."""
    path, (last, facts) = tmp_path / "events.sqlite", SPELLS[kind]
    restart = {"place": "yard", "stay": Stay(entered_s=5.0, left_s=50.0, end="restart")}
    begun = [of_road_user(kind, 10.0, identity) for identity in (1, 2, 3, 4)]
    ended = of_road_user(last, 30.0, 1, **facts)
    gone = of_road_user("identity_end", 40.0, 2, "", since_s=1.0)
    write(path, [*begun, ended, gone, of_road_user("leave", 50.0, 3, **restart)])
    told = prune(path, events_before_ms=START_MS + 3_600_000, dry_run=True)
    done = prune(path, events_before_ms=START_MS + 3_600_000)
    assert told.events == done.events == 6
    assert list(read_events(path)) == [begun[3]]
    late = of_road_user(last, 9000.0, 4, **facts)
    write(path, [late])
    prune(path, events_before_ms=START_MS + 7_200_000)
    assert list(read_events(path)) == [late]


def test_a_wait_that_ends_under_another_number_is_over(tmp_path: Path) -> None:
    path = tmp_path / "events.sqlite"
    leave = of_road_user("queue_leave", 30.0, 9, value=20.0, since_s=10.0, direction="served", other_identity=1)
    write(path, [of_road_user("queue_join", 10.0, 1), of_road_user("queue_join", 12.0, 9), leave])
    prune(path, events_before_ms=START_MS + 3_600_000)
    assert [(event.kind, event.identity) for event in read_events(path)] == [("queue_join", 9)]


def test_the_wrong_way_over_a_line_is_an_instant_and_goes_by_its_age(tmp_path: Path) -> None:
    path = tmp_path / "events.sqlite"
    write(path, [of_road_user("wrong_way", 10.0, 1, direction="out")])
    assert prune(path, events_before_ms=START_MS + 3_600_000).events == 1


def test_who_left_under_another_number_is_forgotten(tmp_path: Path) -> None:
    path = tmp_path / "events.sqlite"
    renamed = Event(
        kind="rekeyed",
        stream="gate",
        time_s=20.0,
        utc_ms=START_MS + 20_000,
        identity=7,
        was_identity=5,
        class_name="car",
    )
    left = stay("leave", 30.0, 7, entered_s=10.0, left_s=30.0, end="left")
    write(path, [stay("enter", 10.0, 5), stay("enter", 15.0, 6), renamed, left])
    prune(path, events_before_ms=START_MS + 2 * DAY_MS)
    assert [(event.kind, event.identity) for event in read_events(path)] == [("enter", 6)]
