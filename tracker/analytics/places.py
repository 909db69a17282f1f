"""Measures of premises over one stream: queues, footfall and parking bays of a site, beside its lines and zones."""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING, Any

from tracker.analytics.bays import Bays
from tracker.analytics.floor import Floor
from tracker.analytics.footfall import FootfallFinder
from tracker.analytics.queues import Queues
from tracker.analytics.trails import Trails

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from tracker.analytics.findings import Finding, Moment
    from tracker.analytics.geometry import Floats, Rows
    from tracker.events import Event
    from tracker.site import Site

__all__ = ["Places"]


class Places:
    """Everything that a site asks for of its premises.

    Args:
        site: What to measure.
        aspect: Width over height of the picture.
        gap_s: Seconds without a frame from which the camera was out.
    """

    def __init__(self, site: Site, *, aspect: float, gap_s: float) -> None:
        self._walks = bool(site.queues or site.footfall)
        self._trails = Trails(Floor(site.ground, aspect=aspect))
        self._queues = Queues(site, self._trails)
        self._footfall = FootfallFinder(site, self._trails)
        self._bays = Bays(site.bays, aspect=aspect, gap_s=gap_s)
        self.asked = bool(self._walks or site.bays)
        """Whether there is anything to measure."""

    def sights(self, identities: Rows, time_s: float, points: Floats, heights: Floats) -> None:
        """Take sights ``(N,)`` of identities: contacts ``(N, 2)`` and heights of the objects, in picture heights."""
        if self._walks:
            self._trails.note(identities, time_s, points, heights)

    def process(self, moment: Moment) -> Iterator[Finding]:
        """Take the next frame, whose sights are known; what became certain with it."""
        yield from chain(self._queues.process(moment), self._footfall.process(moment), self._bays.process(moment))
        self._trails.forget(moment.time_s)

    def close(self, events: Sequence[Event]) -> Iterator[Finding]:
        """The stream is over; ``events`` are what lines and zones found by that."""
        yield from chain(self._queues.close(events), self._footfall.close(events))

    def queue_lengths(self) -> dict[str, int]:
        """How many stand in each queue now."""
        return self._queues.lengths()

    def taken_bays(self) -> dict[str, bool]:
        """Which bays are taken now."""
        return self._bays.taken()

    def state(self) -> dict[str, Any]:
        """Plain values to continue from."""
        return {
            "trails": self._trails.state(),
            "queues": self._queues.state(),
            "footfall": self._footfall.state(),
            "bays": self._bays.state(),
        }

    def restore(self, kept: Mapping[str, Any], shift_s: float) -> None:
        """Continue from :meth:`state` with ``shift_s`` added to all times."""
        self._trails.restore(kept["trails"], shift_s)
        self._queues.restore(kept["queues"], shift_s)
        self._footfall.restore(kept["footfall"], shift_s)
        self._bays.restore(kept["bays"], shift_s)
