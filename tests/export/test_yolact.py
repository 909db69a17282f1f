"""Official YOLACT: names and shapes, old and incomplete checkpoints, anchors, decoding, the exported files."""

from __future__ import annotations

import dataclasses
import json
import math

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the PyTorch side needs torch: pip install torch")
onnx = pytest.importorskip("onnx")
from torch.nn import functional  # noqa: E402

from export import yolact_export  # noqa: E402
from export.__main__ import main  # noqa: E402
from export.yolact import (  # noqa: E402
    CONFIGURATIONS,
    Configuration,
    DeformableConv,
    MaskIoU,
    Yolact,
    decode,
    make_priors,
)
from export.yolact_weights import class_names, load_checkpoint, load_state, random_network  # noqa: E402
from tracker import masks  # noqa: E402
from tracker.errors import ModelError  # noqa: E402
from tracker.segment.check import check_model  # noqa: E402
from tracker.segment.manifest import load_manifest  # noqa: E402
from tracker.segment.session import OnnxSegmenter  # noqa: E402
from tracker.segment.yolact import make_priors as build_priors  # noqa: E402
from tracker.types import Frame  # noqa: E402

pytestmark = pytest.mark.export
SIZE = 138
SMALL = "yolact_resnet50"


@pytest.fixture(autouse=True)
def one_thread():
    torch.set_num_threads(1)


# ---- names and shapes, written down from the published source and not from the module under test ---------------------


def conv(name, channels_out, channels_in, kernel, *, bias=True):
    entries = {f"{name}.weight": (channels_out, channels_in, kernel, kernel)}
    return entries | ({f"{name}.bias": (channels_out,)} if bias else {})


def batch_norm(name, channels):
    parts = ("weight", "bias", "running_mean", "running_var")
    return {f"{name}.{part}": (channels,) for part in parts} | {f"{name}.num_batches_tracked": ()}


def resnet_keys(blocks, deformable=()):
    keys = conv("backbone.conv1", 64, 3, 7, bias=False) | batch_norm("backbone.bn1", 64)
    channels_in = 64
    for stage, count in enumerate(blocks):
        planes = (64, 128, 256, 512)[stage]
        for block in range(count):
            name = f"backbone.layers.{stage}.{block}"
            keys |= conv(f"{name}.conv1", planes, channels_in, 1, bias=False) | batch_norm(f"{name}.bn1", planes)
            bent = (stage, block) in deformable
            keys |= conv(f"{name}.conv2", planes, planes, 3, bias=bent) | batch_norm(f"{name}.bn2", planes)
            keys |= conv(f"{name}.conv2.conv_offset_mask", 27, planes, 3) if bent else {}
            keys |= conv(f"{name}.conv3", planes * 4, planes, 1, bias=False) | batch_norm(f"{name}.bn3", planes * 4)
            if block == 0:
                keys |= conv(f"{name}.downsample.0", planes * 4, channels_in, 1, bias=False)
                keys |= batch_norm(f"{name}.downsample.1", planes * 4)
            channels_in = planes * 4
    return keys


