"""Figures of tiny worlds as the fractions they must be; clean-up rules; another scorer as the oracle."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tracker.errors import ConfigError, DetectionsError, SourceError
from tracker.formats.run_length import encode_rle
from tracker.measure.associate import associate
from tracker.measure.evaluate import evaluate


def write(folder: Path, truth: list[str], result: list[str] | None, *, length: int = 4, protocol: str = "") -> Path:
    (folder / "gt" / "s").mkdir(parents=True, exist_ok=True)
    (folder / "res").mkdir(exist_ok=True)
    bench = f"[Bench]\nprotocol={protocol}\n" if protocol else ""
    (folder / "gt" / "s" / "seqinfo.ini").write_text(f"[Sequence]\nseqLength={length}\nframeRate=10\n{bench}")
    (folder / "gt" / "s" / "gt.txt").write_text("\n".join(truth) + "\n")
    if result is not None:
        (folder / "res" / "s.txt").write_text("\n".join(result) + "\n")
    return folder


def boxes(frames: range, identity: int, x: float, *, class_id: int = 1, conf: int = 1, height: int = 50) -> list[str]:
    return [f"{frame},{identity},{x},100,40,{height},{conf},{class_id},1" for frame in frames]


def figures(folder: Path, **options: str) -> dict[str, float]:
    return evaluate(folder / "gt", folder / "res", **options).combined["all"]


def test_a_perfect_result_is_a_hundred(tmp_path: Path) -> None:
    truth = boxes(range(1, 5), 1, 10) + boxes(range(1, 5), 2, 200)
    got = figures(write(tmp_path, truth, truth))
    for name in ("HOTA", "DetA", "AssA", "IDF1", "MOTA", "sMOTSA"):
        assert got[name] == pytest.approx(100)
    assert got["IDSW"] == got["FP"] == got["FN"] == got["Frag"] == 0
    assert got["identities"] == got["true_identities"] == 2


def test_one_switch_in_the_middle(tmp_path: Path) -> None:
    got = figures(write(tmp_path, boxes(range(1, 5), 1, 10), boxes(range(1, 3), 5, 10) + boxes(range(3, 5), 6, 10)))
    assert got["DetA"] == pytest.approx(100)
    assert got["AssA"] == pytest.approx(100 * 2 / 4)
    assert got["HOTA"] == pytest.approx(100 * (1 * 2 / 4) ** 0.5)
    assert got["IDF1"] == pytest.approx(100 * 2 * 2 / (4 + 4))
    assert got["MOTA"] == pytest.approx(100 * (1 - 1 / 4))
    assert got["IDSW"] == 1


def test_misses_and_false_alarms(tmp_path: Path) -> None:
    result = boxes(range(1, 4), 1, 10) + boxes(range(1, 2), 9, 400)
    got = figures(write(tmp_path, boxes(range(1, 5), 1, 10), result))
    assert got["DetA"] == pytest.approx(100 * 3 / (4 + 1))
    assert got["MOTA"] == pytest.approx(100 * (1 - 2 / 4))
    assert (got["FP"], got["FN"]) == (1, 1)


def test_a_missing_result_counts_as_empty(tmp_path: Path) -> None:
    evaluation = evaluate(*(write(tmp_path, boxes(range(1, 5), 1, 10), None) / name for name in ("gt", "res")))
    assert evaluation.missing == ("s",)
    assert evaluation.combined["all"]["HOTA"] == 0


def test_mot17_forgives_static_persons_but_not_the_void(tmp_path: Path) -> None:
    truth = boxes(range(1, 5), 1, 10) + boxes(range(1, 5), 2, 200, class_id=7) + boxes(range(1, 5), 3, 500, conf=0)
    result = boxes(range(1, 5), 1, 10) + boxes(range(1, 5), 2, 200) + boxes(range(1, 5), 3, 700)
    got = figures(write(tmp_path, truth, result, protocol="mot17"))
    assert (got["FP"], got["FN"]) == (4, 0)
    assert figures(write(tmp_path, truth, result))["FP"] == 4, "recognised by the classes of the truth"


def test_kitti_forgives_vans_small_boxes_and_ignored_regions(tmp_path: Path) -> None:
    truth = boxes(range(1, 5), 1, 10, class_id=3) + boxes(range(1, 5), 2, 200, class_id=21, conf=0)
    truth += [f"{frame},100001,500,50,200,200,0,13,0" for frame in range(1, 5)]
    result = boxes(range(1, 5), 1, 10, class_id=3) + boxes(range(1, 5), 2, 200, class_id=3)
    result += boxes(range(1, 5), 3, 550, class_id=3) + boxes(range(1, 5), 4, 900, class_id=3, height=20)
    result += boxes(range(1, 3), 5, 1100, class_id=3)
    evaluation = evaluate(*(write(tmp_path, truth, result, protocol="kitti") / name for name in ("gt", "res")))
    assert evaluation.combined["car"]["FP"] == 2
    assert evaluation.combined["car"]["FN"] == 0
    assert evaluation.combined["pedestrian"]["FP"] == 0


def mots(frames: range, identity: int, x: int, *, class_id: int = 1, width: int = 20) -> list[str]:
    mask = np.zeros((60, 200), np.bool_)
    mask[10:40, x : x + width] = True
    code = encode_rle(mask)["counts"]
    return [f"{frame} {identity} {class_id} 60 200 {code}" for frame in frames]


def test_masks_count_by_their_pixels_and_ignore_regions_forgive(tmp_path: Path) -> None:
    truth = mots(range(1, 5), 1, 10) + mots(range(1, 5), 10000, 120, class_id=10, width=60)
    result = mots(range(1, 5), 1, 10, width=16) + mots(range(1, 5), 2, 130)
    evaluation = evaluate(*(write(tmp_path, truth, result) / name for name in ("gt", "res")))
    car = evaluation.combined["car"]
    assert (car["FP"], car["FN"]) == (0, 0)
    assert car["sMOTSA"] == pytest.approx(100 * 16 / 20)


def test_overlapping_masks_are_made_disjoint_in_file_order(tmp_path: Path) -> None:
    truth = mots(range(1, 5), 1, 10)
    result = mots(range(1, 5), 1, 10) + mots(range(1, 5), 2, 10, width=40)
    car = evaluate(*(write(tmp_path, truth, result) / name for name in ("gt", "res"))).combined["car"]
    assert car["sMOTSA"] == pytest.approx(100 * (4 - 4) / 4)
    assert car["FP"] == 4


@pytest.mark.parametrize("result_from", [0, 1])
def test_masks_in_kittis_numbering_are_scored_by_what_each_file_counts_from(tmp_path: Path, result_from: int) -> None:
    truth = mots(range(4), 1, 10)
    result = mots(range(result_from, result_from + 4), 1, 10)
    found = evaluate(*(write(tmp_path, truth, result) / name for name in ("gt", "res")))
    assert (found.combined["car"]["HOTA"], found.notes) == (pytest.approx(100), ())
    with pytest.raises(DetectionsError, match=r"gt\.txt:5: expected a frame in 0\.\.3, found 4"):
        figures(write(tmp_path, mots(range(5), 1, 10), result))


def test_a_result_that_does_not_tell_where_it_counts_from_gets_a_note(tmp_path: Path) -> None:
    write(tmp_path, mots(range(4), 1, 10), mots(range(1, 4), 1, 10))
    [note] = evaluate(tmp_path / "gt", tmp_path / "res").notes
    assert "no row in frame 0 and none in frame 4: it is read as counting from 1" in note


@pytest.mark.parametrize("mapped", ["evaluate_mots.seqmap.val", ""])
def test_kittis_label_folder_may_hold_masks(tmp_path: Path, mapped: str) -> None:
    """The layout of KITTI MOTS: ``label_02/0002.txt``, frames from 0, and a map that names the last frame."""
    (tmp_path / "label_02").mkdir()
    (tmp_path / "res").mkdir()
    (tmp_path / "label_02" / "0002.txt").write_text("\n".join(mots(range(3), 1, 10)))
    (tmp_path / "res" / "0002.txt").write_text("\n".join(mots(range(4 if mapped else 3), 1, 10)))
    if mapped:
        (tmp_path / mapped).write_text("0002 empty 000000 000003\n")
    car = evaluate(tmp_path, tmp_path / "res").combined["car"]
    assert (car["FP"], car["FN"], car["IDSW"]) == (1 if mapped else 0, 0, 0)
    with pytest.raises(ConfigError, match="kitti: expected boxes, found masks"):
        evaluate(tmp_path, tmp_path / "res", protocol="kitti")


def test_what_cannot_be_scored_is_said_in_one_line(tmp_path: Path) -> None:
    write(tmp_path, boxes(range(1, 5), 1, 10), ["1,1,1,2,x"])
    with pytest.raises(DetectionsError, match=r"s\.txt:1"):
        figures(tmp_path)
    write(tmp_path, boxes(range(1, 5), 1, 10), boxes(range(5, 6), 1, 10))
    with pytest.raises(DetectionsError, match=r"1\.\.4"):
        figures(tmp_path)
    write(tmp_path, boxes(range(1, 5), 1, 10), boxes(range(1, 2), 1, 10) * 2)
    with pytest.raises(DetectionsError, match="twice in frame 1"):
        figures(tmp_path)
    with pytest.raises(ConfigError, match="soccer"):
        figures(tmp_path, protocol="soccer")
    with pytest.raises(SourceError, match=r"seqinfo\.ini"):
        evaluate(tmp_path / "res", tmp_path / "res")
    with pytest.raises(SourceError, match="found none"):
        evaluate(tmp_path / "gt", tmp_path / "nowhere")


def test_without_trackeval_the_pip_command_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    write(tmp_path, boxes(range(1, 5), 1, 10), None)
    monkeypatch.setitem(sys.modules, "trackeval.metrics", None)
    with pytest.raises(ConfigError, match="pip install"):
        figures(tmp_path)


@pytest.mark.data
@pytest.mark.parametrize(("name", "floor"), [("TUD", 50.0), ("MOT17-third", 41.0)])
def test_real_sets_score_as_the_reference_scorer_says(data_root: Path, tmp_path: Path, name: str, floor: float) -> None:
    folder = data_root / "tracking"
    if importlib.util.find_spec("trackeval") is None:
        pytest.skip("trackeval is not installed")
    associate(folder / "dev" / name, tmp_path)
    ours = evaluate(folder / "dev" / name, tmp_path).combined["all"]
    command = [sys.executable, str(folder / "score.py"), "--gt", str(folder / "dev" / name), "--results", str(tmp_path)]
    subprocess.run([*command, "--json", str(tmp_path / "s.json")], check=True, capture_output=True)
    theirs = json.loads((tmp_path / "s.json").read_text())["combined"]["all"]
    for key in ("HOTA", "DetA", "AssA", "IDF1", "MOTA", "IDSW", "FP", "FN", "Frag"):
        assert ours[key] == pytest.approx(theirs[key], abs=1e-3)
    assert ours["HOTA"] > floor
