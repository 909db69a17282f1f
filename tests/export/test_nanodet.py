"""NanoDet-Plus from ncnn: the converted graph against PyTorch and ncnn, decoding, labelling with it, and mistakes."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the PyTorch side needs torch: pip install torch")
onnx = pytest.importorskip("onnx")
cv2 = pytest.importorskip("cv2")
pytest.importorskip("pycocotools")

from export.__main__ import main  # noqa: E402
from export.data import coco, fused, nanodet  # noqa: E402
from export.networks.yolact_nano import CLASSES  # noqa: E402
from export.onnx import ncnn_model, ncnn_to_onnx  # noqa: E402
from export.onnx.sessions import cpu_session  # noqa: E402
from tests.export.ncnn_files import ROWS, NcnnWriter, small_nanodet  # noqa: E402
from tests.export.pictures import write_coco  # noqa: E402
from tests.export.segmenters import write_segmenter  # noqa: E402
from tracker.errors import ModelError  # noqa: E402

pytestmark = pytest.mark.export

functional = torch.nn.functional
REAL = Path(os.environ.get("MASKTRAIL_DATA", "none")) / "weights" / "nanodet-plus-m_416.param"


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """The small network's writer and its converted file."""
    folder = tmp_path_factory.mktemp("ncnn")
    made = small_nanodet()
    param, binary = made.write(folder)
    out = folder / "small.onnx"
    assert main(["nanodet", "--param", str(param), "--bin", str(binary), "--out", str(out)]) == 0
    return made, out


