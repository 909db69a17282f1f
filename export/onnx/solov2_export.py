"""ONNX export of SOLOv2 checkpoints: uint8 frames to raw heads, of which masktrail makes the masks it needs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from export.networks.solov2_weights import configuration_of, load_checkpoint, random_network
from export.onnx.families import (
    checked_options,
    described,
    named_classes,
    parity,
    report,
    trial_frames,
    weights_facts,
    write_family_manifest,
    write_graph,
)

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from export.networks.solov2 import SoloV2

OUTPUTS = ("cate", "kernels", "features")


class SoloFrames(nn.Module):
    """Frames (1, H, W, 3) uint8 BGR -> cate (1, S, C), kernels (1, S, E), features (1, E, H / 4, W / 4)."""

    def __init__(self, network: SoloV2) -> None:
        super().__init__()
        self.network = network
        configuration = network.configuration
        self.flip = configuration.channels == "RGB"
        self.register_buffer("mean", torch.tensor(configuration.mean)[:, None, None])
        self.register_buffer("std", torch.tensor(configuration.std)[:, None, None])

    def forward(self, frames: Tensor) -> tuple[Tensor, ...]:
        """See the class."""
        images = frames.permute(0, 3, 1, 2).float()
        images = images.flip(1) if self.flip else images
        return tuple(self.network((images - self.mean) / self.std))


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
    classes = named_classes(options.classes, network.configuration.classes)
    module = SoloFrames(network).eval()
    metadata = described(
        contract="solo",
        family="solov2",
        name=options.name or options.config.replace("_", "-"),
        classes=classes,
        size=(height, width),
        licence=options.licence,
    )
    example = torch.zeros(1, height, width, 3, dtype=torch.uint8)
    write_graph(module, example, options.out, outputs=OUTPUTS, metadata=metadata)
    frames = trial_frames((height, width), val_sets)
    figures = {kind: parity(module, options.out, some, (height, width), OUTPUTS) for kind, some in frames.items()}
    facts = {"configuration": options.config, **weights_facts(options.weights)}
    manifest = write_family_manifest(options.out, metadata, command="solov2", facts=facts, figures=figures)
    report(options.out, figures, manifest)
