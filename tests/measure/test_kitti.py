"""KITTI text in and out of ``associate`` and ``eval``: the lines, the rules, and the same figures by either coding."""

from __future__ import annotations

import math
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tracker.errors import ConfigError, DetectionsError, SinkError, SourceError
from tracker.formats.kitti import KITTI_TYPES
from tracker.measure.associate import associate
from tracker.measure.evaluate import evaluate

PLACE = "1.5 1.6 3.9 1.0 2.0 30.0 0.1"


def label(
    frame: int, identity: int, kind: str, x: float, *, state: str = "0 0", height: int = 50, tail: str = ""
) -> str:
    return f"{frame} {identity} {kind} {state} -1.57 {x} 100 {x + 40} {100 + height} {PLACE} {tail}".rstrip()


def write(path: Path, rows: list[str]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(row + "\n" for row in rows))
    return path


def walk(path: Path, frames: int, *, missing: range = range(0)) -> Path:
    seen = [frame for frame in range(frames) if frame not in missing]
    cars = [label(frame, -1, "Car", 10 + 3 * frame, tail="4.5") for frame in seen]
    return write(path, cars + [label(frame, -1, "Pedestrian", 700, tail="2.5") for frame in seen])


# ---- associate ------------------------------------------------------------------------------------------------------


def test_lines_copy_the_detection(tmp_path: Path) -> None:
    result = associate(walk(tmp_path / "0000.txt", 20), tmp_path / "out.txt")[0]
    lines = (tmp_path / "out.txt").read_text().splitlines()
    assert (result.frames, result.identities, result.lines) == (20, 2, len(lines))
    assert lines[-2:] == [
        f"19 1 Car 0 0 -1.57 67.00 100.00 107.00 150.00 {PLACE} 0.989013",
        f"19 2 Pedestrian 0 0 -1.57 700.00 100.00 740.00 150.00 {PLACE} 0.924142",
    ]


@pytest.mark.parametrize("refine", [False, True])
def test_unseen_but_present_is_occluded_and_has_no_place(tmp_path: Path, refine: bool) -> None:
    path = walk(tmp_path / "0000.txt", 40, missing=range(29, 30))
    associate(path, tmp_path / "out.txt", refine=refine)
    lines = [line.split() for line in (tmp_path / "out.txt").read_text().splitlines()]
    unseen = [fields for fields in lines if fields[0] == "29"]
    assert [fields[1:6] for fields in unseen] == [
        ["1", "Car", "-1", "2", "-10"],
        ["2", "Pedestrian", "-1", "2", "-10"],
    ]
    assert float(unseen[0][6]) == pytest.approx(10 + 3 * 29, abs=1)
    assert all(fields[10:17] == ["-1", "-1", "-1", "-1000", "-1000", "-1000", "-10"] for fields in unseen)
    assert all(
        fields[3:6] + fields[10:17] == ["0", "0", "-1.57", *PLACE.split()] for fields in lines if fields[0] != "29"
    )
    assert {len(fields) for fields in lines} == {18}
    associate(path, tmp_path / "seen.txt", coasting=False, refine=refine)
    assert not [line for line in (tmp_path / "seen.txt").read_text().splitlines() if line.startswith("29 ")]


def test_results_are_detections_again(tmp_path: Path) -> None:
    associate(walk(tmp_path / "0000.txt", 40, missing=range(29, 30)), tmp_path / "once.txt")
    assert associate(tmp_path / "once.txt", tmp_path / "twice.txt")[0].identities == 2


def test_a_folder_of_files_gives_a_folder_of_files(tmp_path: Path) -> None:
    for name in ("0000", "0001"):
        walk(tmp_path / "label_02" / f"{name}.txt", 12)
    write(tmp_path / "label_02" / "0002.txt", [])
    results = associate(tmp_path / "label_02", tmp_path / "out")
    assert [(r.name, r.frames, r.identities) for r in results] == [("0000", 12, 2), ("0001", 12, 2), ("0002", 0, 0)]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["0000.txt", "0001.txt", "0002.txt"]
    with pytest.raises(SinkError, match="found the same"):
        associate(tmp_path / "label_02", tmp_path / "label_02")


