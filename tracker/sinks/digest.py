"""Digest of events for people: how many of each kind, the latest one by one, all of them as an attachment."""

from __future__ import annotations

import json
from collections import Counter
from datetime import UTC, datetime
from email.message import EmailMessage
from email.utils import formatdate
from types import MappingProxyType
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from tracker.errors import one_line

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import tzinfo

__all__ = ["alert_mail", "digest_mail"]

LISTED = 50
"""Events that stand in the text one by one, the latest; all are in the attachment."""


def digest_mail(
    stream: str, bodies: Sequence[bytes], timezone: str, timezones: Mapping[str, str] = MappingProxyType({})
) -> EmailMessage:
    """A mail without sender and recipients.

    Args:
        stream: Name of the stream; empty for rows of several, which the mail tells apart then.
        bodies: Rows of the ledger as JSON, at least one.
        timezone: Of the times, as the IANA names it.
        timezones: By stream, where it is another.
    """
    rows = [json.loads(body) for body in bodies]
    streams = {row["stream"] for row in rows}
    title = stream or (next(iter(streams)) if len(streams) == 1 else f"{len(streams)} streams")
    alerts = sum(row["kind"] == "alert" and row["since_s"] is None for row in rows)
    mail = EmailMessage()
    counted = _number(len(rows), "event") + (f", {_number(alerts, 'alert')}" if alerts else "")
    mail["Subject"] = f"{one_line(title)}: {counted}"
    mail["Date"] = formatdate()
    mail["Auto-Submitted"] = "auto-generated"  # so that absence notes do not answer
    zones = {name: ZoneInfo(timezones.get(name, timezone)) for name in streams}
    several = not stream and len(streams) > 1
    mail.set_content("\n".join(_text(title, rows, zones, several=several)) + "\n")
    lines = b"\n".join(bodies) + b"\n"
    mail.add_attachment(lines, maintype="application", subtype="x-ndjson", filename="events.jsonl")
    return mail


def alert_mail(stream: str, body: bytes, timezone: str) -> EmailMessage:
    """A mail about one alert, without sender and recipients.

    Args:
        stream: Name of the stream.
        body: Its row of the ledger as JSON.
        timezone: Of the times, as the IANA names it.
    """
    row, zone = json.loads(body), ZoneInfo(timezone)
    over = row["since_s"] is not None
    what = f"{'alert over' if over else 'alert'}: {one_line(row['place'])}"
    text = [f"{one_line(stream)}: {what}", "", f"{'over' if over else 'since'} {_when(row, zone)}"]
    if over:
        text.append(f"lasted {row['time_s'] - row['since_s']:.0f} s")
    if row.get("value") is not None:
        text.append(f"{'highest value' if over else 'value'} {row['value']:g}")
    mail = EmailMessage()
    mail["Subject"] = f"{one_line(stream)}: {what}"
    mail["Date"] = formatdate()
    mail["Auto-Submitted"] = "auto-generated"
    mail.set_content("\n".join(text) + "\n")
    return mail


def _text(title: str, rows: Sequence[dict[str, Any]], zones: Mapping[str, tzinfo], *, several: bool) -> list[str]:
    first, last = (_when(row, zones[row["stream"]]) for row in (rows[0], rows[-1]))
    text = [f"{one_line(title)}: {_number(len(rows), 'event')}, from {first} to {last}", ""]
    columns = (*(["stream"] if several else []), "kind", "place", "direction", "class")
    sums = Counter(tuple(str(row[name]) for name in columns) for row in rows)
    text += _table([(*key, str(count)) for key, count in sorted(sums.items())])
    shown = rows[-LISTED:]
    text += ["", "The latest:" if len(shown) < len(rows) else "One by one:", ""]
    for row in shown:
        what = [row[name] for name in columns]
        what += [f"number {row['identity']}"] if row["identity"] else []
        what += [f"value {row['value']:g}"] if row.get("value") is not None else []
        what += ["over"] if row["since_s"] is not None and not row["identity"] else []
        text.append(f"{_when(row, zones[row['stream']])}  {', '.join(one_line(part) for part in what if part)}")
    return text


def _when(row: dict[str, Any], zone: tzinfo) -> str:
    """Wall clock with its offset, or media seconds where there is none."""
    if row["utc_ms"] is None:
        return f"{row['time_s']:.1f} s"
    return datetime.fromtimestamp(row["utc_ms"] / 1000, UTC).astimezone(zone).isoformat(" ", "seconds")


def _table(rows: Sequence[tuple[str, ...]]) -> list[str]:
    widths = [max(len(one_line(row[column])) for row in rows) for column in range(len(rows[0]))]
    padded = [[one_line(cell).ljust(width) for cell, width in zip(row, widths, strict=True)] for row in rows]
    return ["  ".join(cells[:-1]) + "  " + cells[-1].strip() for cells in padded]


def _number(count: int, what: str) -> str:
    return f"{count} {what}" if count == 1 else f"{count} {what}s"
