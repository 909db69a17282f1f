"""ONNX export of a trained solov2-nano: a file of the contract `solo` with the manifest of a zoo model."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from export.networks.blend import average
from export.networks.solov2_nano import finished, solo_metadata
from export.networks.weights import load_solov2_nano, training_facts
from export.onnx.families import (
    described,
    parity,
    report,
    trial_frames,
    weights_facts,
    write_family_manifest,
    write_graph,
)
from export.onnx.manifest import accuracy_lines, toml
from export.onnx.solov2_export import OUTPUTS
from export.onnx.to_onnx import fold_focus
from export.training.evaluate import evaluate, table

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence
    from pathlib import Path

    from export.networks.solov2_nano import SoloNano

NAME = "solov2-nano"
DOUBLES_IOU = 0.7
"""Masks that overlap by more are of one object, in whatever classes: matrix NMS keeps classes apart."""


class SoloNanoFrames(nn.Module):
    """Frames (1, H, W, 3) uint8 BGR -> cate (1, S, C), kernels (1, S, E), features (1, E, H / 4, W / 4)."""

    def __init__(self, network: SoloNano) -> None:
        super().__init__()
        self.network = fold_focus(network)

    def forward(self, frames: Tensor) -> tuple[Tensor, ...]:
        """See the class."""
        trunk = self.network.trunk_of_blocks(frames.permute(0, 3, 1, 2).float())
        return tuple(finished(self.network.mask_head(trunk)))


def run(options: argparse.Namespace, val_sets: Sequence[Path]) -> None:
    """Export, compare, measure, describe.

    Raises:
        ModelError: The checkpoint or the size is not usable; nothing was written.
    """
    network = load_solov2_nano(options.weights)
    if options.average:
        average(network, [(file, load_solov2_nano(file)) for file in options.average])
    size = options.size
    solo = solo_metadata(*size)
    name = options.name or NAME
    metadata = described(
        contract="solo", family="solov2", name=name, classes=network.classes, size=size, licence=options.licence
    )
    metadata |= {
        "masktrail.version": options.version,
        "masktrail.solo": solo,
        "masktrail.activation": network.activation,
    }
    path = options.out / f"{name}-{size[0]}x{size[1]}.onnx"
    module = SoloNanoFrames(network).eval()
    write_graph(module, torch.zeros(1, *size, 3, dtype=torch.uint8), path, outputs=OUTPUTS, metadata=metadata)
    figures = {kind: parity(module, path, some, size, OUTPUTS) for kind, some in trial_frames(size, val_sets).items()}
    settings = {
        "score_threshold": options.score_threshold,
        "confirmation_score": options.confirmation_score,
        "iou_threshold": DOUBLES_IOU,
    }
    (options.out / "manifest.toml").unlink(missing_ok=True)  # its figures would be those of the file before
    described_as = {"command": NAME, "facts": weights_facts(str(options.weights)), "figures": figures}
    training = [f"{key} = {toml(value)}" for key, value in training_facts(options.weights).items()]
    target = options.out / "manifest.toml"
    manifest = write_family_manifest(path, metadata, **described_as, target=target, settings=settings)
    accuracy = {} if options.no_accuracy else {folder.name: evaluate(path, folder) for folder in val_sets}
    lines = accuracy_lines({"height": size[0], "width": size[1], "accuracy": accuracy})
    lines += ["", "[training]", *training] if training else []
    write_family_manifest(path, metadata, **described_as, target=target, settings=settings, more=lines)
    report(path, figures, manifest)
    if accuracy:
        print(table(accuracy))
