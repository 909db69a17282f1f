"""Maps of presence: seconds beside rendered truth, and what they cost.

``python -m tests.bench.heatmap`` prints, for the scene ``checkout`` with true masks, the seconds of all cells beside
the true presence of all actors, and those in each zone beside the true ones; then the CPU time of the stage and the
bytes of a tile for 20, 100 and 300 objects that walk.
"""

from __future__ import annotations

import sys
import time
from dataclasses import replace

import cv2
import numpy as np

from demos.scenes.catalogue import open_recording
from tests.analytics.plans import site_of, spells_in
from tests.analytics.walks import tracked
from tracker.analytics.contact import ContactFinder
from tracker.analytics.heatmap import BRIDGE_S, Heatmap
from tracker.formats.heat_tiles import _packed
from tracker.heat import HeatSum
from tracker.site import Zone

RATES = (25.0, 12.5, 4.2)
FINE = 20
"""Pixels of a cell in which the share of it that a zone covers is found."""


def covered(zone: Zone, shape: tuple[int, ...]) -> np.ndarray:
    """Share of each cell that lies in a zone without holes."""
    rows, columns = shape
    mask = np.zeros((rows * FINE, columns * FINE), np.uint8)
    for polygon in zone.polygons:
        cv2.fillPoly(mask, [np.round(np.array(polygon) * (columns * FINE, rows * FINE)).astype(np.int32)], (1,))
    return mask.reshape(rows, FINE, columns, FINE).mean(axis=(1, 3))


def beside_truth(name: str, fps: float) -> None:
    recording = open_recording(name, size=(320, 180))
    scene, site = recording.scene, site_of(recording)
    finder, heatmap, total = ContactFinder([one.polygon for one in site.occluders]), Heatmap(), HeatSum()
    paths: dict[int, list[tuple[float, ...]]] = {}
    for frame in recording.tracked(fps):
        time_s = frame.frame.time_s
        contacts = finder.find(frame.instances, frame.frame.size)
        total.add_steps(heatmap.process(replace(frame, contacts=contacts)), frame.class_names)
        truth = scene.truth(time_s)
        for identity, contact in zip(truth.ids.tolist(), truth.contact_px / scene.size, strict=True):
            paths.setdefault(identity, []).append((time_s, *contact, 1.0))
    steps_s = [np.diff([sight[0] for sight in path]) for path in paths.values()]
    presence_s = sum(float(steps[steps <= BRIDGE_S].sum()) for steps in steps_s)
    grid = total.grid()
    told = f"{grid.sum():.2f} s in cells, {total.unplaced_s:.2f} s hidden, truth {presence_s:.2f} s"
    sys.stdout.write(f"{name} {fps:g} fps: {told}\n")
    for zone in site.zones:
        exact = replace(zone, enter_s=0.0, leave_s=0.01)
        spells = [one for path in paths.values() for one in spells_in(np.array(path), exact, scene.size, until_s=1e9)]
        true_s = sum(high - low for low, high in spells)
        sys.stdout.write(f"  {zone.name}: {(grid * covered(zone, grid.shape)).sum():.2f} s, truth {true_s:.2f} s\n")


def cost(count: int) -> None:
    rng = np.random.default_rng(0)
    places, steps = rng.random((count, 2)), (rng.random((count, 2)) - 0.5) * 0.004
    frames = []
    for index in range(300):
        places = np.clip(places + steps, 0, 0.999)
        frames.append(tracked(index, index / 25, {n + 1: (x, y) for n, (x, y) in enumerate(places.tolist())}))
    heatmap, total = Heatmap(start_utc_ms=0), HeatSum()
    begun_s = time.thread_time()
    found = [heatmap.process(frame) for frame in frames]
    took_ms = 1000 * (time.thread_time() - begun_s) / len(frames)
    for steps_of_frame in found:
        total.add_steps(steps_of_frame, frames[0].class_names)
    tile = total.tile("a", 0)
    size_kb = len(_packed(tile.keys, tile.values)) / 1000
    sys.stdout.write(f"{count} objects: {took_ms:.2f} ms a frame, a tile of {size_kb:.1f} kB\n")


if __name__ == "__main__":
    for rate in RATES:
        beside_truth("checkout", rate)
    for objects in (20, 100, 300):
        cost(objects)
