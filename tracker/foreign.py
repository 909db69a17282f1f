"""Text from elsewhere, fit to be shown: control characters escaped, values of environment variables masked.

File names, class names and messages of other libraries reach terminals, logs and web pages. An escape sequence in them
could rewrite the screen, a line break could forge a line of the log, and a value that a user kept in ``${NAME}`` is
nobody else's business. What is masked is known to this process only, so texts that leave it are masked before.
"""

from __future__ import annotations

import re
from typing import Any

__all__ = ["mask", "mask_values", "one_line", "printable", "remember_secret", "without_controls"]

_CONTROLS = re.compile("[\x00-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069]")
"""C0, DEL, C1, line and paragraph separators, and what turns the direction of writing."""

_ANYWHERE, _AS_A_WORD = 8, 4
"""Characters from which a value is masked inside words too, and as a word. ``other`` would take ``another`` apart, and
``x`` the size ``640 x 360``: shorter ones are masked between the marks of an address only."""

_MARKS = r"/:@?&=;#,"

_secrets: set[str] = set()


def remember_secret(value: str) -> None:
    """Mask this value from now on, wherever it appears."""
    if value:
        _secrets.add(value)


def mask(text: str) -> str:
    """The text with ``***`` in the place of every value that came from the environment.

    Values of eight and more characters are masked anywhere, of four and more where they stand as a word, shorter ones
    between the marks of an address; also where they are percent-encoded.
    """
    from urllib.parse import quote, unquote

    for secret in sorted(_secrets, key=len, reverse=True):
        for form in dict.fromkeys((secret, quote(secret, safe=""), quote(secret), unquote(secret))):
            if form not in text:
                continue
            if len(form) >= _ANYWHERE:
                text = text.replace(form, "***")
            elif len(form) >= _AS_A_WORD:
                text = re.sub(rf"(?<!\w){re.escape(form)}(?!\w)", "***", text)
            else:
                text = re.sub(rf"(?<=[{_MARKS}]){re.escape(form)}(?=[{_MARKS}]|$)", "***", text)
    return text


def mask_values(value: Any) -> Any:
    """Plain values, mappings and lists of them, with every text in them masked; keys of mappings too."""
    if isinstance(value, str):
        return mask(value)
    if isinstance(value, dict):
        return {mask_values(key): mask_values(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [mask_values(entry) for entry in value]
    return value


def printable(text: str) -> str:
    r"""The text with control characters written out; line breaks stay, since messages of several lines have them.

    >>> printable("a\x1b[31mb\n\x07")
    'a\\x1b[31mb\n\\x07'
    """
    return _CONTROLS.sub(lambda match: "\n" if match[0] == "\n" else _escaped(match[0]), text)


def one_line(text: str) -> str:
    r"""The text with every control character written out, line breaks too.

    >>> one_line("a\nb\tc")
    'a\\nb\\tc'
    """
    return _CONTROLS.sub(lambda match: _escaped(match[0]), text)


def without_controls(text: str) -> str:
    r"""The text without control characters, for names that go into records and onto pictures.

    >>> without_controls("\x1b[31mcar\n")
    '[31mcar'
    """
    return _CONTROLS.sub("", text)


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")
