"""Pictures of training samples, predictions and loss curves, as PNG files."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from export.data.archive import IGNORE
from export.networks.yolact_nano import MASK_STRIDE

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from export.data.archive import Picture, Sample
    from export.training.validate import Found

# BGR, told apart by people with any colour vision (Okabe and Ito 2008).
COLOURS = ((0, 159, 230), (233, 180, 86), (115, 158, 0), (66, 228, 240), (178, 114, 0), (0, 94, 213), (167, 121, 204))
GREY = (150, 150, 150)
TILE_WIDTH, COLUMNS = 480, 3
SHOWN_SCORE = 0.25
TERMS = (
    ("loss", "total"),
    ("mask", "mask (BCE + dice)"),
    ("box", "box"),
    ("objectness", "objectness"),
    ("classes", "classes"),
)


def draw_batch(samples: Sequence[Sample], names: Sequence[str], path: Path) -> None:
    """The batch as the network sees it: masks on their grid, boxes, names, hatched where nothing is learned."""
    tiles = []
    for sample in samples[: 3 * COLUMNS]:
        tile = sample.image.copy()
        for box in sample.ignore:
            hatch(tile, box)
        for box, class_id, weight, mask in zip(
            sample.boxes, sample.class_ids, sample.weights, sample.masks, strict=True
        ):
            grown = cv2.resize(mask, None, fx=MASK_STRIDE, fy=MASK_STRIDE, interpolation=cv2.INTER_NEAREST)
            label = names[class_id] if weight >= 1.0 else f"{names[class_id]} {weight:.2f}"
            paint(tile, grown > 127, box, int(class_id), label)
        tiles.append(tile)
    cv2.imwrite(str(path), sheet(tiles))


def draw_predictions(shown: Sequence[tuple[Picture, Found]], names: Sequence[str], path: Path) -> None:
    """Validation pictures twice: as labelled (left) and as predicted (right)."""
    tiles = []
    for picture, found in shown:
        truth, predicted = picture.image.copy(), picture.image.copy()
        for item in picture.items:
            if item.class_id == IGNORE or item.mask is None:
                hatch(truth, item.box)
                continue
            mask = np.zeros(truth.shape[:2], bool)
            x0, y0, x1, y1 = (int(value) for value in item.box)
            mask[y0:y1, x0:x1] = item.mask > 0
            paint(truth, mask, item.box, item.class_id, names[item.class_id])
        for box, score, class_id, mask in zip(found.boxes, found.scores, found.class_ids, found.masks, strict=True):
            if score >= SHOWN_SCORE:
                paint(predicted, mask, box, int(class_id), f"{names[class_id]} {score:.2f}")
        tiles.append(np.concatenate((truth, predicted), axis=1))
    if tiles:
        cv2.imwrite(str(path), sheet(tiles))


def paint(image: np.ndarray, mask: np.ndarray, box: np.ndarray, class_id: int, label: str) -> None:
    """One object, in place."""
    colour = COLOURS[class_id % len(COLOURS)]
    image[mask] = image[mask] * 0.5 + np.array(colour) * 0.5
    x0, y0, x1, y1 = (round(float(value)) for value in box)
    cv2.rectangle(image, (x0, y0), (x1, y1), colour, 1)
    place = (max(x0, 0) + 2, max(y0 + 11, 11))
    cv2.putText(image, label, place, cv2.FONT_HERSHEY_SIMPLEX, 0.4, (0, 0, 0), 3, cv2.LINE_AA)
    cv2.putText(image, label, place, cv2.FONT_HERSHEY_SIMPLEX, 0.4, (255, 255, 255), 1, cv2.LINE_AA)


def hatch(image: np.ndarray, box: np.ndarray) -> None:
    """A region that teaches nothing, in place."""
    x0, y0, x1, y1 = (max(0, round(float(value))) for value in box)
    part = image[y0:y1, x0:x1]
    ys, xs = np.indices(part.shape[:2])
    stripes = (xs + ys) % 8 < 2
    part[stripes] = part[stripes] // 2 + np.array(GREY, np.uint8) // 2
    cv2.rectangle(image, (x0, y0), (x1, y1), GREY, 1)


def sheet(tiles: Sequence[np.ndarray]) -> np.ndarray:
    """Tiles at one width, row by row."""
    resized = []
    for tile in tiles:
        height = max(1, round(tile.shape[0] * TILE_WIDTH / tile.shape[1]))
        resized.append(cv2.resize(tile, (TILE_WIDTH, height), interpolation=cv2.INTER_AREA))
    columns = min(COLUMNS, len(resized))
    rows = [resized[start : start + columns] for start in range(0, len(resized), columns)]
    height = sum(max(tile.shape[0] for tile in row) for row in rows)
    page = np.full((height, columns * TILE_WIDTH, 3), 40, np.uint8)
    top = 0
    for row in rows:
        for column, tile in enumerate(row):
            page[top : top + tile.shape[0], column * TILE_WIDTH : (column + 1) * TILE_WIDTH] = tile
        top += max(tile.shape[0] for tile in row)
    return page


def draw_curves(log: Path, path: Path) -> None:
    """Loss terms and validation AP over the steps of a `log.jsonl`."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    lines: list[dict[str, Any]] = [json.loads(text) for text in log.read_text().splitlines()]
    training = [line for line in lines if "loss" in line]
    judged = [line for line in lines if "val" in line]
    if not training:
        return
    figure = Figure(figsize=(11, 6.5), layout="constrained")
    FigureCanvasAgg(figure)
    grid = figure.subplots(2, 3, sharex=True)
    panels = list(grid.flat)
    for panel, (key, title) in zip(panels, TERMS, strict=False):
        points = [(line["step"], line[key]) for line in training if key in line]
        panel.set_title(title, loc="left", fontsize=10)
        if points:
            panel.plot(*zip(*points, strict=True), color="#0072B2", linewidth=1.2)
            panel.set_ylim(bottom=0)
    last = panels[5]
    last.set_title("mask IoU in training, validation AP", loc="left", fontsize=10)
    last.plot(
        [line["step"] for line in training], [line["mask_iou"] for line in training], color="#999999", label="mask IoU"
    )
    for key, colour in (("AP", "#D55E00"), ("AP50", "#E69F00")):
        if judged:
            steps, values = [line["step"] for line in judged], [line["val"][key] for line in judged]
            last.plot(steps, values, color=colour, marker="o", markersize=3, label=key)
    last.set_ylim(0, 1)
    last.legend(fontsize=8, frameon=False)
    for panel in panels:
        panel.grid(color="#e5e5e5", linewidth=0.6)
        panel.spines[["top", "right"]].set_visible(False)
    for panel in grid[1]:
        panel.set_xlabel("step")
    figure.savefig(path, dpi=110)
