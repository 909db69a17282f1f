"""The recipes of README and package docstring, and the small demos, run as they stand."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest

import tracker
from demos.scenes.road import road
from demos.scenes.writers import write_video

ROOT = Path(__file__).resolve().parent.parent
FPS, SECONDS = 10, 3.0


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the recording that the recipes name."""
    folder = tmp_path_factory.mktemp("snippets")
    write_video(road(seed=3), folder / "street.mp4", fps=FPS, duration_s=SECONDS)
    return folder


def readme_recipes() -> list[str]:
    return re.findall(r"^```python\n(.*?)^```", (ROOT / "README.md").read_text("utf-8"), re.MULTILINE | re.DOTALL)


def docstring_recipes() -> list[str]:
    assert tracker.__doc__ is not None
    return [textwrap.dedent(one) for one in re.findall(r"::\n\n((?:(?: {4}.*)?\n)+)", tracker.__doc__)]


def test_readme_and_docstring_show_the_same_recipes() -> None:
    assert [recipe.split() for recipe in readme_recipes()] == [recipe.split() for recipe in docstring_recipes()]


def test_the_recipes_give_the_identities_of_the_command(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(folder)
    names: dict[str, Any] = {}
    frames, files = readme_recipes()
    exec(compile(frames, "README.md", "exec"), names)
    assert names["tracked"].frame.index == FPS * SECONDS - 1
    assert len(names["tracked"].tracks) > 0
    printed = capsys.readouterr().out
    exec(compile(files, "README.md", "exec"), names)
    rows = map(json.loads, (folder / "street.jsonl").read_text("utf-8").splitlines())
    assert printed.count("[[") == len({row["frame"] for row in rows})
    assert names["outcome"].identities.total() == max(names["tracked"].tracks.ids)


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
