"""Frames enter, instances in image pixels leave: the segmenter that ships.

One ONNX Runtime session, the decoder that its outputs call for, and the geometry between image, network and mask grid.
"""

from __future__ import annotations

import dataclasses
import difflib
import math
import threading
from typing import TYPE_CHECKING, Any

import numpy as np

from tracker.errors import ConfigError, ModelError
from tracker.segment import contracts
from tracker.segment.decoder import Limits, ModelInfo, TensorInfo
from tracker.segment.device import open_session
from tracker.segment.preprocess import Preprocessor
from tracker.segment.runner import BoundRunner, PlainRunner
from tracker.segment.zoo import DEFAULT_MODEL, ModelFile, find_model
from tracker.types import InstanceMasks, Instances

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from tracker.segment.decoder import Decoded, Decoder
    from tracker.segment.manifest import InputSpec
    from tracker.segment.runner import Runner
    from tracker.types import Frame, Letterbox

__all__ = ["OnnxSegmenter"]

DEFAULT_SCORE_THRESHOLD = 0.1
"""Low on purpose: the tracker's second stage lives on weak detections (ByteTrack, Zhang et al. 2022)."""
GPU_MAX_BATCH = 8


class OnnxSegmenter:
    """Segments frames with an ONNX file whose output contract is recognised (see :mod:`tracker.segment.contracts`).

    The network runs once on an empty picture when the segmenter is made: outputs get their sizes, and the first real
    frame does not wait for allocations. ``segment`` may be called from several threads at once: each has its own input
    buffers.

    Args:
        model: A name of the zoo, an ``.onnx`` file, or what :func:`tracker.segment.zoo.find_model` gave.
        device: ``auto``, ``cpu``, ``cuda``, ``tensorrt``; ``cuda:1`` picks a card.
        score_threshold: Instances below are dropped; ``None`` = the manifest's, else 0.1.
        iou_threshold: Overlap at which suppression acts; ``None`` = the manifest's, else the contract's habit.
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
        self._opened = open_session(
            self._file.path,
            label=self._file.label,
            device=device,
            threads=threads,
            fp16=fp16,
            single_on_cpu=max_batch is None,
        )
        self._info, self._spec, self._batch_size = self._describe_file(network_size, source_size, max_batch)
        self._local = threading.local()
        self._runner = self._make_runner()
        self._decoder: Decoder = self._recognise()
        self._limits = self._make_limits(score_threshold, iou_threshold, classes, max_instances)

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
        return self._spec.resize == "letterbox-top-left"

    @property
    def batch_size(self) -> int:
        """Most frames that one run of the network takes."""
        return abs(self._batch_size)

    @property
    def device(self) -> str:
        """``cpu``, ``cuda`` or ``tensorrt``: where the network really runs."""
        return self._opened.device

    @property
    def provider(self) -> str:
        """ONNX Runtime's name for it."""
        return self._opened.provider

    @property
    def device_reason(self) -> str:
        """Why it runs there, one clause."""
        return self._opened.reason

    @property
    def contract(self) -> str:
        """The output contract that was recognised."""
        return self._decoder.contract

    @property
    def info(self) -> ModelInfo:
        """What the file says about itself, with the output sizes of the trial run."""
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
        """The ``onnxruntime.InferenceSession``, for reports on its nodes."""
        return self._opened.session

    def describe(self) -> str:
        """One line for a person: model, size, contract, classes, device and why."""
        width, height = self.network_size
        threads = self._opened.threads
        size = (
            ""
            if self._file.variant == f"{height}x{width}" and self._file.variant in self._file.label
            else f" {width} x {height}"
        )
        cores = f", {threads} thread{'s' if threads > 1 else ''}" if self.device == "cpu" else ""
        what = f"{self._file.label}{size}, {self.contract}, {len(self.class_names)} classes"
        return f"{what}, on {self.device}{cores} ({self.device_reason})"

    def segment(self, frames: Sequence[Frame]) -> list[Instances]:
        """The instances of each frame, in image pixels, one entry per frame in order.

        Args:
            frames: Any number; runs of at most ``batch_size``. A frame's ``network_image`` is used where it fits, else
                its ``image``.

        Raises:
            ModelError: A frame without a usable picture, or the network failed.
        """
        results: list[Instances] = []
        for start in range(0, len(frames), self.batch_size):
            chunk = frames[start : start + self.batch_size]
            batch, letterboxes = self._pack(chunk)
            outputs = self._runner.run(batch)
            for row, letterbox in enumerate(letterboxes):
                decoded = self._decoder.decode(outputs, row, self._limits)
                self._check_classes(decoded)
                results.append(place(decoded, letterbox))
        return results

    def _check_classes(self, decoded: Decoded) -> None:
        """Files without class names get COCO's; a class beyond them shows that these are the wrong ones."""
        highest = int(decoded.class_ids.max(initial=0))
        if highest >= len(self.class_names):
            raise ModelError(
                self._file.label,
                f"an instance of class {highest}, but there are {len(self.class_names)} class names",
                "name all classes under `classes` in manifest.toml",
            )

    def pack(self, frames: Sequence[Frame]) -> NDArray[Any]:
        """The network's input for at most ``batch_size`` frames; the next call from this thread may overwrite it."""
        return self._pack(frames)[0]

    def run(self, batch: NDArray[Any]) -> dict[str, NDArray[Any]]:
        """The bare network on a batch from :meth:`pack`: outputs by name, undecoded. For checks and benchmarks."""
        return self._runner.run(batch)

    def _pack(self, frames: Sequence[Frame]) -> tuple[NDArray[Any], list[Letterbox]]:
        preprocessor = self._preprocessor()
        batch, letterboxes = preprocessor.pack(frames)
        if len(batch) < self._batch_size:  # a file with a fixed batch
            batch = preprocessor.full_batch(batch)
        return batch, letterboxes

    def _describe_file(
        self, asked_size: tuple[int, int] | None, source_size: tuple[int, int] | None, max_batch: int | None
    ) -> tuple[ModelInfo, InputSpec, int]:
        """What the file declares, its input as far as known, and its batch (negative = any number up to that)."""
        session = self._opened.session
        info = ModelInfo(
            label=self._file.label,
            inputs=tuple(_tensor(tensor) for tensor in session.get_inputs()),
            outputs=tuple(_tensor(tensor) for tensor in session.get_outputs()),
            metadata=dict(session.get_modelmeta().custom_metadata_map),
            manifest=self._file.manifest,
        )
        spec = contracts.declared_input(info)
        size = contracts.network_size(info, spec, asked=asked_size, source_size=source_size)
        batch = info.inputs[0].shape[0]
        info = dataclasses.replace(info, network_size=size)
        if batch is not None:
            return info, spec, batch
        return info, spec, -max(max_batch or (1 if self.device == "cpu" else GPU_MAX_BATCH), 1)

    def _make_limits(
        self, score: float | None, iou: float | None, classes: Sequence[str] | None, max_instances: int
    ) -> Limits:
        """What the caller asked for, else the manifest, else the contract's habit."""
        _check_fraction("--conf", score, "0.25")
        _check_fraction("--iou", iou, "0.5")
        manifest = self._file.manifest
        if score is None:
            score = manifest.score_threshold if manifest else None
        if iou is None and self._decoder.iou_threshold is not None:
            # Graphs that suppress by themselves are suppressed again only on request.
            noted = manifest.iou_threshold if manifest else None
            iou = self._decoder.iou_threshold if noted is None else noted
        return Limits(
            score_threshold=DEFAULT_SCORE_THRESHOLD if score is None else score,
            iou_threshold=iou,
            classes=_selection(self._decoder.class_names, classes),
            max_instances=max_instances,
        )

    def _make_runner(self) -> Runner:
        arguments: dict[str, Any] = {
            "label": self._file.label,
            "input_name": self._info.inputs[0].name,
            "output_names": [output.name for output in self._info.outputs],
        }
        if self.device == "cpu":
            return PlainRunner(self._opened.session, **arguments)
        return BoundRunner(self._opened.session, **arguments, device_type="cuda", device_id=self._opened.card)

    def _preprocessor(self) -> Preprocessor:
        """This thread's input buffers."""
        preprocessor: Preprocessor | None = getattr(self._local, "preprocessor", None)
        if preprocessor is None:
            preprocessor = Preprocessor(spec=self._spec, network_size=self.network_size, batch=self.batch_size)
            self._local.preprocessor = preprocessor
        return preprocessor

    def _recognise(self) -> Decoder:
        """Run once on an empty picture, match the contract on the sizes that come out, complete the input spec."""
        trial = self._preprocessor().full_batch()[: max(self._batch_size, 1)]
        outputs = self._runner.run(trial)
        shapes = tuple(
            TensorInfo(name=name, dtype=str(np.asarray(value).dtype), shape=np.asarray(value).shape)
            for name, value in outputs.items()
        )
        self._info = dataclasses.replace(self._info, outputs=shapes)
        decoder = contracts.recognise(self._info)
        self._spec = self._spec.over(decoder.input_defaults)
        self._local = threading.local()
        return decoder


