"""Segmentation on a real GPU equals the CPU's, in every batch, with graphs and from threads."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import numpy as np
import pytest

from tests.segment.models import brightness_model
from tracker.inference.device import provider_shares
from tracker.inference.survey import survey
from tracker.segment.session import OnnxSegmenter
from tracker.types import Frame

if TYPE_CHECKING:
    from pathlib import Path

OBSTACLE = survey().obstacle("cuda")
pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(OBSTACLE is not None, reason=f"no CUDA here: {OBSTACLE[0] if OBSTACLE else ''}"),
]
BLOCK_PX = 16


def scenes(count: int, size: tuple[int, int]) -> list[Frame]:
    """Coarse noise, of which a trained network sees some instances at low scores."""
    rng, frames = np.random.default_rng(1), []
    for index in range(count):
        coarse = rng.integers(0, 256, (size[1] // BLOCK_PX, size[0] // BLOCK_PX, 3), np.uint8)
        image = np.ascontiguousarray(coarse.repeat(BLOCK_PX, axis=0).repeat(BLOCK_PX, axis=1))
        frames.append(Frame(index=index, time_s=0.0, arrived_s=0.0, source="noise", size=size, image=image))
    return frames


@pytest.fixture(scope="module")
def on_card() -> OnnxSegmenter:
    return OnnxSegmenter("yolact-nano", device="cuda", score_threshold=0.02, max_batch=16)


def test_the_whole_default_model_runs_on_the_card(on_card: OnnxSegmenter) -> None:
    assert (on_card.device, on_card.provider) == ("cuda", "CUDAExecutionProvider")
    assert provider_shares(on_card.session) == {"CUDAExecutionProvider": 1.0}
    assert on_card.manner == "batches of 16, a CUDA graph"


@pytest.mark.parametrize("count", [1, 3, 4, 8, 16])
def test_batches_agree_with_the_cpu(on_card: OnnxSegmenter, count: int) -> None:
    frames = scenes(count, on_card.network_size)
    on_cpu = OnnxSegmenter("yolact-nano", device="cpu", score_threshold=0.02)
    for found, expected in zip(on_card.segment(frames), on_cpu.segment(frames), strict=True):
        # Rows near the threshold or of equal scores may differ: the best must be there.
        best = expected.scores >= 0.05
        for box, score in zip(expected.boxes[best], expected.scores[best], strict=True):
            distance = np.abs(found.boxes - box).max(axis=1) + 100 * np.abs(found.scores - score)
            assert distance.min() < 4


def test_every_thread_gets_its_own_pictures_back(tmp_path: Path) -> None:
    segmenter = OnnxSegmenter(brightness_model(tmp_path / "m.onnx"), device="cuda", max_batch=4)

    def work(grey: int) -> list[float]:
        image = np.full((96, 160, 3), grey, np.uint8)
        frame = Frame(index=0, time_s=0.0, arrived_s=0.0, source="t", size=(160, 96), image=image)
        return [float(segmenter.segment([frame] * (1 + n % 4))[-1].scores[0]) for n in range(50)]

    greys = range(10, 250, 10)
    with ThreadPoolExecutor(6) as executor:
        for grey, scores in zip(greys, executor.map(work, greys), strict=True):
            np.testing.assert_allclose(scores, grey / 255, atol=1e-3)
