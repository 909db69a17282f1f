"""Networks of another activation: exact where it can be, else calibrated; known to every file; trained by command."""

from __future__ import annotations

import json

import pytest

torch = pytest.importorskip("torch", reason="the PyTorch side needs torch: pip install torch")
onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")
pytest.importorskip("pycocotools")

from torch.nn import functional  # noqa: E402

from export.__main__ import main  # noqa: E402
from export.data import coco, pack  # noqa: E402
from export.networks import activation, blend, calibrate, weights  # noqa: E402
from export.networks.yolact_nano import CLASSES, YolactNano  # noqa: E402
from export.onnx import to_onnx  # noqa: E402
from export.training import losses  # noqa: E402
from export.training.train_command import ACTIVATIONS, INITIAL  # noqa: E402
from tests.export.pictures import write_coco  # noqa: E402
from tracker.errors import ModelError  # noqa: E402

pytestmark = pytest.mark.export


def outputs_of(network, images):
    """All raw outputs in one row."""
    with torch.no_grad():
        _, objectness, classes, coefficients, prototypes = network.eval()(images)
    return torch.cat([value.flatten() for value in (objectness, classes, coefficients, prototypes)])


def pictures(count=4, seed=0):
    """Smooth noise (count, 3, 64, 96)."""
    noise = torch.rand(count, 3, 8, 12, generator=torch.Generator().manual_seed(seed)) * 255
    return functional.interpolate(noise, size=(64, 96), mode="bilinear")


def test_larger_maps_are_a_steeper_gate_exactly(monkeypatch):
    """The SiLU network with `x * hardsigmoid(s x)` put in its place is the HardSwish network that is made of it."""
    network = weights.load_network(INITIAL)
    made = activation.with_activation(network, "hardswish")
    slope = activation.MAP_SCALES["hardswish"]
    steeper = {**activation.FUNCTIONS, "silu": lambda x: x * functional.hardsigmoid(slope * x)}
    monkeypatch.setattr(activation, "FUNCTIONS", steeper)
    torch.testing.assert_close(outputs_of(made, pictures()), outputs_of(network, pictures()), rtol=1e-3, atol=2e-3)
    assert (network.activation, made.activation) == ("silu", "hardswish")
    assert activation.with_activation(made, "hardswish") is made


def test_there_and_back_is_the_same_network():
    network = weights.load_network(INITIAL)
    back = activation.with_activation(activation.with_activation(network, "hardswish"), "silu")
    torch.testing.assert_close(outputs_of(back, pictures()), outputs_of(network, pictures()), rtol=1e-3, atol=1e-3)


def test_calibration_brings_it_near_on_other_pictures():
    network = weights.load_network(INITIAL)
    wanted = outputs_of(network, pictures(seed=1))
    made = activation.with_activation(network, "hardswish")
    before = (outputs_of(made, pictures(seed=1)) - wanted).square().mean()
    names = [module.activation for module in made.modules() if hasattr(module, "activation") and module is not made]
    calibrate.calibrate(made, network, pictures(12))
    assert (outputs_of(made, pictures(seed=1)) - wanted).square().mean() < 0.5 * before
    after = [module.activation for module in made.modules() if hasattr(module, "activation") and module is not made]
    assert all(one is other for one, other in zip(names, after, strict=True))  # nothing of the fitting stays in it


def test_calibration_of_disturbed_weights_is_the_original_again():
    """With the same activation there is nothing to trade: every layer's own weights are the least squares."""
    network = weights.load_network(INITIAL)
    disturbed = weights.load_network(INITIAL)
    with torch.no_grad():
        for value in disturbed.parameters():
            value.mul_(1 + 0.1 * torch.randn(value.shape, generator=torch.Generator().manual_seed(2)))
    wanted = outputs_of(network, pictures(seed=1))
    before = (outputs_of(disturbed, pictures(seed=1)) - wanted).square().mean()
    calibrate.calibrate(disturbed, network, pictures(12))
    assert (outputs_of(disturbed, pictures(seed=1)) - wanted).square().mean() < 1e-2 * before


