"""Saved instances (``*.instances``): everything that tracking needs of a segmented recording, to track it many times.

A line of JSON about the model and the stream, then one block per frame: its length and CRC-32 (little-endian, 4 bytes
each), then zlib-packed NumPy arrays. Masks are kept as their small grids, cropped to the cells that are not zero;
embeddings and the camera's motion are kept as they were found, so that association gives the very same tracks.
Blocks follow each other in stream order, so files of consecutive parts can be put together.
"""

from __future__ import annotations

import io
import json
import struct
import zlib
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from tracker.errors import DetectionsError
from tracker.formats.notes import camera_notes
from tracker.masks.packing import unpack_masks
from tracker.types import Frame, Instances, TimeFrom
from tracker.version import __version__

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from tracker.recount import CameraNote
    from tracker.types import TrackedFrame

__all__ = ["SavedFrame", "SavedModel", "is_saved_instances", "open_saved", "pack_frame", "unpack_frame", "with_camera"]

FORMAT, VERSION = "masktrail instances", 1
MOST_HEAD_BYTES = 1 << 20
MOST_BLOCK_BYTES = 1 << 28
"""Of a frame, unpacked: 100 instances on a grid of 480 x 480 cells have a tenth of that."""

HEAD = struct.Struct("<II")
ARRAYS = 12
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
TIMES_FROM: tuple[TimeFrom, ...] = ("stamps", "arrival", "rate")


@dataclass(frozen=True, slots=True, kw_only=True)
class SavedModel:
    """What tracking needs to know of the model and the stream.

    Attributes:
        class_names: Names in ``class_ids`` order.
        confirmation_score: Score that an instance must have to confirm a track.
        digest: SHA-256 of the model; empty where it is not known.
        frame_rate: Nominal frames per second; ``None`` where it is not known.
        image_names: The source is a folder of images.
        start_ms: UTC in milliseconds at media time 0, where that was declared.
    """

    class_names: tuple[str, ...]
    confirmation_score: float = 0.0
    digest: str = ""
    frame_rate: float | None = None
    image_names: bool = False
    start_ms: int | None = None

    def head(self) -> bytes:
        """The first line of a file."""
        values = {"format": FORMAT, "version": VERSION, "made_by": __version__, **asdict(self)}
        return json.dumps(values, separators=(",", ":")).encode() + b"\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class SavedFrame:
    """One frame without its picture.

    Attributes:
        frame: Its times and size.
        instances: What was segmented.
        warp: ``(2, 3)`` how the camera moved, or ``None``.
        ids, rows: ``(N,)`` identities and the instances that they took, where the frame was tracked.
        camera: States of the camera since the frame before; with an infinite ``frame_s``, of the end of the stream.
    """

    frame: Frame
    instances: Instances
    warp: NDArray[np.float64] | None
    ids: NDArray[np.int64]
    rows: NDArray[np.int64]
    camera: tuple[CameraNote, ...] = ()


def pack_frame(
    tracked: TrackedFrame, *, embeddings: bool = True, outlines: bool = False, camera: Sequence[CameraNote] = ()
) -> bytes:
    """One block.

    Args:
        tracked: The frame; its picture is not kept.
        embeddings: Keep those of the instances.
        outlines: Keep the masks of a promptable segmenter, where there are some, and not those as segmented.
        camera: States of the camera since the frame before.
    """
    frame, instances, tracks = tracked.frame, tracked.segmented or tracked.instances, tracked.tracks
    if outlines and tracked.outlined is not None:
        instances = tracked.instances
    nothing = [np.zeros((0, 4), np.int64), np.zeros(0, np.uint8), np.zeros(0)]
    numbers = [frame.index, *frame.size, _microseconds(frame.captured_at), TIMES_FROM.index(frame.time_from)]
    kept = instances.embeddings if embeddings else None
    ids = np.zeros((2, 0), np.int64) if tracks is None else np.stack([tracks.ids, tracks.detection_rows])
    arrays: list[NDArray[Any]] = [
        np.array(numbers, np.int64),
        np.array([frame.time_s, frame.arrived_s], np.float64),
        np.frombuffer(frame.source.encode("utf-8", "surrogateescape"), np.uint8),
        instances.boxes,
        instances.scores,
        instances.class_ids,
        *(nothing if instances.masks is None else instances.masks.pack()),
        np.zeros(0, np.float32) if kept is None else kept,
        np.zeros(0) if tracked.warp is None else np.asarray(tracked.warp, np.float64),
        ids,
    ]
    if camera:  # a further array, which earlier versions do not read
        arrays.append(_packed_camera(camera))
    return _block(_saved(*arrays))


def with_camera(block: bytes, camera: Sequence[CameraNote]) -> bytes:
    """A block with further states of the camera."""
    data = zlib.decompress(block[HEAD.size :])
    arrays = io.BytesIO(data)
    for _ in range(ARRAYS):
        np.load(arrays, allow_pickle=False)
    end = arrays.tell()
    before = () if end == len(data) else _camera(np.load(arrays, allow_pickle=False))
    return _block(data[:end] + _saved(_packed_camera([*before, *camera])))


