"""Embeddings of instances by an external re-identification network.

Any ``.onnx`` with one image input and one vector per image will do; most published ones take ``(N, 3, 256, 128)`` RGB
with ImageNet's normalisation, which holds where the file does not say otherwise. It says so as a segmentation model
does: ``masktrail.input`` in its metadata, or ``[input]`` in a ``manifest.toml`` beside it. ``masktrail.masked`` =
``true`` in the metadata: pixels outside the silhouette are masked out.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import numpy as np

from tracker.errors import ModelError
from tracker.inference.device import check_options, open_session
from tracker.inference.runner import PlainRunner
from tracker.inference.tensors import Inputs, declared
from tracker.inference.trial import try_model
from tracker.segment.inputs import check_input_size, declared_input, model_info
from tracker.segment.manifest import InputSpec
from tracker.segment.preprocess import PerThread
from tracker.segment.zoo import find_model, is_of_zoo
from tracker.types import Frame, Instances

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from tracker.inference.tensors import FileInfo
    from tracker.segment.contracts.decoder import ModelInfo
    from tracker.segment.zoo import ModelFile

__all__ = ["OnnxEmbedder"]

IMAGENET = InputSpec(channels="RGB", resize="stretch", mean=(123.675, 116.28, 103.53), std=(58.395, 57.12, 57.375))
BYTES = InputSpec(channels="RGB", resize="stretch", mean=(0.0,) * 3, std=(1.0,) * 3)
"""Files that take bytes normalise by themselves."""
HEIGHT_PX, WIDTH_PX = 256, 128
MAX_BATCH = 16
SMALLEST_PX = 4
"""Smaller crops, in pixels a side, get no embedding."""


class OnnxEmbedder:
    """Embeddings of instances from their crops of the picture. May be called from several threads at once.

    Args:
        model: The ``.onnx`` file.
        device: ``auto``, ``cpu``, ``cuda``, ``tensorrt``, ``openvino``; ``cuda:1`` picks a card.
        threads: Threads inside an operator on the CPU; ``None`` = the cores there are, at most 8.
        masked: Mask out pixels outside the silhouette; ``None`` = as the file says, else no: most networks are trained
            on whole boxes.
        score_threshold: Instances below get no embedding (a row of zeros): the tracker does not use them.

    Raises:
        ModelError: No such file, not a model, or none that makes one vector of each image.
    """

    def __init__(
        self,
        model: str | Path,
        *,
        device: str = "auto",
        threads: int | None = None,
        masked: bool | None = None,
        score_threshold: float = 0.25,
    ) -> None:
        file = find_model(model)
        self._label = file.label
        self._score_threshold = score_threshold
        check_options(device, threads=threads, fp16=False)
        if not is_of_zoo(file.path):
            try_model(file.path, label=file.label, describe=lambda found: _sample(file, found))
        opened = open_session(file.path, label=file.label, device=device, threads=threads, graphs=False)
        session = opened.session
        info, self._spec = _described(file, declared(session, label=file.label))
        self._input_name = info.inputs[0].name
        self._fixed_batch = info.inputs[0].shape[0]
        self._masked = info.metadata.get("masktrail.masked", "").lower() == "true" if masked is None else masked
        self._runner = PlainRunner(
            session,
            label=file.label,
            output_names=[output.name for output in info.outputs],
        )
        self._preprocessors = PerThread(spec=self._spec, network_size=self.size, batch=self._batch)
        self._output, self.length = self._recognise()
        self.device = opened.device

    @property
    def size(self) -> tuple[int, int]:
        """``(width, height)`` of a crop at the network's input."""
        return self._spec.width or WIDTH_PX, self._spec.height or HEIGHT_PX

    def describe(self) -> str:
        """One line for reports: file, size, length, device."""
        width, height = self.size
        masked = ", silhouettes only" if self._masked else ""
        return f"{self._label}, crops of {width} x {height}{masked}, {self.length} numbers each, on {self.device}"

    def embed(self, frame: Frame, instances: Instances) -> Instances:
        """The instances with embeddings ``(N, E)``, L2-normalised; zeros for crops too small or of low score.

        Raises:
            ModelError: The frame has no image, or the network failed.
        """
        if frame.image is None:
            raise ModelError(
                frame.source,
                f"expected frame {frame.index} with its image for re-identification, found none",
                "open the source with want_image=True",
            )
        embeddings = np.zeros((len(instances), self.length), np.float32)
        crops = {
            row: crop
            for row in np.flatnonzero(instances.scores >= self._score_threshold).tolist()
            if (crop := self._crop(frame.image, instances, row)) is not None
        }
        rows = list(crops)
        for start in range(0, len(rows), self._batch):
            chunk = rows[start : start + self._batch]
            embeddings[chunk] = self._run([crops[row] for row in chunk])
        return dataclasses.replace(instances, embeddings=embeddings)

    @property
    def _batch(self) -> int:
        return self._fixed_batch or MAX_BATCH

    def _crop(self, image: NDArray[np.uint8], instances: Instances, row: int) -> NDArray[np.uint8] | None:
        """The instance's part of the picture, ``(h, w, 3)`` BGR."""
        height, width = image.shape[:2]
        box = instances.boxes[row]
        if not np.isfinite(box).all():
            return None
        left, top = np.maximum(np.floor(box[:2]), 0).astype(int)
        right, bottom = np.minimum(np.ceil(box[2:]), (width, height)).astype(int)
        if right - left < SMALLEST_PX or bottom - top < SMALLEST_PX:
            return None
        crop = image[top:bottom, left:right]
        if self._masked and instances.masks is not None:
            silhouette, _ = instances.masks.lift(row, box)
            mean = np.array(self._spec.mean or (114.0,) * 3)
            grey = np.rint(mean[::-1] if self._spec.channels == "RGB" else mean).astype(np.uint8)
            crop = np.where(silhouette[..., None], crop, grey)
        return crop

    def _run(self, crops: Sequence[NDArray[np.uint8]]) -> NDArray[np.float32]:
        """Unit vectors ``(B, E)`` of at most a batch of crops."""
        frames = [
            Frame(index=0, time_s=0.0, arrived_s=0.0, source="", size=(crop.shape[1], crop.shape[0]), image=crop)
            for crop in crops
        ]
        preprocessor = self._preprocessors.own()
        batch, _ = preprocessor.pack(frames)
        if self._fixed_batch is not None and len(batch) < self._fixed_batch:
            batch = preprocessor.full_batch(batch)
        values = np.asarray(self._runner.run({self._input_name: batch})[self._output], np.float32).reshape(
            len(batch), -1
        )[: len(crops)]
        with np.errstate(invalid="ignore", over="ignore"):
            lengths = np.linalg.norm(values, axis=1, keepdims=True)
        usable = np.isfinite(lengths) & (lengths > 0)
        return np.asarray(np.where(usable, values, 0) / np.where(usable, lengths, 1), np.float32)

    def _recognise(self) -> tuple[str, int]:
        """Name and length of the output that holds one vector per image, by a run on grey pictures."""
        width, height = self.size
        count = self._fixed_batch or 2
        frame = Frame(
            index=0,
            time_s=0.0,
            arrived_s=0.0,
            source="",
            size=(width, height),
            image=np.full((height, width, 3), 114, np.uint8),
        )
        outputs = self._runner.run({self._input_name: self._preprocessors.own().pack([frame] * count)[0]})
        chosen = "embeddings" if "embeddings" in outputs else next(iter(outputs))
        vectors = outputs[chosen]
        only = len(outputs) == 1 or chosen == "embeddings"
        fits = vectors.dtype.kind == "f" and vectors.ndim >= 2 and len(vectors) == count and vectors.shape[1] > 1
        if not only or not fits or vectors.size != count * vectors.shape[1]:
            found = "; ".join(f"{name} {value.shape} {value.dtype}" for name, value in outputs.items())
            raise ModelError(
                self._label,
                f"expected one output (N, E), a vector of numbers for each of {count} images, found {found}",
                "export a re-identification network, without its classifier; of several outputs name one `embeddings`",
            )
        return chosen, int(vectors.shape[1])