# ---- eval -----------------------------------------------------------------------------------------------------------


def world(folder: Path) -> tuple[list[str], list[str]]:
    """Truth and result of four frames in which all rules matter."""
    frames = range(4)
    truth = [label(f, 0, "Car", 10) for f in frames] + [label(f, 1, "Van", 200) for f in frames]
    truth += [label(f, 2, "Car", 300, state="0 3") for f in frames] + [
        label(f, 3, "Car", 400, state="1 0") for f in frames
    ]
    truth += [f"{f} -1 DontCare -1 -1 -10 500 50 700 250 -1000 -1000 -1000 -10 -1 -1 -1" for f in frames]
    truth += [label(f, 4, "Pedestrian", 800, state="0 2") for f in frames]
    result = [label(f, n, "Car", x, tail="1") for f in frames for n, x in enumerate((10, 200, 300, 400, 550), 1)]
    result += [label(f, 6, "Car", 900, height=20, tail="1") for f in frames]
    result += [label(f, 7, "Car", 1100, tail="1") for f in frames[:2]] + [label(3, 8, "Pedestrian", 800, tail="1")]
    write(folder / "label_02" / "0000.txt", truth)
    write(folder / "res" / "0000.txt", result)
    return truth, result


def coded(row: str) -> str:
    """A row of truth or result in MOTChallenge text."""
    fields = row.split()
    codes = {word: code for code, word in KITTI_TYPES.items()}
    left, top, right, bottom = map(float, fields[6:10])
    counts = int(fields[2] in ("Car", "Pedestrian") and float(fields[3]) <= 0 and float(fields[4]) <= 2)
    box = f"{left},{top},{right - left},{bottom - top}"
    return f"{int(fields[0]) + 1},{fields[1]},{box},{counts},{codes[fields[2]]},1"


def test_the_rules_of_kitti_hold_for_its_own_files(tmp_path: Path) -> None:
    world(tmp_path)
    evaluation = evaluate(tmp_path / "label_02", tmp_path / "res")
    car, pedestrian = evaluation.combined["car"], evaluation.combined["pedestrian"]
    assert list(evaluation.sequences) == ["0000"]
    assert (car["FP"], car["FN"], car["true_identities"]) == (2, 0, 1)
    assert car["MOTA"] == pytest.approx(100 * (1 - 2 / 4))
    assert (pedestrian["FP"], pedestrian["FN"]) == (0, 3)
    assert evaluate(tmp_path, tmp_path / "res") == evaluation, "the folder that holds label_02"
    assert evaluate(tmp_path, tmp_path / "res", protocol="plain") != evaluation


def test_either_coding_of_truth_and_of_results_gives_the_same(tmp_path: Path) -> None:
    truth, result = world(tmp_path)
    write(tmp_path / "coded" / "0000.txt", [coded(row) for row in result])
    folder = tmp_path / "gt" / "0000"
    write(folder / "gt.txt", [coded(row) for row in truth])
    write(folder / "seqinfo.ini", ["[Sequence]", "seqLength=4", "[Bench]", "protocol=kitti"])
    expected = evaluate(tmp_path / "label_02", tmp_path / "res")
    for root in (tmp_path / "label_02", tmp_path / "gt"):
        for results in (tmp_path / "res", tmp_path / "coded"):
            assert evaluate(root, results) == expected
    write(folder / "gt.txt", truth)
    write(folder / "seqinfo.ini", ["[Sequence]", "seqLength=4"])
    assert evaluate(tmp_path / "gt", tmp_path / "res") == expected, "KITTI's text in a sequence folder"


