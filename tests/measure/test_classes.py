"""Every class of the truth is scored, what is not is said, and TrackEval's own readers find the same figures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from demos.scenes.detector import detect
from demos.scenes.road import road
from demos.scenes.shop import shop
from demos.scenes.world import CLASS_NAMES, Scene
from demos.scenes.writers import write_sequence
from tests.measure.test_evaluate import boxes, mots, write
from tracker.associate.tracker import Tracker
from tracker.errors import ConfigError, DetectionsError
from tracker.formats.run_length import encode_rle
from tracker.measure.evaluate import Evaluation, evaluate
from tracker.plugins import open_sink
from tracker.types import Frame, TrackedFrame

FPS, DURATION_S = 10.0, 4.0
HALF = range(1, 3)
ALL = range(1, 5)


def score(folder: Path, **options: Any) -> Evaluation:
    return evaluate(folder / "gt", folder / "res", **options)


# ---- classes --------------------------------------------------------------------------------------------------------


def test_a_class_other_than_pedestrian_is_scored(tmp_path: Path) -> None:
    cars = boxes(ALL, 1, 10, class_id=3)
    evaluation = score(write(tmp_path, cars, cars))
    assert list(evaluation.combined) == ["car", "all"]
    assert evaluation.combined["all"]["HOTA"] == pytest.approx(100)
    assert evaluation.combined["all"]["FN"] == 0


@pytest.mark.parametrize("protocol", ["", "mot15", "plain"])
def test_every_class_has_a_row_and_the_mean_is_over_them(tmp_path: Path, protocol: str) -> None:
    truth = [row for code, x in ((1, 10), (3, 200), (9, 400)) for row in boxes(ALL, code, x, class_id=code)]
    result = boxes(ALL, 1, 10) + boxes(HALF, 3, 200, class_id=3)
    evaluation = score(write(tmp_path, truth, result, protocol=protocol))
    # Half of the boxes found: DetA 1/2, AssA 1/2.
    hota = {name: figures["HOTA"] for name, figures in evaluation.combined.items()}
    assert hota == pytest.approx({"car": 50, "class 9": 0, "pedestrian": 100, "all": 50})
    assert evaluation.combined["all"]["FN"] == 2 + 4
    assert list(evaluation.sequences["s"]) == ["pedestrian", "car", "class 9"]


def test_classes_of_a_result_that_are_not_scored_are_said(tmp_path: Path) -> None:
    evaluation = score(write(tmp_path, boxes(ALL, 1, 10), boxes(ALL, 1, 10) + boxes(HALF, 2, 90, class_id=5)))
    assert evaluation.combined["all"]["FP"] == 0
    assert evaluation.notes == ("s.txt: 2 rows of class 5 are not scored; plain scores 1 (pedestrian)",)


def test_a_result_without_classes_counts_where_there_is_one_class(tmp_path: Path) -> None:
    result = [f"{frame},1,10,100,40,50,1,-1,-1,-1" for frame in ALL]
    evaluation = score(write(tmp_path, boxes(ALL, 1, 10, class_id=3), result))
    assert evaluation.combined["car"]["HOTA"] == pytest.approx(100)
    write(tmp_path, boxes(ALL, 1, 10, class_id=3) + boxes(ALL, 2, 200), result)
    with pytest.raises(DetectionsError, match=r"a class of 1 \(pedestrian\), 3 \(car\) in each row, found none in 4"):
        score(tmp_path)


def test_truth_without_classes_counts_every_result(tmp_path: Path) -> None:
    truth = [f"{frame},1,10,100,40,50,1,-1,-1,-1" for frame in ALL]
    result = boxes(ALL, 1, 10, class_id=3) + boxes(HALF, 2, 200, class_id=1)
    evaluation = score(write(tmp_path, truth, result))
    assert list(evaluation.combined) == ["object", "all"]
    assert (evaluation.combined["all"]["FP"], evaluation.combined["all"]["FN"]) == (2, 0)
    assert list(score(tmp_path, protocol="mot15").combined) == ["pedestrian", "all"]


def test_own_classes_with_the_numbers_of_distractors_are_classes(tmp_path: Path) -> None:
    truth = boxes(ALL, 1, 10) + boxes(ALL, 2, 200, class_id=2)
    evaluation = score(write(tmp_path, truth, truth))
    assert {name: figures["HOTA"] for name, figures in evaluation.combined.items()} == pytest.approx(
        {"pedestrian": 100, "class 2": 100, "all": 100}
    )
    truth = boxes(ALL, 1, 10) + boxes(ALL, 2, 200, class_id=2, conf=0)
    write(tmp_path, truth, boxes(ALL, 1, 10) + boxes(ALL, 2, 200))
    assert score(tmp_path).combined["all"]["FP"] == 0, "MOT17 marks distractors as not counting"


def test_masks_of_persons_alone_have_the_mean_of_persons(tmp_path: Path) -> None:
    truth = mots(ALL, 1, 10, class_id=2)
    evaluation = score(write(tmp_path, truth, truth))
    assert evaluation.combined["pedestrian"]["HOTA"] == pytest.approx(100)
    assert evaluation.combined["car"]["true_identities"] == 0
    assert evaluation.combined["all"]["HOTA"] == pytest.approx(100)
    truth += mots(ALL, 2, 100, class_id=5)
    evaluation = score(write(tmp_path, truth, mots(ALL, 1, 10, class_id=2)))
    assert evaluation.combined["class 5"]["FN"] == 4
    assert evaluation.combined["all"]["HOTA"] == pytest.approx(50)


# ---- refusals -------------------------------------------------------------------------------------------------------


def code(x: int, width: int = 200, height: int = 100) -> str:
    pixels = np.zeros((height, width), np.bool_)
    pixels[20:60, x : x + 30] = True
    return str(encode_rle(pixels)["counts"])


@pytest.mark.timeout(20)
@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("2 1 1 100 200 " + code(12)[:4], "a run-length code of 20000 pixels"),
        ("2 1 1 100 200 " + code(12) + "ooooooooo0", "a run-length code of 20000 pixels"),
        ("2 1 1 100 200 " + code(12) + "o", "a run-length code of 20000 pixels"),
        ("2 1 1 100 200 " + "o" * 40 + "0", "a run-length code of 20000 pixels"),
        (f"2 1 1 100 200 b'{code(12)}'", r"without Python's b'\.\.\.'"),
        ("2 1 1 200 100 " + code(12), "height 100 and width 200 as in the truth, found 200 and 100"),
        ("2 1 1 50 100 " + code(12, 100, 50), "height 100 and width 200 as in the truth, found 50 and 100"),
        ("2 1 1 100 200 é", "a run-length code of 20000 pixels"),
        ("2 1 car 100 200 " + code(12), "whole numbers"),
        ("2,1,10,20,30,40,1,1,1", "6 or 7 fields"),
        ("5 1 1 100 200 " + code(12), r"a frame in 1\.\.4"),
    ],
)
def test_broken_masks_are_refused_by_line_before_anything_decodes_them(tmp_path: Path, line: str, found: str) -> None:
    good = [f"{frame} 1 1 100 200 {code(10 + frame)}" for frame in ALL]
    write(tmp_path, good, [good[0], line, *good[2:]])
    with pytest.raises(DetectionsError, match=found) as caught:
        score(tmp_path)
    assert caught.value.offender == f"{tmp_path / 'res' / 's.txt'}:2"
    write(tmp_path, [good[0], line, *good[2:]], good)
    with pytest.raises(DetectionsError) as caught:
        score(tmp_path)
    assert caught.value.offender == f"{tmp_path / 'gt' / 's' / 'gt.txt'}:2"


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("2.5,1,10,100,40,50,1,1,1", "a whole frame number"),
        ("2,1.5,10,100,40,50,1,1,1", "a whole number for id"),
        ("2,1,10,100,-40,50,1,1,1", "positive width and height"),
        ("2,1,10,100,40,50,1,1.5,1", "a whole class number"),
        ("2,,10,100,40,50,1,1,1", "nothing for id"),
        ("2 1 1 100 200 " + code(12), "found 2|numbers"),
    ],
)
def test_broken_boxes_are_refused_by_line(tmp_path: Path, line: str, found: str) -> None:
    write(tmp_path, boxes(ALL, 1, 10), [*boxes(range(1, 2), 1, 10), line])
    with pytest.raises(DetectionsError, match=found) as caught:
        score(tmp_path)
    assert caught.value.offender.endswith("s.txt:2")


def test_masks_against_boxes_are_refused(tmp_path: Path) -> None:
    masks = [f"{frame} 1 1 100 200 {code(10 + frame)}" for frame in ALL]
    write(tmp_path, boxes(ALL, 1, 10), masks)
    with pytest.raises(DetectionsError, match="found masks"):
        score(tmp_path)
    with pytest.raises(ConfigError, match="masks, found boxes"):
        score(tmp_path, protocol="kittimots")
    write(tmp_path, masks, masks)
    with pytest.raises(ConfigError, match="boxes, found masks"):
        score(tmp_path, protocol="mot17")


def test_latin_1_is_one_line(tmp_path: Path) -> None:
    write(tmp_path, boxes(ALL, 1, 10), None)
    (tmp_path / "res" / "s.txt").write_bytes(b"1,1,1,1,9,9,1,1,1 caf\xe9\n")
    with pytest.raises(DetectionsError, match="the byte 0xe9"):
        score(tmp_path)


# ---- TrackEval's own readers ----------------------------------------------------------------------------------------


def reference(dataset: Any, name: str, kind: str) -> dict[str, float]:
    trackeval = pytest.importorskip("trackeval", reason="trackeval is not installed")
    data = dataset.get_preprocessed_seq_data(dataset.get_raw_seq_data("ours", name), kind)
    quiet = {"PRINT_CONFIG": False}
    hota = trackeval.metrics.HOTA().eval_sequence(data)
    clear = trackeval.metrics.CLEAR(quiet).eval_sequence(data)
    return {
        "HOTA": 100 * float(np.mean(hota["HOTA"])),
        "IDF1": 100 * float(trackeval.metrics.Identity(quiet).eval_sequence(data)["IDF1"]),
        "MOTA": 100 * float(clear["MOTA"]),
        "sMOTSA": 100 * float(clear["sMOTA"]),
        "FP": float(clear["CLR_FP"]),
        "FN": float(clear["CLR_FN"]),
    }


def same(ours: dict[str, float], theirs: dict[str, float]) -> None:
    assert {name: ours[name] for name in theirs} == pytest.approx(theirs, abs=1e-9)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("benchmark", ["MOT17", "MOT20"])
def test_the_rules_of_mot17_and_mot20_are_trackevals(tmp_path: Path, benchmark: str) -> None:
    trackeval = pytest.importorskip("trackeval", reason="trackeval is not installed")
    rng = np.random.default_rng(20)
    name, frames = f"{benchmark}-01", 30
    truth, result = [], []
    for identity, class_id in enumerate([1, 1, 1, 2, 6, 6, 7, 8, 12, 13, 1], 1):
        x, y = rng.integers(0, 900, 2)
        conf = int(class_id == 1 and identity < 11)
        for frame in range(1, frames + 1):
            truth.append(f"{frame},{identity},{x + 3 * frame},{y},40,90,{conf},{class_id},1")
            if rng.random() < 0.8:
                dx, dy = rng.normal(0, 4, 2)
                result.append(f"{frame},{identity + 100},{x + 3 * frame + dx:.2f},{y + dy:.2f},40,90,0.9,1,1")
    gt, ours = tmp_path / "gt" / name, tmp_path / "all" / "ours" / "data"
    (gt / "gt").mkdir(parents=True)
    ours.mkdir(parents=True)
    (gt / "gt" / "gt.txt").write_text("\n".join(truth) + "\n")
    (gt / "seqinfo.ini").write_text(f"[Sequence]\nname={name}\nseqLength={frames}\nframeRate=30\n")
    (ours / f"{name}.txt").write_text("\n".join(result) + "\n")
    dataset = trackeval.datasets.MotChallenge2DBox(
        {
            "GT_FOLDER": str(tmp_path / "gt"),
            "TRACKERS_FOLDER": str(tmp_path / "all"),
            "BENCHMARK": benchmark,
            "SKIP_SPLIT_FOL": True,
            "SEQ_INFO": {name: frames},
            "PRINT_CONFIG": False,
        }
    )
    theirs = reference(dataset, name, "pedestrian")
    figures = evaluate(tmp_path / "gt", ours).combined["pedestrian"]
    same(figures, theirs)
    other = evaluate(tmp_path / "gt", ours, protocol="mot20" if benchmark == "MOT17" else "mot17")
    assert other.combined["all"]["FP"] != figures["FP"], "the scene tells the two apart"


# ---- what `track` writes --------------------------------------------------------------------------------------------


def tracked(scene: Scene, folder: Path) -> None:
    """Truth in ``gt/scene``, records of every kind in ``track`` from slightly wrong detections."""
    write_sequence(scene, folder / "gt", FPS, DURATION_S, name="scene", video=False)
    rng = np.random.default_rng(3)
    tracker = Tracker(class_count=len(CLASS_NAMES))
    (folder / "track").mkdir()
    names = ("scene.txt", "scene.mots.txt", "scene.csv", "scene.jsonl", "scene.coco.json")
    sinks = [open_sink(folder / "track" / name, class_names=CLASS_NAMES) for name in names]
    for index, truth in enumerate(scene.truths(FPS, DURATION_S)):
        instances = detect(truth, rng=rng, miss_rate=0.05, jitter=0.02, score_noise=0.05)
        frame = Frame(index=index, time_s=index / FPS, arrived_s=0.0, source="scene", size=truth.size)
        tracks = tracker.update(instances, frame.time_s)
        one = TrackedFrame(frame=frame, instances=instances, tracks=tracks, class_names=CLASS_NAMES)
        for sink in sinks:
            sink.write(one)
    for sink in sinks:
        sink.close()


@pytest.fixture(scope="module")
def shop_floor(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("shop")
    tracked(shop(seed=4), folder)
    return folder


def results(folder: Path, suffix: str) -> Path:
    """The records of one kind as a benchmark's folder."""
    place = folder / "all" / "ours" / suffix.strip(".")
    place.mkdir(parents=True, exist_ok=True)
    (place / "scene.txt").write_bytes((folder / "track" / f"scene{suffix}").read_bytes())
    return place


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_persons_tracked_as_masks_are_scored_as_persons(shop_floor: Path) -> None:
    trackeval = pytest.importorskip("trackeval", reason="trackeval is not installed")
    place = results(shop_floor, ".mots.txt")
    evaluation = evaluate(shop_floor / "gt", place, protocol="kittimots")
    assert evaluate(shop_floor / "gt", shop_floor / "track", protocol="kittimots") == evaluation
    assert evaluation.notes == ()
    person = evaluation.combined["pedestrian"]
    assert person["HOTA"] > 60
    assert evaluation.combined["all"]["HOTA"] == person["HOTA"]
    # The reader of MOTS20, which has this text with frames from 1 and the classes of KITTI MOTS, whose own are from 0.
    dataset = trackeval.datasets.MOTSChallenge(
        {
            "GT_FOLDER": str(shop_floor / "gt"),
            "GT_LOC_FORMAT": "{gt_folder}/{seq}/gt/gt_mots.txt",
            "TRACKERS_FOLDER": str(shop_floor / "all"),
            "TRACKER_SUB_FOLDER": "mots.txt",
            "SKIP_SPLIT_FOL": True,
            "SEQ_INFO": {"scene": int(FPS * DURATION_S)},
            "PRINT_CONFIG": False,
        }
    )
    same(person, reference(dataset, "scene", "pedestrian"))


