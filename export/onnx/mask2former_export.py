"""ONNX export of Mask2Former checkpoints with a Swin backbone: uint8 frames to class and mask logits per query.

The network is Hugging Face transformers' (Cheng et al. 2022; Apache-2.0 code, of which the published weights are
CC-BY-NC 4.0), which the export alone needs: `pip install "transformers>=5,<6"`. One change: sampling places are cast
to the features' type, since they are float64 in a trace, for which ONNX Runtime has no GridSample.
"""

from __future__ import annotations

import contextlib
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from export.networks.checkpoints import listed, load_strict, read_state
from export.onnx.families import (
    NormalisedFrames,
    checked_options,
    described,
    export_family,
    named_classes,
)
from tracker.errors import ModelError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator, Sequence

OUTPUTS = ("class_queries_logits", "masks_queries_logits")
MEAN, STD = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)
SWINS: dict[str, dict[str, Any]] = {
    "swin-tiny": {"embed_dim": 96, "depths": [2, 2, 6, 2], "num_heads": [3, 6, 12, 24], "window_size": 7},
    "swin-small": {"embed_dim": 96, "depths": [2, 2, 18, 2], "num_heads": [3, 6, 12, 24], "window_size": 7},
    "swin-base": {"embed_dim": 128, "depths": [2, 2, 18, 2], "num_heads": [4, 8, 16, 32], "window_size": 12},
    "swin-large": {"embed_dim": 192, "depths": [2, 2, 18, 2], "num_heads": [6, 12, 24, 48], "window_size": 12},
}
QUERIES = {"swin-large": 200}  # else 100
TRAINING = r"criterion\..+|.+\.relative_position_index|.+\.num_batches_tracked"
REMEDY = "give the folder or the weights file as Hugging Face has it, and its --config: " + ", ".join(SWINS)


class QueryFrames(NormalisedFrames):
    """Frames (1, H, W, 3) uint8 BGR -> class logits (1, Q, C + 1), mask logits (1, Q, H / 4, W / 4)."""

    def forward(self, frames: Tensor) -> tuple[Tensor, Tensor]:
        """See the class."""
        found = self.network(pixel_values=self.images(frames))
        return found.class_queries_logits, found.masks_queries_logits


@contextlib.contextmanager
def single_precision_sampling() -> Iterator[None]:
    """`grid_sample` whose places have the features' type."""
    original = functional.grid_sample

    def sample(features: Tensor, places: Tensor, *rest: Any, **options: Any) -> Tensor:
        return original(features, places.to(features.dtype), *rest, **options)

    functional.grid_sample = sample
    try:
        yield
    finally:
        functional.grid_sample = original


def transformers() -> Any:
    """The package.

    Raises:
        ModelError: It is not installed.
    """
    try:
        import transformers as package
    except ImportError as error:
        problem, remedy = "expected the package transformers, found none", 'pip install "transformers>=5,<6"'
        raise ModelError("mask2former", problem, remedy) from error
    package.logging.set_verbosity_error()
    return package


def build(name: str, classes: int) -> nn.Module:
    """A network of a published configuration with fresh weights."""
    package = transformers()
    stages = ["stage1", "stage2", "stage3", "stage4"]
    backbone = package.SwinConfig(**SWINS[name], image_size=224, drop_path_rate=0.3, out_features=stages)
    configuration = package.Mask2FormerConfig(
        backbone_config=backbone, num_labels=classes, num_queries=QUERIES.get(name, 100)
    )
    configuration._attn_implementation = "eager"  # noqa: SLF001 - the traceable one; the constructor takes no other way
    return package.Mask2FormerForUniversalSegmentation(configuration).requires_grad_(requires_grad=False).eval()


def load_checkpoint(path: Path, name: str) -> nn.Module:
    """The network with the weights of a file, or of a folder with its own `config.json`.

    Raises:
        ModelError: The file cannot be read, or does not fit to the last key.
    """
    if not path.is_dir():
        state = read_state(path)
        head = state.get("class_predictor.weight")
        classes = 80 if head is None else len(head) - 1
        return load_strict(
            lambda: build(name, classes), state, label=path, ignored=TRAINING, remedy=REMEDY, on_meta=False
        )
    package = transformers()
    try:
        network, found = package.Mask2FormerForUniversalSegmentation.from_pretrained(
            str(path), output_loading_info=True, local_files_only=True, attn_implementation="eager", dtype=torch.float32
        )
    except (OSError, ValueError) as error:
        problem = f"expected a folder of Hugging Face, found: {str(error).splitlines()[0]}"
        raise ModelError(path, problem, REMEDY) from error
    for kind in ("missing", "unexpected"):
        keys = sorted(key for key in found[f"{kind}_keys"] if not re.fullmatch(TRAINING, str(key)))
        if keys or found.get("mismatched_keys"):
            raise ModelError(path, f"{len(keys)} keys {kind}: {listed(keys)}", REMEDY)
    return network.requires_grad_(requires_grad=False).eval()


def run(options: argparse.Namespace, val_sets: Sequence[Path]) -> None:
    """Export, compare, describe.

    Raises:
        ModelError: An option or the checkpoint is not usable; nothing was written.
    """
    height, width, seed = checked_options(options, tuple(SWINS))
    if seed is None:
        network = load_checkpoint(Path(options.weights), options.config)
    else:
        torch.manual_seed(seed)
        network = build(options.config, 80)
        with torch.no_grad():  # logits spread as of a trained network, so that a trial has instances
            network.class_predictor.weight.mul_(20)
    classes = named_classes(options.classes, network.class_predictor.out_features - 1)
    module = QueryFrames(network, channels="RGB", mean=MEAN, std=STD)
    metadata = described(
        contract="queries",
        family="mask2former",
        name=options.name or f"mask2former-{options.config}",
        classes=classes,
        size=(height, width),
        licence=options.licence,
    )
    with single_precision_sampling():
        export_family(module, options, val_sets, command="mask2former", outputs=OUTPUTS, metadata=metadata, facts={})
