"""JSON and YAML of other tools as plain values, within limits: size, depth, repetition, and one error for all else.

Values are what the text says: lists, mappings with texts as keys, texts, numbers, ``True``, ``False`` and ``None``.
Dates and other things that YAML knows stay texts. Lists that YAML repeats by aliases are one list here: whoever walks
them counts (:class:`tracker.formats.sites.drawing.Drawing` does).
"""

from __future__ import annotations

import bz2
import contextlib
import json
import math
from typing import TYPE_CHECKING, Any, NoReturn

from tracker.errors import ConfigError, install_command

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "LARGEST_FILE",
    "from_json",
    "from_json_or_yaml",
    "from_yaml",
    "kind_of",
    "mapping_of",
    "number_of",
    "sequence_of",
    "text_of",
    "text_of_bytes",
]

LARGEST_FILE = 1_000_000
"""Bytes of a file, unpacked."""

LONGEST_SHOWN = 60
_UNPACKED = LARGEST_FILE + 1
_TOO_DEEP = "expected JSON, found lists or mappings that are nested too deeply"


def text_of_bytes(data: bytes) -> str:
    """The text of a file, unpacked where it is bz2.

    Raises:
        ConfigError: It is too large, packed badly, or not UTF-8.
    """
    if data.startswith(b"BZh"):
        try:
            unpacker = bz2.BZ2Decompressor()
            data = unpacker.decompress(data, max_length=_UNPACKED)
        except (OSError, ValueError, EOFError) as error:
            raise ConfigError("the file", f"expected bz2, found: {error}", "copy it again") from None
        if not unpacker.eof and len(data) < _UNPACKED:
            raise ConfigError("the file", "expected bz2, found that its end is missing", "copy it again")
    if len(data) > LARGEST_FILE:
        raise ConfigError("the file", f"expected at most {LARGEST_FILE:,} bytes, found more", "is it the right file?")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise ConfigError(
            "the file", "expected text, found bytes that are not UTF-8", "is it the right file?"
        ) from None


def from_json(text: str) -> Any:
    """Plain values of JSON; NaN and infinity are refused.

    Raises:
        ConfigError: It is no JSON, or too large or too deep.
    """
    _check_size(text)
    try:
        return json.loads(text, parse_constant=_no_constant)
    except json.JSONDecodeError as error:
        problem, where = f"expected JSON, found: {error.msg}", f"line {error.lineno}"
    except RecursionError:
        problem, where = _TOO_DEEP, "the file"
    except ValueError as error:  # a number of thousands of digits, or NaN
        problem, where = f"expected JSON, found: {error}", "the file"
    raise ConfigError(where, problem[:300], "is it the right file?")


def from_yaml(text: str) -> Any:
    """Plain values of YAML, with the types of numbers, booleans and null, and merged mappings (``<<``).

    Raises:
        ConfigError: It is no YAML, too large, too deep or in circles, or PyYAML is missing.
    """
    _check_size(text)
    try:
        import yaml
    except ImportError:
        problem = "expected PyYAML to read it, found it is not installed"
        raise ConfigError("the file", problem, install_command("site")) from None
    try:
        return _value_of(yaml.compose(text, Loader=yaml.SafeLoader), {})
    except yaml.MarkedYAMLError as error:
        where = f"line {error.problem_mark.line + 1}" if error.problem_mark else "the file"
        problem = f"expected YAML, found {error.problem}"
    except yaml.YAMLError:
        where, problem = "the file", "expected YAML, found something else"
    except RecursionError:
        where, problem = "the file", "expected YAML, found lists or mappings that are nested too deeply"
    raise ConfigError(where, problem, "is it the right file?")


def from_json_or_yaml(text: str) -> Any:
    """JSON where the text begins like it, else YAML."""
    if text.lstrip()[:1] in {"{", "["}:
        try:
            return from_json(text)
        except ConfigError as error:
            failure = error
        if failure.problem == _TOO_DEEP:  # for YAML as well, which takes a second to say so
            raise failure
        try:
            return from_yaml(text)  # flow style: {a: [1, 2]}
        except ConfigError:
            raise failure from None
    return from_yaml(text)


def kind_of(value: Any) -> str:
    """A value as an error shows it: containers by their kind only, since aliases may make them huge."""
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list):
        return "a list"
    shown = repr(value)
    return shown if len(shown) <= LONGEST_SHOWN else f"{shown[:LONGEST_SHOWN]}..."


def mapping_of(value: Any, what: str) -> dict[str, Any]:
    """The value, if it is a mapping."""
    if not isinstance(value, dict):
        raise ConfigError(what, f"expected a mapping, found {kind_of(value)}", "is it the right format?")
    return value


def sequence_of(value: Any, what: str) -> list[Any]:
    """The value, if it is a list."""
    if not isinstance(value, list):
        raise ConfigError(what, f"expected a list, found {kind_of(value)}", "is it the right format?")
    return value


def text_of(value: Any, what: str) -> str:
    """The value, if it is a text or a number, as text."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise ConfigError(what, f"expected text, found {kind_of(value)}", "is it the right format?")
    try:
        return str(value)
    except ValueError:  # a whole number of thousands of digits
        raise ConfigError(what, "expected text, found a number that is too long", "is it the right format?") from None


def number_of(value: Any, what: str) -> float:
    """The value, if it is a finite number or the text of one."""
    number = math.nan
    if isinstance(value, str | int | float) and not isinstance(value, bool):
        with contextlib.suppress(ValueError, OverflowError):
            number = float(value)
    if not math.isfinite(number):
        raise ConfigError(what, f"expected a number, found {kind_of(value)}", "is it the right format?")
    return number


def _check_size(text: str) -> None:
    if len(text) > LARGEST_FILE:
        raise ConfigError("the file", f"expected at most {LARGEST_FILE:,} bytes, found more", "is it the right file?")


def _no_constant(word: str) -> NoReturn:
    message = f"{word}, which is no number"
    raise ValueError(message)


def _value_of(node: Any, made: dict[int, Any]) -> Any:
    """The value of a node; every node once, so that aliases cannot multiply it."""
    if node is None:
        return None
    if node.id == "scalar":
        return _scalar(node)
    if id(node) in made:
        if made[id(node)] is made:
            raise ConfigError("the file", "expected YAML, found a list that holds itself", "is it the right file?")
        return made[id(node)]
    made[id(node)] = made  # stands for: not done
    value: Any
    if node.id == "sequence":
        value = [_value_of(entry, made) for entry in node.value]
    else:
        value = {}
        for key, entry in node.value:
            if key.id == "scalar" and key.value == "<<":
                for merged in _merged(_value_of(entry, made)):
                    value = dict(merged) | value
            else:
                value[str(key.value) if key.id == "scalar" else "?"] = _value_of(entry, made)
    made[id(node)] = value
    return value


def _merged(value: Any) -> list[Mapping[str, Any]]:
    distinct = {id(entry): entry for entry in (value if isinstance(value, list) else [value])}
    return [entry for entry in distinct.values() if isinstance(entry, dict)]


def _scalar(node: Any) -> Any:
    kind, text = node.tag.rpartition(":")[2], node.value
    if kind == "null":
        return None
    if kind == "bool":
        return text.lower() in {"true", "yes", "on"}
    if kind in {"int", "float"}:
        for read in (int, float):
            try:
                return read(text)
            except ValueError:
                continue
    return text
