"""Check of covered pictures: share of true silhouettes that are covered, and frames whose masks are uncertain."""

from __future__ import annotations

import json
import tempfile
from collections import defaultdict
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from tracker.engine.run import Run
from tracker.errors import ConfigError, DetectionsError, SourceError
from tracker.formats.mots import mots_rows
from tracker.formats.run_length import decode_rle
from tracker.render.privacy import presence_of
from tracker.render.privacy_paint import FILL
from tracker.sinks.base import Sink
from tracker.sources.open import open_source

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from tracker.engine.run import Listener
    from tracker.settings.stream import RunSettings
    from tracker.types import TrackedFrame

    Silhouettes = Mapping[int, NDArray[np.bool_]]

__all__ = ["TRUTH_CLASS", "Coverage", "Doubt", "PrivacyReport", "check_recordings", "check_records", "read_truth"]

TRUTH_CLASS = 2
"""Number of pedestrians in MOTS text."""
TOLERANCE = 28
"""How far a decoded pixel may be from the fill in one channel: encoders change colours beside edges."""
LEAKING_SHARE = 0.01


@dataclass(slots=True, kw_only=True)
class Coverage:
    """How much of silhouettes is covered.

    Attributes:
        frames: With a silhouette.
        leaking: Of them, those in which more than 1 % of the silhouettes' pixels is bare.
        pixels: Of all silhouettes.
        bare: Of them, those that are not covered.
        worst: Largest bare share of a frame.
        worst_s: Media time of that frame.
    """

    frames: int = 0
    leaking: int = 0
    pixels: int = 0
    bare: int = 0
    worst: float = 0.0
    worst_s: float | None = None

    def add(self, picture: NDArray[np.uint8], silhouettes: NDArray[np.bool_], time_s: float, tolerance: int) -> None:
        """Look at one picture.

        Args:
            picture: ``(H, W, 3)`` uint8 BGR.
            silhouettes: ``(H, W)`` of all persons in it.
            time_s: Media time.
            tolerance: Largest distance from the fill in one channel.
        """
        if picture.shape[:2] != silhouettes.shape:
            found = f"{silhouettes.shape[1]} x {silhouettes.shape[0]}"
            problem = f"expected silhouettes of {picture.shape[1]} x {picture.shape[0]} pixels, found {found}"
            raise ConfigError("truth", problem, "name the truth of this recording")
        real = int(silhouettes.sum())
        if not real:
            return
        shown = picture[silhouettes].astype(np.int16)
        bare = int((np.abs(shown - np.array(FILL, np.int16)).max(axis=1) > tolerance).sum())
        self.frames += 1
        self.pixels += real
        self.bare += bare
        self.leaking += bare > LEAKING_SHARE * real
        if bare / real > self.worst:
            self.worst, self.worst_s = bare / real, time_s

    @property
    def share(self) -> float | None:
        """Covered share of the silhouettes; ``None`` where there are none."""
        return None if not self.pixels else 1 - self.bare / self.pixels

    def as_json(self) -> dict[str, Any]:
        """With the share."""
        return {"covered": self.share, **asdict(self)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Doubt:
    """Frames in a row in which something was covered without a mask that can be believed.

    Attributes:
        from_s: Media time of the first.
        to_s: Of the last.
        frames: How many.
        why: ``uncertain``: masks of identities; ``predicted``: identities that are not seen; ``unconfirmed``:
            detections that are no identity yet.
    """

    from_s: float
    to_s: float
    frames: int
    why: tuple[str, ...]


@dataclass(slots=True, kw_only=True)
class PrivacyReport:
    """What a check found out about one recording.

    Attributes:
        name: Of the recording.
        frames: Looked at.
        occupied: Of them, those with something to cover.
        counts: Frames by reason of doubt, as in :attr:`Doubt.why`.
        doubts: Runs of such frames.
        live: Coverage as live, half a second late; ``None`` without silhouettes to compare with.
        refined: Coverage of the second pass's video.
    """

    name: str
    frames: int = 0
    occupied: int = 0
    counts: dict[str, int] = field(default_factory=lambda: dict.fromkeys(("uncertain", "predicted", "unconfirmed"), 0))
    doubts: list[Doubt] = field(default_factory=list)
    live: Coverage | None = None
    refined: Coverage | None = None

    def add(self, time_s: float, *, occupied: bool, why: Sequence[str]) -> None:
        """Take note of one frame."""
        self.frames += 1
        self.occupied += occupied
        for reason in why:
            self.counts[reason] += 1
        self._doubted.append((time_s, tuple(why)))

    def close(self) -> None:
        """Find the runs of frames."""
        run: list[tuple[float, tuple[str, ...]]] = []
        for time_s, why in [*self._doubted, (0.0, ())]:
            if why:
                run.append((time_s, why))
            elif run:
                reasons = tuple(reason for reason in self.counts if any(reason in one for _, one in run))
                self.doubts.append(Doubt(from_s=run[0][0], to_s=run[-1][0], frames=len(run), why=reasons))
                run = []

    _doubted: list[tuple[float, tuple[str, ...]]] = field(default_factory=list, repr=False)

    @property
    def doubted(self) -> int:
        """Frames with any doubt."""
        return sum(one.frames for one in self.doubts)

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "name": self.name,
            "frames": self.frames,
            "occupied_frames": self.occupied,
            "doubted_frames": self.doubted,
            "frames_by_doubt": self.counts,
            "doubts": [asdict(one) for one in self.doubts],
            "live": None if self.live is None else self.live.as_json(),
            "second_pass": None if self.refined is None else self.refined.as_json(),
        }


