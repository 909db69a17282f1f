"""``masktrail site``: lines and zones of other tools as site files and back, and what a site file holds."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tracker.app.checked import CheckedCommand
from tracker.app.console import console_for, error_console, foreign

if TYPE_CHECKING:
    from collections.abc import Iterable

    import numpy as np
    from numpy.typing import NDArray

    from tracker.errors import ConfigError
    from tracker.site import Site

__all__ = ["site_app", "size_of"]

site_app = typer.Typer(help="Site files: lines, zones, doors and flows of a camera.", no_args_is_help=True)

FORMATS_READ = (
    "supervision, ultralytics, frigate, opendatacam, nvdsanalytics, dlstreamer, pipeline-server, viseron, otflow"
)
FORMATS_WRITTEN = "frigate, opendatacam, nvdsanalytics, dlstreamer, pipeline-server, otflow"
GREY, WIDEST = 64, 1280
"""Of the picture on which a site is drawn where there is none: its shade, and its longer side in pixels."""

Size = Annotated[
    str | None, typer.Option(metavar="WxH", help="Picture on which it was drawn, 1280x720, if the file has no size.")
]
Stream = Annotated[
    str, typer.Option("--stream", metavar="NAME", help="Camera or number of the stream, in files with several.")
]
Replace = Annotated[bool, typer.Option("--replace", help="Replace a file that is there.")]
SitePath = Annotated[Path, typer.Argument(metavar="SITE", help="A site file, sites/gate.yaml.")]


@site_app.command(name="import", cls=CheckedCommand)
def site_import(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Lines and zones of another tool.")],
    *,
    source: Annotated[
        str | None,
        typer.Option("--from", metavar="FORMAT", help=f"{FORMATS_READ}; recognised by its content if left out."),
    ] = None,
    out: Annotated[Path | None, typer.Option(metavar="SITE", help="Site file to write; printed if left out.")] = None,
    size: Size = None,
    stream: Stream = "",
    replace: Replace = False,
) -> None:
    """Make a site file of another tool's lines and zones; what has no place in it is told.

    Lines count in the directions that the tool gives them. With --replace the file's earlier revision is kept in
    .history beside it.
    """
    from tracker.errors import ConfigError
    from tracker.formats.sites.known import import_site, recognised
    from tracker.settings.site_file import site_text

    text = _read(file)
    try:
        name = source or recognised(text)
        imported = import_site(text, name, size=size_of(size), stream=stream)
    except ConfigError as error:
        raise _in_file(file, error) from None
    _tell(imported.warnings)
    if out is None:
        typer.echo(site_text(imported.site), nl=False)
        return
    written, replaced = _write(out, imported.site, replace=replace)
    counts = f"{len(written.lines)} lines, {len(written.zones)} zones, {len(written.flows)} flows"
    text = f"{foreign(file)} ({name}): {counts} -> {foreign(out)}, revision {written.revision}"
    if replaced is not None:
        text += f"; revision {replaced} is kept in .history"
    console_for().print(text, highlight=False, soft_wrap=True)


@site_app.command(name="export", cls=CheckedCommand)
def site_export(
    site: SitePath,
    *,
    target: Annotated[str, typer.Option("--to", metavar="FORMAT", help=f"{FORMATS_WRITTEN}.")],
    out: Annotated[Path | None, typer.Option(metavar="FILE", help="File to write; printed if left out.")] = None,
    size: Annotated[
        str | None, typer.Option(metavar="WxH", help="Size of the picture; by default the site's reference_size.")
    ] = None,
    stream: Stream = "",
    replace: Replace = False,
) -> None:
    """Write a site's lines and zones in another tool's format; what it has no place for is told."""
    from tracker.formats.sites.known import export_site
    from tracker.settings.site_file import read_site
    from tracker.sinks.part_file import write_whole

    exported = export_site(read_site(site), target, size=size_of(size), stream=stream)
    _tell(exported.warnings)
    if out is None:
        typer.echo(exported.text, nl=False)
        return
    _check_free(out, site, replace=replace)
    write_whole(out, exported.text.encode())
    console_for().print(f"{foreign(site)} -> {foreign(out)} ({target})", highlight=False, soft_wrap=True)


@site_app.command(name="check", cls=CheckedCommand)
def site_check(
    site: SitePath,
    *,
    picture: Annotated[
        str | None,
        typer.Option(
            "--picture", "--video", metavar="SOURCE", help="A picture or recording of the camera: does it fit?"
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(metavar="PNG", help="Draw it on the picture's first frame, or on grey; a ground as a grid."),
    ] = None,
    replace: Replace = False,
) -> None:
    """Say in words what a site file holds, and what in it may not be meant."""
    from tracker.settings.site_file import read_site
    from tracker.settings.site_words import described, doubts

    held = read_site(site)
    image = None if picture is None else _first_frame(picture)
    if image is not None:
        held.check_size((image.shape[1], image.shape[0]), str(site))
    console = console_for()
    first, *rest = described(held)
    console.print(f"{foreign(site)}: {foreign(first)}", highlight=False, soft_wrap=True)
    for sentence in rest:
        console.print(f"  {foreign(sentence)}", highlight=False, soft_wrap=True)
    _tell(doubts(held))
    if out is not None:
        _check_free(out, site, replace=replace)
        _draw(held, image, out)
        console.print(f"drawn -> {foreign(out)}", highlight=False, soft_wrap=True)


def _read(path: Path) -> str:
    from tracker.errors import ConfigError
    from tracker.formats.sites.plain import LARGEST_FILE, text_of_bytes

    try:
        with path.open("rb") as file:
            data = file.read(LARGEST_FILE + 1)
    except OSError as error:
        raise ConfigError(path, f"expected a file, found: {error.strerror}", "check the path") from None
    try:
        return text_of_bytes(data)
    except ConfigError as error:
        raise _in_file(path, error) from None


def _in_file(path: Path, error: ConfigError) -> ConfigError:
    """An error of a format, with the file before it; those of an option stay."""
    from tracker.errors import ConfigError

    if error.offender.startswith("--"):
        return error
    if found := re.fullmatch("line ([0-9]+)", error.offender):
        return ConfigError(f"{path}:{found[1]}", error.problem, error.remedy)
    what = "" if error.offender == "the file" else f"{error.offender}: "
    return ConfigError(path, f"{what}{error.problem}", error.remedy)


def size_of(text: str | None) -> tuple[int, int] | None:
    """Width and height as --size was given them.

    Raises:
        ConfigError: They are none.
    """
    from tracker.errors import ConfigError

    if text is None:
        return None
    found = re.fullmatch("([1-9][0-9]{0,4})[xX]([1-9][0-9]{0,4})", text.strip())
    if found is None:
        raise ConfigError("--size", f"expected width and height in pixels, found {text[:40]!r}", "such as 1280x720")
    return int(found[1]), int(found[2])


def _tell(warnings: Iterable[str]) -> None:
    """Warnings on stderr: what is printed may be a file."""
    console = error_console()
    for warning in warnings:
        console.print(f"[yellow]warning[/yellow]: {foreign(warning)}", highlight=False, soft_wrap=True)


def _check_free(path: Path, source: Path, *, replace: bool) -> None:
    """Refuse a file that is there, unless it may be replaced; never replace what was read."""
    from tracker.errors import ConfigError
    from tracker.sinks.claims import Claim, check_claims

    check_claims([Claim(path=path)], [Claim(path=source)])
    if path.is_file() and not replace:
        raise ConfigError(path, "expected no file, found one", "name another one, or add --replace")


def _write(path: Path, site: Site, *, replace: bool) -> tuple[Site, int | None]:
    """What was written, and the revision that it replaces."""
    from dataclasses import replace as changed

    from tracker.errors import ConfigError
    from tracker.settings.site_file import read_site, write_site

    if not path.exists():
        return write_site(path, site), None
    if not replace:
        raise ConfigError(path, "expected no site file, found one", "name another one, or add --replace")
    before = read_site(path)
    site = changed(site, revision=before.revision, timezone=before.timezone)
    return write_site(path, site, before=before), before.revision


def _first_frame(source: str) -> NDArray[np.uint8]:
    """``(H, W, 3)`` uint8 BGR."""
    from tracker.errors import SourceError
    from tracker.sources.open import open_source

    with open_source(source) as frames:
        for frame in frames:
            if frame.image is not None:
                return frame.image
    raise SourceError(source, "expected a frame, found none", "name a picture or a recording")


def _draw(site: Site, image: NDArray[np.uint8] | None, out: Path) -> None:
    import cv2

    from tracker.engine.marks import site_marks
    from tracker.errors import ConfigError
    from tracker.render.annotate import Annotator
    from tracker.render.ground_grid import draw_grid
    from tracker.render.privacy_paint import without_zones
    from tracker.sinks.part_file import write_whole
    from tracker.types import Frame, Instances, TrackedFrame

    if out.suffix.lower() != ".png":
        raise ConfigError(out, f"expected a name that ends in .png, found {out.suffix or 'none'}", "such as check.png")
    ground = without_zones(_grey(site) if image is None else image, site.never_shown)
    size = ground.shape[1], ground.shape[0]
    if site.ground is not None:
        ground = ground.copy()
        draw_grid(ground, site.ground)
    frame = Frame(index=0, time_s=0.0, arrived_s=0.0, source=str(out), size=size, image=ground)
    annotator = Annotator(marks=site_marks(site, occluders=True))
    drawn = annotator.draw(TrackedFrame(frame=frame, instances=Instances.empty(), tracks=None, class_names=()))
    write_whole(out, cv2.imencode(".png", drawn)[1].tobytes())


def _grey(site: Site) -> NDArray[np.uint8]:
    """An empty picture of the site's shape."""
    import numpy as np

    width, height = site.reference_size or (WIDEST, WIDEST * 9 // 16)
    shrink = min(1.0, WIDEST / width, WIDEST / height)
    return np.full((max(round(height * shrink), 1), max(round(width * shrink), 1), 3), GREY, np.uint8)
