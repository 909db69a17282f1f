"""Each test of the sources counts only the reader threads that it has started itself."""

from __future__ import annotations

import pytest

from tests.sources.readers import BEFORE, reader_threads


@pytest.fixture(autouse=True)
def _own_readers_only() -> None:
    BEFORE.clear()
    BEFORE.update(reader_threads())
