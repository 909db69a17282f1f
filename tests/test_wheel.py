"""The wheel, built and installed in a clean environment, tracks a video from another directory."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.conftest import ROOT

pytestmark = [pytest.mark.wheel, pytest.mark.timeout(900)]


def run(*command: str | Path, cwd: Path, env: dict[str, str] | None = None) -> str:
    result = subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **(env or {})},
    )
    assert result.returncode == 0, f"{command}\n{result.stdout}\n{result.stderr}"
    return result.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dist")
    run(sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", folder, ROOT, cwd=folder)
    (found,) = folder.glob("masktrail-*.whl")
    return found


def test_the_wheel_holds_one_package_and_the_default_model(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    tops = {name.split("/")[0] for name in names if ".dist-info/" not in name}
    assert tops == {"tracker", "masktrail.py"}, "models and export would collide with other people's packages"
    for name in ("yolact-nano-384x640.onnx", "yolact-nano-416x416.onnx", "manifest.toml", "README.md"):
        assert f"tracker/_models/yolact-nano/{name}" in names
    assert "tracker/py.typed" in names
    static = ROOT / "tracker" / "dashboard" / "static"
    page = {f"tracker/dashboard/static/{path.relative_to(static)}" for path in static.rglob("*") if path.is_file()}
    assert "tracker/dashboard/static/index.html" in page
    assert page <= set(names), "the dashboard's page comes with the wheel"
    assert any(name.endswith(".dist-info/licenses/NOTICE") for name in names)


def test_installed_it_tracks_from_another_directory(wheel: Path, tmp_path: Path) -> None:
    run(sys.executable, "-m", "venv", tmp_path / "env", cwd=tmp_path)
    python = tmp_path / "env" / "bin" / "python"
    run(python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", wheel, cwd=tmp_path)
    masktrail = tmp_path / "env" / "bin" / "masktrail"
    run(
        masktrail,
        "demo",
        "--out",
        "demo-output",
        cwd=tmp_path,
        env={"https_proxy": "http://127.0.0.1:9", "MASKTRAIL_CACHE": str(tmp_path)},
    )
    assert (tmp_path / "demo-output" / "contact-sheet.png").stat().st_size > 10_000
    clip = next((tmp_path / "env").rglob("_clips/road.mp4"))
    run(
        masktrail, "track", clip, "--limit", "30",
        "--save", "out.mp4", "--records", "tracks.jsonl", "--json", "summary.json",
        cwd=tmp_path,
    )  # fmt: skip
    (summary,) = json.loads((tmp_path / "summary.json").read_text())
    assert summary["frames"] == 30
    assert summary["failures"] == []
    assert (tmp_path / "out.mp4").stat().st_size > 10_000
    assert "yolact-nano" in run(masktrail, "models", "list", cwd=tmp_path)


def test_the_wheel_for_servers_needs_no_gpu_package_and_no_window_system(tmp_path: Path) -> None:
    run("make", f"PYTHON={sys.executable}", "-o", ".venv/.dev", f"DIST={tmp_path}", "wheel-cpu", cwd=ROOT)
    (found,) = tmp_path.glob("masktrail_cpu-*.whl")
    archive = zipfile.ZipFile(found)
    (metadata,) = (name for name in archive.namelist() if name.endswith("METADATA"))
    needed = [line for line in archive.read(metadata).decode().splitlines() if line.startswith("Requires-Dist")]
    assert sum("onnxruntime" in line for line in needed) == 1
    assert "Requires-Dist: onnxruntime>=1.25" in needed
    assert "Requires-Dist: opencv-python-headless>=4.10" in needed
    assert "tracker/_models/yolact-nano/yolact-nano-384x640.onnx" in archive.namelist()
