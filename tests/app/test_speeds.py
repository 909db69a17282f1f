"""``masktrail speeds``: a table in any unit, JSON, every passage as CSV, and refusals with a remedy."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from tests.analytics.test_speeds import ledger, passed
from tests.command import Run
from tests.sinks.ledgers import START_MS, SUFFIXES, write_ledger
from tracker.events import Event

EVENTS = [*ledger([10.0 + 0.2 * number for number in range(31)]), *passed(99, None, at_s=200.0)]


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_figures_in_kilometres_an_hour(run: Run, tmp_path: Path, suffix: str) -> None:
    result = run("speeds", write_ledger(tmp_path / f"x{suffix}", EVENTS))
    assert result.status == 0, result.err
    head, row, unit = (line.split() for line in result.out.splitlines())
    assert head == ["line", "direction", "class", "n", "unknown", "v15", "v50", "v85", "mean", "space", "mean"]
    assert row == [
        "cut",
        "in",
        "car",
        "31",
        "1",
        "39.2",
        "46.8",
        "54.4",
        "46.8",
        "45.9",
    ]  # harmonic: 31 over the sum of 1 / v
    assert unit == ["in", "km/h"]


def test_other_units_and_fewer_columns(run: Run, tmp_path: Path) -> None:
    path = write_ledger(tmp_path / "x.events.jsonl", EVENTS)
    result = run("speeds", path, "--unit", "mph", "--by", "line")
    assert result.out.splitlines()[1].split()[:5] == ["cut", "31", "1", "24.4", "29.1"]
    [row] = json.loads(run("speeds", path, "--unit", "m/s", "--by", "line", "--json").out)
    assert row == {
        "line": "cut",
        "unit": "m/s",
        "n": 31,
        "unknown": 1,
        "v15": 10.9,
        "v50": 13.0,
        "v85": 15.1,
        "time_mean": 13.0,
        "space_mean": row["space_mean"],
    }
    assert 12.5 < row["space_mean"] < 13.0


def test_every_passage_as_a_file(run: Run, tmp_path: Path) -> None:
    path, out = write_ledger(tmp_path / "x.events.jsonl", EVENTS), tmp_path / "all.csv"
    assert run("speeds", path, "--out", out).status == 0
    rows = list(csv.DictReader(out.read_text("utf-8").splitlines()))
    assert len(rows) == 32
    assert (rows[0]["speed (km/h)"], rows[0]["error (km/h)"]) == ("36.0", "0.36")
    assert rows[-1]["speed (km/h)"] == ""


def test_times_have_the_zone_that_is_asked_for(run: Run, tmp_path: Path) -> None:
    rows = passed(1, 10.0, at_s=1.0, utc_ms=START_MS)
    path, out = write_ledger(tmp_path / "x.events.jsonl", rows), tmp_path / "all.csv"
    assert run("speeds", path, "--out", out, "--timezone", "Europe/Berlin").status == 0
    [row] = csv.DictReader(out.read_text("utf-8").splitlines())
    assert row["time"].endswith(("+01:00", "+02:00"))


def test_free_flow_leaves_followers_out(run: Run, tmp_path: Path) -> None:
    rows: list[Event] = [*passed(1, 10.0, at_s=1.0), *passed(2, 5.0, at_s=2.0, headway=1.0)]
    path = write_ledger(tmp_path / "x.events.jsonl", rows)
    assert json.loads(run("speeds", path, "--json", "--free-flow").out)[0]["n"] == 1


def test_a_ledger_without_speeds_says_how_to_get_them(run: Run, tmp_path: Path) -> None:
    result = run("speeds", write_ledger(tmp_path / "x.events.jsonl", []))
    assert result.status == 0
    assert "measures: [speed]" in result.out


@pytest.mark.parametrize(
    ("words", "expected"),
    [(("--unit", "knots"), "expected one of km/h, mph, m/s"), (("--by", "lane"), "expected some of stream, line")],
)
def test_wrong_words_are_one_line(run: Run, tmp_path: Path, words: tuple[str, ...], expected: str) -> None:
    result = run("speeds", write_ledger(tmp_path / "x.events.jsonl", EVENTS), *words)
    assert result.status != 0
    assert expected in result.text
    assert "Traceback" not in result.text
