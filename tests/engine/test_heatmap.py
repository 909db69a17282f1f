"""Heatmap in a stream: asked for by a setting, continued by recordings and cameras, never at the cost of identities."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from tests.analytics.walks import frames, through
from tests.heats import START_MS, heat_store
from tracker.engine.counting import counting_stages
from tracker.engine.heatmap import HeatmapStage
from tracker.engine.snapshot import Kept, Snapshots
from tracker.errors import ConfigError
from tracker.formats.event_store import open_store
from tracker.formats.heat_tiles import heat_sum, read_tiles
from tracker.heat import TILE_MS, HeatSum
from tracker.plugins import STAGES, StageContext
from tracker.settings.stream import StreamSettings
from tracker.settings.yaml_file import parse_service_settings
from tracker.site import Line, Site

WAY = {1: through((0, 0.1, 0.5), (8, 0.9, 0.5))}
SITE = Site(lines=(Line(name="gate", points=((0.5, 0.1), (0.5, 0.9))),))


def summed(stage: HeatmapStage, stream) -> HeatSum:
    total = HeatSum()
    for frame in stream:
        total.add_steps(stage.process(frame).heat, frame.class_names)
    return total


def test_it_runs_where_it_was_asked_for():
    def names(site: Site | None = None, **settings: object) -> list[str]:
        chosen = StreamSettings(**settings)
        return [one.name for one in counting_stages("a", ("person",), contacts=False, site=site, settings=chosen)]

    assert names() == []
    assert names(heatmap=True, events="a.sqlite") == ["contact", "heatmap"]
    assert names(SITE, heatmap=True, events="a.sqlite") == ["contact", "analytics", "heatmap"]


def test_it_needs_a_store():
    for events in ((), ("a.jsonl",)):
        with pytest.raises(ConfigError, match="expected a store to keep it in"):
            StreamSettings(heatmap=True, events=events)
    camera = "cameras: [{name: gate, url: 'rtsp://h/1', heatmap: true, events: heat.sqlite}]"
    assert parse_service_settings(camera).cameras[0].heatmap
    with pytest.raises(ConfigError, match=r"yaml:1: heatmap: expected a store to keep it in, found none"):
        parse_service_settings("cameras: [{name: gate, url: 'rtsp://h/1', heatmap: true}]")


def test_a_recording_has_its_declared_start():
    begun = datetime(2026, 3, 29, 1, tzinfo=UTC)
    stage = STAGES.load("heatmap")(StageContext(stream="a", settings={"start_at": begun, "gap_s": 2.0}))
    found = summed(stage, frames(WAY, fps=5, duration_s=8))
    assert (found.utc, found.from_ms) == (True, round(begun.timestamp() * 1000))


def test_what_was_kept_on_disk_is_continued(tmp_path):
    stream, whole = list(frames(WAY, fps=5, duration_s=8)), HeatmapStage("a")
    expected = summed(whole, stream).grid()
    first, second, snapshots = HeatmapStage("a"), HeatmapStage("a"), Snapshots(tmp_path)
    before = summed(first, stream[:17]).grid()
    snapshots.save("a", {"heatmap": first.state()})
    second.restore(Kept(state=snapshots.load("a").state["heatmap"], elapsed_s=None))
    assert before + summed(second, stream[17:]).grid() == pytest.approx(expected)


def test_a_state_that_does_not_fit_costs_a_camera_nothing_but_visits(caplog):
    stage = HeatmapStage("gate")
    stage.restore(Kept(state={"version": 99}, elapsed_s=5.0))
    assert "visits begin anew" in caplog.text
    assert summed(stage, frames(WAY, fps=5, duration_s=8)).grid().sum() == pytest.approx(8.0)
    with pytest.raises(ValueError, match="expected a state of version 1, found 99"):
        stage.restore(Kept(state={"version": 99}, elapsed_s=None))
    stage.restore(Kept(state={"version": 99}, elapsed_s=5.0, numbers_only=True))


def test_a_camera_that_was_restarted_adds_to_its_hour(tmp_path):
    for number in range(3):
        start_ms = START_MS + number * 60_000
        path = heat_store(tmp_path / "x.sqlite", WAY, duration_s=8, start_ms=start_ms)
    with open_store(path) as connection:
        tiles = read_tiles(connection, "gate")
    assert {tile.tile_ms for tile in tiles} == {START_MS // TILE_MS * TILE_MS}
    assert heat_sum(tiles).grid().sum() == pytest.approx(24.0, abs=1e-3)  # kept to the microsecond


def test_frames_without_tracks_have_no_heat():
    frame = next(iter(frames(WAY, fps=5, duration_s=1)))
    stage = HeatmapStage("a")
    assert stage.process(replace(frame, tracks=None)).heat is None
    assert stage.process(replace(frame, contacts=None)).heat is None
