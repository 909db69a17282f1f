"""Counting in the engine: contact and analytics in a stream, and what is open at the end."""

from __future__ import annotations

import ast
import re
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.analytics.walks import through
from tests.engine.counted import (
    SITE,
    WHOLE,
    Ledger,
    Served,
    closed,
    event_of,
    kinds,
    stages,
)
from tests.sources.cameras import wait_until
from tracker.analytics.analytic import AnalyticContext
from tracker.analytics.measures import SiteMeasures
from tracker.contacts import ContactState
from tracker.engine.counting import AnalyticsStage, check_site, counting_stages
from tracker.engine.resume import ChunkedSink, Resumption
from tracker.errors import ConfigError, SinkError, SourceError
from tracker.events import Event
from tracker.service.metrics import Collector
from tracker.settings.stream import StreamSettings
from tracker.sinks.base import Checkpoint, Sink
from tracker.sinks.multi import MultiSink
from tracker.sinks.rotate import RotatingSink
from tracker.site import Occluder, Site

ROOT = Path(__file__).resolve().parents[2]


# ---- the end of a stream --------------------------------------------------------------------------------------------


def test_a_recording_that_ends_closes_what_is_open() -> None:
    served = Served().put(0, 150).end()
    closed(served)
    figures = served.stream.figures()
    assert figures.tally.crossings == {("line", "in"): {"person": 1}}
    assert figures.tally.zones["right"].entries == {"person": 1}
    assert {"associate", "contact", "analytics"} <= set(figures.stage_s)
    assert served.stream.present() == {"right": {}}
    samples = {
        (family.name, *sample.labels.values()): sample.value
        for family in Collector(served.engine).collect()
        if family.name in {"masktrail_line_crossings", "masktrail_zone_present"}
        for sample in family.samples
    }
    assert samples == {
        ("masktrail_line_crossings", "gate", "line", "in", "person"): 1,
        ("masktrail_zone_present", "gate", "right", "person"): 0,
    }


def test_so_do_a_limit_a_stop_and_a_removal() -> None:
    limited = Served(limit=140).put(0, 150)
    assert limited.engine.wait(60)
    limited.engine.close()
    assert len(limited.sink.frames) == 140
    closed(limited)
    stopped = Served().put(0, 140)
    assert stopped.stream.present() == {"right": {"person": 1}}
    stopped.engine.close()
    closed(stopped)
    removed = Served().put(0, 140)
    removed.engine.remove(removed.stream)
    closed(removed)
    removed.engine.close()
    assert removed.sink.calls.count("events") == 1


def test_and_a_failure() -> None:
    served = Served().put(0, 140)
    served.source.handoff.finish(SourceError("gate", "expected a frame, found the end", "none"))
    assert served.engine.wait(60)
    assert served.stream.state == "failed"
    closed(served)
    served.engine.close()


def test_what_continues_later_is_not_closed() -> None:
    served = Served().put(0, 140)
    served.stream.continued = True
    served.engine.close()
    assert kinds(served.sink.events) == WHOLE[:3]
    assert "events" not in served.sink.calls
    assert served.stream.snapshot() is not None
    restarted_camera = Served().put(0, 140)  # by a reload: its source ends before the stream does
    restarted_camera.stream.continued = True
    restarted_camera.engine.remove(restarted_camera.stream)
    assert kinds(restarted_camera.sink.events) == WHOLE[:3]
    chunked = Served(checkpoint_frames=50).put(0, 140)
    chunked.engine.remove(chunked.stream)
    assert "complete" not in chunked.sink.calls
    assert kinds(chunked.sink.events) == WHOLE[:3]
    whole = Served(checkpoint_frames=50).put(0, 150).end()
    assert whole.sink.calls[-3:] == ["events", "complete", "close"]
    assert whole.sink.calls.count("checkpoint") == 3


