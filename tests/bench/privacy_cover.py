"""Share of true silhouettes of persons that covered pictures leave bare, on rendered scenes.

``python -m tests.bench.privacy_cover [--seconds 20] [--scenes all] [--outline FOLDER]``. Detections are true masks, the
same going missing in bursts (6 % of the frames begin one of 3 frames), or the default model's on the rendered pictures,
outlined with ``--outline``. Frames come at 12.5 fps. ``now`` fills what is detected in the frame itself, ``held`` is
``--privacy fill``, ``page`` the dashboard's 5 fps, ``second`` the second pass.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from demos.scenes.catalogue import names, open_recording
from demos.scenes.detector import detect
from demos.scenes.truth import CLASS_NAMES
from tests.bench.outlined import add_outline, outline_stage
from tracker.associate.tracker import Tracker
from tracker.engine.covered import CoveredSink, Covering
from tracker.engine.second_pass import SecondPass
from tracker.measure.privacy_check import Coverage
from tracker.refine.spool import Spool
from tracker.sinks.base import Sink
from tracker.types import Frame, Instances, TrackedFrame

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Sequence

    from numpy.typing import NDArray

    from demos.scenes.truth import SceneTruth
    from demos.scenes.world import Scene

PERSON = 0
FPS = 12.5
SHOWN_FPS = 5.0
BURST_START, BURST_FRAMES = 0.06, 3


class Bursts:
    """True masks, each of which goes missing now and then for some frames.

    Args:
        chance: That a burst begins in a frame, for each object.
    """

    def __init__(self, chance: float) -> None:
        self._chance = chance
        self._random = np.random.default_rng(0)
        self._left: dict[int, int] = {}

    def __call__(self, truth: SceneTruth) -> Instances:
        kept = []
        for row, identity in enumerate(truth.ids.tolist()):
            left = self._left.get(identity, 0)
            if left == 0 and self._random.random() < self._chance:
                left = BURST_FRAMES
            self._left[identity] = max(left - 1, 0)
            if left == 0:
                kept.append(row)
        return detect(truth.take(np.array(kept, np.int64)), rng=self._random, min_visibility=0.0, min_area_px=1)


def frames(
    scene: Scene, seconds: float, kind: str, folder: str | None = None
) -> Iterator[tuple[TrackedFrame, SceneTruth]]:
    """Tracked frames with their truth; ``kind``: ``true``, ``bursts`` or ``model``."""
    tracker: Any
    if kind == "model":
        from tracker.segment.session import OnnxSegmenter
        from tracker.sources.convert import PADDING
        from tracker.types import Letterbox

        segmenter, outline = OnnxSegmenter(threads=1), outline_stage(folder)
        tracker = Tracker.for_model(segmenter)
    else:
        tracker, found = Tracker(), Bursts(BURST_START if kind == "bursts" else 0.0)
    for number in range(round(seconds * FPS)):
        at_s = number / FPS
        if kind == "model":
            rendered = scene.render(at_s)
            truth = rendered.truth
            width, height = segmenter.network_size
            padded = np.full((height, width, 3), PADDING, np.uint8)
            rows, columns = rendered.image.shape[:2]
            padded[:rows, :columns] = rendered.image
            letterbox = Letterbox.fit(truth.size, segmenter.network_size, keep_aspect=segmenter.keep_aspect)
            frame = shown(truth, number, network_image=padded, letterbox=letterbox, image=rendered.image)
            instances = segmenter.segment([frame])[0]
        else:
            truth = scene.truth(at_s)
            frame, instances = shown(truth, number), found(truth)
        tracks = tracker.update(instances, at_s)
        found_now = TrackedFrame(frame=frame, instances=instances, tracks=tracks, class_names=scene.class_names)
        yield (found_now if kind != "model" or outline is None else outline.process(found_now.divided())), truth


def shown(truth: SceneTruth, index: int, **images: Any) -> Frame:
    """The frame of a truth."""
    return Frame(
        index=index, time_s=truth.time_s, arrived_s=time.monotonic(), source="scene", size=truth.size, **images
    )


def visible(truth: SceneTruth, class_ids: Collection[int]) -> NDArray[np.bool_]:
    """Pixels of objects of some classes."""
    rows = np.flatnonzero(np.isin(truth.class_ids, list(class_ids)))
    return np.isin(truth.labels, rows + 1)


class Check(Sink):
    """Adds up what covered pictures leave bare; frames come in the order of their truths."""

    def __init__(self, truths: Sequence[SceneTruth], class_ids: Collection[int], path: Path | None = None) -> None:
        self.coverage = Coverage()
        self._truths, self._class_ids, self._path = truths, class_ids, path

    def write(self, tracked_frame: TrackedFrame) -> None:
        picture = tracked_frame.frame.image
        assert picture is not None
        truth = self._truths[tracked_frame.frame.index]
        self.coverage.add(picture, visible(truth, self._class_ids), truth.time_s, 0)

    def close(self) -> None:
        if self._path is not None:
            self._path.touch()


def second_pass(
    spool: Spool, truths: Sequence[SceneTruth], class_names: Sequence[str], folder: Path, covering: Covering
) -> Coverage:
    """What the rewritten video of a recording leaves bare."""
    checks: list[Check] = []

    def open_sink(path: Path, *, kind: str | None = None) -> Sink:
        del kind
        checks.append(Check(truths, covering.class_ids, path))
        return CoveredSink(checks[-1], covering)

    target = folder / "second.mp4"
    target.touch()
    pictures = (with_picture(shown(truth, number), truth) for number, truth in enumerate(truths))
    second = SecondPass(
        spool=spool, class_names=class_names, open_sink=open_sink, pictures=lambda: contextlib.nullcontext(pictures)
    )
    rewritten = second.run([target])
    assert not rewritten.problem, rewritten.problem
    return checks[0].coverage


def with_picture(frame: Frame, truth: SceneTruth) -> Frame:
    """A white picture: what is not filled is bare."""
    return replace(frame, image=np.full((truth.size[1], truth.size[0], 3), 255, np.uint8))


def measure(
    scene: Scene,
    seconds: float,
    kind: str,
    shown_fps: float,
    *,
    second: bool = False,
    class_ids: Iterable[int] = (PERSON,),
    outline: str | None = None,
) -> dict[str, Any]:
    """Coverage of one scene: of the frame alone, live, on the dashboard, and after the second pass."""
    truths: list[SceneTruth] = []
    covering = Covering(mode="fill", class_ids=frozenset(class_ids))
    spent_s, due_s = 0.0, 0.0
    checks = {name: Check(truths, covering.class_ids) for name in ("now", "held", "page")}
    sinks = {name: CoveredSink(checks[name], covering) for name in ("held", "page")}
    with contextlib.closing(Spool()) as spool, tempfile.TemporaryDirectory() as folder:
        for tracked, truth in frames(scene, seconds, kind, outline):
            truths.append(truth)
            pictured = replace(tracked, frame=with_picture(tracked.frame, truth))
            spool.sink.write(tracked)
            started_s = time.perf_counter()
            sinks["held"].write(pictured)
            spent_s += time.perf_counter() - started_s
            if truth.time_s >= due_s - 1e-6:
                due_s += 1 / shown_fps
                sinks["page"].write(pictured)
            alone = CoveredSink(checks["now"], covering)
            alone.write(pictured)
            alone.close()
        for sink in sinks.values():
            sink.close()
        found = {name: check.coverage for name, check in checks.items()}
        if second:
            found["second"] = second_pass(spool, truths, scene.class_names, Path(folder), covering)
    result: dict[str, Any] = {"scene": scene.name, "detections": kind}
    for name, coverage in found.items():
        result |= {
            f"{name}_bare_percent": round(100 * coverage.bare / max(coverage.pixels, 1), 3),
            f"{name}_frames_over_1_percent": round(100 * coverage.leaking / max(coverage.frames, 1), 1),
        }
    return result | {"bare_px": found["held"].bare, "cover_ms": round(1000 * spent_s / max(len(truths), 1), 2)}


def main() -> None:
    """One line per scene and kind of detections."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--kinds", nargs="*", default=["true", "bursts", "model"])
    parser.add_argument("--shown-fps", type=float, default=SHOWN_FPS)
    parser.add_argument("--scenes", nargs="*", default=["shop", "checkout", "door"], help="names, or all")
    parser.add_argument("--everything", action="store_true", help="cover all classes, not persons alone")
    add_outline(parser)
    arguments = parser.parse_args()
    class_ids = range(len(CLASS_NAMES)) if arguments.everything else (PERSON,)
    for name in names() if arguments.scenes == ["all"] else arguments.scenes:
        for kind in arguments.kinds:
            scene = open_recording(name, size=(640, 360), seed=1).scene
            seconds = min(arguments.seconds, scene.duration_s)
            options = {"second": True, "class_ids": class_ids, "outline": arguments.outline}
            result = measure(scene, seconds, kind, arguments.shown_fps, **options)
            sys.stdout.write(json.dumps(result) + "\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main()
