"""Spool of tracked frames in a temporary file, with random access; masks cropped to their boxes.

Memory holds one number per frame and one mean embedding per identity, so the length of a recording does not matter. The
file has no name: the system removes it however the process ends.
"""

from __future__ import annotations

import tempfile
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from tracker.errors import SinkError
from tracker.masks.packing import unpack_masks
from tracker.refine.recording import Recording, tracklets_of
from tracker.sinks.base import Sink
from tracker.types import Frame, Instances

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from tracker.types import TrackedFrame

__all__ = ["Spool", "SpoolSink"]

CACHED_FRAMES = 32
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
ARRAYS = 10


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
        self._embeddings: dict[int, NDArray[np.float64]] = {}
        self._cached = lru_cache(CACHED_FRAMES)(self._read)

    def __len__(self) -> int:
        return len(self._offsets)

    def write(self, tracked_frame: TrackedFrame) -> None:
        """Add one frame.

        Raises:
            SinkError: The system refuses.
        """
        frame, instances, tracks = tracked_frame.frame, tracked_frame.instances, tracked_frame.tracks
        empty = np.zeros(0, np.int64)
        nothing = [np.zeros((0, 4), np.int64), np.zeros(0, np.uint8), np.zeros(0)]
        arrays: list[NDArray[Any]] = [
            np.array([frame.index, *frame.size, _microseconds(frame.captured_at)], np.int64),
            np.array([frame.time_s, frame.arrived_s], np.float64),
            np.frombuffer(frame.source.encode("utf-8", "surrogateescape"), np.uint8),
            instances.boxes,
            instances.scores,
            instances.class_ids,
            *(nothing if instances.masks is None else instances.masks.pack()),
            np.stack([empty, empty] if tracks is None else [tracks.ids, tracks.detection_rows]),
        ]
        try:
            offset = self._file.seek(0, 2)
            for array in arrays:
                np.save(self._file, array)
        except OSError as failure:
            raise _refused(failure) from failure
        self._offsets.append(offset)
        if tracks is not None and instances.embeddings is not None:
            self._add_embeddings(instances, tracks.ids, tracks.detection_rows)

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
            boxes, (ids, rows) = loaded[3], loaded[9]
            seen = rows >= 0
            pairs.append(np.stack([ids[seen], total + rows[seen]]))
            times_s.append(float(loaded[1][0]))
            counts.append(len(boxes))
            columns.append((boxes, loaded[4], loaded[5]))
            total += len(boxes)
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

    def _load(self, offset: int) -> list[NDArray[Any]]:
        self._file.seek(offset)
        return [np.load(self._file) for _ in range(ARRAYS)]

    def _read(self, number: int) -> tuple[Frame, Instances]:
        facts, (time_s, arrived_s), source, boxes, scores, class_ids, rects, cells, measures, _ = self._load(
            self._offsets[number]
        )
        index, width, height, captured_us = facts.tolist()
        frame = Frame(
            index=int(index),
            time_s=float(time_s),
            arrived_s=float(arrived_s),
            source=source.tobytes().decode("utf-8", "surrogateescape"),
            size=(int(width), int(height)),
            captured_at=None if captured_us < 0 else EPOCH + timedelta(microseconds=int(captured_us)),
        )
        masks = unpack_masks([rects, cells, measures]) if len(measures) else None
        return frame, Instances(boxes=boxes, scores=scores, class_ids=class_ids, masks=masks)


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

    def close(self) -> None:
        """Does nothing: the spool stays readable."""


def _microseconds(moment: datetime | None) -> int:
    """Since 1970; -1 = not known."""
    return -1 if moment is None else (moment - EPOCH) // timedelta(microseconds=1)


def _refused(failure: OSError) -> SinkError:
    place = tempfile.gettempdir()
    return SinkError(
        f"temporary file in {place}", f"cannot be written: {failure.strerror}", "free space there, or set TMPDIR"
    )
