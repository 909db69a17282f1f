"""``masktrail counts``: counts of a ledger in bins of time, as a table or as CSV."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from tracker.analytics.class_schemes import Scheme
from tracker.app.console import console_for, foreign
from tracker.app.groups import GroupsFile
from tracker.app.ledgers import LedgerWords, check_out, columns_of, ledgers_of
from tracker.app.times import Limits, bin_label, bin_seconds, limits_of, zone_of
from tracker.errors import ConfigError

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo

    from rich.table import Table

    from tracker.analytics.counts import BinCount, Sums
    from tracker.events import EventKind
    from tracker.groups import SiteGroup

__all__ = ["counts", "group_rows", "sums_of_ledgers"]

COLUMNS = {"stream": "stream", "line": "place", "zone": "place", "place": "place"} | {
    name: name for name in ("direction", "class", "kind")
}

DOORS = "doors"
Kind = Literal["crossing", "enter", "leave", "loitering", "flow"]


def counts(
    ledgers: LedgerWords,
    *,
    bins: Annotated[str, typer.Option(metavar="TIME", help="Length of the bins: 30s, 15m, 1h.")] = "15m",
    by: Annotated[
        str, typer.Option(metavar="LIST", help="What is counted apart: stream, line, direction, class, kind.")
    ] = "stream,line,direction,class",
    kind: Annotated[Kind, typer.Option(help="What is counted.")] = "crossing",
    since: Annotated[str | None, typer.Option("--from", metavar="TIME", help="From when: 2026-03-29T07:00.")] = None,
    until: Annotated[str | None, typer.Option("--to", metavar="TIME", help="Until when, exclusive.")] = None,
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
    """Count what a ledger of events holds, in bins of time; bins without an event are zeros, camera outages are not."""
    place = _place(group, groups, open_only=open_only)
    zone = zone_of(timezone or ("UTC" if place is None else place.timezone))
    bin_s, columns = bin_seconds(bins), columns_of(by, COLUMNS)
    limits = limits_of(since, until, zone)
    named = ledgers_of(ledgers)
    check_out(out, named)
    places = [COLUMNS[name] for name in columns]
    if place is None:
        rows = _rows(named, kind, places, bin_s, limits, scheme)
    else:
        rows = group_rows(
            named, place, by=places, bin_s=bin_s, limits=limits, kind=kind, open_only=open_only, scheme=scheme
        )
    if out is None:
        console = console_for()
        console.print(_table(rows, columns, zone))
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
    ledgers: Sequence[str | Path], kind: Kind, by: Sequence[str], bin_s: int, limits: Limits, scheme: Scheme | None
) -> Iterator[BinCount]:
    from tracker.analytics.counts import filled

    sums = sums_of_ledgers(ledgers, [kind], by, bin_s, limits)
    if scheme is not None:
        sums = _in_scheme(sums, by, scheme)
    return filled(sums, by=by, bin_s=bin_s, start_ms=limits[0], end_ms=limits[1])


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

    Raises:
        ConfigError: Bins are no whole minutes, in opening hours.
    """
    from tracker.analytics.counts import filled
    from tracker.analytics.group_counts import COLUMNS as APART
    from tracker.analytics.group_counts import MINUTE_S, group_sums, in_hours, open_sums, regrouped

    if open_only and bin_s % MINUTE_S:
        raise ConfigError("--bins", f"expected whole minutes with --open, found {bin_s} s", "such as 15m")
    sums = sums_of_ledgers(ledgers, [kind], APART, MINUTE_S if open_only else bin_s, limits)
    sums = group_sums(sums, place)
    if open_only:
        sums = open_sums(sums, place, bin_s=bin_s)
    sums = regrouped(_in_scheme(sums, APART, scheme) if scheme is not None else sums, APART, dict, into=by)
    doors = [{"stream": place.name, "place": DOORS, "direction": way} for way in ("entry", "exit")]
    whole = place.doors and kind == "crossing" and "class" not in by and "kind" not in by
    groups = [tuple(values[name] for name in by) for values in doors] if whole else []
    rows = filled(sums, by=by, bin_s=bin_s, start_ms=limits[0], end_ms=limits[1], groups=groups)
    return (row for row in rows if not open_only or in_hours(row, place, bin_s=bin_s))


