"""ONNX export of dbolya's YOLACT checkpoints, end to end or with raw heads.

What the graph holds is what the published code does at test time: `Detect` with Fast NMS (section 4.1). Masks leave as
coefficients and prototypes; `postprocess` is left to the reader.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
import re
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import onnxruntime
import torch
from onnx import helper, numpy_helper
from torch import Tensor, nn

from export.networks.yolact import CONFIGURATIONS, Yolact, decode, make_priors
from export.networks.yolact_weights import class_names, load_checkpoint, random_network
from export.onnx.manifest import quote, toml
from export.onnx.parity import overlap, parity, with_masks
from export.onnx.to_onnx import (
    CONTRACT,
    OPSET,
    OUTSIDE,
    EndToEnd,
    check_graph,
    check_operators,
    drop_unused,
    fold_constants,
    open_batch,
)
from tracker.errors import ModelError
from tracker.masks.prototypes import BILINEAR_MARGIN
from tracker.segment.contracts.decoder import COCO_CLASSES

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

RAW_CONTRACT = "yolact"
RAW_NAMES = ("loc", "conf", "mask", "priors", "proto")
FINAL_NAMES = ("boxes", "scores", "class_ids", "coefficients", "prototypes")
CANDIDATES, INSTANCES, IOU_THRESHOLD = 200, 100, 0.5  # nms_top_k, max_num_detections, nms_thresh of the published code
SMALLEST_PX, SMALLEST_RATED_PX = 32, 249


class YolactEndToEnd(EndToEnd):
    """Frames (B, S, S, 3) uint8 BGR -> boxes (B, K, 4) 0..1, scores and class ids (B, K), what makes the masks.

    That is coefficients (B, K, M) and prototypes (B, h, w, M).

    Args:
        network: with its weights.
        size_px: S.
        per_class: Fast NMS within each class, as published figures were measured, rather than over all classes at once.
        half: run the network in float16; decoding stays in float32.
        rate_masks: let YOLACT++ multiply scores by what its small network thinks of the mask.

    Raises:
        ModelError: Masks are to be rated, and the grid is too small for that.
    """

    def __init__(
        self, network: Yolact, *, size_px: int, per_class: bool = False, half: bool = False, rate_masks: bool = True
    ) -> None:
        nn.Module.__init__(self)  # the parent's prepares a YolactNano
        self.rate_masks = network.configuration.mask_iou and rate_masks
        if self.rate_masks and size_px < SMALLEST_RATED_PX:
            problem = f"YOLACT++ rates masks on a grid of 63 cells or more, found {2 * math.ceil(size_px / 8)}"
            raise ModelError(
                f"--size {size_px}", problem, f"choose at least {SMALLEST_RATED_PX} pixels, or --raw-heads"
            )
        self.network = network.half() if half else network
        if network.maskiou_net is not None:
            network.maskiou_net.float()
        self.configuration = network.configuration
        self.height = self.width = size_px
        self.per_class, self.half_precision = per_class, half
        priors = make_priors(self.configuration, size_px)
        self.candidates, self.instances = min(CANDIDATES, len(priors)), min(INSTANCES, len(priors))
        self.iou_threshold, self.nms_rounds = IOU_THRESHOLD, 1  # one round is Fast NMS
        self.register_buffer("priors", priors)
        self.register_buffer("groups", torch.zeros(self.configuration.classes))
        self.register_buffer("mean", torch.tensor(self.configuration.mean).view(3, 1, 1))
        self.register_buffer("std", torch.tensor(self.configuration.std).view(3, 1, 1))

    def normalise(self, frames: Tensor) -> Tensor:
        """Frames (B, S, S, 3) uint8 BGR -> the official input (B, 3, S, S) float32 RGB."""
        return (frames.flip(3).permute(0, 3, 1, 2).float() - self.mean) / self.std

    @property
    def output_names(self) -> list[str]:
        """Names of what `forward` gives, in its order."""
        return list(FINAL_NAMES)

    @property
    def mask_facts(self) -> dict[str, str]:
        """Metadata by which a reader makes masks."""
        return {"masktrail.mask_margin": str(BILINEAR_MARGIN)}

    def forward(self, frames: Tensor) -> tuple[Tensor, ...]:
        """See the class."""
        images = self.normalise(frames)
        loc, conf, mask, prototypes = self.network.heads(images.half() if self.half_precision else images)
        return self.finish(loc.float(), conf, mask.float(), prototypes.float())

    def finish(self, loc: Tensor, conf: Tensor, mask: Tensor, prototypes: Tensor) -> tuple[Tensor, ...]:
        """Raw heads, prototypes as (B, M, h, w) -> the five outputs."""
        pick = self.best_per_class if self.per_class else self.best
        scores, class_ids, rows = pick(loc, conf[..., 1:])  # (B, K) each
        boxes = self.boxes(loc, rows)  # (B, K, 4)
        coefficients = mask.gather(1, rows[..., None].expand(-1, -1, mask.shape[2]))  # (B, K, M)
        if self.rate_masks:  # scores say how good the mask is, too, and instances change places
            masks = self.assemble(prototypes, coefficients, boxes)  # (B, K, h, w)
            ious = self.network.maskiou_net(masks.reshape(-1, 1, *masks.shape[2:]))  # (B K, C)
            ious = ious.gather(1, class_ids.reshape(-1, 1)).reshape(-1, self.instances)  # (B, K)
            scores, order = (scores * ious).topk(self.instances, dim=1)
            class_ids, places = class_ids.gather(1, order), order[..., None]
            boxes = boxes.gather(1, places.expand(-1, -1, 4))
            coefficients = coefficients.gather(1, places.expand(-1, -1, mask.shape[2]))
        return boxes.clamp(0.0, 1.0), scores, class_ids, coefficients, prototypes.permute(0, 2, 3, 1)

    def boxes(self, loc: Tensor, rows: Tensor) -> Tensor:
        """Boxes of the chosen anchors: rows (B, N) -> (B, N, 4)."""
        return decode(loc.gather(1, rows[..., None].expand(-1, -1, 4)), self.priors[rows])

    def best(self, loc: Tensor, conf: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Fast NMS over all classes (`cc_fast_nms`) -> scores, class ids and anchors (B, K), suppressed ones at 0."""
        scores, class_ids = conf.max(dim=2)  # (B, P)
        scores, rows = scores.topk(self.candidates, dim=1)  # (B, N)
        class_ids = class_ids.gather(1, rows)
        scores, kept = (scores * self.keep(self.boxes(loc, rows), class_ids)).topk(self.instances, dim=1)  # (B, K)
        return scores, class_ids.gather(1, kept), rows.gather(1, kept)

    def best_per_class(self, loc: Tensor, conf: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Fast NMS within each class (`fast_nms`) -> as `best`."""
        scores, rows = conf.transpose(1, 2).topk(self.candidates, dim=2)  # (B, C, N)
        flat = self.configuration.classes * self.candidates  # C N
        rows, scores = rows.reshape(-1, flat), scores.reshape(-1, flat)
        boxes = self.boxes(loc, rows).reshape(-1, self.candidates, 4)  # (B C, N, 4)
        keep = self.keep(boxes, torch.zeros(1, self.candidates, dtype=torch.int64))  # (B C, N)
        scores, kept = (scores * keep.reshape(-1, flat)).topk(self.instances, dim=1)  # (B, K)
        return scores, kept // self.candidates, rows.gather(1, kept)

    def assemble(self, prototypes: Tensor, coefficients: Tensor, boxes: Tensor) -> Tensor:
        """(B, M, h, w), (B, K, M), (B, K, 4) -> masks (B, K, h, w), 0..1, zero away from the box."""
        height, width = 2 * math.ceil(self.height / 8), 2 * math.ceil(self.width / 8)
        prototypes = prototypes.reshape(-1, prototypes.shape[1], height * width)
        logits = torch.matmul(coefficients, prototypes).reshape(-1, self.instances, height, width)
        left, top, right, bottom = boxes.unbind(dim=2)  # (B, K)
        across = self.outside(left * width, right * width, width)[:, :, None]  # (B, K, 1, w)
        down = self.outside(top * height, bottom * height, height)[..., None]  # (B, K, h, 1)
        return (logits + across + down).sigmoid()

    @staticmethod
    def outside(low: Tensor, high: Tensor, cells: int) -> Tensor:
        """0 for cells that a bilinear lift of pixels in the box reads, else far below zero: (B, K) -> (B, K, cells).

        The published crop, `low - 1 <= i < high + 1`, drops such cells at the left and top: silhouettes fade there.
        """
        centres = torch.arange(cells, dtype=low.dtype) + 0.5
        inside = (centres > low[..., None] - 1.0) & (centres <= high[..., None] + 1.0)
        return torch.where(inside, 0.0, OUTSIDE)


class RawHeads(nn.Module):
    """Official input (1, 3, S, S) float32 -> loc, conf, mask, priors, proto as the published code's."""

    def __init__(self, tail: YolactEndToEnd) -> None:
        super().__init__()
        self.network, self.size_px, self.half_precision = tail.network, tail.height, tail.half_precision
        self.register_buffer("priors", tail.priors)

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """See the class."""
        heads = self.network(images.half() if self.half_precision else images)
        loc, conf, mask, proto = (head.float() for head in heads)
        return loc, conf, mask, self.priors.clone(), proto


def export_yolact(
    tail: YolactEndToEnd,
    path: Path,
    *,
    name: str,
    classes: Sequence[str],
    raw_heads: bool = False,
    version: str = "1",
    licence: str = "",
) -> dict[str, str]:
    """Write the file with its metadata; returns the metadata.

    Raises:
        ValueError: The graph holds a forbidden operator, or its input is not of the asked size.
    """
    size_px, configuration = tail.height, tail.configuration
    layout: dict[str, Any] = {"resize": "stretch", "height": size_px, "width": size_px}
    if raw_heads:
        module: nn.Module = RawHeads(tail)
        example, inputs, outputs = torch.zeros(1, 3, size_px, size_px), "images", RAW_NAMES
        layout |= {"layout": "NCHW", "dtype": "float32", "channels": "RGB"}
        layout |= {"mean": list(configuration.mean), "std": list(configuration.std)}
    else:
        module, inputs, outputs = tail, "frames", FINAL_NAMES
        example = torch.zeros(1, size_px, size_px, 3, dtype=torch.uint8)
        layout |= {"layout": "NHWC", "dtype": "uint8", "channels": "BGR"}
    path.parent.mkdir(parents=True, exist_ok=True)
    # Folding happens on this processor, which may have no half precision and would put single with casts in its place.
    folds = not tail.half_precision
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # the older exporter announces its age
        torch.onnx.export(
            module.eval(),
            (example,),
            str(path),
            input_names=[inputs],
            output_names=list(outputs),
            dynamic_axes=None if folds or raw_heads else {key: {0: "batch"} for key in (inputs, *outputs)},
            opset_version=OPSET,
            dynamo=False,
        )
    model = fold_constants(path) if folds else onnx.load(str(path))
    if raw_heads:
        check_raw_graph(model, size_px)
    else:
        if folds:
            resize_by_scale(model)
            open_batch(model.graph)
        drop_unused(model.graph)
        check_graph(model, size_px, size_px)
    metadata = {
        "masktrail.contract": RAW_CONTRACT if raw_heads else CONTRACT,
        "masktrail.name": name,
        "masktrail.version": version,
        "masktrail.classes": json.dumps(list(classes)),
        "masktrail.input": json.dumps(layout),
    } | ({} if raw_heads else tail.mask_facts)
    if licence:
        metadata["masktrail.licence"] = licence
    helper.set_model_props(model, metadata)
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, str(path))
    return metadata


