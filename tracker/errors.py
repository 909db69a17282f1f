"""Exceptions of masktrail, each one sentence with a remedy, and text from elsewhere made fit to be shown in them.

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

import contextlib
import os
import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

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
    "mask",
    "mask_values",
    "one_line",
    "printable",
    "remember_secret",
    "shown",
    "system_refusals",
    "without_controls",
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
        """The three parts, since the default would pass the finished sentence to the constructor."""
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


@contextlib.contextmanager
def system_refusals(kind: type[TrackerError]) -> Iterator[None]:
    """Have a path that the system refuses, for want of permission or for its length, end in an error of this kind.

    Questions such as :meth:`pathlib.Path.is_file` have no answer for these, and raise. A decorator too.
    """
    try:
        yield
    except FileNotFoundError:
        raise
    except OSError as refusal:
        if refusal.filename is None:
            raise
        problem = f"expected a path that can be looked at, found: {refusal.strerror}"
        remedy = "check the name, and the permissions of its folders"
        raise kind(os.fsdecode(refusal.filename), problem, remedy) from refusal


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


# ---- text from elsewhere --------------------------------------------------------------------------------------
# File names, class names and messages of other libraries reach terminals, logs and web pages. An escape sequence in
# them could rewrite the screen, a line break could forge a line of the log. Values that a user keeps in ``${NAME}`` are
# masked; they are known to this process only, so texts that leave it are masked before.

_CONTROLS = re.compile("[\x00-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069]")
"""C0, DEL, C1, line and paragraph separators, and what turns the direction of writing."""

_ANYWHERE, _AS_A_WORD = 8, 4
"""Characters from which a value is masked inside words too, and as a word. ``other`` would take ``another`` apart, and
``x`` the size ``640 x 360``: shorter ones are masked between the marks of an address only."""

_MARKS = r"/:@?&=;#,"

_secrets: set[str] = set()

LONGEST_SHOWN = 80
"""Characters of a wrong value that an error quotes: a value may be a whole file."""


def remember_secret(value: str) -> None:
    """Mask this value from now on, wherever it appears."""
    if value:
        _secrets.add(value)


def mask(text: str) -> str:
    """The text with ``***`` in the place of every value that came from the environment.

    Values of eight and more characters are masked anywhere, of four and more where they stand as a word, shorter ones
    between the marks of an address; also where they are percent-encoded.
    """
    if not _secrets:
        return text
    from urllib.parse import quote, unquote

    for secret in sorted(_secrets, key=len, reverse=True):
        for form in dict.fromkeys((secret, quote(secret, safe=""), quote(secret), unquote(secret))):
            if form not in text:
                continue
            if len(form) >= _ANYWHERE:
                text = text.replace(form, "***")
            elif len(form) >= _AS_A_WORD:
                text = re.sub(rf"(?<!\w){re.escape(form)}(?!\w)", "***", text)
            else:
                text = re.sub(rf"(?<=[{_MARKS}]){re.escape(form)}(?=[{_MARKS}]|$)", "***", text)
    return text


def mask_values(value: Any) -> Any:
    """Plain values, mappings and lists of them, with every text in them masked; keys of mappings too."""
    if isinstance(value, str):
        return mask(value)
    if isinstance(value, dict):
        return {mask_values(key): mask_values(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [mask_values(entry) for entry in value]
    return value


def printable(text: str) -> str:
    r"""The text with control characters written out; line breaks stay, since messages of several lines have them.

    >>> printable("a\x1b[31mb\n\x07")
    'a\\x1b[31mb\n\\x07'
    """
    return _CONTROLS.sub(lambda match: "\n" if match[0] == "\n" else _escaped(match[0]), text)


def one_line(text: str) -> str:
    r"""The text with every control character written out, line breaks too.

    >>> one_line("a\nb\tc")
    'a\\nb\\tc'
    """
    return _CONTROLS.sub(lambda match: _escaped(match[0]), text)


def without_controls(text: str) -> str:
    r"""The text without control characters, for names that go into records and onto pictures.

    >>> without_controls("\x1b[31mcar\n")
    '[31mcar'
    """
    return _CONTROLS.sub("", text)


def shown(value: object) -> str:
    """A value as an error quotes it: on one line, and cut where it is long.

    >>> shown([1, "a"])
    "[1, 'a']"
    """
    try:
        text = repr(value)
    except ValueError:  # Python does not write out numbers of thousands of digits, but reads them in hexadecimal
        return "a number of thousands of digits"
    return text if len(text) <= LONGEST_SHOWN else f"{text[:LONGEST_SHOWN]}... ({len(text)} characters)"


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")
