"""ONNX export of Segment Anything checkpoints: a folder with encoder, decoder and manifest for ``--outline``."""

from __future__ import annotations

import re
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from export.networks.sam import MEAN, STD
from export.networks.sam_weights import CONFIGURATIONS, load_checkpoint, random_network
from export.onnx.families import weights_facts
from export.onnx.manifest import quote, toml
from export.onnx.sam_graph import file_facts, write_promptable
from export.onnx.sam_parity import parity, trial_pictures
from tracker.errors import ModelError
from tracker.segment.promptable.folder import is_promptable

if TYPE_CHECKING:
    import argparse
    from collections.abc import Mapping, Sequence

    from export.networks.sam import Promptable

ENCODER, DECODER = "encoder.onnx", "decoder.onnx"
PROMPT = ("point_coords", "point_labels", "mask_input", "has_mask_input")
OUTPUTS = ("low_res_masks", "iou_predictions")
MOST_BOXES = 64


class EncoderGraph(nn.Module):
    """Normalised images (1, 3, S, S) -> features."""

    def __init__(self, network: Promptable) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """See the class."""
        return self.network.encode(images)


class DecoderGraph(nn.Module):
    """Features and prompts of B boxes -> mask logits (B, 1, 256, 256) and expected IoUs (B, 1)."""

    def __init__(self, network: Promptable) -> None:
        super().__init__()
        self.network = network

    def forward(self, *given: Tensor) -> tuple[Tensor, Tensor]:
        """See the class; inputs are the features, then `PROMPT`."""
        *features, coords, labels, mask, has_mask = given
        return self.network.decode(tuple(features), coords, labels, mask, has_mask)


def run(options: argparse.Namespace, val_sets: Sequence[Path]) -> None:
    """Export, compare, describe.

    Raises:
        ModelError: An option or the checkpoint is not usable; nothing was written.
    """
    seed = checked(options)
    unused: dict[str, int] = {}
    if seed is None:
        network, unused = load_checkpoint(Path(options.weights), options.config)
    else:
        network = random_network(CONFIGURATIONS[options.config], seed)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=options.out.parent, prefix=f".{options.out.name}-") as made:
        folder = Path(made)
        write_files(network, folder, boxes=options.boxes, metadata=described(options))
        pictures = trial_pictures(network.side_px, val_sets)
        figures = {kind: parity(network, folder, some, boxes=options.boxes) for kind, some in pictures.items()}
        write_manifest(folder, network, options, figures=figures, unused=unused)
        options.out.mkdir(exist_ok=True)
        for file in sorted(folder.iterdir()):
            shutil.move(file, options.out / file.name)
    report(options.out, figures, unused)


def checked(options: argparse.Namespace) -> int | None:
    """The seed of random weights.

    Raises:
        ModelError: An option that cannot be meant.
    """
    if options.config not in CONFIGURATIONS:
        known = ", ".join(CONFIGURATIONS)
        raise ModelError(f"--config {options.config}", "no such configuration", f"choose among {known}")
    if not 1 <= options.boxes <= MOST_BOXES:
        raise ModelError("--boxes", f"expected 1 to {MOST_BOXES}, found {options.boxes}", "try 1, or 8 for a GPU")
    if options.out.suffix == ".onnx" or options.out.is_file():
        raise ModelError(f"--out {options.out}", "expected a folder, found the name of a file", "try --out sam")
    if options.out.is_dir() and any(options.out.iterdir()) and not is_promptable(options.out):
        problem = "expected a new folder, or one of a Segment Anything export, found a folder with other files"
        raise ModelError(f"--out {options.out}", problem, "name another folder")
    random = re.fullmatch(r"random:(\d+)", options.weights)
    return int(random[1]) if random else None


def described(options: argparse.Namespace) -> dict[str, str]:
    """Metadata of both files."""
    found = {"masktrail.contract": "promptable", "masktrail.family": "segment-anything"}
    found["masktrail.name"] = options.name or f"sam-{options.config.replace('_', '-')}"
    return found | ({"masktrail.licence": options.licence} if options.licence else {})


def write_files(network: Promptable, folder: Path, *, boxes: int, metadata: Mapping[str, str]) -> None:
    """Encoder and decoder of fixed sizes, `boxes` prompts a run."""
    images = torch.zeros(1, 3, network.side_px, network.side_px)
    write_promptable(
        EncoderGraph(network),
        (images,),
        folder / ENCODER,
        inputs=("images",),
        outputs=network.features,
        metadata=metadata,
    )
    with torch.no_grad():
        features = network.encode(images)
    corners = torch.tensor([[0.25, 0.25], [0.75, 0.75]]) * network.side_px
    cells = 4 * features[0].shape[2]
    prompt = (
        corners.repeat(boxes, 1, 1),
        torch.tensor([[2.0, 3.0]]).repeat(boxes, 1),
        torch.zeros(boxes, 1, cells, cells),
        torch.zeros(boxes),
    )
    write_promptable(
        DecoderGraph(network),
        (*features, *prompt),
        folder / DECODER,
        inputs=(*network.features, *PROMPT),
        outputs=OUTPUTS,
        metadata=metadata,
    )


def write_manifest(
    folder: Path,
    network: Promptable,
    options: argparse.Namespace,
    *,
    figures: Mapping[str, Mapping[str, float]],
    unused: Mapping[str, int],
) -> None:
    """Write `manifest.toml`: what readers need, what was exported, how close it is."""
    tables: dict[str, dict[str, Any]] = {
        "promptable": {
            "encoder": ENCODER,
            "decoder": DECODER,
            "side": network.side_px,
            "resize": network.resize,
            "mask": "single",
        },
        "input": {"channels": "RGB"},
        "export": {
            "configuration": options.config,
            **weights_facts(options.weights),
            "boxes_a_run": options.boxes,
            **({"unused_keys": dict(unused)} if unused else {}),
            **file_facts(folder, (ENCODER, DECODER)),
        },
    }
    lines = ["# What the two files take and give, and what was measured on them. Written by `python -m export sam`."]
    lines += [f"name = {quote(described(options)['masktrail.name'])}"]
    lines += [f"licence = {quote(options.licence)}"] if options.licence else []
    for name, values in tables.items():
        lines += ["", f"[{name}]", *(f"{key} = {toml(value)}" for key, value in values.items())]
        lines += [f"mean = {list(MEAN)}", f"std = {list(STD)}"] if name == "input" else []  # to the last digit
    for kind, values in figures.items():
        lines += ["", f"[parity.{kind}]  # ONNX Runtime against PyTorch, both on the CPU"]
        lines += [f"{key} = {toml(value)}" for key, value in values.items()]
    (folder / "manifest.toml").write_text("\n".join(lines) + "\n", encoding="utf-8")


def report(folder: Path, figures: Mapping[str, Mapping[str, float]], unused: Mapping[str, int]) -> None:
    """Print what was written, how far ONNX Runtime is from PyTorch, and which keys nothing reads."""
    print(folder)
    for kind, found in figures.items():
        print(
            f"{kind} pictures: {100 * found['agreement']:.1f} % of {found['masks']} masks agree, mask IoU "
            f"{found['mask_iou']:.4f}, expected IoU within {found['iou_predictions_max_error']:.1g}; "
            f"{found['encode_ms']:.0f} ms of one core a picture, {found['decode_ms']:.0f} ms a run of the decoder"
        )
    if unused:
        listed = ", ".join(f"{part} ({count})" for part, count in unused.items())
        print(f"keys that single pictures do not need: {listed}")
    print(f"manifest: {folder / 'manifest.toml'}")
