"""Records read back by json, csv, pyarrow, pycocotools and TrackEval-style parsing."""

from __future__ import annotations

import csv
import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

from tests.sinks.streams import CLASS_NAMES, stream, tracked_frame
from tracker.errors import ConfigError, SinkError
from tracker.formats.run_length import decode_rle
from tracker.plugins import open_sink

FRAMES = list(stream())
ROWS = sum(len(frame.tracks) for frame in FRAMES)
SEEN_ROWS = sum(len(frame.instances) for frame in FRAMES)


def written(tmp_path: Path, name: str, frames=FRAMES, **options) -> Path:
    path = tmp_path / name
    with open_sink(path, class_names=CLASS_NAMES, **options) as sink:
        for frame in frames:
            sink.write(frame)
    return path


def whole_mask(frame, row):
    return frame.instances.masks.full(row, frame.instances.boxes[row])


def test_json_lines_hold_every_identity(tmp_path):
    rows = [json.loads(line) for line in written(tmp_path, "out.jsonl").read_text().splitlines()]
    assert len(rows) == ROWS
    first = rows[0]
    assert (first["frame"], first["time_s"], first["id"], first["class"]) == (0, 0.0, 1, "car")
    assert first["box"] == [4.0, 40.25, 44.0, 80.5]
    assert first["velocity_px_s"] == [12.5, 12.5]
    assert first["score"] == pytest.approx(0.9, abs=1e-4)
    mask = decode_rle(first["mask"])
    assert np.array_equal(mask, whole_mask(FRAMES[0], 0))
    assert first["area_px"] == mask.sum()


def test_rows_whose_time_is_that_of_arrival_say_so(tmp_path):
    frames = [
        dataclasses.replace(one, frame=dataclasses.replace(one.frame, time_from=time_from))
        for one, time_from in zip(FRAMES, ["stamps", "rate", "arrival"], strict=False)
    ]
    rows = [json.loads(line) for line in written(tmp_path, "out.jsonl", frames).read_text().splitlines()]
    assert {row["frame"]: row.get("time_from") for row in rows} == {0: None, 1: None, 2: "arrival"}


def test_coasting_rows_say_so_and_have_no_mask(tmp_path):
    rows = [json.loads(line) for line in written(tmp_path, "out.jsonl").read_text().splitlines()]
    coasting = [row for row in rows if row["coasting"]]
    assert len(coasting) == ROWS - SEEN_ROWS == 3
    assert all(row["mask"] is None and row["detection"] is None and row["area_px"] is None for row in coasting)
    kept = written(tmp_path, "seen.jsonl", coasting=False).read_text().splitlines()
    assert len(kept) == SEEN_ROWS


def test_pandas_style_columns_are_the_same_in_every_line(tmp_path):
    keys = {tuple(json.loads(line)) for line in written(tmp_path, "out.jsonl").read_text().splitlines()}
    assert len(keys) == 1


def test_json_lines_with_polygons_and_without_masks(tmp_path):
    polygons = json.loads(written(tmp_path, "a.jsonl", masks="polygon").read_text().splitlines()[0])["mask"]
    assert len(polygons) == 1
    assert len(polygons[0]) % 2 == 0
    bare = json.loads(written(tmp_path, "b.jsonl", masks="none").read_text().splitlines()[0])
    assert "mask" not in bare
    assert bare["area_px"] > 0


def test_without_tracks_rows_are_instances(tmp_path):
    frames = list(stream(tracked=False))
    rows = [json.loads(line) for line in written(tmp_path, "out.jsonl", frames).read_text().splitlines()]
    assert {row["id"] for row in rows} == {None}
    assert [row["detection"] for row in rows[:2]] == [0, 1]


def test_folders_of_images_name_the_file(tmp_path):
    frames = [tracked_frame(0, boxes=[(1, 2, 30, 40)], source="shots/a b.jpg")]
    row = json.loads(written(tmp_path, "out.jsonl", frames, image_names=True).read_text())
    assert row["image"] == "a b.jpg"


