"""Ground contacts: as the lifted silhouette has them; hidden by others, by the picture's edge, by occluders."""

from __future__ import annotations

import numpy as np
import pytest

from demos.scenes import script
from demos.scenes.detector import detect
from tracker.analytics.contact import ContactFinder
from tracker.analytics.occlusion_order import occlusion_order
from tracker.contacts import ContactState
from tracker.types import BoxMasks, GridMasks, Instances

SIZE = (640, 360)


def rectangles(*boxes: tuple[int, int, int, int], masks: bool = True, step: int = 4) -> Instances:
    """Instances that fill their boxes, in whole cells; later ones stand before earlier ones."""
    grid = np.zeros((len(boxes), SIZE[1] // step, SIZE[0] // step), np.uint8)
    for row, (x0, y0, x1, y1) in enumerate(boxes):
        grid[:row, y0 // step : y1 // step, x0 // step : x1 // step] = 0
        grid[row, y0 // step : y1 // step, x0 // step : x1 // step] = 255
    return Instances(
        boxes=np.array(boxes, np.float32).reshape(-1, 4),
        scores=np.ones(len(boxes), np.float32),
        class_ids=np.zeros(len(boxes), np.int64),
        masks=GridMasks(probabilities=grid, step_px=(step, step), image_size=SIZE) if masks else None,
    )


@pytest.mark.parametrize("masks", [True, False])
def test_alone_on_the_floor_is_seen(masks: bool) -> None:
    contacts = ContactFinder().find(rectangles((100, 100, 140, 200), masks=masks), SIZE)
    np.testing.assert_allclose(contacts.points, [[120, 200]])
    assert contacts.states.tolist() == [ContactState.SEEN]


@pytest.mark.parametrize("masks", [True, False])
def test_feet_behind_another_one_are_hidden(masks: bool) -> None:
    behind, before = (100, 80, 140, 160), (96, 120, 144, 240)
    visible = (100, 80, 140, 120)
    contacts = ContactFinder().find(rectangles(visible if masks else behind, before, masks=masks), SIZE)
    assert contacts.states.tolist() == [ContactState.HIDDEN, ContactState.SEEN]


def test_a_quarter_of_the_band_is_not_enough() -> None:
    contacts = ContactFinder().find(rectangles((100, 80, 140, 160), (132, 160, 180, 260)), SIZE)
    assert contacts.states.tolist() == [ContactState.SEEN, ContactState.SEEN]
    contacts = ContactFinder().find(rectangles((100, 80, 140, 160), (120, 160, 180, 260)), SIZE)
    assert contacts.states.tolist() == [ContactState.HIDDEN, ContactState.SEEN]


@pytest.mark.parametrize("masks", [True, False])
def test_cut_by_the_pictures_edge_is_hidden(masks: bool) -> None:
    contacts = ContactFinder().find(rectangles((100, 280, 140, 360), masks=masks), SIZE)
    assert contacts.states.tolist() == [ContactState.HIDDEN]


@pytest.mark.parametrize(("left", "right", "edge"), [(0, 40, 0.5), (600, 640, 639.5)])
def test_cut_all_the_way_by_a_side_of_the_picture_stands_at_that_side(left: int, right: int, edge: float) -> None:
    contacts = ContactFinder().find(rectangles((left, 100, right, 200)), SIZE)
    np.testing.assert_allclose(contacts.points, [[edge, 200]])
    assert contacts.states.tolist() == [ContactState.SEEN]


def test_the_more_of_the_height_a_side_cuts_the_nearer_to_it() -> None:
    """A person who holds out an arm to the edge stands where the feet are."""
    found = []
    for cut_px in (100, 60, 20, 0):
        instances = rectangles((0, 100, 40, 200))
        instances.masks.probabilities[0, (100 + cut_px) // 4 : 50, 0] = 0
        found.append(float(ContactFinder().find(instances, SIZE).points[0, 0]))
    np.testing.assert_allclose(found, [0.5, 22 - 0.6 * 21.5, 22 - 0.2 * 21.5, 22.0])


@pytest.mark.parametrize("masks", [True, False])
def test_behind_a_declared_occluder_is_hidden_and_before_it_is_seen(masks: bool) -> None:
    counter = ((0.1, 0.5), (0.4, 0.5), (0.4, 0.7), (0.1, 0.7))
    finder = ContactFinder([counter])
    behind, before, beside = (100, 100, 140, 180), (160, 100, 200, 280), (300, 100, 340, 180)
    contacts = finder.find(rectangles(behind, before, beside, masks=masks), SIZE)
    assert contacts.states.tolist() == [ContactState.HIDDEN, ContactState.SEEN, ContactState.SEEN]


def test_nothing_and_predicted() -> None:
    contacts = ContactFinder().find(rectangles(), SIZE)
    assert contacts.points.shape == (0, 2)
    of_tracks = contacts.of_tracks(np.array([-1]), np.array([[10, 10, 30, 50]], np.float32))
    assert of_tracks.points.tolist() == [[20, 50]]
    assert of_tracks.states.tolist() == [ContactState.PREDICTED]


def test_empty_mask_falls_back_to_the_box() -> None:
    instances = rectangles((100, 100, 140, 200))
    instances.masks.probabilities[:] = 0
    assert ContactFinder().find(instances, SIZE).points.tolist() == [[120, 200]]


def test_silhouette_that_ends_high_above_its_box() -> None:
    instances = rectangles((100, 100, 140, 200))
    instances.masks.probabilities[:, 32:] = 0
    np.testing.assert_allclose(ContactFinder().find(instances, SIZE).points, [[120, 128]], atol=2)


@pytest.mark.parametrize("kind", ["grid", "box"])
def test_equals_the_lifted_silhouettes_lowest_band(kind: str) -> None:
    """To a pixel and a half down, and three across, over all objects of a rendered scene."""
    scene = script.dense(12, rng=np.random.default_rng(3), size=(1280, 720), duration_s=2.0)
    off = []
    for time_s in (0.0, 0.7, 1.4):
        found = detect(scene.truth(time_s), rng=np.random.default_rng(0), min_visibility=0.5)
        if kind == "box":
            small = found.masks.sample(found.boxes.T.astype(np.float64), np.arange(len(found)), 28)
            masks = BoxMasks(probabilities=small.reshape(-1, 28, 28), boxes=found.boxes, image_size=scene.size)
            found = Instances(boxes=found.boxes, scores=found.scores, class_ids=found.class_ids, masks=masks)
        contacts = ContactFinder().find(found, scene.size)
        wanted = [found.masks.lowest_band(row, found.boxes[row]) for row in range(len(found))]
        off.append(np.abs(contacts.points - wanted))
    off = np.concatenate(off)
    assert np.median(off[:, 1]) <= 1.0
    assert np.percentile(off, 90, axis=0).tolist() <= [6.0, 4.0]


def test_who_stands_before_whom() -> None:
    instances = rectangles((100, 80, 140, 160), (96, 120, 144, 240), (400, 100, 440, 200))
    order = occlusion_order(instances, ContactFinder().find(instances, SIZE))
    assert (order.front.tolist(), order.behind.tolist()) == ([1], [0])
    np.testing.assert_allclose(order.shares, [1.0])


def test_who_stands_before_whom_without_masks_is_the_lower_contact() -> None:
    instances = rectangles((100, 80, 140, 230), (130, 90, 170, 240), masks=False)
    order = occlusion_order(instances, ContactFinder().find(instances, SIZE))
    assert (order.front.tolist(), order.behind.tolist()) == ([1], [0])
    assert np.isnan(order.shares).all()
