"""CVAT for video 1.1: what is written is read by Datumaro, and what CVAT exports is read here."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path
from xml.etree import ElementTree as ET

import numpy as np
import pytest

from tests.formats.annotated import SIZE, mask_of
from tracker.errors import DetectionsError
from tracker.formats.annotation import Expected, Recording, Shape, ShownRow
from tracker.formats.cvat import cvat_labels, read_cvat, write_cvat
from tracker.formats.run_length import decode_rle

RECORDING = Recording(name="gate & co.mp4", size=SIZE, last_frame=9, last_s=0.9, step=1, labels=("car", "person"))
EXPECTED = Expected(size=SIZE, last_frame=9, labels=frozenset({"car", "person"}))
TRACKS = {
    4: ("car", [ShownRow(frame, frame / 10, (1.25, 2, 7.5, 9), False, mask_of(1, 2)["counts"]) for frame in (0, 1, 5)]),
    7: ("person", [ShownRow(frame, frame / 10, (30, 20, 41, 40.01), True, "") for frame in (8, 9)]),
}


def written(*, masks: bool = True) -> bytes:
    target = io.BytesIO()
    tracks = [(identity, label) for identity, (label, _) in TRACKS.items()]
    write_cvat(target, RECORDING, tracks, lambda identity: TRACKS[identity][1], masks=masks)
    return target.getvalue()


def read(tmp_path: Path, text: bytes | str) -> list[Shape]:
    path = tmp_path / "x.xml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return list(read_cvat(path, EXPECTED).shapes)


def video(tracks: str, *, size: str = "<width>64</width><height>48</height>") -> str:
    task = f"<task><name>t</name><original_size>{size}</original_size><source>gate.mp4</source></task>"
    return f"<annotations><version>1.1</version><meta>{task}</meta>{tracks}</annotations>"


def box(frame: int, *, keyframe: int = 1, outside: int = 0, left: float = 1, more: str = "") -> str:
    return (
        f'<box frame="{frame}" outside="{outside}" occluded="0" keyframe="{keyframe}" xtl="{left}" ytl="2" '
        f'xbr="{left + 4}" ybr="9" z_order="0"{more}/>'
    )


def test_every_shape_has_what_the_importer_of_cvat_takes() -> None:
    """Attributes that ``load_anno`` of CVAT's ``dataset_manager/formats/cvat.py`` (MIT) reads by name."""
    tree = ET.fromstring(written())
    assert tree.findtext("version") == "1.1"
    assert tree.findtext("meta/task/source") == "gate & co.mp4"
    assert tree.findtext("meta/task/labels/label/attributes/attribute/name") == "identity"
    tracks = tree.findall("track")
    assert [track.get("id") for track in tracks] == ["0", "1", "2", "3", "4"]
    needed = {"box": {"xtl", "ytl", "xbr", "ybr"}, "mask": {"rle", "left", "top", "width", "height"}}
    for track in tracks:
        shapes = list(track)
        assert {shape.tag for shape in shapes} < {"box", "mask"}
        assert {"frame", "outside", "occluded", "keyframe"} <= set(shapes[0].keys())
        assert needed[shapes[0].tag] <= set(shapes[0].keys())
        frames = [int(shape.get("frame", "")) for shape in shapes]
        assert frames == sorted(set(frames))
        assert frames[-1] <= RECORDING.last_frame
    assert [(shape.get("frame"), shape.get("outside")) for shape in tracks[0]] == [
        ("0", "0"), ("1", "0"), ("2", "1"), ("5", "0"), ("6", "1"),
    ]  # fmt: skip
    assert [(shape.get("frame"), shape.get("occluded")) for shape in tracks[4]] == [("8", "1"), ("9", "1")]
    for mask in tree.iter("mask"):
        runs = list(map(int, mask.get("rle", "").split(", ")))
        height, width = int(mask.get("height", "")), int(mask.get("width", ""))
        crop = np.repeat(np.arange(len(runs)) % 2 == 1, runs).reshape(height, width)
        whole = decode_rle(mask_of(1, 2))
        assert np.array_equal(whole[2 : 2 + height, 1 : 1 + width], crop)
        assert crop.sum() == whole.sum()


def test_labels_are_those_of_the_raw_constructor() -> None:
    labels = json.loads(cvat_labels(["car", "Tür"]))
    assert [label["name"] for label in labels] == ["car", "Tür"]
    (attribute,) = labels[0]["attributes"]
    assert (attribute["name"], attribute["mutable"], attribute["input_type"]) == ("identity", True, "number")


def test_what_is_written_is_read_back_exactly(tmp_path: Path) -> None:
    shapes = read(tmp_path, written())
    boxes = [(shape.hint, shape.frame, shape.box) for shape in shapes if shape.box is not None]
    assert boxes == [(one, row.frame, row.box) for one, (_, rows) in TRACKS.items() for row in rows]
    masks = [(shape.hint, shape.frame, shape.mask) for shape in shapes if shape.box is None]
    assert masks == [(4, row.frame, row.mask) for row in TRACKS[4][1]]


