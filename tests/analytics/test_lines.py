"""Lines: the failure modes of other counters, each with its right behaviour."""

from __future__ import annotations

import math

import numpy as np
import pytest

from tests.analytics.walks import counts, frames, of, run, through, tracked, walk
from tracker.analytics.measures import SiteMeasures
from tracker.events import Sighting
from tracker.site import Line, Site

RATES = (30.0, 25.0, 15.0, 12.5, 5.0, 4.2)


def site(*points, **options) -> Site:
    return Site(lines=(Line(name="line", points=points or ((0.2, 0.5), (0.8, 0.5)), **options),))


@pytest.mark.parametrize("fps", RATES)
def test_up_over_a_line_drawn_to_the_right_is_in(fps: float) -> None:
    events = walk(site(), {1: through((0, 0.5, 0.9), (8, 0.5, 0.1))}, fps=fps)
    (crossing,) = of(events, "crossing")
    assert (crossing.direction, crossing.identity, crossing.class_name, crossing.place) == ("in", 1, "person", "line")
    assert crossing.time_s == pytest.approx(4.0, abs=1e-5)
    assert not crossing.bridged
    assert crossing.before.y > 0.5 > crossing.after.y
    assert crossing.before.time_s < 4.0 < crossing.after.time_s


@pytest.mark.parametrize("fps", RATES)
def test_u_turn_is_one_each_way(fps: float) -> None:
    events = walk(site(), {1: through((0, 0.5, 0.8), (3, 0.5, 0.2), (6, 0.5, 0.8))}, fps=fps)
    assert [event.direction for event in of(events, "crossing")] == ["in", "out"]
    np.testing.assert_allclose([event.time_s for event in of(events, "crossing")], [1.5, 4.5], atol=0.5 / fps)


@pytest.mark.parametrize("fps", RATES)
def test_touch_and_return_is_nothing(fps: float) -> None:
    assert counts(walk(site(), {1: through((0, 0.5, 0.8), (3, 0.5, 0.5), (6, 0.5, 0.8))}, fps=fps)) == (0, 0)


@pytest.mark.parametrize("fps", RATES)
def test_walk_along_and_past_the_ends_is_nothing(fps: float) -> None:
    beside = through((0, 0.1, 0.55), (5, 0.9, 0.55), (6, 0.9, 0.45), (9, 0.1, 0.45), (10, 0.1, 0.55))
    assert counts(walk(site(), {1: beside}, fps=fps)) == (0, 0)


def test_around_the_end_and_back_through_the_line_is_one() -> None:
    around = through((0, 0.5, 0.6), (3, 0.9, 0.6), (4, 0.9, 0.4), (7, 0.5, 0.4), (9, 0.5, 0.7))
    assert counts(walk(site(), {1: around})) == (0, 1)


def test_landing_exactly_on_the_line_counts_once() -> None:
    """At 25 fps frame 50 lies on it."""
    assert counts(walk(site(), {1: through((0, 0.5, 0.9), (4, 0.5, 0.1))})) == (1, 0)
    assert counts(walk(site(), {1: through((0, 0.5, 0.1), (4, 0.5, 0.9))})) == (0, 1)


def test_through_a_corner_of_a_polyline_counts_once() -> None:
    bent = site((0.2, 0.5), (0.5, 0.5), (0.8, 0.7))
    assert counts(walk(bent, {1: through((0, 0.5, 0.9), (4, 0.5, 0.1))})) == (1, 0)
    roof = site((0.2, 0.6), (0.5, 0.4), (0.8, 0.6))
    assert counts(walk(roof, {1: through((0, 0.1, 0.4), (4, 0.9, 0.4))})) == (0, 0)
    assert counts(walk(roof, {1: through((0, 0.1, 0.5), (4, 0.9, 0.5))})) == (1, 1)


@pytest.mark.parametrize("fps", RATES)
def test_stop_on_the_line_for_a_minute(fps: float) -> None:
    rng = np.random.default_rng(4)
    base = through((0, 0.5, 0.8), (3, 0.5, 0.5), (63, 0.5, 0.5), (66, 0.5, 0.2))

    def shaky(time_s: float):
        at = base(time_s)
        return None if at is None else (at[0], at[1] + float(rng.normal(0, 0.0012)))

    assert counts(walk(site(), {1: shaky}, fps=fps, duration_s=70)) == (1, 0)


def test_one_frame_of_flicker_counts_neither_way() -> None:
    def flicker(time_s: float):
        return 0.5, 0.2 if abs(time_s - 2.0) < 0.01 else 0.8

    assert counts(walk(site(), {1: flicker})) == (0, 0)


def test_born_in_the_band_or_past_the_line_has_no_side_yet() -> None:
    assert counts(walk(site(), {1: through((0, 0.5, 0.501), (4, 0.5, 0.1))})) == (0, 0)
    assert counts(walk(site(), {1: through((0, 0.5, 0.45), (4, 0.5, 0.1))})) == (0, 0)


