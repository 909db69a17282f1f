"""``masktrail queues``, ``footfall`` and ``bays``: tables and CSV files from every kind of ledger."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import pytest

from tests.app.test_counts import rows_of
from tests.command import Run
from tests.sinks.ledgers import START_MS, SUFFIXES, write_ledger
from tracker.events import Event, EventKind, Stay
from tracker.premises import Footfall
from tracker.settings.site_text import site_text
from tracker.site import Doors, Line, Site

SITE = Site(
    lines=(
        Line(name="door", points=((0.3, 0.5), (0.7, 0.5))),
        Line(name="street", points=((0.5, 0.55), (0.5, 0.99))),
    ),
    doors=(Doors(name="shop", lines=("door",)),),
    footfall=(Footfall(name="visitors", doors="shop", passing=("street",)),),
)


def event(kind: EventKind, at_s: float, identity: int, **values) -> Event:
    values.setdefault("class_name", "person")
    utc_ms = START_MS + round(at_s * 1000)
    return Event(kind=kind, stream="gate", time_s=at_s, utc_ms=utc_ms, identity=identity, **values)


def wait(
    identity: int,
    joined_s: float,
    left_s: float,
    end: Literal["served", "abandoned", "lost"] = "served",
    *,
    began: Literal["entered", "already_inside"] = "entered",
) -> list[Event]:
    stay = Stay(entered_s=joined_s, began=began)
    rest = {"since_s": joined_s, "value": left_s - joined_s, "direction": end}
    return [
        event("queue_join", joined_s, identity, place="till", stay=stay),
        event("queue_leave", left_s, identity, place="till", stay=stay, **rest),
    ]


QUEUE = [
    *wait(1, 0, 30, began="already_inside"),
    *wait(2, 10, 40),
    *wait(3, 20, 80),
    *wait(4, 30, 50, "abandoned"),
    *wait(5, 60, 90, "lost"),
    event("queue_join", 100, 6, place="till", stay=Stay(entered_s=100)),
    event("identity_end", 119, 6),
    event("identity_end", 120, 7),
]
FOOTFALL = [
    event("crossing", 1, 1, place="door", direction="in"),
    event("crossing", 2, 2, place="door", direction="in"),
    event("crossing", 3, 3, place="door", direction="in"),
    event("group", 1, 1, place="door", direction="in", value=3.0),
    event("group_member", 2, 2, place="door", direction="in", other_identity=1),
    event("group_member", 3, 3, place="door", direction="in", other_identity=1),
    event("crossing", 4000, 2, place="door", direction="out"),
    event("crossing", 4500, 2, place="door", direction="in"),
    event("re_entry", 4500, 2, place="shop", value=500.0, since_s=4000.0),
    *(event("passing", 10.0 + number, 10 + number, place="street", direction="in") for number in range(4)),
]
BAYS = [
    event("bay_taken", 10, 1, place="A1", stay=Stay(entered_s=10)),
    event("bay_free", 1810, 1, place="A1", since_s=10.0, value=1800.0, stay=Stay(entered_s=10, left_s=1810)),
    event("bay_taken", 5, 2, place="A2", stay=Stay(entered_s=5, began="already_inside")),
    event("identity_end", 3600, 9),
]


def lines(run: Run, *words: object) -> list[list[str]]:
    result = run(*words)
    assert result.status == 0, result.err
    return [line.split() for line in result.out.splitlines()]


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_queues_say_waits_and_lengths(run: Run, tmp_path: Path, suffix: str) -> None:
    ledger = write_ledger(tmp_path / f"x{suffix}", QUEUE)
    head, row, *note = lines(run, "queues", ledger, "--above", 2)
    assert head == [
        "queue",
        "served",
        "mean",
        "90",
        "%",
        "longest",
        "gave",
        "up",
        "partly",
        "length",
        "most",
        "above",
        "2",
    ]
    # Of the five that were seen joining two were served after 30 and 60 s; the others waited 20, 30 and 19 s at least.
    assert row[:8] == ["till", "3", "45.0", "s", "60.0", "s", "60.0", "s"]
    # One had been there, one was lost, one has no end. 189 person seconds of 120; three at a time for 20 s.
    assert row[8:] == ["1", "3", "1.6", "3", "17%"]
    assert "partly:" in note[0]


def test_lengths_in_bins_and_waits_as_files(run: Run, tmp_path: Path) -> None:
    ledger = write_ledger(tmp_path / "x.sqlite", QUEUE)
    shown = lines(run, "queues", ledger, "--bins", "1m", "--above", 2, "--timezone", "Europe/Berlin")
    assert shown[1][1:] == ["till", "2.0", "3", "33%", "2", "1"]
    assert rows_of_queue(run, ledger, tmp_path / "bins.csv", "--bins", "1m")[0] | {"from": ""} == {
        "stream": "gate",
        "queue": "till",
        "from": "",
        "from_utc_ms": str(START_MS),
        "mean": "2.0",
        "longest": "3",
        "share_above": "0.0",
        "served": "2",
        "abandoned": "1",
    }
    rows = rows_of_queue(run, ledger, tmp_path / "waits.csv")
    assert [(row["identity"], row["wait_s"], row["began"], row["end"]) for row in rows] == [
        ("1", "30.0", "already_there", "served"),
        ("2", "30.0", "joined", "served"),
        ("3", "60.0", "joined", "served"),
        ("4", "20.0", "joined", "abandoned"),
        ("5", "30.0", "joined", "lost"),
        ("6", "19.0", "joined", ""),
    ]


def rows_of_queue(run: Run, ledger: Path, out: Path, *words: object) -> list[dict[str, str]]:
    assert run("queues", ledger, *words, "--out", out).status == 0
    return rows_of(out)


def test_footfall_says_visitors_and_both_rates(run: Run, tmp_path: Path) -> None:
    site = tmp_path / "site.yaml"
    site.write_text(site_text(SITE))
    ledger = write_ledger(tmp_path / "x.events.parquet", FOOTFALL)
    head, row, note = lines(run, "footfall", ledger, "--site", site)
    assert head[:3] == ["footfall", "visitors", "staff"]
    assert row == ["visitors", "3", "0", "1", "1", "3", "4", "75%", "43%"]
    assert "without" in note
    out = tmp_path / "footfall.csv"
    assert run("footfall", ledger, "--site", site, "--bins", "1h", "--out", out).status == 0
    first, second = rows_of(out)
    assert (first["entries"], first["visitors"], first["parties"], first["exits"]) == ("3", "3", "1", "0")
    assert (first["capture_of_passing"], first["capture_of_all"]) == ("0.75", "0.4286")
    assert (second["entries"], second["re_entries"], second["visitors"], second["capture_of_all"]) == (
        "1",
        "1",
        "0",
        "",
    )


def test_bays_say_turnover(run: Run, tmp_path: Path) -> None:
    ledger = write_ledger(tmp_path / "x.events.jsonl", BAYS)
    head, *rows = lines(run, "bays", ledger)
    assert head[:3] == ["bay", "arrivals", "departures"]
    assert rows[0] == ["A1", "1", "1", "30:00", "30:00", "50%", "1.0", "free"]
    assert rows[1] == ["A2", "0", "0", "-", "-", "100%", "0.0", "taken"]
    assert rows[2][:3] == ["all", "1", "1"]
    assert rows[2][-4:] == ["1.0", "1", "of", "2"]
    out = tmp_path / "parked.csv"
    assert run("bays", ledger, "--out", out).status == 0
    assert [(row["bay"], row["parked_s"], row["began"]) for row in rows_of(out)] == [
        ("A2", "", "already_there"),
        ("A1", "1800.0", "arrived"),
    ]


def test_without_rows_it_is_told_what_is_missing(run: Run, tmp_path: Path) -> None:
    ledger, site = write_ledger(tmp_path / "x.events.jsonl", []), tmp_path / "site.yaml"
    site.write_text(site_text(SITE))
    for command, needs in (("bays", "`bays`"), ("queues", "`queues`"), ("footfall", "the site's doors")):
        result = run(command, ledger, *(("--site", site) if command == "footfall" else ()))
        assert result.status == 0, result.err
        assert f"no {command if command != 'queues' else 'waits'}: the ledger" in result.out
        assert needs in " ".join(result.out.split())


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("queues", "LEDGER", "--bins", "soon"), "--bins"),
        (("queues", "LEDGER", "--above", "-1"), "--above"),
        (("footfall", "LEDGER"), "--site"),
        (("footfall", "LEDGER", "--site", "SITE"), "expected footfall in the site, found none"),
        (("bays", "LEDGER", "--timezone", "Mars"), "--timezone"),
        (("queues", "LEDGER", "--out", "LEDGER"), "--out"),
    ],
)
def test_mistakes_are_told(run: Run, tmp_path: Path, words: tuple[str, ...], says: str) -> None:
    site = tmp_path / "site.yaml"
    site.write_text(site_text(Site()))
    ledger = write_ledger(tmp_path / "x.events.jsonl", QUEUE)
    named = {"LEDGER": ledger, "SITE": site}
    result = run(*(named.get(word, word) for word in words))
    assert result.status != 0
    assert says in result.err
    assert "Traceback" not in result.err
