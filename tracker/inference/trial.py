"""Limits on what an unknown model file may cost: its bytes are looked at, then it is tried in a process of its own.

A small file can ask for any amount of memory (a constant of 8 GB takes 100 bytes) and any amount of time (a loop
without end), when it is opened as well as when it is run. Models of the zoo are not tried.
"""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tracker.errors import ModelError
from tracker.inference.graph import read_graph, weights_of
from tracker.inference.tensors import FileInfo, tensor_info

if TYPE_CHECKING:
    from collections.abc import Callable

    from tracker.inference.tensors import Inputs

__all__ = ["SWITCH", "try_model"]

SWITCH = "MASKTRAIL_TRIAL"
"""Environment variable: ``off`` opens unknown models without a trial."""

MEMORY_BYTES = 4_000_000_000
MEMORY_PER_FILE_BYTE = 8
"""ONNX Runtime holds weights up to three times while it optimises; the rest is for activations of large pictures."""

CPU_S = 15
CPU_S_PER_MB = 0.1
WALL_S = 60
"""The slower of wall and CPU time counts on a busy machine, so the CPU's is the limit that is met first."""

IMPORT_S = 120

SCRIPT = Path(__file__).with_name("trial_process.py")
OUT_OF_MEMORY = ("bad allocation", "bad_alloc", "Failed to allocate memory", "length_error", "out of memory")

_passed: set[tuple[str, int, int]] = set()
"""Files that were tried by this process: path, size, time of change in nanoseconds."""


def try_model(path: Path, *, label: object, describe: Callable[[FileInfo], Inputs]) -> None:
    """Open and run a file within limits; ordinary failures are left to be reported at opening.

    Args:
        path: The ``.onnx`` file.
        label: How errors name it.
        describe: Gives a sample of every input from what the file declares, or raises ``ModelError``.

    Raises:
        ModelError: It takes too much memory or time, ends the process that tries it, or says what no model may say.
    """
    if os.environ.get(SWITCH, "").lower() == "off" or not sys.executable or not path.is_file():
        return
    facts = path.stat()
    known = (str(path.resolve()), facts.st_size, facts.st_mtime_ns)
    if known in _passed:
        return
    if not _is_onnx(path):
        return  # reported at opening, in better words
    files = weights_of(path, read_graph(path))
    weights = facts.st_size + sum(file.stat().st_size for file in files if file.is_file())
    trial = _Trial(
        path,
        label,
        memory_bytes=MEMORY_BYTES + MEMORY_PER_FILE_BYTE * weights,
        cpu_s=CPU_S + int(CPU_S_PER_MB * weights / 1e6),
    )
    trial.run(describe)
    _passed.add(known)


def _is_onnx(path: Path) -> bool:
    with path.open("rb") as file:
        head = file.read(4)
    return len(head) == 4 and head[:2] != b"PK"


class _Trial:
    """One process that opens and runs one file."""

    def __init__(self, path: Path, label: object, *, memory_bytes: int, cpu_s: int) -> None:
        self._label = label
        self._memory_bytes, self._cpu_s = memory_bytes, cpu_s
        self._late = False
        # -P: what lies beside the script must not stand in for modules of the same names.
        self._process = subprocess.Popen(  # noqa: S603 - this Python, a script of ours
            [sys.executable, "-P", str(SCRIPT)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,  # Ctrl-C is for the waiting process
        )
        # The path goes through the pipe: every user could read it in a command line.
        self._send(json.dumps({"path": str(path), "memory_bytes": memory_bytes, "cpu_s": cpu_s}).encode() + b"\n")

    def run(self, describe: Callable[[FileInfo], Inputs]) -> None:
        """See :func:`try_model`."""
        timer = self._deadline(IMPORT_S)
        try:
            if self._hear().get("state") != "ready":
                return  # no ONNX Runtime, or no process: nothing that the file is to blame for
            timer.cancel()
            timer = self._deadline(WALL_S + self._cpu_s - CPU_S)
            heard = self._hear()
            if heard.get("state") == "opened":
                inputs = describe(_declared(heard))
                self._send(_packed(inputs.batch(inputs.fixed_batch or 1)))
                self._close_input()
                heard = self._hear()
            self._judge(heard)
        finally:
            timer.cancel()
            self._process.kill()
            self._process.wait()
            self._close_input()
            if self._process.stdout is not None:
                self._process.stdout.close()

    def _judge(self, heard: dict[str, Any]) -> None:
        remedy = f"export it again; if you trust the file, {SWITCH}=off opens it without limits"
        state, reason = heard.get("state"), str(heard.get("reason", ""))
        if state == "failed" and any(word in reason for word in OUT_OF_MEMORY):
            expected = f"expected a model that opens and runs within {self._memory_bytes / 1e9:.1f} GB"
            raise ModelError(self._label, f"{expected}, found that it wants more", remedy)
        if state is not None:
            return
        if self._late or self._process.wait() == -24:  # SIGXCPU
            expected = f"expected a model that opens and runs once within {self._cpu_s} s"
            raise ModelError(self._label, f"{expected}, found that it takes longer", remedy)
        status = self._process.returncode
        raise ModelError(
            self._label, f"expected a model that runs, found that it ends ONNX Runtime (exit status {status})", remedy
        )

    def _deadline(self, seconds: float) -> threading.Timer:
        def end() -> None:
            self._late = True
            self._process.kill()

        timer = threading.Timer(seconds, end)
        timer.daemon = True
        timer.start()
        return timer

    def _hear(self) -> dict[str, Any]:
        """What the process says next; empty when it is gone."""
        line = self._process.stdout.readline() if self._process.stdout is not None else b""
        try:
            heard = json.loads(line)
        except (ValueError, RecursionError):
            return {}
        return heard if isinstance(heard, dict) else {}

    def _send(self, data: bytes) -> None:
        try:
            if self._process.stdin is not None:
                self._process.stdin.write(data)
                self._process.stdin.flush()
        except BrokenPipeError:
            pass  # it is gone; what it said last tells why

    def _close_input(self) -> None:
        try:
            if self._process.stdin is not None:
                self._process.stdin.close()
        except BrokenPipeError:
            pass


def _declared(heard: dict[str, Any]) -> FileInfo:
    return FileInfo(
        inputs=tuple(tensor_info(*one) for one in heard["inputs"]),
        outputs=tuple(tensor_info(*one) for one in heard["outputs"]),
        metadata=heard["metadata"],
    )


def _packed(feeds: dict[str, Any]) -> bytes:
    file = io.BytesIO()
    np.savez(file, names=np.array(list(feeds)), **{f"i{place}": value for place, value in enumerate(feeds.values())})
    return file.getvalue()
