"""What is drawn: where, in which colour, and what is left alone."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from tests.sinks.streams import stream, tracked_frame
from tracker.errors import ConfigError
from tracker.render.annotate import Annotator, clock_text
from tracker.render.canvas import KNEE, Canvas
from tracker.render.colour import class_colour, identity_colour
from tracker.render.label import label_sprite, stamp
from tracker.render.label_board import LabelBoard
from tracker.render.trails import Trails

BOX = (40.0, 40.0, 100.0, 90.0)


def changed(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    return (before != after).any(axis=2)


def test_footage_is_not_touched():
    frame = tracked_frame(boxes=[BOX])
    before = frame.frame.image.copy()
    drawn = Annotator().draw(frame)
    assert np.array_equal(frame.frame.image, before)
    assert changed(before, drawn).any()


def test_silhouette_is_tinted_inside_the_box_only():
    frame = tracked_frame(boxes=[BOX])
    drawn = Annotator(labels=False, trail_s=0).draw(frame)
    touched = changed(frame.frame.image, drawn)
    outside = touched.copy()
    outside[40:90, 40:100] = False
    assert not outside.any()
    crop, (x, y) = frame.instances.masks.lift(0, frame.instances.boxes[0])
    inside = np.zeros_like(touched)
    inside[y : y + crop.shape[0], x : x + crop.shape[1]] = crop
    assert touched[inside].all()


def test_tint_is_the_identity_colour_at_the_opacity():
    frame = tracked_frame(boxes=[BOX], ids=[7], grey=100)
    drawn = Annotator(labels=False, trail_s=0, opacity=0.5).draw(frame)
    expected = (100 + KNEE + np.array(identity_colour(7))) / 2
    assert np.abs(drawn[65, 70].astype(float) - expected).max() <= 1


def test_same_identity_has_the_same_colour_in_every_frame():
    one = Annotator(labels=False, trail_s=0).draw(tracked_frame(0, boxes=[BOX], ids=[5]))
    two = Annotator(labels=False, trail_s=0).draw(tracked_frame(9, boxes=[BOX], ids=[5]))
    assert np.array_equal(one, two)


def test_nearer_body_covers_the_one_behind():
    behind, nearer = (40.0, 30.0, 100.0, 80.0), (45.0, 40.0, 105.0, 100.0)
    alone = Annotator(labels=False, trail_s=0).draw(tracked_frame(boxes=[nearer], ids=[2]))
    both = Annotator(labels=False, trail_s=0).draw(tracked_frame(boxes=[behind, nearer], ids=[1, 2]))
    assert np.array_equal(alone[70, 75], both[70, 75])


def test_detections_without_masks_get_a_box():
    frame = tracked_frame(boxes=[BOX], masks=False)
    touched = changed(frame.frame.image, Annotator(labels=False, trail_s=0).draw(frame))
    assert touched[40, 60]
    assert touched[89, 60]
    assert not touched[65, 70]


def test_labels_lie_inside_the_picture_at_every_edge():
    size = (160, 120)
    for box in ((0, 0, 20, 20), (140, 0, 160, 20), (0, 100, 20, 120), (140, 100, 160, 120), (-30, -30, 4, 4)):
        frame = tracked_frame(boxes=[box], masks=False, size=size)
        with_label = Annotator(trail_s=0).draw(frame)
        without = Annotator(trail_s=0, labels=False).draw(frame)
        sprite = label_sprite("car 1", Canvas(footage=without).small_font_px, identity_colour(1))
        rows, columns = np.nonzero(changed(with_label, without))
        # The corners of the pill are transparent, so that up to two pixels of its extent may be unchanged.
        assert columns.max() - columns.min() + 1 >= sprite.size[0] - 3
        assert rows.max() - rows.min() + 1 >= min(sprite.size[1], 12) - 3


def test_labels_of_neighbours_do_not_overlap():
    canvas = Canvas(footage=np.zeros((240, 320, 3), np.uint8))
    board = LabelBoard(canvas)
    for n in range(3):
        board.add(f"car {n}", (100.0 + 3 * n, 100, 140.0 + 3 * n, 150), (0, 0, 255), short=str(n), identity=n)
    places: dict[int, int] = {}
    board.stamp(places)
    assert len(set(places.values())) == 3


def test_a_label_stays_at_its_place_while_it_is_free():
    places = {1: 3}
    board = LabelBoard(Canvas(footage=np.zeros((240, 320, 3), np.uint8)))
    board.add("car 1", (100.0, 100.0, 140.0, 150.0), (0, 0, 255), short="1", identity=1)
    board.stamp(places)
    assert places == {1: 3}


def test_coasting_identities_are_dashed_then_gone_or_hidden():
    seen = tracked_frame(0, boxes=[BOX], age_s=3)
    coasting = tracked_frame(5, boxes=[BOX], coasting=[True], age_s=3.2)
    late = tracked_frame(50, boxes=[BOX], coasting=[True], age_s=5)
    young = tracked_frame(5, boxes=[BOX], coasting=[True], age_s=0.3)
    faint, hidden = Annotator(labels=False, trail_s=0), Annotator(labels=False, trail_s=0, coasting="hidden")
    for annotator in (faint, hidden):
        annotator.draw(seen)
    touched = changed(coasting.frame.image, faint.draw(coasting))
    assert 0.2 < touched[40, 40:100].mean() < 0.9
    assert not touched[65, 70]
    assert not changed(coasting.frame.image, hidden.draw(coasting)).any()
    assert not changed(young.frame.image, faint.draw(young)).any()
    assert not changed(late.frame.image, faint.draw(late)).any()


def test_a_coasting_identity_on_a_detected_one_is_not_drawn():
    annotator = Annotator(labels=False, trail_s=0)
    annotator.draw(tracked_frame(0, boxes=[BOX, BOX], ids=[1, 2], age_s=3))
    both = tracked_frame(5, boxes=[BOX, BOX], ids=[1, 2], coasting=[False, True], age_s=3)
    alone = tracked_frame(5, boxes=[BOX], ids=[1], age_s=3)
    assert np.array_equal(annotator.draw(both), Annotator(labels=False, trail_s=0).draw(alone))


def test_coasting_out_of_the_picture_is_not_drawn():
    annotator = Annotator(trail_s=0)
    annotator.draw(tracked_frame(0, boxes=[BOX], age_s=3))
    gone = tracked_frame(5, boxes=[(-50.0, 40.0, 8.0, 90.0)], coasting=[True], age_s=3)
    assert np.array_equal(annotator.draw(gone), gone.frame.image)


def test_labels_in_a_crowd_are_short_where_objects_are_narrow():
    def green_width(count):
        canvas = Canvas(footage=np.zeros((360, 640, 3), np.uint8))
        board = LabelBoard(canvas)
        board.add("person 2", (300.0, 100.0, 312.0, 200.0), (0, 255, 0), short="2")
        for n in range(count):
            board.add("person 3", (15.0 * n, 300.0, 15.0 * n + 12, 340.0), (0, 0, 255), short="3")
        board.stamp({})
        return int((canvas.image[..., 1] > 150).any(axis=0).sum())

    assert green_width(0) > 40
    assert 8 < green_width(30) < 24


def test_trail_follows_and_fades():
    annotator = Annotator(labels=False, masks=False, trail_s=2)
    plain = Annotator(labels=False, masks=False, trail_s=0)
    for index in range(20):
        frame = tracked_frame(index, boxes=[(4.0 + 6 * index, 30.0, 24.0 + 6 * index, 70.0)], ids=[1])
        drawn = annotator.draw(frame)
    strength = np.abs(drawn.astype(int) - plain.draw(frame)).sum(axis=(0, 2))
    assert strength[100:115].mean() > 2 * strength[25:40].mean() > 0


def test_trails_are_bounded_and_dropped():
    trails = Trails(length_s=2, max_points=10)
    for step in range(1000):
        trails.add(1, (step * 10.0, 0.0), step * 0.01, 100)
    assert len(trails._points[1]) == 10
    trails.add(2, (0.0, 0.0), 10.0, 100)
    trails.drop([1])
    assert len(trails) == 1
    trails.expire(13.0)
    assert len(trails) == 0


def test_memory_is_bounded_over_many_identities():
    annotator = Annotator()
    for index in range(300):
        ended = (index,) if index else ()
        annotator.draw(tracked_frame(index, boxes=[BOX], ids=[index + 1], ended=ended, size=(120, 100)))
    assert len(annotator._trails) <= 2
    assert len(annotator._seen) == 1
    assert len(annotator._places) <= 2
    assert len(annotator._heads) <= 2
    assert len(annotator._classes) == 1


def test_clock_that_jumps_back_keeps_drawing():
    annotator = Annotator()
    annotator.draw(tracked_frame(0, boxes=[BOX], time_s=1000.0))
    drawn = annotator.draw(tracked_frame(1, boxes=[BOX], time_s=1.0))
    assert changed(tracked_frame(boxes=[BOX]).frame.image, drawn).any()


def test_without_tracks_classes_have_colours():
    frame = tracked_frame(boxes=[BOX], class_ids=[1], tracked=False, grey=100)
    drawn = Annotator(labels=False, opacity=0.5).draw(frame)
    assert np.abs(drawn[65, 70].astype(float) - (100 + KNEE + np.array(class_colour(1))) / 2).max() <= 1


def test_empty_frame_is_the_footage():
    frame = tracked_frame(boxes=[])
    assert np.array_equal(Annotator().draw(frame), frame.frame.image)


def test_header_is_in_the_corner():
    frame = tracked_frame(boxes=[], size=(640, 360))
    touched = changed(frame.frame.image, Annotator(header=True).draw(frame))
    rows, columns = np.nonzero(touched)
    assert rows.max() < 40
    assert columns.max() < 240
    assert touched.any()


@pytest.mark.parametrize(("size", "low", "high"), [((640, 360), 9, 11), ((1280, 720), 15, 17), ((3840, 2160), 38, 42)])
def test_sizes_follow_the_picture(size, low, high):
    canvas = Canvas(footage=np.zeros((size[1], size[0], 3), np.uint8))
    assert low <= canvas.font_px <= high
    assert canvas.contour_px == {640: 1, 1280: 1, 3840: 4}[size[0]]


def test_boxes_far_outside_and_empty_boxes_are_survived():
    boxes = [
        (-500.0, -500.0, -400.0, -400.0),
        (1e4, 1e4, 1e4, 1e4),
        (50.0, 50.0, 50.0, 50.0),
        (-50.0, -50.0, 900.0, 900.0),
    ]
    frame = tracked_frame(boxes=boxes)
    drawn = Annotator(boxes=True).draw(frame)
    assert drawn.shape == frame.frame.image.shape


def test_a_whole_stream_with_two_hundred_identities():
    rng = np.random.default_rng(0)
    corners = rng.uniform((0, 0), (600, 330), (200, 2))
    boxes = [(x, y, x + 20, y + 25) for x, y in corners]
    drawn = Annotator().draw(tracked_frame(boxes=boxes, size=(640, 360)))
    assert drawn.shape == (360, 640, 3)
    annotator = Annotator()
    assert all(annotator.draw(frame).shape == (120, 160, 3) for frame in stream())


def test_frames_without_pixels_are_refused():
    frame = tracked_frame(boxes=[])
    bare = dataclasses.replace(frame, frame=dataclasses.replace(frame.frame, image=None))
    with pytest.raises(ConfigError, match="pixels"):
        Annotator().draw(bare)


@pytest.mark.parametrize("options", [{"opacity": 1.5}, {"scale": 0}, {"trail_s": -1}, {"coasting": "bright"}])
def test_options_out_of_range_are_refused(options):
    with pytest.raises(ConfigError, match="expected"):
        Annotator(**options)


def test_sprite_is_cut_at_the_edges():
    image = np.zeros((10, 10, 3), np.uint8)
    sprite = label_sprite("car 12", 12, (255, 255, 255))
    for x, y in ((-5, -5), (8, 8), (100, 0), (0, -100)):
        stamp(image, sprite, x, y)
    assert image[0, 0].any()
    assert image[9, 9].any()


def test_labels_are_equally_high_whatever_their_letters():
    heights = {label_sprite(text, 14, (0, 200, 0)).size[1] for text in ("car 1", "bicycle 7", "person 10", "aaa")}
    assert len(heights) == 1


def test_stroke_fonts_of_opencv_4_are_legible(monkeypatch):
    import cv2

    from tracker.render.label import render_text

    modern, _ = render_text("car 12", 20, 600)
    monkeypatch.delattr(cv2, "FontFace")
    stroke, baseline = render_text("car 12", 20, 600)
    assert 0.5 < stroke.shape[1] / modern.shape[1] < 2
    assert stroke.max() > 0.8
    assert 0 < baseline < stroke.shape[0]


def test_clock():
    assert clock_text(0.04) == "0:00.0"
    assert clock_text(3599.96) == "59:59.9"
    assert clock_text(7322.5) == "2:02:02.5"
    assert clock_text(-1.5) == "-0:01.5"


def test_weak_instances_are_left_out_on_request():
    frame = tracked_frame(boxes=[BOX, (5.0, 5.0, 30.0, 30.0)], tracked=False)
    scores = np.array([0.9, 0.2], np.float32)
    instances = dataclasses.replace(frame.instances, scores=scores)
    weak, strong = (
        dataclasses.replace(frame, instances=instances),
        dataclasses.replace(frame, instances=instances.take(scores > 0.5)),
    )
    np.testing.assert_array_equal(Annotator(lowest_score=0.5).draw(weak), Annotator().draw(strong))
    assert (Annotator().draw(weak) != Annotator().draw(strong)).any()
