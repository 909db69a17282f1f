"""Association of saved instances: the associate stage of a stream, on frames that were segmented before.

Camera motion, filter and embeddings were done when the instances were saved, so identities, boxes and records are those
that ``track`` gives on the recording itself.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tracker.associate.tracker import Tracker
from tracker.engine.meter import Census
from tracker.engine.second_pass import SecondPass, check_replaceable
from tracker.errors import ConfigError
from tracker.formats.instances import open_saved
from tracker.plugins import STAGES, StageContext, open_sink, sink_class
from tracker.sinks.base import SinkContext, file_of
from tracker.sinks.claims import Claim, check_claims
from tracker.sinks.exclusive import reserved
from tracker.types import TrackedFrame

if TYPE_CHECKING:
    import os
    from collections import Counter
    from collections.abc import Callable, Iterator

    from tracker.engine.stage import Stage
    from tracker.formats.instances import SavedFrame, SavedModel
    from tracker.refine.spool import Spool
    from tracker.types import Frame

__all__ = ["SavedOutcome", "associate_saved", "tracked_frames"]


@dataclass(frozen=True, slots=True, kw_only=True)
class SavedOutcome:
    """What came of it.

    Attributes:
        frames: Frames associated.
        identities: How many there are by class name.
        refined: Whether the outputs hold the second pass's result.
        problem: Why they hold the online result although a second pass was asked for; else empty.
    """

    frames: int
    identities: Counter[str]
    refined: bool = False
    problem: str = ""


def tracked_frames(model: SavedModel, frames: Iterator[SavedFrame]) -> Iterator[TrackedFrame]:
    """Every frame with its tracks, in order; with ``TrackedFrame.warp`` as it was found."""

    def make() -> Tracker:
        return Tracker(class_count=len(model.class_names), confirmation_score=model.confirmation_score)

    context = StageContext(stream="saved instances", class_names=model.class_names, settings={"tracker": make})
    stage: Stage = STAGES.load("associate")(context)
    for saved in frames:
        yield stage.process(
            TrackedFrame(
                frame=saved.frame,
                instances=saved.instances,
                tracks=None,
                class_names=model.class_names,
                warp=saved.warp,
            )
        )


def associate_saved(
    path: str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    refine: bool = False,
    progress: Callable[[int], None] = lambda _frames: None,
) -> SavedOutcome:
    """Track a recording by its saved instances.

    Args:
        path: The file, ``*.instances``.
        out: Any output by its suffix that needs no pictures.
        refine: Improve the result by a second pass; the online one stands where that fails.
        progress: Called with the frames done.

    Raises:
        DetectionsError: The input cannot be read, or is damaged: the frames before that are written.
        SinkError: The output cannot be written.
        ConfigError: The output needs pictures, or cannot be replaced by a second pass.
    """
    if sink_class(out).needs_images:
        problem = "expected records, found a video: saved instances hold no pictures"
        raise ConfigError(out, problem, "masktrail track the recording")
    if refine:
        check_replaceable([out])
    targets = [found] if (found := file_of(out)) is not None else []
    check_claims([Claim(path=target, named_by="--out") for target in targets], [Claim(path=Path(path))])
    with contextlib.ExitStack() as stack:
        model, saved = open_saved(path, stack.enter_context(Path(path).open("rb")))
        stack.enter_context(reserved(*targets))
        context = SinkContext(
            class_names=model.class_names,
            frame_rate=model.frame_rate,
            image_names=model.image_names,
            confirmation_score=model.confirmation_score,
            model_digest=model.digest,
        )
        spool = None
        if refine:
            from tracker.refine.spool import Spool

            spool = stack.enter_context(contextlib.closing(Spool()))
        census, frames = Census(), 0
        with open_sink(out, context) as sink:
            for frames, tracked in enumerate(tracked_frames(model, saved), 1):
                sink.write(tracked)
                if tracked.tracks is not None:
                    census.update(tracked.tracks, model.class_names)
                if spool is not None:
                    spool.write(tracked)
                progress(frames)
        online = SavedOutcome(frames=frames, identities=census.by_class())
        return online if spool is None else _second_pass(spool, model, context, targets, online)


def _second_pass(
    spool: Spool, model: SavedModel, context: SinkContext, targets: list[Path], online: SavedOutcome
) -> SavedOutcome:
    second = SecondPass(
        spool=spool,
        class_names=model.class_names,
        open_sink=lambda path: open_sink(path, context, coasting=True),
        pictures=_no_pictures,
    )
    rewritten = second.run(targets)
    if rewritten.identities is None:
        return SavedOutcome(frames=online.frames, identities=online.identities, problem=rewritten.problem)
    return SavedOutcome(frames=online.frames, identities=rewritten.identities, refined=True)


@contextlib.contextmanager
def _no_pictures() -> Iterator[Iterator[Frame]]:
    yield iter(())
