"""ONNX export of Mask R-CNN checkpoints: uint8 frames to boxes, scores, labels and one 28 x 28 mask per instance."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from export.networks.mask_rcnn import CONFIGURATIONS, MaskRcnn
from export.networks.mask_rcnn_weights import load_checkpoint, random_network
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
from tracker.errors import ModelError
from tracker.segment.contracts.decoder import COCO_CLASSES

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

OUTPUTS = ("boxes", "scores", "labels", "masks")


class MaskRcnnFrames(nn.Module):
    """Frames (1, H, W, 3) uint8 BGR -> boxes (1, K, 4) px, scores, labels (1, K), masks (1, K, 28, 28)."""

    def __init__(self, network: MaskRcnn) -> None:
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
        return tuple(value[None] for value in self.network((images - self.mean) / self.std))


def run(options: argparse.Namespace, val_sets: Sequence[Path]) -> None:
    """Export, compare, describe.

    Raises:
        ModelError: An option or the checkpoint is not usable; nothing was written.
    """
    height, width, seed = checked_options(options, tuple(CONFIGURATIONS))
    sizes = {
        "proposals": options.proposals,
        "instances": options.instances,
        "score_threshold": options.score_threshold,
    }
    if not 1 <= options.instances <= options.proposals:
        problem = f"expected 1 to --proposals {options.proposals}, found {options.instances}"
        raise ModelError("--instances", problem, "100 is usual")
    if seed is None:
        network = load_checkpoint(Path(options.weights), options.config, eps=options.batch_norm_eps, **sizes)
    else:
        network = random_network(options.config, seed, **sizes)
    configuration = network.configuration
    count = len(COCO_CLASSES) if configuration.coco_ids else configuration.classes - 1
    classes = named_classes(options.classes, count)
    module = MaskRcnnFrames(network).eval()
    metadata = described(
        contract="boxes-masks",
        family="mask-rcnn",
        name=options.name or f"mask-rcnn-{options.config.replace('_', '-')}",
        classes=classes,
        size=(height, width),
        licence=options.licence,
    )
    example = torch.zeros(1, height, width, 3, dtype=torch.uint8)
    write_graph(module, example, options.out, outputs=OUTPUTS, metadata=metadata)
    frames = trial_frames((height, width), val_sets)
    figures = {kind: parity(module, options.out, some, (height, width), OUTPUTS) for kind, some in frames.items()}
    facts = {"configuration": options.config, **weights_facts(options.weights), **sizes, "eps": configuration.eps}
    manifest = write_family_manifest(options.out, metadata, command="maskrcnn", facts=facts, figures=figures)
    report(options.out, figures, manifest)
