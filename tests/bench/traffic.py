"""Measures of traffic against rendered truth, true masks and identities: errors by distance, and what they cost.

``python -m tests.bench.traffic [--seeds N] [--first SEED] [--width PX] [--fps F]`` prints speeds on the scene ``road``,
post-encroachment times and times to collision on ``junction``, and the thread's CPU time of ``TrafficMeasures`` per
frame.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from demos.scenes.junction import junction
from demos.scenes.road import road
from demos.scenes.vehicles import KINDS
from demos.scenes.world import Scene
from tests.analytics.grounds import site_over
from tests.analytics.worlds import tracked_truth
from tracker.analytics.measures import SiteMeasures
from tracker.analytics.traffic_measures import TrafficMeasures
from tracker.events import Event
from tracker.site import Site
from tracker.traffic import Traffic

LINES_M = {str(x): ((float(x), -3.9), (float(x), 14.5)) for x in (30, 34, 38, 44, 52, 60, 68, 76)}
BINS_M = ((0, 40), (40, 80))
AREA_M = ((-12.0, -12.0), (12.0, 12.0))


def measured(scene: Scene, site: Site, fps: float, duration_s: float) -> tuple[list[Event], list[float]]:
    """Events, and CPU seconds of each frame."""
    lines, traffic = SiteMeasures(site, stream="bench"), TrafficMeasures(site, stream="bench")
    found: list[Event] = []
    spent = []
    for frame in tracked_truth(scene, fps=fps, duration_s=duration_s):
        counted = replace(frame, events=lines.process(frame))
        began = time.thread_time()
        found += [*counted.events, *traffic.process(counted)]
        spent.append(time.thread_time() - began)
    return [*found, *lines.close(), *traffic.close()], spent


def speeds(seeds: int, size: tuple[int, int], fps: float, duration_s: float) -> Iterator[str]:
    rows: list[tuple[float, float, float, float]] = []
    crossed, spent = 0, []
    for seed in range(seeds):
        scene = road(seed=seed, size=size, duration_s=duration_s)
        site = site_over(scene, LINES_M, ("speed", "headway", "size"))
        events, seconds = measured(scene, site, fps, duration_s)
        spent += seconds
        crossed += sum(event.kind == "crossing" for event in events)
        paths = {actor.identity: actor.trajectories[0] for actor in scene.actors}
        kinds = {actor.identity: actor.kind for actor in scene.actors}
        at_m = np.array(scene.rig.camera.position_m[:2])
        for event in events:
            if event.kind == "speed":
                pose = paths[event.identity].at(event.time_s)
                true = float(np.linalg.norm(pose.velocity_m_s))
                far = float(np.linalg.norm(pose.position_m - at_m))
                rows.append((far, (event.value - true) / true, event.error / true, (event.value - true) / event.error))
        yield from sizes(events, kinds) if seed == 0 else ()
    table = np.array(rows)
    yield f"speeds: {len(table)} of {crossed} passages, {seeds} scenes of {duration_s:g} s at {fps:g} fps, {size[0]} px"
    for low, high in BINS_M:
        part = table[(table[:, 0] >= low) & (table[:, 0] < high)]
        off = np.abs(part[:, 1])
        yield (
            f"  {low} to {high} m: n {len(part)}, |error| median {np.median(off):.2%}, "
            f"90 % {np.percentile(off, 90):.2%}, mean error {part[:, 1].mean():+.2%}"
        )
        told, near = np.median(part[:, 2]), np.mean(np.abs(part[:, 3]) <= 2)
        yield f"    told standard error {told:.2%}, the error is within two of it for {near:.0%}"
    yield f"  cost: median {np.median(spent) * 1000:.2f} ms a frame, 95 % {np.percentile(spent, 95) * 1000:.2f} ms"


def sizes(events: list[Event], kinds: dict[int, str]) -> Iterator[str]:
    for name in ("height", "ground_area"):
        off = []
        for event in events:
            if event.kind == "size" and event.direction == name:
                length, width, height = KINDS[kinds[event.identity]].size_m
                off.append(event.value / (height if name == "height" else length * width) - 1)
        late = np.percentile(np.abs(off), 90)
        yield f"size, {name}: n {len(off)}, median error {np.median(off):+.0%}, 90 % |error| {late:.0%}"


def conflicts(seeds: int, size: tuple[int, int], fps: float, duration_s: float, *, first: int = 0) -> Iterator[str]:
    off, missed, besides, spent = [], 0, 0, []
    toward: list[tuple[float, float]] = []
    for seed in range(first, first + seeds):
        scene = junction(seed=seed, size=size, duration_s=duration_s)
        truth = {(one.first, one.second): one.seconds for one in scene.encroachments(AREA_M, most_s=5.0)}
        site = site_over(scene, {}, traffic=Traffic(time_to_collision_s=3.0, post_encroachment_s=5.0))
        events, seconds = measured(scene, site, fps, duration_s)
        spent += seconds
        found = {(e.other_identity, e.identity): e.value for e in events if e.kind == "post_encroachment"}
        closest = {(a.one, a.other): a.seconds for a in scene.approaches(AREA_M, most_s=3.0)}
        told = [event for event in events if event.kind == "time_to_collision"]
        pairs = {tuple(sorted((event.identity, event.other_identity))): event.value for event in told}
        toward += [(value, closest[pair]) for pair, value in pairs.items() if pair in closest]
        off += [found[pair] - true for pair, true in truth.items() if pair in found]
        missed += sum(pair not in found for pair in truth)
        besides += sum(pair not in truth for pair in found)
    errors = np.abs(np.array(off))
    yield (
        f"post-encroachment times up to 5 s: {len(off)} pairs, {missed} missed, {besides} besides; |error| median "
        f"{np.median(errors):.3f} s, 90 % {np.percentile(errors, 90):.3f} s, "
        f"within 0.1 s {np.mean(errors <= 0.1):.0%}, mean error {np.mean(off):+.3f} s"
    )
    late = np.abs(np.subtract(*np.transpose(toward)))
    yield (
        f"times to collision up to 3 s: {len(toward)} pairs, |error| median {np.median(late):.3f} s, "
        f"90 % {np.percentile(late, 90):.3f} s"
    )
    yield f"  cost: median {np.median(spent) * 1000:.2f} ms a frame, 95 % {np.percentile(spent, 95) * 1000:.2f} ms"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--first", type=int, default=0, help="first seed of junction")
    parser.add_argument("--width", type=int, default=1280)
    parser.add_argument("--fps", type=float, default=12.5)
    parser.add_argument("--seconds", type=float, default=20.0)
    asked = parser.parse_args()
    size = asked.width, asked.width * 9 // 16
    for line in (
        *speeds(asked.seeds, size, asked.fps, asked.seconds),
        *conflicts(asked.seeds, size, asked.fps, asked.seconds, first=asked.first),
    ):
        print(line, flush=True)  # noqa: T201 - the figures


if __name__ == "__main__":
    main()
