"""Counting in the engine: contact and analytics in a stream, what is open at the end, and what continues."""

from __future__ import annotations

import ast
import re
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest

from tests.analytics.walks import through
from tests.engine.fakes import FakeSource, box
from tests.sources.cameras import wait_until
from tracker.alert_rules import AlertRule
from tracker.analytics.analytic import AnalyticContext
from tracker.analytics.measures import SiteMeasures
from tracker.associate.tracker import Tracker
from tracker.contacts import ContactState
from tracker.engine.counting import AnalyticsStage, check_site, counting_stages
from tracker.engine.journal import Delivery, Expected, Journal
from tracker.engine.meter import StreamMeter
from tracker.engine.resume import ChunkedSink, Resumption, restore
from tracker.engine.scheduler import Engine
from tracker.engine.snapshot import Kept, Snapshots
from tracker.engine.stage import Stage
from tracker.engine.steady import SteadyTracker
from tracker.engine.stream import Stream
from tracker.errors import ConfigError, SinkError, SourceError
from tracker.events import Event, Sighting, Stay
from tracker.service.metrics import Collector
from tracker.settings.stream import StreamSettings
from tracker.sinks.base import Checkpoint, Sink
from tracker.sinks.multi import MultiSink
from tracker.sinks.rotate import RotatingSink
from tracker.site import Line, Occluder, Site, Zone
from tracker.types import Frame, Instances, TrackedFrame

ROOT = Path(__file__).resolve().parents[2]
SIZE = (640, 360)
RIGHT = ((0.6, 0.1), (0.95, 0.1), (0.95, 0.95), (0.6, 0.95))
SITE = Site(
    lines=(Line(name="line", points=((0.5, 0.1), (0.5, 0.95))),), zones=(Zone(name="right", polygons=(RIGHT,)),)
)
WALK = through((0.0, 0.1, 0.5), (6.0, 0.9, 0.5))
"""From the left over the line into the zone, and still there at the end."""


class Walkers:
    """A segmenter that sees one person on a known way."""

    class_names = ("person", "car")
    network_size = SIZE
    keep_aspect = True
    confirmation_score = 0.5

    def __init__(self, way=WALK, *, offset_s: float = 0.0) -> None:
        self._way, self._offset_s = way, offset_s

    def segment(self, frames: Sequence[Frame]) -> list[Instances]:
        return [self._seen(frame.time_s + self._offset_s) for frame in frames]

    def _seen(self, time_s: float) -> Instances:
        at = self._way(time_s)
        if at is None:
            return Instances.empty()
        x, y = at[0] * SIZE[0], at[1] * SIZE[1]
        return replace(box(), boxes=np.array([[x - 20, y - 80, x + 20, y]], np.float32))


class Ledger(Sink):
    """Keeps frames, last events and the order of the calls."""

    needs_contacts: ClassVar[bool] = True

    def __init__(self) -> None:
        self.frames: list[TrackedFrame] = []
        self.last: list[Event] = []
        self.calls: list[str] = []

    def write(self, tracked_frame: TrackedFrame) -> None:
        self.frames.append(tracked_frame)
        self.calls.append("write")

    def write_events(self, events: Sequence[Event]) -> None:
        self.last += events
        self.calls.append("events")

    def checkpoint(self, checkpoint: Checkpoint) -> None:
        self.calls.append("complete" if checkpoint.complete else "checkpoint")

    def close(self) -> None:
        self.calls.append("close")

    @property
    def events(self) -> list[Event]:
        return [*(event for one in self.frames for event in one.events), *self.last]


BEGUN = datetime(2026, 3, 29, 0, 30, tzinfo=UTC)


def stages(site: Site | None = SITE, **settings) -> list[Stage]:
    values = StreamSettings(**settings)
    found = counting_stages("gate", Walkers.class_names, contacts=False, site=site, settings=values)
    return [SteadyTracker(Tracker(class_count=2, confirmation_score=0.5)), *found]


class Served:
    """A stream of a fake source, served by an engine until a test ends it; ``begun_s`` is when on the walk."""

    def __init__(self, *, made: list[Stage] | None = None, begun_s: float = 0.0, way=WALK, **options) -> None:
        self.source, self.sink, self.begun_s = FakeSource("gate", capacity=10_000), Ledger(), begun_s
        self.stages = stages() if made is None else made
        self.stream = Stream(
            name="gate",
            open_source=self.source.open,
            stages=self.stages,
            open_sink=lambda _: self.sink,
            **options,
        )
        self.engine = Engine(segmenter=Walkers(way, offset_s=begun_s))
        self.engine.add(self.stream)

    def put(self, first: int, past: int, *, fps: float = 25.0) -> Served:
        """Frames, and wait until they are written."""
        for number in range(first, past):
            time_s = number / fps
            shown = BEGUN + timedelta(seconds=self.begun_s + time_s)
            self.source.handoff.put(
                Frame(index=number, time_s=time_s, arrived_s=0.0, source="gate", size=SIZE, captured_at=shown)
            )
        assert wait_until(lambda: len(self.sink.frames) >= past or self.stream.over)
        return self

    def end(self) -> Served:
        self.source.handoff.finish(None)
        assert self.engine.wait(60)
        self.engine.close()
        return self


