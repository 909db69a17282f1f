"""Resuming: stages that continue from an earlier state, and recordings written in chunks with checkpoints.

However a process ends, the next one restores the stages' exact state at the last checkpoint, skips the frames
before it, throws away what was written after it, and so writes the same records as a run without interruption, byte by
byte. A video has the same frames at the same times; what was drawn from memory (trails) starts empty at the seam.
Outputs to other programs are not in chunks, see :mod:`tracker.engine.direct`.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import shutil
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from tracker.engine.direct import DirectOutputs
from tracker.engine.snapshot import Snapshots
from tracker.errors import ConfigError
from tracker.formats.ledger import read_events
from tracker.plugins import sink_class
from tracker.sinks.base import Checkpoint, Sink
from tracker.sinks.part_file import refusal, write_whole

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    from tracker.engine.meter import StreamMeter
    from tracker.engine.outputs import Opener
    from tracker.engine.snapshot import Kept
    from tracker.engine.stage import Stage
    from tracker.events import Event
    from tracker.sinks.base import QueueFigures
    from tracker.types import TrackedFrame

__all__ = ["CHECKPOINT_FRAMES", "ChunkedSink", "Resumption", "restore"]

logger = logging.getLogger("tracker.live.resume")

CHECKPOINT_FRAMES = 100
"""A kill costs so many frames of work at most; a checkpoint costs about 10 ms in the writer's thread."""
EVENTS = "given.events.jsonl"
"""Chunks of the events that outputs of other programs were given, kept while the recording runs."""


def restore(stages: Sequence[Stage], meter: StreamMeter, kept: Kept) -> None:
    """Have new stages and a new meter continue from what an earlier stream kept.

    Args:
        stages: Of the stream that begins.
        meter: Its count of identities continues.
        kept: Of the earlier stream.

    Raises:
        Exception: Whatever a stage makes of a state that it does not understand.
    """
    state = kept.state
    if "stages" not in state:  # kept by a version that had the tracker's state only
        state = {"stages": {"associate": state}}
    for stage in stages:
        if stage.name in state["stages"]:
            stage.restore(replace(kept, state=state["stages"][stage.name]))
    if "census" in state:
        meter.census.restore(state["census"], living=not kept.numbers_only)


