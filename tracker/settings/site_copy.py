"""Copy of the site that a recording was counted with: ``NAME.site.yaml`` beside its results, for the dashboard."""

from __future__ import annotations

import hashlib
import re
from dataclasses import replace
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, NamedTuple

from tracker.errors import ConfigError
from tracker.settings.recording_site import RUNS_FILE, recording_name, site_beside
from tracker.settings.site_file import read_site
from tracker.settings.site_text import site_text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tracker.site import Site

__all__ = ["SiteCopy", "keep_copy", "named_after"]

_FIRST = (
    "# Copy of the site that this recording was counted with; the next run replaces it unless it is changed: {mark}\n"
)
_MARKED = re.compile(_FIRST.strip().replace("{mark}", "([0-9a-f]{16})"))


class SiteCopy(NamedTuple):
    """What became of a copy.

    Attributes:
        path: The file.
        written: Whether it holds the site now; false = another site stands there, and was left as it is.
    """

    path: Path
    written: bool


def named_after(outputs: Sequence[Path], name: str) -> list[Path]:
    """Results that the dashboard knows as those of a recording: their names without suffixes are its own.

    Args:
        outputs: Local files.
        name: Of the recording.

    >>> [path.name for path in named_after([Path("gate.tracks.jsonl"), Path("tracks.jsonl")], "gate.mp4")]
    ['gate.tracks.jsonl']
    """
    stem = PurePath(name).stem
    return [path for path in outputs if recording_name(path.name) == stem]


def keep_copy(site: Site, given: Path, outputs: Sequence[Path], name: str) -> SiteCopy | None:
    """Write the copy beside the results of a recording, where nothing else says what it was counted with.

    Args:
        site: That it was counted with.
        given: File of it.
        outputs: Local files that were written, those beside which the copy is to lie first.
        name: Of the recording.

    Returns:
        ``None`` where a copy is not needed: no result has the recording's name, or the site lies there already.

    Raises:
        SinkError: The system refuses.
    """
    from tracker.sinks.part_file import write_whole

    named = named_after(outputs, name)
    if not named:
        return None
    beside = site_beside(named[0].parent, PurePath(name).stem)
    body = site_text(replace(site, reference_picture=""))  # that picture does not lie there
    if named[0].with_name(RUNS_FILE).exists() or given.resolve() in {beside.own.resolve(), beside.shared.resolve()}:
        return None
    present = beside.present
    if present is not None and _text_of(present) == body:
        return None
    if beside.own.is_symlink() or (beside.own.exists() and not _is_untouched(beside.own)):
        return SiteCopy(beside.own, written=False)
    write_whole(beside.own, (_FIRST.format(mark=_mark(body)) + body).encode())
    return SiteCopy(beside.own, written=True)


def _text_of(path: Path) -> str:
    try:
        return site_text(replace(read_site(path), reference_picture=""))
    except ConfigError:
        return ""


def _is_untouched(path: Path) -> bool:
    """Whether a file is a copy without later changes."""
    try:
        first, _, body = path.read_text("utf-8").partition("\n")
    except (OSError, UnicodeDecodeError):
        return False
    found = _MARKED.fullmatch(first)
    return found is not None and found[1] == _mark(body)


def _mark(body: str) -> str:
    return hashlib.sha256(body.encode()).hexdigest()[:16]
