"""Retention in a service: a thread that deletes what is too old, a little at a time."""

from __future__ import annotations

import logging
import re
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tracker.errors import TrackerError, mask
from tracker.formats.event_store import store_kind
from tracker.sinks.base import file_of
from tracker.sinks.retention import DAY_MS, prune

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from pathlib import Path

    from tracker.engine.plan import StreamPlan
    from tracker.settings.retention import RetentionSettings

__all__ = ["Kept", "Retention", "kept_of", "old_files"]

FIRST_S = 60.0
"""Wait for the first look: a start has other things to do."""
PATTERNS = {"{time}": r"[0-9]{8}T[0-9]{6}Z", "{frame}": "[0-9]{6,}", "{image}": ".+"}

logger = logging.getLogger("tracker.live")


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """What one stream writes, by kind.

    Attributes:
        pictures: Patterns of videos and pictures.
        events: Patterns of event files.
        records: Patterns of other files.
        stores: Ledgers.
    """

    pictures: tuple[Path, ...] = ()
    events: tuple[Path, ...] = ()
    records: tuple[Path, ...] = ()
    stores: tuple[Path, ...] = ()


def kept_of(plan: StreamPlan) -> Kept:
    """The outputs of a stream that are files, by kind; patterns are those that stand for several files."""
    found: dict[str, list[Path]] = {"pictures": [], "events": [], "records": [], "stores": []}
    for output, kind in zip(plan.outputs, plan.sink_classes, strict=True):
        path = file_of(output)
        if path is None:
            continue
        if kind.has_editions:
            found["stores"].append(path)
        elif any(placeholder in path.name for placeholder in PATTERNS):
            what = "pictures" if kind.needs_images else "events" if output in plan.events else "records"
            found[what].append(path)
    return Kept(**{what: tuple(paths) for what, paths in found.items()})


def old_files(pattern: Path, before_s: float, *, tables: bool = False) -> Iterator[Path]:
    """Files that a pattern gives names to and that were changed last before a time, ``time.time()``.

    Parts that are being written have other names until they are complete.

    Args:
        pattern: Path with placeholders in its name.
        before_s: The time.
        tables: Also the tables of identities beside such files.
    """
    expression = re.escape(pattern.name)
    for placeholder, fits in PATTERNS.items():
        expression = expression.replace(re.escape(placeholder), fits)
    stem, dot, suffixes = expression.partition(r"\.")
    numbered = re.compile(rf"{stem}(-[0-9]+)?{dot}{suffixes}")  # a second part of one second
    beside = re.compile(rf"{stem}(-[0-9]+)?\.identities\.[a-z]+")  # of records: their table of identities
    try:
        entries = sorted(pattern.parent.iterdir())
    except OSError:
        return
    for entry in entries:
        if not numbered.fullmatch(entry.name) and not (tables and beside.fullmatch(entry.name)):
            continue
        try:
            if entry.is_file() and not entry.is_symlink() and entry.stat().st_mtime < before_s:
                yield entry
        except OSError:
            continue


class Retention:
    """A thread that deletes what is too old, until it is closed.

    Args:
        settings: How long what is kept.
        plans: The streams that are there now.
        first_s: Wait for the first look.
    """

    def __init__(
        self, settings: RetentionSettings, plans: Callable[[], Sequence[StreamPlan]], *, first_s: float = FIRST_S
    ) -> None:
        self.settings = settings
        self._plans, self._first_s = plans, first_s
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="retention", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop after the present batch."""
        self._stop.set()
        self._thread.join(10)

    def look(self) -> None:
        """Delete what is too old, now."""
        settings, now_s = self.settings, time.time()
        kept = [kept_of(plan) for plan in self._plans()]
        for what, days in (
            ("pictures", settings.pictures_days),
            ("events", settings.events_days),
            ("records", settings.records_days),
        ):
            if days is not None:
                patterns = dict.fromkeys(path for one in kept for path in getattr(one, what))
                self._delete(what, patterns, now_s - days * 86_400)
        for store in dict.fromkeys(path for one in kept for path in one.stores):
            self._prune(store, now_s)

    def _run(self) -> None:
        wait_s = min(self._first_s, self.settings.every_s)
        while not self._stop.wait(wait_s):
            wait_s = self.settings.every_s
            try:
                self.look()
            except Exception as failure:  # tried again at the next look; the cameras go on
                logger.exception("retention", extra={"problem": f"{type(failure).__name__}: {failure}"})

    def _delete(self, what: str, patterns: Iterable[Path], before_s: float) -> None:
        for pattern in patterns:
            deleted = 0
            for path in old_files(pattern, before_s, tables=what == "records"):
                if self._stop.is_set():
                    break
                try:
                    path.unlink()
                    deleted += 1
                except OSError as failure:
                    problem = f"expected to delete {path}, found: {failure.strerror}"
                    logger.warning("retention", extra={"problem": problem})
            if deleted:
                logger.info("deleted by age", extra={"kind": what, "files": deleted, "pattern": str(pattern)})

    def _prune(self, store: Path, now_s: float) -> None:
        settings, now_ms = self.settings, round(now_s * 1000)
        if settings.events_days is None and settings.bins_days is None:
            return
        try:
            if store_kind(store) != "ours":
                return  # not there yet, or none of ours: its output says so
            done = prune(
                store,
                events_before_ms=_before(now_ms, settings.events_days),
                bins_before_ms=_before(now_ms, settings.bins_days),
                stop=self._stop,
            )
        except (TrackerError, OSError) as failure:
            logger.warning("retention", extra={"problem": mask(str(failure))})
            return
        if done.events or done.bins:
            extra = {"store": str(store), "events": done.events, "counted": done.counted, "bins": done.bins}
            logger.info("deleted by age", extra=extra)


def _before(now_ms: int, days: float | None) -> int | None:
    """The time before which something is too old."""
    return None if days is None else now_ms - round(days * DAY_MS)
