"""RoIAlign (He et al. 2017, section 3) over one stack of feature maps, as ONNX's operator in a graph."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


class RoiAlign(torch.autograd.Function):
    """Maps (L, C, h, w), boxes (N, 4) in cells, level of each box (N,) -> (N, C, P, P).

    In PyTorch it is two products with bilinear weights, which is exact and needs no compiled operator; in an export it
    is one `RoiAlign` node whose batch index is the level.
    """

    @staticmethod
    def forward(  # noqa: PLR0917 - autograd functions take positions only
        _ctx: Any, maps: Tensor, boxes: Tensor, levels: Tensor, parts: int, samples: int, half_pixel: int
    ) -> Tensor:
        """See the class; `samples` per part and axis, 0: as many as a part has cells, rounded up."""
        shift = 0.5 if half_pixel else 0.0
        left, top, right, bottom = (boxes - shift).unbind(dim=1)
        width, height = right - left, bottom - top
        if not half_pixel:  # the older form, whose boxes have at least one cell
            width, height = width.clamp(min=1.0), height.clamp(min=1.0)
        across = axis_weights(left, width, maps.shape[3], parts, samples)  # (N, P, w)
        down = axis_weights(top, height, maps.shape[2], parts, samples)  # (N, P, h)
        pooled = maps.new_zeros(len(boxes), maps.shape[1], parts, parts)
        for level in levels.unique():
            for rows in (levels == level).nonzero()[:, 0].split(64):
                lines = torch.einsum("nph,chw->ncpw", down[rows], maps[level])
                pooled[rows] = torch.einsum("ncpw,nqw->ncpq", lines, across[rows])
        return pooled

    @staticmethod
    def symbolic(  # noqa: PLR0917
        g: Any, maps: Any, boxes: Any, levels: Any, parts: int, samples: int, half_pixel: int
    ) -> Any:
        """The node."""
        return g.op(
            "RoiAlign",
            maps,
            boxes,
            levels,
            coordinate_transformation_mode_s="half_pixel" if half_pixel else "output_half_pixel",
            mode_s="avg",
            output_height_i=parts,
            output_width_i=parts,
            sampling_ratio_i=samples,
            spatial_scale_f=1.0,
        )


def axis_weights(start: Tensor, length: Tensor, size: int, parts: int, samples: int) -> Tensor:
    """Weights (N, parts, size) of a map's cells along one axis: the mean of bilinear samples in each part."""
    part = length / parts  # (N,)
    counts = part.ceil().clamp(min=1) if samples == 0 else torch.full_like(part, samples)  # (N,)
    most = int(counts.max()) if len(counts) else 1
    step = torch.arange(most, dtype=start.dtype)
    within = (step + 0.5) / counts[:, None] * part[:, None]  # (N, S)
    places = start[:, None, None] + torch.arange(parts)[:, None] * part[:, None, None] + within[:, None]  # (N, P, S)
    share = (step < counts[:, None])[:, None] / counts[:, None, None]  # (N, 1, S)
    share = share * ((places >= -1) & (places <= size))
    places = places.clamp(0, size - 1)
    weights = start.new_zeros(*places.shape[:2], size)
    low = places.floor()
    for cell, weight in ((low, 1 - (places - low)), ((low + 1).clamp(max=size - 1), places - low)):
        weights.scatter_add_(2, cell.long(), weight * share)
    return weights
