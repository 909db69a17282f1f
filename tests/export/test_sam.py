"""Exports of Segment Anything: files against recorded originals, checkpoints to the last key, folders that open."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the PyTorch side needs torch: pip install torch")

from export.__main__ import main  # noqa: E402
from export.networks import sam_weights  # noqa: E402
from tests.export import sam_networks  # noqa: E402
from tests.export.sam_networks import NETWORKS, SEED  # noqa: E402
from tracker.errors import ModelError  # noqa: E402
from tracker.segment.promptable.outliner import Outliner  # noqa: E402
from tracker.segment.promptable.report import check_folder  # noqa: E402

pytestmark = pytest.mark.export
ORIGINALS = Path(__file__).resolve().parent / "originals"
SCORE, OVERLAP, LOGIT = 2e-3, 0.97, 4e-3  # logits: of the largest; pictures are rounded where they are stretched


@pytest.fixture(autouse=True)
def small(monkeypatch):
    """The command knows small networks, and trials in processes of their own are left out."""
    for name, build in NETWORKS.items():
        monkeypatch.setitem(sam_weights.CONFIGURATIONS, name, build)
    monkeypatch.setenv("MASKTRAIL_TRIAL", "off")
    monkeypatch.setattr("export.__main__.val_sets", list)


def exported(folder: Path, name: str, *more: str, weights: str = f"random:{SEED}") -> Path:
    assert main(["sam", "--config", name, "--weights", weights, "--out", str(folder), *more]) == 0
    return folder


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Exports by name, made once."""
    made: dict[str, Path] = {}

    def folder(name: str) -> Path:
        if name not in made:
            made[name] = exported(tmp_path_factory.mktemp("sam") / name, name)
        return made[name]

    return folder


def answers(folder: Path) -> tuple[np.ndarray, np.ndarray]:
    """Expected IoUs (boxes, 2) and logits (boxes, 2, 256, 256), of boxes alone and with the first logits as prompts."""
    outliner = Outliner(folder, device="cpu", threads=1)
    embedded = outliner.embed(sam_networks.picture(outliner.side))
    boxes = sam_networks.boxes(outliner.side)
    first, expected = outliner.logits(embedded, boxes)
    second, again = outliner.logits(embedded, boxes, first)
    return np.stack([expected, again], axis=1), np.stack([first, second], axis=1)


def apart(scores: np.ndarray, logits: np.ndarray, held: dict[str, Any]) -> tuple[float, float, float]:
    """Largest differences of expected IoU, of logits by the largest one, and least mask IoU, from what was recorded."""
    wanted = np.unpackbits(held["masks"], axis=-1).astype(np.bool_)
    found, step = logits > 0, logits.shape[-1] // held["logits"].shape[-1]
    overlaps = (found & wanted).sum(axis=(2, 3)) / (found | wanted).sum(axis=(2, 3))
    largest = np.abs(logits[..., ::step, ::step] - held["logits"]).max() / np.abs(held["logits"]).max()
    return float(np.abs(scores - held["scores"]).max()), float(largest), float(overlaps.min())


def recorded(name: str) -> dict[str, Any]:
    with np.load(ORIGINALS / f"sam_{name}.npz") as arrays:
        return dict(arrays)


# ---- against the originals ------------------------------------------------------------------------------------------
@pytest.mark.parametrize("name", list(NETWORKS))
def test_files_give_what_the_original_code_gives(folders, name):
    score, logit, overlap = apart(*answers(folders(name)), recorded(name))
    assert score < SCORE
    assert logit < LOGIT
    assert overlap > OVERLAP
    parity = tomllib.loads((folders(name) / "manifest.toml").read_text())["parity"]["random"]
    assert parity["agreement"] == 1
    assert parity["masks"] == 16


MUTATIONS = {
    "BGR for RGB": ('channels = "RGB"', 'channels = "BGR"'),
    "mean off": ("mean = [123.675, 116.28, 103.53]", "mean = [0, 0, 0]"),
    "stretched": ('resize = "longest"', 'resize = "stretch"'),
}


@pytest.mark.parametrize("name", list(NETWORKS))
@pytest.mark.parametrize("mutation", list(MUTATIONS))
def test_another_input_is_noticed(folders, tmp_path, name, mutation):
    before, after = MUTATIONS[mutation]
    for file in folders(name).iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    text = (tmp_path / "manifest.toml").read_text()
    if before not in text:  # SAM 2 stretches pictures
        before, after = after, before
    (tmp_path / "manifest.toml").write_text(text.replace(before, after))
    score, _, overlap = apart(*answers(tmp_path), recorded(name))
    assert score > SCORE
    assert overlap < OVERLAP


@pytest.mark.parametrize("name", list(NETWORKS))
def test_a_mask_prompt_that_is_ignored_is_noticed(folders, name):
    scores, logits = answers(folders(name))
    score, _, overlap = apart(scores[:, [0, 0]], logits[:, [0, 0]], recorded(name))
    assert score > SCORE
    assert overlap < OVERLAP


# ---- checkpoints ----------------------------------------------------------------------------------------------------
def checkpoint(path: Path, name: str, change: Any = None) -> Path:
    state = dict(sam_weights.random_network(NETWORKS[name], SEED).state_dict())
    if change is not None:
        change(state)
    torch.save(state, path)
    return path


