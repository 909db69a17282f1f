"""``masktrail queues``, ``footfall`` and ``bays``: what a ledger says of them, as a table or as CSV."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tracker.app.console import console_for, foreign, show_table
from tracker.app.ledgers import LedgerWords, check_out, ledgers_of
from tracker.app.periods import asked_of, gap_starts, tell_deleted
from tracker.app.times import Since, Until, bin_label, bin_seconds, duration, moment, zone_of
from tracker.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence
    from zoneinfo import ZoneInfo

    from tracker.analytics.asked import Asked
    from tracker.analytics.turnover import BayFigures, Parking
    from tracker.analytics.visitors import Visitors
    from tracker.analytics.waits import LengthBin, QueueFigures, Wait
    from tracker.events import Event

    Row = LengthBin | QueueFigures | Visitors | BayFigures

__all__ = ["bays", "footfall", "queues"]

Zone = Annotated[str, typer.Option(metavar="NAME", help="Of the times shown: Europe/Berlin.")]
Cells = list[Any]

_WAIT_HEAD = ("stream", "queue", "identity", "class", "joined", "left", "wait_s", "reach_m", "began", "end")
_BIN_HEAD = ("stream", "queue", "from", "from_utc_ms", "mean", "longest", "share_above", "served", "abandoned")
_BINS_SHOWN = ("from", "queue", "mean", "longest")
_QUEUES_SHOWN = ("queue", "served", "mean", "90 %", "longest", "gave up", "partly", "length", "most")
_VISITOR_HEAD = (
    *("stream", "footfall", "visitors", "entries", "staff", "re_entries", "groups", "grouped", "parties", "exits"),
    *("passers_by", "capture_of_passing", "capture_of_all"),
)
_VISITORS_SHOWN = ("footfall", "visitors", "staff", "again", "groups", "in them", "passed", "of passed", "of all")
_PARKING_HEAD = ("stream", "bay", "identity", "class", "taken", "free", "parked_s", "began")
_BAYS_SHOWN = ("bay", "arrivals", "departures", "mean", "longest", "occupied", "per hour", "now")

QUEUE_NOTE = "partly: joining or end not seen, which is in no mean. length, most: persons; see --help."
FOOTFALL_NOTE = "visitors: without staff, and without those that came in again; see --help."
NO_PASSING = "of passed, of all: cannot be said, since no line of the site counts passers-by"
NO_QUEUES = "no waits: the ledger must be counted with a site that has `queues`, and hold the time that is asked for"
NO_FOOTFALL = "no footfall: the ledger has no camera with the site's doors, or nothing of the time that is asked for"
NO_BAYS = "no bays: the ledger must be counted with a site that has `bays`; with --site, free ones are shown too"


def queues(
    ledgers: LedgerWords,
    *,
    above: Annotated[int, typer.Option(metavar="N", min=0, help="Persons; a longer queue is too long.")] = 7,
    since: Since = None,
    until: Until = None,
    bins: Annotated[
        str | None, typer.Option(metavar="TIME", help="Length over time, in bins of 30s, 15m, 1h, 1d.")
    ] = None,
    timezone: Zone = "UTC",
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write every wait, or every bin, as a row of a CSV file.")
    ] = None,
) -> None:
    """Say how long queues were, and how long those in them waited.

    Mean and longest wait are of those served that were seen joining; median and 90 % take those that gave up or were
    lost for as long as they waited (Kaplan-Meier). With --from and --to: of waits that began in that time.
    """
    from tracker.analytics.spans import spans_of
    from tracker.analytics.waits import length_bins, queue_figures, waits

    zone, bin_s = zone_of(timezone), None if bins is None else bin_seconds(bins)
    events = _events(ledgers, out)
    asked = asked_of(since, until, zone, ledgers_of(ledgers), ("queue_join", "queue_leave"))
    found, spans = waits(events), asked.spans(spans_of(events))
    if bin_s is not None:
        rows = length_bins(found, spans, bin_s=bin_s, above=above, zone=zone)
        if out is None:
            _show(
                [*_BINS_SHOWN, f"above {above}", "served", "abandoned"],
                [_bin_shown(row, _place(row, rows), zone) for row in rows],
            )
        else:
            gaps = _gaps(asked, {(one.stream, one.place) for one in found}, bin_s, zone, _BIN_HEAD)
            _write(out, _BIN_HEAD, [*gaps, *(_bin_cells(row, zone) for row in rows)])
    elif out is not None:
        told = [one for one in found if asked.holds(one.stream, one.joined_ms, utc=one.utc)]
        _write(out, _WAIT_HEAD, [_wait_cells(one, zone) for one in told])
    else:
        queued = queue_figures(found, spans, above=above, asked=asked)
        _show([*_QUEUES_SHOWN, f"above {above}"], [_queue_shown(row, _place(row, queued)) for row in queued])
        _note(QUEUE_NOTE if queued else NO_QUEUES)
    tell_deleted(asked, zone)


def footfall(
    ledgers: LedgerWords,
    *,
    site: Annotated[Path, typer.Option(metavar="FILE", help="Site file: which lines are doors, where people pass.")],
    since: Since = None,
    until: Until = None,
    bins: Annotated[str | None, typer.Option(metavar="TIME", help="In bins of 30s, 15m, 1h, 1d.")] = None,
    timezone: Zone = "UTC",
    out: Annotated[Path | None, typer.Option(metavar="FILE", help="Write a CSV file instead of a table.")] = None,
) -> None:
    """Say how many came in, of them staff, again and in groups, how many passed by, and both capture rates.

    capture_of_passing is visitors over passers-by, capture_of_all visitors over visitors and passers-by together. Where
    no line of the site counts passers-by, neither can be said.
    """
    from tracker.analytics.spans import spans_of
    from tracker.analytics.visitors import KINDS, visitors
    from tracker.settings.site_file import read_site

    zone, bin_s, drawn = zone_of(timezone), None if bins is None else bin_seconds(bins), read_site(site)
    if not drawn.footfall:
        raise ConfigError(site, "expected footfall in the site, found none", "add it: docs/guide/count-shop.md")
    events = _events(ledgers, out)
    asked = asked_of(since, until, zone, ledgers_of(ledgers), KINDS)
    known = spans_of(events)
    rows = visitors(events, drawn, bin_s=bin_s, spans=asked.spans(known), zone=zone)
    if out is not None:
        head = [*_VISITOR_HEAD[:2], *(("from", "from_utc_ms") if bin_s else ()), *_VISITOR_HEAD[2:]]
        places = {(stream, rule.name) for stream, _ in known for rule in drawn.footfall}
        gaps = _gaps(asked, places, bin_s, zone, head) if bin_s else []
        _write(out, head, [*gaps, *(_visitor_cells(row, zone) for row in rows)])
    else:
        head = [*(["from"] if bin_s else []), *_VISITORS_SHOWN]
        _show(head, [_visitor_shown(row, _place(row, rows), zone) for row in rows])
        _note(FOOTFALL_NOTE if rows else NO_FOOTFALL)
        if any(row.passers_by is None for row in rows):
            _note(NO_PASSING)
    tell_deleted(asked, zone)


def bays(
    ledgers: LedgerWords,
    *,
    site: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Site file: its bays have rows though none was taken.")
    ] = None,
    since: Since = None,
    until: Until = None,
    timezone: Zone = "UTC",
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write every time a bay was taken as a row of a CSV file.")
    ] = None,
) -> None:
    """Say how often parking bays were taken, for how long, and for which share of the time.

    With --from and --to: arrivals and departures of that time, and its share.
    """
    from tracker.analytics.spans import spans_of
    from tracker.analytics.turnover import bay_figures, parkings
    from tracker.settings.site_file import read_site

    zone, drawn = zone_of(timezone), None if site is None else read_site(site)
    events = _events(ledgers, out)
    asked = asked_of(since, until, zone, ledgers_of(ledgers), ("bay_taken", "bay_free"))
    found, spans = parkings(events), asked.spans(spans_of(events))
    tell_deleted(asked, zone)
    if out is not None:
        told = [one for one in found if asked.holds(one.stream, one.taken_ms, utc=one.utc)]
        _write(out, _PARKING_HEAD, [_parking_cells(one, zone) for one in told])
        return
    known = {(stream, bay.name) for stream, _ in spans for bay in (() if drawn is None else drawn.bays)}
    rows = bay_figures(found, spans, bays=known)
    _show(_BAYS_SHOWN, [*(_bay_shown(row, _place(row, rows)) for row in rows), *_all_bays(rows)])
    if not rows:
        _note(NO_BAYS)


def _note(text: str) -> None:
    console_for().print(text, style="dim", markup=False)


def _events(ledgers: Sequence[str], out: Path | None) -> list[Event]:
    """The ledgers' rows; the file that is to be written is none of them."""
    from tracker.formats.ledger import read_events

    named = ledgers_of(ledgers)
    check_out(out, named)
    return list(read_events(*named))


