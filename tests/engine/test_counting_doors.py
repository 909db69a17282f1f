"""The same events behind every door: track, live, Python and saved instances, on a rendered scene."""

from __future__ import annotations

import json
import math
import shutil
import threading
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from demos.scenes.door import ARCADE_M, DOOR_M, door
from demos.scenes.writers import write_video
from tests.analytics.worlds import on_screen, tracked_truth
from tests.command import Run as Command
from tests.segment.models import end2end_model
from tests.sources.videos import write_video as write_frames
from tracker import track
from tracker.engine.meter import StreamFigures
from tracker.engine.run import Listener, Run
from tracker.engine.run import run as run_streams
from tracker.engine.saved import associate_saved
from tracker.events import Event
from tracker.formats.ledger import read_editions, read_events
from tracker.plugins import open_sink
from tracker.service.run import run_live
from tracker.settings.site_file import read_site, write_site
from tracker.settings.stream import RunSettings, StreamSettings
from tracker.site import Line, Site

pytestmark = pytest.mark.slow  # test_same_bytes.py and app/test_cli.py have what is quick of it
DURATION_S = 9.0
START = "2026-03-29T01:30+01:00"


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """The scene, its site, and what ``masktrail segment`` saves of it."""
    folder = tmp_path_factory.mktemp("door")
    scene = door(seed=0)
    write_video(scene, folder / "door.mp4", fps=12.5, duration_s=DURATION_S)
    threshold = [list(point) for point in on_screen(scene, *DOOR_M)]
    arcade = [list(point) for point in on_screen(scene, *ARCADE_M)]
    text = f"lines:\n  - {{name: door, points: {threshold}, to_left: enters, to_right: leaves}}\n"
    text += f"zones:\n  - {{name: arcade, polygon: {arcade}}}\n"
    (folder / "site.yaml").write_text(text)
    run_streams(folder / "door.mp4", records=str(folder / "door.instances"), device="cpu", associates=False)
    return folder


@pytest.fixture(scope="module")
def counted(folder: Path) -> list[Event]:
    """The events that ``tracker.run`` writes."""
    path = folder / "run.jsonl"
    [outcome] = run_streams(
        folder / "door.mp4", site=str(folder / "site.yaml"), events=str(path), start_at=START, device="cpu"
    )
    assert outcome.outputs == [str(path)]
    events = list(read_events(path.rename(folder / "run.events.jsonl")))
    assert outcome.tally.crossings == {
        ("door", direction): Counter(one.class_name for one in events if one.direction == direction)
        for direction in ("enters", "leaves")
    }
    return events


def of_any_stream(events: list[Event]) -> list[Event]:
    """The events without the name of the stream, which every door gives itself."""
    return [replace(event, stream="") for event in events]


def test_the_truth_is_counted(counted: list[Event]) -> None:
    truth = [one.time_s for one in door(seed=0).crossings(DOOR_M, DURATION_S)]
    crossings = [event for event in counted if event.kind == "crossing"]
    assert [event.direction for event in crossings] == ["enters"] * len(truth)
    # Three walk in a group and hide each other's feet: they count when the feet are seen again, up to 1.1 s late.
    assert sorted(event.time_s for event in crossings) == pytest.approx(truth, abs=1.25)
    assert len({event.key for event in counted}) == len(counted)


def test_on_the_command_line(run: Command, folder: Path, counted: list[Event], tmp_path: Path) -> None:
    outputs = [tmp_path / name for name in ("a.events.jsonl", "b.events.parquet", "c.db")]
    named = [word for path in outputs for word in ("--events", path)]
    options = ["--site", folder / "site.yaml", "--start-at", START, "--json", tmp_path / "sum.json"]
    done = run("track", folder / "door.mp4", "--device", "cpu", *options, *named)
    assert done.status == 0, done.text
    for path in outputs:
        assert list(read_events(path)) == counted, path.name
    crossings = sum(event.kind == "crossing" for event in counted)
    assert f"line door enters {crossings} ({crossings} person)" in " ".join(done.text.split())
    [told] = json.loads((tmp_path / "sum.json").read_text())
    assert told["counts"]["lines"] == {"door": {"enters": {"person": crossings}, "leaves": {}}}
    assert {"contact", "analytics"} <= set(told["stage_ms"])


