"""The live service: signals, reload, health, logs and exit status.

Recordings end it when they are done, unless there is a page, which stays until a signal.

Exit status for supervisors: 0 stopped by a signal or all recordings done, 1 a stream or an output failed for good,
2 refused to start (settings, model, outputs: starting again does not help), 3 the model failed while running.
"""

from __future__ import annotations

import contextlib
import logging
import signal
import time
from typing import TYPE_CHECKING

from tracker.errors import ConfigError
from tracker.service.cameras import LiveService
from tracker.service.drawn_sites import dashboard_folder, sites_folder, with_drawn_sites
from tracker.service.logs import faults_logged, logging_to_stderr
from tracker.service.memory import give_back, limit_pools, raise_file_limit
from tracker.service.reloading import Reloads
from tracker.service.reports import Reports, check_stores
from tracker.service.retention import Retention
from tracker.service.signals import arriving
from tracker.service.status import STUCK_S, StatusServer
from tracker.service.systemd import notify
from tracker.settings.dashboard import DashboardSettings
from tracker.settings.yaml_file import load_service_settings

if TYPE_CHECKING:
    import queue
    from pathlib import Path

    from tracker.service.viewers import Viewers
    from tracker.settings.service import ServiceSettings

__all__ = ["run_live"]

REPORT_S = 60.0
"""How often the log has a line of figures per stream."""

SAVE_S = 5.0
"""How often identities are written to disk: what a crash costs at most."""

POLL_S = 0.25

logger = logging.getLogger("tracker.live")


def run_live(path: Path, *, log: str | None = None, resume: bool = False, dashboard: bool = False) -> int:
    """Run the cameras of a file until a signal, or without a page until all of them are recordings that are done.

    Args:
        path: The YAML file; see :mod:`tracker.settings.yaml_file`.
        log: ``text`` or ``json``, over the file's own choice.
        resume: Resume recordings where an earlier run was cut off; the settings need a ``state`` folder.
        dashboard: Serve the web page with its defaults where the settings have none.

    Returns:
        The exit status; see the module.

    Raises:
        TrackerError: The settings, the model or an output cannot be used.
    """
    if log not in {None, "text", "json"}:
        problem = f"expected text or json, found {log!r}"
        raise ConfigError("--log", problem, "choose one of the two")
    config = load_service_settings(path)
    if dashboard and config.dashboard is None:
        config = config.replace(dashboard=DashboardSettings())
    if resume and config.state is None:
        raise ConfigError("--resume", "expected a folder for states, found none in the settings", "add `state: FOLDER`")
    check_stores(config)
    with logging_to_stderr(log or config.log), faults_logged(), arriving() as signals, contextlib.ExitStack() as stack:
        limit_pools()
        raise_file_limit()
        viewers = _dashboard(config, log or config.log, stack)
        service = LiveService(with_drawn_sites(config), resume=resume, onlooker=viewers)
        try:
            if viewers is not None:
                viewers.engine = service.engine
            if config.metrics is not None:
                status = StatusServer(service.engine, config.metrics)
                stack.callback(status.close)
                logger.info("status", extra={"address": f"http://{status.address}/healthz"})
            if config.retention is not None:
                stack.callback(Retention(config.retention, lambda: service.plans).close)
            notify("READY=1")
            reloads = Reloads(path, config, service, viewers)
            if config.report is not None:
                stack.enter_context(Reports(config.report, lambda: reloads.config))
            _loop(service, reloads, signals, has_page=viewers is not None)
        finally:
            notify("STOPPING=1")
            code = service.close()
        service.report()
        logger.info("stopped", extra={"status": code})
        return code


def _dashboard(config: ServiceSettings, log: str, stack: contextlib.ExitStack) -> Viewers | None:
    """The engine's side of the dashboard and its process, which live as long as the stack; ``None`` without one."""
    if config.dashboard is None:
        return None
    from tracker.service.dashboard_process import DashboardProcess
    from tracker.service.viewers import Viewers

    settings = config.dashboard.replace(folder=str(dashboard_folder(config)))
    viewers = Viewers(settings, sites=sites_folder(config))
    stack.callback(viewers.close)
    stack.callback(DashboardProcess(settings, viewers, log=log).close)
    return viewers


def _loop(service: LiveService, reloads: Reloads, signals: queue.SimpleQueue[int], *, has_page: bool) -> None:
    """Until a signal to stop, the end of all streams or a failure of the model.

    With a page only a signal ends recordings that are done: their results are what is looked at.
    """
    report_at_s = time.monotonic() + REPORT_S
    save_at_s = time.monotonic() + SAVE_S
    told = False
    while True:
        over = not service.engine.streams or service.engine.wait(POLL_S)
        if over and not (has_page and service.recordings_done):
            return
        if over and not told:
            logger.info("recordings done", extra={"dashboard": "stays until Ctrl-C or SIGTERM"})
        if over:
            time.sleep(POLL_S)
        told = over
        service.release()
        reloads.of_sites()
        if service.engine.stuck_s < STUCK_S:
            notify("WATCHDOG=1")
        if time.monotonic() >= report_at_s:
            if not over:
                service.report()
            give_back()
            report_at_s += REPORT_S
        if time.monotonic() >= save_at_s:
            service.save_states()
            save_at_s = time.monotonic() + SAVE_S
        if _stopped(reloads, signals):
            return


def _stopped(reloads: Reloads, signals: queue.SimpleQueue[int]) -> bool:
    """Whether a signal to stop has come; another one reads the file again."""
    while not signals.empty():
        number = signals.get()
        if number != getattr(signal, "SIGHUP", None):
            logger.info("stopping", extra={"signal": signal.Signals(number).name})
            return True
        reloads.from_file()
    return False
