"""Rows of JSON Lines: the typed reading gives what reading value by value gives, and damaged lines are named."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tracker.errors import DetectionsError
from tracker.formats import json_rows
from tracker.formats.json_rows import read_json_rows

ROW: dict[str, Any] = {
    "frame": 3,
    "time_s": 0.12,
    "id": 7,
    "class": "voiture à bras",
    "score": 0.5,
    "box": [1, 2.25, 30.1, 40.0],
    "velocity_px_s": None,
    "age_s": 0.08,
    "area_px": None,
    "detection": 4,
    "coasting": False,
    "contact": [12.345, 40],
    "contact_state": "seen",
}
NOTES = {"v": 1, "stream": "gate.mp4", "size": [1280, 720]}


def line(**changes: Any) -> str:
    return json.dumps(ROW | changes, ensure_ascii=False, separators=(",", ":"))


def written(path: Path, *lines: str) -> Path:
    path.write_text("".join(f"{one}\n" for one in lines), encoding="utf-8", errors="surrogateescape")
    return path


def rows_of(path: Path) -> list[dict[str, Any]]:
    return [
        {name: value.tolist() if isinstance(value, np.ndarray) else value for name, value in asdict(frame).items()}
        for frame in read_json_rows(path)
    ]


def many() -> list[str]:
    """Rows of every kind that tracking writes, over several frames."""
    mask = {"size": [720, 1280], "counts": "abc"}
    return [
        line(notes=NOTES, mask=mask),
        line(id=8, coasting=True, detection=None, contact_state="predicted", mask=None, mask_from="predicted"),
        line(id=9, contact_state="hidden", notes={"earlier": [[0.08, 1.5, 2.5]]}),
        line(frame=4, time_s=1e-05, **{"class": "car", "class_then": "bus"}, time_from="arrival", image="a b.png"),
        line(frame=5, time_s=0.2, age_s=None),
        line(frame=7, time_s=0.28, contact=None, contact_state=None),
        line(frame=7, time_s=0.28, id=10, contact=[1e-7, 1234567.891]),
    ]


@pytest.mark.parametrize("chunk_bytes", [1, 300, 1 << 18])
def test_typed_rows_are_those_read_value_by_value(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, chunk_bytes: int
) -> None:
    path = written(tmp_path / "a.jsonl", *many())
    monkeypatch.setattr(json_rows, "CHUNK_BYTES", chunk_bytes)
    typed = rows_of(path)
    assert [frame["index"] for frame in typed] == [3, 4, 5, 7]
    assert [frame["place"] for frame in typed] == [f"{path}:{number}" for number in (1, 4, 5, 6)]
    monkeypatch.setattr(json_rows, "_typed", lambda first, lines: None)
    assert rows_of(path) == typed


def test_floats_are_those_of_python(tmp_path: Path) -> None:
    values = np.random.default_rng(3).uniform(-1e4, 1e4, (500, 2))
    lines = [line(frame=n, contact=pair) for n, pair in enumerate(values.tolist())]
    found = np.concatenate([frame.points for frame in read_json_rows(written(tmp_path / "a.jsonl", *lines))])
    assert found.tolist() == values.tolist()


@pytest.mark.parametrize(
    "odd",
    [
        line(frame=4).replace('"id":7', '"id":7.0'),
        line(frame=4).replace("0.08", "NaN"),
        line(frame=4).replace("12.345", "null"),
        line(frame=4, mask="x" * 40)[:-20],
        line(frame=4, **{"class": "\\ud800"}).replace("\\\\", "\\"),
        "\n" + line(frame=4),
        "\ufeff" + line(frame=4),
    ],
)
def test_rows_of_other_programs_are_read_too(tmp_path: Path, odd: str) -> None:
    path = written(tmp_path / "a.jsonl", line(), odd, line(frame=5))
    assert [(frame["index"], frame["ids"]) for frame in rows_of(path)] == [(3, [7]), (4, [7]), (5, [7])]


@pytest.mark.parametrize(
    ("damaged", "expected"),
    [
        ("{", "expected a JSON object, found '{'"),
        ("[1]", "expected a JSON object, found '[1]'"),
        (line(frame=4) + line(frame=5), "expected a JSON object"),
        (line(frame=4, image="a\udcff"), "expected a JSON object"),
        (line(frame=4)[:60], "expected a JSON object"),
        (line(frame=4, id=None), "expected rows of identities"),
        (line(frame=4, box=[1, 2, 3]), "expected four numbers as box, found [1, 2, 3]"),
        (line(frame=4, box=["1", "2", "3", "4"]), "expected four numbers as box"),
        (line(frame=4, id=10**20), "expected a whole number from 0 as id, found 1000"),
        (line(frame=4, id="7"), "expected a whole number from 0 as id, found '7'"),
        (line(frame=4, id=-1), "expected a whole number from 0 as id, found -1"),
        (line(frame=4, id=7.5), "expected a whole number from 0 as id, found 7.5"),
        (line(frame=4, id=True), "expected a whole number from 0 as id, found True"),
        (line(frame="4"), "expected a whole number from 0 as frame, found '4'"),
        (line(frame=-4), "expected a whole number from 0 as frame, found -4"),
        (line(frame=4, time_s="0.2"), "expected a number as time_s, found '0.2'"),
        (line(frame=4, age_s="0.2"), "expected a number as age_s, found '0.2'"),
        (line(frame=4, **{"class": 3}), "expected a name as class, found 3"),
        (line(frame=4, **{"class": ""}), "expected a name as class, found ''"),
        (line(frame=4, class_then=3), "expected a name as class_then, found 3"),
        (line(frame=4, contact=[1, 2, 3]), "expected two numbers as contact, found [1, 2, 3]"),
        (line(frame=4, coasting="no"), "expected true or false as coasting, found 'no'"),
        (line(frame=4, notes=[1]), "expected an object as notes, found [1]"),
        (line(frame=4, notes="[1]"), "expected notes as an object, found [1], which is none"),
        (line(frame=4, notes={"size": [640]}), "expected notes as an object, found the size [640], which is no width"),
        (line(frame=4, contact_state="somewhere"), "found no 'somewhere'"),
        (line(frame=4, contact_state=None), "found no None"),
        (line(frame=4, time_s=None), "expected a number as time_s, found None"),
        (json.dumps({"key": "k", "kind": "line"}), "found a ledger of events"),
    ],
)
def test_damaged_lines_are_named(tmp_path: Path, damaged: str, expected: str) -> None:
    path = written(tmp_path / "a.jsonl", line(), "", damaged, line(frame=9))
    with pytest.raises(DetectionsError) as failure:
        rows_of(path)
    assert f"{path}:3" in str(failure.value)
    assert expected in str(failure.value)
