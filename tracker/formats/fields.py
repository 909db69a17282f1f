"""Column of a record, as the reference describes it."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Field"]


@dataclass(frozen=True, slots=True)
class Field:
    """A column of a record as the reference describes it.

    Attributes:
        name: In JSON Lines; CSV and Parquet have ``columns`` in its place where they differ.
        kind: ``whole`` number, ``number``, ``text``, ``flag`` or ``list``.
        unit: Of numbers; empty where there is none.
        meaning: One or two sentences.
        columns: Names in CSV and Parquet, which have no nesting; empty = the same.
        present: When there is such a column; empty = always.
    """

    name: str
    kind: str
    unit: str
    meaning: str
    columns: tuple[str, ...] = ()
    present: str = ""
