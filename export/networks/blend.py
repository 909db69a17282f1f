"""Weight-space blends of networks of one architecture (WiSE-FT, Wortsman et al. 2022; model soups)."""

from __future__ import annotations

import argparse
import math
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from tracker.errors import ConfigError, ModelError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from export.networks.solov2_nano import SoloNano
    from export.networks.yolact_nano import YolactNano

    Network = TypeVar("Network", YolactNano, SoloNano)

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
    add_average(parser)


def add_average(parser: argparse.ArgumentParser) -> None:
    """`--average`, for the commands that take finished weights."""
    parser.add_argument(
        "--average",
        nargs="+",
        type=Path,
        default=[],
        metavar="FILE",
        help="other runs that began with the same weights as --weights', or these: the mean of all is taken, before "
        "anything else is mixed in",
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


def load_blended(path: Path, parts: Sequence[tuple[Path, float]] = (), runs: Sequence[Path] = ()) -> YolactNano:
    """The network of a file, averaged with others of its kind, and with others mixed into its detector.

    Args:
        path: an export, a checkpoint, or YOLOX-nano; see :func:`export.networks.weights.load_network`.
        parts: other files and their shares.
        runs: files of runs that began with the same weights.

    Raises:
        ModelError: a file holds no such network, or one of `runs` another than `path`.
        ConfigError: the shares leave nothing for `path`.
    """
    from export.networks.activation import with_activation
    from export.networks.weights import load_network, with_classes

    network = load_network(path)
    if runs:
        average(network, [(file, load_network(file)) for file in runs])
    left = 1.0 - sum(share for _, share in parts)
    if left <= 0.0:
        shares = " + ".join(f"{share:g}" for _, share in parts)
        raise ConfigError(f"--blend {shares}", f"expected less than 1 in all, found {1 - left:g}", "lower the shares")
    others = [(with_activation(load_network(file), network.activation), share) for file, share in parts]
    return blend(network, [(with_classes(other, network.classes), share) for other, share in others])


def average(network: Network, others: Sequence[tuple[Path, Network]]) -> Network:
    """The mean of all weights of several runs (uniform soup, Wortsman et al. 2022, "Model soups", section 2).

    Runs with the same beginning end in one valley of the loss: their mean is better than each, at the price of one.

    Args:
        network: changed in place.
        others: of the same classes and shapes, with the files that they are from.
    """
    states = [network.state_dict()]
    shapes = {key: value.shape for key, value in states[0].items()}
    for file, other in others:
        theirs = other.state_dict()
        if other.activation != network.activation:
            problem = f"expected activation {network.activation} as --weights, found {other.activation}"
            raise ModelError(file, problem, "name runs of one kind")
        if other.classes != network.classes or {key: value.shape for key, value in theirs.items()} != shapes:
            raise ModelError(
                file, "expected the classes and shapes of --weights, found others", "name runs of one kind"
            )
        states.append(theirs)
    network.load_state_dict({key: sum(state[key] for state in states) / len(states) for key in states[0]})
    return network


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
