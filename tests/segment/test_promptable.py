"""Promptable segmenters: every form of the files, placement, gates' measures, folders that cannot be used."""

from __future__ import annotations

import numpy as np
import pytest

from tests.segment import promptables
from tests.segment.promptables import EXPECTED_IOU, SIDE, ellipse, write_folder
from tracker import ModelError
from tracker.masks.box_masks import BoxMasks
from tracker.masks.grid_masks import GridMasks, moved
from tracker.segment.promptable.folder import find_folder, is_promptable
from tracker.segment.promptable.outliner import Outliner, probabilities
from tracker.segment.promptable.prompts import agreement, grid_boxes, overlaps
from tracker.segment.zoo import find_model

FORMS = ("sam", "sam-pixels", "sam2", "efficient-sam")


@pytest.fixture(autouse=True)
def untried(monkeypatch):
    """Trials in processes of their own take seconds; one test has them."""
    monkeypatch.setenv("MASKTRAIL_TRIAL", "off")


def iou(one, other):
    return (one & other).sum() / (one | other).sum()


@pytest.mark.parametrize("size", [(128, 96), (90, 200), (640, 360)])
@pytest.mark.parametrize("form", FORMS)
def test_a_box_is_outlined_where_it_lies_in_the_picture(tmp_path, form, size):
    outliner = Outliner(write_folder(tmp_path / form, form), device="cpu", threads=1)
    assert outliner.form.name == form
    picture = np.zeros((size[1], size[0], 3), np.uint8)
    boxes = np.array([[0.1, 0.2, 0.4, 0.9], [0.55, 0.1, 0.95, 0.5]], np.float32) * np.tile(size, 2)
    masks, expected = outliner.outlines(outliner.embed(picture), boxes)
    assert masks.image_size == size
    assert expected.tolist() == pytest.approx([EXPECTED_IOU] * 2)
    whole = np.array([0, 0, *size])
    for row in range(2):
        assert iou(masks.full(row, whole), ellipse(boxes[row], size)) > 0.97
    assert agreement(masks.probabilities, masks.step_px, boxes).min() > 0.9


def test_more_boxes_than_a_batch_and_none(tmp_path):
    outliner = Outliner(write_folder(tmp_path, "sam2"), device="cpu", threads=1)
    embedded = outliner.embed(np.zeros((64, 64, 3), np.uint8))
    boxes = np.array([[x, 10, x + 20, 40] for x in range(2, 42, 2)], np.float32)
    assert len(boxes) > outliner.batch == 8
    masks, _ = outliner.outlines(embedded, boxes)
    assert np.abs(grid_boxes(masks.probabilities, masks.step_px) - boxes).max() < 0.6
    assert len(outliner.outlines(embedded, boxes[:0])[0]) == 0


@pytest.mark.parametrize("fixed", [1, 3])
def test_a_decoder_of_fixed_sizes_takes_corners_alone(tmp_path, fixed):
    """`python -m export sam`: two points a box, a fixed number of boxes a run, no size of the picture."""
    outliner = Outliner(write_folder(tmp_path, "sam", fixed=fixed, leave_out="orig_im_size"), device="cpu", threads=1)
    assert (outliner.form.name, outliner.batch) == ("sam", fixed)
    boxes = np.array([[x, 10, x + 20, 40] for x in range(2, 42, 8)], np.float32)
    masks, expected = outliner.outlines(outliner.embed(np.zeros((64, 64, 3), np.uint8)), boxes)
    assert np.abs(grid_boxes(masks.probabilities, masks.step_px) - boxes).max() < 0.6
    assert expected.tolist() == pytest.approx([EXPECTED_IOU] * len(boxes))


