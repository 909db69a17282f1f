"""Truth (sequence folders, or KITTI's label files) and result files enter, their rows by frame leave."""

from __future__ import annotations

import configparser
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tracker.errors import ConfigError, DetectionsError, SourceError
from tracker.measure.kitti_truth import kitti_lengths, kitti_rows, label_files
from tracker.sources.kitti import is_kitti

__all__ = ["CLASS_CODES", "MaskRow", "Table", "Truth", "open_truth", "read_table"]

CLASS_CODES: dict[str, dict[str, int]] = {
    "kitti": {"car": 3, "pedestrian": 1},
    "kittimots": {"car": 1, "pedestrian": 2},
    "mot17": {"pedestrian": 1},
    "plain": {"pedestrian": 1},
    "mot15": {"pedestrian": 1},
}
MOT17_DISTRACTORS = (2, 7, 8, 12)  # person on vehicle, static person, distractor, reflection

FRAME, ID, X1, Y1, X2, Y2, CONF, CLASS = range(8)
Table = Any  # (D, 8) floats for boxes, list of MaskRow for masks
MaskRow = tuple[int, int, int, int, int, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Truth:
    """One sequence with truth: ``table[frame]`` holds its rows, frames from 1."""

    name: str
    folder: Path
    length: int
    protocol: str
    table: list[Table]

    @property
    def masks(self) -> bool:
        """Whether rows are masks."""
        return self.protocol == "kittimots"


def open_truth(root: str | Path, *, protocol: str | None = None) -> list[Truth]:
    """The sequences with truth below ``root``, by name.

    Either sequence folders with ``seqinfo.ini`` and ``gt.txt`` (MOTChallenge, MOTS or KITTI text), or KITTI's label
    folder with ``0000.txt``, ``0001.txt``, ..., or the folder that holds it as ``label_02``. A label file's sequence
    is as long as ``evaluate_tracking.seqmap*`` beside it says, else it ends with the last labelled frame.

    Raises:
        SourceError: No sequence, or both kinds.
        ConfigError: An unknown protocol.
    """
    root = Path(root)
    if protocol is not None and protocol not in CLASS_CODES:
        raise ConfigError(
            "protocol", f"expected one of {', '.join(CLASS_CODES)}, found {protocol!r}", "choose one of these"
        )
    folders = [root] if (root / "seqinfo.ini").is_file() else []
    if not folders and root.is_dir():
        folders = [folder for folder in sorted(root.iterdir()) if (folder / "seqinfo.ini").is_file()]
    files = label_files(root) if root.is_dir() and root not in folders else []
    if folders and files:
        raise SourceError(
            root,
            f"expected sequence folders or KITTI's label files, found both ({folders[0].name} and {files[0].name})",
            "give each kind a folder of its own",
        )
    if files:
        lengths = kitti_lengths(files[0].parent)
        return [_open_labels(path, lengths.get(path.stem), protocol) for path in files]
    if not folders:
        raise SourceError(
            root,
            "expected sequence folders with seqinfo.ini, or 0000.txt, 0001.txt, ... as in KITTI's label_02, found none",
            "name the folder that holds the truth",
        )
    return [_open_one(folder, protocol) for folder in folders]


def _open_labels(path: Path, length: int | None, protocol: str | None) -> Truth:
    """One of KITTI's label files, ``length`` frames long, or up to its last row where not known."""
    if protocol == "kittimots":
        raise ConfigError("protocol", f"kittimots: expected masks, found boxes in {path}", "leave the option out")
    lines = _lines_of(path)
    if lines and not is_kitti(lines[0][1]):
        raise SourceError(
            path,
            f"expected KITTI's frame track_id type ..., found {lines[0][1][:60]!r}",
            "name KITTI's label_02, or sequence folders with seqinfo.ini and gt.txt",
        )
    if length is None:
        length = int(max((row[FRAME] for row in kitti_rows(path, lines, length=None)), default=1))
    table = read_table(path, masks=False, length=length)
    return Truth(name=path.stem, folder=path.parent, length=length, protocol=protocol or "kitti", table=table)


def _open_one(folder: Path, protocol: str | None) -> Truth:
    parser = configparser.ConfigParser()
    try:
        parser.read(folder / "seqinfo.ini", encoding="utf-8")
        length = int(parser["Sequence"]["seqLength"])
    except (configparser.Error, KeyError, ValueError) as error:
        raise SourceError(
            folder / "seqinfo.ini", f"expected [Sequence] with seqLength, found {error}", "correct it"
        ) from error
    path = next((folder / name for name in ("gt.txt", "gt/gt.txt") if (folder / name).is_file()), None)
    if path is None:
        raise SourceError(
            folder, "expected gt.txt or gt/gt.txt, found neither", "add the truth or leave the folder out"
        )
    first = _first_line(path)
    masks = _looks_like_masks(first)
    protocol = protocol or parser.get("Bench", "protocol", fallback=None)
    table = read_table(path, masks=masks, length=length)
    if protocol is None:
        distractors = not masks and any(np.isin(rows[:, CLASS], MOT17_DISTRACTORS).any() for rows in table)
        protocol = "kittimots" if masks else "kitti" if is_kitti(first) else "mot17" if distractors else "plain"
    if protocol not in CLASS_CODES:
        raise ConfigError(
            folder / "seqinfo.ini", f"unknown protocol {protocol!r}", f"use one of {', '.join(CLASS_CODES)}"
        )
    return Truth(name=folder.name, folder=folder, length=length, protocol=protocol, table=table)


def read_table(path: Path, *, masks: bool, length: int) -> list[Table]:
    """Rows of a truth or result file by frame from 1, ``length + 1`` entries; a missing file is empty.

    Boxes may be MOTChallenge text, frames from 1, or KITTI text, frames from 0; the first line tells.

    Raises:
        DetectionsError: A malformed line, or a frame outside the sequence.
    """
    rows: list[Any] = []
    lines = _lines_of(path)
    if not masks and lines and is_kitti(lines[0][1]):
        rows, lines = kitti_rows(path, lines, length=length), []
    for number, line in lines:
        row = _mask_row(line) if masks else _box_row(line)
        if row is None:
            form = "frame id class h w rle" if masks else "frame,id,x,y,w,h,conf,class,visibility"
            raise DetectionsError(
                f"{path}:{number}", f"expected {form}, found {line[:60]!r}", "correct or remove the line"
            )
        if not 1 <= row[0] <= length:
            raise DetectionsError(
                f"{path}:{number}", f"expected a frame in 1..{length}, found {row[0]:g}", "number frames from 1"
            )
        rows.append(row)
    if masks:
        table: list[list[MaskRow]] = [[] for _ in range(length + 1)]
        for row in rows:
            table[row[0]].append(row)
        return table
    values = np.array(rows, np.float64).reshape(-1, 8)
    values = values[np.argsort(values[:, FRAME], kind="stable")]
    starts = np.searchsorted(values[:, FRAME], np.arange(length + 2))
    return [values[starts[frame] : starts[frame + 1]] for frame in range(length + 1)]


def _lines_of(path: Path) -> list[tuple[int, str]]:
    """The lines that are not blank, and their numbers."""
    lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
    return [(number, line) for number, line in enumerate(lines, 1) if line.strip()]


def _box_row(line: str) -> tuple[float, ...] | None:
    try:
        values = [float(field) for field in line.replace(",", " ").split()[:9]]
    except ValueError:
        return None
    if len(values) < 6 or not np.isfinite(values[:6]).all():
        return None
    values += [1.0, -1.0][len(values) - 6 :] if len(values) < 8 else []
    frame, identity, x, y, width, height, conf, class_id = values[:8]
    return frame, identity, x, y, x + width, y + height, conf, class_id


def _mask_row(line: str) -> MaskRow | None:
    fields = line.split()
    try:
        frame, identity, class_id, height, width = map(int, fields[:5])
    except ValueError:
        return None
    return (frame, identity, class_id, height, width, fields[5]) if len(fields) >= 6 else None


def _first_line(path: Path) -> str:
    """The first line that is not blank, or nothing."""
    with path.open(encoding="utf-8") as file:
        return next((line for line in file if line.strip()), "")


def _looks_like_masks(line: str) -> bool:
    return _box_row(line) is None and _mask_row(line) is not None
