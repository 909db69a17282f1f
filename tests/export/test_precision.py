"""Reduced precision: float16 files keep contract and instances, int8 files come from pictures, both commands work."""

from __future__ import annotations

import contextlib
import io

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the PyTorch side needs torch: pip install torch")
onnx = pytest.importorskip("onnx")
pytest.importorskip("cv2")
onnxruntime = pytest.importorskip("onnxruntime")
pytest.importorskip("pycocotools")

from export.__main__ import main  # noqa: E402
from export.networks.yolact_nano import YolactNano  # noqa: E402
from export.onnx import half, quantise  # noqa: E402
from export.onnx.parity import run_file  # noqa: E402
from tests.export.pictures import write_coco  # noqa: E402
from tracker.errors import ConfigError, ModelError  # noqa: E402
from tracker.segment.check import check_model  # noqa: E402
from tracker.segment.manifest import load_manifest  # noqa: E402
from tracker.segment.zoo import find_model  # noqa: E402

pytestmark = pytest.mark.export
FLOAT, HALF, UINT8 = onnx.TensorProto.FLOAT, onnx.TensorProto.FLOAT16, onnx.TensorProto.UINT8


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """The folder that both commands fill, and what they print."""
    folder = tmp_path_factory.mktemp("precision")
    torch.manual_seed(1)
    torch.set_num_threads(1)
    network = YolactNano()
    for layer in network.modules():  # values that differ in every layer, too
        if isinstance(layer, torch.nn.Conv2d):
            torch.nn.init.kaiming_normal_(layer.weight, nonlinearity="linear")
    torch.nn.init.normal_(network.backbone.stem.conv.weight, std=1e-3)  # pixels reach 255
    for head in network.heads:  # scores that matter, and differ
        torch.nn.init.normal_(head.class_out.weight, std=2.0)
        torch.nn.init.normal_(head.objectness_out.weight, std=2.0)
        torch.nn.init.normal_(head.box_out.weight, std=0.01)
    torch.save({"average": network.state_dict(), "classes": list(network.classes)}, folder / "best.pt")
    pictures = write_coco(folder, labelled=["person", "car"])
    nano = f"nano --weights {folder}/best.pt --sizes 96x128 --name mine --half --out {folder}"
    int8 = f"quantise --model {folder}/mine-96x128.onnx --calibration {pictures} --rounds 1 --out {folder}/int8.onnx"
    printed = io.StringIO()
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(printed):
        patch.setattr("export.__main__.val_sets", list)
        assert main(nano.split()) == 0
        assert main([*int8.split(), "--validate", str(pictures)]) == 0
    return folder, printed.getvalue()


@pytest.fixture
def exported(made):
    return made[0] / "mine-96x128.onnx"


@pytest.fixture
def halved(made):
    return made[0] / "mine-96x128-fp16.onnx"


@pytest.fixture
def quantised(made):
    return made[0] / "int8.onnx"


def frames(count=3):
    coarse = np.random.default_rng(2).integers(0, 256, (count, 12, 16, 3), np.uint8)
    return coarse.repeat(8, axis=1).repeat(8, axis=2)


def test_half_network_stays_between_uint8_frames_and_float_outputs(exported, halved):
    model = onnx.shape_inference.infer_shapes(onnx.load(str(halved)))
    kinds = half.element_types(model)
    outputs = {item.name: item.type.tensor_type.elem_type for item in model.graph.output}
    assert model.graph.input[0].type.tensor_type.elem_type == UINT8
    assert [outputs[name] for name in ("boxes", "scores", "coefficients", "prototypes")] == [FLOAT] * 4
    layers = [node for node in model.graph.node if node.op_type == "Conv"]
    assert len(layers) == 131
    assert {kinds[name] for node in layers for name in node.input} == {HALF}
    chosen = {"TopK", "Exp", "ReduceMax", "Where", "MatMul", "Greater"}
    late = [node for node in model.graph.node if node.op_type in chosen]
    assert HALF not in {kinds[name] for node in late for name in (*node.input, *node.output) if name}
    assert halved.stat().st_size < 0.65 * exported.stat().st_size


def test_half_file_finds_the_same_instances(exported, halved):
    wanted = run_file(exported, frames())
    figures = half.agreement(run_file(halved, frames()), wanted, score_threshold=float(wanted["scores"].mean()))
    assert figures["instances"] >= 10
    assert figures["agreement"] >= 0.9
    assert figures["scores_max_error"] <= half.ALIKE_SCORE