def test_a_stage_that_cannot_be_closed_costs_no_output() -> None:
    class Broken(AnalyticsStage):
        def close(self) -> tuple[Event, ...]:
            raise IndexError(0)

    served = (
        Served(made=[*stages()[:3], Broken(SiteMeasures, AnalyticContext(stream="gate", site=SITE))]).put(0, 20).end()
    )
    assert ["end its stages" in str(failure) for failure in served.stream.failures] == [True]
    assert served.sink.calls[-1] == "close"


def test_a_site_of_another_picture_fails_its_stream_with_its_own_words() -> None:
    site = replace(SITE, reference_size=(640, 480))
    served = Served(made=stages(site))
    served.put(0, 3)
    assert wait_until(lambda: served.stream.state == "failed")
    [failure] = served.stream.failures
    assert isinstance(failure, ConfigError)
    assert "640 x 480" in failure.problem
    served.engine.close()


# ---- sinks that wrap others -----------------------------------------------------------------------------------------


def wrapping() -> dict[str, ast.ClassDef]:
    """Every class of ours that is a sink and gives frames to another one."""
    found = {}
    for path in (ROOT / "tracker").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ClassDef) and any(ast.unparse(base) == "Sink" for base in node.bases):
                calls = [ast.unparse(one) for one in ast.walk(node) if isinstance(one, ast.Call)]
                if any(re.search(r"\.write\((tracked_frame|tracked|frame)\)$", call) for call in calls):
                    found[node.name] = node
    return found


@pytest.mark.slow
def test_no_sink_that_wraps_others_forgets_the_last_events() -> None:
    classes = wrapping()
    assert {"MultiSink", "RotatingSink", "ChunkedSink"} <= set(classes)
    del classes["SpoolSink"]  # its spool is no sink, and its events are found anew by the second pass
    for name, node in classes.items():
        own = [one for one in node.body if isinstance(one, ast.FunctionDef) and one.name == "write_events"]
        assert own, f"{name} gives frames to another sink, and must pass the last events on"
        assert ".write_events(events)" in ast.unparse(own[0]), name


def test_several_sinks_get_the_last_events_though_one_fails() -> None:
    class Full(Ledger):
        def write_events(self, events: Sequence[Event]) -> None:
            raise OSError(28, "disk full")

    first, second = Full(), Ledger()
    told: list[SinkError] = []
    many = MultiSink([first, second], on_error=told.append)
    many.write_events([event_of(1)])
    assert second.last == [event_of(1)]
    assert len(told) == 1
    assert first.calls == ["close"]


def test_the_last_part_gets_them(tmp_path: Path) -> None:
    parts: list[Ledger] = []

    def opener(path: Path) -> Ledger:
        assert path.parent == tmp_path
        parts.append(Ledger())
        return parts[-1]

    rotating = RotatingSink(str(tmp_path / "a-{time}.jsonl"), opener, every_s=60)
    rotating.write_events([event_of(1)])  # the part before was given up
    rotating.write_events([event_of(2)])
    rotating.close()
    assert [part.last for part in parts] == [[event_of(1), event_of(2)]]


