"""A folder of results: recordings with videos, ledgers and other files, found by id, never by a client's path."""

from __future__ import annotations

import contextlib
import math
import os
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any

from tracker.dashboard.ledgers import EVENT_FILES
from tracker.formats.event_store import SUFFIXES, store_kind
from tracker.settings.recording_site import recording_name

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

__all__ = ["Recording", "Recordings", "ResultFile"]

MOST_FILES = 20_000
DEEPEST = 4
SCAN_S = 5.0
_DATABASE = b"SQLite format 3\0"

VIDEOS = {".mp4": "video/mp4", ".m4v": "video/mp4", ".mov": "video/quicktime", ".webm": "video/webm"}
UNPLAYED = (".mkv", ".avi", ".ts", ".m2ts", ".mts", ".mpg", ".mpeg", ".wmv", ".flv")
"""Recordings that browsers do not play: listed where they can be run."""
PICTURES = {".jpg": "image/jpeg", ".jpeg": "image/jpeg", ".png": "image/png"}
DATA = {".jsonl", ".ndjson", ".csv", ".parquet", ".txt", ".json", ".html", ".instances"}
_TABLES = (".tracks.parquet", ".parquet", ".tracks.jsonl", ".jsonl", ".tracks.ndjson", ".ndjson", ".tracks.csv", ".csv")
_ROWS = tuple(f"{{name}}{suffix}" for suffix in (*_TABLES, ".instances"))
"""Records by their names, with ``{name}`` of the recording, those that are read quickest first."""


@dataclass(frozen=True, slots=True)
class ResultFile:
    """One file of a recording.

    Attributes:
        name: Without its folder.
        path: Where it is; never leaves the process.
        kind: ``video``, ``source`` (a recording that browsers do not play), ``picture``, ``events`` or ``data``.
        size: In bytes.
    """

    name: str
    path: Path
    kind: str
    size: int


@dataclass(slots=True)
class Recording:
    """Results of one recording.

    Attributes:
        base: Name of its files without their suffixes.
        files: In the order of their names.
    """

    base: str
    files: list[ResultFile] = field(default_factory=list)

    @property
    def video(self) -> ResultFile | None:
        """The video that a browser plays: the annotated one before others."""
        videos = [file for file in self.files if file.kind == "video"]
        return next((file for file in videos if ".tracked." in file.name), videos[0] if videos else None)

    @property
    def untracked(self) -> ResultFile | None:
        """The recording itself, where it has no results of a run yet."""
        if any(".tracked." in file.name or ".tracks." in file.name or file.kind == "events" for file in self.files):
            return None
        return self.picture_source

    @property
    def picture_source(self) -> ResultFile | None:
        """The video without anything drawn on it, where there is one, else the annotated one."""
        videos = [file for file in self.files if file.kind in {"video", "source"}]
        return next((file for file in videos if ".tracked." not in file.name), videos[0] if videos else None)

    @property
    def rows(self) -> list[ResultFile]:
        """Records of tracks, those that are read quickest first, and saved instances at the end."""
        order = {name.replace("{name}", self.base): place for place, name in enumerate(_ROWS)}
        return sorted((file for file in self.files if file.name in order), key=lambda file: order[file.name])

    @property
    def home(self) -> Path:
        """The folder of its records, else of its video, else of any of its files."""
        chosen = [*self.rows, *(file for file in (self.picture_source,) if file is not None), *self.files]
        return chosen[0].path.parent