def test_half_and_int8_files_pass_the_check(halved, quantised):
    for path in (halved, quantised):
        report = check_model(path, device="cpu")
        assert report.passed, report.problems
        assert report.contract == "end2end-2"
        assert (report.name, report.licence) == ("mine", "Apache-2.0")
        assert report.open_axes == ("batch",)


def test_agreement_counts_what_moved_or_changed_class():
    wanted = {
        "boxes": np.array([[[0.1, 0.1, 0.5, 0.5], [0.6, 0.6, 0.9, 0.9], [0.0, 0.0, 0.2, 0.2]]], np.float32),
        "scores": np.array([[0.9, 0.8, 0.01]], np.float32),
        "class_ids": np.array([[0, 2, 0]]),
        "masks": np.full((1, 3, 4, 4), 255, np.uint8),
    }
    assert half.agreement(wanted, wanted)["agreement"] == 1.0
    assert half.agreement(wanted, wanted)["instances"] == 2
    swapped = {key: value[:, [1, 0, 2]] for key, value in wanted.items()}
    assert half.agreement(swapped, wanted)["agreement"] == 1.0
    for key, change in (("boxes", 0.2), ("scores", 0.05), ("class_ids", 1), ("masks", -200)):
        other = {name: value.copy() for name, value in wanted.items()}
        other[key][0, 0] = (other[key][0, 0].astype(np.float64) + change).astype(other[key].dtype)
        assert half.agreement(other, wanted)["agreement"] == 0.5, key


def test_half_spares_convolutions_over_instances_and_whoever_else_reads_the_maps():
    """Two convolutions over the picture, one over the best values (as embeddings have it); one map is an output too."""
    make, weight = onnx.helper.make_node, np.ones((1, 1, 1, 1), np.float32)
    nodes = [
        make("Conv", ["picture", "weight"], ["map"], name="first"),
        make("Conv", ["map", "weight"], ["head"], name="second"),
        make("TopK", ["head", "count"], ["best", "places"]),
        make("Add", ["best", "map"], ["sum"]),
        make("Conv", ["sum", "weight"], ["late"], name="third"),
    ]
    value = onnx.helper.make_tensor_value_info
    outputs = [value(name, FLOAT, [1, 1, 4, 4]) for name in ("map", "late")]
    constants = [onnx.numpy_helper.from_array(weight, "weight"), onnx.numpy_helper.from_array(np.array([4]), "count")]
    graph = onnx.helper.make_graph(nodes, "small", [value("picture", FLOAT, [1, 1, 4, 4])], outputs, constants)
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=8)
    half.halve(model)
    onnx.checker.check_model(model, full_check=True)
    kinds = half.element_types(model)
    found = {node.name: {kinds[name] for name in (*node.input, *node.output)} for node in model.graph.node if node.name}
    assert (found["first"], found["second"], found["third"]) == ({HALF}, {HALF}, {FLOAT})
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    picture = np.linspace(0, 1, 16, dtype=np.float32).reshape(1, 1, 4, 4)
    seen, late = session.run(["map", "late"], {"picture": picture})
    np.testing.assert_allclose(seen, picture, atol=1e-3)
    np.testing.assert_allclose(late, picture + picture[..., ::-1], atol=1e-3)


def test_half_refuses_what_it_cannot_hold(exported, halved):
    with pytest.raises(ModelError, match="no convolution in float32"):
        half.halve(onnx.load(str(halved)))
    model = onnx.load(str(exported))
    weight = next(item for item in model.graph.initializer if item.name.endswith("stem.conv.bias"))
    weight.CopyFrom(onnx.numpy_helper.from_array(np.full(16, 1e5, np.float32), weight.name))
    with pytest.raises(ModelError, match=r"stem\.conv\.bias reaches 100000"):
        half.halve(model)


def test_int8_covers_the_network_and_spares_its_heads(exported, quantised):
    graph = onnx.load(str(quantised)).graph
    kinds = {item.name: item.data_type for item in graph.initializer}
    made_by = {name: node for node in graph.node for name in node.output}
    wide = [
        node.name
        for node in graph.node
        if node.op_type == "Conv" and getattr(made_by.get(node.input[1]), "op_type", "") != "DequantizeLinear"
    ]
    assert len(wide) == 13  # boxes, objectness, classes, coefficients of three levels; prototypes
    assert all("_out" in name for name in wide)
    weights = [made_by[node.input[1]] for node in graph.node if node.op_type == "Conv" and node.name not in wide]
    assert {kinds[node.input[0]] for node in weights} == {onnx.TensorProto.INT8}
    scales = {item.name: onnx.numpy_helper.to_array(item).shape for item in graph.initializer}
    assert all(len(scales[node.input[1]]) == 1 for node in weights)  # one for each channel
    before = {item.key: item.value for item in onnx.load(str(exported)).metadata_props}
    assert {item.key: item.value for item in onnx.load(str(quantised)).metadata_props} == before


