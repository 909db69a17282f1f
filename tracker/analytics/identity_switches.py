"""Identity switches: new identities that begin where another one was seen a moment before and is not seen any more.

A track that begins on a line has no side of it, so a switch there would lose the passage. The new identity therefore
continues from the old one's side and last contact. Stays are not continued: each is a row of the identity that was
seen.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from tracker.analytics.geometry import Flags
    from tracker.analytics.paths import Paths
    from tracker.analytics.steps import Steps

__all__ = ["find_switches"]

WITHIN_S = 0.5
"""Seconds since the old identity was last seen."""
REACH = 0.5
"""Distance from there, as a share of the new object's height: a person at 3.5 m/s at 4 frames a second, a car at 18 m/s
at 25."""


def find_switches(paths: Paths, steps: Steps, detected: Flags) -> list[tuple[int, int]]:
    """First sights that continue an identity: ``(row of the step, slot of the old identity)``, each slot once.

    Args:
        paths: Of all identities.
        steps: Those of one frame.
        detected: ``(S,)`` slots that are detected in the newest frame, which have not ended.
    """
    found: list[tuple[int, int]] = []
    if steps.first is None:
        return found
    gone = (paths.ids > 0) & ~detected & ~np.isnan(paths.seen_s)
    gone[steps.slots] = False
    now_s, points = steps.time_s, steps.marks.points
    for row in steps.first.nonzero()[0].tolist():
        slot = int(steps.slots[row])
        candidates = gone & (paths.detected_s < now_s) & (now_s - paths.seen_s <= WITHIN_S)
        slots = (candidates & (paths.class_ids == paths.class_ids[slot])).nonzero()[0]
        if not len(slots):
            continue
        distances = np.hypot(*(paths.points[slots] - points[row]).T)
        if distances.min() <= REACH * steps.marks.heights[row]:
            old = int(slots[distances.argmin()])
            gone[old] = False
            found.append((row, old))
    return found
