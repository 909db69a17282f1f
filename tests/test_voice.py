"""Words of docstrings and comments: a track, an identity or an instance is a thing, not a person."""

from __future__ import annotations

import ast
import io
import re
import tokenize
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
ROOMS = (
    "app",
    "associate",
    "engine",
    "formats",
    "inference",
    "masks",
    "measure",
    "refine",
    "render",
    "report",
    "segment",
    "service",
    "settings",
    "sinks",
    "sources",
    "__main__.py",
    "boxes.py",
    "errors.py",
    "plugins.py",
    "types.py",
)
PERSONS = re.compile(r"\b(he|she|him|his|hers?|[Ww]ho|[Ww]hom|[Nn]obody|[Ss]omebody|[Ee]verybody|[Aa]nybody)\b")
"""Lower case for pronouns: "He et al. 2016" is an author."""


def prose(path: Path) -> list[str]:
    """Comments, docstrings of all kinds (also those below constants), line by line."""
    source = path.read_text(encoding="utf-8")
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    comments = [token.string for token in tokens if token.type == tokenize.COMMENT]
    strings = [
        node.value.value
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
    ]
    return [line for text in (*comments, *strings) for line in text.split("\n")]


@pytest.mark.parametrize("room", ROOMS)
def test_no_track_is_a_person(room: str) -> None:
    place = ROOT / "tracker" / room
    files = [place] if place.is_file() else sorted(place.rglob("*.py"))
    assert files, place
    found = [f"{path.relative_to(ROOT)}: {line}" for path in files for line in prose(path) if PERSONS.search(line)]
    assert not found, "\n".join(found)
