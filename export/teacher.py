"""A frozen network comes in; its detections on training pictures leave, computed by ONNX Runtime.

On one thread ONNX Runtime takes 20 ms for a 384 x 640 picture and PyTorch 60, a quarter of a whole training step.
"""

from __future__ import annotations

import tempfile
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import onnxruntime
import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from export.yolact_nano import YolactNano


class Detections(nn.Module):
    """Only boxes (B, A, 4), objectness (B, A) and classes (B, A, C), as probabilities."""

    def __init__(self, network: YolactNano) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Images (B, 3, H, W) float, BGR 0..255."""
        boxes, objectness, classes, _ = self.network.detect(images)
        return boxes, objectness.sigmoid(), classes.sigmoid()


class FrozenTeacher:
    """Sessions by input size, made when a size first comes."""

    def __init__(self, network: YolactNano) -> None:
        self.module = Detections(network).eval()
        self.sessions: dict[tuple[int, int], onnxruntime.InferenceSession] = {}

    def __call__(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Images (B, 3, H, W) -> boxes (B, A, 4), objectness (B, A) and classes (B, A, C), probabilities."""
        session = self.session((images.shape[2], images.shape[3]))
        rows = [session.run(None, {"images": np.ascontiguousarray(image[None].numpy())}) for image in images]
        boxes, objectness, classes = (torch.from_numpy(np.concatenate(values)) for values in zip(*rows, strict=True))
        return boxes, objectness, classes

    def session(self, size: tuple[int, int]) -> onnxruntime.InferenceSession:
        """The session of an input size (height, width)."""
        if size not in self.sessions:
            with tempfile.TemporaryDirectory() as folder, torch.no_grad(), warnings.catch_warnings():
                warnings.simplefilter("ignore", DeprecationWarning)
                path = Path(folder) / "teacher.onnx"
                torch.onnx.export(
                    self.module, (torch.zeros(1, 3, *size),), str(path), input_names=["images"], dynamo=False
                )
                options = onnxruntime.SessionOptions()
                options.intra_op_num_threads, options.log_severity_level = 1, 3
                self.sessions[size] = onnxruntime.InferenceSession(
                    str(path), options, providers=["CPUExecutionProvider"]
                )
        return self.sessions[size]
