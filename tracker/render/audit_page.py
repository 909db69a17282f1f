"""Audit page: what lines and zones counted and what they did not, with reasons, path sketches and pictures, as HTML.

One file that needs nothing else: no script, no font, no address. All text is escaped, and its content security policy
allows styles and pictures of its own only.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Literal

from tracker.errors import mask, printable
from tracker.render.audit_sketch import Sketcher
from tracker.render.audit_style import STYLE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tracker.render.site_marks import SiteMarks

__all__ = ["AuditPage", "Group", "PathSample", "Picture", "PlacePage", "Row", "render_page"]

POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
SHOWN_DOTS = 400
"""Dots in the picture of the whole site; more hide the scene."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PathSample:
    """A place on a path: shares of the picture's width and height, and whether the contact was seen there."""

    x: float
    y: float
    seen: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """A cut-out: a JPEG, its size in pixels, and its caption."""

    jpeg: bytes
    size: tuple[int, int]
    caption: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One event or near miss.

    Attributes:
        key: Unique on the page, letters, digits and ``-``.
        title: What passed.
        words: What happened, in a sentence; may be empty.
        clock: Media time.
        local: The same in local time with its offset; may be empty.
        at: Where, in shares of the picture; ``None`` = not known.
        path: Around it.
        pictures: Before and after, if any.
    """

    key: str
    title: str
    words: str
    clock: str
    local: str = ""
    at: tuple[float, float] | None = None
    path: tuple[PathSample, ...] = ()
    pictures: tuple[Picture, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Rows of one kind: what was counted, or near misses with one reason.

    Attributes:
        kind: Sets the colour.
        title: In a word or two.
        meaning: What it means and what to do about it; may be empty.
        total: How many there were; ``rows`` may be a sample.
        rows: In order of time.
        unfolded: Whether it is open at first.
    """

    kind: Literal["counted", "missed", "close"]
    title: str
    meaning: str
    total: int
    rows: Sequence[Row]
    unfolded: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class PlacePage:
    """One line or zone.

    Attributes:
        name: As in the site.
        is_line: Else a zone.
        rule: Its rules in a sentence.
        sums: What was counted: title, count and classes.
        groups: Near misses first.
    """

    name: str
    is_line: bool
    rule: str
    sums: Sequence[tuple[str, int, str]]
    groups: Sequence[Group]


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditPage:
    """Everything on the page.

    Attributes:
        title: Name of the recording or camera.
        facts: Pairs of a name and a value, under the title.
        warnings: Sentences that must be read first: outages, samples, missing pictures.
        size: ``(width, height)`` of the video in pixels.
        still: JPEG of the scene, or ``None``.
        marks: Lines and zones.
        places: In the order of the marks.
    """

    title: str
    facts: Sequence[tuple[str, str]]
    warnings: Sequence[str]
    size: tuple[int, int]
    still: bytes | None
    marks: SiteMarks
    places: Sequence[PlacePage]


def render_page(page: AuditPage) -> str:
    """The page as HTML."""
    sketcher = Sketcher(page.marks, page.size, still=page.still)
    body = [
        sketcher.definitions(),
        f"<header><p class=kind>Counting audit</p><h1>{_text(page.title)}</h1>{_facts(page)}</header>",
        *(f"<p class=warning>{_text(words)}</p>" for words in page.warnings),
        _overview(page, sketcher),
        *(_place(number, place, sketcher) for number, place in enumerate(page.places)),
        f"<footer>{LEGEND}</footer>",
    ]
    head = (
        f'<meta charset=utf-8><meta http-equiv="Content-Security-Policy" content="{escape(POLICY)}">'
        '<meta name=viewport content="width=device-width, initial-scale=1">'
        '<meta name=color-scheme content="light dark"><meta name=robots content=noindex>'
        f"<title>Audit of {_text(page.title)}</title><style>{STYLE}</style>"
    )
    return f"<!doctype html>\n<html lang=en><head>{head}</head>\n<body>{''.join(body)}</body></html>\n"


LEGEND = (
    "<h2>How to read this page</h2>"
    "<p>A path begins at the hollow dot and ends at the arrow. It is drawn solid where the ground contact was seen and "
    "dashed where it was hidden or predicted. The ring is where the line or zone was passed, or nearly was.</p>"
    "<p>Distances are shares of the picture's height. Media time counts from the start of the recording. Classes are "
    "those at the time; the ledger corrects them once an identity has ended.</p>"
)


def _text(words: str) -> str:
    """Text from elsewhere: no markup, no control character, no secret."""
    return escape(printable(mask(words)))


