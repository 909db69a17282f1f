"""A site in pictures: where lines, zones and their counts are drawn, and what of them is left alone."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest

from tests.render.test_overlays import meet
from tests.sinks.streams import tracked_frame
from tracker.contacts import Contacts, ContactState
from tracker.errors import ConfigError
from tracker.events import Event
from tracker.render.annotate import Annotator
from tracker.render.canvas import Canvas
from tracker.render.label import stamp
from tracker.render.label_board import LabelBoard
from tracker.render.site_drawer import FLASH_S, SiteDrawer
from tracker.render.site_ground import TINT, Ground, along, middle_of
from tracker.render.site_marks import COLOURS, LineMark, OccluderMark, SiteMarks, ZoneMark
from tracker.render.site_places import TagPlaces, line_spots

SIZE = (640, 360)
DOOR = LineMark(name="door", points=((0.2, 0.5), (0.8, 0.5)))
SQUARE = ((0.1, 0.6), (0.4, 0.6), (0.4, 0.95), (0.1, 0.95))
TILL = ZoneMark(name="till", polygons=(SQUARE,))
MARKS = SiteMarks(lines=(DOOR,), zones=(TILL,))
QUIET = {"labels": False, "masks": False, "trail_s": 0}


def crossing(direction="in", time_s=0.0):
    return Event(kind="crossing", stream="s", time_s=time_s, place="door", direction=direction, identity=1)


def frame(index=0, events=(), **options):
    made = tracked_frame(index, **({"boxes": [], "size": SIZE} | options))
    return dataclasses.replace(made, events=tuple(events))


def ground(marks, size=SIZE):
    canvas = Canvas(footage=np.full((size[1], size[0], 3), 90, np.uint8))
    made = Ground(marks, canvas)
    made.lay(canvas, [False] * len(marks.zones), {})
    return canvas.image.astype(int), made


def tag_boxes(drawer, canvas):
    """Stamps the tags too."""
    for sprite, corner in (tags := drawer.tags(canvas)):
        stamp(canvas.image, sprite, *corner)
    return [(x, y, x + sprite.size[0], y + sprite.size[1]) for sprite, (x, y) in tags]


@pytest.mark.parametrize("marks", [None, SiteMarks()])
def test_without_a_site_the_picture_is_as_before(marks):
    busy = frame(events=[crossing()], boxes=[(40.0, 40.0, 100.0, 90.0)])
    assert np.array_equal(Annotator(marks=marks).draw(busy), Annotator().draw(busy))
    assert np.array_equal(Annotator(**QUIET, marks=marks).draw(busy), busy.frame.image)


def test_a_line_has_its_colour_where_it_is_and_a_dark_edge():
    image, _ = ground(SiteMarks(lines=(DOOR,)))
    assert np.abs(image[180, 200] - COLOURS[0]).max() <= 4
    assert image[183, 200].max() < 90
    assert (image[180, [100, 540]] == 90).all()
    assert (image[230:] == 90).all()


def test_arrows_point_to_both_sides_from_the_middle():
    image, _ = ground(SiteMarks(lines=(DOOR,)))
    coloured = np.abs(image - COLOURS[0]).max(axis=2) <= 4
    rows, columns = np.nonzero(coloured[:, 300:340])
    assert rows.min() < 172
    assert rows.max() > 187
    assert abs(columns.mean() + 300 - 319.5) < 1
    one_way, _ = ground(SiteMarks(lines=(dataclasses.replace(DOOR, to_right=""),)))
    below = one_way[185:]
    assert (below == 90).all()


@pytest.mark.parametrize("turn", [0.0, 0.4, math.pi / 2, 2.2, math.pi, 4.0])
def test_left_is_to_the_left_of_who_follows_the_line(turn):
    path = np.array([[0.0, 0.0], [math.cos(turn), math.sin(turn)]]) * 100
    middle = along(path, 0.5)
    ahead = path[1] / 100
    # Rows grow downwards, so a turn to the left on the screen is a negative cross product.
    assert ahead[0] * middle.left_y - ahead[1] * middle.left_x == pytest.approx(-1)
    assert (middle.x, middle.y) == pytest.approx(tuple(ahead * 50))


def test_arrows_keep_off_corners():
    bent = np.array([[0.0, 0.0], [100.0, 0.0], [100.0, 98.0]])
    x, y, left_x, left_y, length_px = middle_of(bent)
    assert (x, y, length_px) == pytest.approx((80.0, 0.0, 198.0))
    assert (left_x, left_y) == (0.0, -1.0)


def test_a_zone_is_tinted_inside_only_and_its_holes_are_not():
    hole = ((0.2, 0.7), (0.3, 0.7), (0.3, 0.85), (0.2, 0.85))
    image, _ = ground(SiteMarks(zones=(dataclasses.replace(TILL, polygons=(SQUARE, hole)),)))
    expected = 90 * (1 - TINT) + TINT * np.array(COLOURS[0])
    assert np.abs(image[230, 100] - expected).max() <= 1
    assert (image[280, 160] == 90).all()
    assert (image[100] == 90).all()
    assert np.abs(image[215, 100] - COLOURS[0]).max() < 20


def test_an_occupied_zone_has_more_colour():
    def inside(events):
        annotator = Annotator(**QUIET, marks=MARKS)
        for index, found in enumerate([events] + [()] * 20):
            picture = annotator.draw(frame(index, found))
        return picture[330, 100].astype(int)

    enter = Event(kind="enter", stream="s", time_s=0.0, place="till", identity=4)
    assert np.abs(inside([enter]) - 90).sum() > np.abs(inside([]) - 90).sum() + 10


def test_a_crossing_flashes_and_fades():
    def line(index):
        return annotator.draw(frame(index, [crossing()] if index == 0 else ()))[180, 200].astype(int)

    annotator = Annotator(**QUIET, marks=MARKS)
    whiteness = [line(index).sum() for index in range(25)]
    assert whiteness[0] > 3 * 240
    assert whiteness[: round(FLASH_S * 25) - 1] == sorted(whiteness, reverse=True)[: round(FLASH_S * 25) - 1]
    assert np.abs(line(26) - COLOURS[0]).max() <= 4


def test_objects_stand_on_the_lines():
    box = (180.0, 100.0, 240.0, 190.0)
    with_site, without = (
        Annotator(**(QUIET | {"masks": True}), marks=marks).draw(frame(boxes=[box])) for marks in (MARKS, None)
    )
    inside = slice(170, 180), slice(205, 215)
    assert np.array_equal(with_site[inside], without[inside])
    assert not np.array_equal(with_site[180, 250], without[180, 250])


def test_tags_change_with_the_counts_and_only_there():
    def drawn(count):
        drawer = SiteDrawer(MARKS)
        canvas = Canvas(footage=np.full((360, 640, 3), 90, np.uint8))
        drawer.draw_ground(canvas, frame(0, [crossing()] * count))
        # Long after the flash.
        drawer.draw_ground(canvas, frame(100))
        return canvas, tag_boxes(drawer, canvas)

    (one, boxes), (two, others) = drawn(1), drawn(2)
    rows, columns = np.nonzero((one.image != two.image).any(axis=2))
    x1, y1, x2, y2 = boxes[0]
    assert boxes[0][:2] == others[0][:2]
    flash = np.zeros((360, 640), np.bool_)
    flash[165:195] = True
    elsewhere = [(row, column) for row, column in zip(rows, columns, strict=True) if not flash[row, column]]
    assert elsewhere
    assert all(y1 <= row < y2 and x1 <= column < x2 for row, column in elsewhere)


def test_tags_lie_in_the_picture_and_off_each_other():
    lines = tuple(LineMark(name=f"l{n}", points=((0.02, 0.1 * n), (0.98, 0.1 * n))) for n in range(6))
    drawer = SiteDrawer(SiteMarks(lines=lines, zones=(TILL,)))
    canvas = Canvas(footage=np.zeros((360, 640, 3), np.uint8))
    drawer.draw_ground(canvas, frame())
    boxes = tag_boxes(drawer, canvas)
    assert len(boxes) == 7
    assert all(0 <= x1 < x2 <= 640 and 0 <= y1 < y2 <= 360 for x1, y1, x2, y2 in boxes)
    assert not [(n, k) for n in range(7) for k in range(n) if meet(boxes[n], boxes[k])]


def test_a_tag_moves_off_a_place_where_an_object_stays():
    drawer = SiteDrawer(SiteMarks(lines=(DOOR,)))
    canvas = Canvas(footage=np.zeros((360, 640, 3), np.uint8))
    drawer.draw_ground(canvas, frame())
    [(x1, y1, x2, y2)] = tag_boxes(drawer, canvas)
    standing = (x1 - 4.0, y1 - 4.0, x2 + 4.0, y2 + 4.0)
    places = []
    for index in range(25 * 12):
        drawer.draw_ground(canvas, frame(index, boxes=[standing], masks=False))
        places.append(tag_boxes(drawer, canvas)[0])
    assert not meet(places[-1], standing)
    # It goes there once.
    assert len(set(places)) == 2


def test_labels_keep_off_tags():
    annotator = Annotator(masks=False, trail_s=0, marks=SiteMarks(lines=(DOOR,)))
    canvas = Canvas(footage=np.zeros((360, 640, 3), np.uint8))
    drawer = SiteDrawer(SiteMarks(lines=(DOOR,)))
    drawer.draw_ground(canvas, frame())
    [(x1, y1, x2, y2)] = tag_boxes(drawer, canvas)
    # The place of a label above this box is the tag's.
    box = (x1 + 20.0, y2 + 2.0, x2 - 20.0, y2 + 60.0)
    bare = Annotator(labels=False, masks=False, trail_s=0, marks=SiteMarks(lines=(DOOR,)))
    made = frame(boxes=[box], masks=False)
    changed = (annotator.draw(made) != bare.draw(made)).any(axis=2)
    assert changed.any()
    assert not changed[y1:y2, x1:x2].any()


def test_lines_from_labels_run_under_tags():
    boxes = [(x, 150.0, x + 12.0, 200.0) for x in range(200, 440, 13)]
    made = frame(boxes=boxes, masks=False)
    drawer = SiteDrawer(SiteMarks(lines=(DOOR,)))
    canvas = Canvas(footage=np.full((360, 640, 3), 90, np.uint8))
    drawer.draw_ground(canvas, made)
    board = LabelBoard(canvas)
    for n, box in enumerate(boxes):
        board.add(f"person {n}", box, (0, 255, 0), short=str(n), identity=n)
    [(sprite, (x, y))] = drawer.tags(canvas)
    board.add_fixed(sprite, (x, y))
    labels = board.stamp({})
    here = x, y, x + sprite.size[0], y + sprite.size[1]
    assert not [label for label in labels if meet(label, here)]
    inside = canvas.image[y + 3 : here[3] - 3, x + 3 : here[2] - 3]
    assert not ((inside[..., 1] > 250) & (inside[..., 0] < 5)).any()


def test_two_runs_give_the_same_pictures():
    def run():
        annotator = Annotator(marks=MARKS)
        for index in range(60):
            x = 10.0 * index
            events = [crossing("out", index / 25)] if index == 30 else []
            yield annotator.draw(frame(index, events, boxes=[(x, 120.0, x + 40, 200.0)]))

    assert all(np.array_equal(one, two) for one, two in zip(run(), run(), strict=True))


@pytest.mark.parametrize(
    "name", ["Zürich", "Вход", "入口", "مدخل", "🚗", "a\nb\x00\ud800", "", " ", "x" * 500, "%s{}<b>"]
)
@pytest.mark.parametrize("modern", [True, False])
def test_odd_names_are_survived(name, modern, monkeypatch):
    import cv2

    if not modern:
        monkeypatch.delattr(cv2, "FontFace", raising=False)
    line = LineMark(name=name, points=DOOR.points, to_left=name + "1", to_right=name + "2")
    marks = SiteMarks(lines=(line,), zones=(ZoneMark(name=name + "z", polygons=(SQUARE,)),))
    assert Annotator(**QUIET, marks=marks).draw(frame()).shape == (360, 640, 3)


@pytest.mark.parametrize("size", [(1, 1), (2, 9), (16, 16), (40, 30), (64, 400), (3840, 2160)])
def test_pictures_of_every_size(size):
    marks = dataclasses.replace(MARKS, occluders=(OccluderMark(name="pillar", polygon=SQUARE),))
    for events in ([], [crossing()]):
        made = frame(events=events, size=size)
        assert Annotator(marks=marks).draw(made).shape == (size[1], size[0], 3)


def test_marks_at_and_beyond_the_edges():
    line = LineMark(name="edge", points=((0.0, 0.0), (1.0, 0.0), (1.0, 1.0)))
    beyond = LineMark(name="beyond", points=((-0.5, 0.5), (1.5, 0.6)))
    outside = ZoneMark(name="outside", polygons=(((1.5, 0.5), (1.8, 0.5), (1.8, 0.8)),))
    marks = SiteMarks(lines=(line, beyond), zones=(outside, ZoneMark(name="none", polygons=())))
    drawn = Annotator(**QUIET, marks=marks).draw(frame())
    assert (drawn[:, -1] != 90).any()


@pytest.mark.parametrize(
    ("make", "name"),
    [
        (lambda: LineMark(name="short", points=((0.1, 0.1),)), "line 'short': expected 2 points or more, found 1"),
        (lambda: LineMark(name="n", points=((0.1, math.nan), (0.2, 0.2))), "line 'n': expected points in shares"),
        (lambda: ZoneMark(name="px", polygons=(((100, 5), (200, 5), (200, 90)),)), "zone 'px': expected points in"),
        (lambda: OccluderMark(name="o", polygon=((0, 0), (1, 1))), "occluder 'o': expected 3 points or more, found 2"),
    ],
)
def test_marks_that_cannot_be_drawn_are_refused(make, name):
    with pytest.raises(ConfigError, match=name.replace("(", r"\(")):
        make()


def test_occluders_are_hatched_inside_their_outline():
    image, _ = ground(SiteMarks(occluders=(OccluderMark(name="pillar", polygon=SQUARE),)))
    touched = (image != 90).any(axis=2)
    assert 0.05 < touched[230:330, 80:240].mean() < 0.7
    assert not touched[:200].any()


def test_contacts_are_dots_hollow_where_hidden():
    boxes = [(100.0, 50.0, 140.0, 150.0), (300.0, 50.0, 340.0, 150.0), (500.0, 50.0, 540.0, 150.0)]
    made = frame(boxes=boxes, coasting=[False, False, True])
    states = np.array([ContactState.SEEN, ContactState.HIDDEN], np.int8)
    contacts = Contacts(points=np.array([(120.0, 250.0), (320.0, 250.0)]), states=states)
    made = dataclasses.replace(made, contacts=contacts)
    drawn = Annotator(**QUIET, contacts=True).draw(made)
    assert (drawn[250, 120] != 90).any()
    assert (drawn[250, 320] == 90).all()
    assert (drawn[250, 323:326] != 90).any()
    assert np.array_equal(drawn[:, 480:], Annotator(**QUIET).draw(made)[:, 480:])
    assert np.array_equal(Annotator(**QUIET).draw(made), Annotator(**QUIET, contacts=False).draw(made))
    bare = dataclasses.replace(made, contacts=None)
    assert np.array_equal(Annotator(**QUIET, contacts=True).draw(bare), Annotator(**QUIET).draw(bare))


def test_a_tag_goes_farther_off_where_objects_stand_along_its_line_and_stays_near_where_they_do_not():
    path, size = np.array([[100.0, 180.0], [540.0, 180.0]]), (90, 16)
    spots = line_spots(path, 4.0, 14.0, size[1])
    cover = np.zeros((360, 640), np.uint8)
    crowd = [(40, 150, 600, 210)]

    def chosen(boxes):
        places = TagPlaces([spots], cover, 6)
        places.see(boxes, 0.0)
        [box] = places.choose([size])
        return box

    assert not meet(chosen(crowd), crowd[0])
    x1, y1, x2, y2 = chosen([])
    assert (x1 + x2) / 2 == pytest.approx(320, abs=1)
    assert min(abs(y1 - 180), abs(y2 - 180)) <= 18
    assert chosen([(200, 150, 260, 178)]) == (x1, y1, x2, y2)