def test_chunks_end_with_them_even_where_the_last_frame_ended_one(tmp_path: Path, monkeypatch) -> None:
    joined: dict[str, list[str]] = {}

    class Text(Ledger):
        def __init__(self, path: Path) -> None:
            super().__init__()
            self.path = path

        def close(self) -> None:
            rows = [*(str(one.frame.index) for one in self.frames), *(f"e{one.time_s:g}" for one in self.last)]
            self.path.write_text(" ".join(rows))

        @classmethod
        def join(cls, path: Path, chunks: Sequence[Path], starts_s: Sequence[float]) -> None:
            assert len(chunks) == len(starts_s)
            joined[path.name] = [chunk.read_text() for chunk in chunks]

    class Deaf(Text):
        write_events = Sink.write_events

    classes = {"a.events.jsonl": Text, "a.csv": Deaf}
    kinds_asked: list[str | None] = []

    def opener(path: Path, *, kind: str | None = None) -> Text:
        kinds_asked.append(kind)
        return classes[path.name.split("-", 2)[-1]](path)

    monkeypatch.setattr("tracker.engine.resume.sink_class", lambda path, _kind: classes[path.name])
    resumption = Resumption(tmp_path, "gate", {})
    paths = [tmp_path / "a.csv", tmp_path / "a.events.jsonl"]
    sink = ChunkedSink(paths, opener, resumption, kinds=[None, ".events.jsonl"])
    written = Served().put(0, 4).end().sink.frames
    for tracked in written[:2]:
        sink.write(tracked)
    sink.checkpoint(Checkpoint(next_index=2, state={}))
    for tracked in written[2:]:
        sink.write(tracked)
    sink.checkpoint(Checkpoint(next_index=4, state={}))
    sink.write_events([event_of(9)])
    sink.checkpoint(Checkpoint(next_index=4, state=None, complete=True))
    sink.close()
    assert joined == {"a.csv": ["0 1", "2 3"], "a.events.jsonl": ["0 1", "2 3", "e9"]}
    assert kinds_asked == [None, ".events.jsonl"] * 2 + [".events.jsonl"]
    assert resumption.done


# ---- the stages themselves ------------------------------------------------------------------------------------------


def test_without_a_site_and_without_contacts_there_is_no_stage() -> None:
    assert [stage.name for stage in stages(None)] == ["associate"]
    assert [stage.name for stage in stages(SITE)] == ["associate", "contact", "analytics"]
    seen = counting_stages("gate", ("person",), contacts=False, site=SITE, settings=StreamSettings(), pictured=True)
    assert [stage.name for stage in seen] == ["contact", "camera_state", "analytics"]
    only = counting_stages("gate", ("person",), contacts=True, site=None, settings=StreamSettings())
    assert [stage.name for stage in only] == ["contact", "notes"]


def test_contacts_are_found_once_and_those_of_the_site(monkeypatch) -> None:
    stand = ((0.2, 0.45), (0.8, 0.45), (0.8, 0.6), (0.2, 0.6))
    site = replace(SITE, occluders=(Occluder(name="stand", polygon=stand),))
    served = Served(made=stages(site), way=through((0.0, 0.5, 0.5), (9.0, 0.5, 0.5)))
    monkeypatch.setattr(served.stages[-1]._analytic._contacts, "find", None)
    served.put(0, 5).end()
    assert served.stream.failures == []
    assert [one.contacts.states.tolist() for one in served.sink.frames] == [[ContactState.HIDDEN]] * 5


def test_a_declared_start_is_the_clock_of_the_events() -> None:
    served = Served(made=stages(start_at="2026-03-29T01:30+01:00")).put(0, 150).end()
    [crossing] = [event for event in served.sink.events if event.kind == "crossing"]
    assert crossing.utc_ms == round(
        datetime(2026, 3, 29, 0, 30, tzinfo=UTC).timestamp() * 1000 + crossing.time_s * 1000
    )
    later = Served(made=stages(start_at="2030-01-01T00:00Z")).put(0, 150).end()
    assert later.sink.events[1].utc_ms > served.sink.events[1].utc_ms


@pytest.mark.parametrize(
    ("site", "said"),
    [
        (
            replace(SITE, lines=(replace(SITE.lines[0], classes=("persn",)),)),
            "found 'persn' in line 'line'; it has person",
        ),
        (replace(SITE, zones=(replace(SITE.zones[0], classes=("lorry",)),)), "found 'lorry' in zone 'right'"),
        (replace(SITE, zones=(replace(SITE.zones[0], loiter_s_by_class={"Car": 3.0}),)), "found 'Car' in zone 'right'"),
    ],
)
def test_classes_that_the_model_lacks_are_refused(site: Site, said: str) -> None:
    check_site(SITE, ("person", "car"), "site")
    with pytest.raises(ConfigError, match=re.escape(said)):
        check_site(site, ("person", "car"), "site")
