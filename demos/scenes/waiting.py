"""Exact waits of a scene: who stands in a queue's zone from when to when, by the speeds of its trajectories.

The rules are those of :class:`tracker.premises.Queue`, on the centres of the actors and without any picture.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

if TYPE_CHECKING:
    from demos.scenes.motion import Trajectory
    from demos.scenes.world import Scene

__all__ = ["TrueWait", "true_lengths", "true_waits"]

STEP_S = 0.01
"""To which beginnings of standing are known."""


@dataclass(frozen=True, kw_only=True)
class TrueWait:
    """One actor in a queue.

    Attributes:
        identity: Whose.
        joined_s: When it first stood in the zone; the scene's beginning where it stood then.
        left_s: When it reached the place of service, or left the zone for good; the scene's end where it did neither.
        end: Which of the three.
        seen: It joined after the beginning.
    """

    identity: int
    joined_s: float
    left_s: float
    end: Literal["served", "abandoned", "open"]
    seen: bool


def true_waits(
    scene: Scene,
    zone: str,
    served_at: str,
    *,
    still_m_s: float = 0.4,
    still_s: float = 2.0,
    reach_s: float = 10.0,
) -> list[TrueWait]:
    """Everybody's wait, in the order in which they begin.

    Args:
        scene: With a plan.
        zone: Name of the zone in which the queue stands.
        served_at: Name of the zone of service.
        still_m_s: Slower than this is standing.
        still_s: Seconds of standing, in all, from which one is in the queue.
        reach_s: Seconds from leaving the zone to the place of service.
    """
    stays = scene.stays({name: scene.plan.zones_m[name] for name in (zone, served_at)})
    presences = [(actor.identity, path) for actor in scene.actors for path in actor.trajectories]
    found = []
    for stay in (one for one in stays if one.zone == zone):
        own = (path for identity, path in presences if identity == stay.identity)
        path = next(one for one in own if one.start_s <= stay.entered_s <= one.end_s)
        standing = _standing(path, stay.entered_s, stay.left_s, still_m_s)
        arrivals = [one.entered_s for one in stays if one.zone == served_at and one.identity == stay.identity]
        served = min((at_s for at_s in arrivals if 0 <= at_s - stay.left_s <= reach_s), default=None)
        if len(standing) * STEP_S < still_s and served is None:
            continue
        joined_s = float(standing[0]) if len(standing) else served if served is not None else stay.entered_s
        end = "served" if served is not None else "open" if stay.end == "open" else "abandoned"
        left_s = served if served is not None else stay.left_s
        seen = joined_s > STEP_S
        found.append(TrueWait(identity=stay.identity, joined_s=joined_s, left_s=left_s, end=end, seen=seen))
    return sorted(found, key=lambda one: (one.joined_s, one.identity))


def true_lengths(waits: list[TrueWait], times_s: np.ndarray) -> np.ndarray:
    """How many stand in the queue at times ``(T,)``."""
    return np.sum([(one.joined_s <= times_s) & (times_s < one.left_s) for one in waits], axis=0, dtype=np.int64)


def _standing(path: Trajectory, low_s: float, high_s: float, still_m_s: float) -> np.ndarray:
    """The moments ``(M,)``, to a hundredth of a second, at which a trajectory is slower than that."""
    times_s = np.arange(low_s, high_s, STEP_S)
    poses = [path.at(time_s) for time_s in times_s.tolist()]
    slow = [pose is not None and float(np.linalg.norm(pose.velocity_m_s)) < still_m_s for pose in poses]
    return np.asarray(times_s[np.array(slow, np.bool_)])
