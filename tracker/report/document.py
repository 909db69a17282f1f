"""Parts of a report as values: sections of facts, charts, tables, matrices and pictures.

Charts are marks in pixels, laid out for a wide and for a narrow page, so that the page (SVG) and the picture (OpenCV)
draw the same.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = [
    "Anchor",
    "Box",
    "Chart",
    "Dot",
    "Drawing",
    "Fact",
    "Facts",
    "Key",
    "Mark",
    "Matrix",
    "Note",
    "Part",
    "Picture",
    "Report",
    "Section",
    "Stroke",
    "Table",
    "Words",
]


Anchor = Literal["start", "middle", "end"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Box:
    """A filled rectangle.

    Attributes:
        x, y, width, height: In pixels of its drawing, from the top left.
        tone: Name of a colour, see :mod:`tracker.report.tones`.
        look: ``hatched`` for what is not known, ``hollow`` for what was not seen to its end.
    """

    x: float
    y: float
    width: float
    height: float
    tone: str
    look: Literal["full", "hatched", "hollow"] = "full"


@dataclass(frozen=True, slots=True, kw_only=True)
class Stroke:
    """A polyline."""

    points: tuple[tuple[float, float], ...]
    tone: str
    width: float = 1.0
    dashed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Dot:
    """A filled circle with a rim in the colour of the ground."""

    x: float
    y: float
    radius: float
    tone: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Words:
    """A line of text; ``y`` is that of its baseline."""

    x: float
    y: float
    text: str
    tone: str = "soft"
    size: float = 11.5
    anchor: Anchor = "start"
    bold: bool = False


Mark = Box | Stroke | Dot | Words


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawing:
    """Marks on a ground of ``width`` x ``height`` pixels, the later over the earlier."""

    width: float
    height: float
    marks: tuple[Mark, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """One entry of a legend."""

    label: str
    tone: str
    look: Literal["full", "hatched", "hollow", "line", "dashed"] = "full"

    @property
    def mark(self) -> Mark:
        """What stands before the label, on 14 x 12 pixels."""
        if self.look == "line" or self.look == "dashed":  # noqa: PLR1714 - mypy narrows by it
            return Stroke(points=((0, 6), (14, 6)), tone=self.tone, width=1.4, dashed=self.look == "dashed")
        return Box(x=1, y=1, width=12, height=10, tone=self.tone, look=self.look)


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """Rows of text.

    Attributes:
        columns: Names; a name that begins with ``#`` is of numbers, which stand at the right.
        rows: Cells, as many in each as there are columns.
        caption: What it is of.
        folded: Behind a line that opens it.
    """

    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    caption: str
    folded: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Chart:
    """A drawing with words for those that do not see it.

    Attributes:
        title: What it shows.
        text: The same in a sentence or two with its figures, read aloud in its place.
        wide, narrow: For desks and paper, and for phones.
        legend: Meaning of the colours.
        table: The figures that it shows.
    """

    title: str
    text: str
    wide: Drawing
    narrow: Drawing
    legend: Sequence[Key] = ()
    table: Table | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Matrix:
    """Counts from places (rows) to places (columns); ``None`` is a way that the site does not have."""

    rows: Sequence[str]
    columns: Sequence[str]
    values: Sequence[Sequence[int | None]]
    caption: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """A JPEG with its size in pixels, its caption and words in its place."""

    jpeg: bytes
    size: tuple[int, int]
    caption: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    """A figure with its name, and what to know about it."""

    name: str
    value: str
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """Figures side by side."""

    facts: Sequence[Fact]


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """A sentence; ``warning`` where it must be known before figures are used."""

    text: str
    warning: bool = False


Part = Facts | Chart | Table | Matrix | Picture | Note


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """One question that a report answers.

    Attributes:
        key: Letters and ``-``, for links.
        title: In a word or two.
        lead: What the figures are, in a sentence; may be empty.
        parts: In order.
    """

    key: str
    title: str
    lead: str
    parts: Sequence[Part]


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """A whole report.

    Attributes:
        title: What it is about.
        period: From when until when, in words.
        facts: The figures that matter most.
        warnings: What must be read first.
        sections: In order.
        left_out: Sections of which there is no data, with the reason.
        footer: How to read it, sentence by sentence.
    """

    title: str
    period: str
    facts: Sequence[Fact]
    warnings: Sequence[str]
    sections: Sequence[Section]
    left_out: Sequence[tuple[str, str]]
    footer: Sequence[str]
