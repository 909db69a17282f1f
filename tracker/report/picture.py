"""Report as one picture (PNG): the page's sections one below the other, with long tables cut short."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from tracker.errors import mask, printable
from tracker.report.document import Box, Chart, Drawing, Facts, Matrix, Note, Picture, Table, Words
from tracker.report.paint import SCALE, Paper, text_width
from tracker.report.tones import bgr

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tracker.report.document import Fact, Key, Part, Report

__all__ = ["render_picture"]

WIDTH = 800.0
MARGIN = 20.0
ROOM = WIDTH - 2 * MARGIN
MOST_ROWS = 12
"""Of a table."""
TALLEST = 10_000.0
"""In pixels of drawings; what comes below is in the page only."""
FACT_WIDTH = 182.0
FACT_HEIGHT = 62.0
LINE = 18.0

Piece = tuple[float, Callable[[Paper, float], None]]
"""Height, and what paints it from a given top on."""


def render_picture(report: Report) -> bytes:
    """The picture as a PNG."""
    pieces = list(_pieces(report))
    height = MARGIN + sum(high for high, _ in pieces) + MARGIN
    paper = Paper(WIDTH, min(height, TALLEST))
    top = MARGIN
    for high, paint in pieces:
        if top + high > TALLEST - 2 * MARGIN:
            paper.words(Words(x=MARGIN, y=top + 14, text="The rest is on the page."))
            break
        paint(paper, top)
        top += high
    coded, data = cv2.imencode(".png", paper.image)
    if not coded:  # pragma: no cover - no such picture is known
        message = "OpenCV wrote no PNG"
        raise RuntimeError(message)
    return data.tobytes()


def _pieces(report: Report) -> Iterator[Piece]:
    yield _line(report.title, 22.0, bold=True, high=32.0)
    yield _line(report.period, 13.5, tone="soft", high=28.0)
    for words in report.warnings:
        yield from _wrapped(words, tone="warn")
    yield from _facts(report.facts)
    for section in report.sections:
        yield 14.0, lambda paper, top: paper.stroke([(MARGIN, top), (WIDTH - MARGIN, top)], "border")
        yield _line(section.title, 17.0, bold=True, high=28.0)
        for part in section.parts:
            yield from _part(part)


def _part(part: Part) -> Iterator[Piece]:
    if isinstance(part, Facts):
        yield from _facts(part.facts)
    elif isinstance(part, Chart):
        yield _line(part.title, 13.0, bold=True, high=24.0)
        yield part.wide.height, lambda paper, top: paper.draw(part.wide, MARGIN, top)
        yield from _legend(part.legend)
        yield 10.0, lambda _paper, _top: None
    elif isinstance(part, Table):
        if not part.folded:
            yield from _table(part)
    elif isinstance(part, Matrix):
        yield from _matrix(part)
    elif isinstance(part, Picture):
        yield from _picture(part)
    elif isinstance(part, Note):
        yield from _wrapped(part.text, tone="warn" if part.warning else "soft")


def _line(text: str, size: float, *, tone: str = "ink", bold: bool = False, high: float = LINE) -> Piece:
    mark = Words(x=MARGIN, y=high * 0.68, text=_fitting(text, size, ROOM, bold=bold), tone=tone, size=size, bold=bold)
    return high, lambda paper, top: paper.words(mark, 0, top)


def _wrapped(text: str, *, tone: str) -> Iterator[Piece]:
    """A sentence in lines that fit."""
    line = ""
    for word in _clean(text).split():
        longer = f"{line} {word}".strip()
        if line and text_width(longer, 12.0) > ROOM:
            yield _line(line, 12.0, tone=tone)
            longer = word
        line = longer
    yield _line(line, 12.0, tone=tone, high=LINE + 6)


def _facts(facts: Sequence[Fact]) -> Iterator[Piece]:
    for first in range(0, len(facts), 4):
        row = facts[first : first + 4]

        def paint(paper: Paper, top: float, row: Sequence[Fact] = row) -> None:
            for number, fact in enumerate(row):
                x = MARGIN + number * (FACT_WIDTH + 10)
                paper.box(Box(x=x, y=top, width=FACT_WIDTH, height=FACT_HEIGHT, tone="raised"))
                lines = ((fact.name, 17.0, 11.0, False), (fact.value, 38.0, 18.0, True), (fact.note, 54.0, 10.5, False))
                for text, y, size, bold in lines:
                    fits = _fitting(text, size, FACT_WIDTH - 20, bold=bold)
                    tone = "ink" if bold else "soft"
                    paper.words(Words(x=x + 10, y=top + y, text=fits, tone=tone, size=size, bold=bold))

        yield FACT_HEIGHT + 12, paint


def _legend(keys: Sequence[Key]) -> Iterator[Piece]:
    if not keys:
        return

    def paint(paper: Paper, top: float) -> None:
        x = MARGIN
        for key in keys:
            label = _fitting(key.label, 11.0, 220)
            paper.draw(Drawing(width=14, height=12, marks=(key.mark,)), x, top + 2)
            paper.words(Words(x=x + 19, y=top + 12, text=label, size=11.0))
            x += 19 + text_width(label, 11.0) + 16

    yield LINE, paint


def _table(table: Table) -> Iterator[Piece]:
    rows = [[_clean(cell) for cell in row] for row in table.rows[:MOST_ROWS]]
    names = [_clean(name.removeprefix("#")) for name in table.columns]
    right = [name.startswith("#") for name in table.columns]
    widths = [
        min(max(text_width(cell, 11.5) for cell in column), 260.0) + 18 for column in zip(names, *rows, strict=True)
    ]
    squeeze = min(ROOM / sum(widths), 1.0)
    widths = [width * squeeze for width in widths]
    ends = [MARGIN + sum(widths[: number + 1]) for number in range(len(widths))]
    yield _line(table.caption, 11.5, tone="soft")

    def row_of(cells: Sequence[str], tone: str) -> Piece:
        def paint(paper: Paper, top: float) -> None:
            for cell, width, end, numeric in zip(cells, widths, ends, right, strict=True):
                text = _fitting(cell, 11.5, width - 12)
                x, anchor = (end - 14, "end") if numeric else (end - width, "start")
                paper.words(Words(x=x, y=top + 13, text=text, tone=tone, anchor=anchor))  # type: ignore[arg-type]
            paper.stroke([(MARGIN, top + LINE + 1), (ends[-1] - 14, top + LINE + 1)], "border")

        return LINE + 2, paint

    yield row_of(names, "soft")
    for row in rows:
        yield row_of(row, "ink")
    left = len(table.rows) - len(rows)
    yield _line(f"{left:,} more rows are on the page" if left else "", 11.0, tone="soft", high=LINE + 4)


def _matrix(matrix: Matrix) -> Iterator[Piece]:
    yield _line(matrix.caption, 11.5, tone="soft")
    most = max((value or 0 for row in matrix.values for value in row), default=0) or 1
    left = 140.0
    cell = min((ROOM - left) / max(len(matrix.columns), 1), 90.0)

    def head(paper: Paper, top: float) -> None:
        for number, name in enumerate(matrix.columns):
            x = MARGIN + left + cell * (number + 1) - 8
            paper.words(Words(x=x, y=top + 13, text=_fitting(name, 11.0, cell - 10), size=11.0, anchor="end"))

    yield LINE, head
    for name, values in zip(matrix.rows, matrix.values, strict=True):

        def paint(paper: Paper, top: float, name: str = name, values: Sequence[int | None] = values) -> None:
            title = _fitting(name, 11.5, left - 14)
            paper.words(Words(x=MARGIN + left - 10, y=top + 16, text=title, tone="ink", anchor="end"))
            for number, value in enumerate(values):
                x = MARGIN + left + cell * number
                if value is not None:
                    _shade(paper, (x, top, cell - 2, 22), value / most)
                text = "–" if value is None else f"{value:,}"
                paper.words(Words(x=x + cell - 8, y=top + 16, text=text, tone="ink", anchor="end"))

        yield 24.0, paint
    yield 10.0, lambda _paper, _top: None


def _shade(paper: Paper, place: tuple[float, float, float, float], share: float) -> None:
    """A cell as dark as its share."""
    x, y, width, height = (round(value * SCALE) for value in place)
    low, high = np.array(bgr("raised")), np.array(bgr("accent"))
    paper.image[y : y + height, x : x + width] = np.round(low + (high - low) * share * 0.38).astype(np.uint8)


def _picture(picture: Picture) -> Iterator[Piece]:
    image: Any = cv2.imdecode(np.frombuffer(picture.jpeg, np.uint8), cv2.IMREAD_COLOR)
    high = ROOM * image.shape[0] / image.shape[1]
    yield high + 6, lambda paper, top: paper.picture(np.asarray(image, np.uint8), MARGIN, top, ROOM)
    yield from _wrapped(picture.caption, tone="soft")


def _fitting(text: str, size: float, room: float, *, bold: bool = False) -> str:
    """A text that fits, cut with an ellipsis if need be."""
    shown = _clean(text)
    if text_width(shown, size, bold=bold) <= room:
        return shown
    low, high = 0, len(shown)
    while low < high:
        middle = (low + high + 1) // 2
        fits = text_width(f"{shown[:middle]}…", size, bold=bold) <= room
        low, high = (middle, high) if fits else (low, middle - 1)
    return f"{shown[:low].rstrip()}…"


def _clean(text: str) -> str:
    """Text from elsewhere: no control character, no secret."""
    return printable(mask(text))
