"""Command whose wrong, missing and doubled values are errors in four parts: offender, expected, found, remedy."""

from __future__ import annotations

import math
from typing import Any, get_args

import typer
import typer.core

from tracker.errors import ConfigError

__all__ = ["CheckedCommand"]


class CheckedCommand(typer.core.TyperCommand):
    """A command that says what an option takes, in the words of the settings."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse as ever.

        Raises:
            ConfigError: An option without its value or with one that it does not take, or one given twice that counts
                once: the earlier one would be dropped without a word.
        """
        given = self._given(args)
        try:
            return super().parse_args(ctx, args)
        except typer.BadParameter as error:
            option = getattr(error, "param", None)
            if option is None or type(error).__name__ == "MissingParameter":
                raise
            problem = str(error.message)
        name = next((name for name in option.opts if name in given), option.opts[0])
        found = repr(given[name][-1]) if name in given else "something else"
        expected = _expected(option, problem)
        example = _example(option, given[name][-1] if name in given else "")
        remedy = f"write {name} {example}" if example else f"write {name} with another value"
        raise ConfigError(name, f"expected {expected}, found {found}", f"{remedy}, or leave it out")

    def _given(self, args: list[str]) -> dict[str, list[str]]:
        """Values by the name under which they were given, of options that take one."""
        options = {name: option for option in self.params for name in option.opts if name.startswith("--")}
        given: dict[str, list[str]] = {}
        words = iter(enumerate(args))
        for place, word in words:
            if word == "--":
                break
            name, equals, value = word.partition("=")
            option = options.get(name)
            if option is None or getattr(option, "is_flag", False):
                continue
            if not equals:
                value = args[place + 1] if place + 1 < len(args) else ""
                if place + 1 == len(args) or value.startswith("--"):
                    takes = getattr(option, "metavar", None) or "VALUE"
                    remedy = f"write {name} {takes}" + (f", or {name}={value} if it is meant" * bool(value))
                    raise ConfigError(name, f"expected {takes} after it, found {value or 'nothing'}", remedy)
                next(words, None)
            given.setdefault(name, []).append(value)
        for option in self.params:
            values = [value for name in option.opts for value in given.get(name, [])]
            if len(values) > 1 and not getattr(option, "multiple", False):
                remedy = "leave one out" + ("; --records may be given several times" * ("--save" in option.opts))
                found = ", ".join(map(repr, values))
                raise ConfigError(option.opts[0], f"expected it once, found it {len(values)} times: {found}", remedy)
        return given


EXAMPLES = {
    "--fps": 25,
    "--save-height": 720,
    "--line-width": 2,
    "--outline-every": 3,
    "--limit": 100,
    "--price": 1,
    "--events-days": 90,
    "--bins-days": 365,
}
"""Usual values of options without a default whose lowest value is seldom meant: 0 days would delete everything."""


def _example(option: Any, found: str) -> str:
    """A value that a number's option takes: its default or a usual one, else that next to what was given.

    Empty for words.
    """
    kind, low, high = _number(option)
    if kind is None:
        return ""
    default = getattr(option, "default", None)
    if isinstance(default, int | float) and not isinstance(default, bool):
        return f"{default:g}"
    usual = next((EXAMPLES[name] for name in option.opts if name in EXAMPLES), None)
    if usual is not None:
        return f"{usual:g}"
    low = low or 0.0
    if high is not None and high <= 1:
        return f"{(low + high) / 2:g}"
    try:
        given = float(found)
    except ValueError:
        given = low
    given = given if math.isfinite(given) else low
    nearest = min(max(given, low), math.inf if high is None else high)
    return f"{round(nearest) if kind is int else nearest:.12g}"


def _expected(option: Any, problem: str) -> str:
    """What an option takes, from its range; else what the parser said."""
    kind, low, high = _number(option)
    if kind is None:
        _, is_choice, choices = problem.partition(" is not one of ")
        return f"one of {choices.rstrip('.').replace(chr(39), '')}" if is_choice else f"another value ({problem})"
    limits = ("" if low is None else f" from {low:.12g}") + ("" if high is None else f" to {high:.12g}")
    return ("a whole number" if kind is int else "a number") + limits


def _number(option: Any) -> tuple[type[int | float] | None, float | None, float | None]:
    """``int`` or ``float`` with lowest and highest value; ``None`` where an option takes something else."""
    described = getattr(option, "type_descriptor", None)
    kind = getattr(described, "annotation", None)
    kind = next((part for part in get_args(kind) if part in {int, float}), kind)
    if kind is None:  # versions of Typer on top of Click
        name = str(getattr(getattr(option, "type", None), "name", ""))
        kind = {"integer": int, "float": float}.get(name.removesuffix(" range"))
    if kind is not int and kind is not float:
        return None, None, None
    held = option if hasattr(option, "min") else getattr(option, "type", None)
    return kind, getattr(held, "min", None), getattr(held, "max", None)
