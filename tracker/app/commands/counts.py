"""``masktrail counts``: counts of a ledger in bins of time, as a table or as CSV."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import typer

from tracker.app.console import console_for, foreign
from tracker.errors import ConfigError

if TYPE_CHECKING:
    from rich.table import Table

    from tracker.analytics.counts import BinCount, Sums

__all__ = ["counts", "moment_of", "zone_of"]

COLUMNS = {"stream": "stream", "line": "place", "zone": "place", "place": "place"} | {
    name: name for name in ("direction", "class", "kind")
}
UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}

Kind = Literal["crossing", "enter", "leave", "loitering", "flow"]


def counts(
    ledgers: Annotated[
        list[Path], typer.Argument(metavar="LEDGER...", help="*.events.jsonl, *.events.parquet or *.sqlite.")
    ],
    *,
    bins: Annotated[str, typer.Option(metavar="TIME", help="Length of the bins: 30s, 15m, 1h.")] = "15m",
    by: Annotated[
        str, typer.Option(metavar="LIST", help="What is counted apart: stream, line, direction, class, kind.")
    ] = "stream,line,direction,class",
    kind: Annotated[Kind, typer.Option(help="What is counted.")] = "crossing",
    since: Annotated[str | None, typer.Option("--from", metavar="TIME", help="From when: 2026-03-29T07:00.")] = None,
    until: Annotated[str | None, typer.Option("--to", metavar="TIME", help="Until when, exclusive.")] = None,
    timezone: Annotated[str, typer.Option(metavar="NAME", help="Of the times shown: Europe/Berlin.")] = "UTC",
    out: Annotated[Path | None, typer.Option(metavar="FILE", help="Write a CSV file instead of a table.")] = None,
) -> None:
    """Count what a ledger of events holds, in bins of time; bins without an event are zeros, camera outages are not."""
    from tracker.analytics.counts import filled

    zone, bin_s, columns = zone_of(timezone), _seconds(bins), _columns(by)
    start_ms, end_ms = moment_of("--from", since, zone), moment_of("--to", until, zone)
    if out is not None:
        from tracker.sinks.claims import Claim, check_claims

        check_claims([Claim(path=out, named_by="--out")], [Claim(path=path) for path in ledgers])
    places = [COLUMNS[name] for name in columns]
    sums = _sums(ledgers, kind, places, bin_s, start_ms, end_ms)
    rows = filled(sums, by=places, bin_s=bin_s, start_ms=start_ms, end_ms=end_ms)
    if out is None:
        console = console_for()
        console.print(_table(rows, columns, zone))
        return
    from tracker.sinks.part_file import write_whole

    write_whole(out, _csv(rows, columns, zone).encode())


def _sums(
    ledgers: Sequence[Path], kind: Kind, by: Sequence[str], bin_s: int, start_ms: int | None, end_ms: int | None
) -> Sums:
    """Counts of the ledgers: of one store by SQL, else event by event."""
    from tracker.analytics.corrections import Corrections
    from tracker.analytics.counts import sums_of
    from tracker.formats.event_store import SUFFIXES
    from tracker.formats.ledger import read_events

    if len(ledgers) == 1 and ledgers[0].suffix.lower() in SUFFIXES:
        return _sums_of_store(ledgers[0], kind, by, bin_s, start_ms, end_ms)
    return sums_of(
        read_events(*ledgers),
        corrections=Corrections.of(read_events(*ledgers)),
        kinds=[kind],
        by=by,
        bin_s=bin_s,
        start_ms=start_ms,
        end_ms=end_ms,
    )


def _sums_of_store(
    path: Path, kind: Kind, by: Sequence[str], bin_s: int, start_ms: int | None, end_ms: int | None
) -> Sums:
    import sqlite3

    from tracker.analytics.counts import Outage, Sums
    from tracker.errors import SourceError
    from tracker.formats.event_store import grouped, open_store, outages, spans

    sums = Sums()
    with open_store(path) as connection:
        try:
            found = grouped(connection, kinds=[kind], by=by, bin_ms=bin_s * 1000, start_ms=start_ms, end_ms=end_ms)
            sums.spans = spans(connection)
            sums.outages = [
                Outage(stream=stream, kind=why, from_ms=from_ms, to_ms=to_ms, utc=utc)
                for stream, why, from_ms, to_ms, utc in outages(connection)
            ]
        except sqlite3.Error as failure:
            raise SourceError(path, f"expected a SQLite ledger, found: {failure}", "check the file") from failure
    for utc, slot, semantics, group, count in found:
        sums.counts[utc, slot, group] += count
        sums.semantics.add(semantics)
    return sums


def _table(rows: Iterator[BinCount], columns: Sequence[str], zone: ZoneInfo) -> Table:
    """Bins with a count or an outage, and the total."""
    from rich.table import Table

    table = Table(box=None, padding=(0, 2), header_style="cyan")
    table.add_column("from", no_wrap=True)  # a time cut short is another one
    for name in columns:
        table.add_column(name)
    table.add_column("count", justify="right")
    table.add_column("")
    total, shown = 0, None
    for row in rows:
        total += row.count or 0
        if not row.count and not row.outage:
            continue
        start = _label(row, zone)
        note = "camera out for a part" if row.outage else ""
        count = "-" if row.count is None else str(row.count)
        table.add_row("" if start == shown else start, *map(foreign, row.group), count, note)
        shown = start
    table.add_section()
    table.add_row("total", *("" for _ in columns), str(total), "")
    return table


def _csv(rows: Iterator[BinCount], columns: Sequence[str], zone: ZoneInfo) -> str:
    """All bins and groups; the count is empty where the camera was out and nothing was counted."""
    from tracker.formats.cells import cell

    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["from", "from_utc_ms", *columns, "count", "outage"])
    for row in rows:
        utc_ms = row.start_ms if row.utc else ""
        count = "" if row.count is None else row.count
        writer.writerow(map(cell, [_label(row, zone), utc_ms, *row.group, count, row.outage]))
    return text.getvalue()


def _label(row: BinCount, zone: ZoneInfo) -> str:
    """Local time with its offset, since an hour may come twice; media time where there is no wall clock."""
    if not row.utc:
        minutes, seconds = divmod(row.start_ms // 1000, 60)
        return f"{minutes // 60}:{minutes % 60:02d}:{seconds:02d}"
    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=row.start_ms)
    return moment.astimezone(zone).isoformat(timespec="seconds")


def zone_of(name: str) -> ZoneInfo:
    """A time zone by the name that --timezone was given.

    Raises:
        ConfigError: There is none.
    """
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as failure:
        problem = f"expected the name of a time zone such as Europe/Berlin, found {name!r}"
        raise ConfigError("--timezone", problem, "see the tz database, or install the package tzdata") from failure


def _seconds(text: str) -> int:
    found = re.fullmatch(r"([1-9]\d{0,6})([smhd])", text.strip())
    if found is None:
        raise ConfigError("--bins", f"expected a length such as 30s, 15m or 1h, found {text!r}", "change it")
    return int(found[1]) * UNITS[found[2]]


def _columns(text: str) -> list[str]:
    names = [name.strip() for name in text.split(",") if name.strip()]
    for name in names:
        if name not in COLUMNS:
            raise ConfigError("--by", f"expected some of {', '.join(COLUMNS)}, found {name!r}", "change it")
    if len({COLUMNS[name] for name in names}) < len(names):
        raise ConfigError("--by", f"expected different columns, found {text!r}", "name each once")
    return names


def moment_of(option: str, text: str | None, zone: ZoneInfo) -> int | None:
    """UTC in milliseconds of a time as people write it; without an offset it is in the zone that is shown.

    Raises:
        ConfigError: It is no time; the offender is the option.
    """
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as failure:
        problem = f"expected a time such as 2026-03-29T07:00 or 2026-03-29T07:00+02:00, found {text!r}"
        raise ConfigError(option, problem, "change it") from failure
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=zone)
    return round(moment.timestamp() * 1000)
