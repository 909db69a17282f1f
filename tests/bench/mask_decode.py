"""Time of decoding raw SOLOv2 heads and Mask2Former's queries with many candidates: CPU time of one core.

``python -m tests.bench.mask_decode``, ``--candidates 100 --kernel 128 --cells 112x192 --queries 20 --grid 96x160``.
What the networks give is made: every third candidate shows another ellipse, masks are noisy, classes alternate.
"""

from __future__ import annotations

import argparse
import os
import sys
import time

import numpy as np

from tracker.inference.tensors import TensorInfo
from tracker.segment.contracts.decoder import Decoder, Limits, ModelInfo
from tracker.segment.contracts.queries import QueriesDecoder
from tracker.segment.contracts.solo import SoloDecoder

CELLS, CLASSES, ALIKE = 3872, 80, 3
PLACES = 5  # 1, x, x^2, y, y^2


def heads(candidates: int, kernel: int, size: tuple[int, int]) -> dict[str, np.ndarray]:
    """Outputs by name of one picture with that many pairs of cell and class above the threshold."""
    rng = np.random.default_rng(0)
    down, across = ((np.arange(side) - side / 2) / 16 for side in size)
    x, y = np.broadcast_to(across, size), np.broadcast_to(down[:, None], size)
    noise = rng.normal(0, 0.3, (kernel - PLACES, *size))
    features = np.concatenate([noise, np.stack([np.ones(size), x, x**2, y, y**2])])[None].astype(np.float32)
    cate = np.zeros((1, CELLS, CLASSES), np.float32)
    kernels = np.zeros((1, CELLS, kernel), np.float32)
    for number, cell in enumerate(rng.choice(CELLS, candidates, replace=False)):
        shape = np.random.default_rng(number // ALIKE)
        (x0, y0), (a, b) = shape.uniform((-5, -3), (5, 3)), shape.uniform(0.3, 2, 2)
        place = [2 - (x0 / a) ** 2 - (y0 / b) ** 2, 2 * x0 / a**2, -1 / a**2, 2 * y0 / b**2, -1 / b**2]
        kernels[0, cell] = [*rng.normal(0, 0.3, kernel - PLACES), *place]
        cate[0, cell, number // ALIKE % 3] = rng.uniform(0.15, 0.95)
    return {"cate": cate, "kernels": kernels, "features": features}


def queries(wanted: int, size: tuple[int, int]) -> dict[str, np.ndarray]:
    """Outputs by name of one picture: 100 queries, of which that many are above the threshold; an ellipse each."""
    rng = np.random.default_rng(0)
    height, width = size
    y, x = np.mgrid[:height, :width]
    masks = np.full((1, 100, *size), -8, np.float32)
    classes = np.full((1, 100, CLASSES + 1), -9, np.float32)
    classes[..., -1] = 2
    for number in range(wanted):
        half = np.geomspace(3, 0.4 * height, wanted)[number]
        left, top = rng.uniform(half, width - half), rng.uniform(half, height - half)
        inside = 1 - ((x - left) / half) ** 2 - ((y - top) / half) ** 2
        masks[0, number] = np.clip(4 * inside, -8, 8) + rng.normal(0, 0.3, size)
        classes[0, number, number % CLASSES] = 5
    return {"classes": classes, "masks": masks}


def measure(decoder: type[Decoder], outputs: dict[str, np.ndarray], rounds: int) -> tuple[float, float, int]:
    """Least and median milliseconds, and how many instances there are."""
    tensors = tuple(TensorInfo(name=name, dtype="float32", shape=value.shape) for name, value in outputs.items())
    down, across = list(outputs.values())[-1].shape[-2:]
    info = ModelInfo(label="made", inputs=(), outputs=tensors, network_size=(4 * across, 4 * down))
    names = {name: name for name in outputs} | ({"form": "logits"} if decoder is QueriesDecoder else {})
    made = decoder(info, names)
    limits = Limits(score_threshold=0.1, iou_threshold=made.iou_threshold, classes=None, max_instances=100)
    times_ms, found = [], 0
    for _ in range(rounds):
        started_s = time.process_time()
        found = len(made.decode(outputs, 0, limits).scores)
        times_ms.append((time.process_time() - started_s) * 1e3)
    return min(times_ms), float(np.median(times_ms)), found


def sides(text: str) -> tuple[int, int]:
    """``112x192`` -> (height, width)."""
    height, width = (int(side) for side in text.split("x"))
    return height, width


def main() -> None:
    """Print one line a number of candidates."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--candidates", nargs="+", type=int, default=[20, 100])
    parser.add_argument("--kernel", type=int, default=128, help="channels of a kernel")
    parser.add_argument("--cells", type=sides, default=(112, 192), help="of the mask grid, height x width")
    parser.add_argument("--queries", nargs="+", type=int, default=[20])
    parser.add_argument("--grid", type=sides, default=(96, 160), help="of the queries' masks, height x width")
    parser.add_argument("--rounds", type=int, default=25)
    options = parser.parse_args()
    threads = {key: os.environ.get(key, "unset") for key in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS")}
    sys.stdout.write(f"threads: {threads}; set both to 1 for one core\n")
    solo = [("SOLOv2", n, SoloDecoder, heads(n, options.kernel, options.cells)) for n in options.candidates]
    asked = [("Mask2Former", n, QueriesDecoder, queries(n, options.grid)) for n in options.queries]
    for title, count, decoder, outputs in [*solo, *asked]:
        least, median, found = measure(decoder, outputs, options.rounds)
        sys.stdout.write(
            f"{title}, {count:3d} candidates, {found:3d} instances: best {least:.1f} ms, median {median:.1f} ms\n"
        )


if __name__ == "__main__":
    main()
