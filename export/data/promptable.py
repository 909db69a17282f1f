"""Promptable segmenter (Segment Anything style, two ONNX files): box prompts to masks.

The files are those that Segment Anything's own export writes (Kirillov et al. 2023; `scripts/export_onnx_model.py`),
and MobileSAM's and its relatives' with it: an encoder that is run once a picture, and a decoder that is run for a box.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import cv2
import numpy as np

from export.onnx.sessions import cpu_session
from tracker.errors import ModelError

if TYPE_CHECKING:
    from pathlib import Path

    import onnxruntime

MEAN = np.array([123.675, 116.28, 103.53], np.float32)  # of RGB, as in Segment Anything
DEVIATION = np.array([58.395, 57.12, 57.375], np.float32)
LOW_SIDE = 256  # of the decoder's mask input
TOP_LEFT, BOTTOM_RIGHT = 2.0, 3.0  # point labels of a box's corners
DECODER_INPUTS = ("image_embeddings", "point_coords", "point_labels", "mask_input", "has_mask_input", "orig_im_size")
DECODER_OUTPUTS = ("masks", "iou_predictions", "low_res_masks")
LOGIT_CUT = -1.0  # distilled segmenters draw thin limbs too thin at 0
BOX_MARGIN = 0.06  # of a box's sides, that a mask may stand out
CLOSING_PX = 3
START_WITH = "give the two files of a Segment Anything export, see docs/guide/training.md"


class Embedded(NamedTuple):
    """What the encoder made of a picture."""

    features: np.ndarray  # (1, C, h, w)
    scale: float  # encoder pixels per picture pixel
    size: tuple[int, int]  # (height, width) of the picture


class Outline(NamedTuple):
    """The mask of one box."""

    mask: np.ndarray  # (H, W) bool
    score: float  # expected IoU, as the decoder says, 0..1


class PromptableSegmenter:
    """An encoder and a decoder of the Segment Anything family.

    Args:
        encoder: one float input (1, 3, S, S), normalised RGB, the longer side S, padded with 0; one output.
        decoder: inputs `image_embeddings, point_coords, point_labels, mask_input, has_mask_input, orig_im_size`;
            outputs `masks, iou_predictions, low_res_masks`.
        threads: of ONNX Runtime.

    Raises:
        ModelError: no such files, or other inputs and outputs.
    """

    def __init__(self, encoder: Path, decoder: Path, *, threads: int = 1) -> None:
        self.encoder, self.decoder = open_session(encoder, threads), open_session(decoder, threads)
        inputs = self.encoder.get_inputs()
        shape = inputs[0].shape
        if len(inputs) != 1 or len(shape) != 4 or shape[1] != 3 or not isinstance(shape[2], int):
            found = ", ".join(f"{item.name} {item.shape}" for item in inputs)
            raise ModelError(encoder, f"expected one input (1, 3, S, S), found {found}", START_WITH)
        self.side: int = shape[2]
        for kind, wanted, there in (
            ("input", DECODER_INPUTS, {item.name for item in self.decoder.get_inputs()}),
            ("output", DECODER_OUTPUTS, {item.name for item in self.decoder.get_outputs()}),
        ):
            missing = [name for name in wanted if name not in there]
            if missing:
                found = ", ".join(sorted(there))
                raise ModelError(decoder, f"expected an {kind} `{missing[0]}`, found {found}", START_WITH)

    def embed(self, picture: np.ndarray) -> Embedded:
        """Run the encoder on a picture (H, W, 3) uint8 BGR."""
        height, width = picture.shape[:2]
        scale = self.side / max(height, width)
        size = (max(1, round(width * scale)), max(1, round(height * scale)))
        resized = cv2.resize(picture, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
        pixels = np.zeros((1, 3, self.side, self.side), np.float32)
        pixels[0, :, : size[1], : size[0]] = ((resized[..., ::-1] - MEAN) / DEVIATION).transpose(2, 0, 1)
        features = self.encoder.run(None, {self.encoder.get_inputs()[0].name: pixels})[0]
        return Embedded(np.asarray(features), scale, (height, width))

    def outline(self, embedded: Embedded, box: np.ndarray) -> Outline:
        """The mask of what a box (4,) xyxy, picture pixels, holds.

        The decoder runs twice, the second time on its own first mask too; both logits are averaged, cut at
        `LOGIT_CUT`, small gaps and holes are closed, and what lies outside the box by more than a margin is dropped.
        """
        height, width = embedded.size
        feed = {
            "image_embeddings": embedded.features,
            "point_coords": np.asarray(box, np.float32).reshape(1, 2, 2) * np.float32(embedded.scale),
            "point_labels": np.array([[TOP_LEFT, BOTTOM_RIGHT]], np.float32),
            "mask_input": np.zeros((1, 1, LOW_SIDE, LOW_SIDE), np.float32),
            "has_mask_input": np.zeros(1, np.float32),
            "orig_im_size": np.array([height, width], np.float32),
        }
        first, certain, low = self.best(feed)
        feed |= {"mask_input": low, "has_mask_input": np.ones(1, np.float32)}
        second, again, _ = self.best(feed)
        mask = tidy((first + second) / 2 > LOGIT_CUT, box)
        return Outline(mask, float(np.clip((certain + again) / 2, 0.0, 1.0)))

    def best(self, feed: dict[str, np.ndarray]) -> tuple[np.ndarray, float, np.ndarray]:
        """Run the decoder: logits (H, W) of the mask that it thinks best of, its expected IoU, and the small logits."""
        masks, scores, low = self.decoder.run(list(DECODER_OUTPUTS), feed)
        chosen = int(scores[0].argmax())
        return masks[0, chosen], float(scores[0, chosen]), np.asarray(low[:, chosen : chosen + 1], np.float32)


def open_session(path: Path, threads: int) -> onnxruntime.InferenceSession:
    """An ONNX Runtime session on the processor.

    Raises:
        ModelError: no such file, or one that does not load.
    """
    if not path.is_file():
        raise ModelError(path, "no such file", START_WITH)
    try:
        return cpu_session(path, threads=threads)
    except Exception as error:  # ONNX Runtime's exceptions have no common base
        raise ModelError(path, f"expected an ONNX file, found: {str(error).splitlines()[0]}", START_WITH) from error


def tidy(mask: np.ndarray, box: np.ndarray) -> np.ndarray:
    """A bool mask (H, W) without small gaps and holes, inside its box and a margin."""
    height, width = mask.shape
    x0, y0, x1, y1 = (float(value) for value in box)
    wide, tall = BOX_MARGIN * (x1 - x0), BOX_MARGIN * (y1 - y0)
    left, top = max(0, int(np.floor(x0 - wide))), max(0, int(np.floor(y0 - tall)))
    right, bottom = min(width, int(np.ceil(x1 + wide))), min(height, int(np.ceil(y1 + tall)))
    part = np.asarray(mask[top:bottom, left:right], np.uint8)
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (CLOSING_PX, CLOSING_PX))
    closed = np.zeros(mask.shape, bool)
    if part.size:
        outlines = cv2.findContours(
            cv2.morphologyEx(part, cv2.MORPH_CLOSE, kernel), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE
        )[0]
        filled = cv2.drawContours(np.zeros_like(part), outlines, -1, 1, cv2.FILLED)
        closed[top:bottom, left:right] = filled > 0
    return closed
