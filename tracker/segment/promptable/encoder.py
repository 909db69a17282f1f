"""Encoder of a promptable segmenter: a picture to features, run once for all prompts of the picture."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np

from tracker.errors import ModelError
from tracker.inference.tensors import Inputs

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from numpy.typing import NDArray

    from tracker.inference.runner import Runner
    from tracker.inference.tensors import TensorInfo
    from tracker.segment.manifest import InputSpec
    from tracker.segment.output_settings import PromptableSettings
    from tracker.segment.promptable.forms import Form

__all__ = ["GRID_CELLS", "Embedded", "Encoder", "Pixels", "Placement"]

DEFAULT_SIDE = 1024
GRID_CELLS = 256
"""Cells along each side of the decoder's masks."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Placement:
    """Where a picture lies in the encoder's input, and on the decoder's grid.

    Attributes:
        image_size: ``(width, height)`` of the picture in pixels.
        scale: Units of the decoder's prompts per picture pixel, ``(x, y)``.
        step_px: Picture pixels per cell of the decoder's grid, ``(x, y)``.
        shape: Rows and columns of the grid that the picture covers.
    """

    image_size: tuple[int, int]
    scale: tuple[float, float]
    step_px: tuple[float, float]
    shape: tuple[int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Embedded:
    """What the encoder made of a picture: features by output name, and where it lay."""

    features: Mapping[str, NDArray[Any]]
    placement: Placement


class Pixels:
    """Pictures as the encoder's input takes them.

    Args:
        tensor: The input as the file declares it.
        form: Of the two files.
        settings: Table ``[promptable]``.
        said: Table ``[input]``: mean, standard deviation and channel order in place of the form's.
        label: How errors name the file.

    Raises:
        ModelError: The input is not square where it must be.
    """

    def __init__(
        self, tensor: TensorInfo, form: Form, *, settings: PromptableSettings, said: InputSpec, label: object
    ) -> None:
        self.name = tensor.name
        self._form, self._dtype = form, np.dtype(tensor.dtype)
        self._resize = settings.resize or form.resize
        self._mean = np.array(said.mean or form.mean, np.float32)
        self._std = np.array(said.std or form.std, np.float32)
        self._bgr = said.channels == "BGR"
        height, width = tensor.shape[2:] if len(tensor.shape) == 4 else tensor.shape[:2]
        self.side = settings.side or height or DEFAULT_SIDE
        self._fixed = height is not None and width is not None
        if self._fixed and (height != width or height != self.side):
            problem = f"expected a square input of {self.side} pixels, found {tensor}"
            raise ModelError(label, problem, "export it with a square input, or correct `promptable.side`")

    def place(self, size: tuple[int, int]) -> Placement:
        """Where a picture of ``size`` (width, height) lies."""
        if self._stretched:
            cells = GRID_CELLS / size[0], GRID_CELLS / size[1]
            scale = cells if self._form.name == "efficient-sam" else (self.side / size[0], self.side / size[1])
            shape = (GRID_CELLS, GRID_CELLS)
        else:
            width, height = self._resized(size)
            scale = width / size[0], height / size[1]
            cells = scale[0] * GRID_CELLS / self.side, scale[1] * GRID_CELLS / self.side
            shape = -(-height * GRID_CELLS // self.side), -(-width * GRID_CELLS // self.side)
        return Placement(image_size=size, scale=scale, step_px=(1 / cells[0], 1 / cells[1]), shape=shape)

    def pack(self, picture: NDArray[np.uint8]) -> NDArray[Any]:
        """The input of a picture ``(H, W, 3)`` uint8 BGR."""
        height, width = picture.shape[:2]
        size = self._resized((width, height))
        shrinks = size[0] < width
        resized = cv2.resize(picture, size, interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)
        values = ((resized if self._bgr else resized[..., ::-1]) - self._mean) / self._std  # (h, w, 3)
        if self._form.name == "sam-pixels":
            return np.ascontiguousarray(values, self._dtype)
        if self._form.name == "efficient-sam" and not self._fixed:
            return np.ascontiguousarray(values.transpose(2, 0, 1)[None], self._dtype)
        pixels = np.zeros((1, 3, self.side, self.side), self._dtype)
        pixels[0, :, : size[1], : size[0]] = values.transpose(2, 0, 1)
        return pixels

    @property
    def _stretched(self) -> bool:
        """Whether the grid spans the picture whatever its aspect: EfficientSAM stretches inside."""
        return self._resize == "stretch" or self._form.name == "efficient-sam"

    def _resized(self, size: tuple[int, int]) -> tuple[int, int]:
        """``(width, height)`` of a picture in the input."""
        if self._resize == "stretch" or (self._form.name == "efficient-sam" and self._fixed):
            return self.side, self.side
        scale = self.side / max(size)
        return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))

    def sample(self) -> Inputs:
        """A black picture, for trials."""
        return Inputs(sample={self.name: self.pack(np.zeros((self.side, self.side, 3), np.uint8))}, fixed_batch=1)


class Encoder:
    """Runs the encoder; may be called from several threads at once.

    Args:
        runner: Of the session.
        pixels: Makes its input.
    """

    def __init__(self, runner: Runner, pixels: Pixels) -> None:
        self._runner, self.pixels = runner, pixels

    def embed(self, picture: NDArray[np.uint8]) -> Embedded:
        """Features of a picture ``(H, W, 3)`` uint8 BGR.

        Raises:
            ModelError: The network failed.
        """
        features = self._runner.run({self.pixels.name: self.pixels.pack(picture)})
        height, width = picture.shape[:2]
        return Embedded(features=features, placement=self.pixels.place((width, height)))
