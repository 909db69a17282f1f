"""Masks of coasting tracks: their last coefficients on the prototypes of the new frame, inside the predicted box.

Coefficients say what an object looks like to the prototypes, not where it is, so they find its silhouette where it has
moved or turned (CrossVIS, Yang et al. 2021). Cells that a visible track owns are left out, and so is a mask of which
less than 30 % of the expected area remains: the object is hidden, or not where it was predicted.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from tracker import boxes as box_algebra
from tracker.masks.grid_masks import GridMasks
from tracker.masks.instance_masks import PROBABILITY_THRESHOLD
from tracker.types import PredictedMasks

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from tracker.masks.instance_masks import InstanceMasks
    from tracker.masks.prototypes import Prototypes
    from tracker.types import Instances, Tracks

    Rows = NDArray[np.int64]
    Known = tuple[NDArray[np.float32], float]  # coefficients, share of the box that the mask filled

__all__ = ["LEAST_SHARE", "MaskPredictor"]

LEAST_SHARE = 0.3
"""Of the expected area, below which a mask is left out. On rendered shops it drops 61 % of the masks, and of those left
0.57 is right in the place of 0.42 (`docs/experiments/association.md`)."""


@dataclass(slots=True, kw_only=True)
class _Seen:
    """The last update without its prototypes: which identity took which instance.

    Attributes:
        rows_of: The instance's row by identity.
        coefficients: ``(N, Q)`` of the instances.
        boxes: ``(N, 4)``.
        masks: Of the instances.
    """

    rows_of: dict[int, int]
    coefficients: NDArray[np.float32]
    boxes: NDArray[np.float32]
    masks: InstanceMasks


class MaskPredictor:
    """Predicts masks of the coasting tracks of one stream, one update per frame.

    Memory holds the masks of one frame, and the coefficients of each identity that is not seen and has not ended.
    """

    def __init__(self) -> None:
        self._known: dict[int, Known] = {}
        self._last: _Seen | None = None

    def update(self, instances: Instances, tracks: Tracks) -> PredictedMasks | None:
        """The masks of the tracks that coast in the next frame.

        Args:
            instances: Of the frame, with coefficients and prototypes; without them nothing is predicted.
            tracks: Of the same frame.

        Returns:
            ``None`` where no mask is left.
        """
        ids, rows = tracks.ids.tolist(), tracks.detection_rows.tolist()
        unseen = [place for place, row in enumerate(rows) if row < 0]
        for place in unseen:
            self._learn(ids[place])
        found = self._predict(instances, tracks, unseen) if unseen and instances.prototypes is not None else None
        self._forget(tracks)
        if self._last is not None:  # identities that the tracker does not report any more may coast again
            for identity in self._last.rows_of.keys() - set(ids) - set(tracks.ended_ids.tolist()):
                self._learn(identity)
        if instances.coefficients is None or instances.masks is None:
            self._last = None
        else:
            self._last = _Seen(
                rows_of={identity: row for identity, row in zip(ids, rows, strict=True) if row >= 0},
                coefficients=instances.coefficients,
                boxes=instances.boxes,
                masks=instances.masks,
            )
        return found

    def state(self) -> dict[str, Any]:
        """Everything needed to continue later, as plain arrays."""
        known = dict(self._known)
        if self._last is not None:
            known |= {identity: _known(self._last, row) for identity, row in self._last.rows_of.items()}
        return {
            "ids": np.array(list(known), np.int64),
            "coefficients": np.array([coefficients for coefficients, _ in known.values()], np.float32),
            "fills": np.array([fill for _, fill in known.values()], np.float64),
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Continue from what :meth:`state` returned."""
        coefficients = np.asarray(state["coefficients"], np.float32)
        rows = zip(state["ids"].tolist(), coefficients, state["fills"].tolist(), strict=True)
        self._known = {int(identity): (row, float(fill)) for identity, row, fill in rows}
        self._last = None

    def _learn(self, identity: int) -> None:
        """Keep what the last update knew of an identity that is not seen now."""
        if self._last is not None and identity in self._last.rows_of:
            self._known[identity] = _known(self._last, self._last.rows_of[identity])

    def _forget(self, tracks: Tracks) -> None:
        """Drop identities that are seen again or have ended."""
        if self._known:
            for identity in (*tracks.ids[tracks.detection_rows >= 0].tolist(), *tracks.ended_ids.tolist()):
                self._known.pop(identity, None)

    def _predict(self, instances: Instances, tracks: Tracks, unseen: list[int]) -> PredictedMasks | None:
        prototypes, ids = instances.prototypes, tracks.ids
        if prototypes is None:
            return None
        places = [place for place in unseen if _fits(self._known.get(int(ids[place])), prototypes)]
        if not places:
            return None
        known = [self._known[int(ids[place])] for place in places]
        boxes = tracks.boxes[places]
        inside = box_algebra.areas(box_algebra.clip(boxes, *prototypes.image_size))
        cell_px = prototypes.step_px[0] * prototypes.step_px[1]
        owned = _owned(instances, tracks.detection_rows[tracks.detection_rows >= 0], prototypes)
        grids, kept = [], []
        crops = prototypes.crops(np.array([coefficients for coefficients, _ in known]), boxes)
        for number, (top, left, part) in enumerate(crops):
            cut = slice(top, top + part.shape[0]), slice(left, left + part.shape[1])
            mask = np.where(owned[cut], np.float32(0), np.rint(part)).astype(np.uint8)
            expected = max(known[number][1] * float(inside[number]) / cell_px, 1.0)
            if np.count_nonzero(mask >= PROBABILITY_THRESHOLD) < LEAST_SHARE * expected:
                continue
            grid = np.zeros(prototypes.values.shape[1:], np.uint8)
            grid[cut] = mask
            grids.append(grid)
            kept.append(places[number])
        if not kept:
            return None
        masks = GridMasks(probabilities=np.array(grids), step_px=prototypes.step_px, image_size=prototypes.image_size)
        return PredictedMasks(rows=np.array(kept, np.int64), masks=masks)


def _known(last: _Seen, row: int) -> Known:
    step_x, step_y = last.masks.grid_step_px
    area_px = np.count_nonzero(last.masks.grid(row) >= PROBABILITY_THRESHOLD) * step_x * step_y
    box_px = float(box_algebra.areas(last.boxes[row : row + 1])[0])
    return last.coefficients[row].copy(), area_px / max(box_px, 1e-6)


def _fits(known: Known | None, prototypes: Prototypes) -> bool:
    """Whether there are coefficients, and of this network: a restored state may come from another one."""
    if known is None:
        return False
    try:
        prototypes.check(known[0][None])
    except ValueError:
        return False
    return True


def _owned(instances: Instances, rows: Rows, prototypes: Prototypes) -> NDArray[np.bool_]:
    """Cells ``(h, w)`` of the masks of the instances that tracks took."""
    owned = np.zeros(prototypes.values.shape[1:], np.bool_)
    if instances.masks is not None:
        for row in rows.tolist():
            owned |= instances.masks.grid(row) >= PROBABILITY_THRESHOLD
    return owned
