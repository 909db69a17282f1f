"""``masktrail export``: what a ledger counted, in the files that other counting and traffic programs read."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from tracker.app.console import console_for, error_console, foreign
from tracker.app.ledgers import LedgerWords, check_out, ledgers_of
from tracker.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from zoneinfo import ZoneInfo

    from tracker.analytics.counts import BinCount
    from tracker.events import Event
    from tracker.site import Site

__all__ = ["export"]

Target = Literal["otc", "otc-events", "opendatacam", "opendatacam-json", "traffix"]
QUARTER_S = 900


def export(
    ledgers: LedgerWords,
    *,
    target: Annotated[
        Target,
        typer.Option(
            "--format", help="OTC counts of flows, OTC events, OpenDataCam's history or recording, TRAFFIX volumes."
        ),
    ],
    site: Annotated[Path, typer.Option(metavar="SITE", help="Site file of the camera: which way is which.")],
    out: Annotated[Path, typer.Option(metavar="FILE", help="File to write.")],
    stream: Annotated[str, typer.Option(metavar="NAME", help="Of which stream, where the ledger has several.")] = "",
    bins: Annotated[str, typer.Option(metavar="TIME", help="OTC: length of the intervals.")] = "15m",
    since: Annotated[str | None, typer.Option("--from", metavar="TIME", help="From when: 2026-03-29T07:00.")] = None,
    until: Annotated[str | None, typer.Option("--to", metavar="TIME", help="Until when, exclusive.")] = None,
    timezone: Annotated[str, typer.Option(metavar="NAME", help="Of the times: Europe/Berlin.")] = "UTC",
    size: Annotated[
        str | None, typer.Option(metavar="WxH", help="Picture in pixels; by default the site's reference_size.")
    ] = None,
    fps: Annotated[
        float | None, typer.Option(metavar="N", min=0.001, help="OTC events: frames per second of the recording.")
    ] = None,
    node: Annotated[int, typer.Option(metavar="N", min=1, help="TRAFFIX: number of the intersection.")] = 1,
    movement: Annotated[
        list[str] | None,
        typer.Option(metavar="FLOW=NAME", help="TRAFFIX: what a flow is, 'A to B=nbL'; repeatable."),
    ] = None,
    replace: Annotated[bool, typer.Option("--replace", help="Replace a file that is there.")] = False,
) -> None:
    """Write counts in the format of another program, with final classes and corrected numbers.

    TRAFFIX gets the hour with the most vehicles. Flows are movements by their name (nbL, NB left) or by the names of
    their ends (south, west); --movement names others.
    """
    from tracker.app.times import bin_seconds, limits_of, zone_of
    from tracker.settings.site_file import read_site
    from tracker.sinks.part_file import write_whole

    named, held, zone = ledgers_of(ledgers), read_site(site), zone_of(timezone)
    check_out(out, [*named, site])
    if out.exists() and not replace:
        raise ConfigError(out, "expected nothing there, found a file", "name another one, or add --replace")
    events = _events(named, stream)
    limits = limits_of(since, until, zone)
    if target == "traffix":
        text = _traffix(events, held, node=node, movements=_movements(movement or ()), limits=limits, zone=zone)
    elif target == "otc":
        text = _otc_counts(events, held, bin_s=bin_seconds(bins), limits=limits, zone=zone)
    else:
        text = _passages(target, _within(events, limits), held, _picture(size, held), zone=zone, fps=fps)
    write_whole(out, text.encode())
    console_for().print(f"{target} -> {foreign(out)}", highlight=False, soft_wrap=True)


def _events(ledgers: Sequence[str | Path], stream: str) -> list[Event]:
    """The events of one stream.

    Raises:
        ConfigError: There are several streams, or none of that name, or it has no wall clock.
    """
    from tracker.formats.ledger import read_events

    streams: dict[str, list[Event]] = {}
    for event in read_events(*ledgers):
        streams.setdefault(event.stream, []).append(event)
    found = ", ".join(sorted(streams)) or "none"
    if stream not in streams and (stream or len(streams) != 1):
        raise ConfigError("--stream", f"expected one stream of the ledger, found {found}", "name one of them")
    events = streams[stream] if stream else next(iter(streams.values()))
    if any(event.utc_ms is None for event in events):
        problem = "expected events with a wall clock, as other programs have them, found media time"
        raise ConfigError(events[0].stream, problem, "count the recording again with --start-at")
    return events


def _within(events: Sequence[Event], limits: tuple[int | None, int | None]) -> list[Event]:
    """Corrected events of a time."""
    from tracker.analytics.corrections import Corrections

    first, beyond = limits
    corrections = Corrections.of(events)
    return [
        corrections.apply(event)
        for event in events
        if (first is None or (event.utc_ms or 0) >= first) and (beyond is None or (event.utc_ms or 0) < beyond)
    ]


def _picture(size: str | None, site: Site) -> tuple[int, int]:
    from tracker.app.commands.site import size_of

    found = size_of(size) or site.reference_size
    if found is None:
        problem = "expected the size of the picture, found none in the site"
        raise ConfigError("--size", problem, "add it, such as --size 1280x720")
    return found


def _passages(
    target: Target, events: list[Event], site: Site, size: tuple[int, int], *, zone: ZoneInfo, fps: float | None
) -> str:
    from tracker.formats.opendatacam_counts import history_csv, recording_json
    from tracker.formats.otc_counts import events_csv

    if target == "otc-events":
        return events_csv(events, zone, size=size, fps=fps)
    if target == "opendatacam":
        return history_csv(events, site, size)
    return recording_json(events, site, size, name=events[0].stream if events else "")


def _flows(
    events: Sequence[Event], site: Site, *, by: Sequence[str], bin_s: int, limits: tuple[int | None, int | None]
) -> list[BinCount]:
    """Counts of the site's flows, of each in every bin; without a flow there is nothing to write."""
    from tracker.analytics.counts import count_bins

    if not site.flows:
        problem = "expected flows in the site, which are what this format counts, found none"
        raise ConfigError("--site", problem, "add flows: with start and end to the site, and count again")
    start_ms, end_ms = limits
    groups = [(flow.name,) for flow in site.flows] if by == ["place"] else ()
    return count_bins(events, kinds=["flow"], by=by, bin_s=bin_s, start_ms=start_ms, end_ms=end_ms, groups=groups)


