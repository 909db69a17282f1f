"""``${NAME}`` in a text replaced by environment variables: no password need stand in a file or a command line."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

from tracker.errors import ConfigError, remember_secret

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["fill_in"]

_WORD_BEFORE, _WORD_AFTER = re.compile(r"\w+$"), re.compile(r"^\w+")
_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")


def fill_in(text: str, environment: Mapping[str, str] | None = None) -> str:
    """The text with every ``${NAME}`` filled in; the values are masked in whatever is told from then on.

    Args:
        text: What may name variables.
        environment: Their values; the process's environment where not given.

    Raises:
        ConfigError: A variable is not set.

    >>> fill_in("rtsp://viewer:${GATE}@10.0.0.7/stream1", {"GATE": "hunter2"})
    'rtsp://viewer:hunter2@10.0.0.7/stream1'
    """
    environment = os.environ if environment is None else environment

    def value_of(match: re.Match[str]) -> str:
        variable = match.group(1)
        if variable not in environment:
            problem = f"expected the environment variable {variable}, found it is not set"
            raise ConfigError("${" + variable + "}", problem, f"export {variable}=...")
        return environment[variable]

    filled = _VARIABLE.sub(value_of, text)
    for match in _VARIABLE.finditer(text):
        value = environment[match.group(1)]
        remember_secret(value)
        # A short value in the middle of a word is masked with the word.
        before, after = _WORD_BEFORE.search(text[: match.start()]), _WORD_AFTER.match(text[match.end() :])
        remember_secret((before[0] if before else "") + value + (after[0] if after else ""))
    return filled
