"""Options of the command line enter; what to run on which streams leaves, as one value."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, Literal, Self

from tracker.config import DEFAULT_MODEL, fill_in

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from tracker.config import CameraMotionChoice
    from tracker.sinks.rows import MaskFormat
    from tracker.sources.hardware import DecodeChoice

__all__ = ["CONFIRM_SCORE", "DISPLAY_SCORE", "StreamRequest"]

DISPLAY_SCORE = 0.3
"""``segment`` keeps instances from here on where nobody asked for another score."""

CONFIRM_SCORE = 0.5
"""An identity is given once an instance of its track has this score. On street, retail and traffic this left
38, 20 and 20 identities where 150, 36 and 20 stood without: leaves and goods on shelves that persist at low scores."""

AVERAGE_PRECISION_SCORE = 0.01
"""COCO results hold weak instances as well: average precision is measured over all scores."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamRequest:
    """What to run on which streams; the fields are the options of ``masktrail track`` and ``segment``."""

    sources: list[str]
    associates: bool = True
    model: str = DEFAULT_MODEL
    conf: float | None = None
    iou: float | None = None
    classes: list[str] | None = None
    device: str = "auto"
    stride: int = 1
    limit: int | None = None
    save: str | None = None
    records: list[str] | None = None
    coco_images: Path | None = None
    masks: MaskFormat | None = None
    workers: int | None = None
    batch: int | None = None
    fp16: bool = False
    confirm: float = CONFIRM_SCORE
    refine: bool = False
    decode: DecodeChoice = "auto"
    transport: Literal["tcp", "udp"] = "tcp"
    camera_motion: CameraMotionChoice = "auto"
    reid: str | None = None

    @classmethod
    def from_options(cls, options: Mapping[str, Any], *, associates: bool) -> Self:
        """The request from command-line options of the same names; ``--classes car,bus`` is split here.

        Raises:
            ConfigError: An address names an environment variable that is not set.
        """
        names = {item.name for item in fields(cls)}
        chosen = {name: value for name, value in options.items() if name in names}
        chosen["sources"] = [fill_in(source) if "://" in source else source for source in chosen["sources"]]
        listed = [name.strip() for group in chosen.get("classes") or [] for name in group.split(",") if name.strip()]
        return cls(**(chosen | {"classes": listed or None, "associates": associates}))

    @property
    def score_threshold(self) -> float | None:
        """The lowest score the segmenter keeps; ``None`` = the model's own, which the tracker wants low."""
        if self.conf is not None or self.associates:
            return self.conf
        exports_coco = any(path.endswith(".coco.json") for path in self.records or [])
        return AVERAGE_PRECISION_SCORE if exports_coco else DISPLAY_SCORE
