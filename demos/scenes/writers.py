"""Writers of scenes: video, images, MOTChallenge, MOTS and COCO truth, ``seqinfo.ini``.

Every file is written under a temporary name beside its own and renamed when it is whole; folders are made.
"""

from __future__ import annotations

import configparser
import contextlib
import io
import json
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from demos.scenes.world import CLASS_NAMES, frame_count
from tracker.errors import SinkError
from tracker.formats.run_length import encode_rle
from tracker.sinks.part_file import PartFile
from tracker.sinks.watched_file import BUFFER_BYTES, WatchedFile

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from numpy.typing import NDArray

    from demos.scenes.world import Scene, SceneTruth

__all__ = ["coco_document", "mot_lines", "mots_lines", "write_sequence", "write_text", "write_video"]

MOT_CLASSES = {0: 1, 1: 2, 2: 3, 3: 4, 4: 5, 5: 6}
"""Our class ids to ``gt.txt``: 1 pedestrian, 2 cyclist, 3 car; then 4 motorcycle, 5 bus, 6 truck."""
MOTS_CLASSES = {2: 1, 0: 2, 1: 3, 3: 4, 4: 5, 5: 6}
"""Our class ids to MOTS files: 1 car, 2 pedestrian as in KITTI; then 3 bicycle, 4 motorcycle, 5 bus, 6 truck."""
COCO_CATEGORIES = [{"id": number + 1, "name": name} for number, name in enumerate(CLASS_NAMES)]
"""Category ids as in the project's training data."""


