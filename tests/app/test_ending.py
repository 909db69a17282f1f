"""The end of a command's process: its status and what it printed, whatever its threads are doing."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

LEFT = """
import atexit, sys, threading, time
from tracker.app.ending import ending
with ending():
    atexit.register(print, "told at the end")
    {thread}
    print("done", end="")
    {last}
"""
HANGS = "threading.Thread(target=time.sleep, args=(60,), daemon=True).start()"


def ended(last: str, *, thread: str = HANGS, **options: object) -> subprocess.CompletedProcess:
    script = LEFT.format(thread=thread, last=last)
    held_back = os.environ | {"PYTHONUNBUFFERED": ""}
    return subprocess.run([sys.executable, "-c", script], env=held_back, text=True, timeout=50, check=False, **options)


@pytest.mark.parametrize("thread", ["pass", HANGS])
@pytest.mark.parametrize(
    ("last", "status", "said"),
    [
        ("pass", 0, ""),
        ("sys.exit()", 0, ""),
        ("sys.exit(130)", 130, ""),
        ("sys.exit('words')", 1, "words"),
        ("raise RuntimeError('a fault')", 1, "RuntimeError: a fault"),
    ],
)
def test_status_and_words(last: str, status: int, said: str, thread: str) -> None:
    result = ended(last, thread=thread, capture_output=True)
    assert (result.returncode, result.stdout) == (status, "donetold at the end\n")
    assert result.stderr.strip().endswith(said)
    assert bool(result.stderr) == bool(said)


def test_threads_that_the_interpreter_waits_for_end_first() -> None:
    result = ended("threading.Thread(target=lambda: (time.sleep(0.3), print('late'))).start()", capture_output=True)
    assert result.stdout == "donelate\ntold at the end\n"
    assert result.returncode == 0


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="a device that is always full")
def test_what_cannot_be_printed_is_no_success() -> None:
    with Path("/dev/full").open("w") as full:
        assert ended("pass", stdout=full).returncode == 120


INTERRUPTED = """
import dataclasses
before = dataclasses.Field.__set_name__
def interrupted(self, owner, name):
    if owner.__name__ == {owner!r}:
        raise KeyboardInterrupt
    before(self, owner, name)
dataclasses.Field.__set_name__ = interrupted
from tracker.__main__ import main
main()
"""


def test_an_interrupt_while_a_class_is_made_is_one(tmp_path) -> None:
    """Python 3.11 raises RuntimeError from it."""
    command = [sys.executable, "-c", INTERRUPTED.format(owner="TrackedFrame"), "track", str(tmp_path / "absent.mp4")]
    result = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (result.returncode, result.stderr) == (130, "")
