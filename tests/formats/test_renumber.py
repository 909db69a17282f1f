"""Notes of frames whose rows are renumbered or left out: ends, frames without rows, states of the camera."""

from __future__ import annotations

import io
import json
import math
from pathlib import Path
from typing import Any

from tests.formats.annotated import read, rows, write
from tracker.formats.recorded import open_recorded
from tracker.formats.renumber import Renumbering
from tracker.formats.whole_rows import rewrite


def written(tmp_path: Path, made: list[dict[str, Any]], renumbering: Renumbering) -> list[dict[str, Any]]:
    target = io.BytesIO()
    rewrite(write(tmp_path / "x.jsonl", made), target, renumbering.edit)
    (tmp_path / "y.jsonl").write_bytes(target.getvalue())
    return read(tmp_path / "y.jsonl")


def notes_of(made: list[dict[str, Any]], frame: int) -> dict[str, Any]:
    return next(row for row in made if row["frame"] == frame)["notes"]


def test_the_first_part_of_a_split_ends_when_it_is_over(tmp_path: Path) -> None:
    parts = {1: [(-math.inf, 1), (0.55, 4)]}
    found = written(tmp_path, rows(), Renumbering(parts, {}, {1: 0.5, 4: 1.9}))
    assert notes_of(found, 6)["ended"] == [1]
    assert notes_of(found, 10)["ended"] == [2]
    assert "ended" not in notes_of(found, 7)


def test_what_goes_on_under_a_new_number_has_not_ended(tmp_path: Path) -> None:
    found = written(tmp_path, rows(), Renumbering({3: [(-math.inf, 2)]}, {}, {2: 1.9}))
    assert not any("ended" in row.get("notes", {}) for row in found)


def test_notes_move_to_the_first_row_that_stays(tmp_path: Path) -> None:
    found = written(tmp_path, rows(), Renumbering({1: [(-math.inf, None)]}, {}, {}))
    assert {row["id"] for row in found} == {2, 3}
    assert notes_of(found, 3)["stream"] == "gate.mp4"


def test_frames_that_lose_all_rows_are_told_as_frames_without_rows(tmp_path: Path) -> None:
    made = rows()
    for row in made:
        if "notes" in row and row["frame"] == 9:
            row["notes"] |= {"camera": [[0.9, "dark", 0.8, None, None]]}
    found = written(tmp_path, made, Renumbering({1: [(-math.inf, None)]}, {}, {}))
    assert [row["frame"] for row in found] == [*range(8), *range(12, 20)]
    told = notes_of(found, 12)
    assert told["quiet"] == [[0.8, 1.1, 4]]
    assert told["ended"] == [2]
    assert told["camera"] == [[0.9, "dark", 0.8, None, None]]
    assert "quiet" not in notes_of(found, 13)
    frames = list(open_recorded([tmp_path / "y.jsonl"]).frames())
    assert {frame.frame.time_s for frame in frames if not len(frame.tracks or ())} >= {0.8, 1.1}
    assert [event.kind for frame in frames for event in frame.events] == ["dark"]


def test_an_outage_between_frames_without_rows_stays_one(tmp_path: Path) -> None:
    made = [dict(row) for row in rows(seen={1: range(20), 2: range(3), 3: range(17, 20)})]
    for row in made:
        row["time_s"] += 5.0 * (row["frame"] >= 10)
    found = written(tmp_path, made, Renumbering({1: [(-math.inf, None)]}, {}, {}))
    assert notes_of(found, 17)["quiet"] == [[0.3, 0.9, 7], [6.0, 6.6, 7]]


def test_runs_of_the_records_stay_apart(tmp_path: Path) -> None:
    made = rows()
    for row in made:
        if "notes" in row and row["frame"] == 9:
            row["notes"] = json.loads(json.dumps(row["notes"])) | {"quiet": [[0.81, 0.82, 2], [0.85, 0.86, 2]]}
    found = written(tmp_path, made, Renumbering({2: [(-math.inf, None)]}, {}, {}))
    assert notes_of(found, 9)["quiet"] == [[0.81, 0.82, 2], [0.85, 0.86, 2]]
