"""Second pass over a spooled recording: its outputs are rewritten and replace the online ones.

The online outputs were published before. New ones are written beside them under another name and take their place
together, when all are whole; whatever goes wrong before, the online ones stay.
"""

from __future__ import annotations

import contextlib
import os
import stat
import threading
from collections import Counter
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np

from tracker.analytics.tally import Tally
from tracker.engine.meter import BRIEF_FRAMES
from tracker.errors import ConfigError, SinkError, TrackerError, mask, system_refusals
from tracker.plugins import sink_class
from tracker.refine.filled import with_filled
from tracker.refine.refine import Refined, refine
from tracker.sinks.base import file_of
from tracker.sinks.destination import shown_address
from tracker.sinks.exclusive import reserved, staged_name
from tracker.sinks.pictures import SUFFIXES
from tracker.types import Frame, TrackedFrame, Tracks

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from tracker.engine.outputs import Opener
    from tracker.engine.stage import Stage
    from tracker.events import Event
    from tracker.refine.recording import Recording
    from tracker.refine.spool import Spool
    from tracker.sinks.base import Sink
    from tracker.types import Instances

__all__ = ["Rewritten", "SecondPass", "check_replaceable", "settle_stores"]

OPEN_S = 2.0
"""An identity that was there so shortly before the end might have come back, had the recording gone on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rewritten:
    """What came of a second pass.

    Attributes:
        identities: How many there are by class name; ``None`` where the online result stands.
        brief: Of them, those that were seen in at most :data:`tracker.engine.meter.BRIEF_FRAMES` frames.
        tally: Of the refined identities' events.
        problem: Why it does; empty where all went well.
        interrupted: Whether it was stopped.
    """

    identities: Counter[str] | None = None
    brief: int = 0
    problem: str = ""
    interrupted: bool = False
    tally: Tally = field(default_factory=Tally)


class _InterruptedError(Exception):
    """The way out of the second pass after :meth:`SecondPass.stop`."""


@system_refusals(SinkError)
def check_replaceable(outputs: Mapping[str, str | None]) -> None:
    """Outputs are written twice; each is given with its kind, as for :func:`tracker.plugins.sink_class`.

    Raises:
        ConfigError: One of them is a device, a pipe or a URL, from which nothing can be taken back.
    """
    for output, kind in outputs.items():
        path = file_of(output)
        if path is None or (path.exists() and not path.is_dir() and not stat.S_ISREG(path.stat().st_mode)):
            found = "an address" if path is None else "a device or pipe"
            problem = f"expected a file that can be replaced, found {found}"
            shown = shown_address(output) if path is None else mask(output)
            raise ConfigError(f"--refine with {shown}", problem, "name a file")
        chosen = sink_class(output, kind)
        if chosen.shared and not chosen.has_editions:
            problem = "expected a file that can be replaced, found an output that other streams write too"
            raise ConfigError(f"--refine with {path}", problem, "write .events.jsonl, or leave --refine out")
        if path.suffix.lower() in SUFFIXES:
            problem = "expected a file that can be replaced, found pictures"
            raise ConfigError(f"--refine with {path}", problem, "save a video, or leave --refine out")


def settle_stores(outputs: Mapping[str, str | None], stream: str) -> None:
    """Let the online events hold in stores, which hold them back for a second pass that did not come about.

    Args:
        outputs: With their kinds, as for :func:`check_replaceable`.
        stream: Whose events.

    Raises:
        SinkError: A store refuses.
    """
    for output, kind in outputs.items():
        chosen = sink_class(output, kind)
        if chosen.has_editions:
            chosen.settle(output, stream)


class SecondPass:
    """Refines one spooled recording and rewrites its outputs.

    Args:
        spool: Every frame of the first pass.
        class_names: Names in ``class_ids`` order.
        open_sink: Opens an output at a path, stores for a new edition; the suffix says of which kind.
        kinds: Of the outputs whose suffix does not say it.
        stages: What is done to each refined frame before it is written: contacts and the site's events.
        pictures: Decodes the recording again; called where an output draws.
        progress: Called with the steps done and their total; refining is the first half of them, writing the second.
    """

    def __init__(
        self,
        *,
        spool: Spool,
        class_names: Sequence[str],
        open_sink: Opener,
        kinds: Mapping[Path, str | None] = MappingProxyType({}),
        stages: Sequence[Stage] = (),
        pictures: Callable[[], contextlib.AbstractContextManager[Iterator[Frame]]],
        progress: Callable[[int, int], None] = lambda _done, _total: None,
    ) -> None:
        self._spool, self._class_names = spool, class_names
        self._open_sink, self._kinds, self._pictures = open_sink, kinds, pictures
        self._stages, self._tally = list(stages), Tally()
        self._endings: dict[int, NDArray[np.int64]] = {}
        self._progress = progress
        self._stopping = threading.Event()

    def stop(self) -> None:
        """End soon, with the online result; callable from any thread."""
        self._stopping.set()

    def run(self, paths: Sequence[Path]) -> Rewritten:
        """Replace the files among ``paths``, and add an edition to stores; never raises for what can go wrong."""
        try:
            recording, tracklets, embeddings = self._spool.recording()
            refined = refine(recording, tracklets, embeddings=embeddings, progress=self._tell)
            stores = [path for path in paths if sink_class(path, self._kinds.get(path)).shared]
            self._rewrite([path for path in paths if path not in stores], stores, recording, refined)
        except _InterruptedError:
            return Rewritten(problem="interrupted", interrupted=True)
        except TrackerError as failure:
            return Rewritten(problem=str(failure))
        except Exception as failure:  # noqa: BLE001 - whatever a second pass meets, the online result is there
            return Rewritten(problem=f"{type(failure).__name__}: {failure}")
        first = np.unique(refined.ids, return_index=True)[1]
        identities = Counter(self._class_names[n] for n in refined.class_ids[first].tolist())
        seen = np.unique(refined.ids[refined.detections >= 0], return_counts=True)[1]
        return Rewritten(identities=identities, brief=int((seen <= BRIEF_FRAMES).sum()), tally=self._tally)

    def _tell(self, done: int, total: int) -> None:
        if self._stopping.is_set():
            raise _InterruptedError
        self._progress(done, 2 * total)

    def _rewrite(self, paths: Sequence[Path], stores: Sequence[Path], recording: Recording, refined: Refined) -> None:
        """Write every file under a name of its own and stores unseen, then let all of them take their places."""
        staged = {path: staged_name(path) for path in paths}
        try:
            with contextlib.ExitStack() as stack:
                stack.enter_context(reserved(*paths))
                before = {path: _standing(path) for path in paths}
                sinks = []
                for path in (*paths, *stores):
                    sink = self._open_sink(staged.get(path, path), kind=self._kinds.get(path))
                    stack.callback(sink.abort)  # after close: nothing
                    sinks.append((sink, sink_class(path, self._kinds.get(path)).shows_silhouettes))
                draws = any(sink_class(path, self._kinds.get(path)).needs_images for path in paths)
                pictures = stack.enter_context(self._pictures()) if draws else None
                self._endings = _endings(refined, recording.times_s) if self._stages else {}
                for number in range(len(self._spool)) if sinks or self._stages else ():
                    self._write_frame(number, sinks, recording, refined, pictures)
                    self._tell(len(self._spool) + number + 1, len(self._spool))
                last = (*self._spool.states(None), *self._closing()) if self._stages else ()
                self._tally.add(last)
                for sink, _ in sinks if last else ():
                    sink.write_events(last)
                for sink, _ in sinks[: len(paths)]:
                    sink.close()
                for path in paths:
                    if _standing(path) != before[path]:
                        problem = "expected the online result to stand here, found another file"
                        raise TrackerError(path, problem, "leave the outputs alone while they are written")
                for sink, _ in sinks[len(paths) :]:
                    sink.close()
                for path in paths:
                    staged[path].replace(os.path.realpath(path))
        finally:
            for path in staged.values():
                with contextlib.suppress(OSError):
                    path.unlink(missing_ok=True)

    def _write_frame(
        self,
        number: int,
        sinks: list[tuple[Sink, bool]],
        recording: Recording,
        refined: Refined,
        pictures: Iterator[Frame] | None,
    ) -> None:
        frame, instances = self._spool.read(number)
        if pictures is not None:
            frame = _pictured(frame, pictures)
        tracks = _tracks(refined, number, int(recording.starts[number]))
        plain = self._tracked(number, frame, instances, tracks).divided()
        if self._stages:
            plain = replace(plain, events=self._spool.states(number))
            plain = self._counted(plain, self._endings.get(number))
        shaped = plain
        if any(wants_shapes for _, wants_shapes in sinks):
            filled = with_filled(plain.instances, tracks, refined, number, self._at(recording))
            shaped = replace(self._tracked(number, frame, *filled), events=plain.events)
            shaped = replace(shaped, segmented=plain.segmented or plain.instances)
        for sink, wants_shapes in sinks:
            sink.write(shaped if wants_shapes else plain)

    def _counted(self, plain: TrackedFrame, ended: NDArray[np.int64] | None) -> TrackedFrame:
        """The frame with its contacts and events; only the stages are told which identities are over."""
        counted = plain
        if ended is not None and plain.tracks is not None:
            counted = replace(plain, tracks=replace(plain.tracks, ended_ids=ended))
        for stage in self._stages:
            counted = stage.process(counted)
        self._tally.add(counted.events)
        return replace(plain, contacts=counted.contacts, events=counted.events, notes=counted.notes)

    def _closing(self) -> Iterator[Event]:
        """What is open at the end."""
        for stage in self._stages:
            yield from stage.close()

    def _tracked(self, number: int, frame: Frame, instances: Instances, tracks: Tracks) -> TrackedFrame:
        skipped, interpolated = self._spool.left_out(number)
        return TrackedFrame(
            frame=frame,
            instances=instances,
            tracks=tracks,
            class_names=self._class_names,
            detected=not (skipped or interpolated),
            skipped=skipped,
            interpolated=interpolated,
        )

    def _at(self, recording: Recording) -> Callable[[int], tuple[Instances, int]]:
        """The frame's instances and the row in it of a flat row."""

        def find(row: int) -> tuple[Instances, int]:
            number = int(np.searchsorted(recording.starts, row, side="right")) - 1
            return self._spool.read(number)[1], row - int(recording.starts[number])

        return find


