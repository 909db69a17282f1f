"""``import masktrail`` is ``import tracker``."""

from __future__ import annotations

import subprocess
import sys

import pytest

CODE = """
import masktrail, tracker
assert masktrail is tracker
import masktrail.errors, tracker.errors
assert masktrail.errors is tracker.errors
from masktrail.engine.run import Run
import tracker.engine.run
assert Run is tracker.engine.run.Run
assert tracker.engine.run.__spec__.name == "tracker.engine.run"
try:
    import masktrail.moon
except ModuleNotFoundError as error:
    print(error)
"""


@pytest.mark.parametrize("first", ["", "import tracker.engine.run, tracker.errors\n"])
def test_every_module_is_the_same_object_under_both_names(first: str) -> None:
    result = subprocess.run([sys.executable, "-c", first + CODE], capture_output=True, text=True, check=True)
    assert result.stdout == "No module named 'masktrail.moon'\n"
