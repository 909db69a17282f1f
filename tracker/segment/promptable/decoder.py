"""Decoder of a promptable segmenter: boxes and a picture's features to mask logits on a grid, and their expected IoU.

Segment Anything (Kirillov et al. 2023) takes a box as its two corners, labelled 2 and 3. Its export decides between one
mask and the best of three by the number of points, ``iou + 1000 (N - 2.5)`` for the first: a padding point makes it the
first, which is the one for a box. Files that take two points decide nothing: they give the first.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from tracker.errors import ModelError
from tracker.inference.tensors import Inputs
from tracker.segment.promptable.encoder import GRID_CELLS
from tracker.segment.promptable.forms import REMEDY

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from tracker.inference.runner import Runner
    from tracker.inference.tensors import FileInfo
    from tracker.segment.output_settings import PromptableSettings
    from tracker.segment.promptable.encoder import Embedded
    from tracker.segment.promptable.forms import Form

__all__ = ["BoxInputs", "Decoder"]

TOP_LEFT, BOTTOM_RIGHT, PADDING = 2.0, 3.0, -1.0
"""Labels of points."""
MAX_BATCH = 8
LOGITS = ("low_res_masks", "masks", "output_masks")
"""Outputs with logits, the smallest first."""
SCORES = "iou_predictions"


class BoxInputs:
    """Boxes as the decoder's inputs take them.

    Args:
        file: What the decoder's file declares.
        form: Of the two files.
        settings: Table ``[promptable]``.
        features: Shapes of the encoder's outputs, by name.
        label: How errors name the file.

    Raises:
        ModelError: An input that no output of the encoder fits, or no output with masks or expected IoUs.
    """

    def __init__(
        self,
        file: FileInfo,
        form: Form,
        *,
        settings: PromptableSettings,
        features: Mapping[str, tuple[int, ...]],
        label: object,
    ) -> None:
        self._label, self._form = label, form
        self._shapes = {tensor.name: tensor.shape for tensor in file.inputs}
        self._dtypes = {tensor.name: np.dtype(tensor.dtype) for tensor in file.inputs}
        self._best = (settings.mask or form.mask) == "best"
        outputs = {tensor.name: tensor.shape for tensor in file.outputs}
        self.logits = next((name for name in LOGITS if name in outputs), "")
        if not self.logits or SCORES not in outputs:
            wanted = f"{SCORES} and one of {', '.join(LOGITS)}"
            raise ModelError(label, f"expected the outputs {wanted}, found {', '.join(outputs)}", REMEDY)
        one_by_one = form.name in {"sam", "sam-pixels"}
        two = not self._efficient and self._shapes["point_coords"][1] == 2
        self._pads = one_by_one and not two and not self._best and outputs[SCORES][-1:] == (1,)
        own = self._own_inputs
        self._features = {name: self._source(name, features) for name in self._shapes if name not in own}
        axis = self._shapes["batched_point_coords"][1] if self._efficient else self._shapes["point_coords"][0]
        self.batch = axis or (1 if one_by_one else MAX_BATCH)
        self.fixed_batch = axis is not None

    @property
    def _efficient(self) -> bool:
        return self._form.name == "efficient-sam"

    @property
    def _own_inputs(self) -> set[str]:
        if self._efficient:
            return {"batched_point_coords", "batched_point_labels", "orig_im_size"}
        return {"point_coords", "point_labels", "mask_input", "has_mask_input", "orig_im_size"}

    def _source(self, name: str, features: Mapping[str, tuple[int, ...]]) -> str:
        """The encoder's output for an input: of the same name, else the only one of its shape."""
        wanted = self._shapes[name]

        def fits(shape: tuple[int, ...]) -> bool:
            pairs = zip(shape, wanted, strict=True) if len(shape) == len(wanted) else [(0, 1)]
            return all(size in {one, None} for one, size in pairs)

        found = (
            [name] if name in features and fits(features[name]) else [key for key in features if fits(features[key])]
        )
        if len(found) != 1:
            listed = "; ".join(f"{key} {shape}" for key, shape in features.items())
            shape = tuple("?" if size is None else size for size in wanted)
            problem = f"expected an output of the encoder for {name} {shape}, found {listed}"
            raise ModelError(self._label, problem, "give encoder and decoder of one export")
        return found[0]

    def feed(
        self, embedded: Embedded, boxes: NDArray[np.floating[Any]], logits: NDArray[np.float32] | None = None
    ) -> dict[str, NDArray[Any]]:
        """Inputs of one run.

        Args:
            embedded: Of the picture.
            boxes: ``(B, 4)`` xyxy in picture pixels, at most :attr:`batch`.
            logits: ``(B, 256, 256)`` of an earlier run, to be refined.
        """
        count = len(boxes)
        points = np.asarray(boxes, np.float32).reshape(count, 2, 2) * np.array(embedded.placement.scale, np.float32)
        labels = np.tile(np.array([TOP_LEFT, BOTTOM_RIGHT], np.float32), (count, 1))
        if self._pads:
            points = np.concatenate([points, np.zeros((count, 1, 2), np.float32)], axis=1)
            labels = np.concatenate([labels, np.full((count, 1), PADDING, np.float32)], axis=1)
        given: dict[str, Any] = {name: embedded.features[source] for name, source in self._features.items()}
        if self._efficient:
            given |= {"batched_point_coords": points[None], "batched_point_labels": labels[None]}
            given["orig_im_size"] = np.array([GRID_CELLS, GRID_CELLS])
        else:
            flags = 1 if self._shapes["has_mask_input"][:1] == (1,) else count
            before = np.zeros((count, GRID_CELLS, GRID_CELLS), np.float32) if logits is None else logits
            given |= {"point_coords": points, "point_labels": labels, "mask_input": before[:, None]}
            given["has_mask_input"] = np.full(flags, float(logits is not None))
            # Masks of the picture's size are not read: a small one costs least.
            given["orig_im_size"] = np.array([GRID_CELLS, GRID_CELLS])
        return {name: np.asarray(given[name], self._dtypes[name]) for name in self._shapes}

    def sample(self, embedded: Embedded) -> Inputs:
        """A box for trials."""
        width, height = embedded.placement.image_size
        boxes = np.tile(np.array([[0.25 * width, 0.25 * height, 0.75 * width, 0.75 * height]]), (self._least, 1))
        return Inputs(sample=self.feed(embedded, boxes), fixed_batch=1)

    @property
    def _least(self) -> int:
        """Boxes that a run must have."""
        return self.batch if self.fixed_batch else 1

    def read(self, outputs: Mapping[str, NDArray[Any]], count: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Logits ``(B, 256, 256)`` and expected IoUs ``(B,)`` of the chosen masks.

        Raises:
            ModelError: Outputs of other shapes.
        """
        scores, logits = np.asarray(outputs[SCORES], np.float32), np.asarray(outputs[self.logits], np.float32)
        if self._efficient and scores.ndim == 3 and logits.ndim == 5:
            scores, logits = scores[0], logits[0]
        fits = scores.ndim == 2 and logits.ndim == 4 and scores.shape == logits.shape[:2] and len(scores) >= count
        if not fits:
            problem = f"expected {SCORES} (B, M) and {self.logits} (B, M, h, w), found {scores.shape}, {logits.shape}"
            raise ModelError(self._label, problem, REMEDY)
        rows = np.arange(count)
        chosen = scores[:count].argmax(axis=1) if self._best else np.zeros(count, np.int64)
        masks, size = logits[rows, chosen], (GRID_CELLS, GRID_CELLS)
        if masks.shape[1:] != size:
            masks = np.array([cv2.resize(mask, size, interpolation=cv2.INTER_AREA) for mask in masks])
        return masks, scores[rows, chosen]


class Decoder:
    """Runs the decoder; may be called from several threads at once.

    Args:
        runner: Of the session.
        prompts: Makes its inputs.
    """

    def __init__(self, runner: Runner, prompts: BoxInputs) -> None:
        self._runner, self.prompts = runner, prompts

    def decode(
        self, embedded: Embedded, boxes: NDArray[np.floating[Any]], logits: NDArray[np.float32] | None = None
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Mask logits ``(N, 256, 256)`` over the encoder's input, and expected IoUs ``(N,)``.

        Args:
            embedded: Of the picture.
            boxes: ``(N, 4)`` xyxy in picture pixels.
            logits: Of an earlier call, to be refined.

        Raises:
            ModelError: The network failed.
        """
        masks, scores = np.zeros((len(boxes), GRID_CELLS, GRID_CELLS), np.float32), np.zeros(len(boxes), np.float32)
        step = self.prompts.batch
        for start in range(0, len(boxes), step):
            chunk = np.arange(start, min(start + step, len(boxes)))
            padded = np.pad(chunk, (0, step - len(chunk)), mode="edge") if self.prompts.fixed_batch else chunk
            before = None if logits is None else logits[padded]
            outputs = self._runner.run(self.prompts.feed(embedded, boxes[padded], before))
            masks[chunk], scores[chunk] = self.prompts.read(outputs, len(chunk))
        return masks, scores
