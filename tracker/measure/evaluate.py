"""HOTA, IDF1, MOTA and sMOTSA by ``trackeval``."""

from __future__ import annotations

import contextlib
import io
import warnings
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tracker.errors import ConfigError, DetectionsError, SourceError, install_command
from tracker.measure.clean_up import OVERLAP, disjoint, similarities
from tracker.measure.truth import CLASS, classes_of, first_number, open_truth, read_table

if TYPE_CHECKING:
    from collections.abc import Callable

    from tracker.measure.clean_up import Similarities
    from tracker.measure.truth import Truth

__all__ = ["COUNTS", "FIGURES", "Evaluation", "evaluate", "evaluated_files", "metrics_of"]

FIGURES = ("HOTA", "DetA", "AssA", "IDF1", "MOTA", "sMOTSA")
"""Percentages."""
COUNTS = ("IDSW", "Frag", "FP", "FN", "identities", "true_identities")
"""Numbers; summed where classes are joined."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """Figures in percent and counts.

    Attributes:
        combined: By class name; ``all`` is the mean over the classes that the truth has (counts are sums over all).
        sequences: By sequence name, then class name.
        missing: Sequences without a result file; they count as empty.
        notes: What of the results was not scored, and why.
    """

    combined: dict[str, dict[str, float]]
    sequences: dict[str, dict[str, dict[str, float]]]
    missing: tuple[str, ...]
    notes: tuple[str, ...] = ()


def evaluate(
    truth_root: str | Path,
    results_root: str | Path,
    *,
    protocol: str | None = None,
    progress: Callable[[str, int, int], None] | None = None,
) -> Evaluation:
    """Score ``results_root/<sequence>.txt`` against ``truth_root/<sequence>/gt.txt`` (or ``gt/``), or KITTI's labels.

    Of masks ``<sequence>.mots.txt``, as ``track`` writes it, is read first.

    Args:
        truth_root: Folder of sequence folders, one sequence folder, or KITTI's ``label_02`` (see :func:`open_truth`).
        results_root: Folder of result files; MOTChallenge text (frames from 1) or KITTI text (frames from 0) for
            boxes whichever the truth is, MOTS text for masks (frames from 0 where a row says frame 0, else from 1).
        protocol: Clean-up rules; by default what ``seqinfo.ini`` says, else ``kittimots`` for masks, ``kitti`` for
            KITTI text, ``mot20`` for sequences of this name, ``mot17`` where truth has MOT17's distractors, ``plain``
            otherwise.
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
    notes: list[str] = []
    protocols = sorted({truth.protocol for truth in truths})
    codes = {name: classes_of([truth for truth in truths if truth.protocol == name]) for name in protocols}
    raw: dict[str, dict[str, list[Any]]] = {name: {} for name in sorted({name for c in codes.values() for name in c})}
    for done, truth in enumerate(truths):
        path = results_root / f"{truth.name}.txt"
        masks = results_root / f"{truth.name}.mots.txt"
        if truth.masks and masks.is_file():
            path = masks
        if not path.is_file():
            missing.append(truth.name)
        start = first_number(path) if truth.masks else None
        table = read_table(path, masks=truth.masks, length=truth.length, size=truth.mask_size, counts_from=start)
        notes += _numbering(path, table, truth, start)
        notes += _unscored(path, table, truth, codes[truth.protocol])
        if truth.masks:
            table = [disjoint(rows) for rows in table]
        for name, code in codes[truth.protocol].items():
            frames = [similarities(truth, frame, table[frame], code) for frame in range(1, truth.length + 1)]
            raw[name][truth.name] = metrics_of(frames, metrics, truth.name)
        if progress is not None:
            progress(truth.name, done + 1, len(truths))
    return Evaluation(
        combined=_combine(raw, metrics),
        sequences={t.name: {n: _figures(raw[n][t.name]) for n in codes[t.protocol]} for t in truths},
        missing=tuple(missing),
        notes=tuple(notes),
    )


def _numbering(path: Path, table: list[Any], truth: Truth, start: int | None) -> list[str]:
    """A note where nothing tells whether a result's frames count from 0, as its truth's do, or from 1."""
    if start != 1 or truth.counts_from != 0 or table[truth.length]:
        return []
    found = f"this result has no row in frame 0 and none in frame {truth.length}"
    return [f"{path.name}: the truth counts frames from 0, and {found}: it is read as counting from 1, as track does"]


def _unscored(path: Path, table: list[Any], truth: Truth, codes: dict[str, int]) -> list[str]:
    """Which classes of a result are not scored.

    Raises:
        DetectionsError: The result says no class and the truth has several.
    """
    found: Counter[int] = Counter()
    for rows in table:
        found.update(row[2] for row in rows) if truth.masks else found.update(rows[:, CLASS].astype(int).tolist())
    scored = set(codes.values())
    unknown = sum(count for code, count in found.items() if code < 0)
    if unknown and len(scored) > 1:
        expected = ", ".join(f"{code} ({name})" for name, code in codes.items())
        raise DetectionsError(
            path, f"expected a class of {expected} in each row, found none in {unknown}", "write the class column"
        )
    if -1 in scored:
        return []
    return [
        f"{path.name}: {count} rows of class {code} are not scored; {truth.protocol} scores "
        + ", ".join(f"{number} ({name})" for name, number in codes.items())
        for code, count in sorted(found.items())
        if code >= 0 and code not in scored
    ]


def evaluated_files(truth_root: Path, results_root: Path) -> list[Path]:
    """Every file that :func:`evaluate` may read."""
    names = ("*.txt", "seqinfo.ini", "gt/*.txt", "*/seqinfo.ini", "*/*.txt", "*/gt/*.txt")
    maps = [*truth_root.glob("*seqmap*"), *truth_root.parent.glob("*seqmap*")]
    return [*results_root.glob("*.txt"), *(file for name in names for file in truth_root.glob(name)), *maps]


def _metric_classes() -> list[Any]:
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            from trackeval.metrics import CLEAR, HOTA, Identity
    except ImportError as error:
        raise ConfigError(
            "eval", f"needs a package that is not installed ({error.name})", install_command("eval")
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
    true = [figures for figures in values if figures["true_identities"]] or values
    combined["all"] = {
        key: sum(v[key] for v in values) if key in COUNTS else sum(v[key] for v in true) / len(true)
        for key in values[0]
    }
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
