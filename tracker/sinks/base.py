"""Base class of all outputs of tracked frames, with its whole contract, and the context of their opening."""

from __future__ import annotations

import contextlib
import os
from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol, Self

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from types import TracebackType

    import numpy as np
    from numpy.typing import NDArray

    from tracker.events import Event
    from tracker.sinks.rows import MaskFormat
    from tracker.sinks.sound import Sound
    from tracker.site import Site
    from tracker.types import TrackedFrame

__all__ = [
    "Checkpoint",
    "Edition",
    "QueueFigures",
    "Resumes",
    "Sink",
    "SinkContext",
    "StreamView",
    "file_of",
    "files_of",
]

Edition = Literal["append", "revise", "hold"]
"""How the events of a stream come into a store."""
Resumes = Literal["chunks", "rest", "whole"]
"""How an output of a recording is resumed."""


def file_of(address: str | os.PathLike[str]) -> Path | None:
    """The file that the address of an output names; ``None`` for a URL.

    >>> file_of("mqtt://host/topic"), str(file_of("out/tracks.jsonl"))
    (None, 'out/tracks.jsonl')
    """
    return None if "://" in os.fspath(address) else Path(address)


def files_of(addresses: Iterable[str]) -> list[Path]:
    """The files among the addresses of outputs."""
    return [path for address in addresses if (path := file_of(address)) is not None]


