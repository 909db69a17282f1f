"""Outlines of a promptable segmenter for benches: the stage of the product, encoding every frame."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tracker.engine.outline import OutlineStage
from tracker.segment.promptable.outliner import Outliner

if TYPE_CHECKING:
    from argparse import ArgumentParser
    from pathlib import Path

__all__ = ["add_outline", "outline_stage"]


def add_outline(parser: ArgumentParser) -> None:
    """The option ``--outline``."""
    parser.add_argument("--outline", help="folder of a promptable segmenter")


def outline_stage(folder: str | Path | None) -> OutlineStage | None:
    """A new stage; ``None`` without a folder."""
    return None if folder is None else OutlineStage(Outliner(folder, device="cpu", threads=1), every=1)
