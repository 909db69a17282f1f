"""Whole rows of all formats: read and written without a change they are the same bytes; values by their names."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from tests.formats.annotated import rows, write
from tracker.errors import ConfigError, DetectionsError
from tracker.formats.whole_rows import frames_of, rewrite

SUFFIXES = (".jsonl", ".csv", ".parquet")


@pytest.fixture(params=SUFFIXES)
def records(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    if request.param == ".parquet":
        pytest.importorskip("pyarrow")
    return write(tmp_path / f"x{request.param}", rows())


def test_nothing_changed_is_nothing_lost(records: Path, tmp_path: Path) -> None:
    target = io.BytesIO()
    rewrite(records, target, lambda frame: frame)
    if records.suffix == ".parquet":
        again = tmp_path / "again.parquet"
        again.write_bytes(target.getvalue())
        values = [[row.values for row in frame] for frame in frames_of(again)]
        assert values == [[row.values for row in frame] for frame in frames_of(records)]
    else:
        assert target.getvalue() == records.read_bytes()


def test_values_have_the_names_of_json_lines_in_every_format(records: Path) -> None:
    first = next(frames_of(records))[0]
    assert first.get("box") == [10.25, 4.0, 16.25, 12.0]
    assert (first.get("id"), first.get("class"), first.get("coasting")) == (1, "car", 0)
    assert first.get("notes")["size"] == [64, 48]
    assert first.get("mask") == rows()[0]["mask"]
    assert first.get("class_then") is None


def test_changed_values_are_read_back(records: Path, tmp_path: Path) -> None:
    changed = {"box": [1.0, 2.0, 3.0, 4.0], "class": "bus", "class_then": "car", "mask": None, "notes": None, "id": 9}

    def edit(frame: list) -> list:
        for row in frame:
            for name, value in changed.items():
                row.set(name, value)
        return frame

    again = tmp_path / f"again{records.suffix}"
    with again.open("wb") as file:
        rewrite(records, file, edit)
    for frame in frames_of(again):
        for row in frame:
            assert {name: row.get(name) for name in changed} == changed


def test_a_key_of_json_lines_takes_the_place_that_tracking_gives_it(tmp_path: Path) -> None:
    row = next(frames_of(write(tmp_path / "x.jsonl", rows()[1:])))[0]
    row.set("notes", {"v": 1})
    row.set("class_then", "bus")
    names = list(row.values)
    assert names[names.index("contact_state") + 1] == "notes"
    assert names[names.index("class") + 1] == "class_then"


def test_a_text_that_a_spreadsheet_would_run_is_a_text_again(tmp_path: Path) -> None:
    made = [row | {"class": "=cmd()"} for row in rows()]
    path = write(tmp_path / "x.csv", made)
    path.write_text(path.read_text("utf-8").replace("=cmd()", "'=cmd()"), "utf-8")
    row = next(frames_of(path))[0]
    assert row.get("class") == "=cmd()"
    row.set("class", "=cmd()")
    assert row.values["class"] == "'=cmd()"


def test_other_files_are_refused(tmp_path: Path) -> None:
    (tmp_path / "x.txt").write_text("1,1,1,1,1,1,1,1,1\n")
    with pytest.raises(ConfigError, match="expected records"):
        next(frames_of(tmp_path / "x.txt"))
    (tmp_path / "x.jsonl").write_text('{"frame":0,"time_s":0,"id":null,"class":"car","box":[0,0,1,1]}\n')
    with pytest.raises(DetectionsError, match="segmented, not tracked"):
        next(frames_of(tmp_path / "x.jsonl"))
    (tmp_path / "x.jsonl").write_text("[]\n")
    with pytest.raises(DetectionsError, match="expected a JSON object"):
        next(frames_of(tmp_path / "x.jsonl"))
