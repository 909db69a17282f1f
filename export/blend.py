"""A trained network and others of its kind come in; one whose detector lies between theirs leaves."""

from __future__ import annotations

import argparse
import math
from pathlib import Path
from typing import TYPE_CHECKING

from tracker.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from export.yolact_nano import YolactNano

OWN_HEADS = ("mask_head", "embedding_head")  # stay as trained: the initial detector has none


def add_blend(parser: argparse.ArgumentParser) -> None:
    """`--blend`, for the commands that take finished weights."""
    parser.add_argument(
        "--blend",
        nargs="+",
        type=share_of,
        default=[],
        metavar="FILE=SHARE",
        help="mix other weights into the detector, .onnx or .pt, each by its share; the rest is --weights'",
    )


def share_of(text: str) -> tuple[Path, float]:
    """``yolox_nano.onnx=0.3`` -> the file and its share."""
    name, _, share = text.rpartition("=")
    try:
        value = float(share)
    except ValueError:
        value = math.nan
    if not name or not 0.0 < value < 1.0:
        raise argparse.ArgumentTypeError(f"expected FILE=SHARE with a share between 0 and 1, found {text!r}")
    return Path(name), value


def load_blended(path: Path, parts: Sequence[tuple[Path, float]] = ()) -> YolactNano:
    """The network of a file, with others mixed into its detector.

    Args:
        path: an export, a checkpoint, or YOLOX-nano; see :func:`export.weights.load_network`.
        parts: other files and their shares.

    Raises:
        ModelError: a file holds no such network.
        ConfigError: the shares leave nothing for `path`.
    """
    from export.weights import load_network, with_classes

    network = load_network(path)
    left = 1.0 - sum(share for _, share in parts)
    if left <= 0.0:
        shares = " + ".join(f"{share:g}" for _, share in parts)
        raise ConfigError(f"--blend {shares}", f"expected less than 1 in all, found {1 - left:g}", "lower the shares")
    return blend(network, [(with_classes(load_network(file), network.classes), share) for file, share in parts])


def blend(trained: YolactNano, others: Sequence[tuple[YolactNano, float]]) -> YolactNano:
    """Detector weights between those of several networks (WiSE-FT, Wortsman et al. 2022, equation 1).

    Fine-tuning on a few hundred pictures forgets some of what 118,000 taught; between the two lies a network that
    keeps most of both. The mask head stays as trained.

    Args:
        trained: after training; changed in place.
        others: what its detector began with, or networks that began with the same, and the share of each.
    """
    own = 1.0 - sum(share for _, share in others)
    before = [(network.state_dict(), share) for network, share in others]
    mixed = {
        key: value if key.startswith(OWN_HEADS) else own * value + sum(share * state[key] for state, share in before)
        for key, value in trained.state_dict().items()
    }
    trained.load_state_dict(mixed)
    return trained
