"""Ledgers of whole runs: all kinds hold the same events, and a store is shared, completed and protected."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.command import Run
from tests.segment.models import end2end_model
from tests.sources.videos import write_video
from tracker.formats.ledger import read_events

MODEL = ("--model", "constant.onnx", "--device", "cpu", "--quiet")
SITE = """\
version: 1
revision: {revision}
zones:
  - name: all
    polygon: [[0, 0], [{right}, 0], [{right}, 1], [0, 1]]
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with a model that sees the same objects everywhere, a recording and a site."""
    monkeypatch.chdir(tmp_path)
    end2end_model(tmp_path / "constant.onnx")
    write_video(tmp_path / "a.mp4", count=40, size=(160, 96))
    shutil.copy("a.mp4", "b.mp4")
    (tmp_path / "site.yaml").write_text(SITE.format(revision=1, right=1))
    return tmp_path


def test_all_kinds_hold_the_same_events_and_a_store_holds_many_recordings(run: Run, folder: Path) -> None:
    files = ("--events", "{name}.jsonl", "--events", "{name}.parquet", "--events", "all.sqlite")
    for _ in range(2):
        result = run("track", "a.mp4", "b.mp4", *MODEL, "--site", "site.yaml", *files)
        assert result.status == 0, result.err
    lines = [list(read_events(f"{name}.jsonl")) for name in "ab"]
    assert {event.kind for event in lines[0]} >= {"identity_start", "enter", "leave", "identity_end"}
    assert [list(read_events(f"{name}.parquet")) for name in "ab"] == lines
    assert list(read_events("all.sqlite")) == [*lines[0], *lines[1]]
    assert run("counts", "all.sqlite", "--kind", "enter").status == 0


def test_another_analysis_of_a_recording_is_not_mixed_in(run: Run, folder: Path) -> None:
    start = ("--start-at", "2026-03-29T01:30+01:00")
    site = ("--site", "site.yaml", "--events", "all.db")
    assert run("track", "a.mp4", *MODEL, *start, *site).status == 0
    before = list(read_events("all.db"))
    assert all(event.utc_ms is not None for event in before)
    (folder / "site.yaml").write_text(SITE.format(revision=2, right=0.2))
    result = run("track", "a.mp4", *MODEL, *start, "--limit", "30", *site)
    assert result.status == 1
    assert "all.db: expected the events that it has of a.mp4, found others of the same time" in result.text
    assert list(read_events("all.db")) == before


def test_a_second_pass_is_an_edition_of_a_store(run: Run, folder: Path) -> None:
    assert run("track", "a.mp4", "b.mp4", *MODEL, "--site", "site.yaml", "--events", "x.sqlite").status == 0
    online = list(read_events("x.sqlite"))
    result = run("track", "a.mp4", *MODEL, "--site", "site.yaml", "--events", "x.sqlite", "--refine")
    assert result.status == 0, result.err
    assert run("track", "a.mp4", *MODEL, "--site", "site.yaml", "--events", "x.jsonl", "--refine").status == 0
    refined = list(read_events("x.jsonl"))
    assert [event for event in read_events("x.sqlite") if event.stream == "a.mp4"] == refined
    assert [event for event in read_events("x.sqlite") if event.stream == "b.mp4"] == [
        event for event in online if event.stream == "b.mp4"
    ]
    assert list(read_events("x.sqlite", edition=1)) == online


def test_a_second_pass_that_fails_leaves_the_online_events_in_a_store(
    run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run("track", "a.mp4", *MODEL, "--site", "site.yaml", "--events", "x.jsonl").status == 0

    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("no room")

    monkeypatch.setattr("tracker.engine.second_pass.refine", fail)
    result = run("track", "a.mp4", *MODEL, "--site", "site.yaml", "--events", "x.sqlite", "--refine")
    assert result.status == 1
    assert "no room" in result.text
    assert list(read_events("x.sqlite")) == list(read_events("x.jsonl"))