@contextlib.contextmanager
def _atomic(path: Path) -> Iterator[PartFile]:
    """A file that becomes ``path`` when the block ends well and vanishes when it does not."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with PartFile(path) as part:
            yield part
    except OSError as error:
        raise SinkError(
            path, f"expected to write it, found: {error}", "choose a writable folder with free space"
        ) from error


def write_video(
    scene: Scene,
    path: str | Path,
    fps: float = 30.0,
    duration_s: float | None = None,
    *,
    quality: int = 20,
    times_s: Sequence[float] | None = None,
    on_frame: Callable[[NDArray[np.uint8], SceneTruth], None] | None = None,
) -> int:
    """Render a scene to an H.264 file.

    Args:
        scene: What to render.
        path: The file; its suffix names the container.
        fps: Frames per second.
        duration_s: Length; the scene's own by default.
        quality: x264's constant rate factor, 0 best to 51.
        times_s: Moments of the frames, for uneven ones; every ``1 / fps`` until ``duration_s`` by default.
        on_frame: Called with each picture and its truth.

    Returns:
        Frames written.

    Raises:
        SinkError: The file cannot be written.
    """
    import av

    target = Path(path)
    rate = Fraction(fps).limit_denominator(1001)
    count = 0
    with (
        _atomic(target) as part,
        WatchedFile(part.open(), name=str(target)) as file,
        av.open(file, "w", buffer_size=BUFFER_BYTES) as container,
    ):
        stream = container.add_stream("libx264", rate=rate, options={"crf": str(quality), "preset": "veryfast"})
        # H.264 with 4:2:0 chroma needs even sides; the odd row or column is repeated.
        width, height = scene.size
        stream.width, stream.height, stream.pix_fmt = width + width % 2, height + height % 2, "yuv420p"
        tick = 1 / rate if times_s is None else Fraction(1, 90_000)
        stream.time_base = stream.codec_context.time_base = tick
        if times_s is None:
            times_s = [
                index / fps for index in range(frame_count(fps, scene.duration_s if duration_s is None else duration_s))
            ]
        for time_s in times_s:
            rendered = scene.render(time_s)
            if on_frame is not None:
                on_frame(rendered.image, rendered.truth)
            picture = np.pad(rendered.image, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
            packed = av.VideoFrame.from_ndarray(picture, format="bgr24")
            packed.pts, packed.time_base = round(time_s / tick), tick
            container.mux(stream.encode(packed))
            count += 1
        container.mux(stream.encode(None))
    return count


def mot_lines(frame: int, truth: SceneTruth, *, amodal: bool = True) -> list[str]:
    """MOTChallenge truth of one frame: ``frame,id,x,y,w,h,conf,class,visibility``.

    Args:
        frame: Number of the frame, from 1.
        truth: Its truth.
        amodal: Boxes about the whole object as MOTChallenge asks, else about its visible part; ``conf`` is 0 (not
            evaluated) where nothing of the object shows.
    """
    lines = []
    for row in range(len(truth)):
        shows = int(truth.areas_px[row] > 0)
        if not amodal and not shows:
            continue
        x1, y1, x2, y2 = (truth.amodal_boxes if amodal else truth.boxes)[row].tolist()
        lines.append(
            f"{frame},{truth.ids[row]},{x1:.2f},{y1:.2f},{x2 - x1:.2f},{y2 - y1:.2f},{shows},"
            f"{MOT_CLASSES[int(truth.class_ids[row])]},{truth.visibility[row]:.3f}"
        )
    return lines


def mots_lines(frame: int, truth: SceneTruth) -> list[str]:
    """MOTS truth of one frame: ``frame id class h w rle``, visible objects only; ids carry no class."""
    width, height = truth.size
    return [
        f"{frame} {truth.ids[row]} {MOTS_CLASSES[int(truth.class_ids[row])]} {height} {width} "
        f"{encode_rle(truth.mask(int(row)))['counts']}"
        for row in np.flatnonzero(truth.areas_px > 0)
    ]


def coco_document(
    images: Iterable[tuple[str, SceneTruth]], *, min_area_px: int = 1, min_visibility: float = 0.0
) -> dict[str, Any]:
    """COCO instances (run-length masks) of rendered images.

    Args:
        images: File names with their truth.
        min_area_px: Objects with fewer visible pixels are marked ``iscrowd`` (ignored by evaluation and training).
        min_visibility: So are objects that show a smaller share.
    """
    document: dict[str, Any] = {
        "info": {"description": "masktrail rendered scenes", "labelled_categories": list(CLASS_NAMES)},
        "categories": COCO_CATEGORIES,
        "images": [],
        "annotations": [],
    }
    for number, (name, truth) in enumerate(images, start=1):
        width, height = truth.size
        document["images"].append({"id": number, "file_name": name, "width": width, "height": height})
        for row in np.flatnonzero(truth.areas_px > 0):
            x1, y1, x2, y2 = truth.boxes[row].tolist()
            small = truth.areas_px[row] < min_area_px or truth.visibility[row] < min_visibility
            document["annotations"].append(
                {
                    "id": len(document["annotations"]) + 1,
                    "image_id": number,
                    "category_id": int(truth.class_ids[row]) + 1,
                    "bbox": [x1, y1, x2 - x1, y2 - y1],
                    "area": int(truth.areas_px[row]),
                    "segmentation": encode_rle(truth.mask(int(row))),
                    "iscrowd": int(small),
                    "track_id": int(truth.ids[row]),
                    "visibility": round(float(truth.visibility[row]), 3),
                }
            )
    return document


def write_sequence(
    scene: Scene,
    folder: str | Path,
    fps: float = 30.0,
    duration_s: float | None = None,
    *,
    name: str | None = None,
    images: bool = False,
    video: bool = True,
    min_area_px: int = 1,
    min_visibility: float = 0.0,
) -> Path:
    """One sequence as evaluation and training tools expect it.

    ::

        folder/name/seqinfo.ini          MOTChallenge's description
                    gt/gt.txt            MOTChallenge truth, amodal boxes
                    gt/gt_mots.txt       MOTS truth, visible masks
                    name.mp4             with ``video``
                    img1/000001.png ...  with ``images``
                    instances.json       COCO, with ``images``

    Args:
        scene: What to render.
        folder: Where the sequence's folder goes.
        fps: Frames per second.
        duration_s: Length; the scene's own by default.
        name: The sequence's name; the scene's by default.
        images: Write each frame as a picture, with COCO instances.
        video: Write an H.264 file.
        min_area_px: See :func:`coco_document`.
        min_visibility: See :func:`coco_document`.

    Returns:
        The sequence's folder.

    Raises:
        SinkError: The folder cannot be written.
    """
    name = name or scene.name
    home = Path(folder) / name
    boxes: list[str] = []
    masks: list[str] = []
    pictures: list[tuple[str, SceneTruth]] = []

    def keep(image: NDArray[np.uint8] | None, truth: SceneTruth) -> None:
        number = len(pictures) + 1
        boxes.extend(mot_lines(number, truth))
        masks.extend(mots_lines(number, truth))
        pictures.append((f"img1/{number:06d}.png", truth))
        if images and image is not None:
            _write_image(home / pictures[-1][0], image)

    if video:
        write_video(scene, home / f"{name}.mp4", fps, duration_s, on_frame=keep)
    elif images:
        for frame, truth in scene.frames(fps, duration_s):
            keep(frame.image, truth)
    else:
        for truth in scene.truths(fps, duration_s):
            keep(None, truth)
    write_text(home / "gt" / "gt.txt", "".join(f"{line}\n" for line in boxes))
    write_text(home / "gt" / "gt_mots.txt", "".join(f"{line}\n" for line in masks))
    if images:
        document = coco_document(pictures, min_area_px=min_area_px, min_visibility=min_visibility)
        write_text(home / "instances.json", json.dumps(document))
    _write_seqinfo(
        home / "seqinfo.ini", scene, name, fps, frame_count(fps, scene.duration_s if duration_s is None else duration_s)
    )
    return home


def _write_seqinfo(path: Path, scene: Scene, name: str, fps: float, frames: int) -> None:
    """MOTChallenge's description of a sequence."""
    parser = configparser.ConfigParser()
    parser.optionxform = str  # type: ignore[assignment,method-assign] # the keys are in camel case
    parser["Sequence"] = {
        "name": name,
        "imDir": "img1",
        "frameRate": f"{fps:g}",
        "seqLength": str(frames),
        "imWidth": str(scene.size[0]),
        "imHeight": str(scene.size[1]),
        "imExt": ".png",
    }
    with _atomic(path) as part, part.open_text() as file:
        parser.write(file, space_around_delimiters=False)


def write_text(path: Path, text: str) -> None:
    """A text file, whole or not at all."""
    with _atomic(path) as part, part.open_text() as file:
        file.write(text)


def _write_image(path: Path, image: NDArray[np.uint8]) -> None:
    with _atomic(path) as part, io.BufferedWriter(part.open()) as file:
        file.write(cv2.imencode(".png", image)[1].tobytes())