class StreamView(Protocol):
    """What a sink may ask a running stream, from any thread."""

    @property
    def state(self) -> str:
        """``connecting``, ``live``, ``lost``, ``ended`` or ``failed``."""
        ...

    def present(self) -> dict[str, dict[str, int]]:
        """Identities in the site's zones now, by zone and class."""
        ...

    def waiting(self) -> dict[str, int]:
        """Identities in the site's queues now."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueFigures:
    """What waits for a receiver that a sink has: a broker, a database, a server.

    Attributes:
        sink: Where it goes, free of credentials.
        rows: How many rows or messages wait.
        dropped: Given up for want of room.
        refused: Given up because the receiver will not have them.
        oldest_ms: Since when the oldest one waits, UTC in milliseconds; ``None`` where none does.
        last_success_ms: When the receiver last confirmed something; ``None`` = not yet.
        problem: Why what waits is not taken; empty while all is well.
        confirmed: How many messages the receiver has confirmed since the sink was opened.
        kept_in: Where what waits is kept; empty = nowhere.
    """

    sink: str
    rows: int = 0
    dropped: int = 0
    refused: int = 0
    oldest_ms: int | None = None
    last_success_ms: int | None = None
    problem: str = ""
    confirmed: int = 0
    kept_in: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SinkContext:
    """Facts about a stream for the opener of an output; each format takes those that it needs.

    Attributes:
        class_names: Names in ``class_ids`` order.
        frame_rate: Nominal frames per second that will come, or ``None`` where it is not known.
        masks: Shapes in records: ``"rle"``, ``"polygon"`` or ``"none"``; ``None`` for the format's default.
        image_names: The source is a folder of images: rows name the file.
        coasting: Keep identities that are predicted but not seen; ``None`` for the format's default.
        draw: Makes the annotated picture ``(H, W, 3)`` uint8 BGR of a frame; remembers trails, so one per stream.
        crf: Videos: constant rate factor of the encoder; ``None`` for the encoder's default.
        sound: Videos: opens the recording's sound, which is copied into them; ``None`` for silent ones.
        coco_annotations: COCO results: a COCO file whose image and category numbers are followed.
        final_classes: Give an identity its final class in all of its rows when the file is complete; else rows keep the
            vote so far, as in the parts of a camera's records, where nothing is final yet.
        confirmation_score: Of the model: score that an instance must have to confirm a track.
        model_digest: SHA-256 of the model; empty where no output asked for it.
        stream: Name of the camera or recording, as in its events.
        start_ms: UTC in milliseconds at media time 0, where that was declared.
        live: It is a camera: its frames say what time it is.
        edition: Stores: ``append`` to what they have of the stream; ``revise``: add its events as a new edition, which
            holds from its end on; ``hold``: the same, but only :meth:`Sink.settle` lets it hold.
        site: What is counted; ``None`` = nothing.
        view: The running stream; ``None`` where the sink is used by itself.
        spool: Folder in which messages wait for receivers that are away; ``None`` = that of the user.
        spool_bytes: Most that wait there for one receiver.
        outputs: Addresses of all outputs of the stream.
        resumable: A recording that ends without a complete :class:`Checkpoint` is resumed by a later process.
    """

    class_names: Sequence[str] = ()
    frame_rate: float | None = None
    masks: MaskFormat | None = None
    image_names: bool = False
    coasting: bool | None = None
    draw: Callable[[TrackedFrame], NDArray[np.uint8]] | None = None
    crf: int | None = None
    sound: Callable[[], Sound] | None = None
    coco_annotations: str | os.PathLike[str] | None = None
    final_classes: bool = True
    confirmation_score: float = 0.0
    model_digest: str = ""
    stream: str = ""
    start_ms: int | None = None
    live: bool = False
    edition: Edition = "append"
    site: Site | None = None
    view: StreamView | None = None
    spool: str | None = None
    spool_bytes: int = 256_000_000
    outputs: tuple[str, ...] = ()
    resumable: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """A place between two frames from which a recording can be resumed.

    Attributes:
        next_index: Frames from this index on are still to come.
        state: The state of the stream's stages there.
        complete: The recording is at its end.
    """

    next_index: int
    state: dict[str, Any] | None
    complete: bool = False


class Sink(ABC):
    """Where tracked frames go: a file, a database, a broker. This class is the whole contract.

    Life: opening checks that the destination accepts what will come and raises at once where it does not. Then
    :meth:`write` is called for every frame in stream order and :meth:`checkpoint` between two frames; :meth:`close`
    or :meth:`abort` ends it, whichever comes first; both may be called again and then do nothing. All calls of one
    sink come one after another, from the stream's writing thread or, at the end, from the one that stops it.

    A sink with an address of its own (a suffix or a URL scheme in :mod:`tracker.plugins`) also has :meth:`open`.

    Class attributes:
        needs_images: Frames must carry their full-size picture, and :attr:`SinkContext.draw` is given.
        draws_only: Of those with ``needs_images``: it shows what :attr:`SinkContext.draw` makes and reads no picture
            itself, so that frames may carry a small picture in the place of the full-size one.
        shows_silhouettes: It shows silhouettes and names no detection: a second pass gives it those of the rows that it
            filled in as well.
        keeps_instances: It keeps what tracking needs later: without tracking too, the camera's motion is looked for.
        shared: What is there is added to and never replaced, and any number of streams and processes may write there.
        has_editions: It takes the events of a stream as a new edition, as :attr:`SinkContext.edition` says.
        secret_path: The path and the query of its address are secrets.
        resumes: How a recording with it is resumed: from ``chunks``, which :meth:`join` puts together; with the
            ``rest`` of the frames, as it knows on the disk what it was given and passes over what comes again; or with
            the ``whole``: before that, :meth:`write_events` gives it the events of all chunks.
        needs_contacts: Tracked frames must carry the ground contacts of their instances, ``TrackedFrame.contacts``.
    """

    needs_images: ClassVar[bool] = False
    draws_only: ClassVar[bool] = False
    shows_silhouettes: ClassVar[bool] = False
    keeps_instances: ClassVar[bool] = False
    shared: ClassVar[bool] = False
    has_editions: ClassVar[bool] = False
    secret_path: ClassVar[bool] = False
    needs_contacts: ClassVar[bool] = False
    resumes: ClassVar[Resumes] = "chunks"

    @classmethod
    def open(cls, address: str, context: SinkContext) -> Self:
        """Open the output at an address.

        Args:
            address: A path or a URL, as the user wrote it.
            context: What is known about the stream.

        Raises:
            SinkError: The destination refuses: a folder is missing, a server does not answer.
            ConfigError: An optional package is missing, or a value of the context does not fit.
        """
        message = f"{cls.__name__} has no address of its own and cannot be opened by one ({address}, {context})"
        raise TypeError(message)

    @classmethod  # noqa: B027 - files are checked when they are opened
    def check(cls, address: str) -> None:
        """Refuse an address that can never be opened, before anything is started; does nothing here.

        Raises:
            ConfigError: A part of the URL is wrong, or an optional package is missing.
        """

    @classmethod
    def takes_events(cls) -> bool:
        """Whether it has a use for events that are found after the last frame."""
        return cls.write_events is not Sink.write_events

    @classmethod
    def why_not_joined(cls, address: str) -> str:
        """Why an output at this address cannot be written in chunks and resumed; empty where it can."""
        return f"{address} is not made of files that could be put together"

    @classmethod
    def join(cls, path: Path, chunks: Sequence[Path], starts_s: Sequence[float]) -> None:
        """Put the chunks of an output together into the file that they would have been, and publish it.

        Called where :meth:`why_not_joined` is empty.

        Args:
            path: The final file.
            chunks: Files that sinks of this class have completed, at least one, in order.
            starts_s: Media time of each chunk's first frame in seconds.

        Raises:
            SinkError: The system refuses; the chunks stay.
            OSError: The same, to be reported by the caller.
        """
        message = f"{cls.__name__} is not written in chunks ({path}, {len(chunks)} from {starts_s[:1]} s)"
        raise TypeError(message)

    @classmethod
    def settle(cls, address: str, stream: str) -> None:
        """Let the edition of a stream that was written with ``edition="hold"`` hold, where there is one.

        Raises:
            SinkError: The destination refuses.
        """
        message = f"{cls.__name__} has no editions ({address}, {stream})"
        raise TypeError(message)

    @property
    def address(self) -> str:
        """Where it writes, for messages; free of credentials."""
        return type(self).__name__

    @property
    def cpu_s(self) -> Mapping[str, float]:
        """CPU seconds that it spent so far, by stage; empty where it does not count them."""
        return MappingProxyType({})

    @property
    def queues(self) -> tuple[QueueFigures, ...]:
        """What waits for its receivers; asked from any thread, and once more when it is closed. Empty without any."""
        return ()

    def part_bytes(self) -> int:
        """Bytes written so far, by which endless recordings are cut into parts; 0 where there is no size.

        Raises:
            SinkError: What was written is no longer there: its file was removed.
        """
        return 0

    @abstractmethod
    def write(self, tracked_frame: TrackedFrame) -> None:
        """Take one frame.

        Raises:
            SinkError: The destination refuses for good; what was written before stays whole, and :meth:`close` or
                :meth:`abort` keeps it.
        """

    def write_events(self, events: Sequence[Event]) -> None:  # noqa: B027 - most sinks show frames
        """Take what was found after the last frame, when the stream is over; does nothing here.

        Called at most once, after the last :meth:`write` and before :meth:`close`. Events of frames come with them.

        Raises:
            SinkError: The destination refuses.
        """

    def checkpoint(self, checkpoint: Checkpoint) -> None:  # noqa: B027 - most sinks cannot be resumed
        """Make everything before the checkpoint final, so that a later process can resume from it; does nothing here.

        Raises:
            SinkError: The destination refuses.
        """

    @abstractmethod
    def close(self) -> None:
        """Finish and publish what was written; safe to call twice and after :meth:`abort`.

        Raises:
            SinkError: The destination refuses something that :meth:`write` has not reported.
        """

    def abort(self) -> None:
        """Keep what is done without raising; where nothing was written, leave what was there before."""
        with contextlib.suppress(Exception):
            self.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if kind is None:
            self.close()
        else:
            self.abort()
