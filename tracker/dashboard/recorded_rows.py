"""Tracks of recordings from their records, the last ones kept in memory: dry runs over all of them, and trails."""

from __future__ import annotations

import contextlib
import threading
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from tracker.analytics.dry_run import what_if_of_blocks
from tracker.analytics.tally import Tally
from tracker.dashboard.dry_places import dry_places
from tracker.dashboard.problems import ApiError, no_records, of_tracker_error
from tracker.errors import ConfigError, TrackerError
from tracker.formats.instances import is_saved_instances
from tracker.formats.recorded import open_recorded
from tracker.recount import occluder_mark

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from tracker.dashboard.recordings import Recording
    from tracker.site import Site
    from tracker.track_block import TrackBlock

__all__ = ["MOST_BYTES", "Rows", "RowsOfRecordings", "StoppedError"]

MOST_BYTES = 256_000_000
"""Kept in memory; a recording with more is read anew for each question. Twenty identities at 25 fps: 107 minutes."""
ROW_BYTES = 80
"""Of a row of an identity with its contact: 61 in columns, the rest for its share of what a frame has."""


class StoppedError(Exception):
    """Whoever asked waits no more."""


@dataclass(slots=True, kw_only=True)
class Rows:
    """Tracks of one recording.

    Attributes:
        path: Of its records.
        stream: Its name as the records have it, else that of the file.
        start_ms: UTC in milliseconds at media time 0, where that was declared.
        occluders: Mark of those with which hidden contacts were told; ``None`` where the rows do not say.
        size: ``(width, height)`` of the picture in pixels.
        blocks: All tracks in order of time; ``None`` = too many to keep.
    """

    path: Path
    stream: str
    start_ms: int | None
    occluders: str | None
    size: tuple[int, int] | None = None
    blocks: list[TrackBlock] | None = None


class RowsOfRecordings:
    """Records of recordings, which one thread at a time reads or counts."""

    def __init__(self) -> None:
        self._busy = threading.Lock()
        self._held: OrderedDict[Path, tuple[tuple[int, int], Rows]] = OrderedDict()

    def dry_run(
        self, found: Recording, site: Site, was: Tally | None, *, stopped: Callable[[], bool] = lambda: False
    ) -> dict[str, Any]:
        """What a site would have counted over the whole recording, beside what the ledgers have of it.

        Args:
            found: The recording.
            site: The changed site.
            was: What was counted; ``None`` = nothing yet.
            stopped: Whether nobody waits for the answer any more.

        Returns:
            ``from_ms``, ``to_ms`` (media time), ``seconds`` and ``places``.

        Raises:
            ApiError: There are no records, they cannot be read, or the site does not fit them.
            StoppedError: It was stopped.
        """
        with _Turn(self._busy, stopped), _told(found):
            return _counted(self._rows(found, site, stopped), site, was, stopped)

    def size(self, found: Recording) -> tuple[int, int] | None:
        """``(width, height)`` of the pictures in pixels, as the records have it.

        Raises:
            ApiError: There are no records, or they cannot be read.
        """
        with self._busy, _told(found):
            return self._rows(found, None, lambda: False).size

    def trails(self, found: Recording, *, from_s: float, to_s: float) -> dict[str, Any]:
        """Ground contacts of identities in a time.

        Args:
            found: The recording.
            from_s: Media time.
            to_s: The same, inclusive.

        Returns:
            ``size``, ``from_s`` and ``to_s`` of the recording, and ``trails``: ``identity``, ``class`` and ``points``
            (media seconds, x and y as shares of the picture).

        Raises:
            ApiError: There are no records, or they cannot be read.
        """
        with self._busy, _told(found):
            return _trails(self._rows(found, None, lambda: False), from_s, to_s)

    def _rows(self, found: Recording, site: Site | None, stopped: Callable[[], bool]) -> Rows:
        """Records of a recording, from memory where they are as they were."""
        files = [file.path for file in found.rows if not is_saved_instances(file.path)]
        if not files:
            raise no_records(found.base)
        failure: TrackerError | None = None
        for path in files:
            try:
                return self._opened(path, site, stopped)
            except TrackerError as problem:
                failure = failure or problem
        assert failure is not None  # noqa: S101 - there is a file, and none could be read
        raise failure

    def _opened(self, path: Path, site: Site | None, stopped: Callable[[], bool]) -> Rows:
        facts = path.stat()
        key = facts.st_mtime_ns, facts.st_size
        held = self._held.get(path)
        if held is None or held[0] != key:
            self._held.pop(path, None)
            held = self._held[path] = key, _read(path, site, stopped)
        self._held.move_to_end(path)
        while len(self._held) > 1 and sum(map(_bytes, self._held.values())) > MOST_BYTES:
            self._held.popitem(last=False)
        return held[1]


class _Turn:
    """One at a time; who is stopped while waiting goes away."""

    def __init__(self, lock: threading.Lock, stopped: Callable[[], bool]) -> None:
        self._lock, self._stopped = lock, stopped

    def __enter__(self) -> None:
        while not self._lock.acquire(timeout=0.1):
            if self._stopped():
                raise StoppedError

    def __exit__(self, *_: object) -> None:
        self._lock.release()


