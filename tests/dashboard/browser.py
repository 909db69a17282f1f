"""A real browser for the page: Debian's Chromium by Playwright, with everything that it complains about collected."""

from __future__ import annotations

import contextlib
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.dashboard.fake_api import PASSWORD

if TYPE_CHECKING:
    from collections.abc import Iterator

CHROMIUM = next(
    (found for name in ("chromium", "chromium-browser", "google-chrome") if (found := shutil.which(name))), None
)
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
ALLOWED = ("Failed to load resource: the server responded with a status of",)
"""Chromium itself logs an error for every answer that is a refusal; tests that provoke one allow it."""


@dataclass
class Tab:
    """A page with what went wrong on it.

    Attributes:
        page: Playwright's page.
        address: Of the server, without a slash at its end.
        complaints: Errors and warnings of the console, exceptions, refused by the content security policy.
        refusals_expected: Whether answers of 400 and more belong to the test.
    """

    page: Any
    address: str
    complaints: list[str] = field(default_factory=list)
    refusals_expected: bool = False

    def __post_init__(self) -> None:
        self.page.on(
            "console",
            lambda one: one.type in {"error", "warning"} and self.complaints.append(f"{one.type}: {one.text}"),
        )
        self.page.on("pageerror", lambda error: self.complaints.append(f"exception: {error}"))

    def go(self, path: str) -> None:
        """Open a view and wait until nothing says that it is loading."""
        self.page.goto(self.address + path)
        self.settle()

    def settle(self) -> None:
        """Wait until the view is drawn."""
        self.page.wait_for_selector("h1")
        self.page.locator(".spinner").first.wait_for(state="detached", timeout=30_000)

    def log_in(self, name: str = "ada", password: str = PASSWORD) -> None:
        """Log in by the form."""
        self.page.goto(self.address + "/login")
        self.page.fill("input[name=username]", name)
        self.page.fill("input[name=password]", password)
        self.page.click("button[type=submit]")
        self.page.wait_for_selector("nav[aria-label]", state="attached")

    def check(self) -> None:
        """Nothing was complained about."""
        found = [one for one in self.complaints if not (self.refusals_expected and ALLOWED[0] in one)]
        assert not found, found


@contextlib.contextmanager
def chromium() -> Iterator[Any]:
    """A running browser; skips the test where there is none."""
    playwright = pytest.importorskip("playwright.sync_api", reason="needs playwright: pip install playwright")
    if CHROMIUM is None:
        pytest.skip("needs Chromium: apt-get install chromium")
    with playwright.sync_playwright() as running:
        browser = running.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield browser, running.devices
        browser.close()


@contextlib.contextmanager
def closed_and_checked() -> Iterator[list[Tab]]:
    """A list for tabs, which are closed when the block is done; none of them may have complained."""
    opened: list[Tab] = []
    yield opened
    for one in opened:
        one.page.context.close()
    for one in opened:
        one.check()


def open_tab(browser: Any, address: str, **context: Any) -> Tab:
    """A tab in a context of its own: cookies and storage are not shared."""
    settings = {"viewport": {"width": 1280, "height": 800}, "timezone_id": "Europe/Berlin", "locale": "en-GB"}
    made = browser.new_context(**(settings | context))
    made.set_default_timeout(15_000)
    return Tab(made.new_page(), address)


def axe(page: Any) -> list[str]:
    """Serious findings of axe-core, with the elements."""
    source = pytest.importorskip("axe_playwright_python", reason="needs axe-playwright-python").__path__[0]
    # A script tag would be refused by the page's policy; an evaluated file is not the page's.
    page.evaluate(f"{(Path(source) / 'axe.min.js').read_text(encoding='utf-8')}; 0")
    found = page.evaluate("axe.run(document, {resultTypes: ['violations']})")
    return [
        f"{one['id']} ({one['impact']}): {[node['target'] for node in one['nodes']][:3]} "
        f"{one['nodes'][0]['failureSummary']}"
        for one in found["violations"]
        if one["impact"] in {"serious", "critical", "moderate"}
    ]
