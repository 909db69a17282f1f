"""Recordings of scenes with exactly known faults: identity switches, gaps, outages, uneven frames.

What a camera and a tracker make of a scene, where both are perfect except for the faults that are listed: counting
can be tested on the true silhouettes and identities at any frame rate, without a network and without a tracker.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import TYPE_CHECKING

import numpy as np

from demos.scenes.detector import clean_scores, detect
from demos.scenes.world import frame_count
from tracker.types import Frame, TrackedFrame, Tracks

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from datetime import datetime

    from numpy.typing import NDArray

    from demos.scenes.truth import SceneTruth
    from demos.scenes.world import Scene

__all__ = ["Faults", "Recording"]

FORGET_S = 2.0
"""An identity ends when it was last seen so long ago and never comes back."""


@dataclass(frozen=True, kw_only=True)
class Faults:
    """What goes wrong, in seconds of the scene; spans are ``from <= time < to``.

    Attributes:
        renamed: ``(from, identity, number)``: from then on the identity goes by another number, as after an identity
            switch; two entries at one time swap two identities.
        reclassified: ``(from, to, identity, class id)``.
        missed: ``(from, to, identity)``: not detected.
        outages: ``(from, to)``: the camera gives no frame.
        restarts: Moments at which the program is started again.
        uneven: Frame times wander by up to 45 % of their distance, by this seed; ``None`` = evenly spaced.
    """

    renamed: Sequence[tuple[float, int, int]] = ()
    reclassified: Sequence[tuple[float, float, int, int]] = ()
    missed: Sequence[tuple[float, float, int]] = ()
    outages: Sequence[tuple[float, float]] = ()
    restarts: Sequence[float] = ()
    uneven: int | None = None


@dataclass(frozen=True, kw_only=True)
class Recording:
    """A scene as it was recorded, and what an honest counter says of it.

    Attributes:
        scene: What happened; its plan has the lines and zones.
        faults: What went wrong.
        counts: Passages by line, ``(onto its left, onto its right)``, swaying on the line told as what it comes to.
        started_at: UTC of scene time 0, where that matters.
    """

    scene: Scene
    counts: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    faults: Faults = field(default_factory=Faults)
    started_at: datetime | None = None

    @property
    def name(self) -> str:
        """The scene's name."""
        return self.scene.name

    def times(self, fps: float) -> NDArray[np.float64]:
        """Seconds of the frames there are ``(F,)`` at a nominal rate, outages left out."""
        times = np.arange(frame_count(fps, self.scene.duration_s)) / fps
        if self.faults.uneven is not None:
            wander = np.random.default_rng(self.faults.uneven).uniform(-0.45, 0.45, len(times))
            times[1:] += wander[1:] / fps
        for low, high in self.faults.outages:
            times = times[(times < low) | (times >= high)]
        return times

    def observe(self, time_s: float) -> SceneTruth:
        """The truth of a moment under the numbers and classes that were seen, without what was missed."""
        return self._with_faults(self.scene.truth(time_s))

    def tracked(self, fps: float, *, shaded: bool = False, stride_px: int = 1) -> Iterator[TrackedFrame]:
        """Frames of a perfect segmenter and tracker, but for the faults.

        Args:
            fps: Nominal frames per second.
            shaded: Draw the pictures too.
            stride_px: Image pixels per cell of the mask grid.
        """
        ends = self._ends()
        born: dict[int, float] = {}
        seen: dict[int, tuple[float, NDArray[np.float32], float, int]] = {}
        for index, time_s in enumerate(self.times(fps).tolist()):
            rendered = self.scene.render(time_s) if shaded else None
            truth = self._with_faults(rendered.truth) if rendered else self.observe(time_s)
            instances = detect(
                truth, rng=np.random.default_rng(0), min_visibility=0.0, min_area_px=1, stride_px=stride_px
            )
            shown = np.flatnonzero(truth.areas_px > 0)
            order = np.argsort(-np.clip(clean_scores(truth, shown), 0.01, 0.99).astype(np.float32), kind="stable")
            row_of = {int(truth.ids[shown[place]]): row for row, place in enumerate(order)}
            before = {identity: (moment, box) for identity, (moment, box, _, _) in seen.items()}
            for identity, row in row_of.items():
                born.setdefault(identity, time_s)
                class_id = int(instances.class_ids[row])
                seen[identity] = (time_s, instances.boxes[row], float(instances.scores[row]), class_id)
            ended = sorted(i for i in seen if i not in row_of and time_s >= ends.get(i, 0.0) + FORGET_S)
            for identity in ended:
                del seen[identity]
            ids = sorted(seen)
            tracks = Tracks(
                ids=np.array(ids, np.int64),
                detection_rows=np.array([row_of.get(i, -1) for i in ids], np.int64),
                boxes=np.array([seen[i][1] for i in ids], np.float32).reshape(-1, 4),
                velocities=np.array([_velocity(before.get(i), seen[i]) for i in ids], np.float32).reshape(-1, 2),
                class_ids=np.array([seen[i][3] for i in ids], np.int64),
                scores=np.array([seen[i][2] for i in ids], np.float32),
                ages_s=np.array([time_s - born[i] for i in ids], np.float32),
                ended_ids=np.array(ended, np.int64),
            )
            frame = Frame(
                index=index,
                time_s=time_s,
                arrived_s=time.monotonic(),
                source=f"scene:{self.name}",
                size=self.scene.size,
                image=rendered.image if rendered else None,
            )
            yield TrackedFrame(
                frame=frame, instances=instances, tracks=tracks, class_names=list(self.scene.class_names)
            )

    def captured_at(self, time_s: float) -> datetime | None:
        """UTC of a moment of the scene, where its start is known."""
        return None if self.started_at is None else self.started_at + timedelta(seconds=time_s)

    def _number(self, identity: int, time_s: float) -> int:
        """What an identity goes by at a time."""
        number = identity
        for since, who, name in self.faults.renamed:
            if who == identity and time_s >= since:
                number = name
        return number

    def _ends(self) -> dict[int, float]:
        """The last moment at which each number may be seen."""
        ends: dict[int, float] = {}
        for actor in self.scene.actors:
            last = max(path.end_s for path in actor.trajectories)
            changes = [since for since, who, _ in self.faults.renamed if who == actor.identity]
            for moment in [0.0, *changes]:
                until = min([change for change in changes if change > moment], default=last)
                number = self._number(actor.identity, moment)
                ends[number] = max(ends.get(number, 0.0), until)
        return ends

    def _with_faults(self, truth: SceneTruth) -> SceneTruth:
        time_s = truth.time_s
        missed = {who for low, high, who in self.faults.missed if low <= time_s < high}
        rows = np.flatnonzero(~np.isin(truth.ids, list(missed)))
        ids = np.array([self._number(int(who), time_s) for who in truth.ids[rows]], np.int64)
        order = np.argsort(ids, kind="stable")
        seen = truth.take(rows[order], ids=ids[order])
        classes = seen.class_ids.copy()
        for low, high, who, class_id in self.faults.reclassified:
            if low <= time_s < high:
                classes[seen.ids == self._number(who, time_s)] = class_id
        return replace(seen, class_ids=classes)


def _velocity(
    before: tuple[float, NDArray[np.float32]] | None, now: tuple[float, NDArray[np.float32], float, int]
) -> tuple[float, float]:
    """Pixels per second of a box' centre since it was last seen."""
    if before is None or now[0] <= before[0]:
        return 0.0, 0.0
    moved = (now[1] - before[1]) / (now[0] - before[0])
    return float(moved[0] + moved[2]) / 2, float(moved[1] + moved[3]) / 2
