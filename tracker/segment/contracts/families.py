"""Model families behind a contract: whose exports they are, what they want as input, how they number classes.

Shapes tell the contract, and mostly the family; where two families write the same shapes, the manifest's ``family`` or
``input.channels`` decides, and an error names the candidates.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from tracker.errors import ModelError
from tracker.segment.contracts.decoder import COCO_CLASSES, default_class_names
from tracker.segment.manifest import InputSpec

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from tracker.segment.contracts.decoder import ModelInfo

__all__ = ["COCO_IDS", "Family", "Labels", "chosen_family"]

COCO_IDS = tuple(number for number in range(1, 91) if number not in {12, 26, 29, 30, 45, 66, 68, 69, 71, 83})
"""COCO's category numbers of ``COCO_CLASSES``; ten numbers were never used."""

_MEAN, _STD = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)
PLAIN = InputSpec(resize="letterbox-top-left", pad_value=114, mean=(0.0,) * 3, std=(1.0,) * 3)
IMAGENET = InputSpec(channels="RGB", resize="letterbox-top-left", pad_value=116, mean=_MEAN, std=_STD)
STRETCHED = InputSpec(channels="RGB", resize="stretch", pad_value=116, mean=_MEAN, std=_STD)


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """One family as one exporter writes it.

    Attributes:
        name: What a manifest's ``family`` says.
        title: In words.
        input: What the exporter's usual files want.
        first_label: The number of the first class.
        coco_ids: Whether classes are numbered as COCO numbers its categories.
        tried: What was run: an original exporter's file, or recorded outputs; empty = recognised, untested.
    """

    name: str
    title: str
    input: InputSpec = field(default=IMAGENET)
    first_label: int = 0
    coco_ids: bool = False
    tried: str = ""


def chosen_family(info: ModelInfo, options: Sequence[Family]) -> Family:
    """The family that metadata or manifest names, else the only one that fits.

    Args:
        info: The model.
        options: Families with these shapes.

    Raises:
        ModelError: Several fit and nothing decides, or the named one has other shapes.
    """
    named = info.metadata.get("masktrail.family") or (info.manifest.family if info.manifest else None)
    if named is not None:
        for option in options:
            if option.name == named:
                return option
        fitting = ", ".join(option.name for option in options)
        raise ModelError(
            info.label,
            f"family {named!r}, but the outputs have the shapes of {fitting}",
            "correct `family` in manifest.toml, or remove it",
        )
    if len(options) == 1:
        return options[0]
    told = info.manifest.input if info.manifest else InputSpec()
    alike = [one for one in options if one.input.channels == told.channels and told.mean in {None, one.input.mean}]
    if alike and all((one.input, one.first_label) == (alike[0].input, alike[0].first_label) for one in alike):
        return alike[0]
    shown = " or ".join(f"{option.title} ({option.input.channels}, mean {_short(option)})" for option in options)
    raise ModelError(
        info.label,
        f"outputs that fit {len(options)} families: {shown}",
        f"write {' or '.join(f'family = {chr(34)}{option.name}{chr(34)}' for option in options)} in manifest.toml",
    )


def _short(option: Family) -> str:
    return " ".join(f"{value:g}" for value in option.input.mean or ())


class Labels:
    """Class numbers in a file's outputs to class ids and names.

    Args:
        info: The model; ``[labels]`` of its manifest has priority.
        family: How the family numbers classes.
        count: Numbers that there are, where the outputs tell.

    Raises:
        ModelError: The names are not as many as the numbers.
    """

    def __init__(self, info: ModelInfo, family: Family, *, count: int | None = None) -> None:
        settings = info.manifest.labels if info.manifest else None
        ids, first = (settings.ids, settings.first) if settings else (None, None)
        named = info.metadata.get("masktrail.classes") or (info.manifest and info.manifest.classes)
        names = default_class_names(info, None) if named else COCO_CLASSES
        if ids is None and first is None and family.coco_ids and len(names) == len(COCO_IDS):
            ids = COCO_IDS
        if ids is not None:
            self.names = default_class_names(info, len(ids)) if named else _names(len(ids))
            self._table = np.full(max(ids) + 1, -1, np.int64)
            self._table[list(ids)] = np.arange(len(ids))
            self._first = 0
        else:
            self._first = family.first_label if first is None else first
            found = None if count is None else count - self._first
            self.names = default_class_names(info, found) if found is None or found > 0 else names
            self._table = np.zeros(0, np.int64)

    def class_ids(self, numbers: NDArray[np.integer]) -> NDArray[np.int64]:
        """Class ids of numbers as the file has them; -1 for what is no class."""
        numbers = np.asarray(numbers).astype(np.int64, copy=False)
        if not len(self._table):
            return np.asarray(numbers - self._first, np.int64)
        known = (numbers >= 0) & (numbers < len(self._table))
        return np.where(known, self._table.take(np.where(known, numbers, 0)), -1)


def _names(count: int) -> tuple[str, ...]:
    return COCO_CLASSES if count == len(COCO_CLASSES) else tuple(f"class {number}" for number in range(count))