def _described(file: ModelFile, found: FileInfo) -> tuple[ModelInfo, InputSpec]:
    """What a file says, and how crops become its input.

    Raises:
        ModelError: Not exactly one image input, or others beside it.
    """
    info = model_info(file, found)
    if len(info.inputs) > 1:
        names = "; ".join(map(str, info.inputs))
        raise ModelError(file.label, f"expected one input, found {len(info.inputs)}: {names}", "export it with one")
    said = declared_input(info)
    if not said.batched:
        problem = f"expected crops (B, H, W, 3) or (B, 3, H, W), found {info.inputs[0]}"
        raise ModelError(file.label, problem, "export it with a batch axis")
    spec = said.over(BYTES if said.dtype == "uint8" else IMAGENET)
    spec = dataclasses.replace(
        spec,
        height=HEIGHT_PX if spec.height is None else spec.height,
        width=WIDTH_PX if spec.width is None else spec.width,
    )
    check_input_size(info, spec, (spec.width or 0, spec.height or 0))
    return info, spec


def _sample(file: ModelFile, found: FileInfo) -> Inputs:
    """A black crop."""
    info, spec = _described(file, found)
    size = (spec.height or HEIGHT_PX, spec.width or WIDTH_PX)
    shape = (1, *size, 3) if spec.layout == "NHWC" else (1, 3, *size)
    return Inputs(
        sample={info.inputs[0].name: np.zeros(shape, np.dtype(spec.dtype))}, fixed_batch=info.inputs[0].shape[0]
    )
