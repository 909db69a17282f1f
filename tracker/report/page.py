"""Report as a page: one file of HTML and SVG without script, font or address, which works offline and prints."""

from __future__ import annotations

import base64
from html import escape
from typing import TYPE_CHECKING

from tracker.report.document import Chart, Facts, Matrix, Picture, Table
from tracker.report.markup import Html, element, joined
from tracker.report.style import style
from tracker.report.svg import marks_of, svg_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tracker.report.document import Fact, Key, Part, Report, Section

__all__ = ["render_page"]

POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"

HATCH = Html(
    '<svg class="defs" aria-hidden="true"><defs><pattern id="hatch" width="7" height="7" patternTransform="rotate(45)" '
    'patternUnits="userSpaceOnUse"><path d="M0 0V7" class="s-hatch" stroke-width="4"/></pattern></defs></svg>'
)


def render_page(report: Report) -> str:
    """The page."""
    body = joined(
        [
            HATCH,
            _header(report),
            element("main", *(_section(section) for section in report.sections)),
            _footer(report),
        ]
    )
    head = (
        f'<meta charset="utf-8"><meta http-equiv="Content-Security-Policy" content="{escape(POLICY)}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta name="color-scheme" content="light dark"><meta name="robots" content="noindex">'
        f"{element('title', f'Report: {report.title}')}<style>{style()}</style>"
    )
    return f'<!doctype html>\n<html lang="en"><head>{head}</head>\n<body>{body}</body></html>\n'


def _header(report: Report) -> Html:
    links = [element("li", element("a", one.title, href=f"#{one.key}")) for one in report.sections]
    return element(
        "header",
        element("p", "Report", class_="kind"),
        element("h1", report.title),
        element("p", report.period, class_="period"),
        *(element("p", words, class_="warning") for words in report.warnings),
        _facts(report.facts),
        element("nav", element("ul", *links), aria_label="Sections") if len(links) > 1 else Html(""),
    )


def _section(section: Section) -> Html:
    return element(
        "section",
        element("h2", section.title, id=f"{section.key}-h"),
        element("p", section.lead, class_="lead") if section.lead else Html(""),
        *(_part(part, f"{section.key}-{number}") for number, part in enumerate(section.parts)),
        id=section.key,
        aria_labelledby=f"{section.key}-h",
    )


def _part(part: Part, key: str) -> Html:
    if isinstance(part, Facts):
        return _facts(part.facts)
    if isinstance(part, Chart):
        return _chart(part, key)
    if isinstance(part, Table):
        return _table(part)
    if isinstance(part, Matrix):
        return _matrix(part)
    if isinstance(part, Picture):
        return _picture(part)
    return element("p", part.text, class_="warning" if part.warning else "note")


def _facts(facts: Sequence[Fact]) -> Html:
    cells = [
        element(
            "div",
            element("dt", fact.name),
            element("dd", fact.value, class_="v"),
            element("dd", fact.note, class_="n") if fact.note else Html(""),
        )
        for fact in facts
    ]
    return element("dl", *cells, class_="facts") if cells else Html("")


def _chart(chart: Chart, key: str) -> Html:
    drawn = [
        svg_of(drawing, title=chart.title, text=chart.text, key=f"{key}-{look}", look=look)
        for look, drawing in (("wide", chart.wide), ("narrow", chart.narrow))
    ]
    legend = element("ul", *map(_key, chart.legend), class_="legend") if chart.legend else Html("")
    table = _table(chart.table) if chart.table is not None and chart.table.rows else Html("")
    return joined([element("h3", chart.title), element("figure", *drawn, legend), table])


def _key(entry: Key) -> Html:
    return element("li", element("svg", marks_of([entry.mark]), viewBox="0 0 14 12", aria_hidden="true"), entry.label)


def _table(table: Table) -> Html:
    numeric = [name.startswith("#") for name in table.columns]
    head = [
        element("th", name.removeprefix("#"), scope="col", class_="r" if right else "l")
        for name, right in zip(table.columns, numeric, strict=True)
    ]
    rows = []
    for row in table.rows:
        cells = [
            element("td", cell, class_="r" if right else "l") for cell, right in zip(row[1:], numeric[1:], strict=True)
        ]
        rows.append(element("tr", element("th", row[0], scope="row"), *cells))
    made = _scroller(table.caption, element("table", element("thead", element("tr", *head)), element("tbody", *rows)))
    if not table.folded:
        return made
    return element("details", element("summary", "Show the figures"), made)


def _scroller(caption: str, table: Html) -> Html:
    """A table that is moved sideways where it is wider than the page; its caption stays."""
    scroller = element("div", table, class_="scroll", tabindex="0", role="group", aria_label=caption)
    return element("div", element("p", caption, class_="caption"), scroller, class_="table")


def _matrix(matrix: Matrix) -> Html:
    most = max((value or 0 for row in matrix.values for value in row), default=0) or 1
    head = element(
        "tr", element("th", "from, to", scope="col"), *(element("th", n, scope="col") for n in matrix.columns)
    )
    rows = []
    for name, values in zip(matrix.rows, matrix.values, strict=True):
        cells = [
            element("td", "–", class_="none")
            if value is None
            else element("td", f"{value:,}", style=f"--share:{value / most:.3f}")
            for value in values
        ]
        rows.append(element("tr", element("th", name, scope="row"), *cells))
    made = element("table", element("thead", head), element("tbody", *rows), class_="matrix")
    return _scroller(matrix.caption, made)


def _picture(picture: Picture) -> Html:
    data = base64.b64encode(picture.jpeg).decode()
    image = element(
        "img",
        src=f"data:image/jpeg;base64,{data}",
        width=picture.size[0],
        height=picture.size[1],
        alt=picture.text,
    )
    return element("figure", image, element("figcaption", picture.caption))


def _footer(report: Report) -> Html:
    left_out = [element("li", element("b", name), f": {why}") for name, why in report.left_out]
    parts = [element("h2", "How to read it"), *(element("p", words) for words in report.footer)]
    if left_out:
        parts += [element("p", "Left out, without data:"), element("ul", *left_out)]
    return element("footer", *parts)
