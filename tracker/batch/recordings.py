"""Recordings of a batch: folders, patterns, lists and object storage, expanded to one entry per recording."""

from __future__ import annotations

import fnmatch
import hashlib
import json
import os
import re
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from tracker.batch.storage import Place, is_remote, split_query
from tracker.errors import SourceError
from tracker.sources.address import IMAGE_SUFFIXES, VIDEO_SUFFIXES, expand_sources, redact

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

__all__ = ["Recording", "find_recordings", "key_of"]

LIST_SUFFIXES = frozenset({".txt", ".list"})
READABLE = 48
"""Most characters of a recording's name in its key."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recording:
    """One recording before it is opened.

    Attributes:
        name: Unique in the batch: its path below the folder, pattern or bucket that was named.
        address: What is opened: a path, or a URI of object storage.
        size: Bytes, of a folder of images all of them.
        stamp: What changes when the content does: time of change in nanoseconds, or an ETag.
    """

    name: str
    address: str
    size: int
    stamp: str

    @property
    def is_remote(self) -> bool:
        """Whether it lies in object storage."""
        return is_remote(self.address)


def find_recordings(sources: Sequence[str]) -> list[Recording]:
    """The recordings that sources stand for, in the order in which they were named.

    Args:
        sources: Videos; folders, with all videos below them, or with images as one recording; patterns; lists, a text
            file ``*.txt`` or ``*.list`` with a source per line; ``s3://``, ``gs://`` and ``abfs://`` files, folders
            and patterns.

    Raises:
        SourceError: Nothing is there, or what is named is a camera.
    """
    found: dict[str, Recording] = {}
    for source in sources:
        for one in _expand(source):
            found.setdefault(one.address, one)
    return _named_apart(list(found.values()))


def key_of(recording: Recording, settings: Mapping[str, Any]) -> str:
    """Name of a recording's results: the same for the same content under the same settings.

    Args:
        recording: Its name, size and stamp count, and not where it lies.
        settings: Everything else that its rows depend on, as plain values.

    >>> one = Recording(name="north gate/06:00.mp4", address="/a/06:00.mp4", size=7, stamp="1")
    >>> key_of(one, {}) == key_of(replace(one, address="/b/06:00.mp4"), {})
    True
    >>> key_of(one, {})[:19]
    'north-gate-06-00-mp'
    """
    facts = json.dumps([recording.name, recording.size, recording.stamp, settings], sort_keys=True, default=str)
    digest = hashlib.blake2b(facts.encode(), digest_size=8).hexdigest()
    readable = re.sub(r"[^A-Za-z0-9_]+", "-", recording.name).strip("-")[-READABLE:].strip("-")
    return f"{readable or 'recording'}-{digest}"


def _expand(source: str) -> Iterator[Recording]:
    if is_remote(source):
        yield from _remote(source)
        return
    path = Path(source.removeprefix("file://")).expanduser()
    if path.suffix.lower() in LIST_SUFFIXES and path.is_file():
        yield from _listed(path)
        return
    if path.is_dir():
        videos = sorted(
            entry for entry in path.rglob("*") if entry.suffix.lower() in VIDEO_SUFFIXES and entry.is_file()
        )
        if videos:
            yield from (_file(video, str(video.relative_to(path))) for video in videos)
            return
        if not any(entry.suffix.lower() in IMAGE_SUFFIXES for entry in path.iterdir()):
            problem = "expected videos below the folder, or images in it, found none"
            raise SourceError(source, problem, f"name the files; known are {' '.join(sorted(VIDEO_SUFFIXES))}")
    for address in expand_sources(source):
        if address.kind not in {"video", "images"} or address.once:
            problem = f"expected a recording, found {'a pipe' if address.once else 'a camera or an address'}"
            raise SourceError(
                redact(source), problem, "masktrail live follows cameras, masktrail track a single source"
            )
        if address.kind == "images":
            files = [Path(file) for file in address.files]
            facts = [file.stat() for file in files]
            stamp = str(max(fact.st_mtime_ns for fact in facts))
            size = sum(fact.st_size for fact in facts)
            yield Recording(name=Path(address.name).name or source, address=source, size=size, stamp=stamp)
        else:
            yield _file(Path(address.target), Path(address.target).name)


def _file(path: Path, name: str) -> Recording:
    facts = path.stat()
    return Recording(name=name, address=str(path), size=facts.st_size, stamp=str(facts.st_mtime_ns))


def _listed(path: Path) -> Iterator[Recording]:
    """Sources of a list, one per line; empty lines and those that begin with # are skipped."""
    try:
        lines = path.read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as failure:
        problem = f"expected a text file with a source per line, found: {failure}"
        raise SourceError(path, problem, "save it as UTF-8") from failure
    empty = True
    for number, line in enumerate(lines, 1):
        text = line.strip()
        if not text or text.startswith("#"):
            continue
        empty = False
        below = text if is_remote(text) or Path(text).is_absolute() else str(path.parent / text)
        try:
            yield from _expand(below)
        except SourceError as failure:
            raise SourceError(f"{path}:{number}", failure.problem, failure.remedy) from failure
    if empty:
        raise SourceError(path, "expected a source per line, found none", "write the paths of recordings into it")


def _remote(source: str) -> Iterator[Recording]:
    """Objects by their URI: one, all videos below a folder, or those that a pattern fits."""
    named, query = split_query(source)
    fixed = re.split(r"[*?\[]", named, maxsplit=1)[0]
    folder = fixed if fixed == named else fixed.rpartition("/")[0]
    place = Place.of(folder + query)
    found = False
    for entry in place.files():
        address = f"{place.scheme}://{entry.path}"
        is_video = PurePosixPath(entry.path).suffix.lower() in VIDEO_SUFFIXES
        itself = entry.path == place.path
        if not (itself or (is_video if fixed == named else fnmatch.fnmatchcase(address, named))):
            continue
        found = True
        path = PurePosixPath(entry.path)
        name = path.name if itself else str(path.relative_to(place.path))
        yield Recording(name=name, address=address + query, size=entry.size, stamp=entry.stamp)
    if not found:
        raise SourceError(redact(source), "expected recordings, found none", "check the bucket and the prefix")


def _named_apart(found: Iterable[Recording]) -> list[Recording]:
    """Names that occur twice are lengthened by the folders above until they differ."""
    recordings = list(found)
    for depth in range(1, 64):
        names = [one.name for one in recordings]
        doubled = {name for name in names if names.count(name) > 1} if len(set(names)) < len(names) else set()
        if not doubled:
            break
        recordings = [replace(one, name=_longer(one)) if one.name in doubled else one for one in recordings]
        del depth
    return recordings


def _longer(one: Recording) -> str:
    """A name with one folder more of its address."""
    parts = PurePosixPath(one.address.replace(os.sep, "/")).parts
    return "/".join(parts[-(len(PurePosixPath(one.name).parts) + 1) :])