def kinds(events: Sequence[Event]) -> list[str]:
    return [event.kind for event in events]


def keys(events: Sequence[Event]) -> list[str]:
    return [event.key for event in events]


WHOLE = ["identity_start", "crossing", "enter", "leave", "identity_end"]


# ---- the end of a stream --------------------------------------------------------------------------------------------


def closed(served: Served) -> None:
    assert kinds(served.sink.events) == WHOLE
    assert kinds(served.sink.last) == ["leave", "identity_end"]
    assert served.sink.last[0].stay.end == "open"
    assert served.sink.calls.count("events") == 1
    assert served.sink.calls[-2:] == ["events", "close"]


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


# ---- restarts -------------------------------------------------------------------------------------------------------


def restarted(kept: Kept, *, begun_s: float, site: Site = SITE, journal: Journal | None = None, **options) -> Served:
    made = stages(site)
    restore(made, StreamMeter(), kept)
    return Served(made=made, begun_s=begun_s, delivery=Delivery(kept.state["events"], journal), **options)


def test_a_restart_continues_open_stays_and_sides() -> None:
    """The process is away while the person passes the line, and again while it is in the zone."""
    first = Served().put(0, 60)
    first.stream.continued = True
    first.engine.close()
    second = restarted(Kept(state=first.stream.snapshot(), elapsed_s=1.0), begun_s=60 / 25 + 1.0).put(0, 40)
    second.stream.continued = True
    second.engine.close()
    third = restarted(Kept(state=second.stream.snapshot(), elapsed_s=0.4), begun_s=100 / 25 + 1.4).put(0, 10).end()
    assert [kinds(one.sink.events) for one in (first, second, third)] == [
        ["identity_start"],
        ["crossing", "enter"],
        ["leave", "identity_end"],
    ]
    entered, left = second.sink.events[1], third.sink.events[0]
    assert left.stay.began == "entered"
    at_ms = round(BEGUN.timestamp() * 1000)
    assert abs(second.sink.events[0].utc_ms - at_ms - 3000) <= 40
    assert abs(entered.utc_ms - at_ms - 3750) <= 40
    assert abs((left.time_s - left.stay.entered_s) * 1000 - (left.utc_ms - entered.utc_ms)) <= 45


@pytest.mark.quick("80", "90", "110")
@pytest.mark.parametrize("killed_at", [70, 80, 89, 90, 94, 100, 110, 120])
def test_a_kill_and_a_restart_neither_lose_nor_double_an_event(tmp_path: Path, killed_at: int) -> None:
    """Snapshots every thirty frames; the person is over the line after 75, in the zone after 94."""
    snapshots = Snapshots(tmp_path)
    first = Served(delivery=Delivery(None, snapshots.journal("gate")))
    for past in range(1, killed_at + 1):
        first.put(past - 1, past)
        if past % 30 == 0:
            state = first.stream.snapshot()
            assert snapshots.save("gate", state)
            first.stream._ordered._delivery._journal.forget(state["events"])
            saved_s = past / 25
    before = first.sink.events
    loaded, begun_s = snapshots.load("gate"), killed_at / 25 + 0.5
    kept = Kept(state=loaded.state, elapsed_s=begun_s - saved_s, skip_ids=1000)
    second = restarted(kept, begun_s=begun_s, journal=snapshots.journal("gate")).put(0, 150 - killed_at).end()
    rows = {event.key: event for event in (*before, *second.sink.events)}
    assert sorted(kinds(list(rows.values()))) == sorted(WHOLE)
    counted = second.stream.figures().tally.crossings
    assert counted == ({} if any(event.kind == "crossing" for event in before) else {("line", "in"): {"person": 1}})
    first.engine.close()


@pytest.mark.quick("85", "112", "121")
@pytest.mark.parametrize("killed_at", [85, 100, 108, 112, 119, 121, 130])
def test_a_kill_and_a_restart_neither_lose_nor_double_an_alert(tmp_path: Path, killed_at: int) -> None:
    """Snapshots every thirty frames; the alert begins half a second after the person entered the zone."""
    rule = AlertRule(name="taken", watch="presence", place="right", for_s=0.5)
    site = replace(SITE, alerts=(rule,))
    snapshots = Snapshots(tmp_path)
    first = Served(made=stages(site), delivery=Delivery(None, snapshots.journal("gate")))
    for past in range(1, killed_at + 1):
        first.put(past - 1, past)
        if past % 30 == 0:
            state = first.stream.snapshot()
            assert snapshots.save("gate", state)
            first.stream._ordered._delivery._journal.forget(state["events"])
            saved_s = past / 25
    begun_s = killed_at / 25 + 0.2
    kept = Kept(state=snapshots.load("gate").state, elapsed_s=begun_s - saved_s, skip_ids=1000)
    second = restarted(kept, begun_s=begun_s, site=site, journal=snapshots.journal("gate"))
    second.put(0, 145 - killed_at).end()
    rows = {event.key: event for event in (*first.sink.events, *second.sink.events)}
    [alert] = [event for event in rows.values() if event.kind == "alert"]
    assert (alert.place, alert.value, alert.since_s) == ("taken", 1.0, None)
    assert abs(alert.utc_ms - round(BEGUN.timestamp() * 1000) - 4250) <= 240
    first.engine.close()


