"""Outputs of one stream, opened: every file of its plan as one sink."""

from __future__ import annotations

import logging
from functools import partial
from typing import TYPE_CHECKING, Protocol

from tracker.engine.covered import CoveredSink, covering_of
from tracker.engine.sound import sound_opener
from tracker.errors import SinkError, TrackerError
from tracker.plugins import open_sink, sink_class
from tracker.settings.stream import DISPLAY_SCORE
from tracker.sinks.base import Sink, SinkContext, file_of
from tracker.sinks.multi import MultiSink
from tracker.sinks.rotate import RotatingSink

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Sequence

    from tracker.engine.plan import StreamPlan
    from tracker.sinks.base import Edition, StreamView
    from tracker.sources.decoded import SourceInfo
    from tracker.types import Segmenter, TrackedFrame

__all__ = ["Outputs"]

logger = logging.getLogger("tracker.live")


class Opener(Protocol):
    """Opens an output, or a part of one, at an address; ``kind`` as for :func:`tracker.plugins.open_sink`."""

    def __call__(self, output: str | os.PathLike[str], *, kind: str | None = None) -> Sink: ...


class Outputs:
    """Opens what a stream writes.

    Args:
        plan: Of the stream.
        info: Of its open source.
        model: Its segmenter.
        on_lost: Called in the writing thread with the failure of an output that ends before its time.
        view: The running stream, for sinks that tell how it is.
    """

    def __init__(
        self,
        plan: StreamPlan,
        info: SourceInfo,
        model: Segmenter,
        *,
        on_lost: Callable[[SinkError], None] = lambda _failure: None,
        view: StreamView | None = None,
    ) -> None:
        self._plan = plan
        self._model = model
        self._frame_rate = info.fps / plan.settings.stride if info.fps > 0 else None
        self._start_s = info.start_s
        self._on_lost = on_lost
        self._view = view
        self._covering = covering_of(plan, model.class_names)

    def opener(
        self,
        *,
        coasting: bool | None = None,
        final_classes: bool = True,
        edition: Edition | None = None,
        covered: bool = True,
        resumable: bool = False,
    ) -> Opener:
        """What opens one output, part after part: drawn trails continue from one to the next.

        Args:
            coasting: Write identities that are predicted and not seen; ``None`` = as the format does.
            final_classes: Of what is not the whole stream (parts, chunks) the classes are not final yet.
            edition: Of events in stores; ``None`` = as the plan says.
            covered: Its pictures are covered as the settings say; parts of one output are covered together.
            resumable: A recording that is cut off goes on from a checkpoint.
        """
        from tracker.engine.marks import marks_to_draw
        from tracker.render.annotate import DRAWN, TRAIL_S, Annotator
        from tracker.render.small import drawn_small

        settings = self._plan.settings
        height = settings.save_height
        keeps_instances = any(sink.keeps_instances for sink in self._plan.sink_classes)
        parts = DRAWN if settings.draw is None else settings.draw
        annotator = Annotator(
            masks="masks" in parts,
            boxes="boxes" in parts,
            labels="labels" in parts,
            trail_s=TRAIL_S if "trails" in parts else 0.0,
            colour_by=settings.colour_by,
            line_width_px=settings.line_width,
            lowest_score=DISPLAY_SCORE if settings.score_threshold is None else 0.0,
            marks=marks_to_draw(self._plan.site, parts),
            contacts="contacts" in parts,
        )
        context = SinkContext(
            class_names=self._model.class_names,
            frame_rate=self._frame_rate,
            draw=annotator.draw if height is None else partial(drawn_small, annotator.draw, height),
            masks=settings.masks,
            image_names=self._plan.address.kind == "images",
            coasting=coasting,
            coco_annotations=self._plan.coco_annotations,
            sound=sound_opener(self._plan, self._start_s),
            final_classes=final_classes,
            confirmation_score=self._confirmation_score,
            stream=self._plan.name,
            start_ms=settings.start_ms,
            live=self._plan.address.kind in {"camera", "network"},
            model_digest=self._model.digest if keeps_instances else "",
            edition=edition or self._plan.edition,
            site=self._plan.site,
            view=self._view,
            spool=settings.spool,
            spool_bytes=int(settings.spool_mb * 1e6),
            outputs=self._plan.outputs,
            resumable=resumable,
        )

        def open_one(output: str | os.PathLike[str], *, kind: str | None = None) -> Sink:
            sink = open_sink(output, context, kind=kind)
            return self._covered(sink) if covered and sink_class(output, kind).needs_images else sink

        return open_one

    def _covered(self, sink: Sink) -> Sink:
        """An output that takes pictures, with what must not be seen covered in them."""
        return CoveredSink(sink, self._covering) if self._covering else sink

    @property
    def _confirmation_score(self) -> float:
        chosen = self._plan.settings.confirmation_score
        return self._model.confirmation_score if chosen is None else chosen

    def open(self, *, strict: bool, beside: Sequence[Sink] = ()) -> Sink:
        """Every output as one sink: one that fails is reported and ended, the others continue.

        Args:
            strict: An output that cannot be opened is raised; else it is reported like one that fails later.
            beside: Further sinks that take the same frames.

        Raises:
            TrackerError: With ``strict``, an output cannot be opened; those before it are given up.
        """
        sinks: list[Sink] = []
        try:
            for output in self._plan.outputs:
                sinks.append(self._open_one(output, strict=strict))  # noqa: PERF401 - those opened must be given up
        except TrackerError:
            MultiSink(sinks).abort()
            raise
        others = [self._covered(sink) if sink.needs_images else sink for sink in beside]
        return MultiSink([*sinks, *others], on_error=self._report)

    def _open_one(self, output: str, *, strict: bool) -> Sink:
        settings = self._plan.settings
        path = file_of(output)
        parts = path is not None and "{time}" in path.name
        kind = self._plan.kind_of(output)
        opener = partial(self.opener(final_classes=not parts, covered=not parts), kind=kind)
        if parts:
            every_s, most = settings.rotate_s, settings.rotate_bytes
            rotating = RotatingSink(output, opener, every_s=every_s, max_bytes=most, on_error=self._report)
            return self._covered(rotating) if sink_class(output, kind).needs_images else rotating
        try:
            return opener(output)
        except TrackerError as failure:
            if strict:
                raise
            return _Refused(failure)

    def _report(self, failure: SinkError) -> None:
        logger.error("output failed", extra={"camera": self._plan.name, "problem": str(failure)})
        self._on_lost(failure)


class _Refused(Sink):
    """An output that could not be opened: fails at the first frame, and is reported like any that fails."""

    def __init__(self, failure: TrackerError) -> None:
        self._failure = failure

    def write(self, _: TrackedFrame) -> None:
        raise self._failure

    def close(self) -> None:
        pass
