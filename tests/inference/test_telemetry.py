"""Runtimes report nothing: no file of an identifier in the home folder, no connection, no process."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.conftest import ROOT
from tests.segment.models import brightness_model

if TYPE_CHECKING:
    from pathlib import Path

AUDITED = """
import sys, os
seen = []
def hook(event, args):
    if event.startswith("socket.") or event in {"subprocess.Popen", "os.fork", "os.posix_spawn"}:
        seen.append(event)
sys.addaudithook(hook)
"""
OPENED = """
import numpy as np
from tracker.segment.session import OnnxSegmenter
assert "onnxruntime" not in sys.modules
segmenter = OnnxSegmenter({path!r}, device={device!r})
segmenter.segment([np.zeros((96, 160, 3), np.uint8)])
print(segmenter.device, seen, os.environ["ORT_DISABLE_TELEMETRY"])
"""


def opened(folder: Path, path: Path, device: str = "cpu", **environment: str) -> str:
    """What a process says that opens a model and segments a picture, with an empty home and none of CI's variables."""
    home = folder / "home"
    home.mkdir()
    kept = {name: os.environ[name] for name in ("PATH", "SYSTEMROOT", "LD_LIBRARY_PATH") if name in os.environ}
    result = subprocess.run(
        [sys.executable, "-c", AUDITED + OPENED.format(path=str(path), device=device)],
        env=kept | {"HOME": str(home), "PYTHONPATH": str(ROOT), "MASKTRAIL_TRIAL": "off"} | environment,
        cwd=folder,
        capture_output=True,
        text=True,
        check=True,
    )
    assert not [file for file in home.rglob("*") if file.is_file()]
    return result.stdout.strip()


def test_onnxruntime_reports_nothing(tmp_path: Path) -> None:
    assert opened(tmp_path, brightness_model(tmp_path / "m.onnx")) == "cpu [] 1"


@pytest.mark.parametrize("given", ["0", "1"])
def test_who_has_said_so_is_heard(given: str) -> None:
    code = "import os, tracker.inference.survey; print(os.environ['ORT_DISABLE_TELEMETRY'])"
    environment = os.environ | {"ORT_DISABLE_TELEMETRY": given, "PYTHONPATH": str(ROOT)}
    result = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert result.stdout.strip() == given


def test_exports_report_nothing() -> None:
    code = "import os, sys, export; print(os.environ['ORT_DISABLE_TELEMETRY'], 'onnxruntime' in sys.modules)"
    environment = {name: value for name, value in os.environ.items() if name != "ORT_DISABLE_TELEMETRY"}
    environment["PYTHONPATH"] = str(ROOT)
    result = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "1 False"
