"""``masktrail report``: figures of a period as one page that works offline and prints, as a picture and as CSV."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tracker.app.console import Quiet, console_for, foreign, steps
from tracker.app.groups import GroupsFile, chosen_group
from tracker.app.times import Since, Until, bin_seconds, duration, moment_of, zone_of
from tracker.errors import ConfigError, SourceError, TrackerError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from tracker.app.report_sources import Found
    from tracker.report.heat_section import Heat
    from tracker.report.write import Outputs
    from tracker.site import Site

__all__ = ["report"]


def report(
    sources: Annotated[
        list[str],
        typer.Argument(
            metavar="SOURCE...",
            help="Ledgers (*.events.jsonl, *.events.parquet, *.sqlite), folders of results, outputs of batch.",
        ),
    ],
    *,
    out: Annotated[Path, typer.Option(metavar="PAGE.html", help="The page: one file that needs nothing else.")],
    png: Annotated[Path | None, typer.Option(metavar="FILE.png", help="The same as a picture.")] = None,
    csv: Annotated[Path | None, typer.Option(metavar="FOLDER", help="The figures as CSV files.")] = None,
    since: Since = None,
    until: Until = None,
    bins: Annotated[str | None, typer.Option(metavar="TIME", help="15m, 1h, 1d; by default as it fits.")] = None,
    timezone: Annotated[
        str | None, typer.Option(metavar="NAME", help="Of days and times; by default the sites', else UTC.")
    ] = None,
    site: Annotated[
        list[Path] | None,
        typer.Option(metavar="SITE.yaml", help="Ends of flows, doors, lines without a count; named after its camera."),
    ] = None,
    stream: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="Only this camera or recording; several are possible.")
    ] = None,
    together: Annotated[
        str, typer.Option(metavar="NAME", help="The recordings are of one camera: its lines count together.")
    ] = "",
    title: Annotated[str, typer.Option(metavar="TEXT", help="By default the names of the cameras.")] = "",
    group: Annotated[
        str | None,
        typer.Option("--site-group", "--group", metavar="NAME", help="Only the cameras of a group, in its time zone."),
    ] = None,
    groups: GroupsFile = None,
    records: Annotated[
        list[Path] | None,
        typer.Option(metavar="FILE", help="Rows of --records, for the heatmap where no store keeps one."),
    ] = None,
    still: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Picture or video of the scene, for the heatmap; else the site's."),
    ] = None,
    audit: Annotated[
        list[Path] | None, typer.Option(metavar="FILE", help="What audit --json wrote, for near misses.")
    ] = None,
    validation: Annotated[
        Path | None, typer.Option(metavar="FILE.csv", help="What validate report --out wrote.")
    ] = None,
    quiet: Quiet = False,
) -> None:
    """Make a report of a period: counts, dwell, speeds, flows, heatmap, queues and how far they can be trusted."""
    from tracker.app.report_sources import find, zone_beside
    from tracker.report.build import Asked
    from tracker.report.heat_section import stills_of
    from tracker.report.write import Outputs, write_report

    sites = _sites(site or ())
    place = None if group is None else chosen_group(group, groups)
    outputs = Outputs(page=out, png=png, csv=csv)
    console, began_s = console_for(quiet=quiet), time.perf_counter()
    with find(sources) as found, steps(console, "reporting") as show:
        chosen = timezone or (_zone_of_sites(sites) if place is None else place.timezone)
        name, why = (chosen, "") if chosen else zone_beside(found.ledgers)
        zone = zone_of(name)
        named = [*(records or found.records), *(audit or found.audits), *sites, still, validation]
        _check(outputs, found, [path for path in named if path is not None])
        asked = Asked(
            ledgers=found.ledgers,
            zone=zone,
            title=title or ("" if place is None else place.name),
            streams=tuple(stream or (() if place is None else place.cameras)),
            together=together,
            from_ms=moment_of("--from", since, zone),
            to_ms=moment_of("--to", until, zone),
            bin_s=None if bins is None else bin_seconds(bins),
            sites=sites,
            heats=_heats(records, found.records),
            stills=stills_of(sites) if still is None else {"": _picture(still, sites.values())},
            audits=tuple(audit or found.audits),
            validation=validation,
            made_by=found.made_by,
        )
        built = write_report(asked, outputs, progress=show)
    made = ", ".join(foreign(path) for path in (out, png, csv) if path is not None)
    told = f"{built.events:,} events in {duration(time.perf_counter() - began_s)}"
    console.print(f"{foreign(built.report.period)}: {told} -> {made}", highlight=False, soft_wrap=True)
    if why and built.period.utc:
        console.print(f"  [yellow]note[/yellow]: {foreign(why)}", highlight=False, soft_wrap=True)


def _check(outputs: Outputs, found: Found, inputs: Sequence[Path]) -> None:
    """Outputs are no inputs, differ, and can be written, before anything is read."""
    from tracker.sinks.claims import Claim, check_claims

    claims = [Claim(path=outputs.page, named_by="--out")]
    if outputs.png is not None:
        claims.append(Claim(path=outputs.png, named_by="--png"))
    read = [one.path for one in found.ledgers if isinstance(one.path, Path)]
    check_claims(claims, [Claim(path=path) for path in (*read, *inputs)])
    if outputs.csv is not None and outputs.csv.exists() and not outputs.csv.is_dir():
        raise ConfigError(f"--csv {outputs.csv}", "expected a folder, found a file", "name a folder; it is made")


def _heats(named: Sequence[Path] | None, beside: Sequence[Path]) -> list[Heat]:
    """Presence in recorded tracks of one camera; of those that only lie in the folder, if they tell of any."""
    from tracker.engine.presence import presence
    from tracker.report.heat_section import Heat

    records = named or beside
    if not records:
        return []
    try:
        found = presence(records)
    except TrackerError:
        if named:
            raise
        return []
    return [Heat(stream=found.stream, seconds=found.total.grid(), origin="records")]


def _sites(paths: Sequence[Path]) -> dict[Path, Site]:
    from tracker.settings.site_file import read_site

    return {path: read_site(path) for path in paths}


def _zone_of_sites(sites: dict[Path, Site]) -> str:
    """The time zone of all sites; empty without any.

    Raises:
        ConfigError: They lie in several.
    """
    zones = sorted({one.timezone for one in sites.values()})
    if len(zones) > 1:
        problem = f"expected a time zone for sites in several, found {', '.join(zones)}"
        raise ConfigError("--timezone", problem, f"name one: --timezone {zones[0]}")
    return zones[0] if zones else ""


def _picture(path: Path, sites: Iterable[Site]) -> NDArray[np.uint8]:
    """A picture, or the first one of a video, without the privacy zones of all sites.

    Raises:
        SourceError: There is none.
    """
    from tracker.render.privacy_paint import without_zones
    from tracker.sources.open import open_source

    with open_source(str(path)) as source:
        frame = next(iter(source), None)
    if frame is None or frame.image is None:
        raise SourceError(path, "expected a picture of the scene, found none", "name a picture or a video")
    return without_zones(frame.image, [zone for site in sites for zone in site.never_shown])
