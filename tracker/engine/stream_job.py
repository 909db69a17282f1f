"""One stream of a request, with the networks that look at it, enters; its files and an outcome leave."""

from __future__ import annotations

import contextlib
import functools
import itertools
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, get_args

from tracker.app.interrupt import interruptible
from tracker.config import CameraMotionChoice
from tracker.engine.outputs import open_output, open_outputs
from tracker.engine.pipeline import Pipeline, Summary
from tracker.errors import ConfigError, TrackerError
from tracker.segment.device import available_cores
from tracker.sinks.base import file_of, files_of
from tracker.sinks.exclusive import reserved

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from rich.console import Console

    from tracker.engine.pipeline import Associator, WarpEstimator
    from tracker.refine.spool import Spool
    from tracker.request import StreamRequest
    from tracker.segment.reid import OnnxEmbedder
    from tracker.segment.session import OnnxSegmenter
    from tracker.sinks.base import Sink
    from tracker.sources.address import Address
    from tracker.sources.source import Source
    from tracker.types import Frame

__all__ = ["Outcome", "StreamJob", "flow"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How one stream went.

    Attributes:
        name: The stream's name.
        summary: Frames, identities, times.
        stage_ms: Milliseconds per frame by stage; stages overlap, so they add up to more than the wall time.
        outputs: Files that were written, and addresses that were written to, free of credentials.
        failures: Errors that ended an output or the source early; empty when all went well.
        interrupted: Whether the user stopped it.
        notes: What the source had to skip or repair, in words.
    """

    name: str
    summary: Summary
    stage_ms: dict[str, float]
    outputs: list[str]
    failures: list[TrackerError]
    interrupted: bool = False
    notes: list[str] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        """Everything as plain values for ``--json``."""
        summary = self.summary
        return {
            "source": self.name,
            "frames": summary.frames,
            "instances": summary.instances,
            "identities": dict(summary.identities),
            "media_s": round(summary.media_s, 3),
            "wall_s": round(summary.wall_s, 3),
            "fps": round(summary.frames_per_s, 2),
            "stage_ms": {name: round(ms, 3) for name, ms in self.stage_ms.items()},
            "outputs": self.outputs,
            "failures": [str(failure) for failure in self.failures],
            "interrupted": self.interrupted,
            "notes": self.notes,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamJob:
    """One stream, with a tracker of its own.

    Attributes:
        request: What to do.
        address: The stream.
        outputs: Addresses of its outputs.
        segmenter: Shared with the other streams, as is the embedder.
        embedder: The network of ``--reid``.
        console: Progress and the table go there.
    """

    request: StreamRequest
    address: Address
    outputs: list[str]
    segmenter: OnnxSegmenter
    embedder: OnnxEmbedder | None
    console: Console

    def run(self) -> Outcome:
        """Process the stream to its end, the first Ctrl-C or a failure; what is done is kept.

        Raises:
            TrackerError: The source or an output cannot be opened, or an option does not fit.
        """
        with reserved(*files_of(self.outputs)), self._spooling() as spool:
            camera_motion = self._camera_motion()
            with self._open_source() as source:
                if spool is not None and source.info.is_live:
                    raise self._needs_an_end()
                opener = functools.partial(
                    open_output, self.request, self.address, source.info.fps, self.segmenter.class_names
                )
                sink = open_outputs(self.outputs, opener, spool=spool, console=self.console)
                summary, interrupted, failures = self._first_pass(source, sink, camera_motion)
            outcome = self._outcome(source, summary, failures, interrupted=interrupted)
            if spool is not None:
                outcome = self._second_pass(outcome, spool, opener)
        self._report(outcome)
        return outcome

    @contextlib.contextmanager
    def _spooling(self) -> Iterator[Spool | None]:
        """The temporary file of the second pass, where one is asked for."""
        if not self.request.refine:
            yield None
            return
        if self.address.kind == "camera":
            raise self._needs_an_end()
        from tracker.engine.second_pass import check_replaceable
        from tracker.refine.spool import Spool

        check_replaceable(self.outputs)
        with contextlib.closing(Spool()) as spool:
            yield spool

    def _needs_an_end(self) -> ConfigError:
        problem = "expected a recording, found a live source: a second pass needs an end"
        return ConfigError(f"--refine with {self.address.name}", problem, "leave --refine out, or record first")

    def _open_source(self) -> Source:
        from tracker.app.progress import link_teller
        from tracker.plugins import sink_class
        from tracker.sources.open import open_steady

        return open_steady(
            self.address,
            network_size=self.segmenter.network_size,
            keep_aspect=self.segmenter.keep_aspect,
            want_image=self.embedder is not None or any(sink_class(output).needs_images for output in self.outputs),
            stride=self.request.stride,
            decode=self.request.decode,
            rtsp_transport=self.request.transport,
            on_link=link_teller(self.console),
        )

    def _camera_motion(self) -> WarpEstimator | None:
        """An estimator of the stream's own, or ``None`` where nobody wants one.

        Raises:
            ConfigError: ``camera_motion`` is neither of its values.
        """
        chosen = self.request.camera_motion
        if chosen not in get_args(CameraMotionChoice):
            raise ConfigError("--camera-motion", f"expected auto or off, found {chosen!r}", "choose one of the two")
        if chosen == "off" or not self.request.associates:
            return None
        from tracker.associate.camera import CameraMotion

        return CameraMotion()

    def _tracker(self) -> Associator | None:
        if not self.request.associates:
            return None
        from tracker.associate.tracker import Tracker

        return Tracker(class_count=len(self.segmenter.class_names), confirmation_score=self.request.confirm)

    def _first_pass(
        self, source: Source, sink: Sink | None, camera_motion: WarpEstimator | None
    ) -> tuple[Summary, bool, list[TrackerError]]:
        """What went through, whether it was interrupted, and what failed; the sink is closed."""
        from tracker.app.progress import StreamProgress, short_title
        from tracker.engine.sized import SizedTracker
        from tracker.segment.reid import EmbeddingSegmenter

        frames: Iterator[Frame] = itertools.islice(source, self.request.limit)
        segmenter = self.segmenter if self.embedder is None else EmbeddingSegmenter(self.segmenter, self.embedder)
        tracker = self._tracker()
        if tracker is not None and source.info.is_live:
            tracker = sized = SizedTracker(tracker)
            frames = sized.watch(frames)
        with StreamProgress(
            console=self.console,
            title=short_title(self.address.name),
            frame_count=self._frames_to_come(source),
            shows_identities=self.request.associates,
        ) as progress:
            pipeline = Pipeline(
                source=frames,
                segmenter=segmenter,
                tracker=tracker,
                camera_motion=camera_motion,
                sink=sink,
                on_frame=progress,
                **flow(self.request, self.segmenter, is_live=source.info.is_live),
            )
            interrupted, failures = _run(pipeline, source, sink)
        return pipeline.summary, interrupted, failures

    def _frames_to_come(self, source: Source) -> int | None:
        """How many frames the run will have, where the container announces it."""
        count, limit = source.info.frame_count, self.request.limit
        if count is None:
            return limit
        strided = -(-count // self.request.stride)
        return min(strided, limit) if limit else strided

    def _outcome(self, source: Source, summary: Summary, failures: list[TrackerError], *, interrupted: bool) -> Outcome:
        from tracker.sources.address import redact
        from tracker.sources.notes import notes

        return Outcome(
            name=self.address.name,
            summary=summary,
            stage_ms=_stage_ms(summary, source),
            outputs=[redact(output) for output in self.outputs if _is_there(output)],
            failures=failures,
            interrupted=interrupted,
            notes=notes(source.info, source.counters),
        )

    def _second_pass(self, outcome: Outcome, spool: Spool, opener: Callable[..., Sink]) -> Outcome:
        """Write the outputs anew; the outcome says so, or why the online ones stand."""
        from tracker.engine.second_pass import SecondPass

        if outcome.interrupted:
            note = "no second pass, because the first was interrupted: this is the online result"
            return replace(outcome, notes=[*outcome.notes, note])
        if outcome.failures:
            return outcome
        second = SecondPass(
            spool=spool,
            class_names=self.segmenter.class_names,
            open_sink=functools.partial(opener, coasting=True),
            pictures=self._pictures,
        )
        rewritten = second.replace(files_of(self.outputs), console=self.console)
        if rewritten.identities is not None:
            outcome.summary.identities = rewritten.identities
            return outcome
        if rewritten.interrupted:
            note = "second pass interrupted: this is the online result"
            return replace(outcome, interrupted=True, notes=[*outcome.notes, note])
        return replace(outcome, failures=[TrackerError("second pass", rewritten.problem, "the online result stands")])

    @contextlib.contextmanager
    def _pictures(self) -> Iterator[Iterator[Frame]]:
        """The frames of the first pass again, for drawing."""
        from tracker.sources.open import open_source

        with open_source(self.address, stride=self.request.stride, decode=self.request.decode) as source:
            yield itertools.islice(source, self.request.limit)

    def _report(self, outcome: Outcome) -> None:
        from tracker.app.progress import summary_table

        self.console.print(summary_table(outcome.name, outcome.summary, outcome.stage_ms))
        for output in outcome.outputs:
            self.console.print(f"  wrote {output}", highlight=False)
        for note in outcome.notes:
            self.console.print(f"  [yellow]note[/yellow]: {note}", highlight=False)
        for failure in outcome.failures:
            self.console.print(f"  [red]failed[/red]: {failure}", highlight=False)


def _is_there(output: str) -> bool:
    """Whether something was written: a file that could not be opened or stayed empty is not there."""
    path = file_of(output)
    return path is None or path.exists()


def flow(request: StreamRequest, segmenter: OnnxSegmenter, *, is_live: bool) -> dict[str, int]:
    """Batches in flight and frames in each: a recording's frames wait for each other, a camera's do not."""
    if is_live:
        return {"workers": 1, "batch_size": 1}
    on_cpu = segmenter.device == "cpu"
    workers = request.workers or (available_cores() if on_cpu else segmenter.slots)
    return {"workers": workers, "batch_size": segmenter.batch_size}


def _run(pipeline: Pipeline, source: Source, sink: Sink | None) -> tuple[bool, list[TrackerError]]:
    """Run to the end, the first Ctrl-C or a failure of source or sink; the outputs are finished in every case."""
    failures: list[TrackerError] = []
    with interruptible(pipeline.stop, source.close) as interrupted:
        try:
            pipeline.run()
        except TrackerError as failure:
            failures.append(failure)
        finally:
            if sink is not None:
                try:
                    sink.close()
                except TrackerError as failure:
                    failures.append(failure)
    return interrupted.is_set(), failures


def _stage_ms(summary: Summary, source: Source) -> dict[str, float]:
    """Milliseconds per frame of each stage, in the order of the data's way."""
    frames = max(summary.frames, 1)
    times = source.stage_times
    stages = {"decode": times.decode_s + times.convert_s, **summary.stage_s}
    return {name: seconds / frames * 1000 for name, seconds in stages.items()}
