"""Detection files of every layout, and each way in which one can be wrong."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from tracker.errors import DetectionsError, SourceError
from tracker.formats.detection_files import read_detections
from tracker.formats.run_length import encode_rle, run_total
from tracker.formats.sequences import open_sequences

INFO = "[Sequence]\nname=a\nframeRate=3.333333\nseqLength=9\nimWidth=64\nimHeight=48\n"


def code_of(mask: np.ndarray) -> str:
    return encode_rle(mask)["counts"]


def silhouette() -> np.ndarray:
    mask = np.zeros((48, 62), np.bool_)
    mask[10:30, 20:41] = True
    mask[10:14, 20:24] = False
    return mask


def test_motchallenge_rows_become_instances_by_frame(tmp_path: Path) -> None:
    path = tmp_path / "det.txt"
    path.write_text("2,-1,10,20,30,40,0.5,3,-1\n\n1,-1,1.5,2,3,4,0.9\n2,-1,5,6,7,8,0.25,1,0.5\n")
    detections = read_detections(path)
    assert detections.format == "mot"
    assert detections.frames.tolist() == [1, 2, 2]
    assert detections.class_ids.tolist() == [-1, 3, 1]
    assert detections.visibilities.tolist() == [-1, -1, 0.5]
    instances = detections.instances(2)
    np.testing.assert_array_equal(instances.boxes, np.array([[10, 20, 40, 60], [5, 6, 12, 14]], np.float32))
    assert instances.scores.tolist() == [0.5, 0.25]
    assert instances.masks is None
    assert len(detections.instances(7)) == 0


def test_mots_rows_keep_their_code_and_get_a_grid(tmp_path: Path) -> None:
    path = tmp_path / "det_mots.txt"
    code = code_of(silhouette())
    path.write_text(f"1 0 2 48 62 {code} 0.75\n3 0 1 48 62 {code}\n")
    detections = read_detections(path)
    assert detections.format == "mots"
    assert detections.codes == (code, code)
    assert detections.image_size == (62, 48)
    instances = detections.instances(1)
    np.testing.assert_array_equal(instances.boxes, [[20, 10, 41, 30]])
    assert instances.scores[0] == 0.75
    assert detections.scores[1] == 1.0
    grid = instances.masks
    assert grid is not None
    assert grid.step_px == (4.0, 4.0)
    assert grid.probabilities.shape == (1, 12, 16)
    padded = np.zeros((48, 64))
    padded[:, :62] = silhouette()
    expected = padded.reshape(12, 4, 16, 4).mean(axis=(1, 3)) * 255
    assert np.abs(grid.probabilities[0] - expected).max() <= 1


def test_large_masks_get_coarser_cells(tmp_path: Path) -> None:
    mask = np.zeros((2160, 3840), np.bool_)
    mask[104:304, 3000:3840] = True
    path = tmp_path / "d.txt"
    path.write_text(f"1 0 1 2160 3840 {code_of(mask)} 0.5\n")
    grid = read_detections(path).instances(1).masks
    assert grid is not None
    assert grid.step_px == (8.0, 8.0)
    assert grid.areas_px()[0] == pytest.approx(mask.sum())


def test_coco_results_count_image_ids_as_frames(tmp_path: Path) -> None:
    path = tmp_path / "r.json"
    entry = {"image_id": 3, "category_id": 2, "bbox": [20, 10, 21, 20], "score": 0.5}
    path.write_text(json.dumps([entry, {**entry, "image_id": 1}]))
    detections = read_detections(path)
    assert detections.frames.tolist() == [1, 3]
    assert detections.boxes[0].tolist() == [20, 10, 41, 30]
    segmented = {**entry, "segmentation": {"size": [48, 62], "counts": code_of(silhouette())}}
    path.write_text(json.dumps([segmented]))
    assert read_detections(path).codes == (code_of(silhouette()),)


def test_rows_without_area_are_left_out_and_counted(tmp_path: Path) -> None:
    path = tmp_path / "det.txt"
    path.write_text("1,-1,10,20,0,40,0.5\n1,-1,10,20,30,40,0.5\n")
    detections = read_detections(path)
    assert len(detections) == 1
    assert detections.skipped_empty == 1


def test_sequences_know_their_clock_and_their_empty_frames(tmp_path: Path) -> None:
    for name in ("b", "a"):
        (tmp_path / name / "det").mkdir(parents=True)
        (tmp_path / name / "seqinfo.ini").write_text(INFO)
        (tmp_path / name / "det" / "det.txt").write_text("2,-1,10,20,30,40,0.5\n")
    (tmp_path / "notes").mkdir()
    sequences = open_sequences(tmp_path)
    assert [s.name for s in sequences] == ["a", "b"]
    assert sequences[0].fps == pytest.approx(10 / 3)
    assert [frame for frame, _ in sequences[0].frames()] == list(range(1, 10))
    assert [len(instances) for _, instances in sequences[0].frames()] == [0, 1, 0, 0, 0, 0, 0, 0, 0]
    alone = open_sequences(tmp_path / "a" / "det" / "det.txt")[0]
    assert alone.fps == pytest.approx(10 / 3), "the folder's clock"


def test_frames_may_count_from_zero(tmp_path: Path) -> None:
    path = tmp_path / "det.txt"
    path.write_text("0,-1,10,20,30,40,0.5\n2,-1,10,20,30,40,0.5\n")
    assert [frame for frame, _ in open_sequences(path)[0].frames()] == [0, 1, 2]


def test_an_empty_file_is_a_sequence_of_nothing(tmp_path: Path) -> None:
    path = tmp_path / "det.txt"
    path.write_text("\n")
    assert list(open_sequences(path)[0].frames()) == []


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("1,-1,10,20,30", "7 to 10 numbers"),
        ("1,-1,10,20,x,40,0.5", "numbers frame"),
        ("1,-1,10,20,nan,40,0.5", "finite"),
        ("1,-1,inf,20,30,40,0.5", "finite"),
        ("1,-1,10,20,-3,40,0.5", "positive width and height, found -3 x 40"),
        ("1.5,-1,10,20,30,40,0.5", "whole frame number"),
        ("-1,-1,10,20,30,40,0.5", "frame number"),
        ("1,-1,10,20,30,40,nan", "finite"),
        ("1,-1,10,20,30,40,0.5,1.5", "whole class number"),
    ],
)
def test_a_malformed_box_names_file_and_line(tmp_path: Path, line: str, found: str) -> None:
    path = tmp_path / "det.txt"
    path.write_text(f"1,-1,10,20,30,40,0.5\n\n{line}\n")
    with pytest.raises(DetectionsError, match=found) as caught:
        read_detections(path)
    assert str(caught.value).startswith(f"{path}:3: expected")
    assert "remedy:" in str(caught.value)


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("1 0 1 48", "6 or 7 fields"),
        ("1 0 1 48 62 13 0.5", "2976 pixels"),
        ("1 0 1 48 62 \x7f\x7f 0.5", "2976 pixels"),
        ("1 0 car 48 62 13 0.5", "numbers in"),
        ("1 0 1 2 2 13 0.5", "as in the lines before"),
        ("1 0 1 48 62 CODE nan", "finite score"),
        ("1 0 1 0 62 CODE 0.5", "positive size"),
    ],
)
def test_a_malformed_mask_names_file_and_line(tmp_path: Path, line: str, found: str) -> None:
    path = tmp_path / "det_mots.txt"
    code = code_of(silhouette())
    path.write_text(f"1 0 2 48 62 {code} 0.75\n{line.replace('CODE', code)}\n")
    with pytest.raises(DetectionsError, match=found) as caught:
        read_detections(path)
    assert str(caught.value).startswith(f"{path}:2: ")


@pytest.mark.parametrize(
    "text",
    [
        "[{]",
        '{"images": []}',
        '[{"image_id": 1, "category_id": 2, "bbox": [1, 2, 3], "score": 1}]',
        '[{"image_id": 1, "category_id": 2, "bbox": [1, 2, -3, 4], "score": 1}]',
        '[{"image_id": "x", "category_id": 2, "bbox": [1, 2, 3, 4], "score": 1}]',
        '[{"image_id": 1, "category_id": 2, "bbox": [1, 2, NaN, 4], "score": 1}]',
        "[3]",
    ],
)
def test_malformed_coco_results_are_one_line(tmp_path: Path, text: str) -> None:
    path = tmp_path / "r.json"
    path.write_text(text)
    with pytest.raises(DetectionsError, match="expected"):
        read_detections(path)


def test_what_is_no_detections_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="found nothing"):
        open_sequences(tmp_path / "missing.txt")
    with pytest.raises(SourceError, match=r"seqinfo\.ini"):
        open_sequences(tmp_path)
    (tmp_path / "video.mp4").write_bytes(b"\x00\x00\x00\x18ftyp\xff\xfe")
    with pytest.raises(DetectionsError, match="binary"):
        read_detections(tmp_path / "video.mp4")
    (tmp_path / "seqinfo.ini").write_text(INFO)
    with pytest.raises(SourceError, match=r"det\.txt"):
        open_sequences(tmp_path)
    (tmp_path / "det.txt").write_text("1,-1,10,20,30,40,0.5\n")
    (tmp_path / "seqinfo.ini").write_text(INFO.replace("3.333333", "fast"))
    with pytest.raises(SourceError, match="framerate"):
        open_sequences(tmp_path)


def test_run_totals_equal_the_size_of_random_masks() -> None:
    generator = np.random.default_rng(0)
    for _ in range(20):
        height, width = generator.integers(1, 40, 2)
        mask = generator.random((height, width)) < generator.random()
        assert run_total(code_of(mask)) == height * width


@pytest.mark.data
def test_the_benchmark_reads(data_root: Path) -> None:
    sequences = open_sequences(data_root / "tracking" / "dev" / "KITTI-third")
    assert len(sequences) == 11
    assert sum(len(s.detections) for s in sequences) == 9453
    assert sequences[0].fps == pytest.approx(10 / 3, abs=1e-5)
