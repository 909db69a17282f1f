"""Reference of the fields of all records, as Markdown."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tracker.formats.event_rows import EVENT_FIELDS
from tracker.sinks.rows import IDENTITY_FIELDS, ROW_FIELDS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tracker.formats.fields import Field

__all__ = ["record_fields_page"]

_PAGE = """\
# Fields of records

Written by `masktrail settings fields`; change the descriptions in `tracker/sinks/rows.py` and
`tracker/formats/event_rows.py`, then run
`masktrail settings fields --out docs/reference/record-fields.md`.

## JSON Lines, CSV, Parquet

One row per identity and frame; without tracking, per instance and frame.

{rows}

## Table of identities

`*.identities.jsonl`, `*.identities.csv` and `*.identities.parquet` beside the records: one row per identity. Of a
recording it counts what the console, the contact sheet and grouping the records by `class` count. Of a camera there is
one table per part (`{{name}}-{{time}}.identities.jsonl`); of an identity that is in several, the last one holds.

{identities}

## Ledger of events

`*.events.jsonl`, `*.events.parquet` and the table `events` of `*.sqlite`: one row per event; see [ledger](ledger.md).

{events}
"""


def record_fields_page() -> str:
    """The whole page."""
    return _PAGE.format(rows=_table(ROW_FIELDS), identities=_table(IDENTITY_FIELDS), events=_table(EVENT_FIELDS))


def _table(fields: Sequence[Field]) -> str:
    lines = ["| field | type | unit | |", "|---|---|---|---|"]
    for field in fields:
        names = f"`{field.name}`"
        if field.columns:
            names += " (CSV, Parquet: " + ", ".join(f"`{name}`" for name in field.columns) + ")"
        meaning = field.meaning + (f" Only: {field.present}." if field.present else "")
        lines.append(f"| {names} | {field.kind} | {field.unit} | {meaning} |")
    return "\n".join(lines)
