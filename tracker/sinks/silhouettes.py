"""Silhouettes and run-length codes of one frame's instances, made once however many records ask."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

from tracker.formats.run_length import Crop, encode_crop

if TYPE_CHECKING:
    from tracker.masks.instance_masks import InstanceMasks
    from tracker.types import Instances

__all__ = ["code_of", "silhouette_of"]


class _LastFrame(threading.local):
    """What was made for the last frame that this thread wrote; sinks of one stream write it one after another."""

    def __init__(self) -> None:
        self.masks: InstanceMasks | None = None
        self.crops: dict[int, Crop] = {}
        self.codes: dict[int, dict[str, Any]] = {}


_last = _LastFrame()


def silhouette_of(instances: Instances, row: int) -> Crop:
    """The silhouette of one instance that has a mask, cut to its box (``InstanceMasks.lift``)."""
    masks = instances.masks
    if masks is None:
        message = "silhouette_of: expected instances with masks, found none"
        raise ValueError(message)
    if _last.masks is not masks:
        _last.masks, _last.crops, _last.codes = masks, {}, {}
    if row not in _last.crops:
        _last.crops[row] = masks.lift(row, instances.boxes[row])
    return _last.crops[row]


def code_of(instances: Instances, row: int) -> dict[str, Any]:
    """The compressed COCO run-length code of one instance's silhouette at image resolution."""
    crop, origin = silhouette_of(instances, row)
    if row not in _last.codes and instances.masks is not None:
        _last.codes[row] = encode_crop(crop, origin, instances.masks.image_size)
    return _last.codes[row]
