"""All formats of lines and zones by their names, and which one a text is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from tracker.errors import ConfigError
from tracker.formats.sites import (
    dlstreamer,
    frigate,
    nvdsanalytics,
    opendatacam,
    otflow,
    supervision,
    ultralytics,
    viseron,
)
from tracker.formats.sites.plain import from_json_or_yaml

if TYPE_CHECKING:
    from collections.abc import Callable

    from tracker.formats.sites.drawing import Exported, Imported, Size
    from tracker.site import Site

__all__ = ["FORMATS", "SiteFormat", "export_site", "import_site", "recognised"]


class Reader(Protocol):
    """What reads a format."""

    def __call__(self, text: str, *, size: Size | None = None, stream: str = "") -> Imported:
        """A site and warnings."""


class Writer(Protocol):
    """What writes a format."""

    def __call__(self, site: Site, *, size: Size | None = None, stream: str = "") -> Exported:
        """A text and warnings."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SiteFormat:
    """One format.

    Attributes:
        tool: Whose it is.
        read: Text to site; ``None``: it is only written.
        write: Site to text; ``None``: it is only read.
        matches: Whether plain values look like it; ``None``: it is no JSON or YAML, or is recognised as another one.
    """

    tool: str
    read: Reader | None = None
    write: Writer | None = None
    matches: Callable[[Any], bool] | None = None


FORMATS: dict[str, SiteFormat] = {
    "supervision": SiteFormat(tool="supervision", read=supervision.read, matches=supervision.matches),
    "ultralytics": SiteFormat(tool="Ultralytics", read=ultralytics.read, matches=ultralytics.matches),
    "frigate": SiteFormat(tool="Frigate", read=frigate.read, write=frigate.write, matches=frigate.matches),
    "opendatacam": SiteFormat(
        tool="OpenDataCam", read=opendatacam.read, write=opendatacam.write, matches=opendatacam.matches
    ),
    "nvdsanalytics": SiteFormat(tool="DeepStream nvdsanalytics", read=nvdsanalytics.read, write=nvdsanalytics.write),
    "dlstreamer": SiteFormat(
        tool="DL Streamer gvaanalytics", read=dlstreamer.read, write=dlstreamer.write, matches=dlstreamer.matches
    ),
    "pipeline-server": SiteFormat(
        tool="DL Streamer pipeline server", read=dlstreamer.read, write=dlstreamer.write_pipeline_server
    ),
    "viseron": SiteFormat(tool="Viseron", read=viseron.read, matches=viseron.matches),
    "otflow": SiteFormat(tool="OpenTrafficCam", read=otflow.read, write=otflow.write, matches=otflow.matches),
}
"""Name on the command line -> format."""


def recognised(text: str) -> str:
    """Name of the only format that a text looks like.

    Raises:
        ConfigError: It looks like none, or like several.
    """
    if nvdsanalytics.matches(text):
        return "nvdsanalytics"
    data = from_json_or_yaml(text)
    found = [name for name, known in FORMATS.items() if known.matches is not None and known.matches(data)]
    if len(found) == 1:
        return found[0]
    shown = " or ".join(found) if found else "none that is known"
    readable = ", ".join(name for name, known in FORMATS.items() if known.read is not None)
    raise ConfigError("--from", f"expected a file of one format, found {shown}", f"name it, one of {readable}")


def import_site(text: str, name: str, *, size: Size | None = None, stream: str = "") -> Imported:
    """Read a text in a format by its name.

    Args:
        text: The file.
        name: A key of :data:`FORMATS`.
        size: ``(width, height)`` of the picture on which it was drawn, for formats that do not hold it.
        stream: Camera or stream, for formats with several.

    Raises:
        ConfigError: The format is not known or only written, or the text is wrong.
    """
    reader = _known(name, "--from").read
    if reader is None:
        raise ConfigError("--from", f"expected a format that is read, found {name!r}, which is only written", "")
    try:
        return reader(text, size=size, stream=stream)
    except RecursionError:
        problem = "expected a file of lines and zones, found lists that are nested too deeply"
    raise ConfigError("the file", problem, "is it the right file?")


def export_site(site: Site, name: str, *, size: Size | None = None, stream: str = "") -> Exported:
    """Write a site in a format by its name; arguments and errors as for :func:`import_site`."""
    writer = _known(name, "--to").write
    if writer is None:
        written = ", ".join(key for key, known in FORMATS.items() if known.write is not None)
        problem = f"expected a format that is written, found {name!r}, which is only read"
        raise ConfigError("--to", problem, f"choose one of {written}")
    return writer(site, size=size, stream=stream)


def _known(name: str, option: str) -> SiteFormat:
    if name not in FORMATS:
        raise ConfigError(option, f"expected a known format, found {name!r}", f"choose one of {', '.join(FORMATS)}")
    return FORMATS[name]