class Resumption:
    """What is known on disk about one recording.

    Args:
        folder: Of states; one recording has ``NAME.chunks/`` while it runs and ``NAME.done`` afterwards.
        name: Of the recording.
        key: Everything its rows depend on, by what it is (``model``, ``settings``, ``recording``): chunks written
            under another key are not resumed. Only digests are kept on disk, since settings may hold what was a
            secret in the environment.
    """

    def __init__(self, folder: Path, name: str, key: dict[str, Any]) -> None:
        self.chunks = folder / f"{name}.chunks"
        self._name = name
        self._done = folder / f"{name}.done"
        self._key = {
            part: hashlib.sha256(json.dumps(value, sort_keys=True, default=str).encode()).hexdigest()
            for part, value in sorted(key.items())
        }

    @property
    def done(self) -> bool:
        """Whether the recording was finished with the same settings."""
        with contextlib.suppress(OSError, ValueError):
            return bool(json.loads(self._done.read_text(encoding="utf-8")) == self._key)
        return False

    def load(self) -> tuple[Checkpoint, int] | None:
        """The last checkpoint and the number of chunks before it, or ``None``; the log says why there is none."""
        if not self.chunks.is_dir():
            if self._done.exists():
                self._tell("it was finished before, with another model, other settings or other pictures")
            return None
        loaded = Snapshots(self.chunks).load("checkpoint", any_age=True)
        if loaded is None or loaded.numbers_only:
            self._tell("no checkpoint that can be read")
            return None
        facts, found = loaded.facts, loaded.facts.get("key")
        if found != self._key:
            before = found if isinstance(found, dict) else {}
            differs = [part for part in self._key if before.get(part) != self._key[part]]
            self._tell(f"another {', another '.join(differs) or 'key'} than before")
            return None
        next_index, chunks = facts.get("next_index"), facts.get("chunks")
        if not (isinstance(next_index, int) and isinstance(chunks, int) and min(next_index, chunks) >= 0):
            self._tell("no checkpoint that can be read")
            return None
        missing = [chunk for chunk in range(chunks) if not (self.chunks / f"{chunk:06d}-start").exists()]
        if missing:
            self._tell(f"chunk {missing[0]} of {chunks} is missing")
            return None
        return Checkpoint(next_index=next_index, state=loaded.state), chunks

    def _tell(self, why: str) -> None:
        problem = f"{self.chunks.name}: {why}; the recording begins anew"
        logger.warning("not resumed", extra={"camera": self._name, "problem": problem})

    def save(self, checkpoint: Checkpoint, chunks: int) -> None:
        """Note that everything before the checkpoint is in the first ``chunks`` chunks."""
        facts = {"key": self._key, "next_index": checkpoint.next_index, "chunks": chunks}
        Snapshots(self.chunks).save("checkpoint", checkpoint.state or {}, facts=facts)

    def finish(self) -> None:
        """Note that it is done, and delete the chunks."""
        write_whole(self._done, json.dumps(self._key).encode())
        shutil.rmtree(self.chunks, ignore_errors=True)

    def restart(self) -> None:
        """Forget everything.

        Raises:
            ConfigError: The system refuses, so that what is there would be taken for this run's.
        """
        try:
            shutil.rmtree(self.chunks, ignore_errors=True)
            self._done.unlink(missing_ok=True)
        except OSError as error:
            problem = f"expected to remove what an earlier run left of {self._done.stem}, found: {error.strerror}"
            raise ConfigError(f"state {self._done.parent}", problem, "make the folder writable, or remove it") from None


