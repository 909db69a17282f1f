"""solov2-nano: its start from yolact-nano, targets and losses, and training by the command line up to a model."""

from __future__ import annotations

import json
import sys

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the PyTorch side needs torch: pip install torch")
onnx = pytest.importorskip("onnx")
cv2 = pytest.importorskip("cv2")
pytest.importorskip("pycocotools")

from export.__main__ import main  # noqa: E402
from export.networks import solov2_nano, weights  # noqa: E402
from export.networks.yolact_nano import CLASSES  # noqa: E402
from export.onnx.families import LEAST_OBJECT_PX, compared, decoder_of, parity  # noqa: E402
from export.onnx.solov2_export import OUTPUTS  # noqa: E402
from export.onnx.solov2_nano_export import SoloNanoFrames  # noqa: E402
from export.training import evaluate, losses, solo, validate  # noqa: E402
from export.training.train_command import INITIAL  # noqa: E402
from tests.export.pictures import write_coco  # noqa: E402
from tracker.segment.zoo import find_model  # noqa: E402

pytestmark = pytest.mark.export

SIZE = (96, 160)
SHAPES = [(10, 10), (6, 6), (3, 3)]
EMPTY = torch.zeros(0, 4), torch.zeros(0, dtype=torch.long), torch.zeros(0)

SHIPPED = find_model("solov2-nano").path


def clip_frame(name, number, size=(384, 640)):
    """A frame (H, W, 3) of a rendered clip as the network takes it."""
    video = cv2.VideoCapture(str(INITIAL.parents[2] / "demos" / "clips" / name))
    video.set(cv2.CAP_PROP_POS_FRAMES, number)
    _, image = video.read()
    video.release()
    return evaluate.letterbox(image, size)[0]


@pytest.fixture(scope="module")
def yolact():
    return weights.load_network(INITIAL)


def test_the_heads_begin_with_what_yolact_nano_sees(yolact):
    """Before any training: most of its sure instances are there, where they are, and as they look."""
    frame = clip_frame("shop.mp4", 60)
    size = frame.shape[:2]
    found = []
    for network, kind in ((yolact, validate.YolactFinder), (solov2_nano.from_yolact(yolact), validate.SoloFinder)):
        finder = kind(network, size, torch.device("cpu"))
        with torch.no_grad():
            outputs = [value.numpy()[0] for value in finder.module(torch.from_numpy(frame[None]))]
        found.append(finder.found(outputs, size, 1.0))
    theirs, ours = found
    sure = np.flatnonzero(theirs.scores > 0.5)
    assert len(sure) >= 3
    best = [
        max((mask & theirs.masks[row]).sum() / (mask | theirs.masks[row]).sum() for mask in ours.masks) for row in sure
    ]
    assert np.median(best) > 0.5


def test_kernels_are_quadratics_about_their_cells():
    """The terms for 1, x, x^2, y, y^2 give `c - u^2 - v^2` at every point of the map."""
    raw = torch.zeros(1, 6, 3, 3)
    raw[0, 1:, 1, 2] = torch.tensor([2.0, 0.25, -0.5, 0.3, -0.2])
    kernel = solov2_nano.compose(raw, *SIZE, 20.0)[0, :, 1, 2]
    features = solov2_nano.SoloHead(2, learned=1).mask_features(torch.zeros(1, 32, 24, 40))[0]
    logits = torch.einsum("e,ehw->hw", kernel, features)
    y, x = torch.meshgrid(torch.arange(24) * 4 + 2.0, torch.arange(40) * 4 + 2.0, indexing="ij")
    across = (x - (2.5 + 0.25) * 160 / 3) / (20 * np.exp(0.3))
    down = (y - (1.5 - 0.5) * 96 / 3) / (20 * np.exp(-0.2))
    torch.testing.assert_close(logits, 2 - across**2 - down**2, atol=1e-3, rtol=1e-4)


