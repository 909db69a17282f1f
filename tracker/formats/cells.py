"""Cells of CSV files: flags as numbers, and no text that a spreadsheet would run."""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

__all__ = ["cell", "csv_text", "plain"]

FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")
"""What spreadsheets take for the beginning of a formula (OWASP, CSV Injection)."""


def cell(value: Any) -> Any:
    r"""A value as it stands in a CSV file.

    The csv module writes True and False, tables elsewhere expect 0 and 1. A text that a spreadsheet would run as a
    formula gets an apostrophe in front, which spreadsheets do not show.

    >>> cell('=HYPERLINK("http://evil")'), cell("car"), cell(-1.5), cell(True)
    ('\'=HYPERLINK("http://evil")', 'car', -1.5, 1)
    """
    if isinstance(value, bool):
        return int(value)
    return f"'{value}" if isinstance(value, str) and value.startswith(FORMULA_STARTS) else value


def csv_text(columns: Sequence[str], rows: Iterable[Iterable[Any]]) -> str:
    r"""A whole CSV file: the names of its columns and rows of :func:`cell`.

    >>> csv_text(("class", "count"), [("car", 3), ("=1+1", True)])
    "class,count\ncar,3\n'=1+1,1\n"
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    for row in rows:
        writer.writerow(map(cell, row))
    return text.getvalue()


def plain(text: str) -> str:
    r"""The text of a cell that :func:`cell` wrote, without its apostrophe.

    >>> plain("'=1+1"), plain("'tis"), plain("car")
    ('=1+1', "'tis", 'car')
    """
    return text[1:] if text[:1] == "'" and text[1:].startswith(FORMULA_STARTS) else text