def darknet_keys():
    keys = conv("backbone._preconv.0", 32, 3, 3, bias=False) | batch_norm("backbone._preconv.1", 32)
    for stage, count in enumerate((1, 2, 8, 8, 4)):
        wide, name = (64, 128, 256, 512, 1024)[stage], f"backbone.layers.{stage}"
        keys |= conv(f"{name}.0.0", wide, wide // 2, 3, bias=False) | batch_norm(f"{name}.0.1", wide)
        for block in range(1, count + 1):
            keys |= conv(f"{name}.{block}.conv1.0", wide // 2, wide, 1, bias=False)
            keys |= batch_norm(f"{name}.{block}.conv1.1", wide // 2)
            keys |= conv(f"{name}.{block}.conv2.0", wide, wide // 2, 3, bias=False)
            keys |= batch_norm(f"{name}.{block}.conv2.1", wide)
    return keys


def mobilenet_keys():
    keys = conv("backbone.layers.0.0", 32, 3, 3, bias=False) | batch_norm("backbone.layers.0.1", 32)
    channels_in = 32
    widths, counts = (16, 24, 32, 64, 96, 160, 320), (1, 2, 3, 4, 3, 3, 1)
    for stage, (width, count) in enumerate(zip(widths, counts, strict=True), 1):
        for block in range(count):
            hidden = channels_in if stage == 1 else channels_in * 6
            name, place = f"backbone.layers.{stage}.{block}.conv", 0
            if stage > 1:
                keys |= conv(f"{name}.0.0", hidden, channels_in, 1, bias=False) | batch_norm(f"{name}.0.1", hidden)
                place = 1
            keys |= conv(f"{name}.{place}.0", hidden, 1, 3, bias=False) | batch_norm(f"{name}.{place}.1", hidden)
            keys |= conv(f"{name}.{place + 1}", width, hidden, 1, bias=False)
            keys |= batch_norm(f"{name}.{place + 2}", width)
            channels_in = width
    return keys | conv("backbone.layers.8.0", 1280, 320, 1, bias=False) | batch_norm("backbone.layers.8.1", 1280)


def plus_keys(blocks, interval):
    deformable = {(s, b) for s in (1, 2, 3) for b in range(blocks[s]) if b % interval == 0}
    keys = resnet_keys(blocks, deformable)
    widths = (1, 8, 16, 32, 64, 128)
    for place in range(5):
        keys |= conv(f"maskiou_net.maskiou_net.{place * 2}", widths[place + 1], widths[place], 3)
    return keys | conv("maskiou_net.maskiou_net.10", 80, 128, 1)


def neck_and_head_keys(channels, anchors=3, classes=80):
    keys = {}
    for position, count in enumerate(reversed(channels)):
        keys |= conv(f"fpn.lat_layers.{position}", 256, count, 1) | conv(f"fpn.pred_layers.{position}", 256, 256, 3)
    for position in (0, 1):
        keys |= conv(f"fpn.downsample_layers.{position}", 256, 256, 3)
    for position in (0, 2, 4, 8):
        keys |= conv(f"proto_net.{position}", 256, 256, 3)
    keys |= conv("proto_net.10", 32, 256, 1) | conv("prediction_layers.0.upfeature.0", 256, 256, 3)
    for name, width in (("bbox", 4), ("conf", classes + 1), ("mask", 32)):
        keys |= conv(f"prediction_layers.0.{name}_layer", anchors * width, 256, 3)
    return keys | conv("semantic_seg_conv", classes, 256, 1)


RESNET_CHANNELS, DARKNET_CHANNELS = (512, 1024, 2048), (256, 512, 1024)
EXPECTED = {
    "yolact_resnet50": (lambda: resnet_keys((3, 4, 6, 3)), RESNET_CHANNELS, 354, 31_164_943),
    "yolact_base": (lambda: resnet_keys((3, 4, 23, 3)), RESNET_CHANNELS, 660, 50_157_071),
    "yolact_im400": (lambda: resnet_keys((3, 4, 23, 3)), RESNET_CHANNELS, 660, 50_157_071),
    "yolact_im700": (lambda: resnet_keys((3, 4, 23, 3)), RESNET_CHANNELS, 660, 50_157_071),
    "yolact_darknet53": (darknet_keys, DARKNET_CHANNELS, 348, 47_783_087),
    "yolact_edge_mobilenetv2": (mobilenet_keys, (32, 64, 160), 348, 9_028_815),
    "yolact_plus_base": (lambda: plus_keys((3, 4, 23, 3), 3), RESNET_CHANNELS, 705, 52_571_142),
    "yolact_plus_resnet50": (lambda: plus_keys((3, 4, 6, 3), 1), RESNET_CHANNELS, 405, 33_766_460),
}


@pytest.mark.parametrize("name", EXPECTED)
def test_names_and_shapes_are_those_of_the_published_checkpoints(name):
    backbone, channels, count, parameters = EXPECTED[name]
    expected = backbone() | neck_and_head_keys(channels, anchors=9 if "plus" in name else 3)
    with torch.device("meta"):
        network = Yolact(CONFIGURATIONS[name])
    assert {key: tuple(value.shape) for key, value in network.state_dict().items()} == expected
    assert len(expected) == count
    assert sum(value.numel() for value in network.parameters()) == parameters


def zeros_for(name):
    backbone, channels, *_ = EXPECTED[name]
    keys = backbone() | neck_and_head_keys(channels, anchors=9 if "plus" in name else 3)
    return {key: torch.zeros(shape) for key, shape in keys.items()}


# ---- checkpoints ----------------------------------------------------------------------------------------------------


def test_a_checkpoint_loads_strictly_with_every_value(tmp_path):
    network = random_network(CONFIGURATIONS[SMALL], 5)
    torch.save(network.state_dict(), tmp_path / "w.pth")
    loaded = load_checkpoint(tmp_path / "w.pth", CONFIGURATIONS[SMALL])
    for key, value in network.state_dict().items():
        assert torch.equal(loaded.state_dict()[key], value), key
    assert not loaded.training


def test_names_of_older_files_are_understood():
    state = zeros_for(SMALL)
    old = {}
    for key, value in state.items():
        if key.startswith("backbone.layers."):
            stage, rest = key.removeprefix("backbone.layers.").split(".", 1)
            old[f"backbone.layer{int(stage) + 1}.{rest}"] = torch.ones_like(value)  # version 1.0 held both
        old[key] = value
    old |= {
        f"fpn.downsample_layers.{number}.{part}": torch.zeros(1) for number in (2, 3) for part in ("weight", "bias")
    }
    network = load_state(old, CONFIGURATIONS[SMALL])
    assert not network.backbone.layers[2][5].conv1.weight.any()  # today's name wins
    only_old = {key: value for key, value in old.items() if not key.startswith("backbone.layers.")}
    assert network.state_dict().keys() == load_state(only_old, CONFIGURATIONS[SMALL]).state_dict().keys()
    assert load_state(only_old, CONFIGURATIONS[SMALL]).backbone.layers[2][5].conv1.weight.all()
    parallel = {f"module.{key}": value for key, value in state.items() if not key.endswith("num_batches_tracked")}
    assert load_state(parallel, CONFIGURATIONS[SMALL]).backbone.bn1.num_batches_tracked == 0


def test_a_checkpoint_that_misses_keys_is_refused_by_name():
    state = zeros_for(SMALL)
    del state["proto_net.10.weight"]
    state["proto_net.12.weight"] = torch.zeros(1)
    state["fpn.lat_layers.0.weight"] = torch.zeros(256, 1024, 1, 1)
    with pytest.raises(ModelError) as caught:
        load_state(state, CONFIGURATIONS[SMALL], label="w.pth")
    message = str(caught.value)
    assert message.startswith("w.pth: 1 keys missing: proto_net.10.weight; 1 keys unexpected: proto_net.12.weight; ")
    assert "fpn.lat_layers.0.weight (256, 1024, 1, 1) instead of (256, 2048, 1, 1)" in message


@pytest.mark.parametrize(
    ("held", "asked"),
    [
        ("yolact_darknet53", SMALL),
        (SMALL, "yolact_base"),
        ("yolact_plus_resnet50", SMALL),
        ("yolact_edge_mobilenetv2", "yolact_plus_base"),
    ],
)
def test_a_checkpoint_of_another_backbone_names_its_configuration(held, asked):
    with pytest.raises(ModelError, match=f"--config .*{held}"):
        load_state(zeros_for(held), CONFIGURATIONS[asked])


def test_files_that_are_no_checkpoint_are_refused(tmp_path):
    with pytest.raises(ModelError, match="cannot be read"):
        load_checkpoint(tmp_path / "none.pth", CONFIGURATIONS[SMALL])
    (tmp_path / "text.pth").write_text("no weights here")
    with pytest.raises(ModelError, match="expected a PyTorch state dict"):
        load_checkpoint(tmp_path / "text.pth", CONFIGURATIONS[SMALL])
    torch.save({"epoch": 3, "model": {}}, tmp_path / "wrapped.pth")
    with pytest.raises(ModelError, match=r"found epoch, model.*\n.*state_dict"):
        load_checkpoint(tmp_path / "wrapped.pth", CONFIGURATIONS[SMALL])
    torch.save(Configuration(backbone="resnet50"), tmp_path / "object.pth")  # weights_only: no code is run
    with pytest.raises(ModelError, match="expected a PyTorch state dict"):
        load_checkpoint(tmp_path / "object.pth", CONFIGURATIONS[SMALL])


def test_the_number_of_classes_is_the_checkpoints_and_its_names_are_asked_for(tmp_path):
    with torch.device("meta"):
        shapes = Yolact(Configuration(backbone="resnet50", classes=2)).state_dict()
    torch.save({key: torch.zeros(value.shape) for key, value in shapes.items()}, tmp_path / "w.pth")
    configuration = load_checkpoint(tmp_path / "w.pth", CONFIGURATIONS[SMALL]).configuration
    assert configuration.classes == 2
    assert class_names(configuration, ["cart", "basket"]) == ("cart", "basket")
    arguments = ["yolact", "--config", SMALL, "--weights", str(tmp_path / "w.pth"), "--out", str(tmp_path / "a.onnx")]
    with pytest.raises(SystemExit, match="expected 2 names as the checkpoint has classes, found 80"):
        main(arguments)
    assert not (tmp_path / "a.onnx").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--config", "yolact_huge"], "choose among yolact_base, "),
        (["--weights", "random:x"], "random:x: cannot be read"),
        (["--size", "31"], "expected 32 pixels or more, found 31"),
        (["--out", "folder"], "try folder/yolact.onnx"),
    ],
)
def test_options_that_cannot_work_say_what_would(options, message):
    with pytest.raises(SystemExit, match=message):
        main(["yolact", "--weights", "random:0", "--out", "a.onnx", *options])


# ---- anchors and decoding --------------------------------------------------------------------------------------------


def slow_priors(size, scales, *, square):
    found = []
    cells = size
    for level, scale in enumerate(scales):
        for _ in range(3 if level == 0 else 1):
            cells = (cells + 1) // 2  # each stride-2 convolution rounds up
        for row in range(cells):
            for column in range(cells):
                for ratio in (1, 0.5, 2):
                    width, height = scale * math.sqrt(ratio) / size, scale / math.sqrt(ratio) / size
                    found.append([(column + 0.5) / cells, (row + 0.5) / cells, width, width if square else height])
    return np.array(found)


@pytest.mark.parametrize(
    ("name", "count", "scales"),
    [
        ("yolact_base", 19_248, (24, 48, 96, 192, 384)),
        ("yolact_darknet53", 19_248, (24, 48, 96, 192, 384)),
        ("yolact_im400", 10_077, (17, 34, 69, 139, 279)),
        ("yolact_im700", 30_963, (30, 61, 122, 244, 488)),
    ],
)
def test_anchors_are_square_and_as_many_as_published(name, count, scales):
    configuration = CONFIGURATIONS[name]
    priors = make_priors(configuration)
    assert priors.shape == (count, 4)
    assert torch.equal(priors[:, 2], priors[:, 3])
    np.testing.assert_allclose(priors, slow_priors(configuration.size_px, scales, square=True), atol=1e-7)


def test_anchors_keep_their_pixels_at_another_size_and_their_shape_where_asked():
    oblong = Configuration(backbone="resnet50", square_anchors=False)
    np.testing.assert_allclose(
        make_priors(oblong, 200), slow_priors(200, (24, 48, 96, 192, 384), square=False), atol=1e-7
    )


def test_anchors_of_the_plus_models_have_three_scales_and_three_shapes():
    priors = make_priors(CONFIGURATIONS["yolact_plus_base"])
    assert priors.shape == (3 * 19_248, 4)
    sides = [24 * 2 ** (step / 3) * factor for step in range(3) for factor in (1, math.sqrt(0.5), math.sqrt(2))]
    np.testing.assert_allclose(priors[:9, 2] * 550, sides, rtol=1e-6)
    np.testing.assert_allclose(priors[1, 2:] * 550, [24 * math.sqrt(0.5), 24 * math.sqrt(2)], rtol=1e-6)


def slow_instances(heads, priors, *, per_class, count=100):
    """`Detect` and `postprocess` of the published code, one row at a time: (score, class, box, mask on the grid)."""
    loc, conf, coefficients, proto = (heads[key] for key in ("loc", "conf", "mask", "proto"))
    grid = proto.shape[0]
    boxes = []
    for code, (x, y, w, h) in zip(loc, priors, strict=True):
        cx, cy = x + code[0] * 0.1 * w, y + code[1] * 0.1 * h
        bw, bh = w * math.exp(code[2] * 0.2), h * math.exp(code[3] * 0.2)
        boxes.append((cx - bw / 2, cy - bh / 2, cx + bw / 2, cy + bh / 2))
    best = conf[:, 1:].max(axis=1)
    groups = []
    if per_class:
        groups = [[(conf[row, k + 1], k, row) for row in range(len(conf))] for k in range(conf.shape[1] - 1)]
    else:
        groups = [[(best[row], int(conf[row, 1:].argmax()), row) for row in range(len(conf))]]
    found = []
    for group in groups:
        top = sorted(group, key=lambda entry: -entry[0])[:200]
        for place, (score, class_id, row) in enumerate(top):
            if all(iou(boxes[row], boxes[better]) <= 0.5 for _, _, better in top[:place]):
                found.append((score, class_id, row))
    instances = []
    for score, class_id, row in sorted(found, key=lambda entry: -entry[0])[:count]:
        mask = 1 / (1 + np.exp(-(proto.astype(np.float64) @ coefficients[row])))
        low_x, low_y, high_x, high_y = (edge * grid for edge in boxes[row])
        for i in range(grid):
            # A pixel at x reads the two cells whose centres are less than one cell away.
            if not low_x - 1 < i + 0.5 < high_x + 1:
                mask[:, i] = 0
            if not low_y - 1 < i + 0.5 < high_y + 1:
                mask[i] = 0
        instances.append((score, class_id, np.clip(boxes[row], 0, 1), mask))
    return instances


def iou(a, b):
    shared = max(min(a[2], b[2]) - max(a[0], b[0]), 0) * max(min(a[3], b[3]) - max(a[1], b[1]), 0)
    return shared / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - shared)


@pytest.mark.parametrize("per_class", [False, True])
def test_decoding_equals_a_slow_reference(per_class):
    size, generator = 64, np.random.default_rng(1)
    configuration = Configuration(backbone="resnet50", classes=3)
    with torch.device("meta"):
        network = Yolact(configuration)
    tail = yolact_export.YolactEndToEnd(network, size_px=size, per_class=per_class)
    count = len(tail.priors)
    logits = generator.normal(0, 2, (count, 4))
    heads = {
        "loc": generator.normal(0, 1.5, (count, 4)).astype(np.float32),
        "conf": (np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)).astype(np.float32),
        "mask": np.tanh(generator.normal(0, 1, (count, 32))).astype(np.float32),
        "proto": np.maximum(generator.normal(0, 1, (16, 16, 32)), 0).astype(np.float32),
    }
    tensors = {key: torch.from_numpy(value)[None] for key, value in heads.items()}
    found = yolact_export.final(tail, tensors)
    expected = slow_instances(heads, tail.priors.double().numpy(), per_class=per_class)
    used = found["scores"] > 0
    assert used.sum() == len(expected) > 30
    np.testing.assert_allclose(found["scores"][used], [entry[0] for entry in expected], rtol=1e-6)
    assert found["class_ids"][used].tolist() == [entry[1] for entry in expected]
    np.testing.assert_allclose(found["boxes"][used], [entry[2] for entry in expected], atol=1e-6)
    for mask, entry in zip(found["masks"], expected, strict=False):
        np.testing.assert_allclose(mask / 255, entry[3], atol=0.51 / 255)


