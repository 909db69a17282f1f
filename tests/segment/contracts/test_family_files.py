"""Files of the families that are broken, ambiguous or unusual: used, or one clear error each."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import onnx
import pytest
from onnx import TensorProto, external_data_helper, helper, numpy_helper

from tests.segment.contracts.families import CASES, Case, dets, torchvision
from tests.segment.contracts.test_families import agreement
from tests.segment.family_graphs import CLASSES, Outputs, frames, per_box, truth
from tests.segment.models import constant_model
from tracker.errors import ModelError
from tracker.masks.box_masks import BoxMasks
from tracker.segment.check import check_model
from tracker.segment.session import OnnxSegmenter

if TYPE_CHECKING:
    from pathlib import Path

CLIP = truth()
SIZE = (320, 192)


@pytest.fixture(autouse=True)
def _without_trials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MASKTRAIL_TRIAL", "off")


def first(outputs: Outputs) -> Outputs:
    return {name: value[0] for name, value in outputs.items()}


def constant(path: Path, outputs: Outputs, manifest: str = "", size: tuple[int, int] = SIZE) -> Path:
    if manifest:
        path.with_suffix(".toml").write_text(manifest)
    return constant_model(path, outputs, input_shape=(1, 3, size[1], size[0]))


# ---- look-alikes ----------------------------------------------------------------------------------------------------
def test_a_map_per_box_of_a_traced_network_is_asked_for(tmp_path: Path) -> None:
    """torchvision's cut before pasting, and onnx/models with other names, differ in colours and labels alone."""
    outputs = first({**torchvision(CLIP), "masks": per_box(CLIP)[:, :, None]})
    with pytest.raises(
        ModelError, match=r"fit 3 families: Mask R-CNN of onnx/models .* torchvision exports it"
    ) as caught:
        OnnxSegmenter(constant(tmp_path / "m.onnx", outputs), device="cpu")
    assert 'family = "mask-rcnn-onnx-models" or family = "mask-rcnn-torchvision"' in caught.value.remedy
    told = constant(tmp_path / "told.onnx", outputs, 'family = "mask-rcnn-torchvision"\n')
    (found,) = OnnxSegmenter(told, device="cpu").segment([next(frames(SIZE))])
    assert sorted(found.class_ids.tolist()) == sorted(CLASSES)


def test_mmdeploys_masks_at_full_size_are_asked_for_but_at_rtmdets_own_size(tmp_path: Path) -> None:
    outputs = first(dets(CLIP, CLIP.masks.astype(np.float32)))
    with pytest.raises(ModelError, match=r"RTMDet-Ins as mmdeploy exports it .BGR, mean .* or SOLOv2 as mmdeploy"):
        OnnxSegmenter(constant(tmp_path / "m.onnx", outputs), device="cpu")
    for manifest, channels in (
        ('[input]\nchannels = "RGB"\n', "RGB"),
        ('[input]\nchannels = "BGR"\n', "BGR"),
        ('family = "mask-rcnn-mmdeploy"\n', "RGB"),
    ):
        segmenter = OnnxSegmenter(
            constant(tmp_path / f"{len(manifest)}{channels}.onnx", outputs, manifest), device="cpu"
        )
        assert segmenter.input_spec.channels == channels
    with pytest.raises(ModelError, match="family 'sparseinst', but the outputs have the shapes of rtmdet-ins, solov2"):
        OnnxSegmenter(constant(tmp_path / "other.onnx", outputs, 'family = "sparseinst"\n'), device="cpu")


def test_a_small_square_input_leaves_open_what_a_mask_spans(tmp_path: Path) -> None:
    clip = truth(224, 224)
    outputs = first(dets(clip, per_box(clip)))
    with pytest.raises(ModelError, match="one per box as Mask R-CNN's, or over the whole input") as caught:
        OnnxSegmenter(constant(tmp_path / "m.onnx", outputs, size=(224, 224)), device="cpu")
    assert '[masks] kind = "box" or kind = "grid"' in caught.value.remedy
    path = constant(tmp_path / "box.onnx", outputs, '[masks]\nkind = "box"\n', size=(224, 224))
    (found,) = OnnxSegmenter(path, device="cpu").segment([next(frames((224, 224)))])
    assert isinstance(found.masks, BoxMasks)
    assert found.masks.probabilities.shape[1:] == (28, 28)


