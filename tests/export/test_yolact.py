"""Official YOLACT: anchors, decoding, the forward pass and the layers of YOLACT++ against slow references."""

from __future__ import annotations

import math

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the PyTorch side needs torch: pip install torch")
onnx = pytest.importorskip("onnx")
from torch.nn import functional  # noqa: E402

from export.networks.yolact import (  # noqa: E402
    CONFIGURATIONS,
    Configuration,
    DeformableConv,
    MaskIoU,
    Yolact,
    decode,
    make_priors,
)
from export.networks.yolact_weights import random_network  # noqa: E402
from export.onnx import yolact_export  # noqa: E402
from tracker.errors import ModelError  # noqa: E402

pytestmark = pytest.mark.export
SIZE = 138
SMALL = "yolact_resnet50"


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