def test_decode_moves_and_scales_an_anchor():
    box = decode(torch.tensor([1.0, -1.0, 5 * math.log(2), 0.0]), torch.tensor([0.5, 0.5, 0.2, 0.1]))
    np.testing.assert_allclose(box, [0.52 - 0.2, 0.49 - 0.05, 0.52 + 0.2, 0.49 + 0.05], rtol=1e-6)


# ---- the network against plain functions on the state dict -----------------------------------------------------------


def reference_heads(state, images, *, anchors=3, classes=80):
    """`yolact_darknet53` from its names alone: `F.conv2d` along the published forward pass."""

    def run(name, x, stride=1):
        weight = state[f"{name}.weight"]
        return functional.conv2d(x, weight, state.get(f"{name}.bias"), stride, weight.shape[-1] // 2)

    def dark(name, x, stride=1):
        x = run(f"{name}.0", x, stride)
        parts = (state[f"{name}.1.{part}"] for part in ("running_mean", "running_var", "weight", "bias"))
        return functional.leaky_relu(functional.batch_norm(x, *parts, training=False, eps=1e-5), 0.1)

    x, maps = dark("backbone._preconv", images), []
    for stage, count in enumerate((1, 2, 8, 8, 4)):
        x = dark(f"backbone.layers.{stage}.0", x, 2)
        for block in range(1, count + 1):
            name = f"backbone.layers.{stage}.{block}"
            x = x + dark(f"{name}.conv2", dark(f"{name}.conv1", x))
        maps.append(x)
    p5 = run("fpn.lat_layers.0", maps[4])
    p4 = functional.interpolate(p5, maps[3].shape[2:], mode="bilinear", align_corners=False)
    p4 = p4 + run("fpn.lat_layers.1", maps[3])
    p3 = functional.interpolate(p4, maps[2].shape[2:], mode="bilinear", align_corners=False)
    p3 = p3 + run("fpn.lat_layers.2", maps[2])
    p3, p4, p5 = (run(f"fpn.pred_layers.{place}", p).relu() for place, p in ((2, p3), (1, p4), (0, p5)))
    p6 = run("fpn.downsample_layers.0", p5, 2)
    p7 = run("fpn.downsample_layers.1", p6, 2)
    x = p3
    for place in (0, 2, 4):
        x = run(f"proto_net.{place}", x).relu()
    x = functional.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False).relu()
    proto = run("proto_net.10", run("proto_net.8", x).relu()).relu().permute(0, 2, 3, 1)
    parts = {"loc": 4, "conf": classes + 1, "mask": 32}
    found = {key: [] for key in parts}
    for level in (p3, p4, p5, p6, p7):
        x = run("prediction_layers.0.upfeature.0", level).relu()
        for key, width in parts.items():
            layer = {"loc": "bbox"}.get(key, key)
            y = run(f"prediction_layers.0.{layer}_layer", x)  # (B, A x width, h, w)
            b, _, h, w = y.shape
            y = y.view(b, anchors, width, h, w).permute(0, 3, 4, 1, 2)  # (B, h, w, A, width)
            found[key].append(y.reshape(b, -1, width))
    joined = {key: torch.cat(values, dim=1) for key, values in found.items()}
    return joined["loc"], joined["conf"].softmax(-1), joined["mask"].tanh(), proto


