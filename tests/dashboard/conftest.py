"""Fixtures of the dashboard's tests: a fresh fake server for each."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.dashboard.browser import Tab, open_tab
from tests.dashboard.fake_api import Fake, Server

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
    opened: list[Tab] = []

    def open_one(name: str | None = "ada", **context: Any) -> Tab:
        one = open_tab(browser, served, **context)
        opened.append(one)
        if name:
            one.log_in(name)
        return one

    yield open_one
    for one in opened:
        one.page.context.close()
    for one in opened:
        one.check()