def test_boxes_and_logits_of_one_shape_are_told_by_name(tmp_path: Path) -> None:
    """RF-DETR with three classes and a background."""
    case = CASES["rf-detr-seg"]
    outputs = first(case.outputs(CLIP))
    outputs["labels"] = np.roll(outputs["labels"], -1, axis=2)[..., :4].copy()  # person, ..., car
    manifest = 'classes = ["person", "bicycle", "car"]\n'
    segmenter = OnnxSegmenter(constant(tmp_path / "m.onnx", dict(reversed(outputs.items())), manifest), device="cpu")
    (found,) = segmenter.segment([next(frames(SIZE))])
    assert sorted(found.class_ids.tolist()) == [0, 2, 2]
    unnamed = {"a": outputs["dets"], "b": outputs["labels"], "c": outputs["masks"]}
    with pytest.raises(ModelError, match=r"one output that may be the boxes of the queries, found a .* or b "):
        OnnxSegmenter(constant(tmp_path / "unnamed.onnx", unnamed, manifest), device="cpu")


def test_suppressed_yolo_rows_may_look_like_queries(tmp_path: Path) -> None:
    """32 rows of 6 + 32 numbers and 32 prototypes: 32 queries of 37 classes have the same shapes."""
    outputs = {"a": np.zeros((1, 32, 38), np.float32), "b": np.zeros((1, 32, 48, 80), np.float32)}
    with pytest.raises(ModelError, match=r"fit 2 contracts, yolo = .* or queries = ") as caught:
        OnnxSegmenter(constant(tmp_path / "m.onnx", outputs), device="cpu")
    assert "contract = 'yolo' or 'queries'" in caught.value.remedy
    assert OnnxSegmenter(constant(tmp_path / "y.onnx", outputs, 'contract = "yolo"\n'), device="cpu").contract == "yolo"
    queries = constant(tmp_path / "q.onnx", outputs, 'contract = "queries"\n')
    assert len(OnnxSegmenter(queries, device="cpu").class_names) == 37


def test_auxiliary_outputs_of_a_transformer_are_ignored_by_name(tmp_path: Path) -> None:
    case = CASES["mask2former"]
    outputs = first(case.outputs(CLIP))
    more = {
        "transformer_decoder_last_hidden_state": np.zeros((1, 20, 256), np.float32),
        "pixel_decoder_last_hidden_state": np.zeros((1, 256, 48, 80), np.float32),
    }
    segmenter = OnnxSegmenter(constant(tmp_path / "m.onnx", {**more, **outputs}), device="cpu")
    assert agreement(segmenter.segment([next(frames(SIZE))])[0], case, 0, 1)[0] > 0.9
    unnamed = {f"output{number}": value for number, value in enumerate({**more, **outputs}.values())}
    with pytest.raises(ModelError, match=r"may be the class scores of the queries, found output0 .* or output2"):
        OnnxSegmenter(constant(tmp_path / "unnamed.onnx", unnamed), device="cpu")


# ---- none, one, a hundred -------------------------------------------------------------------------------------------
@pytest.mark.parametrize("name", [name for name in CASES if name != "dfine-seg"])
def test_a_picture_without_instances_gives_none(tmp_path: Path, name: str) -> None:
    case = CASES[name]
    outputs = first(case.outputs(case.clip()))
    if case.contract == "boxes-masks" and name != "solov2-paddle":
        batched = {key: value for key, value in outputs.items() if value.shape[0] == 1 and value.ndim > 1}
        outputs = {key: value[:, :0] if key in batched else value[:0] for key, value in outputs.items()}
        if name == "detectron2":
            outputs["943"] = np.array(case.size[::-1], np.int64)
    else:
        weaker = {"solov2-paddle": "concat_2", "mask2former": "class_queries_logits", "rf-detr-seg": "labels"}
        key = weaker.get(name, "scores" if name == "sparseinst" else "cate")
        outputs[key] = np.full_like(outputs[key], -9 if "labels" in key or "logits" in key else 0)
        if name == "mask2former":
            outputs[key][..., -1] = 9
    path = tmp_path / "m.onnx"
    if case.manifest:
        path.with_suffix(".toml").write_text(case.manifest)
    shape = (1, 3, *case.size[::-1]) if case.batched else (3, *case.size[::-1])
    (found,) = OnnxSegmenter(constant_model(path, outputs, input_shape=shape), device="cpu").segment(
        [next(frames(case.size))]
    )
    assert len(found) == 0
    assert found.masks is not None
    assert len(found.masks) == 0


