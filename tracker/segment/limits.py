"""Limits on the decoded instances of a model, checked: thresholds, classes, number."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING

import numpy as np

from tracker.errors import ConfigError
from tracker.segment.contracts.decoder import Limits

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from tracker.segment.contracts.decoder import Decoder
    from tracker.segment.manifest import Manifest

__all__ = ["DEFAULT_SCORE_THRESHOLD", "make_limits"]

DEFAULT_SCORE_THRESHOLD = 0.1
"""Low on purpose: the tracker continues tracks with weak detections (ByteTrack, Zhang et al. 2022)."""


def make_limits(
    decoder: Decoder,
    manifest: Manifest | None,
    *,
    score_threshold: float | None,
    iou_threshold: float | None,
    classes: Sequence[str] | None,
    max_instances: int,
) -> Limits:
    """Limits from the caller, else the manifest, else the contract's defaults.

    Raises:
        ConfigError: An unknown class name or a threshold out of range.
    """
    _check_fraction("--conf", score_threshold, "0.25")
    _check_fraction("--iou", iou_threshold, "0.5")
    if score_threshold is None:
        score_threshold = manifest.score_threshold if manifest else None
    if iou_threshold is None and decoder.iou_threshold is not None:
        # Graphs that suppress by themselves are suppressed again only on request.
        noted = manifest.iou_threshold if manifest else None
        iou_threshold = decoder.iou_threshold if noted is None else noted
    return Limits(
        score_threshold=DEFAULT_SCORE_THRESHOLD if score_threshold is None else score_threshold,
        iou_threshold=iou_threshold,
        classes=_selection(decoder.class_names, classes),
        max_instances=max_instances,
    )


def _check_fraction(option: str, value: float | None, usual: str) -> None:
    if value is not None and not 0 <= value <= 1:
        problem = f"expected a number from 0 to 1, found {value}"
        raise ConfigError(option, problem, f"a usual value is {usual}")


def _selection(names: tuple[str, ...], classes: Sequence[str] | None) -> NDArray[np.bool_] | None:
    """``(C,)`` bool, which classes are wanted; ``None`` = all."""
    if classes is None:
        return None
    chosen = np.zeros(len(names), np.bool_)
    lowered = [name.lower() for name in names]
    for name in classes:
        if name.lower() not in lowered:
            close = difflib.get_close_matches(name.lower(), lowered, 1)
            shown = ", ".join(names[:20]) + (f", ... ({len(names)} in all)" if len(names) > 20 else "")
            problem = f"no such class in the model, which has {shown}"
            remedy = f"did you mean {names[lowered.index(close[0])]!r}?" if close else "choose among these"
            offender = f"--classes {name}"
            raise ConfigError(offender, problem, remedy)
        chosen[[position for position, known in enumerate(lowered) if known == name.lower()]] = True
    return chosen
