"""ONNX instance segmentation of frames, in image pixels.

A network on its device, the decoder that its outputs call for, and the geometry between image, network and mask grid.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from tracker.errors import ModelError
from tracker.inference.device import available_cores, placement
from tracker.inference.network import NetworkRequest, open_network
from tracker.inference.survey import on_processor
from tracker.segment.contracts import known
from tracker.segment.inputs import plan_inputs
from tracker.segment.limits import DEFAULT_SCORE_THRESHOLD, make_limits
from tracker.segment.placing import place
from tracker.segment.preprocess import PerThread
from tracker.segment.zoo import DEFAULT_MODEL, ModelFile, find_model, is_of_zoo
from tracker.types import Frame

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from tracker.inference.tensors import FileInfo
    from tracker.segment.contracts.decoder import Decoded, Decoder, ModelInfo
    from tracker.segment.inputs import InputPlan
    from tracker.segment.manifest import InputSpec
    from tracker.types import Instances, Letterbox

__all__ = ["DEFAULT_CONFIRMATION_SCORE", "DEFAULT_SCORE_THRESHOLD", "OnnxSegmenter"]

DEFAULT_CONFIRMATION_SCORE = 0.5
"""Of models whose manifest names none: scores of the decoded contracts are probabilities after softmax or sigmoid, and
from one half on an object is more probably there than not. With yolact-nano 0.5 left 38, 20 and 20 identities in the
street, retail and traffic clips, 150, 36 and 20 stood without it: leaves and goods on shelves that persist at low
scores."""
GPU_WORKERS = 2
"""While one batch is on the card, the next is packed or the last is decoded."""


class OnnxSegmenter:
    """Segments frames with an ONNX file whose contract is recognised (see :mod:`tracker.segment.contracts.known`).

    The network runs once on an empty picture when the segmenter is made, on a card also in the whole batch: outputs get
    their sizes, and the first real frame waits for no allocation, choice of kernels or recording. ``segment`` may be
    called from several threads at once: each has its own input buffers.

    Args:
        model: A name of the zoo, an ``.onnx`` file, or what :func:`tracker.segment.zoo.find_model` gave.
        device: ``auto``, ``cpu``, ``cuda``, ``tensorrt``, ``openvino``; ``cuda:1`` picks a card.
        score_threshold: Instances below are dropped; ``None`` = the manifest's, else 0.1.
        iou_threshold: Overlap at which suppression acts; ``None`` = the manifest's, else the contract's default.
        classes: Names of the classes to keep; ``None`` = all.
        max_instances: Most instances per frame, best first.
        threads: Threads inside an operator on the CPU; ``None`` = the cores there are, at most 8.
        variant: Which of a zoo model's files, ``384x640`` (height x width).
        network_size: ``(width, height)`` for files with an open input size.
        source_size: ``(width, height)`` of the pictures to come, from which variant or open size are chosen.
        max_batch: Most frames per run where the file takes any number; ``None`` = 8 on a GPU, 1 on the CPU: batches
            gain nothing there (34.1 ms a frame alone, 33.5 and 34.2 in batches of 2 and 4, one core, yolact-nano).
        fp16: Half precision in TensorRT.

    Raises:
        ModelError: No such model, not a model, outputs of no known contract, or the asked device cannot run here.
        ConfigError: An unknown class name or a threshold out of range.

    Example:
        >>> segmenter = OnnxSegmenter("yolact-nano", classes=["car", "truck"])  # doctest: +SKIP
        >>> segmenter.segment([frame])[0].boxes  # doctest: +SKIP
    """

    def __init__(
        self,
        model: str | Path | ModelFile = DEFAULT_MODEL,
        *,
        device: str = "auto",
        score_threshold: float | None = None,
        iou_threshold: float | None = None,
        classes: Sequence[str] | None = None,
        max_instances: int = 100,
        threads: int | None = None,
        variant: str | None = None,
        network_size: tuple[int, int] | None = None,
        source_size: tuple[int, int] | None = None,
        max_batch: int | None = None,
        fp16: bool = False,
    ) -> None:
        self._file = (
            model if isinstance(model, ModelFile) else find_model(model, variant=variant, source_size=source_size)
        )

        def plan(found: FileInfo) -> InputPlan:
            return plan_inputs(self._file, found, network_size=network_size, source_size=source_size)

        self._network = open_network(
            NetworkRequest(
                path=self._file.path,
                label=self._file.label,
                device=device,
                threads=threads,
                fp16=fp16,
                max_batch=max_batch,
                trusted=is_of_zoo(self._file.path),
            ),
            lambda found: plan(found).sample(),
        )
        planned = plan(self._network.file)
        self._info: ModelInfo = planned.info
        decoder, self._extras = known.recognise(self._info)
        self._decoder: Decoder = decoder
        self._spec = planned.spec.over(decoder.input_defaults)
        self._limits = make_limits(
            self._decoder,
            self._file.manifest,
            score_threshold=score_threshold,
            iou_threshold=iou_threshold,
            classes=classes,
            max_instances=max_instances,
        )
        self._preprocessors = PerThread(spec=self._spec, network_size=self.network_size, batch=self.batch_size)

    @property
    def class_names(self) -> tuple[str, ...]:
        """Names in ``class_ids`` order; all of the model's, also where only some are kept."""
        return self._decoder.class_names

    @property
    def network_size(self) -> tuple[int, int]:
        """``(width, height)`` of the network's input in pixels."""
        return self._info.network_size

    @property
    def keep_aspect(self) -> bool:
        """Whether images are letterboxed (else stretched) to ``network_size``."""
        return self._spec.keeps_aspect

    @property
    def batch_size(self) -> int:
        """Most frames that one run of the network takes."""
        return self._network.batch

    @property
    def confirmation_score(self) -> float:
        """Score that an instance must have to confirm a track: the manifest's ``confirmation_score``, else 0.5."""
        noted = self._file.manifest.confirmation_score if self._file.manifest else None
        return DEFAULT_CONFIRMATION_SCORE if noted is None else noted

    @property
    def digest(self) -> str:
        """SHA-256 of the model's file and manifest; see :meth:`tracker.segment.zoo.ModelFile.digest`."""
        return self._file.digest()

    @property
    def manner(self) -> str:
        """How batches are run on a card: size, graph; empty on the CPU."""
        return self._network.manner

    @property
    def useful_workers(self) -> int:
        """Calls of ``segment`` that are worth having under way at once: one per core on the CPU, two on a GPU."""
        return available_cores() if on_processor(self.device) else GPU_WORKERS

    @property
    def placement(self) -> str:
        """Share of the graph's nodes on each provider, with OpenVINO of those in each precision, as a text."""
        return placement(self.session)

    @property
    def device(self) -> str:
        """``cpu``, ``openvino``, ``cuda`` or ``tensorrt``: where the network really runs."""
        return self._network.opened.device

    @property
    def provider(self) -> str:
        """ONNX Runtime's name for it; ``OpenVINO``."""
        return self._network.opened.provider

    @property
    def card(self) -> int:
        """Number of the card on a GPU, 0 on the CPU."""
        return self._network.opened.card

    @property
    def device_reason(self) -> str:
        """Why it runs there, one clause."""
        return self._network.opened.reason

    @property
    def contract(self) -> str:
        """The output contract that was recognised."""
        return self._decoder.contract

    @property
    def decoder(self) -> Decoder:
        """The contract's decoder, bound to this file's outputs."""
        return self._decoder

    @property
    def info(self) -> ModelInfo:
        """Metadata and tensors of the file, with the output sizes of the trial run."""
        return self._info

    @property
    def input_spec(self) -> InputSpec:
        """How pictures become the network's input; complete, no ``None`` in it."""
        return self._spec

    @property
    def file(self) -> ModelFile:
        """The file that was opened."""
        return self._file

    @property
    def output_names(self) -> dict[str, str]:
        """Names of the outputs by their role in the contract."""
        return dict(self._decoder.output_names)

    @property
    def session(self) -> Any:
        """The ``onnxruntime.InferenceSession``, or OpenVINO's, for reports on its nodes."""
        return self._network.opened.session

    def describe(self) -> str:
        """One line for reports: model, size, contract, classes, device and why."""
        width, height = self.network_size
        threads = self._network.opened.threads
        size = (
            ""
            if self._file.variant == f"{height}x{width}" and self._file.variant in self._file.label
            else f" {width} x {height}"
        )
        cores = f", {threads} thread{'s' if threads > 1 else ''}" if on_processor(self.device) else ""
        what = f"{self._file.label}{size}, {self.contract}, {len(self.class_names)} classes"
        manner = f"; {self.manner}" if self.manner else ""
        return f"{what}, on {self.device}{cores} ({self.device_reason}{manner})"

    def segment(self, frames: Sequence[Frame | NDArray[np.uint8]]) -> list[Instances]:
        """The instances of each frame, in image pixels, one entry per frame in order.

        Args:
            frames: Any number; runs of at most ``batch_size``. A frame's ``network_image`` is used where it fits, else
                its ``image``. Pictures ``(H, W, 3)`` uint8 BGR are taken as they are.

        Raises:
            ModelError: A frame without a usable picture, an array that is no picture, or the network failed.
        """
        results: list[Instances] = []
        for start in range(0, len(frames), self.batch_size):
            chunk = [_as_frame(one, start + n) for n, one in enumerate(frames[start : start + self.batch_size])]
            feeds, letterboxes = self._pack(chunk)
            outputs = self._network.runner.run(feeds)
            for row, letterbox in enumerate(letterboxes):
                limits = replace(self._limits, content=letterbox.content_size)
                decoded = self._decoder.decode(outputs, row, limits)
                self._check_classes(decoded)
                results.append(place(decoded, letterbox))
        return results

    def _check_classes(self, decoded: Decoded) -> None:
        """Files without class names get COCO's; a class beyond them shows that the names are wrong."""
        highest = int(decoded.class_ids.max(initial=0))
        if highest >= len(self.class_names):
            raise ModelError(
                self._file.label,
                f"an instance of class {highest}, but there are {len(self.class_names)} class names",
                "name all classes under `classes` in manifest.toml",
            )

    def pack(self, frames: Sequence[Frame]) -> dict[str, NDArray[Any]]:
        """The inputs by name for at most ``batch_size`` frames; the next call from this thread may overwrite them."""
        return self._pack(frames)[0]

    def run(self, feeds: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """Run the network on inputs of :meth:`pack`: outputs by name, undecoded. For checks and benchmarks."""
        return self._network.runner.run(feeds)

    def run_bare(self, feeds: Mapping[str, NDArray[Any]]) -> None:
        """The network alone, on a GPU without the copies to and from the card: the upper bound of the frame rate."""
        self._network.runner.run_bare(feeds)

    def _pack(self, frames: Sequence[Frame]) -> tuple[dict[str, NDArray[Any]], list[Letterbox]]:
        preprocessor = self._preprocessors.own()
        batch, letterboxes = preprocessor.pack(frames)
        missing = self._network.batch - len(batch) if self._network.fixed_batch else 0
        if missing:
            batch = preprocessor.full_batch(batch)
        placed = [*letterboxes, *letterboxes[-1:] * missing]
        extras = {name: make(placed) for name, make in self._extras.items()}
        image = batch if self._spec.batched else batch[0]
        return {self._info.inputs[0].name: image, **extras}, letterboxes


def _as_frame(picture: Frame | NDArray[np.uint8], number: int) -> Frame:
    """A picture of no stream as a frame.

    Raises:
        ModelError: It is none.
    """
    if isinstance(picture, Frame):
        return picture
    array = picture if isinstance(picture, np.ndarray) else np.zeros(0)
    if array.ndim != 3 or array.shape[2] != 3 or array.dtype != np.uint8 or not array.size:
        found = f"{array.shape} of {array.dtype}" if array is picture else f"{type(picture).__name__}"
        problem = f"expected a frame or an array (H, W, 3) of uint8, found {found}"
        raise ModelError(f"picture {number}", problem, "give it as OpenCV reads it: BGR, 0 to 255")
    size = (array.shape[1], array.shape[0])
    return Frame(index=number, time_s=0.0, arrived_s=0.0, source=f"picture {number}", size=size, image=picture)
