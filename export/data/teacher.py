"""Frozen teacher detector: pseudo detections on training pictures in the trained classes.

On the processor ONNX Runtime computes them: on one thread it takes 20 ms for a 384 x 640 picture and PyTorch 60, a
quarter of a whole training step. On a GPU PyTorch does.
"""

from __future__ import annotations

import tempfile
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from export.onnx.sessions import cpu_session

if TYPE_CHECKING:
    from collections.abc import Sequence

    import onnxruntime

    from export.networks.yolact_nano import YolactNano


class Answers(NamedTuple):
    """What a teacher says of a batch of pictures."""

    boxes: Tensor  # (B, A, 4)
    objectness: Tensor  # (B, A) probabilities
    classes: Tensor  # (B, A, C) probabilities
    maps: tuple[Tensor, ...]  # as `matched_maps` orders them; empty where they are not asked for


class Detections(nn.Module):
    """Boxes (B, A, 4), objectness (B, A) and classes (B, A, C), as probabilities; with `maps` those to match too."""

    def __init__(self, network: YolactNano, *, maps: bool) -> None:
        super().__init__()
        self.network, self.maps = network, maps

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Images (B, 3, H, W) float, BGR 0..255."""
        boxes, objectness, classes, features = self.network.detect(images)
        found = boxes, objectness.sigmoid(), classes.sigmoid()
        if not self.maps:
            return found
        _, prototypes = self.network.mask_head.raw(*features)
        return *found, *matched_maps(features, prototypes)


def matched_maps(features: tuple[Tensor, Tensor, list[Tensor]], prototypes: Tensor) -> tuple[Tensor, ...]:
    """Maps by which a network follows its teacher: stride-4 backbone, stride-8 neck, stems of heads, prototypes."""
    return *features[:2], *features[2], prototypes


class FrozenTeacher:
    """A network that stays as it is; on the processor, sessions by input size, made when a size first comes.

    Args:
        network: it brings its own class names.
        classes: the names that are trained.
        device: where the training runs.
        maps: answer with the maps to match, too.
        module: in place of `Detections`, with other maps.
    """

    def __init__(
        self,
        network: YolactNano,
        classes: Sequence[str],
        device: torch.device,
        *,
        maps: bool = False,
        module: nn.Module | None = None,
    ) -> None:
        self.activation = network.activation
        module = Detections(network, maps=maps) if module is None else module
        self.module = module.eval().requires_grad_(requires_grad=False)
        self.device = device
        self.columns = [
            (new, network.classes.index(name)) for new, name in enumerate(classes) if name in network.classes
        ]
        self.known = torch.tensor([name in network.classes for name in classes], device=device)
        self.sessions: dict[tuple[int, int], onnxruntime.InferenceSession] = {}
        if device.type != "cpu":
            self.module = self.module.to(device, memory_format=torch.channels_last)

    @torch.no_grad()
    def __call__(self, images: Tensor) -> Answers:
        """Of images (B, 3, H, W), with its classes as the trained network numbers them."""
        boxes, objectness, classes, *maps = self.run(images) if self.device.type == "cpu" else self.module(images)
        ours = classes.new_zeros(*classes.shape[:2], len(self.known))
        for new, old in self.columns:
            ours[..., new] = classes[..., old]
        return Answers(boxes.float(), objectness.float(), ours.float(), tuple(values.float() for values in maps))

    def run(self, images: Tensor) -> tuple[Tensor, ...]:
        """The module's outputs, by ONNX Runtime."""
        session = self.session((images.shape[2], images.shape[3]))
        rows = [session.run(None, {"images": np.ascontiguousarray(image[None].numpy())}) for image in images]
        return tuple(torch.from_numpy(np.concatenate(values)) for values in zip(*rows, strict=True))

    def session(self, size: tuple[int, int]) -> onnxruntime.InferenceSession:
        """The session of an input size (height, width)."""
        if size not in self.sessions:
            with tempfile.TemporaryDirectory() as folder, torch.no_grad(), warnings.catch_warnings():
                warnings.simplefilter("ignore", DeprecationWarning)
                path = Path(folder) / "teacher.onnx"
                torch.onnx.export(
                    self.module, (torch.zeros(1, 3, *size),), str(path), input_names=["images"], dynamo=False
                )
                self.sessions[size] = cpu_session(path)
        return self.sessions[size]
