"""Image encoder of MobileSAM (Zhang et al. 2023): TinyViT (Wu et al. 2022), convolutions, then windows of attention.

As the published code computes it (https://github.com/ChaoningZhang/MobileSAM, Apache-2.0; written anew here), under its
parameter names. Biases of attention are read by every run: the original keeps a copy that loading leaves behind.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from export.networks.sam_vit import joined, neck, windows

EXPANSION = 4  # of hidden layers


@dataclass(frozen=True, kw_only=True)
class TinyVitConfiguration:
    """One published image encoder of four stages, of which the last one keeps the stride of the third.

    Attributes:
        widths: channels of the stages.
        depths: blocks of the stages.
        heads: of attention; the first stage has none.
        windows: cells along a side of a window; the first stage has none.
        side_px: of the square input.
        out: channels of the embedding.
    """

    widths: tuple[int, int, int, int] = (64, 128, 160, 320)
    depths: tuple[int, int, int, int] = (2, 2, 6, 2)
    heads: tuple[int, int, int, int] = (2, 4, 5, 10)
    windows: tuple[int, int, int, int] = (7, 7, 14, 7)
    side_px: int = 1024
    out: int = 256


class ConvNorm(nn.Sequential):
    """A convolution without bias and its batch norm."""

    def __init__(self, channels_in: int, channels: int, kernel: int = 1, stride: int = 1, groups: int = 1) -> None:
        super().__init__()
        self.add_module("c", nn.Conv2d(channels_in, channels, kernel, stride, kernel // 2, groups=groups, bias=False))
        self.add_module("bn", nn.BatchNorm2d(channels))


class PatchEmbed(nn.Module):
    """Two convolutions of stride 2."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.seq = nn.Sequential(ConvNorm(3, width // 2, 3, 2), nn.GELU(), ConvNorm(width // 2, width, 3, 2))

    def forward(self, x: Tensor) -> Tensor:
        """(B, 3, H, W) -> (B, C, H / 4, W / 4)."""
        return self.seq(x)


class ConvBlock(nn.Module):
    """MBConv: wider, by cell, narrower, beside a residual."""

    def __init__(self, width: int) -> None:
        super().__init__()
        hidden = EXPANSION * width
        self.conv1 = ConvNorm(width, hidden)
        self.conv2 = ConvNorm(hidden, hidden, 3, groups=hidden)
        self.conv3 = ConvNorm(hidden, width)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, h, w) -> (B, C, h, w)."""
        y = functional.gelu(self.conv2(functional.gelu(self.conv1(x))))
        return functional.gelu(x + self.conv3(y))


class Merging(nn.Module):
    """To the next stage's width and stride."""

    def __init__(self, width: int, out: int, stride: int) -> None:
        super().__init__()
        self.conv1 = ConvNorm(width, out)
        self.conv2 = ConvNorm(out, out, 3, stride, groups=out)
        self.conv3 = ConvNorm(out, out)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, h, w) -> (B, out, h / stride, w / stride)."""
        return self.conv3(functional.gelu(self.conv2(functional.gelu(self.conv1(x)))))


class Attention(nn.Module):
    """Self-attention within a window, with a bias for every distance."""

    def __init__(self, width: int, heads: int, side: int) -> None:
        super().__init__()
        self.heads, self.side = heads, side
        self.scale = (width // heads) ** -0.5
        self.norm = nn.LayerNorm(width)
        self.qkv, self.proj = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.attention_biases = nn.Parameter(torch.zeros(heads, side * side))

    def forward(self, x: Tensor) -> Tensor:
        """Windows (n, s, s, C) -> (n, s, s, C)."""
        tokens = self.norm(x.flatten(1, 2))
        q, k, v = self.qkv(tokens).unflatten(2, (self.heads, 3, -1)).permute(3, 0, 2, 1, 4).unbind(0)
        places = torch.arange(self.side)
        apart = (places[:, None] - places).abs()  # (s, s), of one axis
        index = (apart[:, None, :, None] * self.side + apart[None, :, None, :]).reshape(self.side**2, self.side**2)
        scores = (q @ k.transpose(2, 3)) * self.scale + self.attention_biases[:, index]  # (n, heads, s * s, s * s)
        found = (scores.softmax(-1) @ v).transpose(1, 2).flatten(2)
        return self.proj(found).reshape(x.shape)


class Mlp(nn.Module):
    """A norm and two linear layers."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.fc1, self.fc2 = nn.Linear(width, EXPANSION * width), nn.Linear(EXPANSION * width, width)

    def forward(self, x: Tensor) -> Tensor:
        """(..., C) -> (..., C)."""
        return self.fc2(functional.gelu(self.fc1(self.norm(x))))


class WindowBlock(nn.Module):
    """Attention in windows, a convolution by channel, MLP."""

    def __init__(self, width: int, heads: int, side: int) -> None:
        super().__init__()
        self.side = side
        self.attn, self.mlp = Attention(width, heads, side), Mlp(width)
        self.local_conv = ConvNorm(width, width, 3, groups=width)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, h, w) -> (B, C, h, w)."""
        cells = x.permute(0, 2, 3, 1)
        found = joined(self.attn(windows(cells, self.side)), int(x.shape[2]), int(x.shape[3]))
        x = self.local_conv((cells + found).permute(0, 3, 1, 2))
        cells = x.permute(0, 2, 3, 1)
        return (cells + self.mlp(cells)).permute(0, 3, 1, 2)


class Stage(nn.Module):
    """Blocks of one width, then the way to the next."""

    def __init__(self, configuration: TinyVitConfiguration, number: int) -> None:
        super().__init__()
        width, last = configuration.widths[number], len(configuration.widths) - 1
        heads, side = configuration.heads[number], configuration.windows[number]
        self.blocks = nn.ModuleList(
            WindowBlock(width, heads, side) if number else ConvBlock(width) for _ in range(configuration.depths[number])
        )
        self.downsample = None
        if number < last:
            self.downsample = Merging(width, configuration.widths[number + 1], 1 if number == last - 1 else 2)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, h, w) -> that of the next stage."""
        for block in self.blocks:
            x = block(x)
        return x if self.downsample is None else self.downsample(x)


class TinyVit(nn.Module):
    """Normalised images (B, 3, S, S) -> embedding (B, out, S / 16, S / 16)."""

    def __init__(self, configuration: TinyVitConfiguration) -> None:
        super().__init__()
        self.patch_embed = PatchEmbed(configuration.widths[0])
        self.layers = nn.ModuleList(Stage(configuration, number) for number in range(len(configuration.widths)))
        self.neck = neck(configuration.widths[-1], configuration.out)

    def forward(self, images: Tensor) -> Tensor:
        """See the class."""
        x = self.patch_embed(images)
        for layer in self.layers:
            x = layer(x)
        return self.neck(x)
