"""A run from Python: what it tells, how it is stopped, what it refuses, and the second pass."""

from __future__ import annotations

import json
import threading
from pathlib import Path

import pytest

from tests.segment.models import end2end_model
from tests.sources.videos import write_video
from tracker.engine.meter import StreamFigures
from tracker.engine.run import Listener, Outcome, Run, run
from tracker.errors import ConfigError, ModelError, SinkError, SourceError
from tracker.segment.session import OnnxSegmenter
from tracker.settings.stream import RunSettings


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> str:
    return str(end2end_model(tmp_path_factory.mktemp("model") / "constant.onnx"))


class Log(Listener):
    """Everything that is told, in order."""

    def __init__(self) -> None:
        self.told: list[tuple[object, ...]] = []
        self.on_started = lambda: None

    def model_opened(self, role: str, description: str) -> None:
        self.told.append((role, "constant.onnx" in description))

    def started(self, name: str, info, frame_count: int | None) -> None:
        self.told.append(("started", Path(name).name, info.size, frame_count))
        self.on_started()

    def progressed(self, name: str, figures: StreamFigures) -> None:
        if self.told[-1][0] != "progressed":
            self.told.append(("progressed", Path(name).name))

    def refined(self, name: str, done: int, total: int) -> None:
        if self.told[-1][0] != "refined":
            self.told.append(("refined", Path(name).name))

    def ended(self, name: str, outcome: Outcome | None) -> None:
        self.told.append(("ended", Path(name).name, outcome is not None))


def test_two_recordings_one_after_another_share_a_session(model: str, tmp_path: Path) -> None:
    videos = [write_video(tmp_path / f"{name}.mp4", count=6, size=(160, 96)) for name in "ab"]
    settings = RunSettings(
        sources=tuple(map(str, videos)),
        model=model,
        device="cpu",
        records=(str(tmp_path / "{name}.jsonl"),),
        limit=4,
        refine=True,
    )
    log = Log()
    outcomes = Run(settings, listener=log).run()
    assert [outcome.figures.frames for outcome in outcomes] == [4, 4]
    assert [outcome.outputs for outcome in outcomes] == [[str(tmp_path / f"{name}.jsonl")] for name in "ab"]
    assert [set(outcome.stage_ms) for outcome in outcomes] == [
        {"decode", "segment", "camera", "associate", "contact", "notes", "write"}
    ] * 2
    assert all(outcome.figures.wall_s > 0 and not outcome.failures for outcome in outcomes)
    steps = [
        (("started", f"{name}.mp4", (160, 96), 4), ("progressed", f"{name}.mp4"), ("refined", f"{name}.mp4"))
        for name in "ab"
    ]
    assert log.told == [
        ("model", True),
        *steps[0],
        ("ended", "a.mp4", True),
        *steps[1],
        ("ended", "b.mp4", True),
    ]
    assert json.dumps([outcome.as_json() for outcome in outcomes])


def test_a_run_that_is_stopped_keeps_what_is_done(model: str, tmp_path: Path) -> None:
    videos = [str(write_video(tmp_path / f"{name}.mp4", count=3000, size=(32, 32))) for name in "ab"]
    settings = RunSettings(sources=tuple(videos), model=model, device="cpu", records=(str(tmp_path / "{name}.csv"),))
    log = Log()
    one = Run(settings, listener=log)
    log.on_started = lambda: threading.Timer(0.3, one.stop).start()
    [outcome] = one.run()
    assert outcome.interrupted
    assert 0 < outcome.figures.frames < 3000
    frames = [int(line.partition(",")[0]) for line in (tmp_path / "a.csv").read_text().splitlines()[1:]]
    assert max(frames) == outcome.figures.frames - 1
    assert not (tmp_path / "b.csv").exists()
    assert not list(tmp_path.glob(".*"))


def test_a_model_that_fails_ends_its_recording_and_no_other(model: str, tmp_path: Path, monkeypatch) -> None:
    videos = [str(write_video(tmp_path / f"{name}.mp4", count=9, size=(160, 96))) for name in "ab"]
    segment = OnnxSegmenter.segment

    def fail(self: OnnxSegmenter, frames):
        if frames[0].source.endswith("a.mp4") and frames[0].index == 5:
            raise ModelError("constant.onnx", "the card fell off the bus", "see the kernel's log")
        return segment(self, frames)

    monkeypatch.setattr(OnnxSegmenter, "segment", fail)
    first, second = run(videos, model=model, device="cpu", workers=1)
    assert [str(failure) for failure in first.failures] == [
        "constant.onnx: the card fell off the bus\n  remedy: see the kernel's log"
    ]
    assert (first.figures.frames, second.figures.frames, second.failures) == (5, 9, [])


def test_a_fault_of_the_program_is_raised_as_it_is(model: str, tmp_path: Path, monkeypatch) -> None:
    def boom(*_: object, **__: object) -> None:
        message = "no such row"
        raise IndexError(message)

    monkeypatch.setattr("tracker.associate.tracker.Tracker.update", boom)
    video = write_video(tmp_path / "a.mp4", count=9, size=(160, 96))
    with pytest.raises(IndexError, match="no such row"):
        run(video, model=model, device="cpu", records=tmp_path / "a.jsonl")
    assert not list(tmp_path.glob(".*"))


def test_what_cannot_work_is_refused_before_anything_is_written(model: str, tmp_path: Path) -> None:
    video = write_video(tmp_path / "a.mp4", count=3, size=(160, 96))
    with pytest.raises(SourceError):
        run(tmp_path / "none.mp4", model=model)
    with pytest.raises(SinkError, match="it is read here"):
        run(video, model=model, device="cpu", save=video)
    with pytest.raises(ConfigError, match="expected classes of the model, found 'lorry'"):
        run(video, model=model, device="cpu", classes="lorry", records=tmp_path / "a.jsonl")
    with pytest.raises(ConfigError, match="RunSettings"):
        run(video, model=model, speed=3)
    assert [path.name for path in tmp_path.iterdir()] == ["a.mp4"]
