"""Options of the command line, made of the fields of settings: names, help, headings, ranges and defaults."""

from __future__ import annotations

import functools
import inspect
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from tracker.errors import ConfigError, shown
from tracker.settings.environment import fill_in
from tracker.settings.model import Also, Flag, SettingError, Settings, bounds, kind_of_value, marker

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pydantic.fields import FieldInfo

__all__ = ["flag_names", "flags", "option", "settings_from", "takes"]

_Settings = TypeVar("_Settings", bound=Settings)


def takes(
    settings: type[_Settings], command: str | None = None, *, sources: str | None = None, **fixed: Any
) -> Callable[[Callable[..., None]], Any]:
    """Decorator of a command: its first parameter is settings, and its options are their fields.

    Args:
        settings: What the command takes.
        command: Its name, for fields that only one command has.
        sources: Help of the sources, where the command takes others than most do.
        fixed: Fields that the command decides itself.
    """

    def decorate(function: Callable[..., None]) -> Callable[..., None]:
        offered = flags(settings, command, sources=sources)

        @functools.wraps(function)
        def run(**given: Any) -> None:
            chosen = {name: given.pop(name) for name in offered}
            function(settings_from(settings, chosen, **fixed), **given)

        own = list(inspect.signature(function, eval_str=True).parameters.values())[1:]
        parameters = [*offered.values(), *own]
        run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined] # where Typer looks
        run.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
        return run

    return decorate


def flags(
    settings: type[Settings], command: str | None = None, *, sources: str | None = None
) -> dict[str, inspect.Parameter]:
    """One parameter per field that is an option of a command, as a function of Typer's has them."""
    offered = {}
    for name, field in settings.model_fields.items():
        told = marker(field, Flag)
        if told is not None and told.command in {None, command}:
            default = inspect.Parameter.empty if field.is_required() else _default(field)
            offered[name] = inspect.Parameter(
                name,
                inspect.Parameter.KEYWORD_ONLY,
                default=default,
                annotation=Annotated[
                    _kind(field), option(settings, name, description=sources if name == "sources" else None)
                ],
            )
    arguments = [name for name in offered if _flag(settings.model_fields[name]).argument]
    return {name: offered[name] for name in (*arguments, *(name for name in offered if name not in arguments))}


def option(settings: type[Settings], name: str, *, description: str | None = None) -> Any:
    """What Typer wants to know of one option; for ``Annotated`` in commands that take few of the settings."""
    field = settings.model_fields[name]
    told = _flag(field)
    if told.argument:
        return typer.Argument(metavar=told.metavar, help=description or field.description)
    low, high = bounds(field)
    return typer.Option(
        *flag_names(name, field),
        metavar=told.metavar,
        rich_help_panel=told.panel,
        help=field.description,
        min=low,
        max=high,
    )


def _kind(field: FieldInfo) -> Any:
    """A field's type as Typer knows it; words of a few are texts here, which the settings check."""
    kind = kind_of_value(field)
    if kind not in {bool, int, float}:
        kind = list[str] if _is_many(field) else str
    return kind if field.is_required() or _default(field) is not None else kind | None


def flag_names(name: str, field: FieldInfo) -> list[str]:
    """``["--conf", "--score-threshold"]``: the usual name first."""
    aliases = marker(field, Also)
    words = (*(aliases.names if aliases else ()), name)
    return [f"--{word.replace('_', '-')}" for word in words]


def settings_from(settings: type[_Settings], given: Mapping[str, Any], **fixed: Any) -> _Settings:
    """Settings from what Typer read.

    Args:
        settings: What is made.
        given: Values of options by the names of their fields; ``None`` = not given.
        fixed: Fields that are not options.

    Raises:
        ConfigError: A value does not fit, or an address names a variable that is not set; the offender is the option.
    """
    values = {name: _read(settings.model_fields[name], value) for name, value in given.items() if value is not None}
    try:
        return settings(**values, **fixed)
    except SettingError as error:
        first = error.refusals[0]
    field = settings.model_fields[first.field]
    offender = _flag(field).metavar if _flag(field).argument else flag_names(first.field, field)[0]
    found = first.found or (shown(values.get(first.field)) if field.repr else "a value that is not shown")
    raise ConfigError(str(offender), f"expected {first.expected}, found {found}", first.remedy)


def _read(field: FieldInfo, value: Any) -> Any:
    """What was typed, with lists in one word taken apart and variables of addresses filled in."""
    told = _flag(field)
    if told.split is not None:
        return [word.strip() for group in value for word in group.split(told.split) if word.strip()]
    if told.argument and isinstance(value, list):
        return [fill_in(word) if "://" in word else word for word in value]
    return value


def _flag(field: FieldInfo) -> Flag:
    told = marker(field, Flag)
    if told is None:
        message = f"no option of the command line: {field.description}"
        raise TypeError(message)
    return told


def _default(field: FieldInfo) -> Any:
    """A field's default as Typer wants it: lists of options have none."""
    return None if field.is_required() or (_is_many(field) and not field.default) else field.default


def _is_many(field: FieldInfo) -> bool:
    return str(kind_of_value(field)).startswith("tuple[")
