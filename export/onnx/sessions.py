"""ONNX Runtime CPU sessions for measuring, teaching and labelling."""

from __future__ import annotations

from typing import TYPE_CHECKING

import onnxruntime

if TYPE_CHECKING:
    from pathlib import Path


def cpu_session(path: Path, *, threads: int = 1) -> onnxruntime.InferenceSession:
    """A session that says nothing but errors.

    Args:
        path: the file.
        threads: within an operator; 0: as many as there are cores.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = threads, 3
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
