"""Log formats on stderr: text, or one JSON object per line."""

from __future__ import annotations

import contextlib
import logging
import threading
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from tracker.errors import ConfigError, install_command, mask, mask_values, one_line, printable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from structlog.stdlib import ProcessorFormatter
    from structlog.typing import EventDict

__all__ = ["faults_logged", "formatter", "logging_to_stderr"]

LOGGERS = ("tracker.live", "tracker.dashboard")
"""Whose lines it has: the cameras' and the page's."""


def formatter(style: str) -> ProcessorFormatter:
    """What makes lines of the log's records, with the ``extra`` of the call, a traceback and the moment.

    Args:
        style: ``text``: ``14:55:01 warning  gate: camera lost (retry_s=2.0)``; the date is the journal's business.
            ``json``: one object per line, ``time``, ``level``, ``event`` and what belongs to the event.

    Raises:
        ConfigError: structlog is not installed.
    """
    try:
        from structlog.processors import JSONRenderer, format_exc_info
        from structlog.stdlib import ExtraAdder, ProcessorFormatter
    except ImportError:
        raise ConfigError("log", "expected structlog, found it is not installed", install_command("live")) from None
    render = JSONRenderer(ensure_ascii=False, default=str) if style == "json" else _text
    return ProcessorFormatter(foreign_pre_chain=[ExtraAdder()], processors=[format_exc_info, _ordered, render])


def _ordered(_: object, level: str, event: EventDict) -> EventDict:
    """Time and level before the event, the traceback after all that belongs to it."""
    moment = datetime.fromtimestamp(event.pop("_record").created, UTC).isoformat(timespec="milliseconds")
    del event["_from_structlog"]
    traceback = event.pop("exception", None)
    line = {"time": moment, "level": level, **event}
    line = line if traceback is None else {**line, "traceback": traceback}
    return {
        key: mask_values(value) if isinstance(value, str | list | tuple | dict) else value
        for key, value in line.items()
    }


def _text(_: object, __: str, line: EventDict) -> str:
    moment, level, event = line.pop("time")[11:19], line.pop("level"), line.pop("event")
    camera, traceback = line.pop("camera", None), line.pop("traceback", None)
    link = line.pop("open", None)  # at the end: a terminal would take a bracket for a part of it
    rest = ", ".join(f"{key}={value}" for key, value in line.items())
    said = f"{moment} {level:<8} " + (f"{camera}: {event}" if camera else event) + (f" ({rest})" if rest else "")
    said += f": {link}" if link else ""
    said = mask(one_line(said))  # also what became text only now; a line break would forge a line
    return said if traceback is None else f"{said}\n{printable(traceback)}"


@contextlib.contextmanager
def faults_logged() -> Iterator[None]:
    """An exception that ends a thread becomes a line of the log; Python would print a traceback between the lines."""

    def report(fault: threading.ExceptHookArgs) -> None:
        if fault.exc_value is not None:
            told = (fault.exc_type, fault.exc_value, fault.exc_traceback)
            extra = {"which": fault.thread.name if fault.thread is not None else None}
            logging.getLogger("tracker.live").critical("thread died", extra=extra, exc_info=told)

    before, threading.excepthook = threading.excepthook, report
    try:
        yield
    finally:
        threading.excepthook = before


@contextlib.contextmanager
def logging_to_stderr(style: str) -> Iterator[None]:
    """This package's log goes to stderr, ``text`` or ``json``, while the block runs, and nowhere else."""
    handler = logging.StreamHandler()
    handler.setFormatter(formatter(style))
    loggers = [logging.getLogger(name) for name in LOGGERS]
    before = [(logger.level, logger.propagate) for logger in loggers]
    for logger in loggers:
        logger.addHandler(handler)
        logger.setLevel(logging.INFO)
        logger.propagate = False
    try:
        yield
    finally:
        for logger, (level, propagate) in zip(loggers, before, strict=True):
            logger.removeHandler(handler)
            logger.setLevel(level)
            logger.propagate = propagate
