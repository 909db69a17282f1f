"""``masktrail export``: what a ledger counted, in the files that other counting and traffic programs read."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from tracker.app.console import console_for, error_console, foreign
from tracker.app.ledgers import LedgerWords, check_out, ledgers_of
from tracker.app.times import Since, Until, bin_label, bin_seconds, limits_of, zone_of
from tracker.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from zoneinfo import ZoneInfo

    from tracker.app.times import Limits
    from tracker.events import Event
    from tracker.site import Site

__all__ = ["export"]

Target = Literal["otc", "otc-events", "opendatacam", "opendatacam-json", "traffix"]


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
    since: Since = None,
    until: Until = None,
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
        typer.Option(
            metavar="FLOW=NAME",
            help="TRAFFIX: what a flow is, 'A to B=nbL'; none=nbL for what the junction does not have; repeatable.",
        ),
    ] = None,
    replace: Annotated[bool, typer.Option("--replace", help="Replace a file that is there.")] = False,
) -> None:
    """Write counts in the format of another program, with final classes and corrected numbers.

    TRAFFIX gets the hour with the most vehicles. Flows are movements by their name (nbL, NB left) or by the names of
    their ends (south, west); --movement names others. A movement that no flow counts is -, not 0.
    """
    from tracker.app.flow_exports import movements_of_words, otc_counts, traffix
    from tracker.settings.site_file import read_site
    from tracker.sinks.part_file import write_whole

    named, held, zone = ledgers_of(ledgers), read_site(site), zone_of(timezone)
    check_out(out, [*named, site])
    if out.exists() and not replace:
        raise ConfigError(out, "expected nothing there, found a file", "name another one, or add --replace")
    limits, (movements, absent) = limits_of(since, until, zone), movements_of_words(movement or ())
    events = _events(named, stream)
    own = stream or events[0].stream
    if target == "traffix":
        text = traffix(named, own, held, node=node, movements=movements, absent=absent, limits=limits, zone=zone)
    elif target == "otc":
        text = otc_counts(named, own, held, bin_s=bin_seconds(bins), limits=limits, zone=zone)
    else:
        _tell_deleted(named, own, limits, zone)
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


def _tell_deleted(ledgers: Sequence[str | Path], stream: str, limits: Limits, zone: ZoneInfo) -> None:
    """These formats list events, of which those that were deleted are not there."""
    from tracker.formats.deleted import deleted_of

    before_ms = max((one.before_ms for one in deleted_of(ledgers) if one.stream == stream), default=None)
    if before_ms is not None and (limits[0] is None or limits[0] < before_ms):
        text = f"events before {bin_label(before_ms, zone, utc=True)} are left out: they were deleted by age"
        error_console().print(text, highlight=False, soft_wrap=True)


def _within(events: Sequence[Event], limits: Limits) -> list[Event]:
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
