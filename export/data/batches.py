"""Training batches by step number, reproducible from an archive and a recipe."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from export.data.archive import Sample
from export.data.augment import JITTER, to_sample
from export.data.paste import Donors
from export.networks.yolact_nano import MASK_STRIDE, STRIDES

if TYPE_CHECKING:
    from export.data.archive import Archive, Picture

MULTI_SCALE = (1.0, 0.83, 1.17)  # of whole canvases, one after the other


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """How pictures become batches.

    Attributes:
        size: (height, width) of the network input to train for.
        batch: whole canvases a step; steps of smaller samples take as many more as give the same number of pixels.
        multi_scale: whole canvases also 0.83 and 1.17 times as large.
        jitter: lowest and highest scale of whole pictures, 1 being the one that fits.
        mosaic: share of the whole canvases that show four pictures.
        pair: share of the other wide canvases that show two side by side: one upright picture would leave half grey.
        copy_paste: share of the pictures into which objects of others are pasted.
        closing: share of the steps at the end without mosaic and copy-paste (after YOLOX).
    """

    size: tuple[int, int] = (384, 640)
    batch: int = 8
    multi_scale: bool = True
    jitter: tuple[float, float] = JITTER
    mosaic: float = 0.15
    pair: float = 0.5
    copy_paste: float = 0.3
    closing: float = 0.1

    def step_size(self, step: int) -> tuple[tuple[int, int], bool]:
        """The input (height, width) of a step, and is it a window: whole pictures in one step of three."""
        height, width = self.size
        side = math.sqrt(height * width)
        slanted, upright = rounded(height * 2 / 3, width * 0.6), rounded(side * 0.645, side * 0.645)
        scale = MULTI_SCALE[step // 6 % len(MULTI_SCALE)] if self.multi_scale else 1.0
        whole = self.size if scale == 1.0 else rounded(height * scale, width * scale)
        square = rounded(side * 0.84 * scale, side * 0.84 * scale)
        kind = step % 6
        return (slanted, whole, upright, slanted, square, upright)[kind], kind not in (1, 4)

    def count(self, step: int) -> int:
        """Samples in a step."""
        height, width = self.step_size(step)[0]
        return max(1, round(self.batch * self.size[0] * self.size[1] / (height * width)))

    def steps(self, pictures: int, epochs: float) -> int:
        """Steps in which as many samples are drawn as there are pictures, times `epochs`."""
        cycle = 6 * len(MULTI_SCALE)
        return max(1, math.ceil(epochs * pictures * cycle / sum(self.count(step) for step in range(cycle))))


def rounded(height: float, width: float) -> tuple[int, int]:
    """To whole cells of the coarsest stride, two at least."""
    cell = STRIDES[-1]
    return max(2, round(height / cell)) * cell, max(2, round(width / cell)) * cell


class Sampler:
    """Batches by step: random numbers come from (seed, step), so that a resumed run sees what it would have seen.

    Args:
        archive: the pictures.
        recipe: how they become batches.
        seed: of the run.
        steps: of the run, for the recipe's `closing`; it may change on the way.
    """

    def __init__(self, archive: Archive, recipe: Recipe, *, seed: int, steps: int) -> None:
        self.archive, self.recipe, self.seed = archive, recipe, seed
        self.steps = steps
        self.weights = archive.sampling_weights()
        self.donors = Donors(archive)

    def batch(self, step: int) -> list[Sample]:
        """The samples of a step."""
        rng = np.random.default_rng((self.seed, step))
        size, window = self.recipe.step_size(step)
        rows = rng.choice(len(self.weights), self.recipe.count(step), p=self.weights)
        open_ = step < self.steps * (1.0 - self.recipe.closing)
        return [self.sample(int(row), size, rng, window=window, open_=open_) for row in rows]

    def sample(self, row: int, size: tuple[int, int], rng: np.random.Generator, *, window: bool, open_: bool) -> Sample:
        """One sample: a window, a mosaic, a pair or a whole picture."""
        if window:
            return to_sample(self.picture(row, rng, open_=open_), size, rng, window_of=self.recipe.size)
        if rng.random() < self.recipe.mosaic and open_:
            return self.grid(row, size, rng, down=2, open_=open_)
        if size[1] > size[0] and rng.random() < self.recipe.pair:
            return self.grid(row, size, rng, down=1, open_=open_)
        return to_sample(self.picture(row, rng, open_=open_), size, rng, jitter=self.recipe.jitter)

    def picture(self, row: int, rng: np.random.Generator, *, open_: bool) -> Picture:
        """A picture, now and then with objects of others."""
        picture = self.archive.picture(row)
        return self.donors.paste(picture, rng) if rng.random() < self.recipe.copy_paste and open_ else picture

    def grid(self, row: int, size: tuple[int, int], rng: np.random.Generator, *, down: int, open_: bool) -> Sample:
        """Two columns and one or two rows of pictures that label the same things, the first being `row`."""
        rows = [row, *(int(other) for other in rng.choice(self.archive.alike(row), 2 * down - 1))]
        across, heights = cut(size[1], rng), cut(size[0], rng) if down == 2 else [size[0]]
        low, high = self.recipe.jitter
        jitter = (low, high) if down == 1 else (max(low, min(1.0, high)), high)  # a quarter needs no grey margin
        lines = []
        for line, height in enumerate(heights):
            parts = [
                to_sample(self.picture(other, rng, open_=open_), (height, width), rng, jitter=jitter)
                for other, width in zip(rows[2 * line : 2 * line + 2], across, strict=True)
            ]
            lines.append(join(*parts, axis=1))
        return lines[0] if down == 1 else join(*lines, axis=0)


def cut(length: int, rng: np.random.Generator) -> list[int]:
    """Two parts of a length, whole cells of the prototype grid, neither below three tenths."""
    first = int(rng.integers(length * 3 // 10, length * 7 // 10)) // MASK_STRIDE * MASK_STRIDE
    return [first, length - first]


def join(first: Sample, second: Sample, *, axis: int) -> Sample:
    """Two samples below (axis 0) or beside (axis 1) each other, as one."""
    moved = first.image.shape[axis]
    shift = np.array([moved, 0, moved, 0] if axis == 1 else [0, moved, 0, moved], np.float32)
    image = np.concatenate((first.image, second.image), axis=axis)
    grid = (image.shape[0] // MASK_STRIDE, image.shape[1] // MASK_STRIDE)
    masks = np.zeros((len(first.boxes) + len(second.boxes), *grid), np.uint8)
    masks[: len(first.boxes), : first.masks.shape[1], : first.masks.shape[2]] = first.masks
    masks[len(first.boxes) :, -second.masks.shape[1] :, -second.masks.shape[2] :] = second.masks
    return Sample(
        image=image,
        boxes=np.concatenate((first.boxes, second.boxes + shift)),
        class_ids=np.concatenate((first.class_ids, second.class_ids)),
        weights=np.concatenate((first.weights, second.weights)),
        masks=masks,
        ignore=np.concatenate((first.ignore, second.ignore + shift)),
        labelled=first.labelled,
        complete=first.complete,
        masks_only=first.masks_only,
    )
