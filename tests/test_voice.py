"""Voice of the code: docstrings and comments never call a track or a program a person."""

from __future__ import annotations

import io
import re
import tokenize
from pathlib import Path

import pytest

TRACKER = Path(__file__).resolve().parent.parent / "tracker"
ROOMS = ("app", "engine", "formats", "measure", "service", "settings", "sinks")
PERSONS = re.compile(r"\b(he|him|his|himself|who|whoever|nobody|somebody|everybody|anybody)\b", re.IGNORECASE)


def prose(path: Path) -> list[tuple[int, str]]:
    """Line and text of every comment and of every text of several words."""
    tokens = tokenize.generate_tokens(io.StringIO(path.read_text("utf-8")).readline)
    wanted = (tokenize.COMMENT, tokenize.STRING)
    return [(one.start[0], one.string) for one in tokens if one.type in wanted and one.string.count(" ") >= 2]


@pytest.mark.parametrize("room", ROOMS)
def test_nothing_is_called_a_person(room: str) -> None:
    files = sorted((TRACKER / room).rglob("*.py"))
    assert files
    found = [
        f"{path.relative_to(TRACKER)}:{line}: {match[0]}"
        for path in files
        for line, text in prose(path)
        for match in PERSONS.finditer(re.sub(r"^ +who: ", "", text, flags=re.MULTILINE))
    ]
    assert found == []
