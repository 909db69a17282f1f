"""A folder of truth and a folder of results enter; HOTA, IDF1, MOTA and sMOTSA leave, by ``trackeval``.

Before counting, each benchmark forgives certain results. The rules kept here, by ``[Bench] protocol`` of
``seqinfo.ini``:

==============  =====================================================================================================
``mot17``       results on static persons, persons on vehicles, distractors and reflections are removed; only class 1
                with conf 1 counts (MOTChallenge, Dendorfer et al. 2020, section 4.1)
``kitti``       per class; results on the neighbouring class, on truncated or heavily occluded truth, of 25 px height or
                less, or more than half inside a DontCare region are removed (KITTI tracking, Geiger et al. 2012)
``kittimots``   per class; unmatched masks more than half inside an ignore region are removed (MOTS, section 5)
``plain``       truth with conf 0 is dropped (``mot15`` is the same)
==============  =====================================================================================================
"""

from __future__ import annotations

import configparser
import contextlib
import io
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tracker import boxes as box_math
from tracker.errors import ConfigError, DetectionsError, SourceError

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

__all__ = ["COUNTS", "FIGURES", "Evaluation", "Similarities", "Truth", "evaluate", "metrics_of", "open_truth"]

FIGURES = ("HOTA", "DetA", "AssA", "IDF1", "MOTA", "sMOTSA")
"""Percentages."""
COUNTS = ("IDSW", "Frag", "FP", "FN", "identities", "true_identities")
"""Numbers; summed where classes are joined."""

CLASS_CODES: dict[str, dict[str, int]] = {
    "kitti": {"car": 3, "pedestrian": 1},
    "kittimots": {"car": 1, "pedestrian": 2},
    "mot17": {"pedestrian": 1},
    "plain": {"pedestrian": 1},
    "mot15": {"pedestrian": 1},
}
MOT17_DISTRACTORS = (2, 7, 8, 12)  # person on vehicle, static person, distractor, reflection
KITTI_NEIGHBOURS = {3: 21, 1: 7}  # car: van; pedestrian: person sitting
KITTI_DONT_CARE = 13
MOTS_IGNORE = 10
OVERLAP = 0.5
EPSILON = float(np.finfo(float).eps)

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


@dataclass(frozen=True, slots=True, kw_only=True)
class Similarities:
    """What counts in one frame: identities and their overlaps ``(G, T)``, after the benchmark's clean-up."""

    true_ids: NDArray[np.int64]
    ids: NDArray[np.int64]
    overlaps: NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """Figures in percent and counts.

    Attributes:
        combined: By class name; ``all`` is the mean over classes (counts are sums).
        sequences: By sequence name, then class name.
        missing: Sequences without a result file; they count as empty.
    """

    combined: dict[str, dict[str, float]]
    sequences: dict[str, dict[str, dict[str, float]]]
    missing: tuple[str, ...]


def evaluate(
    truth_root: str | Path,
    results_root: str | Path,
    *,
    protocol: str | None = None,
    progress: Callable[[str, int, int], None] | None = None,
) -> Evaluation:
    """Score ``results_root/<sequence>.txt`` against ``truth_root/<sequence>/gt.txt`` (or ``gt/gt.txt``).

    Args:
        truth_root: Folder of sequence folders, or one sequence folder.
        results_root: Folder of result files; MOTChallenge text for boxes, MOTS text for masks.
        protocol: Clean-up rules; by default what ``seqinfo.ini`` says, else ``kittimots`` for masks, ``mot17`` where
            truth has MOT17's classes, ``plain`` otherwise.
        progress: Called with sequence name, number done and total.

    Raises:
        ConfigError: ``trackeval`` is not installed, or an unknown protocol.
        SourceError: No truth; DetectionsError: a malformed line, by ``file:line``.
    """
    metrics = _metric_classes()
    truths = open_truth(truth_root, protocol=protocol)
    results_root = Path(results_root)
    if not results_root.is_dir():
        raise SourceError(
            results_root, "expected a folder of <sequence>.txt, found none", "name the folder that associate wrote"
        )
    missing: list[str] = []
    names = sorted({name for truth in truths for name in CLASS_CODES[truth.protocol]})
    raw: dict[str, dict[str, list[Any]]] = {name: {} for name in names}
    for done, truth in enumerate(truths):
        path = results_root / f"{truth.name}.txt"
        if not path.is_file():
            missing.append(truth.name)
        table = read_table(path, masks=truth.masks, length=truth.length)
        if truth.masks:
            table = [_disjoint(rows) for rows in table]
        for name, code in CLASS_CODES[truth.protocol].items():
            frames = [similarities(truth, frame, table[frame], code) for frame in range(1, truth.length + 1)]
            raw[name][truth.name] = metrics_of(frames, metrics, truth.name)
        if progress is not None:
            progress(truth.name, done + 1, len(truths))
    return Evaluation(
        combined=_combine(raw, metrics),
        sequences={t.name: {n: _figures(raw[n][t.name]) for n in CLASS_CODES[t.protocol]} for t in truths},
        missing=tuple(missing),
    )


