"""Heirs: identities that begin where another one has just vanished, as after an identity switch.

On a line such a birth would have no side, and the passage would be lost with the old number. So the new number takes
over what lines know of the old one. Stays are not taken over: they stay the rows of the identity that was seen.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from tracker.analytics.geometry import Flags, Floats
    from tracker.analytics.paths import Paths, Steps

__all__ = ["find_heirs"]

WITHIN_S = 0.5
"""Seconds since the old identity was last seen."""
REACH = 0.5
"""Distance from there, as a share of the new one's height: half a pace of a person at 4 frames a second, 14 m/s of a
car at 25."""


def find_heirs(paths: Paths, steps: Steps, heights: Floats, detected: Flags) -> list[tuple[int, int]]:
    """First sights that carry on an identity: ``(row of the step, slot of the old identity)``, each slot once.

    Args:
        paths: Of all identities.
        steps: Those of one frame.
        heights: ``(N,)`` of the objects, in picture heights.
        detected: ``(S,)`` slots that are detected in the newest frame, so not gone.
    """
    found: list[tuple[int, int]] = []
    rows = steps.first.nonzero()[0]
    if not len(rows):
        return found
    gone = (paths.ids > 0) & ~detected & ~np.isnan(paths.seen_s)
    gone[steps.slots] = False
    for row in rows.tolist():
        now_s, slot = float(steps.times_s[row]), int(steps.slots[row])
        free = gone & (paths.detected_s < now_s) & (now_s - paths.seen_s <= WITHIN_S)
        free &= paths.class_ids == paths.class_ids[slot]
        slots = free.nonzero()[0]
        if not len(slots):
            continue
        away = np.hypot(*(paths.points[slots] - steps.after[row]).T)
        if away.min() <= REACH * heights[row]:
            old = int(slots[away.argmin()])
            gone[old] = False
            found.append((row, old))
    return found