class ChunkedSink(Sink):
    """Outputs of one recording, written in chunks.

    Args:
        paths: The final files.
        open_part: Opens a sink at a path.
        resumption: Where chunks and checkpoints are.
        chunks: How many chunks of an earlier run are kept.
        kinds: Of the outputs, as for :func:`tracker.plugins.sink_class`; by default as their suffixes say.
        direct: Addresses of outputs that are not written in chunks.
    """

    def __init__(
        self,
        paths: Sequence[Path],
        open_part: Opener,
        resumption: Resumption,
        *,
        chunks: int = 0,
        kinds: Sequence[str | None] = (),
        direct: Sequence[str] = (),
    ) -> None:
        self._paths, self._open_part, self._resumption = list(paths), open_part, resumption
        self._kinds = list(kinds) or [None] * len(self._paths)
        self._direct = DirectOutputs(direct, open_part, self._earlier_events)
        self._files = len(self._paths)
        if self._direct.compare:
            self._paths.append(resumption.chunks / EVENTS)
            self._kinds.append(None)
        self._last_s = 0.0
        self._chunks = self._resumed_from = chunks
        self._sinks: list[Sink] = []
        self._complete = False
        self._failed = False
        self._closed = False
        resumption.chunks.mkdir(parents=True, exist_ok=True)
        for path in resumption.chunks.iterdir():  # what came after the checkpoint comes again
            number = path.name.lstrip(".").partition("-")[0]
            if number.isdecimal() and int(number) >= chunks:
                path.unlink()

    def write(self, tracked_frame: TrackedFrame) -> None:
        """Add one frame to the current chunk."""
        self._last_s = tracked_frame.frame.time_s
        with self._failing():
            if self._paths and not self._sinks:
                self._begin_chunk(range(len(self._paths)))
            for sink in self._sinks:
                sink.write(tracked_frame)
            self._direct.write(tracked_frame)

    def write_events(self, events: Sequence[Event]) -> None:
        """Add them to the current chunk, or to one of their own where the last frame completed it."""
        with self._failing():
            if not self._sinks:
                takers = [n for n, path in enumerate(self._paths) if sink_class(path, self._kinds[n]).takes_events()]
                if takers:
                    self._begin_chunk(takers)
            for sink in self._sinks:
                sink.write_events(events)
            self._direct.write_events(events)

    def checkpoint(self, checkpoint: Checkpoint) -> None:
        """Complete the chunk, so that a later process can resume from here."""
        with self._failing():
            self._end_chunk()
            self._direct.checkpoint(checkpoint)
            self._complete = checkpoint.complete
            if checkpoint.state is not None and not checkpoint.complete:
                self._resumption.save(checkpoint, self._chunks)

    def close(self) -> None:
        """Put the chunks together into the final files; safe to call twice.

        After a failure a file of which nothing was kept is not made, and what stands there stays. While something waits
        for a receiver, the recording is not done: resumed, it takes the last chunk again and sends what waits.

        Raises:
            SinkError: Chunks cannot be completed or put together, all the same those of the other outputs were.
        """
        if self._closed:
            return
        self._closed = True
        with contextlib.ExitStack() as finishing:  # one after another, each also where one before it fails
            for number in reversed(range(self._files)):
                finishing.callback(self._finish, number)
            finishing.callback(self._direct.close)
            with self._failing():
                self._end_chunk()
        if self._complete and not any(queue.rows for queue in self.queues):
            self._resumption.finish()

    @property
    def queues(self) -> tuple[QueueFigures, ...]:
        """What waits for the receivers of outputs that are not written in chunks."""
        return self._direct.queues

    def _finish(self, number: int) -> None:
        """Make the final file of one output."""
        path, kind = self._paths[number], self._kinds[number]
        kept = [chunk for chunk in range(self._chunks) if self._chunk(chunk, number).exists()]
        if not kept and not self._failed:
            self._open_part(path, kind=kind).close()  # no frame at all: what the format makes of that
        if not kept:
            return
        starts_s = [float(self._start(chunk).read_text(encoding="utf-8")) for chunk in kept]
        try:
            sink_class(path, kind).join(path, [self._chunk(chunk, number) for chunk in kept], starts_s)
        except OSError as failure:
            raise refusal(path, failure, "put its chunks together") from failure

    @contextlib.contextmanager
    def _failing(self) -> Iterator[None]:
        """Note that something failed."""
        try:
            yield
        except BaseException:
            self._failed = True
            raise

    def abort(self) -> None:
        """Leave the chunks for a later process."""
        self._closed = True
        sinks, self._sinks = self._sinks, []
        for sink in sinks:
            with contextlib.suppress(Exception):
                sink.close()
        self._direct.abort()

    def _earlier_events(self) -> Iterator[Event]:
        """What was found before the checkpoint, in its order."""
        kept = (self._chunk(chunk, self._files) for chunk in range(self._resumed_from))
        return read_events(*(path for path in kept if path.exists()))

    def _begin_chunk(self, numbers: Iterable[int]) -> None:
        """Open the next chunk of these outputs."""
        write_whole(self._start(self._chunks), repr(self._last_s).encode())
        self._sinks = [
            self._open_part(self._chunk(self._chunks, number), kind=self._kinds[number]) for number in numbers
        ]

    def _end_chunk(self) -> None:
        sinks, self._sinks = self._sinks, []
        with contextlib.ExitStack() as closing:  # all of them, also where one refuses
            for sink in sinks:
                closing.callback(sink.close)
        self._chunks += bool(sinks)

    def _chunk(self, chunk: int, number: int) -> Path:
        return self._resumption.chunks / f"{chunk:06d}-{number}-{self._paths[number].name}"

    def _start(self, chunk: int) -> Path:
        """Where the media time of a chunk's first frame stands."""
        return self._resumption.chunks / f"{chunk:06d}-start"
