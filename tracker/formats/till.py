"""Till data: receipts with their times from CSV or JSON, as users export them or a till's API gives them.

CSV with a head, or a JSON list of objects (also under ``data``, ``items``, ``results`` or ``transactions``). One column
has the time: ``time``, ``timestamp``, ``datetime`` or ``created_at``, as ISO 8601 or seconds since 1970. A column
``transactions``, ``receipts`` or ``count`` has how many receipts a row stands for, else it is one. Rows with a
``id``, ``receipt`` or ``reference`` that was there before are left out.
"""

from __future__ import annotations

import csv
import io
import json
from datetime import datetime
from typing import TYPE_CHECKING, Any

from tracker.errors import SourceError
from tracker.groups import Transaction

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from zoneinfo import ZoneInfo

__all__ = ["MOST_BYTES", "read_till"]

TIMES = ("time", "timestamp", "datetime", "created_at")
COUNTS = ("transactions", "receipts", "count")
KEYS = ("id", "receipt", "reference")
LISTS = ("data", "items", "results", "transactions")
MOST_BYTES = 200_000_000
MOST_RECEIPTS = 10**9


def read_till(data: bytes, name: str, zone: ZoneInfo) -> list[Transaction]:
    """Receipts, in the order of the rows.

    Args:
        data: What the file or the API gave.
        name: Stands for it in errors.
        zone: Of times without an offset; of the hour that comes twice in autumn they are the first.

    Raises:
        SourceError: It is neither, a column is missing, or a value is none; a row is named by its number.
    """
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise SourceError(name, "expected text as UTF-8, found something else", "export it as UTF-8") from None
    rows = _json(text, name) if text.lstrip()[:1] in {"[", "{"} else _csv(text, name)
    return list(_transactions(rows, name, zone))


def _csv(text: str, name: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    head = text.partition("\n")[0]
    delimiter = max(",;\t", key=head.count)
    reader = csv.DictReader(io.StringIO(text), delimiter=delimiter)
    try:
        for row in reader:
            yield f"{name}:{reader.line_num}", {str(key).strip().lower(): value for key, value in row.items()}
    except csv.Error as failure:
        raise SourceError(f"{name}:{reader.line_num}", f"expected CSV, found: {failure}", "export it anew") from failure


def _json(text: str, name: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as failure:
        raise SourceError(name, f"expected JSON, found: {failure}", "check what the till gives") from failure
    if isinstance(found, dict):
        found = next((found[key] for key in LISTS if isinstance(found.get(key), list)), found)
    if not isinstance(found, list):
        problem = f"expected a list of receipts, also under {', '.join(LISTS)}, found something else"
        raise SourceError(name, problem, "check what the till gives")
    for number, row in enumerate(found, 1):
        if not isinstance(row, dict):
            raise SourceError(f"{name} row {number}", "expected an object, found something else", "check the till")
        yield f"{name} row {number}", {str(key).lower(): value for key, value in row.items()}


def _transactions(rows: Iterable[tuple[str, Mapping[str, Any]]], name: str, zone: ZoneInfo) -> Iterator[Transaction]:
    seen: set[str] = set()
    for place, row in rows:
        column = next((one for one in TIMES if one in row), None)
        if column is None:
            found = ", ".join(list(row)[:8]) or "none"
            problem = f"expected one of the columns {', '.join(TIMES)}, found {found}"
            raise SourceError(name, problem, "rename the column with the time of the receipt")
        key = next((str(row[one]) for one in KEYS if row.get(one) not in {None, ""}), None)
        if key is not None:
            if key in seen:
                continue
            seen.add(key)
        count = next((row[one] for one in COUNTS if row.get(one) not in {None, ""}), 1)
        yield Transaction(_at_ms(row[column], place, zone), _receipts(count, place))


def _at_ms(value: Any, place: str, zone: ZoneInfo) -> int:
    text = str(value).strip()
    try:
        if text.replace(".", "", 1).isdecimal():
            return round(float(text) * 1000)
        moment = datetime.fromisoformat(text)
        moment = moment if moment.tzinfo is not None else moment.replace(tzinfo=zone)
        return round(moment.timestamp() * 1000)
    except (ValueError, OverflowError):
        problem = f"expected a time such as 2026-03-29T07:15:00+02:00, found {text[:40]!r}"
        raise SourceError(place, problem, "export times as ISO 8601") from None


def _receipts(value: Any, place: str) -> int:
    text = str(value).strip()
    if not text.isdecimal() or int(text) > MOST_RECEIPTS:
        problem = f"expected a whole number of receipts, found {text[:40]!r}"
        raise SourceError(place, problem, "leave the column empty for one")
    return int(text)
