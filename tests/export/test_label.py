"""Labels by machine: outlines of boxes, fused views, what is added, what is in doubt, going on, and mistakes."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the PyTorch side needs torch: pip install torch")
onnx = pytest.importorskip("onnx")
cv2 = pytest.importorskip("cv2")
pytest.importorskip("pycocotools")

from export.__main__ import main  # noqa: E402
from export.data import archive as data  # noqa: E402
from export.data import coco, fused, label, label_command, promptable  # noqa: E402
from export.networks.yolact_nano import CLASSES  # noqa: E402
from export.training.train_command import INITIAL  # noqa: E402
from tests.export.pictures import write_coco  # noqa: E402
from tests.export.segmenters import EXPECTED_IOU, write_segmenter  # noqa: E402
from tracker.errors import ModelError  # noqa: E402
from tracker.segment.promptable import forms  # noqa: E402

pytestmark = pytest.mark.export

GROUPS = np.array([0, 1, 2, 1, 2, 2])  # person; bicycle, motorcycle; car, bus, truck


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    return write_segmenter(tmp_path_factory.mktemp("segmenter"))


@pytest.fixture(scope="module")
def street(tmp_path_factory):
    """Rendered pictures of a road with exact masks of all classes."""
    from demos.scenes.road import road
    from demos.scenes.writers import write_sequence

    scene = road(seed=3, traffic=1.5, duration_s=9.0)
    folder = write_sequence(scene, tmp_path_factory.mktemp("street"), fps=0.3, images=True, video=False, min_area_px=20)
    (folder / "instances.json").rename(folder / "annotations.json")
    return folder


def ellipse(box, size=(96, 128)):
    """What the made segmenter draws in a box."""
    x0, y0, x1, y1 = box
    ys, xs = np.mgrid[: size[0], : size[1]] + 0.5
    return ((xs - (x0 + x1) / 2) / ((x1 - x0) / 2)) ** 2 + ((ys - (y0 + y1) / 2) / ((y1 - y0) / 2)) ** 2 < 1


def views(*rows):
    """``(box, class, score)`` -> what one detect found."""
    boxes = np.array([row[0] for row in rows], float).reshape(-1, 4)
    scores = np.zeros((len(rows), len(CLASSES)))
    for row, (_, name, score) in enumerate(rows):
        scores[row, CLASSES.index(name)] = score
    return fused.Detections(boxes, scores)


def labelled(*rows, crowd=False):
    """``(box, class)`` -> what people labelled: whole boxes."""
    annotations = []
    for (x0, y0, x1, y1), _ in rows:
        polygon = [x0, y0, x1, y0, x1, y1, x0, y1]
        annotations.append({"bbox": [x0, y0, x1 - x0, y1 - y0], "segmentation": [polygon], "iscrowd": int(crowd)})
    boxes = np.array([row[0] for row in rows], float).reshape(-1, 4)
    return label.Labelled(annotations, [row[1] for row in rows], boxes, np.full(len(rows), crowd))


# outlines


@pytest.mark.parametrize("size", [(96, 128), (200, 90), (64, 64)])
def test_a_box_is_outlined_where_it_lies_in_the_picture(files, size):
    segmenter = promptable.PromptableSegmenter(*files)
    embedded = segmenter.embed(np.zeros((*size, 3), np.uint8))
    box = np.array([8.5, 10.0, 60.25, 58.0])
    outline = segmenter.outline(embedded, box)
    expected = ellipse(box, size)
    assert (outline.mask & expected).sum() / (outline.mask | expected).sum() > 0.98
    assert outline.score == pytest.approx(EXPECTED_IOU)


def test_the_encoder_sees_rgb_and_zeros_beside_the_picture(files):
    """A wide blue picture: its features are blue's in the upper half, and nothing below."""
    picture = np.zeros((32, 64, 3), np.uint8)
    picture[..., 0] = 255  # blue, in BGR
    [features] = promptable.PromptableSegmenter(*files).embed(picture).features.values()
    mean, deviation = forms.IMAGENET
    shown = (np.array([0, 0, 255.0]) - mean) / deviation
    np.testing.assert_allclose(features[0, :, 0, 0], shown, atol=1e-4)
    assert (features[0, :, 2:] == 0).all()


