"""Prompt encoder and mask decoder of Segment Anything (Kirillov et al. 2023) and SAM 2 (Ravi et al. 2024).

As the published code computes them (https://github.com/facebookresearch/segment-anything and /sam2, Apache-2.0; written
anew here), under its parameter names. A prompt is points with labels: 1 foreground, 0 background, 2 and 3 a box's
corners, -1 none.
Shape letters: B prompts, P points, C channels, h x w cells of the embedding, T tokens.
"""

from __future__ import annotations

import math
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from export.networks.sam_vit import ChannelNorm, Mlp

MASK_TOKENS = 4  # the mask of a prompt that leaves no choice, and three of one that does
POINT_KINDS = 4
QUALITY_HIDDEN = 256  # of the head that expects IoUs
NO_POINT = -1.0
STABLE_LOGIT, STABLE_SHARE = 0.05, 0.98
"""SAM 2's test of its first mask: how little of it may lie between the two logits."""


class FourierPositions(nn.Module):
    """Random Fourier features of places (Tancik et al. 2020)."""

    def __init__(self, count: int) -> None:
        super().__init__()
        self.register_buffer("positional_encoding_gaussian_matrix", torch.zeros(2, count))

    def forward(self, places: Tensor) -> Tensor:
        """Places (..., 2) as x, y in 0..1 -> (..., 2 * count)."""
        x = 2 * math.pi * ((2 * places - 1) @ self.positional_encoding_gaussian_matrix)
        return torch.cat([x.sin(), x.cos()], dim=-1)

    def grid(self, side: int) -> Tensor:
        """Those of the middles of side x side cells, (1, C, side, side)."""
        middles = (torch.arange(side) + 0.5) / side
        y, x = torch.meshgrid(middles, middles, indexing="ij")
        return self(torch.stack([x, y], dim=-1)).permute(2, 0, 1)[None]