class Recordings:
    """What a folder has, looked at again every few seconds.

    Args:
        folder: Of results; ``None`` = there is none.
        sources: Also list recordings that browsers do not play.
    """

    def __init__(self, folder: Path | None, *, sources: bool = False) -> None:
        self.folder = None if folder is None else folder.resolve()
        self._sources = sources
        self._found: dict[str, Recording] = {}
        self._stores: list[Path] = []
        self._scanned_s = -math.inf
        self._facts: dict[Path, tuple[tuple[int, int], dict[str, Any]]] = {}
        self._lock = threading.Lock()

    def all(self) -> dict[str, Recording]:
        """Recordings by the base of their names."""
        self._scan()
        return self._found

    def ledgers(self) -> list[Path]:
        """Stores and event files, stores first: they are read in place."""
        self._scan()
        files = [file.path for one in self._found.values() for file in one.files if file.kind == "events"]
        return [*self._stores, *files]

    def of(self, stream: str) -> Recording | None:
        """The recording of a stream: its files have the stream's name, or that without a suffix."""
        found = self.all()
        return found.get(stream) or found.get(PurePath(stream).stem)

    def without_events(self, streams: Iterable[str]) -> list[str]:
        """Recordings of which there are no events, by their bases."""
        known = {name for stream in streams for name in (stream, PurePath(stream).stem)}
        return [base for base, one in self.all().items() if base not in known and (one.video or one.untracked)]

    def look(self) -> None:
        """Look at the folder again at the next question."""
        self._scanned_s = -math.inf

    def video_facts(self, file: ResultFile) -> dict[str, Any]:
        """Size and length of a video: ``size``, ``duration_s``; empty where it cannot be read."""
        try:
            facts = file.path.stat()
        except OSError:
            return {}
        key = facts.st_mtime_ns, facts.st_size
        held = self._facts.get(file.path)
        if held is None or held[0] != key:
            held = self._facts[file.path] = key, _video_facts(file.path)
        return held[1]

    def _scan(self) -> None:
        with self._lock:
            if self.folder is None or time.monotonic() - self._scanned_s < SCAN_S:
                return
            self._scanned_s = time.monotonic()
            found: dict[str, Recording] = {}
            stores: list[Path] = []
            for number, path in enumerate(_files(self.folder, DEEPEST)):
                if number >= MOST_FILES:
                    break
                suffix = path.suffix.lower()
                with contextlib.suppress(OSError):
                    if suffix in SUFFIXES:
                        if _is_ledger(path):
                            stores.append(path)
                        continue
                    base = recording_name(path.name)
                    kind = "source" if self._sources and suffix in UNPLAYED else _kind(path)
                    if kind:
                        held = found.setdefault(base, Recording(base))
                        held.files.append(ResultFile(path.name, path, kind, path.stat().st_size))
            self._found, self._stores = dict(sorted(found.items())), sorted(stores)


def _files(folder: Path, depth: int) -> Iterator[Path]:
    """Files below a folder in order; hidden ones and links are left out, so that nothing leads elsewhere."""
    try:
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except OSError:
        return
    for entry in entries:
        if entry.name.startswith(".") or entry.is_symlink():
            continue
        if entry.is_file(follow_symlinks=False):
            yield Path(entry.path)
        elif depth > 1 and entry.is_dir(follow_symlinks=False):
            yield from _files(Path(entry.path), depth - 1)


def _is_ledger(path: Path) -> bool:
    """Whether a store is read, or its problem shown; a database of another program is neither."""
    kind = store_kind(path)
    if kind != "foreign":
        return kind != "none"
    with path.open("rb") as file:
        return path.suffix.lower() != ".db" and file.read(len(_DATABASE)) != _DATABASE


def _kind(path: Path) -> str:
    suffix = path.suffix.lower()
    if path.name.lower().endswith(EVENT_FILES):
        return "events"
    if suffix in VIDEOS:
        return "video"
    if suffix in PICTURES:
        return "picture"
    return "data" if suffix in DATA else ""


def _video_facts(path: Path) -> dict[str, Any]:
    import av

    with contextlib.suppress(Exception), av.open(str(path)) as container:
        video = container.streams.video[0]
        length = container.duration
        return {
            "size": [video.width, video.height],
            "duration_s": None if length is None else round(length / 1_000_000, 3),
        }
    return {}
