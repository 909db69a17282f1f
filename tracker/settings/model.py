"""Base class of all settings, and what a field may say of itself beside its type, range and default.

A field is declared once::

    stride: Annotated[int, Field(ge=1, le=10_000, description="Use every n-th frame."), Flag("N", panel=INPUT)] = 1

The command line (:mod:`tracker.app.flags`), the reader of cameras.yaml, the JSON schema and the reference page are made
of these declarations, and so is what an error says was expected.
"""

from __future__ import annotations

import difflib
import types
import typing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Self, TypeVar, get_args, get_origin

from pydantic import BaseModel, ConfigDict, ValidationError, model_validator

from tracker.errors import ConfigError, shown

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pydantic import ModelWrapValidatorHandler
    from pydantic.fields import FieldInfo

__all__ = [
    "Also",
    "Flag",
    "Note",
    "Origin",
    "Refusal",
    "SettingError",
    "Settings",
    "Wanted",
    "expected",
    "marker",
    "names_of",
]

_Marker = TypeVar("_Marker")


@dataclass(frozen=True, slots=True)
class Flag:
    """The field is an option of the command line, ``--like-its-name`` or an alias of :class:`Also`.

    Attributes:
        metavar: Stands for the value in the help; ``None`` for switches.
        panel: Heading in the help; ``None`` = the first one.
        command: The only command that has the option; ``None`` = every command of the settings.
        argument: Given by position, not by name.
        split: Several values in one word are separated by this, as in ``car,bus``.
    """

    metavar: str | None = None
    panel: str | None = None
    command: str | None = None
    argument: bool = False
    split: str | None = None


@dataclass(frozen=True, slots=True)
class Also:
    """Other names of the field on the command line and in files; the first is the usual one."""

    names: tuple[str, ...]

    def __init__(self, *names: str) -> None:
        object.__setattr__(self, "names", names)


@dataclass(frozen=True, slots=True)
class Note:
    """What the reference says beyond the description, which is the one line of ``--help``."""

    text: str


@dataclass(frozen=True, slots=True)
class Wanted:
    """What an error says where type and range do not say it, and what to do."""

    expected: str
    remedy: str = "change it"


@dataclass(frozen=True, slots=True)
class Origin:
    """The field says where the settings were read: nothing that can be set, and no difference between settings."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """One value that a settings class does not take.

    Attributes:
        field: Its name; ``""`` where it is no single field's fault.
        expected: A clause for ``expected ...``.
        found: A clause for ``found ...``; ``None``: the value as the user wrote it, which the reader knows.
        remedy: What to do.
    """

    field: str
    expected: str
    found: str | None
    remedy: str


class SettingError(ConfigError):
    """Settings with a wrong value; readers of files and command lines say where it stands instead of the class.

    Args:
        owner: Name of the settings class.
        refusals: What is wrong, at least one.
        found: The first one's value.
    """

    def __init__(self, owner: str, refusals: tuple[Refusal, ...], found: str) -> None:
        self.refusals = refusals
        self._given = (owner, refusals, found)
        first = refusals[0]
        offender = f"{owner}.{first.field}" if first.field else owner
        super().__init__(offender, f"expected {first.expected}, found {found}", first.remedy)

    def __reduce__(self) -> tuple[type[SettingError], tuple[str, tuple[Refusal, ...], str]]:
        """Pickled by what it was made of."""
        return type(self), self._given


class Settings(BaseModel):
    """Frozen, checked, picklable values; an unknown name or a wrong value is a :class:`SettingError`."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", allow_inf_nan=False, hide_input_in_errors=True, defer_build=True
    )

    @model_validator(mode="wrap")
    @classmethod
    def _told_as_setting_error(cls, values: Any, handler: ModelWrapValidatorHandler[Self]) -> Self:
        try:
            return handler(values)
        except ValidationError as error:
            failure = error
        # Outside of `except`: pydantic's error holds the values, passwords included, and must not become the context.
        refusals = tuple(_refusal(cls, one) for one in failure.errors(include_url=False))
        first = failure.errors(include_url=False)[0]
        secret = (field := cls.model_fields.get(refusals[0].field)) is not None and not field.repr
        found = refusals[0].found or ("a value that is not shown" if secret else shown(first["input"]))
        del failure, first, values
        raise SettingError(cls.__name__, refusals, found)

    def chosen(self) -> dict[str, Any]:
        """Every field with its value, but for where the settings were read."""
        return {name: value for name, value in self if marker(type(self).model_fields[name], Origin) is None}

    def __eq__(self, other: object) -> bool:
        """Whether the same was chosen, wherever it was read."""
        return isinstance(other, Settings) and type(self) is type(other) and self.chosen() == other.chosen()

    def __hash__(self) -> int:
        """Equal settings have equal hashes."""
        return hash((type(self), *self.chosen().items()))

    def replace(self, **changes: Any) -> Self:
        """The same with other values, checked again."""
        return type(self)(**(dict(self) | changes))