def _facts(page: AuditPage) -> str:
    pairs = (f"<div><dt>{_text(name)}</dt><dd>{_text(value)}</dd></div>" for name, value in page.facts)
    return f"<dl class=facts>{''.join(pairs)}</dl>"


def _overview(page: AuditPage, sketcher: Sketcher) -> str:
    """The scene with all lines and zones, dots that lead to rows, and a table of sums."""
    dots = []
    for place in page.places:
        for group in place.groups:
            dots += [
                (row.key, row.at, group.kind) for row in group.rows if row.at is not None and group.kind != "close"
            ]
    dots.sort(key=lambda dot: dot[2] == "missed")  # those on top
    drawn = sketcher.scene(dots[-SHOWN_DOTS:])
    rows = "".join(_summary(number, place, sketcher) for number, place in enumerate(page.places))
    table = (
        "<table><thead><tr><th scope=col>Line or zone</th><th scope=col>Counted</th><th scope=col>Near misses</th></tr>"
        f"</thead><tbody>{rows}</tbody></table>"
    )
    caption = "Green: counted. Red: near misses. A dot leads to its row."
    return f"<section class=overview><figure>{drawn}<figcaption>{caption}</figcaption></figure>{table}</section>"


def _summary(number: int, place: PlacePage, sketcher: Sketcher) -> str:
    sums = "<br>".join(f"<b>{count}</b> {_text(title)}" for title, count, _ in place.sums) or "<b>0</b>"
    missed = [group for group in place.groups if group.kind != "counted" and group.total]
    near = "<br>".join(f"<b>{group.total}</b> {_text(group.title.lower())}" for group in missed) or "none"
    chip = f'<i class=chip style="--c:{sketcher.colour(number)}"></i>'
    return (
        f"<tr><th scope=row>{chip}<a href=#place-{number}>{_text(place.name)}</a></th><td>{sums}</td>"
        f"<td>{near}</td></tr>"
    )


def _place(number: int, place: PlacePage, sketcher: Sketcher) -> str:
    sums = "".join(
        f"<li><b>{count}</b> {_text(title)}{f' <small>{_text(classes)}</small>' if classes else ''}</li>"
        for title, count, classes in place.sums
    )
    groups = "".join(_group(number, group, sketcher) for group in place.groups)
    chip = f'<i class=chip style="--c:{sketcher.colour(number)}"></i>'
    kind = "Line" if place.is_line else "Zone"
    return (
        f"<section class=place id=place-{number}><p class=kind>{kind}</p><h2>{chip}{_text(place.name)}</h2>"
        f"<p class=rule>{_text(place.rule)}</p><ul class=sums>{sums}</ul>"
        f"{groups or '<p class=none>Nothing passed here, and nothing came close.</p>'}</section>"
    )


def _group(number: int, group: Group, sketcher: Sketcher) -> str:
    part = f", {len(group.rows)} of them here, chosen at random" if len(group.rows) < group.total else ""
    rows = "".join(_row(number, row, group.kind, sketcher) for row in group.rows)
    meaning = f"<p class=meaning>{_text(group.meaning)}</p>" if group.meaning else ""
    unfolded = " open" if group.unfolded else ""
    return (
        f"<details class={group.kind}{unfolded}><summary><b>{_text(group.title)}</b> "
        f"<span class=count>{group.total}</span>{part}</summary>{meaning}<div class=rows>{rows}</div></details>"
    )


def _row(number: int, row: Row, kind: str, sketcher: Sketcher) -> str:
    local = f"<br><span>{_text(row.local)}</span>" if row.local else ""
    words = f"<p>{_text(row.words)}</p>" if row.words else ""
    drawn = sketcher.sketch(number, [(one.x, one.y, one.seen) for one in row.path], row.at, kind)
    pictures = "".join(_figure(picture) for picture in row.pictures)
    shown = f"<div class=pictures>{pictures}</div>" if pictures else ""
    return (
        f"<article id={row.key}>{drawn}<div class=words><h3>{_text(row.title)}</h3>"
        f"<p class=time>{_text(row.clock)}{local}</p>{words}</div>{shown}</article>"
    )


def _figure(picture: Picture) -> str:
    width, height = picture.size
    caption = _text(picture.caption)
    data = base64.b64encode(picture.jpeg).decode()
    image = f'<img src="data:image/jpeg;base64,{data}" width={width} height={height} alt="{caption}">'
    return f"<figure>{image}<figcaption>{caption}</figcaption></figure>"
