"""yolact-nano: mapped weights, losses, partial labels, resuming, the exported contract and its parity."""

from __future__ import annotations

import json

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the PyTorch side needs torch: pip install torch")
onnx = pytest.importorskip("onnx")
cv2 = pytest.importorskip("cv2")
pytest.importorskip("pycocotools")

from export.data import archive as data  # noqa: E402
from export.data import augment, coco, pack  # noqa: E402
from export.networks import weights  # noqa: E402
from export.networks.embedding import flat_places, points  # noqa: E402
from export.networks.yolact_nano import CLASSES, STRIDES, YolactNano, decode, focus, locations, mask_logits  # noqa: E402
from export.onnx import parity, to_onnx  # noqa: E402
from export.training import evaluate, losses, train  # noqa: E402
from tests.export.pictures import write_coco  # noqa: E402
from tracker.engine.run import run  # noqa: E402
from tracker.errors import ModelError  # noqa: E402
from tracker.masks.prototypes import Prototypes  # noqa: E402
from tracker.segment.session import OnnxSegmenter  # noqa: E402
from tracker.types import Frame  # noqa: E402

pytestmark = pytest.mark.export


@pytest.fixture
def archive(tmp_path):
    pack.pack([coco.read_coco(write_coco(tmp_path, labelled=list(CLASSES)))], tmp_path / "pack", classes=CLASSES)
    return data.Archive(tmp_path / "pack")


def trainer(**options):
    torch.manual_seed(5)
    network, teacher = YolactNano(), YolactNano()
    return train.Trainer(network=network, teacher=teacher, **({"seed": 3, "mask_steps": 2, "all_steps": 2} | options))


def test_mapped_weights_compute_what_the_published_file_computes(data_root):
    onnxruntime = pytest.importorskip("onnxruntime")
    path = data_root / "weights" / "yolox_nano.onnx"
    if not path.exists():
        pytest.skip(f"no {path}")
    network = weights.load_yolox(path, rows=None).eval()
    images = np.random.default_rng(0).integers(0, 256, (1, 3, 416, 416)).astype(np.float32)
    published = onnxruntime.InferenceSession(str(path)).run(None, {"images": images})[0]
    with torch.no_grad():
        boxes, objectness, classes, _ = network.detect(torch.from_numpy(images))
    raw = torch.from_numpy(published[..., :4])
    torch.testing.assert_close(boxes, decode(raw, *locations(416, 416, like=raw)), rtol=1e-4, atol=1e-2)
    torch.testing.assert_close(objectness.sigmoid(), torch.from_numpy(published[..., 4]), rtol=0, atol=1e-5)
    torch.testing.assert_close(classes.sigmoid(), torch.from_numpy(published[..., 5:]), rtol=0, atol=1e-5)
    ours = weights.load_yolox(path)
    kept = network.heads[0].class_out.weight[list(weights.COCO_ROWS)]
    torch.testing.assert_close(ours.heads[0].class_out.weight, kept)


def test_a_wrong_weight_file_is_refused(tmp_path):
    graph = onnx.helper.make_graph([], "empty", [], [])
    onnx.save(onnx.helper.make_model(graph), str(tmp_path / "other.onnx"))
    with pytest.raises(ModelError, match="0 convolutions, expected"):
        weights.load_yolox(tmp_path / "other.onnx", rows=(0,))


def test_archive_returns_pixels_and_masks(archive, tmp_path):
    picture = cv2.imread(str(tmp_path / "made" / "images" / "0.png"))
    np.testing.assert_array_equal(archive.image(0), picture)
    car = next(item for item in archive.objects[0] if item["class_id"] == CLASSES.index("car"))
    assert car["box"] == [10, 30, 58, 62]
    assert archive.mask(car).shape == (32, 48)
    assert archive.mask(car).min() == 255


