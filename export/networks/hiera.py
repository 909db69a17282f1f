"""Image encoder of SAM 2 (Ravi et al. 2024): Hiera (Ryali et al. 2023) and a feature pyramid.

As the published code computes it (https://github.com/facebookresearch/sam2, Apache-2.0; written anew here), under its
parameter names. Four stages of attention in windows, some blocks over the whole picture; queries are pooled where a
stage begins.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import accumulate

import torch
from torch import Tensor, nn
from torch.nn import functional

from export.networks.sam_vit import EPS, PatchEmbed, joined, windows


@dataclass(frozen=True, kw_only=True)
class HieraConfiguration:
    """One published image encoder.

    Attributes:
        width: channels of the first stage, doubled by each further one.
        heads: of attention in the first stage, doubled likewise.
        depths: blocks of the stages.
        whole: blocks that attend over the whole picture.
        coarse: cells along a side of the coarse position encoding.
        windows: cells along a side of a window, by stage.
        side_px: of the square input.
        out: channels of the pyramid, also the decoder's width.
    """

    width: int = 96
    heads: int = 1
    depths: tuple[int, int, int, int]
    whole: tuple[int, ...]
    coarse: int = 7
    windows: tuple[int, int, int, int] = (8, 4, 14, 7)
    side_px: int = 1024
    out: int = 256


class Mlp(nn.Module):
    """Two linear layers."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList([nn.Linear(width, 4 * width), nn.Linear(4 * width, width)])

    def forward(self, x: Tensor) -> Tensor:
        """(..., C) -> (..., C)."""
        return self.layers[1](functional.gelu(self.layers[0](x)))


def pooled(x: Tensor) -> Tensor:
    """(B, h, w, C) -> (B, h / 2, w / 2, C)."""
    return functional.max_pool2d(x.permute(0, 3, 1, 2), 2).permute(0, 2, 3, 1)


class Attention(nn.Module):
    """Self-attention, with pooled queries where a stage begins."""

    def __init__(self, width: int, out: int, heads: int, *, pools: bool) -> None:
        super().__init__()
        self.heads, self.pools, self.scale = heads, pools, (out // heads) ** -0.5
        self.qkv, self.proj = nn.Linear(width, 3 * out), nn.Linear(out, out)

    def forward(self, x: Tensor) -> Tensor:
        """(B, s, s, C) -> (B, s, s, out), or half the side."""
        q, k, v = self.qkv(x).chunk(3, dim=-1)
        q = pooled(q) if self.pools else q
        rows, columns = int(q.shape[1]), int(q.shape[2])
        q, k, v = (one.flatten(1, 2).unflatten(2, (self.heads, -1)).transpose(1, 2) for one in (q, k, v))
        found = ((q * self.scale) @ k.transpose(2, 3)).softmax(-1) @ v  # (B, heads, T, D)
        return self.proj(found.transpose(1, 2).flatten(2).unflatten(1, (rows, columns)))


class Block(nn.Module):
    """Attention and MLP, each behind a norm and beside a residual.

    Args:
        width: channels before.
        out: channels after; more than before where a stage begins.
        heads: of attention.
        window: cells along a side; 0 = the whole picture.
    """

    def __init__(self, width: int, out: int, heads: int, window: int) -> None:
        super().__init__()
        self.window, self.pools = window, width != out
        self.norm1, self.norm2 = nn.LayerNorm(width, EPS), nn.LayerNorm(out, EPS)
        self.attn = Attention(width, out, heads, pools=self.pools)
        self.mlp = Mlp(out)
        if self.pools:
            self.proj = nn.Linear(width, out)

    def forward(self, x: Tensor) -> Tensor:
        """(B, h, w, C) -> (B, h, w, out), or half the sides."""
        y = self.norm1(x)
        x = pooled(self.proj(y)) if self.pools else x
        found = self.attn(windows(y, self.window) if self.window else y)
        x = x + (joined(found, int(x.shape[1]), int(x.shape[2])) if self.window else found)
        return x + self.mlp(self.norm2(x))


class Hiera(nn.Module):
    """Normalised images (B, 3, S, S) -> maps (B, C, h, w) at the strides 4, 8, 16 and 32."""

    def __init__(self, configuration: HieraConfiguration) -> None:
        super().__init__()
        width, heads, coarse, window = (
            configuration.width,
            configuration.heads,
            configuration.coarse,
            configuration.windows[0],
        )
        self.patch_embed = PatchEmbed(width, 7, 4, 3)
        self.pos_embed = nn.Parameter(torch.zeros(1, width, coarse, coarse))
        self.pos_embed_window = nn.Parameter(torch.zeros(1, width, window, window))
        self.blocks = nn.ModuleList()
        self.ends = [end - 1 for end in accumulate(configuration.depths)]
        stage = 0
        for number in range(sum(configuration.depths)):
            # The first block of a stage still has the windows of the one before: its queries are pooled inside.
            window = 0 if number in configuration.whole else configuration.windows[stage]
            before = width << stage
            stage += number - 1 in self.ends
            self.blocks.append(Block(before, width << stage, heads << stage, window))

    def positions(self, side: int) -> Tensor:
        """Encoding (1, side, side, C) of places: a coarse one stretched, and one repeated in every window."""
        coarse = functional.interpolate(self.pos_embed, size=(side, side), mode="bicubic")
        times = side // self.pos_embed_window.shape[2]
        return (coarse + self.pos_embed_window.repeat(1, 1, times, times)).permute(0, 2, 3, 1)

    def forward(self, images: Tensor) -> list[Tensor]:
        """See the class."""
        x = self.patch_embed(images)
        x = x + self.positions(int(x.shape[1]))
        maps = []
        for number, block in enumerate(self.blocks):
            x = block(x)
            if number in self.ends:
                maps.append(x.permute(0, 3, 1, 2))
        return maps


class Pyramid(nn.Module):
    """Maps of the stages at one width; only the one of stride 16 is given what is coarser."""

    def __init__(self, configuration: HieraConfiguration) -> None:
        super().__init__()
        self.convs = nn.ModuleList(
            nn.ModuleDict({"conv": nn.Conv2d(configuration.width << stage, configuration.out, 1)})
            for stage in (3, 2, 1, 0)
        )

    def forward(self, maps: list[Tensor]) -> tuple[Tensor, Tensor, Tensor]:
        """Maps of strides 4 to 32 -> (B, out, h, w) of strides 4, 8 and 16."""
        fine, middle, coarse, coarsest = (layer["conv"](x) for layer, x in zip(self.convs[::-1], maps, strict=True))
        return fine, middle, coarse + functional.interpolate(coarsest, scale_factor=2.0, mode="nearest")


class ImageEncoder(nn.Module):
    """Trunk and neck."""

    def __init__(self, configuration: HieraConfiguration) -> None:
        super().__init__()
        self.trunk, self.neck = Hiera(configuration), Pyramid(configuration)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Normalised images (B, 3, S, S) -> maps (B, out, h, w) of strides 4, 8 and 16."""
        return self.neck(self.trunk(images))
