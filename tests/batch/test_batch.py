"""A batch with processes and a model: rows of `track`, losses, resumption, object storage."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.command import Run
from tests.nameless import nameless_table
from tests.segment.models import end2end_model
from tests.sources.videos import write_video
from tracker.batch.run import plan_batch
from tracker.batch.task import Done, Worker
from tracker.segment.session import OnnxSegmenter
from tracker.settings.stream import RunSettings

pytest.importorskip("pyarrow")
from pyarrow import parquet

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return end2end_model(tmp_path_factory.mktemp("model") / "model.onnx")


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("videos")
    for number, count in enumerate((20, 30, 40)):
        write_video(folder / f"{number}.mp4", count=count)
    return folder


def manifests(out: Path) -> list[dict[str, object]]:
    return [json.loads(path.read_text("utf-8")) for path in sorted((out / "manifest").glob("*.json"))]


def checked(out: Path) -> dict[str, bytes]:
    """Bytes of the records by recording; every file that a manifest names is there."""
    found = {}
    for one in manifests(out):
        assert all((out / name).is_file() for name in one["files"].values())
        found[one["recording"]] = (out / one["files"]["records"]).read_bytes()
    return found


def test_rows_are_those_of_track(run: Run, tmp_path: Path, model: Path, videos: Path) -> None:
    out, summary = tmp_path / "out", tmp_path / "summary.json"
    result = run("batch", videos, "--out", out, "--model", model, "--processes", 2, "--json", summary)
    assert result.status == 0, result.err
    assert "3 of 3 recordings" in result.text
    found = checked(out)
    for number in range(3):
        plain = tmp_path / f"{number}.parquet"
        assert run("track", videos / f"{number}.mp4", "--model", model, "--records", plain, "--quiet").status == 0
        assert found[f"{number}.mp4"] == plain.read_bytes()
    told = json.loads(summary.read_text("utf-8"))
    assert (told["done"], told["frames"], told["failed"]) == (3, 90, {})


@pytest.mark.slow
def test_what_is_done_is_left_out_and_nothing_is_added_by_accident(
    run: Run, tmp_path: Path, model: Path, videos: Path
) -> None:
    out = tmp_path / "out"
    words = ["--out", out, "--model", model, "--processes", 1]
    assert run("batch", videos / "0.mp4", *words).status == 0
    refused = run("batch", videos, *words)
    assert refused.status != 0
    assert "add --resume to go on" in refused.text
    before = checked(out)
    result = run("batch", videos, *words, "--resume")
    assert result.status == 0, result.err
    assert "2 of 3 recordings, 1 before" in result.text
    assert checked(out)["0.mp4"] == before["0.mp4"]
    assert run("batch", videos, *words, "--resume", "--stride", 2).status == 0
    assert len(manifests(out)) == 6  # other settings are other results


@pytest.mark.slow
def test_a_recording_that_cannot_be_read_says_why_and_costs_no_other(
    run: Run, tmp_path: Path, model: Path, videos: Path
) -> None:
    broken = tmp_path / "broken.mp4"
    broken.write_bytes((videos / "0.mp4").read_bytes()[:300])
    out = tmp_path / "out"
    words = ["--out", out, "--model", model, "--processes", 2]
    result = run("batch", broken, videos / "1.mp4", *words)
    assert result.status == 1
    assert "failed broken.mp4: " in result.text
    assert set(checked(out)) == {"1.mp4"}
    [failed] = (out / "failed").glob("*.json")
    assert "expected" in json.loads(failed.read_text("utf-8"))["problem"]
    assert not [path for path in (out / "records").glob("*/*") if "broken" in str(path)]
    broken.write_bytes((videos / "0.mp4").read_bytes())
    assert run("batch", broken, videos / "1.mp4", *words, "--resume").status == 0
    assert set(checked(out)) == {"broken.mp4", "1.mp4"}
    assert not list((out / "failed").glob("*"))  # the file has changed, and its key with it


def test_what_changed_replaces_its_results_and_what_was_chosen_otherwise_stays(
    tmp_path: Path, model: Path, videos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, video = tmp_path / "out", tmp_path / "a" / "0.mp4"
    video.parent.mkdir()
    video.write_bytes((videos / "0.mp4").read_bytes())
    settings = RunSettings(sources=(str(video),), model=str(model))
    worker = Worker(settings)

    def attempts(*, sources: tuple[str, ...] = (str(video),), instances: bool = False, stride: int = 1) -> list[str]:
        chosen = settings.replace(sources=sources, stride=stride)
        [task] = plan_batch(chosen, str(out), resume=True, instances=instances).tasks
        result = worker.run(task)
        assert isinstance(result, Done)
        found = [str(one["attempt"]) for one in manifests(out)]
        assert result.manifest.attempt in found
        return found

    [first] = attempts()
    os.utime(video, (1, 1))
    [second] = attempts()
    assert second != first
    assert list((out / "records").glob(f"*/{first}.parquet"))  # a reader may be at it
    monkeypatch.setattr("tracker.batch.run.__version__", "99")
    [third] = attempts()
    assert third != second
    assert len(attempts(stride=2)) == 2
    assert len(attempts(instances=True)) == 2
    assert len(attempts()) == 3  # it lacks a table
    other = tmp_path / "b" / "0.mp4"
    other.parent.mkdir()
    other.write_bytes((videos / "1.mp4").read_bytes())
    assert len(attempts(sources=(str(other),))) == 4


@pytest.mark.parametrize("workers", [1, 2])
def test_a_process_of_a_batch_uses_its_own_cores_only(
    tmp_path: Path, model: Path, videos: Path, monkeypatch: pytest.MonkeyPatch, workers: int
) -> None:
    monkeypatch.setattr("tracker.engine.models.available_cores", lambda: 8)
    opened: list[int] = []
    open_session = OnnxSegmenter.__init__

    def watched(self: OnnxSegmenter, *words: Any, **chosen: Any) -> None:
        open_session(self, *words, **chosen)
        opened.append(self.session.get_session_options().intra_op_num_threads)

    monkeypatch.setattr(OnnxSegmenter, "__init__", watched)
    settings = RunSettings(sources=(str(videos / "0.mp4"),), model=str(model), device="cpu", workers=workers)
    [task] = plan_batch(settings, str(tmp_path / "out")).tasks
    assert isinstance(Worker(settings).run(task), Done)
    assert opened == [1]  # with as many batches at once as it has cores


def test_a_plan_does_nothing(run: Run, tmp_path: Path, model: Path, videos: Path) -> None:
    out = tmp_path / "out"
    result = run("batch", videos, "--out", out, "--model", model, "--plan", "--price", 2)
    assert result.status == 0, result.err
    assert "3 recordings to do, 0 done" in result.text
    assert "4 s of video, 90 frames" in result.text
    assert "at 2 an hour" in result.text
    assert not out.exists()


@pytest.mark.parametrize("suffix", [".mkv", ".ts"])
def test_a_plan_knows_lengths_that_are_told_in_seconds_only(run: Run, tmp_path: Path, model: Path, suffix: str) -> None:
    video = write_video(tmp_path / f"a{suffix}", count=50)
    result = run("batch", video, "--out", tmp_path / "out", "--model", model, "--plan")
    assert result.status == 0, result.err
    assert re.search(r"2 s of video, (49|50|51) frames", result.text), result.text
    result = run("batch", video, "--out", tmp_path / "out", "--model", model, "--plan", "--limit", 5)
    assert ", 5 frames" in result.text


def test_a_plan_says_that_no_length_is_known(run: Run, tmp_path: Path, model: Path) -> None:
    (tmp_path / "a.mp4").write_bytes(b"no video")
    result = run("batch", tmp_path / "a.mp4", "--out", tmp_path / "out", "--model", model, "--plan")
    assert result.status == 0, result.err
    assert "not known as none of those that were looked at tells it" in result.text


@pytest.mark.parametrize("words", [("--save", "x.mp4"), ("--records", "x.csv")])
def test_other_outputs_are_refused(run: Run, tmp_path: Path, videos: Path, words: tuple[str, str]) -> None:
    result = run("batch", videos, "--out", tmp_path / "out", *words)
    assert result.status != 0
    assert f"{words[0]}: expected no output beside --out" in result.text


def test_a_place_that_cannot_be_written_is_told_before_any_work(run: Run, tmp_path: Path, videos: Path) -> None:
    (tmp_path / "out").write_text("a file")
    result = run("batch", videos, "--out", tmp_path / "out")
    assert result.status != 0
    assert "expected a place that can be written" in result.text
    assert (tmp_path / "out").read_text() == "a file"


def start(*words: object, **options: Any) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "tracker", "batch", *map(str, words)],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        **options,
    )


def workers_of(pid: int) -> list[int]:
    psutil = pytest.importorskip("psutil")
    return [
        child.pid for child in psutil.Process(pid).children(recursive=True) if "spawn_main" in " ".join(child.cmdline())
    ]


def wait_for(what, timeout_s: float = 60.0) -> None:
    end_s = time.monotonic() + timeout_s
    while not what():
        assert time.monotonic() < end_s
        time.sleep(0.02)


@pytest.fixture
def long_videos(tmp_path: Path) -> Path:
    folder = tmp_path / "in"
    folder.mkdir()
    for number in range(4):
        write_video(folder / f"{number}.mp4", count=600)
    return folder


@pytest.mark.slow
def test_a_killed_worker_costs_nothing(tmp_path: Path, model: Path, long_videos: Path) -> None:
    out = tmp_path / "out"
    process = start(long_videos, "--out", out, "--model", model, "--processes", 2)
    wait_for(lambda: list((out / "records").glob("*")))
    os.kill(workers_of(process.pid)[0], signal.SIGKILL)
    text, _ = process.communicate(timeout=90)
    assert process.returncode == 0, text
    assert "processes lost" in text
    tables = [nameless_table(parquet.read_table(out / one["files"]["records"])) for one in manifests(out)]
    assert all(table.equals(tables[0]) for table in tables)
    assert len(manifests(out)) == 4


@pytest.mark.slow
def test_a_killed_driver_leaves_what_can_be_resumed(tmp_path: Path, model: Path, long_videos: Path) -> None:
    out = tmp_path / "out"
    words = (long_videos, "--out", out, "--model", model, "--processes", 2)
    process = start(*words)
    wait_for(lambda: (out / "manifest").is_dir() and any((out / "manifest").glob("*.json")))
    workers = workers_of(process.pid)
    process.kill()
    process.communicate()
    wait_for(lambda: not any(Path(f"/proc/{pid}/cmdline").exists() for pid in workers))
    before = checked(out)
    process = start(*words, "--resume")
    text, _ = process.communicate(timeout=90)
    assert process.returncode == 0, text
    found = checked(out)
    assert len(found) == 4
    assert all(found[name] == rows for name, rows in before.items())


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="a terminal interrupts a group of processes")
def test_an_interruption_while_workers_start_is_no_fault_of_theirs(
    tmp_path: Path, model: Path, long_videos: Path
) -> None:
    out = tmp_path / "out"
    process = start(long_videos, "--out", out, "--model", model, "--processes", 2, start_new_session=True)
    wait_for(lambda: workers_of(process.pid))
    os.killpg(process.pid, signal.SIGINT)
    text, _ = process.communicate(timeout=60)
    assert process.returncode == 130, text
    assert "Traceback" not in text
    assert "processes lost" not in text
    assert not list(out.rglob("*.json"))


@pytest.mark.slow
def test_an_interruption_keeps_what_is_done(tmp_path: Path, model: Path, long_videos: Path) -> None:
    out = tmp_path / "out"
    process = start(long_videos, "--out", out, "--model", model, "--processes", 1)
    wait_for(lambda: (out / "manifest").is_dir() and any((out / "manifest").glob("*.json")))
    process.send_signal(signal.SIGINT)
    text, _ = process.communicate(timeout=60)
    assert process.returncode == 130, text
    assert "go on with --resume" in text
    done = checked(out)
    assert 1 <= len(done) < 4
    assert len(list((out / "records").glob("*/*.parquet"))) == len(done)
