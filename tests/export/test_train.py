"""Training by the command line: custom classes to a model that tracks, resuming after a kill, devices, and mistakes."""

from __future__ import annotations

import io
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

torch = pytest.importorskip("torch", reason="the PyTorch side needs torch: pip install torch")
onnx = pytest.importorskip("onnx")
cv2 = pytest.importorskip("cv2")
pytest.importorskip("pycocotools")

from export.__main__ import main  # noqa: E402
from export.data import archive as data  # noqa: E402
from export.data import augment, coco, pack, teacher  # noqa: E402
from export.networks import weights  # noqa: E402
from export.networks.yolact_nano import CLASSES, YolactNano, locations  # noqa: E402
from export.onnx import to_onnx  # noqa: E402
from export.training import losses, progress, train, validate  # noqa: E402
from export.training.train_command import INITIAL  # noqa: E402
from tests.export.pictures import write_coco  # noqa: E402

pytestmark = pytest.mark.export

TINY = ["--size", "96x128", "--batch", "1", "--threads", "1", "--one-scale", "--device", "cpu"]
OWN = {"person": "parcel", "car": "forklift"}


def own_coco(folder, **options):
    """A COCO folder whose classes no model knows."""
    folder = write_coco(folder, labelled=["person", "car"], **options)
    document = json.loads((folder / "annotations.json").read_text())
    document["info"] = {}
    document["categories"] = [item | {"name": OWN.get(item["name"], item["name"])} for item in document["categories"]]
    (folder / "annotations.json").write_text(json.dumps(document))
    return folder


@pytest.mark.timeout(400)  # training, export and tracking on a machine that others use too
def test_own_classes_from_labels_to_tracks(tmp_path, monkeypatch, capsys):
    """Two commands, and the model that comes out names the classes, passes the check and tracks."""
    from tracker.__main__ import run as masktrail

    folder = own_coco(tmp_path, images=8)
    run, model = tmp_path / "run", tmp_path / "my-model"
    given = ["--data", str(folder / "annotations.json"), "--images", str(folder / "images")]
    steps = ["--split", "0.4", "--all-steps", "3", "--val-every", "99", "--classes", "forklift,parcel"]
    assert main(["train", *given, *steps, *TINY, "--out", str(run), "--keep-duplicates"]) == 0
    told = capsys.readouterr().out
    assert "no teacher: it knows person" in told
    forgotten = "person, bicycle, car, motorcycle, bus, truck"
    assert f"the tuned model will no longer know {forgotten}: the data has forklift, parcel" in told
    assert told.index("before the first step: mask AP 0.") < told.index("step 3/3")
    assert re.search(r"best val AP 0\.\d{3} at step 3, before training 0\.\d{3} \([+-]0\.\d{3}\), export it with", told)
    document = json.loads((run / "run.json").read_text())
    assert document["settings"]["classes"] == ["forklift", "parcel"]
    assert document["settings"]["teacher"] is None
    assert document["data"]["objects"]["train"]["forklift"] == document["data"]["pictures"]["train"]
    assert document["starts"][0]["versions"]["torch"] == torch.__version__
    log = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    assert [line["step"] for line in log if "loss" in line] == [1, 2, 3]
    assert {"AP", "AP50"} <= log[-1]["val"].keys()
    assert [line["step"] for line in log if "val" in line] == [0, 3]
    before = torch.load(run / "last.pt", weights_only=True)["before"]
    assert before == {key: log[0]["val"][key] for key in ("AP", "AP50")}
    for name in ("curves.png", "batch-0.png", "predictions.png"):
        assert cv2.imread(str(run / name)).std() > 5
    export = ["nano", "--weights", str(run / "best.pt"), "--out", str(model), "--sizes", "128x160"]
    assert main(export) == 0
    assert re.search(
        r"random pictures: 100\.0 % of \d+ instances agree; .* masks within \d of 255\n", capsys.readouterr().out
    )
    file = model / "my-model-128x160.onnx"
    metadata = {item.key: item.value for item in onnx.load(str(file)).metadata_props}
    assert json.loads(metadata["masktrail.classes"]) == ["forklift", "parcel"]
    capsys.readouterr()
    records = tmp_path / "tracks.jsonl"
    picture = ["--conf", "0.0001", "--classes", "parcel", "--device", "cpu", "--records", str(records)]
    for command in (["models", "check", str(model)], ["track", str(folder / "images"), "--model", str(file), *picture]):
        monkeypatch.setattr(sys, "argv", ["masktrail", *command])
        with pytest.raises(SystemExit) as end:
            masktrail()
        assert end.value.code in (0, None)
    assert "2: forklift, parcel" in capsys.readouterr().out
    assert records.exists()