def test_only_tracks_of_boxes_are_remembered(tmp_path: Path) -> None:
    """A silhouette is a track too, and an hour has a million."""
    (tmp_path / "x.xml").write_bytes(written())
    found = read_cvat(tmp_path / "x.xml", EXPECTED)
    assert len(list(found.shapes)) == 8
    assert found.labels == {1: "car", 5: "person"}


def test_an_archive_of_cvat_is_read_like_its_file(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        archive.writestr("annotations.xml", written())
        archive.writestr("images/", "")
    shapes = list(read_cvat(tmp_path / "x.zip", EXPECTED).shapes)
    assert shapes == read(tmp_path, written())


def test_frames_between_keyframes_are_interpolated_as_cvat_does(tmp_path: Path) -> None:
    tracks = f'<track id="0" label="car">{box(0)}{box(4, left=9)}{box(5, outside=1)}{box(8)}</track>'
    shapes = read(tmp_path, video(tracks))
    assert [(shape.frame, shape.box[0] if shape.box else None, shape.keyframe) for shape in shapes] == [
        (0, 1.0, True), (1, 3.0, False), (2, 5.0, False), (3, 7.0, False), (4, 9.0, True), (8, 1.0, True),
    ]  # fmt: skip


def test_polygons_are_silhouettes_and_other_shapes_are_counted(tmp_path: Path) -> None:
    head = 'outside="0" occluded="0" keyframe="1"'
    turned = box(0, more=' rotation="12"')
    tracks = (
        f'<track id="0" label="car"><polygon frame="3" {head} points="1,1;5,1;5,5;1,5"/></track>'
        f'<track id="1" label="car"><ellipse frame="3" {head} cx="1" cy="1" rx="1" ry="1"/></track>'
        f'<track id="2" label="car">{turned}</track>'
    )
    path = tmp_path / "x.xml"
    path.write_text(video(tracks))
    found = read_cvat(path, EXPECTED)
    shapes = list(found.shapes)
    assert [(shape.frame, shape.box is None, bool(shape.mask)) for shape in shapes] == [
        (3, True, True),
        (0, False, False),
    ]
    assert found.left_out == {"ellipse": 1, "rotation of a box": 1}
    assert found.source == "gate.mp4"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("<annotations><track", "expected XML of CVAT"),
        ("<html></html>", "expected annotations of CVAT, found <html>"),
        ('<!DOCTYPE x [<!ENTITY a "b">]><annotations>&a;</annotations>', "without a document type"),
        (video('<image id="0"/>'), "CVAT for images"),
        (video("", size="<width>640</width><height>480</height>"), "found 640 x 480"),
        (video(f'<track id="0" label="lorry">{box(0)}</track>'), "one of the classes car, person, found 'lorry'"),
        (video(f'<track id="0" label="car">{box(3)}{box(3)}</track>'), "found 3 behind 3"),
        (
            video('<track id="0" label="car"><box frame="1" outside="0" occluded="0" keyframe="1"/></track>'),
            "a box with",
        ),
        (video('<track id="0" label="car"><box frame="x"/></track>'), "the number of a frame"),
        (
            video(
                '<track id="0" label="car"><mask frame="1" outside="0" occluded="0" keyframe="1" rle="1, 2" left="60" '
                'top="0" width="9" height="9"/></track>'
            ),
            "a mask within the picture",
        ),
        (
            video(
                '<track id="0" label="car"><mask frame="1" outside="0" occluded="0" keyframe="1" rle="1, 2" left="0" '
                'top="0" width="9" height="9"/></track>'
            ),
            "expected runs of 9 x 9",
        ),
        (video(f'<track id="0" task_id="1" label="car">{box(3)}</track><track task_id="2" label="car"/>'), "one task"),
        (video("").replace("<name>t</name>", "<frame_filter>step=5</frame_filter>"), "all frames of the video"),
    ],
)
def test_what_does_not_fit_is_one_clear_error(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(DetectionsError) as caught:
        read(tmp_path, text)
    assert said in str(caught.value)


def test_broken_archives_are_one_clear_error(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        archive.writestr("readme.txt", "")
    with pytest.raises(DetectionsError, match="one XML file in the archive"):
        list(read_cvat(tmp_path / "x.zip", EXPECTED).shapes)


@pytest.mark.slow
def test_datumaro_reads_the_tracks(tmp_path: Path) -> None:
    """Boxes only: Datumaro 1.13 expects masks in files of images."""
    pytest.importorskip("datumaro")
    from datumaro.components.dataset import Dataset

    (tmp_path / "gate.xml").write_bytes(written(masks=False))
    dataset = Dataset.import_from(str(tmp_path), "cvat")
    found = {
        (int(item.attributes["frame"]), int(one.attributes["identity"]), tuple(round(side, 2) for side in one.points))
        for item in dataset
        for one in item.annotations
        if not one.attributes["outside"]
    }
    assert found == {(row.frame, one, row.box) for one, (_, rows) in TRACKS.items() for row in rows}
