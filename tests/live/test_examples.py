"""The examples are what the programs that read them take, and say what the code says."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tracker.config import METRICS_ADDRESS, load_live_config

ROOT = Path(__file__).parents[2]
UNIT = (ROOT / "examples" / "masktrail.service").read_text()
DOCKERFILE = (ROOT / "examples" / "Dockerfile").read_text()


def test_the_cameras_are_valid() -> None:
    config = load_live_config(ROOT / "examples" / "cameras.yaml", {"GATE_PASSWORD": "x"})
    assert [camera.name for camera in config.cameras] == ["gate", "lobby", "loading-dock", "yesterday"]
    assert config.metrics == METRICS_ADDRESS


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="no systemd here")
def test_systemd_takes_the_unit(tmp_path) -> None:
    unit = tmp_path / "masktrail.service"
    unit.write_text(UNIT.replace("/opt/masktrail/bin/masktrail", sys.executable))
    verified = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(unit)], capture_output=True, text=True, check=False
    )
    assert "masktrail.service" not in verified.stderr, verified.stderr
    assert verified.returncode == 0, verified.stderr


def test_the_unit_knows_the_exit_status_that_no_start_helps_against() -> None:
    from tracker.live import service

    assert "RestartPreventExitStatus=2" in UNIT
    assert "2 refused to start" in (service.__doc__ or "").replace("\n", " ")
    watchdog_s = int(re.search(r"WatchdogSec=(\d+)", UNIT)[1])
    assert watchdog_s >= 4 * service.WATCHDOG_S


def test_the_image_is_built_from_what_is_there() -> None:
    for line in re.findall(r"^COPY (?!--from)(.*)$", DOCKERFILE, re.MULTILINE):
        *sources, _ = line.split()
        for source in sources:
            assert (ROOT / source).exists(), source
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert set(re.search(r"whl\)\[(.*?)\]", DOCKERFILE)[1].split(",")) <= set(extras)
    port = METRICS_ADDRESS.rpartition(":")[2]
    assert f"127.0.0.1:{port}/healthz" in DOCKERFILE
    assert "STOPSIGNAL SIGTERM" in DOCKERFILE