@pytest.mark.timeout(400)
def test_killed_and_resumed_equals_uninterrupted(tmp_path):
    """`kill -9` in the middle: the same command goes on, and ends where it would have ended.

    Libraries of linear algebra do not promise the same last digit twice, and now and then a run shows it; Adam
    makes more of that. So the bound is a hundredth of what training changed: without the optimiser's state, or with a
    batch taken for another, an eighth or more is missed; with another number of threads, a fifty-thousandth.
    """
    folder = write_coco(tmp_path, labelled=list(CLASSES))
    pack.pack([coco.read_coco(folder)], tmp_path / "pack", classes=CLASSES)
    given = ["train", "--archive", str(tmp_path / "pack"), "--all-steps", "5", "--mask-steps", "1", *TINY]
    given += ["--teacher", "none"]
    killed = [*given, "--out", str(tmp_path / "killed"), "--save-every", "0"]
    process = subprocess.Popen(
        [sys.executable, "-m", "export", *killed], cwd=Path(__file__).parents[2], stdout=subprocess.DEVNULL
    )
    last = tmp_path / "killed" / "last.pt"
    until = time.monotonic() + 90
    while not last.exists() and process.poll() is None and time.monotonic() < until:
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert 0 < torch.load(last, weights_only=True)["step"] < 6
    assert main(killed) == 0
    assert main([*given, "--out", str(tmp_path / "whole")]) == 0
    resumed, whole = (torch.load(tmp_path / name / "last.pt", weights_only=True) for name in ("killed", "whole"))
    assert resumed["step"] == whole["step"] == 6
    initial = weights.load_network(INITIAL).state_dict()
    for kind in ("network", "average"):
        assert distance(resumed[kind], whole[kind]) <= 0.01 * distance(whole[kind], initial)
    lines = [(tmp_path / name / "log.jsonl").read_text().splitlines() for name in ("killed", "whole")]
    history = [{line["step"]: line["loss"] for line in map(json.loads, found)} for found in lines]
    assert history[0] == pytest.approx(history[1], rel=1e-3)
    assert list(history[0]) == list(range(1, 7))


def test_a_run_of_some_hours_ends_with_them_and_goes_on_with_more(tmp_path):
    """Steps are planned by the speed so far; the rates are down at the end; the time of all starts counts."""
    folder = write_coco(tmp_path, labelled=list(CLASSES))
    pack.pack([coco.read_coco(folder)], tmp_path / "pack", classes=CLASSES)
    run = tmp_path / "run"
    given = ["train", "--archive", str(tmp_path / "pack"), *TINY, "--teacher", "none", "--out", str(run)]
    seconds, ends = 2.0, []
    for _ in range(2):
        assert main([*given, "--hours", str(seconds / 3600)]) == 0
        state = torch.load(run / "last.pt", weights_only=True)
        assert state["trained_s"] > seconds * state["step"] / (state["step"] + 0.5)  # not half a step is left
        line = json.loads((run / "log.jsonl").read_text().splitlines()[-1])
        assert line["step"] == line["of"] == state["step"]
        ends.append(state["step"])
        seconds = 2 * state["trained_s"]
    assert ends[0] < ends[1]


def test_the_time_left_is_that_of_the_run_where_it_has_an_end_in_time():
    told = io.StringIO()
    shown = progress.TrainProgress(console=Console(file=told, width=200), steps=100, epoch_steps=10)
    shown.left_s = 3725.0
    shown.show(100, 8, {}, {})
    assert "step 100/100" in told.getvalue()
    assert "1:02:05 left" in told.getvalue()


