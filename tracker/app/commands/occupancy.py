"""``masktrail occupancy``: how many are in a place that several cameras see, with its drift and its correction."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tracker.app.console import console_for, show_table
from tracker.app.groups import GroupName, GroupsFile, chosen_group, with_doors
from tracker.app.ledgers import LedgerWords, check_out, ledgers_of, shown_ledger
from tracker.app.sums import check_whole
from tracker.app.times import Since, Until, bin_label, bin_seconds, limits_of
from tracker.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.table import Table

    from tracker.analytics.counts import Outage
    from tracker.analytics.group_occupancy import OccupancyBin, Passage, Period
    from tracker.groups import SiteGroup

__all__ = ["occupancy"]

MINUTE_MS = 60_000
MOST_DRIFT = 0.1
"""Above it a door is missing or counts badly, and a correction says little."""
DRIFT_NOTE = "corrected: with the drift that was left at the quiet hour spread over the flow that was short"


def occupancy(
    ledgers: LedgerWords,
    *,
    group: GroupName,
    groups: GroupsFile = None,
    bins: Annotated[str, typer.Option(metavar="TIME", help="Length of the bins: 5m, 15m, 1h.")] = "15m",
    since: Since = None,
    until: Until = None,
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
    check_whole(named)
    known, last_ms = _read(named, place, bin_s)
    first_ms = known.passages[0].at_ms if start_ms is None else start_ms
    beyond_ms = last_ms + 1 if end_ms is None else end_ms
    rows = occupancy_bins(known.passages, place, bin_s=bin_s, start_ms=first_ms, end_ms=beyond_ms, now_ms=last_ms)
    spans = [one for one in periods(known.passages, place, now_ms=last_ms) if _touches(one, first_ms, beyond_ms)]
    spans = [one for one in spans if one.from_ms >= known.gone_ms or not place.reset_at]
    if out is None:
        console = console_for()
        show_table(console, _table(rows, known, place))
        console.print(_periods(spans, place))
        if any(span.drift for span in spans):
            console.print(DRIFT_NOTE, style="dim")
        return
    from tracker.sinks.part_file import write_whole

    write_whole(out, _csv(rows, known, place).encode())


@dataclass(frozen=True, slots=True, kw_only=True)
class _Known:
    """What ledgers know of a group.

    Attributes:
        passages: In order of time.
        outages: Of its cameras.
        gone_ms: Before this time nothing is known, since it was deleted.
        summed_ms: Before this time passages are known by quarters of an hour: the most at one time is not.
    """

    passages: Sequence[Passage]
    outages: Sequence[Outage]
    gone_ms: int
    summed_ms: int

    def is_out(self, row: OccupancyBin) -> bool:
        """Whether a camera was out, or nothing is known, for a part of a bin."""
        out = any(one.from_ms < row.end_ms and one.to_ms >= row.start_ms for one in self.outages)
        return out or row.start_ms < self.gone_ms

    def figures(self, row: OccupancyBin) -> list[int | float | None]:
        """Entries, exits, inside, most, lost and corrected of a bin, as far as they are known."""
        flows = [count or (None if self.is_out(row) else 0) for count in (row.entries, row.exits)]
        if row.since_ms < self.gone_ms and row.start_ms < self.gone_ms:
            return [None] * 6
        if row.since_ms and row.since_ms < self.gone_ms:  # entries before are not known until the quiet hour
            return [*flows, None, None, None, None]
        peak = None if row.start_ms < self.summed_ms else row.peak
        return [*flows, row.balance, peak, row.lost, row.corrected]


def _read(ledgers: Sequence[str | Path], place: SiteGroup, bin_s: int) -> tuple[_Known, int]:
    """What is known of the group, and the last moment of which the ledgers know."""
    from tracker.analytics.corrections import Corrections
    from tracker.analytics.counts import BIN_S, sums_of
    from tracker.analytics.group_occupancy import kept_passages, passages
    from tracker.formats.deleted import BINS, deleted_of, kept_counts, stores_of
    from tracker.formats.ledger import read_events

    corrections = Corrections.of(read_events(*ledgers))
    found = passages(read_events(*ledgers), place, corrections)
    for store in stores_of(ledgers):
        found = sorted([*found, *kept_passages(kept_counts(store, "crossing"), place)])
    deleted = [one for one in deleted_of(ledgers) if one.stream in place.cameras]
    summed_ms = max((one.before_ms for one in deleted if one.kind == "crossing"), default=0)
    gone_ms = summed_ms if bin_s % BIN_S else max((one.before_ms for one in deleted if one.kind == BINS), default=0)
    if not found:
        problem = f"expected crossings of the doors of {place.name} with a wall clock, found none"
        remedy = "check the names of cameras, lines and directions in the group"
        raise ConfigError(shown_ledger(ledgers[0]), problem, remedy)
    sums = sums_of(read_events(*ledgers), corrections=corrections, by=())
    outages = [out for out in sums.outages if out.stream in place.cameras and out.utc]
    _, last_ms = sums.span(utc=True) or (0, 0)
    known = _Known(passages=found, outages=outages, gone_ms=gone_ms, summed_ms=summed_ms)
    return known, max(last_ms, found[-1].at_ms)


def _touches(span: Period, low_ms: int, high_ms: int) -> bool:
    return span.from_ms < high_ms and (span.to_ms is None or span.to_ms > low_ms)


def _table(rows: Sequence[OccupancyBin], known: _Known, place: SiteGroup) -> Table:
    """Bins in which something happened, or of which a part is not known."""
    from rich.table import Table

    table = Table(box=None, padding=(0, 1), header_style="cyan")
    table.add_column("from", no_wrap=True)
    for name in ("in", "out", "inside", "most", "corrected"):
        table.add_column(name, justify="right")
    table.add_column("")
    for row in rows:
        out = known.is_out(row)
        if not (row.entries or row.exits or out):
            continue
        entries, exits, inside, most, _, corrected = known.figures(row)
        shown = ["-" if value is None else str(value) for value in (entries, exits, inside, most)]
        shown.append("-" if corrected is None else f"{corrected:.1f}")
        notes = [] if not out else ["deleted by age" if row.start_ms < known.gone_ms else "a camera out for a part"]
        notes += [] if _is_open(row, place) else ["closed"]
        table.add_row(bin_label(row.start_ms, place.zone, utc=True), *shown, ", ".join(notes))
    return table


def _is_open(row: OccupancyBin, place: SiteGroup) -> bool:
    """Whether a bin has a minute in which the place is open."""
    return any(place.is_open(at_ms) for at_ms in range(row.start_ms, row.end_ms, MINUTE_MS))


def _periods(spans: Sequence[Period], place: SiteGroup) -> Table:
    from rich.table import Table

    table = Table(box=None, padding=(0, 1), header_style="cyan")
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


def _csv(rows: Sequence[OccupancyBin], known: _Known, place: SiteGroup) -> str:
    """Every bin; cells are empty where nothing is known."""
    from tracker.formats.cells import csv_text

    columns = ("from", "from_utc_ms", "group", "entries", "exits", "inside", "most", "lost", "corrected", "outage")

    def cells(row: OccupancyBin) -> list[Any]:
        values = ["" if value is None else round(value, 2) for value in known.figures(row)]
        start = [bin_label(row.start_ms, place.zone, utc=True), row.start_ms]
        return [*start, place.name, *values, known.is_out(row)]

    return csv_text(columns, map(cells, rows))
