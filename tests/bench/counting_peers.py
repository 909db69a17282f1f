"""Counts of every rendered scene beside those of other counters, on the same tracks.

``python -m tests.bench.counting_peers`` counts true masks and identities; with ``--model`` the default model looks at
the rendered pictures and the tracker gives identities (``--cache DIR`` keeps what it saw). Peers: supervision's
``LineZone`` with its default four corners and with the box's bottom centre, ``PolygonZone``, and counting by centroids
as Ultralytics documents it. The error of a scene is how many passages are too many or too few, summed over lines and
directions; for zones it is the same of those present, as the ledger's stays have them, in the mean over frames and
zones.
"""

from __future__ import annotations

import argparse
import pickle
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import supervision as sv

from demos.scenes.catalogue import names, open_recording
from demos.scenes.recording import Recording
from tests.analytics.plans import site_of
from tracker.analytics.measures import SiteMeasures
from tracker.associate.tracker import Tracker
from tracker.segment.session import OnnxSegmenter
from tracker.site import Line, Site, Zone
from tracker.types import TrackedFrame

SIZE, FPS = (640, 360), 12.5
OURS, CORNERS, BOTTOM, CENTROID, POLYGON = "ours", "LineZone", "LineZone bottom", "centroids", "PolygonZone"
LINE_PEERS = (OURS, CORNERS, BOTTOM, CENTROID)
Counts = dict[str, tuple[int, int]]
"""In and out by line."""


class Centroids:
    """Counting as Ultralytics' region counter documents it, in our directions.

    The segment from an identity's last box centre to this one is tested against the line's segment; each identity
    counts once for ever.
    """

    def __init__(self, line: Line, size: tuple[int, int]) -> None:
        self._pieces = list(pairwise(np.array(line.points) * size))
        self._last: dict[int, np.ndarray] = {}
        self._counted: set[int] = set()
        self.in_count = self.out_count = 0

    def trigger(self, ids: Sequence[int], boxes: np.ndarray) -> None:
        """Take the boxes ``(N, 4)`` of one frame."""
        for identity, centre in zip(ids, (boxes[:, :2] + boxes[:, 2:]) / 2, strict=True):
            before = self._last.get(identity, centre)
            self._last[identity] = centre
            if identity in self._counted:
                continue
            for start, end in self._pieces:
                sides = [_side(start, end, place) for place in (before, centre)]
                ends = [_side(before, centre, place) for place in (start, end)]
                if sides[0] * sides[1] < 0 and ends[0] * ends[1] < 0:
                    self._counted.add(identity)
                    self.in_count += sides[1] > 0
                    self.out_count += sides[1] < 0


def _side(start: np.ndarray, end: np.ndarray, place: np.ndarray) -> float:
    """Positive on the left of ``start -> end`` as seen on the screen."""
    return float((end - start)[1] * (place - start)[0] - (end - start)[0] * (place - start)[1])


class LineZones:
    """supervision's line, one per piece of a polyline."""

    def __init__(self, line: Line, size: tuple[int, int], anchors: Sequence[sv.Position] | None) -> None:
        options = {} if anchors is None else {"triggering_anchors": anchors}
        points = [sv.Point(*place) for place in (np.array(line.points) * size).tolist()]
        self._zones = [sv.LineZone(start=start, end=end, **options) for start, end in pairwise(points)]

    def trigger(self, ids: Sequence[int], boxes: np.ndarray) -> None:
        """Take the boxes ``(N, 4)`` of one frame."""
        if len(ids):
            found = sv.Detections(xyxy=boxes, tracker_id=np.array(ids), class_id=np.zeros(len(ids), int))
            for zone in self._zones:
                zone.trigger(found)

    @property
    def in_count(self) -> int:
        """Onto the left."""
        return sum(zone.in_count for zone in self._zones)

    @property
    def out_count(self) -> int:
        """Onto the right."""
        return sum(zone.out_count for zone in self._zones)


@dataclass(kw_only=True)
class Tally:
    """What all counters say of one scene.

    Attributes:
        lines: Counts by counter.
        present: Mean error of the presence per zone and frame, by counter.
        truth: The counts that are right.
    """

    lines: dict[str, Counts]
    truth: Counts
    present: dict[str, float] = field(default_factory=dict)

    def error(self, counter: str) -> int:
        """Passages too many or too few."""
        return sum(
            abs(found - true)
            for line, truth in self.truth.items()
            for found, true in zip(self.lines[counter][line], truth, strict=True)
        )


def tally(recording: Recording, site: Site, frames: Iterator[TrackedFrame]) -> Tally:
    """Count one scene with every counter on the same tracks."""
    measures = SiteMeasures(site, stream="scene")
    size = recording.scene.size
    peers = {
        CORNERS: {line.name: LineZones(line, size, None) for line in site.lines},
        BOTTOM: {line.name: LineZones(line, size, [sv.Position.BOTTOM_CENTER]) for line in site.lines},
        CENTROID: {line.name: Centroids(line, size) for line in site.lines},
    }
    polygons = {zone.name: _polygon_zones(zone, size) for zone in site.zones}
    spells = _present(recording)
    theirs: dict[str, list[int]] = {zone: [] for zone in polygons}
    times: list[float] = []
    events = []
    for frame in frames:
        events += measures.process(frame)
        rows = frame.tracks.detection_rows >= 0
        ids, boxes = frame.tracks.ids[rows].tolist(), frame.tracks.boxes[rows]
        for counters in peers.values():
            for counter in counters.values():
                counter.trigger(ids, boxes)
        times.append(frame.frame.time_s)
        for zone, held in polygons.items():
            theirs[zone].append(_inside(held, boxes))
    events += measures.close()
    errors: dict[str, list[float]] = {OURS: [], POLYGON: []}
    for zone, counts in theirs.items():
        stays = [(e.stay.entered_s, e.time_s) for e in events if e.kind == "leave" and e.place == zone]
        true = _at(times, spells[zone])
        errors[OURS] += np.abs(_at(times, stays) - true).tolist()
        errors[POLYGON] += np.abs(np.array(counts) - true).tolist()
    lines = {
        name: {line: (counter.in_count, counter.out_count) for line, counter in counters.items()}
        for name, counters in peers.items()
    }
    lines[OURS] = {
        line.name: tuple(  # type: ignore[misc]
            sum(e.kind == "crossing" and e.place == line.name and e.direction == way for e in events)
            for way in line.directions
        )
        for line in site.lines
    }
    means = {name: float(np.mean(values)) for name, values in errors.items() if values}
    return Tally(lines=lines, truth=true_counts(recording), present=means)