def test_a_map_of_sequences_tells_the_length(tmp_path: Path) -> None:
    _, result = world(tmp_path)
    write(tmp_path / "res" / "0000.txt", [*result, label(5, 9, "Car", 10)])
    with pytest.raises(DetectionsError, match=r"0000\.txt:28: expected a frame in 0\.\.3, found 5"):
        evaluate(tmp_path / "label_02", tmp_path / "res")
    write(tmp_path / "evaluate_tracking.seqmap.test", ["0000 empty 000000 000465"])
    write(tmp_path / "evaluate_tracking.seqmap.training", ["0000 empty 000000 000006"])
    assert evaluate(tmp_path / "label_02", tmp_path / "res").combined["car"]["FP"] == 3
    write(tmp_path / "evaluate_tracking.seqmap.val", ["0000 empty 000000 000007"])
    with pytest.raises(SourceError, match=r"seqmap\.val:1: expected 6 frames of 0000"):
        evaluate(tmp_path / "label_02", tmp_path / "res")
    write(tmp_path / "evaluate_tracking.seqmap.val", ["0000 6"])
    with pytest.raises(SourceError, match=r"seqmap\.val:1: expected name empty first end"):
        evaluate(tmp_path / "label_02", tmp_path / "res")


def test_what_cannot_be_scored_is_said_in_one_line(tmp_path: Path) -> None:
    world(tmp_path)
    write(tmp_path / "label_02" / "0001.txt", [])
    assert evaluate(tmp_path, tmp_path / "res").missing == ("0001",)
    with pytest.raises(ConfigError, match="expected masks"):
        evaluate(tmp_path, tmp_path / "res", protocol="kittimots")
    write(tmp_path / "label_02" / "0001.txt", ["1,1,10,20,30,40,1,3,1"])
    with pytest.raises(SourceError, match=r"0001\.txt: expected KITTI's frame track_id type"):
        evaluate(tmp_path, tmp_path / "res")
    write(tmp_path / "label_02" / "0001.txt", [label(0, 0, "Bus", 10)])
    with pytest.raises(DetectionsError, match=r"0001\.txt:1: expected a type out of"):
        evaluate(tmp_path, tmp_path / "res")
    write(tmp_path / "label_02" / "a" / "seqinfo.ini", ["[Sequence]", "seqLength=4"])
    with pytest.raises(SourceError, match="found both"):
        evaluate(tmp_path / "label_02", tmp_path / "res")


# ---- the benchmark by both routes -----------------------------------------------------------------------------------


def decoded(row: str, *, truth: bool) -> str:
    """A row of the shared set (see its README) as KITTI has it: frames from 0, types, occlusion levels, logits."""
    frame, identity, x, y, width, height, conf, code, visibility = map(float, row.split(","))
    box = f"{x!r} {y!r} {x + width!r} {y + height!r}"
    occluded = {1.0: 0, 0.6: 1, 0.3: 2, 0.1: 3}.get(visibility, -1)
    truncated = int(conf == 0 and code in (1, 3) and occluded < 3)
    head = f"{int(frame) - 1} {int(identity)} {KITTI_TYPES[int(code)]}"
    if truth:
        return f"{head} {truncated} {occluded} -10 {box} {PLACE}"
    # The set's six digits round some chances to 1, whose logit no file can hold; this one comes back as 1 exactly.
    return f"{head} -1 -1 -10 {box} {PLACE} {math.log(conf / (1 - conf)) if conf < 1 else 40.0!r}"


def decode(folder: Path, target: Path) -> None:
    """The shared set as KITTI's own files: ``det``, ``label_02`` and the map of sequences."""
    lengths = []
    for sequence in sorted(folder.iterdir()):
        for name, place in (("det.txt", "det"), ("gt.txt", "label_02")):
            rows = (sequence / name).read_text().splitlines()
            write(target / place / f"{sequence.name}.txt", [decoded(row, truth=name == "gt.txt") for row in rows])
        info = (sequence / "seqinfo.ini").read_text().split("seqLength=")[1].split()[0]
        lengths.append(f"{sequence.name} empty 000000 {int(info):06d}")
    write(target / "evaluate_tracking.seqmap.training", lengths)


