"""What exports of other model families share: one graph of fixed sizes, metadata, manifest, parity of instances."""

from __future__ import annotations

import hashlib
import json
import re
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import torch
from onnx import helper
from torch import Tensor, nn

from export.onnx.manifest import quote, toml
from export.onnx.sessions import cpu_session
from export.onnx.to_onnx import check_operators, drop_unused, fold_constants, trace
from tracker.errors import ModelError
from tracker.inference.tensors import TensorInfo
from tracker.segment.contracts.decoder import COCO_CLASSES, ModelInfo
from tracker.segment.contracts.known import recognise
from tracker.segment.limits import make_limits

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Mapping, Sequence

    from tracker.segment.contracts.decoder import Decoded

OPSET = 17
LEAST_OBJECT_PX = 400  # of masks whose overlap is averaged


class NormalisedFrames(nn.Module):
    """A network behind frames (1, H, W, 3) uint8 BGR, which it takes as images (1, 3, H, W) less mean, over std."""

    def __init__(self, network: nn.Module, *, channels: str, mean: Sequence[float], std: Sequence[float]) -> None:
        super().__init__()
        self.network = network
        self.flip = channels == "RGB"
        self.register_buffer("mean", torch.tensor(tuple(mean))[:, None, None])
        self.register_buffer("std", torch.tensor(tuple(std))[:, None, None])

    def images(self, frames: Tensor) -> Tensor:
        """What the network takes."""
        images = frames.permute(0, 3, 1, 2).float()
        images = images.flip(1) if self.flip else images
        return (images - self.mean) / self.std


def checked_options(options: argparse.Namespace, configurations: Sequence[str]) -> tuple[int, int, int | None]:
    """Height, width, and the seed of random weights.

    Raises:
        ModelError: An option that cannot be meant; nothing was written.
    """
    if options.config not in configurations:
        known = ", ".join(configurations)
        raise ModelError(f"--config {options.config}", "no such configuration", f"choose among {known}")
    size = re.fullmatch(r"(\d+)x(\d+)", options.size)
    height, width = (int(size[1]), int(size[2])) if size else (0, 0)
    if min(height, width) < 64 or height % 32 or width % 32:
        problem = f"expected HEIGHTxWIDTH, multiples of 32 from 64 on, found {options.size}"
        raise ModelError("--size", problem, "try 384x640")
    if options.out.suffix != ".onnx":
        found = options.out / "model.onnx"
        raise ModelError(f"--out {options.out}", "expected the name of an .onnx file", f"try {found}")
    random = re.fullmatch(r"random:(\d+)", options.weights)
    return height, width, int(random[1]) if random else None


