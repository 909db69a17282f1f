"""Queues, footfall and bays counted afterwards: records give the rows of tracking again."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from demos.scenes.bays import bays
from demos.scenes.checkout import checkout
from demos.scenes.door import door
from demos.scenes.recording import Recording
from demos.scenes.world import Scene
from tests.analytics.premises import premises_of
from tests.engine.recorded import Chain
from tests.engine.test_analyse import by_key, recount
from tracker.alert_rules import AlertRule
from tracker.site import Site

SIZE = (320, 180)
FPS = 5.0
NOISE = {"miss_rate": 0.1, "jitter": 0.01}
KINDS = {"queue_join", "queue_leave", "group", "group_member", "staff", "re_entry", "passing", "bay_taken", "bay_free"}
KINDS |= {"alert"}


def recorded(build, seconds: float, *, ground: bool = False) -> tuple[Scene, Site]:
    scene = build(size=SIZE, duration_s=seconds)
    return scene, premises_of(Recording(scene=scene), ground=ground)


def alerts_of(site: Site) -> list[AlertRule]:
    """Rules that hold at times and are over again."""
    return [
        AlertRule(name=f"{queue.name} {for_s:g}", watch="queue", place=queue.name, over=0, for_s=for_s, clear_s=1)
        for queue in site.queues
        for for_s in (0.0, 0.7, 2.0)
    ]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("build", "seconds", "kinds"),
    [
        (checkout, 18.0, {"queue_join", "queue_leave"}),
        pytest.param(door, 24.0, {"group", "group_member", "staff", "passing"}, marks=pytest.mark.slow),
        pytest.param(bays, 32.0, {"bay_taken", "bay_free"}, marks=pytest.mark.slow),
    ],
)
def test_records_give_the_rows_of_tracking(tmp_path: Path, build, seconds: float, kinds: set[str]) -> None:
    scene, site = recorded(build, seconds, ground=build is checkout)
    site = replace(site, alerts=tuple(alerts_of(site)))
    files = [tmp_path / f"gate.{suffix}" for suffix in ("jsonl", "parquet")]
    live = Chain(scene, fps=FPS, noise=NOISE).record(site, *files)
    rows = [event for event in live if event.kind in KINDS]
    assert {event.kind for event in rows} >= kinds
    assert any(event.kind == "alert" for event in live) == (build is checkout)
    for path in files:
        found = recount([path], site)
        assert by_key([event for event in found if event.kind in KINDS]) == by_key(rows), path.suffix
        assert Counter(event.kind for event in found) == Counter(event.kind for event in live)
