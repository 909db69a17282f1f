"""Reports that a service writes by itself: a thread that waits for the hour and makes the page of the time before."""

from __future__ import annotations

import contextlib
import logging
import os
import threading
import time
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Self
from zoneinfo import ZoneInfo

from tracker.errors import ConfigError, TrackerError
from tracker.settings.site_file import read_site
from tracker.settings.stream import event_kind

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from tracker.report.build import Asked
    from tracker.settings.report import ReportSettings
    from tracker.settings.service import ServiceSettings
    from tracker.site import Site

__all__ = ["Due", "Reports", "check_stores", "due_at", "next_ms"]

LOOK_S = 30.0
"""How often the clock is looked at: it may be set meanwhile."""
NICENESS = 10
"""Of the thread: frames come before pages where the processor is full."""

logger = logging.getLogger("tracker.live")


@dataclass(frozen=True, slots=True, kw_only=True)
class Due:
    """A report that is due.

    Attributes:
        name: Of its files, without suffix.
        from_ms, to_ms: Its period, UTC in milliseconds.
    """

    name: str
    from_ms: int
    to_ms: int


def due_at(now_ms: int, settings: ReportSettings, zone: ZoneInfo) -> Due:
    """The last report whose hour has come.

    >>> from tracker.settings.report import ReportSettings
    >>> sunday = 1_774_767_600_000  # 2026-03-29, 09:00 in Berlin: the clocks were changed in the night
    >>> due_at(sunday, ReportSettings(folder="x"), ZoneInfo("Europe/Berlin")).name
    'report-2026-03-28'
    >>> due_at(sunday, ReportSettings(folder="x", every="week"), ZoneInfo("Europe/Berlin")).name
    'report-2026-W12'
    """
    end = _days(now_ms, settings, zone)
    begin = end - timedelta(days=7 if settings.every == "week" else 1)
    year, week, _ = begin.isocalendar()
    name = f"report-{year}-W{week:02d}" if settings.every == "week" else f"report-{begin.isoformat()}"
    return Due(name=name, from_ms=_midnight_ms(begin, zone), to_ms=_midnight_ms(end, zone))


def next_ms(now_ms: int, settings: ReportSettings, zone: ZoneInfo) -> int:
    """When the next one is due, UTC in milliseconds."""
    day = _days(now_ms, settings, zone) + timedelta(days=7 if settings.every == "week" else 1)
    return _hour_ms(day, settings, zone)


def check_stores(config: ServiceSettings) -> None:
    """Refuse reports of nothing.

    Raises:
        ConfigError: A report is asked for, and no camera has a store; sites drawn in the dashboard get one.
    """
    if config.report is not None and config.dashboard is None and not _stores(config):
        problem = "expected a store (.sqlite) among the `events` of a camera, found none"
        raise ConfigError("report", problem, "add `events: out/counts.sqlite` and a site to the cameras")


