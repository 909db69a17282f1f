"""Runs of the engine over recordings, one after another: what ``track``, ``segment`` and Python programs call."""

from __future__ import annotations

import contextlib
import itertools
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tracker.engine.claims import check_run, files_of
from tracker.engine.counting import counting_stages
from tracker.engine.models import Models
from tracker.engine.opener import Flow, Watch, open_stream
from tracker.engine.outcome import Outcome, outcome_of, tally_of
from tracker.engine.outputs import Outputs
from tracker.engine.plan import plan_run
from tracker.engine.scheduler import Engine
from tracker.engine.sound import check_sound
from tracker.errors import ConfigError, TrackerError
from tracker.settings.stream import RunSettings
from tracker.sinks.exclusive import reserved

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterator, Sequence

    from tracker.engine.batcher import Batcher
    from tracker.engine.meter import StreamFigures
    from tracker.engine.plan import StreamPlan
    from tracker.engine.stream import Stream
    from tracker.errors import SinkError
    from tracker.refine.spool import Spool
    from tracker.sinks.base import Sink
    from tracker.sources.decoded import SourceInfo
    from tracker.sources.reconnect import Link
    from tracker.types import Frame, Segmenter

__all__ = ["Listener", "Outcome", "Run", "run", "serve"]

PROGRESS_S = 0.1
"""How often progress is reported."""

PATIENCE_S = 86_400.0
"""Longest wait for the outputs of a run: a long video on a slow disk is rewritten at its end."""

FULL_BATCH_S = 5.0
"""A recording's batches wait for their frames, so that the same frames are always batched together."""


class Listener:
    """Callbacks of a run, all of which do nothing; derive from it and override."""

    def model_opened(self, role: str, description: str) -> None:
        """A network is ready: ``model``, ``re-identification`` or ``outlines``, and one line for a person."""

    def started(self, name: str, info: SourceInfo, frame_count: int | None) -> None:
        """A stream is open, and :meth:`Run.stop` ends it; ``frame_count`` is what its container announces."""

    def progressed(self, name: str, figures: StreamFigures) -> None:
        """How far a stream is, some ten times a second and once at its end."""

    def link_changed(self, name: str, link: Link) -> None:
        """A camera's connection changed; called in the source's thread."""

    def output_lost(self, name: str, failure: SinkError) -> None:
        """An output ended before its time; called in the writing thread."""

    def refined(self, name: str, done: int, total: int) -> None:
        """How far the second pass of a stream is, in steps."""

    def ended(self, name: str, outcome: Outcome | None) -> None:
        """A stream is over; ``None`` after an error that is about to be raised."""


class _Progress(Listener):
    """A listener to progress only."""

    def __init__(self, on_progress: Callable[[str, StreamFigures], None]) -> None:
        self._on_progress = on_progress

    def progressed(self, name: str, figures: StreamFigures) -> None:
        self._on_progress(name, figures)


def run(
    source: str | os.PathLike[str] | Sequence[str | os.PathLike[str]] | RunSettings,
    *,
    on_progress: Callable[[str, StreamFigures], None] | None = None,
    **options: Any,
) -> list[Outcome]:
    """Track (or segment) one source or several, one after another, each with identities of its own.

    Settings and outcomes can be pickled, so that a process pool may call this.

    Args:
        source: A video, folder, pattern, camera or address, a list of them, or finished settings.
        on_progress: Called some ten times a second with the stream's name and its figures.
        options: Fields of :class:`tracker.settings.stream.RunSettings`, such as ``records="out.jsonl"``.

    Returns:
        An outcome per stream.

    Raises:
        TrackerError: A source, model or output cannot be opened, or an option does not fit.
    """
    if not isinstance(source, RunSettings):
        source = RunSettings.model_validate({"sources": source, **options})
    elif options:
        source = source.replace(**options)
    return Run(source, listener=None if on_progress is None else _Progress(on_progress)).run()


def serve(
    stream: Stream,
    engine: Engine,
    batcher: Batcher | None = None,
    *,
    on_progress: Callable[[StreamFigures], None] = lambda _figures: None,
) -> StreamFigures:
    """Take one stream to its end, complete its outputs and close the engine.

    Args:
        stream: Not yet started.
        engine: Serves it; :meth:`~tracker.engine.scheduler.Engine.stop` ends it early.
        batcher: One of the engine's models; ``None`` = the first.
        on_progress: Called some ten times a second, in this thread, and once at the end.

    Returns:
        The figures at the end. What went wrong with source or outputs is in ``stream.failures``.

    Raises:
        TrackerError: The model failed; what was done before is written.
    """
    engine.add(stream, batcher)
    try:
        while not engine.wait(PROGRESS_S):
            on_progress(stream.figures())
    finally:
        engine.close(patience_s=PATIENCE_S)
    figures = stream.figures()
    on_progress(figures)
    return figures