def test_rates_and_the_closing_steps_follow_the_time():
    run = train.Trainer(network=YolactNano(), teacher=None, seed=1, mask_steps=0, all_steps=9999)
    full = run.rates[1]
    run.step = 300
    for share, low, high in ((0.31, 0.8, 1.0), (0.6, 0.25, 0.75), (1.0, 0.0, 0.03), (1.2, 0.0, 0.03)):
        run.plan(share)
        assert run.steps == round(300 / min(share, 1.0))
        assert low * full <= run.learning_rates(run.step)[1] <= high * full
    run.step = 0
    run.plan(0.0)
    assert run.steps == 1


def distance(first, second):
    """How far two states lie apart, each tensor in units of its own size."""
    parts = [(first[key] - value).norm() / value.norm().clamp(min=1e-6) for key, value in second.items()]
    return float(torch.stack(parts).norm())


def test_a_run_folder_takes_no_other_settings(tmp_path, capsys):
    folder = write_coco(tmp_path, labelled=list(CLASSES))
    given = [
        "train",
        "--data",
        str(folder),
        *TINY,
        "--out",
        str(tmp_path / "run"),
        "--all-steps",
        "1",
        "--teacher",
        "none",
    ]
    assert main(given) == 0
    assert main([*given, "--seed", "2"]) == 2
    assert "holds a run with other settings: seed was 1, and is 2" in capsys.readouterr().err
    assert main([*given, "--map", "car=person"]) == 2
    assert "holds a run on other data" in capsys.readouterr().err
    assert main(given) == 0  # complete: nothing is left to do
    assert len(json.loads((tmp_path / "run" / "run.json").read_text())["starts"]) == 2


def broken(folder, name):
    document = json.loads((folder / "annotations.json").read_text())
    if name == "no annotations":
        document["annotations"] = []
    elif name == "boxes only":
        document["annotations"] = [item | {"segmentation": []} for item in document["annotations"]]
    elif name == "lost picture":
        (folder / "images" / "1.png").unlink()
    elif name == "broken picture":
        (folder / "images" / "1.png").write_bytes(b"no picture")
    elif name == "unknown category":
        document["annotations"][0]["category_id"] = 77
    (folder / "annotations.json").write_text("{" if name == "no JSON" else json.dumps(document))


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("no annotations", r"annotations.json: `annotations` is empty"),
        ("boxes only", "expected instance masks, found boxes only"),
        ("lost picture", r"1.png: no such picture, and 1 of the 2 in annotations.json are missing"),
        ("broken picture", r"1.png: expected a picture, found a file that does not decode"),
        ("unknown category", "annotation 1: category_id 77 is not among the categories"),
        ("no JSON", "expected a COCO instances file, found"),
    ],
)
def test_bad_data_is_named(tmp_path, capsys, name, message):
    folder = write_coco(tmp_path, labelled=list(CLASSES))
    broken(folder, name)
    assert main(["train", "--data", str(folder / "annotations.json"), "--out", str(tmp_path / "run")]) == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--classes", "person,cra"], "found 'cra'; it has person (2), bicycle (0), car (2)"),
        (["--classes", "bus"], "found 'bus'"),
        (["--map", "van=car"], "the data has no class 'van'"),
        (["--map", "van"], "expected OLD=NEW"),
        (["--init", "nowhere.pt"], "nowhere.pt: no such file"),
        (["--init", __file__], "expected a checkpoint, found"),
        (["--archive", "elsewhere"], "expected either --data or --archive"),
        (["--images", "one", "two"], "expected one folder for each of 1 files, found 2"),
        (["--images", "nowhere"], "nowhere: expected the folder of the pictures"),
        (["--batch", "0"], "expected more than zero"),
        (["--hours", "0"], "--hours 0.0: expected more than zero, and no --all-steps beside it"),
        (["--hours", "1", "--all-steps", "5"], "and no --all-steps beside it"),
    ],
)
def test_bad_options_are_named(tmp_path, capsys, options, message):
    folder = write_coco(tmp_path, labelled=list(CLASSES))
    assert main(["train", "--data", str(folder), "--out", str(tmp_path / "run"), *TINY, *options]) == 2
    assert message in capsys.readouterr().err


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here")
def test_a_gpu_that_is_not_there_is_named(tmp_path, capsys):
    assert main(["train", "--data", str(tmp_path), "--out", str(tmp_path / "run"), "--device", "cuda"]) == 2
    assert "expected a GPU that PyTorch can use, found none" in capsys.readouterr().err


