"""Appearance embeddings by mask-pooling of feature maps: one vector per instance, no second network.

What the stride-4 backbone map and the stride-8 neck map hold is averaged apart over the upper and the lower half of
each silhouette; one linear layer brings the 192 averages to `EMBEDDING` numbers of length 1. A millisecond for 100
instances.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

EMBEDDING = 32
MAP_CHANNELS = 32 + 64  # stride-4 backbone, stride-8 neck
ROWS, COLUMNS = 8, 4


class EmbeddingHead(nn.Module):
    """Mask-pooled embeddings; `export.training.embed.fisher` finds its layer on a frozen network."""

    def __init__(self, size: int = EMBEDDING) -> None:
        super().__init__()
        # A convolution over the instances: a linear layer would be exported as one Gemm with a frozen batch.
        self.out = nn.Conv1d(2 * MAP_CHANNELS, size, 1)

    def forward(self, c2: Tensor, p3: Tensor, seen: Tensor, xs: Tensor, ys: Tensor) -> Tensor:
        """Embeddings of the instances of some pictures, (B, K, E), each of length 1; arguments as in `pool_points`."""
        return self.embed(pool_points(c2, p3, seen, xs, ys))

    def embed(self, pooled: Tensor) -> Tensor:
        """Averages (B, 2 * MAP_CHANNELS, K) -> (B, K, E)."""
        raw = self.out(pooled).transpose(1, 2)
        return raw / raw.square().sum(dim=-1, keepdim=True).clamp(min=1e-12).sqrt()


def pool(c2: Tensor, p3: Tensor, masks: Tensor, cells: Tensor) -> Tensor:
    """Averages over the upper and the lower half of each mask, (B, 2 * MAP_CHANNELS, K).

    They are taken at ROWS x COLUMNS points of the box, each weighing as much as the mask holds there: as many for a
    small object as for a large one, and a quarter of the time that a product of all masks with all cells takes.

    Args:
        c2: (B, 32, h, w) stride-4 backbone map.
        p3: (B, 64, h / 2, w / 2) stride-8 neck map.
        masks: (B, K, h, w) probabilities.
        cells: (B, K, 4) boxes xyxy in cells of the masks.
    """
    xs, ys = points(cells, *masks.shape[2:])
    return pool_points(c2, p3, masks.flatten(2).gather(2, flat_places(xs, ys, masks.shape[3])), xs, ys)


def pool_points(c2: Tensor, p3: Tensor, seen: Tensor, xs: Tensor, ys: Tensor) -> Tensor:
    """`pool` where the masks are known at the points alone.

    Args:
        c2: (B, 32, h, w) stride-4 backbone map.
        p3: (B, 64, h / 2, w / 2) stride-8 neck map.
        seen: (B, K, ROWS * COLUMNS) probabilities of the masks at the points, row by row.
        xs: (B, K, COLUMNS) columns of the points, as `points` gives them.
        ys: (B, K, ROWS) rows of the points.
    """
    fine = flat_places(xs, ys, c2.shape[3])  # (B, K, points)
    coarse = flat_places((xs * 0.5).floor(), (ys * 0.5).floor(), p3.shape[3])
    halves = seen.unflatten(2, (2, -1))  # (B, K, 2, points / 2)
    shares = halves / halves.sum(dim=3, keepdim=True).clamp(min=0.5)
    averages = torch.cat((sample(c2, fine, shares), sample(p3, coarse, shares)), dim=1)  # (B, channels, K, 2)
    return averages.permute(0, 3, 1, 2).flatten(1, 2)


def points(cells: Tensor, height: int, width: int) -> tuple[Tensor, Tensor]:
    """Grid columns (B, K, COLUMNS) and rows (B, K, ROWS), whole numbers, of the points of boxes (B, K, 4) in cells."""
    across = (torch.arange(COLUMNS, dtype=cells.dtype, device=cells.device) + 0.5) / COLUMNS
    down = (torch.arange(ROWS, dtype=cells.dtype, device=cells.device) + 0.5) / ROWS
    low, span = cells[..., :2], cells[..., 2:] - cells[..., :2]  # (B, K, 2)
    xs = (low[..., :1] + span[..., :1] * across).clamp(0, width - 1).floor()
    return xs, (low[..., 1:] + span[..., 1:] * down).clamp(0, height - 1).floor()


def flat_places(xs: Tensor, ys: Tensor, width: int) -> Tensor:
    """Columns (B, K, COLUMNS) and rows (B, K, ROWS) -> places in a flattened grid, (B, K, ROWS * COLUMNS)."""
    return (ys[..., None] * width + xs[:, :, None]).long().flatten(2)


def sample(features: Tensor, places: Tensor, shares: Tensor) -> Tensor:
    """Weighted means of a map (B, C, h, w) at places (B, K, points), weights (B, K, 2, points / 2) -> (B, C, K, 2)."""
    rows = features.permute(0, 2, 3, 1).flatten(1, 2)  # (B, h * w, C): a place's channels lie together
    seen = GatherRows.apply(rows, places.flatten(1))  # (B, K * points, C)
    seen = seen.reshape(-1, *shares.shape[1:], features.shape[1])  # (B, K, 2, points / 2, C)
    return torch.matmul(shares[..., None, :], seen)[:, :, :, 0].permute(0, 3, 1, 2)


class GatherRows(torch.autograd.Function):
    """Rows (B, N, C) at places (B, M) -> (B, M, C), exported as one GatherND.

    What PyTorch exports by itself writes out an index for each of the numbers: 0.4 of 27 ms for 100 instances. There is
    no gradient: the head is found in closed form on a frozen network.
    """

    @staticmethod
    def forward(_: Any, rows: Tensor, places: Tensor) -> Tensor:
        """See the class."""
        return rows.gather(1, places[..., None].expand(-1, -1, rows.shape[2]))

    @staticmethod
    def symbolic(graph: Any, rows: Any, places: Any) -> Any:
        """The same for the exporter."""
        axis = graph.op("Constant", value_t=torch.tensor([2]))
        return graph.op("GatherND", rows, graph.op("Unsqueeze", places, axis), batch_dims_i=1)