@pytest.mark.parametrize("state", ["", "state: STATE\n"])
def test_as_a_recording_of_a_service(folder: Path, counted: list[Event], tmp_path: Path, state: str) -> None:
    config = tmp_path / "cameras.yaml"
    text = f"device: cpu\nmetrics: off\n{state.replace('STATE', str(tmp_path / 'state'))}cameras:\n"
    text += f"  - {{name: gate, url: '{folder / 'door.mp4'}', site: '{folder / 'site.yaml'}', start_at: '{START}',\n"
    names = ("gate.events.jsonl", "gate.events.parquet", "gate.db")
    text += f"     events: [{', '.join(repr(str(tmp_path / name)) for name in names)}]}}\n"
    config.write_text(text)
    assert run_live(config) == 0
    for name in names:
        events = list(read_events(tmp_path / name))
        assert {event.stream for event in events} == {"gate"}
        assert of_any_stream(events) == of_any_stream(counted)


def test_from_python_frame_by_frame(folder: Path, counted: list[Event]) -> None:
    frames = list(track(folder / "door.mp4", site=folder / "site.yaml", start_at=START, device="cpu"))
    assert len(frames) == math.ceil(DURATION_S * 12.5)
    assert [event for tracked in frames for event in tracked.events] == counted
    assert all(len(tracked.contacts.points) == len(tracked.instances) for tracked in frames)
    again = next(iter(track(folder / "door.mp4", device="cpu", limit=1)))
    assert again.contacts is None
    assert again.events == ()


def test_from_saved_instances(run: Command, folder: Path, counted: list[Event], tmp_path: Path) -> None:
    options = ["--site", folder / "site.yaml", "--start-at", START]
    named = ["--out", tmp_path / "a.csv", "--events", tmp_path / "a.jsonl", "--events", tmp_path / "a.db"]
    done = run("associate", folder / "door.instances", *named, *options)
    assert done.status == 0, done.text
    assert "line door enters" in " ".join(done.text.split())
    assert list(read_events(tmp_path / "a.db")) == counted
    assert list(read_events((tmp_path / "a.jsonl").rename(tmp_path / "a.events.jsonl"))) == counted


@pytest.mark.parametrize("refine", [False, True])
def test_true_silhouettes_are_counted_exactly_in_both_passes(tmp_path: Path, refine: bool) -> None:
    scene, fps, duration_s = door(seed=0), 12.5, 16.0
    with open_sink(tmp_path / "door.instances", class_names=scene.class_names, confirmation_score=0.3) as sink:
        for tracked in tracked_truth(scene, fps=fps, duration_s=duration_s):
            sink.write(replace(tracked, tracks=None))
    site = Site(lines=(Line(name="door", points=on_screen(scene, *DOOR_M)),))
    write_site(tmp_path / "site.yaml", site)
    counting = StreamSettings(site=str(tmp_path / "site.yaml"), events=str(tmp_path / "a.events.jsonl"))
    outcome = associate_saved(tmp_path / "door.instances", tmp_path / "a.csv", refine=refine, counting=counting)
    assert (outcome.problem, outcome.refined) == ("", refine)
    found = [event for event in read_events(tmp_path / "a.events.jsonl") if event.kind == "crossing"]
    truth = [one for one in scene.crossings(DOOR_M, duration_s) if one.time_s < duration_s - 0.5]
    assert [event.direction for event in found] == ["in" if one.direction > 0 else "out" for one in truth]
    assert sorted(event.time_s for event in found) == pytest.approx([one.time_s for one in truth], abs=0.25)


def test_the_second_pass_counts_the_refined_identities(folder: Path, counted: list[Event], tmp_path: Path) -> None:
    site = str(folder / "site.yaml")
    path, other = tmp_path / "a.events.jsonl", tmp_path / "b.events.jsonl"
    [outcome] = run_streams(folder / "door.mp4", site=site, events=str(path), start_at=START, device="cpu", refine=True)
    assert outcome.failures == []
    refined = list(read_events(path))
    crossings = [event for event in refined if event.kind == "crossing"]
    for direction in ("enters", "leaves"):
        told = Counter(event.class_name for event in crossings if event.direction == direction)
        assert outcome.tally.crossings["door", direction] == told
    assert 0 < len(crossings) <= sum(event.kind == "crossing" for event in counted)
    identities = {event.identity for event in refined if event.kind == "identity_start"}
    assert len(identities) == sum(event.kind == "identity_end" for event in refined) == outcome.identities.total()
    counting = StreamSettings(site=site, events=str(other), start_at=START)
    saved = associate_saved(folder / "door.instances", tmp_path / "b.csv", refine=True, counting=counting)
    assert saved.refined
    assert list(read_events(other)) == refined
    store = tmp_path / "a.db"
    for _ in range(2):  # the second time nothing is added
        [outcome] = run_streams(
            folder / "door.mp4", site=site, events=str(store), start_at=START, device="cpu", refine=True
        )
        assert outcome.failures == []
        assert list(read_events(store)) == refined
        assert [(one.edition, one.rows) for one in read_editions(store)] == [(3, len(refined))]


