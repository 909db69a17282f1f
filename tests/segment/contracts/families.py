"""Every family's outputs for the rendered clip, as its exporter writes them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from tests.segment.family_graphs import (
    CLASSES,
    FRAMES,
    MEAN,
    STD,
    Outputs,
    Truth,
    coarse,
    coco_id,
    graph,
    labels,
    logits,
    per_box,
    scores,
    truth,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

CAFFE_MEAN = (102.9801, 115.9465, 122.7717)
SOLO_GRIDS = (40, 36, 24, 16, 12)


@dataclass(frozen=True, kw_only=True)
class Case:
    """One family: its outputs, its input, the manifest that it needs."""

    outputs: Callable[[Truth], Outputs]
    red: int = 0
    mean: tuple[float, ...] = MEAN
    std: tuple[float, ...] = STD
    batched: bool = True
    size: tuple[int, int] = (320, 192)
    extras: dict[str, tuple[int, ...]] = field(default_factory=dict)
    manifest: str = ""
    contract: str = "boxes-masks"
    stretch: bool = False
    coarse: bool = False

    @property
    def least_iou(self) -> float:
        """What a mask keeps of the truth, of which a cell of four pixels loses the tips."""
        return 0.9 if self.coarse else 0.95

    @property
    def most_px(self) -> float:
        return 4 if self.coarse else 1.5

    def clip(self) -> Truth:
        return truth(*self.size)

    def write(self, path: Path, **changes: Any) -> Path:
        outputs = changes.pop("outputs", None) or self.outputs(self.clip())
        if self.manifest:
            path.with_suffix(".toml").write_text(self.manifest)
        how = {"size": self.size, "red": self.red, "mean": self.mean, "std": self.std, "batched": self.batched}
        return graph(path, outputs, **{**how, "extras": self.extras, **changes})


def torchvision(clip: Truth) -> Outputs:
    return {
        "boxes": clip.boxes,
        "labels": labels(clip, coco_id),
        "scores": scores(clip),
        "masks": clip.masks[:, :, None].astype(np.float32),
    }


def onnx_models(clip: Truth) -> Outputs:
    return {
        "6568": clip.boxes,
        "6570": labels(clip, lambda one: one + 1),
        "6572": scores(clip),
        "6887": per_box(clip)[:, :, None],
    }


def detectron2(clip: Truth) -> Outputs:
    size = np.tile(np.array(clip.size[::-1], np.int64), (FRAMES, 1))
    return {
        "943": size,
        "712": per_box(clip)[:, :, None],
        "711": labels(clip),
        "710": clip.boxes,
        "715": scores(clip),
    }


def dets(clip: Truth, masks: np.ndarray, boxes: np.ndarray | None = None) -> Outputs:
    rows = np.concatenate([clip.boxes if boxes is None else boxes, scores(clip)[..., None]], axis=2)
    return {"dets": rows[:, None], "labels": labels(clip)[:, None], "masks": masks[:, None]}


def solov2_mmdeploy(clip: Truth) -> Outputs:
    return dets(clip, coarse(clip), np.zeros_like(clip.boxes))


def solov2_whole(clip: Truth) -> Outputs:
    whole = np.broadcast_to(np.array([0, 0, *clip.size], np.float32), clip.boxes.shape)
    return dets(clip, clip.masks.astype(np.float32), whole)


def dfine(clip: Truth) -> Outputs:
    """Ten slots, of which four are used; the others score near nothing."""
    filled = {
        "labels": labels(clip),
        "boxes": np.stack([np.floor(clip.boxes[..., :2]), np.ceil(clip.boxes[..., 2:])], axis=2).reshape(-1, 4, 4),
        "scores": scores(clip),
        "masks": coarse(clip),
    }
    outputs = {}
    for name, value in filled.items():
        padded = np.zeros((FRAMES, 1, 10, *value.shape[2:]), value.dtype)
        padded[:, 0, 3:7] = value
        outputs[name] = padded
    outputs["scores"][outputs["scores"] == 0] = 0.01
    return outputs


def paddle(clip: Truth) -> Outputs:
    """At the picture's own size, twice the input's; the last row is a dummy of score 0."""
    masks = np.zeros((FRAMES, 5, 2 * clip.size[1], 2 * clip.size[0]), np.uint8)
    masks[:, :4] = clip.masks.repeat(2, axis=2).repeat(2, axis=3)
    return {
        "concat_0": np.full((FRAMES, 1), 5, np.int32),
        "concat_1": np.pad(labels(clip), ((0, 0), (0, 1))),
        "concat_2": np.pad(scores(clip), ((0, 0), (0, 1))),
        "concat_3": masks,
    }


def class_logits(clip: Truth, channels: int, rows: list[int], queries: int, number: Callable[[int], int]) -> np.ndarray:
    """``(T, 1, Q, channels)``: the wanted probability at each row's class after a sigmoid, nothing elsewhere."""
    values = np.full((FRAMES, 1, queries, channels), -9, np.float32)
    for row, class_id, score in zip(rows, CLASSES, scores(clip)[0], strict=True):
        values[:, 0, row, number(class_id)] = np.log(score / (1 - score))
    return values


