"""int8 quantisation of a finished float32 ONNX file, with what it costs and saves.

Static quantisation in QDQ form: weights int8 per channel, activations uint8 with the ranges that the pictures show. It
covers the network up to its last convolutions; these, decoding, NMS and masks stay float32.
"""

from __future__ import annotations

import contextlib
import io
import json
import logging
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import onnx
import onnxruntime
from onnxruntime.quantization import CalibrationDataReader, CalibrationMethod, QuantType, quantize_static

from export.data.coco import pictures_below
from export.networks.weights import load_onnx
from export.onnx.half import network_nodes
from export.onnx.to_onnx import drop_unused
from export.training.evaluate import evaluate, table
from tracker.errors import ConfigError, ModelError, SinkError
from tracker.segment.session import OnnxSegmenter
from tracker.types import Frame

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    import numpy as np

LAYERS = ("Conv", "Sigmoid", "Mul", "Concat", "Add", "MaxPool", "Resize", "Relu")
# How much of a tensor's values the range covers. Mask AP of yolact-nano on pennfudan, 0.627 in float32: 0.326 with the
# whole range (32 pictures), 0.491 with 99.999 %, 0.530 with 99.99 %, 0.556 with 99.9 % (8 pictures each).
PERCENTILE = 99.9


class Pictures(CalibrationDataReader):
    """Picture files as a network's input, one by one, prepared as `masktrail track` would."""

    def __init__(self, segmenter: OnnxSegmenter, paths: Sequence[Path]) -> None:
        self.segmenter, self.paths = segmenter, list(paths)
        self.set_range(0, len(self.paths))

    def __len__(self) -> int:
        """How many pictures."""
        return len(self.paths)

    def set_range(self, start_index: int, end_index: int) -> None:
        """Give these pictures next."""
        self.rest = iter(self.paths[start_index:end_index])

    def get_next(self) -> dict[str, np.ndarray] | None:
        """The next input by name, `None` after the last.

        Raises:
            ConfigError: A file is no picture.
        """
        path = next(self.rest, None)
        if path is None:
            return None
        image = cv2.imread(str(path), cv2.IMREAD_COLOR)
        if image is None:
            raise ConfigError(path, "expected a picture, found none that can be read", "remove or replace the file")
        size = (image.shape[1], image.shape[0])
        frame = Frame(index=0, time_s=0.0, arrived_s=0.0, source=path.name, size=size, image=image)
        return {name: array.copy() for name, array in self.segmenter.pack([frame]).items()}


