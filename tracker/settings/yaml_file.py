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
from typing import TYPE_CHECKING, Any, TypeVar, get_args

from tracker.errors import ConfigError
from tracker.settings.dashboard import DashboardSettings
from tracker.settings.environment import fill_in
from tracker.settings.model import names_of
from tracker.settings.report import ReportSettings
from tracker.settings.retention import RetentionSettings
from tracker.settings.service import SHARED, ServiceSettings
from tracker.settings.stream import CameraSettings
from tracker.settings.yaml_nodes import NodeReader, compose, is_kind, line_of, read_text, shown_node

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tracker.settings.model import Settings

__all__ = ["camera_class", "load_service_settings", "parse_service_settings"]

_Service = TypeVar("_Service", bound=ServiceSettings)


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
    text = read_text(path, "cameras")
    return parse_service_settings(text, name=os.fspath(path), environment=environment)


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
    return _Reader(name, os.environ if environment is None else environment).service(
        compose(text, name, "cameras"), settings
    )


def camera_class(settings: type[ServiceSettings]) -> type[CameraSettings]:
    """What the cameras of a service are."""
    found: type[CameraSettings] = get_args(settings.model_fields["cameras"].annotation)[0]
    return found


class _Reader(NodeReader):
    """Nodes of one file to settings."""

    def __init__(self, name: str, environment: Mapping[str, str]) -> None:
        super().__init__(name)
        self._environment = environment

    def service(self, root: Any, settings: type[_Service]) -> _Service:
        if root is None:
            problem = "expected a list of cameras, found an empty file"
            raise ConfigError(self.name, problem, "see docs/guide/cameras.md")
        camera = camera_class(settings)
        of_camera = names_of(camera)
        shared = {key: name for key, name in of_camera.items() if name in SHARED}
        own = {key: name for key, name in names_of(settings).items() if name != "cameras"}
        nodes = self.nodes(root, own | shared | {"defaults": "defaults", "cameras": "cameras"}, "the file")

        for_all = {name: nodes.pop(name) for name in SHARED if name in nodes}
        if (defaults := nodes.pop("defaults", None)) is not None:
            of_stream = {key: name for key, name in of_camera.items() if _may_be_shared(name)}
            for_all |= self.nodes(defaults, of_stream, "defaults")
        self.made(camera, root, for_all, name="defaults", url="defaults")  # a mistake there is reported once
        sections = {
            name: self._section(name, kind, nodes.pop(name, None))
            for name, kind in (("dashboard", DashboardSettings), ("retention", RetentionSettings))
        }
        told = self._report(nodes.pop("report", None))
        listed = nodes.pop("cameras", None)
        if listed is None or not is_kind(listed, "sequence") or not listed.value:
            raise self.wrong(
                listed or root, "expected at least one camera under `cameras`, found none", "add `- name: ...`"
            )
        cameras = [
            self.made(
                camera,
                node,
                for_all | self.nodes(node, of_camera, "a camera"),
                place=f"{self.name}:{line_of(node)}",
            )
            for node in listed.value
        ]
        self._check_names(cameras, listed.value)
        return self.made(settings, root, nodes, cameras=tuple(cameras), report=told, path=self.name, **sections)

    def _report(self, node: Any) -> ReportSettings | None:
        """The keys of a report."""
        if node is None:
            return None
        if is_kind(node, "scalar"):
            problem = f"expected keys such as `folder`, found {shown_node(node)}"
            raise self.wrong(node, problem, "write `report: {folder: reports}`")
        nodes = self.nodes(node, names_of(ReportSettings), "report")
        lists = {
            name: [self.text(entry) for entry in nodes.pop(name).value]
            for name in ("only",)
            if is_kind(nodes.get(name), "sequence") and all(is_kind(entry, "scalar") for entry in nodes[name].value)
        }
        return self.made(ReportSettings, node, nodes, **lists)

    def _section(self, name: str, kind: type[Settings], node: Any) -> Settings | None:
        """Settings of a part of the service: its keys, or a word for all defaults or none of it."""
        if node is None:
            return None
        if is_kind(node, "scalar"):
            if (word := self.text(node).lower()) not in {"on", "off", "true", "false", "yes", "no"}:
                known = next(iter(kind.model_fields))
                problem = f"expected on, off or keys such as `{known}`, found {shown_node(node)}"
                raise self.wrong(node, problem, f"write `{name}: on`")
            return self.made(kind, node, {}) if word in {"on", "true", "yes"} else None
        nodes = self.nodes(node, names_of(kind), name)
        lists = {
            key: [self.text(entry) for entry in nodes.pop(key).value]
            for key in ("trusted_proxies",)
            if is_kind(nodes.get(key), "sequence") and all(is_kind(entry, "scalar") for entry in nodes[key].value)
        }
        return self.made(kind, node, nodes, **lists)

    def _check_names(self, cameras: list[CameraSettings], nodes: list[Any]) -> None:
        lines: dict[str, int] = {}
        for camera, node in zip(cameras, nodes, strict=True):
            if camera.name in lines:
                found = f"{camera.name} also in line {lines[camera.name]}"
                raise self.wrong(node, f"expected different names, found {found}", "rename one of them")
            lines[camera.name] = line_of(node)

    def text(self, node: Any) -> str:
        """With variables filled in."""
        try:
            return fill_in(super().text(node), self._environment)
        except ConfigError as error:
            failure = error
        raise self.wrong(node, failure.problem, failure.remedy)


def _may_be_shared(name: str) -> bool:
    return name not in {"name", "url"}
