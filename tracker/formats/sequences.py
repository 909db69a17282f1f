"""Sequences of a detections file, a sequence folder or a folder of many of either, with their clocks."""

from __future__ import annotations

import configparser
import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from tracker.errors import DetectionsError, SourceError, system_refusals
from tracker.formats.columns import read_text
from tracker.formats.detection_files import read_videos
from tracker.formats.kitti import KITTI_FPS, kitti_files

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tracker.formats.detections import Detections
    from tracker.types import Instances

__all__ = ["Sequence", "open_sequences", "read_seqinfo"]

DETECTION_FILES = ("det.txt", "det_mots.txt", "det/det.txt", "det/det_mots.txt", "det.json")
GREATEST_SETTING = 1e7
"""Frames of four days at 30 a second."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sequence:
    """One sequence to associate: its detections and what is known about its clock.

    Attributes:
        name: Folder or file name without ending; of several videos in one file the video's.
        detections: What was detected.
        fps: Frames per second from ``seqinfo.ini`` (a float), else 10 for KITTI's format, ``None`` where unknown.
        length: Last frame number, at least the last one with a detection.
        first_frame: First frame number: 1, or 0 where the file counts from 0, as KITTI's do.
        files: What it was read from.
    """

    name: str
    detections: Detections
    fps: float | None
    length: int
    first_frame: int
    files: tuple[Path, ...] = ()

    def frames(self) -> Iterator[tuple[int, Instances]]:
        """Every frame number from first to last with its instances, frames without detections included."""
        for frame in range(self.first_frame, self.length + 1):
            yield frame, self.detections.instances(frame)

    def time_s(self, frame: int, rate: float) -> float:
        """Time of a frame at ``rate`` frames per second; the first is at ``1 / rate``, be its number 0 or 1."""
        return (frame - self.first_frame + 1) / rate


@system_refusals(SourceError)
def open_sequences(path: str | Path) -> list[Sequence]:
    """The sequences of a detections file, a sequence folder (``seqinfo.ini``), a folder of such folders or of files.

    A folder of files is what KITTI's ``label_02`` is: ``0000.txt``, ``0001.txt``, ..., all of one format.

    Raises:
        SourceError: Nothing is there, a folder without sequences, one with both kinds or with files of several formats.
        DetectionsError: A malformed line; the message names ``file:line``.
    """
    path = Path(path)
    if not path.exists():
        raise SourceError(path, "expected a detections file or a sequence folder, found nothing", "check the path")
    if path.is_file():
        # A benchmark's file lies in its sequence's folder (or in det/ there): the clock is known then.
        folder = next((f for f in (path.parent, path.parent.parent) if (f / "seqinfo.ini").is_file()), None)
        return _sequences(path.stem, path, {} if folder is None else _settings(folder))
    if (path / "seqinfo.ini").is_file():
        return _open_folder(path)
    folders = [folder for folder in sorted(path.iterdir()) if (folder / "seqinfo.ini").is_file()]
    files = kitti_files(path)
    if folders and files:
        raise SourceError(
            path,
            f"expected sequence folders or files, found both ({folders[0].name}/seqinfo.ini and {files[0].name})",
            "give each kind a folder of its own",
        )
    if files:
        return _open_files(path, files)
    if not folders:
        raise SourceError(
            path,
            "expected seqinfo.ini, folders that hold one, or 0000.txt, 0001.txt, ... as KITTI has, found none",
            "name a detections file, a MOTChallenge sequence folder, or a folder of many of either",
        )
    return [sequence for folder in folders for sequence in _open_folder(folder)]


def _open_files(folder: Path, files: list[Path]) -> list[Sequence]:
    """A sequence for each file; a file without detections is of the format of the others."""
    sequences = [sequence for file in files for sequence in _sequences(file.stem, file, {})]
    formats = {sequence.detections.format: sequence.name for sequence in sequences if len(sequence.detections)}
    if len(formats) > 1:
        found = ", ".join(f"{layout} ({name}.txt)" for layout, name in sorted(formats.items()))
        raise SourceError(
            folder, f"expected files of one format, found {found}", "give each format a folder of its own"
        )
    fps = next((sequence.fps for sequence in sequences if len(sequence.detections)), None)
    return [sequence if len(sequence.detections) else replace(sequence, fps=fps) for sequence in sequences]


def read_seqinfo(path: Path) -> configparser.ConfigParser:
    """MOTChallenge's ``seqinfo.ini``.

    Raises:
        SourceError: It cannot be read, or has no ``[Sequence]``.
    """
    parser = configparser.ConfigParser(interpolation=None)
    try:
        parser.read_string(read_text(path), source=str(path))
        parser["Sequence"]
    except DetectionsError as error:
        raise SourceError(path, error.problem, error.remedy) from error
    except (configparser.Error, KeyError) as error:
        found = " ".join(str(error).split())
        raise SourceError(
            path, f"expected an ini file with [Sequence], found {found}", "see MOTChallenge's seqinfo.ini"
        ) from error
    return parser


def _settings(folder: Path) -> dict[str, str]:
    return dict(read_seqinfo(folder / "seqinfo.ini")["Sequence"])


def _open_folder(folder: Path) -> list[Sequence]:
    settings = _settings(folder)
    for name in DETECTION_FILES:
        if (folder / name).is_file():
            return _sequences(folder.name, folder / name, settings)
    raise SourceError(
        folder, f"expected one of {', '.join(DETECTION_FILES)}, found none", "add the sequence's detections"
    )


def _sequences(name: str, path: Path, settings: dict[str, str]) -> list[Sequence]:
    """The sequence of a file, or of each video of it."""
    numbers = _numbers(path, settings)
    size = None
    if settings.get("imwidth", "").isdecimal() and settings.get("imheight", "").isdecimal():
        size = int(settings["imwidth"]), int(settings["imheight"])
    videos = read_videos(path, image_size=size)
    return [_sequence(video or name, path, detections, numbers) for video, detections in videos.items()]


def _numbers(path: Path, settings: dict[str, str]) -> dict[str, float]:
    """What ``seqinfo.ini`` says about clock and length."""
    numbers: dict[str, float] = {}
    for key in ("framerate", "seqlength"):
        if key in settings:
            try:
                value = float(settings[key])
            except ValueError:
                value = math.nan
            if not 0 < value <= GREATEST_SETTING:
                raise SourceError(
                    path.parent / "seqinfo.ini",
                    f"{key}: expected a positive number, found {settings[key]!r}",
                    "correct the line",
                )
            numbers[key] = value
    return numbers


def _sequence(name: str, path: Path, detections: Detections, numbers: dict[str, float]) -> Sequence:
    from_zero = detections.format == "kitti"
    first = 0 if from_zero else min(int(detections.frames[0]), 1) if len(detections) else 1
    last = int(detections.frames[-1]) if len(detections) else first - 1
    return Sequence(
        name=name,
        detections=detections,
        fps=numbers.get("framerate", KITTI_FPS if from_zero else None),
        length=max(first + int(numbers.get("seqlength", 0)) - 1, last),
        first_frame=first,
        files=(path, *(folder / "seqinfo.ini" for folder in (path.parent, path.parent.parent))),
    )
