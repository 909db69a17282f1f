"""Rendered scenes with truth masks: counts are exact, times within one frame."""

from __future__ import annotations

import numpy as np
import pytest

from demos.scenes import script
from demos.scenes.world import Scene
from tests.analytics.walks import of, run
from tests.analytics.worlds import on_screen, pillar, tracked_truth
from tracker.site import Line, Site

RATES = (25.0, 12.5, 4.2)
SCENES = {
    "crossing": (script.crossing, ((5.5, 0.0), (11.0, 0.0))),
    "u_turn": (script.u_turn, ((5.5, 0.0), (11.0, 0.0))),
    "stop_and_go": (script.stop_and_go, ((5.5, 0.6), (11.0, 0.6))),
    "group_walk": (script.group_walk, ((5.2, 0.0), (11.0, 0.0))),
    "overtaking": (script.overtaking, ((12.0, 0.0), (26.0, 0.0))),
}


def compare(scene: Scene, line_m, fps: float, site_parts=None) -> None:
    line = Line(name="line", points=on_screen(scene, *line_m))
    site = Site(lines=(line,), **(site_parts or {}))
    found = of(run(site, tracked_truth(scene, fps=fps)), "crossing")
    truth = scene.crossings(line_m)
    expected = sorted((one.identity, "in" if one.direction > 0 else "out") for one in truth)
    assert sorted((event.identity, event.direction) for event in found) == expected
    times = {(one.identity, "in" if one.direction > 0 else "out"): one.time_s for one in truth}
    late = [event.time_s - times[event.identity, event.direction] for event in found]
    assert np.abs(late).max(initial=0) <= 1 / fps, late


@pytest.mark.quick("crossing-25.0", "overtaking-12.5", "group_walk-12.5", "u_turn-12.5", "stop_and_go-4.2")
@pytest.mark.parametrize("fps", RATES)
@pytest.mark.parametrize("name", SCENES)
def test_counts_equal_the_truth(name: str, fps: float) -> None:
    build, line_m = SCENES[name]
    compare(build(), line_m, fps)


@pytest.mark.parametrize("fps", RATES)
def test_behind_a_declared_pillar(fps: float) -> None:
    scene = script.full_occlusion()
    compare(scene, ((6.5, 0.0), (11.0, 0.0)), fps, {"occluders": (pillar(scene, 6.0, 0.0, 1.8),)})
