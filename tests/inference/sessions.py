"""Sessions that stand between a test and ONNX Runtime."""

from __future__ import annotations

import threading
from typing import Any


class Recorder:
    """A session that notes the graph number and the thread of each run in bound buffers.

    Args:
        session: ``onnxruntime.InferenceSession``.
        stale: Every bound run after the first gives the first one's outputs again, as a wrongly recorded graph does.
        fails: What ONNX Runtime says when a bound run is asked for; empty = it runs.
    """

    def __init__(self, session: Any, *, stale: bool = False, fails: str = "") -> None:
        self._session, self._stale, self._fails = session, stale, fails
        self.bound: list[tuple[int, int]] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._session, name)

    def run_with_iobinding(self, binding: Any, options: Any) -> None:
        if self._fails:
            raise RuntimeError(self._fails)
        self.bound.append((int(options.get_run_config_entry("gpu_graph_id")), threading.get_ident()))
        if not (self._stale and len(self.bound) > 1):
            self._session.run_with_iobinding(binding, options)
