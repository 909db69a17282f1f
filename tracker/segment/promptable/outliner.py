"""Outliner: encoder and decoder of a folder on a device, boxes of a picture to outlines on a grid."""

from __future__ import annotations

import statistics
import time
from typing import TYPE_CHECKING

import cv2
import numpy as np

from tracker.inference.device import bare_session, check_options, open_session
from tracker.inference.runner import PlainRunner
from tracker.inference.survey import on_processor
from tracker.inference.tensors import declared
from tracker.inference.trial import try_model
from tracker.masks.grid_masks import GridMasks
from tracker.masks.instance_masks import PROBABILITY_THRESHOLD
from tracker.segment.manifest import InputSpec
from tracker.segment.promptable.decoder import SCORES, BoxInputs, Decoder
from tracker.segment.promptable.encoder import Encoder, Pixels
from tracker.segment.promptable.folder import PromptableFolder, find_folder
from tracker.segment.promptable.forms import recognise

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Any

    from numpy.typing import NDArray

    from tracker.inference.device import OpenedSession
    from tracker.segment.promptable.encoder import Embedded, Placement

__all__ = ["Outliner", "drop_specks", "probabilities"]

SPECK_SHARE = 0.1
"""Of the largest part of a mask, below which another part is a speck."""
RAMP = 4.0
"""Logit of a certain cell where the cells about it do not differ by more."""


