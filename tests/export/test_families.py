"""Exports of other model families: networks against recorded originals, names of publishers, files that open."""

from __future__ import annotations

import pickle
import re
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the PyTorch side needs torch: pip install torch")

from export.__main__ import main  # noqa: E402
from export.networks import mask_rcnn, mask_rcnn_weights, solov2_weights  # noqa: E402
from export.networks.checkpoints import read_state  # noqa: E402
from export.networks.roi_align import RoiAlign  # noqa: E402
from tests.export.record_originals import SIZE, frame  # noqa: E402
from tracker.errors import ModelError  # noqa: E402
from tracker.segment.check import check_model  # noqa: E402
from tracker.segment.session import OnnxSegmenter  # noqa: E402
from tracker.types import Frame  # noqa: E402

pytestmark = pytest.mark.export
ORIGINALS = Path(__file__).resolve().parent / "originals"


def recorded(name: str) -> dict[str, Any]:
    with np.load(ORIGINALS / f"{name}.npz") as arrays:
        return dict(arrays)


def picture(size: tuple[int, int] = SIZE) -> Frame:
    image = frame(1, size)
    return Frame(index=0, time_s=0.0, arrived_s=0.0, source="t", size=size[::-1], image=image)


# ---- the parts of Mask R-CNN ----------------------------------------------------------------------------------------
def test_nms_as_a_fixed_point_is_greedy_nms():
    rng = np.random.default_rng(0)
    for scale in (20.0, 60.0, 200.0):  # from a heap to a crowd
        corners = rng.uniform(0, scale, (300, 2)).astype(np.float32)
        boxes = np.concatenate([corners, corners + rng.uniform(5, 40, (300, 2))], axis=1).astype(np.float32)
        alive, kept = np.ones(300, np.bool_), np.zeros(300, np.float32)
        for row in range(300):
            if not alive[row]:
                continue
            kept[row] = 1
            low, high = np.maximum(boxes[:, :2], boxes[row, :2]), np.minimum(boxes[:, 2:], boxes[row, 2:])
            shared = (high - low).clip(0).prod(axis=1)
            areas = (boxes[:, 2:] - boxes[:, :2]).prod(axis=1)
            alive &= shared <= 0.5 * (areas + areas[row] - shared)
        found = mask_rcnn.kept(torch.from_numpy(boxes), torch.ones(300), 0.5)
        np.testing.assert_array_equal(found.numpy(), kept)


def test_roi_align_of_a_ramp_is_the_centre_of_each_part():
    """Bilinear samples of a linear map average to its value at the part's centre."""
    y, x = torch.meshgrid(torch.arange(16.0), torch.arange(20.0), indexing="ij")
    maps = torch.stack([torch.stack([x, y]), torch.stack([2 * x, 3 * y])])  # (2, 2, 16, 20)
    boxes = torch.tensor([[2.0, 3.0, 9.0, 10.0], [4.5, 1.0, 8.0, 15.0]])
    for samples, half_pixel in ((2, 0), (0, 1)):
        pooled = RoiAlign.apply(maps, boxes, torch.tensor([0, 1]), 7, samples, half_pixel)
        shift = 0.5 * half_pixel
        for row, (grow_x, grow_y) in enumerate(((1, 1), (2, 3))):
            left, top, right, bottom = boxes[row].tolist()
            centres = (torch.arange(7) + 0.5) / 7
            across, down = left + centres * (right - left) - shift, top + centres * (bottom - top) - shift
            torch.testing.assert_close(pooled[row, 0], (grow_x * across).expand(7, 7))
            torch.testing.assert_close(pooled[row, 1], (grow_y * down)[:, None].expand(7, 7).clamp(max=15 * grow_y))


@pytest.mark.parametrize("name", ["resnet50_fpn", "resnet50_fpn_v2"])
def test_mask_rcnn_gives_what_torchvision_gives(name):
    held = recorded(f"maskrcnn_{name}")
    network = mask_rcnn_weights.random_network(name, 1)
    configuration = network.configuration
    rgb = torch.from_numpy(frame(1)[..., ::-1].copy()).permute(2, 0, 1).float()
    mean, std = (torch.tensor(value)[:, None, None] for value in (configuration.mean, configuration.std))
    with torch.no_grad():
        boxes, scores, labels, masks = (value.numpy() for value in network(((rgb - mean) / std)[None]))
    assert int((scores > 0.05).sum()) == int(held["count"])
    for row, score in enumerate(held["scores"]):
        near = np.flatnonzero((np.abs(scores - score) < 2e-3) & (labels == held["labels"][row]))
        error = np.abs(boxes[near] - held["boxes"][row]).max(axis=1)
        best = near[error.argmin()]
        assert error.min() < 0.5
        assert np.abs(masks[best] - held["masks"][row].astype(np.float32)).max() < 0.01