class Run:
    """One run over the sources of its settings.

    Args:
        settings: What to do.
        listener: Its callbacks.
        beside: Further sinks that take every frame; they are closed with each stream.
        models: Open sessions to use; by default the run opens its own.

    Attributes:
        plans: Its streams.

    Raises:
        TrackerError: A source is not there, or several streams would write to one file.
    """

    def __init__(
        self,
        settings: RunSettings,
        *,
        listener: Listener | None = None,
        beside: Sequence[Sink] = (),
        models: Models | None = None,
    ) -> None:
        shows_images = any(sink.needs_images for sink in beside)
        shows_contacts = any(sink.needs_contacts for sink in beside)
        self.plans = [
            replace(
                plan,
                shows_images=shows_images,
                shows_contacts=shows_contacts,
                edition="hold" if settings.refine else "append",
            )
            for plan in plan_run(settings)
        ]
        self._beside = list(beside)
        self._settings = settings
        self._models = models or Models(settings, batch_wait_s=FULL_BATCH_S)
        self._listener = listener or Listener()
        self._stops: list[Callable[[], None]] = []
        self._stopped = False

    def stop(self) -> None:
        """End soon, as if the stream ended here; what is done is kept. Callable from any thread."""
        self._stopped = True
        for stop in list(self._stops):
            stop()

    def run(self) -> list[Outcome]:
        """Run every stream, one after another; the one that is stopped is the last.

        Raises:
            TrackerError: A source, model or output cannot be opened, or an option does not fit.
        """
        check_run(self._settings, self.plans)
        check_sound(self.plans)
        outcomes = []
        for plan in self.plans:
            outcome = None
            try:
                outcome = self._run_one(plan, self._models)
            finally:
                self._listener.ended(plan.name, outcome)
            outcomes.append(outcome)
            if outcome.interrupted:
                break
        return outcomes

    def _run_one(self, plan: StreamPlan, models: Models) -> Outcome:
        """One stream to its end, the first :meth:`stop` or a failure; its outputs are completed in every case."""
        with reserved(*files_of(plan)), self._spooling(plan) as spool, self._engine(plan, models) as engine:
            stream = self._open(plan, models, engine, spool)
            info = stream.source.info
            with self._stoppable(engine.stop, stream.close):
                self._listener.started(plan.name, info, _frames_to_come(info, plan))
                failures = self._serve(stream, engine, models.batcher(plan))
            outcome = outcome_of(plan, stream, failures, interrupted=self._stopped)
            if spool is None:
                return outcome
            done, refined = self._second_pass(plan, outcome, spool, info, models.segmenter(plan))
            return done if refined else _settled(plan, done)

    @contextlib.contextmanager
    def _spooling(self, plan: StreamPlan) -> Iterator[Spool | None]:
        """The temporary file of the second pass, where one is asked for."""
        if not self._settings.refine:
            yield None
            return
        if plan.address.kind == "camera":
            raise _needs_an_end(plan)
        if plan.address.once and (plan.wants_images or plan.small_height is not None):
            problem = "expected a recording that can be read twice, found a pipe: a second pass reads it again"
            raise ConfigError(f"--refine with {plan.name}", problem, "save the recording first, or leave --refine out")
        from tracker.engine.second_pass import check_replaceable
        from tracker.refine.spool import Spool

        check_replaceable({output: plan.kind_of(output) for output in plan.outputs})
        with contextlib.closing(Spool()) as spool:
            yield spool

    @contextlib.contextmanager
    def _engine(self, plan: StreamPlan, models: Models) -> Iterator[Engine]:
        """An engine with the session of a stream; recordings mostly share their size, and so their session."""
        models.let_go([plan])  # before another is opened: one at a time in memory
        change = models.change([plan])
        for role, description in change.opened:
            self._listener.model_opened(role, description)
        engine = Engine(workers=models.workers([models.segmenter(plan, change)]))
        models.carry_out(change, engine)
        batcher = models.batcher(plan)
        if not change.sessions:
            engine.add_model(batcher)
        try:
            yield engine
        finally:
            engine.stop()
            batcher.streams.clear()

    def _open(self, plan: StreamPlan, models: Models, engine: Engine, spool: Spool | None) -> Stream:
        """The stream with its source and its outputs open."""
        batcher = models.batcher(plan)
        stream = open_stream(
            plan,
            segmenter=models.segmenter(plan),
            embedder=models.embedder(plan),
            outliner=models.outliner(plan),
            patient=False,
            flow=Flow(
                queue_frames=max(4, 2 * batcher.batch_size),
                max_in_flight=batcher.batch_size * (engine.workers + 1),
                decode_threads=0,
            ),
            beside=[*self._beside, *([] if spool is None else [spool.sink])],
            watch=Watch(
                on_link=lambda link: self._listener.link_changed(plan.name, link),
                on_lost=lambda failure: self._listener.output_lost(plan.name, failure),
            ),
        )
        stream.open()
        if spool is not None and stream.source.info.is_live:
            stream.abandon()
            raise _needs_an_end(plan)
        if plan.site is not None:
            try:
                plan.site.check_size(stream.source.info.size, plan.settings.site or "site")
            except ConfigError:
                stream.abandon()
                raise
        return stream

    @contextlib.contextmanager
    def _stoppable(self, *stops: Callable[[], None]) -> Iterator[None]:
        """While the block runs, :meth:`stop` calls these."""
        self._stops = list(stops)
        try:
            if self._stopped:
                self.stop()
            yield
        finally:
            self._stops = []

    def _serve(self, stream: Stream, engine: Engine, batcher: Batcher) -> list[TrackerError]:
        """What failed; a fault of the program itself is raised as it is."""
        failures: list[TrackerError] = []
        try:
            serve(stream, engine, batcher, on_progress=lambda figures: self._listener.progressed(stream.name, figures))
        except TrackerError as failure:
            failures.append(failure)
        for fault in (one.__cause__ for one in stream.failures if type(one) is TrackerError):
            if fault is not None:
                raise fault
        return [*failures, *stream.failures]

    def _second_pass(
        self, plan: StreamPlan, outcome: Outcome, spool: Spool, info: SourceInfo, model: Segmenter
    ) -> tuple[Outcome, bool]:
        """Rewrite the outputs; the outcome, which says so or why the online ones stand, and whether they do not."""
        from tracker.engine.second_pass import SecondPass

        if outcome.interrupted:
            note = "no second pass, because the first was interrupted: this is the online result"
            return replace(outcome, notes=[*outcome.notes, note]), False
        if outcome.failures:
            return outcome, False
        second = SecondPass(
            spool=spool,
            class_names=model.class_names,
            open_sink=Outputs(plan, info, model).opener(coasting=True, edition="revise"),
            kinds={Path(output): plan.kind_of(output) for output in plan.outputs},
            stages=counting_stages(
                plan.name,
                model.class_names,
                contacts=plan.wants_contacts,
                site=plan.site,
                settings=plan.settings,
            ),
            pictures=lambda: _pictures(plan),
            progress=lambda done, total: self._listener.refined(plan.name, done, total),
        )
        with self._stoppable(second.stop):
            rewritten = second.run([Path(output) for output in plan.outputs])
        if rewritten.identities is not None:
            figures = replace(outcome.figures, brief=rewritten.brief)
            tally = tally_of(plan, rewritten.tally)
            return replace(outcome, identities=rewritten.identities, figures=figures, tally=tally), True
        if rewritten.interrupted:
            note = "second pass interrupted: this is the online result"
            return replace(outcome, interrupted=True, notes=[*outcome.notes, note]), False
        failure = TrackerError("second pass", rewritten.problem, "the online result stands")
        return replace(outcome, failures=[failure]), False


