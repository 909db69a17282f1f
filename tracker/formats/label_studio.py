"""Label Studio's JSON of videos: tracks of boxes (``VideoRectangle``) in percent of the picture.

Format: https://labelstud.io/tags/videorectangle and https://labelstud.io/guide/task_format. Frames count from 1. A
keyframe with ``enabled: false`` is the last one that is shown before a gap, or before the end. Regions of videos are
boxes: brush masks are of images only.
"""

from __future__ import annotations

import itertools
import json
import math
import re
from typing import TYPE_CHECKING, Any
from xml.sax.saxutils import quoteattr

from tracker.formats.annotation import Annotations, Shape, between, reject

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path
    from typing import BinaryIO

    from tracker.formats.annotation import Expected, Recording, ShownRow

__all__ = ["label_studio_config", "read_label_studio", "write_label_studio"]

REGION = re.compile(r"identity-(\d{1,12})")
SIDES = ("x", "y", "width", "height")


def label_studio_config(labels: Iterable[str], *, fps: float) -> str:
    """Labelling interface of a project for these tracks."""
    names = "".join(f"    <Label value={quoteattr(name)}/>\n" for name in labels)
    return (
        "<View>\n"
        f'  <Labels name="label" toName="video">\n{names}  </Labels>\n'
        f'  <Video name="video" value="$video" framerate="{fps:g}"/>\n'
        '  <VideoRectangle name="box" toName="video"/>\n'
        "</View>\n"
    )


def write_label_studio(
    target: BinaryIO,
    recording: Recording,
    tracks: Iterable[tuple[int, str]],
    rows: Callable[[int], Iterable[ShownRow]],
) -> None:
    """Write one task with its annotation; memory holds one box.

    Args:
        target: Of the JSON.
        recording: What Label Studio is told of it.
        tracks: Identities and their classes.
        rows: Of an identity, in order of the frames.

    Raises:
        OSError: The system refuses.
    """
    width, height = recording.size
    data = {"video": f"/data/local-files/?d={recording.name}", "width": width, "height": height}
    target.write(f'[{{"data":{json.dumps(data)},"annotations":[{{"result":[\n'.encode())
    for place, (identity, label) in enumerate(tracks):
        region = {"id": f"identity-{identity}", "from_name": "box", "to_name": "video", "type": "videorectangle"}
        value = {"framesCount": recording.last_frame + 1, "duration": recording.last_s, "labels": [label]}
        opening = json.dumps(region | {"value": value}, ensure_ascii=False)[:-2]
        target.write(f'{"," if place else ""}{opening}, "sequence":['.encode())
        for number, (row, following) in enumerate(itertools.pairwise(_with_end(rows(identity)))):
            assert row is not None  # noqa: S101 - only the last one is
            enabled = following is not None and following.frame <= row.frame + recording.step
            target.write((",\n" * bool(number) + json.dumps(_keyframe(row, recording, enabled=enabled))).encode())
        target.write(b"]}}\n")
    target.write(b"]}]}]\n")


def _with_end(rows: Iterable[ShownRow]) -> Iterator[ShownRow | None]:
    yield from rows
    yield None


def _keyframe(row: ShownRow, recording: Recording, *, enabled: bool) -> dict[str, Any]:
    width, height = recording.size
    x1, y1, x2, y2 = row.box
    places = {"x": 100 * x1 / width, "y": 100 * y1 / height}
    sizes = {"width": 100 * (x2 - x1) / width, "height": 100 * (y2 - y1) / height}
    return {"frame": row.frame + 1, "time": row.time_s, "enabled": enabled, "rotation": 0, **places, **sizes}


