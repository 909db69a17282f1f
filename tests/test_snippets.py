"""The recipes of README and package docstring, and the small demos, run as they stand."""

from __future__ import annotations

import re
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import tracker
from demos.scenes.road import road
from demos.scenes.writers import write_video

if TYPE_CHECKING:
    from tracker import Tracks

ROOT = Path(__file__).resolve().parent.parent
FPS, SECONDS = 10, 3.0


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the recording that the recipes name."""
    folder = tmp_path_factory.mktemp("snippets")
    write_video(road(seed=3), folder / "street.mp4", fps=FPS, duration_s=SECONDS)
    return folder


def readme_recipe() -> str:
    (found,) = re.findall(r"^```python\n(.*?)^```", (ROOT / "README.md").read_text("utf-8"), re.MULTILINE | re.DOTALL)
    return str(found)


def docstring_recipe() -> str:
    assert tracker.__doc__ is not None
    return textwrap.dedent(tracker.__doc__.split("::\n", 1)[1])


def test_readme_and_docstring_show_one_recipe() -> None:
    assert readme_recipe().split() == docstring_recipe().split()


def test_the_recipe_gives_identities(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    names: dict[str, Tracks] = {}
    exec(compile(readme_recipe(), "README.md", "exec"), names)
    assert len(names["tracks"]) > 0


@pytest.mark.parametrize(
    ("demo", "expected"),
    [("one_file.py", r"car \d+ +from +0\.00 s to "), ("one_camera.py", r"0\.0 s +\d+ in view: .*\bcar \d+")],
)
def test_demos_run(folder: Path, demo: str, expected: str) -> None:
    done = subprocess.run(
        [sys.executable, ROOT / "demos" / demo, folder / "street.mp4"],
        cwd=ROOT,
        env={"PYTHONPATH": str(ROOT), "PATH": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stderr == ""
    assert done.returncode == 0
    assert re.search(expected, done.stdout), done.stdout
