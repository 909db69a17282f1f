"""KITTI label and result files enter, their rows as the KITTI rules take them leave; frames from 1 as in all tables."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tracker.errors import DetectionsError, SourceError
from tracker.sources.kitti import DONT_CARE, kitti_files, parse_row

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

__all__ = ["kitti_lengths", "kitti_rows", "label_files"]

COUNTED = (1, 3)
"""Pedestrian and car: what KITTI tracking scores."""
MOST_TRUNCATED, MOST_OCCLUDED = 0, 2
"""Truth beyond either is not counted (KITTI tracking devkit, ``max_truncation`` and ``max_occlusion``)."""
DONT_CARE_IDS = 100_000
"""Regions that nobody labelled have no identity; each gets one above this."""

BoxRow = tuple[float, float, float, float, float, float, float, float]


def label_files(root: Path) -> list[Path]:
    """KITTI's files below ``label_02`` itself or the folder that holds it; empty for any other folder."""
    return kitti_files(root) or kitti_files(root / "label_02")


def kitti_rows(path: Path, lines: Iterable[tuple[int, str]], *, length: int | None) -> list[BoxRow]:
    """``frame + 1, id, x1, y1, x2, y2, counts, class`` of each line of truth or of a result.

    ``counts`` is 0 where truth is not scored: truncated, more than largely occluded, or neither car nor pedestrian.

    Args:
        path: The file, for messages.
        lines: Its lines and their numbers.
        length: Number of frames of the sequence; ``None`` to take all.

    Raises:
        DetectionsError: A malformed line, or a frame outside ``0..length - 1``.
    """
    rows: list[BoxRow] = []
    for number, line in lines:
        row = parse_row(path, number, line)
        if length is not None and row.frame >= length:
            raise DetectionsError(
                f"{path}:{number}",
                f"expected a frame in 0..{length - 1}, found {row.frame}",
                "KITTI counts from 0; tell the length in an evaluate_tracking.seqmap beside label_02",
            )
        counts = row.class_id in COUNTED and row.truncated <= MOST_TRUNCATED and row.occluded <= MOST_OCCLUDED
        identity = DONT_CARE_IDS + 1 + len(rows) if row.class_id == DONT_CARE else row.identity
        rows.append((row.frame + 1, identity, *row.box, float(counts), row.class_id))
    return rows


def kitti_lengths(folder: Path) -> dict[str, int]:
    """Frames of each sequence by ``evaluate_tracking.seqmap*`` beside or in the label folder; empty without one.

    Lines are ``name empty first end``, ``end`` the number of frames (KITTI tracking devkit). Maps of the test
    sequences, which have other recordings by the same names, are passed over.

    Raises:
        SourceError: A line of another form, or two maps that differ; names ``file:line``.
    """
    lengths: dict[str, int] = {}
    for place in (folder, folder.parent):
        for path in sorted(place.glob("evaluate_tracking.seqmap*")):
            if ".test" in path.name:
                continue
            for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
                if not line.strip():
                    continue
                fields = line.split()
                if len(fields) != 4 or not fields[3].isdecimal():
                    raise SourceError(
                        f"{path}:{number}", f"expected name empty first end, found {line[:60]!r}", "correct the line"
                    )
                name, length = fields[0], int(fields[3])
                if lengths.setdefault(name, length) != length:
                    raise SourceError(
                        f"{path}:{number}",
                        f"expected {lengths[name]} frames of {name} as another map says, found {length}",
                        "keep one map",
                    )
    return lengths