def test_holes_and_gaps_are_closed_and_what_strays_is_cut():
    mask = np.zeros((60, 80), bool)
    mask[10:50, 20:60] = True
    mask[30, 20:60] = False  # a gap
    mask[15:20, 30:35] = False  # a hole
    mask[:, 70:] = True  # far from the box
    tidied = promptable.tidy(mask, np.array([20.0, 10.0, 60.0, 50.0]))
    expected = np.zeros((60, 80), bool)
    expected[10:50, 20:60] = True
    assert (tidied ^ expected).sum() <= 4  # corners and the gap's ends
    assert not promptable.tidy(mask, np.array([90.0, 0.0, 99.0, 9.0])).any()


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        ("encoder missing", "no such file"),
        ("decoder no onnx", "expected an ONNX model"),
        ("swapped", "expected one input (1, 3, S, S) or (H, W, 3) of an encoder, found"),
        ("encoder twice", "expected an input `image_embeddings`"),
    ],
)
def test_other_files_are_named(files, tmp_path, broken, message):
    encoder, decoder = files
    text = tmp_path / "text.onnx"
    text.write_text("none")
    pairs = {
        "encoder missing": (tmp_path / "none.onnx", decoder),
        "decoder no onnx": (encoder, text),
        "swapped": (decoder, encoder),
        "encoder twice": (encoder, encoder),
    }
    with pytest.raises(ModelError) as error:
        promptable.PromptableSegmenter(*pairs[broken])
    assert message in str(error.value)


# fused views


def test_views_of_one_object_become_its_mean():
    box, moved = [10.0, 10.0, 50.0, 50.0], [14.0, 10.0, 54.0, 50.0]
    found = fused.fuse([views((box, "car", 0.9)), views((moved, "car", 0.3))], GROUPS)
    np.testing.assert_allclose(found.boxes, [[11.0, 10.0, 51.0, 50.0]])
    assert found.best[0] == pytest.approx(0.6)
    alone = fused.fuse([views((box, "car", 0.9)), views()], GROUPS)
    assert alone.best[0] == pytest.approx(0.45)


def test_a_view_counts_once_for_an_object():
    box, double = [10.0, 10.0, 50.0, 50.0], [16.0, 10.0, 56.0, 50.0]
    found = fused.fuse([views((box, "car", 0.6), (double, "car", 0.5)), views((box, "car", 0.4))], GROUPS)
    np.testing.assert_allclose(found.boxes, [box])
    assert found.best[0] == pytest.approx(0.5)


def test_classes_of_one_group_vote_and_others_stay_apart():
    box = [10.0, 10.0, 50.0, 50.0]
    voted = fused.fuse([views((box, "car", 0.8)), views((box, "truck", 0.5)), views((box, "truck", 0.5))], GROUPS)
    assert len(voted.boxes) == 1
    assert CLASSES[voted.scores[0].argmax()] == "truck"
    apart = fused.fuse([views((box, "person", 0.8), (box, "motorcycle", 0.6))], GROUPS)
    assert [CLASSES[row.argmax()] for row in apart.scores] == ["person", "motorcycle"]
    assert fused.fuse([views(), views()], GROUPS).boxes.shape == (0, 4)


def test_a_picture_and_its_mirror_image_are_found_alike(street):
    from export.networks.weights import load_network

    detector = fused.FusedDetector(load_network(INITIAL), (448,))
    picture = cv2.imread(str(sorted((street / "img1").iterdir())[1]))
    plain, mirrored = detector(picture), detector(np.ascontiguousarray(picture[:, ::-1]))
    assert (plain.best > 0.4).sum() >= 2
    turned = mirrored.boxes.copy()
    turned[:, [0, 2]] = picture.shape[1] - mirrored.boxes[:, [2, 0]]
    for box in plain.boxes[plain.best > 0.4]:
        assert np.abs(turned - box).max(axis=1).min() < 1.0


