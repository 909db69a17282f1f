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
MAP_CHANNELS = 32 + 64  # stride-4 backbone, stride-8 neck
PROJECTED = 24
HIDDEN = 96


class EmbeddingHead(nn.Module):
    """Mask-pooled embeddings, trained by `export.embed` on a frozen network."""

    def __init__(self, size: int = EMBEDDING) -> None:
        super().__init__()
        self.project = nn.Conv2d(MAP_CHANNELS, PROJECTED, 1, bias=False)
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
        return self.embed(self.pool(self.project(self.maps(c2, p3)), masks, cells))

    def embed(self, pooled: Tensor) -> Tensor:
        """Averages of the projected maps (B, K, 2 * PROJECTED) -> (B, K, E)."""
        raw = self.out(functional.silu(self.hidden(pooled.transpose(1, 2)))).transpose(1, 2)
        return raw / raw.square().sum(dim=-1, keepdim=True).clamp(min=1e-12).sqrt()

    def embed_unprojected(self, pooled: Tensor) -> Tensor:
        """The same from averages of the maps themselves, (N, 2 * MAP_CHANNELS), as training keeps them."""
        halves = pooled.view(-1, 2, MAP_CHANNELS) @ self.project.weight.flatten(1).T
        return self.embed(halves.flatten(1)[None])[0]

    @staticmethod
    def maps(c2: Tensor, p3: Tensor) -> Tensor:
        """Both maps at stride 8, (B, MAP_CHANNELS, h / 2, w / 2)."""
        return torch.cat((functional.avg_pool2d(c2, 2), p3), dim=1)

    @staticmethod
    def pool(maps: Tensor, masks: Tensor, cells: Tensor) -> Tensor:
        """Averages over the upper and the lower half of each mask, (B, K, 2 * channels)."""
        weights = masks[:, :, ::2, ::2]  # (B, K, h / 2, w / 2): every other cell is enough of a sample
        rows = torch.arange(weights.shape[2], dtype=cells.dtype, device=cells.device) * 2 + 0.5
        middle = (cells[..., 1] + cells[..., 3]) * 0.5  # (B, K)
        upper = weights * (rows < middle[..., None]).to(weights.dtype)[..., None]
        features = maps.flatten(2).transpose(1, 2)  # (B, h * w / 4, channels)
        halves = []
        for half in (upper, weights - upper):
            flat = half.flatten(2)
            halves.append(torch.matmul(flat, features) / flat.sum(dim=2, keepdim=True).clamp(min=0.5))
        return torch.cat(halves, dim=2)