def read_label_studio(path: Path, expected: Expected) -> Annotations:
    """Read the tracks of an exported task; the file is read as a whole.

    A relation between two regions says that they are one object.

    Raises:
        DetectionsError: The JSON is broken, of another picture, or has unknown labels.
        OSError: The file cannot be read.
    """
    try:
        tasks = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as failure:
        reject(path, getattr(failure, "lineno", ""), "JSON that Label Studio exported", str(failure))
    task = _task(path, tasks)
    data = task.get("data") or {}
    stated = data.get("width"), data.get("height")
    if None not in stated and stated != expected.size:
        wanted = f"a picture of {expected.size[0]} x {expected.size[1]}, as the records have"
        reject(path, "", wanted, f"{stated[0]} x {stated[1]}", "name that recording's file")
    found = Annotations(shapes=iter(()), source=str(data.get("video", "")).rpartition("/")[2])
    regions: dict[str, int] = {}
    shapes = []
    results = _result(path, task)
    for result in results:
        if isinstance(result, dict) and result.get("type") == "videorectangle":
            number = len(regions) + 1
            region = str(result.get("id", number))
            regions[region] = number
            found.labels[number] = _label(path, result, expected)
            shapes.append(_shapes(path, result, number, expected, found))
        elif not isinstance(result, dict) or result.get("type") != "relation":
            found.left_out[str(result.get("type")) if isinstance(result, dict) else "results"] += 1
    for result in results:
        if isinstance(result, dict) and result.get("type") == "relation":
            ends = str(result.get("from_id")), str(result.get("to_id"))
            if not set(ends) <= set(regions):
                reject(path, "", "relations between regions of the video", f"one of {' and '.join(ends)}")
            found.joined.append((regions[ends[0]], regions[ends[1]]))
    found.shapes = itertools.chain.from_iterable(shapes)
    return found


def _task(path: Path, tasks: Any) -> dict[str, Any]:
    found = tasks if isinstance(tasks, list) else [tasks]
    if len(found) != 1:
        reject(path, "", "one task", f"{len(found)}", "export the task of this recording alone")
    if not isinstance(found[0], dict) or "annotations" not in found[0]:
        reject(path, "", "a task with annotations", "none", "export as JSON (not JSON-MIN)")
    return dict(found[0])


def _result(path: Path, task: dict[str, Any]) -> list[Any]:
    """Of the annotation that was changed last."""
    whole = [one for one in task["annotations"] or [] if isinstance(one, dict) and not one.get("was_cancelled")]
    if not whole:
        reject(path, "", "an annotation", "none", "submit the task, and export it again")
    result = max(whole, key=lambda one: str(one.get("updated_at", ""))).get("result")
    if not isinstance(result, list):
        reject(path, "", "the results of an annotation", type(result).__name__)
    return result


def _label(path: Path, result: dict[str, Any], expected: Expected) -> str:
    labels = (result.get("value") or {}).get("labels") or [""]
    if labels[0] not in expected.labels:
        known = ", ".join(sorted(expected.labels))
        remedy = "choose one of them, or allow it: --label NAME"
        reject(path, "", f"one of the classes {known}", f"{labels[0]!r} of region {result.get('id')}", remedy)
    return str(labels[0])


def _shapes(path: Path, result: dict[str, Any], number: int, expected: Expected, found: Annotations) -> Iterator[Shape]:
    match = REGION.fullmatch(str(result.get("id")))
    hint = int(match[1]) if match else 0
    place = f"region {result.get('id')}"
    try:
        value = result["value"]
        keys = sorted(value["sequence"], key=lambda key: key["frame"])
        count = int(value.get("framesCount") or 0)
        made = [(_shape(key, number, hint, expected), bool(key.get("enabled", True))) for key in keys]
    except (KeyError, TypeError, ValueError) as failure:
        reject(path, "", f"a sequence of boxes in {place}", f"{type(failure).__name__}: {failure}")
    found.left_out["rotation of a box"] += sum(bool(key.get("rotation")) for key in keys)
    for (shape, enabled), (following, _) in itertools.pairwise([*made, (None, False)]):
        assert shape is not None  # noqa: S101 - only the last one is
        if following is not None and following.frame <= shape.frame:
            reject(path, "", f"a frame once in {place}", f"frame {shape.frame + 1} twice")
        yield shape
        if enabled:
            yield from between(shape, following or shape._replace(frame=count), expected.last_frame)


def _shape(key: dict[str, Any], number: int, hint: int, expected: Expected) -> Shape:
    width, height = expected.size
    x, y, across, down = (float(key[name]) for name in SIDES)
    frame = int(key["frame"]) - 1
    if not all(map(math.isfinite, (x, y, across, down))) or across <= 0 or down <= 0 or frame < 0:
        message = f"no box in frame {key['frame']}"
        raise ValueError(message)
    left, top = x * width / 100, y * height / 100
    box = (left, top, left + across * width / 100, top + down * height / 100)
    return Shape(number, frame, box, True, hint, "")
