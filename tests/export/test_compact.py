"""Small checkpoints: how exactly they are what they were made from, that a run goes on from them, and mistakes."""

from __future__ import annotations

import shutil

import pytest

torch = pytest.importorskip("torch", reason="the PyTorch side needs torch: pip install torch")
pytest.importorskip("onnx")
pytest.importorskip("cv2")
pytest.importorskip("pycocotools")

from export.__main__ import main  # noqa: E402
from export.networks import compact, weights  # noqa: E402
from tests.export.pictures import write_coco  # noqa: E402

pytestmark = pytest.mark.export


def test_roots_keep_their_size_and_zero_stays_zero():
    root = torch.exp2(torch.linspace(-30, 2, 1000))
    root[::10] = 0.0
    found = compact.decode_root(*compact.encode_root(root))
    assert torch.equal(found == 0, root == 0)
    there = root > 0
    assert (found[there] / root[there]).log2().abs().max() < 32 / 253 / 2 + 1e-4
    nothing = torch.zeros(3)
    assert torch.equal(compact.decode_root(*compact.encode_root(nothing)), nothing)
    equal = torch.full((3,), 0.25)
    assert torch.equal(compact.decode_root(*compact.encode_root(equal)), equal)


def test_a_state_keeps_what_adam_would_do_next():
    generator = torch.Generator().manual_seed(5)
    layer = torch.nn.Linear(40, 30)
    optimiser = torch.optim.AdamW(layer.parameters(), betas=(0.9, 0.99), lr=1e-3)
    for _ in range(20):
        layer(torch.randn(8, 40, generator=generator)).square().mean().backward()
        optimiser.step()
        optimiser.zero_grad()
    network = layer.state_dict()
    state = {"network": network, "average": network, "optimiser": optimiser.state_dict(), "step": 20, "best": {"AP": 1}}
    found = compact.expand(compact.compact(state))
    assert found.keys() == state.keys()
    assert (found["step"], found["best"]) == (20, {"AP": 1})
    assert found["optimiser"]["param_groups"] == state["optimiser"]["param_groups"]
    for name, value in network.items():
        assert torch.equal(found["network"][name], value.half().float())
    for row, before in state["optimiser"]["state"].items():
        after = found["optimiser"]["state"][row]
        assert float(after["step"]) == 20
        step, was = (item["exp_avg"] / item["exp_avg_sq"].sqrt() for item in (after, before))
        assert (step - was).abs().max() < 0.04


@pytest.mark.timeout(300)
def test_a_run_goes_on_from_a_small_checkpoint(tmp_path, capsys):
    folder, pack = write_coco(tmp_path, labelled=["person", "car"]), tmp_path / "pack"
    assert main(["prepare", str(folder), "--out", str(pack), "--keep-duplicates"]) == 0
    run, small, next_run = tmp_path / "run", tmp_path / "small.pt", tmp_path / "next"
    given = ["train", "--archive", str(pack), "--teacher", "none", "--device", "cpu", "--threads", "1", "--one-scale"]
    given += ["--size", "96x128", "--batch", "1", "--all-steps"]
    assert main([*given, "3", "--out", str(run)]) == 0
    assert main(["compact", "--weights", str(run / "last.pt"), "--out", str(small)]) == 0
    assert "small.pt: step 3, 5." in capsys.readouterr().out
    assert small.stat().st_size < 6e6 < (run / "last.pt").stat().st_size / 2
    next_run.mkdir()
    shutil.copy(small, next_run / "last.pt")
    assert main([*given, "4", "--out", str(next_run)]) == 0
    assert "going on from step 3 of 4" in capsys.readouterr().out
    assert weights.load_checkpoint(next_run / "last.pt")["step"] == 4
    network = weights.load_network(small)
    for name, value in weights.load_network(run / "last.pt").state_dict().items():
        assert torch.equal(network.state_dict()[name], value.half().float())


def test_weights_alone_are_not_gone_on_from(tmp_path, capsys):
    torch.save({"average": {}, "classes": []}, tmp_path / "best.pt")
    assert main(["compact", "--weights", str(tmp_path / "best.pt"), "--out", str(tmp_path / "small.pt")]) == 2
    assert "expected a checkpoint with an optimiser's state, found weights alone" in capsys.readouterr().err
