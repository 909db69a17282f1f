"""A promptable segmenter in two small ONNX files: a box's mask is the ellipse inside it, whatever is there."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

import pytest

torch = pytest.importorskip("torch", reason="the PyTorch side needs torch: pip install torch")

from tracker.segment.promptable.forms import DECODER_INPUTS  # noqa: E402

if TYPE_CHECKING:
    from pathlib import Path

SIDE = 64
EXPECTED_IOU = 0.9


class Encoder(torch.nn.Module):
    """Pixels as they come, coarser."""

    def forward(self, pixels):
        return torch.nn.functional.avg_pool2d(pixels, 16)


class Decoder(torch.nn.Module):
    """Two masks: nothing, of which it expects little, and the ellipse."""

    def forward(self, *given):
        image_embeddings, point_coords, point_labels, mask_input, has_mask_input, orig_im_size = given
        corners = point_coords[0] * orig_im_size.max() / SIDE
        height, width = orig_im_size[0].long(), orig_im_size[1].long()
        centre, half = corners.mean(dim=0), (corners[1] - corners[0]) / 2
        x = (torch.arange(width)[None, :] + 0.5 - centre[0]) / half[0]
        y = (torch.arange(height)[:, None] + 0.5 - centre[1]) / half[1]
        ellipse = 20 * (1 - x**2 - y**2) - 1  # cut at -1, as the masks are
        masks = torch.stack((torch.full_like(ellipse, -20.0), ellipse))[None]
        unused = 0 * (image_embeddings.sum() + point_labels.sum() + mask_input.sum() + has_mask_input.sum())
        scores = torch.tensor([[0.3, EXPECTED_IOU]]) + unused
        return masks, scores, torch.nn.functional.interpolate(masks, (256, 256))


def write_segmenter(folder: Path) -> tuple[Path, Path]:
    """The encoder's file and the decoder's."""
    encoder, decoder = folder / "encoder.onnx", folder / "decoder.onnx"
    prompts = (
        torch.zeros(1, 3, SIDE // 16, SIDE // 16),
        torch.tensor([[[1.0, 2.0], [30.0, 40.0]]]),
        torch.tensor([[2.0, 3.0]]),
        torch.zeros(1, 1, 256, 256),
        torch.zeros(1),
        torch.tensor([48.0, 64.0]),
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of tracing
        torch.onnx.export(Encoder(), (torch.zeros(1, 3, SIDE, SIDE),), str(encoder), dynamo=False)
        names = {"input_names": list(DECODER_INPUTS), "output_names": ["masks", "iou_predictions", "low_res_masks"]}
        axes = {"masks": {2: "h", 3: "w"}}
        torch.onnx.export(Decoder(), prompts, str(decoder), **names, dynamic_axes=axes, dynamo=False)
    return encoder, decoder
