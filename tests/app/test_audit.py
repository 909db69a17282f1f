"""``masktrail audit`` and ``masktrail validate`` on a small recording: pages, pictures, sheets, hostile names."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from tests.segment.models import end2end_model
from tests.sources.videos import write_video

SITE = """
timezone: Europe/Berlin
lines:
- {name: '<script>alert("1")</script>', points: [[0.05, 0.5], [0.95, 0.5]], to_left: "=up", to_right: down}
- {name: far, points: [[0.5, 0.02], [0.9, 0.02]]}
zones:
- {name: "all & more", polygon: [[0.01, 0.01], [0.99, 0.01], [0.99, 0.99], [0.01, 0.99]]}
"""


@pytest.fixture
def recording(tmp_path: Path, run) -> Path:
    model, video = end2end_model(tmp_path / "model.onnx"), write_video(tmp_path / "in.mp4", count=40)
    (tmp_path / "site.yaml").write_text(SITE)
    result = run("segment", video, "--model", model, "--records", tmp_path / "x.instances")
    assert result.status == 0, result.text
    return tmp_path


class Elements(HTMLParser):
    """Names and attributes of all elements."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag, attrs) -> None:
        self.found.append((tag, dict(attrs)))


def page_of(run, folder: Path, *options) -> str:
    out = folder / "page.html"
    result = run("audit", folder / "x.instances", "--site", folder / "site.yaml", "--out", out, *options)
    assert result.status == 0, result.text
    assert "near misses" in result.out
    return out.read_text(encoding="utf-8")


def test_the_page_needs_nothing_else_and_runs_nothing(run, recording: Path) -> None:
    text = page_of(run, recording, "--start-at", "2026-10-25T00:59:59+00:00")
    elements = Elements(text).found
    assert not {"script", "link", "iframe", "object", "img"} & {name for name, _ in elements}
    for _, attributes in elements:
        assert not [name for name in attributes if name.startswith("on")]
        assert not [
            value for name, value in attributes.items() if name in {"src", "href"} and not value.startswith("#")
        ]
    assert "&lt;script&gt;alert" in text
    assert "all &amp; more" in text
    assert "found inside" in text
    # The hour that comes twice is told apart by its offset.
    assert re.search(r"2026-10-25 02:(59:59|00:0\d)\.\d{3}\+0[12]:00", text)
    ids = [attributes["id"] for _, attributes in elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    targets = {attributes["href"][1:] for name, attributes in elements if name == "a"}
    assert targets <= set(ids)


def test_pictures_come_from_the_video(run, recording: Path) -> None:
    text = page_of(run, recording, "--video", recording / "in.mp4", "--pictures")
    sources = [attributes["src"] for name, attributes in Elements(text).found if name == "img"]
    assert sources
    assert all(source.startswith("data:image/jpeg;base64,") for source in sources)
    assert "Pictures of people may be inside" in text
    assert text.count("id=still") == 1


def test_the_same_as_values_for_the_dashboard(run, recording: Path) -> None:
    page_of(run, recording, "--json", recording / "in.audit.json")
    found = json.loads((recording / "in.audit.json").read_text("utf-8"))
    assert found["form"] == "masktrail audit 1"
    assert {place["place"] for place in found["places"]} == {'<script>alert("1")</script>', "far", "all & more"}
    missed = sum(reason["count"] for place in found["places"] for reason in place["reasons"])
    assert missed >= len(found["near_misses"])
    for row in found["near_misses"]:
        assert row["sentence"]
        assert found["titles"][row["reason"]]


def test_pictures_without_a_video_and_outputs_over_inputs_are_refused(run, recording: Path) -> None:
    site, instances = recording / "site.yaml", recording / "x.instances"
    result = run("audit", instances, "--site", site, "--out", recording / "p.html", "--pictures")
    assert result.status != 0
    assert "--pictures: expected the recording for the cut-outs" in result.err
    result = run("audit", instances, "--site", site, "--out", site)
    assert result.status != 0
    assert site.read_text() == SITE


def test_another_video_is_refused(run, recording: Path) -> None:
    other = write_video(recording / "other.mp4", count=5, size=(96, 96))
    options = ("--site", recording / "site.yaml", "--out", recording / "p.html", "--video", other)
    result = run("audit", recording / "x.instances", *options)
    assert result.status != 0
    assert "expected the recording that was segmented" in result.err
    assert not (recording / "p.html").exists()


def test_draw_and_report(run, recording: Path) -> None:
    ledger, out = recording / "x.events.jsonl", recording / "val"
    options = ("--site", recording / "site.yaml", "--events", ledger)
    assert run("associate", recording / "x.instances", "--out", recording / "x.jsonl", *options).status == 0
    nothing = run("validate", "draw", ledger, "--out", out)
    assert "name the site with --site" in nothing.err
    options = ("--site", recording / "site.yaml", "--video", recording / "in.mp4", "--length", "1", "--seed", "7")
    result = run("validate", "draw", ledger, "--out", out, *options)
    assert result.status == 0, result.text
    assert "seed 7" in result.out
    sheet, page = (out / "count.csv").read_text(), (out / "count.html").read_text()
    assert "'=up" in sheet
    assert len(list((out / "clips").glob("*.mp4"))) >= 1
    assert "<script>alert" not in page
    assert "\\u003cscript\\u003ealert" in page
    scripts = [attributes for name, attributes in Elements(page).found if name == "script"]
    assert len(scripts) == 2
    assert not any("src" in attributes for attributes in scripts)

    again = run("validate", "draw", ledger, "--out", out, *options)
    assert "found a sheet, which may be filled in" in again.err
    assert (out / "count.csv").read_text() == sheet

    (out / "filled.csv").write_text("\n".join(line + "0" * line.endswith(",") for line in sheet.splitlines()))
    words = ("validate", "report", out / "filled.csv", ledger, "--out", out / "report.csv")
    result = run(*words)
    assert result.status == 2
    assert "filled.csv:2: expected lines and zones of the ledger" in result.err
    assert not (out / "report.csv").exists()
    result = run(*words, "--site", recording / "site.yaml")
    assert result.status == 0, result.text
    assert "intervals counted" in result.out
    assert (out / "report.csv").read_text().startswith("line,direction,class,intervals,hours,ledger,person,ratio")
