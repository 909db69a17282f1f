"""Every target that the Makefile names has a recipe: one without exits 0 and has done nothing."""

from __future__ import annotations

import re
import shutil
import subprocess

import pytest

from tests.conftest import ROOT

TARGETS = re.findall(r"^\.PHONY: (.+)$", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE)[0].split()


@pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")
@pytest.mark.parametrize("target", TARGETS)
def test_a_target_does_something(target: str) -> None:
    result = subprocess.run(
        ["make", "--dry-run", "--always-make", target], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert "Nothing to be done" not in result.stdout
    assert result.stdout.strip()
    if target in {"lint", "test", "wheel", "bench"}:
        command = {"lint": "mypy", "test": "pytest", "wheel": "build --wheel", "bench": "bench all"}[target]
        assert command in result.stdout