def test_known_classes_keep_their_rows_and_new_ones_start_between_them():
    network = YolactNano()
    changed = weights.with_classes(network, ["forklift", "car", "person"])
    before, after = network.heads[1].class_out, changed.heads[1].class_out
    assert torch.equal(after.weight[1], before.weight[CLASSES.index("car")])
    assert torch.equal(after.weight[2], before.weight[CLASSES.index("person")])
    torch.testing.assert_close(after.weight[0], before.weight.mean(dim=0))
    assert after.bias[0].sigmoid().item() == pytest.approx(1 / 3)
    assert changed.classes == ("forklift", "car", "person")
    assert network.classes == CLASSES
    assert torch.equal(changed.backbone.stem.conv.weight, network.backbone.stem.conv.weight)


def test_the_teacher_speaks_of_the_classes_it_knows_only():
    network = YolactNano().eval()
    frozen = teacher.FrozenTeacher(network, ["forklift", "truck"], torch.device("cpu"))
    images = torch.rand(1, 3, 64, 96) * 255
    _, objectness, classes, maps = frozen(images)
    assert maps == ()
    with torch.no_grad():
        expected = network.detect(images)
    assert frozen.known.tolist() == [False, True]
    assert classes[..., 0].max() == 0
    torch.testing.assert_close(
        classes[..., 1], expected[2][..., CLASSES.index("truck")].sigmoid(), rtol=1e-3, atol=1e-5
    )
    torch.testing.assert_close(objectness, expected[1].sigmoid(), rtol=1e-3, atol=1e-5)


def test_the_teacher_gives_the_maps_that_a_network_follows():
    network = YolactNano().eval()
    frozen = teacher.FrozenTeacher(network, CLASSES, torch.device("cpu"), maps=True)
    images = torch.rand(2, 3, 64, 96) * 255
    found = frozen(images).maps
    with torch.no_grad():
        features = network.detect(images)[3]
        expected = teacher.matched_maps(features, network.mask_head(*features)[1])
    sizes = [(32, 16, 24), (64, 8, 12), (64, 8, 12), (64, 4, 6), (64, 2, 3), (24, 16, 24)]
    assert [values.shape[1:] for values in found] == sizes
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-3)


def one_object(class_id=0, **changes):
    target = losses.Target(
        torch.tensor([[20.0, 20.0, 60.0, 52.0]]),
        torch.tensor([class_id]),
        torch.ones(1),
        torch.full((1, 16, 24), 255, dtype=torch.uint8),
        torch.tensor([[70.0, 0.0, 96.0, 20.0]]),
        torch.ones(2, dtype=torch.bool),
        complete=True,
    )
    return target._replace(**changes)


def test_machine_made_labels_teach_classes_that_the_teacher_does_not_know():
    corners, strides = locations(64, 96, like=torch.zeros(1))
    count = len(corners)
    boxes = torch.cat((corners, corners + 32), dim=1)
    known = torch.tensor([False, True])
    speaks = losses.Teacher(boxes, torch.zeros(count), torch.zeros(count, 2), known)
    for class_id, counted in ((0, 1.0), (1, 0.0)):
        outputs = losses.Outputs(boxes[None], torch.zeros(1, count), torch.zeros(1, count, 2), None, None)
        target = one_object(class_id, masks_only=True)
        pairs = losses.Assignment(torch.tensor([5]), torch.tensor([0]), torch.tensor([0.5]))
        assert losses.detection_loss(outputs, 0, target, pairs, speaks, corners, strides)["count"] == counted


def test_without_a_teacher_incomplete_pictures_push_less_where_the_network_is_sure():
    corners, strides = locations(64, 96, like=torch.zeros(1))
    sure = torch.full((len(corners),), 3.0)
    wanted, trust = losses.untaught_background(one_object(complete=False), sure, corners, strides)
    assert wanted.max() == 0.0
    assert trust.max() == pytest.approx(1 - torch.sigmoid(torch.tensor(3.0)).item())
    _, trust = losses.untaught_background(one_object(), sure, corners, strides)
    assert trust.max() == 1.0
    assert trust.min() == 0.0  # the ignore region


