"""``masktrail heatmap``: where identities spend their time, drawn over the scene or on the ground."""

from __future__ import annotations

import contextlib
import dataclasses
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tracker.app.console import Quiet, console_for, foreign, steps
from tracker.app.times import Since, Until, limits_of, zone_of
from tracker.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from zoneinfo import ZoneInfo

    from tracker.engine.presence import Look
    from tracker.heat import Presence
    from tracker.site import Site

__all__ = ["heatmap"]

SUFFIXES = (".png", ".jpg", ".jpeg")
PROGRESS_FRAMES = 500


def heatmap(
    sources: Annotated[
        list[str],
        typer.Argument(
            metavar="STORE|RECORDS|BATCH...",
            help="A store that --heatmap filled (.sqlite), records (.jsonl, .csv, .parquet, .instances), or a batch's "
            "output.",
        ),
    ],
    *,
    out: Annotated[Path, typer.Option(metavar="FILE", help="The picture: .png or .jpg.")],
    cells: Annotated[Path | None, typer.Option(metavar="FILE", help="Write the cells too, as CSV.")] = None,
    stream: Annotated[str | None, typer.Option(metavar="NAME", help="Of a store or batch that has several.")] = None,
    since: Since = None,
    until: Until = None,
    timezone: Annotated[str, typer.Option(metavar="NAME", help="Of the times: Europe/Berlin.")] = "UTC",
    visits: Annotated[bool, typer.Option("--visits", help="Identities that came by, not seconds.")] = False,
    moving: Annotated[bool, typer.Option("--moving", help="Leave out what stands still for a minute.")] = False,
    classes: Annotated[str | None, typer.Option(metavar="NAMES", help="Only these classes: person,bicycle.")] = None,
    still: Annotated[
        Path | None, typer.Option(metavar="FILE", help="A picture or video of the scene; else the site's picture.")
    ] = None,
    site: Annotated[
        Path | None, typer.Option(metavar="SITE.yaml", help="With its picture, its ground and its occluders.")
    ] = None,
    ground: Annotated[
        bool, typer.Option("--ground", help="Draw the ground from above, per square metre; needs --site.")
    ] = False,
    percentile: Annotated[
        float, typer.Option(metavar="P", help="Of the cells with a value: which one has the last colour.")
    ] = 98.0,
    boxes: Annotated[
        bool, typer.Option("--boxes", help="By the boxes' lower edges, for rows without contacts.")
    ] = False,
    quiet: Quiet = False,
) -> None:
    """Draw where identities spend their time: seconds, or visits, by cell of the picture."""
    from tracker.engine.presence import Look, presence
    from tracker.engine.presence import picture as picture_of
    from tracker.settings.site_file import read_site

    zone = zone_of(timezone)
    start_ms, end_ms = limits_of(since, until, zone)
    named_files = [Path(source) for source in sources if "://" not in source]
    _check_files(out, cells, [*named_files, *(path for path in (still, site) if path is not None)])
    console = console_for(quiet=quiet)
    used: Site | None = None if site is None else read_site(site)
    with steps(console, "adding up") as show, _files(sources, stream) as (paths, recording):
        found = presence(
            paths,
            stream="" if recording else stream or "",
            site=used,
            site_path=None if site is None else str(site),
            start_ms=start_ms,
            end_ms=end_ms,
            by_boxes=boxes,
            progress=lambda done: show(paths[0].name, done, done) if done % PROGRESS_FRAMES == 0 else None,
        )
    found = dataclasses.replace(found, stream=recording or found.stream)
    named = tuple(name.strip() for name in (classes or "").split(",") if name.strip())
    look = Look(visits=visits, moving=moving, classes=named, percentile=percentile, on_ground=ground)
    _write(out, picture_of(found, _told(look, found, zone), site=used, still=_still_of(still, site, used)))
    if cells is not None:
        from tracker.sinks.part_file import write_whole

        write_whole(cells, _csv(found).encode())
    console.print(f"{foreign(_line(look, found))} -> {foreign(out)}", highlight=False, soft_wrap=True)


