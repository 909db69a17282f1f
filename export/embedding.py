"""Feature maps and masks come in; one appearance vector per instance leaves (no second network).

The upper and the lower half of each silhouette are averaged apart over the stride-4 backbone map and the stride-8 neck
map, then two small layers bring them to `EMBEDDING` numbers of length 1. Averaging is linear, so that the maps are
brought to a few channels first: 1 ms for 100 instances.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

EMBEDDING = 32
FINE, COARSE = 32, 64  # channels of the stride-4 backbone map and the stride-8 neck map
MAP_CHANNELS = FINE + COARSE
PROJECTED = 24
HIDDEN = 96
ROWS, COLUMNS = 8, 4


class EmbeddingHead(nn.Module):
    """Mask-pooled embeddings, trained by `export.embed` on a frozen network."""

    def __init__(self, size: int = EMBEDDING) -> None:
        super().__init__()
        self.fine = nn.Conv2d(FINE, PROJECTED, 1, bias=False)
        self.coarse = nn.Conv2d(COARSE, PROJECTED, 1, bias=False)
        # Convolutions over the instances: linear layers would be exported as one Gemm with a frozen batch.
        self.hidden = nn.Conv1d(2 * PROJECTED, HIDDEN, 1)
        self.out = nn.Conv1d(HIDDEN, size, 1)

    def forward(self, c2: Tensor, p3: Tensor, masks: Tensor, cells: Tensor) -> Tensor:
        """Embeddings of the instances of some pictures.

        Args:
            c2: (B, 32, h, w) stride-4 backbone map.
            p3: (B, 64, h / 2, w / 2) stride-8 neck map.
            masks: (B, K, h, w) probabilities.
            cells: (B, K, 4) boxes xyxy in cells of the masks.

        Returns:
            (B, K, E), each of length 1.
        """
        projected = self.fine(functional.avg_pool2d(c2, 2)) + self.coarse(p3)
        return self.embed(self.pool(projected, masks, cells))

    def embed(self, pooled: Tensor) -> Tensor:
        """Averages of the projected maps (B, 2 * PROJECTED, K) -> (B, K, E)."""
        raw = self.out(functional.silu(self.hidden(pooled))).transpose(1, 2)
        return raw / raw.square().sum(dim=-1, keepdim=True).clamp(min=1e-12).sqrt()

    def embed_unprojected(self, pooled: Tensor) -> Tensor:
        """The same from averages of the maps themselves, (N, 2 * MAP_CHANNELS), as training keeps them."""
        return self.embed(self.project(pooled).T[None])[0]

    def project(self, pooled: Tensor) -> Tensor:
        """Averages of the maps, (N, 2 * MAP_CHANNELS) -> of the projected maps, (N, 2 * PROJECTED)."""
        weight = torch.cat((self.fine.weight, self.coarse.weight), dim=1)[:, :, 0, 0]
        return (pooled.view(-1, 2, MAP_CHANNELS) @ weight.T).flatten(1)

    @staticmethod
    def maps(c2: Tensor, p3: Tensor) -> Tensor:
        """Both maps at stride 8, (B, MAP_CHANNELS, h / 2, w / 2)."""
        return torch.cat((functional.avg_pool2d(c2, 2), p3), dim=1)

    @staticmethod
    def pool(maps: Tensor, masks: Tensor, cells: Tensor) -> Tensor:
        """Averages over the upper and the lower half of each mask, (B, 2 * channels, K).

        They are taken at ROWS x COLUMNS points of the box, each weighing as much as the mask holds there: as many for a
        small object as for a large one, and a quarter of the time that a product of all masks with all cells takes.
        """
        height, width = masks.shape[2:]
        across = (torch.arange(COLUMNS, dtype=cells.dtype, device=cells.device) + 0.5) / COLUMNS
        down = (torch.arange(ROWS, dtype=cells.dtype, device=cells.device) + 0.5) / ROWS
        low, span = cells[..., :2], cells[..., 2:] - cells[..., :2]  # (B, K, 2)
        xs = (low[..., :1] + span[..., :1] * across).clamp(0, width - 1).floor()[:, :, None]  # (B, K, 1, COLUMNS)
        ys = (low[..., 1:] + span[..., 1:] * down).clamp(0, height - 1).floor()[..., None]  # (B, K, ROWS, 1)
        weights = masks.flatten(2).gather(2, (ys * width + xs).long().flatten(2))  # (B, K, points)
        places = (ys * 0.5).floor() * (width // 2) + (xs * 0.5).floor()
        places = places.long().flatten(1)[:, None].expand(-1, maps.shape[1], -1)
        seen = maps.flatten(2).gather(2, places)  # (B, channels, K * points)
        halves = weights.unflatten(2, (2, -1))  # (B, K, 2, points / 2)
        weighted = seen.unflatten(2, halves.shape[1:]) * halves[:, None]  # (B, channels, K, 2, points / 2)
        averages = weighted.sum(dim=4) / halves.sum(dim=3).clamp(min=0.5)[:, None]  # (B, channels, K, 2)
        return averages.permute(0, 3, 1, 2).flatten(1, 2)
