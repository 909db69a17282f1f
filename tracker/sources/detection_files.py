"""A detections file (MOTChallenge, MOTS, KITTI or COCO results) enters, all its detections as arrays leave.

Formats, one row per detection:

=========  ==================================================  =========================================
format     row                                                 source
=========  ==================================================  =========================================
``mot``    ``frame,id,x,y,w,h,conf[,class[,visibility]]``      MOTChallenge (Dendorfer et al. 2020)
``mots``   ``frame id class h w rle [score]``                  MOTS (Voigtlaender et al. 2019) + a score
``kitti``  ``frame id type ... left top right bottom ...``     KITTI tracking (Geiger et al. 2012), frames from 0
``coco``   ``[{image_id, category_id, bbox, score, ...}]``     COCO results; image ids are frame numbers
=========  ==================================================  =========================================

KITTI scores outside 0..1 anywhere in a file make all of the file logits (PointRCNN writes such): they pass through the
logistic function, since scores are chances here. DontCare regions are no detections and are left out.
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np

from tracker.errors import DetectionsError, SourceError
from tracker.sources.detections import Detections, coco_code
from tracker.sources.kitti import DONT_CARE, is_kitti, parse_row, to_chances

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["read_detections", "run_total"]


def read_detections(path: str | Path) -> Detections:
    """All detections of one file; the format is recognised by its first line.

    Raises:
        DetectionsError: A row that is not of the format, a box that is NaN or negative; names ``file:line``.
    """
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise DetectionsError(
            path, "expected a text file, found binary data", "name a det.txt, MOTS, KITTI or COCO file"
        ) from error
    except OSError as error:
        raise SourceError(path, f"cannot be read: {error.strerror}", "check the path and its permissions") from error
    start = text.lstrip()[:1]
    if start in ("[", "{"):
        return _read_coco(path, text)
    lines = [(number, line) for number, line in enumerate(text.splitlines(), 1) if line.strip()]
    if not lines:
        return _pack(path, "mot", [])
    if _is_mot(lines[0][1]):
        return _read_mot(path, lines)
    return _read_kitti(path, lines) if is_kitti(lines[0][1]) else _read_mots(path, lines)


def _is_mot(line: str) -> bool:
    """Whether a line looks like MOTChallenge: commas, or nothing but numbers (some writers use blanks)."""
    if "," in line:
        return True
    try:
        [float(field) for field in line.split()]
    except ValueError:
        return False
    return True


def _read_mot(path: Path, lines: list[tuple[int, str]]) -> Detections:
    rows = []
    skipped = 0
    for number, line in lines:
        fields = line.replace(",", " ").split()
        if not 7 <= len(fields) <= 10:
            _reject(
                path,
                number,
                "7 to 10 numbers frame,id,x,y,w,h,conf[,class[,visibility]]",
                f"{len(fields)} in {_quote(line)}",
            )
        try:
            values = [float(field) for field in fields]
        except ValueError:
            _reject(path, number, "numbers frame,id,x,y,w,h,conf[,class[,visibility]]", _quote(line))
        class_id = values[7] if len(values) > 7 else -1.0
        if not all(map(math.isfinite, (*values[:7], class_id))):
            _reject(path, number, "finite numbers", _quote(line))
        frame, _, x, y, width, height, score = values[:7]
        if frame != int(frame) or frame < 0 or class_id != int(class_id):
            _reject(path, number, "a whole frame number from 0 and a whole class number", _quote(line))
        if width < 0 or height < 0:
            _reject(path, number, "a box of positive width and height", f"{width:g} x {height:g}")
        if width == 0 or height == 0:
            skipped += 1
            continue
        visibility = values[8] if len(values) > 8 else -1.0
        rows.append((frame, x, y, x + width, y + height, score, class_id, visibility))
    return _pack(path, "mot", rows, skipped=skipped)


def _read_mots(path: Path, lines: list[tuple[int, str]]) -> Detections:
    from pycocotools import mask as coco_mask

    heads, codes = [], []
    size: tuple[int, int] | None = None
    for number, line in lines:
        frame, score, class_id, found, code = _mots_fields(path, number, line)
        size = size or found
        if size != found:
            _reject(path, number, f"masks of {size[0]}x{size[1]} as in the lines before", f"{found[0]}x{found[1]}")
        heads.append((frame, score, class_id))
        codes.append(code)
    if size is None:
        return _pack(path, "mots", [])
    boxes = coco_mask.toBbox([coco_code(code, size) for code in codes])
    rows, kept_codes = [], []
    for (frame, score, class_id), box, code in zip(heads, boxes.tolist(), codes, strict=True):
        if box[2] > 0 and box[3] > 0:
            rows.append((frame, box[0], box[1], box[0] + box[2], box[1] + box[3], score, class_id, -1.0))
            kept_codes.append(code)
    return _pack(path, "mots", rows, codes=kept_codes, skipped=len(heads) - len(rows), size=size)


def _mots_fields(path: Path, number: int, line: str) -> tuple[int, float, int, tuple[int, int], str]:
    """Frame, score, class, ``(width, height)`` and code of one line."""
    expected = "frame id class height width rle [score]"
    fields = line.split()
    if not 6 <= len(fields) <= 7:
        _reject(path, number, f"6 or 7 fields {expected}", f"{len(fields)} in {_quote(line)}")
    try:
        frame, _, class_id, height, width = map(int, fields[:5])
        score = float(fields[6]) if len(fields) == 7 else 1.0
    except ValueError:
        _reject(path, number, f"numbers in {expected}", _quote(line))
    if frame < 0 or height <= 0 or width <= 0 or not math.isfinite(score):
        _reject(path, number, f"a frame from 0, a positive size and a finite score in {expected}", _quote(line))
    if run_total(fields[5]) != width * height:
        _reject(path, number, f"a run-length code of {width * height} pixels", _quote(fields[5]))
    return frame, score, class_id, (width, height), fields[5]


def _read_kitti(path: Path, lines: list[tuple[int, str]]) -> Detections:
    parsed = [parse_row(path, number, line) for number, line in lines]
    objects = [row for row in parsed if row.class_id != DONT_CARE]
    scores = to_chances(np.array([math.nan if row.score is None else row.score for row in objects], np.float64))
    rows, extras = [], []
    for row, score in zip(objects, scores.tolist(), strict=True):
        if row.box[2] > row.box[0] and row.box[3] > row.box[1]:
            rows.append((row.frame, *row.box, score, row.class_id, -1.0))
            extras.append(row.extras)
    return _pack(path, "kitti", rows, extras=extras, skipped=len(objects) - len(rows))


def _read_coco(path: Path, text: str) -> Detections:
    try:
        entries = json.loads(text)
    except json.JSONDecodeError as error:
        raise DetectionsError(
            f"{path}:{error.lineno}", f"expected JSON, found {error.msg}", "write the file anew"
        ) from error
    if isinstance(entries, dict):
        entries = entries.get("annotations")
    if not isinstance(entries, list):
        raise DetectionsError(
            path, "expected a list of COCO results, found another JSON value", "see COCO's results format"
        )
    rows, codes = [], []
    size: tuple[int, int] | None = None
    skipped = 0
    for place, entry in enumerate(entries):
        row = _coco_row(path, place, entry)
        if row[3] <= row[1] or row[4] <= row[2]:
            skipped += 1
            continue
        rows.append(row)
        code = entry.get("segmentation")
        if isinstance(code, dict) and isinstance(code.get("counts"), str):
            height, width = (int(side) for side in code["size"])
            size = size or (width, height)
            if size != (width, height) or run_total(code["counts"]) != width * height:
                _reject(
                    path, place, f"a run-length code of {size[0]}x{size[1]} pixels", f"{width}x{height}", unit="entry "
                )
            codes.append(code["counts"])
    if codes and len(codes) != len(rows):
        raise DetectionsError(
            path, f"expected a mask for each of {len(rows)} results, found {len(codes)}", "write all or none"
        )
    return _pack(path, "coco", rows, codes=codes, skipped=skipped, size=size)


def _coco_row(path: Path, place: int, entry: Any) -> tuple[float, ...]:
    try:
        x, y, width, height = (float(value) for value in entry["bbox"])
        row = (
            float(entry["image_id"]),
            x,
            y,
            x + width,
            y + height,
            float(entry.get("score", 1.0)),
            float(entry["category_id"]),
            -1.0,
        )
    except (KeyError, TypeError, ValueError, AttributeError):
        _reject(path, place, "image_id, category_id, bbox [x, y, w, h] and score", _quote(str(entry)), unit="entry ")
    if not all(map(math.isfinite, row)):
        _reject(path, place, "finite numbers", _quote(str(entry)), unit="entry ")
    if width < 0 or height < 0:
        _reject(path, place, "a box of positive width and height", f"{width:g} x {height:g}", unit="entry ")
    if row[0] != int(row[0]) or row[0] < 0:
        _reject(path, place, "a whole image_id from 0 (the frame number)", _quote(str(entry)), unit="entry ")
    return row


def _pack(
    path: Path,
    layout: str,
    rows: Iterable[tuple[float, ...]],
    *,
    codes: tuple[str, ...] | list[str] = (),
    extras: tuple[tuple[str, str], ...] | list[tuple[str, str]] = (),
    skipped: int = 0,
    size: tuple[int, int] | None = None,
) -> Detections:
    table = np.array(list(rows), np.float64).reshape(-1, 8)
    if len(table) and table[:, 0].max() >= 2**31:
        raise DetectionsError(
            path, f"expected frame numbers, found {table[:, 0].max():.0f}", "number the frames from 0 or 1"
        )
    order = np.argsort(table[:, 0], kind="stable")
    table = table[order]
    return Detections(
        format=layout,
        frames=table[:, 0].astype(np.int64),
        boxes=table[:, 1:5],
        scores=table[:, 5],
        class_ids=table[:, 6].astype(np.int64),
        visibilities=table[:, 7],
        codes=tuple(codes[place] for place in order) if codes else (),
        extras=tuple(extras[place] for place in order) if extras else (),
        image_size=size if codes else None,
        skipped_empty=skipped,
    )


def run_total(code: str) -> int:
    """Pixels that a compressed COCO run-length code describes; -1 for text that is no such code.

    >>> run_total("13")
    4
    """
    total, value, shift = 0, 0, 0
    runs: list[int] = []
    for character in code:
        bits = ord(character) - 48
        if not 0 <= bits < 64:
            return -1
        value |= (bits & 31) << shift
        shift += 5
        if bits & 32:
            continue
        if bits & 16:
            value -= 1 << shift
        if len(runs) > 2:
            value += runs[-2]
        if value < 0:
            return -1
        runs.append(value)
        total += value
        value, shift = 0, 0
    return -1 if shift else total


def _quote(text: str) -> str:
    return repr(text if len(text) <= 60 else text[:57] + "...")


def _reject(path: Path, place: int, expected: str, found: str, *, unit: str = "") -> NoReturn:
    raise DetectionsError(
        f"{path}:{unit}{place}",
        f"expected {expected}, found {found}",
        "correct or remove the line" if not unit else "correct the entry",
    )