# ---- publishers' names ----------------------------------------------------------------------------------------------
HEADS = ("box_predictor.cls_score", "box_predictor.bbox_pred", "mask_head.predictor")
OLD = (
    (r"(backbone\.fpn\.\w+_blocks\.\d)\.0\.", r"\1."),
    (r"rpn\.head\.conv\.0\.0\.", "rpn.head.conv."),
    *((rf"roi_heads\.mask_head\.{n}\.0\.", f"roi_heads.mask_head.mask_fcn{n + 1}.") for n in range(4)),
)
DETECTRON_BODY = (
    *((rf"layer{n}\.", f"res{n + 1}.") for n in range(1, 5)),
    (r"downsample\.0\.", "shortcut."),
    (r"downsample\.1\.", "shortcut.norm."),
    (r"(res\d\.\d+)\.bn(\d)\.", r"\1.conv\2.norm."),
    (r"(bottom_up|body)\.conv1\.", r"\1.stem.conv1."),
    (r"(bottom_up|body)\.bn1\.", r"\1.stem.conv1.norm."),
)
DETECTRON = (
    *DETECTRON_BODY,
    (r"backbone\.body\.", "backbone.bottom_up."),
    *((rf"backbone\.fpn\.inner_blocks\.{n}\.0\.", f"backbone.fpn_lateral{n + 2}.") for n in range(4)),
    *((rf"backbone\.fpn\.layer_blocks\.{n}\.0\.", f"backbone.fpn_output{n + 2}.") for n in range(4)),
    *((rf"roi_heads\.mask_head\.{n}\.0\.", f"roi_heads.mask_head.mask_fcn{n + 1}.") for n in range(4)),
    (r"rpn\.head\.conv\.0\.0\.", "proposal_generator.rpn_head.conv."),
    (r"rpn\.head\.cls_logits\.", "proposal_generator.rpn_head.objectness_logits."),
    (r"rpn\.head\.bbox_pred\.", "proposal_generator.rpn_head.anchor_deltas."),
    (r"box_head\.fc6\.", "box_head.fc1."),
    (r"box_head\.fc7\.", "box_head.fc2."),
    (r"mask_predictor\.conv5_mask\.", "mask_head.deconv."),
    (r"mask_predictor\.mask_fcn_logits\.", "mask_head.predictor."),
)
ADELAIDET = (
    (r"^backbone\.", "backbone.bottom_up."),
    *DETECTRON_BODY,
    *((rf"^neck\.lateral_convs\.{n}\.conv\.", f"backbone.fpn_lateral{n + 2}.") for n in range(4)),
    *((rf"^neck\.fpn_convs\.{n}\.conv\.", f"backbone.fpn_output{n + 2}.") for n in range(4)),
    *((rf"^mask_head\.cls_convs\.{n}\.conv\.", f"ins_head.cate_tower.{3 * n}.") for n in range(4)),
    *((rf"^mask_head\.cls_convs\.{n}\.gn\.", f"ins_head.cate_tower.{3 * n + 1}.") for n in range(4)),
    *((rf"^mask_head\.kernel_convs\.{n}\.conv\.", f"ins_head.kernel_tower.{3 * n}.") for n in range(4)),
    *((rf"^mask_head\.kernel_convs\.{n}\.gn\.", f"ins_head.kernel_tower.{3 * n + 1}.") for n in range(4)),
    (r"^mask_head\.conv_cls\.", "ins_head.cate_pred."),
    (r"^mask_head\.conv_kernel\.", "ins_head.kernel_pred."),
    (r"^mask_head\.mask_feature_head\.(.+)\.conv\.", r"mask_head.\1.0."),
    (r"^mask_head\.mask_feature_head\.(.+)\.gn\.", r"mask_head.\1.1."),
)


