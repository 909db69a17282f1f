"""Instances of a recording that were segmented in chunks elsewhere, found again by the picture they were seen in.

The pass that associates decodes the recording itself and asks for the instances of each network input by its digest.
So chunks need to agree with it about nothing: a picture that no chunk had, because it decodes differently from a key
frame on, is segmented in the pass, and the result is that of an unsplit run whatever the chunks hold.
"""

from __future__ import annotations

import hashlib
import threading
from typing import TYPE_CHECKING, Any, BinaryIO

from tracker.engine.models import Models
from tracker.formats.instances import pack_frame, unpack_frame
from tracker.types import TrackedFrame

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from tracker.batch.chunks import Chunk
    from tracker.engine.models import ModelKey
    from tracker.engine.plan import StreamPlan
    from tracker.segment.session import OnnxSegmenter
    from tracker.settings.stream import RunSettings
    from tracker.types import Frame, Instances

__all__ = ["Spool", "SpooledModels", "picture_digest", "read_spool", "write_spooled"]

DIGEST_BYTES = 8
KEPT_CHUNKS = 2
"""Chunks that are kept behind the pass: workers of the engine are a few frames apart."""


def picture_digest(picture: NDArray[Any]) -> bytes:
    """Digest of a network input ``(h, w, 3)`` uint8."""
    return hashlib.blake2b(picture.data if picture.flags.c_contiguous else picture.tobytes(), digest_size=8).digest()


def write_spooled(file: BinaryIO, frame: Frame, instances: Instances, class_names: Sequence[str]) -> None:
    """Add the instances of one frame, which carries the network input."""
    if frame.network_image is None:
        message = "expected a frame with the network's input"
        raise ValueError(message)
    file.write(picture_digest(frame.network_image))
    tracked = TrackedFrame(frame=frame, instances=instances, tracks=None, class_names=class_names)
    file.write(pack_frame(tracked))


def read_spool(path: Path) -> dict[bytes, Instances]:
    """All instances of a chunk by their picture; equal pictures have equal instances."""
    found: dict[bytes, Instances] = {}
    with path.open("rb") as file:
        while digest := file.read(DIGEST_BYTES):
            saved = unpack_frame(file)
            if saved is None:
                break
            found[digest] = saved.instances
    return found


class Spool:
    """Chunks that arrived, in the order of the recording, and what is known of those to come.

    Attributes:
        found: Frames whose instances came from chunks.
        missed: Frames that no chunk had.
    """

    def __init__(self) -> None:
        self.found = 0
        self.missed = 0
        self._changed = threading.Condition()
        self._chunks: list[Chunk] = []
        self._all_known = False
        self._arrived: dict[int, dict[bytes, Instances]] = {}
        self._over: set[int] = set()
        self._at = 0
        self._closed = False

    @property
    def at(self) -> int:
        """Number of the chunk that the pass is in."""
        return self._at

    def wait_at(self, number: int) -> None:
        """Wait until the pass is in a chunk, or beyond it."""
        with self._changed:
            self._changed.wait_for(lambda: self._at >= number or self._closed)

    def know(self, chunk: Chunk) -> None:
        """A chunk was cut and will arrive."""
        with self._changed:
            self._chunks.append(chunk)
            self._changed.notify_all()

    def know_all(self) -> None:
        """No further chunks will be cut."""
        with self._changed:
            self._all_known = True
            self._changed.notify_all()

    def arrive(self, number: int, instances: dict[bytes, Instances]) -> None:
        """The instances of a chunk; none where it could not be segmented."""
        with self._changed:
            if number >= self._at - KEPT_CHUNKS:
                self._arrived[number] = instances
            self._over.add(number)
            self._changed.notify_all()

    def close(self) -> None:
        """Wait for nothing any more."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def take(self, frame: Frame) -> Instances | None:
        """The instances of a frame; waits for its chunk. ``None`` where no chunk had its picture."""
        if frame.network_image is None:
            return None
        digest = picture_digest(frame.network_image)
        with self._changed:
            self._changed.wait_for(lambda: self._ready(frame.index))
            instances = None
            for number in (self._at, self._at - 1, self._at + 1, self._at - 2):
                instances = self._arrived.get(number, {}).get(digest)
                if instances is not None:
                    break
            self.found += instances is not None
            self.missed += instances is None
            return instances

    def _ready(self, index: int) -> bool:
        """Whether the chunk of a frame is there, or will never be; moves on to it."""
        if self._closed:
            return True
        while self._at < len(self._chunks) and index >= self._chunks[self._at].first + self._chunks[self._at].frames:
            self._at += 1
            self._changed.notify_all()
            self._arrived.pop(self._at - KEPT_CHUNKS - 1, None)
        if self._at >= len(self._chunks):
            return self._all_known
        return self._chunks[self._at].number in self._over


class _SpooledSegmenter:
    """A session that asks the spool first; everything else is the session's own."""

    def __init__(self, segmenter: OnnxSegmenter, spool: Spool) -> None:
        self._segmenter, self._spool = segmenter, spool

    def __getattr__(self, name: str) -> Any:
        return getattr(self._segmenter, name)

    def segment(self, frames: Sequence[Frame]) -> list[Instances]:
        """The instances of each frame, see :meth:`tracker.segment.session.OnnxSegmenter.segment`."""
        found = [self._spool.take(frame) for frame in frames]
        missing = [number for number, instances in enumerate(found) if instances is None]
        segmented = self._segmenter.segment([frames[number] for number in missing]) if missing else []
        for number, instances in zip(missing, segmented, strict=True):
            found[number] = instances
        return [instances for instances in found if instances is not None]


class SpooledModels(Models):
    """Sessions that ask a spool before they run.

    Args:
        device: Where what the spool lacks is segmented.
        batch_wait_s: As for :class:`tracker.engine.models.Models`.
        spool: Of one recording.
    """

    def __init__(self, device: RunSettings, *, batch_wait_s: float, spool: Spool) -> None:
        super().__init__(device, batch_wait_s=batch_wait_s)
        self._spool = spool

    def _open(self, plan: StreamPlan, key: ModelKey, lowest: float, *, workers: int | None = None) -> OnnxSegmenter:
        opened = super()._open(plan, key, lowest, workers=workers)
        return _SpooledSegmenter(opened, self._spool)  # type: ignore[return-value]