def _gaps(
    asked: Asked, places: Collection[tuple[str, str]], bin_s: int, zone: ZoneInfo, head: Sequence[str]
) -> list[Cells]:
    """Rows of the bins that were deleted: without numbers, which is not 0."""
    return [
        [stream, place, bin_label(start, zone, utc=True), start, *("" for _ in head[4:])]
        for stream, place in sorted(places)
        for start in gap_starts(asked, stream, bin_s, zone)
    ]


def _show(head: Sequence[str], rows: Iterable[Cells]) -> None:
    """A table; texts to the left, numbers to the right."""
    from rich.table import Table

    table = Table(box=None, padding=(0, 1), header_style="cyan")
    for name in head:
        words = name in {"from", "queue", "footfall", "bay", "now"}
        table.add_column(name, justify="left" if words else "right", no_wrap=name == "from", overflow="fold")
    for row in rows:
        table.add_row(*map(str, row))
    show_table(console_for(), table)


def _write(out: Path, head: Sequence[str], rows: Iterable[Cells]) -> None:
    from tracker.formats.cells import csv_text
    from tracker.sinks.part_file import write_whole

    write_whole(out, csv_text(head, rows).encode())


def _place(row: Row, rows: Sequence[Row]) -> str:
    """Name of a queue, footfall or bay, with that of its stream where there are several."""
    several = len({one.stream for one in rows}) > 1
    return foreign(f"{row.stream} {row.place}" if several else row.place)