def target(boxes, class_ids, **changes):
    """Two classes; masks fill their boxes."""
    masks = torch.zeros(len(boxes), SIZE[0] // 4, SIZE[1] // 4, dtype=torch.uint8)
    for mask, box in zip(masks, boxes, strict=True):
        left, top, right, bottom = (int(edge) // 4 for edge in box)
        mask[top:bottom, left:right] = 255
    return losses.Target(
        torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4),
        torch.tensor(class_ids, dtype=torch.long),
        torch.full((len(boxes),), 0.8),
        masks,
        torch.zeros(0, 4),
        torch.ones(2, dtype=torch.bool),
        complete=True,
    )._replace(**changes)


def level_of(cells):
    """Levels of cell numbers."""
    return {sum(cell >= edge for edge in (100, 136)) for cell in cells.tolist()}


def test_objects_are_learned_at_their_middle_by_the_levels_of_their_size():
    cells = solo.assign_cells(target([[8, 8, 40, 40], [60, 10, 140, 80]], [0, 1]), EMPTY, SIZE)
    assert level_of(cells.cell[cells.row == 0]) == {0}
    assert level_of(cells.cell[cells.row == 1]) == {1}
    middles = solo.cell_middles(SHAPES, SIZE)[cells.cell]
    assert (middles[cells.row == 0] - torch.tensor([24.0, 24.0])).abs().max() < 16
    assert (middles[cells.row == 1] - torch.tensor([100.0, 45.0])).abs().max() < 28
    assert cells.weights[cells.wanted > 0].tolist() == pytest.approx([0.8] * int(cells.wanted.sum()))
    assert cells.weights[cells.wanted == 0].min() == 1.0


def test_the_smaller_of_two_objects_gets_a_cell_that_both_want():
    cells = solo.assign_cells(target([[20, 20, 60, 60], [36, 36, 48, 48]], [0, 0]), EMPTY, SIZE)
    middles = solo.cell_middles(SHAPES, SIZE)
    near = int((middles[:100] - torch.tensor([42.0, 42.0])).norm(dim=1).argmin())
    assert cells.row[cells.cell == near].tolist() == [1]


def test_where_labels_are_silent_the_teacher_speaks():
    """Doubtful detections teach nothing, sure ones are positive; both only of classes that are not labelled."""
    boxes = torch.tensor([[8.0, 8.0, 40.0, 40.0], [100.0, 40.0, 140.0, 80.0]])
    found = boxes, torch.tensor([0, 0]), torch.tensor([0.2, 0.9])
    spoken = target([], [], labelled=torch.tensor([False, True]))
    cells = solo.assign_cells(spoken, found, SIZE)
    middles = solo.cell_middles(SHAPES, SIZE)
    first, second = (solo.inside(middles, box) for box in boxes)
    assert cells.weights[first, 0].max() == 0
    assert cells.weights[:, 1].min() == 1
    assert cells.wanted[second, 0].sum() > 0
    assert cells.wanted.sum() == cells.wanted[second, 0].sum()
    assert cells.weights[cells.wanted > 0].tolist() == pytest.approx([0.9] * int(cells.wanted.sum()))
    labelled = solo.assign_cells(target([], []), found, SIZE)
    assert labelled.wanted.sum() == 0
    assert labelled.weights.min() == 1


def test_machine_made_boxes_teach_masks_alone_and_ignored_regions_nothing():
    region = torch.tensor([[80.0, 0.0, 160.0, 96.0]])
    cells = solo.assign_cells(target([[8, 8, 40, 40]], [0], masks_only=True, ignore=region), EMPTY, SIZE)
    assert len(cells.cell)
    assert cells.wanted.sum() == 0
    outside = solo.inside(solo.cell_middles(SHAPES, SIZE), region[0])
    assert cells.weights[outside].max() == 0
    assert cells.weights[~outside].min() == 1


def test_losses_fall_where_the_outputs_become_right():
    wanted = target([[16, 16, 80, 64]], [1])
    cells = solo.assign_cells(wanted, EMPTY, SIZE)
    logits = (cells.wanted * 2 - 1) * 4
    assert solo.focal_loss(logits, cells) < 0.05 * solo.focal_loss(-logits, cells)
    features = (wanted.masks.float() / 255 * 2 - 1) * 8  # (1, h, w)
    generator = torch.Generator().manual_seed(1)
    right, stats = solo.mask_loss(torch.ones(145, 1), features, wanted, cells, generator)
    wrong, _ = solo.mask_loss(-torch.ones(145, 1), features, wanted, cells, generator)
    assert float(stats[0]) == pytest.approx(0.8)
    assert float(stats[1]) == pytest.approx(0.8)
    assert right < 0.01 * wrong


@pytest.mark.timeout(400)  # training and export on a machine that others use too
def test_own_classes_from_labels_to_a_model_that_tracks(tmp_path, monkeypatch, capsys):
    from tracker.__main__ import main as masktrail

    folder = write_coco(tmp_path, labelled=list(CLASSES), images=6)
    run, model = tmp_path / "run", tmp_path / "model"
    tiny = ["--size", "96x160", "--batch", "1", "--threads", "1", "--one-scale", "--device", "cpu", "--seed", "3"]
    given = ["train", "--model", "solov2-nano", "--data", str(folder / "annotations.json"), "--split", "0.4", *tiny]
    given += ["--classes", "car,person", "--keep-duplicates", "--mask-steps", "2", "--out", str(run)]
    assert main([*given, "--all-steps", "2", "--val-every", "99"]) == 0
    assert f"python -m export solov2-nano --weights {run / 'best.pt'}" in capsys.readouterr().out
    log = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    assert [line["step"] for line in log if "val" in line] == [0, 4]
    trained = [line for line in log if "loss" in line]
    assert len(trained) == 4
    before, after = weights.load_network(INITIAL), weights.load_solov2_nano(run / "best.pt")
    assert after.classes == ("car", "person")
    assert not torch.equal(before.backbone.stem.conv.weight, after.backbone.stem.conv.weight)
    export = ["solov2-nano", "--weights", str(run / "best.pt"), "--out", str(model), "--size", "96x160"]
    assert main([*export, "--no-accuracy"]) == 0
    assert "100.0 % of" in capsys.readouterr().out
    records = tmp_path / "tracks.jsonl"
    file = str(model / "solov2-nano-96x160.onnx")
    track = ["track", str(folder / "images"), "--model", file, "--device", "cpu", "--records", str(records)]
    for command in (["models", "check", str(model)], track):
        monkeypatch.setattr(sys, "argv", ["masktrail", *command])
        with pytest.raises(SystemExit) as end:
            masktrail()
        assert end.value.code in (0, None)
    assert "2: car, person" in capsys.readouterr().out
    assert records.exists()


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        (["--crossover", "2"], "--crossover is of yolact-nano alone"),
        (["--teacher", "other.onnx"], "expected init or none"),
        (["--activation", "hardswish"], "expected that of --init"),
        (["--heads", str(SHIPPED), "--mask-steps", "2"], "the trunk of trained heads is not --init's"),
        (["--heads", str(SHIPPED), "--classes", "car,person"], "expected the classes of the data, car, person, found"),
        (["--heads", str(INITIAL)], "expected weights of solov2-nano, found others"),
        (["--size", "96x128"], "expected three parts of height to five of width, found 96x128"),
    ],
)
def test_what_solov2_nano_cannot_be_trained_with_is_refused(tmp_path, capsys, options, problem):
    folder = write_coco(tmp_path, labelled=list(CLASSES))
    given = ["train", "--model", "solov2-nano", "--data", str(folder), "--out", str(tmp_path / "run")]
    assert main([*given, "--size", "96x160", *options]) == 2
    assert problem in capsys.readouterr().err
    assert not (tmp_path / "run" / "last.pt").exists()


