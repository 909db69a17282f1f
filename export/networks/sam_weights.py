"""Published configurations of Segment Anything, and checkpoints under their publishers' names."""

from __future__ import annotations

import re
from functools import partial
from typing import TYPE_CHECKING

import torch

from export.networks.checkpoints import load_strict, randomised, read_state
from export.networks.hiera import HieraConfiguration
from export.networks.sam import Promptable, Sam, Sam2
from export.networks.sam_vit import VitConfiguration
from export.networks.tiny_vit import TinyVitConfiguration

if TYPE_CHECKING:
    from pathlib import Path

CONFIGURATIONS: dict[str, partial[Promptable]] = {
    "vit_b": partial(Sam, VitConfiguration(width=768, depth=12, heads=12, whole=(2, 5, 8, 11))),
    "vit_l": partial(Sam, VitConfiguration(width=1024, depth=24, heads=16, whole=(5, 11, 17, 23))),
    "vit_h": partial(Sam, VitConfiguration(width=1280, depth=32, heads=16, whole=(7, 15, 23, 31))),
    "vit_t": partial(Sam, TinyVitConfiguration()),
}
HIERAS = {
    "tiny": HieraConfiguration(depths=(1, 2, 7, 2), whole=(5, 7, 9)),
    "small": HieraConfiguration(depths=(1, 2, 11, 2), whole=(7, 10, 13)),
    "base_plus": HieraConfiguration(width=112, heads=2, depths=(2, 3, 16, 3), whole=(12, 16, 20), coarse=14),
    "large": HieraConfiguration(width=144, heads=2, depths=(2, 6, 36, 4), whole=(23, 33, 43), windows=(8, 4, 16, 8)),
}
for version in ("sam2.1", "sam2"):
    CONFIGURATIONS |= {f"{version}_hiera_{size}": partial(Sam2, hiera) for size, hiera in HIERAS.items()}


def load_checkpoint(path: Path, name: str) -> tuple[Promptable, dict[str, int]]:
    """The network with the weights of a file, and what of the file a single picture does not need.

    Returns:
        The network, and numbers of unused keys by the first part of their names.

    Raises:
        ModelError: The file cannot be read, or does not fit to the last key.
    """
    build, state = CONFIGURATIONS[name], read_state(path)
    unused: dict[str, int] = {}
    for key in state:
        part = re.match(build.func.unused, key)
        if part:
            unused[part[0]] = unused.get(part[0], 0) + 1
    remedy = "take the file whole, as its publisher has it, and its --config: " + ", ".join(CONFIGURATIONS)
    network = load_strict(build, state, label=path, ignored=rf"(?:{build.func.unused}).*", remedy=remedy)
    if not isinstance(network, Promptable):
        message = f"{name}: expected a promptable network, found {type(network).__name__}"
        raise TypeError(message)
    return network, unused


def random_network(build: partial[Promptable], seed: int) -> Promptable:
    """Random weights whose masks and scores differ with picture, box and mask prompt."""
    network = build()
    randomised(network, seed)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for key, value in network.state_dict().items():
            if key.endswith("gaussian_matrix"):
                value.normal_(0, 1, generator=generator)
            elif ".neck.convs." in key:  # SAM 2 has no norm behind it
                value.mul_(0.25)
            elif key.endswith("mask_downscaling.6.weight"):
                value.mul_(4)
    return network
