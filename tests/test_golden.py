"""The main job on rendered worlds, against their exact truth: shipped model, tracker and records together."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import numpy as np
import pytest

from demos.scenes.road import road
from demos.scenes.shop import shop
from demos.scenes.world import Scene
from tracker import boxes
from tracker.associate.tracker import Tracker
from tracker.engine.run import serve
from tracker.engine.scheduler import Engine
from tracker.engine.steady import SteadyTracker
from tracker.engine.stream import Stream
from tracker.plugins import open_sink
from tracker.segment.session import OnnxSegmenter
from tracker.sources.frames import FrameSource

FPS = 10.0
DURATION_S = 8.0
CLEAR_VISIBILITY, CLEAR_AREA_PX = 0.7, 400
"""What a person would call plainly visible at 640 x 360."""


@pytest.fixture(scope="module")
def segmenter() -> OnnxSegmenter:
    return OnnxSegmenter("yolact-nano", threads=2)


def tracked(
    scene: Scene, segmenter: OnnxSegmenter, path: Path, duration_s: float = DURATION_S
) -> tuple[list[dict[str, object]], list[object]]:
    """Rows of the JSONL records, and the truth of every frame."""
    rendered = list(scene.frames(FPS, duration_s))
    stream = Stream(
        name="scene",
        open_source=FrameSource(frame for frame, _ in rendered).open,
        stages=[SteadyTracker(Tracker.for_model(segmenter))],
        open_sink=lambda _: open_sink(path, class_names=segmenter.class_names),
    )
    serve(stream, Engine(segmenter=segmenter))
    assert not stream.failures
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    return rows, [truth for _, truth in rendered]


@pytest.mark.quick("yolact-nano-8.0-road-classes0")
@pytest.mark.parametrize(("build", "classes"), [(road, {"car", "bus", "truck"}), (shop, {"person"})])
@pytest.mark.parametrize(("model", "duration_s"), [("yolact-nano", DURATION_S), ("solov2-nano", 3.0)])
def test_plainly_visible_objects_are_followed_under_one_number(
    build: object, classes: set[str], model: str, duration_s: float, tmp_path: Path
) -> None:
    segmenter = OnnxSegmenter(model, threads=2)
    rows, truths = tracked(build(seed=1), segmenter, tmp_path / "t.jsonl", duration_s)  # type: ignore[operator]
    by_frame = {frame: list(group) for frame, group in itertools.groupby(rows, key=lambda row: row["frame"])}
    followed: dict[int, list[int | None]] = {}
    for index, truth in enumerate(truths):
        clear = np.flatnonzero((truth.visibility >= CLEAR_VISIBILITY) & (truth.areas_px >= CLEAR_AREA_PX))
        seen = [row for row in by_frame.get(index, []) if row["class"] in classes and not row["coasting"]]
        overlaps = boxes.iou(
            np.asarray(truth.boxes[clear], float).reshape(-1, 4),
            np.array([row["box"] for row in seen], float).reshape(-1, 4),
        )
        for place, identity in enumerate(truth.ids[clear].tolist()):
            best = int(overlaps[place].argmax()) if seen else -1
            found = best >= 0 and overlaps[place, best] >= 0.5
            followed.setdefault(identity, []).append(seen[best]["id"] if found else None)
    long = {identity: ids for identity, ids in followed.items() if len(ids) >= FPS}
    assert len(long) >= 3, "the scene must show something"
    found_share = np.mean([number is not None for ids in long.values() for number in ids])
    assert found_share > 0.75, followed
    numbers = {identity: [number for number in ids if number is not None] for identity, ids in long.items()}
    steady = [max(ids.count(number) for number in set(ids)) / len(ids) for ids in numbers.values() if ids]
    assert np.mean(steady) > 0.85, numbers


def test_an_empty_road_has_no_identity(segmenter: OnnxSegmenter, tmp_path: Path) -> None:
    rows, _ = tracked(road(seed=1, traffic=0.0), segmenter, tmp_path / "t.jsonl", 2.0)
    assert rows == []


@pytest.mark.slow
def test_the_same_video_gives_the_same_bytes(segmenter: OnnxSegmenter, tmp_path: Path) -> None:
    for name in ("a.jsonl", "b.jsonl"):
        tracked(shop(seed=2), segmenter, tmp_path / name, 2.0)
    assert (tmp_path / "a.jsonl").read_bytes() == (tmp_path / "b.jsonl").read_bytes()