class Reports:
    """Writes the reports of a service until it is closed; one at a time.

    Args:
        settings: When and where.
        config: Gives the settings that hold now: cameras come and go with a reload.
        now_s: The clock, seconds since 1970.
    """

    def __init__(
        self,
        settings: ReportSettings,
        config: Callable[[], ServiceSettings],
        *,
        now_s: Callable[[], float] = time.time,
    ) -> None:
        self._settings, self._config, self._now_s = settings, config, now_s
        self._stop = threading.Event()
        self._tried: set[str] = set()
        self._thread = threading.Thread(target=self._run, name="reports", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._stop.set()
        # One that is being written is not waited for: its files have no names yet.
        self._thread.join(1.0)

    def _run(self) -> None:
        with contextlib.suppress(OSError, AttributeError):  # of this thread, where the system can
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICENESS)
        while not self._stop.is_set():
            try:
                self.write_due()
            except Exception:
                logger.exception("report not written")
            now_ms = round(self._now_s() * 1000)
            wait_s = (next_ms(now_ms, self._settings, self._zone()) - now_ms) / 1000
            self._stop.wait(min(max(wait_s, 0.1), LOOK_S))

    def write_due(self) -> Path | None:
        """Write the report that is due, if it is not there and was not tried yet; returns its page."""
        from tracker.report.build import NothingToReportError
        from tracker.report.write import Outputs, write_report

        folder = Path(self._settings.folder)
        due = due_at(round(self._now_s() * 1000), self._settings, self._zone())
        if due.name in self._tried or any(folder.glob(f"{due.name}*.html")):
            return None
        self._tried.add(due.name)
        try:
            asked = self._asked(due)
            folder.mkdir(parents=True, exist_ok=True)
            base = _free(folder, due.name)
            outputs = Outputs(
                page=base.with_name(f"{base.name}.html"),
                png=base.with_name(f"{base.name}.png") if self._settings.png else None,
                csv=base.with_name(f"{base.name}-csv") if self._settings.csv else None,
            )
            built = write_report(asked, outputs)
        except NothingToReportError as nothing:
            logger.info("nothing to report", extra={"report": due.name, "problem": nothing.problem})
            return None
        except (TrackerError, OSError) as failure:
            logger.error("report not written", extra={"report": due.name, "problem": str(failure)})  # noqa: TRY400
            return None
        logger.info("report", extra={"page": str(outputs.page), "events": built.events})
        return outputs.page

    def _asked(self, due: Due) -> Asked:
        from tracker.report.build import Asked, NothingToReportError
        from tracker.report.heat_section import stills_of
        from tracker.report.store import Ledger

        config = self._config()
        stores = [path for path in _stores(config) if path.exists()]
        if not stores:
            problem = "expected a store with events, found none yet"
            raise NothingToReportError("report", problem, "name one in `events` of the cameras")
        sites = _sites(config)
        models = sorted({camera.model for camera in config.cameras})
        return Asked(
            ledgers=[Ledger(path=path) for path in stores],
            zone=self._zone(),
            title=self._settings.title or "",
            streams=self._settings.only,
            from_ms=due.from_ms,
            to_ms=due.to_ms,
            sites=sites,
            stills=stills_of(sites),
            made_by=[("Model", ", ".join(models))],
        )

    def _zone(self) -> ZoneInfo:
        if self._settings.timezone is not None:
            return ZoneInfo(self._settings.timezone)
        sites = _sites(self._config())
        return ZoneInfo(next(iter(sites.values())).timezone if sites else "UTC")


def _days(now_ms: int, settings: ReportSettings, zone: ZoneInfo) -> date:
    """The day whose begin ends the last period that is due: today or yesterday, or the Monday before."""
    today = datetime.fromtimestamp(now_ms / 1000, UTC).astimezone(zone).date()
    if settings.every == "week":
        today -= timedelta(days=today.weekday())
    if _hour_ms(today, settings, zone) > now_ms:
        today -= timedelta(days=7 if settings.every == "week" else 1)
    return today


def _hour_ms(day: date, settings: ReportSettings, zone: ZoneInfo) -> int:
    hour, minute = map(int, settings.at.split(":"))
    return round(datetime(day.year, day.month, day.day, hour, minute, tzinfo=zone).timestamp() * 1000)


def _midnight_ms(day: date, zone: ZoneInfo) -> int:
    return round(datetime(day.year, day.month, day.day, tzinfo=zone).timestamp() * 1000)


def _stores(config: ServiceSettings) -> list[Path]:
    """Stores of the cameras, each once."""
    found = [
        path.replace("{name}", camera.name)
        for camera in config.cameras
        for path in camera.events
        if event_kind(path) == ".sqlite"
    ]
    return [Path(path) for path in dict.fromkeys(found)]


def _sites(config: ServiceSettings) -> dict[Path, Site]:
    """Sites of the cameras under names of theirs; one that cannot be read now is left out."""
    found: dict[Path, Site] = {}
    for camera in config.cameras:
        if camera.site is not None:
            with contextlib.suppress(TrackerError):
                found[Path(camera.site).with_name(f"{camera.name}.yaml")] = read_site(camera.site)
    return found


def _free(folder: Path, name: str) -> Path:
    """A name of which nothing is there: what an earlier try left stays."""
    number, base = 1, folder / name
    while any(folder.glob(f"{base.name}*")):
        number += 1
        base = folder / f"{name}-{number}"
    return base