def under(names: tuple[tuple[str, str], ...], state: dict[str, Any]) -> dict[str, Any]:
    """A state dict under a publisher's names, without the batch counters that frozen norms do not have."""
    result = {}
    for key, value in state.items():
        name = key
        for pattern, replacement in names:
            name = re.sub(pattern, replacement, name)
        if not name.endswith("num_batches_tracked"):
            result[name] = value
    return result


def test_names_of_the_published_v1_file_are_read_with_their_eps(tmp_path):
    network = mask_rcnn_weights.random_network("resnet50_fpn", 0)
    torch.save(under(OLD, network.state_dict()), tmp_path / "old.pth")
    loaded = mask_rcnn_weights.load_checkpoint(tmp_path / "old.pth", "resnet50_fpn")
    assert loaded.configuration.eps == 0
    assert loaded.configuration.coco_ids
    for key, value in network.state_dict().items():
        if value.is_floating_point():
            assert torch.equal(value, loaded.state_dict()[key]), key
    assert mask_rcnn_weights.load_checkpoint(tmp_path / "old.pth", "resnet50_fpn", eps=1e-5).configuration.eps == 1e-5


def test_detectron2s_pickle_is_read_and_its_background_comes_first(tmp_path):
    network = mask_rcnn_weights.random_network("detectron2_resnet50_fpn", 0)
    state = under(DETECTRON, network.state_dict())
    for kind in ("weight", "bias"):  # classes first, and nothing of the background but its score
        score, code, mask = (f"roi_heads.{one}.{kind}" for one in HEADS)
        state[score] = torch.cat([state[score][1:], state[score][:1]])
        state[code], state[mask] = state[code][4:], state[mask][1:]
    state = {key: value.numpy() for key, value in state.items()}
    state["pixel_mean"] = np.zeros((3, 1, 1), np.float32)
    with (tmp_path / "model_final.pkl").open("wb") as file:
        pickle.dump({"model": state, "__author__": "Detectron2 Model Zoo"}, file)
    loaded = mask_rcnn_weights.load_checkpoint(tmp_path / "model_final.pkl", "resnet50_fpn")
    assert (loaded.configuration.channels, loaded.configuration.classes, loaded.configuration.half_pixel) == (
        "BGR",
        81,
        True,
    )
    for key, value in network.state_dict().items():
        if value.is_floating_point() and "box_predictor.bbox_pred" not in key and "mask_fcn_logits" not in key:
            assert torch.equal(value, loaded.state_dict()[key]), key
    code, held = (one.state_dict()["roi_heads.box_predictor.bbox_pred.weight"] for one in (loaded, network))
    assert torch.equal(code[4:], held[4:])


def test_a_pickle_that_would_run_something_is_refused(tmp_path):
    class Harmful:
        def __reduce__(self):
            return (print, ("ran",))

    (tmp_path / "x.pkl").write_bytes(pickle.dumps({"model": Harmful()}))
    with pytest.raises(ModelError, match="expected a checkpoint, found something else"):
        read_state(tmp_path / "x.pkl")


@pytest.mark.parametrize("publisher", ["mmdetection", "adelaidet"])
def test_solov2s_names_are_read(tmp_path, publisher):
    name = "solov2_r50_fpn_1x_coco" if publisher == "adelaidet" else "solov2-light_r18_fpn_ms-3x_coco"
    network = solov2_weights.random_network(name, 0)
    state = network.state_dict()
    held = under(ADELAIDET, state) if publisher == "adelaidet" else {"meta": {"epoch": 36}, "state_dict": state}
    torch.save(held, tmp_path / "w.pth")
    loaded = solov2_weights.load_checkpoint(tmp_path / "w.pth", name)
    assert loaded.configuration.channels == ("BGR" if publisher == "adelaidet" else "RGB")
    for key, value in state.items():
        if value.is_floating_point():
            assert torch.equal(value, loaded.state_dict()[key]), key


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda state: state.pop("mask_head.conv_kernel.bias"), "1 keys missing: mask_head.conv_kernel.bias"),
        (lambda state: state.update(more=torch.zeros(1)), "1 keys unknown: more"),
        (
            lambda state: state.update({"backbone.conv1.weight": torch.zeros(64, 1, 7, 7)}),
            r"1 keys of another shape: backbone.conv1.weight \(64, 1, 7, 7\) instead of \(64, 3, 7, 7\)",
        ),
    ],
)
def test_every_key_is_used_or_named(tmp_path, change, problem):
    state = dict(solov2_weights.random_network("solov2-light_r18", 0).state_dict())
    change(state)
    torch.save(state, tmp_path / "w.pth")
    with pytest.raises(ModelError, match=problem):
        solov2_weights.load_checkpoint(tmp_path / "w.pth", "solov2-light_r18")


