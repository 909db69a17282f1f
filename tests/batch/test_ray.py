"""A batch on two Ray nodes: whatever is killed or cut, every recording has one manifest and the rows of `track`."""

from __future__ import annotations

import importlib.util
import json
import os
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from pyarrow import Table, parquet

if importlib.util.find_spec("ray") is None:  # not imported here: it changes every record of the log
    pytest.skip("ray is not installed: make test-ray", allow_module_level=True)

import psutil

from tests.batch.ray_cluster import Cluster, wait_for, why_not
from tests.command import Run
from tests.nameless import nameless_table
from tests.segment.models import end2end_model
from tests.sources.videos import write_video

pytestmark = [pytest.mark.ray, pytest.mark.timeout(300)]

COUNT, FRAMES = 8, 1500


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    if reason := why_not():
        pytest.skip(reason)
    with tempfile.TemporaryDirectory(prefix="mr", dir="/tmp", ignore_cleanup_errors=True) as folder:
        found = Cluster(Path(folder))
        yield found
        found.close()


@pytest.fixture(scope="module")
def recordings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("in")
    write_video(folder / "0.mp4", count=FRAMES)
    for number in range(1, COUNT):
        (folder / f"{number}.mp4").write_bytes((folder / "0.mp4").read_bytes())
    end2end_model(folder / "model.onnx")
    return folder


def manifests(out: Path) -> list[dict[str, object]]:
    return [json.loads(path.read_text("utf-8")) for path in sorted((out / "manifest").glob("*.json"))]


def check(out: Path, process: subprocess.Popen[str], plain: Table, *, redone: int) -> None:
    """All is done once, as `track` does it, and little of it twice."""
    text, _ = process.communicate(timeout=200)
    assert process.returncode == 0, text
    found = manifests(out)
    assert sorted(one["recording"] for one in found) == [f"{number}.mp4" for number in range(COUNT)]
    tables = [nameless_table(parquet.read_table(out / one["files"]["records"])) for one in found]
    assert all(table.equals(plain) for table in tables)
    assert len(list((out / "records").glob("*/*.parquet"))) <= COUNT + redone


@pytest.fixture
def plain(run: Run, recordings: Path, tmp_path: Path) -> Table:
    path = tmp_path / "plain.parquet"
    words = ["--model", recordings / "model.onnx", "--records", path, "--quiet"]
    assert run("track", recordings / "0.mp4", *words).status == 0
    return nameless_table(parquet.read_table(path))


def under_way(out: Path) -> bool:
    return len(manifests(out)) >= 1


def begun(cluster: Cluster, out: Path, recordings: Path) -> subprocess.Popen[str]:
    """A batch of which a first recording is done."""
    process = cluster.batch(recordings, "--out", out, "--model", recordings / "model.onnx")
    wait_for(lambda: under_way(out) or process.poll() is not None)
    return process


def test_a_worker_is_killed(cluster: Cluster, recordings: Path, tmp_path: Path, plain: Table) -> None:
    out = tmp_path / "out"
    process = begun(cluster, out, recordings)
    victims = cluster.workers(1) or cluster.workers(0)
    victims[0].send_signal(signal.SIGKILL)
    check(out, process, plain, redone=1)


def test_paths_are_those_of_the_folder_of_the_batch_and_chunks_give_the_rows_of_the_whole(
    cluster: Cluster, recordings: Path, tmp_path: Path, plain: Table
) -> None:
    out, name = tmp_path / "out", recordings.name
    words = (f"{name}/0.mp4", "--model", f"{name}/model.onnx", "--out", os.path.relpath(out, recordings.parent))
    process = cluster.batch(*words, "--split", "--scratch", tmp_path, folder=recordings.parent)
    text, _ = process.communicate(timeout=200)
    assert process.returncode == 0, text
    [one] = manifests(out)
    assert nameless_table(parquet.read_table(out / one["files"]["records"])).equals(plain)
    assert one["notes"] == []


def test_the_driver_is_killed_and_resumed(cluster: Cluster, recordings: Path, tmp_path: Path, plain: Table) -> None:
    out = tmp_path / "out"
    process = begun(cluster, out, recordings)
    for child in psutil.Process(process.pid).children(recursive=True):
        child.kill()
    process.kill()
    process.communicate()
    before = {one["key"]: one["attempt"] for one in manifests(out)}
    process = cluster.batch(recordings, "--out", out, "--model", recordings / "model.onnx", "--resume")
    check(out, process, plain, redone=4)
    assert before.items() <= {one["key"]: one["attempt"] for one in manifests(out)}.items()


def test_a_node_is_killed(cluster: Cluster, recordings: Path, tmp_path: Path, plain: Table) -> None:
    out = tmp_path / "out"
    process = begun(cluster, out, recordings)
    cluster.kill_raylet()
    try:
        check(out, process, plain, redone=2)
    finally:
        cluster.join()


def test_a_node_is_cut_off(cluster: Cluster, recordings: Path, tmp_path: Path, plain: Table) -> None:
    out = tmp_path / "out"
    process = begun(cluster, out, recordings)
    cluster.cut()
    try:
        check(out, process, plain, redone=2)
    finally:
        cluster.join()
