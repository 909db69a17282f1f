"""``masktrail dwell``: figures of closed stays, censored ones apart, and every stay as CSV."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import pytest

from tests.app.test_counts import rows_of
from tests.command import Run
from tests.sinks.ledgers import START_MS, SUFFIXES, write_ledger
from tracker.events import Event, Stay


def visit(
    identity: int,
    entered_s: float,
    left_s: float,
    *,
    began: Literal["entered", "already_inside"] = "entered",
    end: Literal["left", "lost"] = "left",
) -> list[Event]:
    """Entry and exit of one identity in the zone ``till``."""
    rows: list[Event] = []
    for kind, at_s, stay in (
        ("enter", entered_s, Stay(entered_s=entered_s, began=began)),
        ("leave", left_s, Stay(entered_s=entered_s, left_s=left_s, hidden_s=0.5, began=began, end=end)),
    ):
        utc_ms = START_MS + round(at_s * 1000)
        rows.append(
            Event(kind=kind, stream="gate", time_s=at_s, utc_ms=utc_ms, place="till", identity=identity, stay=stay)
        )
    return rows


EVENTS = [
    *(row for number, dwell_s in enumerate((10.0, 20.0, 30.0, 240.0), 1) for row in visit(number, 5.0, 5.0 + dwell_s)),
    *visit(5, 0.0, 1000.0, began="already_inside"),
    *visit(6, 50.0, 2000.0, end="lost"),
    Event(
        kind="enter",
        stream="gate",
        time_s=60.0,
        utc_ms=START_MS + 60_000,
        place="till",
        identity=7,
        stay=Stay(entered_s=60.0),
    ),
    Event(kind="reclassified", stream="gate", time_s=2100.0, identity=4, class_name="=staff", was_class=""),
]


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_figures_take_censored_stays_for_what_they_are(run: Run, tmp_path: Path, suffix: str) -> None:
    result = run("dwell", write_ledger(tmp_path / f"x{suffix}", EVENTS), "--by", "zone")
    assert result.status == 0, result.err
    head, row, note = (line.split() for line in result.out.splitlines())
    assert head == ["zone", "closed", "mean", "median", "90", "%", "longest", "inside", "lost", "open"]
    # Of six entries one stayed for 1,950 s at least and one for 2,040 s: half of all stayed longer than 30 s.
    assert row == ["till", "4", "75.0", "s", "30.0", "s", "-", "4:00", "1", "1", "1"]
    assert "exit not seen" in " ".join(note)


def test_classes_are_the_final_ones(run: Run, tmp_path: Path) -> None:
    result = run("dwell", write_ledger(tmp_path / "x.events.jsonl", EVENTS), "--by", "class")
    assert [line.split()[0] for line in result.out.splitlines() if "=staff" in line] == ["=staff"]


def test_every_stay_is_a_row(run: Run, tmp_path: Path) -> None:
    out = tmp_path / "stays.csv"
    ledger = write_ledger(tmp_path / "x.sqlite", EVENTS)
    assert run("dwell", ledger, "--timezone", "Europe/Berlin", "--out", out).status == 0
    rows = rows_of(out)
    assert [row["identity"] for row in rows] == ["5", "1", "2", "3", "4", "6", "7"]
    assert rows[1]["entered"].endswith("+02:00")
    assert (rows[1]["dwell_s"], rows[1]["hidden_s"], rows[1]["end"]) == ("10.0", "0.5", "left")
    assert (rows[-1]["left"], rows[-1]["dwell_s"]) == ("", "")
    assert rows[4]["class"] == "'=staff"


def test_without_a_stay_there_is_a_header_only(run: Run, tmp_path: Path) -> None:
    result = run("dwell", write_ledger(tmp_path / "x.events.jsonl", []))
    assert result.status == 0
    assert len(result.out.splitlines()) == 1


@pytest.mark.parametrize("words", [("--by", "line"), ("--by", "zone,zone"), ("--timezone", "Mars")])
def test_mistakes_are_told(run: Run, tmp_path: Path, words: tuple[str, str]) -> None:
    result = run("dwell", write_ledger(tmp_path / "x.events.jsonl", EVENTS), *words)
    assert result.status != 0
    assert words[0] in result.err
