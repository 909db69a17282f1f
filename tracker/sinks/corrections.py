"""Corrections of a store: rows that are added to the edition that holds, whatever runs have written it."""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path
from typing import TYPE_CHECKING

from tracker.formats.event_rows import row_of
from tracker.formats.event_store import insertion
from tracker.sinks.editions import held_edition
from tracker.sinks.store import open_for_writing, store_refusal, transaction

if TYPE_CHECKING:
    import os
    from collections.abc import Sequence

    from tracker.events import Event

__all__ = ["add_corrections"]


def add_corrections(path: str | os.PathLike[str], events: Sequence[Event]) -> None:
    """Add ``rekeyed`` and ``reclassified`` rows; those that are there already are left.

    Args:
        path: Of the store.
        events: Of any streams of it.

    Raises:
        SinkError: The store cannot be written.
    """
    store = Path(path)
    with contextlib.closing(open_for_writing(store)) as connection:
        editions = {stream: held_edition(connection, store, stream) for stream in {one.stream for one in events}}
        rows = [row_of(event) | {"edition": editions[event.stream]} for event in events]
        try:
            with transaction(connection):
                connection.executemany(insertion(), rows)
        except sqlite3.Error as failure:
            raise store_refusal(store, failure, "add corrections") from failure
