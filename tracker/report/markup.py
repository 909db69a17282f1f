"""Elements of HTML and SVG whose text is always escaped: what is not an element is text from elsewhere."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

from tracker.errors import mask, printable

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["Html", "element", "joined", "text"]

MOST_LETTERS = 120
"""Of a name or a cell that is shown; a longer one is cut, and whole when it is pointed at."""
NAMED = frozenset({"h1", "th", "td", "a", "b", "li", "dt"})
"""Elements that hold names, which come from elsewhere and may have any length."""
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
    shown = map(_cut, children) if name in NAMED else children
    return Html(f"{head}/>") if name in EMPTY else Html(f"{head}>{joined(shown)}</{name}>")


def _cut(child: str) -> str:
    """A name as it is, or cut with the whole of it in the title."""
    if isinstance(child, Html) or len(child) <= MOST_LETTERS:
        return child
    return element("span", f"{child[: MOST_LETTERS - 1]}…", title=child)


def joined(children: Iterable[str]) -> Html:
    """Elements and text one after another."""
    return Html("".join(text(child) for child in children))


def number(value: float) -> str:
    """A coordinate, no longer than need be.

    >>> number(12.0), number(3.14159)
    ('12', '3.1')
    """
    return f"{value:.1f}".removesuffix(".0")
