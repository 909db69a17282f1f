"""Site files: the lines, zones, occluders, doors and flows of one camera as YAML."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tracker.errors import ConfigError, install_command
from tracker.site import Doors, Flow, Line, Occluder, Site, Zone

if TYPE_CHECKING:
    import os

__all__ = ["read_site"]

PARTS = {"lines": Line, "zones": Zone, "occluders": Occluder, "doors": Doors, "flows": Flow}


def read_site(path: str | os.PathLike[str]) -> Site:
    """Read a site.

    Raises:
        ConfigError: The file cannot be read, or something in it is wrong.
    """
    try:
        import yaml
    except ImportError:
        problem = "expected PyYAML to read it, found it is not installed"
        raise ConfigError(path, problem, install_command("live")) from None
    try:
        values = yaml.safe_load(Path(path).read_text(encoding="utf-8")) or {}
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigError(path, f"expected a site as YAML, found: {error}", "check the file") from None
    try:
        parts: dict[str, Any] = {
            name: tuple(_made(kind, one) for one in values.pop(name, ())) for name, kind in PARTS.items()
        }
        return Site(**parts, **{name: _frozen(value) for name, value in values.items()})
    except TypeError as error:
        raise ConfigError(path, f"expected a site, found: {error}", "check the file") from None


def _made(kind: Any, values: dict[str, Any]) -> Any:
    known = {field.name for field in fields(kind)}
    return kind(**{name: _frozen(value) if name in known else value for name, value in values.items()})


def _frozen(value: Any) -> Any:
    return tuple(_frozen(one) for one in value) if isinstance(value, list) else value
