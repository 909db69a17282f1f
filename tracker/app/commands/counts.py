"""``masktrail counts``: counts of a ledger in bins of time, as a table or as CSV."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from math import gcd
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from tracker.analytics.class_schemes import Scheme
from tracker.app.console import console_for, foreign, show_table
from tracker.app.groups import GroupsFile
from tracker.app.ledgers import LedgerWords, check_out, columns_of, ledgers_of
from tracker.app.sums import sums_of_ledgers
from tracker.app.times import Limits, Since, Until, bin_label, bin_seconds, limits_of, zone_of
from tracker.errors import ConfigError

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo

    from rich.table import Table

    from tracker.analytics.counts import BinCount, Sums
    from tracker.groups import SiteGroup

__all__ = ["counts", "group_rows"]

COLUMNS = {"stream": "stream", "line": "place", "zone": "place", "place": "place"} | {
    name: name for name in ("direction", "class", "kind")
}

DOORS = "doors"
UNKNOWN = "not known for a part: camera out, or deleted by age"
Kind = Literal["crossing", "enter", "leave", "loitering", "flow"]


def counts(
    ledgers: LedgerWords,
    *,
    bins: Annotated[str, typer.Option(metavar="TIME", help="Length of the bins: 30s, 15m, 1h, 1d.")] = "15m",
    by: Annotated[
        str, typer.Option(metavar="LIST", help="What is counted apart: stream, line, direction, class, kind.")
    ] = "stream,line,direction,class",
    kind: Annotated[Kind, typer.Option(help="What is counted.")] = "crossing",
    since: Since = None,
    until: Until = None,
    timezone: Annotated[
        str | None, typer.Option(metavar="NAME", help="Of the times shown: Europe/Berlin; else the group's, or UTC.")
    ] = None,
    group: Annotated[
        str | None, typer.Option(metavar="NAME", help="Of a group of cameras: entries and exits over all its doors.")
    ] = None,
    groups: GroupsFile = None,
    open_only: Annotated[bool, typer.Option("--open", help="With --group: in its opening hours only.")] = False,
    scheme: Annotated[
        Scheme | None, typer.Option(help="Classes as a counting scheme groups them, no finer than they were seen.")
    ] = None,
    out: Annotated[Path | None, typer.Option(metavar="FILE", help="Write a CSV file instead of a table.")] = None,
) -> None:
    """Count what a ledger of events holds, in bins of time; bins without an event are zeros, camera outages are not.

    Days are those of the time zone, of 23 or 25 hours too.
    """
    place = _place(group, groups, open_only=open_only)
    zone = zone_of(timezone or ("UTC" if place is None else place.timezone))
    bin_s, columns = bin_seconds(bins), columns_of(by, COLUMNS)
    limits = limits_of(since, until, zone)
    named = ledgers_of(ledgers)
    check_out(out, named)
    places = [COLUMNS[name] for name in columns]
    if place is None:
        rows = _rows(named, kind, places, bin_s, limits, scheme, zone)
    else:
        rows = group_rows(
            named,
            place,
            by=places,
            bin_s=bin_s,
            limits=limits,
            kind=kind,
            open_only=open_only,
            scheme=scheme,
            zone=zone,
        )
    if out is None:
        console = console_for()
        show_table(console, _table(rows, columns, zone))
        return
    from tracker.sinks.part_file import write_whole

    write_whole(out, _csv(rows, columns, zone).encode())


def _place(group: str | None, groups: Path | None, *, open_only: bool) -> SiteGroup | None:
    """The group of cameras that was asked for.

    Raises:
        ConfigError: An option of groups without one.
    """
    from tracker.app.groups import chosen_group

    if group is not None:
        return chosen_group(group, groups)
    if groups is not None or open_only:
        option = "--open" if open_only else f"--groups {groups}"
        raise ConfigError(option, "expected a group whose hours and doors count, found none", "name it with --group")
    return None


def _rows(
    ledgers: Sequence[str | Path],
    kind: Kind,
    by: Sequence[str],
    bin_s: int,
    limits: Limits,
    scheme: Scheme | None,
    zone: ZoneInfo,
) -> Iterator[BinCount]:
    from tracker.analytics.counts import filled, sum_s

    sums = sums_of_ledgers(ledgers, [kind], by, sum_s(bin_s), limits)
    if scheme is not None:
        sums = _in_scheme(sums, by, scheme)
    return filled(sums, by=by, bin_s=bin_s, start_ms=limits[0], end_ms=limits[1], zone=zone)


def group_rows(
    ledgers: Sequence[str | Path],
    place: SiteGroup,
    *,
    by: Sequence[str],
    bin_s: int,
    limits: Limits,
    kind: Kind = "crossing",
    open_only: bool = False,
    scheme: Scheme | None = None,
    zone: ZoneInfo | None = None,
) -> Iterator[BinCount]:
    """Counts of a group of cameras: of crossings its entries and exits.

    Args:
        ledgers: Of all its cameras, one or several.
        place: The group.
        by: As for :func:`tracker.analytics.counts.count_bins`.
        bin_s: Seconds per bin.
        limits: From when and until when, UTC in milliseconds.
        kind: What is counted.
        open_only: In opening hours only.
        scheme: Of the classes.
        zone: Of days; by default the group's.

    Raises:
        ConfigError: Bins are no whole minutes, in opening hours.
    """
    from tracker.analytics.counts import filled, sum_s
    from tracker.analytics.group_counts import COLUMNS as APART
    from tracker.analytics.group_counts import group_sums, hours_s, in_hours, open_sums, regrouped

    if open_only and bin_s % 60:
        raise ConfigError("--bins", f"expected whole minutes with --open, found {bin_s} s", "such as 15m")
    fine_s = gcd(sum_s(bin_s), hours_s(place)) if open_only else sum_s(bin_s)
    sums = group_sums(sums_of_ledgers(ledgers, [kind], APART, fine_s, limits), place)
    if open_only:
        sums = open_sums(sums, place)
    sums = regrouped(_in_scheme(sums, APART, scheme) if scheme is not None else sums, APART, dict, into=by)
    doors = [{"stream": place.name, "place": DOORS, "direction": way} for way in ("entry", "exit")]
    whole = place.doors and kind == "crossing" and "class" not in by and "kind" not in by
    groups = [tuple(values[name] for name in by) for values in doors] if whole else []
    days = zone or place.zone
    rows = filled(sums, by=by, bin_s=bin_s, start_ms=limits[0], end_ms=limits[1], groups=groups, zone=days)
    return (row for row in rows if not open_only or in_hours(row, place))


def _in_scheme(sums: Sums, by: Sequence[str], scheme: Scheme) -> Sums:
    """With the scheme's classes."""
    from tracker.analytics.class_schemes import scheme_class
    from tracker.analytics.group_counts import regrouped

    if "class" not in by:
        raise ConfigError("--scheme", "expected classes that are counted apart, found none", "add class to --by")
    return regrouped(sums, by, lambda values: values | {"class": scheme_class(scheme, values["class"])})