# ---- files ----------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("command", "contract", "family"),
    [
        (["maskrcnn", "--proposals", "200", "--instances", "20"], "boxes-masks", "Mask R-CNN of"),
        (["solov2"], "solo", "SOLOv2, raw heads"),
    ],
)
def test_a_trial_with_random_weights_opens_and_agrees(tmp_path, capsys, command, contract, family):
    path = tmp_path / "m.onnx"
    height, width = SIZE
    assert main([*command, "--weights", "random:1", "--size", f"{height}x{width}", "--out", str(path)]) == 0
    assert "mask IoU 1.0000" in capsys.readouterr().out
    assert (
        tomllib.loads(path.with_suffix(".toml").read_text())["parity"]["random"]["agreement"] >= 0.95
    )  # ties at the end
    report = check_model(path)
    assert report.passed, report.problems
    assert (report.contract, report.network_size, len(report.class_names)) == (contract, SIZE[::-1], 80)
    assert report.family.startswith(family)
    assert not {"NonMaxSuppression", "NonZero", "If", "Loop"} & report.graph.operators.keys()
    (found,) = OnnxSegmenter(path, device="cpu", score_threshold=0.05).segment([picture()])
    assert len(found)
    assert found.masks is not None
    assert found.masks.areas_px().max() > 0


def test_options_that_cannot_be_meant_are_errors(tmp_path, capsys):
    out = str(tmp_path / "m.onnx")
    for arguments, problem in (
        (["maskrcnn", "--config", "resnet18"], "--config resnet18: no such configuration"),
        (["maskrcnn", "--size", "100x100"], "multiples of 32"),
        (["maskrcnn", "--instances", "0"], "--instances: expected 1 to"),
        (["solov2", "--config", "solov2_r101-dcn_fpn_ms-3x_coco"], "deformable convolutions"),
        (["solov2", "--classes", "a,b"], "expected 80 names"),
    ):
        assert main([*arguments, "--weights", "random:0", "--out", out]) == 2
        assert problem in capsys.readouterr().err
    assert main(["solov2", "--weights", str(tmp_path / "none.pth"), "--out", out]) == 2
    assert "cannot be read" in capsys.readouterr().err
    assert not Path(out).exists()


def test_mask2former_of_transformers_opens_and_agrees(tmp_path, capsys):
    pytest.importorskip("transformers", reason="python -m export mask2former needs transformers")
    path = tmp_path / "m.onnx"
    assert main(["mask2former", "--weights", "random:0", "--size", "96x128", "--out", str(path)]) == 0
    assert "100.0 % of" in capsys.readouterr().out
    report = check_model(path)
    assert report.passed, report.problems
    assert (report.contract, report.network_size, len(report.class_names)) == ("queries", (128, 96), 80)
    assert not {"NonMaxSuppression", "NonZero", "If", "Loop"} & report.graph.operators.keys()


def test_mask2formers_weights_are_read_to_the_last_key(tmp_path):
    pytest.importorskip("transformers", reason="python -m export mask2former needs transformers")
    from export.onnx.mask2former_export import build, load_checkpoint

    network = build("swin-tiny", 3)
    state = network.state_dict()
    torch.save({**state, "criterion.empty_weight": torch.ones(4)}, tmp_path / "w.bin")
    loaded = load_checkpoint(tmp_path / "w.bin", "swin-tiny")
    assert loaded.class_predictor.out_features == 4
    assert all(torch.equal(value, loaded.state_dict()[key]) for key, value in state.items() if "criterion" not in key)
    state.pop("class_predictor.bias")
    torch.save(state, tmp_path / "less.bin")
    with pytest.raises(ModelError, match=r"1 keys missing: class_predictor\.bias"):
        load_checkpoint(tmp_path / "less.bin", "swin-tiny")
    network.save_pretrained(tmp_path / "folder")
    loaded = load_checkpoint(tmp_path / "folder", "swin-tiny")
    assert all(torch.equal(loaded.state_dict()[key], value) for key, value in network.state_dict().items())