def check_recordings(
    settings: RunSettings, truth: Path | None, *, truth_class: int = TRUTH_CLASS, listener: Listener | None = None
) -> list[PrivacyReport]:
    """Track recordings with opaque fill, and look at the covered pictures.

    Args:
        settings: Sources, model and classes; with ``refine`` the second pass is looked at too.
        truth: MOTS text of the one recording; ``None``: nothing to compare with.
        truth_class: Number of persons in it.
        listener: To the run.

    Raises:
        TrackerError: A source, the model or the truth cannot be used.
    """
    silhouettes = None if truth is None else read_truth(truth, truth_class)
    settings = settings.replace(privacy="fill", draw=())
    reports: list[PrivacyReport] = []
    with tempfile.TemporaryDirectory(prefix="masktrail-privacy-") as folder:
        second = settings.refine and silhouettes is not None
        saved = settings.replace(save=str(Path(folder) / "{name}.mkv") if second else None, refine=second)
        for number, plan in enumerate(Run(saved).plans):
            one = saved.replace(sources=(settings.sources[number] if len(settings.sources) > number else plan.name,))
            check = _LiveCheck(plan.name, one.privacy_classes, silhouettes)
            [outcome] = Run(one, beside=[check], listener=listener).run()
            if outcome.failures:
                raise outcome.failures[0]
            check.report.close()
            if second and silhouettes is not None:
                by_place = {place: silhouettes.get(index) for place, index in enumerate(check.indices)}
                check.report.refined = coverage_of(Path(outcome.outputs[0]), by_place)
            reports.append(check.report)
            if outcome.interrupted:
                break
    return reports


def check_records(
    records: Path, *, annotated: Path | None, classes: Sequence[str], truth: Path | None, truth_class: int = TRUTH_CLASS
) -> PrivacyReport:
    """Look at records, and at the covered video that was made with them.

    Args:
        records: ``*.jsonl``; frames without rows are not counted.
        annotated: Video with ``--privacy fill --draw none``; ``None`` = only the records are looked at.
        classes: What is covered.
        truth: MOTS text to compare the video with; else the masks of the records are it.
        truth_class: Number of persons in the truth.

    Raises:
        TrackerError: A file cannot be read or is another recording's.
    """
    report = PrivacyReport(name=records.name)
    found: dict[int, NDArray[np.bool_]] = {}
    for index, rows in _frames_of(records, {name.lower() for name in classes}):
        why = ["predicted"] if any(row["coasting"] for row in rows) else []
        masks = [decode_rle(row["mask"]) for row in rows if isinstance(row.get("mask"), dict)]
        sure = [mask for mask in masks if mask.any()]
        if sum(not row["coasting"] for row in rows) > len(sure):
            why.insert(0, "uncertain")
        if sure:
            found[index] = np.logical_or.reduce(sure)
        report.add(float(rows[0]["time_s"]), occupied=True, why=why)
    report.close()
    if annotated is not None:
        report.live = coverage_of(annotated, found if truth is None else read_truth(truth, truth_class))
    return report


