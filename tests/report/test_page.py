"""The page: no script, no address, hostile names stay text, colours of the dashboard; the picture shows the same."""

from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import cv2
import numpy as np
import pytest

from tests.report.weeks import ZONE, at_ms, made, write_weeks
from tests.sinks.ledgers import write_ledger
from tracker.errors import ConfigError
from tracker.events import Event, Stay
from tracker.report.build import Asked, build
from tracker.report.document import Box, Drawing, Matrix, Report, Section, Stroke, Words
from tracker.report.markup import element
from tracker.report.page import render_page
from tracker.report.paint import SCALE, Paper
from tracker.report.picture import render_picture
from tracker.report.store import Ledger
from tracker.report.svg import svg_of
from tracker.report.tones import DARK, LIGHT, bgr
from tracker.settings.site_file import parse_site

ROOT = Path(__file__).resolve().parents[2]
EVIL = "</title></svg><script>alert(1)</script><img src=x onerror='alert(2)'>\"&\x1b[2J"
VOID = {"meta", "img", "path", "circle"}


class Checker(HTMLParser):
    """Elements, ids and links of a page, and whether every element ends."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.names: set[str] = set()
        self.attributes: set[str] = set()
        self.ids: list[str] = []
        self.named: list[str] = []
        self.open: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.names.add(tag)
        for name, value in attrs:
            self.attributes.add(name)
            if name == "id":
                self.ids.append(value)
            elif name == "aria-labelledby":
                self.named += value.split()
            elif name == "href":
                self.named.append(value.removeprefix("#"))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        if tag not in VOID:
            assert self.open.pop() == tag


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Report:
    store = write_weeks(tmp_path_factory.mktemp("days") / "days.sqlite", days=3)
    return build(Asked(ledgers=[Ledger(path=store)], zone=ZONE, from_ms=at_ms(24), to_ms=at_ms(48))).report


def hostile(tmp_path: Path) -> Report:
    one = {"stream": EVIL, "identity": 1, "class_name": EVIL, "place": EVIL}
    rows = [
        made("crossing", 1, direction=EVIL, **one),
        made("speed", 1, direction=EVIL, value=3.0, error=0.1, **one),
        made("flow", 1.1, since_s=3600, **one),
        made("headway", 1, direction=EVIL, value=3.0, **one),
        made("size", 1, direction="width", value=3.0, **one),
        made("queue_leave", 1.2, direction=EVIL, since_s=3600, value=3.0, **one),
        made("enter", 1, stay=Stay(entered_s=3600), **one),
        made("leave", 1.1, stay=Stay(entered_s=3600, left_s=3960, end="left"), **one),
        Event(kind="gap", stream=EVIL, time_s=9000, utc_ms=at_ms(2.5), since_s=8000),
    ]
    path = write_ledger(tmp_path / "evil.events.jsonl", rows)
    return build(Asked(ledgers=[Ledger(path=path)], zone=ZONE, title=EVIL, made_by=[(EVIL, EVIL)])).report


def test_hostile_names_stay_text(tmp_path):
    page = render_page(hostile(tmp_path))
    found = Checker(page)
    assert not found.open
    assert "script" not in found.names
    assert not {name for name in found.attributes if name.startswith("on")}
    assert "\x1b" not in page
    assert page.count("&lt;script&gt;alert(1)") >= 10
    cv2.imdecode(np.frombuffer(render_picture(hostile(tmp_path)), np.uint8), cv2.IMREAD_COLOR)


def test_the_page_needs_nothing_and_runs_nothing(report):
    page = render_page(report)
    found = Checker(page)
    assert not found.open
    assert not {"script", "link", "iframe", "object", "base", "form"} & found.names
    assert "default-src 'none'; img-src data:; style-src 'unsafe-inline'" in page.replace("&#x27;", "'")
    assert not re.search(r"""(src|href)=["'](?!#|data:image/)""", page)
    assert "url(http" not in page
    assert "@import" not in page


