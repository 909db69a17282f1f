"""Scores of foreign detectors as chances in 0..1: one monotone map for all scores of a file.

==============================  ==========================================================================
scores of a file                read as
==============================  ==========================================================================
all in 0..1                     they are
all -1                          unknown: 1 each
some below 0 or above 1         logits or support-vector margins: the logistic function ``1 / (1 + exp(-s))``
-1 among scores in 0..1         refused: -1 may be a score or stand for none
none below 0, one above 20      refused: percent or the like, which the logistic function would make all one
==============================  ==========================================================================
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from tracker.formats.columns import reject

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

__all__ = ["to_chances"]

GREATEST_LOGIT = 20.0
"""The logistic function of more differs from 1 by less than two in a billion."""


def to_chances(
    path: Path, scores: NDArray[np.float64], places: Sequence[int], *, unit: str = ""
) -> tuple[NDArray[np.float64], str]:
    """Scores in 0..1, and what was done to them for the user to read (empty where nothing).

    Args:
        path: The file, for messages.
        scores: ``(N,)``, all scores of a file, so that its detections are treated alike; NaN where a row has none,
            which becomes 1.
        places: Line (or entry) of each.
        unit: What ``places`` count where not lines.

    Raises:
        DetectionsError: The scale cannot be determined; names ``file:line``.
    """
    said = ~np.isnan(scores)
    chances = np.where(said, scores, 1.0)
    outside = (chances < 0) | (chances > 1)
    if not outside.any():
        return chances, ""
    if (scores[said] == -1).all():
        return np.ones(len(scores)), "every score is -1, taken as unknown: 1 each"
    first = int(np.flatnonzero(outside)[0])
    if (chances[outside] == -1).all():
        reject(
            path,
            places[first],
            "scores in 0..1, or -1 in every row",
            f"-1 among scores in 0..1 ({int(outside.sum())} of {int(said.sum())} rows)",
            unit=unit,
            remedy="give these rows a score or leave them out",
        )
    if not (chances < 0).any() and chances.max() > GREATEST_LOGIT:
        reject(
            path,
            places[int(chances.argmax())],
            "scores in 0..1 or logits",
            f"{chances.max():g} in a file without negative scores",
            unit=unit,
            remedy="divide the scores so that they lie in 0..1 (percent: by 100)",
        )
    # tanh never overflows, whatever the logit.
    chances = np.where(said, 0.5 + 0.5 * np.tanh(0.5 * chances), 1.0)
    low, high = scores[said].min(), scores[said].max()
    return chances, f"scores from {low:g} to {high:g} are taken for logits and pass through the logistic function"