def test_an_alert_that_went_on_otherwise_is_not_expected_again() -> None:
    on = Event(kind="alert", stream="gate", time_s=3, place="rule", value=8.0)
    off = replace(on, time_s=9, since_s=3.0)
    assert Expected([on]).without([on, off]) == (off,)
    assert Expected([on, off]).without([on]) == (on,)
    assert Expected([on]).without([off, on]) == (off, on)


def test_a_journal_is_of_what_came_since_and_damage_costs_one_line(tmp_path: Path, caplog) -> None:
    journal = Journal(tmp_path / "gate.events.jsonl")
    stay = Stay(entered_s=1.0, began="already_inside")
    events = [replace(event_of(number), stay=stay, before=Sighting(time_s=0, x=0.5, y=0.5)) for number in range(4)]
    journal.add(events[:3], 3)
    journal.forget(1)
    journal.add(events[3:], 4)
    assert Journal(tmp_path / "gate.events.jsonl").load(2) == events[2:]
    assert Journal(tmp_path / "gate.events.jsonl").load(0) == events[1:]
    with (tmp_path / "gate.events.jsonl").open("a") as file:
        file.write('{"number": 5, "event": {"ki')
    again = Journal(tmp_path / "gate.events.jsonl")
    assert again.load(0) == events[1:]
    again.add(events[:1], 5)
    assert Journal(tmp_path / "gate.events.jsonl").load(4) == events[:1]
    assert Journal(tmp_path / "none.events.jsonl").load(0) == []
    (tmp_path / "folder").mkdir()
    refused = Journal(tmp_path / "folder")
    refused.add(events, 4)
    refused.add(events, 8)
    assert [record.message for record in caplog.records] == ["journal not written"]


def test_what_was_undone_before_the_kill_is_not_expected() -> None:
    there, back = event_of(1), replace(event_of(2), direction="out")
    assert Expected([there, back]).without([there]) == (there,)
    assert Expected([there, back, there]).without([there, back]) == (back,)
    gone = Event(kind="identity_end", stream="gate", time_s=3, identity=1, since_s=0.0)
    expected = Expected([there])
    assert expected.without([gone]) == (gone,)
    assert expected.without([there]) == (there,)
    outage = Event(kind="gap", stream="gate", time_s=3, since_s=0.0)
    assert Expected([outage]).without([outage]) == (outage,)


def test_numbers_alone_restore_no_counts() -> None:
    first = Served().put(0, 140)
    kept = Kept(state=first.stream.snapshot(), elapsed_s=0.2, numbers_only=True)
    first.engine.close()
    second = restarted(kept, begun_s=5.4).put(0, 15).end()
    assert kinds(second.sink.events) == ["identity_start", "enter", "leave", "identity_end"]
    assert second.sink.events[1].stay.began == "already_inside"
    assert {event.identity for event in second.sink.events} == {2}


def test_counts_of_another_version_are_left_and_the_identities_continue(caplog) -> None:
    first = Served().put(0, 60)
    state = first.stream.snapshot()
    first.engine.close()
    state["stages"]["analytics"]["version"] = 99
    second = restarted(Kept(state=state, elapsed_s=0.2), begun_s=2.6).put(0, 20).end()
    assert [record.message for record in caplog.records] == ["counts begin anew"]
    assert {event.identity for event in second.sink.events} == {1}
    with pytest.raises(ValueError, match="99"):  # a recording is not continued by half
        restarted(Kept(state=state, elapsed_s=None), begun_s=2.4)


def test_a_line_that_was_changed_begins_anew_and_the_other_parts_continue() -> None:
    first = Served().put(0, 110)  # past the line, in the zone
    first.stream.continued = True
    first.engine.close()
    moved = replace(SITE, lines=(replace(SITE.lines[0], points=((0.75, 0.1), (0.75, 0.95))),), revision=1)
    kept = Kept(state=first.stream.snapshot(), elapsed_s=0.2)
    second = restarted(kept, begun_s=4.6, site=moved).put(0, 30).end()
    assert kinds(second.sink.events) == ["crossing", "leave", "identity_end"]
    assert second.sink.events[1].stay.began == "entered"
    assert {event.revision for event in second.sink.events} == {1}


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


def event_of(time_s: float) -> Event:
    return Event(kind="crossing", stream="gate", time_s=time_s, place="line", direction="in", identity=1)


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
