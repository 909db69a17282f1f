"""Door, checkout, junction and car park: what they promise, whatever the seed, and bodies that never touch."""

from __future__ import annotations

import importlib
from collections import Counter
from itertools import pairwise

import numpy as np
import pytest

from demos.scenes.bays import BAYS_M, bays, occupied_bays
from demos.scenes.checkout import HEAD_M, SLOT_M, TILL_M, checkout, customers
from demos.scenes.door import DOOR_M, FRONT_M, door
from demos.scenes.junction import ARMS, TURNS, junction
from demos.scenes.motion import Pose, spline
from demos.scenes.occupancy import area_m2, covered_share, intersection, occupied
from demos.scenes.vehicles import KINDS, Vehicle
from demos.scenes.walkers import Walker

SIZE = (160, 90)
near = pytest.approx


@pytest.fixture(scope="module", params=[0, 3])
def seed(request):
    return request.param


def directions(scene, line) -> Counter[tuple[int, int]]:
    return Counter((one.identity, one.direction) for one in scene.crossings(line))


@pytest.mark.quick("door")
@pytest.mark.parametrize("build", [bays, checkout, door, junction])
def test_the_same_seed_gives_the_same_pixels_and_another_one_others(build):
    first = build(seed=1, size=SIZE, duration_s=12.0).render(6.0)
    importlib.import_module(build.__module__)._backdrop.cache_clear()
    again = build(seed=1, size=SIZE, duration_s=12.0).render(6.0)
    np.testing.assert_array_equal(first.image, again.image)
    np.testing.assert_array_equal(first.truth.labels, again.truth.labels)
    assert (build(seed=2, size=SIZE, duration_s=12.0).render(6.0).image != first.image).any()
    assert first.truth.areas_px.sum() > 50


# ---- door ----------------------------------------------------------------------------------------------------------


def test_ten_go_in_and_four_go_out(seed):
    scene = door(seed=seed, size=SIZE)
    assert directions(scene, DOOR_M) == Counter(
        {(1, 1): 1, (2, 1): 1, (3, 1): 1, (4, 1): 1, (5, 1): 1, (6, 1): 1, (7, 1): 2, (8, 1): 1, (10, 1): 1}
        | {(6, -1): 1, (7, -1): 1, (9, -1): 1, (10, -1): 1}
    )
    assert all(abs(one.position_m[0] - FRONT_M) < 1e-9 for one in scene.crossings(DOOR_M))


def test_roles_and_groups_of_the_door(seed):
    scene = door(seed=seed, size=SIZE)
    assert {identity for identity, role in scene.plan.roles.items() if role == "staff"} == {9, 10}
    assert scene.plan.roles[7] == "re-entry"
    moments = {one.identity: one.time_s for one in scene.crossings(DOOR_M) if one.direction == 1}
    for group in scene.plan.groups:
        times = sorted(moments[identity] for identity in group)
        assert times[-1] - times[0] < 2.0
        # At most 1.5 m apart for the two seconds before the first of them goes in.
        for back in np.linspace(0.0, 2.0, 9):
            places = np.array([_place(scene, identity, times[0] - back) for identity in group])
            assert all(np.linalg.norm(places - place, axis=1).max() < 1.5 for place in places)
    assert scene.plan.groups == ((1, 2, 3), (4, 5))


def _place(scene, identity: int, time_s: float) -> np.ndarray:
    actor = scene.actors[identity - 1]
    return next(path.at(time_s) for path in actor.trajectories if path.at(time_s) is not None).position_m


def test_passers_by_and_the_hesitant_pass_the_arcade_and_not_the_door(seed):
    scene = door(seed=seed, size=SIZE)
    passing = directions(scene, scene.plan.lines_m["passing"])
    assert {who: way for (who, way) in passing if who >= 12} == {12: 1, 13: -1, 14: -1, 15: 1, 16: 1}
    nearest = max(scene.actors[10].trajectories[0].positions_m[:, 0])
    assert nearest == near(FRONT_M - 0.5, abs=1e-9)


@pytest.mark.quick("0")
def test_nobody_appears_or_vanishes_in_sight(seed):
    scene = door(seed=seed, size=(320, 180))
    ends = [
        (actor.identity, moment)
        for actor in scene.actors
        for path in actor.trajectories
        for moment in (path.start_s, path.end_s)
        if 0 < moment < scene.duration_s
    ]
    assert len(ends) >= 15
    for identity, moment in ends:
        truth = scene.truth(moment)
        assert not truth.areas_px[truth.ids == identity].any(), (identity, moment)