def _otc_counts(
    events: Sequence[Event], site: Site, *, bin_s: int, limits: tuple[int | None, int | None], zone: ZoneInfo
) -> str:
    from tracker.formats.otc_counts import FlowCount, counts_csv

    ends = {flow.name: (flow.start, flow.end) for flow in site.flows}
    cells = _flows(events, site, by=["class", "place"], bin_s=bin_s, limits=limits)
    _tell_outages(cells)
    rows = (
        FlowCount(one.start_ms, one.start_ms + bin_s * 1000, one.group[0], flow, *ends[flow], one.count)
        for one in cells
        if one.count is not None and (flow := one.group[1]) in ends
    )
    return counts_csv(rows, zone)


def _tell_outages(cells: Sequence[BinCount]) -> None:
    unknown = {one.start_ms for one in cells if one.count is None}
    less = {one.start_ms for one in cells if one.outage} - unknown
    for slots, said in ((unknown, "left out, since the camera was out"), (less, "lower limits: the camera was out")):
        if slots:
            error_console().print(f"{len(slots)} intervals are {said}", highlight=False, soft_wrap=True)


def _movements(words: Sequence[str]) -> dict[str, str]:
    """Movements by flow, as --movement names them."""
    from tracker.formats.traffix import MOVEMENTS, movement_named

    found: dict[str, str] = {}
    for word in words:
        flow, mark, name = word.rpartition("=")
        movement = movement_named(name)
        if not mark or movement is None:
            problem = f"expected a flow and one of {', '.join(MOVEMENTS)}, found {word[:80]!r}"
            raise ConfigError("--movement", problem, "write --movement 'south to west=nbL'")
        found[flow] = movement
    return found


def _traffix(
    events: Sequence[Event],
    site: Site,
    *,
    node: int,
    movements: dict[str, str],
    limits: tuple[int | None, int | None],
    zone: ZoneInfo,
) -> str:
    """The line of the peak hour; flows that are no movement are told and left out."""
    from collections import Counter

    from tracker.formats.traffix import movement_between, movement_named, volume_line

    cells = _flows(events, site, by=["place"], bin_s=QUARTER_S, limits=limits)
    known = {
        flow.name: movements.get(flow.name) or movement_named(flow.name) or movement_between(flow.start, flow.end)
        for flow in site.flows
    }
    if missing := [name for name, movement in known.items() if movement is None]:
        text = f"left out, since they are no movement by their name: {', '.join(map(foreign, missing))}"
        error_console().print(text, highlight=False, soft_wrap=True)
    quarters: dict[int, Counter[str]] = {}
    for one in cells:
        if (movement := known.get(one.group[0])) is not None:
            quarters.setdefault(one.start_ms, Counter())[movement] += one.count or 0
    if not quarters:
        raise ConfigError("--site", "expected flows that are movements, found none", "name them with --movement")
    starts = sorted(quarters)
    hours = {first: [quarters.get(first + QUARTER_S * 1000 * n, Counter()) for n in range(4)] for first in starts}
    peak = max(starts, key=lambda first: sum(quarter.total() for quarter in hours[first]))
    volumes = sum(hours[peak], Counter())
    _tell_outages([one for one in cells if peak <= one.start_ms < peak + 4 * QUARTER_S * 1000])
    known_quarters = sum(peak + QUARTER_S * 1000 * n in quarters for n in range(4))
    _tell_peak(peak, [quarter.total() for quarter in hours[peak]], zone, whole=known_quarters == 4)
    return volume_line(node, volumes) + "\n"


def _tell_peak(peak_ms: int, quarters: Sequence[int], zone: ZoneInfo, *, whole: bool) -> None:
    from datetime import UTC, datetime

    total, most = sum(quarters), max(quarters)
    factor = f"{total / (4 * most):.2f}" if most else "-"
    begins = datetime.fromtimestamp(peak_ms / 1000, UTC).astimezone(zone).isoformat(timespec="minutes")
    text = f"peak hour from {begins}: {total} vehicles, peak hour factor {factor}"
    if not whole:
        text += "; less than four quarters of an hour are known, so it is no peak hour"
    console_for().print(text, highlight=False, soft_wrap=True)
