"""Images and videos of a COCO document in the order of time.

Images of one video are put in order by ``frame_index`` or ``frame_id``, else by file name, the numbers in it compared
as numbers. Where the ids are consecutive in this order they stay the frame numbers, else frames count from 1 in it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any

from tracker.errors import DetectionsError
from tracker.formats.columns import GREATEST_NUMBER, quote, reject
from tracker.formats.run_length import GREATEST_PIXELS

__all__ = ["CocoImage", "Size", "images_of", "size_of", "whole_of"]

ORDER_KEYS = ("frame_index", "frame_id")
Size = tuple[int, int]
"""``(width, height)``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CocoImage:
    """A listed image: its frame number, its video's name (empty where there is one video) and its size if known."""

    frame: int
    video: str
    size: Size | None


def images_of(path: Path, document: dict[str, Any]) -> tuple[dict[int, CocoImage] | None, tuple[str, ...]]:
    """The listed images by id, and what to say about their order; ``None`` where none are listed."""
    names = _video_names(path, document)
    images = document.get("images")
    if not isinstance(images, list) or not images:
        if len(names) > 1:
            raise DetectionsError(
                path, f"expected images with video_id, found {len(names)} videos and no images", "list the images"
            )
        return None, ()
    by_video: dict[Any, list[dict[str, Any]]] = {}
    ids = set()
    for place, image in enumerate(images):
        if not isinstance(image, dict) or (number := whole_of(image.get("id"))) is None or number in ids:
            reject(path, place, "an image with a whole id of its own", quote(str(image)), unit="images entry ")
        ids.add(number)
        video = image.get("video_id")
        if (names and video not in names) or not isinstance(video, str | int | None):
            reject(path, place, "the video_id of a listed video", repr(video), unit="images entry ")
        by_video.setdefault(video, []).append(image)
    if len(by_video) > 1 and None in by_video:
        place = next(place for place, image in enumerate(images) if image.get("video_id") is None)
        reject(path, place, "a video_id as in the other images", "none", unit="images entry ")
    found: dict[int, CocoImage] = {}
    notes: dict[str, None] = {}
    for video, listed in by_video.items():
        frames, note = _frames(path, listed)
        if note:
            notes[note] = None
        name = names.get(video, f"video {video}") if len(by_video) > 1 else ""
        for image, frame in zip(listed, frames, strict=True):
            found[int(image["id"])] = CocoImage(
                frame=frame, video=name, size=size_of(image.get("width"), image.get("height"))
            )
    return found, tuple(notes)


def _video_names(path: Path, document: dict[str, Any]) -> dict[Any, str]:
    """File names for the listed videos by id; empty where none are listed."""
    names: dict[Any, str] = {}
    videos = document.get("videos")
    for place, video in enumerate(videos if isinstance(videos, list) else []):
        if not isinstance(video, dict) or not isinstance(video.get("id"), str | int) or video["id"] in names:
            reject(path, place, "a video with an id of its own", quote(str(video)), unit="videos entry ")
        said = video.get("name") or video.get("file_name")
        name = re.sub(r"[^\w.+-]+", "-", PurePath(str(said)).name).strip(".-") if said else ""
        name = name if name and name not in names.values() else f"video {video['id']}"
        names[video["id"]] = re.sub(r"[^\w.+ -]+", "-", name)
    return names


def _frames(path: Path, images: list[dict[str, Any]]) -> tuple[list[int], str]:
    """The frame number of each image of one video, and what to say about it where it is not the id."""
    for key in ORDER_KEYS:
        numbers = [whole_of(image.get(key)) for image in images]
        if all(number is not None and number >= 0 for number in numbers) and len(set(numbers)) == len(numbers):
            ids = [int(image["id"]) for image in images]
            note = "" if numbers == ids else f"frames are numbered by {key} of the images, not by their ids"
            return [number for number in numbers if number is not None], note
    files = [image.get("file_name") for image in images]
    if not all(isinstance(file, str) for file in files):
        return [int(image["id"]) for image in images], ""
    folders = sorted({str(PurePath(str(file)).parent) for file in files})
    if len(folders) > 1:
        raise DetectionsError(
            path,
            f"expected the images of one video, found those of {len(folders)} folders ({folders[0]}, {folders[1]})",
            "list videos, and give each image its video_id",
        )
    order = sorted(range(len(files)), key=lambda place: _natural(str(files[place])))
    ids = [int(images[place]["id"]) for place in order]
    if ids == list(range(ids[0], ids[0] + len(ids))) and ids[0] >= 0:
        return [int(image["id"]) for image in images], ""
    frames = [0] * len(files)
    for rank, place in enumerate(order, 1):
        frames[place] = rank
    return frames, "frames are numbered from 1 in the order of the images' file names, not by their ids"


def _natural(name: str) -> list[tuple[int, str]]:
    """Sorting key of a file name: numbers as numbers, so that 2 comes before 10."""
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"(\d{1,18})", name)]


def size_of(width: Any, height: Any) -> Size | None:
    """A size of whole, positive sides that is no larger than any image; ``None`` for other values."""
    wide, high = whole_of(width), whole_of(height)
    if wide is None or high is None or wide <= 0 or high <= 0 or wide * high > GREATEST_PIXELS:
        return None
    return wide, high


def whole_of(value: Any) -> int | None:
    """A whole number of 32 bits, also as ``3.0``; no texts, no truth values."""
    if not isinstance(value, int | float) or isinstance(value, bool) or not abs(value) <= GREATEST_NUMBER:
        return None
    return int(value) if value == int(value) else None