def calibration_pictures(folder: Path, count: int) -> list[Path]:
    """At most `count` picture files of a folder and those below it, evenly chosen by name.

    Raises:
        ConfigError: There is none.
    """
    found = pictures_below(folder)
    if not found:
        raise ConfigError(
            folder, "expected pictures to calibrate on, found none", "give a folder of .jpg or .png files"
        )
    return [found[index * len(found) // min(count, len(found))] for index in range(min(count, len(found)))]


def quantised_nodes(graph: onnx.GraphProto) -> list[str]:
    """Names of the nodes that become int8: the network without its last convolutions."""
    network = network_nodes(graph)
    read = {name for node in network for name in node.input}
    return [
        node.name
        for node in network
        if node.op_type in LAYERS and (node.op_type != "Conv" or read.intersection(node.output))
    ]


def quantise(model: Path, pictures: Sequence[Path], target: Path) -> tuple[dict[str, int], float]:
    """Write the int8 file with the metadata of the float32 one.

    Args:
        model: the float32 file.
        pictures: what the ranges of activations are taken from.
        target: where the int8 file goes.

    Returns:
        How many nodes became int8, by operator, and which percentage of a tensor's values its range covers.

    Raises:
        ModelError: The file is none, holds nothing to quantise, or is quantised already.
        ConfigError: A calibration picture cannot be read.
    """
    source = load_onnx(model)
    if any(node.op_type == "DequantizeLinear" for node in source.graph.node):
        raise ModelError(model, "is quantised already", "give the float32 file that it came from")
    drop_unused(source.graph)
    for number, node in enumerate(source.graph.node):
        node.name = node.name or f"{node.op_type}_{number}"
    chosen = quantised_nodes(source.graph)
    if not chosen:
        raise ModelError(model, "has no convolution between its input and its heads", "give a segmentation network")
    reader = Pictures(OnnxSegmenter(model, device="cpu", threads=1, max_batch=1), pictures)
    result, covered = calibrate(source, reader, chosen)
    finish(result, source)
    onnx.save(result, str(target))
    kinds = {node.name: node.op_type for node in source.graph.node}
    return dict(Counter(kinds[name] for name in chosen)), covered


def calibrate(
    source: onnx.ModelProto, reader: CalibrationDataReader, chosen: list[str]
) -> tuple[onnx.ModelProto, float]:
    """Quantise the chosen nodes with ranges from the reader's inputs; returns the graph and the percentage covered.

    A tensor that hardly changes has no histogram: then all ranges are whole, and the percentage is 100.
    """
    logger = logging.getLogger()
    level = logger.level
    logger.setLevel(logging.ERROR)  # the quantiser recommends a preparation that our exports have had
    ways = (CalibrationMethod.Percentile, PERCENTILE), (CalibrationMethod.MinMax, 100.0)
    try:
        with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()):
            for method, covered in ways:
                with contextlib.suppress(*([ValueError] if covered < 100.0 else [])):
                    quantize_static(
                        onnx.shape_inference.infer_shapes(source),
                        Path(folder) / "int8.onnx",
                        reader,
                        op_types_to_quantize=list(LAYERS),
                        nodes_to_quantize=chosen,
                        per_channel=True,
                        activation_type=QuantType.QUInt8,
                        weight_type=QuantType.QInt8,
                        calibrate_method=method,
                        extra_options={"CalibPercentile": PERCENTILE, "CalibStridedMinMax": 1},  # one at a time
                    )
                    break
            return onnx.load(str(Path(folder) / "int8.onnx")), covered
    finally:
        logger.setLevel(level)


def finish(result: onnx.ModelProto, source: onnx.ModelProto) -> None:
    """Give the metadata back, and drop what the quantiser declares and does not use."""
    del result.metadata_props[:]
    result.metadata_props.extend(source.metadata_props)
    used = {node.domain for node in result.graph.node} | {""}
    opsets = [item for item in result.opset_import if item.domain in used]
    del result.opset_import[:]
    result.opset_import.extend(opsets)
    del result.graph.value_info[:]
    onnx.checker.check_model(result, full_check=True)


def cpu_times_ms(paths: Sequence[Path], picture: Path, *, rounds: int) -> list[float]:
    """CPU time of one thread for one frame, per file the best of many runs in turn.

    Other work on the machine takes its own time of the thread, so that this is not in the figure; it shares caches.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    sessions = [onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"]) for path in paths]
    feed = Pictures(OnnxSegmenter(paths[0], device="cpu", threads=1, max_batch=1), [picture]).get_next()
    best = [float("inf")] * len(sessions)
    for _ in range(rounds + 1):
        for place, session in enumerate(sessions):
            started_s = time.thread_time()
            session.run(None, feed)
            best[place] = min(best[place], time.thread_time() - started_s)
    return [1e3 * time_s for time_s in best]


def run(options: argparse.Namespace, val_sets: Sequence[Path]) -> None:
    """`python -m export quantise`.

    Raises:
        SinkError: `--out` is the model itself, or no .onnx file.
        ConfigError: `--validate` on a file that `evaluate` cannot run, or a number below 1.
    """
    if options.out.suffix != ".onnx" or options.out.resolve() == options.model.resolve():
        raise SinkError(f"--out {options.out}", "expected another .onnx file than --model", "choose another name")
    if min(options.pictures, options.rounds) < 1:
        raise ConfigError("--pictures, --rounds", "expected 1 or more", "leave them out for the default")
    folders = val_sets if options.validate == [] else options.validate
    if folders:
        check_validation(options.model)
    pictures = calibration_pictures(options.calibration, options.pictures)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    chosen, covered = quantise(options.model, pictures, options.out)
    before, after = (path.stat().st_size / 1e6 for path in (options.model, options.out))
    print(f"{options.out}: {before:.1f} -> {after:.1f} MB, int8: {json.dumps(chosen)}")
    print(f"ranges: {covered:g} % of the values in {len(pictures)} pictures")
    before, after = cpu_times_ms([options.model, options.out], pictures[0], rounds=options.rounds)
    verdict = "faster" if after < before else "NOT faster: the float32 file is the better one on this processor"
    print(f"CPU time of one thread: {before:.1f} -> {after:.1f} ms, ratio {after / before:.2f}, {verdict}", flush=True)
    for folder in folders or []:
        figures: dict[str, dict[str, Any]] = {
            kind: evaluate(path, folder) for kind, path in (("float32", options.model), ("int8", options.out))
        }
        change = 100.0 * (figures["int8"]["AP"] - figures["float32"]["AP"])
        verdict = "within the bar of 1" if change > -1.0 else "NOT within the bar of 1: do not ship the int8 file"
        print(f"{folder.name}: {change:+.1f} points of mask AP, {verdict}")
        print(table(figures), flush=True)


def check_validation(model: Path) -> None:
    """Refuse what `evaluate` cannot run, before the work is done.

    Raises:
        ConfigError: The file is not of the kind that `nano` writes.
    """
    metadata = {item.key: item.value for item in load_onnx(model).metadata_props}
    if "masktrail.mask_stride" not in metadata:
        raise ConfigError(
            "--validate", f"{model} does not say its mask stride, as files of `nano` do", "leave --validate out"
        )
