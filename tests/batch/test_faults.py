"""Faults of files, disks and stores under a batch: a line that says what is wrong, and nothing of it lost."""

from __future__ import annotations

import ctypes
import io
import json
import os
import subprocess
import sys
import tracemalloc
import urllib.request
from collections import deque
from collections.abc import Iterator
from pathlib import Path

import pytest
from rich.console import Console

from tests.batch.fakes import FakePool, manifest, plan
from tests.batch.test_storage import host_of, store
from tests.command import Run
from tests.segment.models import end2end_model
from tests.sources.videos import write_video
from tracker.app.batch import Workers, run_batch
from tracker.batch.pool import LocalPool
from tracker.batch.recordings import find_recordings
from tracker.batch.run import Batch, plan_batch
from tracker.batch.task import Done, Worker
from tracker.settings.stream import RunSettings

pytest.importorskip("pyarrow")
pytestmark = pytest.mark.timeout(600)
__all__ = ["store"]

ROOT = Path(__file__).resolve().parents[2]
TINY = 10_000


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("in")
    end2end_model(folder / "model.onnx")
    (folder / "videos").mkdir()
    for number in range(3):
        write_video(folder / "videos" / f"{number}.mp4", count=10)
    return folder


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of one megabyte."""
    folder = tmp_path / "disk"
    folder.mkdir()
    made = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "none", folder], capture_output=True, check=False)
    if made.returncode:
        pytest.skip(f"no file system can be mounted here: {made.stderr.decode().strip()}")
    yield folder
    subprocess.run(["umount", "--lazy", folder], check=True)


def fill(folder: Path, *, leave: int) -> None:
    """Take all of a disk but some bytes."""
    status = os.statvfs(folder)
    (folder / "fill").write_bytes(bytes(status.f_bavail * status.f_frsize - leave))


def manifests(out: Path) -> list[dict[str, object]]:
    return [json.loads(path.read_text("utf-8")) for path in sorted((out / "manifest").glob("*.json"))]


def check_line(text: str, *parts: str) -> None:
    """One line of the output has all parts; there is no traceback."""
    assert "Traceback" not in text
    assert any(all(part in line for part in parts) for line in text.splitlines()), text


def no_reading_by_root() -> None:
    """Take from root the right to read what the mode forbids."""
    prctl = ctypes.CDLL(None, use_errno=True).prctl
    for capability in (1, 2):  # CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH, dropped from the bounding set
        if prctl(24, capability, 0, 0, 0):
            raise OSError(ctypes.get_errno(), "prctl")


def batch_as_a_user(*words: object) -> subprocess.CompletedProcess[str]:
    """A batch in a process that the modes of files hold for."""
    return subprocess.run(
        [sys.executable, "-m", "tracker", "batch", *map(str, words), "--processes", "1"],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT), "COLUMNS": "300"},
        preexec_fn=no_reading_by_root if os.getuid() == 0 else None,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="rights are taken from root by a call of Linux")
def test_a_file_that_may_not_be_read_fails_alone_and_a_folder_before_any_work(inputs: Path, tmp_path: Path) -> None:
    folder = tmp_path / "archive"
    (folder / "locked").mkdir(parents=True)
    for name in ("0.mp4", "1.mp4", "locked/2.mp4"):
        (folder / name).write_bytes((inputs / "videos" / "0.mp4").read_bytes())
    (folder / "gone.mp4").symlink_to(tmp_path / "nowhere.mp4")
    words = (folder, "--model", inputs / "model.onnx", "--out")
    (folder / "0.mp4").chmod(0)
    try:
        done = batch_as_a_user(*words, tmp_path / "out")
        (folder / "locked").chmod(0)
        refused = batch_as_a_user(*words, tmp_path / "other")
    finally:
        (folder / "locked").chmod(0o755)
    assert done.returncode == 1, done.stderr
    check_line(done.stderr, "failed 0.mp4: ", "no permission to read it")
    check_line(done.stderr, "failed gone.mp4: ", "found a link that leads to nothing")
    assert sorted(one["recording"] for one in manifests(tmp_path / "out")) == ["1.mp4", "locked/2.mp4"]
    assert refused.returncode == 2
    check_line(refused.stderr, "locked: expected a folder that can be read, found: Permission denied")
    assert not (tmp_path / "other").exists()


def test_an_empty_folder_is_told_and_nothing_is_made(run: Run, inputs: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    result = run("batch", tmp_path / "empty", "--out", tmp_path / "out", "--model", inputs / "model.onnx")
    assert result.status == 2
    check_line(result.err, "empty: expected videos below the folder, or images in it, found none")
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_a_full_disk_of_results_ends_the_batch_and_keeps_what_is_done(
    run: Run, inputs: Path, tmp_path: Path, small_disk: Path
) -> None:
    words = ["--out", small_disk / "out", "--model", inputs / "model.onnx", "--processes", 1]
    assert run("batch", inputs / "videos" / "0.mp4", *words).status == 0
    before = {path: path.read_bytes() for path in (small_disk / "out").rglob("*") if path.is_file()}
    fill(small_disk, leave=4096)
    result = run("batch", inputs / "videos", *words, "--resume")
    assert result.status in {1, 2}
    check_line(result.err, "No space left on device")
    assert {path for path in (small_disk / "out").rglob("*") if path.suffix == ".parquet"} <= before.keys()
    assert len(manifests(small_disk / "out")) == 1
    (small_disk / "fill").unlink()
    assert run("batch", inputs / "videos", *words, "--resume").status == 0
    assert len(manifests(small_disk / "out")) == 3
    assert all(path.read_bytes() == data for path, data in before.items())
    assert len(list((small_disk / "out").rglob("*.parquet"))) == 6


def test_a_full_scratch_disk_splits_nothing_and_loses_nothing(
    run: Run, inputs: Path, tmp_path: Path, small_disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tracker.batch.split.CHUNK_S", 0.1)
    fill(small_disk, leave=0)
    video, plain = inputs / "videos" / "0.mp4", tmp_path / "plain.parquet"
    words = ["--out", tmp_path / "out", "--model", inputs / "model.onnx", "--split", "--processes", 1]
    result = run("batch", video, *words, "--scratch", small_disk)
    assert result.status == 0, result.err
    check_line(result.out, "note", "not split: no chunk of it could be used")
    assert run("track", video, "--model", inputs / "model.onnx", "--records", plain, "--quiet").status == 0
    [one] = manifests(tmp_path / "out")
    assert (tmp_path / "out" / one["files"]["records"]).read_bytes() == plain.read_bytes()
    refused = run("batch", video, *words, "--resume", "--stride", 2, "--scratch", tmp_path / "missing")
    assert refused.status == 2
    check_line(refused.err, "missing: expected a folder for copies, found: No such file or directory")


def test_wrong_credentials_are_told_before_any_work(
    run: Run,
    inputs: Path,
    store: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "stranger")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hunter2-secret")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    control = f"http://{host_of(store)}/moto-api/reset-auth"

    def ask_for_keys_after(requests: float) -> None:
        headers = {"Content-Type": "text/plain"}
        asked = urllib.request.Request(control, data=str(requests).encode(), headers=headers)
        urllib.request.urlopen(asked, timeout=30).close()

    ask_for_keys_after(0)
    try:
        source = run("batch", f"s3://videos/in{store}", "--out", inputs / "out", "--model", inputs / "model.onnx")
        words = ("--out", f"s3://videos/out{store}", "--model", inputs / "model.onnx")
        target = run("batch", inputs / "videos", *words)
    finally:
        ask_for_keys_after(float("inf"))
    for result in (source, target):
        assert result.status == 2
        check_line(result.err, "expected a place that can be listed")
        check_line(result.err, "check the address and the credentials")
        assert "hunter2" not in result.text
    assert not (inputs / "out").exists()


POISON = '''
import os, signal
from tracker.engine.stage import Stage

class Poison(Stage):
    """Ends the process on one recording."""

    name = "poison"

    def __init__(self, context):
        self._kills = "1.mp4" in context.stream

    def process(self, tracked):
        with open(os.environ["SEEN"], "a") as file:
            file.write(os.environ["CUDA_VISIBLE_DEVICES"] + "\\n")
        if self._kills:
            os.kill(os.getpid(), signal.SIGKILL)
        return tracked
'''


@pytest.fixture
def poisoned(inputs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RunSettings:
    """Settings of a batch of three recordings, of which ``1.mp4`` kills its process."""
    facts = tmp_path / "plug" / "poison-1.0.dist-info"
    facts.mkdir(parents=True)
    (tmp_path / "plug" / "poison.py").write_text(POISON)
    (facts / "METADATA").write_text("Metadata-Version: 2.1\nName: poison\nVersion: 1.0\n")
    (facts / "entry_points.txt").write_text("[masktrail.stages]\npoison = poison:Poison\n")
    monkeypatch.syspath_prepend(tmp_path / "plug")
    monkeypatch.setenv("SEEN", str(tmp_path / "seen"))
    return RunSettings(
        sources=(str(inputs / "videos"),), model=str(inputs / "model.onnx"), stages=("poison",), workers=1
    )


@pytest.mark.slow
def test_a_recording_that_kills_its_process_fails_after_three_times_alone(
    poisoned: RunSettings, tmp_path: Path
) -> None:
    pool = LocalPool(poisoned, processes=2, cards=("0", "1"))
    try:
        figures = Batch(plan_batch(poisoned, str(tmp_path / "out")), pool).run()
    finally:
        pool.close()
    assert (figures.done, list(figures.failed)) == (2, ["1.mp4"])
    assert set((tmp_path / "seen").read_text().split()) == {"0", "1"}  # a card each
    assert figures.lost == 4  # the first time not alone, for all that the batch knows
    expected = "1.mp4: expected a process that survives it, found 3 that did not (SIGKILL (signal 9)"
    assert expected in figures.failed["1.mp4"]
    assert sorted(one["recording"] for one in manifests(tmp_path / "out")) == ["0.mp4", "2.mp4"]
    [failed] = (tmp_path / "out" / "failed").glob("*.json")
    assert expected in json.loads(failed.read_text("utf-8"))["problem"]


@pytest.mark.slow
def test_a_recording_that_kills_the_pass_of_its_chunks_costs_no_other_and_leaves_no_copies(
    poisoned: RunSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("tracker.batch.split.CHUNK_S", 0.1)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    planned = plan_batch(poisoned, str(tmp_path / "out"), scratch=str(scratch))
    status = run_batch(planned, poisoned, Workers(split=True, processes=1), console=Console(file=io.StringIO()))
    assert status == 1
    check_line(capsys.readouterr().err, "failed 1.mp4: ", "found 3 that did not (SIGKILL (signal 9)")
    assert sorted(one["recording"] for one in manifests(tmp_path / "out")) == ["0.mp4", "2.mp4"]
    assert not list(scratch.iterdir())


@pytest.mark.slow
def test_ten_thousand_tiny_files_are_found_and_ordered_in_flat_memory(tmp_path: Path) -> None:
    for number in range(TINY):
        folder = tmp_path / "in" / f"{number // 100}"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{number}.mp4").write_bytes(b"x")
    tracemalloc.start()
    found = find_recordings([str(tmp_path / "in")])
    assert len({one.name for one in found}) == TINY
    planned = tracemalloc.get_traced_memory()[0]
    assert planned < 10 * 2**20
    pool = FakePool(lambda key, _: Done(manifest=manifest(key)), workers=4)
    batch = Batch(plan(tmp_path / "out", *(str(number) for number in range(TINY))), pool)
    pool.started, pool.together = deque(maxlen=1), deque(maxlen=1)
    before = tracemalloc.get_traced_memory()[0]
    figures = batch.run()
    grown = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    assert figures.done == TINY
    assert grown < 20 * TINY


@pytest.mark.slow
def test_a_worker_does_many_recordings_in_flat_memory(inputs: Path, tmp_path: Path) -> None:
    psutil = pytest.importorskip("psutil")
    video = write_video(tmp_path / "tiny.mp4", count=2)
    folder = tmp_path / "in"
    folder.mkdir()
    for number in range(400):
        (folder / f"{number}.mp4").hardlink_to(video)
    settings = RunSettings(sources=(str(folder),), model=str(inputs / "model.onnx"), workers=1)
    worker, process, used = Worker(settings), psutil.Process(), []
    for task in plan_batch(settings, str(tmp_path / "out")).tasks:
        assert isinstance(worker.run(task), Done)
        used.append(process.memory_info().rss)
    assert max(used[300:]) < max(used[100:200]) + 8 * 2**20
