"""Scenes that several test files look at, built once."""

from __future__ import annotations

import pytest

from demos.scenes.road import road
from demos.scenes.shop import shop

SIZE = (320, 180)


@pytest.fixture(scope="session")
def small_road():
    return road(seed=5, size=SIZE, duration_s=12.0)


@pytest.fixture(scope="session")
def small_shop():
    return shop(seed=5, size=SIZE, duration_s=12.0)