def _settled(plan: StreamPlan, outcome: Outcome) -> Outcome:
    """The outcome without a second pass: stores that waited for it have the online events now."""
    from tracker.engine.second_pass import settle_stores

    try:
        settle_stores({output: plan.kind_of(output) for output in plan.outputs}, plan.name)
    except TrackerError as failure:
        return replace(outcome, failures=[*outcome.failures, failure])
    return outcome


def _needs_an_end(plan: StreamPlan) -> ConfigError:
    problem = "expected a recording, found a live source: a second pass needs an end"
    return ConfigError(f"--refine with {plan.name}", problem, "leave --refine out, or record first")


def _frames_to_come(info: SourceInfo, plan: StreamPlan) -> int | None:
    """How many frames the run will have, where the container announces it."""
    if info.frame_count is None:
        return plan.limit
    strided = -(-info.frame_count // plan.settings.stride)
    return min(strided, plan.limit) if plan.limit else strided


@contextlib.contextmanager
def _pictures(plan: StreamPlan) -> Iterator[Iterator[Frame]]:
    """The frames of the first pass again, for drawing."""
    from tracker.sources.open import open_source

    chosen = plan.settings
    with open_source(
        plan.address,
        want_image=plan.wants_images,
        small_height=plan.small_height,
        stride=chosen.stride,
        fps=chosen.fps,
        decode=chosen.decode,
        max_pixels=chosen.max_pixels,
    ) as source:
        yield itertools.islice(source, plan.limit)