def test_mirrored_labels_follow_the_picture(archive):
    """Wherever a sample puts the bright car, its mask is bright and its box fits."""
    rng = np.random.default_rng(1)
    checked = 0
    for _ in range(12):
        sample = augment.to_sample(archive.picture(0), (96, 160), rng)
        for box, class_id, mask in zip(sample.boxes, sample.class_ids, sample.masks, strict=True):
            cells = np.argwhere(mask > 250)
            if class_id != CLASSES.index("car") or len(cells) < 4:
                continue
            grey = sample.image.mean(axis=2)
            small = cv2.resize(grey, (40, 24), interpolation=cv2.INTER_AREA)
            assert small[mask > 250].mean() > small[mask == 0].mean() + 20
            low, high = cells.min(axis=0)[::-1] * 4, (cells.max(axis=0)[::-1] + 1) * 4
            assert (box[:2] < low + 5).all()
            assert (box[2:] > high - 5).all()
            checked += 1
    assert checked >= 4


def test_one_object_takes_locations_that_lie_in_it():
    corners, strides = locations(96, 160, like=torch.zeros(1))
    truth = torch.tensor([[20.0, 20.0, 60.0, 84.0], [100.0, 30.0, 140.0, 60.0]])
    middle = corners + strides / 2
    boxes = torch.cat((middle - 20, middle + 20), dim=1)
    target = losses.Target(
        truth,
        torch.tensor([0, 2]),
        torch.ones(2),
        torch.zeros(2, 24, 40),
        torch.zeros(0, 4),
        torch.ones(6).bool(),
        True,
    )
    pairs = losses.assign(boxes, torch.zeros(len(boxes)), torch.zeros(len(boxes), 6), target, corners, strides)
    assert set(pairs.row.tolist()) == {0, 1}
    assert len(pairs.location.unique()) == len(pairs.location)
    centre = middle[pairs.location]
    assert ((centre > truth[pairs.row, :2]) & (centre < truth[pairs.row, 2:])).all()


def test_unlabelled_classes_and_regions_are_not_called_background():
    """Where the set is silent the teacher speaks; where it is complete, silence is background; ignore means neither."""
    corners, strides = locations(64, 64, like=torch.zeros(1))
    count = len(corners)
    sure = torch.full((count,), 0.9)
    cars = torch.zeros(count, 6)
    cars[:, CLASSES.index("car")] = 0.9
    teacher = losses.Teacher(torch.zeros(count, 4), sure, cars, torch.ones(6).bool())
    none = (torch.zeros(0, 4), torch.zeros(0, dtype=torch.long), torch.zeros(0), torch.zeros(0, 16, 16))
    persons_only = torch.tensor([True, False, False, False, False, False])
    quiet = torch.zeros(0, 4)
    unlabelled = losses.background(losses.Target(*none, quiet, persons_only, True), teacher, corners, strides)[0]
    torch.testing.assert_close(unlabelled, sure)
    everything = torch.ones(6, dtype=torch.bool)
    complete = losses.background(losses.Target(*none, quiet, everything, True), teacher, corners, strides)[0]
    assert complete.max() == 0.0
    incomplete = losses.background(losses.Target(*none, quiet, everything, False), teacher, corners, strides)[0]
    torch.testing.assert_close(incomplete, sure)
    crowd = torch.tensor([[0.0, 0.0, 32.0, 64.0]])
    trust = losses.background(losses.Target(*none, crowd, everything, True), teacher, corners, strides)[1]
    centres = corners[:, 0] + strides[:, 0] / 2
    assert (trust[centres < 32] == 0).all()
    assert (trust[centres > 32] == 1).all()


def test_unlabelled_classes_get_no_negative_class_loss():
    """A person-only picture with a teacher that sees a car: the car's logit is pushed up, never down."""
    corners, strides = locations(64, 64, like=torch.zeros(1))
    count = len(corners)
    classes = torch.zeros(1, count, 6, requires_grad=True)
    boxes = torch.cat((corners, corners + 16), dim=1)[None]
    outputs = losses.Outputs(
        boxes, torch.zeros(1, count), classes, torch.zeros(1, count, 29), torch.zeros(1, 24, 16, 16)
    )
    seen = torch.zeros(count, 6)
    seen[:, CLASSES.index("car")] = 0.9
    teacher = losses.Teacher(boxes[0], torch.full((count,), 0.9), seen, torch.ones(6).bool())
    none = (torch.zeros(0, 4), torch.zeros(0, dtype=torch.long), torch.zeros(0), torch.zeros(0, 16, 16))
    target = losses.Target(*none, torch.zeros(0, 4), torch.tensor([True] + [False] * 5), True)
    pairs = losses.Assignment(torch.zeros(0).long(), torch.zeros(0).long(), torch.zeros(0))
    losses.detection_loss(outputs, 0, target, pairs, teacher, corners, strides)["classes"].backward()
    assert (classes.grad[..., CLASSES.index("car")] < 0).all()


