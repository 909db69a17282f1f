"""Crossings, stays and journeys equal what one computes by hand."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from demos.scenes.camera import Camera, Rig
from demos.scenes.motion import Trajectory, spline, walk
from demos.scenes.passages import inside_rings, line_contacts, point_rings, presence_in_zone, side_of
from demos.scenes.script import CutOut
from demos.scenes.world import Backdrop, Scene
from tests.thorough import examples

LINE = np.array([[0.0, 0.0], [4.0, 0.0]])
SQUARE = [np.array([[0.0, 0.0], [2.0, 0.0], [2.0, 2.0], [0.0, 2.0]])]


def straight(*points: tuple[float, float, float]) -> Trajectory:
    """Through ``(time, x, y)``: at constant speed between two points, from rest to rest between more."""
    if len(points) == 2:
        (t0, x0, y0), (t1, x1, y1) = points
        speed = (x1 - x0) / (t1 - t0), (y1 - y0) / (t1 - t0)
        return spline([(t0, x0, y0, *speed), (t1, x1, y1, *speed)])
    return spline([(*point, 0.0, 0.0) for point in points])


def scene(*paths: Trajectory, duration_s: float = 4.0) -> Scene:
    camera = Camera(position_m=(0, 0, 5), yaw_rad=0, pitch_rad=0.5, focal_px=100, size=(64, 36))
    backdrop = Backdrop(
        image=np.zeros((36, 64, 3), np.uint8),
        range_m=np.full((36, 64), np.inf, np.float32),
        shadowed=np.zeros((36, 64), np.uint8),
    )
    actors = [
        CutOut(identity=n, class_id=0, trajectories=(path,), colour=(1, 2, 3)) for n, path in enumerate(paths, start=1)
    ]
    return Scene(name="test", actors=actors, rig=Rig(camera=camera), backdrop=backdrop, duration_s=duration_s)


def test_a_straight_walk_passes_at_the_computed_moment():
    # From y = -0.7 at 1 m/s: on the line at 0.7 s, onto its left.
    assert line_contacts(straight((0, 1, -0.7), (2, 1, 1.3)), LINE) == [(pytest.approx(0.7, abs=1e-12),) * 2 + (1,)]
    assert line_contacts(straight((0, 1, 0.7), (2, 1, -1.3)), LINE) == [(pytest.approx(0.7, abs=1e-12),) * 2 + (-1,)]


def test_beyond_the_ends_there_is_no_line():
    assert line_contacts(straight((0, 4.001, -1), (2, 4.001, 1)), LINE) == []
    assert line_contacts(straight((0, -0.001, -1), (2, -0.001, 1)), LINE) == []
    assert len(line_contacts(straight((0, 3.999, -1), (2, 3.999, 1)), LINE)) == 1


def test_a_curved_piece_is_solved_not_interpolated():
    times = np.array([0.0, 1.0, 2.0, 3.0])
    path = Trajectory(times_s=times, positions_m=np.stack([np.ones(4), (times - 1.3) ** 3], axis=1))
    (first, last, direction) = line_contacts(path, LINE)[0]
    assert (first, direction) == (last, 1)
    assert abs(path.position(first)[1]) < 1e-12


def test_a_touch_is_no_passage_and_a_stop_on_the_line_is_one_that_lasts():
    assert line_contacts(straight((0, 1, -1), (1, 1, 0), (2, 1, -1)), LINE) == []
    (first, last, direction) = line_contacts(straight((0, 1, -1), (1, 1, 0), (3, 1, 0), (4, 1, 1)), LINE)[0]
    # A rest-to-rest step of 1 m is nearer than 1 nm to its end for its last 18 microseconds.
    assert (first, last) == (pytest.approx(1.0, abs=1e-4), pytest.approx(3.0, abs=1e-4))
    assert direction == 1


def test_who_begins_or_ends_on_the_line_has_not_passed_it():
    assert line_contacts(straight((0, 1, 0), (2, 1, 2)), LINE) == []
    assert line_contacts(straight((0, 1, -2), (2, 1, 0)), LINE) == []


def test_a_walk_along_the_line_counts_where_it_changes_sides_only():
    along = straight((0, 0.5, -1), (1, 1, 0), (3, 3, 0), (4, 3.5, 1))
    assert [direction for _, _, direction in line_contacts(along, LINE)] == [1]
    back = straight((0, 0.5, -1), (1, 1, 0), (3, 3, 0), (4, 3.5, -1))
    assert line_contacts(back, LINE) == []
    past_the_end = straight((0, 0.5, -1), (1, 1, 0), (4, 5, 0), (5, 5, 1))
    assert line_contacts(past_the_end, LINE) == []


def test_a_vertex_counts_once():
    bent = np.array([[0.0, 0.0], [2.0, 0.0], [2.0, 3.0]])
    through = straight((0, 1.0, 1.0), (2, 3.0, -1.0))  # meets (2, 0) at 1.0 s
    assert line_contacts(through, bent) == [(pytest.approx(1.0, abs=1e-9), pytest.approx(1.0, abs=1e-9), -1)]
    # Past the outside of the corner: a touch.
    assert line_contacts(straight((0, 1.0, -1.0), (2, 3.0, 1.0)), bent) == []


def test_a_line_cut_in_two_counts_as_often_as_the_whole():
    through = straight((0, 2.0, -1.0), (2, 2.0, 1.0))
    pieces = [line_contacts(through, np.array(part)) for part in ([(0.0, 0), (2.0, 0)], [(2.0, 0), (4.0, 0)])]
    assert sum(map(len, pieces)) == len(line_contacts(through, LINE)) == 1


@settings(deadline=None)
@given(st.floats(0, 2 * math.pi), st.floats(-0.9, 0.9), st.booleans())
def test_reversing_the_line_or_the_walk_swaps_directions(angle, offset, backwards):
    turn = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    start, end = turn @ (offset, -1.0), turn @ (offset, 1.0)
    if backwards:
        start, end = end, start
    path = straight((0, *start), (2, *end))
    line = np.array([turn @ (-1.0, 0.0), turn @ (1.0, 0.0)])
    (first, _, direction), (again, _, other) = line_contacts(path, line)[0], line_contacts(path, line[::-1])[0]
    assert first == pytest.approx(1.0, abs=1e-9)
    assert again == pytest.approx(1.0, abs=1e-9)
    assert direction == (-1 if backwards else 1)
    assert other == -direction


@settings(deadline=None, max_examples=examples(25))
@given(st.integers(0, 10_000))
def test_a_random_walk_changes_the_side_of_an_endless_line_as_often_as_it_says(seed):
    rng = np.random.default_rng(seed)
    times = np.arange(0.0, 3.0, 0.05)
    path = Trajectory(times_s=times, positions_m=np.cumsum(rng.normal(0, 0.1, (len(times), 2)), axis=0))
    line = np.array([[-100.0, 0.05], [100.0, 0.05]])
    fine = np.array([side_of(path.position(t), line) for t in np.linspace(0, path.end_s, 600)])
    contacts = line_contacts(path, line)
    assert np.sign(fine[-1]) - np.sign(fine[0]) == 2 * sum(direction for _, _, direction in contacts)
    assert all(one[2] == -other[2] for one, other in pairwise(contacts))
    assert all(abs(side_of(path.position(first), line)) < 1e-9 for first, _, _ in contacts)
    assert len(contacts) >= int((np.diff(np.sign(fine)) != 0).sum())


def test_sides_of_a_bent_line():
    bent = np.array([[0.0, 0.0], [2.0, 0.0], [2.0, 3.0]])
    assert side_of(np.array([1.0, 0.5]), bent) == 0.5
    assert side_of(np.array([1.5, 1.0]), bent) == 0.5
    assert side_of(np.array([3.0, 1.0]), bent) == -1.0
    assert side_of(np.array([3.0, -1.0]), bent) == pytest.approx(-math.sqrt(2))


def test_neighbouring_zones_share_no_point():
    left, right = SQUARE, [SQUARE[0] + (2.0, 0.0)]
    for y in (0.0, 0.5, 1.999):
        point = np.array([2.0, y])
        assert inside_rings(point, left) + inside_rings(point, right) == 1
    assert inside_rings(np.array([0.0, 0.0]), left)
    assert not inside_rings(np.array([2.0, 2.0]), left)


def test_a_hole_is_outside():
    zone = point_rings([[(0, 0), (3, 0), (3, 3), (0, 3)], [(1, 1), (2, 1), (2, 2), (1, 2)]])
    assert not inside_rings(np.array([1.5, 1.5]), zone)
    path = straight((0, -0.5, 1.5), (4, 3.5, 1.5))  # 1 m/s along y = 1.5
    spells = presence_in_zone(path, zone, (0.0, 9.0))
    assert spells == [pytest.approx((0.5, 1.5), abs=1e-9), pytest.approx((2.5, 3.5), abs=1e-9)]


def test_stays_have_exact_times_and_say_how_they_began_and_ended():
    crossing = straight((-1, -1.5, 1), (4, 3.5, 1))  # x from -0.5 at 0 s: inside from 0.5 s to 2.5 s
    parked = straight((-2, 1, 1), (9, 1, 1))
    appears = straight((1, 1, 1), (2, 1, 1))
    stays = scene(crossing, parked, appears).stays({"square": SQUARE[0].tolist()})
    assert [(stay.identity, stay.began, stay.end) for stay in stays] == [
        (2, "already_inside", "open"),
        (1, "entered", "left"),
        (3, "appeared", "lost"),
    ]
    assert [(stay.entered_s, stay.left_s) for stay in stays] == [
        (0.0, 4.0),
        (pytest.approx(0.5, abs=1e-9), pytest.approx(2.5, abs=1e-9)),
        (1.0, pytest.approx(2.0)),
    ]
    assert [stay.dwell_s for stay in stays] == pytest.approx([4.0, 2.0, 1.0])


def test_a_partition_of_the_plane_holds_each_walker_in_exactly_one_zone():
    rng = np.random.default_rng(4)
    paths = [walk(points_m=rng.uniform(0.2, 3.8, (6, 2)), start_s=0.0, end_s=8.0) for _ in range(5)]
    zones = {f"{x}{y}": [(x, y), (x + 2, y), (x + 2, y + 2), (x, y + 2)] for x in (0, 2) for y in (0, 2)}
    stays = scene(*paths, duration_s=8.0).stays(zones)
    for identity in range(1, 6):
        mine = sorted((stay for stay in stays if stay.identity == identity), key=lambda stay: stay.entered_s)
        assert mine[0].entered_s == 0.0
        assert mine[-1].left_s == 8.0
        assert all(one.left_s == pytest.approx(other.entered_s, abs=1e-8) for one, other in pairwise(mine))


def test_journeys_take_the_longest_pair_of_sections():
    through = straight((0, -1, 0.5), (4, 3, 0.5))  # x = t - 1
    turns = straight((0, -1, 1.5), (2, 1, 1.5), (4, -1, 1.5))
    once = straight((0, 0.5, 0.2), (4, 1.5, 0.2))
    sections = {"west": [(0, 0), (0, 2)], "middle": [(1, 0), (1, 1)], "east": [(2, 0), (2, 2)]}
    journeys = scene(through, turns, once).od(sections)
    assert [(j.identity, j.origin, j.destination) for j in journeys] == [(1, "west", "east"), (2, "west", "west")]
    assert (journeys[0].start_s, journeys[0].end_s) == (pytest.approx(1.0), pytest.approx(3.0))
    areas = {"a": [(-0.5, 0), (0, 0), (0, 2), (-0.5, 2), (-0.5, 0)], "b": [(2, 0), (3, 0), (3, 2), (2, 2), (2, 0)]}
    assert [(j.origin, j.destination, j.start_s) for j in scene(through, turns, once).od(areas)] == [
        ("a", "b", pytest.approx(0.5)),
        # 3 u^2 - 2 u^3 = 1/4 of the way at u = 1/2 - sin(pi / 18), of 2 s.
        ("a", "a", pytest.approx(1 - 2 * math.sin(math.pi / 18))),
    ]


def test_a_crossing_has_its_place_on_the_ground_and_in_the_picture():
    one = scene(straight((0, 6, -2), (4, 6, 2)))
    crossing = one.crossings(((0.0, 0.0), (20.0, 0.0)), contacts=True)[0]
    assert crossing.position_m == pytest.approx((6.0, 0.0))
    assert crossing.time_s == pytest.approx(2.0)
    # Straight ahead of the camera: in the middle column; z = -5 m at 6 m, seen 0.5 rad below the horizon.
    below = math.atan2(5.0, 6.0) - 0.5
    assert crossing.position_px == pytest.approx((32.0, 18.0 + 100 * math.tan(below)))
    assert one.on_ground([crossing.position_px]) == pytest.approx(np.array([[6.0, 0.0]]))
    assert one.on_picture([crossing.position_m]) == pytest.approx(np.array([crossing.position_px]))
    assert crossing.contact == "outside"
    assert np.isnan(one.on_picture([(-50.0, 0.0)])).all()
