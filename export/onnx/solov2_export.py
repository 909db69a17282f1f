"""ONNX export of SOLOv2 checkpoints: uint8 frames to raw heads, of which masktrail makes the masks it needs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from export.networks.solov2_weights import configuration_of, load_checkpoint, random_network
from export.onnx.families import (
    NormalisedFrames,
    checked_options,
    described,
    export_family,
    named_classes,
)

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from torch import Tensor

OUTPUTS = ("cate", "kernels", "features")


class SoloFrames(NormalisedFrames):
    """Frames (1, H, W, 3) uint8 BGR -> cate (1, S, C), kernels (1, S, E), features (1, E, H / 4, W / 4)."""

    def forward(self, frames: Tensor) -> tuple[Tensor, ...]:
        """See the class."""
        return tuple(self.network(self.images(frames)))


def run(options: argparse.Namespace, val_sets: Sequence[Path]) -> None:
    """Export, compare, describe.

    Raises:
        ModelError: An option or the checkpoint is not usable; nothing was written.
    """
    configuration_of(options.config)
    height, width, seed = checked_options(options, (options.config,))
    if seed is None:
        network = load_checkpoint(Path(options.weights), options.config)
    else:
        network = random_network(options.config, seed)
    configuration = network.configuration
    classes = named_classes(options.classes, configuration.classes)
    module = SoloFrames(network, channels=configuration.channels, mean=configuration.mean, std=configuration.std)
    metadata = described(
        contract="solo",
        family="solov2",
        name=options.name or options.config.replace("_", "-"),
        classes=classes,
        size=(height, width),
        licence=options.licence,
    )
    export_family(module, options, val_sets, command="solov2", outputs=OUTPUTS, metadata=metadata, facts={})
