"""KITTI tracking text: what each line gives, how scores are read, folders of files, each way to be wrong."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tracker.errors import DetectionsError, SourceError
from tracker.formats.detection_files import read_detections
from tracker.formats.run_length import encode_rle
from tracker.formats.sequences import open_sequences

PLACE = "1.5 1.6 3.9 1.0 2.0 30.0 0.1"


def row(
    frame: int = 0, kind: str = "Car", box: str = "10.5 20 40.25 60", *, score: str = "", identity: int = -1
) -> str:
    return f"{frame} {identity} {kind} 0 1 -1.57 {box} {PLACE} {score}".rstrip()


def write(path: Path, *rows: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(line + "\n" for line in rows))
    return path


def test_rows_become_instances_and_keep_what_else_they_say(tmp_path: Path) -> None:
    path = write(tmp_path / "0000.txt", row(2, "Pedestrian", score="0.25"), "", row(0, score="0.5"), row(0, "Van"))
    detections = read_detections(path)
    assert detections.format == "kitti"
    assert detections.frames.tolist() == [0, 0, 2]
    assert detections.boxes[0].tolist() == [10.5, 20, 40.25, 60]
    assert detections.class_ids.tolist() == [3, 21, 1]
    assert detections.scores.tolist() == [0.5, 1.0, 0.25]
    assert detections.extras == (("0 1 -1.57", PLACE),) * 3


@pytest.mark.parametrize(
    ("kind", "class_id"),
    [
        ("Pedestrian", 1),
        ("Cyclist", 2),
        ("Car", 3),
        ("Person_sitting", 7),
        ("Person", 7),
        ("Van", 21),
        ("Truck", 22),
        ("Tram", 23),
        ("Misc", 24),
        ("car", 3),
    ],
)
def test_types_have_the_class_ids_of_the_coded_truth(tmp_path: Path, kind: str, class_id: int) -> None:
    assert read_detections(write(tmp_path / "d.txt", row(kind=kind))).class_ids.tolist() == [class_id]


def test_logits_anywhere_make_all_scores_of_the_file_logits(tmp_path: Path) -> None:
    path = write(tmp_path / "d.txt", row(score="0.5"), row(score="-2"), row(score="800"), row(score="-800"), row())
    chances = read_detections(path).scores
    np.testing.assert_allclose(chances, [1 / (1 + np.exp(-0.5)), 1 / (1 + np.exp(2)), 1, 0, 1], atol=1e-15)
    path = write(tmp_path / "d.txt", row(score="0"), row(score="1"), row(score="0.3"))
    assert read_detections(path).scores.tolist() == [0, 1, 0.3], "chances stay as they are"


def test_dont_care_regions_are_no_detections_and_boxes_without_area_are_counted(tmp_path: Path) -> None:
    region = "0 -1 DontCare -1 -1 -10 1 2 300 400 -1000 -1000 -1000 -10 -1 -1 -1"
    path = write(tmp_path / "d.txt", region, row(), row(box="10 20 10 60"))
    detections = read_detections(path)
    assert len(detections) == 1
    assert detections.skipped_empty == 1
    assert len(read_detections(write(tmp_path / "d.txt", region))) == 0


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("0 -1 Car 0 0 -10 1 2 3 4", "17 or 18 fields.*found 10"),
        (row(score="0.5 7"), "found 19"),
        (row(kind="Bus"), "a type out of Pedestrian, Cyclist, Car.*found 'Bus'"),
        ("1 0 2 48 62 13", "17 or 18 fields"),
        (row().replace("0 -1", "0.5 -1", 1), "whole frame"),
        (row(-1), "from 0, found -1"),
        (row(box="10 20 x 60"), "14 or 15 numbers"),
        (row(box="10 20 nan 60"), "finite"),
        (row(score="inf"), "finite"),
        (row(box="40 20 10 60"), "left <= right.*found 40 20 10 60"),
    ],
)
def test_a_malformed_line_names_file_and_line(tmp_path: Path, line: str, found: str) -> None:
    path = write(tmp_path / "d.txt", row(), "", line)
    with pytest.raises(DetectionsError, match=found) as caught:
        read_detections(path)
    assert str(caught.value).startswith(f"{path}:3: expected")
    assert "remedy:" in str(caught.value)


def test_other_formats_are_not_taken_for_it(tmp_path: Path) -> None:
    code = encode_rle(np.eye(48, 62, dtype=np.bool_))["counts"]
    assert read_detections(write(tmp_path / "d.txt", "1 -1 10 20 30 40 0.5")).format == "mot"
    assert read_detections(write(tmp_path / "d.txt", f"1 0 2 48 62 {code}")).format == "mots"
    with pytest.raises(DetectionsError, match="finite"):
        read_detections(write(tmp_path / "d.txt", "1 -1 nan 20 30 40 0.5"))


def test_frames_count_from_zero_at_ten_a_second(tmp_path: Path) -> None:
    sequence = open_sequences(write(tmp_path / "0003.txt", row(2), row(4)))[0]
    assert (sequence.name, sequence.fps, sequence.first_frame, sequence.length) == ("0003", 10.0, 0, 4)
    assert [len(instances) for _, instances in sequence.frames()] == [0, 0, 1, 0, 1]
    assert [sequence.time_s(frame, 10.0) for frame in (0, 4)] == [0.1, 0.5], "the time of frames 1 and 5 from 1"


def test_a_sequence_folder_may_hold_it(tmp_path: Path) -> None:
    write(tmp_path / "det.txt", row(2))
    (tmp_path / "seqinfo.ini").write_text("[Sequence]\nframeRate=5\nseqLength=8\n")
    sequence = open_sequences(tmp_path)[0]
    assert (sequence.fps, sequence.first_frame, sequence.length) == (5, 0, 7)


def test_a_folder_of_files_is_a_sequence_each(tmp_path: Path) -> None:
    for name in ("0002", "0000"):
        write(tmp_path / f"{name}.txt", row(int(name)))
    write(tmp_path / "0001.txt")
    write(tmp_path / "readme.txt", "no detections")
    sequences = open_sequences(tmp_path)
    assert [(s.name, s.fps, s.length) for s in sequences] == [("0000", 10.0, 0), ("0001", 10.0, 0), ("0002", 10.0, 2)]
    assert [len(list(s.frames())) for s in sequences] == [1, 0, 3]


def test_a_folder_of_both_kinds_or_of_several_formats_is_refused(tmp_path: Path) -> None:
    write(tmp_path / "0000.txt", row())
    write(tmp_path / "0001.txt", "1,-1,10,20,30,40,0.5")
    with pytest.raises(SourceError, match=r"kitti \(0000\.txt\), mot \(0001\.txt\)"):
        open_sequences(tmp_path)
    write(tmp_path / "0002" / "seqinfo.ini", "[Sequence]", "seqLength=3")
    with pytest.raises(SourceError, match=r"found both \(0002/seqinfo\.ini and 0000\.txt\)"):
        open_sequences(tmp_path)
