"""Stages of a stream: what is done to each segmented frame, in order, before it is written.

A stream has an ordered list of them, ``[camera motion, filter, embeddings, associate, ..., contact, analytics]``, the
same for a recording and for a camera. The frame that one stage returns is what the next one takes.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

    from tracker.engine.snapshot import Kept
    from tracker.events import Event
    from tracker.plugins import StageContext
    from tracker.types import Frame, Instances, TrackedFrame

__all__ = [
    "CameraMotionStage",
    "EmbeddingStage",
    "FilterStage",
    "Stage",
    "camera_motion",
    "embeddings",
    "instance_filter",
    "through",
]


class Stage(ABC):
    """One step on the way of a stream's frames; each stream has an instance of its own.

    A stage sees the frames of one stream, each once and in order, from one thread at a time. What it raises fails its
    stream and no other.

    Attributes:
        name: Under which its seconds stand in ``TrackedFrame.stage_times_s`` and its state in the stream's state.
        outlasts_restart: Whether its state is worth anything after the camera was away for a while. If not, it is kept
            in the checkpoints of recordings, which lose no frame, and left out of the snapshots of cameras.
    """

    name: str = "stage"
    outlasts_restart: ClassVar[bool] = True

    @abstractmethod
    def process(self, tracked: TrackedFrame) -> TrackedFrame:
        """Take the next frame and return it with what was found: ``dataclasses.replace(tracked, ...)``."""

    def state(self) -> dict[str, Any] | None:
        """What :meth:`restore` needs between two frames: arrays, numbers, texts, lists and dictionaries of them.

        ``None``, which is what a stage without memory returns, keeps nothing.
        """
        return None

    def restore(self, kept: Kept) -> None:  # noqa: B027 - most stages have no memory
        """Continue from an earlier stage's :meth:`state`, which is ``kept.state``; a stage without memory ignores it.

        Called before the first frame. Whatever it raises, the stream begins without anything kept.
        """

    def close(self) -> tuple[Event, ...]:
        """The stream is over and nothing continues it: what was still open, as events; nothing here.

        Called at most once, after the last frame. Not called where a later stream continues from :meth:`state`.
        """
        return ()

    def notes(self) -> tuple[str, ...]:
        """What the user should know of the stage's work, in words, once the stream is over; nothing here."""
        return ()

    def present(self) -> dict[str, dict[str, int]]:
        """Identities in a site's zones as of the last frame, by zone and class; nothing here."""
        return {}

    def waiting(self) -> dict[str, int]:
        """Identities in each of a site's queues as of the last frame; nothing here."""
        return {}


class WarpEstimator(Protocol):
    """Frames to the camera's motion. :class:`tracker.associate.camera.CameraMotion` is the one that ships."""

    def update(self, frame: Frame, instances: Instances) -> NDArray[np.float64] | None:
        """``(2, 3)`` image pixels of the frame before to those of this one; ``None`` for none or not known."""
        ...

    def state(self) -> dict[str, Any]:
        """Everything needed to continue later."""
        ...

    def restore(self, state: dict[str, Any]) -> None:
        """Continue from what :meth:`state` returned."""
        ...


class CameraMotionStage(Stage):
    """Notes how the camera moved; sees every instance, so that nothing that moves is taken for the background.

    Args:
        estimator: Of this stream.
    """

    name = "camera"
    outlasts_restart = False

    def __init__(self, estimator: WarpEstimator) -> None:
        self._estimator = estimator

    def process(self, tracked: TrackedFrame) -> TrackedFrame:
        """The frame with its ``warp``."""
        warp = self._estimator.update(tracked.frame, tracked.instances)
        return tracked if warp is None else replace(tracked, warp=warp)

    def state(self) -> dict[str, Any] | None:
        """The reference picture and its corners."""
        return self._estimator.state()

    def restore(self, kept: Kept) -> None:
        """Continue a recording; after a pause the reference is another picture's."""
        if kept.elapsed_s is None and not kept.numbers_only:
            self._estimator.restore(kept.state)


class FilterStage(Stage):
    """Keeps the instances that a stream wants of all that the shared model gives.

    Args:
        class_ids: Numbers of the classes to keep; empty = all.
        lowest_score: Of the instances to keep; ``None`` = any.
    """

    name = "filter"

    def __init__(self, *, class_ids: Sequence[int] = (), lowest_score: float | None = None) -> None:
        self._class_ids = list(class_ids)
        self._lowest_score = lowest_score

    def process(self, tracked: TrackedFrame) -> TrackedFrame:
        """The frame with fewer instances, or itself."""
        instances = tracked.instances
        wanted = np.ones(len(instances), np.bool_)
        if self._class_ids:
            wanted &= np.isin(instances.class_ids, self._class_ids)
        if self._lowest_score is not None:
            wanted &= instances.scores >= self._lowest_score
        return tracked if wanted.all() else replace(tracked, instances=instances.take(wanted))


class Embedder(Protocol):
    """Appearance of instances. :class:`tracker.segment.reid.OnnxEmbedder` is the one that ships."""

    def embed(self, frame: Frame, instances: Instances) -> Instances:
        """The instances with embeddings ``(N, E)``, L2-normalised."""
        ...


class EmbeddingStage(Stage):
    """Gives instances the embeddings of a network of their own, in the place of the segmenter's, if it has any.

    Args:
        embedder: Shared by all streams that name the same network.
    """

    name = "reid"

    def __init__(self, embedder: Embedder) -> None:
        self._embedder = embedder

    def process(self, tracked: TrackedFrame) -> TrackedFrame:
        """The frame whose instances have embeddings."""
        return replace(tracked, instances=self._embedder.embed(tracked.frame, tracked.instances))


def through(stages: Iterable[Stage], tracked: TrackedFrame) -> TrackedFrame:
    """A frame after stages, with the seconds that each took."""
    times_s = dict(tracked.stage_times_s)
    started_s = time.perf_counter()
    for stage in stages:
        tracked = stage.process(tracked)
        done_s = time.perf_counter()
        times_s[stage.name] = done_s - started_s
        started_s = done_s
    return replace(tracked, stage_times_s=times_s)


def camera_motion(context: StageContext) -> CameraMotionStage:
    """The stage ``camera``."""
    from tracker.associate.camera import CameraMotion

    del context  # the same for every stream
    return CameraMotionStage(CameraMotion())


def instance_filter(context: StageContext) -> FilterStage:
    """The stage ``filter``; its settings are those of :class:`FilterStage`."""
    return FilterStage(**context.settings)


def embeddings(context: StageContext) -> EmbeddingStage:
    """The stage ``reid``; its settings are those of :class:`EmbeddingStage`."""
    return EmbeddingStage(**context.settings)
