"""Terms of the masks' loss, by hand: cells of neighbours, margins of boxes; their options, and what files say."""

from __future__ import annotations

import json

import pytest

torch = pytest.importorskip("torch", reason="the PyTorch side needs torch: pip install torch")
pytest.importorskip("onnx")
pytest.importorskip("pycocotools")

from export.__main__ import main  # noqa: E402
from export.data import coco, pack  # noqa: E402
from export.networks import weights  # noqa: E402
from export.networks.yolact_nano import CLASSES, PROTOTYPES, SHAPE_TERMS, Outputs  # noqa: E402
from export.onnx import to_onnx  # noqa: E402
from export.training import losses  # noqa: E402
from tests.export.pictures import write_coco  # noqa: E402

pytestmark = pytest.mark.export

LOGIT = 2.0
TAKEN = torch.nn.functional.softplus(torch.tensor(LOGIT)).item()  # BCE of a cell that should not be there


def target_of(*rectangles, weights=None):
    """Objects as rectangles of cells (x0, y0, x1, y1) on 16 x 24."""
    masks = torch.zeros(len(rectangles), 16, 24, dtype=torch.uint8)
    for mask, (x0, y0, x1, y1) in zip(masks, rectangles, strict=True):
        mask[y0:y1, x0:x1] = 255
    return losses.Target(
        boxes=torch.tensor(rectangles).float() * 4,
        class_ids=torch.zeros(len(rectangles), dtype=torch.long),
        weights=torch.ones(len(rectangles)) if weights is None else torch.tensor(weights),
        masks=masks,
        ignore=torch.zeros(0, 4),
        labelled=torch.ones(6, dtype=torch.bool),
        complete=True,
    )


def crossover(target, row, crop=None):
    """Of one mask that claims everything."""
    logits = torch.full((1, 16, 24), LOGIT)
    return losses.crossover_loss(logits, torch.ones_like(logits) if crop is None else crop, target, torch.tensor([row]))


def test_cells_of_a_neighbour_count_by_the_larger_of_the_two():
    small, large = (0, 0, 4, 4), (10, 0, 20, 10)  # 16 and 100 cells
    target = target_of(small, large)
    assert crossover(target, 0).item() == pytest.approx(TAKEN * 100 / 100)
    assert crossover(target, 1).item() == pytest.approx(TAKEN * 16 / 100)
    crop = torch.zeros(1, 16, 24)
    crop[:, :, :11] = 1.0  # ten cells of the large one
    assert crossover(target, 0, crop).item() == pytest.approx(TAKEN * 10 / 16)


def test_one_alone_and_cells_of_its_own_cost_nothing():
    assert crossover(target_of((0, 0, 4, 4)), 0).item() == 0.0
    assert crossover(target_of((0, 0, 8, 8), (2, 2, 6, 6)), 0).item() == 0.0  # the other lies within its own mask


def test_a_doubtful_outline_counts_by_its_weight():
    target = target_of((0, 0, 4, 4), (6, 0, 10, 4), weights=[1.0, 0.25])
    assert crossover(target, 0).item() == pytest.approx(0.25 * TAKEN)
    assert crossover(target, 1).item() == pytest.approx(TAKEN)


def loss_of(target, logits, terms):
    """Of one location whose box is the object's and whose mask has the logits (16, 24)."""
    prototypes = torch.zeros(1, PROTOTYPES, 16, 24)
    prototypes[0, 0] = logits
    coefficients = torch.zeros(1, 1, PROTOTYPES + SHAPE_TERMS)
    coefficients[0, 0, 0] = 1.0
    outputs = Outputs(target.boxes[None, :1], torch.zeros(1, 1), torch.zeros(1, 1, 6), coefficients, prototypes)
    pairs = losses.Assignment(torch.tensor([0]), torch.tensor([0]), torch.tensor([1.0]))
    return losses.mask_loss(outputs, 0, target, pairs, torch.Generator().manual_seed(0), terms)[0].item()


def test_the_margin_teaches_that_nothing_is_there():
    """A mask that is right in its box and spills over all sides: only with a margin does that cost."""
    target = target_of((8, 4, 16, 12))  # 8 x 8 cells; a quarter more on each side is 12 x 12
    right = torch.where(target.masks[0] > 0, 12.0, -12.0)
    spilt = torch.full((16, 24), 12.0)
    plain, grown = losses.MaskTerms(), losses.MaskTerms(growth=0.25)
    assert loss_of(target, right, grown) == pytest.approx(0.0, abs=1e-3)
    assert loss_of(target, spilt, plain) == pytest.approx(0.0, abs=1e-3)
    dice = 1 - (2 * 64 + 1) / (144 + 64 + 1)
    assert loss_of(target, spilt, grown) == pytest.approx(12.0 * 80 / 144 + dice, rel=1e-3)
    light = losses.MaskTerms(growth=0.25, outside=0.5)
    assert loss_of(target, spilt, light) == pytest.approx(12.0 * 40 / (64 + 40) + dice, rel=1e-3)


def test_crossover_is_added_by_its_weight():
    target = target_of((8, 4, 16, 12), (12, 4, 20, 12))
    target.masks[0, :, 12:] = 0  # the first is seen to its middle, the second stands before it
    logits = torch.where(target.masks.amax(dim=0) > 0, LOGIT, -12.0)
    plain, kept_apart = (loss_of(target, logits, losses.MaskTerms(crossover=weight)) for weight in (0.0, 3.0))
    assert kept_apart - plain == pytest.approx(3.0 * TAKEN * 32 / 32, rel=1e-4)


@pytest.mark.timeout(400)
def test_the_options_reach_the_loss_and_the_files(tmp_path, capsys):
    folder = write_coco(tmp_path, labelled=list(CLASSES))
    pack.pack([coco.read_coco(folder)], tmp_path / "pack", classes=CLASSES)
    tiny = ["--size", "96x128", "--batch", "1", "--threads", "1", "--one-scale", "--device", "cpu", "--all-steps", "1"]
    given = ["train", "--archive", str(tmp_path / "pack"), "--teacher", "none", *tiny]
    asked = ["--mask-growth", "0.05", "--mask-outside", "0.5", "--crossover", "2"]
    found = []
    for name, options in (("plain", []), ("asked", asked)):
        assert main([*given, "--out", str(tmp_path / name), *options]) == 0
        found.append(json.loads((tmp_path / name / "log.jsonl").read_text().splitlines()[-1])["mask"])
    assert found[0] != found[1]
    network = weights.load_network(tmp_path / "asked" / "last.pt")
    assert network.mask_growth == 0.05
    module = to_onnx.EndToEnd(network, height=96, width=128, candidates=100, instances=20)
    metadata = to_onnx.export_onnx(module, tmp_path / "m.onnx", name="m", version="1")
    assert metadata["masktrail.mask_growth"] == "0.05"
    assert weights.load_network(tmp_path / "m.onnx").mask_growth == 0.05
    assert main([*given, "--out", str(tmp_path / "asked"), "--crossover", "1"]) == 2
    assert "mask_growth was 0.05, and is 0.0" in capsys.readouterr().err
    assert main([*given, "--out", str(tmp_path / "new"), "--mask-growth", "0.7"]) == 2
    assert "--mask-growth 0.7: expected a number from 0 to 0.5" in capsys.readouterr().err
