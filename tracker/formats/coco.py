"""COCO JSON: detections from results or annotations with their images and videos, and the numbers of written results.

Read are a list of results, or a document with ``annotations`` (or ``results``) and, as it should be, ``images``:

- Without ``images`` image ids are frame numbers.
- With ``images`` frames are numbered in their order of time: see :mod:`tracker.formats.coco_images`.
- ``video_id`` makes a sequence of each video.

A mask is a compressed or uncompressed run-length code, or polygons where the size of the image is known.
"""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np

from tracker.errors import ConfigError, DetectionsError, SinkError, SourceError
from tracker.formats.coco_images import CocoImage, Size, images_of, size_of, whole_of
from tracker.formats.columns import GREATEST_PX, quote, read_text, reject
from tracker.formats.detections import Detections, pack
from tracker.formats.run_length import coco_code, encode_polygons, encode_runs, run_total
from tracker.formats.scores import to_chances

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping, Sequence

__all__ = ["CocoIds", "read_coco", "result_entry"]

UNIT = "entry "
LEAST_FIT = 0.5
"""Median overlap of boxes and the boxes of their masks; detectors' own have 0.8 and more."""
LEAST_POLYGON = 6
"""Numbers of a triangle."""


@dataclass(slots=True, kw_only=True)
class _Video:
    """What was read of one video so far."""

    rows: list[tuple[float, ...]] = field(default_factory=list)
    codes: list[str] = field(default_factory=list)
    places: list[int] = field(default_factory=list)
    size: Size | None = None
    skipped: int = 0
    crowds: int = 0
    unsized: int = 0


def read_coco(path: Path, text: str, *, image_size: Size | None = None) -> Mapping[str, Detections]:
    """The detections of each video by its name, which is empty where the file names none.

    Args:
        path: The file, for messages.
        text: Its text.
        image_size: ``(width, height)`` of images whose size the file does not say.

    Raises:
        DetectionsError: No COCO, a malformed entry, an image that is not listed; names ``file:entry``.
    """
    document = _json(path, text)
    images: dict[int, CocoImage] | None = None
    notes: tuple[str, ...] = ()
    entries = document
    if isinstance(document, dict):
        entries = next((document[key] for key in ("annotations", "results") if key in document), None)
        images, notes = images_of(path, document)
    if not isinstance(entries, list):
        raise DetectionsError(
            path, "expected a list of COCO results, found another JSON value", "see COCO's results format"
        )
    names = _entry_videos(path, entries) if images is None else [image.video for image in images.values()]
    videos = {name: _Video() for name in dict.fromkeys(names or [""])}
    for place, entry in enumerate(entries):
        _read_entry(path, place, entry, images=images, videos=videos, image_size=image_size)
    values = [row[5] for video in videos.values() for row in video.rows]
    places = [place for video in videos.values() for place in video.places]
    chances, note = to_chances(path, np.array(values, np.float64), places, unit=UNIT)
    rest = chances.tolist()
    detections = {}
    for name, video in videos.items():
        rows = [(*row[:5], score, *row[6:]) for row, score in zip(video.rows, rest, strict=False)]
        rest = rest[len(rows) :]
        told = (*notes, *((note,) if note else ()), *_left_out(video))
        if video.codes and len(video.codes) != len(rows):
            raise DetectionsError(
                path, f"expected a mask for each of {len(rows)} results, found {len(video.codes)}", "write all or none"
            )
        _check_masks_fit(path, video)
        detections[name] = pack(
            path,
            "coco",
            rows,
            places=video.places,
            unit=UNIT,
            codes=video.codes,
            skipped=video.skipped,
            size=video.size,
            notes=told,
        )
    return detections


def _entry_videos(path: Path, entries: list[Any]) -> list[str]:
    """Names of the videos that entries without listed images name by ``video_id``."""
    ids = [entry.get("video_id") if isinstance(entry, dict) else None for entry in entries]
    known = sorted({number for number in map(whole_of, ids) if number is not None})
    if len(known) < 2:
        return [""]
    for place, number in enumerate(ids):
        if whole_of(number) is None:
            reject(path, place, "a whole video_id as in the other entries", repr(number), unit=UNIT)
    return [f"video {number}" for number in known]


