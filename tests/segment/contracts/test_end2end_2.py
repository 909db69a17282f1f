"""Own networks with coefficients and prototypes: the instances of end2end-1, recognition, thresholds and refusals."""

from __future__ import annotations

import itertools
import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from tests.segment.models import END2END_INPUT, constant_model
from tracker.errors import ModelError
from tracker.masks.prototypes import Prototypes
from tracker.segment.check import check_model
from tracker.segment.contracts.end2end_2 import certainty
from tracker.segment.session import OnnxSegmenter
from tracker.types import Frame, Instances

if TYPE_CHECKING:
    from pathlib import Path

GRID, SLOTS, COUNT = (24, 40), 12, 6
BASE = {"masktrail.contract": "end2end-2", "masktrail.input": json.dumps(END2END_INPUT)}
CLASSES = {"masktrail.classes": json.dumps(["person", "car"])}


def outputs(*, terms: int = 5, embeddings: int = 0, cells_first: bool = True) -> dict[str, np.ndarray]:
    """Random instances in nine of twelve slots."""
    generator = np.random.default_rng(3)
    middles, sizes = generator.uniform(0.2, 0.8, (SLOTS, 2)), generator.uniform(0.1, 0.5, (SLOTS, 2))
    boxes = np.concatenate([middles - sizes / 2, middles + sizes / 2], axis=1)[None].astype(np.float32)
    scores = generator.uniform(0.2, 0.9, (1, SLOTS)).astype(np.float32)
    scores[0, 9:] = 0
    prototypes = generator.normal(size=(1, *GRID, COUNT)).astype(np.float32)
    found = {
        "boxes": boxes,
        "scores": scores,
        "class_ids": generator.integers(0, 2, (1, SLOTS)),
        "coefficients": generator.normal(size=(1, SLOTS, COUNT + terms)).astype(np.float32),
        "prototypes": prototypes if cells_first else np.ascontiguousarray(prototypes.transpose(0, 3, 1, 2)),
    }
    if embeddings:
        found["embeddings"] = np.eye(SLOTS, embeddings, dtype=np.float32)[None]
    return found


def model(path: Path, values: dict[str, np.ndarray], **metadata: str) -> Path:
    props = BASE | CLASSES | {f"masktrail.{key}": value for key, value in metadata.items()}
    return constant_model(path, values, input_shape=(1, 96, 160, 3), input_dtype="uint8", metadata=props)


def picture() -> Frame:
    image = np.zeros((96, 160, 3), np.uint8)
    return Frame(index=0, time_s=0.0, arrived_s=0.0, source="made", size=(160, 96), image=image)


def segment(path: Path, **options: Any) -> Instances:
    return OnnxSegmenter(path, device="cpu", **options).segment([picture()])[0]


def finished(values: dict[str, np.ndarray], *, margin_cells: float, step: int) -> dict[str, np.ndarray]:
    """The same network as end2end-1 gives it: masks and their certainty made beforehand."""
    prototypes = Prototypes(
        values=values["prototypes"][0].transpose(2, 0, 1),
        step_px=(4.0, 4.0),
        image_size=(160, 96),
        margin_cells=margin_cells,
    )
    boxes = values["boxes"][0] * np.array([160, 96, 160, 96], np.float32)
    scores = values["scores"].copy()
    for row, (top, _, part) in enumerate(prototypes.crops(values["coefficients"][0], boxes)):
        scores[0, row] *= certainty(part, top, step)
    masks = prototypes.probabilities(values["coefficients"][0], boxes)[None]
    kept = {name: values[name] for name in ("boxes", "class_ids")}
    return kept | {"scores": scores, "masks": masks}


@pytest.mark.parametrize("options", [{}, {"score_threshold": 0.3}, {"max_instances": 3}, {"classes": ["car"]}])
def test_instances_are_those_of_end2end_1(tmp_path: Path, options: dict[str, Any]) -> None:
    values = outputs()
    new = model(tmp_path / "new.onnx", values, mask_margin="0", mask_certainty="4")
    old = constant_model(
        tmp_path / "old.onnx",
        finished(values, margin_cells=0.0, step=4),
        input_shape=(1, 96, 160, 3),
        input_dtype="uint8",
        metadata=BASE | CLASSES | {"masktrail.contract": "end2end-1"},
    )
    one, other = segment(new, **options), segment(old, **options)
    assert 2 <= len(one) == len(other) <= 9
    np.testing.assert_array_equal(one.boxes, other.boxes)
    np.testing.assert_allclose(one.scores, other.scores, atol=1e-6)
    np.testing.assert_array_equal(one.class_ids, other.class_ids)
    assert one.masks is not None
    assert other.masks is not None
    for row in range(len(one)):
        np.testing.assert_array_equal(one.masks.grid(row), other.masks.grid(row))
    assert one.prototypes is not None
    assert other.prototypes is None


