"""Labels keep off other objects, dark clothes stay visible, classes do not flicker, options change what is drawn."""

from __future__ import annotations

import dataclasses
import itertools

import numpy as np
import pytest

from tests.sinks.streams import disk_masks, tracked_frame
from tracker.app.flags import settings_from
from tracker.errors import ConfigError
from tracker.render.annotate import Annotator
from tracker.render.canvas import Canvas
from tracker.render.colour import class_colour, identity_colour
from tracker.render.label_board import NEAR, LabelBoard
from tracker.render.occupancy import Occupancy
from tracker.render.steady_classes import SteadyClasses
from tracker.settings.stream import RunSettings
from tracker.settings.yaml_file import parse_service_settings

RED = (0, 0, 255)


def meet(one, two) -> bool:
    return one[0] < two[2] and two[0] < one[2] and one[1] < two[3] and two[1] < one[3]


def placed(boxes, *, silhouettes=False, size=(640, 360)):
    board = LabelBoard(Canvas(footage=np.zeros((size[1], size[0], 3), np.uint8)))
    masks = disk_masks(np.array(boxes, np.float32), size)
    for n, box in enumerate(boxes):
        silhouette = masks.lift(n, np.array(box, np.float32)) if silhouettes else None
        board.add(f"person {n}", box, RED, short=str(n), identity=n, silhouette=silhouette)
    places: dict[int, int] = {}
    return board.stamp(places), places


def test_labels_meet_no_other_box_and_no_other_label():
    # A row of six standing side by side in front of another row: the places above the front row are taken.
    back = [(100.0 + 70 * n, 120.0, 160.0 + 70 * n, 220.0) for n in range(6)]
    front = [(135.0 + 70 * n, 222.0, 195.0 + 70 * n, 330.0) for n in range(6)]
    boxes = back + front
    labels, _ = placed(boxes)
    assert len(labels) == 12
    for n, label in enumerate(labels):
        assert not [k for k, box in enumerate(boxes) if k != n and meet(label, box)]
    assert not [pair for pair in itertools.combinations(labels, 2) if meet(*pair)]


def test_a_label_keeps_off_the_silhouette_in_front():
    boxes = [(200.0, 100.0, 260.0, 200.0), (190.0, 60.0, 290.0, 250.0)]
    labels, places = placed(boxes, silhouettes=True)
    crop, (left, top) = disk_masks(np.array(boxes, np.float32), (640, 360)).lift(1, np.array(boxes[1], np.float32))
    nearer = np.zeros((360, 640), np.bool_)
    nearer[top : top + crop.shape[0], left : left + crop.shape[1]] = crop
    x1, y1, x2, y2 = labels[0]
    assert not nearer[y1:y2, x1:x2].any()
    assert places[1] == 0


def test_a_far_label_has_a_line_to_its_object():
    def drawn(around):
        canvas = Canvas(footage=np.zeros((360, 640, 3), np.uint8))
        board = LabelBoard(canvas)
        for box in around:
            board.add("x", box, (200, 0, 0), short="x")
        board.add("person 7", (300.0, 150.0, 320.0, 180.0), (0, 255, 0), short="7", identity=7)
        places: dict[int, int] = {}
        label = board.stamp(places)[-1]
        return canvas.image, label, places[7]

    image, label, place = drawn([])
    assert place < len(NEAR)
    outside = np.ones((360, 640), np.bool_)
    outside[label[1] : label[3], label[0] : label[2]] = False
    assert not image[..., 1][outside].any()

    image, label, place = drawn(
        [
            (230.0, 100.0, 390.0, 149.0),
            (230.0, 181.0, 390.0, 230.0),
            (230.0, 100.0, 299.0, 230.0),
            (321.0, 100.0, 390.0, 230.0),
        ]
    )
    assert place >= len(NEAR)
    green = (image[..., 1] > 200) & (image[..., 0] < 90)
    green[label[1] : label[3], label[0] : label[2]] = False
    rows, columns = np.nonzero(green)
    # From the label's edge to the object.
    assert 150 <= rows.max() <= 182
    assert rows.min() <= label[3] + 1 or columns.min() <= label[2] + 1
    assert len(rows) > 20


def test_folds_of_dark_clothes_keep_twice_the_contrast_of_the_footage():
    frame = tracked_frame(boxes=[(40.0, 40.0, 100.0, 90.0)], ids=[7], grey=6)
    frame.frame.image[:, 70:] = 14
    drawn = Annotator(labels=False, trail_s=0).draw(frame).astype(int)
    assert (drawn[65, 75] - drawn[65, 65]).tolist() == [16, 16, 16]
    assert (drawn[65, 65] - [round(0.42 * channel) for channel in identity_colour(7)]).tolist() == [12, 12, 12]


def test_bright_clothes_take_the_colour():
    frame = tracked_frame(boxes=[(40.0, 40.0, 100.0, 90.0)], ids=[3], grey=200)
    drawn = Annotator(labels=False, trail_s=0).draw(frame).astype(int)
    expected = [min(round(0.58 * 200 + 0.42 * 64) + round(0.42 * channel), 255) for channel in identity_colour(3)]
    assert drawn[65, 70].tolist() == expected


