"""Second pass over a tracked recording: whole tracks, filled gaps, final identities.

The steps use the whole recording, which a tracker that runs forward does not have:

1. calibrate scores per class (:mod:`tracker.refine.evidence`);
2. extend tracklets backward to instances before their confirmation (:mod:`tracker.refine.recover`);
3. drop tracklets whose instances together do not have enough evidence;
4. stitch tracklets of one object (:mod:`tracker.refine.stitch`);
5. fill short gaps by linear interpolation. Predictions of the first pass after the last instance of a track are left
   out (kept, they cost 0.2 HOTA on the people sets);
6. smooth the boxes (:mod:`tracker.refine.smooth`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from tracker import boxes as box_math
from tracker.refine.evidence import chances_of, convincing
from tracker.refine.recording import Recording, majority
from tracker.refine.recover import extend_backward
from tracker.refine.smooth import smooth
from tracker.refine.stitch import stitch

if TYPE_CHECKING:
    from collections.abc import Callable

Floats = NDArray[np.float64]
Rows = NDArray[np.int64]

__all__ = ["Refined", "refine"]

LONGEST_GAP_S = 2.0
"""The tracker's own ``lost_s``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Refined:
    """The rows of a refined recording, ordered by frame, then identity.

    Attributes:
        frames: ``(R,)`` frame, from 0.
        ids: ``(R,)`` identity, gapless from 1 in order of first instance.
        detections: ``(R,)`` flat row of the instance, -1 where the row fills a gap.
        boxes: ``(R, 4)`` xyxy, image px, smoothed.
        velocities: ``(R, 2)`` px/s of the centre.
        class_ids: ``(R,)`` by vote over the identity's whole life.
        scores: ``(R,)`` the instance's; filled rows lie between those at either end.
        ages_s: ``(R,)`` seconds since the identity was first seen.
        befores, afters: ``(R,)`` flat rows of the instances at either end of a gap; both the row itself where seen.
        shares: ``(R,)`` position of a filled row between the two, as a share of the gap's duration, in 0..1.
    """

    frames: Rows
    ids: Rows
    detections: Rows
    boxes: Floats
    velocities: Floats
    class_ids: Rows
    scores: Floats
    ages_s: Floats
    befores: Rows
    afters: Rows
    shares: Floats

    def __len__(self) -> int:
        return len(self.frames)

    def rows(self, frame: int) -> slice:
        """The rows of one frame."""
        first, last = np.searchsorted(self.frames, [frame, frame + 1])
        return slice(int(first), int(last))


def refine(
    recording: Recording,
    tracklets: list[Rows],
    *,
    embeddings: Floats | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Refined:
    """Refine the tracks of a first pass.

    Args:
        recording: All instances, matched or not.
        tracklets: Flat rows of each identity of the first pass; see
            :func:`tracker.refine.recording.tracklets_of`.
        embeddings: ``(N, E)`` mean embedding of each tracklet, zero where there is none, or ``None``.
        progress: Called with steps done and their number.
    """
    total = len(recording.times_s) + len(tracklets)
    tell = progress or (lambda _done, _total: None)
    chances = chances_of(recording, tracklets)
    tracklets = extend_backward(recording, tracklets, chances, progress=lambda done, _: tell(done, total))
    kept = [number for number, rows in enumerate(tracklets) if convincing(rows, chances)]
    joined = stitch(recording, [tracklets[number] for number in kept], None if embeddings is None else embeddings[kept])
    joined.sort(key=lambda rows: int(rows[0]))
    frames, measured = recording.frames, recording.measured
    parts = []
    for done, rows in enumerate(joined, 1):
        parts.append(_rows_of(recording, rows, identity=done, frames=frames, measured=measured))
        tell(total - len(joined) + done, total)
    return _ordered(parts)


def _rows_of(
    recording: Recording, tracklet: Rows, *, identity: int, frames: Rows, measured: Floats
) -> dict[str, NDArray[np.generic]]:
    """All rows of one identity, seen and filled; fields as in :class:`Refined`."""
    own = frames[tracklet]
    times_s = recording.times_s[own]
    values, rates = smooth(measured[tracklet], times_s)
    # Frames between two instances, where the gap is short.
    steps = np.diff(own, append=own[-1] + 1)
    steps[:-1][np.diff(times_s) > LONGEST_GAP_S] = 1
    left = np.repeat(np.arange(len(own)), steps)
    offsets = np.arange(len(left)) - np.repeat(np.cumsum(steps) - steps, steps)
    right = np.where(offsets > 0, left + 1, left)
    now = own[left] + offsets
    now_s = recording.times_s[now]
    span_s = np.maximum(times_s[right] - times_s[left], 1e-9)
    shares = np.where(offsets > 0, (now_s - times_s[left]) / span_s, 0.0)
    fraction = shares[:, None]  # (R, 1)
    scores = recording.scores[tracklet]
    places = (1 - fraction) * values[left] + fraction * values[right]
    slopes = (values[right] - values[left]) / span_s[:, None]
    return {
        "frames": now,
        "ids": np.full(len(now), identity),
        "detections": np.where(offsets > 0, -1, tracklet[left]),
        "boxes": box_math.xyxy_from_cxcywh(places),
        "velocities": np.where(offsets[:, None] > 0, slopes, rates[left])[:, :2],
        "class_ids": np.full(len(now), majority(recording.class_ids[tracklet], scores)),
        "scores": (1 - shares) * scores[left] + shares * scores[right],
        "ages_s": now_s - times_s[0],
        "befores": tracklet[left],
        "afters": tracklet[right],
        "shares": shares,
    }


def _ordered(parts: list[dict[str, NDArray[np.generic]]]) -> Refined:
    """The rows of all identities by frame, then identity."""
    empty: dict[str, NDArray[np.generic]] = {
        name: np.zeros(0, np.int64) for name in ("frames", "ids", "detections", "class_ids", "befores", "afters")
    }
    empty |= {name: np.zeros(0) for name in ("scores", "ages_s", "shares")}
    empty |= {"boxes": np.zeros((0, 4)), "velocities": np.zeros((0, 2))}
    columns: dict[str, NDArray[np.generic]] = {
        name: np.concatenate([part[name] for part in parts]) if parts else empty[name] for name in empty
    }
    order = np.lexsort((columns["ids"], columns["frames"]))
    return Refined(**{name: column[order] for name, column in columns.items()})  # type: ignore[arg-type]
