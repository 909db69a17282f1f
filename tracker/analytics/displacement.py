"""Displacement of a small grey picture against a reference: phase correlation of edges, tile by tile.

Phase correlation (Kuglin and Hines 1975) of overlapping tiles, and a shift with rotation and scale fitted to the tiles
that agree. Tiles with moving objects, or without texture, have no common peak and drop out. Edges are magnitudes over
the local brightness, so neither dimmed light nor contrast of the other sign moves them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Spectra = NDArray[np.complexfloating]

__all__ = ["Displacement", "Tiles", "edge_magnitudes"]

TILE_PX = 32
TILE_STEP_PX = 26
"""About; tiles overlap where the window has faded them."""
SOFTNESS = 8.0
"""Grey levels added to the local brightness: below it edges are noise."""
BANDWIDTH = 0.22
"""Standard deviation of the spectral weight, cycles a pixel: finer detail is noise of sensors and codecs."""
LEAST_PEAK = 0.22
"""Of the correlation, 1 for the same tile, from which a tile's shift is believed."""
AGREEING_PX = 0.75
LEAST_TILES, LEAST_SHARE, LEAST_SPREAD = 5, 0.5, 0.15
"""How many believed tiles must agree, what share of them, and how far they lie apart (as the standard deviation about
their centre over the picture's diagonal; 0.29 where they lie everywhere)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Displacement:
    """How a picture lies against its reference.

    Attributes:
        moved: Shift as a share of the picture's width, ``None`` where too few tiles agree on any. Rotation and scale
            are in it by what they move the corners: 0.01 is 1 % of the width, or about 1 degree.
        still: Tiles that lie where they were.
    """

    moved: float | None
    still: int


class Tiles:
    """Tiles of pictures of one shape.

    Args:
        shape: ``(H, W)`` of the pictures, :data:`TILE_PX` or more each.
    """

    def __init__(self, shape: tuple[int, int]) -> None:
        self._width, self._diagonal = shape[1], float(np.hypot(*shape))
        corners = [
            np.rint(np.linspace(0, side - TILE_PX, max(round((side - TILE_PX) / TILE_STEP_PX), 0) + 1)).astype(np.int64)
            for side in shape
        ]
        top, left = (part.ravel() for part in np.meshgrid(*corners, indexing="ij"))
        inner = np.arange(TILE_PX)
        self._rows, self._columns = (top[:, None] + inner)[:, :, None], (left[:, None] + inner)[:, None, :]
        middle = np.stack([left, top], axis=1) + TILE_PX / 2
        self._centres = middle - np.array(shape[::-1]) / 2  # (T, 2) x, y from the picture's centre
        slope = np.hanning(TILE_PX + 2)[1:-1]
        self._window = (slope[:, None] * slope).astype(np.float32)
        across, down = np.fft.rfftfreq(TILE_PX), np.fft.fftfreq(TILE_PX)
        self._weight = np.exp(-(across**2 + down[:, None] ** 2) / (2 * BANDWIDTH**2)).astype(np.float32)
        self._weight[0, 0] = 0.0
        twice = np.full(len(across), 2.0)
        twice[[0, -1]] = 1.0
        self._full = float((self._weight * twice).sum()) / TILE_PX**2  # the peak of two equal tiles

    def spectra(self, edges: NDArray[np.float32]) -> Spectra:
        """Spectra ``(T, n, n // 2 + 1)`` of the tiles of edges ``(H, W)``."""
        tiles = edges[self._rows, self._columns]
        tiles -= tiles.mean(axis=(1, 2), keepdims=True)
        return np.fft.rfft2(tiles * self._window)

    def compare(self, reference: Spectra, now: Spectra) -> Displacement:
        """How a picture lies against its reference, both as :meth:`spectra`."""
        shifts, peaks = self._shifts(reference, now)
        believed = peaks >= LEAST_PEAK
        shifts = shifts[believed]
        still = int((np.abs(shifts) <= AGREEING_PX).all(axis=1).sum())
        return Displacement(moved=self._fit(shifts, self._centres[believed]), still=still)

    def _shifts(self, reference: Spectra, now: Spectra) -> tuple[Floats, Floats]:
        """Shift ``(T, 2)`` of each tile in pixels, and its peak ``(T,)``."""
        cross = np.conj(reference) * now
        size = np.abs(cross)
        cross *= self._weight / (size + 1e-6 * size.max(axis=(1, 2), keepdims=True) + 1e-12)
        surface = np.fft.irfft2(cross, s=(TILE_PX, TILE_PX))
        every = np.arange(len(surface))
        y, x = np.divmod(surface.reshape(len(surface), -1).argmax(axis=1), TILE_PX)
        peaks = surface[every, y, x]
        fine_x = _top(surface[every, y, x - 1], peaks, surface[every, y, (x + 1) % TILE_PX])
        fine_y = _top(surface[every, y - 1, x], peaks, surface[every, (y + 1) % TILE_PX, x])
        half = TILE_PX // 2
        shifts = np.stack([(x + half) % TILE_PX - half + fine_x, (y + half) % TILE_PX - half + fine_y], axis=1)
        return shifts, peaks / self._full

    def _fit(self, shifts: Floats, centres: Floats) -> float | None:
        """Shift, rotation and scale of the tiles that agree, least squares on what is near the fit before."""
        if len(shifts) < LEAST_TILES:
            return None
        fitted = np.broadcast_to(np.median(shifts, axis=0), shifts.shape)
        reach, values = 3 * AGREEING_PX, np.zeros(4)
        near: NDArray[np.bool_] = np.ones(len(shifts), np.bool_)
        for _ in range(4):
            near = np.asarray((np.abs(shifts - fitted) <= reach).all(axis=1))
            if near.sum() < LEAST_TILES:
                return None
            values = _similarity(shifts[near], centres[near])
            fitted = _moved(values, centres)
            reach = max(reach / 2, AGREEING_PX)
        spread = float(np.hypot(*centres[near].std(axis=0)))
        if near.mean() < LEAST_SHARE or spread < LEAST_SPREAD * self._diagonal:
            return None
        corner = float(np.hypot(values[2], values[3])) * self._diagonal / 2
        return float(np.hypot(np.hypot(values[0], values[1]), corner)) / self._width


def edge_magnitudes(picture: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Edges ``(H, W)`` of a grey picture: gradient over brightness, so independent of how bright the light is."""
    grey = picture.astype(np.float32)
    across, down = np.zeros_like(grey), np.zeros_like(grey)
    across[:, 1:-1] = grey[:, 2:] - grey[:, :-2]
    down[1:-1] = grey[2:] - grey[:-2]
    return np.asarray(np.sqrt(across * across + down * down) / (2 * (grey + SOFTNESS)), np.float32)


def _top(before: Floats, peak: Floats, after: Floats) -> Floats:
    """Offset of a parabola's top through three neighbours, half a pixel at most."""
    bend = before - 2 * peak + after
    return np.where(bend < 0, np.clip((before - after) / (2 * np.minimum(bend, -1e-12)), -0.5, 0.5), 0.0)


def _similarity(shifts: Floats, centres: Floats) -> Floats:
    """Shift x, y, and scale less 1 and rotation about the picture's centre: ``(4,)``, linear for small ones."""
    x, y = centres.T
    one, none = np.ones(len(x)), np.zeros(len(x))
    system = np.concatenate([np.stack([one, none, x, -y], axis=1), np.stack([none, one, y, x], axis=1)])
    return np.asarray(np.linalg.lstsq(system, np.concatenate([shifts[:, 0], shifts[:, 1]]), rcond=None)[0])


def _moved(values: Floats, centres: Floats) -> Floats:
    x, y = centres.T
    return np.stack([values[0] + values[2] * x - values[3] * y, values[1] + values[2] * y + values[3] * x], axis=1)