class Outliner:
    """Outlines of boxes by a promptable segmenter. May be called from several threads at once.

    Args:
        folder: With encoder, decoder and manifest.
        device: ``auto``, ``cpu``, ``cuda``, ``tensorrt``, ``openvino``; ``cuda:1`` picks a card.
        threads: Threads inside an operator on the CPU; ``None`` = the cores there are, at most 8.

    Attributes:
        encode_s: Seconds of an encoder's run here.
        decode_s: Seconds of a decoder's run, for one box.

    Raises:
        ModelError: No such folder, files that are none of a known form, or that do not fit together.
    """

    def __init__(
        self, folder: str | Path | PromptableFolder, *, device: str = "auto", threads: int | None = None
    ) -> None:
        self.folder = folder if isinstance(folder, PromptableFolder) else find_folder(folder)
        check_options(device, threads=threads, fp16=False)
        files = self.folder.encoder, self.folder.decoder
        infos = [declared(bare_session(file.path, label=file.label), label=file.label) for file in files]
        self.form = recognise(*infos, labels=(files[0].label, files[1].label))
        self.settings = self.folder.settings
        said = self.folder.manifest.input if self.folder.manifest is not None else InputSpec()
        label = files[0].label
        pixels = Pixels(infos[0].inputs[0], self.form, settings=self.settings, said=said, label=label)
        try_model(files[0].path, label=label, describe=lambda _found: pixels.sample())
        opened = open_session(files[0].path, label=label, device=device, threads=threads)
        outputs = [output.name for output in infos[0].outputs]
        self._encoder = Encoder(PlainRunner(opened.session, label=label, output_names=outputs), pixels)
        grey = np.full((pixels.side, pixels.side, 3), 114, np.uint8)
        embedded = self._encoder.embed(grey)
        self._decoder = self._open_decoder(infos[1], embedded, opened, threads)
        self.device = opened.device
        box = np.array([[0.25, 0.25, 0.75, 0.75]], np.float32) * pixels.side
        self.encode_s = _seconds(lambda: self._encoder.embed(grey))
        self.decode_s = _seconds(lambda: self._decoder.decode(embedded, box))

    def _open_decoder(self, info: Any, embedded: Embedded, encoder: OpenedSession, threads: int | None) -> Decoder:
        file = self.folder.decoder
        shapes = {name: value.shape for name, value in embedded.features.items()}
        prompts = BoxInputs(info, self.form, settings=self.settings, features=shapes, label=file.label)
        try_model(file.path, label=file.label, describe=lambda _found: prompts.sample(embedded))
        device = encoder.device if on_processor(encoder.device) else f"{encoder.device}:{encoder.card}"
        opened = open_session(file.path, label=file.label, device=device, threads=threads)
        runner = PlainRunner(opened.session, label=file.label, output_names=[prompts.logits, SCORES])
        return Decoder(runner, prompts)

    @property
    def side(self) -> int:
        """Pixels along a side of the encoder's input."""
        return self._encoder.pixels.side

    @property
    def batch(self) -> int:
        """Boxes of one run of the decoder."""
        return self._decoder.prompts.batch

    def describe(self) -> str:
        """One line for reports: name, form, size, costs, device."""
        return (
            f"{self.folder.name}, {self.form.name}, {self.side} x {self.side}, {1000 * self.encode_s:.0f} ms a picture "
            f"and {1000 * self.decode_s:.0f} ms a box, on {self.device}"
        )

    def place(self, size: tuple[int, int]) -> Placement:
        """Where a picture of ``size`` (width, height) lies on the grid of the masks."""
        return self._encoder.pixels.place(size)

    def embed(self, picture: NDArray[np.uint8]) -> Embedded:
        """Features of a picture ``(H, W, 3)`` uint8 BGR.

        Raises:
            ModelError: The network failed.
        """
        return self._encoder.embed(picture)

    def logits(
        self, embedded: Embedded, boxes: NDArray[np.floating[Any]], before: NDArray[np.float32] | None = None
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """See :meth:`tracker.segment.promptable.decoder.Decoder.decode`."""
        return self._decoder.decode(embedded, boxes, before)

    def outlines(self, embedded: Embedded, boxes: NDArray[np.floating[Any]]) -> tuple[GridMasks, NDArray[np.float32]]:
        """Masks of boxes ``(N, 4)`` xyxy in picture pixels, and their expected IoUs ``(N,)``.

        Raises:
            ModelError: The network failed.
        """
        logits, expected = self.logits(embedded, boxes)
        place = embedded.placement
        grids = probabilities(logits[:, : place.shape[0], : place.shape[1]] - np.float32(self.settings.logit_cut))
        drop_specks(grids)
        return GridMasks(probabilities=grids, step_px=place.step_px, image_size=place.image_size), expected


def probabilities(logits: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Mask logits ``(N, h, w)`` as uint8, 128 from a logit of 0 on.

    At an edge a probability is linear in the logits of the two cells, so that interpolation finds the edge where it is;
    sigmoids of large logits move it to the middle between them (IoU with the logits' own edge .95 in place of .99).

    >>> probabilities(np.array([[[-30.0, -20.0, 40.0, 50.0, 2.0, 0.0]]], np.float32))[0, 0].tolist()
    [0, 85, 212, 255, 133, 128]
    """
    steps = np.full(logits.shape, RAMP, np.float32)
    for axis in (1, 2):
        before, after = (slice(None),) * axis + (slice(None, -1),), (slice(None),) * axis + (slice(1, None),)
        difference = np.abs(logits[after] - logits[before])
        np.maximum(steps[before], difference, out=steps[before])
        np.maximum(steps[after], difference, out=steps[after])
    return np.asarray(np.clip(128 + 127 * logits / steps, 0, 255), np.uint8)


def drop_specks(grids: NDArray[np.uint8]) -> None:
    """Empty the parts of masks ``(N, h, w)`` that are small beside the largest one, in place.

    A speck under an object would be taken for the place where it stands.

    >>> grids = np.zeros((1, 8, 24), np.uint8)
    >>> grids[0, :, :16], grids[0, 3, 20] = 255, 255
    >>> drop_specks(grids)
    >>> int(grids[0, :, :16].min()), int(grids[0, :, 16:].max())
    (255, 0)
    """
    for grid in grids:
        inside = (grid >= PROBABILITY_THRESHOLD).astype(np.uint8)
        _, labels, facts, _ = cv2.connectedComponentsWithStats(inside, connectivity=8)
        areas = facts[1:, cv2.CC_STAT_AREA]
        for label in (np.flatnonzero(areas < SPECK_SHARE * areas.max(initial=0)) + 1).tolist():
            grid[cv2.dilate((labels == label).astype(np.uint8), np.ones((3, 3), np.uint8)) > 0] = 0


def _seconds(work: Any) -> float:
    """Median of three runs after those that were made before."""
    taken = []
    for _ in range(3):
        started_s = time.perf_counter()
        work()
        taken.append(time.perf_counter() - started_s)
        if taken[-1] > 0.5:
            break
    return statistics.median(taken)