def test_the_forward_pass_equals_plain_functions_on_the_state_dict():
    network = random_network(CONFIGURATIONS["yolact_darknet53"], 1)
    images = torch.randn(1, 3, 76, 76, generator=torch.Generator().manual_seed(2))
    with torch.no_grad():
        for found, wanted in zip(network(images), reference_heads(network.state_dict(), images), strict=True):
            assert found.shape == wanted.shape
            torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-4)


# ---- YOLACT++ --------------------------------------------------------------------------------------------------------


def slow_deformable(layer, image):
    """DCNv2 on one image, one tap at a time, as its CUDA kernel walks."""
    terms = layer.conv_offset_mask(image[None])[0]
    channels, height, width = image.shape

    def pixel(row, column):
        inside = 0 <= row < height and 0 <= column < width
        return image[:, row, column] if inside else torch.zeros(channels)

    found = layer.bias[:, None, None].repeat(1, *terms.shape[1:])
    for row in range(terms.shape[1]):
        for column in range(terms.shape[2]):
            for tap in range(9):
                y = row * layer.stride - 1 + tap // 3 + float(terms[2 * tap, row, column])
                x = column * layer.stride - 1 + tap % 3 + float(terms[2 * tap + 1, row, column])
                top, left = math.floor(y), math.floor(x)
                down, right = y - top, x - left
                value = pixel(top, left) * (1 - down) * (1 - right) + pixel(top, left + 1) * (1 - down) * right
                value = value + pixel(top + 1, left) * down * (1 - right) + pixel(top + 1, left + 1) * down * right
                value = value * terms[18 + tap, row, column].sigmoid()
                found[:, row, column] += layer.weight[:, :, tap // 3, tap % 3] @ value
    return found


@pytest.mark.parametrize("stride", [1, 2])
def test_deformable_convolution_equals_a_slow_one_inside_and_far_outside(stride):
    torch.manual_seed(0)
    layer = DeformableConv(4, stride).requires_grad_(requires_grad=False)
    layer.conv_offset_mask.weight.mul_(6)
    layer.bias.normal_()
    images = torch.randn(2, 4, 6, 7)
    reach = layer.conv_offset_mask(images)[:, :18].abs().max()
    assert reach > 6  # some taps leave the picture altogether
    for found, image in zip(layer(images), images, strict=True):
        torch.testing.assert_close(found, slow_deformable(layer, image), rtol=1e-4, atol=1e-5)


def test_deformable_convolution_that_moves_nothing_is_half_a_convolution():
    torch.manual_seed(1)
    layer = DeformableConv(3, 1).requires_grad_(requires_grad=False)
    layer.conv_offset_mask.weight.zero_()
    layer.conv_offset_mask.bias.zero_()  # the modulation is sigmoid(0)
    images = torch.randn(1, 3, 5, 5)
    torch.testing.assert_close(layer(images), functional.conv2d(images, layer.weight * 0.5, padding=1))


def test_masks_are_rated_and_scores_follow():
    configuration = Configuration(backbone="resnet50", classes=3, mask_iou=True)
    with torch.device("meta"):
        network = Yolact(configuration)
    network.maskiou_net = MaskIoU(3).requires_grad_(requires_grad=False)
    for layer in network.maskiou_net.maskiou_net[::2]:
        layer.bias.fill_(0.2)
    with pytest.raises(ModelError, match="63 cells or more, found 62"):
        yolact_export.YolactEndToEnd(network, size_px=248)
    tail = yolact_export.YolactEndToEnd(network, size_px=249)
    generator = torch.Generator().manual_seed(0)
    heads = {
        "loc": torch.randn(1, len(tail.priors), 4, generator=generator),
        "conf": torch.randn(1, len(tail.priors), 4, generator=generator).mul(2).softmax(2),
        "mask": torch.randn(1, len(tail.priors), 32, generator=generator).tanh(),
        "proto": torch.randn(1, 64, 64, 32, generator=generator).relu(),
    }
    rated = yolact_export.final(tail, heads)
    plain = yolact_export.final(yolact_export.YolactEndToEnd(network, size_px=249, rate_masks=False), heads)
    state = network.maskiou_net.maskiou_net.state_dict()
    x = torch.from_numpy(plain["masks"])[:, None] / 255
    for place in (0, 2, 4, 6, 8, 10):
        x = functional.conv2d(x, state[f"{place}.weight"], state[f"{place}.bias"], 1 if place == 10 else 2).relu()
    ious = x.amax(dim=(2, 3)).numpy()[np.arange(100), plain["class_ids"]].clip(max=1)
    assert 0 < ious.min() < ious.max() < 1
    expected = plain["scores"] * ious
    order = np.argsort(-expected)
    np.testing.assert_allclose(rated["scores"], expected[order], atol=2e-3)  # masks were rated before their rounding
    strong = np.flatnonzero(rated["scores"] > 0.05)
    assert len(strong) > 10
    for row in strong:
        assert any(
            abs(rated["scores"][row] - expected[other]) < 2e-3
            and rated["class_ids"][row] == plain["class_ids"][other]
            and np.array_equal(rated["boxes"][row], plain["boxes"][other])
            and np.array_equal(rated["masks"][row], plain["masks"][other])
            for other in order
        )


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
    assert report.contract == ("yolact" if kind == "raw" else "end2end-1")
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
        assert list(shapes) == ["boxes", "scores", "class_ids", "masks"]
        assert shapes["masks"] == (1, 100, 36, 36)


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
    assert set(errors) == {
        f"{name}_max_error" for name in (yolact_export.RAW_NAMES if kind == "raw" else ("scores", "masks"))
    }
    assert max(value for key, value in errors.items() if key != "masks_max_error") < 1e-3


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
    a, b = masks.full(ours.masks, row, ours.boxes[row]), masks.full(theirs.masks, other, theirs.boxes[other])
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
    metadata = {"masktrail.contract": "end2end-1", "masktrail.name": "n", "masktrail.classes": '["a"]'}
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
