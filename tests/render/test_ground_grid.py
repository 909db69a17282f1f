"""Grid over a still: its lines lie where metres lie, points that are off show it, and the command draws it."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from tests.analytics.grounds import FLAT
from tests.command import Run
from tracker.ground import Ground, GroundPoint
from tracker.render.ground_grid import draw_grid, grid_step_m
from tracker.settings.site_text import site_text
from tracker.site import Site

SIZE = (640, 360)


def empty() -> np.ndarray:
    return np.full((SIZE[1], SIZE[0], 3), 60, np.uint8)


def test_lines_lie_on_whole_metres() -> None:
    picture = empty()
    step = draw_grid(picture, FLAT)
    assert step == 10.0  # 64 m and some beyond, in 24 lines at most
    drawn = np.abs(picture.astype(int) - 60).max(axis=2) > 40
    columns = drawn[40:-40].mean(axis=0)
    for metres in (10.0, 20.0, 30.0, 40.0, 60.0):
        x = round(metres / 64 * SIZE[0])
        assert columns[x - 1 : x + 2].max() > 0.9
    assert columns[round(25 / 64 * SIZE[0])] < 0.5


@pytest.mark.parametrize("extent", [0.3, 7.0, 40.0, 900.0])
def test_there_are_neither_few_nor_many_lines(extent: float) -> None:
    assert 9 <= extent / grid_step_m(extent) <= 24.001


def test_a_point_that_is_off_is_joined_to_where_it_should_be() -> None:
    points = [GroundPoint(at=point.at, metres=point.metres) for point in FLAT.known]
    fine = (GroundPoint(at=(0.5, 0.5), metres=(32.0, 18.0)),)
    off = (GroundPoint(at=(0.5, 0.5), metres=(26.0, 18.0)),)
    red = []
    for extra in (fine, off):
        picture = empty()
        draw_grid(picture, Ground(points=(*points, *extra)))
        red.append(int(((picture[..., 2] > 200) & (picture[..., 0] < 90)).sum()))
    assert red[1] > red[0] + 10


def test_the_command_draws_it_on_the_still(run: Run, tmp_path: Path) -> None:
    (tmp_path / "gate.yaml").write_text(site_text(Site(ground=FLAT, reference_size=SIZE)), "utf-8")
    cv2.imwrite(str(tmp_path / "still.png"), empty())
    result = run(
        "site", "check", tmp_path / "gate.yaml", "--picture", tmp_path / "still.png", "--out", tmp_path / "grid.png"
    )
    assert result.status == 0, result.err
    assert "ground: a rectangle of 64 x 36 m" in result.out
    assert "measure a fifth point" in result.err
    drawn = cv2.imread(str(tmp_path / "grid.png"))
    assert (np.abs(drawn.astype(int) - 60).max(axis=2) > 40).mean() > 0.01
