"""Where conflicts are told: on the ground between the calibrated points, and in declared conflict areas.

Beyond the outermost of the points that the calibration knows, places are extrapolated: a pixel stands for ever more
metres, and times between two vehicles for noise. What is found there is counted and left out.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import numpy as np

from tracker.analytics.standing import Areas

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from tracker.analytics.conflicts import Conflict
    from tracker.ground import Ground
    from tracker.site import Site

__all__ = ["ConflictArea"]

KINDS = {"time_to_collision": "times to collision", "post_encroachment": "post-encroachment times"}


class ConflictArea:
    """Of one site.

    Args:
        site: With zones, some of which may be conflict areas.
        ground: Its ground.
    """

    def __init__(self, site: Site, ground: Ground) -> None:
        self._ground = ground
        declared = [zone for zone in site.zones if zone.conflict_area]
        self._areas = Areas(declared) if declared else None
        self._left_out: Counter[str] = Counter()

    @property
    def name_at(self) -> Callable[[float, float], str | None] | None:
        """Name of the declared area in which a point in metres lies; ``None`` where none is declared."""
        return None if self._areas is None else self._named

    def takes(self, found: Conflict) -> bool:
        """Whether a conflict lies where it is told; one that does not is counted."""
        inside = self._ground.is_between(found.x_m, found.y_m)
        inside = inside or (self._areas is not None and self._named(found.x_m, found.y_m) is not None)
        if not inside:
            self._left_out[found.kind] += 1
        return inside

    def notes(self) -> tuple[str, ...]:
        """What was left out, in words."""
        found = [f"{count} {KINDS[kind]}" for kind, count in sorted(self._left_out.items())]
        if not found:
            return ()
        where = "beyond the outermost points of ground, where metres are a guess"
        return (f"{' and '.join(found)} left out: they lie {where}; calibrate with points around them",)

    def state(self) -> dict[str, int]:
        """Plain values to continue from."""
        return dict(self._left_out)

    def restore(self, kept: Mapping[str, Any]) -> None:
        """Continue from :meth:`state`."""
        self._left_out = Counter(kept)

    def _named(self, x_m: float, y_m: float) -> str | None:
        at = self._ground.to_picture(np.array([[x_m, y_m]]))[0].tolist()
        areas = () if self._areas is None else self._areas.at(*at)
        return next((zone.name for zone in areas), None)