def test_a_checkpoint_gives_the_same_file_as_its_weights(folders, tmp_path):
    found = exported(tmp_path / "sam", "vit_small", weights=str(checkpoint(tmp_path / "w.pth", "vit_small")))
    for file in ("encoder.onnx", "decoder.onnx"):
        assert (found / file).read_bytes() == (folders("vit_small") / file).read_bytes()
    assert "weights_sha256" in (found / "manifest.toml").read_text()


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda state: state.pop("image_encoder.neck.1.bias"), r"1 keys missing: image_encoder\.neck\.1\.bias"),
        (lambda state: state.update(more=torch.zeros(1)), "1 keys unknown: more"),
        (
            lambda state: state.update({"mask_decoder.iou_token.weight": torch.zeros(1, 8)}),
            r"1 keys of another shape: mask_decoder.iou_token.weight \(1, 8\) instead of \(1, 32\)",
        ),
    ],
)
def test_every_key_is_used_or_named(tmp_path, change, problem):
    path = checkpoint(tmp_path / "w.pth", "vit_small", change)
    with pytest.raises(ModelError, match=problem):
        sam_weights.load_checkpoint(path, "vit_small")


def test_what_a_picture_does_not_need_is_named(tmp_path, capsys):
    extra = {"image_encoder.norm_head.weight": torch.ones(320), "image_encoder.head.weight": torch.ones(1000, 320)}
    path = checkpoint(tmp_path / "w.pt", "tiny_vit_small", lambda state: state.update(extra))
    folder = exported(tmp_path / "sam", "tiny_vit_small", weights=str(path))
    assert "do not need: image_encoder.norm_head (1), image_encoder.head (1)" in capsys.readouterr().out
    unused = tomllib.loads((folder / "manifest.toml").read_text())["export"]["unused_keys"]
    assert unused == {"image_encoder.norm_head": 1, "image_encoder.head": 1}


# ---- the command ----------------------------------------------------------------------------------------------------
def test_the_folder_is_understood(folders):
    facts = dict(check_folder(folders("vit_small")))
    assert facts["contract"].startswith("promptable, form sam (")
    assert facts["contract"].endswith("one box a run)")
    assert facts["input"] == "256 x 256 pixels, longest; the first of the masks of a box"
    assert facts["assumed"] == "nothing"


def test_boxes_of_one_run_are_those_of_many(folders, tmp_path):
    folder = exported(tmp_path / "sam", "vit_small", "--boxes", "3", "--name", "mine", "--licence", "Apache-2.0")
    assert Outliner(folder, device="cpu", threads=1).batch == 3
    assert dict(check_folder(folder))["licence"] == "Apache-2.0"
    for found, wanted in zip(answers(folder), answers(folders("vit_small")), strict=True):
        np.testing.assert_allclose(found, wanted, atol=1e-4)


def test_weights_that_one_file_cannot_hold_lie_beside_it(folders, tmp_path, monkeypatch):
    monkeypatch.setattr("export.onnx.sam_graph.LARGEST_FILE", 750_000)  # ViT-H has 2.5 GB
    folder = exported(tmp_path / "sam", "vit_small")
    assert (folder / "encoder.onnx").stat().st_size < 200_000 < (folder / "encoder.onnx.data").stat().st_size
    assert (folder / "encoder.onnx.data").stat().st_mode == (folder / "encoder.onnx").stat().st_mode
    assert not (folder / "decoder.onnx.data").exists()
    facts = tomllib.loads((folder / "manifest.toml").read_text())["export"]
    assert facts["encoder_onnx_data"]["bytes"] == (folder / "encoder.onnx.data").stat().st_size
    for found, wanted in zip(answers(folder), answers(folders("vit_small")), strict=True):
        np.testing.assert_allclose(found, wanted, atol=1e-4)


def test_what_cannot_be_exported_is_one_error(tmp_path, capsys):
    (tmp_path / "broken.pth").write_bytes(b"none")
    (tmp_path / "zoo").mkdir()
    (tmp_path / "zoo" / "manifest.toml").write_text('name = "another"\n')
    path, out = str(checkpoint(tmp_path / "w.pth", "vit_small")), tmp_path / "sam"
    for arguments, problem in (
        (["--config", "vit_x", "--weights", path], "--config vit_x: no such configuration"),
        (["--config", "vit_b", "--weights", path], "keys missing: image_encoder.blocks"),
        (["--config", "vit_small", "--weights", str(tmp_path / "none.pth")], "cannot be read"),
        (["--config", "vit_small", "--weights", str(tmp_path / "broken.pth")], "expected a checkpoint"),
        (["--config", "vit_small", "--weights", path, "--boxes", "0"], "--boxes: expected 1 to 64, found 0"),
        (["--config", "vit_small", "--weights", path, "--out", path], "expected a folder, found the name of a file"),
        (["--config", "vit_small", "--weights", path, "--out", str(tmp_path / "zoo")], "a folder with other files"),
    ):
        assert main(["sam", "--out", str(out), *arguments]) == 2
        error = capsys.readouterr().err
        assert problem in error
        assert error.startswith("error: ")
        assert len(error.splitlines()) == 2  # the second is the remedy
    assert not out.exists()
    assert sorted(one.name for one in tmp_path.iterdir()) == ["broken.pth", "w.pth", "zoo"]
