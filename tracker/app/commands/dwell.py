"""``masktrail dwell``: how long identities stayed in zones, as a table or every stay as CSV."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tracker.app.console import console_for, foreign, show_table
from tracker.app.ledgers import LedgerWords, check_out, columns_of, ledgers_of
from tracker.app.periods import asked_of, tell_deleted
from tracker.app.times import Since, Until, duration, moment, zone_of

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo

    from rich.table import Table

    from tracker.analytics.dwell import Dwell
    from tracker.analytics.stays import ZoneStay

__all__ = ["dwell"]

KINDS = frozenset({"enter", "leave", "reclassified", "rekeyed"})
APART = "inside: entry not seen, in no figure. lost, open: exit not seen; see --help."

COLUMNS = {"stream": "stream", "zone": "place", "class": "class"}


def dwell(
    ledgers: LedgerWords,
    *,
    by: Annotated[str, typer.Option(metavar="LIST", help="What is taken apart: stream, zone, class.")] = "zone,class",
    since: Since = None,
    until: Until = None,
    timezone: Annotated[str, typer.Option(metavar="NAME", help="Of the times: Europe/Berlin.")] = "UTC",
    out: Annotated[Path | None, typer.Option(metavar="FILE", help="Write every stay as a row of a CSV file.")] = None,
) -> None:
    """Say how long identities stayed in zones.

    The mean is of stays seen from entry to exit; median and 90 % take those whose exit was not seen for as long as
    they were seen (Kaplan-Meier). With --from and --to: of stays that began in that time.
    """
    from tracker.analytics.counts import booked
    from tracker.analytics.dwell import dwell as dwell_of
    from tracker.analytics.stays import stays
    from tracker.formats.ledger import read_events

    zone, columns = zone_of(timezone), columns_of(by, COLUMNS)
    named = ledgers_of(ledgers)
    check_out(out, named)
    until_ms: dict[tuple[str, bool], int] = {}
    events = []
    for event in read_events(*named):
        at_ms, utc = booked(event)
        until_ms[event.stream, utc] = max(at_ms, until_ms.get((event.stream, utc), at_ms))
        if event.kind in KINDS:
            events.append(event)
    asked = asked_of(since, until, zone, named, ("enter", "leave"))
    found = [one for one in stays(events) if asked.holds(one.stream, one.entered_ms, utc=one.utc)]
    tell_deleted(asked, zone)
    if out is None:
        console = console_for()
        rows = dwell_of(found, by=[COLUMNS[name] for name in columns], until_ms=until_ms)
        show_table(console, _table(rows, columns))
        if not all(one.closed for one in found):
            console.print(APART, style="dim")
        return
    from tracker.sinks.part_file import write_whole

    write_whole(out, _csv(found, zone).encode())


def _table(rows: Sequence[Dwell], columns: Sequence[str]) -> Table:
    from rich.table import Table

    table = Table(box=None, padding=(0, 1), header_style="cyan")
    for name in columns:
        table.add_column(name, overflow="fold")
    for name in ("closed", "mean", "median", "90 %", "longest", "inside", "lost", "open"):
        table.add_column(name, justify="right")
    for row in rows:
        figures = (row.mean_s, row.median_s, row.p90_s, row.longest_s)
        apart = (row.found_inside, row.lost, row.lasting)
        table.add_row(*map(foreign, row.group), str(row.closed), *map(duration, figures), *map(str, apart))
    return table


def _csv(found: Sequence[ZoneStay], zone: ZoneInfo) -> str:
    """Every stay, in the order of entries; times of streams without a wall clock are seconds of media time."""
    from tracker.formats.cells import csv_text

    columns = ("stream", "zone", "identity", "class", "entered", "left", "dwell_s", "hidden_s", "began", "end")

    def row(one: ZoneStay) -> list[Any]:
        times = [moment(at_ms, zone, utc=one.utc) for at_ms in (one.entered_ms, one.left_ms)]
        dwell_s = "" if one.dwell_s is None else round(one.dwell_s, 3)
        who = [one.stream, one.place, one.identity, one.class_name]
        return [*who, *times, dwell_s, round(one.hidden_s, 3), one.began, one.end or ""]

    return csv_text(columns, map(row, found))
