"""Every setting as a page of Markdown, and cameras.yaml as a JSON schema for editors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tracker.settings.dashboard import DashboardSettings
from tracker.settings.model import (
    Also,
    Flag,
    Note,
    Settings,
    bounds,
    choices,
    expected,
    kind_of_value,
    marker,
    names_of,
)
from tracker.settings.report import ReportSettings
from tracker.settings.retention import RetentionSettings
from tracker.settings.service import SHARED, ServiceSettings
from tracker.settings.stream import RunSettings
from tracker.settings.yaml_file import camera_class

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pydantic.fields import FieldInfo

__all__ = ["file_schema", "key_table", "properties", "reference_page"]

SECTIONS: dict[str, type[Settings]] = {"dashboard": DashboardSettings, "retention": RetentionSettings}
"""Parts of a service with keys of their own."""

_PAGE = """\
# Settings

Written by `masktrail settings docs`; change the descriptions in `tracker/settings/`, then run
`masktrail settings docs --out docs/reference/settings.md`. Guide: [cameras](../guide/cameras.md).
Every command: [command line](commands.md).

A setting has one name in a file (`key`), on the command line (`option`) and in Python (the key, or the last one where
there are several: the others are aliases). In a file `${{NAME}}` stands for an environment variable: passwords belong
there. Unknown keys and values out of range are refused with their line.

After `masktrail settings schema --out cameras.schema.json` editors complete and check a file beside it that begins with
`# yaml-language-server: $schema=cameras.schema.json`.

## A stream

In cameras.yaml per camera, or under `defaults` for all of them (any but `name` and `url`); {shared}
may stand at the top level too. Options without a word in brackets belong to `masktrail track` and `segment`.

{stream}

## A service

At the top of cameras.yaml, beside `defaults` and the list `cameras`.

{service}

## A dashboard

Under `dashboard` in cameras.yaml; options belong to `masktrail dashboard`. Guide: [dashboard](../guide/dashboard.md).

{dashboard}

## Retention

Under `retention` in cameras.yaml. Guide: [privacy](../guide/privacy.md).

{retention}

## A report

Under `report` in cameras.yaml. Guide: [reports](../guide/reports.md).

{report}

## A run

Of `masktrail track` and `segment` only, and in Python `RunSettings`.