def test_a_run_that_is_stopped_writes_what_is_open(tmp_path: Path) -> None:
    """As by Ctrl-C."""
    clip = write_frames(tmp_path / "a.mp4", count=6000, size=(160, 96))
    (tmp_path / "site.yaml").write_text("zones:\n  - {name: all, polygon: [[0, 0], [1, 0], [1, 1], [0, 1]]}\n")
    settings = RunSettings(
        sources=str(clip),
        model=str(end2end_model(tmp_path / "constant.onnx")),
        device="cpu",
        site=str(tmp_path / "site.yaml"),
        events=(str(tmp_path / "a.events.jsonl"), str(tmp_path / "a.db")),
    )

    class Stopping(Listener):
        def progressed(self, name: str, figures: StreamFigures) -> None:
            assert name.endswith("a.mp4")
            if figures.frames > 20:
                threading.Thread(target=one.stop).start()

    one = Run(settings, listener=Stopping())
    [outcome] = one.run()
    assert outcome.interrupted
    for path in outcome.outputs:
        left = [event for event in read_events(path) if event.kind == "leave"]
        assert [event.stay.end for event in left] == ["open", "open"]
    assert outcome.tally.zones["all"].found_inside == {"person": 1, "car": 1}


def test_what_cannot_be_counted_is_refused_before_the_model_works(run: Command, folder: Path, tmp_path: Path) -> None:
    clip, site = folder / "door.mp4", folder / "site.yaml"
    other = tmp_path / "other.yaml"
    other.write_text(site.read_text() + "reference_size: [640, 480]\n")
    lorry = tmp_path / "lorry.yaml"
    lorry.write_text(site.read_text().replace("name: arcade,", "name: arcade, classes: [lorry],"))
    shutil.copy(site, tmp_path / "site.jsonl")
    (tmp_path / "clip.jsonl").hardlink_to(clip)
    persons = tmp_path / "persons.yaml"
    persons.write_text(site.read_text().replace("name: arcade,", "name: arcade, classes: [person],"))
    for words, said in (
        (["track", clip, "--site", tmp_path / "none.yaml"], "none.yaml"),
        (["track", clip, "--site", other], f"{other}: expected a picture of the shape 640 x 480, found 640 x 360"),
        (["track", clip, "--site", lorry], "found 'lorry' in zone 'arcade'"),
        (["track", clip, "--site", lorry], "lorry.yaml of "),
        (["track", clip, "--classes", "car,bus", "--site", persons], "keeps car, bus"),
        (["track", clip, "--site", tmp_path / "site.jsonl", "--events", tmp_path / "site.jsonl"], "it is read here"),
        (["track", clip, "--site", site, "--events", tmp_path / "clip.jsonl"], "it is read here"),
        (["track", clip, "--site", site, "--events", tmp_path / "{nam}.jsonl"], "did you mean {name}?"),
        (["track", clip, folder / "door.mp4", "--site", site, "--events", tmp_path / "a.jsonl"], "{name}.jsonl"),
        (["track", clip, "--events", tmp_path / "a.jsonl"], "expected a site"),
        (["track", clip, "--records", tmp_path / "a.db"], "expected a site"),
        (["track", clip, "--site", site, "--events", site], ".jsonl"),
        (
            ["track", clip, "--site", site, "--events", tmp_path / "a.jsonl", "--records", tmp_path / "a.jsonl"],
            "another",
        ),
        (["segment", clip, "--site", site], "found one of track"),
        (["associate", folder / "door.instances", "--out", tmp_path / "a.csv", "--site", lorry], "found 'lorry'"),
        (["associate", folder / "door.instances", "--out", tmp_path / "a.db"], "expected a site"),
    ):
        done = run(*words, *(["--device", "cpu"] if words[0] != "associate" else []))
        assert done.status == 2, words
        assert said in done.text, done.text
    assert read_site(site).lines[0].name == "door"
    assert not list(tmp_path.glob("a.*"))
