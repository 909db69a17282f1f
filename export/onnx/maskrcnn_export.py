"""ONNX export of Mask R-CNN checkpoints: uint8 frames to boxes, scores, labels and one 28 x 28 mask per instance."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from export.networks.mask_rcnn import CONFIGURATIONS
from export.networks.mask_rcnn_weights import load_checkpoint, random_network
from export.onnx.families import (
    NormalisedFrames,
    checked_options,
    described,
    export_family,
    named_classes,
)
from tracker.errors import ModelError
from tracker.segment.contracts.decoder import COCO_CLASSES

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from torch import Tensor

OUTPUTS = ("boxes", "scores", "labels", "masks")


class MaskRcnnFrames(NormalisedFrames):
    """Frames (1, H, W, 3) uint8 BGR -> boxes (1, K, 4) px, scores, labels (1, K), masks (1, K, 28, 28)."""

    def forward(self, frames: Tensor) -> tuple[Tensor, ...]:
        """See the class."""
        return tuple(value[None] for value in self.network(self.images(frames)))


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
    module = MaskRcnnFrames(network, channels=configuration.channels, mean=configuration.mean, std=configuration.std)
    metadata = described(
        contract="boxes-masks",
        family="mask-rcnn",
        name=options.name or f"mask-rcnn-{options.config.replace('_', '-')}",
        classes=classes,
        size=(height, width),
        licence=options.licence,
    )
    facts = {**sizes, "eps": configuration.eps}
    export_family(module, options, val_sets, command="maskrcnn", outputs=OUTPUTS, metadata=metadata, facts=facts)
