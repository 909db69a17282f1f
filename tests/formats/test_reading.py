"""What is read from odd but legal files, and what is refused by line instead of being guessed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pycocotools import mask as coco_mask

from tracker.errors import ConfigError, DetectionsError, SinkError, SourceError
from tracker.formats.detection_files import read_detections, read_videos
from tracker.formats.run_length import decode_rle, encode_rle
from tracker.formats.sequences import open_sequences
from tracker.measure.associate import associate


def text(path: Path, *lines: str) -> Path:
    path.write_text("".join(line + "\n" for line in lines), encoding="utf-8")
    return path


def document(path: Path, value: Any) -> Path:
    path.write_text(json.dumps(value))
    return path


# ---- columns --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "class_id", "visibility"),
    [
        ("1,-1,10,20,30,40,0.5", -1, -1),
        ("1,-1,10,20,30,40,0.5,", -1, -1),
        ("1, -1, 10, 20, 30, 40, 0.5, 3", 3, -1),
        ("1 -1 10 20 30 40 0.5 3 0.25", 3, 0.25),
        ("1,-1,10,20,30,40,0.5,3,0.25", 3, 0.25),
        ("1,-1,10,20,30,40,0.5,-1,-1,-1", -1, -1),
        ("1,-1,10,20,30,40,0.5,3,-1,-1", 3, -1),
        ("1,-1,10,20,30,40,0.5,4.5,-7.25,0", -1, -1),
    ],
)
def test_columns_behind_the_score_mean_what_their_number_says(
    tmp_path: Path, line: str, class_id: int, visibility: float
) -> None:
    detections = read_detections(text(tmp_path / "d.txt", line))
    assert detections.boxes.tolist() == [[10, 20, 40, 60]]
    assert detections.scores.tolist() == [0.5]
    assert detections.class_ids.tolist() == [class_id]
    assert detections.visibilities.tolist() == [visibility]
    assert bool(detections.notes) == ("4.5" in line)


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("1,,100,200,50,80,0.9,1,1", "nothing for id"),
        ("1,-1,100,200,50,80,,1,1", "nothing for conf"),
        ("1,-1,100,200,,80,0.9", "nothing for w"),
        ("1.5,-1,10,20,30,40,0.5", "whole frame number"),
        ("1,2.5,10,20,30,40,0.5", "a whole number for id, found 2.5"),
        ("1,-1,1_0,20,30,40,0.5", "'1_0' for x"),
        ("1;-1;10;20;30;40;0,5", "found 2 in"),
        ("1,-1,10,20,30,40,0.5,1,1,0", "may be a class or a place"),
        ("1,-1,10,20,30,40,0.5,1,1,0,7", "7 to 10 numbers"),
        ("1,-1,1e9,20,30,40,0.5", "a box in pixels"),
        ("1999999999,-1,10,20,30,40,0.5", "without great gaps, found 1999999999 after"),
        ("9" * 30 + ",-1,10,20,30,40,0.5", "a frame number"),
        ("0 0.5 0.5 0.1 0.2 0.91 3", "YOLO"),
        ("0 0.5 0.5 0.1 0.2 0.91", "YOLO"),
        ("0 0.5 0.5 0.1 0.2", "YOLO"),
    ],
)
def test_what_may_have_shifted_is_refused_by_line(tmp_path: Path, line: str, found: str) -> None:
    path = text(tmp_path / "d.txt", "1 -1 10 20 30 40 0.5", line)
    with pytest.raises(DetectionsError, match=found) as caught:
        read_detections(path)
    assert caught.value.offender == f"{path}:2"
    assert caught.value.remedy


def test_boxes_as_shares_of_the_image_are_refused(tmp_path: Path) -> None:
    path = text(tmp_path / "d.txt", "1,1,0.5,0.5,0.1,0.2,0.9", "2,1,0.5,0.5,0.1,0.2,0.9")
    with pytest.raises(DetectionsError, match=r"pixels, found all boxes of the file within 0\.\.1"):
        read_detections(path)


def test_masks_whose_code_is_all_digits_are_not_taken_for_boxes(tmp_path: Path) -> None:
    code = encode_rle(np.array([[False, True], [True, True]]))["counts"]
    assert code == "13"
    detections = read_detections(text(tmp_path / "d.txt", "1 0 2 2 2 13 0.5", "2 0 2 2 2 13 0.75"))
    assert (detections.format, detections.codes, detections.image_size) == ("mots", ("13", "13"), (2, 2))
    boxes = read_detections(text(tmp_path / "d.txt", "1 0 2 2 2 13 0.5", "2 0 2 2 3 13 0.75"))
    assert (boxes.format, boxes.boxes.tolist()) == ("mot", [[2, 2, 4, 15], [2, 2, 5, 15]])


def test_kittis_object_labels_are_told_from_its_tracking_text(tmp_path: Path) -> None:
    path = text(tmp_path / "000000.txt", "Car 0.00 0 -1.58 587.01 173.33 614.12 200.12 1.65 1.67 3.64 -0.65 1.71 46 -1")
    with pytest.raises(DetectionsError, match="object labels have no frames"):
        read_detections(path)


# ---- scores ---------------------------------------------------------------------------------------------------------


def scored(path: Path, layout: str, scores: list[float]) -> Path:
    code = encode_rle(np.eye(4, dtype=np.bool_))["counts"]
    place = "1.5 1.6 3.9 1.0 2.0 30.0 0.1"
    if layout == "coco":
        entry = {"category_id": 1, "bbox": [10, 20, 30, 40]}
        return document(path, [{**entry, "image_id": n, "score": score} for n, score in enumerate(scores)])
    row = {
        "mot": "{n},-1,10,20,30,40,{s}",
        "mots": "{n} 0 1 4 4 " + code + " {s}",
        "kitti": "{n} -1 Car 0 1 -1.57 10 20 40 60 " + place + " {s}",
    }[layout]
    return text(path, *(row.format(n=n, s=score) for n, score in enumerate(scores)))


@pytest.mark.parametrize("layout", ["mot", "mots", "kitti", "coco"])
def test_one_rule_of_scores_holds_for_every_format(tmp_path: Path, layout: str) -> None:
    path = tmp_path / "d"
    plain = read_detections(scored(path, layout, [0, 0.3, 1]))
    assert (plain.scores.tolist(), plain.notes) == ([0, 0.3, 1], ())
    margins = read_detections(scored(path, layout, [-0.5, 0.25, 2]))
    np.testing.assert_allclose(margins.scores, 1 / (1 + np.exp([0.5, -0.25, -2])), rtol=1e-12)
    assert margins.notes == ("scores from -0.5 to 2 are taken for logits and pass through the logistic function",)
    unknown = read_detections(scored(path, layout, [-1, -1, -1]))
    assert unknown.scores.tolist() == [1, 1, 1]
    assert unknown.notes == ("every score is -1, taken as unknown: 1 each",)
    unit = "entry 1" if layout == "coco" else "2"
    for scores, found in (([0.5, -1, 0.75], "-1 among scores"), ([50, 87.5, 3], "87.5 in a file without negative")):
        with pytest.raises(DetectionsError, match=found) as caught:
            read_detections(scored(path, layout, scores))
        assert caught.value.offender == f"{path}:{unit}"


def test_public_detections_with_margins_or_without_scores_give_identities(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for name, draw in (("margins", lambda: rng.uniform(-0.6, 0.4)), ("unknown", lambda: -1)):
        rows = [
            f"{t},-1,{x},100,60,150,{draw():.3f},-1,-1,-1" for t in range(1, 31) for x in (100 + 5 * t, 600 - 4 * t)
        ]
        result = associate(text(tmp_path / f"{name}.txt", *rows), tmp_path / "out.txt")[0]
        assert result.identities == 2
        assert len(result.notes) == 1


def test_a_file_without_any_identity_says_why(tmp_path: Path) -> None:
    result = associate(text(tmp_path / "d.txt", "1,-1,10,20,30,40,0.01"), tmp_path / "out.txt", fps=10)[0]
    assert result.identities == 0
    assert result.notes == (
        "no identity: 1 detections with scores from 0.01 to 0.01, none of them often or surely enough in one place",
    )


# ---- encodings ------------------------------------------------------------------------------------------------------


def test_a_byte_order_mark_is_no_character(tmp_path: Path) -> None:
    path = tmp_path / "d.txt"
    path.write_bytes(b"\xef\xbb\xbf1,-1,10,20,30,40,0.5\r\n2,-1,10,20,30,40,0.5\r\n")
    assert read_detections(path).frames.tolist() == [1, 2]
    path.write_bytes(b"\xef\xbb\xbf[]")
    assert read_detections(path).format == "coco"
    (tmp_path / "seqinfo.ini").write_bytes(b"\xef\xbb\xbf[Sequence]\nframeRate=5\nseqLength=9\nname=100%\n")
    text(tmp_path / "det.txt", "1,-1,10,20,30,40,0.5")
    sequence = open_sequences(tmp_path)[0]
    assert (sequence.fps, sequence.length) == (5, 9)


def test_other_encodings_are_named_with_their_line(tmp_path: Path) -> None:
    path = tmp_path / "d.txt"
    path.write_bytes(b"1,-1,10,20,30,40,0.5\n2,-1,10,20,30,40,0.5 caf\xe9\n")
    with pytest.raises(DetectionsError, match="the byte 0xe9") as caught:
        read_detections(path)
    assert caught.value.offender == f"{path}:2"
    path.write_bytes("1,-1,10,20,30,40,0.5\n".encode("utf-16"))
    with pytest.raises(DetectionsError, match="UTF-16"):
        read_detections(path)
    (tmp_path / "seqinfo.ini").write_bytes(b"[Sequence]\nname=caf\xe9\n")
    with pytest.raises(SourceError, match="the byte 0xe9"):
        open_sequences(tmp_path)


# ---- COCO -----------------------------------------------------------------------------------------------------------

SIZE = (200, 100)


def mask(x: int) -> np.ndarray:
    pixels = np.zeros(SIZE[::-1], np.bool_)
    pixels[20:60, x : x + 30] = True
    return pixels


def segmented(shape: str, x: int) -> Any:
    if shape == "polygon":
        return [[x, 20, x + 30, 20, x + 30, 60, x, 60]]
    flat = mask(x).ravel(order="F")
    edges = np.flatnonzero(np.diff(flat)) + 1
    counts = np.diff([0, *edges, flat.size]).tolist()
    return {"size": [100, 200], "counts": counts if shape == "uncompressed" else encode_rle(mask(x))["counts"]}


def result(image_id: int, x: int, shape: str | None = None, **more: Any) -> dict[str, Any]:
    entry = {"image_id": image_id, "category_id": 1, "bbox": [x, 20, 30, 40], "score": 0.9, **more}
    return entry if shape is None else {**entry, "segmentation": segmented(shape, x)}


@pytest.mark.parametrize("shape", ["polygon", "uncompressed", "compressed"])
def test_masks_of_every_kind_are_kept(tmp_path: Path, shape: str) -> None:
    images = [{"id": n, "width": 200, "height": 100} for n in range(1, 6)]
    entries = [result(n, 10 + 2 * n, shape) for n in range(1, 6)]
    detections = read_detections(document(tmp_path / "r.json", {"images": images, "annotations": entries}))
    assert detections.image_size == SIZE
    for number, code in enumerate(detections.codes, 1):
        assert np.array_equal(decode_rle({"size": [100, 200], "counts": code}), mask(10 + 2 * number))
    assert detections.notes == ()


def test_polygons_of_unknown_images_are_said_to_be_left_out(tmp_path: Path) -> None:
    path = document(tmp_path / "det.json", [result(n, 10 + 2 * n, "polygon") for n in range(1, 6)])
    detections = read_detections(path)
    assert (detections.codes, len(detections)) == ((), 5)
    assert detections.notes[0].startswith("5 masks are polygons of images whose size the file does not say")
    (tmp_path / "seqinfo.ini").write_text("[Sequence]\nimWidth=200\nimHeight=100\n")
    assert open_sequences(tmp_path)[0].detections.image_size == SIZE


def test_masks_of_height_and_width_exchanged_are_refused(tmp_path: Path) -> None:
    swapped = [
        {**result(n, 12), "segmentation": {"size": [200, 100], "counts": encode_rle(mask(12))["counts"]}}
        for n in range(1, 6)
    ]
    with pytest.raises(DetectionsError, match="entry 0: expected masks within their boxes"):
        read_detections(document(tmp_path / "r.json", swapped))
    (tmp_path / "seqinfo.ini").write_text("[Sequence]\nimWidth=200\nimHeight=100\n")
    text(tmp_path / "det_mots.txt", f"1 0 1 200 100 {encode_rle(mask(12))['counts']} 0.5")
    with pytest.raises(DetectionsError, match="height 100 and width 200 as the images, found 200 and 100"):
        open_sequences(tmp_path)


def test_a_mask_without_box_has_that_of_its_pixels(tmp_path: Path) -> None:
    entry = result(1, 12, "uncompressed")
    del entry["bbox"]
    assert read_detections(document(tmp_path / "r.json", [entry])).boxes.tolist() == [[12, 20, 42, 60]]


def test_crowd_regions_are_left_out_and_counted(tmp_path: Path) -> None:
    detections = read_detections(document(tmp_path / "r.json", [result(1, 5), result(1, 90, iscrowd=1)]))
    assert len(detections) == 1
    assert detections.notes == ("1 crowd regions (iscrowd) are left out",)


def shuffled(order: list[int], **image: Any) -> dict[str, Any]:
    images = [{"id": n, "file_name": f"frame_{frame}.png", **image} for n, frame in enumerate(order)]
    return {"images": images, "annotations": [result(n, 9 * frame) for n, frame in enumerate(order)]}


def test_images_are_put_in_the_order_of_their_names(tmp_path: Path) -> None:
    path = tmp_path / "r.json"
    ordered = read_detections(document(path, shuffled(list(range(1, 11)))))
    assert ordered.frames.tolist() == list(range(10)), "ids that agree with the names stay"
    assert ordered.notes == ()
    detections = read_detections(document(path, shuffled([7, 2, 9, 1, 5, 10, 3, 8, 6, 4])))
    assert detections.frames.tolist() == list(range(1, 11))
    assert detections.boxes[:, 0].tolist() == [9 * frame for frame in range(1, 11)], "2 comes before 10"
    assert "order of the images' file names" in detections.notes[0]


def test_a_frame_index_goes_before_names(tmp_path: Path) -> None:
    value = shuffled([3, 1, 2])
    for image, index in zip(value["images"], (0, 20, 10), strict=True):
        image["frame_index"] = index
    detections = read_detections(document(tmp_path / "r.json", value))
    assert detections.frames.tolist() == [0, 10, 20]
    assert detections.boxes[:, 0].tolist() == [27, 18, 9]
    assert "frame_index" in detections.notes[0]


def test_every_video_is_a_sequence(tmp_path: Path) -> None:
    images = [{"id": n, "video_id": 1 + (n > 5), "frame_id": (n - 1) % 5} for n in range(1, 11)]
    value = {
        "videos": [{"id": 1, "name": "day/north"}, {"id": 2}],
        "images": images,
        "annotations": [result(n, 10) for n in range(1, 11)],
    }
    path = document(tmp_path / "two.json", value)
    videos = read_videos(path)
    assert {name: detections.frames.tolist() for name, detections in videos.items()} == {
        "north": [0, 1, 2, 3, 4],
        "video 2": [0, 1, 2, 3, 4],
    }
    results = associate(path, tmp_path / "out", fps=10)
    assert [(r.name, r.identities) for r in results] == [("north", 1), ("video 2", 1)]
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["north.txt", "video 2.txt"]
    with pytest.raises(SinkError, match="a folder for 2 videos"):
        associate(path, tmp_path / "out.txt")
    with pytest.raises(DetectionsError, match="one video, found 2: north, video 2"):
        read_detections(path)


def test_results_that_name_their_video_are_told_apart(tmp_path: Path) -> None:
    entries = [result(n, 10, video_id=number) for number in (7, 3) for n in (1, 2)]
    videos = read_videos(document(tmp_path / "r.json", entries))
    assert {name: detections.frames.tolist() for name, detections in videos.items()} == {
        "video 3": [1, 2],
        "video 7": [1, 2],
    }
    del entries[2]["video_id"]
    with pytest.raises(DetectionsError, match="entry 2: expected a whole video_id"):
        read_videos(document(tmp_path / "r.json", entries))


@pytest.mark.parametrize(
    ("value", "found"),
    [
        ({"videos": [{"id": 1}, {"id": 2}], "annotations": []}, "images with video_id, found 2 videos"),
        ({"videos": [{"id": 1}], "images": [{"id": 1, "video_id": 7}], "annotations": []}, "of a listed video"),
        ({"images": [{"id": 1}, {"id": 1}], "annotations": []}, "a whole id of its own"),
        ({"images": [{"id": 1}], "annotations": [result(2, 5)]}, "images lists, not 2"),
        (
            {"images": [{"id": n, "file_name": f"{n}/1.jpg"} for n in (1, 2)], "annotations": []},
            "one video, found those of 2 folders",
        ),
        ([{**result(1, 5), "image_id": True}], "whole image_id"),
        ([{**result(1, 5), "image_id": 10**400}], "whole image_id"),
        ([{**result(1, 5), "score": "0.5"}], "and score"),
        ([{**result(1, 5), "bbox": [1, 2, 3, 1e300]}], "finite numbers"),
        ([result(1, 5, "compressed"), result(2, 5)], "a mask for each of 2"),
        ([{**result(1, 5), "segmentation": {"size": [200, 100], "counts": "PS1X"}}], "of 100x200 pixels"),
        ([{**result(1, 5), "segmentation": {"size": [100, 200], "counts": [1, 2, 3]}}], "of 200x100 pixels"),
        ([{**result(1, 5), "segmentation": {"size": [100, 200], "counts": [-1, 20001]}}], "of 200x100 pixels"),
        ([{**result(1, 5), "segmentation": {"size": [10**6, 10**6], "counts": "0"}}], "size \\[height, width\\]"),
        (
            {"images": [{"id": 1, "width": 9, "height": 9}], "annotations": [result(1, 5, "compressed")]},
            "as the image, not",
        ),
        (
            {
                "images": [{"id": 1, "width": 9, "height": 9}],
                "annotations": [{**result(1, 5), "segmentation": [[0, 0, 1e6, 0, 9, 9]]}],
            },
            "polygons within the image of 9x9",
        ),
        (
            {"images": [{"id": 1, "width": 9, "height": 9}], "annotations": [{**result(1, 5), "segmentation": [[0]]}]},
            "polygons \\[x, y",
        ),
    ],
)
def test_coco_that_cannot_be_meant_is_refused(tmp_path: Path, value: Any, found: str) -> None:
    with pytest.raises(DetectionsError, match=found):
        read_detections(document(tmp_path / "r.json", value))


def test_json_that_nests_too_deep_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "r.json").write_text("[" * 100_000)
    with pytest.raises(DetectionsError, match="JSON"):
        read_detections(tmp_path / "r.json")


@pytest.mark.parametrize("name", ["out.json", "out.parquet", "out.CSV", "out.mots.txt"])
def test_a_result_under_the_name_of_another_format_is_refused(tmp_path: Path, name: str) -> None:
    path = document(tmp_path / "r.json", [result(n, 10 + n) for n in range(1, 6)])
    with pytest.raises(ConfigError, match=r"expected a name in \.txt for MOTChallenge text") as caught:
        associate(path, tmp_path / name)
    assert f"name it {tmp_path / 'out.txt'}" in caught.value.remedy
    assert [entry.name for entry in tmp_path.iterdir()] == ["r.json"]
    assert associate(path, tmp_path / "out")[0].notes == ()


def test_polygon_unions_are_pycocotools_own(tmp_path: Path) -> None:
    outlines = [[10, 10, 60, 10, 60, 50], [40, 20, 120, 25, 90, 80]]
    value = {
        "images": [{"id": 1, "width": 200, "height": 100}],
        "annotations": [{**result(1, 5), "bbox": [10, 10, 110, 70], "segmentation": outlines}],
    }
    expected = coco_mask.merge(coco_mask.frPyObjects(outlines, 100, 200))["counts"].decode()
    assert read_detections(document(tmp_path / "r.json", value)).codes == (expected,)