@pytest.mark.slow
def test_the_contact_is_hidden_where_the_front_hides_it():
    scene = door(seed=0, size=(320, 180))
    inside = [truth for truth in scene.truths(2) if (truth.positions_m[:, 0] > FRONT_M + 2).any()]
    states = {truth.contact(int(truth.ids[row])) for truth in inside for row in range(len(truth))}
    assert states >= {"seen", "hidden"}


# ---- checkout ------------------------------------------------------------------------------------------------------


def test_customers_stand_where_their_history_says(seed):
    for one in customers(seed, 9):
        assert one.path.at(one.joined_s).position_m[0] == near(HEAD_M[0])
        slot = (one.path.at(one.joined_s).position_m[1] - HEAD_M[1]) / SLOT_M
        assert slot == near(round(slot), abs=1e-9)
        assert np.hypot(*one.path.at(one.joined_s).velocity_m_s) == near(0.0, abs=1e-9)
        if one.served_s is not None:
            for moment in (one.served_s, (one.served_s + one.left_s) / 2, one.left_s):
                assert one.path.at(moment).position_m == near(TILL_M)


def test_service_is_one_after_another_and_one_customer_gives_up(seed):
    history = customers(seed, 9)
    served = [one for one in history if one.served_s is not None]
    assert [one.identity for one in history if one.served_s is None] == [6]
    assert all(later.served_s > earlier.left_s for earlier, later in pairwise(served))
    assert all(4.5 <= one.left_s - one.served_s <= 7.0 for one in served)
    assert all(one.served_s > one.joined_s for one in served)


@pytest.mark.quick("0")
def test_stays_in_queue_and_service_frame_the_history(seed):
    scene = checkout(seed=seed, size=SIZE, duration_s=90.0)
    stays = {(stay.zone, stay.identity): stay for stay in scene.stays(scene.plan.zones_m)}
    for one in customers(seed, 9):
        if one.joined_s < 2:
            continue
        queue = stays["queue", one.identity]
        assert queue.entered_s < one.joined_s < queue.left_s
        if one.served_s is None:
            assert ("service", one.identity) not in stays
            assert stays["queue", one.identity].left_s == near(one.left_s, abs=2.0)
            assert stays["queue", one.identity].left_s > one.left_s
        else:
            service = stays["service", one.identity]
            assert service.entered_s < one.served_s < one.left_s < service.left_s
    journeys = {one.identity: (one.origin, one.destination) for one in scene.od(scene.plan.sections_m)}
    assert 6 not in journeys
    assert set(journeys.values()) == {("queue", "service")}


@pytest.mark.parametrize("number", range(6))
def test_customers_keep_their_distance(number):
    history = customers(number, 9)
    for moment in np.arange(0.0, 80.0, 0.2):
        places = [one.path.at(moment).position_m for one in history if one.path.at(moment) is not None]
        for index, place in enumerate(places):
            assert all(np.linalg.norm(place - other) > 0.45 for other in places[:index]), moment


# ---- junction ------------------------------------------------------------------------------------------------------


@pytest.mark.quick("0")
def test_every_turn_occurs_and_flows_equal_what_was_driven(seed):
    scene = junction(seed=seed, size=SIZE)
    arms, turns = list(ARMS), Counter()
    for one in scene.od(scene.plan.sections_m):
        path = scene.actors[one.identity - 1].trajectories[0]
        first, last = path.positions_m[0], path.positions_m[-1]
        assert np.argmax([first @ np.array(ARMS[arm]) for arm in arms]) == arms.index(one.origin)
        assert np.argmax([last @ np.array(ARMS[arm]) for arm in arms]) == arms.index(one.destination)
        steps = (arms.index(one.destination) - arms.index(one.origin)) % 4
        turns[next(turn for turn, count in TURNS.items() if count == steps)] += 1
    assert set(turns) == set(TURNS)
    assert turns.total() >= 15


@pytest.mark.quick("0")
def test_who_goes_in_comes_out_through_the_box(seed):
    scene = junction(seed=seed, size=SIZE, duration_s=60.0)
    vehicles = {actor.identity for actor in scene.actors if isinstance(actor, Vehicle)}
    box = [stay for stay in scene.stays(scene.plan.zones_m) if stay.began == "entered" and stay.end == "left"]
    ways = Counter()
    for name in ARMS:
        for one in scene.crossings(scene.plan.lines_m[name]):
            assert one.identity in vehicles
            ways[one.identity, one.direction] += 1
    assert set(ways.values()) == {1}
    assert {stay.identity for stay in box} >= {who for who, way in ways if way == 1 and (who, -1) in ways}
    walkers = {actor.identity for actor in scene.actors if isinstance(actor, Walker)}
    crossed = [one.identity for name in ARMS for one in scene.crossings(scene.plan.lines_m[f"{name} zebra"])]
    assert sorted(crossed) == sorted(walkers)


