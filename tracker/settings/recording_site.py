"""Where the site of a recording lies: ``NAME.site.yaml`` beside it, or one file for all of its folder."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path, PurePath

from tracker.errors import ConfigError
from tracker.settings.yaml_nodes import compose, is_kind, read_text

__all__ = ["FOLDER_SITE", "OWN_SITE", "RUNS_FILE", "RecordingSite", "recording_name", "recording_site", "site_beside"]

RUNS_FILE = "runs.yaml"
OWN_SITE = "{name}.site.yaml"
"""Of one recording, beside it; ``{name}`` is the recording's name without suffix."""
FOLDER_SITE = "site.yaml"
"""Of all recordings of a folder that have none of their own."""
_KNOWN = (".tracked", ".events", ".tracks", ".mot", ".mots", ".identities", ".coco", ".instances", ".audit")


@dataclass(frozen=True, slots=True)
class RecordingSite:
    """Both files that the site of a recording may lie in; the recording's own one comes first.

    Attributes:
        own: Of this recording alone.
        shared: Of all recordings of its folder that have none of their own.
    """

    own: Path
    shared: Path

    @property
    def present(self) -> Path | None:
        """The file that holds; ``None`` where there is none of both."""
        return next((path for path in (self.own, self.shared) if path.is_file()), None)


def recording_name(file_name: str) -> str:
    """Name of the recording that a file of results belongs to: that of the file without its suffixes.

    Args:
        file_name: Without folder.

    >>> recording_name("road.tracked.mp4"), recording_name("cam.1.events.jsonl"), recording_name("contact-sheet.png")
    ('road', 'cam.1', 'contact-sheet')
    """
    stem = PurePath(file_name).stem
    return next((stem.removesuffix(suffix) for suffix in _KNOWN if stem.endswith(suffix)), stem)


def site_beside(folder: Path, name: str) -> RecordingSite:
    """Both files by their usual names.

    Args:
        folder: Of the recording or its records.
        name: Of the recording, without suffix.

    >>> site_beside(Path("runs"), "road").own.name
    'road.site.yaml'
    """
    return RecordingSite(own=folder / OWN_SITE.replace("{name}", name), shared=folder / FOLDER_SITE)


def recording_site(results: Path, folder: Path, name: str) -> RecordingSite:
    """Both files of a recording in a folder of results, whose ``runs.yaml`` may name one of them by ``site``.

    A path with ``{name}`` is that of the recordings' own sites, another one that of all of them. One that leads out of
    the folder of results is left to runs, which only read it.

    Args:
        results: The folder of results.
        folder: Of the recording, in it.
        name: Of the recording, without suffix.
    """
    beside = site_beside(folder, name)
    named = _named(results)
    if named is None:
        return beside
    path = results / named.replace("{name}", name)
    if not path.resolve().is_relative_to(results.resolve()):
        return beside
    if "{name}" in named:
        return RecordingSite(own=path, shared=beside.shared)
    return RecordingSite(own=beside.own, shared=path)


def _named(results: Path) -> str | None:
    """``site`` of the file of runs; ``None`` where there is none, or the file cannot be read."""
    path = results / RUNS_FILE
    try:
        facts = path.stat()
    except OSError:
        return None
    return _read(path, facts.st_mtime_ns, facts.st_size)


@lru_cache(maxsize=64)
def _read(path: Path, changed_ns: int, size: int) -> str | None:
    del changed_ns, size  # they tell one state of the file from another
    try:
        root = compose(read_text(path, "runs"), RUNS_FILE, "runs")
    except ConfigError:
        return None
    pairs = root.value if root is not None and is_kind(root, "mapping") else ()
    found = next((value for key, value in pairs if key.value == "site"), None)
    return found.value if found is not None and is_kind(found, "scalar") and found.value else None
