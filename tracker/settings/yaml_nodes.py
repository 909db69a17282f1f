"""YAML files as nodes, each with its line, for readers that say where a mistake stands.

A file is read as nodes and not as values: every value is the text that stands there, whatever YAML makes of it (``off``
is a word, not ``False``). What a value must be is said by the settings that it is made into.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from tracker.errors import ConfigError, install_command, shown
from tracker.settings.model import SettingError, Settings, nearest

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["LARGEST_FILE", "NodeReader", "compose", "is_kind", "kind_of", "line_of", "read_text", "shown_node"]

_Settings = TypeVar("_Settings", bound=Settings)

LARGEST_FILE = 1_000_000
"""Bytes of a file, of some thousands of cameras; PyYAML reads a megabyte of comment in half a second."""


def read_text(path: str | os.PathLike[str], what: str) -> str:
    """The text of a file, or a little more than :data:`LARGEST_FILE` of its bytes, which :func:`compose` refuses.

    Args:
        path: A YAML file.
        what: Of what it is a file, in the plural, for the error.

    Raises:
        ConfigError: It cannot be read.
    """
    try:
        with Path(path).open("rb") as file:
            return file.read(LARGEST_FILE + 1).decode("utf-8")
    except UnicodeDecodeError:
        reason = "text that is not UTF-8"
    except OSError as error:
        reason = error.strerror or type(error).__name__
    raise ConfigError(path, f"expected a YAML file of {what}, found: {reason}", "check the path")


def compose(text: str, name: str, what: str, *, extra: str = "live") -> Any:
    """The root node of a file; ``None`` of an empty one.

    Args:
        text: YAML.
        name: Stands for the file in errors.
        what: Of what it is a file, in the plural.
        extra: Optional packages with which PyYAML is installed.

    Raises:
        ConfigError: It is no YAML, or too large or too deep; the text is not quoted, it may hold passwords.
    """
    try:
        import yaml
    except ImportError:
        problem = "expected PyYAML to read it, found it is not installed"
        raise ConfigError(name, problem, install_command(extra)) from None

    if len(text.encode(errors="surrogatepass")) > LARGEST_FILE:
        raise ConfigError(name, f"expected at most {LARGEST_FILE:,} bytes, found more", "is it the right file?")
    try:
        return yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        failure = ConfigError(f"{name}:{line}", f"expected YAML, found {error.problem}", "check quotes and indentation")
    except yaml.YAMLError:
        failure = ConfigError(name, "expected YAML, found something else", "check the file")
    except RecursionError:
        problem = f"expected a file of {what}, found lists or mappings that are nested too deeply"
        failure = ConfigError(name, problem, "check brackets")
    raise failure  # outside of `except`: PyYAML's error quotes the file


class NodeReader:
    """Nodes of one file, and errors with their lines.

    Args:
        name: Stands for the file in errors.
    """

    def __init__(self, name: str) -> None:
        self.name = name

    def nodes(self, node: Any, names: Mapping[str, str], what: str) -> dict[str, Any]:
        """The values of a mapping as nodes, under the fields' own names.

        Args:
            node: The mapping.
            names: Every key that is known -> the field's own name.
            what: Whose keys they are, for errors.

        Raises:
            ConfigError: It is no mapping, or a key is unknown or stands twice.
        """
        if not is_kind(node, "mapping"):
            raise self.wrong(
                node, f"expected `key: value` lines for {what}, found a {kind_of(node)}", "check the indentation"
            )
        found: dict[str, Any] = {}
        for key_node, value in node.value:
            key = key_node.value if is_kind(key_node, "scalar") else "?"
            if key not in names:
                meant = nearest(key, dict(names))
                remedy = f"did you mean {meant!r}?" if meant else f"keys there: {', '.join(names)}"
                problem = f"expected a known key, found the unknown key {shown(key)} in {what}"
                raise self.wrong(key_node, problem, remedy)
            if names[key] in found:
                problem = f"expected each key once in {what}, found {key!r} twice"
                raise self.wrong(key_node, problem, "remove one of them")
            found[names[key]] = value
        return found

    def made(self, settings: type[_Settings], node: Any, nodes: Mapping[str, Any], **ready: Any) -> _Settings:
        """Settings from the nodes of their fields; an error names the line of the first that is wrong, and its field.

        Args:
            settings: What is made.
            node: Stands for what is missing.
            nodes: Of the fields.
            ready: Fields that are no nodes any more.
        """
        values = {name: self.value(value) for name, value in nodes.items()}
        try:
            return settings(**values, **ready)
        except SettingError as error:
            refusals = error.refusals
        first = min(refusals, key=lambda refusal: line_of(nodes.get(refusal.field, node)))
        at = nodes.get(first.field)
        found = first.found or (shown_node(at) if at is not None else "none")
        problem = f"expected {first.expected}, found {found}"
        if at is not None and sum(line_of(one) == line_of(at) for one in nodes.values()) > 1:
            problem = f"{first.field}: {problem}"  # the line alone does not say which
        raise self.wrong(node if at is None else at, problem, first.remedy)

    def value(self, node: Any, *, nested: bool = False) -> Any:
        """A text, or a list or mapping of texts; nothing deeper, so that aliases cannot multiply or go in circles."""
        if nested and not is_kind(node, "scalar"):
            raise self.wrong(node, f"expected text, found {shown_node(node)}", "take it out of the list or mapping")
        if is_kind(node, "sequence"):
            return [self.value(entry, nested=True) for entry in node.value]
        if is_kind(node, "mapping"):
            return {str(key.value): self.value(value, nested=True) for key, value in node.value}
        return self.text(node)

    def text(self, node: Any) -> str:
        """What stands there; an empty text, which no field takes, for ``null``: ``save:`` is not the default."""
        return "" if node.tag.endswith(":null") else str(node.value)

    def key_of(self, value: Any, owner: Any) -> str:
        """``key: `` of a value in a mapping, for errors, where the line alone does not say which key it is."""
        pairs = owner.value if is_kind(owner, "mapping") else ()
        several = sum(line_of(one) == line_of(value) for _, one in pairs) > 1
        return next((f"{key.value}: " for key, one in pairs if one is value and several), "")

    def wrong(self, node: Any, problem: str, remedy: str) -> ConfigError:
        """An error whose offender is ``file:line``."""
        return ConfigError(f"{self.name}:{line_of(node)}", problem, remedy)


def line_of(node: Any) -> int:
    """Line in which a node begins, from 1."""
    return int(node.start_mark.line) + 1


def is_kind(node: Any, kind: str) -> bool:
    """Whether a node is a ``scalar``, ``sequence`` or ``mapping``."""
    return getattr(node, "id", None) == kind


def kind_of(node: Any) -> str:
    """What a node is, in words."""
    return {"scalar": "single value", "sequence": "list", "mapping": "mapping"}[str(node.id)]


def shown_node(node: Any) -> str:
    """A value as the file spells it: variables unexpanded, so that no secret is shown."""
    return shown(node.value) if is_kind(node, "scalar") else f"a {kind_of(node)}"