def test_a_trained_one_goes_on_with_every_layer(tmp_path):
    folder = write_coco(tmp_path, labelled=list(CLASSES), images=4)
    given = ["train", "--model", "solov2-nano", "--data", str(folder / "annotations.json"), "--classes", "car,person"]
    given += ["--size", "96x160", "--batch", "1", "--threads", "1", "--one-scale", "--device", "cpu", "--seed", "3"]
    first, second = tmp_path / "first", tmp_path / "second"
    assert main([*given, "--keep-duplicates", "--mask-steps", "2", "--all-steps", "0", "--out", str(first)]) == 0
    heads = ["--heads", str(first / "best.pt"), "--all-steps", "1", "--out", str(second)]
    assert main([*given, "--keep-duplicates", *heads]) == 0
    assert [json.loads(line)["step"] for line in (second / "log.jsonl").read_text().splitlines()] == [1]
    start, after = (weights.load_solov2_nano(run / "best.pt").state_dict() for run in (first, second))
    moved = {key: float((after[key] - start[key]).abs().max()) for key in after}
    assert {key.split(".")[0] for key, by in moved.items() if by} == {
        "backbone",
        "neck",
        "heads",
        "protonet",
        "mask_head",
    }
    assert all(by <= 2e-3 * max(1.0, float(start[key].abs().max())) for key, by in moved.items())


def test_weights_of_one_model_are_not_taken_for_the_other(tmp_path, capsys):
    assert main(["solov2-nano", "--weights", str(INITIAL), "--out", str(tmp_path)]) == 2
    assert "expected weights of solov2-nano, found others" in capsys.readouterr().err
    file = str(find_model("solov2-nano").path)
    assert main(["nano", "--weights", file, "--out", str(tmp_path)]) == 2
    assert "expected weights of yolact-nano, found those of solov2-nano" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_the_zoos_file_is_the_network_that_it_holds():
    """ONNX Runtime against PyTorch, the weights being the file's: raw outputs, and instances as sets."""
    file = find_model("solov2-nano").path
    module = SoloNanoFrames(weights.load_solov2_nano(file)).eval()
    frames = np.stack([clip_frame("road.mp4", 60), clip_frame("shop.mp4", 60)])
    figures = parity(module, file, frames, frames.shape[1:3], OUTPUTS)
    assert figures["instances"] >= 8
    assert figures["agreement"] == 1
    assert figures["mask_iou"] > 0.99
    assert figures["cate_max_error"] < 1e-3
    assert figures["features_max_error"] < 1e-3


def test_frames_in_another_colour_order_are_noticed():
    """The mutation of the parity test: red for blue changes the instances."""
    file = find_model("solov2-nano").path
    decode = decoder_of(file, (384, 640))
    module = SoloNanoFrames(weights.load_solov2_nano(file)).eval()
    frame = clip_frame("shop.mp4", 60)
    found = []
    for image in (frame, frame[..., ::-1].copy()):
        with torch.no_grad():
            values = [value.numpy() for value in module(torch.from_numpy(image[None]))]
        found.append(decode(dict(zip(OUTPUTS, values, strict=True))))
    matched, _ = compared(*found)
    assert matched < len(found[0].scores)
    areas = (found[0].boxes[:, 2:] - found[0].boxes[:, :2]).prod(axis=1)
    assert areas.max() > LEAST_OBJECT_PX
