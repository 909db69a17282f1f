"""Truth of a benchmark (sequence folders, or KITTI's label files) and results as rows by frame."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tracker.errors import ConfigError, DetectionsError, SourceError, system_refusals
from tracker.formats.columns import lines_of, read_text
from tracker.formats.kitti import is_kitti, kitti_lengths, kitti_rows, label_files
from tracker.formats.mot import mot_rows
from tracker.formats.mots import COLUMNS, MOTS_IGNORE, is_mots, mots_rows
from tracker.formats.sequences import read_seqinfo

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["MOT_DISTRACTORS", "PROTOCOLS", "Table", "Truth", "classes_of", "first_number", "open_truth", "read_table"]

PROTOCOLS: dict[str, dict[str, int]] = {
    "kitti": {"car": 3, "pedestrian": 1},
    "kittimots": {"car": 1, "pedestrian": 2},
    "mot16": {"pedestrian": 1},
    "mot17": {"pedestrian": 1},
    "mot20": {"pedestrian": 1},
    "mot15": {},
    "plain": {},
}
"""The classes that each protocol scores, by name; those of the truth where it names none."""
NAMES = {1: "pedestrian", 3: "car"}
"""Names of classes in MOTChallenge text, other than of KITTI; the rest are ``class 2``, ``class 4``, ..."""
UNKNOWN = "object"
"""Objects whose class the truth does not say."""
MOT17_DISTRACTORS = (2, 7, 8, 12)  # person on vehicle, static person, distractor, reflection
MOT_DISTRACTORS = {"mot16": MOT17_DISTRACTORS, "mot17": MOT17_DISTRACTORS, "mot20": (*MOT17_DISTRACTORS, 6)}
"""Classes on which results are forgiven; MOT20 adds vehicles without motors (TrackEval's ``MotChallenge2DBox``)."""

TRUTH_FILES = ("gt.txt", "gt/gt.txt")
MASK_FILES = ("gt_mots.txt", "gt/gt_mots.txt")
"""Read instead where masks are asked for by name."""
GREATEST_LENGTH = 10_000_000
"""Frames of four days at 30 a second."""

FRAME, ID, X1, Y1, X2, Y2, CONF, CLASS = range(8)
Table = Any  # (D, 8) floats for boxes, list of MaskRow for masks


@dataclass(frozen=True, slots=True, kw_only=True)
class Truth:
    """One sequence with truth: ``table[frame]`` holds its rows, frames from 1.

    ``counts_from`` is the number that its file gives the first frame: 0 in KITTI's files, else 1.
    """

    name: str
    folder: Path
    length: int
    protocol: str
    masks: bool
    table: list[Table]
    counts_from: int = 1

    @property
    def mask_size(self) -> tuple[int, int] | None:
        """``(width, height)`` of the masks; ``None`` for boxes and where there are none."""
        row = next((row for rows in self.table for row in rows), None) if self.masks else None
        return None if row is None else (row[4], row[3])

    def counted(self) -> set[int]:
        """Classes of the rows that count; -1 where the truth says none."""
        if self.masks:
            return {row[2] for rows in self.table for row in rows} - {MOTS_IGNORE}
        return {int(class_id) for rows in self.table for class_id in rows[rows[:, CONF] != 0, CLASS]}


def classes_of(truths: Sequence[Truth]) -> dict[str, int]:
    """The classes to score in sequences of one protocol, by name; -1 stands for objects of unknown class.

    They are the protocol's own, and for masks and where it has none also those of the truth, ordered by number.
    """
    protocol = truths[0].protocol
    names = dict(PROTOCOLS[protocol])
    if names and protocol != "kittimots":
        return names
    known = {code: name for name, code in names.items()} if names else NAMES
    for code in sorted(set().union(*(truth.counted() for truth in truths))):
        # MOT15 knows no classes: all of it is pedestrians.
        unknown = "pedestrian" if protocol == "mot15" and code < 0 else UNKNOWN
        names[unknown if code < 0 else known.get(code, f"class {code}")] = max(code, -1)
    return names or {"pedestrian": 1}


@system_refusals(SourceError)
def open_truth(root: str | Path, *, protocol: str | None = None) -> list[Truth]:
    """The sequences with truth below ``root``, by name.

    Either sequence folders with ``seqinfo.ini`` and ``gt.txt`` (MOTChallenge, MOTS or KITTI text), or KITTI's label
    folder with ``0000.txt``, ``0001.txt``, ..., boxes or (KITTI MOTS) masks, or the folder that holds it as
    ``label_02``. A label file's sequence is as long as ``evaluate_tracking.seqmap*`` or ``evaluate_mots.seqmap*``
    beside it says, else it ends with the last labelled frame.

    Frames of KITTI's files count from 0, those of KITTI MOTS included; in a sequence folder masks do where a row says
    frame 0. All others count from 1.

    Raises:
        SourceError: No sequence, or both kinds.
        ConfigError: An unknown protocol.
    """
    root = Path(root)
    if protocol is not None and protocol not in PROTOCOLS:
        raise ConfigError(
            "protocol", f"expected one of {', '.join(PROTOCOLS)}, found {protocol!r}", "choose one of these"
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
    lines = lines_of(read_text(path))
    masks = is_mots(lines[0][1]) if lines else protocol == "kittimots"
    if lines and not masks and not is_kitti(lines[0][1]):
        raise SourceError(
            path,
            f"expected KITTI's frame track_id type ... or KITTI MOTS' {COLUMNS}, found {lines[0][1][:60]!r}",
            "name KITTI's label_02, or sequence folders with seqinfo.ini and gt.txt",
        )
    protocol = protocol or ("kittimots" if masks else "kitti")
    _check_kind(path, protocol, masks=masks)
    if length is None and masks:
        length = max((frame + 1 for frame, *_ in mots_rows(path, lines)), default=1)
    elif length is None:
        length = int(max((row[FRAME] for row in kitti_rows(path, lines, length=None)), default=1))
    table = read_table(path, masks=masks, length=length, counts_from=0 if masks else None)
    return Truth(
        name=path.stem, folder=path.parent, length=length, protocol=protocol, masks=masks, table=table, counts_from=0
    )


def _check_kind(path: Path, protocol: str, *, masks: bool) -> None:
    """Masks for the protocol of masks, boxes for all others.

    Raises:
        ConfigError: It is the other kind.
    """
    if masks != (protocol == "kittimots"):
        raise ConfigError(
            "protocol",
            f"{protocol}: expected {'boxes, found masks' if masks else 'masks, found boxes'} in {path}",
            "leave the option out",
        )


def _open_one(folder: Path, protocol: str | None) -> Truth:
    info = read_seqinfo(folder / "seqinfo.ini")
    said = info["Sequence"].get("seqLength", "")
    if not said.isdecimal() or not 0 < int(said) <= GREATEST_LENGTH:
        raise SourceError(
            folder / "seqinfo.ini",
            f"expected [Sequence] with seqLength, a whole number from 1, found {said or 'none'!r}",
            "correct it",
        )
    files = MASK_FILES + TRUTH_FILES if protocol == "kittimots" else TRUTH_FILES
    path = next((folder / name for name in files if (folder / name).is_file()), None)
    if path is None:
        raise SourceError(
            folder, "expected gt.txt or gt/gt.txt, found neither", "add the truth or leave the folder out"
        )
    first = next((line for _, line in lines_of(read_text(path))), "")
    masks = is_mots(first)
    protocol = protocol or info.get("Bench", "protocol", fallback=None)
    start = first_number(path) if masks else None
    table = read_table(path, masks=masks, length=int(said), counts_from=start)
    if protocol is None:
        mot20 = info["Sequence"].get("name", folder.name).upper().startswith("MOT20")
        protocol = "kittimots" if masks else "kitti" if is_kitti(first) else _mot_protocol(table, mot20=mot20)
    if protocol not in PROTOCOLS:
        raise ConfigError(
            folder / "seqinfo.ini", f"unknown protocol {protocol!r}", f"use one of {', '.join(PROTOCOLS)}"
        )
    if first:
        _check_kind(path, protocol, masks=masks)
    return Truth(
        name=folder.name,
        folder=folder,
        length=int(said),
        protocol=protocol,
        masks=protocol == "kittimots",
        table=table,
        counts_from=0 if is_kitti(first) else 1 if start is None else start,
    )


def _mot_protocol(table: list[Table], *, mot20: bool) -> str:
    """MOT17's rules, or MOT20's, where truth has its distractors and nothing else than pedestrians counts."""
    if mot20:
        return "mot20"
    rows = np.concatenate(table)
    counted = set(rows[rows[:, CONF] != 0, CLASS].astype(int).tolist())
    distractors = np.isin(rows[:, CLASS], MOT17_DISTRACTORS).any()
    return "mot17" if distractors and 1 in counted and counted <= {1, 7, 8, 12} else "plain"


def first_number(path: Path) -> int | None:
    """Number of the first frame in a file of masks: 0 where a row says frame 0, else 1; ``None`` without rows."""
    numbers = [line.split()[0] for _, line in lines_of(read_text(path))] if path.is_file() else []
    return int(not any(number.strip("0") == "" for number in numbers)) if numbers else None


def read_table(
    path: Path, *, masks: bool, length: int, size: tuple[int, int] | None = None, counts_from: int | None = None
) -> list[Table]:
    """Rows of a truth or result file by frame from 1, ``length + 1`` entries; a missing file is empty.

    Boxes may be MOTChallenge text, frames from 1, or KITTI text, frames from 0; the first line decides.

    Args:
        path: The file.
        masks: Whether its rows must be masks.
        length: Frames of the sequence.
        size: ``(width, height)`` that masks must have.
        counts_from: The first frame's number in a file of masks; ``None`` for 1.

    Raises:
        DetectionsError: A malformed line, or a frame outside the sequence.
    """
    lines = lines_of(read_text(path)) if path.is_file() else []
    rows: Sequence[Any]
    if masks:
        shift = 0 if counts_from is None else 1 - counts_from
        rows = [(frame + shift, *rest) for frame, *rest in mots_rows(path, lines, size=size)]
    elif lines and is_kitti(lines[0][1]):
        rows = kitti_rows(path, lines, length=length)
    else:
        rows = _box_rows(path, lines)
    for row, (number, _) in zip(rows, lines, strict=True):
        if not 1 <= row[0] <= length:
            first = 1 if counts_from is None else counts_from
            last, found = length - 1 + first, row[0] - 1 + first
            problem = f"expected a frame in {first}..{last}, found {found:g}"
            raise DetectionsError(f"{path}:{number}", problem, f"number frames from {first}")
    if masks:
        table: list[Table] = [[] for _ in range(length + 1)]
        for row in rows:
            table[int(row[0])].append(row)
        return table
    values = np.array(rows, np.float64).reshape(-1, 8)
    values = values[np.argsort(values[:, FRAME], kind="stable")]
    starts = np.searchsorted(values[:, FRAME], np.arange(length + 2))
    return [values[starts[frame] : starts[frame + 1]] for frame in range(length + 1)]


def _box_rows(path: Path, lines: list[tuple[int, str]]) -> Sequence[Any]:
    if lines and is_mots(lines[0][1]) and not all(field.isdigit() for field in lines[0][1].split()):
        raise DetectionsError(
            f"{path}:{lines[0][0]}",
            "expected boxes as in the truth, frame,id,x,y,w,h,conf,class,visibility, found masks (MOTS text)",
            "score masks against truth with masks",
        )
    return mot_rows(path, lines)