def test_training_learns_one_picture(archive):
    """Every layer together halves the mask loss of one rendered picture in a few dozen steps."""
    run = trainer(mask_steps=0, all_steps=40, detector_rate=2e-3, mask_rate=8e-3)
    sample = augment.to_sample(archive.picture(0), (64, 96), None)
    history = [run.train_step([sample, sample]) for _ in range(40)]
    assert history[-1]["mask"] < 0.6 * history[0]["mask"]
    assert history[-1]["mask_iou"] > history[0]["mask_iou"]
    assert history[-1]["box"] < history[0]["box"]
    assert all(np.isfinite(list(line.values())).all() for line in history)


def test_frozen_stage_leaves_the_detector_alone(archive):
    run = trainer()
    before = {key: value.clone() for key, value in run.network.state_dict().items()}
    run.train_step([augment.to_sample(archive.picture(row), (64, 96), None) for row in (0, 1)])
    moved = {key for key, value in run.network.state_dict().items() if not torch.equal(value, before[key])}
    assert moved
    assert all(key.startswith("mask_head") for key in moved)


def test_masks_of_the_export_equal_the_training_formula():
    """Instances' masks by three routes: the training formula, the reader's, and at points inside the graph."""
    module = to_onnx.EndToEnd(YolactNano(), height=64, width=96, candidates=4, instances=3)
    prototypes, terms = torch.randn(24, 16, 24), torch.randn(3, 29)
    boxes = torch.tensor([[8.0, 8.0, 40.5, 60.5], [-9.5, 0.5, 96.5, 64.5], [50.0, 20.0, 57.5, 33.5]])
    logits = mask_logits(prototypes, terms, boxes) + to_onnx.small_object_bias(boxes / 4)[..., None]
    expected = logits.sigmoid() * losses.box_cells(boxes, (16, 24))  # (3, h, w)
    biased = module.biased(terms[None], boxes[None])
    read = Prototypes(
        values=prototypes.numpy(), step_px=(4.0, 4.0), image_size=(96, 64), margin_cells=to_onnx.MASK_MARGIN
    )
    found = read.probabilities(biased[0].numpy(), boxes.numpy())
    torch.testing.assert_close(torch.from_numpy(found).float(), (expected * 255).round(), rtol=0, atol=1)
    xs, ys = points(boxes[None] / 4, 16, 24)
    seen = module.probabilities_at(prototypes.permute(1, 2, 0)[None], biased, boxes[None] / 4, xs, ys)
    wanted = expected.flatten(1)[None].gather(2, flat_places(xs, ys, 24))
    torch.testing.assert_close(seen, wanted, rtol=0, atol=1e-5)


def test_small_objects_are_cut_lower():
    boxes = torch.tensor([[0.0, 0.0, 3.0, 4.0], [0.0, 0.0, 10.0, 10.0], [0.0, 0.0, 60.0, 90.0]])
    bias = to_onnx.small_object_bias(boxes)[:, 0]
    torch.testing.assert_close(bias, torch.tensor([2.5 / 12**0.5, 2.5 / 10, 2.5 / 5400**0.5]))
    assert to_onnx.small_object_bias(torch.zeros(1, 4)).item() == 1.0


