"""GPU benchmark: whether a card gives the CPU's instances, and how many frames per second it segments."""

from __future__ import annotations

import math
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from tracker import boxes as box_algebra
from tracker.inference.survey import survey
from tracker.segment.session import OnnxSegmenter
from tracker.sources.open import open_source

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from tracker.types import Frame, Instances

__all__ = ["GpuBench", "bench_gpu", "compare"]

CLEAR_SCORE = 0.2
"""Instances from here on must be found again; weaker ones may fall on either side of the threshold or of the top-k."""
SCORE_TOLERANCE, LEAST_IOU = 0.02, 0.9
LEAST_AGREEMENT = 0.98
PARITY_FRAMES = 16
LEAST_ROUND_S = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class GpuBench:
    """The figures of one card.

    Attributes:
        card: Its name.
        provider: ONNX Runtime's provider that ran the network.
        model: The segmenter's own description.
        placement: Which share of the graph's nodes ran on which provider.
        frames: Distinct frames that were segmented.
        compared: Instances of the CPU with a score of at least ``CLEAR_SCORE`` in the frames that both segmented.
        agreement: Share of them that the card found too: class, score within 0.02, box and mask with an IoU of 0.9.
        bare_fps: The network alone on inputs that lie on the card.
        segment_fps: ``segment`` on frames decoded before: packing, copies, network and decoding of the outputs.
    """

    card: str
    provider: str
    model: str
    placement: str
    frames: int
    compared: int
    agreement: float
    bare_fps: float
    segment_fps: float

    @property
    def agrees(self) -> bool:
        """Whether the card segments as the CPU does."""
        return self.agreement >= LEAST_AGREEMENT

    def as_json(self) -> dict[str, Any]:
        """Everything as plain values."""
        return asdict(self)


def bench_gpu(
    segmenter: OnnxSegmenter,
    source: str | Path,
    *,
    frames: int = 64,
    progress: Callable[[str], None] = lambda _step: None,
) -> GpuBench:
    """Measure a card.

    Args:
        segmenter: Opened on the card.
        source: A video.
        frames: Most frames to use.
        progress: Called with the name of each step.
    """
    with open_source(source, like=segmenter, want_image=False) as opened:
        decoded = [frame for frame, _ in zip(opened, range(frames), strict=False)]
    progress("the same frames on the CPU and on the card")
    on_cpu = OnnxSegmenter(segmenter.file, device="cpu", network_size=segmenter.network_size)
    checked = decoded[:PARITY_FRAMES]
    pairs = [
        (on_cpu.segment([frame])[0], found) for frame, found in zip(checked, segmenter.segment(checked), strict=True)
    ]
    compared, agreement = compare(pairs)
    progress("frames per second")
    return GpuBench(
        card=survey().cards[segmenter.card],
        provider=segmenter.provider,
        model=segmenter.describe(),
        placement=segmenter.placement,
        frames=len(decoded),
        compared=compared,
        agreement=agreement,
        bare_fps=_bare_fps(segmenter, decoded),
        segment_fps=_segment_fps(segmenter, decoded),
    )


def compare(pairs: Sequence[tuple[Instances, Instances]]) -> tuple[int, float]:
    """How many clear instances the first of each pair has, and the share of them that the second has too.

    Rows are compared as sets: ties at the top-k may fall either way. Without any clear instance the share is 1.
    """
    found = [_found_again(expected, got, row) for expected, got in pairs for row in _clear(expected)]
    return len(found), float(np.mean(found)) if found else 1.0


def _clear(instances: Instances) -> list[int]:
    rows: list[int] = np.flatnonzero(instances.scores >= CLEAR_SCORE).tolist()
    return rows


def _found_again(expected: Instances, got: Instances, row: int) -> bool:
    box = expected.boxes[row]
    near = (
        (got.class_ids == expected.class_ids[row])
        & (np.abs(got.scores - expected.scores[row]) <= SCORE_TOLERANCE)
        & (box_algebra.iou(box[None], got.boxes)[0] >= LEAST_IOU)
    )
    if expected.masks is None or got.masks is None:
        return bool(near.any())
    silhouette = expected.masks.full(row, box)
    for other in np.flatnonzero(near).tolist():
        candidate = got.masks.full(other, got.boxes[other])
        if (silhouette & candidate).sum() >= LEAST_IOU * (silhouette | candidate).sum():
            return True
    return False


def _bare_fps(segmenter: OnnxSegmenter, frames: Sequence[Frame]) -> float:
    size = segmenter.batch_size
    feeds = segmenter.pack([frames[number % len(frames)] for number in range(size)])
    return _rate(lambda: segmenter.run_bare(feeds), size)


def _segment_fps(segmenter: OnnxSegmenter, frames: Sequence[Frame]) -> float:
    size = segmenter.batch_size
    batches = [frames[start : start + size] for start in range(0, len(frames), size)]
    with ThreadPoolExecutor(segmenter.useful_workers) as executor:
        return _rate(lambda: list(executor.map(segmenter.segment, batches)), len(frames))


def _rate(work: Callable[[], Any], count: int) -> float:
    """Items per second of work on ``count`` items, done again until it takes long enough to be measured."""
    work()
    passes = 1
    while True:
        started_s = time.perf_counter()
        for _ in range(passes):
            work()
        wall_s = time.perf_counter() - started_s
        if wall_s >= LEAST_ROUND_S:
            return count * passes / wall_s
        passes *= max(math.ceil(LEAST_ROUND_S / wall_s), 2)
