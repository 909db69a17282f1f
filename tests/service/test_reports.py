"""Reports that a service writes by itself: when they are due, what they are named, and that none is written twice."""

from __future__ import annotations

import logging
import threading
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from tests.report.weeks import FIRST, ZONE, write_weeks
from tracker.errors import ConfigError
from tracker.service.reports import Reports, check_stores, due_at, next_ms
from tracker.settings.report import ReportSettings
from tracker.settings.yaml_file import parse_service_settings


def ms(*when: int, fold: int = 0) -> int:
    return round(datetime(*when, tzinfo=ZONE, fold=fold).timestamp() * 1000)


@pytest.mark.parametrize(
    ("every", "now", "name", "following"),
    [
        ("day", (2026, 3, 29, 5, 59), "report-2026-03-27", (2026, 3, 29, 6)),
        ("day", (2026, 3, 29, 6, 0), "report-2026-03-28", (2026, 3, 30, 6)),
        ("day", (2026, 3, 30, 6, 0), "report-2026-03-29", (2026, 3, 31, 6)),
        ("week", (2026, 3, 30, 5, 0), "report-2026-W12", (2026, 3, 30, 6)),
        ("week", (2026, 3, 30, 7, 0), "report-2026-W13", (2026, 4, 6, 6)),
        ("week", (2027, 1, 5, 7, 0), "report-2026-W53", (2027, 1, 11, 6)),
    ],
)
def test_when_reports_are_due(every, now, name, following):
    settings = ReportSettings(folder="x", every=every)
    assert due_at(ms(*now), settings, ZONE).name == name
    assert next_ms(ms(*now), settings, ZONE) == ms(*following)


def test_the_period_is_whole_days_of_the_zone():
    due = due_at(ms(2026, 3, 30, 7), ReportSettings(folder="x"), ZONE)
    assert (due.to_ms - due.from_ms) / 3_600_000 == 23
    assert due_at(ms(2026, 3, 30, 7), ReportSettings(folder="x"), ZoneInfo("UTC")).name == "report-2026-03-28"


def config(folder: Path, report: str = "", events: str = "counts.sqlite"):
    site = folder / "site.yaml"
    site.write_text("timezone: Europe/Berlin\nlines: [{name: door, points: [[0.1, 0.5], [0.9, 0.5]]}]\n", "utf-8")
    text = f"""
cameras: [{{name: shop, url: "rtsp://h/1", site: "{site}", events: "{folder / events}"}}]
report: {{folder: "{folder / "reports"}", {report}}}
"""
    return parse_service_settings(text)


def reports(settings, when: int) -> Reports:
    return Reports(settings.report, lambda: settings, now_s=lambda: when / 1000)


def test_a_report_is_written_once_and_nothing_is_replaced(tmp_path):
    write_weeks(tmp_path / "counts.sqlite", days=2)
    settings = config(tmp_path, "png: true, csv: true, title: Shop & Co")
    when = ms(2026, 3, 17, 6, 30)
    page = reports(settings, when).write_due()
    assert page.name == "report-2026-03-16.html"
    text = page.read_text("utf-8")
    assert "Monday 16 March 2026 (Europe/Berlin)" in text
    assert "Shop &amp; Co" in text
    assert "yolact-nano" in text
    folder = tmp_path / "reports"
    names = {path.name for path in folder.iterdir()}
    assert names == {"report-2026-03-16.html", "report-2026-03-16.png", "report-2026-03-16-csv"}
    assert reports(settings, when).write_due() is None
    page.rename(folder / "mine.html")
    assert reports(settings, when).write_due().name == "report-2026-03-16-2.html"


def test_a_day_without_events_is_told_once(tmp_path, caplog):
    caplog.set_level(logging.INFO, "tracker.live")
    write_weeks(tmp_path / "counts.sqlite", days=1)
    made = reports(config(tmp_path), ms(2026, 4, 17, 6, 30))
    assert made.write_due() is None
    assert made.write_due() is None
    [record] = [one for one in caplog.records if one.msg == "nothing to report"]
    assert "expected events within Thursday 16 April 2026" in record.problem
    assert not list((tmp_path / "reports").iterdir())


def test_a_store_that_is_damaged_is_an_error_in_the_log(tmp_path, caplog):
    (tmp_path / "counts.sqlite").write_bytes(b"no database")
    assert reports(config(tmp_path), ms(2026, 3, 17, 6, 30)).write_due() is None
    [record] = [one for one in caplog.records if one.msg == "report not written"]
    assert "found a file of another program" in record.problem


def test_a_service_that_just_began_has_nothing_to_report(tmp_path, caplog):
    caplog.set_level(logging.INFO, "tracker.live")
    assert reports(config(tmp_path), ms(2026, 3, 17, 6, 30)).write_due() is None
    assert [one.problem for one in caplog.records if one.msg == "nothing to report"] == [
        "expected a store with events, found none yet"
    ]


def test_the_thread_writes_what_was_missed_and_ends(tmp_path, monkeypatch):
    write_weeks(tmp_path / "counts.sqlite", days=1)
    settings = config(tmp_path, "every: day, at: '07:30'")
    written = threading.Event()
    made = reports(settings, ms(2026, 3, 17, 8, 0))
    whole = made.write_due
    monkeypatch.setattr(made, "write_due", lambda: (whole(), written.set())[0])
    with made:
        assert written.wait(60)
    assert (tmp_path / "reports" / "report-2026-03-16.html").is_file()
    assert not made._thread.is_alive()


def test_reports_of_nothing_are_refused(tmp_path):
    with pytest.raises(ConfigError, match="expected a store"):
        check_stores(config(tmp_path, events="counts-{time}.events.jsonl"))
    check_stores(config(tmp_path))


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("on", "expected keys such as `folder`, found 'on'"),
        ("{at: '06:00'}", "folder"),
        ("{folder: x, at: 25:00}", "expected a time of day as HH:MM"),
        ("{folder: x, timezone: Mars}", "expected an IANA time zone"),
        ("{folder: x, every: month}", "expected one of day, week"),
        ("{folder: x, hour: 6}", "hour"),
    ],
)
def test_settings_are_checked_with_their_line(text, told):
    with pytest.raises(ConfigError, match=r"cameras\.yaml:2") as failure:
        parse_service_settings(f"cameras: [{{name: a, url: 'rtsp://h/1'}}]\nreport: {text}")
    assert told in str(failure.value)


def test_only_some_cameras(tmp_path):
    write_weeks(tmp_path / "counts.sqlite", days=2)
    settings = config(tmp_path, "only: [road, yard]")
    assert settings.report.only == ("road", "yard")
    page = reports(settings, round(FIRST.timestamp() * 1000) + 30 * 3_600_000 + 1).write_due()
    assert "<h1>road</h1>" in page.read_text("utf-8")