def open_truth(root: str | Path, *, protocol: str | None = None) -> list[Truth]:
    """The sequences with truth below ``root``, by name.

    Raises:
        SourceError: No sequence with ``seqinfo.ini`` and ``gt.txt``.
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
    if not folders:
        raise SourceError(
            root, "expected sequence folders with seqinfo.ini, found none", "name the folder that holds the truth"
        )
    return [_open_one(folder, protocol) for folder in folders]


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
    masks = _looks_like_masks(path)
    protocol = protocol or parser.get("Bench", "protocol", fallback=None)
    table = read_table(path, masks=masks, length=length)
    if protocol is None:
        distractors = not masks and any(np.isin(rows[:, CLASS], MOT17_DISTRACTORS).any() for rows in table)
        protocol = "kittimots" if masks else "mot17" if distractors else "plain"
    if protocol not in CLASS_CODES:
        raise ConfigError(
            folder / "seqinfo.ini", f"unknown protocol {protocol!r}", f"use one of {', '.join(CLASS_CODES)}"
        )
    return Truth(name=folder.name, folder=folder, length=length, protocol=protocol, table=table)


def read_table(path: Path, *, masks: bool, length: int) -> list[Table]:
    """Rows of a truth or result file by frame, ``length + 1`` entries; a missing file is empty.

    Raises:
        DetectionsError: A malformed line, or a frame outside ``1..length``.
    """
    rows: list[Any] = []
    lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
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


def _looks_like_masks(path: Path) -> bool:
    with path.open(encoding="utf-8") as file:
        first = next((line for line in file if line.strip()), "")
    return _box_row(first) is None and _mask_row(first) is not None


def similarities(truth: Truth, frame: int, rows: Table, code: int) -> Similarities:
    """One frame of one class after the benchmark's clean-up."""
    if truth.masks:
        return _mask_frame(truth.table[frame], rows, code)
    return _box_frame(truth.table[frame], rows, code, truth.protocol)


def _box_frame(truth: NDArray[np.float64], rows: NDArray[np.float64], code: int, protocol: str) -> Similarities:
    classes, row_classes = truth[:, CLASS].astype(int), rows[:, CLASS].astype(int)
    ignored = truth[classes == KITTI_DONT_CARE]
    if protocol == "kitti":
        rows = rows[row_classes == code]
        truth = truth[(classes == code) | (classes == KITTI_NEIGHBOURS[code])]
        classes = truth[:, CLASS].astype(int)
    else:
        rows = rows[(row_classes == code) | (row_classes < 0)]
    overlaps = np.asarray(box_math.iou(truth[:, X1 : Y2 + 1], rows[:, X1 : Y2 + 1]), np.float64)
    removed = np.zeros(len(rows), np.bool_)
    kept = truth[:, CONF] != 0
    if protocol == "kitti":
        kept &= classes == code
        matched_truth, matched = _matched(overlaps)
        removed[matched[~kept[matched_truth]]] = True
        unmatched = np.ones(len(rows), np.bool_)
        unmatched[matched] = False
        removed |= unmatched & _forgiven_by_kitti(rows, ignored)
    elif protocol == "mot17":
        kept &= classes == 1
        matched_truth, matched = _matched(overlaps)
        removed[matched[np.isin(classes[matched_truth], MOT17_DISTRACTORS)]] = True
    return Similarities(
        true_ids=truth[kept, ID].astype(np.int64),
        ids=rows[~removed, ID].astype(np.int64),
        overlaps=overlaps[kept][:, ~removed],
    )


