"""Sheets on which a person counts: CSV files with a row per interval, line, direction and class."""

from __future__ import annotations

import csv
import difflib
import io
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, get_args

from tracker.errors import ConfigError, SourceError
from tracker.formats.cells import cell, plain
from tracker.measure.validation import Cell, Clock, ledger_counts

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable, Mapping, Sequence

    from tracker.events import Event
    from tracker.measure.validation import Interval

__all__ = ["COLUMNS", "Sheet", "SheetRow", "read_sheet", "sheet_text"]

COLUMNS = (
    "interval",
    "stream",
    "clock",
    "from_ms",
    "to_ms",
    "time",
    "stratum",
    "line",
    "direction",
    "class",
    "counted",
)
MANY = 20
"""Names that an error lists."""
LARGEST = 100_000
"""Of a count in one interval; more is a slip of the pen."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SheetRow:
    """One cell to fill in; ``counted`` is ``None`` where it is empty, ``at`` is ``file:line`` where it was read."""

    interval: int
    from_ms: int
    to_ms: int
    place: str
    direction: str
    class_name: str
    counted: int | None
    at: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sheet:
    """A filled sheet.

    Attributes:
        stream: Whose counts.
        clock: By which its intervals are.
        rows: In order of the file.
    """

    stream: str
    clock: Clock
    rows: Sequence[SheetRow]

    @property
    def spans(self) -> list[tuple[int, int, int]]:
        """Number, begin and end in milliseconds of each interval with a count."""
        filled = {row.interval: (row.from_ms, row.to_ms) for row in self.rows if row.counted is not None}
        return [(number, *span) for number, span in filled.items()]

    def check_places(self, known: Iterable[str]) -> None:
        """Refuse counts of lines and zones that are not known: the ledger would count none beside them.

        Args:
            known: Names of lines and zones.

        Raises:
            SourceError: There is such a count; it is named by its line.
        """
        names = sorted(set(known))
        for row in self.rows:
            if row.counted is not None and row.place not in names:
                close = difflib.get_close_matches(row.place, names, 1)
                listed = ", ".join(names[:MANY]) + (f", ... ({len(names)} in all)" * (len(names) > MANY))
                problem = f"expected lines and zones of the ledger, {listed or 'which has none'}, found {row.place!r}"
                remedy = f"did you mean {close[0]!r}? " if close else ""
                raise SourceError(row.at, problem, f"{remedy}name the site if nothing crossed it: --site SITE.yaml")

    def cells(self, events: Iterable[Event]) -> list[Cell]:
        """What is filled in, beside what the ledger has there.

        Args:
            events: Of the ledger, under their final classes.
        """
        return self.beside(ledger_counts(events, self.spans, clock=self.clock, stream=self.stream))

    def beside(self, counts: Mapping[tuple[int, str, str, str], int]) -> list[Cell]:
        """What is filled in, beside what the ledger counted by interval, place, direction and class.

        What the ledger has under a class that the sheet does not know is a cell of which a person counted none.
        """
        filled = [row for row in self.rows if row.counted is not None]
        spans = {number: (from_ms, to_ms) for number, from_ms, to_ms in self.spans}
        known = {(row.interval, row.place, row.direction, row.class_name): row.counted or 0 for row in filled}
        empty = {(row.interval, row.place, row.direction, row.class_name) for row in self.rows if row.counted is None}
        judged = {(row.place, row.direction) for row in filled}
        extra = {key: 0 for key in counts if key not in known and key not in empty and key[1:3] in judged}
        return [
            Cell(
                interval=key[0],
                hours=(spans[key[0]][1] - spans[key[0]][0]) / 3_600_000,
                place=key[1],
                direction=key[2],
                class_name=key[3],
                ledger=counts.get(key, 0),
                person=person,
            )
            for key, person in (known | extra).items()
        ]


def sheet_text(
    intervals: Sequence[Interval],
    asked: Sequence[tuple[str, str, str]],
    *,
    stream: str,
    clock: Clock,
    times: Sequence[str],
    counts: Mapping[int, Sequence[int]] | None = None,
) -> str:
    """A sheet to fill in, or one that is filled.

    Args:
        intervals: To count in.
        asked: Place, direction and class of each count.
        stream: Whose counts.
        clock: By which the intervals are.
        times: Of each interval, for people.
        counts: One for each of ``asked`` by the number of the interval; those that are left out are empty.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for interval, time in zip(intervals, times, strict=True):
        head = [interval.number, stream, clock, interval.from_ms, interval.to_ms, time, interval.stratum]
        filled = (counts or {}).get(interval.number, [""] * len(asked))
        for names, count in zip(asked, filled, strict=True):
            writer.writerow([*map(cell, [*head, *names]), count])
    return text.getvalue()


def read_sheet(path: str | os.PathLike[str]) -> Sheet:
    """A filled sheet, as the page or a spreadsheet saved it.

    Raises:
        SourceError: It cannot be read, or a row is wrong: it is named by its line.
        ConfigError: No row is filled in.
    """
    try:
        text = Path(path).read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as failure:
        raise SourceError(path, f"expected a CSV file in UTF-8, found: {failure}", "save the sheet again") from failure
    dialect = ";" if text.split("\n", 1)[0].count(";") > text.split("\n", 1)[0].count(",") else ","
    reader = csv.DictReader(io.StringIO(text), delimiter=dialect)
    missing = [name for name in COLUMNS if name not in (reader.fieldnames or [])]
    if missing:
        problem = f"expected the columns {', '.join(COLUMNS)}, found no {', '.join(missing)}"
        raise SourceError(path, problem, "fill in the sheet that masktrail validate draw wrote")
    rows, heads, seen = [], set(), set()
    for values in reader:
        place = f"{path}:{reader.line_num}"
        row = _row(values, place)
        key = row.interval, row.place, row.direction, row.class_name
        if key in seen:
            raise SourceError(place, "expected each count once, found it twice", "remove one of the rows")
        seen.add(key)
        rows.append(row)
        heads.add((plain(values["stream"] or ""), values["clock"]))
    if len(heads) != 1 or (clock := next(iter(heads))[1]) not in get_args(Clock):
        problem = "expected one stream and one clock, media or utc, in all rows, found others"
        raise SourceError(path, problem, "fill in one sheet per stream")
    if all(row.counted is None for row in rows):
        raise ConfigError(path, "expected counts in the column counted, found none", "count at least one interval")
    return Sheet(stream=next(iter(heads))[0], clock="utc" if clock == "utc" else "media", rows=rows)


def _row(values: dict[str, str], place: str) -> SheetRow:
    counted = (values["counted"] or "").strip()
    if counted and not (counted.isascii() and counted.isdigit() and int(counted) <= LARGEST):
        problem = f"expected a whole number in the column counted, or nothing, found {counted!r}"
        raise SourceError(place, problem, "correct it")
    try:
        interval, from_ms, to_ms = (int(values[name]) for name in ("interval", "from_ms", "to_ms"))
    except (TypeError, ValueError) as failure:
        problem = "expected whole numbers as interval, from_ms and to_ms, found others"
        raise SourceError(place, problem, "leave these columns as they were") from failure
    if to_ms <= from_ms:
        raise SourceError(
            place, f"expected to_ms after from_ms, found {to_ms} and {from_ms}", "leave them as they were"
        )
    return SheetRow(
        interval=interval,
        from_ms=from_ms,
        to_ms=to_ms,
        place=plain(values["line"] or ""),
        direction=plain(values["direction"] or ""),
        class_name=plain(values["class"] or ""),
        counted=int(counted) if counted else None,
        at=place,
    )