@contextlib.contextmanager
def _files(sources: Sequence[str], stream: str | None) -> Iterator[tuple[list[Path], str]]:
    """The files to read and, of a batch, the name of the recording whose store that is."""
    from tracker.app.batches import heat_store, is_batch

    if len(sources) == 1 and is_batch(sources[0]):
        with heat_store(sources[0], stream) as (path, recording):
            yield [path], recording
    else:
        yield [Path(source) for source in sources], ""


def _check_files(out: Path, cells: Path | None, read: list[Path]) -> None:
    from tracker.sinks.claims import Claim, check_claims

    if out.suffix.lower() not in SUFFIXES:
        problem = f"expected {' or '.join(SUFFIXES)}, found {out.suffix or 'none'}"
        raise ConfigError(f"--out {out}", problem, "change the suffix")
    written = [Claim(path=out, named_by="--out")]
    written += [] if cells is None else [Claim(path=cells, named_by="--cells")]
    check_claims(written, [Claim(path=path) for path in read])


def _still_of(still: Path | None, site: Path | None, used: Site | None) -> Path | None:
    """What was named, or the picture on which the site was drawn, if it is there."""
    if still is not None or site is None or used is None or not used.reference_picture:
        return still
    beside = site.parent / used.reference_picture
    return beside if beside.is_file() else None


def _told(look: Look, found: Presence, zone: ZoneInfo) -> Look:
    """With the lines below the scale: when, how much, and what the last colour means."""
    chosen = [", ".join(look.classes) or "all classes", *(["without what stands still"] if look.moving else [])]
    total = look.grid(found.total).sum()
    unit = "visits to cells" if look.visits else "s"
    lines = (
        f"{_when(found.from_ms, found, zone)} to {_when(found.to_ms, found, zone)}, {', '.join(chosen)}",
        f"{total:.0f} {unit} in all; the last colour begins at the {look.percentile:g}th percentile of cells in use",
    )
    return dataclasses.replace(look, lines=lines)


def _when(at_ms: int, found: Presence, zone: ZoneInfo) -> str:
    """Local time with its offset, or media time."""
    if not found.total.utc:
        seconds = at_ms // 1000
        return f"{seconds // 3600}:{seconds // 60 % 60:02d}:{seconds % 60:02d}"
    return datetime.fromtimestamp(at_ms / 1000, UTC).astimezone(zone).isoformat(sep=" ", timespec="seconds")


def _line(look: Look, found: Presence) -> str:
    grid = look.grid(found.total)
    rows, columns = grid.shape
    amount = f"{grid.sum():.0f} visits to cells" if look.visits else f"{grid.sum():.1f} s of presence"
    hidden = f", {found.total.unplaced_s:.1f} s in no cell" if found.total.unplaced_s >= 0.05 else ""
    return f"{found.stream}: {amount} in {columns} x {rows} cells{hidden}"


def _write(out: Path, image: object) -> None:
    import cv2
    import numpy as np

    from tracker.sinks.part_file import write_whole

    write_whole(out, cv2.imencode(out.suffix.lower(), np.asarray(image))[1].tobytes())


def _csv(found: Presence) -> str:
    """Every cell in use by class: its middle in shares of the picture, seconds, and visits."""
    import numpy as np

    from tracker.formats.cells import csv_text

    shape = found.total.shape or (0, 0)
    rows: list[list[Any]] = []
    for name, values in sorted(found.total.by_class.items()):
        for number in np.flatnonzero(values.any(axis=1)).tolist():
            row, column = divmod(number, shape[1])
            seconds, still_s, visits = values[number].tolist()
            place = round((column + 0.5) / shape[1], 4), round((row + 0.5) / shape[0], 4)
            rows.append([name, row, column, *place, round(seconds, 3), round(still_s, 3), round(visits)])
    return csv_text(("class", "row", "column", "x", "y", "seconds", "still_s", "visits"), rows)
