"""Check of a model file: properties, speed and faults (``masktrail models check``)."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from tracker.errors import ModelError
from tracker.inference.graph import GraphSummary, read_graph
from tracker.segment.session import OnnxSegmenter
from tracker.segment.zoo import ModelFile, find_model
from tracker.types import Frame

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from tracker.inference.tensors import TensorInfo
    from tracker.segment.manifest import InputSpec

__all__ = ["ModelReport", "check_model"]

SHAPE_BY_VALUE = frozenset({"Compress", "If", "Loop", "NonMaxSuppression", "NonZero", "Scan", "SequenceAt", "Unique"})
"""Operators whose output size or branch depends on values: CUDA graphs and TensorRT cannot take them."""
TRIALS, TRIAL_TIME_S = 20, 2.0
ANY_SCORE = 1e-6


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelReport:
    """What a check found.

    Attributes:
        label: The model as asked for.
        path: The file.
        size_bytes: Its size, without external weights.
        name: From metadata or manifest, else the file's name.
        version: From metadata or manifest, else empty.
        licence: From metadata or manifest, else empty.
        contract: The output contract that was recognised.
        family: Whose export the file is taken for; empty where the contract has one family only.
        assumed: What neither file nor manifest told.
        class_names: Names in ``class_ids`` order.
        network_size: ``(width, height)`` of the input in pixels.
        input_text: The input tensor and how pictures become it.
        outputs: Output tensors of the trial run.
        open_axes: Axes of the input that the file leaves open, for example ``batch``.
        graph: Opset and operators.
        device: Where the trial ran.
        device_reason: Why there.
        placement: Which share of the graph's nodes ran on which provider.
        run_ms: Median time of the network for one frame.
        segment_ms: Median time of the whole ``segment`` call for one frame, ``None`` where the outputs do not decode.
        trial_instances: Instances found in the random picture at any score, as decoded.
        problems: What makes the file unusable or wrong; empty = it passed.
        notes: What is worth knowing.
    """

    label: str
    path: Path
    size_bytes: int
    name: str
    version: str
    licence: str
    contract: str
    family: str
    assumed: tuple[str, ...]
    class_names: tuple[str, ...]
    network_size: tuple[int, int]
    input_text: str
    outputs: tuple[TensorInfo, ...]
    open_axes: tuple[str, ...]
    graph: GraphSummary
    device: str
    device_reason: str
    placement: str
    run_ms: float
    segment_ms: float | None
    trial_instances: int
    problems: tuple[str, ...]
    notes: tuple[str, ...]

    @property
    def passed(self) -> bool:
        """Whether nothing is wrong."""
        return not self.problems

    @property
    def headline(self) -> str:
        """One line: properties and speed."""
        width, height = self.network_size
        title = f"{self.name} {self.version}".strip()
        state = "" if self.passed else f", {len(self.problems)} problem{'s' if len(self.problems) > 1 else ''}"
        return (
            f"{title}: {self.contract}, {width} x {height}, {len(self.class_names)} classes, "
            f"{self.run_ms:.1f} ms a frame on {self.device}{state}"
        )

    def rows(self) -> list[tuple[str, str]]:
        """The report as label and value, for a table."""
        names = ", ".join(self.class_names[:12]) + (", ..." if len(self.class_names) > 12 else "")
        opsets = [f"{self.graph.opset}", *(f"{domain} {version}" for domain, version in self.graph.domains.items())]
        times = f"{self.run_ms:.1f} ms network"
        if self.segment_ms is not None:
            times += f", {self.segment_ms:.1f} ms with decoding"
        rows = [
            ("model", f"{self.name} {self.version}".strip()),
            ("file", f"{self.path} ({self.size_bytes / 1e6:.1f} MB)"),
            ("licence", self.licence or "not stated"),
            ("contract", self.contract),
            *((("family", self.family),) if self.family else ()),
            *(("assumed", one) for one in self.assumed),
            ("classes", f"{len(self.class_names)}: {names}"),
            ("input", self.input_text),
            ("open axes", ", ".join(self.open_axes) or "none"),
            *(("output", str(output)) for output in self.outputs),
            ("opset", ", ".join(opsets)),
            ("operators", f"{sum(self.graph.operators.values())} of {len(self.graph.operators)} kinds"),
            ("trial", f"{times}, on {self.device} ({self.device_reason})"),
            ("placement", self.placement),
        ]
        rows += [("note", note) for note in self.notes]
        rows += [("problem", problem) for problem in self.problems]
        return rows


def check_model(model: str | Path | ModelFile, *, device: str = "auto", threads: int | None = None) -> ModelReport:
    """Open a model, recognise its contract, run it on a random picture and validate its outputs.

    Args:
        model: A name of the zoo, an ``.onnx`` file, or what :func:`tracker.segment.zoo.find_model` gave.
        device: Where the trial runs.
        threads: Threads of the trial on the CPU.

    Raises:
        ModelError: It is no model, or its outputs follow no known contract: there is nothing more to check.
    """
    file = model if isinstance(model, ModelFile) else find_model(model)
    graph = read_graph(file.path)
    segmenter = OnnxSegmenter(file, device=device, threads=threads, score_threshold=ANY_SCORE, max_batch=1)
    width, height = segmenter.network_size
    # Smooth noise: white noise has no shapes that a network could detect.
    generator = np.random.default_rng(0)
    coarse = generator.integers(0, 256, (height // 16 + 1, width // 16 + 1, 3), dtype=np.uint8)
    picture = np.ascontiguousarray(coarse.repeat(16, axis=0).repeat(16, axis=1)[:height, :width])
    frame = Frame(index=0, time_s=0.0, arrived_s=0.0, source="trial", size=(width, height), image=picture)
    outputs = segmenter.run(segmenter.pack([frame]))
    varying = SHAPE_BY_VALUE & graph.operators.keys()
    problems = [*_output_problems(outputs), *segmenter.decoder.problems(outputs)]
    if varying and segmenter.decoder.fixed_sizes:
        problems.append(f"operators {', '.join(sorted(varying))} keep the graph from CUDA graphs and TensorRT")
    instances, segment_ms = 0, None
    try:
        instances = len(segmenter.segment([frame])[0])
        segment_ms = _median_ms(lambda: segmenter.segment([frame]))
    except (ModelError, ValueError, IndexError) as error:
        problems.append(f"the outputs do not decode: {error}")
    batch = segmenter.pack([frame])
    input_tensor, spec = segmenter.info.inputs[0], segmenter.input_spec
    metadata, manifest = segmenter.info.metadata, file.manifest
    return ModelReport(
        label=file.label,
        path=file.path,
        size_bytes=file.path.stat().st_size,
        name=metadata.get("masktrail.name") or (manifest and manifest.name) or file.path.stem,
        version=metadata.get("masktrail.version") or (manifest and manifest.version) or "",
        licence=metadata.get("masktrail.licence") or (manifest and manifest.licence) or metadata.get("license") or "",
        contract=segmenter.contract,
        family=segmenter.decoder.family,
        assumed=segmenter.decoder.assumed,
        class_names=segmenter.class_names,
        network_size=segmenter.network_size,
        input_text=f"{input_tensor}, {spec.layout} {spec.channels}, {spec.resize} to {width} x {height}",
        outputs=segmenter.info.outputs,
        open_axes=_open_axes(input_tensor.shape, spec),
        graph=graph,
        device=segmenter.device,
        device_reason=segmenter.device_reason,
        placement=segmenter.placement,
        run_ms=_median_ms(lambda: segmenter.run(batch)),
        segment_ms=segment_ms,
        trial_instances=instances,
        problems=tuple(problems),
        notes=tuple(_notes(segmenter, graph)),
    )


def _median_ms(work: Any) -> float:
    """Median of at most ``TRIALS`` runs in ``TRIAL_TIME_S``, after one that is not counted."""
    work()
    times_s: list[float] = []
    while len(times_s) < TRIALS and sum(times_s) < TRIAL_TIME_S:
        started_s = time.perf_counter()
        work()
        times_s.append(time.perf_counter() - started_s)
    return float(np.median(times_s)) * 1e3


def _open_axes(shape: tuple[int | None, ...], spec: InputSpec) -> tuple[str, ...]:
    sides = ("height", "width", "channels") if spec.channels_last else ("channels", "height", "width")
    axes = ("batch", *sides) if spec.batched else sides
    return tuple(axis for axis, size in zip(axes, shape, strict=True) if size is None)


def _output_problems(outputs: Mapping[str, NDArray[Any]]) -> list[str]:
    """Values that no contract allows."""
    return [
        f"output {name} holds values that are not finite ({int((~np.isfinite(value)).sum())} of {value.size})"
        for name, value in outputs.items()
        if value.dtype.kind == "f" and not np.isfinite(value).all()
    ]


def _notes(segmenter: OnnxSegmenter, graph: GraphSummary) -> list[str]:
    notes = []
    varying = SHAPE_BY_VALUE & graph.operators.keys()
    if varying and not segmenter.decoder.fixed_sizes:
        notes.append(f"operators {', '.join(sorted(varying))} keep the graph from CUDA graphs")
    if graph.opset >= 19 and "Resize" in graph.operators:
        notes.append(
            f"Resize of opset {graph.opset} falls back to the CPU in older GPU builds; opset 17 or 18 does not"
        )
    if graph.domains:
        notes.append(f"operator sets besides the standard one: {', '.join(graph.domains)}")
    if not segmenter.info.metadata.get("masktrail.contract"):
        notes.append(f"recognised as {segmenter.contract} by the shapes of its outputs")
    return notes