def _in_scheme(sums: Sums, by: Sequence[str], scheme: Scheme) -> Sums:
    """With the scheme's classes."""
    from tracker.analytics.class_schemes import scheme_class
    from tracker.analytics.group_counts import regrouped

    if "class" not in by:
        raise ConfigError("--scheme", "expected classes that are counted apart, found none", "add class to --by")
    return regrouped(sums, by, lambda values: values | {"class": scheme_class(scheme, values["class"])})


def sums_of_ledgers(
    ledgers: Sequence[str | Path], kinds: Sequence[EventKind], by: Sequence[str], bin_s: int, limits: Limits
) -> Sums:
    """Counts of ledgers: of one store or database by SQL, else event by event."""
    from tracker.analytics.corrections import Corrections
    from tracker.analytics.counts import sums_of
    from tracker.formats.event_store import SUFFIXES
    from tracker.formats.ledger import read_events
    from tracker.formats.postgres import is_postgres

    if len(ledgers) == 1 and is_postgres(ledgers[0]):
        return _sums_of_database(str(ledgers[0]), kinds, by, bin_s, limits)
    stores = [Path(one) for one in ledgers if not is_postgres(one) and Path(one).suffix.lower() in SUFFIXES]
    if len(ledgers) == len(stores) == 1:
        return _sums_of_store(stores[0], kinds, by, bin_s, limits)
    for path in stores:
        _check_whole(path)
    return sums_of(
        read_events(*ledgers),
        corrections=Corrections.of(read_events(*ledgers)),
        kinds=kinds,
        by=by,
        bin_s=bin_s,
        start_ms=limits[0],
        end_ms=limits[1],
    )


def _check_whole(path: Path) -> None:
    """Refuse a store of which events were deleted: their bins are counted of one store only.

    Raises:
        ConfigError: It is one.
    """
    from tracker.formats.event_store import open_store

    with open_store(path) as connection:
        [found] = connection.execute("SELECT coalesce(sum(rows), 0) FROM tombstones").fetchone()
    if found:
        problem = f"expected a store with all of its events beside other ledgers, found {found:,} deleted by age"
        raise ConfigError(path, problem, "count it alone")


def _sums_of_store(path: Path, kinds: Sequence[EventKind], by: Sequence[str], bin_s: int, limits: Limits) -> Sums:
    import sqlite3

    from tracker.errors import SourceError
    from tracker.formats.event_store import grouped, open_store, outages, spans

    with open_store(path) as connection:
        try:
            found = grouped(connection, kinds=kinds, by=by, bin_ms=bin_s * 1000, start_ms=limits[0], end_ms=limits[1])
            return _summed(found, spans(connection), outages(connection))
        except sqlite3.Error as failure:
            raise SourceError(path, f"expected a SQLite ledger, found: {failure}", "check the file") from failure


def _sums_of_database(address: str, kinds: Sequence[EventKind], by: Sequence[str], bin_s: int, limits: Limits) -> Sums:
    from tracker.formats.postgres_ledger import grouped, open_postgres, outages, spans

    with open_postgres(address) as connection:
        found = grouped(connection, kinds=kinds, by=by, bin_ms=bin_s * 1000, start_ms=limits[0], end_ms=limits[1])
        return _summed(found, spans(connection), outages(connection))


def _summed(
    found: Sequence[tuple[bool, int, int, tuple[str, ...], int]],
    spans: dict[bool, tuple[int, int]],
    outages: Sequence[tuple[str, EventKind, int, int, bool]],
) -> Sums:
    from tracker.analytics.counts import Outage, Sums

    sums = Sums(spans=spans)
    sums.outages = [
        Outage(stream=stream, kind=why, from_ms=from_ms, to_ms=to_ms, utc=utc)
        for stream, why, from_ms, to_ms, utc in outages
    ]
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
        start = bin_label(row.start_ms, zone, utc=row.utc)
        note = "camera out for a part" if row.outage else ""
        count = "-" if row.count is None else str(row.count)
        table.add_row("" if start == shown else start, *map(foreign, row.group), count, note)
        shown = start
    table.add_section()
    table.add_row("total", *("" for _ in columns), str(total), "")
    return table


def _csv(rows: Iterator[BinCount], columns: Sequence[str], zone: ZoneInfo) -> str:
    """All bins and groups; the count is empty where the camera was out and nothing was counted."""
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
