"""Page of doubtful identities with pictures from the recording, in one pass over it."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING

import cv2
import numpy as np

from tracker.render.annotate import clock_text
from tracker.render.cut_out import jpeg_of
from tracker.render.identity_page import Proposal, render_identities
from tracker.sinks.claims import Claim, check_claims
from tracker.sinks.part_file import write_whole
from tracker.sources.open import open_source

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from tracker.engine.identities import Doubts
    from tracker.refine.doubts import Track

__all__ = ["check_page", "write_page"]

MOST_SHOWN = 60
"""Proposals of each kind on a page."""
AROUND = 0.15
"""Of the box' larger side that is shown on every side."""
HEIGHT_PX = 240
NEAR_S = 1.5
"""How far from the end of a track its picture may be."""
EPSILON_S = 1e-4


def check_page(out: Path, *, video: Path | None, read: Sequence[Path]) -> None:
    """Refuse a page that would replace what is read; arguments as for :func:`write_page`.

    Raises:
        ConfigError: It would.
    """
    sources = [*read, *([] if video is None else [video])]
    check_claims([Claim(path=out, named_by="--out")], [Claim(path=path) for path in sources])


def write_page(out: Path, found: Doubts, *, name: str, video: Path | None, read: Sequence[Path]) -> None:
    """Write proposals as a page.

    Args:
        out: The page.
        found: What is doubtful.
        name: Of the records.
        video: The recording, for pictures.
        read: Files that the page must not replace.

    Raises:
        SourceError: The video cannot be read.
        SinkError: The page cannot be written.
        ConfigError: It would replace what is read.
    """
    check_page(out, video=video, read=read)
    tracks = {one.identity: one for one in found.tracks}
    wanted: list[tuple[float, NDArray[np.float64]]] = []
    made: list[tuple[Proposal, bool]] = []
    for join in found.joins[:MOST_SHOWN]:
        first, second = tracks[join.first], tracks[join.second]
        before, after = _best(first, ends=True), _best(second, ends=False)
        wanted += [_row(first, before), _row(second, after)]
        why = f"{join.gap_s:.1f} s apart, {join.distance:.1f} of their size from where the first was going"
        captions = (_caption(first, before), _caption(second, after))
        title, option = f"{join.first} and {join.second} may be one", f"--join {join.first}={join.second}"
        made.append((_proposal(title, why, option, join.plausibility, captions), True))
    for split in found.splits[:MOST_SHOWN]:
        track = tracks[split.identity]
        row = int(np.searchsorted(track.times_s, split.at_s))
        wanted += [_row(track, row - 1), _row(track, row)]
        captions = (_caption(track, row - 1), _caption(track, row))
        option = f"--split {split.identity}@{split.at_s:.2f}"
        title = f"{split.identity} may be two"
        made.append((_proposal(title, split.why, option, split.plausibility, captions), False))
    pictures = [None] * len(wanted) if video is None else _pictures(video, wanted)
    shown: dict[bool, list[Proposal]] = {True: [], False: []}
    for number, (one, joins) in enumerate(made):
        pair = (pictures[2 * number], pictures[2 * number + 1])
        shown[joins].append(replace(one, pictures=pair))
    page = render_identities(
        name, identities=len(found.tracks), joins=shown[True], splits=shown[False], pictured=video is not None
    )
    write_whole(out, page.encode())


def _proposal(title: str, why: str, option: str, plausibility: float, captions: tuple[str, str]) -> Proposal:
    return Proposal(title=title, why=why, option=option, plausibility=plausibility, captions=captions)


def _row(track: Track, row: int) -> tuple[float, NDArray[np.float64]]:
    return float(track.times_s[row]), track.boxes[row]


def _best(track: Track, *, ends: bool) -> int:
    """The row near an end of a track that shows most of the object."""
    at_s = track.times_s[-1] if ends else track.times_s[0]
    near = np.flatnonzero(np.abs(track.times_s - at_s) <= NEAR_S)
    return int(near[track.sizes[near].argmax()])


def _caption(track: Track, row: int) -> str:
    return f"{track.identity} {track.classes[row]}, {clock_text(float(track.times_s[row]))}"


def _pictures(video: Path, wanted: Sequence[tuple[float, NDArray[np.float64]]]) -> list[bytes | None]:
    """A cut-out for each time and box, decoded once in order."""
    order = sorted(range(len(wanted)), key=lambda number: wanted[number][0])
    found: list[bytes | None] = [None] * len(wanted)
    waiting = iter(order)
    number = next(waiting, None)
    with open_source(os.fspath(video)) as source:
        for frame in source:
            while number is not None and wanted[number][0] <= frame.time_s + EPSILON_S:
                if frame.image is not None:
                    found[number] = _cut(frame.image, wanted[number][1])
                number = next(waiting, None)
            if number is None:
                break
    return found


def _cut(image: NDArray[np.uint8], box: NDArray[np.float64]) -> bytes | None:
    height, width = image.shape[:2]
    around = AROUND * float(max(box[2] - box[0], box[3] - box[1]))
    left, top = max(int(box[0] - around), 0), max(int(box[1] - around), 0)
    right, bottom = min(int(box[2] + around) + 1, width), min(int(box[3] + around) + 1, height)
    if right - left < 2 or bottom - top < 2:
        return None
    scale = min(HEIGHT_PX / (bottom - top), 2 * HEIGHT_PX / (right - left), 4.0)
    size = max(round((right - left) * scale), 1), max(round((bottom - top) * scale), 1)
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    return jpeg_of(np.asarray(cv2.resize(image[top:bottom, left:right], size, interpolation=method), np.uint8))
