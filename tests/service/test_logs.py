"""Lines for people and for machines, and threads that die."""

from __future__ import annotations

import json
import logging
import sys
import threading

import pytest

from tracker.errors import ConfigError
from tracker.service.logs import faults_logged, formatter, logging_to_stderr


@pytest.fixture
def record() -> logging.LogRecord:
    record = logging.makeLogRecord({"msg": "camera lost", "levelname": "WARNING", "created": 1_800_000_000.25})
    record.camera, record.retry_s = "gate", 2.0
    return record


def test_one_object_per_line_for_machines(record) -> None:
    line = formatter("json").format(record)
    assert "\n" not in line
    assert json.loads(line) == {
        "time": "2027-01-15T08:00:00.250+00:00",
        "level": "warning",
        "event": "camera lost",
        "camera": "gate",
        "retry_s": 2.0,
    }


def test_the_camera_first_for_people(record) -> None:
    assert formatter("text").format(record) == "08:00:00 warning  gate: camera lost (retry_s=2.0)"


def test_fields_keep_their_order_and_a_traceback_comes_last(record) -> None:
    with pytest.raises(LookupError) as raised:
        raise LookupError
    record.exc_info = raised.type, raised.value, raised.tb
    record.problem = "ü"
    line = formatter("json").format(record)
    assert list(json.loads(line)) == ["time", "level", "event", "camera", "retry_s", "problem", "traceback"]
    assert '"problem": "ü"' in line
    first, second, *_, last = formatter("text").format(record).splitlines()
    assert first == "08:00:00 warning  gate: camera lost (retry_s=2.0, problem=ü)"
    assert (second, last) == ("Traceback (most recent call last):", "LookupError")


def test_without_structlog_there_is_one_line(monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "structlog.processors", None)
    with pytest.raises(ConfigError, match="pip install 'prometheus-client"), logging_to_stderr("text"):
        pass
    assert logging.getLogger("tracker.live").handlers == []


@pytest.mark.parametrize("style", ["json", "text"])
def test_a_thread_that_dies_is_told_in_the_log(capsys, style: str) -> None:
    def boom() -> None:
        message = "nobody foresaw this"
        raise LookupError(message)

    before = threading.excepthook
    with logging_to_stderr(style), faults_logged():
        thread = threading.Thread(target=boom, name="segment-7")
        thread.start()
        thread.join()
    assert threading.excepthook is before
    logger = logging.getLogger("tracker.live")
    assert (logger.handlers, logger.propagate, logger.level) == ([], True, logging.NOTSET)
    told = capsys.readouterr().err
    assert "thread died" in told
    assert "segment-7" in told
    assert "LookupError: nobody foresaw this" in told
    if style == "json":
        [line] = told.splitlines()
        assert json.loads(line)["level"] == "critical"


def test_a_link_stands_at_the_end_without_brackets(record):
    record.open = "http://127.0.0.1:8117/setup#token=a"
    assert formatter("text").format(record).endswith("(retry_s=2.0): http://127.0.0.1:8117/setup#token=a")