def test_nms_keeps_the_best_of_each_object_and_spares_other_groups():
    module = to_onnx.EndToEnd(YolactNano(), height=64, width=96, candidates=5, instances=5)
    boxes = torch.tensor(
        [
            [
                [10.0, 10.0, 50.0, 50.0],
                [11.0, 10.0, 51.0, 50.0],  # the same car
                [10.0, 11.0, 50.0, 50.0],  # the same, called truck
                [10.0, 10.0, 50.0, 50.0],  # a person in that place
                [60.0, 10.0, 90.0, 50.0],
            ]
        ]
    )
    keep = module.keep(boxes, torch.tensor([[2, 2, 5, 0, 2]]))
    assert keep.tolist() == [[1.0, 0.0, 0.0, 1.0, 1.0]]


def test_nms_chain_ends_as_sequential_nms_would():
    """b falls to a; c overlaps only b, and stays (plain Fast NMS would drop it)."""
    module = to_onnx.EndToEnd(YolactNano(), height=64, width=96, candidates=3, instances=3)
    boxes = torch.tensor([[[0.0, 0.0, 40.0, 40.0], [8.0, 0.0, 48.0, 40.0], [16.0, 0.0, 56.0, 40.0]]])
    assert module.keep(boxes, torch.zeros(1, 3, dtype=torch.long)).tolist() == [[1.0, 0.0, 1.0]]


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    torch.manual_seed(1)
    network = YolactNano()
    for head in network.heads:  # scores that matter, and differ
        torch.nn.init.normal_(head.class_out.weight, std=2.0)
        torch.nn.init.normal_(head.objectness_out.weight, std=2.0)
    module = to_onnx.EndToEnd(network, height=64, width=96, candidates=50, instances=20)
    path = tmp_path_factory.mktemp("export") / "small.onnx"
    to_onnx.export_onnx(module, path, name="small", version="1")
    return module, path


def test_exported_file_keeps_the_contract(exported):
    _, path = exported
    model = onnx.load(str(path))
    metadata = {item.key: item.value for item in model.metadata_props}
    assert metadata["masktrail.contract"] == "end2end-2"
    assert json.loads(metadata["masktrail.classes"]) == list(CLASSES)
    assert json.loads(metadata["masktrail.input"])["height"] == 64
    assert metadata["masktrail.mask_stride"] == "4"
    assert not {node.op_type for node in model.graph.node} & to_onnx.FORBIDDEN
    assert model.opset_import[0].version == 17
    outputs = {item.name: item.type.tensor_type for item in model.graph.output}
    assert list(outputs) == ["boxes", "scores", "class_ids", "coefficients", "prototypes"]
    assert [dim.dim_value for dim in outputs["coefficients"].shape.dim][1:] == [20, 29]
    assert [dim.dim_value for dim in outputs["prototypes"].shape.dim][1:] == [16, 24, 24]
    assert (metadata["masktrail.mask_margin"], metadata["masktrail.mask_certainty"]) == ("0.0", "4")
    assert outputs["class_ids"].elem_type == onnx.TensorProto.INT64


def test_exported_file_computes_what_torch_computes(exported):
    module, path = exported
    frames = np.random.default_rng(2).integers(0, 256, (3, 64, 96, 3), np.uint8)
    figures = parity.parity(module, path, frames, score_threshold=0.0)
    assert figures["scores_max_error"] < 1e-4
    assert figures["instances"] > 20
    assert figures["agreement"] > 0.98


def test_candidates_before_suppression_hold_all_that_it_keeps(exported, tmp_path):
    """The instances of the plain file are the kept candidates; an own threshold of overlap reads the others too."""
    paths = {wide: tmp_path / f"{wide}.onnx" for wide in (False, True)}
    options = {"height": 64, "width": 96, "candidates": 50, "instances": 40, "iou_threshold": 0.02}
    for wide, path in paths.items():
        module = to_onnx.EndToEnd(weights.load_exported(exported[1]), **options, before_nms=wide)
        to_onnx.export_onnx(module, path, name="made", version="1")
    frames = np.random.default_rng(2).integers(0, 256, (1, 64, 96, 3), np.uint8)
    plain, everything = (parity.run_file(paths[wide], frames) for wide in (False, True))
    kept, used = everything["kept"][0] > 0, plain["scores"][0] > 0
    assert 0 < kept.sum() == used.sum() < 40
    for name in ("scores", "boxes", "coefficients"):
        np.testing.assert_allclose(plain[name][0, used], everything[name][0, kept], atol=1e-4)
    picture = Frame(index=0, time_s=0.0, arrived_s=0.0, source="noise", size=(96, 64), image=frames[0])

    def count(wide, **limits):
        return len(OnnxSegmenter(paths[wide], score_threshold=0.0, **limits).segment([picture])[0])

    assert count(False) == count(True) < count(True, iou_threshold=0.99)