@pytest.mark.quick("3-junction")
@pytest.mark.parametrize("build", [bays, junction])
def test_vehicles_never_touch(build, seed):
    vehicles = [actor for actor in build(seed=seed, size=SIZE).actors if isinstance(actor, Vehicle)]
    assert len(vehicles) >= 10
    for moment in np.arange(0.0, 40.0, 0.5):
        poses = [(one, path.at(moment)) for one in vehicles for path in one.trajectories]
        shapes = [one.footprint(pose) for one, pose in poses if pose is not None]
        for number, shape in enumerate(shapes):
            for other in shapes[:number]:
                if np.linalg.norm(shape.mean(axis=0) - other.mean(axis=0)) < 9:
                    assert len(intersection(shape, other)) < 3, moment


# ---- car park ------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_bays_fill_and_empty_as_cars_come_and_go(seed):
    scene = bays(seed=seed, size=SIZE)
    found = occupied_bays(scene)
    stays = [stay for stay in scene.stays(BAYS_M) if stay.dwell_s > 2]
    assert Counter(stay.zone for stay in stays) == Counter({name: len(spans) for name, spans in found.items() if spans})
    for stay in stays:
        low, high = found[stay.zone][0]
        assert (low, high) == (near(stay.entered_s, abs=0.8), near(stay.left_s, abs=0.8))
    kinds = Counter((stay.began, stay.end) for stay in stays)
    assert kinds == Counter({("already_inside", "open"): 4, ("already_inside", "left"): 3, ("entered", "open"): 3})


def test_areas_and_intersections_by_hand():
    square = np.array([[0.0, 0], [2, 0], [2, 2], [0, 2]])
    assert area_m2(square[::-1]) == -4.0
    moved = intersection(square, square + np.array([1.0, 0.5]))
    assert area_m2(moved) == near(1.0 * 1.5)
    diamond = np.array([[1.0, -1], [3, 1], [1, 3], [-1, 1]])
    assert area_m2(intersection(diamond, square)) == near(4.0)
    assert area_m2(intersection(square, diamond[::-1])) == near(4.0)
    assert len(intersection(square, square + 5.0)) == 0


def test_a_car_that_rolls_into_a_bay_covers_it_as_computed():
    # A sedan, 4.65 x 1.82 m, drives at 1 m/s along x; its front is 2.325 m ahead of its middle.
    path = spline([(0.0, -5.0, 0.0, 1.0, 0.0), (10.0, 5.0, 0.0, 1.0, 0.0)])
    car = Vehicle(identity=1, kind="sedan", colour=(90, 90, 90), trajectories=(path,))
    bay = ((0.0, -1.25), (5.0, -1.25), (5.0, 1.25), (0.0, 1.25))
    length, width, _ = KINDS["sedan"].size_m
    assert (length, width) == (4.65, 1.82)
    # At 4.0 s the middle is at -1.0 and the front at 1.325: 1.325 x 1.82 of 5.0 x 2.5 m2.
    assert covered_share([car], bay, 4.0) == near(1.325 * 1.82 / 12.5)
    # 30 % are 3.75 m2: 2.0604 m deep, when the middle is at 2.0604 - 2.325.
    ((low, high),) = occupied([car], {"bay": bay}, 12.0)["bay"]
    assert low == near(5.0 + 3.75 / 1.82 - 2.325, abs=2e-6)
    # The way on ends at x = 5 with 2.325 m inside: more than 30 % until it is gone.
    assert high == near(10.0, abs=2e-6)


def test_footprints_have_the_size_of_their_kind():
    pose = Pose(position_m=np.array([3.0, 4.0]), velocity_m_s=np.zeros(2), heading_rad=np.pi / 2, distance_m=0.0)
    car = Vehicle(identity=1, kind="van", colour=(1, 2, 3), trajectories=())
    length, width, _ = KINDS["van"].size_m
    shape = car.footprint(pose)
    assert shape.min(axis=0) == near([3 - width / 2, 4 - length / 2])
    assert shape.max(axis=0) == near([3 + width / 2, 4 + length / 2])
    assert area_m2(shape) == near(length * width)
