"""Image encoder of Segment Anything (Kirillov et al. 2023): a plain ViT with windowed attention, and its neck.

As the published code computes it (https://github.com/facebookresearch/segment-anything, Apache-2.0; written anew here),
under its parameter names. Most blocks attend within windows of 14 x 14 patches (Li et al. 2022, ViTDet), a few over the
whole picture; relative positions are decomposed into rows and columns (Li et al. 2022, MViTv2).
Shape letters: B pictures or windows, h x w patches, C channels, N heads, D channels of a head.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

EPS = 1e-6


@dataclass(frozen=True, kw_only=True)
class VitConfiguration:
    """One published image encoder.

    Attributes:
        width: C.
        depth: blocks.
        heads: of attention.
        whole: blocks that attend over the whole picture.
        window: patches along a side of a window.
        patch_px: pixels along a side of a patch.
        side_px: of the square input.
        out: channels of the embedding, also the decoder's width.
    """

    width: int
    depth: int
    heads: int
    whole: tuple[int, ...]
    window: int = 14
    patch_px: int = 16
    side_px: int = 1024
    out: int = 256


class ChannelNorm(nn.Module):
    """Layer norm over the channels of a map."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight, self.bias = nn.Parameter(torch.ones(channels)), nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, h, w) -> the same."""
        x = x - x.mean(1, keepdim=True)
        x = x / (x.square().mean(1, keepdim=True) + EPS).sqrt()
        return self.weight[:, None, None] * x + self.bias[:, None, None]


def neck(width: int, out: int) -> nn.Sequential:
    """Patches (B, C, h, w) -> embedding (B, out, h, w)."""
    return nn.Sequential(
        nn.Conv2d(width, out, 1, bias=False),
        ChannelNorm(out),
        nn.Conv2d(out, out, 3, padding=1, bias=False),
        ChannelNorm(out),
    )


class PatchEmbed(nn.Module):
    """The convolution that makes patches of pixels."""

    def __init__(self, width: int, kernel: int, stride: int, padding: int = 0) -> None:
        super().__init__()
        self.proj = nn.Conv2d(3, width, kernel, stride, padding)

    def forward(self, x: Tensor) -> Tensor:
        """(B, 3, H, W) -> (B, h, w, C)."""
        return self.proj(x).permute(0, 2, 3, 1)


class Mlp(nn.Module):
    """Two linear layers."""

    def __init__(self, width: int, hidden: int, activation: type[nn.Module] = nn.GELU) -> None:
        super().__init__()
        self.lin1, self.lin2, self.act = nn.Linear(width, hidden), nn.Linear(hidden, width), activation()

    def forward(self, x: Tensor) -> Tensor:
        """(..., C) -> (..., C)."""
        return self.lin2(self.act(self.lin1(x)))


class Attention(nn.Module):
    """Self-attention with decomposed relative positions."""

    def __init__(self, width: int, heads: int, side: int) -> None:
        super().__init__()
        self.heads, self.scale = heads, (width // heads) ** -0.5
        self.qkv, self.proj = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.rel_pos_h = nn.Parameter(torch.zeros(2 * side - 1, width // heads))
        self.rel_pos_w = nn.Parameter(torch.zeros(2 * side - 1, width // heads))

    def forward(self, x: Tensor) -> Tensor:
        """(B, s, s, C) -> (B, s, s, C)."""
        count, side, width = int(x.shape[0]), int(x.shape[1]), int(x.shape[3])  # fixed in a trace
        qkv = self.qkv(x).reshape(count, side * side, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        q, k, v = qkv.flatten(1, 2).unbind(0)  # (B * N, s * s, D)
        scores = ((q * self.scale) @ k.transpose(1, 2)).reshape(-1, side, side, side, side)
        places = torch.arange(side)
        apart = places[:, None] - places + side - 1  # (s, s), of query and key
        cells = q.reshape(-1, side, side, q.shape[2])  # (B * N, s, s, D)
        rows = cells @ self.rel_pos_h[apart].transpose(1, 2)  # (B * N, rows of q, columns of q, rows of k)
        columns = cells.transpose(1, 2) @ self.rel_pos_w[apart].transpose(1, 2)
        scores = scores + rows[..., None] + columns.transpose(1, 2)[:, :, :, None]
        found = scores.reshape(-1, side * side, side * side).softmax(-1) @ v
        found = found.reshape(count, self.heads, side, side, -1).permute(0, 2, 3, 1, 4)
        return self.proj(found.reshape(count, side, side, width))


def windows(x: Tensor, side: int) -> Tensor:
    """(B, h, w, C) -> windows (B * n, s, s, C), zeros right and below where the last ones reach beyond."""
    count, height, width, channels = (int(size) for size in x.shape)  # fixed in a trace
    x = functional.pad(x, (0, 0, 0, -width % side, 0, -height % side))
    x = x.reshape(count, -(-height // side), side, -(-width // side), side, channels)
    return x.transpose(2, 3).reshape(-1, side, side, channels)


def joined(x: Tensor, height: int, width: int) -> Tensor:
    """Windows (B * n, s, s, C) -> (B, h, w, C)."""
    side, channels = int(x.shape[1]), int(x.shape[3])
    down, across = -(-height // side), -(-width // side)
    x = x.reshape(-1, down, across, side, side, channels).transpose(2, 3)
    return x.reshape(-1, down * side, across * side, channels)[:, :height, :width]


class Block(nn.Module):
    """Attention and MLP, each behind a norm and beside a residual."""

    def __init__(self, configuration: VitConfiguration, *, whole: bool) -> None:
        super().__init__()
        width, side = configuration.width, configuration.side_px // configuration.patch_px
        self.window = 0 if whole else configuration.window
        self.norm1, self.norm2 = nn.LayerNorm(width, EPS), nn.LayerNorm(width, EPS)
        self.attn = Attention(width, configuration.heads, self.window or side)
        self.mlp = Mlp(width, 4 * width)

    def forward(self, x: Tensor) -> Tensor:
        """(B, h, w, C) -> (B, h, w, C)."""
        y = self.norm1(x)
        y = (
            joined(self.attn(windows(y, self.window)), int(x.shape[1]), int(x.shape[2]))
            if self.window
            else self.attn(y)
        )
        x = x + y
        return x + self.mlp(self.norm2(x))


class Vit(nn.Module):
    """Normalised images (B, 3, S, S) -> embedding (B, out, S / patch, S / patch)."""

    def __init__(self, configuration: VitConfiguration) -> None:
        super().__init__()
        width, patch, side = configuration.width, configuration.patch_px, configuration.side_px
        self.patch_embed = PatchEmbed(width, patch, patch)
        self.pos_embed = nn.Parameter(torch.zeros(1, side // patch, side // patch, width))
        self.blocks = nn.ModuleList(
            Block(configuration, whole=number in configuration.whole) for number in range(configuration.depth)
        )
        self.neck = neck(width, configuration.out)

    def forward(self, images: Tensor) -> Tensor:
        """See the class."""
        x = self.patch_embed(images) + self.pos_embed
        for block in self.blocks:
            x = block(x)
        return self.neck(x.permute(0, 3, 1, 2))