@pytest.mark.parametrize("fps", RATES)
def test_twelve_metres_a_frame(fps: float) -> None:
    """In view for one frame on each side."""
    step = 1 / fps
    fast = through((0, 0.5, 0.95), (step, 0.5, 0.05))
    (crossing,) = of(walk(site(), {1: fast}, fps=fps, duration_s=6), "crossing")
    assert (crossing.direction, crossing.time_s) == ("in", pytest.approx(step / 2, abs=1e-6))


def test_simultaneous_crossings_all_count() -> None:
    paths = {number: through((0, 0.2 + 0.02 * number, 0.9), (4, 0.2 + 0.02 * number, 0.1)) for number in range(1, 26)}
    assert counts(walk(site(), paths)) == (25, 0)


@pytest.mark.parametrize("fps", RATES)
def test_line_three_pixels_from_the_edge(fps: float) -> None:
    """A contact point needs no room before the line; drawn downwards, its left is the screen's right."""
    edge = site((3 / 1280, 0.0), (3 / 1280, 1.0))
    assert counts(walk(edge, {1: through((0, 0.0, 0.5), (0.5, 0.0, 0.5), (5, 0.8, 0.5))}, fps=fps)) == (1, 0)
    assert counts(walk(edge, {1: through((0, 0.8, 0.5), (4.5, 0.0, 0.5), (5, 0.0, 0.5))}, fps=fps)) == (0, 1)


@pytest.mark.parametrize("turn", range(0, 360, 15))
@pytest.mark.parametrize("fps", [pytest.param(25.0, marks=pytest.mark.slow), 5.0])
def test_all_orientations_and_both_directions(turn: int, fps: float) -> None:
    """Aspect included: angles are those of the screen."""

    def place(along: float, across: float) -> tuple[float, float]:
        x = 0.3 * (along * math.cos(math.radians(turn)) - across * math.sin(math.radians(turn)))
        y = 0.3 * (along * math.sin(math.radians(turn)) + across * math.cos(math.radians(turn)))
        return 0.5 + x * 720 / 1280, 0.5 + y

    line = Site(lines=(Line(name="line", points=(place(-1, 0), place(1, 0))),))
    to_left = through((0, *place(0.3, 1)), (3, *place(-0.2, -1)))
    to_right = through((0, *place(-0.3, -1)), (3, *place(0.2, 1)))
    assert counts(walk(line, {1: to_left}, fps=fps)) == (1, 0)
    assert counts(walk(line, {1: to_right}, fps=fps)) == (0, 1)


def test_an_identity_switch_on_the_line_is_one_passage() -> None:
    first = through((0, 0.5, 0.8), (3, 0.5, 0.501))
    second = through((3.04, 0.5, 0.499), (6, 0.5, 0.1))
    [crossing] = of(walk(site(), {1: first, 2: second}), "crossing")
    assert (crossing.identity, crossing.direction, crossing.bridged) == (2, "in", True)
    assert crossing.time_s == pytest.approx(3.0, abs=0.05)


@pytest.mark.parametrize(
    ("start_s", "x"),
    [
        pytest.param(3.6, 0.5, id="later"),
        pytest.param(3.04, 0.55, id="elsewhere"),
    ],
)
def test_who_appears_later_or_elsewhere_carries_nobody_on(start_s: float, x: float) -> None:
    first = through((0, 0.5, 0.8), (3, 0.5, 0.5))
    second = through((start_s, x, 0.499), (start_s + 3, x, 0.1))
    assert counts(walk(site(), {1: first, 2: second})) == (0, 0)


def test_who_comes_back_after_an_identity_switch_does_not_count_twice() -> None:
    def first(time_s: float):
        return None if 3 < time_s < 4 or time_s > 6 else (0.5, 0.8 - 0.1 * time_s)

    second = through((3.04, 0.5, 0.496), (3.9, 0.5, 0.41))
    assert counts(walk(site(), {1: first, 2: second})) == (1, 0)


def test_numbers_that_change_on_the_line_count_nothing() -> None:
    """Somebody stands on the line for a minute and goes by a new number every second, then goes back."""
    paths = {1: through((0, 0.5, 0.8), (2.96, 0.5, 0.502))}
    for number in range(2, 62):
        start_s = number + 1.0
        paths[number] = through((start_s, 0.5, 0.498 + 0.004 * (number % 2)), (start_s + 0.96, 0.5, 0.5))
    paths[62] = through((63, 0.5, 0.502), (66, 0.5, 0.8))
    assert counts(walk(site(), paths, duration_s=70)) == (0, 0)


@pytest.mark.parametrize("fps", [25.0, 12.5, 4.2])
def test_swaying_less_than_a_share_of_the_height_is_none(fps: float) -> None:
    """Boxes are 60 px high: 2 px to either side are 3 %, 5 px are 8 %."""

    def sways(pixels: float):
        return lambda time_s: (0.5, 0.8 - 0.1 * time_s if time_s < 3 else 0.5 + pixels / 720 * math.cos(time_s * 2))

    seen = {pixels: frames({1: sways(pixels)}, fps=fps, duration_s=30) for pixels in (2.0, 5.0)}
    few, many = (counts(run(site(), seen[pixels])) for pixels in (2.0, 5.0))
    assert few == (0, 0)
    assert min(many) >= 5  # a stride to either side is a passage each