def reference(made: NcnnWriter, images: np.ndarray) -> np.ndarray:
    """The small network in PyTorch."""

    def layer(name, x, *, stride=1, groups=1, leak=1.0):
        weight, bias = (torch.from_numpy(values) for values in made.weights[name])
        y = functional.conv2d(x, weight, bias, stride, weight.shape[2] // 2, groups=groups)
        return torch.where(y > 0, y, y * leak)

    mean, deviation = (
        torch.tensor(values).view(1, 3, 1, 1) for values in ((103.53, 116.28, 123.675), (57.375, 57.12, 58.395))
    )
    x = layer("stem", (torch.from_numpy(images) - mean) / deviation, stride=2, leak=0.0)
    x = layer("third", functional.max_pool2d(x, 3, 2, 1), stride=2, leak=0.1)
    x = functional.channel_shuffle(x, 2)
    p3 = torch.cat((x[:, :4], layer("deep", x[:, 4:], groups=4)), dim=1)
    p4 = layer("p4", p3, stride=2, groups=8, leak=0.1)
    up = functional.interpolate(p4, scale_factor=2.0, mode="bilinear", align_corners=False)
    p5 = layer("p5", p4, stride=2, leak=0.1)
    p6 = layer("p6", p5, stride=2)
    rows = []
    for name, level in (("h3", torch.cat((p3 + up, p3), dim=1)), ("h4", p4), ("h5", p5), ("h6", p6)):
        y = layer(name, level)
        rows.append(torch.cat((y[:, :80].sigmoid(), y[:, 80:]), dim=1).flatten(2))
    return torch.cat(rows, dim=2).transpose(1, 2).numpy()


# the graph


@pytest.mark.parametrize("size", [(64, 64), (128, 192)])
def test_the_graph_computes_what_the_layers_say(small, size):
    made, path = small
    images = np.random.default_rng(1).uniform(0, 255, (2, 3, *size)).astype(np.float32)
    found = cpu_session(path).run(None, {"images": images})[0]
    assert found.shape == (2, sum(size[0] // stride * (size[1] // stride) for stride in (8, 16, 32, 64)), ROWS)
    np.testing.assert_allclose(found, reference(made, images), atol=2e-5)


def run_ncnn(param: Path, images: np.ndarray) -> np.ndarray:
    """What ncnn itself computes of normalised pictures (3, H, W)."""
    ncnn = pytest.importorskip("ncnn", reason="parity with ncnn needs it: pip install ncnn")
    net = ncnn.Net()
    net.opt.use_fp16_packed = net.opt.use_fp16_storage = net.opt.use_fp16_arithmetic = False
    net.opt.use_bf16_storage, net.opt.num_threads = False, 1
    assert net.load_param(str(param)) == 0
    assert net.load_model(str(param.with_suffix(".bin"))) == 0
    extractor = net.create_extractor()
    extractor.input("data", ncnn.Mat(images).clone())
    return np.array(extractor.extract("output")[1])


def normalised(images: np.ndarray) -> np.ndarray:
    mean, deviation = (np.array(values, np.float32).reshape(3, 1, 1) for values in (nanodet.MEAN, nanodet.DEVIATION))
    return (images - mean) / deviation


def test_ncnn_computes_the_same(small):
    _, path = small
    images = np.random.default_rng(2).uniform(0, 255, (3, 128, 192)).astype(np.float32)
    expected = run_ncnn(path.with_suffix(".param"), normalised(images))
    found = cpu_session(path).run(None, {"images": images[None]})[0][0]
    np.testing.assert_allclose(found, expected, atol=2e-5)


@pytest.mark.data
@pytest.mark.skipif(not REAL.is_file(), reason="needs the published weights: MASKTRAIL_DATA")
def test_the_published_model_computes_the_same(tmp_path):
    out = tmp_path / "nanodet.onnx"
    nanodet.convert(REAL, REAL.with_suffix(".bin"), out)
    images = np.random.default_rng(3).uniform(0, 255, (3, 192, 320)).astype(np.float32)
    found = cpu_session(out).run(None, {"images": images[None]})[0][0]
    np.testing.assert_allclose(found, run_ncnn(REAL, normalised(images)), atol=1e-4)


# decoding


def test_boxes_are_mean_distances_from_the_corner_points():
    size = (64, 128)
    logits = np.full((1, 8 * 16 + 4 * 8 + 2 * 4 + 1 * 2, 4, 8), -50.0, np.float32)
    logits[..., 0] = 50.0  # no distance at all
    row = 8 * 16 + 4 * 8 + 1 * 4 + 2  # stride 32, second line, third column: the point (64, 32)
    for side, bins in enumerate([(1,), (0, 1), (3,), (2, 4)]):  # 1, 0.5, 3 and 3 strides
        logits[0, row, side] = -50.0
        logits[0, row, side, list(bins)] = 50.0
    boxes = nanodet.decode(logits.reshape(1, -1, 32), size)[0]
    np.testing.assert_allclose(boxes[row], [64 - 32, 32 - 16, 64 + 96, 32 + 96], atol=1e-3)
    np.testing.assert_allclose(boxes[17], [8, 8, 8, 8], atol=1e-3)
    np.testing.assert_allclose(boxes[-1], [64, 0, 64, 0], atol=1e-3)


def test_a_detector_has_the_six_classes_rows(small):
    _, path = small
    detector = nanodet.NanoDet(path)
    images = torch.rand(1, 3, 64, 64) * 255
    boxes, objectness, classes = detector(images)
    rows = cpu_session(path).run(None, {"images": images.numpy()})[0]
    assert detector.classes == CLASSES
    np.testing.assert_array_equal(classes.numpy(), rows[..., [0, 1, 2, 3, 5, 7]])
    np.testing.assert_array_equal(boxes.numpy(), nanodet.decode(rows[..., 80:], (64, 64)))
    assert objectness.shape == (1, 85)
    assert (objectness == 1).all()
    found = fused.FusedDetector(detector, (64, 128))(np.zeros((48, 64, 3), np.uint8))
    assert found.boxes.shape[1] == 4


def test_labels_are_made_with_it(small, tmp_path, capsys):
    _, path = small
    folder = write_coco(tmp_path, labelled=["car"])
    encoder, decoder = write_segmenter(tmp_path)
    given = ["--detector", str(path), "--encoder", str(encoder), "--decoder", str(decoder), "--sizes", "128"]
    assert main(["label", str(folder), *given, "--classes", "person", "--out", str(tmp_path / "out")]) == 0
    assert "made: added" in capsys.readouterr().out
    found = coco.read_coco(tmp_path / "out" / "made")
    assert found.labelled == {"car", "person"}
    assert main(["label", str(folder), *given, "--classes", "cat", "--out", str(tmp_path / "out")]) == 2
    assert "it knows person, bicycle, car, motorcycle, bus, truck" in capsys.readouterr().err


# mistakes


def broken(folder, change):
    """The small network's files with a change in the text."""
    param, binary = small_nanodet().write(folder)
    text = param.read_text()
    changed = change(text)
    assert changed != text
    param.write_text(changed)
    return param, binary


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("7767517", "7767518", "expected 7767517 in the first line, found '7767518'"),
        (
            "Sigmoid                  h4sig",
            "Softmax                  h4sig",
            "layer h4sig is of kind Softmax, expected",
        ),
        ("0=2 1=2.000000e+00", "0=3 1=2.000000e+00", "Interp up: expected 2 for setting 0, found 3"),
        ("1 1 third shuffled 0=2", "1 1 third shuffled 0=2 1=1", "ShuffleChannel shuffled: expected 0 for setting 1"),
        ("1 1 h3c h3s", "1 1 h3c h3s 5=7", "Sigmoid h3sig: expected none for setting 5, found 7"),
        ("2 1 s1b up sum", "2 1 s1b p5 sum", "layer sum reads blob p5, which is not made before"),
        ("2 1 sum s1c both", "2 1 sum s1b both", "layer both reads blob s1b, which was read already"),
        ("2 1 sum s1c both", "1 1 sum both", "blob s1c of layer s1 is read by no layer"),
        ("data\nConvolution", "data\nSplit s4\nConvolution", "small.param:4: expected a layer, found 'Split s4'"),
        ("7767517\n", "7767517\n9", "line 2 says '9"),
        (
            "rows output 0=1",
            "rows other 0=1",
            "expected one input `data` and an output `output`, found input data and no",
        ),
        ("0=5 1=3 3=2", "0=5 1=4 3=2", "Convolution stem: expected weights of 5 channels of 4 x 4"),
        ("9=1\n", "9=5\n", "Convolution stem: expected 0, 1 or 2 for setting 9, found 5"),
    ],
)
def test_what_is_not_known_is_named(tmp_path, old, new, message):
    param, binary = broken(tmp_path, lambda text: text.replace(old, new, 1))
    with pytest.raises(ModelError) as error:
        nanodet.convert(param, binary, tmp_path / "out.onnx")
    assert message in str(error.value)
    assert not (tmp_path / "out.onnx").exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda data: data[:-4], "bytes up to the weights of h6, found"),
        (lambda data: data + b"\0\0\0\0", "bytes by the layers of the .param file, found"),
        (
            lambda data: b"\x38\x4b\x0d\x00" + data[4:],
            "expected weights of stem in float32 or float16, found storage tag 0x000d4b38",
        ),
    ],
)
def test_weights_must_be_there_and_used_up(tmp_path, change, message):
    param, binary = small_nanodet().write(tmp_path)
    binary.write_bytes(change(binary.read_bytes()))
    with pytest.raises(ModelError) as error:
        nanodet.convert(param, binary, tmp_path / "out.onnx")
    assert message in str(error.value)


def test_a_file_that_is_missing_and_another_network_are_named(tmp_path, capsys):
    param, binary = small_nanodet().write(tmp_path)
    given = ["nanodet", "--param", str(param), "--out", str(tmp_path / "out.onnx")]
    assert main([*given, "--bin", str(tmp_path / "none.bin")]) == 2
    assert "none.bin: expected a file, found: No such file" in capsys.readouterr().err
    other = NcnnWriter()
    other.layer("Input", "data", "", "data")
    other.convolution("output", "data", (3, 4))
    param, binary = other.write(tmp_path)
    assert main([*given, "--bin", str(binary)]) == 2
    assert (
        "expected an output of shape (1, 170, 112) for a 64 x 128 picture, found (1, 4, 64, 128)"
        in capsys.readouterr().err
    )
    assert not (tmp_path / "out.onnx").exists()


def test_layers_and_lists_are_read(tmp_path):
    param, binary = small_nanodet().write(tmp_path)
    layers = ncnn_model.read_layers(param)
    assert layers[0] == ncnn_model.Layer("Input", "data", (), ("data",), {})
    assert layers[6].values == {9: (0.0,), 10: (4.0,), 11: (0.0,)}
    assert ncnn_to_onnx.build(param, binary).inputs == ["data"]