def test_every_drawing_has_its_words_and_every_name_is_there_once(report):
    found = Checker(render_page(report))
    assert len(found.ids) == len(set(found.ids))
    assert set(found.named) <= set(found.ids)
    page = render_page(report)
    assert page.count("<desc") == page.count('role="img"') >= 6
    assert page.count("<svg") - page.count('aria-hidden="true"') == page.count('role="img"')


def test_tones_are_those_of_the_dashboard():
    text = (ROOT / "tracker/dashboard/static/css/tokens.css").read_text("utf-8")
    light, dark = (re.search(rf'data-theme="{name}"\] \{{(.*?)\n\}}', text, re.DOTALL)[1] for name in ("light", "dark"))
    same = {"ink-soft": "soft", "grid-line": "grid"}
    for block, tones in ((light, LIGHT), (dark, DARK)):
        values = {same.get(name, name): value for name, value in re.findall(r"--([\w-]+): (#\w+)", block)}
        assert {name: values[name] for name in tones} == tones


def test_a_drawing_as_svg_and_in_pixels():
    marks = (
        Box(x=10, y=10, width=20, height=5, tone="series-1"),
        Box(x=30, y=10, width=20, height=5, tone="series-1"),
        Stroke(points=((0, 20), (60, 20)), tone="ink", width=2, dashed=True),
        Words(x=60, y=28, text="a<b", anchor="end"),
    )
    drawing = Drawing(width=60, height=30, marks=marks)
    text = svg_of(drawing, title="t", text="d", key="k", look="wide")
    assert 'd="M10 10h20v5h-20zM30 10h20v5h-20z"' in text
    assert ">a&lt;b</text>" in text
    assert text.startswith('<svg class="wide" role="img" aria-labelledby="k-t k-d" viewBox="0 0 60 30">')
    paper = Paper(60, 30)
    paper.draw(drawing, 0, 0)
    assert tuple(paper.image[12 * SCALE, 25 * SCALE]) == bgr("series-1")
    assert tuple(paper.image[5 * SCALE, 25 * SCALE]) == (255, 255, 255)
    line = (paper.image[20 * SCALE - 1 : 20 * SCALE + 1].min(axis=(0, 2)) < 128).sum() / SCALE
    assert 25 < line < 45  # dashes cover a part of it
    assert (paper.image[22 * SCALE :, 40 * SCALE :] < 200).any()


def test_the_picture_has_the_report(report):
    data = render_picture(report)
    image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    assert image.shape[1] == 1600
    assert 4000 < image.shape[0] < 20_001
    for tone in ("series-1", "hatch", "ink"):
        near = np.abs(image[::3, ::3].astype(int) - bgr(tone)).max(axis=2) < 12
        assert near.any() or tone == "hatch"


@pytest.mark.slow
def test_a_picture_that_would_be_too_tall_ends_with_a_word(report):
    many = replace(report, sections=[*report.sections] * 8)
    image = cv2.imdecode(np.frombuffer(render_picture(many), np.uint8), cv2.IMREAD_COLOR)
    assert image.shape[0] == 20_000


def test_a_matrix_is_as_dark_as_its_counts(report):
    matrix = Matrix(rows=["a"], columns=["b", "c", "d"], values=[[10, None, 1]], caption="x")
    page = render_page(replace(report, sections=[Section(key="m", title="M", lead="", parts=[matrix])]))
    assert '<td style="--share:1.000">10</td><td class="none">–</td><td style="--share:0.100">1</td>' in page


def test_a_name_of_any_length_is_cut_and_whole_in_its_title():
    cell = element("td", "n" * 3000)
    assert cell == f'<td><span title="{"n" * 3000}">{"n" * 119}…</span></td>'
    assert element("p", "n" * 3000) == f"<p>{'n' * 3000}</p>"  # prose is not
    problem = f"site.yaml:3: expected a name of 1 to 200 letters, found '{'n' * 40}"
    with pytest.raises(ConfigError, match=problem):
        parse_site(f"version: 1\nlines:\n  - {{name: {'n' * 3000}, points: [[0.1, 0.5], [0.9, 0.5]]}}\n")