@pytest.mark.parametrize("form", ["sam", "sam2"])
def test_the_encoder_sees_normalised_rgb(tmp_path, form):
    """A wide blue picture: beside it zeros after the normalisation, or nothing where it is stretched."""
    picture = np.zeros((SIDE // 2, SIDE, 3), np.uint8)
    picture[..., 0] = 255  # blue, in BGR
    features = Outliner(write_folder(tmp_path, form), device="cpu", threads=1).embed(picture).features
    coarse = features["output" if form == "sam" else "image_embed"][0]
    shown = (np.array([0, 0, 255.0]) - (123.675, 116.28, 103.53)) / (58.395, 57.12, 57.375)
    np.testing.assert_allclose(coarse[:, 0, 0], shown, atol=1e-4)
    np.testing.assert_allclose(coarse[:, 3, 3], shown if form == "sam2" else 0, atol=1e-4)


def test_the_manifest_says_what_the_files_do_not(tmp_path):
    levels = 'expected_iou = 0.5\nlogit_cut = 10.0\nresize = "stretch"\n'
    folder = write_folder(tmp_path, "sam", levels=levels)
    outliner = Outliner(folder, device="cpu", threads=1)
    assert (outliner.settings.expected_iou, outliner.settings.detector_iou) == (0.5, 0.5)
    assert outliner.place((128, 64)).shape == (256, 256)
    masks, _ = outliner.outlines(outliner.embed(np.zeros((64, 128, 3), np.uint8)), np.array([[20.0, 20, 60, 60]]))
    # 20 (1 - r^2) >= 10 within r^2 <= 1/2
    assert masks.areas_px()[0] == pytest.approx(np.pi * 20 * 20 / 2, rel=0.03)


def test_an_edge_lies_where_the_logits_cross_zero():
    logits = np.full((1, 4, 8), -30.0, np.float32)
    logits[0, :, :4] = 10.0  # the edge is a quarter of a step behind the fourth cell's middle
    masks = GridMasks(probabilities=probabilities(logits), step_px=(8.0, 8.0), image_size=(64, 32))
    assert masks.full(0, np.array([0, 0, 64, 32]))[16].sum() == 30  # of 28 + 8 / 4


def test_moved_masks_follow_their_boxes():
    box, later = np.array([10.0, 20, 40, 60]), np.array([30.0, 12, 75, 72])
    grids = [ellipse(one / 2, (64, 48)).astype(np.uint8) * 255 for one in (box, later)]
    found = moved(grids[0], (2.0, 2.0), box, later)
    assert overlaps(found[None], grids[1][None])[0] > 0.93
    assert overlaps(grids[0][None], grids[1][None])[0] < 0.5


@pytest.mark.parametrize("kind", ["grid", "box"])
def test_masks_are_read_on_another_grid(kind):
    size, box = (160, 96), np.array([[20.0, 10, 100, 90]], np.float32)
    if kind == "grid":
        cells = ellipse(box[0] / 4, (40, 24)).astype(np.uint8)[None] * 255
        masks = GridMasks(probabilities=cells, step_px=(4.0, 4.0), image_size=size)
    else:
        cells = ellipse((0, 0, 28, 28), (28, 28)).astype(np.uint8)[None] * 255
        masks = BoxMasks(probabilities=cells, boxes=box, image_size=size)
    finer = GridMasks(probabilities=masks.on_cells((2.5, 2.5), (39, 64)), step_px=(2.5, 2.5), image_size=size)
    whole = np.array([0, 0, *size])
    assert iou(finer.full(0, whole), masks.full(0, whole)) > 0.96


# folders


def test_without_a_manifest_names_tell_the_files(tmp_path):
    folder = write_folder(tmp_path)
    assert is_promptable(folder)
    (folder / "manifest.toml").unlink()
    assert is_promptable(folder)
    assert find_folder(folder).decoder.path.name == "decoder.onnx"
    assert not is_promptable(tmp_path / "none")


BREAKS = {
    "no folder": lambda folder: folder / "none",
    "a file": lambda folder: folder / "manifest.toml",
    "no encoder": lambda folder: (folder / "encoder.onnx").unlink(),
    "two encoders": lambda folder: promptables.write_encoder(folder / "encoder-2.onnx", "sam"),
    "manifest names another": lambda folder: write_manifest(folder, 'encoder = "../encoder.onnx"'),
    "unknown level": lambda folder: write_manifest(folder, "expected = 0.9"),
    "no model": lambda folder: (folder / "decoder.onnx").write_bytes(b"none"),
    "two encoders for two": lambda folder: promptables.write_encoder(folder / "decoder.onnx", "sam"),
    "swapped": lambda folder: promptables.write_decoder(folder / "encoder.onnx", "sam"),
    "no scores": lambda folder: promptables.write_decoder(folder / "decoder.onnx", "sam", leave_out="iou_predictions"),
    "another decoder": lambda folder: promptables.write_decoder(folder / "decoder.onnx", "sam2"),
    "another side": lambda folder: write_manifest(folder, "side = 1024"),
}


def write_manifest(folder, text):
    (folder / "manifest.toml").write_text(f"[promptable]\n{text}\n")


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        (
            "no folder",
            "expected a folder with encoder.onnx and decoder.onnx of a Segment Anything export, found nothing",
        ),
        ("a file", "found a file"),
        ("no encoder", "expected one file with `encoder` in its name, found decoder.onnx"),
        ("two encoders", "expected one file with `encoder` in its name, found decoder.onnx, encoder-2.onnx"),
        ("manifest names another", "`promptable.encoder`: expected the name of a file in the folder"),
        ("unknown level", "unknown key `promptable.expected`"),
        ("no model", "expected an ONNX model, found 4 bytes"),
        ("two encoders for two", "expected an input `image_embeddings` of a decoder, found input"),
        ("swapped", "expected one input (1, 3, S, S) or (H, W, 3) of an encoder, found"),
        ("no scores", "expected the outputs iou_predictions and one of"),
        ("another decoder", "expected an output of the encoder for high_res_feats_0 (1, 3, 16, 16), found output"),
        ("another side", "expected a square input of 1024 pixels, found input (1, 3, 64, 64)"),
    ],
)
def test_what_is_wrong_is_one_line(tmp_path, broken, message):
    folder = write_folder(tmp_path / "sam")
    named = BREAKS[broken](folder)
    path = named if broken in {"no folder", "a file"} else folder
    with pytest.raises(ModelError) as error:
        Outliner(path, device="cpu", threads=1)
    assert message in str(error.value)


def test_the_commands_know_such_a_folder(tmp_path, run):
    folder = write_folder(tmp_path / "tiny", "sam2")
    for verb in ("check", "show"):
        result = run("models", verb, folder)
        assert result.status == 0, result.text
        assert "promptable, form sam2" in result.text
        assert "expected IoU 0.9, own box 0.6, detector's mask 0.5" in result.text
    (folder / "decoder.onnx").write_bytes(b"none")
    assert run("models", "check", folder).status != 0


def test_it_is_no_detector(tmp_path):
    with pytest.raises(ModelError, match="found a promptable segmenter, which outlines boxes"):
        find_model(write_folder(tmp_path))


def test_unknown_files_are_tried_in_a_process_of_their_own(tmp_path, monkeypatch):
    monkeypatch.delenv("MASKTRAIL_TRIAL")
    outliner = Outliner(write_folder(tmp_path), device="cpu", threads=1)
    assert "tiny, sam, 64 x 64" in outliner.describe()