def _wait_cells(one: Wait, zone: ZoneInfo) -> Cells:
    times = [moment(at_ms, zone, utc=one.utc) for at_ms in (one.joined_ms, one.left_ms)]
    began = "joined" if one.seen else "already_there"
    reach = "" if one.reach_m is None else round(one.reach_m, 2)
    where = [one.stream, one.place, one.identity, one.class_name]
    return [*where, *times, round(one.wait_s, 3), reach, began, one.end or ""]


def _parking_cells(one: Parking, zone: ZoneInfo) -> Cells:
    times = [moment(at_ms, zone, utc=one.utc) for at_ms in (one.taken_ms, one.free_ms)]
    parked_s = "" if one.parked_s is None else round(one.parked_s, 3)
    began = "arrived" if one.seen else "already_there"
    return [one.stream, one.place, one.identity, one.class_name, *times, parked_s, began]


def _bin_cells(row: LengthBin, zone: ZoneInfo) -> Cells:
    times = [bin_label(row.start_ms, zone, utc=row.utc), row.start_ms if row.utc else ""]
    lengths = [round(row.mean, 3), row.longest, round(row.share_above, 4)]
    return [row.stream, row.place, *times, *lengths, row.served, row.abandoned]


def _bin_shown(row: LengthBin, place: str, zone: ZoneInfo) -> Cells:
    start = bin_label(row.start_ms, zone, utc=row.utc)
    lengths = [f"{row.mean:.1f}", row.longest, f"{row.share_above:.0%}"]
    return [start, place, *lengths, row.served, row.abandoned]


def _queue_shown(row: QueueFigures, place: str) -> Cells:
    times = map(duration, (row.mean_wait_s, row.p90_wait_s, row.longest_wait_s))
    apart = [row.abandoned, row.partly_seen]
    lengths = [f"{row.mean_length:.1f}", row.longest, f"{row.share_above:.0%}"]
    return [place, row.served, *times, *apart, *lengths]


def _visitor_cells(row: Visitors, zone: ZoneInfo) -> Cells:
    times = (
        [] if row.start_ms is None else [bin_label(row.start_ms, zone, utc=row.utc), row.start_ms if row.utc else ""]
    )
    ratios = ["" if one is None else round(one, 4) for one in (row.capture_of_passing, row.capture_of_all)]
    counts = [row.visitors, row.entries, row.staff, row.re_entries, row.groups, row.grouped, row.parties]
    passed = "" if row.passers_by is None else row.passers_by
    return [row.stream, row.place, *times, *counts, row.exits, passed, *ratios]


def _visitor_shown(row: Visitors, place: str, zone: ZoneInfo) -> Cells:
    times = [] if row.start_ms is None else [bin_label(row.start_ms, zone, utc=row.utc)]
    ratios = ["-" if one is None else f"{one:.0%}" for one in (row.capture_of_passing, row.capture_of_all)]
    passed = "-" if row.passers_by is None else row.passers_by
    counts = [row.visitors, row.staff, row.re_entries, row.groups, row.grouped, passed]
    return [*times, place, *counts, *ratios]


def _bay_shown(row: BayFigures, place: str) -> Cells:
    times = [duration(row.mean_s), duration(row.longest_s)]
    shares = [f"{row.occupied_share:.0%}", f"{row.arrivals_per_h:.1f}"]
    return [
        place,
        row.arrivals,
        row.departures,
        *times,
        *shares,
        "taken" if row.taken else "free",
    ]


def _all_bays(rows: Sequence[BayFigures]) -> Iterable[Cells]:
    """The sum of several bays."""
    if len(rows) > 1:
        occupied = sum(row.occupied_share for row in rows) / len(rows)
        per_hour = sum(row.arrivals_per_h for row in rows)
        taken = f"{sum(row.taken for row in rows)} of {len(rows)}"
        arrivals, departures = sum(row.arrivals for row in rows), sum(row.departures for row in rows)
        yield ["all", arrivals, departures, "", "", f"{occupied:.0%}", f"{per_hour:.1f}", taken]
