"""Spool of tracked frames in a temporary file, with random access; masks cropped to their boxes.

Memory holds one number per frame, one mean embedding per identity and the camera's own events, which pictures gave: the
length of a recording does not matter. The file has no name: the system removes it however the process ends.
"""

from __future__ import annotations

import tempfile
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from tracker.errors import SinkError
from tracker.events import OUTAGE_KINDS
from tracker.formats.instances import pack_frame, unpack_frame
from tracker.refine.recording import Recording, tracklets_of
from tracker.sinks.base import Sink

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from tracker.events import Event
    from tracker.formats.instances import SavedFrame
    from tracker.types import Frame, Instances, TrackedFrame

__all__ = ["Spool", "SpoolSink"]

CACHED_FRAMES = 32


class Spool:
    """Tracked frames that can be read back; write through :attr:`sink`.

    Raises:
        SinkError: The system cannot make a temporary file.
    """

    def __init__(self) -> None:
        try:
            self._file = tempfile.TemporaryFile(prefix="masktrail-")  # noqa: SIM115 - lives as long as the spool
        except OSError as failure:
            raise _refused(failure) from failure
        self._offsets: list[int] = []
        self._states: dict[int, tuple[Event, ...]] = {}
        self._last: tuple[Event, ...] = ()
        self._unsegmented: dict[int, tuple[bool, bool]] = {}
        self._embeddings: dict[int, NDArray[np.float64]] = {}
        self._cached = lru_cache(CACHED_FRAMES)(self._read)

    def __len__(self) -> int:
        return len(self._offsets)

    def write(self, tracked_frame: TrackedFrame) -> None:
        """Add one frame.

        Raises:
            SinkError: The system refuses.
        """
        instances, tracks = tracked_frame.instances, tracked_frame.tracks
        block = pack_frame(tracked_frame, embeddings=False, outlines=True)
        try:
            offset = self._file.seek(0, 2)
            self._file.write(block)
        except OSError as failure:
            raise _refused(failure) from failure
        if states := _of_camera(tracked_frame.events):
            self._states[len(self._offsets)] = states
        if tracked_frame.skipped or tracked_frame.interpolated:
            self._unsegmented[len(self._offsets)] = (tracked_frame.skipped, tracked_frame.interpolated)
        self._offsets.append(offset)
        if tracks is not None and instances.embeddings is not None:
            self._add_embeddings(instances, tracks.ids, tracks.detection_rows)

    def write_events(self, events: Sequence[Event]) -> None:
        """Add what the end of the stream brought."""
        self._last = _of_camera(events)

    def states(self, number: int | None) -> tuple[Event, ...]:
        """What the ``number``-th frame said of the camera itself, or, for ``None``, the end of the stream."""
        return self._last if number is None else self._states.get(number, ())

    def left_out(self, number: int) -> tuple[bool, bool]:
        """Whether the ``number``-th frame was skipped, and whether it was interpolated."""
        return self._unsegmented.get(number, (False, False))

    @property
    def sink(self) -> SpoolSink:
        """The sink that a pipeline writes to; closing it keeps the file."""
        return SpoolSink(self)

    def close(self) -> None:
        """Remove the file."""
        self._cached.cache_clear()
        self._file.close()

    def read(self, number: int) -> tuple[Frame, Instances]:
        """The ``number``-th frame, without its picture, and its instances, without embeddings."""
        return self._cached(number)

    def recording(self) -> tuple[Recording, list[NDArray[np.int64]], NDArray[np.float64] | None]:
        """All instances as flat arrays, the flat rows of every identity, and their mean embeddings or ``None``."""
        times_s, counts, columns, pairs = [], [], [], []
        total = 0
        for offset in self._offsets:
            loaded = self._load(offset)
            instances, ids, rows = loaded.instances, loaded.ids, loaded.rows
            seen = rows >= 0
            pairs.append(np.stack([ids[seen], total + rows[seen]]))
            times_s.append(loaded.frame.time_s)
            counts.append(len(instances))
            columns.append((instances.boxes, instances.scores, instances.class_ids))
            total += len(instances)
        owners = np.concatenate([np.zeros((2, 0), np.int64), *pairs], axis=1)
        recording = Recording(
            times_s=np.array(times_s, np.float64),
            starts=np.concatenate([[0], np.cumsum(np.array(counts, np.int64))]),
            boxes=np.concatenate([np.zeros((0, 4)), *(boxes for boxes, _, _ in columns)]).astype(np.float64),
            scores=np.concatenate([np.zeros(0), *(scores for _, scores, _ in columns)]).astype(np.float64),
            class_ids=np.concatenate([np.zeros(0, np.int64), *(classes for _, _, classes in columns)]),
        )
        embeddings = None
        if self._embeddings:
            nothing = np.zeros_like(next(iter(self._embeddings.values())))
            identities = np.unique(owners[0]).tolist()
            embeddings = np.array([self._embeddings.get(identity, nothing) for identity in identities])
        return recording, tracklets_of(owners[0], owners[1]), embeddings

    def _add_embeddings(self, instances: Instances, ids: NDArray[np.int64], rows: NDArray[np.int64]) -> None:
        embeddings = instances.embeddings
        if embeddings is None:
            return
        for identity, row in zip(ids.tolist(), rows.tolist(), strict=True):
            if row >= 0 and np.isfinite(embeddings[row]).all():
                weighted = float(instances.scores[row]) * embeddings[row].astype(np.float64)
                known = self._embeddings.get(identity)
                self._embeddings[identity] = weighted if known is None else known + weighted

    def _load(self, offset: int) -> SavedFrame:
        self._file.seek(offset)
        found = unpack_frame(self._file)
        if found is None:
            message = f"expected a frame at byte {offset} of the temporary file, found its end"
            raise ValueError(message)
        return found

    def _read(self, number: int) -> tuple[Frame, Instances]:
        loaded = self._load(self._offsets[number])
        return loaded.frame, loaded.instances


class SpoolSink(Sink):
    """The spool as a sink; frames are read back after it is closed."""

    def __init__(self, spool: Spool) -> None:
        self._spool = spool

    @property
    def address(self) -> str:
        """Its name in messages."""
        return "temporary file of the second pass"

    def write(self, tracked_frame: TrackedFrame) -> None:
        """Add one frame; see :meth:`Spool.write`."""
        self._spool.write(tracked_frame)

    def write_events(self, events: Sequence[Event]) -> None:
        """Add those of the stream's end; see :meth:`Spool.write_events`."""
        self._spool.write_events(events)

    def close(self) -> None:
        """Does nothing: the spool stays readable."""


def _of_camera(events: Sequence[Event]) -> tuple[Event, ...]:
    """Events of the camera's own state; gaps are found again from the frames."""
    return tuple(event for event in events if event.kind in OUTAGE_KINDS and event.kind != "gap")


def _refused(failure: OSError) -> SinkError:
    place = tempfile.gettempdir()
    return SinkError(
        f"temporary file in {place}", f"cannot be written: {failure.strerror}", "free space there, or set TMPDIR"
    )
