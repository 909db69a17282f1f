"""Output contract of a model family: recognition by shape, decoder, and inputs besides the image."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tracker.types import Letterbox

if TYPE_CHECKING:
    from tracker.inference.tensors import TensorInfo
    from tracker.segment.contracts.decoder import Decoder, ModelInfo

__all__ = ["Contract", "InputMaker", "size_inputs"]

InputMaker = Callable[[Sequence[Letterbox]], NDArray[Any]]
"""One input beside the image, for a batch of images that lie in the network's input as their letterboxes say."""


def size_inputs(extras: Sequence[TensorInfo]) -> dict[str, InputMaker] | None:
    """Inputs that hold the sizes of the pictures, as PaddleDetection's exports have them.

    Each is ``(B, 2)`` of numbers, height before width. By name: with ``scale`` the network pixels per image pixel,
    with ``ori`` the size of the image in pixels, with ``shape`` or ``size`` else the size of the scaled image in the
    network's input.

    Args:
        extras: The inputs beside the image.

    Returns:
        How each is made, or ``None`` where one of them is something else.
    """
    makers: dict[str, InputMaker] = {}
    for extra in extras:
        maker = _size_input(extra)
        if maker is None:
            return None
        makers[extra.name] = maker
    return makers


@dataclass(frozen=True, slots=True, kw_only=True)
class Contract:
    """One model family.

    Attributes:
        name: As in ``masktrail.contract`` of a file's metadata and in a manifest.
        form: The outputs in words and shapes, for errors.
        match: Output names by role if the outputs have the contract's shapes, else ``None``; order does not matter.
        decoder: Builds the decoder of a model with these names.
        extra_inputs: How the inputs beside the image are made, by name; ``None`` where the contract has no such inputs.
    """

    name: str
    form: str
    match: Callable[[ModelInfo], Mapping[str, str] | None]
    decoder: Callable[[ModelInfo, Mapping[str, str]], Decoder]
    extra_inputs: Callable[[Sequence[TensorInfo]], Mapping[str, InputMaker] | None] = size_inputs


def _size_input(extra: TensorInfo) -> InputMaker | None:
    if len(extra.shape) != 2 or extra.shape[1] != 2 or not extra.dtype.startswith(("float", "int")):
        return None
    name, dtype = extra.name.lower(), np.dtype(extra.dtype)
    values: Callable[[Letterbox], tuple[float, float]]
    if "scale" in name:
        values = _scale
    elif "ori" in name:
        values = _image_size
    elif "shape" in name or "size" in name:
        values = _content_size
    else:
        return None
    return lambda letterboxes: np.array([values(letterbox)[::-1] for letterbox in letterboxes], dtype)  # (B, 2) y, x


def _scale(letterbox: Letterbox) -> tuple[float, float]:
    return letterbox.scale


def _image_size(letterbox: Letterbox) -> tuple[float, float]:
    return letterbox.image_size


def _content_size(letterbox: Letterbox) -> tuple[float, float]:
    return letterbox.content_size