def test_int8_ranges_are_those_of_the_pictures(quantised):
    """What goes into the first convolution is pixels, as bright as those of the calibration pictures."""
    graph = onnx.load(str(quantised)).graph
    values = {item.name: onnx.numpy_helper.to_array(item) for item in graph.initializer}
    made_by = {name: node for node in graph.node for name in node.output}
    first = next(node for node in graph.node if node.op_type == "Conv" and node.name.startswith("/backbone/stem"))
    pixels = made_by[first.input[0]]
    assert values[pixels.input[2]] == 0
    assert 255 * values[pixels.input[1]] == pytest.approx(230, abs=1)  # the brightest pixel of the made pictures


def test_a_tensor_that_hardly_changes_gets_its_whole_range():
    """The first layer gives 5 and a millionth of the picture."""
    make, value = onnx.helper.make_node, onnx.helper.make_tensor_value_info
    nodes = [
        make("Conv", ["picture", "faint", "five"], ["map"], name="first"),
        make("Conv", ["map", "one"], ["head"], name="second"),
    ]
    arrays = {"faint": np.full((1, 1, 1, 1), 1e-6), "one": np.ones((1, 1, 1, 1)), "five": np.full(1, 5.0)}
    constants = [onnx.numpy_helper.from_array(array.astype(np.float32), name) for name, array in arrays.items()]
    ends = [value(name, FLOAT, [1, 1, 4, 4]) for name in ("picture", "head")]
    graph = onnx.helper.make_graph(nodes, "small", ends[:1], ends[1:], constants)
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=8)

    class Reader(quantise.Pictures):
        def get_next(self):
            picture = next(self.rest, None)
            return None if picture is None else {"picture": picture}

    pictures = [np.random.default_rng(seed).random((1, 1, 4, 4), np.float32) for seed in range(2)]
    result, covered = quantise.calibrate(model, Reader(None, pictures), quantise.quantised_nodes(model.graph))
    assert covered == 100.0
    session = onnxruntime.InferenceSession(result.SerializeToString(), providers=["CPUExecutionProvider"])
    np.testing.assert_allclose(session.run(None, {"picture": pictures[0]})[0], 5.0, atol=0.05)


def test_int8_of_int8_and_of_nothing_is_refused(quantised, tmp_path):
    with pytest.raises(ModelError, match="is quantised already"):
        quantise.quantise(quantised, [], tmp_path / "again.onnx")
    with pytest.raises(ModelError, match=r"absent\.onnx"):
        quantise.quantise(tmp_path / "absent.onnx", [], tmp_path / "again.onnx")
    with pytest.raises(ConfigError, match="found none"):
        quantise.calibration_pictures(tmp_path, 4)
    (tmp_path / "broken.png").write_bytes(b"no picture")
    with pytest.raises(ConfigError, match=r"broken\.png.*expected a picture"):
        quantise.Pictures(None, [tmp_path / "broken.png"]).get_next()


def test_half_file_has_a_manifest_of_its_own_and_is_never_the_default(made, halved):
    folder, _ = made
    assert load_manifest(folder / "manifest.toml").files == ("mine-96x128.onnx",)
    manifest = find_model(halved).manifest
    assert manifest.files == ("mine-96x128-fp16.onnx",)
    parity = manifest.free["parity"]["96x128"]["random"]
    assert parity["against"] == "mine-96x128.onnx"
    assert parity["agreement"] > 0.8
    assert find_model(folder, source_size=(640, 480)).path.name == "mine-96x128.onnx"


def test_command_says_what_int8_costs_and_saves(made, exported, capsys):
    folder, printed = made
    assert "CPU time of one thread" in printed
    assert "ranges: 99.9 % of the values in 2 pictures" in printed
    assert "made: " in printed
    assert "points of mask AP" in printed
    command = f"quantise --model {exported} --calibration {folder} --out {exported}"
    assert main(command.split()) == 2
    assert "expected another .onnx file" in capsys.readouterr().err
