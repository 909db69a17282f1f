"""Fixtures of the dashboard's tests: a fresh fake server for each."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.dashboard.browser import Tab, closed_and_checked, open_tab
from tests.dashboard.fake_api import Fake, Server
from tests.dashboard.recorded_site import write_recording

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@pytest.fixture
def fake() -> Fake:
    return Fake()


@pytest.fixture
def served(fake: Fake) -> Iterator[str]:
    with Server(fake) as address:
        yield address


@pytest.fixture
def tab(browser: Any, served: str) -> Iterator[Callable[..., Tab]]:
    """Opens tabs on the fake server, logged in; at the end none of them may have complained."""
    with closed_and_checked() as opened:

        def open_one(name: str | None = "ada", **context: Any) -> Tab:
            one = open_tab(browser, served, **context)
            opened.append(one)
            if name:
                one.log_in(name)
            return one

        yield open_one


@pytest.fixture(scope="session")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A recording that was tracked and counted; it is only copied."""
    return write_recording(tmp_path_factory.mktemp("recorded"))


@pytest.fixture
def runs(recorded: Path, tmp_path: Path) -> Path:
    """A folder of results with that recording."""
    return Path(shutil.copytree(recorded, tmp_path / "runs"))