def _check_masks_fit(path: Path, video: _Video) -> None:
    """Refuse masks most of which lie elsewhere than their boxes, as they do when height and width are exchanged."""
    if not video.codes or video.size is None:
        return
    from pycocotools import mask as coco_mask

    boxes = np.array([row[1:5] for row in video.rows])
    found = coco_mask.toBbox([coco_code(code, video.size) for code in video.codes])
    found[:, 2:] += found[:, :2]
    shared = np.minimum(boxes[:, 2:], found[:, 2:]) - np.maximum(boxes[:, :2], found[:, :2])
    overlap = np.maximum(shared, 0).prod(axis=1)
    joined = (boxes[:, 2:] - boxes[:, :2]).prod(axis=1) + (found[:, 2:] - found[:, :2]).prod(axis=1) - overlap
    ious = overlap / np.maximum(joined, 1e-9)
    if np.median(ious) < LEAST_FIT:
        place = int(ious.argmin())
        reject(
            path,
            video.places[place],
            "masks within their boxes",
            f"a mask in {found[place].round(1).tolist()} for the box {boxes[place].round(1).tolist()} (xyxy), and most "
            "others like it",
            unit=UNIT,
            remedy="write size as [height, width], and bbox as [x, y, width, height]",
        )


def _left_out(video: _Video) -> list[str]:
    notes = []
    if video.unsized:
        notes.append(
            f"{video.unsized} masks are polygons of images whose size the file does not say, only boxes are read; "
            "give images with width and height, a seqinfo.ini with imWidth and imHeight, or run-length codes"
        )
    if video.crowds:
        notes.append(f"{video.crowds} crowd regions (iscrowd) are left out")
    return notes


