"""Heatmap of a report: seconds by cell from contacts in records, pictures with and without a still."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from tracker.report.document import Note, Picture
from tracker.report.heat_section import Heat, heat_of_records, heat_picture, heat_section


def write_records(path: Path, *, size: bool = True) -> Path:
    """One identity that stands for 3 s and is hidden for the last of them, then a pause of a minute."""
    lines = []
    for index, time_s in enumerate([0.0, 0.5, 1.0, 1.5, 2.0, 2.5, 62.5]):
        row = {
            "frame": index,
            "time_s": time_s,
            "id": 1,
            "class": "person",
            "box": [300, 100, 340, 200],
            "contact": [320.0, 199.0],
            "contact_state": "hidden" if time_s == 2.0 else "seen",
        }
        if index == 0:
            row["notes"] = {"v": 1, "stream": "gate", **({"size": [640, 360]} if size else {})}
        lines.append(json.dumps(row))
    path.write_text("\n".join(lines), "utf-8")
    return path


def test_seconds_are_those_that_were_seen(tmp_path):
    heat = heat_of_records([write_records(tmp_path / "x.jsonl")])
    assert heat.stream == "gate"
    assert heat.seconds.shape == (36, 64)
    assert heat.seconds.sum() == pytest.approx(0.5 * 4 + 1.0)  # a hidden step is none; a pause is a second at most
    assert heat.seconds[19, 32] == heat.seconds.sum()


def test_records_that_do_not_say_their_size_have_none(tmp_path):
    assert heat_of_records([write_records(tmp_path / "x.jsonl", size=False)]) is None
    assert heat_of_records([]) is None


def test_a_parked_car_does_not_eat_the_range():
    seconds = np.zeros((36, 64))
    seconds[5:25, 10:60] = 2.0
    seconds[30, 5] = 1e6
    image, hot_s = heat_picture(seconds, None)
    assert image.shape == (720, 1280, 3)
    assert hot_s == 2.0
    assert image[300, 700].max() > 150
    assert (image[10, 10] == 38).all()


def test_it_lies_on_the_still():
    still = np.full((480, 640, 3), 200, np.uint8)
    seconds = np.zeros((36, 64))
    seconds[10, 10] = 1.0
    section = heat_section([Heat(stream="gate", seconds=seconds, origin="records")], {"gate": still})
    [picture] = section.parts
    assert isinstance(picture, Picture)
    assert picture.size == (1280, 960)
    bare = heat_section([Heat(stream="gate", seconds=seconds, origin="records")], {})
    assert isinstance(bare.parts[-1], Note)
    assert heat_section([], {}) is None
