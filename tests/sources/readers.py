"""The reader threads that the running test has started; another test's, kept alive by its failure, do not count."""

from __future__ import annotations

import threading

BEFORE: set[threading.Thread] = set()


def reader_threads() -> list[threading.Thread]:
    """Source readers that came since the test began."""
    return [thread for thread in threading.enumerate() if thread.name == "source-reader" and thread not in BEFORE]