def _json(path: Path, text: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise DetectionsError(
            f"{path}:{error.lineno}", f"expected JSON, found {error.msg}", "write the file again"
        ) from error
    except (ValueError, RecursionError) as error:
        raise DetectionsError(path, f"expected JSON of COCO, found {error}", "write the file again") from error


def _read_entry(
    path: Path,
    place: int,
    entry: Any,
    *,
    images: dict[int, CocoImage] | None,
    videos: dict[str, _Video],
    image_size: Size | None,
) -> None:
    """Add one result or annotation to its video."""
    image_id = whole_of(entry.get("image_id")) if isinstance(entry, dict) else None
    category = whole_of(entry.get("category_id")) if isinstance(entry, dict) else None
    score: Any = entry.get("score", 1.0) if isinstance(entry, dict) else None
    if image_id is None or category is None or not _is_number(score):
        _refuse(path, place, "a whole image_id and category_id, bbox [x, y, w, h] and score, finite numbers", entry)
    if images is None:
        if image_id < 0:
            _refuse(path, place, "a whole image_id from 0 (the frame number)", entry)
        name = f"video {whole_of(entry.get('video_id'))}"
        image = CocoImage(frame=image_id, video=name if name in videos else "", size=None)
    elif image_id not in images:
        _refuse(path, place, f"an image_id that images lists, not {image_id}", entry)
    else:
        image = images[image_id]
    video = videos[image.video]
    if entry.get("iscrowd"):
        video.crowds += 1
        return
    code, size = _code(path, place, entry, image.size or image_size or video.size)
    if code is not None and video.size not in (None, size):
        _refuse(path, place, f"masks of height {video.size[1]} and width {video.size[0]} as before", entry)
    box = _box(path, place, entry, code, size)
    if box[2] <= box[0] or box[3] <= box[1]:
        video.skipped += 1
        return
    video.rows.append((image.frame, *box, float(score), category, -1.0))
    video.places.append(place)
    if code is not None:
        video.size = size
        video.codes.append(code)
    video.unsized += code is None and isinstance(entry.get("segmentation"), list) and bool(entry["segmentation"])


def _box(path: Path, place: int, entry: dict[str, Any], code: str | None, size: Size | None) -> tuple[float, ...]:
    """``x1, y1, x2, y2`` of an entry; of its mask where it has no bbox."""
    box = entry.get("bbox")
    if box is None and code is not None and size is not None:
        from pycocotools import mask as coco_mask

        box = coco_mask.toBbox(coco_code(code, size)).tolist()
    if not isinstance(box, list) or len(box) != 4 or not all(map(_is_number, box)):
        _refuse(path, place, "bbox [x, y, w, h] of finite numbers", entry)
    x, y, width, height = map(float, box)
    if width < 0 or height < 0:
        reject(path, place, "a box of positive width and height", f"{width:g} x {height:g}", unit=UNIT)
    return x, y, x + width, y + height


def _code(path: Path, place: int, entry: dict[str, Any], known: Size | None) -> tuple[str | None, Size | None]:
    """The compressed run-length code of an entry's mask and its size; ``None`` where it has none that can be read."""
    shape = entry.get("segmentation")
    if shape is None or shape == []:
        return None, None
    if isinstance(shape, list):
        return (None, None) if known is None else (_polygon_code(path, place, shape, known), known)
    sides = shape.get("size") if isinstance(shape, dict) else None
    size = size_of(sides[1], sides[0]) if isinstance(sides, list) and len(sides) == 2 else None
    if size is None:
        _refuse(path, place, "a segmentation of polygons, or of size [height, width] and counts", entry)
    if known not in (None, size):
        _refuse(path, place, f"a mask of size {[known[1], known[0]]} as the image, not {sides}", entry)
    counts = shape.get("counts")
    if isinstance(counts, list) and all(whole_of(count) is not None and count >= 0 for count in counts):
        lengths = np.array(counts, np.int64)
        if lengths.sum() == size[0] * size[1]:
            return encode_runs(lengths, size), size
    if not isinstance(counts, str) or run_total(counts) != size[0] * size[1]:
        reject(
            path,
            place,
            f"a run-length code of {size[0]}x{size[1]} pixels",
            quote(str(counts)),
            unit=UNIT,
            remedy="write the code of the whole image, size as [height, width]",
        )
    return counts, size


def _polygon_code(path: Path, place: int, outlines: list[Any], size: Size) -> str:
    width, height = size
    for outline in outlines:
        points = outline if isinstance(outline, list) else []
        if len(points) < LEAST_POLYGON or len(points) % 2 or not all(map(_is_number, points)):
            reject(path, place, "polygons [x, y, x, y, x, y, ...]", quote(str(outline)), unit=UNIT)
        corners = np.array(points, np.float64).reshape(-1, 2)
        # What lies far outside costs memory by its length when it is drawn.
        if (corners < (-width, -height)).any() or (corners > (2 * width, 2 * height)).any():
            reject(path, place, f"polygons within the image of {width}x{height}", quote(str(outline)), unit=UNIT)
    return encode_polygons(outlines, size)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and bool(abs(value) <= GREATEST_PX)


def _refuse(path: Path, place: int, expected: str, entry: Any) -> NoReturn:
    reject(path, place, expected, quote(str(entry)), unit=UNIT)


def result_entry(
    image_id: int,
    category_id: int,
    box: Sequence[float],
    *,
    score: float,
    code: dict[str, Any] | None = None,
    track_id: int | None = None,
) -> dict[str, Any]:
    """One result; the box to a hundredth of a pixel, the score to five digits.

    Args:
        image_id: Its image.
        category_id: Its class.
        box: xyxy in image px.
        score: In 0..1.
        code: The mask, a compressed run-length code with its ``size``.
        track_id: The identity.

    >>> result_entry(1, 3, (10, 20, 30.5, 40), score=0.75, track_id=7)
    {'image_id': 1, 'category_id': 3, 'bbox': [10.0, 20.0, 20.5, 20.0], 'score': 0.75, 'track_id': 7}
    """
    x1, y1, x2, y2 = (round(float(value), 2) for value in box)
    entry: dict[str, Any] = {
        "image_id": image_id,
        "category_id": category_id,
        "bbox": [x1, y1, round(x2 - x1, 2), round(y2 - y1, 2)],
        "score": round(score, 5),
    }
    if code is not None:
        entry["segmentation"] = code
    if track_id is not None:
        entry["track_id"] = track_id
    return entry


class CocoIds:
    """Which ``image_id`` and ``category_id`` a result carries.

    Without an annotations file images count from 1 in the order of the stream and categories are ``class_id + 1``.

    Args:
        class_names: Names in ``class_ids`` order.
        annotations: COCO file whose ``images`` (``id``, ``file_name``) and, if it has them, ``categories`` (``id``,
            ``name``) are followed. Classes that it does not know are left out of the results.

    Raises:
        ConfigError: The file is missing or is not COCO, or none of its categories is one of ours.
    """

    def __init__(self, *, class_names: Sequence[str], annotations: str | os.PathLike[str] | None = None) -> None:
        self._annotations = annotations
        self._images: dict[str, int] | None = None
        self._categories: list[int | None] = [class_id + 1 for class_id in range(len(class_names))]
        if annotations is None:
            return
        document = _document(annotations)
        self._images = _names(annotations, document["images"])
        categories = _category_ids(annotations, document.get("categories") or [])
        if categories:
            self._categories = [categories.get(name) for name in class_names]
            if all(category is None for category in self._categories):
                raise ConfigError(
                    annotations,
                    f"expected categories among {', '.join(class_names)}, found {', '.join(categories)}",
                    "rename the categories or leave them out of the file",
                )

    def image_id(self, source: str, index: int) -> int:
        """The id of the image that ``source`` names; without an annotations file of the ``index``-th image.

        Raises:
            SinkError: The annotations file does not list the image.
        """
        if self._images is None:
            return index + 1
        # The longest tail of the path that the file knows: "a/1.jpg" and "b/1.jpg" may both be listed.
        parts = PurePath(source).parts
        for start in range(len(parts)):
            found = self._images.get("/".join(parts[start:]))
            if found is not None:
                return found
        raise SinkError(
            source,
            f"expected an image that {self._annotations} lists, found no entry with this file_name",
            "add it there, or take only the listed images",
        )

    def category_id(self, class_id: int) -> int | None:
        """The category of a class, ``None`` where the annotations file does not know it."""
        return self._categories[class_id]


def _category_ids(path: str | os.PathLike[str], categories: Any) -> dict[str, int]:
    try:
        return {str(entry["name"]): int(entry["id"]) for entry in categories}
    except (KeyError, TypeError, ValueError) as failure:
        problem = f"expected categories with name and a whole-number id, found one without: {failure}"
        raise ConfigError(path, problem, "give every category both") from failure


def _document(path: str | os.PathLike[str]) -> dict[str, Any]:
    try:
        document = json.loads(read_text(Path(path)))
    except SourceError as failure:
        raise ConfigError(path, f"expected a COCO file: {failure.problem}", failure.remedy) from failure
    except (ValueError, RecursionError) as failure:
        raise ConfigError(path, f"expected a COCO file, found no JSON: {failure}", "check the file") from failure
    if not isinstance(document, dict) or not isinstance(document.get("images"), list):
        raise ConfigError(path, 'expected a COCO file with a list of "images", found none', "give an annotations file")
    return document


def _names(path: str | os.PathLike[str], images: list[Any]) -> dict[str, int]:
    try:
        names = {str(PurePath(entry["file_name"]).as_posix()): int(entry["id"]) for entry in images}
    except (KeyError, TypeError, ValueError) as failure:
        problem = f"expected images with file_name and a whole-number id, found one without: {failure}"
        raise ConfigError(path, problem, "give every image both") from failure
    if len(names) != len(images):
        twice = Counter(str(PurePath(entry["file_name"]).as_posix()) for entry in images).most_common(1)[0][0]
        raise ConfigError(path, f"expected each file_name once, found {twice!r} again", "list every image once")
    return names