def test_instances_carry_what_made_their_masks(tmp_path: Path) -> None:
    instances = segment(model(tmp_path / "m.onnx", outputs(), mask_margin="0", mask_certainty="4"))
    assert instances.coefficients is not None
    assert instances.prototypes is not None
    again = instances.prototypes.masks(instances.coefficients, instances.boxes)
    assert instances.masks is not None
    for row in range(len(instances)):
        np.testing.assert_array_equal(again.grid(row), instances.masks.grid(row))


@pytest.mark.parametrize("terms", [0, 5])
@pytest.mark.parametrize("cells_first", [False, True])
def test_the_order_of_outputs_and_axes_does_not_matter(tmp_path: Path, terms: int, cells_first: bool) -> None:
    values = outputs(terms=terms, embeddings=7)
    reference = segment(model(tmp_path / "plain.onnx", values))
    moved = outputs(terms=terms, embeddings=7, cells_first=cells_first)
    for number, order in enumerate(itertools.islice(itertools.permutations(moved), 1, 720, 179)):
        path = constant_model(
            tmp_path / f"{number}.onnx",
            {name: moved[name] for name in order},
            input_shape=(1, 96, 160, 3),
            input_dtype="uint8",
            metadata=CLASSES | {"masktrail.input": json.dumps(END2END_INPUT)},  # recognised by shape
        )
        assert OnnxSegmenter(path, device="cpu").contract == "end2end-2"
        found = segment(path)
        for name in ("boxes", "scores", "class_ids", "embeddings", "coefficients"):
            np.testing.assert_array_equal(getattr(found, name), getattr(reference, name))


def test_suppressed_candidates_are_read_with_a_threshold_of_ones_own(tmp_path: Path) -> None:
    values = outputs()
    values["kept"] = np.array([[1, 0] * 6], np.uint8)
    path = model(tmp_path / "m.onnx", values)
    assert len(segment(path)) == 5
    assert len(segment(path, iou_threshold=1.0)) == 9


def test_the_check_passes_good_files_and_names_wrong_values(tmp_path: Path) -> None:
    values = outputs(embeddings=12)
    report = check_model(model(tmp_path / "m.onnx", values), device="cpu")
    assert (report.problems, report.contract) == ((), "end2end-2")
    values["boxes"][0, 0] = (-3.0, 0.0, 0.5, 0.5)
    values["coefficients"][0, 1, 0] = np.nan
    problems = " ".join(check_model(model(tmp_path / "bad.onnx", values), device="cpu").problems)
    assert "boxes reach from -3" in problems
    assert "output coefficients holds values that are not finite" in problems


def test_instances_that_are_not_finite_are_dropped(tmp_path: Path) -> None:
    values = outputs()
    values["boxes"][0, 0] = np.nan
    values["coefficients"][0, 1, 0] = np.inf
    assert len(segment(model(tmp_path / "m.onnx", values))) == 7


def test_masks_reach_past_their_boxes_by_the_growth_and_boxes_follow(tmp_path: Path) -> None:
    """A person of 40 x 40 px in a box that cuts its feet: a quarter more below is allowed, an eighth is used."""
    inside = np.full((1, *GRID, 1), -1, np.float32)
    inside[0, 4:15, 10:20] = 1  # 40 px wide, rows 16 to 60 px
    values = {
        "boxes": np.array([[[40, 16, 80, 52]]], np.float32) / np.array([160, 96, 160, 96], np.float32),
        "scores": np.array([[0.9]], np.float32),
        "class_ids": np.zeros((1, 1), np.int64),
        "coefficients": np.full((1, 1, 1), 8, np.float32),
        "prototypes": inside,
    }
    cut = segment(model(tmp_path / "cut.onnx", values, mask_margin="0"))
    assert cut.boxes.tolist() == [[40, 16, 80, 52]]
    assert cut.masks is not None
    assert cut.masks.full(0, cut.boxes[0]).any(axis=1).sum() == 36
    whole = segment(model(tmp_path / "whole.onnx", values, mask_margin="0", mask_growth="0.25"))
    assert whole.boxes.tolist() == [[40, 16, 80, 60]]
    assert whole.masks is not None
    assert whole.masks.full(0, whole.boxes[0]).any(axis=1).sum() == 44
    short = segment(model(tmp_path / "short.onnx", values, mask_margin="0", mask_growth="0.06"))
    assert short.boxes.tolist() == [[40, 16, 80, 56]]  # to the end of the cell that 2 px more reach
    with pytest.raises(ModelError, match=r"mask_growth: expected a number from 0, found '-1'"):
        OnnxSegmenter(model(tmp_path / "bad.onnx", values, mask_growth="-1"), device="cpu")


@pytest.mark.parametrize("text", ["half", "-1", "nan"])
def test_metadata_that_is_no_number_is_refused(tmp_path: Path, text: str) -> None:
    path = model(tmp_path / "m.onnx", outputs(), mask_margin=text)
    with pytest.raises(ModelError, match=f"metadata masktrail.mask_margin: expected a number from 0, found '{text}'"):
        OnnxSegmenter(path, device="cpu")
