"""Counting afterwards: records give the events of tracking again, whatever happened while they were written."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from demos.scenes import script
from demos.scenes.edges import across
from demos.scenes.junction import junction
from demos.scenes.script import cast, stage
from demos.scenes.world import Scene
from tests.analytics.worlds import on_screen
from tests.engine.recorded import STREAM, Chain
from tests.sinks.full_disk import small_files
from tracker.engine.analyse import analyse, dry_run
from tracker.engine.recorded import Reading, open_input
from tracker.engine.saved import associate_saved
from tracker.engine.snapshot import Kept
from tracker.engine.stage import Stage
from tracker.errors import ConfigError, DetectionsError, SinkError, SourceError, TrackerError
from tracker.events import Event
from tracker.formats.ledger import read_editions, read_events
from tracker.ground import Ground, Rectangle
from tracker.plugins import open_sink
from tracker.recount import FrameNotes
from tracker.settings.site_text import site_text
from tracker.settings.stream import StreamSettings
from tracker.site import Flow, Line, Occluder, Site, Zone
from tracker.traffic import Traffic
from tracker.types import TrackedFrame

SUFFIXES = ("jsonl", "csv", "parquet", "instances")
OCCLUDER = Occluder(name="shelf", polygon=((0.4, 0.4), (0.6, 0.4), (0.6, 0.9), (0.4, 0.9)))
SITE = Site(
    lines=(
        Line(name="upper", points=((0.05, 0.3), (0.5, 0.35), (0.95, 0.3))),
        Line(name="lower", points=((0.05, 0.5), (0.5, 0.55), (0.95, 0.5))),
        Line(name="cars", points=((0.5, 0.02), (0.5, 0.98)), classes=("car", "truck")),
    ),
    zones=(
        Zone(name="left", polygons=(((0.1, 0.2), (0.45, 0.2), (0.45, 0.98), (0.1, 0.98)),), loiter_s=2.0),
        Zone(name="right", polygons=(((0.5, 0.2), (0.9, 0.2), (0.9, 0.98), (0.5, 0.98)),), classes=("person",)),
    ),
    flows=(Flow(name="down", start="upper", end="lower"), Flow(name="over", start="left", end="right")),
    revision=3,
)
GROUNDED = replace(
    SITE,
    lines=tuple(replace(line, measures=("speed", "headway", "size"), wrong_way="out") for line in SITE.lines),
    zones=tuple(replace(zone, stopped_s=1.0, towards=((0.3, 0.9), (0.5, 0.3))) for zone in SITE.zones),
    ground=Ground(
        rectangle=Rectangle(corners=((0.0, 1.0), (1.0, 1.0), (0.7, 0.2), (0.3, 0.2)), width_m=9.0, length_m=30.0)
    ),
    traffic=Traffic(time_to_collision_s=4.0, post_encroachment_s=6.5),
)
HIDDEN = replace(SITE, occluders=(OCCLUDER,))
BEGUN = datetime(2026, 3, 29, 0, 59, 58, 123456, tzinfo=UTC)
ROUGH = {"miss_rate": 0.15, "jitter": 0.02, "score_noise": 0.1, "false_positives": 0.3}


@cache
def crowd() -> Chain:
    """Unconfirmed beginnings, ghosts and missed detections."""
    scene = script.dense(15, rng=np.random.default_rng(3), size=(640, 360), duration_s=8)
    return Chain(scene, noise=ROUGH)


def comes_back() -> Scene:
    """One person who is away for twelve seconds, while nothing is in view."""
    return stage("back", cast([[across(2.0, -2.0), across(-2.0, 2.0, start_s=16.0)]]), 22.0, size=(640, 360))


CASES = {
    "crowd": crowd,
    "outage": lambda: Chain(script.u_turn(), outages_s=((2.0, 5.0),)),
    "empty_outage": lambda: Chain(comes_back(), outages_s=((8.0, 11.0),)),
    "exit": lambda: Chain(script.exit_and_reentry(away_s=4.0), fps=12.5),
    "occluded": lambda: Chain(script.full_occlusion(), fps=30000 / 1001),
    "group": lambda: Chain(script.group_walk(), fps=30000 / 1001, noise={"miss_rate": 0.2}, created=BEGUN),
    "classes": lambda: Chain(junction(size=(640, 360), duration_s=12), fps=10, noise={"class_noise": 0.4}),
    "flip": lambda: Chain(script.dense(8, rng=np.random.default_rng(4), size=(640, 360), duration_s=8), flip=(3.0, 2)),
    "slow": lambda: Chain(script.overtaking(), fps=4.2, noise={"class_noise": 0.5}),
    "gallery": lambda: Chain(script.exit_and_reentry(away_s=4.0), noise={"embedding_size": 16, "miss_rate": 0.1}),
    "late": lambda: Chain(script.crossing(), shift_s=7200.04),
}


@lru_cache(maxsize=1)
def chain_of(name: str) -> Chain:
    """A case, whose frames the sites share."""
    return CASES[name]()


def recount(paths: Sequence[Path], site: Site = SITE, settings: StreamSettings | None = None, **reading) -> list[Event]:
    with open_input(paths, site, settings or StreamSettings(), Reading(**reading)) as source:
        found = [event for tracked in source.counted() for event in tracked.events]
        return found + list(source.closing())


def settled(event: Event) -> Event:
    """The event without the end of a stay that nothing in the records tells: lost, or open at the end."""
    if event.stay is None or event.stay.end not in {"lost", "open"}:
        return event
    return replace(event, stay=replace(event.stay, end="open", left_s=None))


def by_key(events: Sequence[Event]) -> list[Event]:
    return sorted(map(settled, events), key=lambda event: event.key)


LONG = {"crowd", "classes", "flip"}
"""Cases that take seconds: quick without an occluder and without a ground plane, else left to `make test-slow`."""


def each_site() -> list[Any]:
    """Parameters: every case at every site."""
    sites = {"open": SITE, "occluder": HIDDEN, "ground": GROUNDED}
    return [
        pytest.param(case, site, id=f"{case}-{name}", marks=pytest.mark.slow if case in LONG and name != "open" else ())
        for case in CASES
        for name, site in sites.items()
    ]


@pytest.mark.quick(
    "slow-open", "slow-occluder", "slow-ground", "outage-ground", "late-open", "occluded-occluder", "exit-open"
)
@pytest.mark.parametrize(("name", "site"), each_site())
def test_records_give_the_events_of_tracking(tmp_path: Path, name: str, site: Site) -> None:
    files = [tmp_path / f"gate.{suffix}" for suffix in SUFFIXES]
    live = chain_of(name).record(site, *files)
    assert Counter(event.kind for event in live)["identity_start"] >= 1
    for path in files:
        found = recount([path], site)
        assert by_key(found) == by_key(live), path.suffix
        assert {event.stream for event in found} == {STREAM}


@pytest.mark.slow
def test_the_cases_hold_what_they_are_for(tmp_path: Path) -> None:
    def kinds(name: str) -> Counter[str]:
        return Counter(event.kind for event in chain_of(name).record(SITE, tmp_path / f"{name}.jsonl"))

    crowded = kinds("crowd")
    assert min(crowded[kind] for kind in ("crossing", "enter", "leave", "loitering", "flow")) > 0
    assert kinds("outage")["gap"] == kinds("empty_outage")["gap"] == 1
    assert kinds("flip")["reclassified"] > 0
    grounded = Counter(event.kind for event in chain_of("classes").record(GROUNDED, tmp_path / "grounded.jsonl"))
    measured = ("speed", "headway", "time_gap", "size", "time_to_collision", "post_encroachment", "wrong_way")
    assert min(grounded[kind] for kind in measured) > 0
    assert chain_of("exit").record(GROUNDED, tmp_path / "standing.jsonl")
    crowded_rows, empty_rows = (
        [json.loads(line).get("notes") or {} for line in (tmp_path / f"{name}.jsonl").read_text().splitlines()]
        for name in ("crowd", "empty_outage")
    )
    assert any("earlier" in one for one in crowded_rows)
    assert any("ended" in one for one in crowded_rows)
    assert max(len(one.get("quiet", ())) for one in empty_rows) == 2  # before the outage, and behind it


@pytest.mark.slow
def test_states_of_the_camera_come_back_with_their_times(tmp_path: Path) -> None:
    def state(kind, time_s: float, since_s: float | None = None) -> Event:
        return Event(kind=kind, stream=STREAM, time_s=time_s, since_s=since_s, revision=3)

    scene = script.exit_and_reentry(away_s=6.0)
    files = [tmp_path / f"gate.{suffix}" for suffix in ("jsonl", "parquet", "instances")]
    told = (state("dark", 1.0), state("dark", 2.0, 1.0), state("covered", 5.5), state("covered", 7.0, 5.5))
    for states in (told, told[:2]):
        live = Chain(scene, camera=states).record(SITE, *files)
        assert sum(event.identity == 0 for event in live) == len(states)
        for path in files:
            assert by_key(recount([path])) == by_key(live)


def test_a_state_of_the_camera_to_the_end_is_in_saved_instances(tmp_path: Path) -> None:
    """Of frames without instances too, and of those that were not segmented."""
    scene = script.crossing()
    dark = Event(kind="dark", stream=STREAM, time_s=scene.duration_s - 1.5, revision=3)
    over = replace(dark, time_s=scene.duration_s, since_s=dark.time_s)
    path = tmp_path / "gate.instances"
    live = Chain(scene, fps=12.5, camera=(dark,), last=(over,)).record(SITE, path)
    assert [event for event in live if event.kind == "dark"] == [dark, over]
    assert by_key(recount([path])) == by_key(live)
    (tmp_path / "site.yaml").write_text(site_text(SITE))
    counting = StreamSettings(site=str(tmp_path / "site.yaml"), events=(str(tmp_path / "again.events.jsonl"),))
    associate_saved(path, tmp_path / "again.jsonl", counting=counting)
    assert by_key(list(read_events(tmp_path / "again.events.jsonl"))) == by_key(live)


def test_full_disk_at_the_end_leaves_the_last_frame(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dark = Event(kind="dark", stream=STREAM, time_s=1.0)
    chain = Chain(script.crossing(), fps=4.2)
    path = tmp_path / "gate.instances"
    sink = open_sink(path, class_names=chain.scene.class_names)
    for tracked in chain.frames:
        sink.write(tracked)
    monkeypatch.setattr("tracker.sinks.instances.with_camera", lambda block, _camera: block + bytes(1 << 20))
    whole = sink.part_bytes()
    with small_files(whole + 1000), pytest.raises(SinkError, match=r"gate\.instances"):
        sink.write_events([dark])
    with pytest.raises(SinkError, match=r"gate\.instances"):
        sink.write(chain.frames[0])
    sink.close()
    assert path.stat().st_size == whole
    assert len(recount([path])) > 0


@pytest.mark.slow
def test_another_site_gives_what_tracking_with_it_would_have_given(tmp_path: Path) -> None:
    """The records were written with one site, and counted with another and with none of its own."""
    other = Site(lines=(Line(name="new", points=((0.2, 0.42), (0.8, 0.47))),), zones=SITE.zones[:1], revision=4)
    live = crowd().record(other, tmp_path / "b.jsonl")
    crowd().record(SITE, tmp_path / "a.jsonl")
    crowd().record(Site(), tmp_path / "c.parquet")
    for name in ("a.jsonl", "c.parquet"):
        assert by_key(recount([tmp_path / name], other)) == by_key(live)


@pytest.mark.slow
def test_parts_of_a_cameras_records_are_one_recording(tmp_path: Path) -> None:
    live = crowd().record(SITE, tmp_path / "whole.jsonl")
    lines = (tmp_path / "whole.jsonl").read_text().splitlines(keepends=True)
    parts = [tmp_path / "one.jsonl", tmp_path / "two.jsonl"]
    cut = next(n for n, line in enumerate(lines) if json.loads(line)["frame"] == 60)
    parts[0].write_text("".join(lines[:cut]))
    parts[1].write_text("".join(lines[cut:]))
    assert by_key(recount(parts)) == by_key(live)
    with pytest.raises(DetectionsError, match="expected rows in order of time"):
        recount(parts[::-1])


@pytest.mark.slow
def test_a_declared_start_goes_along_and_may_be_declared_anew(tmp_path: Path) -> None:
    start = StreamSettings(start_at="2026-03-29T01:30+01:00")
    files = [tmp_path / "a.csv", tmp_path / "a.instances"]
    live = crowd().record(SITE, *files, settings=start)
    assert all(event.utc_ms is not None for event in live)
    for path in files:
        assert by_key(recount([path])) == by_key(live)
        later = recount([path], settings=StreamSettings(start_at="2026-03-29T02:30+01:00"))
        assert {one.utc_ms - other.utc_ms for one, other in zip(later, recount([path]), strict=True)} == {3_600_000}


# ---- without contacts ----------------------------------------------------------------------------------------------


BOXED = {
    "crossing": (script.crossing, ((5.5, 0.0), (11.0, 0.0))),
    "u_turn": (script.u_turn, ((5.5, 0.0), (11.0, 0.0))),
    "stop_and_go": (script.stop_and_go, ((5.5, 0.6), (11.0, 0.6))),
    "overtaking": (script.overtaking, ((12.0, 0.0), (26.0, 0.0))),
}


@pytest.mark.quick("crossing-txt", "crossing-jsonl", "u_turn-csv", "overtaking-parquet", "overtaking-foreign")
@pytest.mark.parametrize("form", ["txt", "csv", "jsonl", "parquet", "foreign"])
@pytest.mark.parametrize("name", BOXED)
def test_boxes_give_the_same_passages_within_a_frame(tmp_path: Path, name: str, form: str) -> None:
    build, line_m = BOXED[name]
    scene = build()
    site = Site(lines=(Line(name="line", points=on_screen(scene, *line_m)),))
    path = tmp_path / f"gate.{'csv' if form == 'foreign' else form}"
    recorded = Chain(scene).record(site, path)
    live = sorted((event for event in recorded if event.kind == "crossing"), key=lambda event: event.identity)
    if form == "foreign":  # what other trackers write
        rows = [line.split(",") for line in path.read_text().splitlines()]
        kept = [rows[0].index(column) for column in ("frame", "id", "class", "x1", "y1", "x2", "y2")]
        path.write_text("".join(",".join(row[n] for n in kept) + "\n" for row in rows))
    events = recount([path], site, fps=25.0, size=scene.size, by_boxes=True, stream=STREAM)
    found = sorted((event for event in events if event.kind == "crossing"), key=lambda event: event.identity)
    assert live
    assert [(one.identity, one.place, one.direction) for one in found] == [
        (one.identity, one.place, one.direction) for one in live
    ]
    late_s = [one.time_s - other.time_s for one, other in zip(found, live, strict=True)]
    assert np.abs(late_s).max() <= 1 / 25 + 1e-6


def test_boxes_of_blocks_give_what_those_of_frames_give(tmp_path: Path) -> None:
    path = tmp_path / "gate.txt"
    crowd().record(SITE, path)
    found = []
    for bare in (True, False):
        with open_input([path], SITE, StreamSettings(), Reading(fps=25.0, size=crowd().scene.size)) as source:
            assert source.blocks is not None
            found.append([event for tracked in source.counted(bare=bare) for event in tracked.events])
            found[-1] += source.closing()
    assert found[0] == found[1]
    assert {"crossing", "enter", "leave"} <= {event.kind for event in found[0]}


# ---- what is written -----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("gate")
    outputs = (
        "gate.jsonl",
        "gate.csv",
        "gate.parquet",
        "gate.txt",
        "gate.instances",
        "live.events.jsonl",
        "live.sqlite",
    )
    crowd().record(SITE, *(made / name for name in outputs))
    (made / "site.yaml").write_text(site_text(SITE))
    moved = replace(SITE.lines[0], points=((0.05, 0.4), (0.5, 0.45), (0.95, 0.4)))
    changed = replace(SITE, lines=(moved, *SITE.lines[1:]), zones=SITE.zones[:1], flows=SITE.flows[:1], revision=4)
    (made / "new.yaml").write_text(site_text(changed))
    return made


@pytest.mark.parametrize("out", ["a.events.jsonl", "a.parquet", "a.sqlite"])
def test_ledgers_are_those_of_tracking(folder: Path, tmp_path: Path, out: str) -> None:
    found = analyse([folder / "gate.parquet"], folder / "site.yaml", tmp_path / out)
    live = list(read_events(folder / "live.events.jsonl"))
    assert by_key(list(read_events(tmp_path / out))) == by_key(live)
    assert (found.events, found.stream, found.notes) == (len(live), STREAM, [])
    assert found.seconds == pytest.approx(8.0, abs=0.1)
    crossed = Counter(event.direction for event in live if event.kind == "crossing" and event.place == "upper")
    assert {way: found.tally.crossings["upper", way].total() for way in ("in", "out")} == crossed
    assert {path.name for path in tmp_path.iterdir()} <= {out, f"{out}-wal", f"{out}-shm"}  # of SQLite's readers


def test_a_store_that_counted_it_gains_nothing_and_another_site_is_an_edition(folder: Path, tmp_path: Path) -> None:
    store = tmp_path / "a.sqlite"
    store.write_bytes((folder / "live.sqlite").read_bytes())
    live = list(read_events(store))
    analyse([folder / "gate.jsonl"], folder / "site.yaml", store)
    assert list(read_events(store)) == live
    with pytest.raises(SinkError, match=r"(?s)found others of the same time.*analyse --revise"):
        analyse([folder / "gate.jsonl"], folder / "new.yaml", store)
    assert list(read_events(store)) == live
    for _ in range(2):
        analyse([folder / "gate.jsonl"], folder / "new.yaml", store, revise=True)
        assert {event.revision for event in read_events(store)} == {4}
        assert [one.edition for one in read_editions(store)] == [1, 2]
    assert list(read_events(store, edition=1)) == live


@pytest.mark.slow
def test_refined_records_give_the_refined_events(folder: Path, tmp_path: Path) -> None:
    events = tmp_path / "refined.events.jsonl"
    counting = StreamSettings(site=str(folder / "site.yaml"), events=str(events))
    done = associate_saved(folder / "gate.instances", tmp_path / "refined.jsonl", refine=True, counting=counting)
    assert (done.refined, done.problem) == (True, "")
    refined = list(read_events(events))
    assert refined != list(read_events(folder / "live.events.jsonl"))
    assert by_key(recount([tmp_path / "refined.jsonl"])) == by_key(refined)


@pytest.mark.quick("101")
@pytest.mark.parametrize("cut", [0, 1, 30, 101, 222])
def test_notes_go_on_where_a_process_was_killed(cut: int) -> None:
    chain = Chain(comes_back(), fps=12.5, outages_s=((8.0, 11.0),))

    def through(stages: list[Stage], tracked: TrackedFrame) -> FrameNotes | None:
        for step in stages:
            tracked = step.process(tracked)
        return tracked.notes

    def noted(stages: list[Stage], frames: list[TrackedFrame]) -> list[FrameNotes | None]:
        return [through(stages, tracked) for tracked in frames]

    frames = list(chain.segmented())
    whole = noted(chain.stages(SITE, StreamSettings()), frames)
    first, second = (chain.stages(SITE, StreamSettings()) for _ in range(2))
    found = noted(first, frames[:cut])
    for one, other in zip(first, second, strict=True):
        state = one.state()
        if state is not None:
            other.restore(Kept(state=state, elapsed_s=None))
    assert found + noted(second, frames[cut:]) == whole
    assert any(one is not None and one.quiet for one in whole)


def test_damaged_records_leave_the_ledger_that_was_there(folder: Path, tmp_path: Path) -> None:
    text = (folder / "gate.jsonl").read_text()
    (tmp_path / "cut.jsonl").write_text(text[: len(text) // 2])
    for out in ("a.events.jsonl", "a.sqlite"):
        analyse([folder / "gate.jsonl"], folder / "site.yaml", tmp_path / out)
        before = list(read_events(tmp_path / out))
        with pytest.raises(DetectionsError, match=r"cut\.jsonl:\d+: expected a JSON object"):
            analyse([tmp_path / "cut.jsonl"], folder / "new.yaml", tmp_path / out, revise=out.endswith("sqlite"))
        assert list(read_events(tmp_path / out)) == before
    own = [path.name for path in tmp_path.iterdir() if not path.name.startswith("a.sqlite-")]
    assert sorted(own) == ["a.events.jsonl", "a.sqlite", "cut.jsonl"]


def test_a_dry_run_says_what_changed(folder: Path, tmp_path: Path) -> None:
    before = list(read_events(folder / "live.events.jsonl"))
    for against in ("live.events.jsonl", "live.sqlite", "site.yaml"):
        found = dry_run([folder / "gate.csv"], folder / "new.yaml", folder / against)
        rows = {(row.kind, row.place, row.direction): row for row in found.compared}
        assert rows["crossing", "lower", "in"].gone == rows["crossing", "lower", "in"].new == 0
        upper = [rows["crossing", "upper", way] for way in ("in", "out")]
        crossed = Counter(event.direction for event in before if event.kind == "crossing" and event.place == "upper")
        assert [row.before for row in upper] == [crossed["in"], crossed["out"]]
        assert all(row.after - row.before == row.new - row.gone for row in upper)
        assert any(row.new or row.gone for row in upper)
        assert rows["enter", "right", ""].after is None
        assert rows["enter", "right", ""].before == rows["enter", "right", ""].gone > 0
    alone = dry_run([folder / "gate.csv"], folder / "new.yaml")
    assert {row.before for row in alone.compared} == {None}
    assert list(tmp_path.iterdir()) == []


# ---- what cannot be counted ----------------------------------------------------------------------------------------


def edited(folder: Path, tmp_path: Path, change) -> Path:
    path = tmp_path / "gate.jsonl"
    rows = [json.loads(line) for line in (folder / "gate.jsonl").read_text().splitlines()]
    path.write_text("".join(json.dumps(change(row) or row, separators=(",", ":")) + "\n" for row in rows))
    return path


def without(row: dict, *names: str) -> dict:
    return {name: value for name, value in row.items() if name not in names}


def noted(row: dict, **values: object) -> dict:
    return row if "v" not in (row.get("notes") or {}) else row | {"notes": row["notes"] | values}


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda row: without(row, "contact", "contact_state"), "expected ground contacts, found rows without contact"),
        (lambda row: row | {"id": None}, r"found rows without any \(segmented, not tracked\)"),
        (lambda row: without(row, "box"), "expected rows with frame, time_s, id, class and box, found no 'box'"),
        (lambda row: noted(row, v=2), "expected notes up to version 1, found 2: a newer masktrail"),
        (lambda row: noted(row, ended="soon"), "expected notes as masktrail writes them"),
        (lambda row: noted(row, size=[640, 640]), "site.yaml: expected a picture of the shape 640 x 360, found 640"),
        (lambda row: noted(row, stream="b.mp4" if row["frame"] > 3 else "a.mp4"), "expected rows of one stream, a.mp4"),
        (lambda row: noted(row, occluders="12345678"), "this site's occluders, found others"),
        (lambda row: row | {"time_s": -row["time_s"]}, "expected rows in order of time"),
        (
            lambda row: row | {"box": [9, 9, 5, 12]},
            "upper, right and lower edge, found 9, 9, 5, 12 in frame",
        ),
        (lambda row: row | {"box": [9, float("nan"), 15, 12]}, "lower edge, found 9, nan, 15, 12 in frame"),
        (lambda row: row | {"id": 1}, "expected each identity once in frame"),
        (lambda row: row | {"contact": [float("inf"), 9]}, "expected contacts as two numbers in pixels, found inf, 9"),
    ],
)
def test_rows_that_cannot_be_counted(folder: Path, tmp_path: Path, change, expected: str) -> None:
    path = edited(folder, tmp_path, change)
    (tmp_path / "site.yaml").write_text(site_text(replace(SITE, reference_size=(640, 360))))
    with pytest.raises(TrackerError, match=expected) as failure:
        analyse([path], tmp_path / "site.yaml", tmp_path / "a.events.jsonl")
    assert failure.value.remedy
    assert not (tmp_path / "a.events.jsonl").exists()


@pytest.mark.parametrize(
    ("names", "options", "error", "expected"),
    [
        (["live.events.jsonl"], {}, DetectionsError, "expected rows of tracks, found a ledger of events"),
        (["gone.jsonl"], {}, SourceError, "No such file"),
        (["site.yaml"], {}, ConfigError, "found the suffix .yaml"),
        (["gate.txt"], {"size": (640, 360)}, ConfigError, "expected times, found frame numbers only"),
        (["gate.txt"], {"fps": 25.0}, ConfigError, "expected the size of the picture"),
        (["gate.instances", "gate.instances"], {}, ConfigError, "expected one file of saved instances, found 2"),
    ],
)
def test_inputs_that_cannot_be_counted(folder: Path, names, options, error, expected: str) -> None:
    with pytest.raises(error, match=expected) as failure:
        analyse([folder / name for name in names], folder / "site.yaml", reading=Reading(**options))
    assert failure.value.remedy


def test_what_to_compare_with_must_know_the_recording(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"expected events of other\.mp4, found those of gate\.mp4 only"):
        dry_run([folder / "gate.csv"], folder / "new.yaml", folder / "live.sqlite", reading=Reading(stream="other.mp4"))
    with pytest.raises(ConfigError, match=r"expected a ledger .* or a site \(\.yaml\), found the suffix \.csv"):
        dry_run([folder / "gate.csv"], folder / "new.yaml", folder / "gate.csv")
    with pytest.raises(ConfigError, match="expected a store, which keeps editions"):
        analyse([folder / "gate.csv"], folder / "new.yaml", tmp_path / "a.jsonl", revise=True)
    with pytest.raises(ConfigError, match=r"expected \.jsonl, \.parquet or \.sqlite, found \.csv"):
        analyse([folder / "gate.csv"], folder / "new.yaml", tmp_path / "a.csv")


def test_rows_written_without_predicted_ones_are_noted(folder: Path, tmp_path: Path) -> None:
    path = edited(folder, tmp_path, lambda row: noted(row, seen_only=True))
    assert "predicted rows were left out" in analyse([path], folder / "site.yaml").notes[0]
    boxed = analyse([path], folder / "site.yaml", reading=Reading(by_boxes=True))
    assert any("boxes' lower edges" in note for note in boxed.notes)
