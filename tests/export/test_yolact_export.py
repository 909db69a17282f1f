"""Official YOLACT: exported files, their contract, parity, precision, batches and manifests."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the PyTorch side needs torch: pip install torch")
onnx = pytest.importorskip("onnx")

from export.__main__ import main  # noqa: E402
from export.networks.yolact import (  # noqa: E402
    CONFIGURATIONS,
    make_priors,
)
from export.networks.yolact_weights import random_network  # noqa: E402
from export.onnx import yolact_export  # noqa: E402
from tracker.segment.check import check_model  # noqa: E402
from tracker.segment.contracts.yolact import make_priors as build_priors  # noqa: E402
from tracker.segment.manifest import load_manifest  # noqa: E402
from tracker.segment.session import OnnxSegmenter  # noqa: E402
from tracker.types import Frame  # noqa: E402

pytestmark = pytest.mark.export
SIZE = 138
SMALL = "yolact_resnet50"


# ---- exported files --------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """Both kinds of file of the same random weights, written by the command."""
    folder = tmp_path_factory.mktemp("yolact")
    torch.set_num_threads(1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("export.__main__.val_sets", list)  # parity on made frames only
        for kind, flags in (("raw", ["--raw-heads"]), ("final", [])):
            out = folder / kind / "small.onnx"
            main(["yolact", "--config", SMALL, "--weights", "random:3", "--size", str(SIZE), "--out", str(out), *flags])
    return folder


def pictures(count):
    generator = np.random.default_rng(7)
    for index in range(count):
        coarse = generator.integers(0, 256, (6, 8, 3), np.uint8)
        image = coarse.repeat(25, axis=0).repeat(25, axis=1)  # 150 x 200: stretched, not letterboxed
        yield Frame(index=index, time_s=index / 10, arrived_s=0.0, source="made", size=(200, 150), image=image)


@pytest.mark.parametrize("kind", ["raw", "final"])
def test_exported_files_pass_the_check_and_hold_their_contract(exported, kind, monkeypatch):
    monkeypatch.setattr("tracker.segment.check.TRIAL_TIME_S", 0.01)  # speed is not looked at here
    report = check_model(exported / kind / "small.onnx", threads=1)
    assert report.problems == ()
    assert report.trial_instances > 0
    assert report.contract == ("yolact" if kind == "raw" else "end2end-2")
    assert len(report.class_names) == 80
    assert report.class_names[0] == "person"
    model = onnx.load(exported / kind / "small.onnx")
    assert not {node.op_type for node in model.graph.node} & {"NonMaxSuppression", "NonZero", "If", "Loop"}
    assert model.opset_import[0].version == 17
    shapes = {output.name: output.shape for output in report.outputs}
    if kind == "raw":
        assert list(shapes) == ["loc", "conf", "mask", "priors", "proto"]
        assert shapes["proto"] == (1, 36, 36, 32)
        assert shapes["priors"] == (1329, 4)
        assert [dim.dim_value for dim in model.graph.input[0].type.tensor_type.shape.dim] == [1, 3, SIZE, SIZE]
    else:
        assert list(shapes) == ["boxes", "scores", "class_ids", "coefficients", "prototypes"]
        assert shapes["coefficients"] == (1, 100, 32)
        assert shapes["prototypes"] == (1, 36, 36, 32)


@pytest.mark.parametrize("kind", ["raw", "final"])
def test_parity_is_measured_and_written_down(exported, kind):
    manifest = load_manifest(exported / kind / "manifest.toml")
    assert manifest.files == ("small.onnx",)
    assert manifest.input.resize == "stretch"
    assert manifest.free["export"]["weights"] == "random:3"
    figures = manifest.free["parity"]["random"]
    assert figures["instances"] > 50
    assert figures["agreement"] == 1
    errors = {key: value for key, value in figures.items() if key.endswith("max_error")}
    assert set(errors) == {f"{name}_max_error" for name in (yolact_export.RAW_NAMES if kind == "raw" else ("scores",))}
    assert ("masks_max_error_of_255" in figures) == (kind == "final")
    assert max(errors.values()) < 1e-3


def test_raw_heads_decoded_at_run_time_equal_the_end_to_end_file(exported):
    found, wanted = (
        OnnxSegmenter(exported / kind / "small.onnx", threads=1, score_threshold=0.05).segment(list(pictures(2)))
        for kind in ("raw", "final")
    )
    for ours, theirs in zip(found, wanted, strict=True):
        assert len(ours) == len(theirs) > 20
        left = set(range(len(ours)))
        for row in range(len(theirs)):
            near = [
                other
                for other in left
                if ours.class_ids[other] == theirs.class_ids[row]
                and abs(ours.scores[other] - theirs.scores[row]) < 1e-3
                and np.abs(ours.boxes[other] - theirs.boxes[row]).max() < 1
                and mask_iou(ours, other, theirs, row) > 0.95
            ]
            left -= set(near[:1])
        # A random network has boxes whose overlap is the NMS threshold up to its last digit: processors differ there.
        assert len(left) <= 0.05 * len(ours), f"instances {sorted(left)} of {len(ours)} have no like"


def mask_iou(ours, row, theirs, other):
    a, b = ours.masks.full(row, ours.boxes[row]), theirs.masks.full(other, theirs.boxes[other])
    return (a & b).sum() / (a | b).sum() if (a | b).any() else 1.0


def test_a_batch_equals_its_frames_and_half_precision_stays_close(tmp_path):
    network = random_network(CONFIGURATIONS[SMALL], 3)
    frames = np.stack([frame.image[:64, :64] for frame in pictures(2)])
    outputs = {}
    for half in (False, True):
        tail = yolact_export.YolactEndToEnd(network, size_px=64, half=half, per_class=True).eval()
        path = tmp_path / f"{half}.onnx"
        metadata = yolact_export.export_yolact(tail, path, name="n", classes=["c"] * 80)
        outputs[half] = session_run(path, frames)
        assert json.loads(metadata["masktrail.input"])["dtype"] == "uint8"
    single = session_run(tmp_path / "False.onnx", frames[1:])
    np.testing.assert_allclose(outputs[False]["scores"][1], single["scores"][0], atol=1e-5)
    assert np.abs(outputs[True]["scores"] - outputs[False]["scores"]).max() < 0.05
    assert (tmp_path / "True.onnx").stat().st_size < 0.55 * (tmp_path / "False.onnx").stat().st_size


def test_the_graph_computes_no_shapes_and_takes_any_batch(exported):
    path = exported / "final" / "small.onnx"
    used = {node.op_type for node in onnx.load(path).graph.node}
    assert not used & {"Shape", "Range", "ConstantOfShape", "Constant"}
    frames = np.stack([frame.image[:SIZE, :SIZE] for frame in pictures(3)])
    together, apart = session_run(path, frames), [session_run(path, frame[None]) for frame in frames]
    for name, values in together.items():
        np.testing.assert_allclose(values, np.concatenate([outputs[name] for outputs in apart]), atol=1e-5)


def session_run(path, frames):
    session = pytest.importorskip("onnxruntime").InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return dict(
        zip(yolact_export.FINAL_NAMES, session.run(list(yolact_export.FINAL_NAMES), {"frames": frames}), strict=True)
    )


def test_raw_heads_of_the_relatives_equal_their_networks(tmp_path):
    for name in ("yolact_plus_resnet50", "yolact_edge_mobilenetv2"):
        tail = yolact_export.YolactEndToEnd(random_network(tiny(name), 2), size_px=40, rate_masks=False).eval()
        path = tmp_path / f"{name}.onnx"
        yolact_export.export_yolact(tail, path, name=name, classes=["a", "b"], raw_heads=True)
        session = pytest.importorskip("onnxruntime").InferenceSession(str(path), providers=["CPUExecutionProvider"])
        images = torch.randn(1, 3, 40, 40, generator=torch.Generator().manual_seed(0))
        with torch.no_grad():
            wanted = yolact_export.RawHeads(tail)(images)
        for found, value in zip(
            session.run(list(yolact_export.RAW_NAMES), {"images": images.numpy()}), wanted, strict=True
        ):
            np.testing.assert_allclose(found, value, atol=1e-4)


def tiny(name):
    return dataclasses.replace(CONFIGURATIONS[name], classes=2)


def test_a_second_file_in_a_folder_gets_a_manifest_of_its_own(tmp_path):
    metadata = {"masktrail.contract": "end2end-2", "masktrail.name": "n", "masktrail.classes": '["a"]'}
    metadata["masktrail.input"] = '{"resize": "stretch", "layout": "NHWC"}'
    facts = {"per_class_nms": False, "half": True}
    write = yolact_export.write_yolact_manifest
    names = [write(tmp_path / f"{name}.onnx", metadata, figures={}, facts=facts).name for name in ("a", "b", "a")]
    assert names == ["manifest.toml", "b.toml", "manifest.toml"]
    assert load_manifest(tmp_path / "b.toml").free["export"]["half"] is True


@pytest.mark.parametrize("name", ["yolact_base", "yolact_im400", "yolact_im700", "yolact_plus_base"])
def test_run_time_builds_the_same_anchors_for_files_without_them(name):
    configuration = CONFIGURATIONS[name]
    built = build_priors(
        (configuration.size_px,) * 2, scales_px=configuration.scales_px, square=configuration.square_anchors
    )
    np.testing.assert_allclose(built, make_priors(configuration), atol=1e-7)