def place(decoded: Decoded, letterbox: Letterbox) -> Instances:
    """Instances from network pixels to image pixels.

    Boxes are clipped to the image, and boxes that are empty afterwards or not finite are dropped. Rows and columns of
    the mask grid that lie wholly in the padding are cut off.

    Args:
        decoded: Instances in network pixels.
        letterbox: Where the image lies in the network's input.
    """
    scale_x, scale_y = letterbox.scale
    width, height = letterbox.image_size
    boxes = decoded.boxes * np.array([1 / scale_x, 1 / scale_y, 1 / scale_x, 1 / scale_y], np.float32)
    np.clip(boxes, 0, np.array([width, height, width, height], np.float32), out=boxes)
    rows, columns = decoded.masks.shape[1:]
    step_x, step_y = letterbox.network_size[0] / columns, letterbox.network_size[1] / rows  # network pixels per cell
    content_columns = min(math.ceil(letterbox.content_size[0] / step_x), columns)
    content_rows = min(math.ceil(letterbox.content_size[1] / step_y), rows)
    instances = Instances(
        boxes=boxes,
        scores=np.clip(decoded.scores, 0, 1),
        class_ids=decoded.class_ids,
        masks=InstanceMasks(
            probabilities=decoded.masks[:, :content_rows, :content_columns],
            step_px=(step_x / scale_x, step_y / scale_y),
            image_size=letterbox.image_size,
        ),
        embeddings=decoded.embeddings,
    )
    # NaN compares false, so a box that is not finite goes as well.
    visible = (boxes[:, 2] > boxes[:, 0]) & (boxes[:, 3] > boxes[:, 1])
    return instances if visible.all() else instances.take(visible)