def test_labels_of_identities_that_are_lost_fade_with_time_and_way():
    box, moved = (60.0, 60.0, 110.0, 100.0), (80.0, 60.0, 130.0, 100.0)

    def strength(index, where):
        annotator = Annotator(trail_s=0)
        annotator.draw(tracked_frame(0, boxes=[box], ids=[7], age_s=3))
        return annotator._faintness(7, list(where), index / 25)

    assert strength(0, box) == pytest.approx(0.7)
    times = [strength(index, box) for index in (0, 4, 8, 12)]
    assert times == sorted(times, reverse=True)
    assert times[-1] == pytest.approx(0.2)
    assert strength(1, moved) == pytest.approx(0.6)
    assert strength(13, box) == pytest.approx(0.1)


def test_the_class_of_a_number_does_not_flicker():
    classes = SteadyClasses()
    shown = [classes.shown(1, n % 2, n * 0.1) for n in range(50)]
    assert shown == [0] * 50
    # A vote that stays is shown after half a second, and the next change takes a whole one.
    assert [classes.shown(1, 1, 5 + n * 0.25) for n in range(4)] == [0, 0, 1, 1]
    assert [classes.shown(1, 0, 6 + n * 0.25) for n in range(6)] == [1, 1, 1, 1, 0, 0]
    classes.forget([1])
    assert len(classes) == 0
    assert classes.shown(1, 1, 9.0) == 1


def test_the_class_in_the_label_is_the_vote():
    def last(first_class):
        annotator = Annotator(trail_s=0)
        annotator.draw(tracked_frame(0, boxes=[(60.0, 60.0, 110.0, 100.0)], class_ids=[first_class]))
        return annotator.draw(tracked_frame(5, boxes=[(60.0, 60.0, 110.0, 100.0)], class_ids=[2]))

    # 0.2 s after the vote turned the label has the old class, whatever the instance says.
    assert (last(0) != last(2)).any()


def box_frame():
    frame = tracked_frame(boxes=[(40.0, 40.0, 100.0, 90.0)], ids=[5], class_ids=[1])
    return frame, frame.frame.image


def test_parts_are_drawn_or_not():
    frame, footage = box_frame()
    nothing = {"labels": False, "masks": False, "trail_s": 0.0}
    assert np.array_equal(Annotator(**nothing).draw(frame), footage)
    boxes = Annotator(**(nothing | {"boxes": True})).draw(frame)
    assert boxes[40, 70].tolist() == list(identity_colour(5))
    assert np.array_equal(boxes[45:85, 45:95], footage[45:85, 45:95])
    masks = Annotator(**(nothing | {"masks": True})).draw(frame)
    assert (masks[65, 70] != footage[65, 70]).all()
    labels = Annotator(**(nothing | {"labels": True})).draw(frame)
    assert (labels != footage).any(axis=2).sum() > 200
    assert np.array_equal(labels[65:80, 45:95], footage[65:80, 45:95])


def test_colours_by_class():
    frame, _ = box_frame()
    drawn = Annotator(labels=False, masks=False, boxes=True, trail_s=0, colour_by="class").draw(frame)
    assert drawn[40, 70].tolist() == list(class_colour(1))
    with pytest.raises(ConfigError, match="identity or class"):
        Annotator(colour_by="score")


def test_line_width():
    frame, footage = box_frame()
    for width in (1, 5):
        drawn = Annotator(labels=False, masks=False, boxes=True, trail_s=0, line_width_px=width).draw(frame)
        touched = (drawn != footage).any(axis=2)
        assert touched[30:60, 70].sum() == width
    with pytest.raises(ConfigError, match="line_width_px"):
        Annotator(line_width_px=0)


def test_settings_of_drawing():
    given = {"sources": ["a.mp4"], "draw": "masks, boxes", "colour_by": "class", "line_width": 3}
    settings = settings_from(RunSettings, given)
    assert (settings.draw, settings.colour_by, settings.line_width) == (("masks", "boxes"), "class", 3)
    assert RunSettings(sources=["a.mp4"]).draw is None
    assert RunSettings(sources=["a.mp4"], draw="none").draw == ()
    with pytest.raises(ConfigError, match="labels, masks, trails, site, boxes, contacts and occluders"):
        settings_from(RunSettings, {"sources": ["a.mp4"], "draw": "names"})
    text = "cameras: [{name: x, url: x.mp4, draw: [labels, boxes], colour_by: class, line_width: 2}]"
    [camera] = parse_service_settings(text).cameras
    assert (camera.draw, camera.colour_by, camera.line_width) == (("labels", "boxes"), "class", 2)


def test_occupancy_counts_others_only():
    occupied = Occupancy((80, 80), 4)
    occupied.cover_box(0, (8, 8, 40, 40), is_body=True)
    occupied.cover_box(1, (40, 8, 72, 40), is_body=False)
    assert occupied.cost(0, (8, 8), (32, 8)) == 0
    assert occupied.cost(1, (8, 8), (32, 8)) == 1
    assert occupied.cost(0, (40, 8), (32, 8)) == pytest.approx(0.1)
    occupied.cover_label((8, 60), (8, 8))
    assert occupied.cost(0, (8, 60), (8, 8)) == 3
    assert occupied.visible_point(0, (8, 8, 40, 40), 20) == (20, 10)
    assert occupied.visible_point(5, (8, 8, 40, 40), 20) == (20, 8)


def test_the_same_frames_give_the_same_pictures():
    frames = [tracked_frame(n, boxes=[(10.0 + 3 * n, 40, 60.0 + 3 * n, 90), (70, 30, 120, 110)]) for n in range(12)]
    one, two = Annotator(), Annotator()
    for frame in frames:
        assert np.array_equal(one.draw(frame), two.draw(dataclasses.replace(frame)))
