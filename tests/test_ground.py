"""Ground of a camera: exact where it is known, honest about its error, and wrong points are one clear line."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from demos.scenes.road import road
from tests.thorough import examples
from tracker.errors import ConfigError
from tracker.ground import Ground, GroundPoint, Rectangle
from tracker.settings.site_file import parse_site
from tracker.settings.site_words import described, doubts
from tracker.site import Site

SIZE = (1280, 720)
ON_ROAD = np.array([[28.0, 9.0], [32.0, 0.0], [70.0, 14.0], [75.0, 0.0], [50.0, 11.0], [45.0, 2.0]])


def road_shares(metres: np.ndarray) -> np.ndarray:
    size = (64, 36)  # shares are those of any size, and a small picture is soon painted
    return road(size=size, duration_s=1.0).on_picture(metres) / size


def known(count: int, *, noise_px: float = 0.0, seed: int = 0) -> tuple[GroundPoint, ...]:
    shares = road_shares(ON_ROAD[:count])
    assert ((shares >= 0) & (shares <= 1)).all()
    shares = shares + np.random.default_rng(seed).normal(0, noise_px, shares.shape) / SIZE
    return tuple(
        GroundPoint(at=tuple(at), metres=tuple(metres))
        for at, metres in zip(shares.tolist(), ON_ROAD[:count].tolist(), strict=True)
    )


@pytest.mark.parametrize("count", [4, 6])
def test_exact_points_give_the_cameras_own_homography(count: int) -> None:
    ground = Ground(points=known(count))
    metres = np.array([[25.0, 2.0], [80.0, -5.0], [200.0, 3.0]])
    assert ground.to_metres(road_shares(metres)) == pytest.approx(metres, abs=1e-6)
    assert ground.to_picture(metres) == pytest.approx(road_shares(metres), abs=1e-9)
    assert ground.residual_m == pytest.approx(0, abs=1e-7)
    assert ground.residual_share == pytest.approx(0, abs=1e-9)


def test_least_squares_are_those_of_the_picture() -> None:
    """No small change of the homography brings the points closer in the picture."""
    ground = Ground(points=known(6, noise_px=2.0))
    at, metres = (np.array([getattr(point, name) for point in ground.known]) for name in ("at", "metres"))

    def squares(matrix: np.ndarray) -> float:
        mapped = np.column_stack([metres, np.ones(len(metres))]) @ matrix.T
        return float((((mapped[:, :2] / mapped[:, 2:]) - at) ** 2).sum())

    best = squares(ground.to_picture_matrix)
    assert best == pytest.approx(len(at) * ground.residual_share**2)
    for element in range(9):
        for change in (1 - 1e-4, 1 + 1e-4):
            matrix = ground.to_picture_matrix.copy()
            matrix.flat[element] *= change
            assert squares(matrix) >= best * (1 - 1e-6)


def test_a_residual_tells_which_point_is_wrong() -> None:
    points = list(known(6))
    points[3] = GroundPoint(at=points[3].at, metres=(65.0, 0.0))  # ten metres short
    ground = Ground(points=tuple(points))
    assert ground.residual_m > 0.5
    said = " ".join(doubts(Site(ground=ground, reference_size=SIZE)))
    assert "m off where the others put it" in said
    assert "residual" in " ".join(described(Site(ground=ground, reference_size=SIZE)))


@pytest.mark.parametrize(("factor", "doubted"), [(1, False), (100, True), (0.001, True)])
def test_other_units_than_metres_are_doubted(factor: float, doubted: bool) -> None:
    points = tuple(
        GroundPoint(at=point.at, metres=(point.metres[0] * factor, point.metres[1] * factor)) for point in known(6)
    )
    said = " ".join(doubts(Site(ground=Ground(points=points), reference_size=SIZE)))
    assert ("are the numbers metres?" in said) == doubted


def test_four_points_say_that_nothing_shows_a_mistake() -> None:
    site = Site(ground=Ground(points=known(4)), reference_size=SIZE)
    assert "measure a fifth point" in " ".join(doubts(site))
    assert "1 px down the picture is" in " ".join(described(site))


def test_a_rectangle_is_four_points() -> None:
    corners = road_shares(np.array([[30.0, 5.0], [30.0, 3.0], [50.0, 3.0], [50.0, 5.0]]))
    ground = Ground(rectangle=Rectangle(corners=tuple(map(tuple, corners.tolist())), width_m=2.0, length_m=20.0))
    walked = ground.to_metres(road_shares(np.array([[30.0, 4.0], [70.0, 4.0]])))
    assert np.linalg.norm(walked[1] - walked[0]) == pytest.approx(40.0)


def test_local_scale_is_that_of_small_steps() -> None:
    ground = Ground(points=known(4))
    at = road_shares(np.array([[30.0, 1.0], [70.0, 1.0]]))
    for axis in (0, 1):
        step = np.eye(2)[axis] * 1e-6
        moved = (ground.to_metres(at + step) - ground.to_metres(at - step)) / 2e-6
        assert ground.jacobians(at)[:, :, axis] == pytest.approx(moved, rel=1e-5)
        assert ground.metres_per_share(at)[:, axis] == pytest.approx(np.linalg.norm(moved, axis=1), rel=1e-5)
    near, far = ground.metres_per_share(at)[:, 1]
    assert far > 3 * near


def test_above_the_horizon_there_is_no_ground() -> None:
    ground = Ground(points=known(4))
    assert np.isnan(ground.to_metres(np.array([[0.5, 0.0]]))).all()
    assert np.isnan(ground.to_picture(np.array([[-500.0, 0.0]]))).all()


def test_it_can_be_pickled_and_compared() -> None:
    ground = Ground(points=known(4))
    assert pickle.loads(pickle.dumps(ground)) == ground
    assert hash(ground) == hash(Ground(points=known(4)))


@settings(deadline=None, max_examples=examples(60))
@given(st.lists(st.floats(0.05, 0.95), min_size=8, max_size=8), st.integers(0, 2**31))
def test_any_points_give_a_ground_that_goes_back_and_forth_or_one_line(values: list[float], seed: int) -> None:
    metres = np.random.default_rng(seed).uniform(-50, 50, (4, 2)).tolist()
    at = np.array(values).reshape(4, 2).tolist()
    try:
        ground = Ground(
            points=tuple(GroundPoint(at=tuple(a), metres=tuple(m)) for a, m in zip(at, metres, strict=True))
        )
    except ConfigError as error:
        assert "\n" not in error.problem  # noqa: PT017 - the other outcome is checked below
        return
    assert ground.to_metres(np.array(at)) == pytest.approx(np.array(metres), abs=1e-3)


# ---- what is refused, in a file with its line ------------------------------------------------------------------------

HEAD = "ground:\n  points:\n"


def file_of(*points: str) -> str:
    return HEAD + "".join(f"    - {point}\n" for point in points)


CORNERS = "ground:\n  rectangle:\n    corners: [[0.1, 0.9], [0.9, 0.9], [%s]]\n    width_m: %s\n    length_m: 9\n"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            file_of(
                "{at: [0.1, 0.9], metres: [0, 0]}",
                "{at: [0.5, 0.7], metres: [5, 0]}",
                "{at: [0.9, 0.5], metres: [9, 3]}",
                "{at: [0.2, 0.2], metres: [0, 9]}",
            ),
            r"site.yaml:3: ground: expected four points of which no three .*, found points 1, 2 and 3 on one line",
        ),
        (
            file_of(
                "{at: [0.1, 0.9], metres: [0, 0]}",
                "{at: [0.5, 0.8], metres: [5, 0]}",
                "{at: [0.9, 0.5], metres: [9, 0]}",
                "{at: [0.2, 0.2], metres: [0, 9]}",
            ),
            r"found points 1, 2 and 3 on one line in metres",
        ),
        (file_of("{at: [0.1, 0.9], metres: [0, 0]}"), r"expected from 4 to 200 points, found 1"),
        (file_of(*["{at: [0.1, 0.9], metres: [0, 0]}"] * 4), r"found points 1 and 2 on one place in the picture"),
        (
            file_of("{at: [0.1, 1.9], metres: [0, 0]}", *["{at: [0.5, 0.7], metres: [5, 0]}"] * 3),
            r"site.yaml:3: ground: expected x and y from 0 to 1, found \(0.1, 1.9\) as point 1",
        ),
        (
            file_of("{at: [0.1, 0.9]}", *["{at: [0.5, 0.7], metres: [5, 0]}"] * 3),
            r"site.yaml:3: expected `metres`, found none",
        ),
        (file_of("{at: [0.1], metres: [0, 0]}"), r"site.yaml:3: at: expected a point as two numbers"),
        (file_of("{at: [0.1, 0.2], feet: [0, 0]}"), r"unknown key 'feet' in a point of the ground"),
        ("ground: {}\n", r"site.yaml:1: ground: expected points or a rectangle, found none of them"),
        ("ground: 7\n", r"expected `key: value` lines for ground"),
        (
            CORNERS % ("0.4, 0.5], [0.6, 0.5", 4),
            r"found that its edges 2 and 4 cross",
        ),
        (
            CORNERS % ("0.6, 0.5], [0.4, 0.5", 0),
            r"site.yaml:4: expected a number from 0.01 to 100000, found '0'",
        ),
        (
            file_of(
                "{at: [0.1, 0.9], metres: [0, 0]}",
                "{at: [0.9, 0.9], metres: [4, 0]}",
                "{at: [0.6, 0.5], metres: [0, 9]}",
                "{at: [0.4, 0.5], metres: [4, 9]}",
            ),
            r"found that the horizon would lie between them",
        ),
    ],
)
def test_what_is_wrong_is_one_line_with_its_place(text: str, expected: str) -> None:
    with pytest.raises(ConfigError, match=expected) as failure:
        parse_site(text)
    assert "\n" not in failure.value.problem