def _table(rows: Iterator[BinCount], columns: Sequence[str], zone: ZoneInfo) -> Table:
    """Bins with a count, and those of which a part is not known; and the total."""
    from rich.table import Table

    table = Table(box=None, padding=(0, 1), header_style="cyan")
    table.add_column("from", no_wrap=True)  # a time cut short is another one
    for name in columns:
        table.add_column(name)
    table.add_column("count", justify="right")
    table.add_column("")
    total = 0
    bins = (list(cells) for _, cells in groupby(rows, key=lambda row: (row.utc, row.start_ms)))
    for (utc, nothing), run in groupby(bins, key=lambda cells: (cells[0].utc, all(one.count is None for one in cells))):
        found = list(run)
        if nothing:
            until = bin_label(found[-1][0].end_ms, zone, utc=utc)
            start = bin_label(found[0][0].start_ms, zone, utc=utc)
            table.add_row(start, *("" for _ in columns), "-", f"not known until {until}")
            continue
        for cells in found:
            start = bin_label(cells[0].start_ms, zone, utc=utc)
            for row in cells:
                total += row.count or 0
                if row.count or row.outage:
                    count = "-" if row.count is None else str(row.count)
                    table.add_row(start, *map(foreign, row.group), count, UNKNOWN if row.outage else "")
                    start = ""
    table.add_section()
    table.add_row("total", *("" for _ in columns), str(total), "")
    return table


def _csv(rows: Iterator[BinCount], columns: Sequence[str], zone: ZoneInfo) -> str:
    """All bins and groups; the count is empty where nothing is known and nothing was counted."""
    from tracker.formats.cells import csv_text

    return csv_text(
        ["from", "from_utc_ms", *columns, "count", "outage"],
        (
            [
                bin_label(row.start_ms, zone, utc=row.utc),
                row.start_ms if row.utc else "",
                *row.group,
                "" if row.count is None else row.count,
                row.outage,
            ]
            for row in rows
        ),
    )
