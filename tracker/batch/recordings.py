"""Recordings of a batch: folders, patterns, lists and object storage, expanded to one entry per recording."""

from __future__ import annotations

import fnmatch
import hashlib
import json
import os
import re
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path, PurePath, PurePosixPath
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, unquote

from tracker.batch.storage import Place, is_remote
from tracker.errors import SourceError
from tracker.sources.address import IMAGE_SUFFIXES, VIDEO_SUFFIXES, expand_sources, redact, shown_name
from tracker.sources.stored import IN_NAMES, split_query, well_formed

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

__all__ = ["Recording", "find_recordings", "key_of", "name_in"]

LIST_SUFFIXES = frozenset({".txt", ".list"})
READABLE = 48
"""Most characters of a recording's name in its key."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recording:
    """One recording before it is opened.

    Attributes:
        name: Unique in the batch: its path below the folder, pattern or bucket that was named.
        address: What is opened: a path, or a URI of object storage, percent-encoded, with the account and the options
            that its source was named with.
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

    @property
    def shown_address(self) -> str:
        """The URI free of credentials, or the absolute path."""
        return redact(self.address) if self.is_remote else shown_name(_absolute(self.address))


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
            found.setdefault(one.address if one.is_remote else _absolute(one.address), one)
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


def name_in(key: str) -> str:
    """What a key has of its recording's name.

    >>> name_in("north-gate-06-00-mp-0123456789abcdef")
    'north-gate-06-00-mp'
    """
    return key.rpartition("-")[0]


def _expand(source: str) -> Iterator[Recording]:
    if is_remote(source):
        yield from _remote(source)
        return
    path = Path(source.removeprefix("file://")).expanduser()
    if path.suffix.lower() in LIST_SUFFIXES and path.is_file():
        yield from _listed(path)
        return
    if path.is_dir():
        videos = _videos_below(path)
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
            name = Path(address.name).name or shown_name(source)
            yield Recording(name=name, address=source, size=size, stamp=stamp)
        else:
            yield _file(Path(address.target), Path(address.target).name)


def _videos_below(folder: Path) -> list[Path]:
    """All videos below a folder, links that lead nowhere included: they are told of as recordings that fail.

    Raises:
        SourceError: A folder below it cannot be read: its recordings would be missing in silence.
    """

    def refuse(failure: OSError) -> None:
        problem = f"expected a folder that can be read, found: {failure.strerror}"
        raise SourceError(failure.filename, problem, "give yourself the right to, or name the folders beside it")

    return sorted(
        path
        for above, _, names in os.walk(folder, onerror=refuse)
        for name in names
        if _is_video(path := Path(above, name), str(path.relative_to(folder))) and (path.is_file() or path.is_symlink())
    )


def _file(path: Path, name: str) -> Recording:
    """A video; what its size and time are is left open where the system does not say, and opening it will."""
    name = shown_name(name)
    try:
        facts = path.stat()
    except OSError:
        return Recording(name=name, address=str(path), size=0, stamp="")
    return Recording(name=name, address=str(path), size=facts.st_size, stamp=str(facts.st_mtime_ns))


def _listed(path: Path) -> Iterator[Recording]:
    """Sources of a list, one per line; empty lines and those that begin with # are skipped."""
    try:
        lines = path.read_text("utf-8-sig").splitlines()  # with the mark that Windows puts before it
    except (OSError, UnicodeDecodeError) as failure:
        problem = f"expected a text file with a source per line, found: {failure}"
        raise SourceError(path, problem, "save it as UTF-8") from failure
    empty = True
    for number, line in enumerate(lines, 1):
        text = line.strip()
        if not text or text.startswith("#"):
            continue
        empty = False
        below = text if "://" in text or Path(text).expanduser().is_absolute() else str(path.parent / text)
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
    pattern = unquote(named[len(folder) :]).lstrip("/")
    place, base = Place.of(folder + query), well_formed(folder).rstrip("/")
    found = False
    for entry in place.files():
        path = PurePosixPath(entry.path)
        if entry.path == place.path:
            name, address = path.name, base
        else:
            name = str(path.relative_to(place.path))
            address = f"{base}/{quote(name, safe=IN_NAMES)}"
            if not (fnmatch.fnmatchcase(name, pattern) if pattern else _is_video(path, name)):
                continue
        found = True
        yield Recording(name=name, address=address + query, size=entry.size, stamp=entry.stamp)
    if not found:
        raise SourceError(redact(source), "expected recordings, found none", "check the bucket and the prefix")


def _is_video(path: PurePath, below: str) -> bool:
    """Whether a file below a folder is a video to track: by its suffix, and not hidden, as for ``track``."""
    hidden = any(part.startswith(".") for part in PurePath(below).parts)
    return path.suffix.lower() in VIDEO_SUFFIXES and not hidden


def _named_apart(found: Iterable[Recording]) -> list[Recording]:
    """Names that occur twice are lengthened by the folders above until they differ."""
    recordings = list(found)
    for depth in range(1, 64):
        names = [one.name for one in recordings]
        doubled = {name for name, count in Counter(names).items() if count > 1}
        if not doubled:
            break
        recordings = [replace(one, name=_longer(one)) if one.name in doubled else one for one in recordings]
        del depth
    return recordings


def _longer(one: Recording) -> str:
    """A name with one folder more of its address, or of its bucket; never with keys or options of a store."""
    if one.is_remote:
        scheme, _, rest = split_query(one.address)[0].partition("://")
        whole = f"{scheme}:/{unquote(re.sub('^[^/@]*:[^/@]*@', '', rest))}"
    else:
        whole = one.shown_address.replace(os.sep, "/")
    parts = PurePosixPath(whole).parts
    return "/".join(parts[-(len(PurePosixPath(one.name).parts) + 1) :])


def _absolute(path: str) -> str:
    return os.path.abspath(path)  # noqa: PTH100 - links stay, and steps back go
