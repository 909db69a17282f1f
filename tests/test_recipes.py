"""Recipes of CONTRIBUTING.md, followed literally in a copy of the checkout: what they give and what they touch."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)

EXPECTED = {
    "An option": {
        "tracker/settings/stream.py": 5,
        "tracker/engine/outputs.py": 1,
        "docs/reference/settings.md": 1,
        "tests/engine/test_video_crf.py": None,
    },
    "A sink": {"tracker/sinks/tally.py": None, "tracker/plugins.py": 1, "tests/sinks/test_tally.py": None},
    "A contract: a model family": {
        "tracker/segment/contracts/points.py": None,
        "tracker/plugins.py": 1,
        "tests/segment/contracts/test_points.py": None,
    },
    "An analytic": {
        "tracker/analytics/turned_round.py": None,
        "tracker/plugins.py": 1,
        "tests/analytics/test_turned_round.py": None,
    },
    "A stage": {"tracker/engine/peak.py": None, "tracker/plugins.py": 1, "tests/engine/test_peak.py": None},
}
"""Files that a recipe touches: lines added to an old one, ``None`` for a new one."""


def recipe(title: str) -> list[tuple[str, str]]:
    """Language and text of a recipe's blocks, in order."""
    text = (ROOT / "CONTRIBUTING.md").read_text("utf-8")
    section = text[text.index(f"\n### {title}\n") + 1 :]
    return BLOCK.findall(re.split(r"^##+ ", section[4:], maxsplit=1, flags=re.MULTILINE)[0])


def patch(checkout: Path, diff: str) -> None:
    """Apply one hunk: its old lines must be there exactly once."""
    head, *lines = diff.splitlines()
    path = checkout / head.removeprefix("--- ")
    text = path.read_text("utf-8")
    old = "".join(f"{line[1:]}\n" for line in lines if line[:1] != "+")
    new = "".join(f"{line[1:]}\n" for line in lines if line[:1] != "-")
    assert text.count(old) == 1, f"{path.name} has no single place with:\n{old}"
    path.write_text(text.replace(old, new), "utf-8")


def call(checkout: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Run Python in the copy."""
    return subprocess.run(
        [sys.executable, *words],
        cwd=checkout,
        env=os.environ | {"PYTHONPATH": str(checkout), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )


def files(checkout: Path) -> dict[str, list[str]]:
    """Lines of every text file of the copy."""
    return {
        path.relative_to(checkout).as_posix(): path.read_text("utf-8").splitlines()
        for path in checkout.rglob("*")
        if path.suffix in {".py", ".md", ".toml"} and path.is_file()
    }


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A copy of what a recipe may change; the models stay where they are."""
    copy = tmp_path / "checkout"
    for name in ("tracker", "tests", "docs"):
        shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__", "_models"))
    for name in ("models", "demos"):
        (copy / name).symlink_to(ROOT / name)
    shutil.copy(ROOT / "pyproject.toml", copy)
    return copy


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("title", EXPECTED)
def test_a_recipe_keeps_its_promise(title: str, checkout: Path) -> None:
    before, tests = files(checkout), []
    for language, text in recipe(title):
        if language == "python":
            name = text.split("\n", 1)[0].removeprefix("# ")
            assert not (checkout / name).exists()
            (checkout / name).write_text(text, "utf-8")
            tests += [name] if name.startswith("tests/") else []
        elif language == "diff":
            patch(checkout, text)
        else:
            assert language == "sh"
            for line in text.splitlines():
                assert line.startswith("masktrail ")
                done = call(checkout, "-m", "tracker", *shlex.split(line)[1:])
                assert done.returncode == 0, done.stderr
    after = files(checkout)
    touched = {name: None if name not in before else len(after[name]) - len(before[name]) for name in after}
    assert {name: count for name, count in touched.items() if after[name] != before.get(name)} == EXPECTED[title]
    layers = ("tests/test_imports.py",)
    done = call(checkout, "-m", "pytest", "-q", "-p", "no:cacheprovider", *tests, *layers)
    assert done.returncode == 0, done.stdout + done.stderr


def test_at_most_three_files_for_an_option_and_one_file_and_a_line_for_the_rest() -> None:
    for title, touched in EXPECTED.items():
        product = {name: lines for name, lines in touched.items() if not name.startswith("tests/")}
        if title == "An option":
            assert len(product) <= 3
        else:
            assert sorted(product.values(), key=str) == [1, None]


def test_new_code_of_the_recipes_is_linted(checkout: Path) -> None:
    ruff = shutil.which("ruff", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}")
    if ruff is None:
        pytest.skip("no ruff")
    names = []
    for title in EXPECTED:
        for language, text in recipe(title):
            if language == "python":
                names.append(text.split("\n", 1)[0].removeprefix("# "))
                (checkout / names[-1]).write_text(text, "utf-8")
    done = subprocess.run([ruff, "check", *names], cwd=checkout, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
