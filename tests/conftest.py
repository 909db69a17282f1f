"""What every test may ask for: the folder of real data, or a skip that says why there is none."""

from __future__ import annotations

import gc
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import settings

from tests import thorough
from tests.command import Run, runner

if TYPE_CHECKING:
    from tests.formats.postgres_server import PostgresServer

# The first is run by the system's Python, which alone has GStreamer's bindings; the second wants the originals' code.
collect_ignore = ["engine/rtsp_server.py", "export/record_originals.py"]

# A trial of every small model in a process of its own costs a second each; tests/inference/test_trial.py is about it.
os.environ.setdefault("MASKTRAIL_TRIAL", "off")

# Before a test imports ONNX Runtime by itself: tests report nothing to its makers, and their processes do not either.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

# A shell starts what runs in the background with Ctrl-C ignored, and every process of a test would inherit that.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

settings.load_profile(thorough.EXAMPLES)

ROOT = Path(__file__).resolve().parent.parent


def pytest_xdist_auto_num_workers() -> int:
    """Three workers for two cores: many tests wait for cameras, servers and processes."""
    return max(1, (os.cpu_count() or 1) * 3 // 2)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Before tests are chosen by their marks."""
    thorough.mark(items, whole=not any("::" in argument for argument in config.args))


def pytest_collection_finish() -> None:
    """Thousands of tests and what they import stay to the end: garbage is not looked for among them."""
    gc.freeze()


@pytest.fixture(scope="session")
def data_root() -> Path:
    """The folder of real clips and benchmarks; ``MASKTRAIL_DATA`` or ``../shared/data`` beside the checkout."""
    folder = Path(os.environ.get("MASKTRAIL_DATA", ROOT.parent / "shared" / "data"))
    if not (folder / "clips").is_dir():
        pytest.skip(f"no real data in {folder} (set MASKTRAIL_DATA)")
    return folder


@pytest.fixture(autouse=True)
def nothing_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    """Values that one test takes from an environment are no secrets of the next."""
    monkeypatch.setattr("tracker.errors._secrets", set())


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Call the command line in this process."""
    return runner(monkeypatch, capsys)


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """PostgreSQL from the system, or a skip that says what is missing."""
    from tests.formats.postgres_server import served

    yield from served()


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """One running Chromium for all tests that want it; a second one in this process would be refused."""
    from tests.dashboard.browser import chromium

    with chromium() as (running, devices):
        running.known_devices = devices
        yield running
