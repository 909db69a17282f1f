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


def readme_recipes() -> list[str]:
    return re.findall(r"^```python\n(.*?)^```", (ROOT / "README.md").read_text("utf-8"), re.MULTILINE | re.DOTALL)


def docstring_recipes() -> list[str]:
    assert tracker.__doc__ is not None
    return [textwrap.dedent(found) for found in re.findall(r"::\n\n((?:    .*\n|\n)+)", tracker.__doc__)]


def test_readme_and_docstring_show_the_same_recipes() -> None:
    readme, docstring = readme_recipes(), docstring_recipes()
    assert len(readme) == 2
    assert [recipe.split() for recipe in readme] == [recipe.split() for recipe in docstring]


def test_the_recipe_gives_identities(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    names: dict[str, Tracks] = {}
    exec(compile(readme_recipes()[0], "README.md", "exec"), names)
    assert len(names["tracks"]) > 0


def test_the_recipe_for_recordings_writes_its_files(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(folder)
    exec(compile(readme_recipes()[1], "README.md", "exec"), {})
    assert re.fullmatch(r"street\.mp4 Counter\(\{'car': \d+.*\}\)\n", capsys.readouterr().out)
    assert (folder / "street.tracked.mp4").stat().st_size > 10_000
    assert '"class":"car"' in (folder / "street.jsonl").read_text("utf-8")


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
