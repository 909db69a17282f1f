"""Order of a batch: what losses mean, what ends all of it, and its figures."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.batch.fakes import Answer, FakePool, manifest, plan
from tracker.batch.pool import Lost
from tracker.batch.run import Batch
from tracker.batch.task import Done, Failed
from tracker.inference.survey import DeviceSurvey
from tracker.settings.stream import RunSettings


def done(key: str, _count: int) -> Answer:
    return Done(manifest=manifest(key))


def test_every_recording_is_started_once(tmp_path: Path) -> None:
    pool = FakePool(done)
    figures = Batch(plan(tmp_path, *"abcde"), pool).run()
    assert pool.started == list("abcde")
    assert max(map(len, pool.together)) == 2
    assert (figures.done, figures.frames, figures.identities["car"]) == (5, 25, 5)
    assert figures.media_s == pytest.approx(1.0)
    assert figures.running == []


def test_a_loss_takes_no_try_and_the_recording_is_tried_again_alone(tmp_path: Path) -> None:
    def behave(key: str, count: int) -> Answer:
        return Lost(key=key, node="n1", how="signal 9") if key == "a" and count == 0 else done(key, count)

    pool = FakePool(behave)
    figures = Batch(plan(tmp_path, *"abcd"), pool).run()
    assert (figures.done, figures.lost, figures.failed) == (4, 1, {})
    assert pool.started == ["a", "b", "c", "d", "a"]
    assert pool.together[-1] == {"a"}


def test_what_ends_its_worker_three_times_alone_is_the_cause(tmp_path: Path) -> None:
    def behave(key: str, count: int) -> Answer:
        return Lost(key=key, node="n1", how="SIGKILL (signal 9)") if key == "b" else done(key, count)

    pool = FakePool(behave)
    figures = Batch(plan(tmp_path, *"abc"), pool).run()
    assert pool.started.count("b") == 4
    assert (figures.done, figures.lost) == (2, 4)
    assert "SIGKILL (signal 9), on n1" in figures.failed["b"]
    assert "b" in (tmp_path / "failed" / "b.json").read_text()


def test_a_node_that_is_lost_is_no_fault_of_the_recording(tmp_path: Path) -> None:
    def behave(key: str, count: int) -> Answer:
        if key == "b" and count < 7:
            return Lost(key=key, node=f"n{count}", how="node died", node_lost=True)
        return done(key, count)

    figures = Batch(plan(tmp_path, *"abc"), FakePool(behave)).run()
    assert (figures.done, figures.lost, figures.failed) == (3, 7, {})


def test_two_suspects_are_never_alone_together(tmp_path: Path) -> None:
    def behave(key: str, count: int) -> Answer:
        return Lost(key=key, node="n1", how="signal 9") if count == 0 else done(key, count)

    pool = FakePool(behave, workers=3)
    figures = Batch(plan(tmp_path, *"abc"), pool).run()
    assert (figures.done, figures.lost) == (3, 3)
    assert pool.together[3:] == [{"a"}, {"b"}, {"c"}]


def test_a_failure_costs_its_recording_only(tmp_path: Path) -> None:
    def behave(key: str, count: int) -> Answer:
        return Failed(problem="b: expected a video, found text") if key == "b" else done(key, count)

    figures = Batch(plan(tmp_path, *"abc"), FakePool(behave)).run()
    assert (figures.done, figures.failed) == (2, {"b": "b: expected a video, found text"})


def test_a_place_that_cannot_be_written_ends_the_batch(tmp_path: Path) -> None:
    def behave(key: str, count: int) -> Answer:
        return Failed(problem="disk full", everywhere=True) if key == "b" else done(key, count)

    pool = FakePool(behave)
    figures = Batch(plan(tmp_path, *"abcdefgh"), pool).run()
    assert len(pool.started) <= 3
    assert figures.failed == {"b": "disk full"}


def test_stopping_starts_nothing_more_and_fails_nothing(tmp_path: Path) -> None:
    pool = FakePool(done)
    batch = Batch(plan(tmp_path, *"abcdef"), pool, on_progress=lambda figures: figures.done and batch.stop())
    figures = batch.run()
    assert 1 <= figures.done < 6
    assert figures.failed == {}
    assert len(pool.started) < 6


def test_time_left_follows_bytes(tmp_path: Path) -> None:
    seen = []
    Batch(plan(tmp_path, *"abcd"), FakePool(done, workers=1), on_progress=lambda one: seen.append(one.left_s)).run()
    assert all(left_s is not None and left_s >= 0 for left_s in seen)
    assert seen[-1] == 0


@pytest.mark.parametrize(
    ("device", "visible", "expected"),
    [("auto", None, ["0", "1"]), ("cuda", "3, 1", ["3", "1"]), ("cpu", None, [])],
)
def test_processes_share_the_cards(
    monkeypatch: pytest.MonkeyPatch, device: str, visible: str | None, expected: list[str]
) -> None:
    from tracker.app import batch

    two = DeviceSurvey(version="1", listed=(), cards=("A", "B"))
    monkeypatch.setattr(batch, "survey", lambda: two)
    monkeypatch.setattr(batch, "available_cores", lambda: 8)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if visible is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    settings = RunSettings(sources=("x",), device=device)
    assert batch._cards(settings) == expected
    assert batch._processes(settings, None) == (8 if device == "cpu" else 4)


def test_notes_are_told(tmp_path: Path) -> None:
    told = []
    pool = FakePool(lambda key, _: Done(manifest=manifest(key, notes=["2 packets skipped"])))
    Batch(plan(tmp_path, "a"), pool, on_note=lambda name, text: told.append((name, text))).run()
    assert told == [("a", "2 packets skipped")]