def write_graph(
    module: nn.Module,
    example: torch.Tensor,
    path: Path,
    *,
    outputs: Sequence[str],
    metadata: Mapping[str, str],
    opset: int = OPSET,
) -> None:
    """Export, fold constants, check and write one file.

    Raises:
        ValueError: The graph holds an operator whose sizes depend on values, or another input.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    trace(module, (example,), path, inputs=["frames"], outputs=outputs, opset=opset)
    model = fold_constants(path)
    drop_unused(model.graph)
    finish_graph(model, path, tuple(example.shape), metadata)


def finish_graph(model: onnx.ModelProto, path: Path, shape: tuple[int, ...], metadata: Mapping[str, str]) -> None:
    """Check a graph and write it with its metadata; see `write_graph`."""
    found = tuple(dim.dim_value for dim in model.graph.input[0].type.tensor_type.shape.dim)
    if found != shape or len(model.graph.input) != 1:
        message = f"input {model.graph.input[0].name} is {found}, expected {shape}"
        raise ValueError(message)
    check_operators(model)
    helper.set_model_props(model, dict(metadata))
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, str(path))


def described(
    *, contract: str, family: str, name: str, classes: Sequence[str], size: tuple[int, int], licence: str, **layout: Any
) -> dict[str, str]:
    """Metadata of a file with uint8 frames as input; `size` is height, width."""
    image = {"layout": "NHWC", "dtype": "uint8", "channels": "BGR", "resize": "letterbox-top-left", "pad_value": 114}
    image |= {"height": size[0], "width": size[1], "mean": [0.0] * 3, "std": [1.0] * 3, **layout}
    metadata = {
        "masktrail.contract": contract,
        "masktrail.family": family,
        "masktrail.name": name,
        "masktrail.version": "1",
        "masktrail.classes": json.dumps(list(classes)),
        "masktrail.input": json.dumps(image),
    }
    return metadata | ({"masktrail.licence": licence} if licence else {})


def trial_frames(size: tuple[int, int], folders: Sequence[Path], count: int = 2) -> dict[str, np.ndarray]:
    """Frames (N, H, W, 3) uint8 BGR by kind: smooth noise, and validation pictures where they are."""
    import cv2

    from export.training.evaluate import letterbox

    height, width = size
    coarse = np.random.default_rng(0).integers(0, 256, (count, height // 16 + 1, width // 16 + 1, 3), np.uint8)
    frames = {"random": coarse.repeat(16, axis=1).repeat(16, axis=2)[:, :height, :width].copy()}
    pictures = [picture for folder in folders for picture in sorted((folder / "images").iterdir())[:count]]
    chosen = pictures[:: max(len(pictures) // count, 1)][:count]
    if chosen:
        frames["real"] = np.stack([letterbox(cv2.imread(str(one), cv2.IMREAD_COLOR), size)[0] for one in chosen])
    return frames


def decoder_of(path: Path, size: tuple[int, int]) -> Callable[[Mapping[str, np.ndarray]], Decoded]:
    """Outputs by name of one frame -> instances, by the decoder that masktrail takes for the file."""
    model = onnx.load(str(path), load_external_data=False)
    tensors = [
        TensorInfo(
            name=value.name,
            dtype=str(np.dtype(helper.tensor_dtype_to_np_dtype(value.type.tensor_type.elem_type))),
            shape=tuple(dim.dim_value for dim in value.type.tensor_type.shape.dim),
        )
        for value in (*model.graph.input, *model.graph.output)
    ]
    info = ModelInfo(
        label=str(path),
        inputs=tuple(tensors[:1]),
        outputs=tuple(tensors[1:]),
        metadata={item.key: item.value for item in model.metadata_props},
        network_size=size[::-1],
    )
    decoder, _ = recognise(info)
    limits = make_limits(decoder, None, score_threshold=0.05, iou_threshold=1.0, classes=None, max_instances=100)
    return lambda outputs: decoder.decode(outputs, 0, limits)


def parity(
    module: nn.Module, path: Path, frames: np.ndarray, size: tuple[int, int], names: Sequence[str]
) -> dict[str, float]:
    """ONNX Runtime against PyTorch on frames (N, H, W, 3), one by one: raw outputs and final instances as sets.

    Returns:
        `..._max_error` of every output, `instances` after the same decoding, the share with its like on the other side,
        `agreement` (class equal, score within 2e-3, box within 0.5 px), `mask_iou` (their mean, boxes over 400
        square pixels), `run_ms` (median CPU time of one core).
    """
    session, decode = cpu_session(path), decoder_of(path, size)
    worst: dict[str, float] = {}
    count, alike, overlaps, times_ms = 0, 0, [], []
    for frame in frames:
        started_s = time.thread_time()
        found = dict(zip(names, session.run(list(names), {"frames": frame[None]}), strict=True))
        times_ms.append((time.thread_time() - started_s) * 1e3)
        with torch.no_grad():
            values = [value.numpy() for value in module(torch.from_numpy(frame[None]))]
        wanted = dict(zip(names, values, strict=True))
        for name in names:
            error = float(np.abs(found[name].astype(np.float64) - wanted[name]).max())
            worst[f"{name}_max_error"] = max(worst.get(f"{name}_max_error", 0.0), error)
        ours, theirs = decode(found), decode(wanted)
        matched, ious = compared(ours, theirs)
        count, alike, overlaps = count + len(theirs.scores), alike + matched, overlaps + ious
    return worst | {
        "instances": count,
        "agreement": alike / count if count else 1.0,
        "mask_iou": float(np.mean(overlaps)) if overlaps else 1.0,
        "run_ms": float(np.median(times_ms)),
    }


def compared(ours: Decoded, theirs: Decoded, *, score: float = 2e-3, box_px: float = 0.5) -> tuple[int, list[float]]:
    """How many instances of `theirs` have their like among `ours`, and mask IoU of those over 400 square pixels."""
    matched, ious, free = 0, [], np.ones(len(ours.scores), np.bool_)
    for row in range(len(theirs.scores)):
        near = free & (np.abs(ours.scores - theirs.scores[row]) <= score) & (ours.class_ids == theirs.class_ids[row])
        near &= np.abs(ours.boxes - theirs.boxes[row]).max(axis=1, initial=0) <= box_px
        if not near.any():
            continue
        best = int(np.flatnonzero(near)[np.abs(ours.scores[near] - theirs.scores[row]).argmin()])
        free[best] = False
        matched += 1
        sides = theirs.boxes[row, 2:] - theirs.boxes[row, :2]
        if sides.prod() > LEAST_OBJECT_PX and ours.masks.shape[1:] == theirs.masks.shape[1:]:
            one, other = ours.masks[best] >= 128, theirs.masks[row] >= 128
            ious.append(float((one & other).sum() / max((one | other).sum(), 1)))
    return matched, ious


def export_family(
    module: nn.Module,
    options: argparse.Namespace,
    val_sets: Sequence[Path],
    *,
    command: str,
    outputs: Sequence[str],
    metadata: Mapping[str, str],
    facts: Mapping[str, Any],
) -> None:
    """Write a graph, compare it with its network, write its manifest, report.

    Args:
        module: takes frames (1, H, W, 3) uint8 BGR.
        options: `out` and `weights`.
        val_sets: folders of validation pictures.
        command: of `python -m export`.
        outputs: names of what the module gives.
        metadata: of `described`.
        facts: of the manifest, beside configuration and weights.
    """
    layout = json.loads(metadata["masktrail.input"])
    size = layout["height"], layout["width"]
    module.eval()
    example = torch.zeros(1, *size, 3, dtype=torch.uint8)
    write_graph(module, example, options.out, outputs=outputs, metadata=metadata)
    frames = trial_frames(size, val_sets)
    figures = {kind: parity(module, options.out, some, size, outputs) for kind, some in frames.items()}
    facts = {"configuration": options.config, **weights_facts(options.weights), **facts}
    manifest = write_family_manifest(options.out, metadata, command=command, facts=facts, figures=figures)
    report(options.out, figures, manifest)


def write_family_manifest(
    path: Path,
    metadata: Mapping[str, str],
    *,
    command: str,
    facts: Mapping[str, Any],
    figures: Mapping[str, Any],
    target: Path | None = None,
    settings: Mapping[str, Any] | None = None,
    more: Sequence[str] = (),
) -> Path:
    """Write `NAME.toml` beside `NAME.onnx`, or `target`; returns where.

    Args:
        path: of the file.
        metadata: of `described`.
        command: of `python -m export`.
        facts: of the table `[export]`.
        figures: of parity, by kind of picture.
        target: the manifest.
        settings: further keys that readers take, as `score_threshold`.
        more: lines at the end.
    """
    layout = json.loads(metadata["masktrail.input"])
    lines = [f"# What the file takes and gives, and what was measured on it. Written by `python -m export {command}`."]
    keys = ("name", "version", "licence", "contract", "family")
    lines += [f"{key} = {quote(value)}" for key in keys if (value := metadata.get(f"masktrail.{key}"))]
    lines += [f"classes = [{', '.join(quote(name) for name in json.loads(metadata['masktrail.classes']))}]"]
    lines += [
        f"files = [{quote(path.name)}]",
        *(f"{key} = {toml(value)}" for key, value in (settings or {}).items()),
        "",
        "[input]",
        *(f"{key} = {toml(value)}" for key, value in layout.items()),
    ]
    facts = {**facts, "bytes": path.stat().st_size, "sha256": hashlib.sha256(path.read_bytes()).hexdigest()}
    lines += ["", "[export]", *(f"{key} = {toml(value)}" for key, value in facts.items())]
    for kind, values in figures.items():
        lines += ["", f"[parity.{kind}]  # ONNX Runtime against PyTorch, both on the CPU"]
        lines += [f"{key} = {toml(value)}" for key, value in values.items()]
    target = target or path.with_suffix(".toml")
    target.write_text("\n".join([*lines, *more]) + "\n", encoding="utf-8")
    return target


def report(path: Path, figures: Mapping[str, Mapping[str, float]], manifest: Path) -> None:
    """Print what was written, and how far ONNX Runtime is from PyTorch."""
    print(path)
    for kind, found in figures.items():
        print(
            f"{kind} pictures: {100 * found['agreement']:.1f} % of {found['instances']} instances agree, "
            f"mask IoU {found['mask_iou']:.4f}, {found['run_ms']:.0f} ms of one core a frame"
        )
    print(f"manifest: {manifest}")


def weights_facts(weights: str) -> dict[str, str]:
    """Which weights, and the SHA-256 of their file."""
    path = Path(weights)
    facts = {"weights": path.name}
    return facts | ({"weights_sha256": hashlib.sha256(path.read_bytes()).hexdigest()} if path.is_file() else {})


def named_classes(given: Sequence[str] | None, count: int) -> tuple[str, ...]:
    """Names of the classes: those given, else COCO's where the number fits.

    Raises:
        ModelError: The number of names is not that of the checkpoint's classes.
    """
    names = tuple(given or COCO_CLASSES)
    if len(names) != count:
        problem = f"expected {count} names as the checkpoint has classes, found {len(names)}"
        raise ModelError("--classes", problem, "name all classes in training order, without the background")
    return names
