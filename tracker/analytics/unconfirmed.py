"""Detections that never became an identity, linked from frame to frame, and what they pass.

The tracker keeps tentative tracks to itself. Here the instances that no identity took are linked by the overlap of
their boxes, which is enough to say that something passed a line before it could be confirmed. Second detections of
objects that are identities are left out.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from tracker.analytics.measures import SiteMeasures
from tracker.analytics.relaxed import unruled
from tracker.boxes import iou
from tracker.site import Site
from tracker.types import Tracks

if TYPE_CHECKING:
    from tracker.analytics.geometry import Floats, Rows
    from tracker.events import Event
    from tracker.types import Instances, TrackedFrame

__all__ = ["Unconfirmed"]

LINK_IOU = 0.3
DUPLICATE_IOU = 0.5
"""Overlap with an identity's box from which a detection is another one of the same object."""
HOLD_S = 0.5
"""Seconds without a detection after which a link is given up."""
EARLIER_FRAMES = 64
"""Frames over which a later identity may claim a link's detections."""
LEAST_DETECTIONS = 3
"""Of a link whose passage is told: less is noise of the model."""


@dataclass(slots=True, kw_only=True)
class _Link:
    """Detections that belong together."""

    identity: int
    box: Floats
    class_id: int
    seen_s: float
    detections: int
    rows: dict[int, int]
    passed: list[Event]


class Unconfirmed:
    """Passages of detections over lines and into zones that no identity took.

    Args:
        site: Whose lines and zones; their dead bands and waits are left out.
        stream: Name of the stream.
        gap_s: As for the real measures.
    """

    def __init__(self, site: Site, *, stream: str, gap_s: float = 2.0) -> None:
        places = Site(lines=site.lines, zones=site.zones, reference_size=site.reference_size)
        self._measures = SiteMeasures(unruled(places), stream=stream, gap_s=gap_s)
        self._links: list[_Link] = []
        self._frames = 0
        self._made = 0

    def process(self, tracked: TrackedFrame, tracks: Tracks) -> list[Event]:
        """Take the next frame; returns the passages of links that are over."""
        now_s = tracked.frame.time_s
        self._frames += 1
        taken = {(self._frames - ago, row) for _, ago, row in tracks.earlier_rows.tolist()}
        confirmed = [link for link in self._links if any(entry in taken for entry in link.rows.items())]
        self._links = [link for link in self._links if link not in confirmed]
        over = [link for link in self._links if now_s - link.seen_s > HOLD_S]
        self._links = [link for link in self._links if now_s - link.seen_s <= HOLD_S]
        current = self._link(tracked, _free(tracked.instances, tracks), now_s)
        gone = np.array(sorted(link.identity for link in (*confirmed, *over)), np.int64)
        events = self._measures.process(replace(tracked, tracks=_as_tracks(current, gone)))
        by_identity = {link.identity: link for link in (*self._links, *over)}
        for event in events:
            if event.kind in {"crossing", "enter"} and event.identity in by_identity:
                by_identity[event.identity].passed.append(event)
        return [event for link in over for event in _told(link)]

    def close(self) -> list[Event]:
        """Passages of what is still linked."""
        found = [event for link in self._links for event in _told(link)]
        self._links = []
        return found

    def _link(self, tracked: TrackedFrame, rows: Rows, now_s: float) -> list[tuple[_Link, int]]:
        """Give each free detection to the link it overlaps most, or begin one."""
        boxes = tracked.instances.boxes[rows].astype(np.float64)
        current: list[tuple[_Link, int]] = []
        overlaps: Floats = np.zeros((len(self._links), len(rows)))
        if self._links and len(rows):
            own = np.array([link.box for link in self._links], np.float32)
            overlaps = iou(own, tracked.instances.boxes[rows]).astype(np.float64)
        free = set(range(len(rows)))
        while overlaps.size and overlaps.max() >= LINK_IOU:
            number, column = (int(part) for part in np.unravel_index(int(overlaps.argmax()), overlaps.shape))
            overlaps[number], overlaps[:, column] = 0.0, 0.0
            link = self._links[number]
            link.box, link.seen_s, link.detections = boxes[column], now_s, link.detections + 1
            current.append((link, int(rows[column])))
            free.discard(column)
        for column in sorted(free):
            self._made += 1
            row = int(rows[column])
            link = _Link(
                identity=self._made,
                box=boxes[column],
                class_id=int(tracked.instances.class_ids[row]),
                seen_s=now_s,
                detections=1,
                rows={},
                passed=[],
            )
            self._links.append(link)
            current.append((link, row))
        for link, row in current:
            link.rows[self._frames] = row
            for old in [frame for frame in link.rows if frame <= self._frames - EARLIER_FRAMES]:
                del link.rows[old]
        return current


def _free(instances: Instances, tracks: Tracks) -> Rows:
    """Rows of the instances that are no identity's, and no second detection of one."""
    rows = np.setdiff1d(np.arange(len(instances)), tracks.detection_rows)
    if len(rows) and len(tracks):
        overlaps = iou(instances.boxes[rows], tracks.boxes)
        rows = rows[overlaps.max(axis=1) < DUPLICATE_IOU]
    return rows.astype(np.int64)


def _as_tracks(current: list[tuple[_Link, int]], gone: Rows) -> Tracks:
    """Links as tracks, so that lines and zones can be asked about them."""
    ordered = sorted(current, key=lambda entry: entry[0].identity)
    count = len(ordered)
    return Tracks(
        ids=np.array([link.identity for link, _ in ordered], np.int64),
        detection_rows=np.array([row for _, row in ordered], np.int64),
        boxes=np.array([link.box for link, _ in ordered], np.float32).reshape(-1, 4),
        velocities=np.zeros((count, 2), np.float32),
        class_ids=np.array([link.class_id for link, _ in ordered], np.int64),
        scores=np.zeros(count, np.float32),
        ages_s=np.zeros(count, np.float32),
        ended_ids=gone,
    )


def _told(link: _Link) -> list[Event]:
    """A link's passages, if it is more than noise; over a line back and forth is none."""
    return link.passed[:1] if link.detections >= LEAST_DETECTIONS else []