def _tensor(value: Any) -> TensorInfo:
    """ONNX Runtime's description of an input or output as ours."""
    dtype = value.type.removeprefix("tensor(").removesuffix(")")
    names = {"float": "float32", "double": "float64"}
    return TensorInfo(
        name=value.name,
        dtype=names.get(dtype, dtype),
        shape=tuple(size if isinstance(size, int) else None for size in value.shape),
    )


def _check_fraction(option: str, value: float | None, usual: str) -> None:
    if value is not None and not 0 <= value <= 1:
        problem = f"expected a number from 0 to 1, found {value}"
        raise ConfigError(option, problem, f"a usual value is {usual}")


def _selection(names: tuple[str, ...], classes: Sequence[str] | None) -> NDArray[np.bool_] | None:
    """``(C,)`` bool, which classes are wanted; ``None`` = all."""
    if classes is None:
        return None
    chosen = np.zeros(len(names), np.bool_)
    lowered = [name.lower() for name in names]
    for name in classes:
        if name.lower() not in lowered:
            close = difflib.get_close_matches(name.lower(), lowered, 1)
            shown = ", ".join(names[:20]) + (f", ... ({len(names)} in all)" if len(names) > 20 else "")
            problem = f"no such class in the model, which has {shown}"
            remedy = f"did you mean {names[lowered.index(close[0])]!r}?" if close else "choose among these"
            offender = f"--classes {name}"
            raise ConfigError(offender, problem, remedy)
        chosen[lowered.index(name.lower())] = True
    return chosen