@contextlib.contextmanager
def _told(found: Recording) -> Iterator[None]:
    """Errors of the library as answers, without folders of this machine."""
    try:
        yield
    except TrackerError as failure:
        raise of_tracker_error(failure, 409) from None
    except OSError as failure:
        words = failure.strerror or "an error of the system"
        raise ApiError(409, found.base, "records that can be read", words, "check the folder") from None


def _bytes(held: tuple[tuple[int, int], Rows]) -> int:
    return ROW_BYTES * sum(len(block.ids) for block in held[1].blocks or ())


def _read(path: Path, site: Site | None, stopped: Callable[[], bool]) -> Rows:
    recorded = open_recorded([path], size=None if site is None else site.reference_size)
    if recorded.by_boxes:
        problem = "expected ground contacts, found rows without contact"
        raise ConfigError(path.name, problem, "count by boxes: masktrail analyse --boxes")
    occluders = recorded.occluders if recorded.noted else None
    rows = Rows(path=path, stream=recorded.stream or path.name, start_ms=recorded.start_ms, occluders=occluders)
    blocks: list[TrackBlock] = []
    count = 0
    for block in recorded.blocks():
        if stopped():
            raise StoppedError
        rows.size = rows.size or block.size
        blocks.append(block)
        count += len(block.ids)
        if count * ROW_BYTES > MOST_BYTES:
            return rows
    rows.blocks = blocks
    return rows


def _blocks(rows: Rows, stopped: Callable[[], bool]) -> Iterator[TrackBlock]:
    blocks = rows.blocks if rows.blocks is not None else open_recorded([rows.path], size=rows.size).blocks()
    for block in blocks:
        if stopped():
            raise StoppedError
        yield block


def _counted(rows: Rows, site: Site, was: Tally | None, stopped: Callable[[], bool]) -> dict[str, Any]:
    if rows.occluders is not None and rows.occluders != occluder_mark(site.occluders):
        problem = "expected the occluders with which the tracks were recorded, found others"
        remedy = "save and count where there are .instances, or track again; lines and zones need neither"
        raise ConfigError(rows.path.name, problem, remedy)
    if rows.size is not None:
        site.check_size(rows.size)
    times_s: list[float] = []

    def timed() -> Iterator[TrackBlock]:
        for block in _blocks(rows, stopped):
            times_s[1:] = [block.times_s[-1]] if times_s else [block.times_s[0], block.times_s[-1]]
            yield block

    would = Tally.of(site)
    would.add(what_if_of_blocks(timed(), site, stream=rows.stream, start_utc_ms=rows.start_ms))
    first_s, last_s = times_s or (0.0, 0.0)
    return {
        "from_ms": round(first_s * 1000),
        "to_ms": round(last_s * 1000),
        "seconds": round(last_s - first_s, 1),
        "places": dry_places(site, would, was),
    }


# ---- trails ---------------------------------------------------------------------------------------------------------

MOST_TRAILS = 200
MOST_POINTS = 40
"""Of one trail; both keep an answer below a few hundred kilobytes."""


def _trails(rows: Rows, from_s: float, to_s: float) -> dict[str, Any]:
    parts: list[tuple[Any, ...]] = []
    names: Sequence[str] = ()
    first_s = last_s = 0.0
    for number, block in enumerate(_blocks(rows, lambda: False)):
        first_s = first_s if number else block.times_s[0]
        last_s, names = block.times_s[-1], block.class_names
        if block.times_s[-1] < from_s or block.times_s[0] > to_s or not len(block.ids):
            continue
        times_s = np.repeat(np.asarray(block.times_s), np.diff(np.asarray(block.cuts)))
        own = block.contacts.of_tracks(block.detection_rows, block.boxes)
        kept = (block.detection_rows >= 0) & (times_s >= from_s) & (times_s <= to_s)
        parts.append((block.ids[kept], block.class_ids[kept], times_s[kept], (own.points / block.size)[kept]))
    facts = {"size": None if rows.size is None else list(rows.size), "from_s": first_s, "to_s": last_s}
    if not parts:
        return facts | {"trails": []}
    ids, classes, times_s, points = (np.concatenate([part[column] for part in parts]) for column in range(4))
    order = np.argsort(ids, kind="stable")
    ids, classes, times_s, points = ids[order], classes[order], times_s[order], points[order]
    cuts = np.flatnonzero(np.diff(ids, prepend=ids[:1] - 1)) if len(ids) else np.empty(0, np.int64)
    ends = [*cuts[1:].tolist(), len(ids)]
    spans = list(zip(cuts.tolist(), ends, strict=True))
    chosen = [spans[one] for one in _spread(len(spans), MOST_TRAILS)]
    return facts | {
        "trails": [
            {
                "identity": int(ids[begin]),
                "class": names[int(classes[end - 1])],
                "points": [
                    [round(float(times_s[begin + at]), 2), *np.round(points[begin + at], 4).tolist()]
                    for at in _spread(end - begin, MOST_POINTS)
                ],
            }
            for begin, end in chosen
        ]
    }


def _spread(count: int, most: int) -> list[int]:
    """At most so many positions of some, spread evenly, the first and the last among them."""
    if count <= most:
        return list(range(count))
    return list(map(int, np.unique(np.linspace(0, count - 1, most).round())))
