"""Figures of persons' masks against truth: found, contacts, heads and overlaps of made silhouettes."""

import numpy as np
import pytest

from tests.bench.person_masks import NEAR, PersonFigures, add_picture, matched
from tracker.masks.grid_masks import GridMasks
from tracker.types import Instances

SIZE = (200, 160)


def silhouettes(*rectangles):
    """Rectangles xyxy as (N, H, W)."""
    found = np.zeros((len(rectangles), SIZE[1], SIZE[0]), np.bool_)
    for mask, (x0, y0, x1, y1) in zip(found, rectangles, strict=True):
        mask[y0:y1, x0:x1] = True
    return found


def instances(*rectangles):
    """The same as instances whose masks are exact."""
    masks = GridMasks(
        probabilities=silhouettes(*rectangles).astype(np.uint8) * 255, step_px=(1.0, 1.0), image_size=SIZE
    )
    count = len(rectangles)
    return Instances(
        boxes=np.array(rectangles, np.float32).reshape(-1, 4),
        scores=np.full(count, 0.9, np.float32),
        class_ids=np.zeros(count, np.int64),
        masks=masks,
    )


def figures_of(truths, found):
    figures = PersonFigures()
    add_picture(figures, silhouettes(*truths), instances(*found))
    return figures


def test_errors_are_shares_of_the_height():
    """A hundred pixels tall: feet cut by 4, the middle off by 3, the head by 1."""
    figures = figures_of([(20, 20, 60, 120)], [(23, 21, 63, 116)])
    assert (figures.persons, figures.standing) == (1, 1)
    assert figures.contacts == [pytest.approx(0.05)]
    assert figures.feet == [pytest.approx(0.04)]
    assert figures.heads == [pytest.approx(0.01)]
    assert figures.ious == [pytest.approx(37 * 95 / (40 * 100 + 40 * 95 - 37 * 95))]
    assert f"within {NEAR:.0%} of the height, of 1 standing persons: contact 0.000" in "\n".join(figures.lines())


def test_one_who_sits_is_hidden_or_is_missed_has_no_contact():
    sits, hidden, missed = (10, 40, 70, 90), (80, 20, 110, 160), (130, 20, 160, 120)
    figures = figures_of([sits, hidden, missed], [sits, hidden])
    assert (figures.persons, figures.standing, len(figures.ious)) == (3, 1, 2)  # the missed one stands
    assert figures.contacts == []


def test_neighbours_overlap_by_a_share_of_the_smaller_mask():
    left, right, far = (20, 20, 60, 120), (58, 20, 98, 120), (150, 20, 180, 120)
    figures = figures_of([left, right, far], [(20, 20, 60, 120), (50, 20, 98, 120), far])
    assert figures.overlaps == [pytest.approx(10 * 100 / (40 * 100))]
    assert "neighbours: 1 pairs, overlap 0.250; 1 pairs overlap at all, by 0.250" in figures.lines()[-2]


def test_an_instance_is_of_one_person_the_best_first():
    assert matched(np.array([[0.6, 0.0], [0.9, 0.55], [0.4, 0.0]])) == {1: 0}
    assert matched(np.zeros((2, 0))) == {}


def test_pictures_of_none_add_nothing():
    figures = figures_of([], [(10, 10, 30, 60)])
    assert figures == PersonFigures()
