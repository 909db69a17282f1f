"""Rows of JSON Lines: whichever encoder writes them, the bytes are those of ``json``."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from tracker.sinks import lines

ROW: dict[str, Any] = {
    "frame": 3,
    "time_s": 0.12,
    "id": 7,
    "class": "voiture",
    "score": 0.0001,
    "box": (1.0, -0.0, 123456.78, 0.01),
    "velocity_px_s": None,
    "detection": None,
    "coasting": False,
    "contact": (12.345, 0.001),
    "mask": {"size": [720, 1280], "counts": "a\\0`e-5"},
}


def by_json(values: dict[str, Any]) -> str:
    return json.dumps(values, ensure_ascii=False, separators=(",", ":"))


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"time_s": 0.0},
        {"time_s": 0.0001},
        {"time_s": 1e-05},
        {"time_s": 99e-06},
        {"time_s": np.float64(0.3)},
        {"notes": {"quiet": [[1e-05, 2e-06, 1]]}},
        {"class": "".join(map(chr, range(1, 0x300)))},
        {"class": "\ud800"},
        {"class": "\N{LINE SEPARATOR}\N{GRINNING FACE}"},
    ],
)
def test_a_row_is_what_json_writes(changes: dict[str, Any]) -> None:
    assert lines._text(ROW | changes) == by_json(ROW | changes)


@pytest.mark.parametrize("digits", [2, 3, 4])
def test_rounded_numbers_are_written_alike(digits: int) -> None:
    rng = np.random.default_rng(digits)
    values = np.round(rng.uniform(-1, 1, 20_000) * 10.0 ** rng.integers(-4, 7, 20_000), digits).tolist()
    assert lines._text(ROW | {"box": values}) == by_json(ROW | {"box": values})


def test_times_are_written_alike() -> None:
    rng = np.random.default_rng(6)
    for time_s in np.round(10.0 ** rng.uniform(-7, 7, 5000), 6).tolist():
        assert lines._text({"time_s": time_s}) == by_json({"time_s": time_s})