@pytest.mark.parametrize("fps", [25.0, 12.5, 4.2])
def test_a_visit_of_half_a_second_is_two_passages_at_every_rate(fps: float) -> None:
    path = through((0, 0.5, 0.9), (2, 0.5, 0.5), (2.25, 0.5, 0.45), (2.5, 0.5, 0.5), (4.5, 0.5, 0.9))
    assert counts(walk(site(), {1: path}, fps=fps)) == (1, 1)


def test_lost_on_one_side_and_found_on_the_other_is_bridged() -> None:
    def path(time_s: float):
        return None if 1.0 < time_s < 2.0 or time_s > 4 else (0.5, 0.9 - 0.2 * time_s)

    (crossing,) = of(walk(site(), {1: path}), "crossing")
    assert crossing.bridged
    assert crossing.time_s == pytest.approx(2.0, abs=0.05)


def test_coasted_points_never_fire() -> None:
    measures = SiteMeasures(site(), stream="cam")
    events = []
    for index in range(100):
        y = 0.9 - 0.02 * index
        seen = {1: (0.5, y)} if y > 0.55 else {}
        coasting = {1: (0.5, y)} if 0.2 < y <= 0.55 else None
        events += measures.process(tracked(index, index / 25, seen, coasting=coasting, ended=[1] if y < -0.5 else []))
    assert counts(events) == (0, 0)


def test_three_seconds_without_frames_is_a_gap_and_the_crossing_is_bridged() -> None:
    path = through((0, 0.5, 0.9), (8, 0.5, 0.1))
    stream = (frame for frame in frames({1: path}, fps=25, duration_s=10) if not 2.5 < frame.frame.time_s < 5.5)
    events = run(site(), stream)
    (gap,) = of(events, "gap")
    assert (gap.since_s, gap.time_s, gap.identity) == (2.48, 5.52, 0)
    (crossing,) = of(events, "crossing")
    assert (crossing.direction, crossing.bridged) == ("in", True)
    assert crossing.time_s == pytest.approx(4.0, abs=1e-6)


def test_variable_frame_rate() -> None:
    path = through((0, 0.5, 0.9), (8, 0.5, 0.1))
    rng = np.random.default_rng(1)
    stream = [frame for frame in frames({1: path}, fps=25, duration_s=12) if rng.random() < 0.4]
    (crossing,) = of(run(site(), iter(stream)), "crossing")
    assert crossing.time_s == pytest.approx(4.0, abs=1e-6)


def test_classes_that_do_not_count_and_reclassification() -> None:
    only_cars = site(classes=("car",))
    stream = [tracked(n, n / 25, {1: (0.5, 0.9 - n / 125)}, classes={1: 2 if n < 60 else 0}) for n in range(100)]
    stream.append(tracked(100, 4.0, {}, ended=[1]))
    events = run(only_cars, iter(stream))
    (crossing,) = of(events, "crossing")
    assert crossing.class_name == "car"
    (moved,) = of(events, "reclassified")
    assert (moved.identity, moved.was_class, moved.class_name) == (1, "car", "person")
    stream = [tracked(n, n / 25, {1: (0.5, 0.9 - n / 125)}) for n in range(100)]
    assert counts(run(only_cars, iter(stream))) == (0, 0)


def test_evidence_is_in_shares_of_the_picture() -> None:
    (crossing,) = of(walk(site(), {1: through((0, 0.5, 0.9), (4, 0.5, 0.1))}), "crossing")
    x = pytest.approx(0.5, abs=1e-6)
    assert crossing.before == Sighting(time_s=1.96, x=x, y=pytest.approx(0.508, abs=1e-6))
    assert crossing.after == Sighting(time_s=2.04, x=x, y=pytest.approx(0.492, abs=1e-6))


def test_identities_begin_and_end_once() -> None:
    events = walk(site(), {1: through((0, 0.5, 0.9), (4, 0.5, 0.1)), 2: through((1, 0.1, 0.1), (2, 0.1, 0.2))})
    starts = {event.identity: event.time_s for event in of(events, "identity_start")}
    ends = {event.identity: (event.since_s, event.time_s) for event in of(events, "identity_end")}
    assert starts == {1: 0.0, 2: 1.0}
    assert ends == {1: (0.0, 4.0), 2: (1.0, 2.0)}
    assert len(of(events, "identity_start")) == len(of(events, "identity_end")) == 2


@pytest.mark.parametrize("fps", RATES)
def test_a_line_beside_the_pictures_edge_has_the_band_that_is_left(fps: float) -> None:
    """Boxes are 60 px high: their band of 3 px does not fit between the edge and a line 4 px from it."""
    line = Site(lines=(Line(name="line", points=((4 / 1280, 0.9), (4 / 1280, 0.1))),))
    out = through((0, 0.3, 0.5), (3, 0.001, 0.5), (4, 0.001, 0.5))
    assert sum(counts(walk(line, {1: out}, fps=fps))) == 1