def test_losses_make_no_tensor_on_another_device():
    """Tensors made without a device land on `meta` here, and mixing them in fails as between GPU and processor."""
    network = YolactNano(["forklift", "parcel"])
    known = YolactNano(["parcel"])
    run = train.Trainer(network=network, teacher=known, seed=1, mask_steps=0, all_steps=2)
    images = torch.rand(2, 3, 64, 96) * 255
    generator = torch.Generator().manual_seed(1)
    nothing = one_object(
        boxes=torch.zeros(0, 4), class_ids=torch.zeros(0).long(), weights=torch.zeros(0), masks=torch.zeros(0, 16, 24)
    )
    targets = [one_object(), nothing]
    run.teacher(images)  # the session is made with PyTorch's own tensors
    with torch.device("meta"):
        outputs, maps = run.forward(images, train_all=True)
        loss, terms = run.loss(images, outputs, maps, targets, generator, train_all=True)
        loss.backward()
    assert loss.device.type == "cpu"
    assert all(np.isfinite(value) for value in terms.values())


def test_mixed_precision_learns_nearly_the_same():
    sample = data.Sample(
        np.random.default_rng(0).integers(0, 256, (64, 96, 3), np.uint8),
        np.array([[20, 20, 60, 52]], np.float32),
        np.array([0]),
        np.ones(1, np.float32),
        np.full((1, 16, 24), 255, np.uint8),
        np.zeros((0, 4), np.float32),
        np.ones(6, bool),
        complete=True,
        masks_only=False,
    )
    found = []
    for precision in ("float32", "bfloat16"):
        torch.manual_seed(4)
        run = train.Trainer(network=YolactNano(), teacher=None, seed=1, mask_steps=0, all_steps=2, precision=precision)
        found.append(run.train_step([sample]))
        assert run.network.mask_head.prototypes_out.weight.dtype == torch.float32
    assert found[1]["loss"] == pytest.approx(found[0]["loss"], rel=0.02)


def test_perfect_predictions_validate_as_perfect(tmp_path):
    folder = write_coco(tmp_path, labelled=list(CLASSES))
    pack.pack([coco.read_coco(folder)], tmp_path / "pack", classes=CLASSES)
    archive = data.Archive(tmp_path / "pack")
    results = []
    for row in range(len(archive)):
        items = archive.picture(row).items
        found = validate.Found(
            boxes=np.array([item.box for item in items]),
            scores=np.full(len(items), 0.9),
            class_ids=np.array([item.class_id for item in items]),
            masks=[],
        )
        for item in items:
            mask = np.zeros(archive.image(row).shape[:2], bool)
            x0, y0, x1, y1 = item.box.astype(int)
            mask[y0:y1, x0:x1] = item.mask > 0
            found.masks.append(mask)
        results += validate.to_results(found, row, archive.images[row]["labelled"])
    figures = validate.summarise(validate.truth_of(archive), results)
    assert figures["AP"] == pytest.approx(1.0)
    assert set(figures["classes"]) == {"person", "car"}
    unlabelled = validate.to_results(found, 0, [False] * 6)
    assert unlabelled == []


def test_letterboxed_sample_equals_what_validation_sees(tmp_path):
    folder = write_coco(tmp_path, labelled=list(CLASSES))
    pack.pack([coco.read_coco(folder)], tmp_path / "pack", classes=CLASSES)
    archive = data.Archive(tmp_path / "pack")
    sample = augment.to_sample(archive.picture(0), (192, 320), None)
    frame, _ = validate.letterbox(archive.image(0), (192, 320))
    assert np.abs(sample.image.astype(int) - frame).mean() < 0.5


def test_classes_that_nobody_knows_do_not_suppress_one_another():
    assert to_onnx.group_numbers(CLASSES, to_onnx.NMS_GROUPS) == [0, 1, 2, 1, 2, 2]
    assert to_onnx.group_numbers(["parcel", "forklift", "truck"], to_onnx.NMS_GROUPS) == [0, 1, 2]
    assert to_onnx.group_numbers(["parcel", "forklift", "truck"], [["forklift", "truck"]]) == [0, 1, 1]
