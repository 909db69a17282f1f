"""Log formats on stderr: text, or one JSON object per line."""

from __future__ import annotations

import contextlib
import json
import logging
import threading
from datetime import UTC, datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["JsonFormatter", "TextFormatter", "faults_logged", "logging_to_stderr"]

_USUAL = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


def _fields(record: logging.LogRecord) -> dict[str, object]:
    """What the program said beyond the message: the ``extra`` of the call."""
    return {key: value for key, value in vars(record).items() if key not in _USUAL}


class JsonFormatter(logging.Formatter):
    """One object per line: ``time``, ``level``, ``event`` and what belongs to the event."""

    def format(self, record: logging.LogRecord) -> str:
        """The line of a record."""
        moment = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        line = {"time": moment, "level": record.levelname.lower(), "event": record.getMessage(), **_fields(record)}
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False, default=str)


class TextFormatter(logging.Formatter):
    """``14:55:01 warning gate: camera lost (problem, retry_s=2.0)``; the date is the journal's business."""

    def format(self, record: logging.LogRecord) -> str:
        """The line of a record."""
        extra = _fields(record)
        camera = extra.pop("camera", None)
        moment = datetime.fromtimestamp(record.created, UTC).strftime("%H:%M:%S")
        rest = ", ".join(f"{key}={value}" for key, value in extra.items())
        said = f"{camera}: {record.getMessage()}" if camera else record.getMessage()
        line = f"{moment} {record.levelname.lower():<8} {said}" + (f" ({rest})" if rest else "")
        return f"{line}\n{self.formatException(record.exc_info)}" if record.exc_info else line


@contextlib.contextmanager
def faults_logged() -> Iterator[None]:
    """What nobody caught in a thread becomes a line of the log; Python's own way is a traceback between those lines."""

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
    handler.setFormatter(JsonFormatter() if style == "json" else TextFormatter())
    logger = logging.getLogger("tracker.live")
    before = logger.level, logger.propagate
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    logger.propagate = False
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(before[0])
        logger.propagate = before[1]
