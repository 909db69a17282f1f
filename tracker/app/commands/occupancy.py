"""``masktrail occupancy``: how many are in a place that several cameras see, with its drift and its correction."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tracker.app.console import console_for
from tracker.app.groups import GroupName, GroupsFile, chosen_group, with_doors
from tracker.app.ledgers import LedgerWords, check_out, ledgers_of, shown_ledger
from tracker.app.times import bin_label, bin_seconds, limits_of
from tracker.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.table import Table

    from tracker.analytics.counts import Outage
    from tracker.analytics.group_occupancy import OccupancyBin, Passage, Period
    from tracker.groups import SiteGroup

__all__ = ["occupancy"]

MINUTE_S = 60
MOST_DRIFT = 0.1
"""Above it a door is missing or counts badly, and a correction says little."""
DRIFT_NOTE = "corrected: with the drift that was left at the quiet hour spread over the flow that was short"


def occupancy(
    ledgers: LedgerWords,
    *,
    group: GroupName,
    groups: GroupsFile = None,
    bins: Annotated[str, typer.Option(metavar="TIME", help="Length of the bins: 5m, 15m, 1h.")] = "15m",
    since: Annotated[str | None, typer.Option("--from", metavar="TIME", help="From when: 2026-03-29T07:00.")] = None,
    until: Annotated[str | None, typer.Option("--to", metavar="TIME", help="Until when, exclusive.")] = None,
    out: Annotated[Path | None, typer.Option(metavar="FILE", help="Write a CSV file instead of a table.")] = None,
) -> None:
    """Say how many are in a place: entries less exits over all doors of a group since its quiet hour.

    Times are those of the group's time zone.
    """
    from tracker.analytics.group_occupancy import occupancy_bins, periods

    place, bin_s = with_doors(chosen_group(group, groups)), bin_seconds(bins)
    start_ms, end_ms = limits_of(since, until, place.zone)
    named = ledgers_of(ledgers)
    check_out(out, named)
    found, outages, last_ms = _read(named, place)
    first_ms = found[0].at_ms if start_ms is None else start_ms
    beyond_ms = last_ms + 1 if end_ms is None else end_ms
    rows = occupancy_bins(found, place, bin_s=bin_s, start_ms=first_ms, end_ms=beyond_ms, now_ms=last_ms)
    spans = [one for one in periods(found, place, now_ms=last_ms) if _touches(one, first_ms, beyond_ms)]
    if out is None:
        console = console_for()
        console.print(_table(rows, outages, place, bin_s))
        console.print(_periods(spans, place))
        if any(span.drift for span in spans):
            console.print(DRIFT_NOTE, style="dim")
        return
    from tracker.sinks.part_file import write_whole

    write_whole(out, _csv(rows, outages, place, bin_s).encode())


def _read(ledgers: Sequence[str | Path], place: SiteGroup) -> tuple[list[Passage], list[Outage], int]:
    """Passages, outages of the group's cameras, and the last moment of which the ledgers know."""
    from tracker.analytics.corrections import Corrections
    from tracker.analytics.counts import sums_of
    from tracker.analytics.group_occupancy import passages
    from tracker.formats.ledger import read_events

    corrections = Corrections.of(read_events(*ledgers))
    found = passages(read_events(*ledgers), place, corrections)
    if not found:
        problem = f"expected crossings of the doors of {place.name} with a wall clock, found none"
        remedy = "check the names of cameras, lines and directions in the group"
        raise ConfigError(shown_ledger(ledgers[0]), problem, remedy)
    sums = sums_of(read_events(*ledgers), corrections=corrections, by=())
    outages = [out for out in sums.outages if out.stream in place.cameras and out.utc]
    return found, outages, max(sums.spans[True][1], found[-1].at_ms)


def _touches(span: Period, low_ms: int, high_ms: int) -> bool:
    return span.from_ms < high_ms and (span.to_ms is None or span.to_ms > low_ms)


def _out(row: OccupancyBin, outages: Sequence[Outage], bin_s: int) -> bool:
    """Whether a camera of the group was out for a part of a bin."""
    return any(out.from_ms < row.start_ms + bin_s * 1000 and out.to_ms >= row.start_ms for out in outages)


def _table(rows: Sequence[OccupancyBin], outages: Sequence[Outage], place: SiteGroup, bin_s: int) -> Table:
    """Bins in which something happened, or in which a camera was out."""
    from rich.table import Table

    table = Table(box=None, padding=(0, 2), header_style="cyan")
    table.add_column("from", no_wrap=True)
    for name in ("in", "out", "inside", "most", "corrected"):
        table.add_column(name, justify="right")
    table.add_column("")
    for row in rows:
        out = _out(row, outages, bin_s)
        if not (row.entries or row.exits or out):
            continue
        corrected = "-" if row.corrected is None else f"{row.corrected:.1f}"
        notes = ["a camera out for a part"] if out else []
        notes += [] if _is_open(row, place, bin_s) else ["closed"]
        figures = (row.entries, row.exits, row.balance, row.peak)
        table.add_row(bin_label(row.start_ms, place.zone, utc=True), *map(str, figures), corrected, ", ".join(notes))
    return table


def _is_open(row: OccupancyBin, place: SiteGroup, bin_s: int) -> bool:
    """Whether a bin has a minute in which the place is open."""
    return any(place.is_open(row.start_ms + second * 1000) for second in range(0, bin_s, MINUTE_S))


def _periods(spans: Sequence[Period], place: SiteGroup) -> Table:
    from rich.table import Table

    table = Table(box=None, padding=(0, 2), header_style="cyan")
    table.add_column("since quiet hour" if place.reset_at else "since", no_wrap=True)
    for name in ("in", "out", "drift"):
        table.add_column(name, justify="right")
    table.add_column("")
    for span in spans:
        drift = "-" if span.to_ms is None else f"{span.drift:+d} ({_percent(span)})"
        note = "lasts" if span.to_ms is None else f"spread over {span.spread}" if span.spread else ""
        if _share(span) > MOST_DRIFT:
            note += f"{', ' * bool(note)}more than {MOST_DRIFT:.0%}: check the doors"
        table.add_row(bin_label(span.from_ms, place.zone, utc=True), str(span.entries), str(span.exits), drift, note)
    return table


def _percent(span: Period) -> str:
    return f"{100 * _share(span):.1f} %"


def _share(span: Period) -> float:
    """Drift as a share of the larger flow."""
    return abs(span.drift) / max(span.entries, span.exits, 1)


def _csv(rows: Sequence[OccupancyBin], outages: Sequence[Outage], place: SiteGroup, bin_s: int) -> str:
    from tracker.formats.cells import csv_text

    columns = ("from", "from_utc_ms", "group", "entries", "exits", "inside", "most", "lost", "corrected", "outage")

    def cells(row: OccupancyBin) -> list[Any]:
        corrected = "" if row.corrected is None else round(row.corrected, 2)
        values = [place.name, row.entries, row.exits, row.balance, row.peak, row.lost, corrected]
        start = [bin_label(row.start_ms, place.zone, utc=True), row.start_ms]
        return [*start, *values, _out(row, outages, bin_s)]

    return csv_text(columns, map(cells, rows))
