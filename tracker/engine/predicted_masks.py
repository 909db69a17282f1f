"""Stage that predicts the masks of tracks that coast."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from tracker.associate.predicted_masks import MaskPredictor
from tracker.engine.stage import Stage

if TYPE_CHECKING:
    from tracker.engine.snapshot import Kept
    from tracker.plugins import StageContext
    from tracker.types import TrackedFrame

__all__ = ["PredictedMaskStage", "predicted_masks"]


class PredictedMaskStage(Stage):
    """Gives frames the masks of their coasting tracks, ``TrackedFrame.predicted_masks``."""

    name = "predicted_masks"
    outlasts_restart = False

    def __init__(self) -> None:
        self._predictor = MaskPredictor()

    def process(self, tracked: TrackedFrame) -> TrackedFrame:
        """The frame with masks of tracks that coast, or itself."""
        if tracked.tracks is None:
            return tracked
        found = self._predictor.update(tracked.instances, tracked.tracks)
        return tracked if found is None else replace(tracked, predicted_masks=found)

    def state(self) -> dict[str, Any]:
        """Coefficients by identity."""
        return self._predictor.state()

    def restore(self, kept: Kept) -> None:
        """Continue a recording; after a pause nothing of it holds."""
        if kept.elapsed_s is None and not kept.numbers_only:
            self._predictor.restore(kept.state)


def predicted_masks(context: StageContext) -> PredictedMaskStage:
    """The stage ``predicted_masks``."""
    del context  # the same for every stream
    return PredictedMaskStage()