def marker(field: FieldInfo, kind: type[_Marker]) -> _Marker | None:
    """What a field says of itself in one respect."""
    return next((entry for entry in field.metadata if isinstance(entry, kind)), None)


def names_of(settings: type[Settings]) -> dict[str, str]:
    """Every name that a field may have in a file -> the field's own name; aliases first."""
    names: dict[str, str] = {}
    for name, field in settings.model_fields.items():
        if marker(field, Origin) is not None:
            continue
        aliases = marker(field, Also)
        names |= dict.fromkeys((*(aliases.names if aliases else ()), name), name)
    return names


def kind_of_value(field: FieldInfo) -> Any:
    """The type of a field without ``None``, and without what is beside it in ``Annotated``."""
    kind = field.annotation
    if get_origin(kind) in {types.UnionType, typing.Union}:
        kind = next(part for part in get_args(kind) if part is not type(None))
    while get_origin(kind) is typing.Annotated:
        kind = get_args(kind)[0]
    return kind


def choices(field: FieldInfo) -> tuple[str, ...]:
    """The words that a field takes; none where it takes others than a few."""
    kind = kind_of_value(field)
    return get_args(kind) if get_origin(kind) is Literal else ()


def bounds(field: FieldInfo) -> tuple[float | None, float | None]:
    """Lowest and highest value of a number."""
    found: list[float | None] = []
    for bound in ("ge", "le"):
        held = [getattr(entry, bound) for entry in field.metadata if getattr(entry, bound, None) is not None]
        found.append(held[0] if held else None)
    return found[0], found[1]


def expected(field: FieldInfo) -> str:
    """What a field takes, in words: ``a whole number from 1 to 10000``."""
    wanted, kind = marker(field, Wanted), kind_of_value(field)
    if wanted is not None:
        return wanted.expected
    if choices(field):
        return f"one of {', '.join(choices(field))}"
    if kind is bool:
        return "true or false"
    if kind in {int, float}:
        low, high = bounds(field)
        limits = ("" if low is None else f" from {low:.12g}") + ("" if high is None else f" to {high:.12g}")
        return ("a whole number" if kind is int else "a number") + limits
    return "text" if kind is str else "text or a list of texts"


def nearest(word: str, known: Mapping[str, Any] | tuple[str, ...]) -> str | None:
    """The word that was probably meant."""
    close = difflib.get_close_matches(word, list(known), 1)
    return close[0] if close else None


def _refusal(settings: type[Settings], error: Mapping[str, Any]) -> Refusal:
    """One of pydantic's errors in the words of this project."""
    name = str(error["loc"][0]) if error["loc"] else ""
    if error["type"] == "missing":
        return Refusal(name, f"`{name}`", "none", f"add `{name}: ...`")
    field = settings.model_fields.get(name)
    if field is None:
        names = names_of(settings)
        meant = names.get(name) or nearest(name, names)
        remedy = f"did you mean {meant!r}?" if meant else f"there are {', '.join(settings.model_fields)}"
        return Refusal(name, "a known setting", repr(name), remedy)
    wanted = marker(field, Wanted)
    remedy = wanted.remedy if wanted else "change it"
    if error["type"].endswith("too_short"):
        found = "an empty text" if isinstance(error["input"], str) else "an empty list"
        return Refusal(name, expected(field), found, remedy if wanted else "leave it out, or write a name")
    if choices(field):
        given = error["input"]
        meant = nearest(given, choices(field)) if isinstance(given, str) else None
        remedy = f"did you mean {meant!r}?" if meant else "choose one of them"
    return Refusal(name, expected(field), None, remedy)