{run}
"""


def reference_page(service: type[ServiceSettings] = ServiceSettings, run: type[RunSettings] = RunSettings) -> str:
    """The reference of all settings.

    Args:
        service: What a file holds.
        run: What the options of ``track`` and ``segment`` are.
    """
    camera = camera_class(service)
    of_run = {
        name: field
        for name, field in run.model_fields.items()
        if name not in camera.model_fields and name not in service.model_fields
    }
    of_camera = {name: camera.model_fields[name] for name in sorted(_settable(camera), key=_names_first)}
    of_service = {name: service.model_fields[name] for name in _settable(service) if name != "cameras"}
    return _PAGE.format(
        shared=" and ".join(f"`{name}`" for name in SHARED),
        stream=_table(of_camera, in_file=True),
        service=_table(of_service, in_file=True),
        dashboard=_table(DashboardSettings.model_fields, in_file=True),
        retention=_table(RetentionSettings.model_fields, in_file=True),
        report=key_table(ReportSettings.model_fields),
        run=_table(of_run, in_file=False),
    )


def file_schema(service: type[ServiceSettings] = ServiceSettings) -> dict[str, Any]:
    """The JSON schema of cameras.yaml: every key and alias, types, ranges, words, descriptions.

    Args:
        service: What a file holds.
    """
    camera = camera_class(service)
    of_camera = properties(camera)
    top = {key: of_camera[key] for key, name in names_of(camera).items() if name in SHARED}
    top |= {key: value for key, value in properties(service).items() if key not in {"cameras", "report", *SECTIONS}}
    for name, section in SECTIONS.items():
        top[name] = {
            "description": service.model_fields[name].description,
            "anyOf": [
                {"type": "object", "additionalProperties": False, "properties": properties(section)},
                {"type": "boolean"},
                {"enum": ["on", "off"]},
            ],
        }
    top["report"] = {
        "description": service.model_fields["report"].description,
        "type": "object",
        "additionalProperties": False,
        "required": ["folder"],
        "properties": properties(ReportSettings),
    }
    shared = {key: value for key, value in of_camera.items() if key not in {"name", "url"}}
    required = [name for name, field in camera.model_fields.items() if field.is_required()]
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "masktrail live: cameras.yaml",
        "type": "object",
        "additionalProperties": False,
        "required": ["cameras"],
        "properties": top
        | {
            "defaults": {
                "description": "For every camera, any key but name and url.",
                "type": "object",
                "additionalProperties": False,
                "properties": shared,
            },
            "cameras": {
                "description": service.model_fields["cameras"].description,
                "type": "array",
                "minItems": 1,
                "items": {
                    "type": "object",
                    "additionalProperties": False,
                    "required": required,
                    "properties": of_camera,
                },
            },
        },
    }


def properties(settings: type[Settings]) -> dict[str, Any]:
    """Keys and aliases -> what a schema says of their values."""
    made = settings.model_json_schema()["properties"]
    return {key: _schema(made[name]) for key, name in names_of(settings).items()}


def _schema(made: dict[str, Any]) -> dict[str, Any]:
    """What a schema says of one field. ``None`` is no value in a file: there the key is left out."""
    kept = {word: value for word, value in made.items() if word != "title"}
    if kept.get("default", "") is None:
        del kept["default"]
    forms = [form for form in kept.get("anyOf", []) if form.get("type") != "null"]
    if len(forms) == 1:
        del kept["anyOf"]
        kept = forms[0] | kept
    return kept


def _table(fields: dict[str, FieldInfo], *, in_file: bool) -> str:
    rows = [f"| {'key' if in_file else 'name'} | option | default | values | |", "|---|---|---|---|---|"]
    for name, field in fields.items():
        rows.append(_row(_keys(name, field), _option(name, field), _default(field), _values(field), _text(field)))
    return "\n".join(rows)


def key_table(fields: Mapping[str, FieldInfo]) -> str:
    """Keys of a file that are no options of the command line, as a table."""
    rows = ["| key | default | values | |", "|---|---|---|---|"]
    for name, field in fields.items():
        rows.append(_row(_keys(name, field), _default(field), _values(field), _text(field)))
    return "\n".join(rows)


def _row(*cells: str) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _text(field: FieldInfo) -> str:
    note = marker(field, Note)
    return " ".join([str(field.description), *([note.text] if note else [])])


def _keys(name: str, field: FieldInfo) -> str:
    aliases = marker(field, Also)
    return ", ".join(f"`{word}`" for word in (*(aliases.names if aliases else ()), name))


def _option(name: str, field: FieldInfo) -> str:
    told, aliases = marker(field, Flag), marker(field, Also)
    if told is None:
        return ""
    if told.argument:
        return f"`{told.metavar}`"
    word = (aliases.names[0] if aliases else name).replace("_", "-")
    return f"`--{word}`" + (f" ({told.command})" if told.command else "")


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    if field.default is None or field.default == ():
        return ""
    value = field.default
    return (
        f"`{str(value).lower() if isinstance(value, bool) else f'{value:.12g}' if isinstance(value, float) else value}`"
    )


def _values(field: FieldInfo) -> str:
    if kind_of_value(field) is DashboardSettings:
        return "`on`, `off`, or its keys"
    if kind_of_value(field) is ReportSettings:
        return "its keys"
    if choices(field):
        return ", ".join(f"`{word}`" for word in choices(field))
    low, high = bounds(field)
    if kind_of_value(field) in {int, float} and low is not None:
        return f"{low:.12g} to {high:.12g}" if high is not None else f"from {low:.12g}"
    return expected(field)


def _settable(settings: type[Settings]) -> list[str]:
    """Fields in their order, but for those that say where the settings were read."""
    return list(dict.fromkeys(names_of(settings).values()))


def _names_first(name: str) -> bool:
    return name not in {"name", "url"}