# what is added


@pytest.mark.parametrize(
    ("name", "score", "box", "expected"),
    [
        ("car", 0.41, (60, 10, 100, 40), "object"),
        ("car", 0.39, (60, 10, 100, 40), "doubt"),
        ("car", 0.14, (60, 10, 100, 40), "nothing"),
        ("truck", 0.49, (60, 10, 100, 40), "doubt"),  # stricter
        ("truck", 0.51, (60, 10, 100, 40), "object"),
        ("bicycle", 0.99, (60, 10, 100, 40), "nothing"),  # not looked for
        ("bus", 0.9, (10, 10, 50, 40), "nothing"),  # labelled as a car
        ("car", 0.9, (12, 12, 30, 30), "nothing"),  # a part of the labelled car
        ("car", 0.9, (35, 10, 75, 40), "doubt"),  # another car behind it, or the same?
        ("person", 0.9, (10, 10, 50, 40), "object"),  # in front of the car
    ],
)
def test_what_a_find_is(name, score, box, expected):
    rules = label.Rules(("person", "car", "bus", "truck"), label.STRICTER)
    there = labelled(((10.0, 10.0, 50.0, 40.0), "car"))
    assert label.verdict(name, score, np.array(box, float), there, rules) == expected


def test_nothing_is_added_in_a_crowd():
    there = labelled(((0.0, 0.0, 100.0, 60.0), "person"), crowd=True)
    rules = label.Rules(("person", "bicycle"), {})
    for name in rules.classes:
        assert label.verdict(name, 0.9, np.array([10.0, 10.0, 30.0, 50.0]), there, rules) == "nothing"


def made(box, *, name="car", score=0.9, certain=0.8):
    return label.Find(name, score, [float(value) for value in box], label.encode(ellipse(box)), certain)


def test_weights_follow_scores_and_people_keep_their_cells():
    there = labelled(((60.0, 0.0, 128.0, 96.0), "person"))
    box = (20, 20, 100, 80)
    (row,) = label.annotate([made(box, score=0.3)], there, (96, 128), 0.75, machine_made=False)
    assert row["mask_score"] == pytest.approx(0.6)
    assert row["weight"] == pytest.approx(0.6 * 0.6**2 * 0.5**0.5, abs=1e-3)
    assert row["detector_score"] == 0.3
    assert "score" not in row  # it would make the whole set one of machine-made labels
    mask = coco.annotation_mask(row, 96, 128) > 0
    np.testing.assert_array_equal(mask, ellipse(box) & (np.arange(128) < 60))
    assert row["area"] == mask.sum()


@pytest.mark.parametrize(
    ("find", "ratio"),
    [
        (made((10, 10, 20, 20)), 1.0),  # 78 px
        (made((20, 20, 100, 80)), 0.6),  # of little worth
        (made((64, 20, 126, 80)), 1.0),  # a person is in front of all of it
        (made((20, 20, 100, 80))._replace(mask=None), 1.0),
    ],
)
def test_what_cannot_be_outlined_is_not_to_learn_from(find, ratio):
    there = labelled(((60.0, 0.0, 128.0, 96.0), "person"))
    (row,) = label.annotate([find], there, (96, 128), ratio, machine_made=False)
    assert row["iscrowd"] == 1
    assert row["segmentation"] == []
    assert row["bbox"][2] == find.box[2] - find.box[0]


def test_masks_are_worth_what_they_are_beside_peoples():
    checks = [label.Check("car", 0.6, 0.8)] * 30
    assert label.worth(checks) == pytest.approx(0.75)
    assert label.worth(checks[:10]) == 1.0


