"""A batch on Ray where no cluster runs: it starts one on this machine, and ends it."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from pyarrow import parquet

if importlib.util.find_spec("ray") is None:  # not imported here: it changes every record of the log
    pytest.skip("ray is not installed: make test-ray", allow_module_level=True)

import psutil

from tests.batch.ray_cluster import ROOT, wait_for
from tests.command import Run
from tests.nameless import nameless_table
from tests.segment.models import end2end_model
from tests.sources.videos import write_video

pytestmark = [pytest.mark.ray, pytest.mark.timeout(300)]


def actors(pid: int) -> dict[int, int]:
    """The priorities of a batch's actors, by their processes."""
    found = {}
    with contextlib.suppress(psutil.NoSuchProcess):
        for one in psutil.Process(pid).children(recursive=True):
            with contextlib.suppress(psutil.NoSuchProcess):
                if "_Actor" in " ".join(one.cmdline()):
                    found[one.pid] = one.nice()
    return found


def test_it_has_an_actor_per_recording_at_most_with_the_priority_of_the_batch(run: Run, tmp_path: Path) -> None:
    video, model, plain = tmp_path / "0.mp4", tmp_path / "model.onnx", tmp_path / "x.parquet"
    write_video(video, count=1500)
    end2end_model(model)
    assert run("track", video, "--model", model, "--records", plain, "--quiet").status == 0
    out, seen = tmp_path / "out", dict[int, int]()
    process = subprocess.Popen(
        [sys.executable, "-m", "tracker", "batch", video, "--out", out, "--model", model, "--engine", "ray"],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT), "RAY_USAGE_STATS_ENABLED": "0", "MASKTRAIL_TRIAL": "off"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )

    def over() -> bool:
        seen.update(actors(process.pid))
        return process.poll() is not None

    wait_for(over)
    text, _ = process.communicate()
    assert process.returncode == 0, text
    assert list(seen.values()) == [os.getpriority(os.PRIO_PROCESS, 0)]
    [manifest] = [json.loads(path.read_text("utf-8")) for path in (out / "manifest").glob("*.json")]
    table = nameless_table(parquet.read_table(out / manifest["files"]["records"]))
    assert table.equals(nameless_table(parquet.read_table(plain)))
