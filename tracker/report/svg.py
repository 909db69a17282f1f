"""Drawings as SVG: text stays text, colours are those of the page's theme."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING

from tracker.report.document import Box, Dot, Stroke, Words
from tracker.report.markup import Html, element, number

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tracker.report.document import Drawing, Mark

__all__ = ["marks_of", "svg_of"]


def svg_of(drawing: Drawing, *, title: str, text: str, key: str, look: str) -> Html:
    """A drawing with its title and its words.

    Args:
        drawing: What is drawn.
        title: Of it, for those that do not see it.
        text: The same with its figures.
        key: Unique on the page.
        look: Class of the element.
    """
    words = element("title", title, id=f"{key}-t") + element("desc", text, id=f"{key}-d")
    return element(
        "svg",
        Html(words + marks_of(drawing.marks)),
        class_=look,
        role="img",
        aria_labelledby=f"{key}-t {key}-d",
        viewBox=f"0 0 {number(drawing.width)} {number(drawing.height)}",
    )


def _kind(mark: Mark) -> tuple[str, ...]:
    """What marks are drawn in one go."""
    return ("box", mark.tone, mark.look) if isinstance(mark, Box) else (type(mark).__name__, str(id(mark)))


def marks_of(marks: Iterable[Mark]) -> Html:
    """Marks in their order, to stand in an element ``svg``."""
    return Html("".join(_marks(marks)))


def _marks(marks: Iterable[Mark]) -> Iterable[str]:
    """Boxes of one look that follow each other are one path."""
    for kind, group in groupby(marks, _kind):
        found = list(group)
        if kind[0] == "box":
            yield _boxes([mark for mark in found if isinstance(mark, Box)])
        for mark in found:
            if isinstance(mark, Stroke):
                yield _stroke(mark)
            elif isinstance(mark, Dot):
                yield element("circle", cx=mark.x, cy=mark.y, r=mark.radius, class_=f"f-{mark.tone} rim")
            elif isinstance(mark, Words):
                yield _words(mark)


def _boxes(boxes: list[Box]) -> Html:
    first = boxes[0]
    shape = "".join(
        f"M{_short(box.x)} {_short(box.y)}h{_short(box.width)}v{_short(box.height)}h{_short(-box.width)}z"
        for box in boxes
    )
    look = {"full": f"f-{first.tone}", "hatched": "hatched", "hollow": f"s-{first.tone} hollow"}[first.look]
    return element("path", d=shape, class_=look)


def _stroke(mark: Stroke) -> Html:
    points = "L".join(f"{number(x)} {number(y)}" for x, y in mark.points)
    look = f"s-{mark.tone}" + (" dashed" if mark.dashed else "")
    width = {} if mark.width == 1.0 else {"stroke_width": mark.width}
    return element("path", d=f"M{points}", class_=look, **width)


def _words(mark: Words) -> Html:
    look = f"f-{mark.tone}" + (" b" if mark.bold else "")
    anchor = {} if mark.anchor == "start" else {"text_anchor": mark.anchor}
    size = {} if mark.size == 11.5 else {"font_size": mark.size}
    return element("text", mark.text, x=mark.x, y=mark.y, class_=look, **anchor, **size)


def _short(value: float) -> str:
    """With a hundredth of a pixel, which narrow bars need."""
    return f"{value:.2f}".rstrip("0").rstrip(".")
