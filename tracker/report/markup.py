"""Elements of HTML and SVG whose text is always escaped: what is not an element is text from elsewhere."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

from tracker.errors import mask, printable

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["Html", "element", "joined", "text"]

EMPTY = frozenset({"img", "circle", "path"})
"""Elements without an end; the slash ends those of SVG."""


class Html(str):
    """Text that is markup already."""

    __slots__ = ()


def text(words: str) -> Html:
    """Text from elsewhere as markup: no element, no control character, no secret.

    >>> text("<b>&x")
    '&lt;b&gt;&amp;x'
    """
    return words if isinstance(words, Html) else Html(escape(printable(mask(words))))


def element(name: str, *children: str, **attributes: str | float | bool) -> Html:
    """An element.

    Args:
        name: Of it.
        children: Elements, and text, which is escaped.
        attributes: Their values are escaped; a trailing ``_`` of a name is dropped, others are hyphens; ``True`` is an
            attribute without a value, ``False`` none.

    >>> element("p", "a < b", class_="note")
    '<p class="note">a &lt; b</p>'
    """
    told = []
    for key, value in attributes.items():
        word = key.rstrip("_").replace("_", "-")
        if value is True:
            told.append(f" {word}")
        elif value is not False:
            told.append(f' {word}="{text(number(value) if isinstance(value, float | int) else value)}"')
    head = f"<{name}{''.join(told)}"
    return Html(f"{head}/>") if name in EMPTY else Html(f"{head}>{joined(children)}</{name}>")


def joined(children: Iterable[str]) -> Html:
    """Elements and text one after another."""
    return Html("".join(text(child) for child in children))


def number(value: float) -> str:
    """A coordinate, no longer than need be.

    >>> number(12.0), number(3.14159)
    ('12', '3.1')
    """
    return f"{value:.1f}".removesuffix(".0")
