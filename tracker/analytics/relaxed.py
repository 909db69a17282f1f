"""Relaxed sites: what would have been counted if one rule of a site did not hold.

Each relaxation is a site of its own that is measured beside the real one, by the same code. What it counts and the
real site does not was kept from being counted by exactly that rule.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Literal

import numpy as np

from tracker.analytics.measures import SiteMeasures
from tracker.contacts import Contacts, box_contacts
from tracker.errors import ConfigError
from tracker.site import Site

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tracker.events import Event
    from tracker.polygons import Point
    from tracker.site import Line
    from tracker.types import TrackedFrame

__all__ = ["Relaxation", "RelaxedSites", "prolonged", "unruled"]

Relaxation = Literal["class_not_counted", "hidden", "unsettled", "beyond_end"]
SMALLEST_BAND = 1e-6
"""Half width of a dead band, in picture heights, that is none."""
LEAST_REACH = 1e-4


class RelaxedSites:
    """Measures of a site with one rule relaxed at a time: classes, hidden contacts, settling, ends of lines.

    Args:
        site: The real one.
        stream: Name of the stream.
        beyond: How far lines are prolonged, in picture heights.
        gap_s: As for the real measures.
    """

    def __init__(self, site: Site, *, stream: str, beyond: float, gap_s: float = 2.0) -> None:
        self._site, self._stream, self._beyond, self._gap_s = site, stream, beyond, gap_s
        self._measures: dict[Relaxation, SiteMeasures] = {}

    def process(self, tracked: TrackedFrame) -> Iterator[tuple[Relaxation, Event]]:
        """What each relaxed site counts with the next frame; its contacts must be known."""
        if not self._measures:
            self._make(tracked.frame.size)
        for relaxation, measures in self._measures.items():
            frame = _believed(tracked) if relaxation == "hidden" else tracked
            for event in measures.process(frame):
                yield relaxation, event

    def close(self) -> Iterator[tuple[Relaxation, Event]]:
        """What is counted because the stream is over."""
        for relaxation, measures in self._measures.items():
            for event in measures.close():
                yield relaxation, event

    def _make(self, size: tuple[int, int]) -> None:
        site = Site(lines=self._site.lines, zones=self._site.zones, reference_size=self._site.reference_size)
        lines = [prolonged(line, self._beyond, aspect=size[0] / size[1]) for line in site.lines]
        sites: dict[Relaxation, Site] = {"hidden": site, "unsettled": unruled(site)}
        if any(line.classes for line in site.lines) or any(zone.classes for zone in site.zones):
            sites["class_not_counted"] = replace(
                site,
                lines=tuple(replace(line, classes=()) for line in site.lines),
                zones=tuple(replace(zone, classes=()) for zone in site.zones),
            )
        if lines:
            sites["beyond_end"] = replace(site, lines=tuple(lines), zones=())
        for relaxation, relaxed in sites.items():
            self._measures[relaxation] = SiteMeasures(relaxed, stream=self._stream, gap_s=self._gap_s)


def unruled(site: Site) -> Site:
    """A site whose lines and zones count at once: no dead band, and no time to wait."""
    return replace(
        site,
        lines=tuple(
            replace(line, dead_band=SMALLEST_BAND, sway_share=0.0, settle_s=0.0, min_rearm_s=0.0) for line in site.lines
        ),
        zones=tuple(replace(zone, enter_s=0.0) for zone in site.zones),
    )


def prolonged(line: Line, reach: float, *, aspect: float) -> Line:
    """A line with both ends prolonged, as far as the picture goes; the same line where it would cross itself.

    Args:
        line: Of a site.
        reach: In picture heights.
        aspect: Width over height of the picture.

    >>> from tracker.site import Line
    >>> prolonged(Line(name="a", points=((0.5, 0.95), (0.5, 0.5))), 0.1, aspect=2.0).points
    ((0.5, 1.0), (0.5, 0.95), (0.5, 0.5), (0.5, 0.4))
    """
    points = list(line.points)
    head = _onwards(points[1], points[0], reach, aspect)
    tail = _onwards(points[-2], points[-1], reach, aspect)
    try:
        return replace(line, points=(*head, *points, *tail))
    except ConfigError:
        return line


def _onwards(before: Point, end: Point, reach: float, aspect: float) -> Sequence[Point]:
    """The point ``reach`` beyond ``end``, seen from ``before``; none where the picture ends there."""
    along = np.array(end) - before
    along *= reach / np.hypot(along[0] * aspect, along[1])
    room = np.where(along > 0, 1.0 - np.array(end), np.array(end))
    share = min([1.0, *(float(room[axis] / abs(along[axis])) for axis in (0, 1) if along[axis] != 0.0)])
    if share * reach < LEAST_REACH:
        return []
    x, y = np.clip(np.array(end) + share * along, 0.0, 1.0).round(9).tolist()
    return [(x, y)]


def _believed(tracked: TrackedFrame) -> TrackedFrame:
    """The frame with every contact as seen, hidden and predicted ones too."""
    tracks, contacts = tracked.tracks, tracked.contacts
    if tracks is None or contacts is None:
        return tracked
    unseen = tracks.detection_rows < 0
    rows = tracks.detection_rows.copy()
    rows[unseen] = len(contacts.points) + np.arange(int(unseen.sum()))
    points = np.concatenate([contacts.points, box_contacts(tracks.boxes[unseen].astype(np.float64))])
    return replace(
        tracked,
        tracks=replace(tracks, detection_rows=rows),
        contacts=Contacts(points=points, states=np.zeros(len(points), np.int8)),
    )