def resize_by_scale(model: onnx.ModelProto) -> None:
    """Give Resize its scales rather than its output's sizes, which would hold a batch of one."""
    inferred = onnx.shape_inference.infer_shapes(model).graph
    sides = {
        value.name: [dim.dim_value for dim in value.type.tensor_type.shape.dim][2:] for value in inferred.value_info
    }
    for node in model.graph.node:
        if node.op_type == "Resize" and len(node.input) == 4:
            scales = np.ones(4, np.float32)
            for axis, (old, new) in enumerate(zip(sides[node.input[0]], sides[node.output[0]], strict=True), 2):
                scales[axis] = np.float32(new) / np.float32(old)
                while old * float(scales[axis]) < new:  # runtimes round the product down
                    scales[axis] = np.nextafter(scales[axis], np.float32(np.inf))
            name = f"{node.output[0]}_scales"
            model.graph.initializer.append(numpy_helper.from_array(scales, name))
            node.input[2:] = [name]


def check_raw_graph(model: onnx.ModelProto, size_px: int) -> None:
    """Hold what `--raw-heads` promises: a fixed official input, no operator that changes shapes by value."""
    found = tuple(dim.dim_value for dim in model.graph.input[0].type.tensor_type.shape.dim)
    if found != (1, 3, size_px, size_px):
        message = f"input images is {found}, expected (1, 3, {size_px}, {size_px})"
        raise ValueError(message)
    check_operators(model)