def test_masks_of_each_class_are_worth_what_they_are():
    checks = [label.Check("car", 0.6, 0.8)] * 20 + [label.Check("person", 0.8, 0.8)] * 20
    checks += [label.Check("bus", 0.1, 0.8)] * 10
    worth = label.worth_by_class(checks, {"truck": 0.9, "person": 0.7})
    assert worth.of("car") == pytest.approx(0.75)
    assert worth.of("person") == 0.7
    assert worth.of("truck") == 0.9
    assert worth.of("bus") == worth.of("bicycle") == worth.overall == pytest.approx((12 + 16 + 1) / 40)


# the command


def command(sets, files, out, *more):
    given = ["label", *(str(item) for item in sets), "--detector", str(INITIAL), "--out", str(out), "--sizes", "448"]
    return main([*given, "--encoder", str(files[0]), "--decoder", str(files[1]), *more])


def only_cars(street, folder):
    """The road with labels of cars only."""
    shutil.copytree(street, folder)
    document = json.loads((folder / "annotations.json").read_text())
    car = next(item["id"] for item in document["categories"] if item["name"] == "car")
    document["annotations"] = [item for item in document["annotations"] if item["category_id"] == car]
    document["categories"] = [{"id": car, "name": "car"}]
    document["info"] = {"labelled_categories": ["car"], "complete": True}
    (folder / "annotations.json").write_text(json.dumps(document))
    return document


def test_trucks_and_buses_are_added_where_only_cars_were_labelled(street, files, tmp_path, capsys):
    document = only_cars(street, tmp_path / "gate")
    assert command([tmp_path / "gate"], files, tmp_path / "out") == 0
    printed = capsys.readouterr().out
    assert "added: bus " in printed
    assert "mean mask IoU with people's masks" in printed
    truth, found = coco.read_coco(street), coco.read_coco(tmp_path / "out" / "gate")
    assert found.labelled == set(CLASSES)
    assert not found.complete
    assert not found.machine_made
    close = 0
    for record in found.records:
        there, rows = label.labelled_in(truth, record["id"]), label.labelled_in(found, record["id"])
        cars = [item for item, name in zip(rows.annotations, rows.names, strict=True) if name == "car"]
        before = [item for item in document["annotations"] if item["image_id"] == record["id"]]
        assert [item["segmentation"] for item in cars] == [item["segmentation"] for item in before]
        added = [row for row, item in enumerate(rows.annotations) if item.get("weight")]
        large = [row for row, name in enumerate(there.names) if name in ("bus", "truck")]
        if added and large:
            close += int((label.iou(rows.boxes[added], there.boxes[large]).max(axis=1) > 0.6).sum())
    assert close >= 3
    assert cv2.imread(str(tmp_path / "out" / "gate" / "labels.png")).std() > 5
    assert main(["prepare", str(tmp_path / "out" / "gate"), "--out", str(tmp_path / "pack")]) == 0
    index = data.read_index(tmp_path / "pack")
    assert not any(item["masks_only"] for item in index["images"])
    weights = [item["weight"] for item in index["objects"]]
    assert weights.count(1.0) == len(document["annotations"])
    assert sum(0.0 < weight < 0.6 for weight in weights) >= close


def test_a_killed_run_goes_on_and_other_options_begin_anew(street, files, tmp_path, monkeypatch):
    only_cars(street, tmp_path / "gate")
    assert command([tmp_path / "gate"], files, tmp_path / "out") == 0
    first = (tmp_path / "out" / "gate" / "annotations.json").read_bytes()
    kept = tmp_path / "out" / "gate" / "found.jsonl"
    whole = kept.read_text()
    kept.write_text(
        whole[: len(whole.split("\n")[0]) + len(whole.split("\n")[1]) + 20]
    )  # cut off in the second picture
    looked = []
    look_at = label_command.look_at
    monkeypatch.setattr(
        label_command, "look_at", lambda *given, **more: (looked.append(given[1]["id"]), look_at(*given, **more))[1]
    )
    assert command([tmp_path / "gate"], files, tmp_path / "out") == 0
    pictures = len(list((street / "img1").iterdir()))
    assert len(looked) == pictures - 1
    assert kept.read_text() == whole
    assert (tmp_path / "out" / "gate" / "annotations.json").read_bytes() == first
    looked.clear()
    assert command([tmp_path / "gate"], files, tmp_path / "out", "--accept", "car=0.9") == 0
    assert len(looked) == pictures


