"""Log records enter, lines on stderr leave: readable ones, or one JSON object per line for machines."""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime

__all__ = ["JsonFormatter", "TextFormatter", "set_up_logging"]

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
        return f"{moment} {record.levelname.lower():<8} {said}" + (f" ({rest})" if rest else "")


def set_up_logging(style: str) -> logging.Handler:
    """Send this package's log to stderr, ``text`` or ``json``; remove the returned handler to end it."""
    handler = logging.StreamHandler()
    handler.setFormatter(JsonFormatter() if style == "json" else TextFormatter())
    logger = logging.getLogger("tracker.live")
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    logger.propagate = False
    return handler
