"""Forms of Segment Anything exports, told by the inputs of the decoder and the shape of the encoder's input.

| form | encoder | decoder |
|---|---|---|
| ``sam`` | (1, 3, S, S) normalised, longer side S, zeros right and below | official export; own export |
| ``sam-pixels`` | (H, W, 3) RGB 0..255, longer side S; samexporter ``--use-preprocess`` | the same |
| ``sam2`` | (1, 3, S, S) stretched, normalised; three outputs | boxes in a batch, square masks |
| ``efficient-sam`` | (1, 3, H, W) RGB 0..1 of any size | boxes in a batch, masks of the size that is asked for |
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from tracker.errors import ModelError

if TYPE_CHECKING:
    from tracker.inference.tensors import FileInfo, TensorInfo
    from tracker.segment.output_settings import PromptMask, PromptResize

__all__ = ["DECODER_INPUTS", "Form", "recognise"]

FormName = Literal["sam", "sam-pixels", "sam2", "efficient-sam"]

IMAGENET = ((123.675, 116.28, 103.53), (58.395, 57.12, 57.375))
UNIT = ((0.0,) * 3, (255.0,) * 3)
PLAIN = ((0.0,) * 3, (1.0,) * 3)

DECODER_INPUTS = ("image_embeddings", "point_coords", "point_labels", "mask_input", "has_mask_input", "orig_im_size")
"""Of the official export of Segment Anything (`scripts/export_onnx_model.py`); own ones have no picture's size."""
SAM2_INPUTS = ("point_coords", "point_labels", "mask_input", "has_mask_input")
EFFICIENT_INPUTS = ("image_embeddings", "batched_point_coords", "batched_point_labels", "orig_im_size")
KNOWN = {"sam": DECODER_INPUTS[:-1], "sam2": SAM2_INPUTS, "efficient-sam": EFFICIENT_INPUTS}
REMEDY = "give the two files of a Segment Anything export, see docs/guide/models.md"


@dataclass(frozen=True, slots=True, kw_only=True)
class Form:
    """One form of the two files.

    Attributes:
        name: See the module.
        resize: How pictures fill the encoder's input.
        mask: Which of several masks for a box is meant.
        mean: Of RGB, subtracted in 0..255 units.
        std: Divided by.
    """

    name: FormName
    resize: PromptResize
    mask: PromptMask
    mean: tuple[float, ...]
    std: tuple[float, ...]


def recognise(encoder: FileInfo, decoder: FileInfo, *, labels: tuple[object, object]) -> Form:
    """The form of two files.

    Args:
        encoder: What its file declares.
        decoder: The same.
        labels: How errors name them.

    Raises:
        ModelError: Neither is of a known form; the message names the missing input and what there is.
    """
    image = _image(encoder, labels[0])
    names = {tensor.name for tensor in decoder.inputs}
    closest = max(KNOWN, key=lambda form: len(names.intersection(KNOWN[form])) / len(KNOWN[form]))
    missing = [name for name in KNOWN[closest] if name not in names]
    if missing:
        found = ", ".join(sorted(names))
        raise ModelError(labels[1], f"expected an input `{missing[0]}` of a decoder, found {found}", REMEDY)
    pixels = len(image.shape) == 3
    if closest == "sam":
        name: FormName = "sam-pixels" if pixels else "sam"
        mean, std = PLAIN if pixels else IMAGENET
        return Form(name=name, resize="longest", mask="single", mean=mean, std=std)
    if pixels:
        raise _no_image(encoder, labels[0])
    if closest == "sam2":
        return Form(name="sam2", resize="stretch", mask="best", mean=IMAGENET[0], std=IMAGENET[1])
    return Form(name="efficient-sam", resize="longest", mask="best", mean=UNIT[0], std=UNIT[1])


def _image(encoder: FileInfo, label: object) -> TensorInfo:
    """The only input of an encoder.

    Raises:
        ModelError: It is none.
    """
    if len(encoder.inputs) == 1 and encoder.outputs:
        tensor = encoder.inputs[0]
        channels = tensor.shape[1] if len(tensor.shape) == 4 else tensor.shape[-1] if len(tensor.shape) == 3 else 0
        if channels in {3, None} and tensor.dtype in {"float32", "float16"}:
            return tensor
    raise _no_image(encoder, label)


def _no_image(encoder: FileInfo, label: object) -> ModelError:
    found = "; ".join(map(str, encoder.inputs))
    return ModelError(label, f"expected one input (1, 3, S, S) or (H, W, 3) of an encoder, found {found}", REMEDY)
