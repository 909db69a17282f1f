"""The error tree: every expected failure as one sentence that a user can act on.

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

from typing import TYPE_CHECKING, Any

from tracker.foreign import mask, one_line, printable

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = [
    "DISTRIBUTIONS",
    "ConfigError",
    "DetectionsError",
    "ModelError",
    "SinkError",
    "SourceError",
    "TrackerError",
    "expect_array",
    "install_command",
]

DISTRIBUTIONS = ("masktrail", "masktrail-cpu")
"""Names under which masktrail may be installed; the second comes with ONNX Runtime for the CPU only."""


class TrackerError(Exception):
    """Base of every error that masktrail raises on purpose.

    Args:
        offender: The file, option or value at fault, as the user wrote it.
        problem: What was expected and what was found, one clause each.
        remedy: What the user can do about it.
    """

    def __init__(self, offender: object, problem: str, remedy: str = "") -> None:
        # Masked here, where it is known what is secret: errors travel to other processes, logs and pages.
        self.offender = one_line(mask(str(offender)))
        self.problem = printable(mask(problem))
        self.remedy = printable(mask(remedy))
        told = f"\n  remedy: {self.remedy}" if remedy else ""
        super().__init__(f"{self.offender}: {self.problem}{told}")

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


def install_command(extra: str) -> str:
    """The pip command that installs the packages of an optional extra.

    It names the packages, since ``masktrail[extra]`` needs an index that has masktrail.
    """
    from importlib.metadata import PackageNotFoundError, requires

    named: list[str] = []
    for distribution in DISTRIBUTIONS:
        try:
            needed = requires(distribution) or []
        except PackageNotFoundError:
            continue
        for requirement in needed:
            package, _, condition = requirement.partition(";")
            if f'extra == "{extra}"' in condition.replace("'", '"'):
                named.append(f"'{package.strip()}'")
    packages = " ".join(dict.fromkeys(named)) or f"'masktrail[{extra}]'"
    return f"pip install {packages}"


def expect_array(name: str, array: NDArray[Any], shape: tuple[int | None, ...], kind: str) -> None:
    """Raise ``ValueError`` naming the field unless ``array`` has ``shape`` (``None`` = any) and a dtype of ``kind``."""
    if array.shape == shape and array.dtype.kind in kind:
        return
    fits = array.ndim == len(shape) and all(
        want is None or want == got for want, got in zip(shape, array.shape, strict=True)
    )
    if not fits or array.dtype.kind not in kind:
        wanted = tuple("n" if size is None else size for size in shape)
        message = f"{name}: expected shape {wanted} and dtype kind {kind!r}, found {array.shape} of {array.dtype}"
        raise ValueError(message)