def _forgiven_by_kitti(rows: NDArray[np.float64], ignored: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Rows of 25 px height or less, or more than half inside one DontCare region."""
    small = rows[:, Y2] - rows[:, Y1] <= 25 + EPSILON
    if not len(ignored):
        return np.asarray(small)
    shares = box_math.intersections(rows[:, X1 : Y2 + 1], ignored[:, X1 : Y2 + 1])
    inside = shares / np.maximum(box_math.areas(rows[:, X1 : Y2 + 1]), EPSILON)[:, None] > OVERLAP + EPSILON
    return np.asarray(small | inside.any(axis=1))


def _mask_frame(truth: list[MaskRow], rows: list[MaskRow], code: int) -> Similarities:
    from pycocotools import mask as coco_mask

    truth_class = [row for row in truth if row[2] == code]
    rows = [row for row in rows if row[2] == code]
    overlaps = np.zeros((len(truth_class), len(rows)))
    if truth_class and rows:
        overlaps = np.asarray(
            coco_mask.iou([_code(r) for r in rows], [_code(r) for r in truth_class], [0] * len(truth_class))
        ).T
    kept = np.ones(len(rows), np.bool_)
    ignored = [_code(row) for row in truth if row[2] == MOTS_IGNORE]
    unmatched = np.ones(len(rows), np.bool_)
    unmatched[_matched(overlaps)[1]] = False
    places = np.flatnonzero(unmatched)
    if ignored and len(places):
        region = ignored[0] if len(ignored) == 1 else coco_mask.merge(ignored, intersect=False)
        inside = np.asarray(coco_mask.iou([_code(rows[place]) for place in places], [region], [1])).reshape(-1)
        kept[places[inside > OVERLAP + EPSILON]] = False
    return Similarities(
        true_ids=np.array([row[1] for row in truth_class], np.int64),
        ids=np.array([row[1] for row in rows], np.int64)[kept],
        overlaps=overlaps[:, kept],
    )


def _code(row: MaskRow) -> dict[str, Any]:
    return {"size": [row[3], row[4]], "counts": row[5].encode("ascii")}


def _disjoint(rows: list[MaskRow]) -> list[MaskRow]:
    """MOTS refuses overlapping masks: each pixel stays with the first row of the file that claims it."""
    from pycocotools import mask as coco_mask

    codes = [_code(row) for row in rows]
    if len(rows) < 2 or int(coco_mask.area(coco_mask.merge(codes))) == int(np.sum(coco_mask.area(codes))):
        return rows
    taken = np.zeros((rows[0][3], rows[0][4]), np.bool_)
    result = []
    for row, code in zip(rows, codes, strict=True):
        mask = coco_mask.decode(code).astype(np.bool_) & ~taken
        taken |= mask
        if mask.any():
            result.append((*row[:5], coco_mask.encode(np.asfortranarray(mask, np.uint8))["counts"].decode("ascii")))
    return result


def _matched(overlaps: NDArray[np.float64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The matching of greatest total overlap among pairs that overlap by half, as all these benchmarks define it."""
    from scipy.optimize import linear_sum_assignment

    if not overlaps.size:
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    close = np.where(overlaps < OVERLAP - EPSILON, 0.0, overlaps)
    rows, columns = linear_sum_assignment(-close)
    good = close[rows, columns] > EPSILON
    return rows[good], columns[good]


def _metric_classes() -> list[Any]:
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            from trackeval.metrics import CLEAR, HOTA, Identity
    except ImportError as error:
        raise ConfigError(
            "eval", f"needs a package that is not installed ({error.name})", "pip install 'masktrail[eval]'"
        ) from error
    quiet = {"PRINT_CONFIG": False, "THRESHOLD": OVERLAP}
    return [HOTA(), CLEAR(quiet), Identity(quiet)]


def metrics_of(frames: list[Similarities], metrics: list[Any], name: str) -> list[Any]:
    """Raw results of each metric class for one sequence and class.

    Raises:
        DetectionsError: An identity occurs twice in a frame.
    """
    for number, frame in enumerate(frames, 1):
        if len(np.unique(frame.ids)) != len(frame.ids):
            raise DetectionsError(
                f"{name}.txt", f"an identity occurs twice in frame {number}", "write each identity once per frame"
            )
    true_ids = np.unique(np.concatenate([frame.true_ids for frame in frames]))
    ids = np.unique(np.concatenate([frame.ids for frame in frames]))
    data = {
        "num_timesteps": len(frames),
        "seq": name,
        "similarity_scores": [frame.overlaps for frame in frames],
        "gt_ids": [np.searchsorted(true_ids, frame.true_ids) for frame in frames],
        "tracker_ids": [np.searchsorted(ids, frame.ids) for frame in frames],
        "num_gt_ids": len(true_ids),
        "num_tracker_ids": len(ids),
        "num_gt_dets": sum(len(frame.true_ids) for frame in frames),
        "num_tracker_dets": sum(len(frame.ids) for frame in frames),
    }
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return [metric.eval_sequence(data) for metric in metrics] + [(len(ids), len(true_ids))]


def _combine(raw: dict[str, dict[str, list[Any]]], metrics: list[Any]) -> dict[str, dict[str, float]]:
    combined = {}
    for name, sequences in raw.items():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            joined = [
                metric.combine_sequences({s: r[k] for s, r in sequences.items()}) for k, metric in enumerate(metrics)
            ]
        counts = np.sum([result[-1] for result in sequences.values()], axis=0)
        combined[name] = _figures([*joined, tuple(counts)])
    values = list(combined.values())
    combined["all"] = {key: sum(v[key] for v in values) / (1 if key in COUNTS else len(values)) for key in values[0]}
    return combined


def _figures(results: list[Any]) -> dict[str, float]:
    hota, clear, identity, counts = results
    percent = {key: 100 * float(np.mean(hota[key])) for key in ("HOTA", "DetA", "AssA")}
    percent |= {
        "IDF1": 100 * float(identity["IDF1"]),
        "MOTA": 100 * float(clear["MOTA"]),
        "sMOTSA": 100 * float(clear["sMOTA"]),
    }
    whole = {"IDSW": clear["IDSW"], "Frag": clear["Frag"], "FP": clear["CLR_FP"], "FN": clear["CLR_FN"]}
    whole |= {"identities": counts[0], "true_identities": counts[1]}
    return percent | {key: float(value) for key, value in whole.items()}
