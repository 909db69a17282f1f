"""What a batch of any size takes: a simulation of nodes that fail, with measured speeds and prices that you name.

``python -m tests.bench.batch_simulation --hours 1000000 --nodes 200 --fps 60 --price 0.38 [--mtbf 720] [--json FILE]``

Recordings of random length go to the first free slot; a node fails at random (exponential), what ran on it is done
again, and another one replaces it. Reading from object storage is a rate that all nodes share, so that it can be seen
where it becomes the limit. Nothing here is measured but the speed that is given.
"""

from __future__ import annotations

import argparse
import heapq
import json
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

HOUR_S = 3600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Fleet:
    """Assumptions.

    Attributes:
        nodes: Machines.
        slots: Recordings at a time on each.
        fps: Frames per second of a whole node.
        price: Of a node's hour.
        mtbf_h: Mean hours between two failures of one node; 0 = never.
        notice_s: Until a failure is noticed.
        replace_s: Until another node is there, its model opened.
        network_gb_s: Of all nodes together, gigabytes per second.
    """

    nodes: int
    slots: int = 4
    fps: float = 60.0
    price: float = 0.38
    mtbf_h: float = 720.0
    notice_s: float = 6.0
    replace_s: float = 120.0
    network_gb_s: float = 50.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What came of it.

    Attributes:
        wall_h: Hours from start to end.
        cost: Of all nodes for that long.
        cost_per_hour: Of an hour of video.
        utilisation: Share of the slots' time that made results.
        redone: Share of all work that was done twice.
        failures: Of nodes.
        network: Share of the network that was used; from 1 on it is the limit, and the wall time is its.
    """

    wall_h: float
    cost: float
    cost_per_hour: float
    utilisation: float
    redone: float
    failures: int
    network: float


def simulate(
    fleet: Fleet, *, hours: float, length_h: float, video_fps: float, gb_per_h: float, rng: np.random.Generator
) -> Found:
    """One batch.

    Args:
        fleet: Who works.
        hours: Of video in all.
        length_h: Mean length of a recording; lengths are log-normal with a standard deviation of half of it.
        video_fps: Frames per second of the video.
        gb_per_h: Size of an hour of video.
        rng: For lengths and failures.
    """
    sigma = np.sqrt(np.log(1.25))
    count = max(round(hours / length_h), 1)
    lengths = rng.lognormal(np.log(length_h) - sigma**2 / 2, sigma, count)
    lengths *= hours / lengths.sum()
    work_s = lengths * HOUR_S * video_fps / (fleet.fps / fleet.slots)
    fails = rng.exponential(fleet.mtbf_h * HOUR_S, fleet.nodes) if fleet.mtbf_h else np.full(fleet.nodes, np.inf)
    free = [(0.0, number % fleet.nodes) for number in range(fleet.nodes * fleet.slots)]
    heapq.heapify(free)
    lost_s, failures, end_s = 0.0, 0, 0.0
    waiting = list(work_s[::-1])
    while waiting:
        at_s, node = heapq.heappop(free)
        need_s = waiting[-1]
        if at_s + need_s > fails[node]:  # the node fails under it; all its slots come back later
            broken_s = max(fails[node], at_s)
            lost_s += broken_s - at_s
            back_s = broken_s + fleet.notice_s + fleet.replace_s
            heapq.heappush(free, (back_s, node))
            if back_s > fails[node] + fleet.notice_s + fleet.replace_s or _last(free, node, fails[node]):
                failures += 1
                fails[node] = back_s + rng.exponential(fleet.mtbf_h * HOUR_S)
            continue
        waiting.pop()
        end_s = max(end_s, at_s + need_s)
        heapq.heappush(free, (at_s + need_s, node))
    read_s = hours * gb_per_h / fleet.network_gb_s
    wall_s = max(end_s, read_s)
    total_s = float(work_s.sum())
    cost = wall_s / HOUR_S * fleet.nodes * fleet.price
    return Found(
        wall_h=wall_s / HOUR_S,
        cost=cost,
        cost_per_hour=cost / hours,
        utilisation=total_s / (wall_s * fleet.nodes * fleet.slots),
        redone=lost_s / total_s,
        failures=failures,
        network=read_s / end_s,
    )


def _last(free: list[tuple[float, int]], node: int, failed_s: float) -> bool:
    """Whether no other slot of a node is still to meet its failure."""
    return not any(one == node and at_s < failed_s for at_s, one in free)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hours", type=float, default=1e6, help="hours of video (1,000,000)")
    parser.add_argument("--length", type=float, default=1.0, help="mean hours of a recording (1)")
    parser.add_argument("--video-fps", type=float, default=25.0)
    parser.add_argument("--gb-per-hour", type=float, default=1.0)
    parser.add_argument("--nodes", type=int, default=200)
    parser.add_argument("--slots", type=int, default=4)
    parser.add_argument("--fps", type=float, default=60.0, help="frames per second of a node")
    parser.add_argument("--price", type=float, default=0.38, help="of a node's hour, assumed")
    parser.add_argument("--mtbf", type=float, default=720.0, help="hours between two failures of a node; 0 = never")
    parser.add_argument("--network", type=float, default=50.0, help="GB/s of all nodes together")
    parser.add_argument("--json", type=Path)
    chosen = parser.parse_args()
    fleet = Fleet(
        nodes=chosen.nodes,
        slots=chosen.slots,
        fps=chosen.fps,
        price=chosen.price,
        mtbf_h=chosen.mtbf,
        network_gb_s=chosen.network,
    )
    found = simulate(
        fleet,
        hours=chosen.hours,
        length_h=chosen.length,
        video_fps=chosen.video_fps,
        gb_per_h=chosen.gb_per_hour,
        rng=np.random.default_rng(0),
    )
    text = json.dumps(asdict(found), indent=1)
    sys.stdout.write(text + "\n")
    if chosen.json is not None:
        chosen.json.write_text(text + "\n", "utf-8")


if __name__ == "__main__":
    main()