def test_pictures_alone_become_a_set_of_machine_made_labels(street, files, tmp_path, capsys):
    assert command([street / "img1"], files, tmp_path / "out", "--classes", "car,bus") == 0
    assert "no labelled object to compare with" in capsys.readouterr().out
    found = coco.read_coco(tmp_path / "out" / "img1")
    assert found.machine_made
    assert found.labelled == {"car", "bus"}
    assert found.counts.keys() <= {"car", "bus"}
    assert found.counts["car"] >= 5


def test_machine_made_masks_are_drawn_anew_and_the_rest_stays(files, tmp_path, capsys):
    folder = write_coco(tmp_path, labelled=["car"])
    document = json.loads((folder / "annotations.json").read_text())
    first, second = document["annotations"]
    first |= {"score": 0.7, "mask_score": 0.9, "det_box": [10, 30, 48, 32]}
    second |= {"score": 0.2, "iscrowd": 1}
    (folder / "annotations.json").write_text(json.dumps(document))
    assert command([folder], files, tmp_path / "out") == 0
    assert "drawn anew: car 1; 1 doubtful regions" in capsys.readouterr().out
    again = coco.read_coco(tmp_path / "out" / "made")
    redrawn, left = [item for items in again.annotations.values() for item in items]
    expected = ellipse((10, 30, 58, 62))
    mask = coco.annotation_mask(redrawn, 96, 128) > 0
    assert (mask & expected).sum() / (mask | expected).sum() > 0.98
    assert (redrawn["score"], redrawn["mask_score"]) == (0.7, EXPECTED_IOU)
    assert left == second
    assert again.machine_made


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--classes", "person,forklift"], "--classes forklift: expected a class of the detector"),
        (["--accept", "lorry=0.5"], "--accept lorry: expected a class of the detector"),
        (["--doubt", "0"], "expected a score above 0 and sizes of at least 64 px"),
        (["--detector", "none.onnx"], "none.onnx: no such file"),
        (["--encoder", "none.onnx"], "none.onnx: no such file"),
    ],
)
def test_mistakes_are_named_before_anything_is_done(files, tmp_path, capsys, more, message):
    folder = write_coco(tmp_path, labelled=["person"])
    assert command([folder], files, tmp_path / "out", *more) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_sets_have_names_of_their_own_and_hold_pictures(files, tmp_path, capsys):
    one = write_coco(tmp_path / "a", labelled=["person"])
    other = write_coco(tmp_path / "b", labelled=["person"])
    assert command([one, other], files, tmp_path / "out") == 2
    assert "found made twice" in capsys.readouterr().err
    (tmp_path / "empty").mkdir()
    assert command([tmp_path / "empty"], files, tmp_path / "out") == 2
    assert "or pictures; found none" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        command([one], files, tmp_path / "out", "--accept", "car=2")
    assert "expected CLASS=SCORE" in capsys.readouterr().err


def test_masks_weigh_what_they_are_said_to_be_worth(street, files, tmp_path):
    only_cars(street, tmp_path / "gate")
    assert command([tmp_path / "gate"], files, tmp_path / "out", "--mask-worth", "bus=0.8", "truck=0.7") == 0
    document = json.loads((tmp_path / "out" / "gate" / "annotations.json").read_text())
    names = {item["id"]: item["name"] for item in document["categories"]}
    found = {}
    for item in document["annotations"]:
        if item.get("weight"):
            found.setdefault(names[item["category_id"]], set()).add(item["mask_score"])
    assert found["bus"] == {round(EXPECTED_IOU * 0.8, 3)}
    assert document["info"]["machine_labels"]["mask_iou_by_expected_classes"]["truck"] == 0.7
    assert command([tmp_path / "gate"], files, tmp_path / "out", "--mask-worth", "cat=0.8") == 2