def compare_raw(
    tail: YolactEndToEnd, path: Path, frames: np.ndarray, *, score_threshold: float = 0.05
) -> dict[str, float]:
    """ONNX Runtime against PyTorch on frames (B, S, S, 3) uint8, one by one.

    Returns:
        Per raw head `..._max_error` and `..._relative_error` (norm of the difference by norm of the values), of the
        worst frame; `instances` above the threshold after the same decoding of both, and the share that has its like on
        the other side, `agreement`: class equal, score within 1e-3, box IoU >= 0.99, mask within 2 of 255 on 99.9 % of
        the cells.
    """
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    module = RawHeads(tail).eval()
    worst: dict[str, float] = {}
    count, agreeing = 0, 0
    for frame in frames:
        with torch.no_grad():
            images = tail.normalise(torch.from_numpy(frame[None]))
            wanted = dict(zip(RAW_NAMES, module(images), strict=True))
            arrays = session.run(list(RAW_NAMES), {"images": images.numpy()})
            found = {key: torch.from_numpy(value) for key, value in zip(RAW_NAMES, arrays, strict=True)}
            for key in RAW_NAMES:
                error = found[key] - wanted[key]
                for kind, value in (("max", error.abs().max()), ("relative", error.norm() / wanted[key].norm())):
                    worst[f"{key}_{kind}_error"] = max(worst.get(f"{key}_{kind}_error", 0.0), float(value))
            ours, theirs = (final(tail, heads) for heads in (found, wanted))
        rows = np.flatnonzero(theirs["scores"] > score_threshold)
        count += len(rows)
        agreeing += sum(has_like(ours, theirs, row) for row in rows)
    return worst | {"instances": count, "agreement": agreeing / count if count else 1.0}