def coverage_of(video: Path, silhouettes: Mapping[int, NDArray[np.bool_] | None]) -> Coverage:
    """How much is covered in an encoded video.

    Args:
        video: The covered one.
        silhouettes: By the place of its frames, from 0.

    Raises:
        SourceError: It cannot be read.
    """
    coverage = Coverage()
    with open_source(str(video)) as source:
        for place, frame in enumerate(source):
            shape = silhouettes.get(place)
            if shape is not None and frame.image is not None:
                coverage.add(frame.image, shape, frame.time_s, TOLERANCE)
    return coverage


def read_truth(path: Path, truth_class: int = TRUTH_CLASS) -> dict[int, NDArray[np.bool_]]:
    """All persons of each frame, by its number from 0.

    Args:
        path: MOTS text, whose frames count from 1.
        truth_class: Number of persons in it.

    Raises:
        DetectionsError: A line is malformed.
        SourceError: The file cannot be read, or has no persons.
    """
    try:
        lines = [(number, line) for number, line in enumerate(path.read_text("utf-8").splitlines(), 1) if line.strip()]
    except (OSError, UnicodeDecodeError) as failure:
        raise SourceError(path, f"expected MOTS text, found: {failure}", "name the truth's file") from failure
    by_frame: dict[int, list[NDArray[np.bool_]]] = defaultdict(list)
    for frame, _, class_id, height, width, code in mots_rows(path, lines):
        if class_id == truth_class:
            by_frame[frame - 1].append(decode_rle({"size": [height, width], "counts": code}))
    if not by_frame:
        raise SourceError(path, f"expected rows of class {truth_class}, found none", "name it with --truth-class")
    return {frame: np.logical_or.reduce(masks) for frame, masks in by_frame.items()}


class _LiveCheck(Sink):
    """Looks at covered pictures as a live output has them.

    Args:
        name: Of the recording.
        classes: What is covered.
        truth: Silhouettes by frame number.
    """

    needs_images: ClassVar[bool] = True

    def __init__(self, name: str, classes: Iterable[str], truth: Silhouettes | None) -> None:
        self.report = PrivacyReport(name=name, live=None if truth is None else Coverage())
        self.indices: list[int] = []
        self._classes = {one.lower() for one in classes}
        self._truth = truth or {}

    def write(self, tracked_frame: TrackedFrame) -> None:
        """Take one covered frame."""
        frame = tracked_frame.frame
        self.indices.append(frame.index)
        class_ids = [number for number, name in enumerate(tracked_frame.class_names) if name.lower() in self._classes]
        found = presence_of(tracked_frame, class_ids=class_ids)
        counts = {"uncertain": found.uncertain, "predicted": found.predicted, "unconfirmed": found.unconfirmed}
        self.report.add(
            frame.time_s, occupied=bool(found.shapes), why=[reason for reason, count in counts.items() if count]
        )
        shape = self._truth.get(frame.index)
        if self.report.live is not None and shape is not None and frame.image is not None:
            self.report.live.add(frame.image, shape, frame.time_s, 0)

    def close(self) -> None:
        """Nothing is held."""


def _frames_of(path: Path, classes: set[str]) -> Iterator[tuple[int, list[dict[str, Any]]]]:
    """Rows of JSON Lines by frame, of some classes, in order."""
    held: list[dict[str, Any]] = []
    try:
        with path.open(encoding="utf-8") as file:
            for number, line in enumerate(file, 1):
                row = json.loads(line)
                if not {"frame", "time_s", "coasting", "class"} <= row.keys():
                    problem = f"expected rows of masktrail's records, found line {number} without them"
                    raise DetectionsError(path, problem, "name the .jsonl that --records wrote")
                if row["class"].lower() not in classes:
                    continue
                if held and held[0]["frame"] != row["frame"]:
                    yield held[0]["frame"], held
                    held = []
                held.append(row)
    except (OSError, ValueError, AttributeError) as failure:
        raise DetectionsError(path, f"expected records, found: {failure}", "name the .jsonl of a run") from failure
    if held:
        yield held[0]["frame"], held
