"""A detections file, a sequence folder or a folder of such folders enters; sequences with their clock leave."""

from __future__ import annotations

import configparser
import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tracker.errors import SourceError
from tracker.sources.detection_files import read_detections

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tracker.sources.detections import Detections
    from tracker.types import Instances

__all__ = ["Sequence", "open_sequences"]

DETECTION_FILES = ("det.txt", "det_mots.txt", "det/det.txt", "det/det_mots.txt", "det.json")


@dataclass(frozen=True, slots=True, kw_only=True)
class Sequence:
    """One sequence to associate: its detections and what is known about its clock.

    Attributes:
        name: Folder or file name without ending.
        detections: What was detected.
        fps: Frames per second from ``seqinfo.ini`` (a float), ``None`` where unknown.
        length: Last frame number, at least the last one with a detection.
        first_frame: First frame number: 1, or 0 where the file counts from 0.
    """

    name: str
    detections: Detections
    fps: float | None
    length: int
    first_frame: int

    def frames(self) -> Iterator[tuple[int, Instances]]:
        """Every frame number from first to last with its instances, frames without detections included."""
        for frame in range(self.first_frame, self.length + 1):
            yield frame, self.detections.instances(frame)


def open_sequences(path: str | Path) -> list[Sequence]:
    """The sequences of a detections file, of a sequence folder (``seqinfo.ini``), or of a folder of sequence folders.

    Raises:
        SourceError: Nothing is there, or a folder without sequences.
        DetectionsError: A malformed line; the message names ``file:line``.
    """
    path = Path(path)
    if not path.exists():
        raise SourceError(path, "expected a detections file or a sequence folder, found nothing", "check the path")
    if path.is_file():
        # A benchmark's file lies in its sequence's folder (or in det/ there): the clock is known then.
        folder = next((f for f in (path.parent, path.parent.parent) if (f / "seqinfo.ini").is_file()), None)
        return [_sequence(path.stem, path, {} if folder is None else _settings(folder))]
    if (path / "seqinfo.ini").is_file():
        return [_open_folder(path)]
    folders = [folder for folder in sorted(path.iterdir()) if (folder / "seqinfo.ini").is_file()]
    if not folders:
        raise SourceError(
            path,
            "expected seqinfo.ini, or folders that hold one, found neither",
            "name a detections file, a MOTChallenge sequence folder, or a folder of such folders",
        )
    return [_open_folder(folder) for folder in folders]


def _settings(folder: Path) -> dict[str, str]:
    parser = configparser.ConfigParser()
    try:
        parser.read(folder / "seqinfo.ini", encoding="utf-8")
        return dict(parser["Sequence"])
    except (configparser.Error, KeyError, UnicodeDecodeError) as error:
        raise SourceError(
            folder / "seqinfo.ini",
            f"expected an ini file with [Sequence], found {error}",
            "see MOTChallenge's seqinfo.ini",
        ) from error


def _open_folder(folder: Path) -> Sequence:
    settings = _settings(folder)
    for name in DETECTION_FILES:
        if (folder / name).is_file():
            return _sequence(folder.name, folder / name, settings)
    raise SourceError(
        folder, f"expected one of {', '.join(DETECTION_FILES)}, found none", "add the sequence's detections"
    )


def _sequence(name: str, path: Path, settings: dict[str, str]) -> Sequence:
    detections = read_detections(path)
    numbers = {}
    for key in ("framerate", "seqlength"):
        if key in settings:
            try:
                value = float(settings[key])
            except ValueError:
                value = math.nan
            if not (math.isfinite(value) and value > 0):
                raise SourceError(
                    path.parent / "seqinfo.ini",
                    f"{key}: expected a positive number, found {settings[key]!r}",
                    "correct the line",
                )
            numbers[key] = value
    last = int(detections.frames[-1]) if len(detections) else 0
    first = min(int(detections.frames[0]), 1) if len(detections) else 1
    return Sequence(
        name=name,
        detections=detections,
        fps=numbers.get("framerate"),
        length=max(int(numbers.get("seqlength", 0)), last),
        first_frame=first,
    )