def close(got: Any, expected: Any) -> bool:
    """Equal; sMOTSA, a sum of overlaps of boxes whose corners and sizes were written in decimals, to 11 digits."""
    if isinstance(expected, dict):
        return got.keys() == expected.keys() and all(
            close(got[key], expected[key]) if key != "sMOTSA" else got[key] == pytest.approx(expected[key], rel=1e-11)
            for key in expected
        )
    return bool(got == expected)


@pytest.mark.slow
@pytest.mark.data
@pytest.mark.parametrize(("refine", "names"), [(False, "00*"), (True, "001[0-6]")])
def test_the_benchmark_scores_the_same_in_either_coding(
    data_root: Path, tmp_path: Path, refine: bool, names: str
) -> None:
    folder = tmp_path / "shared"
    folder.mkdir()
    for sequence in (data_root / "tracking" / "dev" / "KITTI").glob(names):
        (folder / sequence.name).symlink_to(sequence)
    decode(folder, tmp_path)
    associate(folder, tmp_path / "coded", refine=refine)
    associate(tmp_path / "det", tmp_path / "native", refine=refine)
    for path in sorted((tmp_path / "coded").iterdir()):
        coded_rows = [row.split(",") for row in path.read_text().splitlines()]
        native = [row.split() for row in (tmp_path / "native" / path.name).read_text().splitlines()]
        assert [[int(r[0]) + 1, *r[1:2], *r[6:8], r[4] == "2"] for r in native] == [
            [int(r[0]), *r[1:4], r[8] == "0"] for r in coded_rows
        ]
        np.testing.assert_allclose([float(r[17]) for r in native], [float(r[6]) for r in coded_rows], atol=2e-6)
    expected = evaluate(folder, tmp_path / "coded")
    assert len(expected.sequences) == (4 if refine else 11)
    assert expected.combined["all"]["HOTA"] > 50
    assert evaluate(tmp_path / "label_02", tmp_path / "coded") == expected
    native_result = evaluate(tmp_path / "label_02", tmp_path / "native")
    assert evaluate(folder, tmp_path / "native") == native_result
    assert close(native_result.combined, expected.combined)
    assert close(native_result.sequences, expected.sequences)


@pytest.mark.slow
@pytest.mark.data
@pytest.mark.filterwarnings("ignore")
def test_the_reference_reads_the_files_and_finds_the_same(data_root: Path, tmp_path: Path) -> None:
    trackeval = pytest.importorskip("trackeval", reason="trackeval is not installed")
    decode(data_root / "tracking" / "dev" / "KITTI", tmp_path)
    associate(tmp_path / "det", tmp_path / "all" / "ours" / "data")
    shutil.rmtree(tmp_path / "det")
    options = {"GT_FOLDER": str(tmp_path), "TRACKERS_FOLDER": str(tmp_path / "all"), "OUTPUT_FOLDER": str(tmp_path)}
    reference = trackeval.datasets.Kitti2DBox({**options, "PRINT_CONFIG": False})
    ours = evaluate(tmp_path / "label_02", tmp_path / "all" / "ours" / "data").sequences
    quiet = {"PRINT_CONFIG": False}
    for name in ours:
        raw = reference.get_raw_seq_data("ours", name)
        for kind, figures in ours[name].items():
            data = reference.get_preprocessed_seq_data(raw, kind)
            hota = trackeval.metrics.HOTA().eval_sequence(data)
            clear = trackeval.metrics.CLEAR(quiet).eval_sequence(data)
            identity = trackeval.metrics.Identity(quiet).eval_sequence(data)
            assert figures["HOTA"] == pytest.approx(100 * float(np.mean(hota["HOTA"])), abs=1e-9)
            assert figures["IDF1"] == pytest.approx(100 * float(identity["IDF1"]), abs=1e-9)
            assert figures["MOTA"] == pytest.approx(100 * float(clear["MOTA"]), abs=1e-9)
            assert [figures[k] for k in ("IDSW", "FP", "FN")] == [clear[k] for k in ("IDSW", "CLR_FP", "CLR_FN")]
