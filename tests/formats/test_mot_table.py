"""MOTChallenge text as columns: files whose lines are alike give what a look at each line gives."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tracker.errors import DetectionsError
from tracker.formats import mot
from tracker.formats.columns import lines_of
from tracker.formats.mot import mot_table

PATH = Path("a.txt")
FULL = ("1,1,10.5,20,30,40,0.5,3,0", "1,2,11.1,-20,30.7,0,1e-3,-1,0.25", "4, 3 ,10,20,30,40,1,1,-1\r")


def table(*lines: str) -> list[list[float]]:
    found = mot_table(PATH, lines_of("\n".join(lines)))
    assert found.shape[1] == 9
    assert found.dtype == np.float64
    return found.tolist()  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    "lines",
    [
        FULL,
        tuple(line.rpartition(",")[0] for line in FULL),
        ("1,1,10,20,30,40,0.5", "2,1,10,20,30,40,0.5"),
        ("1,1,10,20,30,40", "2,1,10,20,30,40"),
    ],
)
def test_lines_that_are_alike_give_what_each_line_gives(
    monkeypatch: pytest.MonkeyPatch, lines: tuple[str, ...]
) -> None:
    assert mot._alike(lines_of("\n".join(lines))) is not None
    found = table(*lines)
    monkeypatch.setattr(mot, "_alike", lambda lines: None)
    assert table(*lines) == found


def test_what_a_row_means() -> None:
    assert table(*FULL)[0] == [1, 1, 10.5, 20, 40.5, 60, 0.5, 3, 0]
    assert table("1,1,10,20,30,40")[0] == [1, 1, 10, 20, 40, 60, 1, -1, -1]
    assert table() == []


@pytest.mark.parametrize(
    "lines",
    [
        ("1,1,10,20,30,40,0.5,3,", "1,2,10,20,30,40,0.5,3,0"),
        ("1,1,10,20,30,40,0.5,", "1,2,10,20,30,40,0.5,"),
        ("1 1 10 20 30 40 0.5", "2 1 10 20 30 40 0.5"),
        ("1,1,10,20,30,40,0.5,3,-1,-1", "1,2,10,20,30,40,0.5,3,-1,-1"),
        ("1,1,10,20,30,40", "2,1,10,20,30,40,0.5"),
    ],
)
def test_lines_of_other_kinds_are_looked_at_one_by_one(lines: tuple[str, ...]) -> None:
    assert mot._alike(lines_of("\n".join(lines))) is None
    assert len(table(*lines)) == 2


@pytest.mark.parametrize(
    "damaged",
    [
        "1,,10,20,30,40,0.5,1,1",
        "1_0,1,10,20,30,40,0.5,1,1",
        "1,1,nan,20,30,40,0.5,1,1",
        "1.5,1,10,20,30,40,0.5,1,1",
        "-1,1,10,20,30,40,0.5,1,1",
        "1,1.5,10,20,30,40,0.5,1,1",
        "1,1e300,10,20,30,40,0.5,1,1",
        "1,1,10,20,-30,40,0.5,1,1",
        "1,1,10,20,30,40,0.5,1.5,1",
        "1,1,10,20,30",
    ],
)
def test_damaged_lines_are_named(damaged: str) -> None:
    with pytest.raises(DetectionsError, match=r"a\.txt:2"):
        table(FULL[0], damaged, FULL[1])