def test_csv_is_read_by_the_csv_module(tmp_path):
    with written(tmp_path, "out.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == ROWS
    assert [float(rows[0][key]) for key in ("x1", "y1", "x2", "y2")] == [4.0, 40.25, 44.0, 80.5]
    assert rows[0]["coasting"] == "0"
    assert any(row["coasting"] == "1" and row["detection"] == "" for row in rows)


def test_csv_masks_are_json(tmp_path):
    with written(tmp_path, "out.csv", masks="rle").open(newline="") as file:
        row = next(csv.DictReader(file))
    assert np.array_equal(decode_rle(json.loads(row["mask"])), whole_mask(FRAMES[0], 0))


def test_csv_of_an_empty_stream_is_its_header(tmp_path):
    assert written(tmp_path, "out.csv", []).read_text().startswith("frame,time_s,id,class,class_then,score,x1")


def test_parquet_is_read_by_pyarrow(tmp_path):
    parquet = pytest.importorskip("pyarrow.parquet")
    rows = parquet.read_table(written(tmp_path, "out.parquet")).to_pylist()
    lines = [json.loads(line) for line in written(tmp_path, "out.jsonl").read_text().splitlines()]
    assert len(rows) == ROWS
    for row, line in zip(rows, lines, strict=True):
        assert [row["x1"], row["y1"], row["x2"], row["y2"]] == line["box"]
        assert row["mask"] == line["mask"]
        assert {key: row[key] for key in ("frame", "time_s", "id", "class", "score", "coasting", "detection")} == {
            key: line[key] for key in ("frame", "time_s", "id", "class", "score", "coasting", "detection")
        }


@pytest.mark.parametrize("masks", ["polygon", "none"])
def test_parquet_with_other_masks(tmp_path, masks):
    parquet = pytest.importorskip("pyarrow.parquet")
    table = parquet.read_table(written(tmp_path, "out.parquet", masks=masks))
    assert table.num_rows == ROWS
    assert ("mask" in table.column_names) == (masks == "polygon")


def test_parquet_row_groups_are_bounded(tmp_path):
    parquet = pytest.importorskip("pyarrow.parquet")
    from tracker.sinks.parquet import ParquetSink

    with ParquetSink(tmp_path / "out.parquet", group_rows=8) as sink:
        for frame in FRAMES:
            sink.write(frame)
            assert len(sink._rows) < 8
    file = parquet.ParquetFile(tmp_path / "out.parquet")
    assert file.num_row_groups == -(-ROWS // 8)
    assert file.read().num_rows == ROWS


def test_parquet_of_an_empty_stream_has_columns(tmp_path):
    parquet = pytest.importorskip("pyarrow.parquet")
    table = parquet.read_table(written(tmp_path, "out.parquet", []))
    assert table.num_rows == 0
    assert "time_s" in table.column_names


def test_parquet_without_pyarrow_names_the_command(tmp_path, monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(ConfigError, match=r"pip install .pyarrow>="):
        open_sink(tmp_path / "out.parquet", class_names=CLASS_NAMES)
    assert not list(tmp_path.iterdir())


def test_mot_text_counts_frames_from_one(tmp_path):
    table = np.loadtxt(written(tmp_path, "out.txt"), delimiter=",")
    assert table.shape == (ROWS, 9)
    assert table[0].tolist() == pytest.approx([1, 1, 4.0, 40.25, 40.0, 40.25, 0.9, 3, 1])
    assert table[:, 0].max() == 17


def test_mot_text_holds_predicted_rows_as_csv_does(tmp_path):
    table = np.loadtxt(written(tmp_path, "out.txt"), delimiter=",")
    with written(tmp_path, "out.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(int(row["frame"]) + 1, int(row["id"]), 1 - int(row["coasting"])) for row in rows] == [
        tuple(map(int, row)) for row in table[:, [0, 1, 8]]
    ]
    assert (table[:, 8] == 0).sum() == 3
    seen = np.loadtxt(written(tmp_path, "seen.txt", coasting=False), delimiter=",")
    assert seen.tolist() == table[table[:, 8] == 1].tolist()


def test_mot_text_without_tracks_is_a_detections_file(tmp_path):
    table = np.loadtxt(written(tmp_path, "det.txt", list(stream(tracked=False))), delimiter=",")
    assert set(table[:, 1]) == {-1}
    assert set(table[:, 8]) == {-1}


def test_scores_ids_areas_and_coasting_are_the_same_in_every_format(tmp_path):
    lines = [json.loads(line) for line in written(tmp_path, "a.jsonl").read_text().splitlines()]
    seen = [row for row in lines if not row["coasting"]]
    with written(tmp_path, "a.csv").open(newline="") as file:
        table = list(csv.DictReader(file))
    assert [row["area_px"] for row in table] == [str(row["area_px"] or "") for row in lines]
    assert [row["area_px"] for row in seen] == [int(decode_rle(row["mask"]).sum()) for row in seen]
    keys = [(row["frame"], row["id"], row["score"]) for row in lines]
    assert [(int(row["frame"]), int(row["id"]), float(row["score"])) for row in table] == keys
    mot = np.loadtxt(written(tmp_path, "a.txt"), delimiter=",")
    assert [(int(row[0]) - 1, int(row[1]), row[6]) for row in mot] == keys
    assert [row["coasting"] for row in lines] == [bool(int(row["coasting"])) for row in table]
    assert [row["coasting"] for row in lines] == (mot[:, 8] == 0).tolist()
    mots = [line.split() for line in written(tmp_path, "a.mots.txt").read_text().splitlines()]
    assert [(int(row[0]) - 1, int(row[1])) for row in mots] == [(row["frame"], row["id"]) for row in seen]
    coco = json.loads(written(tmp_path, "a.coco.json").read_text())
    assert [(row["image_id"] - 1, row["track_id"], round(row["score"], 4)) for row in coco] == [
        (row["frame"], row["id"], row["score"]) for row in seen
    ]
    assert [row["segmentation"] for row in coco] == [row["mask"] for row in seen]


@pytest.mark.parametrize("masks", ["rle", "polygon", "none"])
def test_the_area_is_the_same_however_masks_are_exported(tmp_path, masks):
    rows = [json.loads(line) for line in written(tmp_path, "a.jsonl", masks=masks).read_text().splitlines()]
    whole = [int(whole_mask(frame, row).sum()) for frame in FRAMES for row in range(len(frame.instances))]
    assert [row["area_px"] for row in rows if not row["coasting"]] == whole


def test_mots_text_is_disjoint_and_complete(tmp_path):
    lines = [line.split() for line in written(tmp_path, "out.mots.txt").read_text().splitlines()]
    assert {len(fields) for fields in lines} == {6}
    by_frame: dict[int, list[np.ndarray]] = {}
    for frame, identity, class_id, height, width, counts in lines:
        assert (int(class_id), int(height), int(width)) == ({"1": 1, "2": 2}[identity], 120, 160)
        mask = decode_rle({"size": [int(height), int(width)], "counts": counts})
        by_frame.setdefault(int(frame), []).append(mask)
    overlaps = 0
    for frame in FRAMES:
        if not len(frame.instances):
            continue
        masks = by_frame[frame.frame.index + 1]
        assert sum(mask.astype(int) for mask in masks).max() == 1
        whole = [whole_mask(frame, row) for row in range(len(frame.instances))]
        assert np.array_equal(np.any(masks, axis=0), np.any(whole, axis=0))
        overlaps += int(sum(mask.astype(int) for mask in whole).max() > 1)
    assert overlaps > 0


def test_mots_text_without_tracks_has_scores(tmp_path):
    lines = [
        line.split() for line in written(tmp_path, "det.mots.txt", list(stream(tracked=False))).read_text().splitlines()
    ]
    assert {len(fields) for fields in lines} == {7}
    assert {fields[1] for fields in lines} == {"0"}
    assert float(lines[0][6]) == pytest.approx(0.9, abs=1e-4)


def test_mots_text_without_masks_is_empty(tmp_path):
    assert written(tmp_path, "out.mots.txt", [tracked_frame(boxes=[(1, 1, 30, 30)], masks=False)]).read_text() == ""


def ground_truth(images, categories=((1, "person"), (2, "bicycle"), (3, "car"))):
    return {
        "info": {},
        "images": [{"id": number, "file_name": name, "height": 120, "width": 160} for number, name in images],
        "categories": [{"id": number, "name": name} for number, name in categories],
        "annotations": [],
    }


def test_coco_results_are_loaded_by_pycocotools(tmp_path, capsys):
    from pycocotools.coco import COCO

    path = written(tmp_path, "out.coco.json")
    truth = COCO()
    truth.dataset = ground_truth([(n + 1, f"{n}.jpg") for n in range(len(FRAMES))])
    truth.createIndex()
    results = truth.loadRes(str(path))
    capsys.readouterr()
    annotations = results.loadAnns(results.getAnnIds(imgIds=[1]))
    assert [entry["category_id"] for entry in annotations] == [3, 1]
    assert np.array_equal(results.annToMask(annotations[0]), whole_mask(FRAMES[0], 0))
    assert len(results.getAnnIds()) == SEEN_ROWS
    assert {entry["track_id"] for entry in results.dataset["annotations"]} == {1, 2}


def test_coco_results_follow_an_annotations_file(tmp_path):
    annotations = tmp_path / "images.json"
    annotations.write_text(json.dumps(ground_truth([(77, "b/x.jpg"), (78, "a/x.jpg")], [(90, "car")])))
    frames = [
        tracked_frame(0, boxes=[(4, 4, 60, 60), (70, 4, 120, 60)], class_ids=[2, 0], source=f"/data/{folder}/x.jpg")
        for folder in ("a", "b")
    ]
    entries = json.loads(written(tmp_path, "out.coco.json", frames, coco_annotations=annotations).read_text())
    assert [(entry["image_id"], entry["category_id"]) for entry in entries] == [(78, 90), (77, 90)]


def test_coco_results_refuse_unlisted_images(tmp_path):
    annotations = tmp_path / "images.json"
    annotations.write_text(json.dumps(ground_truth([(1, "x.jpg")])))
    with (
        pytest.raises(SinkError, match=r"y\.jpg.*lists"),
        open_sink(tmp_path / "o.coco.json", class_names=CLASS_NAMES, coco_annotations=annotations) as sink,
    ):
        sink.write(tracked_frame(0, boxes=[(4, 4, 60, 60)], source="y.jpg"))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{", "no JSON"),
        ("[]", "images"),
        ('{"images": [{"id": 1}]}', "file_name"),
        ('{"images": [{"id": 1, "file_name": "a"}, {"id": 2, "file_name": "a"}]}', "each file_name once, found 'a'"),
        ('{"images": [], "categories": [{"id": 1}]}', "categories with name"),
        ('{"images": [], "categories": 3}', "categories with name"),
        ("[" * 100_000, "no JSON"),
        ('{"images": [], "categories": [{"id": 1, "name": "dog"}]}', "dog"),
    ],
)
def test_malformed_annotations_are_named(tmp_path, text, expected):
    (tmp_path / "images.json").write_text(text)
    with pytest.raises(ConfigError, match=expected):
        open_sink(tmp_path / "o.coco.json", class_names=CLASS_NAMES, coco_annotations=tmp_path / "images.json")
    with pytest.raises(ConfigError, match="No such file"):
        open_sink(tmp_path / "o.coco.json", class_names=CLASS_NAMES, coco_annotations=tmp_path / "none.json")


def test_coco_results_of_an_empty_stream_are_an_empty_list(tmp_path):
    assert json.loads(written(tmp_path, "out.coco.json", []).read_text()) == []


def test_every_record_of_a_frame_shares_one_lift(tmp_path, monkeypatch):
    from tracker.masks.grid_masks import GridMasks

    lifted, lift = [], GridMasks.lift

    def counting(masks, row, box):
        lifted.append(row)
        return lift(masks, row, box)

    monkeypatch.setattr(GridMasks, "lift", counting)
    sinks = [open_sink(tmp_path / name, class_names=CLASS_NAMES) for name in ("a.jsonl", "a.mots.txt", "a.coco.json")]
    for frame in stream():
        for sink in sinks:
            sink.write(frame)
    for sink in sinks:
        sink.close()
    assert len(lifted) == SEEN_ROWS