@pytest.mark.filterwarnings("ignore")
@pytest.mark.slow
def test_persons_tracked_as_boxes_are_scored_as_persons(shop_floor: Path) -> None:
    trackeval = pytest.importorskip("trackeval", reason="trackeval is not installed")
    place = results(shop_floor, ".txt")
    evaluation = evaluate(shop_floor / "gt", place)
    assert evaluation.notes == ()
    assert list(evaluation.combined) == ["pedestrian", "all"]
    assert evaluation.combined["pedestrian"]["HOTA"] > 45  # the truth's boxes are about the whole person
    dataset = trackeval.datasets.MotChallenge2DBox(
        {
            "GT_FOLDER": str(shop_floor / "gt"),
            "TRACKERS_FOLDER": str(shop_floor / "all"),
            "TRACKER_SUB_FOLDER": "txt",
            "SKIP_SPLIT_FOL": True,
            "SEQ_INFO": {"scene": int(FPS * DURATION_S)},
            "PRINT_CONFIG": False,
        }
    )
    same(evaluation.combined["pedestrian"], reference(dataset, "scene", "pedestrian"))


@pytest.mark.slow
def test_vehicles_are_scored_by_their_own_classes(tmp_path: Path) -> None:
    tracked(road(seed=4), tmp_path)
    boxes_of = evaluate(tmp_path / "gt", results(tmp_path, ".txt"))
    masks_of = evaluate(tmp_path / "gt", results(tmp_path, ".mots.txt"), protocol="kittimots")
    assert boxes_of.notes == masks_of.notes == ()
    assert boxes_of.combined["car"]["HOTA"] > 40
    assert masks_of.combined["car"]["HOTA"] > 60
    true = {name for name, figures in masks_of.combined.items() if figures["true_identities"] and name != "all"}
    assert len(true) > 1
    assert all(masks_of.combined[name]["HOTA"] > 30 for name in true)
