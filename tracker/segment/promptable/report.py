"""Report on a folder of a promptable segmenter (``masktrail models check`` and ``show``)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from tracker.segment.promptable.folder import find_folder
from tracker.segment.promptable.outliner import Outliner

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["check_folder"]

FORMS = {
    "sam": "Segment Anything: SAM, MobileSAM and their relatives",
    "sam-pixels": "Segment Anything by samexporter, pixels in",
    "sam2": "SAM 2",
    "efficient-sam": "EfficientSAM",
}


def check_folder(path: str | Path, *, device: str = "cpu") -> list[tuple[str, str]]:
    """What a folder holds and how it was understood, as label and value, after a trial run.

    Args:
        path: The folder.
        device: Where the trial runs.

    Raises:
        ModelError: It cannot be used.
    """
    folder = find_folder(path)
    outliner = Outliner(folder, device=device)
    side = outliner.side
    picture = np.random.default_rng(0).integers(0, 256, (side // 2, side, 3)).astype(np.uint8)
    box = np.array([[side / 4, side / 8, side / 2, side / 4]], np.float32)
    masks, expected = outliner.outlines(outliner.embed(picture), box)
    said, levels = folder.manifest, outliner.settings
    size = sum(file.path.stat().st_size for file in (folder.encoder, folder.decoder)) / 1e6
    batch = "one box a run" if outliner.batch == 1 else f"{outliner.batch} boxes a run"
    chosen = f"the {'best' if (levels.mask or outliner.form.mask) == 'best' else 'first'} of the masks of a box"
    rows, columns = masks.grid_shape
    parts = (
        f"expected IoU {levels.expected_iou:g}",
        f"own box {levels.outline_iou:g}",
        f"detector's mask {levels.detector_iou:g}",
        f"logit {levels.logit_cut:g}",
    )
    return [
        ("model", folder.name),
        ("files", f"{folder.encoder.path}, {folder.decoder.path} ({size:.1f} MB)"),
        ("licence", (said and said.licence) or "not stated"),
        ("contract", f"promptable, form {outliner.form.name} ({FORMS[outliner.form.name]}, {batch})"),
        ("input", f"{side} x {side} pixels, {levels.resize or outliner.form.resize}; {chosen}"),
        ("levels", ", ".join(parts)),
        ("assumed", "nothing" if said and said.promptable else "form and levels: no [promptable] in a manifest.toml"),
        ("trial", f"mask on {rows} x {columns} cells, expected IoU {float(expected[0]):.2f}, on {outliner.device}"),
        ("time", f"{1000 * outliner.encode_s:.1f} ms a picture, {1000 * outliner.decode_s:.1f} ms a box"),
    ]
