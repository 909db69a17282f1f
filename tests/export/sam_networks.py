"""Small networks of the Segment Anything family, the picture and the boxes that the originals were asked for."""

from __future__ import annotations

from functools import partial

import numpy as np

from export.networks.hiera import HieraConfiguration
from export.networks.sam import Promptable, Sam, Sam2
from export.networks.sam_vit import VitConfiguration
from export.networks.tiny_vit import TinyVitConfiguration

VIT = VitConfiguration(width=32, depth=3, heads=2, whole=(2,), patch_px=4, side_px=256, out=32)
TINY_VIT = TinyVitConfiguration(widths=(8, 16, 16, 320), depths=(1, 1, 2, 1), heads=(1, 2, 2, 10))
"""The original's last width and the size of its map are in its code."""
HIERA = HieraConfiguration(width=8, depths=(1, 1, 3, 1), whole=(3,), out=64)
NETWORKS: dict[str, partial[Promptable]] = {
    "vit_small": partial(Sam, VIT, heads=4, hidden=64),
    "tiny_vit_small": partial(Sam, TINY_VIT, heads=4, hidden=64),
    "hiera_small": partial(Sam2, HIERA),
}
SEED = 1
BOXES = np.array([[0.12, 0.08, 0.47, 0.55], [0.58, 0.15, 0.94, 0.4], [0.25, 0.22, 0.4, 0.36], [0.02, 0.02, 0.98, 0.6]])
"""Shares of the encoder's side."""


def picture(side_px: int) -> np.ndarray:
    """A picture (5 / 8 S, S, 3) uint8 BGR of smooth noise, reddish, which needs no resizing."""
    coarse = np.random.default_rng(1).integers(0, 200, (10, 16, 3)).astype(np.uint8)
    coarse[..., 2] += 55
    return np.ascontiguousarray(coarse.repeat(side_px // 16, axis=0).repeat(side_px // 16, axis=1))


def boxes(side_px: int) -> np.ndarray:
    """Boxes (4, 4) float32 xyxy in pixels."""
    return (BOXES * side_px).astype(np.float32)
