"""Official YOLACT: names and shapes of the published checkpoints, old, incomplete and wrong files."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch", reason="the PyTorch side needs torch: pip install torch")
onnx = pytest.importorskip("onnx")

from export.__main__ import main  # noqa: E402
from export.networks.yolact import (  # noqa: E402
    CONFIGURATIONS,
    Configuration,
    Yolact,
)
from export.networks.yolact_weights import class_names, load_checkpoint, load_state, random_network  # noqa: E402
from tracker.errors import ModelError  # noqa: E402

pytestmark = pytest.mark.export
SIZE = 138
SMALL = "yolact_resnet50"


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