def mask2former(clip: Truth) -> Outputs:
    rows, queries = [7, 1, 19, 4], 20
    classes = np.full((FRAMES, 1, queries, 81), -9, np.float32)
    classes[..., 80] = 0
    masks = np.full((FRAMES, 1, queries, clip.size[1] // 4, clip.size[0] // 4), -8, np.float32)
    for row, class_id, score, one in zip(rows, CLASSES, scores(clip)[0], logits(clip).swapaxes(0, 1), strict=True):
        classes[:, 0, row, class_id] = np.log(score / (1 - score))
        masks[:, 0, row] = one
    return {"class_queries_logits": classes, "masks_queries_logits": masks}


def rf_detr(clip: Truth) -> Outputs:
    rows, queries = [7, 1, 19, 4], 20
    boxes = np.full((FRAMES, 1, queries, 4), 0.1, np.float32)
    masks = np.full((FRAMES, 1, queries, clip.size[1] // 4, clip.size[0] // 4), -8, np.float32)
    unit = clip.boxes / np.array([*clip.size, *clip.size], np.float32)
    boxes[:, 0, rows] = np.concatenate([(unit[..., :2] + unit[..., 2:]) / 2, unit[..., 2:] - unit[..., :2]], axis=2)
    masks[:, 0, rows] = logits(clip)
    return {"dets": boxes, "labels": class_logits(clip, 91, rows, queries, coco_id), "masks": masks}


def sparseinst(clip: Truth) -> Outputs:
    rows, queries = [7, 1, 19, 4], 20
    values = np.full((FRAMES, 1, queries, 80), 0.01, np.float32)
    masks = np.zeros((FRAMES, 1, queries, clip.size[1], clip.size[0]), np.float32)
    for row, class_id, score, one in zip(rows, CLASSES, scores(clip)[0], clip.masks.swapaxes(0, 1), strict=True):
        values[:, 0, row, class_id] = score
        masks[:, 0, row] = one
    return {"scores": values, "masks": masks}


def solo(clip: Truth) -> Outputs:
    """Feature e is the mask of object e; its kernel stands at the cell of its centre on the second level."""
    cells = sum(side * side for side in SOLO_GRIDS)
    cate, kernels = np.zeros((FRAMES, 1, cells, 80), np.float32), np.zeros((FRAMES, 1, cells, 6), np.float32)
    features = np.full((FRAMES, 1, 6, clip.size[1] // 4, clip.size[0] // 4), -8, np.float32)
    shares = coarse(clip).clip(1e-3, 1 - 1e-3)
    features[:, 0, :4] = np.log(shares / (1 - shares))  # probabilities are interpolated, so they must be the shares
    first, side = SOLO_GRIDS[0] ** 2, SOLO_GRIDS[1]
    for number, row in np.ndindex(FRAMES, 4):
        left, top, right, bottom = clip.boxes[number, row]
        line, column = int((top + bottom) / 2 * side / clip.size[1]), int((left + right) / 2 * side / clip.size[0])
        for shift, share in ((0, 1.0), (1, 0.6)):  # a neighbour has the same mask: matrix NMS takes it away
            cell = first + line * side + column + shift
            cate[number, 0, cell, CLASSES[row]] = share * scores(clip)[0, row]
            kernels[number, 0, cell, row] = 1
    return {"cate": cate, "kernels": kernels, "features": features}


RAW, UNIT = {"mean": (0.0,) * 3, "std": (1.0,) * 3}, {"mean": (0.0,) * 3, "std": (255.0,) * 3}
CASES: dict[str, Case] = {
    "torchvision": Case(outputs=torchvision, batched=False, **UNIT),
    "onnx-models": Case(outputs=onnx_models, red=2, mean=CAFFE_MEAN, std=(1.0,) * 3, batched=False),
    "detectron2": Case(outputs=detectron2, red=2, batched=False, **RAW),
    "mask-rcnn-mmdeploy": Case(outputs=lambda clip: dets(clip, per_box(clip))),
    "rtmdet-ins": Case(
        outputs=lambda clip: dets(clip, clip.masks.astype(np.float32)), red=2, mean=MEAN[::-1], std=STD[::-1],
        size=(640, 640),
    ),
    "solov2-mmdeploy": Case(outputs=solov2_mmdeploy, coarse=True),
    "solov2-whole": Case(outputs=solov2_whole, manifest='family = "solov2-mmdeploy"\n'),
    "dfine-seg": Case(outputs=dfine, stretch=True, coarse=True, **UNIT),
    "solov2-paddle": Case(outputs=paddle, extras={"im_shape": (1, 2), "scale_factor": (1, 2)}),
    "mask2former": Case(outputs=mask2former, coarse=True, contract="queries"),
    "rf-detr-seg": Case(outputs=rf_detr, coarse=True, contract="queries", stretch=True),
    "sparseinst": Case(outputs=sparseinst, contract="queries", **RAW),
    "solov2": Case(outputs=solo, coarse=True, contract="solo"),
}  # fmt: skip