def final(tail: YolactEndToEnd, heads: dict[str, Tensor]) -> dict[str, np.ndarray]:
    """Raw heads of one image -> its instances."""
    outputs = tail.finish(heads["loc"], heads["conf"], heads["mask"], heads["proto"].permute(0, 3, 1, 2))
    arrays = {key: value.detach().numpy() for key, value in zip(FINAL_NAMES, outputs, strict=True)}
    return {key: value[0] for key, value in with_masks(arrays, tail.mask_facts).items()}


def has_like(found: dict[str, np.ndarray], wanted: dict[str, np.ndarray], row: int) -> bool:
    """Whether instance `row` of `wanted` is among `found`; equal scores may come in any order."""
    near = np.abs(found["scores"] - wanted["scores"][row]) < 1e-3
    near &= found["class_ids"] == wanted["class_ids"][row]
    near &= overlap(found["boxes"], wanted["boxes"][row]) >= 0.99
    apart = np.abs(found["masks"][near].astype(int) - wanted["masks"][row].astype(int)) <= 2
    return bool((apart.mean(axis=(1, 2)) >= 0.999).any())


def real_frames(folders: Sequence[Path], size_px: int, count: int) -> np.ndarray:
    """Pictures of COCO folders, stretched to (N, S, S, 3) uint8 BGR; N is 0 where there are none."""
    import cv2

    pictures = [picture for folder in folders for picture in sorted((folder / "images").iterdir())[:count]]
    chosen = pictures[:: max(len(pictures) // count, 1)][:count]
    frames = [cv2.resize(cv2.imread(str(picture), cv2.IMREAD_COLOR), (size_px, size_px)) for picture in chosen]
    return np.stack(frames) if frames else np.zeros((0, size_px, size_px, 3), np.uint8)


def write_yolact_manifest(
    path: Path, metadata: dict[str, str], *, figures: dict[str, Any], facts: dict[str, Any]
) -> Path:
    """Write the manifest of one ONNX file beside it; returns where.

    It is `manifest.toml`, or, where that describes other files already, the file's own name with `.toml`.
    """
    target = path.with_name("manifest.toml")
    own = f"files = [{quote(path.name)}]"
    if path.with_suffix(".toml").exists() or (target.exists() and own not in target.read_text().splitlines()):
        target = path.with_suffix(".toml")
    layout = json.loads(metadata["masktrail.input"])
    lines = ["# What the file takes and gives, and what was measured on it. Written by `python -m export yolact`."]
    said = {key: metadata.get(f"masktrail.{key}") for key in ("name", "version", "licence", "contract")}
    lines += [f"{key} = {quote(value)}" for key, value in said.items() if value]
    lines += [f"classes = [{', '.join(quote(name) for name in json.loads(metadata['masktrail.classes']))}]", own]
    lines += ["", "[input]", *(f"{key} = {toml(value)}" for key, value in layout.items())]
    if metadata["masktrail.contract"] == RAW_CONTRACT:
        lines += ["", "[yolact]", "background_index = 0", 'conf_activation = "none"']
        lines += [f"cross_class_nms = {str(not facts['per_class_nms']).lower()}"]
    lines += ["", "[export]"]
    lines += [
        f"{key} = {str(value).lower() if isinstance(value, bool) else toml(value)}" for key, value in facts.items()
    ]
    for kind, values in figures.items():
        lines += ["", f"[parity.{kind}]  # ONNX Runtime against PyTorch, both on the CPU"]
        lines += [f"{key} = {toml(value)}" for key, value in values.items()]
    target.write_text("\n".join(lines) + "\n")
    return target


def run(options: argparse.Namespace, val_sets: Sequence[Path]) -> None:
    """`python -m export yolact`.

    Raises:
        ModelError: An option or the checkpoint is not usable; nothing was written.
    """
    chosen = options.config.removesuffix("_config")  # as the published code calls them
    if chosen not in CONFIGURATIONS:
        raise ModelError(f"--config {chosen}", "no such configuration", f"choose among {', '.join(CONFIGURATIONS)}")
    configuration = CONFIGURATIONS[chosen]
    facts: dict[str, Any] = {"configuration": chosen, "weights": Path(options.weights).name}
    size_px = configuration.size_px if options.size is None else options.size
    if size_px < SMALLEST_PX:
        problem = f"expected {SMALLEST_PX} pixels or more, found {size_px}"
        raise ModelError("--size", problem, f"the configuration's own is {configuration.size_px}")
    if options.out.suffix != ".onnx":
        raise ModelError(
            f"--out {options.out}", "expected the name of an .onnx file", f"try {options.out / 'yolact.onnx'}"
        )
    random = re.fullmatch(r"random:(\d+)", options.weights)
    if random is not None:
        classes = len(options.classes or COCO_CLASSES)
        network = random_network(dataclasses.replace(configuration, classes=classes), int(random[1]))
    else:
        network = load_checkpoint(Path(options.weights), configuration)
        facts["weights_sha256"] = hashlib.sha256(Path(options.weights).read_bytes()).hexdigest()
    tail = YolactEndToEnd(
        network,
        size_px=size_px,
        per_class=options.per_class_nms,
        half=options.half,
        rate_masks=not options.raw_heads,  # raw heads leave before there are masks
    ).eval()
    metadata = export_yolact(
        tail,
        options.out,
        name=options.name or chosen.replace("_", "-"),
        classes=class_names(network.configuration, options.classes),
        raw_heads=options.raw_heads,
        licence=options.licence,
    )
    compare = compare_raw if options.raw_heads else parity
    noise = np.random.default_rng(0).integers(0, 256, (2, size_px, size_px, 3), np.uint8)
    batches = {"random": noise, "real": real_frames(val_sets, size_px, 4)}
    figures = {kind: compare(tail, options.out, frames) for kind, frames in batches.items() if len(frames)}
    facts |= {
        "half": options.half,
        "per_class_nms": options.per_class_nms,
        "bytes": options.out.stat().st_size,
        "sha256": hashlib.sha256(options.out.read_bytes()).hexdigest(),
    }
    manifest = write_yolact_manifest(options.out, metadata, figures=figures, facts=facts)
    print(f"{options.out}\nparity: {json.dumps(figures)}\nmanifest: {manifest}")