class PromptEncoder(nn.Module):
    """Points and a mask to embeddings.

    Args:
        width: C.
        side_px: of the encoder's input, whose pixels points are given in.
        mask_channels: of the mask's first layers.
    """

    def __init__(self, width: int, side_px: int, mask_channels: int = 16) -> None:
        super().__init__()
        self.side_px = side_px
        self.pe_layer = FourierPositions(width // 2)
        self.point_embeddings = nn.ModuleList(nn.Embedding(1, width) for _ in range(POINT_KINDS))
        self.not_a_point_embed, self.no_mask_embed = nn.Embedding(1, width), nn.Embedding(1, width)
        self.mask_downscaling = nn.Sequential(
            nn.Conv2d(1, mask_channels // 4, 2, 2),
            ChannelNorm(mask_channels // 4),
            nn.GELU(),
            nn.Conv2d(mask_channels // 4, mask_channels, 2, 2),
            ChannelNorm(mask_channels),
            nn.GELU(),
            nn.Conv2d(mask_channels, width, 1),
        )

    def points(self, coords: Tensor, labels: Tensor) -> Tensor:
        """Points (B, P, 2) in pixels and labels (B, P) -> (B, P, C)."""
        found = self.pe_layer((coords + 0.5) / self.side_px)
        labels = labels[..., None]
        found = found * (labels != NO_POINT) + self.not_a_point_embed.weight * (labels == NO_POINT)
        for kind, embedding in enumerate(self.point_embeddings):
            found = found + embedding.weight * (labels == kind)
        return found

    def mask(self, logits: Tensor, given: Tensor) -> Tensor:
        """Logits (B, 1, 4 h, 4 w), of which `given` (B,) says 1 where they are a prompt, else 0 -> (B, C, h, w)."""
        given = given.reshape(-1, 1, 1, 1)
        return given * self.mask_downscaling(logits) + (1 - given) * self.no_mask_embed.weight.reshape(1, -1, 1, 1)


class Perceptron(nn.Module):
    """Linear layers with ReLU between."""

    def __init__(self, *widths: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(*pair) for pair in pairwise(widths))

    def forward(self, x: Tensor) -> Tensor:
        """(..., first width) -> (..., last width)."""
        for layer in self.layers[:-1]:
            x = functional.relu(layer(x))
        return self.layers[-1](x)


class Attention(nn.Module):
    """Attention between two sets, within a narrower space where `narrower` is over 1."""

    def __init__(self, width: int, heads: int, narrower: int = 1) -> None:
        super().__init__()
        inner = width // narrower
        self.heads, self.scale = heads, (inner // heads) ** -0.5
        self.q_proj, self.k_proj, self.v_proj = (nn.Linear(width, inner) for _ in range(3))
        self.out_proj = nn.Linear(inner, width)

    def forward(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """(B, T, C) and twice (B, S, C) -> (B, T, C)."""
        q, k, v = (
            x.unflatten(2, (self.heads, -1)).transpose(1, 2) for x in (self.q_proj(q), self.k_proj(k), self.v_proj(v))
        )
        found = ((q @ k.transpose(2, 3)) * self.scale).softmax(-1) @ v  # (B, heads, T, D)
        return self.out_proj(found.transpose(1, 2).flatten(2))


class TwoWayBlock(nn.Module):
    """Tokens among themselves, tokens to picture, MLP, picture to tokens."""

    def __init__(self, width: int, heads: int, hidden: int, *, first: bool, second_version: bool) -> None:
        super().__init__()
        self.first = first
        self.self_attn = Attention(width, heads)
        self.cross_attn_token_to_image = Attention(width, heads, 2)
        self.cross_attn_image_to_token = Attention(width, heads, 2)
        self.mlp = Perceptron(width, hidden, width) if second_version else Mlp(width, hidden, nn.ReLU)
        self.norm1, self.norm2, self.norm3, self.norm4 = (nn.LayerNorm(width) for _ in range(4))

    def forward(self, tokens: Tensor, cells: Tensor, token_places: Tensor, cell_places: Tensor) -> tuple[Tensor, ...]:
        """(B, T, C) and (B, h * w, C), each with its places -> both, attended."""
        if self.first:
            tokens = self.self_attn(tokens, tokens, tokens)
        else:
            q = tokens + token_places
            tokens = tokens + self.self_attn(q, q, tokens)
        tokens = self.norm1(tokens)
        k = cells + cell_places
        tokens = self.norm2(tokens + self.cross_attn_token_to_image(tokens + token_places, k, cells))
        tokens = self.norm3(tokens + self.mlp(tokens))
        cells = self.norm4(cells + self.cross_attn_image_to_token(k, tokens + token_places, tokens))
        return tokens, cells


class TwoWayTransformer(nn.Module):
    """Two such blocks and a last look of the tokens at the picture."""

    def __init__(self, width: int, heads: int, hidden: int, *, second_version: bool) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            TwoWayBlock(width, heads, hidden, first=number == 0, second_version=second_version) for number in range(2)
        )
        self.final_attn_token_to_image = Attention(width, heads, 2)
        self.norm_final_attn = nn.LayerNorm(width)

    def forward(self, cells: Tensor, cell_places: Tensor, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """Maps (B, C, h, w) and (1, C, h, w), tokens (B, T, C) -> tokens (B, T, C), cells (B, h * w, C)."""
        cells, places = cells.flatten(2).transpose(1, 2), cell_places.flatten(2).transpose(1, 2)
        found = tokens
        for layer in self.layers:
            found, cells = layer(found, cells, tokens, places)
        last = self.final_attn_token_to_image(found + tokens, cells + places, cells)
        return self.norm_final_attn(found + last), cells


class MaskDecoder(nn.Module):
    """Embeddings of picture and prompt -> mask logits and their expected IoU.

    Args:
        width: C.
        heads: of attention.
        hidden: of the blocks' MLPs.
        second_version: SAM 2: features of finer cells are added while masks grow, a token says whether there is an
            object, expected IoUs are sigmoids.
    """

    def __init__(self, width: int, heads: int = 8, hidden: int = 2048, *, second_version: bool = False) -> None:
        super().__init__()
        self.second_version = second_version
        self.transformer = TwoWayTransformer(width, heads, hidden, second_version=second_version)
        self.iou_token, self.mask_tokens = nn.Embedding(1, width), nn.Embedding(MASK_TOKENS, width)
        quarter, eighth = width // 4, width // 8
        self.output_upscaling = nn.Sequential(
            nn.ConvTranspose2d(width, quarter, 2, 2),
            ChannelNorm(quarter),
            nn.GELU(),
            nn.ConvTranspose2d(quarter, eighth, 2, 2),
            nn.GELU(),
        )
        self.output_hypernetworks_mlps = nn.ModuleList(
            Perceptron(width, width, width, eighth) for _ in range(MASK_TOKENS)
        )
        self.iou_prediction_head = Perceptron(width, QUALITY_HIDDEN, QUALITY_HIDDEN, MASK_TOKENS)
        if second_version:
            self.obj_score_token = nn.Embedding(1, width)
            self.conv_s0, self.conv_s1 = nn.Conv2d(width, eighth, 1), nn.Conv2d(width, quarter, 1)

    def forward(
        self, embedding: Tensor, places: Tensor, points: Tensor, mask: Tensor, finer: tuple[Tensor, Tensor] | None
    ) -> tuple[Tensor, Tensor]:
        """Masks of prompts.

        Args:
            embedding: (1, C, h, w) of the picture.
            places: (1, C, h, w), encodings of its cells.
            points: (B, P, C).
            mask: (B, C, h, w).
            finer: features (1, C / 8, 4 h, 4 w) and (1, C / 4, 2 h, 2 w) of SAM 2.

        Returns:
            Logits (B, M, 4 h, 4 w) and expected IoUs (B, M) of the first mask; of all four where the version is 2.
        """
        own = [self.iou_token.weight, self.mask_tokens.weight]
        own = [self.obj_score_token.weight, *own] if self.second_version else own
        count = len(own) - 2
        tokens = torch.cat([torch.cat(own)[None].expand(points.shape[0], -1, -1), points], dim=1)
        cells = embedding + mask
        tokens, found = self.transformer(cells, places, tokens)
        grown = self.grow(found.transpose(1, 2).reshape(cells.shape), finer)  # (B, C / 8, 4 h, 4 w)
        masks = MASK_TOKENS if self.second_version else 1
        kernels = torch.stack(
            [self.output_hypernetworks_mlps[number](tokens[:, count + 1 + number]) for number in range(masks)], dim=1
        )
        logits = (kernels @ grown.flatten(2)).reshape(-1, masks, *grown.shape[2:])
        scores = self.iou_prediction_head(tokens[:, count])[:, :masks]
        return logits, scores.sigmoid() if self.second_version else scores

    def grow(self, cells: Tensor, finer: tuple[Tensor, Tensor] | None) -> Tensor:
        """(B, C, h, w) -> (B, C / 8, 4 h, 4 w)."""
        if finer is None:
            return self.output_upscaling(cells)
        first, norm, act, second, last = self.output_upscaling
        return last(second(act(norm(first(cells) + finer[1]))) + finer[0])


def stable(logits: Tensor, scores: Tensor) -> tuple[Tensor, Tensor]:
    """SAM 2's choice for a box: the first mask, or the best of the others where the first one is unstable.

    Args:
        logits: (B, 4, h, w).
        scores: (B, 4), expected IoUs.

    Returns:
        (B, 1, h, w) and (B, 1).
    """
    first = logits[:, 0].flatten(1)
    inside, about = (first > STABLE_LOGIT).float().sum(1), (first > -STABLE_LOGIT).float().sum(1)
    is_stable = torch.where(about > 0, inside / about.clamp(min=1), torch.ones_like(about)) >= STABLE_SHARE  # (B,)
    chosen = torch.where(is_stable, torch.zeros_like(about).long(), scores[:, 1:].argmax(1) + 1)  # (B,)
    picked = (torch.arange(MASK_TOKENS) == chosen[:, None]).to(logits.dtype)  # (B, 4)
    masks = (picked[:, None] @ logits.flatten(2)).reshape(-1, 1, *logits.shape[2:])
    return masks, (picked * scores).sum(1, keepdim=True)