def true_counts(recording: Recording) -> Counts:
    """Passages of the actors' centres, sways and outages as an honest counter has them."""
    found = {}
    for name, line in recording.scene.plan.lines_m.items():
        signs = [one.direction for one in recording.scene.crossings(line)]
        found[name] = recording.counts.get(name, (signs.count(1), signs.count(-1)))
    return found


def _present(recording: Recording) -> dict[str, list[tuple[float, float]]]:
    """Spells of the actors' centres by zone."""
    plan = recording.scene.plan
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in plan.zones_m}
    for stay in recording.scene.stays(plan.zones_m):
        found[stay.zone].append((stay.entered_s, stay.left_s))
    return found


def _at(times: Sequence[float], spells: Sequence[tuple[float, float]]) -> np.ndarray:
    """How many spells hold each time ``(T,)``."""
    return np.array([sum(low <= time_s < high for low, high in spells) for time_s in times])


def _polygon_zones(zone: Zone, size: tuple[int, int]) -> list[sv.PolygonZone]:
    return [sv.PolygonZone(polygon=np.rint(np.array(ring) * size).astype(np.int64)) for ring in zone.polygons]


def _inside(zones: list[sv.PolygonZone], boxes: np.ndarray) -> int:
    """How many boxes stand in a zone; of several polygons an inner one is a hole."""
    if not len(boxes):
        return 0
    held = [zone.trigger(sv.Detections(xyxy=boxes)) for zone in zones]
    return int((np.sum(held, axis=0) % 2 == 1).sum())


def true_frames(recording: Recording, fps: float) -> Iterator[TrackedFrame]:
    """Frames with true masks and identities; who hides altogether is no detection."""
    return recording.tracked(fps)


def model_frames(recording: Recording, fps: float, segmenter: OnnxSegmenter, cache: Path | None) -> list[TrackedFrame]:
    """Frames as the default model sees the rendered pictures, tracked."""
    kept = None if cache is None else cache / f"{recording.name}.pkl"
    if kept is not None and kept.is_file():
        seen = pickle.loads(kept.read_bytes())
    else:
        pictures = (frame.frame for frame in recording.tracked(fps, shaded=True))
        seen = [(replace(frame, image=None), segmenter.segment([frame])[0]) for frame in pictures]
        if kept is not None:
            kept.parent.mkdir(parents=True, exist_ok=True)
            kept.write_bytes(pickle.dumps(seen))
    tracker = Tracker.for_model(segmenter)
    return [
        TrackedFrame(
            frame=frame,
            instances=instances,
            tracks=tracker.update(instances, frame.time_s),
            class_names=segmenter.class_names,
        )
        for frame, instances in seen
    ]


def main() -> None:
    """One row per scene, and the sums."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", action="store_true", help="the whole chain in place of true masks")
    parser.add_argument("--cache", type=Path, help="folder for what the model saw")
    parser.add_argument("--fps", type=float, default=FPS)
    parser.add_argument("scenes", nargs="*", default=names())
    chosen = parser.parse_args()
    segmenter = OnnxSegmenter("yolact-nano") if chosen.model else None
    sums, worst = dict.fromkeys(LINE_PEERS, 0), []
    sys.stdout.write(f"| scene | true in/out | {' | '.join(LINE_PEERS)} | presence: ours | PolygonZone |\n")
    for name in chosen.scenes:
        recording = open_recording(name, size=SIZE)
        site = site_of(recording)
        frames = (
            true_frames(recording, chosen.fps)
            if segmenter is None
            else iter(model_frames(recording, chosen.fps, segmenter, chosen.cache))
        )
        found = tally(recording, site, frames)
        cells = [name, _sum(found.truth)]
        for counter in LINE_PEERS:
            sums[counter] += found.error(counter)
            cells.append(f"{_sum(found.lines[counter])} ({found.error(counter)})" if found.truth else "")
        cells += [f"{found.present[counter]:.2f}" if found.present else "" for counter in (OURS, POLYGON)]
        best = min(found.error(counter) for counter in LINE_PEERS[1:])
        if found.error(OURS) > best:
            worst.append(name)
        sys.stdout.write(f"| {' | '.join(cells)} |\n")
        sys.stdout.flush()
    sys.stdout.write(f"errors in all: {sums}; a peer is better in: {', '.join(worst) or 'none'}\n")


def _sum(counts: Counts) -> str:
    return "/".join(str(sum(pair[way] for pair in counts.values())) for way in (0, 1)) if counts else ""


if __name__ == "__main__":
    main()
