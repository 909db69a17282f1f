"""Association of detection files and benchmark folders, written back in their own format."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from tracker.associate.tracker import Tracker
from tracker.errors import ConfigError, SinkError, TrackerError
from tracker.formats.detection_files import box_line
from tracker.formats.mots import mots_line
from tracker.formats.sequences import open_sequences
from tracker.sinks.claims import Claim, check_claims, check_folders_differ
from tracker.sinks.exclusive import reserved
from tracker.sinks.part_file import PartFile

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from numpy.typing import NDArray

    from tracker.formats.detections import Detections
    from tracker.formats.sequences import Sequence
    from tracker.types import Tracks

    Rows = NDArray[np.int64]

__all__ = ["DEFAULT_FPS", "Associated", "associate"]

DEFAULT_FPS = 30.0
"""Where neither the caller nor a ``seqinfo.ini`` says: what most cameras send."""
PROGRESS_FRAMES = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class Associated:
    """One result that was written.

    Attributes:
        name: The sequence.
        path: The result file.
        frames: Frames associated.
        identities: Identities given.
        lines: Lines written.
        skipped_empty: Detections left out because their box or mask had no area.
        refined: Whether the file holds the second pass's result.
        problem: Why it holds the online result although a second pass was asked for; else empty.
        interrupted: Whether Ctrl-C ended the second pass.
        notes: What was read otherwise than it stands in the file, left out, or is strange about the result.
    """

    name: str
    path: Path
    frames: int
    identities: int
    lines: int
    skipped_empty: int
    refined: bool = False
    problem: str = ""
    interrupted: bool = False
    notes: tuple[str, ...] = ()


def associate(
    path: str | Path,
    out: str | Path,
    *,
    fps: float | None = None,
    coasting: bool = True,
    refine: bool = False,
    progress: Callable[[str, int, int], None] | None = None,
    tracker: Callable[[], Tracker] = Tracker,
) -> list[Associated]:
    """Give identities to the detections of one sequence or of a whole benchmark folder.

    Results have the format of the detections, frames as numbered there: KITTI text gives KITTI text, other boxes
    MOTChallenge text, masks MOTS text. Class column, run-length code, KITTI's 3D fields are those of the detection.
    Identities are unique over all classes of a file.

    Args:
        path: A detections file (of one video or, in COCO, of several), a sequence folder with ``seqinfo.ini``, a folder
            of such folders, or a folder of files ``0000.txt``, ``0001.txt``, ... as KITTI has.
        out: The result file; an existing folder, or many sequences as ``path``, give ``<out>/<sequence>.txt``.
        fps: Frames per second; overrides ``seqinfo.ini`` and KITTI's 10, and stands in where neither is (else 30).
        coasting: Also write identities that are presumed present but not seen: boxes (visibility 0; in KITTI's text
            occluded 2), and refined also masks.
        refine: Improve each sequence by a second pass over all of it (see :mod:`tracker.refine.refine`). The online
            result is published first and replaced; it stays where the second pass fails or Ctrl-C ends it, after which
            no further sequence is begun.
        progress: Called with the sequence's name, frames done and their total.
        tracker: Makes a fresh tracker for each sequence.

    Raises:
        DetectionsError, SourceError: The input cannot be read.
        SinkError: The output cannot be written.
        ConfigError: ``fps`` is not a positive number; ``refine`` and an output that cannot be replaced, such as a pipe.
    """
    if fps is not None and not (math.isfinite(fps) and fps > 0):
        raise ConfigError("fps", f"expected a positive number, found {fps}", "give the frames per second of the video")
    path, out = Path(path), Path(out)
    sequences = open_sequences(path)
    many = path.is_dir() and not (path / "seqinfo.ini").is_file()
    if len(sequences) > 1 and not many:
        if not out.is_dir() and out.suffix:
            raise SinkError(
                out, f"expected a folder for {len(sequences)} videos of one file, found a file name", "name a folder"
            )
        many = True
    check_folders_differ(out, path)
    if many:
        _make_folder(out)
    elif not out.is_dir():
        _check_suffix(out, sequences[0].detections)
    targets = [out / f"{sequence.name}.txt" if many or out.is_dir() else out for sequence in sequences]
    check_claims(
        [
            Claim(path=target, named_by=f"--out, {sequence.name}")
            for target, sequence in zip(targets, sequences, strict=True)
        ],
        [Claim(path=file, named_by=sequence.name) for sequence in sequences for file in sequence.files],
    )
    results = []
    for sequence, target in zip(sequences, targets, strict=True):
        rate = fps or sequence.fps or DEFAULT_FPS
        with reserved(target):
            result, rows = _associate_one(
                sequence, target, rate=rate, coasting=coasting, keep=refine, progress=progress, tracker=tracker()
            )
            if refine:
                result = _second_pass(sequence, result, rows, rate=rate, coasting=coasting, progress=progress)
        results.append(replace(result, notes=_notes(sequence, result)))
        if result.interrupted:
            break
    return results


def _notes(sequence: Sequence, result: Associated) -> tuple[str, ...]:
    """What the user should know about a result."""
    detections = sequence.detections
    notes = list(detections.notes)
    if detections.skipped_empty:
        notes.append(f"{detections.skipped_empty} detections without area are left out")
    if len(detections) and not result.identities:
        notes.append(
            f"no identity: {len(detections)} detections with scores from {detections.scores.min():.3g} to "
            f"{detections.scores.max():.3g}, none of them often or surely enough in one place"
        )
    return tuple(notes)


def _check_suffix(out: Path, detections: Detections) -> None:
    """Refuse the name of a format that is not written here; devices and pipes may be called what they like.

    Raises:
        ConfigError: Another suffix than ``.txt``, or that of masks for boxes.
    """
    boxes = detections.image_size is None
    layout = ("KITTI text" if detections.format == "kitti" else "MOTChallenge text") if boxes else "MOTS text"
    name = out.name.lower()
    if (out.exists() and not out.is_file()) or not out.suffix or (name.endswith(".txt") and not boxes):
        return
    if not name.endswith(".txt") or name.endswith(".mots.txt"):
        found = ".mots.txt" if name.endswith(".mots.txt") else out.suffix
        stem = out.name[: -len(found)] or "out"
        problem = f"expected a name in .txt for {layout}, the format of these detections, found {found}"
        remedy = f"name it {out.with_name(stem + '.txt')}"
        raise ConfigError(f"--out {out}", problem, f"{remedy}; other formats are written of saved .instances")


def _make_folder(out: Path) -> None:
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SinkError(
            out, f"expected a folder for the results, found {error.strerror}", "name another folder"
        ) from error


def _associate_one(
    sequence: Sequence,
    target: Path,
    *,
    rate: float,
    coasting: bool,
    keep: bool,
    progress: Callable[[str, int, int], None] | None,
    tracker: Tracker,
) -> tuple[Associated, list[Rows]]:
    """The online result, and with ``keep`` its ``(n, 2)`` identities and flat rows of each frame."""
    total = max(sequence.length - sequence.first_frame + 1, 0)
    part = PartFile(target)
    if keep and part.direct:
        raise ConfigError(
            target, "expected a file that the second pass can replace, found a device or pipe", "name one"
        )
    identities = lines = 0
    rows: list[Rows] = []
    try:
        with part.open_text() as file:
            for done, (frame, instances) in enumerate(sequence.frames(), 1):
                tracks = tracker.update(instances, sequence.time_s(frame, rate))
                for line in _lines(sequence.detections, frame, tracks, coasting=coasting):
                    file.write(line)
                    lines += 1
                if keep:
                    seen = tracks.detection_rows >= 0
                    start = sequence.detections.rows(frame).start
                    rows.append(np.stack([tracks.ids[seen], start + tracks.detection_rows[seen]], axis=1))
                identities = max(identities, int(tracks.ids.max(initial=0)))
                if progress is not None and (done % PROGRESS_FRAMES == 0 or done == total):
                    progress(sequence.name, done, total)
    except OSError as error:
        part.discard()
        raise SinkError(
            target, f"cannot be written: {error.strerror}", "free some space or name another folder"
        ) from error
    except BaseException:
        part.discard()
        raise
    part.publish()
    result = Associated(
        name=sequence.name,
        path=target,
        frames=total,
        identities=identities,
        lines=lines,
        skipped_empty=sequence.detections.skipped_empty,
    )
    return result, rows


def _second_pass(
    sequence: Sequence,
    online: Associated,
    rows: list[Rows],
    *,
    rate: float,
    coasting: bool,
    progress: Callable[[str, int, int], None] | None,
) -> Associated:
    """The refined result in the place of the online one, which stays whatever goes wrong."""
    from tracker.measure.refined import recording_of, refined_lines
    from tracker.refine.recording import tracklets_of
    from tracker.refine.refine import refine

    def tell(done: int, total: int) -> None:
        if progress is not None and (done % PROGRESS_FRAMES == 0 or done == total):
            progress(f"{sequence.name}, second pass", done, total)

    try:
        table = np.concatenate([np.zeros((0, 2), np.int64), *rows])
        refined = refine(recording_of(sequence, rate), tracklets_of(table[:, 0], table[:, 1]), progress=tell)
        lines = _publish(online.path, refined_lines(sequence, refined, filled=coasting))
    except KeyboardInterrupt:
        return replace(online, problem="interrupted", interrupted=True)
    except TrackerError as failure:
        return replace(online, problem=str(failure))
    except Exception as failure:  # noqa: BLE001 - whatever a second pass meets, the online result is there
        return replace(online, problem=f"{type(failure).__name__}: {failure}")
    return replace(online, identities=int(refined.ids.max(initial=0)), lines=lines, refined=True)


def _publish(target: Path, lines: Iterable[str]) -> int:
    """Replace ``target`` by ``lines`` as a whole or not at all; returns how many there are."""
    part = PartFile(target)
    count = 0
    try:
        with part.open_text() as file:
            for line in lines:
                file.write(line)
                count += 1
        part.publish()
    except OSError as error:
        part.discard()
        raise SinkError(target, f"cannot be written: {error.strerror}", "free some space") from error
    except BaseException:
        part.discard()
        raise
    return count


def _lines(detections: Detections, frame: int, tracks: Tracks, *, coasting: bool) -> Iterator[str]:
    """The lines of one frame, ordered by id."""
    start = detections.rows(frame).start
    for place, (identity, row) in enumerate(zip(tracks.ids.tolist(), tracks.detection_rows.tolist(), strict=True)):
        number = start + row
        if row >= 0 and detections.image_size is not None:
            class_id = int(detections.class_ids[number])
            yield mots_line(frame, identity, detections.codes[number], detections.image_size, class_id=class_id)
        elif row >= 0:
            box, score = tuple(detections.boxes[number].tolist()), float(detections.scores[number])
            class_id = int(detections.class_ids[number])
            yield box_line(detections, number, frame, identity, box, score=score, class_id=class_id)
        elif coasting and detections.image_size is None:
            box, score = tuple(tracks.boxes[place].tolist()), float(tracks.scores[place])
            yield box_line(detections, -1, frame, identity, box, score=score, class_id=int(tracks.class_ids[place]))
