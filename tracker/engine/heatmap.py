"""Heatmap of a stream: the stage that finds what each frame adds, for the stores that sum it up."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from tracker.analytics.heatmap import Heatmap
from tracker.engine.stage import Stage

if TYPE_CHECKING:
    from datetime import datetime

    from tracker.engine.snapshot import Kept
    from tracker.plugins import StageContext
    from tracker.types import TrackedFrame

__all__ = ["HeatmapStage", "heatmap"]

logger = logging.getLogger("tracker.live")


class HeatmapStage(Stage):
    """Finds seconds and visits by cell.

    Args:
        stream: Name of the stream, for messages.
        start_utc_ms: As for :class:`tracker.analytics.heatmap.Heatmap`.
        gap_s: The same.
    """

    name = "heatmap"

    def __init__(self, stream: str, *, start_utc_ms: int | None = None, gap_s: float = 2.0) -> None:
        self._stream = stream
        self._facts: dict[str, Any] = {"start_utc_ms": start_utc_ms, "gap_s": gap_s}
        self._heatmap = Heatmap(**self._facts)

    def process(self, tracked: TrackedFrame) -> TrackedFrame:
        """The frame with its ``heat``."""
        return replace(tracked, heat=self._heatmap.process(tracked))

    def state(self) -> dict[str, Any] | None:
        """See :meth:`tracker.analytics.heatmap.Heatmap.state`."""
        return self._heatmap.state()

    def restore(self, kept: Kept) -> None:
        """Continue where the identities do; a state that does not fit costs a camera's visits, not its identities."""
        if kept.numbers_only:
            return
        try:
            self._heatmap.restore(kept.state, elapsed_s=kept.elapsed_s)
        except Exception as failure:
            if kept.elapsed_s is None:  # a recording continues exactly or begins anew
                raise
            self._heatmap = Heatmap(**self._facts)
            problem = f"expected a heatmap of this version, found {type(failure).__name__}: {failure}"
            logger.warning("visits begin anew", extra={"camera": self._stream, "problem": problem})


def heatmap(context: StageContext) -> HeatmapStage:
    """The stage ``heatmap``; its settings are ``start_at`` and ``gap_s``."""
    start_at: datetime | None = context.settings.get("start_at")
    return HeatmapStage(
        context.stream,
        start_utc_ms=None if start_at is None else round(start_at.timestamp() * 1000),
        gap_s=context.settings.get("gap_s", 2.0),
    )
