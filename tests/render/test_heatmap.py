"""Heatmap as a picture: colours by percentile, a legend that says what they mean, areas on the ground that add up."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tracker.errors import ConfigError
from tracker.ground import Ground, Rectangle
from tracker.render.heat_scale import legend, scale_of
from tracker.render.heatmap import Plan, draw_heatmap, draw_plan

STILL = np.full((360, 640, 3), 120, np.uint8)
ABOVE = Ground(rectangle=Rectangle(corners=((0, 1), (1, 1), (1, 0), (0, 0)), width_m=16, length_m=9))
"""A camera that looks straight down on 16 x 9 m."""
SLANTED = Ground(rectangle=Rectangle(corners=((0, 1), (1, 1), (0.7, 0.4), (0.3, 0.4)), width_m=6, length_m=10))


def grid(*cells: tuple[int, int, float]) -> np.ndarray:
    found = np.zeros((36, 64))
    for row, column, value in cells:
        found[row, column] = value
    return found


def luminance(colours: np.ndarray) -> np.ndarray:
    """L* of BGR (CIE 1976)."""
    linear = (colours[..., ::-1] / 255.0) ** 2.2
    return 116 * np.cbrt(np.maximum(linear @ (0.2126, 0.7152, 0.0722), 1e-9)) - 16


def test_one_parked_car_does_not_eat_the_scale():
    values = np.concatenate([np.linspace(1, 10, 200), [100_000.0]])
    assert scale_of(values, unit="s", percentile=98).top < 10.1
    assert scale_of(values, unit="s", percentile=100).top == 100_000


def test_empty_cells_have_no_part_in_the_percentile():
    assert scale_of(grid((3, 3, 5.0), (4, 4, 7.0)), unit="s", percentile=50).top == 6.0


@pytest.mark.parametrize("percentile", [0.0, -1.0, 101.0, float("nan")])
def test_a_percentile_beyond_its_range_is_refused(percentile):
    with pytest.raises(ConfigError, match="expected a percentile above 0 and up to 100"):
        scale_of(STILL[..., 0].astype(float), unit="s", percentile=percentile)


def test_colours_rise_evenly_in_lightness():
    scale = scale_of(np.linspace(0, 9, 100), unit="s", percentile=100)
    steps = np.diff(luminance(scale.colours(9 * np.linspace(0, 1, 30)[None] ** 2)[0]))
    assert steps.min() > 0
    assert steps.max() < 3 * steps.mean()


@given(top=st.floats(1e-4, 1e9), whole=st.booleans())
def test_ticks_say_what_the_colours_are(top, whole):
    scale = scale_of(np.array([top]), unit="s", percentile=100, whole=whole)
    places = [share for share, _ in scale.ticks]
    assert places == sorted(places)
    assert (places[0], places[-1]) == (0.0, 1.0)
    for share, text in scale.ticks[1:]:
        value = float(text.split(maxsplit=1)[0])
        assert scale.shares(np.array(value * 0.999)) == pytest.approx(share, abs=0.06)
        assert not whole or value == int(value)


def test_the_still_shows_where_nothing_was_and_colour_where_something_was():
    values = grid((9, 16, 10.0))
    drawn = draw_heatmap(STILL, values, scale_of(values, unit="s", percentile=100))
    assert drawn.shape == STILL.shape
    assert len(set(drawn[340, 600].tolist())) == 1  # grey
    assert drawn[95, 165, 2] > 200
    assert luminance(drawn)[95, 165] == luminance(drawn).max()
    assert STILL.min() == 120


def test_the_legend_is_as_wide_as_the_picture_and_has_all_lines():
    scale = scale_of(np.array([3.0]), unit="s", percentile=98)
    short, long = (legend(scale, width, title="Seconds", lines=["a", "b"]) for width in (320, 1920))
    assert (short.shape[1], long.shape[1]) == (320, 1920)
    assert legend(scale, 320, title="Seconds", lines=["a"]).shape[0] < short.shape[0]
    assert short.max() > 200


def test_text_of_the_legend_can_be_read_where_the_picture_is_shown_small():
    scale = scale_of(np.array([3.0]), unit="s", percentile=98)
    own, phone, wide = (
        legend(scale, 1280, title="Seconds", lines=["a"], shown_px=shown).shape[0] for shown in (None, 320, 1280)
    )
    assert own == wide
    assert phone == pytest.approx(own * 44 / 18, rel=0.05)


@pytest.mark.parametrize("ground", [ABOVE, SLANTED])
def test_values_per_square_metre_add_up_to_the_values(ground):
    rng = np.random.default_rng(1)
    values = np.zeros((36, 64))
    values[20:34, 10:54] = rng.random((14, 44))
    plan = Plan(values, ground)
    density, seen = plan.values(40.0)
    assert plan.shown == 1
    assert density.sum() / 40.0**2 == pytest.approx(values.sum(), rel=0.02)
    assert seen.any()


def test_the_same_seconds_on_a_larger_piece_of_ground_are_fewer_per_square_metre():
    plan = Plan(grid((34, 32, 1.0), (16, 32, 1.0)), SLANTED)
    assert plan.density[34, 32] > 2 * plan.density[16, 32] > 0


def test_far_cells_are_left_out_and_said_so():
    plan = Plan(grid((34, 32, 3.0), (0, 32, 1.0)), SLANTED)  # the second is above the horizon
    assert plan.shown == 0.75
    with pytest.raises(ConfigError, match="expected time in cells of the ground up to 16 square metres each"):
        Plan(grid((0, 32, 1.0)), SLANTED)


def test_a_plan_has_the_ground_in_its_proportions_and_y_upwards():
    values = grid((1, 1, 1.0), (34, 62, 1.0), (34, 1, 100.0))
    plan = Plan(values, ABOVE)
    drawn = draw_plan(plan, scale_of(plan.density, unit="s", percentile=100))
    rows, columns = np.unravel_index(luminance(drawn[20:-60, 80:-30]).argmax(), drawn[20:-60, 80:-30].shape[:2])
    assert rows > 400
    assert columns < 100
    assert 0.5 < drawn.shape[0] / drawn.shape[1] < 0.65