def test_a_hundred_instances_and_no_more(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    corners = rng.uniform(0, 150, (150, 2)).astype(np.float32)
    outputs = {
        "boxes": np.concatenate([corners, corners + rng.uniform(5, 40, (150, 2))], axis=1).astype(np.float32),
        "labels": rng.choice(np.array([1, 3, 12, 90]), 150),  # COCO's 12 is no class, 90 the last
        "scores": rng.uniform(0.2, 1, 150).astype(np.float32),
        "masks": np.ones((150, 1, 192, 320), np.float32),
    }
    segmenter = OnnxSegmenter(constant(tmp_path / "m.onnx", outputs), device="cpu")
    (found,) = segmenter.segment([next(frames(SIZE))])
    assert len(found) == min(100, int((outputs["labels"] != 12).sum()))
    assert set(found.class_ids.tolist()) == {0, 2, 79}
    assert segmenter.class_names[79] == "toothbrush"


def test_logits_in_the_place_of_probabilities_are_recognised_by_their_values(tmp_path: Path) -> None:
    case = CASES["dfine-seg"]
    outputs = first(case.outputs(CLIP))
    outputs["masks"] = (16 * outputs["masks"] - 8).astype(np.float32)
    segmenter = OnnxSegmenter(constant(tmp_path / "m.onnx", outputs), device="cpu")
    assert agreement(segmenter.segment([next(frames(SIZE))])[0], case, 0, 1)[0] > 0.9


def test_a_second_class_of_a_query_and_doubles_are_merged_unless_iou_is_one(tmp_path: Path) -> None:
    case = CASES["mask2former"]
    outputs = first(case.outputs(CLIP))
    classes, masks = outputs["class_queries_logits"], outputs["masks_queries_logits"]
    classes[0, 7, 1] = classes[0, 7, 0] - 0.5  # the person's query is a bicycle too
    classes[0, 9], masks[0, 9] = classes[0, 1] - 0.1, masks[0, 1]  # a car twice
    classes[0, 9, 80] = 0
    path = constant(tmp_path / "m.onnx", outputs)
    frame = next(frames(SIZE))
    assert len(OnnxSegmenter(path, device="cpu").segment([frame])[0]) == 4
    assert len(OnnxSegmenter(path, device="cpu", iou_threshold=1.0).segment([frame])[0]) == 6


def test_maskness_counts(tmp_path: Path) -> None:
    """Scores without it would be higher: mean of the mask inside."""
    for name, key in (("mask2former", "masks_queries_logits"), ("solov2", "features")):
        case = CASES[name]
        outputs = first(case.outputs(CLIP))
        outputs[key] = outputs[key].clip(-8, 0.85)  # sigmoid 0.7
        (found,) = OnnxSegmenter(constant(tmp_path / f"{name}.onnx", outputs), device="cpu").segment(
            [next(frames(SIZE))]
        )
        np.testing.assert_allclose(np.sort(found.scores), 0.7 * np.linspace(0.7, 0.95, 4), atol=0.04)


# ---- broken files ---------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("name", list(CASES))
def test_a_missing_output_is_one_error(tmp_path: Path, name: str) -> None:
    case = CASES[name]
    outputs = first(case.outputs(case.clip()))
    del outputs[max(outputs, key=lambda key: outputs[key].ndim)]  # the masks
    shape = (1, 3, *case.size[::-1]) if case.batched else (3, *case.size[::-1])
    with pytest.raises(ModelError, match="outputs of no known instance segmentation contract: ") as caught:
        OnnxSegmenter(constant_model(tmp_path / "m.onnx", outputs, input_shape=shape), device="cpu")
    assert "docs/guide/models.md" in caught.value.remedy


@pytest.mark.parametrize("name", ["mask2former", "sparseinst", "solov2"])
def test_another_class_count_is_one_error(tmp_path: Path, name: str) -> None:
    path = CASES[name].write(tmp_path / "m.onnx")
    path.with_suffix(".toml").write_text('classes = ["person", "car"]\n')
    with pytest.raises(ModelError, match="expected 80 class names, one per score channel, found 2"):
        OnnxSegmenter(path, device="cpu")


@pytest.mark.parametrize("name", ["torchvision", "rtmdet-ins", "dfine-seg"])
def test_a_label_beyond_the_class_names_is_one_error(tmp_path: Path, name: str) -> None:
    case = CASES[name]
    path = case.write(tmp_path / "m.onnx")
    path.with_suffix(".toml").write_text('classes = ["person"]\n')
    with pytest.raises(ModelError, match=r"an instance of class .*, but there are 1 class names"):
        OnnxSegmenter(path, device="cpu").segment([next(frames(case.size))])


def test_other_grids_of_solov2_are_asked_for(tmp_path: Path) -> None:
    outputs = first(CASES["solov2"].outputs(CLIP))
    outputs = {**outputs, "cate": outputs["cate"][:, :1600], "kernels": outputs["kernels"][:, :1600]}
    with pytest.raises(ModelError, match=r"expected 3872 cells of the grids 40, 36, 24, 16, 12 .* found 1600 rows"):
        OnnxSegmenter(constant(tmp_path / "m.onnx", outputs), device="cpu")
    told = constant(tmp_path / "told.onnx", outputs, "[solo]\ngrids = [40]\nstrides = [8]\n")
    assert OnnxSegmenter(told, device="cpu").contract == "solo"


def test_grids_and_doubles_are_told_by_the_file_and_its_manifest(tmp_path: Path) -> None:
    """Grids in the metadata go before a manifest's; its `iou_threshold` merges across classes, and is not the usual."""
    outputs = first(CASES["solov2"].outputs(CLIP))
    outputs = {**outputs, "cate": outputs["cate"][:, :1600], "kernels": outputs["kernels"][:, :1600]}
    notes = {"masktrail.solo": '{"grids": [40], "strides": [8]}'}
    shape = (1, 3, *CASES["solov2"].size[::-1])
    path = constant_model(tmp_path / "m.onnx", outputs, input_shape=shape, metadata=notes)
    assert OnnxSegmenter(path, device="cpu").decoder.iou_threshold is None
    path.with_suffix(".toml").write_text("iou_threshold = 0.7\n[solo]\ngrids = [12]\nstrides = [32]\n")
    assert OnnxSegmenter(path, device="cpu").decoder.iou_threshold == pytest.approx(0.7)
    for text, problem in (("[", "not JSON"), ("[40]", r"a table \[masktrail.solo\]"), ('{"cells": 3}', "unknown key")):
        notes = {"masktrail.solo": text}
        path = constant_model(tmp_path / "wrong.onnx", outputs, input_shape=shape, metadata=notes)
        with pytest.raises(ModelError, match=problem):
            OnnxSegmenter(path, device="cpu")


@pytest.mark.parametrize("name", ["torchvision", "mask2former", "solov2"])
def test_weights_that_are_missing_beside_the_file_are_one_error(tmp_path: Path, name: str) -> None:
    model = onnx.load(CASES[name].write(tmp_path / "m.onnx"))
    external_data_helper.convert_model_to_external_data(model, location="weights.bin", size_threshold=1024)
    onnx.save(model, tmp_path / "m.onnx")
    (tmp_path / "weights.bin").unlink()
    with pytest.raises(ModelError, match=r"weights\.bin") as caught:
        OnnxSegmenter(tmp_path / "m.onnx", device="cpu")
    assert "\n" not in str(caught.value.problem)


@pytest.mark.parametrize("name", ["torchvision", "mask2former", "solov2"])
def test_an_opset_that_is_too_new_is_one_error(tmp_path: Path, name: str) -> None:
    path = CASES[name].write(tmp_path / "m.onnx")
    model = onnx.load(path)
    model.opset_import[0].version = 99
    path.write_bytes(model.SerializeToString())
    with pytest.raises(ModelError, match="opset") as caught:
        OnnxSegmenter(path, device="cpu")
    assert "\n" not in str(caught.value.problem)


@pytest.mark.parametrize("name", ["rtmdet-ins", "mask2former", "rf-detr-seg", "sparseinst", "solov2", "dfine-seg"])
def test_float16_outputs_and_inputs_are_read(tmp_path: Path, name: str) -> None:
    case: Case = CASES[name]
    outputs = {
        key: value.astype(np.float16) if value.dtype == np.float32 else value
        for key, value in first(case.outputs(case.clip())).items()
    }
    path = constant_model(tmp_path / "m.onnx", outputs, input_shape=(1, 3, *case.size[::-1]), input_dtype="float16")
    (found,) = OnnxSegmenter(path, device="cpu").segment([next(frames(case.size))])
    assert agreement(found, case, 0, 1)[0] > 0.9


def test_open_axes_are_filled(tmp_path: Path) -> None:
    """An input (3, H, W) with every size open but the channels: the size follows the pictures."""
    path = CASES["torchvision"].write(tmp_path / "m.onnx")
    model = onnx.load(path)
    for axis, name in ((1, "height"), (2, "width")):
        model.graph.input[0].type.tensor_type.shape.dim[axis].dim_param = name
    for output in model.graph.output:
        for dimension in output.type.tensor_type.shape.dim:
            dimension.Clear()
    onnx.save(model, path)
    segmenter = OnnxSegmenter(path, device="cpu", network_size=SIZE)
    assert agreement(segmenter.segment([next(frames(SIZE))])[0], CASES["torchvision"], 0, 1)[0] > 0.9
    report = check_model(path)
    assert report.open_axes == ("height", "width")
    assert report.family == "Mask R-CNN as torchvision exports it"
    assert any("RGB" in one for one in report.assumed)
    path.with_suffix(".toml").write_text('[input]\nresize = "shortest-longest"\nshortest = 96\nlongest = 1000\n')
    assert OnnxSegmenter(path, device="cpu", source_size=(640, 384)).network_size == (160, 96)


def test_colours_may_come_last_without_a_batch_axis(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("Transpose", ["image"], ["planes"], perm=[2, 0, 1]),
        helper.make_node("ReduceMean", ["planes"], ["levels"], axes=[1, 2], keepdims=0),
        helper.make_node("Mul", ["levels", "unit"], ["scores"]),
    ]
    values = {
        "unit": np.full(3, 1 / 255, np.float32),
        "boxes_value": np.array([[10, 10, 50, 50]] * 3, np.float32),
        "labels_value": np.array([1, 2, 3], np.int64),
        "masks_value": np.ones((3, 1, 96, 160), np.float32),
    }
    outputs = []
    for name, kind, shape in (("boxes", 1, [3, 4]), ("labels", 7, [3]), ("masks", 1, [3, 1, 96, 160])):
        nodes.append(helper.make_node("Identity", [f"{name}_value"], [name]))
        outputs.append(helper.make_tensor_value_info(name, kind, shape))
    outputs.append(helper.make_tensor_value_info("scores", 1, [3]))
    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, [96, 160, 3])
    constants = [numpy_helper.from_array(value, name) for name, value in values.items()]
    model = helper.make_model(
        helper.make_graph(nodes, "hwc", [image], outputs, constants),
        opset_imports=[helper.make_opsetid("", 17)],
        ir_version=9,
    )
    onnx.save(model, tmp_path / "m.onnx")
    (tmp_path / "m.toml").write_text("[input]\nmean = [0, 0, 0]\nstd = [1, 1, 1]\n")
    segmenter = OnnxSegmenter(tmp_path / "m.onnx", device="cpu")
    assert segmenter.input_spec.layout == "HWC"
    frame = next(frames((160, 96)))
    frame.image[:] = (26, 128, 230)  # BGR
    (found,) = segmenter.segment([frame])
    np.testing.assert_allclose(found.scores, np.array([230, 128, 26]) / 255, atol=1e-3)
    assert found.class_ids.tolist() == [0, 1, 2]
