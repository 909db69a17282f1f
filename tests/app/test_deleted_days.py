"""Days that were deleted by their age are told as not known by every command, and the limits of time are the same."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.app.test_counts import rows_of
from tests.command import Result, Run
from tests.sinks.ledgers import START_MS, write_ledger
from tracker.events import Event, EventKind, Stay
from tracker.premises import Footfall
from tracker.settings.site_text import site_text
from tracker.sinks.retention import DAY_MS, prune
from tracker.site import Doors, Flow, Line, Site

HOUR_S = 3600.0
CUT = "2026-03-30T00:00:00+00:00"
CUT_MS = START_MS + 23 * 3_600_000
SITE = Site(
    lines=tuple(Line(name=name, points=((0.1, y), (0.9, y))) for name, y in (("door", 0.3), ("north", 0.5))),
    doors=(Doors(name="shop", lines=("door",)),),
    footfall=(Footfall(name="visitors", doors="shop"),),
    flows=(Flow(name="across", start="north", end="door"),),
)
GROUPS = """\
version: 1
groups:
  - name: store
    timezone: UTC
    cameras: [gate]
    reset_at: 03:00
    doors: [{camera: gate, line: door}]
"""


def event(kind: EventKind, at_s: float, identity: int, **values: object) -> Event:
    facts = {"stream": "gate", "class_name": "person", "time_s": at_s, "utc_ms": START_MS + round(at_s * 1000)}
    return Event(kind=kind, identity=identity, **(facts | values))


def visit(number: int, hour: float, seconds: float) -> list[Event]:
    """A person that comes in, waits in a zone and a queue, and leaves: with every kind of row that commands ask for."""
    at_s = hour * HOUR_S + 5
    end_s = at_s + seconds
    inside = Stay(entered_s=at_s)
    over = Stay(entered_s=at_s, left_s=end_s, end="left")
    return [
        event("crossing", at_s, number, place="door", direction="in"),
        event("speed", at_s, number, place="door", direction="in", value=2.0 + number),
        event("enter", at_s, number, place="hall", stay=inside),
        event("queue_join", at_s, number, place="till", stay=inside),
        event("bay_taken", at_s, number, place="A1", stay=inside),
        event("flow", end_s, number, place="across", class_name="car", since_s=at_s),
        event("leave", end_s, number, place="hall", stay=over),
        event("queue_leave", end_s, number, place="till", stay=over, since_s=at_s, value=seconds, direction="served"),
        event("bay_free", end_s, number, place="A1", stay=over, since_s=at_s, value=seconds),
        event("crossing", end_s + 1, number, place="door", direction="out"),
    ]


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Visits on two days, one of them over the end of the first day, which is deleted; an outage of that day stays."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "groups.yaml").write_text(GROUPS)
    (tmp_path / "site.yaml").write_text(site_text(SITE))
    events = [*visit(1, 2, 60), *visit(2, 4, 600), *visit(3, 22.9, 1200), *visit(4, 26, 30), *visit(5, 27, 40)]
    events.append(event("gap", 3 * HOUR_S, 0, since_s=2.9 * HOUR_S, class_name=""))
    path = write_ledger(tmp_path / "x.sqlite", sorted(events, key=lambda one: one.time_s))
    assert prune(path, events_before_ms=CUT_MS).events == 25
    return path


Ask = Callable[..., Result]


@pytest.fixture
def ask(run: Run, store: Path) -> Ask:
    def call(command: str, *words: object) -> Result:
        result = run(command, store, *words)
        assert result.status == 0, result.err
        return result

    return call


TOLD = f"not known: before {CUT} events of gate were deleted by age"
COMMANDS = {
    "dwell": ["hall person 2 35.0 s 30.0 s 40.0 s 40.0 s 0 0 0"],
    "speeds": ["door in person 2 0"],
    "queues": ["till 2 35.0 s 40.0 s 40.0 s 0 0"],
    "bays": ["A1 2 3 35.0 s 40.0 s"],
    "footfall": ["visitors 2 0 0 0 0 - - -", "cannot be said, since no line of the site counts passers-by"],
}


@pytest.mark.parametrize("command", COMMANDS)
def test_figures_are_of_what_is_known_and_the_rest_is_told(ask: Ask, command: str) -> None:
    site = ["--site", "site.yaml"] if command == "footfall" else []
    result = ask(command, *site)
    for words in COMMANDS[command]:
        assert words in " ".join(result.out.split())
    assert TOLD in result.text
    assert TOLD not in ask(command, *site, "--from", CUT).text
    before = ask(command, *site, "--from", "2026-03-29T02:00", "--to", "2026-03-29T20:00")
    assert TOLD in before.text
    assert " 0 " not in " ".join(before.out.split()) or command == "footfall"
    assert not any(name in before.out for name in ("hall", "door in", "till", "A1"))


@pytest.mark.parametrize("command", COMMANDS)
def test_limits_are_those_of_counts(ask: Ask, command: str) -> None:
    site = ["--site", "site.yaml"] if command == "footfall" else []
    result = ask(command, *site, "--from", "2026-03-30T03:30", "--to", "2026-03-30T05:30+01:00")
    one = {"dwell": "hall person 1", "speeds": "door in person 1", "queues": "till 1", "bays": "A1 1 1"}
    assert one.get(command, "visitors 1 ") in " ".join(result.out.split())
    late = " ".join(ask(command, *site, "--from", "2026-03-31T00:00").out.split())
    assert not any(words in late for words in ("hall person", "door in person", "till 0", "A1 0", "visitors 0 0"))


def test_bins_of_deleted_days_are_empty_and_not_zero(ask: Ask) -> None:
    limits = ("--bins", "1d", "--from", "2026-03-29", "--timezone", "Europe/Berlin", "--out", "out.csv")
    ask("queues", *limits)
    # The local day of 23 hours, and the next one: its first hour is still deleted.
    assert [(row["from"][:10], row["served"], row["mean"]) for row in rows_of(Path("out.csv"))] == [
        ("2026-03-29", "", ""),
        ("2026-03-30", "3", rows_of(Path("out.csv"))[1]["mean"]),
    ]
    ask("footfall", "--site", "site.yaml", *limits)
    assert [(row["from"][:10], row["visitors"], row["capture_of_all"]) for row in rows_of(Path("out.csv"))] == [
        ("2026-03-29", "", ""),
        ("2026-03-30", "2", ""),
    ]


def test_counts_of_deleted_days_are_kept_by_quarters_of_an_hour(run: Run, ask: Ask, store: Path) -> None:
    words = ("--by", "direction", "--from", "2026-03-29T02:00", "--to", "2026-03-29T06:00", "--out", "out.csv")
    ask("counts", "--bins", "1h", *words)
    known = {(row["from"][11:13], row["direction"]): row["count"] for row in rows_of(Path("out.csv"))}
    assert (known["03", "in"], known["03", "out"], known["05", "in"]) == ("1", "1", "1")
    ask("counts", "--bins", "5m", *words)
    assert {row["count"] for row in rows_of(Path("out.csv"))} <= {""}
    ask("turns", "--site", "site.yaml", *words[2:])
    found = [row for row in rows_of(Path("out.csv")) if row["approach"] == "north"]
    assert sum(int(row["vehicles"] or 0) for row in found) == 2
    assert prune(store, bins_before_ms=START_MS + 5 * 3_600_000).bins
    ask("counts", "--bins", "1h", *words)
    known = {(row["from"][11:13], row["direction"]): row["count"] for row in rows_of(Path("out.csv"))}
    assert (known.get(("03", "in"), ""), known.get(("04", "in"), "")) == ("", "")
    ask("turns", "--site", "site.yaml", *words[2:])
    assert {row["vehicles"] for row in rows_of(Path("out.csv"))} == {""}


def test_occupancy_of_deleted_days_is_that_of_their_counts(ask: Ask, store: Path) -> None:
    def found(*words: str) -> dict[str, tuple[str, ...]]:
        ask("occupancy", "--group", "store", "--bins", "1h", "--out", "out.csv", *words)
        names = ("entries", "exits", "inside", "most")
        return {row["from"][8:13]: tuple(row[name] for name in names) for row in rows_of(Path("out.csv"))}

    kept = found("--from", "2026-03-29T02:00")
    assert kept["29T05"] == ("1", "1", "0", "")  # the most at one time within a quarter of an hour is not known
    assert kept["30T00"] == ("0", "1", "0", "0")
    assert kept["30T03"] == ("1", "1", "0", "1")
    prune(store, bins_before_ms=START_MS + 10 * DAY_MS)
    gone = found("--from", "2026-03-29T02:00")
    assert gone["29T05"] == ("", "", "", "")
    assert gone["30T00"] == ("0", "1", "", "")  # who was inside is not known until the quiet hour
    assert gone["30T03"] == ("1", "1", "0", "1")
    assert "deleted by age" in ask("occupancy", "--group", "store", "--from", "2026-03-29T02:00").out


def test_a_report_says_what_was_deleted(ask: Ask) -> None:
    ask("report", "--out", "page.html", "--csv", "csv")
    assert "Events before 2026-03-30 00:00 UTC+00:00 were deleted by their age" in Path("page.html").read_text("utf-8")


def test_exports_of_events_say_what_is_missing(run: Run, store: Path) -> None:
    words = ("export", store, "--site", "site.yaml", "--format", "otc-events", "--size", "640x360", "--out", "o.csv")
    result = run(*words)
    assert result.status == 0, result.text
    assert f"events before {CUT} are left out: they were deleted by age" in result.text
