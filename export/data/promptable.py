"""Outlines of single boxes for labels: the promptable segmenter of the runtime, asked twice, with tidied masks."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import cv2
import numpy as np

from tracker.errors import ModelError
from tracker.segment.output_settings import PromptableSettings
from tracker.segment.promptable.folder import PromptableFolder
from tracker.segment.promptable.forms import REMEDY
from tracker.segment.promptable.outliner import Outliner
from tracker.segment.zoo import ModelFile

if TYPE_CHECKING:
    from pathlib import Path

    from tracker.segment.promptable.encoder import Embedded

LOGIT_CUT = -1.0  # distilled segmenters draw thin limbs too thin at 0
BOX_MARGIN = 0.06  # of a box's sides, that a mask may stand out
CLOSING_PX = 3


class Outline(NamedTuple):
    """The mask of one box."""

    mask: np.ndarray  # (H, W) bool
    score: float  # expected IoU, as the decoder says, 0..1


class PromptableSegmenter:
    """An encoder and a decoder of the Segment Anything family, of any form of :mod:`tracker.segment.promptable.forms`.

    Args:
        encoder: the encoder's file.
        decoder: the decoder's file.
        threads: of ONNX Runtime.

    Raises:
        ModelError: no such files, or other inputs and outputs.
    """

    def __init__(self, encoder: Path, decoder: Path, *, threads: int = 1) -> None:
        for path in (encoder, decoder):
            if not path.is_file():
                raise ModelError(path, "no such file", REMEDY)
        files = [ModelFile(label=str(path), path=path, variant="", manifest=None) for path in (encoder, decoder)]
        folder = PromptableFolder(
            path=encoder.parent,
            name=encoder.parent.name,
            encoder=files[0],
            decoder=files[1],
            settings=PromptableSettings(mask="best"),
            manifest=None,
        )
        self.outliner = Outliner(folder, device="cpu", threads=threads)

    def embed(self, picture: np.ndarray) -> Embedded:
        """Run the encoder on a picture (H, W, 3) uint8 BGR."""
        return self.outliner.embed(picture)

    def outline(self, embedded: Embedded, box: np.ndarray) -> Outline:
        """The mask of what a box (4,) xyxy, picture pixels, holds.

        The decoder runs twice, the second time on its own first mask too; both logits are averaged, cut at
        `LOGIT_CUT`, small gaps and holes are closed, and what lies outside the box by more than a margin is dropped.
        """
        first, certain = self.outliner.logits(embedded, box[None])
        second, again = self.outliner.logits(embedded, box[None], first)
        step_x, step_y = embedded.placement.step_px
        to_cells = np.array([[1 / step_x, 0, 0.5 / step_x - 0.5], [0, 1 / step_y, 0.5 / step_y - 0.5]])
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        lifted = cv2.warpAffine(
            (first[0] + second[0]) / 2,
            to_cells,
            embedded.placement.image_size,
            flags=flags,
            borderMode=cv2.BORDER_REPLICATE,
        )
        score = float(np.clip((certain[0] + again[0]) / 2, 0.0, 1.0))
        return Outline(tidy(lifted > LOGIT_CUT, box), score)


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
