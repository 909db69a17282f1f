"""yolact-nanodet: the published weights, the form that is exported, losses, and training by the command line."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import pytest

torch = pytest.importorskip("torch", reason="the PyTorch side needs torch: pip install torch")
onnx = pytest.importorskip("onnx")
pytest.importorskip("cv2")
pytest.importorskip("pycocotools")

from export.__main__ import main  # noqa: E402
from export.data.nanodet import NanoDet, convert  # noqa: E402
from export.networks import aligned, nanodet_weights, weights  # noqa: E402
from export.networks.checkpoints import randomised  # noqa: E402
from export.networks.yolact_nano import CLASSES, Outputs  # noqa: E402
from export.networks.yolact_nanodet import BINS, STRIDES, YolactNanoDet  # noqa: E402
from export.onnx.to_onnx import EndToEnd, export_onnx  # noqa: E402
from export.training import nanodet as training  # noqa: E402
from export.training.losses import Assignment, Target  # noqa: E402
from export.training.train_command import INITIAL  # noqa: E402
from tests.export.ncnn_files import small_nanodet  # noqa: E402
from tests.export.pictures import write_coco  # noqa: E402
from tracker.errors import ModelError  # noqa: E402

pytestmark = pytest.mark.export

REAL = Path(os.environ.get("MASKTRAIL_DATA", "none")) / "weights" / "nanodet-plus-m_416.param"
SIZE = (96, 160)
needs_weights = pytest.mark.skipif(not REAL.is_file(), reason="needs the published weights: MASKTRAIL_DATA")


@pytest.fixture(scope="module")
def network():
    made = randomised(YolactNanoDet(), 2)
    made.backbone.stem.conv.weight.div_(57.0)  # pixels are 0 to 255
    for head in made.heads:  # scores that are not all 0 or 1
        head.class_out.weight.mul_(0.05)
    return made


def pictures(count=1, size=SIZE):
    return torch.rand(count, 3, *size, generator=torch.Generator().manual_seed(3)) * 255


# weights


@pytest.mark.data
@needs_weights
def test_the_published_weights_give_what_the_converted_graph_gives(tmp_path):
    network = weights.load_network(REAL).eval()
    convert(REAL, REAL.with_suffix(".bin"), tmp_path / "nanodet.onnx")
    images = pictures(size=(128, 192))
    boxes, _, classes = NanoDet(tmp_path / "nanodet.onnx")(images)
    with torch.no_grad():
        ours = network.detect(images)
    torch.testing.assert_close(ours[0], boxes, atol=1e-2, rtol=1e-4)
    torch.testing.assert_close(ours[2].sigmoid(), classes, atol=1e-5, rtol=1e-4)


def test_another_network_is_refused(tmp_path):
    param, binary = small_nanodet().write(tmp_path)
    with pytest.raises(ModelError, match=r"convolutions, expected the \d+ of NanoDet-Plus-m"):
        weights.load_network(param)
    binary.unlink()
    with pytest.raises(ModelError, match=r"small\.bin"):
        weights.load_network(param)


def test_every_parameter_of_the_detector_is_in_the_files_order(network):
    listed = [layer for layers in nanodet_weights.convolutions_in_order(network) for layer in layers]
    everything = [layer for layer in network.modules() if isinstance(layer, torch.nn.Conv2d)]
    masks = [layer for layer in network.mask_head.modules() if isinstance(layer, torch.nn.Conv2d)]
    assert {id(layer) for layer in listed} == {id(layer) for layer in everything} - {id(layer) for layer in masks}
    assert len(listed) == len({id(layer) for layer in listed})


# the exported form


@pytest.mark.parametrize(("half", "units"), [(58, 4), (116, 8), (232, 4)])
def test_every_channel_is_read_where_shufflenet_reads_it(half, units):
    plan = aligned.plan(half, units)
    assert all(len(layout) % aligned.BLOCK == 0 for groups in plan.parts for layout in groups)
    for number in range(1, units):
        read = {label for unit, part in plan.reads[number] for label in plan.parts[unit][part]}
        assert set(plan.states[number][half:]) <= read
    left = {label for unit, part in plan.end for label in plan.parts[unit][part]}
    assert set(plan.states[-1]) <= left
    assert len(set(plan.states[-1])) == 2 * half


def test_channels_in_whole_blocks_give_the_same_and_come_back(network):
    images = pictures(2)
    form = aligned.aligned(network)
    with torch.no_grad():
        before, after = network(images), form(images)
    for one, other in zip(before, after, strict=True):
        torch.testing.assert_close(other, one, atol=1e-4 * float(one.abs().max()), rtol=0)
    back = aligned.restored(form, YolactNanoDet())
    for key, value in network.state_dict().items():
        assert torch.equal(back.state_dict()[key], value), key


def test_an_exported_file_is_enough_to_train_further(network, tmp_path):
    file = tmp_path / "file.onnx"
    export_onnx(
        EndToEnd(network, height=SIZE[0], width=SIZE[1], candidates=40, instances=20), file, name="n", version="1"
    )
    back = weights.load_network(file)
    assert isinstance(back, YolactNanoDet)
    assert back.classes == CLASSES
    for key, value in network.state_dict().items():
        torch.testing.assert_close(back.state_dict()[key], value, atol=0, rtol=0)
    kinds = {node.op_type for node in onnx.load(file).graph.node}
    assert "LeakyRelu" in kinds
    model = onnx.load(file)
    model.graph.initializer.remove(next(item for item in model.graph.initializer if "box_out.weight" in item.name))
    onnx.save(model, file)
    with pytest.raises(ModelError, match=r"1 parameters missing or of another shape, the first heads\.\d\.box_out"):
        weights.load_network(file)


# losses


def places():
    return YolactNanoDet.locations(*SIZE, like=torch.zeros(0))


def logits_of(true, location):
    """Logits of distances (A, 32) that are sure of the distances of one location."""
    raw = torch.zeros(len(places()[0]), 4 * BINS)
    low = true.floor().long()
    for side in range(4):
        share = float(true[side]) - int(low[side])
        values = torch.full((BINS,), -20.0)
        values[low[side]] = torch.log(torch.tensor(max(1 - share, 1e-6)))
        values[low[side] + 1] = torch.log(torch.tensor(max(share, 1e-6)))
        raw[location, side * BINS : (side + 1) * BINS] = values
    return raw


def target(**changes):
    """One object of class 0, four strides of eight pixels wide."""
    values = {
        "boxes": torch.tensor([[32.0, 32.0, 64.0, 60.0]]),
        "class_ids": torch.tensor([0]),
        "weights": torch.tensor([1.0]),
        "masks": torch.zeros(1, SIZE[0] // 4, SIZE[1] // 4, dtype=torch.uint8),
        "ignore": torch.zeros(0, 4),
        "labelled": torch.tensor([True, False]),
        "complete": True,
    }
    return Target(**(values | changes))


def one_image(raw, classes):
    corners, strides = places()
    boxes = YolactNanoDet.decode(raw, corners, strides)
    nothing = torch.zeros(1, len(boxes))
    return Outputs(boxes[None], nothing, classes[None], nothing, nothing)


def pair_at(x, y, iou=1.0):
    """The location of stride 8 that measures from a point, and the first object."""
    location = (y // 8) * (SIZE[1] // 8) + x // 8
    corners, strides = places()
    assert (corners + strides * 0.5)[location].tolist() == [x, y]
    return Assignment(torch.tensor([location]), torch.tensor([0]), torch.tensor([iou]))


def test_distances_that_are_right_cost_least_and_give_the_box():
    pairs = pair_at(48, 48)
    true = torch.tensor([2.0, 2.0, 2.0, 1.5])
    raw = logits_of(true, int(pairs.location))
    box = YolactNanoDet.decode(raw, *places())[pairs.location]
    torch.testing.assert_close(box, target().boxes, atol=0.1, rtol=0)
    right = training.distance_loss(raw, target(), pairs, places())
    for shift in (-0.5, 0.5, 1.0):
        wrong = training.distance_loss(logits_of(true + shift, int(pairs.location)), target(), pairs, places())
        assert right < wrong
    assert float(right) == pytest.approx(0.25 * 0.6931, abs=0.01)  # three whole distances, one between two bins


def test_scores_rate_boxes_and_are_background_only_where_labels_speak():
    pairs = pair_at(48, 48)
    raw = logits_of(torch.tensor([2.0, 2.0, 2.0, 1.5]), int(pairs.location))
    count = len(raw)
    taught_scores = torch.full((count, 2), 0.001)
    taught_scores[27] = 0.8  # of both classes; the first is labelled and complete, so there it is background
    boxes = YolactNanoDet.decode(raw, *places())
    taught = boxes, taught_scores, torch.tensor([True, True])

    def loss(classes, given=None):
        return training.focal_terms(one_image(raw, classes), 0, raw, given or target(), pairs, taught, places())

    wanted = torch.logit(taught_scores.clone())
    wanted[:, 0] = -12.0
    wanted[pairs.location, 0] = 8.0
    least = loss(wanted)["classes"]
    assert float(loss(wanted)["box"]) == pytest.approx(0.0, abs=0.05)
    for row, column, value in ((27, 0, 2.0), (27, 1, -12.0), (int(pairs.location), 0, -2.0)):
        worse = wanted.clone()
        worse[row, column] = value
        assert loss(worse)["classes"] > least + 0.2, (row, column)
    silent = target(complete=False)
    both = wanted.clone()
    both[27, 0] = torch.logit(torch.tensor(0.8))
    assert loss(both, silent)["classes"] < loss(wanted, silent)["classes"]
    ignored = target(ignore=torch.tensor([[40.0, 0.0, 80.0, 16.0]]))  # location 27 measures from (56, 8)
    worse = wanted.clone()
    worse[27] = 5.0
    assert float(loss(worse, ignored)["classes"]) == pytest.approx(float(loss(wanted, ignored)["classes"]), abs=1e-4)


def test_boxes_of_machine_made_labels_are_left_to_the_teacher():
    pairs = pair_at(48, 48)
    raw = torch.zeros(len(places()[0]), 4 * BINS)
    classes = torch.zeros(len(raw), 2)
    boxes = YolactNanoDet.decode(raw, *places())
    taught = boxes, torch.zeros_like(classes), torch.tensor([True, False])
    given = target(masks_only=True)
    terms = training.focal_terms(one_image(raw, classes), 0, raw, given, pairs, taught, places())
    assert float(terms["count"]) == 0
    unknown = (boxes, torch.zeros_like(classes), torch.tensor([False, False]))
    terms = training.focal_terms(one_image(raw, classes), 0, raw, given, pairs, unknown, places())
    assert float(terms["count"]) == 1


def test_masks_that_are_shown_are_followed():
    class Answers:
        objectness = torch.ones(1, 3)
        classes = torch.tensor([[[0.9], [0.1], [0.0]]])
        maps = (torch.randn(1, 3, 9), torch.randn(1, 4, 6, 10))

    coefficients = torch.cat((Answers.maps[0], torch.randn(1, 2, 9)), dim=1)  # a level more than the teacher's
    nothing = torch.zeros(1, 5)
    same = Outputs(nothing, nothing, nothing, coefficients.unbind(0), Answers.maps[1].unbind(0))
    assert float(training.shown_loss(same, Answers)) == 0
    other = same._replace(prototypes=[Answers.maps[1][0] + Answers.maps[1].std()])
    assert 0.5 < float(training.shown_loss(other, Answers)) < 2
    unseen = coefficients.clone()
    unseen[0, 2:] += 1.0
    assert float(training.shown_loss(same._replace(coefficients=unseen.unbind(0)), Answers)) == 0


# by the command line


@pytest.mark.timeout(400)  # training and export on a machine that others use too
def test_training_goes_on_from_a_file_and_ends_in_a_model(tmp_path, network, capsys):
    from tracker.segment.session import OnnxSegmenter

    folder = write_coco(tmp_path, labelled=list(CLASSES), images=4)
    start, run, model = tmp_path / "start.onnx", tmp_path / "run", tmp_path / "model"
    export_onnx(
        EndToEnd(network, height=SIZE[0], width=SIZE[1], candidates=40, instances=20), start, name="n", version="1"
    )
    tiny = ["--size", "96x160", "--batch", "1", "--threads", "1", "--one-scale", "--device", "cpu", "--seed", "3"]
    given = [
        "train",
        "--model",
        "yolact-nanodet",
        "--init",
        str(start),
        "--data",
        str(folder / "annotations.json"),
        *tiny,
    ]
    given += [
        "--classes",
        "car,person",
        "--keep-duplicates",
        "--mask-steps",
        "2",
        "--all-steps",
        "2",
        "--out",
        str(run),
    ]
    assert main(given) == 0
    assert f"python -m export nano --weights {run / 'best.pt'}" in capsys.readouterr().out
    log = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    assert [("shown" in line, "distance" in line) for line in log] == [(True, False)] * 2 + [(False, True)] * 2
    after = weights.load_network(run / "best.pt")
    assert after.classes == ("car", "person")
    assert not torch.equal(after.backbone.stem.conv.weight, network.backbone.stem.conv.weight)
    assert main(["nano", "--weights", str(run / "best.pt"), "--out", str(model), "--no-accuracy"]) == 0
    agreeing = re.findall(r"(\S+) % of \d+ instances agree", capsys.readouterr().out)
    assert min(float(share) for share in agreeing) > 90  # of random weights: many scores are alike
    segmenter = OnnxSegmenter(model / "model-96x160.onnx", device="cpu")
    assert segmenter.class_names == ("car", "person")


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        (["--init", str(INITIAL)], "expected initial weights of yolact-nanodet, found those of yolact-nano"),
        (["--match-maps", "2"], "--match-maps is of yolact-nano alone"),
        (["--teacher", "other.onnx"], "expected init or none"),
        (
            ["--mask-teacher", "START", "--mask-steps", "1"],
            "expected a yolact-nano of 24 prototypes, found yolact-nanodet",
        ),
        (["--model", "yolact-nano"], "expected initial weights of yolact-nano, found those of yolact-nanodet"),
    ],
)
def test_what_cannot_be_trained_is_said_at_once(tmp_path, network, capsys, options, problem):
    folder = write_coco(tmp_path, labelled=list(CLASSES), images=4)
    start = tmp_path / "start.pt"
    torch.save({"average": network.state_dict(), "classes": list(network.classes)}, start)
    given = ["train", "--model", "yolact-nanodet", "--init", str(start), "--data", str(folder / "annotations.json")]
    options = [str(start) if option == "START" else option for option in options]
    assert main([*given, "--out", str(tmp_path / "run"), "--keep-duplicates", *options]) == 2
    assert problem in capsys.readouterr().err


def test_levels_and_strides():
    corners, strides = YolactNanoDet.locations(96, 160, like=torch.zeros(0))
    assert len(corners) == sum(-(-96 // stride) * -(-160 // stride) for stride in STRIDES)
    assert (corners[-1] + strides[-1] * 0.5).tolist() == [128.0, 64.0]


def test_a_teacher_answers_at_the_same_locations(tmp_path, network, capsys):
    folder = write_coco(tmp_path, labelled=list(CLASSES), images=4)
    start = tmp_path / "start.pt"
    torch.save({"average": network.state_dict(), "classes": list(network.classes)}, start)
    given = ["train", "--data", str(folder / "annotations.json"), "--out", str(tmp_path / "run"), "--keep-duplicates"]
    assert main([*given, "--teacher", str(start)]) == 2
    assert (
        "expected locations of strides (8, 16, 32), found (8, 16, 32, 64) of yolact-nanodet" in capsys.readouterr().err
    )


def test_embeddings_are_refused(tmp_path, network, capsys):
    start = tmp_path / "start.pt"
    torch.save({"average": network.state_dict(), "classes": list(network.classes)}, start)
    given = ["embed", "--weights", str(start), "--videos", "none.mp4", "--out", str(tmp_path / "out.pt")]
    assert main(given) == 2
    assert "expected weights of yolact-nano, found those of yolact-nanodet" in capsys.readouterr().err