def test_files_say_their_activation_and_have_it_fused(tmp_path):
    made = activation.with_activation(weights.load_network(INITIAL), "hardswish")
    file = tmp_path / "model.onnx"
    module = to_onnx.EndToEnd(made, height=96, width=128, candidates=100, instances=20)
    assert to_onnx.export_onnx(module, file, name="made", version="1")["masktrail.activation"] == "hardswish"
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath, options.log_severity_level = str(tmp_path / "fused.onnx"), 3
    onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
    nodes = onnx.load(options.optimized_model_filepath).graph.node
    assert sum(item.s == b"HardSwish" for node in nodes for item in node.attribute) > 100
    loaded = weights.load_network(file)
    assert loaded.activation == "hardswish"
    torch.testing.assert_close(outputs_of(loaded, pictures()), outputs_of(made, pictures()))
    checkpoint = tmp_path / "best.pt"
    torch.save({"average": made.state_dict(), "activation": "hardswish"}, checkpoint)
    assert weights.load_network(checkpoint).activation == "hardswish"
    assert weights.load_network(INITIAL).activation == "silu"  # of before, when files did not say it
    torch.save({"average": made.state_dict(), "activation": "relu7"}, checkpoint)
    with pytest.raises(ModelError, match="expected silu or hardswish, found 'relu7'"):
        weights.load_network(checkpoint)


def test_blends_meet_in_one_activation_and_runs_are_of_one(tmp_path):
    network = weights.load_network(INITIAL)
    made = activation.with_activation(network, "hardswish")
    torch.save({"average": made.state_dict(), "activation": "hardswish"}, tmp_path / "hard.pt")
    mixed = blend.load_blended(tmp_path / "hard.pt", [(INITIAL, 0.25)])
    torch.testing.assert_close(outputs_of(mixed, pictures()), outputs_of(made, pictures()), rtol=1e-3, atol=1e-3)
    with pytest.raises(ModelError, match="expected activation hardswish as --weights, found silu"):
        blend.load_blended(tmp_path / "hard.pt", [], [INITIAL])


def test_maps_are_matched_as_a_share_of_their_variance():
    theirs = [torch.randn(2, 3, 8, 8), torch.randn(2, 4, 8, 8)]
    ours = [2.0 * theirs[0], theirs[1].clone()]
    assert losses.match_loss(ours, theirs, scale=2.0) == 0.0
    ours[1] += theirs[1].std() * 0.1
    assert losses.match_loss(ours, theirs, scale=2.0).item() == pytest.approx((0.1**2 + 0.0) / 2, rel=1e-3)


@pytest.mark.timeout(400)
def test_the_command_trains_it_and_goes_on(tmp_path, capsys):
    folder = write_coco(tmp_path, labelled=list(CLASSES))
    pack.pack([coco.read_coco(folder)], tmp_path / "pack", classes=CLASSES)
    tiny = ["--size", "96x128", "--batch", "1", "--threads", "1", "--one-scale", "--device", "cpu", "--all-steps", "2"]
    given = ["train", "--archive", str(tmp_path / "pack"), "--out", str(tmp_path / "run"), *tiny]
    assert main([*given, "--activation", "hardswish", "--match-maps", "10"]) == 0
    assert "hardswish in place of silu: calibrated on 2 pictures" in capsys.readouterr().out
    log = [json.loads(line) for line in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
    assert [0.0 < line["match"] < 1.0 for line in log] == [True, True]
    for name in ("last.pt", "best.pt"):
        assert weights.load_network(tmp_path / "run" / name).activation == "hardswish"
    assert main(given) == 2  # the run's settings are kept
    assert "activation was hardswish, and is None" in capsys.readouterr().err
    ended = ["train", "--archive", str(tmp_path / "pack"), "--out", str(tmp_path / "next"), *tiny]
    assert main([*ended, "--init", str(tmp_path / "run" / "last.pt"), "--teacher", "none", "--match-maps", "1"]) == 2
    assert "--match-maps 1.0: expected a teacher, found none" in capsys.readouterr().err
    assert set(ACTIVATIONS) == set(activation.FUNCTIONS)


def test_a_network_has_one_activation():
    modules = YolactNano(activation="hardswish").modules()
    found = {id(module) for module in modules if isinstance(module, activation.Activation)}
    assert len(found) == 1