def _standing(path: Path) -> tuple[int, int] | None:
    """Device and inode of a published output; ``None`` where there is none."""
    with contextlib.suppress(FileNotFoundError):
        facts = path.stat()
        return facts.st_dev, facts.st_ino
    return None


def _pictured(frame: Frame, pictures: Iterator[Frame]) -> Frame:
    """The frame with its picture.

    Raises:
        TrackerError: The recording does not give the same frames again.
    """
    found = next(pictures, None)
    if found is None or found.index != frame.index or found.size != frame.size:
        problem = f"expected frame {frame.index} again, found {'the end' if found is None else f'frame {found.index}'}"
        raise TrackerError(frame.source, problem, "leave the recording alone while it is processed")
    return replace(frame, image=found.image, small_image=found.small_image, pixel_aspect=found.pixel_aspect)


def _endings(refined: Refined, times_s: NDArray[np.float64]) -> dict[int, NDArray[np.int64]]:
    """The identities that are over by a frame, by its number: their last row is in the one before.

    Those that were there shortly before the end of the recording are not over then: what they do is open.
    """
    ids, last = np.unique(refined.ids[::-1], return_index=True)
    frames = refined.frames[::-1][last]
    over = times_s[frames] < times_s[-1] - OPEN_S if len(frames) else np.zeros(0, np.bool_)
    ids, frames = ids[over], frames[over] + 1
    return {int(number): ids[frames == number] for number in np.unique(frames)}


def _tracks(refined: Refined, number: int, start: int) -> Tracks:
    """The refined rows of one frame as sinks take them."""
    rows = refined.rows(number)
    detections = refined.detections[rows]
    ended = np.zeros(0, np.int64)
    return Tracks(
        ids=refined.ids[rows],
        detection_rows=np.where(detections >= 0, detections - start, -1),
        boxes=refined.boxes[rows].astype(np.float32),
        velocities=refined.velocities[rows].astype(np.float32),
        class_ids=refined.class_ids[rows],
        scores=refined.scores[rows].astype(np.float32),
        ages_s=refined.ages_s[rows].astype(np.float32),
        ended_ids=ended,
    )
