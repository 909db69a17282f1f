"""Retention in a service: what the cameras wrote is deleted by its age and kind, and nothing else is touched."""

from __future__ import annotations

import logging
import os
import time
from pathlib import Path

import pytest

from tests.sinks.ledgers import START_MS, crossing, frames_with
from tracker.engine.plan import plan_camera
from tracker.errors import ConfigError
from tracker.formats.event_store import open_store
from tracker.plugins import open_sink
from tracker.service.retention import Retention, kept_of, old_files
from tracker.settings.retention import RetentionSettings
from tracker.settings.yaml_file import parse_service_settings

DAY_S = 86_400
CAMERA = "cameras: [{name: gate, url: 'rtsp://h/1'}]\n"


def aged(path: Path, days: float) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists():
        path.write_bytes(b"x")
    then = time.time() - days * DAY_S
    os.utime(path, (then, then))
    return path


def plan(folder: Path, **settings):
    text = "".join(f'    {key}: "{value}"\n' for key, value in settings.items())
    source = folder / "in.mp4"
    source.write_bytes(b"")
    page = f"cameras:\n  - name: gate\n    url: {source}\n{text}"
    [camera] = parse_service_settings(page).cameras
    return plan_camera(camera)


@pytest.fixture
def outputs(tmp_path: Path):
    return plan(
        tmp_path,
        save=tmp_path / "{name}-{time}.mp4",
        records=tmp_path / "{name}-{time}.jsonl",
    )


def test_it_is_off_unless_it_is_asked_for_and_has_the_defaults_of_its_kinds() -> None:
    assert parse_service_settings(CAMERA).retention is None
    assert parse_service_settings(CAMERA + "retention: off\n").retention is None
    found = parse_service_settings(CAMERA + "retention: on\n").retention
    assert (found.pictures_days, found.events_days, found.bins_days, found.records_days) == (3, 90, None, None)
    found = parse_service_settings(CAMERA + "retention: {pictures_days: 0.5, events_days: ever}\n").retention
    assert (found.pictures_days, found.events_days) == (0.5, None)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("retention: {pictures_days: soon}", "expected days or `ever`, found 'soon'"),
        ("retention: {pictures: 3}", "unknown key 'pictures' in retention"),
        ("retention: maybe", "expected on, off or keys such as `pictures_days`"),
    ],
)
def test_a_slip_is_one_clear_line(text: str, said: str) -> None:
    with pytest.raises(ConfigError, match="yaml:2") as caught:
        parse_service_settings(CAMERA + text + "\n")
    assert said in str(caught.value)


def test_only_names_of_the_pattern_are_old_files(tmp_path: Path) -> None:
    old = [aged(tmp_path / name, 4) for name in ("gate-20260101T000000Z.mp4", "gate-20260101T000000Z-2.mp4")]
    for name in ("holiday.mp4", "gate-now.mp4", "gate-20260101T000000Z.jsonl", ".gate-20260101T000000Z.mp4.part"):
        aged(tmp_path / name, 400)
    aged(tmp_path / "gate-20260104T000000Z.mp4", 1)
    (tmp_path / "gate-20250101T000000Z.mp4").symlink_to(tmp_path / "holiday.mp4")
    assert sorted(old_files(tmp_path / "gate-{time}.mp4", time.time() - 3 * DAY_S)) == sorted(old)


def test_outputs_have_their_kinds(outputs, tmp_path: Path) -> None:
    kept = kept_of(outputs)
    assert [path.name for path in kept.pictures] == ["gate-{time}.mp4"]
    assert [path.name for path in kept.records] == ["gate-{time}.jsonl"]
    assert kept_of(plan(tmp_path, save=tmp_path / "whole.mp4")).pictures == ()  # the user's own, and one file


def test_pictures_go_after_their_days_and_records_stay_unless_they_have_some(outputs, tmp_path: Path) -> None:
    video = aged(tmp_path / "gate-20260101T000000Z.mp4", 4)
    fresh = aged(tmp_path / "gate-20260103T000000Z.mp4", 2)
    rows = aged(tmp_path / "gate-20260101T000000Z.jsonl", 400)
    table = aged(tmp_path / "gate-20260101T000000Z.identities.jsonl", 400)
    look(RetentionSettings(), outputs)
    assert [path.exists() for path in (video, fresh, rows, table)] == [False, True, True, True]
    look(RetentionSettings(records_days=90), outputs)
    assert [path.exists() for path in (fresh, rows, table)] == [True, False, False]


def test_a_store_is_pruned_while_the_service_runs(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "tracker.live")
    store = tmp_path / "events.sqlite"
    with open_sink(store) as sink:
        for frame in frames_with([crossing(number) for number in range(50)]):
            sink.write(frame)
    site = tmp_path / "gate.yaml"
    site.write_text("lines:\n  - {name: door, points: [[0.1, 0.5], [0.9, 0.5]]}\n")
    one = plan(tmp_path, site=site, events=store)
    days = (time.time() * 1000 - START_MS) / 86_400_000
    look(RetentionSettings(events_days=max(days - 1, 0.01)), one)
    with open_store(store) as connection:
        assert connection.execute("SELECT count(*) FROM events").fetchone() == (0,)
        assert connection.execute("SELECT sum(count) FROM counts_15min").fetchone() == (50,)
    [told] = [record for record in caplog.records if record.msg == "deleted by age"]
    assert (told.events, told.counted) == (50, 50)


def look(settings: RetentionSettings, *plans) -> None:
    retention = Retention(settings, lambda: list(plans), first_s=3600)
    try:
        retention.look()
    finally:
        retention.close()
    assert not retention._thread.is_alive()
