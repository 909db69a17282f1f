"""The error tree: what goes wrong enters as context, what leaves is one sentence a user can act on.

::

    TrackerError            anything masktrail reports on purpose
    |-- SourceError         a file, folder, camera or address that cannot be read
    |   `-- DetectionsError a detections or results file with a malformed line
    |-- ModelError          an ONNX file, its manifest, its device or its outputs
    |-- ConfigError         a setting, an unknown name, a missing optional package
    `-- SinkError           an output that cannot be opened or written

Every message names the offender, what was expected, what was found and the remedy. The command line prints the message
without a traceback and exits with status 2.
"""

from __future__ import annotations

from typing import Any

__all__ = ["ConfigError", "DetectionsError", "ModelError", "SinkError", "SourceError", "TrackerError"]


class TrackerError(Exception):
    """Base of every error that masktrail raises on purpose.

    Args:
        offender: The file, option or value at fault, as the user wrote it.
        problem: What was expected and what was found, one clause each.
        remedy: What the user can do about it.
    """

    def __init__(self, offender: object, problem: str, remedy: str = "") -> None:
        self.offender = str(offender)
        self.problem = problem
        self.remedy = remedy
        super().__init__(f"{self.offender}: {problem}" + (f"\n  remedy: {remedy}" if remedy else ""))

    def __reduce__(self) -> tuple[Any, ...]:
        """The three parts, since an exception's own way would hand the finished sentence to the constructor."""
        return type(self), (self.offender, self.problem, self.remedy)


class SourceError(TrackerError):
    """A video, image, camera or address cannot be opened or holds no frame."""


class DetectionsError(SourceError):
    """A detections file cannot be parsed; the offender is ``path:line``."""


class ModelError(TrackerError):
    """A model file, its manifest or the device it should run on is unusable."""


class ConfigError(TrackerError):
    """A setting is unknown, out of range, or needs a package that is not installed."""


class SinkError(TrackerError):
    """An output cannot be opened, written or finished."""
