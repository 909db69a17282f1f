"""Trial of a model in a process of its own: opens the file and runs it once, within limits of memory and time.

Started by :mod:`tracker.inference.trial` as a script, since it must not need the package on the path. It talks in lines
of JSON on stdout; the inputs come on stdin, named arrays as ``numpy.savez`` writes them.
"""

from __future__ import annotations

import contextlib
import io
import json
import sys
from pathlib import Path
from typing import Any


def main() -> None:
    """Read the job; say ``ready``, ``opened`` with what the file declares and ``ran``, or ``failed`` and why."""
    job = json.loads(sys.stdin.buffer.readline())
    import numpy as np
    import onnxruntime

    _tell(state="ready")
    _limit(job["memory_bytes"], job["cpu_s"])
    try:
        settings = onnxruntime.SessionOptions()
        settings.intra_op_num_threads = settings.inter_op_num_threads = 1
        settings.log_severity_level = 4
        session = onnxruntime.InferenceSession(job["path"], settings, providers=["CPUExecutionProvider"])
        _tell(
            state="opened",
            inputs=[[one.name, one.type, one.shape] for one in session.get_inputs()],
            outputs=[[one.name, one.type, one.shape] for one in session.get_outputs()],
            metadata=dict(session.get_modelmeta().custom_metadata_map),
        )
        given = sys.stdin.buffer.read()
        if given:
            with np.load(io.BytesIO(given), allow_pickle=False) as arrays:
                session.run(
                    None, {str(arrays["names"][place]): arrays[f"i{place}"] for place in range(len(arrays["names"]))}
                )
        _tell(state="ran")
    except MemoryError:
        _tell(state="failed", reason="bad allocation")
    except Exception as error:  # noqa: BLE001 - ONNX Runtime has a type of its own for each of its status codes
        _tell(state="failed", reason=str(error))


def _tell(**values: Any) -> None:
    sys.stdout.write(json.dumps(values) + "\n")
    sys.stdout.flush()


def _limit(memory_bytes: int, cpu_s: int) -> None:
    """So much more than is in use now: libraries of a GPU build take gigabytes of addresses."""
    try:
        import resource
    except ImportError:  # not on Windows, where the time alone is limited
        return
    import time

    with contextlib.suppress(OSError, ValueError):  # no /proc, or a system that does not limit it
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
        limit = pages * resource.getpagesize() + memory_bytes
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    used_s = int(time.process_time()) + 1
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_CPU, (used_s + cpu_s, used_s + cpu_s + 5))


if __name__ == "__main__":
    main()
