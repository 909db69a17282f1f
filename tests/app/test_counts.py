"""``masktrail counts``: tables and CSV of ledgers of all kinds."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from tests.command import Run
from tests.sinks.ledgers import START_MS, SUFFIXES, crossing, write_ledger
from tracker.events import Event

EVENTS = [
    crossing(10, direction="in", class_name="car", identity=4),
    crossing(20, direction="out"),
    crossing(1000, direction="in"),
    Event(kind="gap", stream="gate", time_s=2000.0, utc_ms=START_MS + 2_000_000, since_s=1900.0),
    Event(kind="reclassified", stream="gate", time_s=2100.0, identity=4, class_name="=bus", was_class="car"),
    Event(
        kind="identity_end", stream="gate", time_s=3000.0, utc_ms=START_MS + 3_000_000, identity=4, class_name="=bus"
    ),
]


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_table_of_all_kinds_of_ledgers(run: Run, tmp_path: Path, suffix: str) -> None:
    path = write_ledger(tmp_path / f"x{suffix}", EVENTS)
    result = run("counts", path)
    assert result.status == 0, result.err
    lines = [line.split() for line in result.out.splitlines() if line.strip()]
    assert lines[0] == ["from", "stream", "line", "direction", "class", "count"]
    assert ["2026-03-29T01:00:00+00:00", "gate", "door", "in", "=bus", "1"] in lines
    assert lines[-1] == ["total", "3"]
    assert "2026-03-29T01:30:00+00:00 - not known until 2026-03-29T01:45:00+00:00" in " ".join(result.out.split())


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_csv_has_zeros_and_no_formulas(run: Run, tmp_path: Path, suffix: str) -> None:
    path, out = write_ledger(tmp_path / f"x{suffix}", EVENTS), tmp_path / "out.csv"
    assert run("counts", path, "--by", "line,class", "--timezone", "Europe/Berlin", "--out", out).status == 0
    rows = rows_of(out)
    assert list(rows[0]) == ["from", "from_utc_ms", "line", "class", "count", "outage"]
    assert {row["class"] for row in rows} == {"'=bus", "person"}
    assert len(rows) == 4 * 2
    people = [row for row in rows if row["class"] == "person"]
    assert [(row["from"], row["count"], row["outage"]) for row in people] == [
        ("2026-03-29T03:00:00+02:00", "1", "0"),
        ("2026-03-29T03:15:00+02:00", "1", "0"),
        ("2026-03-29T03:30:00+02:00", "", "1"),
        ("2026-03-29T03:45:00+02:00", "0", "0"),
    ]
    assert int(people[1]["from_utc_ms"]) == START_MS + 900_000


def test_the_hour_that_comes_twice_has_two_offsets(run: Run, tmp_path: Path) -> None:
    first_ms = 1_792_886_400_000  # 2026-10-25T00:00Z, 02:00 summer time
    events = [crossing(n, utc_ms=first_ms + 1000 * n, direction="in") for n in (0, 3600, 7200)]
    path, out = write_ledger(tmp_path / "x.db", events), tmp_path / "out.csv"
    assert run("counts", path, "--bins", "1h", "--by", "line", "--timezone", "Europe/Berlin", "--out", out).status == 0
    assert [(row["from"], row["count"]) for row in rows_of(out)] == [
        ("2026-10-25T02:00:00+02:00", "1"),
        ("2026-10-25T02:00:00+01:00", "1"),
        ("2026-10-25T03:00:00+01:00", "1"),
    ]


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_limits_are_in_the_zone_that_is_shown(run: Run, tmp_path: Path, suffix: str) -> None:
    path, out = write_ledger(tmp_path / f"x{suffix}", EVENTS), tmp_path / "out.csv"
    limits = ("--from", "2026-03-29T03:10", "--to", "2026-03-29T01:30Z")
    assert run("counts", path, *limits, "--timezone", "Europe/Berlin", "--by", "line", "--out", out).status == 0
    assert [row["count"] for row in rows_of(out)] == ["0", "1"]


def test_media_time_where_there_is_no_clock(run: Run, tmp_path: Path) -> None:
    path = write_ledger(tmp_path / "x.events.jsonl", [crossing(n, utc=False) for n in (5, 3700)])
    out = tmp_path / "out.csv"
    assert run("counts", path, "--bins", "30m", "--by", "line", "--out", out).status == 0
    assert [(row["from"], row["from_utc_ms"], row["count"]) for row in rows_of(out)] == [
        ("0:00:00", "", "1"),
        ("0:30:00", "", "0"),
        ("1:00:00", "", "1"),
    ]


def test_parts_of_a_camera_are_one_ledger(run: Run, tmp_path: Path) -> None:
    parts = [write_ledger(tmp_path / f"x-{n}.events.jsonl", EVENTS[n : n + 4]) for n in range(3)]
    result = run("counts", *parts, "--by", "")
    assert result.status == 0, result.err
    assert result.out.split()[-2:] == ["total", "3"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--bins", "0m"), "--bins: expected a length such as 30s, 15m or 1h, found '0m'"),
        (("--by", "line,colour"), "found 'colour'"),
        (("--by", "line,place"), "expected different columns"),
        (("--from", "yesterday"), "--from: expected a time such as"),
        (
            ("--from", "2026-03-29", "--to", "2026-03-28"),
            "--to: expected a time after --from 2026-03-29, found 2026-03-28",
        ),
        (("--timezone", "Mars/Base"), "expected the name of a time zone"),
        (("--kind", "jump"), "expected one of crossing, enter, leave, loitering, flow, found 'jump'"),
        (("--out", "x.events.jsonl"), "it is read here"),
    ],
)
def test_wrong_options_are_told(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    path = write_ledger(tmp_path / "x.events.jsonl", EVENTS)
    before = path.read_bytes()
    result = run("counts", "x.events.jsonl", *arguments)
    assert result.status == 2
    assert said in result.text
    assert path.read_bytes() == before
