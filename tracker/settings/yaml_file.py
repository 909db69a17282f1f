"""A YAML file of cameras as :class:`ServiceSettings`; errors name the line, secrets come from the environment.

::

    model: yolact-nano            # a model of the zoo or an .onnx file; a camera may name another
    device: auto
    metrics: 127.0.0.1:9117       # health and metrics; off for none
    defaults: {stride: 1}         # for every camera, any key but name and url
    cameras:
      - name: gate
        url: rtsp://viewer:${GATE_PASSWORD}@10.0.0.7/stream1
        classes: [person, car]
        records: out/{name}-{time}.jsonl

The file is read as nodes, each with its line. Every value is the text that stands there, whatever YAML makes of it
(``off`` is a word, not ``False``); the settings' own types say what it must be.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, get_args

from tracker.errors import ConfigError, install_command, shown
from tracker.settings.environment import fill_in
from tracker.settings.model import SettingError, Settings, names_of, nearest
from tracker.settings.service import SHARED, ServiceSettings
from tracker.settings.stream import CameraSettings

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["LARGEST_FILE", "camera_class", "load_service_settings", "parse_service_settings"]

LARGEST_FILE = 1_000_000
"""Bytes of a file of cameras, some thousands of them; PyYAML reads a megabyte of comment in half a second."""

_Service = TypeVar("_Service", bound=ServiceSettings)
_Settings = TypeVar("_Settings", bound=Settings)


def load_service_settings(
    path: str | os.PathLike[str], environment: Mapping[str, str] | None = None
) -> ServiceSettings:
    """Read and check a file.

    Args:
        path: A YAML file.
        environment: What ``${NAME}`` stands for; the process's environment where not given.

    Raises:
        ConfigError: The file cannot be read, or something in it is wrong; the offender is ``path:line``.
    """
    try:
        with Path(path).open("rb") as file:
            text = file.read(LARGEST_FILE + 1).decode("utf-8")
    except UnicodeDecodeError:
        reason = "text that is not UTF-8"
    except OSError as error:
        reason = error.strerror or type(error).__name__
    else:
        return parse_service_settings(text, name=os.fspath(path), environment=environment)
    raise ConfigError(path, f"expected a YAML file of cameras, found: {reason}", "check the path")


def parse_service_settings(
    text: str,
    *,
    name: str = "cameras.yaml",
    environment: Mapping[str, str] | None = None,
    settings: type[_Service] = ServiceSettings,  # type: ignore[assignment] # mypy has no defaults of type variables here
) -> _Service:
    """Check settings that were read elsewhere; arguments and errors as for :func:`load_service_settings`.

    Args:
        text: YAML.
        name: Stands for the file in errors.
        environment: What ``${NAME}`` stands for.
        settings: A class with further fields, where there are any.
    """
    return _Reader(name, os.environ if environment is None else environment).service(_compose(text, name), settings)


def camera_class(settings: type[ServiceSettings]) -> type[CameraSettings]:
    """What the cameras of a service are."""
    found: type[CameraSettings] = get_args(settings.model_fields["cameras"].annotation)[0]
    return found


def _compose(text: str, name: str) -> Any:
    """The root node of a file.

    Raises:
        ConfigError: It is no YAML, or too large or too deep; the text is not quoted, it may hold passwords.
    """
    try:
        import yaml
    except ImportError:
        problem = "expected PyYAML to read it, found it is not installed"
        raise ConfigError(name, problem, install_command("live")) from None

    if len(text.encode()) > LARGEST_FILE:
        raise ConfigError(name, f"expected at most {LARGEST_FILE:,} bytes, found more", "is it the right file?")
    try:
        return yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        failure = ConfigError(f"{name}:{line}", f"expected YAML, found {error.problem}", "check quotes and indentation")
    except yaml.YAMLError:
        failure = ConfigError(name, "expected YAML, found something else", "check the file")
    except RecursionError:
        problem = "expected a file of cameras, found lists or mappings that are nested too deeply"
        failure = ConfigError(name, problem, "check brackets")
    raise failure  # outside of `except`: PyYAML's error quotes the file


class _Reader:
    """Nodes of one file to settings."""

    def __init__(self, name: str, environment: Mapping[str, str]) -> None:
        self._name = name
        self._environment = environment

    def service(self, root: Any, settings: type[_Service]) -> _Service:
        if root is None:
            problem = "expected a list of cameras, found an empty file"
            raise ConfigError(self._name, problem, "see docs/guide/cameras.md")
        camera = camera_class(settings)
        of_camera = names_of(camera)
        shared = {key: name for key, name in of_camera.items() if name in SHARED}
        own = {key: name for key, name in names_of(settings).items() if name != "cameras"}
        nodes = self._nodes(root, own | shared | {"defaults": "defaults", "cameras": "cameras"}, "the file")

        for_all = {name: nodes.pop(name) for name in SHARED if name in nodes}
        if (defaults := nodes.pop("defaults", None)) is not None:
            of_stream = {key: name for key, name in of_camera.items() if _may_be_shared(name)}
            for_all |= self._nodes(defaults, of_stream, "defaults")
        self._made(camera, root, for_all, name="defaults", url="defaults")  # a mistake there is reported once
        listed = nodes.pop("cameras", None)
        if listed is None or not _is(listed, "sequence") or not listed.value:
            raise self._wrong(
                listed or root, "expected at least one camera under `cameras`, found none", "add `- name: ...`"
            )
        cameras = [
            self._made(
                camera,
                node,
                for_all | self._nodes(node, of_camera, "a camera"),
                place=f"{self._name}:{_line(node)}",
            )
            for node in listed.value
        ]
        self._check_names(cameras, listed.value)
        return self._made(settings, root, nodes, cameras=tuple(cameras), path=self._name)

    def _check_names(self, cameras: list[CameraSettings], nodes: list[Any]) -> None:
        lines: dict[str, int] = {}
        for camera, node in zip(cameras, nodes, strict=True):
            if camera.name in lines:
                found = f"{camera.name} also in line {lines[camera.name]}"
                raise self._wrong(node, f"expected different names, found {found}", "rename one of them")
            lines[camera.name] = _line(node)

    def _nodes(self, node: Any, names: Mapping[str, str], what: str) -> dict[str, Any]:
        """The values of a mapping as nodes, under the fields' own names."""
        if not _is(node, "mapping"):
            raise self._wrong(
                node, f"expected `key: value` lines for {what}, found a {_kind(node)}", "check the indentation"
            )
        found: dict[str, Any] = {}
        for key_node, value in node.value:
            key = key_node.value if _is(key_node, "scalar") else "?"
            if key not in names:
                meant = nearest(key, dict(names))
                remedy = f"did you mean {meant!r}?" if meant else f"keys there: {', '.join(names)}"
                raise self._wrong(
                    key_node, f"expected a known key, found the unknown key {shown(key)} in {what}", remedy
                )
            if names[key] in found:
                raise self._wrong(
                    key_node, f"expected each key once in {what}, found {key!r} twice", "remove one of them"
                )
            found[names[key]] = value
        return found

    def _made(self, settings: type[_Settings], node: Any, nodes: Mapping[str, Any], **ready: Any) -> _Settings:
        """Settings from the nodes of their fields; an error names the line of the first that is wrong.

        Args:
            settings: What is made.
            node: Stands for what is missing.
            nodes: Of the fields.
            ready: Fields that are no nodes any more.
        """
        values = {name: self._value(value) for name, value in nodes.items()}
        try:
            return settings(**values, **ready)
        except SettingError as error:
            refusals = error.refusals
        first = min(refusals, key=lambda refusal: _line(nodes.get(refusal.field, node)))
        at = nodes.get(first.field)
        found = first.found or (_shown(at) if at is not None else "none")
        raise self._wrong(node if at is None else at, f"expected {first.expected}, found {found}", first.remedy)

    def _value(self, node: Any, *, nested: bool = False) -> Any:
        """A text, or a list or mapping of texts; nothing deeper, so that aliases cannot multiply or go in circles."""
        if nested and not _is(node, "scalar"):
            raise self._wrong(node, f"expected text, found {_shown(node)}", "take it out of the list or mapping")
        if _is(node, "sequence"):
            return [self._value(entry, nested=True) for entry in node.value]
        if _is(node, "mapping"):
            return {str(key.value): self._value(value, nested=True) for key, value in node.value}
        if node.tag.endswith(":null"):
            return ""  # an empty text, which no field takes: `save:` is a mistake, not the default
        try:
            return fill_in(node.value, self._environment)
        except ConfigError as error:
            failure = error
        raise self._wrong(node, failure.problem, failure.remedy)

    def _wrong(self, node: Any, problem: str, remedy: str) -> ConfigError:
        return ConfigError(f"{self._name}:{_line(node)}", problem, remedy)


def _may_be_shared(name: str) -> bool:
    return name not in {"name", "url"}


def _line(node: Any) -> int:
    return int(node.start_mark.line) + 1


def _is(node: Any, kind: str) -> bool:
    return getattr(node, "id", None) == kind


def _kind(node: Any) -> str:
    return {"scalar": "single value", "sequence": "list", "mapping": "mapping"}[str(node.id)]


def _shown(node: Any) -> str:
    """A value as the file spells it: variables unexpanded, so that no secret is shown."""
    return shown(node.value) if _is(node, "scalar") else f"a {_kind(node)}"