def test_a_graph_of_another_size_or_with_control_flow_is_refused(exported):
    model = onnx.load(str(exported[1]))
    with pytest.raises(ValueError, match=r"expected \('batch', 128, 96, 3\)"):
        to_onnx.check_graph(model, 128, 96)
    model.graph.node.append(onnx.helper.make_node("NonZero", ["scores"], ["nothing"]))
    with pytest.raises(ValueError, match="NonZero"):
        to_onnx.check_graph(model, 64, 96)


def test_an_exported_file_can_be_trained_further(exported):
    module, path = exported[0], exported[1]
    loaded = weights.load_exported(path)
    images = torch.rand(1, 3, 64, 96, generator=torch.Generator().manual_seed(3)) * 255
    with torch.no_grad():
        expected = module.network.detect_focused(images)[:3]  # its first convolution reads pixels
        found = loaded.eval().detect(images)[:3]
    for one, other in zip(expected, found, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-4)


def test_a_file_of_another_network_is_refused_as_a_start(data_root):
    with pytest.raises(ModelError, match="no folded first convolution"):
        weights.load_exported(data_root / "weights" / "yolox_nano.onnx")


def test_folded_first_convolution_equals_focus():
    network = YolactNano()
    folded = to_onnx.fold_focus(network)
    images = torch.rand(1, 3, 64, 96) * 255
    torch.testing.assert_close(folded.backbone.stem(images), network.backbone.stem(focus(images)), rtol=1e-4, atol=1e-2)


def test_average_precision_is_of_what_segment_writes(tmp_path):
    """The results that are scored are those of `masktrail segment --records x.coco.json`, mask by mask."""
    folder = write_coco(tmp_path, labelled=list(CLASSES))
    path = tmp_path / "net.onnx"
    to_onnx.export_onnx(
        to_onnx.EndToEnd(YolactNano(), height=64, width=96, candidates=60, instances=20),
        path,
        name="net",
        version="0",
        licence="none",
    )
    scored = []
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(evaluate, "summarise", lambda _truth, results: scored.extend(results) or {})
        evaluate.evaluate(path, folder)
    written = tmp_path / "out.coco.json"
    run(
        str(folder / "images"), associates=False, model=str(path), records=str(written), device="cpu",
        coco_annotations=folder / "annotations.json", score_threshold=evaluate.SCORE_FLOOR,
    )  # fmt: skip
    names = {item["name"] for item in json.loads((folder / "annotations.json").read_text())["categories"]}
    assert names <= set(CLASSES)
    expected = [(item["image_id"], item["segmentation"]["counts"]) for item in json.loads(written.read_text())]
    assert scored
    assert sorted((item["image_id"], item["segmentation"]["counts"].decode()) for item in scored) == sorted(expected)


def test_perfect_masks_score_one(tmp_path):
    folder = write_coco(tmp_path, labelled=list(CLASSES))
    from pycocotools.coco import COCO

    truth = COCO(str(folder / "annotations.json"))
    results = [
        {"image_id": item["image_id"], "category_id": item["category_id"], "score": 0.9, "bbox": item["bbox"],
         "segmentation": truth.annToRLE(item)}
        for item in truth.dataset["annotations"]
    ]  # fmt: skip
    figures = evaluate.summarise(truth, results)
    assert figures["AP"] == pytest.approx(1.0)
    assert figures["mean_best_iou"] == pytest.approx(1.0)
    assert set(figures["classes"]) == {"person", "car"}


def test_locations_count_every_cell():
    corners, strides = locations(64, 96, like=torch.zeros(1))
    assert len(corners) == sum(64 // stride * (96 // stride) for stride in STRIDES)
    assert strides[:, 0].tolist() == sorted(strides[:, 0].tolist())
