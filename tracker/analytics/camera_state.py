"""State of a camera from its own pictures: moved, frozen, covered or dark, with hysteresis in seconds.

Works on a small grey picture twice a second. A state begins when it has lasted for its time and is dated back to the
first picture that showed it; it ends likewise. Where one state makes another one impossible to tell, the other one
keeps what it was: in the dark nothing is said about covers, and behind a cover nothing about movement.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from tracker.analytics.displacement import TILE_PX, Tiles, edge_magnitudes

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from tracker.analytics.displacement import Floats, Spectra

    Picture = NDArray[np.uint8]

__all__ = ["STATES", "CameraChange", "CameraState", "StateKind"]

StateKind = Literal["dark", "frozen", "covered", "camera_moved"]
STATES: tuple[StateKind, ...] = ("dark", "frozen", "covered", "camera_moved")

SAMPLE_S, MOVEMENT_S = 0.5, 1.0
"""Seconds between two pictures that are looked at, and between two comparisons with the reference while all is well."""
FROZEN_S, COVERED_S, DARK_S, MOVED_S = 10.0, 3.0, 2.0, 2.0
"""A state begins after this time. Cameras that save bits repeat an empty scene for seconds, hence the long first."""
MOVING_S, LOST_S = 1.0, 10.0
"""The same for a camera that is moving now, and for a view that has nothing of the reference left."""
OVER_S = 2.0
"""A state is over after this time without it; frozen at once, so that nothing that moves is missed."""
DARK_BELOW, DARK_UNTIL = 30.0, 40.0
"""Of the brightest tenth of the picture, grey levels from 0 to 255."""
SAME_SHARE = 0.0005
"""Of the pixels, which may differ by two grey levels or more from the first picture of a standstill: less than the
smallest object that is found. Single pixels are compared: the lowest of live pictures half a second apart is 0.003, of
an empty corridor under a codec; sensors' noise gives 0.1 and more."""
REPEATS = 4
"""Pictures that must be the same, whatever their distance in time."""
MOVED_SHARE = 0.007
"""Of the picture's width: 13 px in 1080p, 4.5 px at 640 px; corners move that much at 0.7 degrees. Fixed cameras reach
0.001, one that is held in the hand 0.006."""
FAST_SHARE = 0.05
"""Motion within a second that is one even where the view is like the reference, as far things along a road are. A
camera in a car reaches 0.13; a crowd before a fixed one, taken for the scenery, 0.04."""
LOST_BELOW, COVERED_CELLS, FREE_CELLS = 0.4, 0.6, 0.4
"""A cell is lost below this share of its usual edges. The view is covered from this share of lost cells on, free again
below that one."""
GRID = (6, 8)
LEAST_EDGES, LEAST_CELLS = 0.01, 8
"""Mean edges of a cell with anything to see, and how many such cells there must be."""
FIRST_PICTURES = 4
"""Make the reference of a stream that has none: their median, so that what moves is not in it."""
HISTORY_S = 60.0
"""Time constant of the usual edges."""
APPEARANCE_S, APPEARANCE_SHARE = 30.0, 0.3
"""The view as it looks now follows light and seasons: every so often, and by how much."""
STEADY_CHECKS = 3
STILL_TILES = 3
"""A view with more tiles in their old place is not another view."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CameraChange:
    """A state that began at ``time_s``, or one that began at ``since_s`` and is over at ``time_s``."""

    kind: StateKind
    time_s: float
    since_s: float | None = None


class _Latch:
    """On after a time of yes, off after a time of no; dated back to the first of each."""

    def __init__(self, kind: StateKind) -> None:
        self._kind: StateKind = kind
        self.began_s: float | None = None
        self.turning_s: float | None = None

    def update(self, time_s: float, *, yes: bool, on_s: float, off_s: float = OVER_S) -> list[CameraChange]:
        """Take what the picture at a time says."""
        if yes == (self.began_s is not None):
            self.turning_s = None
            return []
        if self.turning_s is None:
            self.turning_s = time_s
        if time_s - self.turning_s < (on_s if yes else off_s) - 1e-6:
            return []
        return self.turn(self.turning_s)

    def turn(self, time_s: float) -> list[CameraChange]:
        """Change over as of a time."""
        since_s, self.turning_s = self.began_s, None
        self.began_s = time_s if since_s is None else None
        return [CameraChange(kind=self._kind, time_s=time_s, since_s=since_s)]


class CameraState:
    """State of one camera.

    Args:
        shape: ``(H, W)`` of its small pictures, 32 pixels or more each way.
        reference: Such a picture of the view on which lines and zones were drawn; ``None`` takes the stream's first
            seconds.

    Raises:
        ValueError: The pictures are too small.
    """

    def __init__(self, shape: tuple[int, int], reference: Picture | None = None) -> None:
        if min(shape) < TILE_PX:
            message = f"camera state: expected pictures of {TILE_PX} pixels or more each way, found {shape}"
            raise ValueError(message)
        self.shape = shape
        self._tiles = Tiles(shape)
        self._cuts = [
            np.linspace(0, side, parts + 1).astype(np.int64)[:-1] for side, parts in zip(shape, GRID, strict=True)
        ]
        sizes = [np.diff(cut, append=side) for cut, side in zip(self._cuts, shape, strict=True)]
        self._cell_px = np.outer(*sizes)
        self._latches = {kind: _Latch(kind) for kind in STATES}
        self._first: list[Picture] = []
        self._sampled_s: float | None = None
        self._moved_checked_s = self._appeared_s = -np.inf
        self._still: tuple[Picture, float, int] | None = None
        self._usual: Floats | None = None
        self._motions: deque[tuple[float, Floats]] = deque()
        self._reference: Picture | None = None
        self._appearance: NDArray[np.float32] | None = None
        self._unlike_s: float | None = None
        self._recent: deque[Spectra] = deque(maxlen=STEADY_CHECKS + 1)
        if reference is not None:
            self._set_reference(reference)

    @property
    def on(self) -> tuple[StateKind, ...]:
        """The states that last now."""
        return tuple(kind for kind, latch in self._latches.items() if latch.began_s is not None)

    def is_due(self, time_s: float) -> bool:
        """Whether the picture of this time is wanted."""
        return self._sampled_s is None or not 0 <= time_s - self._sampled_s < SAMPLE_S - 1e-6

    def note_motion(self, warp: Floats, size: tuple[int, int], time_s: float) -> None:
        """Take the motion of the picture since the frame before.

        Args:
            warp: ``(2, 3)`` image pixels of the frame before to those of this one.
            size: ``(width, height)`` of the picture in pixels.
            time_s: Media time of this frame.
        """
        middle = np.array(size) / 2
        shift = warp[:, :2] @ middle + warp[:, 2] - middle
        corner = float(np.hypot(*size)) / 2
        turned = corner * (warp[0, 0] - 1), corner * warp[1, 0]
        self._motions.append((time_s, np.array([*shift, *turned]) / size[0]))
        self._forget_motions(time_s)

    def update(self, picture: Picture, pixels: Picture, time_s: float) -> list[CameraChange]:
        """Take a picture.

        Args:
            picture: ``(H, W)`` grey, averaged to the small shape.
            pixels: ``(h, w)`` grey, single pixels of the same picture: resizing would hide that noise differs.
            time_s: Media time.

        Returns:
            States that began or are over.
        """
        elapsed_s = 0.0 if self._sampled_s is None else max(time_s - self._sampled_s, 0.0)
        self._sampled_s = time_s
        found = self._watch_standstill(pixels, time_s)
        dark, covered, moved = (self._latches[kind] for kind in ("dark", "covered", "camera_moved"))
        is_dark = _bright(picture) < (DARK_BELOW if dark.began_s is None else DARK_UNTIL)
        found += dark.update(time_s, yes=is_dark, on_s=DARK_S)
        if is_dark:
            covered.turning_s = moved.turning_s = self._unlike_s = None
            return found
        edges = edge_magnitudes(picture)
        if self._reference is None:
            self._first.append(picture)
            if len(self._first) < FIRST_PICTURES:
                return found
            self._set_reference(np.median(self._first, axis=0).astype(np.uint8))
        is_covered = self._is_covered(edges, elapsed_s)
        found += covered.update(time_s, yes=is_covered, on_s=COVERED_S)
        if is_covered or covered.began_s is not None:
            moved.turning_s = self._unlike_s = None
            return found
        return found + self._watch_movement(edges, time_s)

    def close(self) -> list[CameraChange]:
        """The stream is over, and with it the states that last."""
        if self._sampled_s is None:
            return []
        return [change for kind in self.on for change in self._latches[kind].turn(self._sampled_s)]

    def state(self) -> dict[str, Any] | None:
        """What :meth:`restore` needs, as arrays and plain values; ``None`` before the first picture."""
        if self._sampled_s is None:
            return None
        return {
            "time_s": self._sampled_s,
            "reference": self._reference,
            "appearance": self._appearance,
            "usual": self._usual,
            "latches": [[kind, one.began_s, one.turning_s] for kind, one in self._latches.items()],
        }

    def restore(self, state: Mapping[str, Any], *, shift_s: float = 0.0, same_view: bool = True) -> None:
        """Continue from :meth:`state` of pictures of the same shape.

        Args:
            state: What :meth:`state` returned.
            shift_s: Added to all times.
            same_view: Keep the reference; else the one that was given, or the next pictures, are the reference.
        """
        if same_view and state["reference"] is not None:
            self._set_reference(np.asarray(state["reference"], np.uint8))
            self._set_appearance(np.asarray(state["appearance"], np.float32))
            self._usual = None if state["usual"] is None else np.asarray(state["usual"], np.float64)
        self._sampled_s = float(state["time_s"]) + shift_s
        for kind, began_s, turning_s in state["latches"]:
            latch = self._latches[kind]
            latch.began_s = None if began_s is None else began_s + shift_s
            latch.turning_s = None if turning_s is None else turning_s + shift_s

    def _set_reference(self, picture: Picture) -> None:
        self._reference, self._first = picture, []
        edges = edge_magnitudes(picture)
        self._reference_spectra = self._tiles.spectra(edges)
        self._set_appearance(edges)

    def _set_appearance(self, edges: NDArray[np.float32]) -> None:
        self._appearance, self._appearance_spectra = edges, self._tiles.spectra(edges)

    def _watch_standstill(self, pixels: Picture, time_s: float) -> list[CameraChange]:
        """Whether the same picture comes again and again."""
        latch = self._latches["frozen"]
        if self._still is not None and self._still[0].shape == pixels.shape:
            first, since_s, repeats = self._still
            other = np.count_nonzero((pixels - first + 1) > 2) / pixels.size  # modulo 256: 255, 0 and 1 are the same
            if other < SAME_SHARE:
                self._still = first, since_s, repeats + 1
                if latch.began_s is None and repeats >= REPEATS and time_s - since_s >= FROZEN_S - 1e-6:
                    return latch.turn(since_s)
                return []
        self._still = pixels.copy(), time_s, 0
        return latch.turn(time_s) if latch.began_s is not None else []

    def _is_covered(self, edges: NDArray[np.float32], elapsed_s: float) -> bool:
        """Whether most cells with edges have lost them, against the stream's own history."""
        sums = np.add.reduceat(np.add.reduceat(edges, self._cuts[0], axis=0), self._cuts[1], axis=1)
        now = sums / self._cell_px
        if self._usual is None:
            self._usual = now
            return False
        seen = self._usual >= LEAST_EDGES
        lost = 0.0 if seen.sum() < LEAST_CELLS else float((now[seen] < LOST_BELOW * self._usual[seen]).mean())
        if lost < FREE_CELLS / 2:
            self._usual = self._usual + min(elapsed_s / HISTORY_S, 1.0) * (now - self._usual)
        return lost >= (COVERED_CELLS if self._latches["covered"].began_s is None else FREE_CELLS)

    def _watch_movement(self, edges: NDArray[np.float32], time_s: float) -> list[CameraChange]:
        """Whether the view is that of the reference."""
        latch, motion = self._latches["camera_moved"], self._motion(time_s)
        calm = motion < MOVED_SHARE and latch.turning_s is None
        if calm and 0 <= time_s - self._moved_checked_s < MOVEMENT_S - 1e-6:
            return []
        self._moved_checked_s = time_s
        now = self._tiles.spectra(edges)
        self._recent.append(now)
        against = self._tiles.compare(self._reference_spectra, now)
        if against.moved is None:
            against = self._tiles.compare(self._appearance_spectra, now)
        unlike = against.moved is None and against.still <= STILL_TILES
        if not unlike:
            self._unlike_s = None
        elif self._unlike_s is None:
            self._unlike_s = time_s
        if motion >= (MOVED_SHARE if unlike else FAST_SHARE):
            return latch.update(time_s, yes=True, on_s=MOVING_S)
        if against.moved is not None:
            if against.moved < MOVED_SHARE / 3:
                self._follow(edges, time_s)
            limit = MOVED_SHARE if latch.began_s is None else MOVED_SHARE / 2
            return latch.update(time_s, yes=against.moved >= limit, on_s=MOVED_S)
        if unlike and latch.began_s is None and self._is_steady(now):
            latch.turning_s = self._unlike_s if latch.turning_s is None else latch.turning_s
            return latch.update(time_s, yes=True, on_s=LOST_S)
        return []

    def _motion(self, time_s: float) -> float:
        """What the motions of the last second add up to, as a share of the width."""
        self._forget_motions(time_s)
        return float(np.linalg.norm(np.sum([motion for _, motion in self._motions], axis=0)))

    def _forget_motions(self, time_s: float) -> None:
        while self._motions and not time_s - 1.0 <= self._motions[0][0] <= time_s:
            self._motions.popleft()

    def _is_steady(self, now: Spectra) -> bool:
        """Whether the view, whichever it is, is that of some seconds ago: a crowd is not, a turned camera is."""
        if len(self._recent) <= STEADY_CHECKS:
            return False
        moved = self._tiles.compare(self._recent[0], now).moved
        return moved is not None and moved < MOVED_SHARE

    def _follow(self, edges: NDArray[np.float32], time_s: float) -> None:
        """Let the view as it looks now follow light and seasons; the reference itself stays."""
        if time_s - self._appeared_s >= APPEARANCE_S and self._appearance is not None:
            self._appeared_s = time_s
            self._set_appearance(self._appearance + np.float32(APPEARANCE_SHARE) * (edges - self._appearance))


def _bright(picture: Picture) -> float:
    """Grey level of the brightest tenth's darkest pixel, of every fourth pixel."""
    some = picture[::2, ::2].ravel()
    place = some.size - some.size // 10 - 1
    return float(np.partition(some, place)[place])