def unpack_frame(file: BinaryIO) -> SavedFrame | None:
    """The next block of an open file; ``None`` at its end.

    Raises:
        ValueError: It is damaged or cut.
    """
    head = file.read(HEAD.size)
    if not head:
        return None
    if len(head) < HEAD.size:
        message = "expected a whole frame, found the end of the file"
        raise ValueError(message)
    length, check = HEAD.unpack(head)
    packed = file.read(length) if length <= MOST_BLOCK_BYTES else b""
    if len(packed) != length or zlib.crc32(packed) != check:
        message = f"expected {length} whole bytes, found {len(packed)} or others than were written"
        raise ValueError(message)
    unpacker = zlib.decompressobj()
    data = unpacker.decompress(packed, MOST_BLOCK_BYTES)
    if not unpacker.eof:
        message = f"expected at most {MOST_BLOCK_BYTES} bytes, found more"
        raise ValueError(message)
    arrays = io.BytesIO(data)
    found = _frame([np.load(arrays, allow_pickle=False) for _ in range(ARRAYS)])
    if arrays.tell() == len(data):
        return found
    return replace(found, camera=_camera(np.load(arrays, allow_pickle=False)))


def is_saved_instances(path: str | os.PathLike[str]) -> bool:
    """Whether a file begins as saved instances do."""
    try:
        with open(path, "rb") as file:  # noqa: PTH123 - any path
            return file.read(12 + len(FORMAT)).startswith(b'{"format":"' + FORMAT.encode())
    except OSError:
        return False


def open_saved(path: str | os.PathLike[str], file: BinaryIO) -> tuple[SavedModel, Iterator[SavedFrame]]:
    """What a file says about the model, and its frames.

    Args:
        path: How errors name it.
        file: Open at its beginning.

    Raises:
        DetectionsError: It is none of these files, or of another version; the frames raise it where one is damaged.
    """
    line = file.readline(MOST_HEAD_BYTES)
    try:
        values = json.loads(line)
        found = f"{values['format']} {values['version']}"
        if found != f"{FORMAT} {VERSION}":
            raise DetectionsError(path, f"expected {FORMAT} {VERSION}, found {found}", "segment the recording again")
        rate = values["frame_rate"]
        model = SavedModel(
            class_names=tuple(str(name) for name in values["class_names"]),
            confirmation_score=float(values["confirmation_score"]),
            digest=str(values["digest"]),
            frame_rate=None if rate is None else float(rate),
            image_names=bool(values["image_names"]),
            start_ms=None if (start_ms := values.get("start_ms")) is None else int(start_ms),
        )
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        problem = f"expected a line about the model first, found {type(error).__name__}: {error}"
        raise DetectionsError(path, problem, "segment the recording again") from None
    return model, _frames(path, file, len(model.class_names))


def _frames(path: str | os.PathLike[str], file: BinaryIO, classes: int) -> Iterator[SavedFrame]:
    number = 0
    while True:
        try:
            found = unpack_frame(file)
            highest = -1 if found is None else int(found.instances.class_ids.max(initial=-1))
            if highest >= classes:
                message = f"expected classes below {classes}, found {highest}"
                raise ValueError(message)  # noqa: TRY301 - damage like any other
        except (ValueError, TypeError, EOFError, IndexError, OverflowError, MemoryError, zlib.error) as error:
            problem = f"frame {number} (from 0): {error}"
            raise DetectionsError(path, problem, "segment the recording again") from None
        if found is None:
            return
        yield found
        number += 1


def _frame(arrays: list[NDArray[Any]]) -> SavedFrame:
    numbers, times, source, boxes, scores, class_ids, rects, cells, measures, embeddings, warp, ids = arrays
    index, width, height, captured_us, time_from = numbers.tolist()
    time_s, arrived_s = times.tolist()
    frame = Frame(
        index=index,
        time_s=time_s,
        arrived_s=arrived_s,
        source=source.tobytes().decode("utf-8", "surrogateescape"),
        size=(width, height),
        time_from=TIMES_FROM[time_from],
        captured_at=None if captured_us < 0 else EPOCH + timedelta(microseconds=captured_us),
    )
    instances = Instances(
        boxes=boxes,
        scores=scores,
        class_ids=class_ids,
        masks=unpack_masks([rects, cells, measures]) if len(measures) else None,
        embeddings=embeddings if embeddings.ndim == 2 else None,
    )
    found_warp = warp.reshape(2, 3) if warp.size else None
    return SavedFrame(frame=frame, instances=instances, warp=found_warp, ids=ids[0], rows=ids[1])


def _saved(*arrays: NDArray[Any]) -> bytes:
    data = io.BytesIO()
    for array in arrays:
        np.save(data, array, allow_pickle=False)
    return data.getvalue()


def _block(data: bytes) -> bytes:
    packed = zlib.compress(data, 1)
    return HEAD.pack(len(packed), zlib.crc32(packed)) + packed


def _packed_camera(camera: Sequence[CameraNote]) -> NDArray[np.uint8]:
    return np.frombuffer(json.dumps([list(note) for note in camera]).encode(), np.uint8)


def _camera(packed: NDArray[np.uint8]) -> tuple[CameraNote, ...]:
    return camera_notes(json.loads(packed.tobytes()))


def _microseconds(moment: datetime | None) -> int:
    """Since 1970; -1 = not known."""
    return -1 if moment is None else (moment - EPOCH) // timedelta(microseconds=1)
