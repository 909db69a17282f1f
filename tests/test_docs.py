"""Documentation: links lead somewhere, reference pages agree with the code, README keeps its measure."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path
from typing import get_args

import pytest

from tests.sinks.streams import CLASS_NAMES, stream
from tracker.app.cli import app
from tracker.app.reference import command_page
from tracker.events import EventKind
from tracker.formats.event_store import open_store
from tracker.plugins import SINKS, open_sink
from tracker.service.metrics import CameraMetrics, ModelMetrics
from tracker.sinks.reference import record_fields_page

ROOT = Path(__file__).resolve().parent.parent
REFERENCE = ROOT / "docs" / "reference"
PAGES = [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("models/*/*.md"), *ROOT.glob("demos/*.md")]
LINK = re.compile(r"\]\(([^)\s]+)\)")
FENCE = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)


def anchors(page: Path) -> set[str]:
    """What `#...` may say of a page: its headings, as code hosts write them."""
    headings = re.findall(r"^#+ +(.+)$", FENCE.sub("", page.read_text("utf-8")), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", text.lower()).strip().replace(" ", "-") for text in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page):
    links = LINK.findall(FENCE.sub("", page.read_text("utf-8")))
    broken = []
    for link in links:
        if "://" in link or link.startswith("mailto:"):
            continue
        name, _, anchor = link.partition("#")
        target = (page.parent / name).resolve() if name else page
        if not target.exists() or (anchor and anchor not in anchors(target)):
            broken.append(link)
    assert not broken


def test_pages_are_looked_at():
    assert len(PAGES) >= 7


def test_every_page_is_of_one_kind_and_in_the_index():
    pages = {page.relative_to(ROOT / "docs").as_posix() for page in ROOT.glob("docs/**/*.md")} - {"README.md"}
    assert {page.split("/")[0] for page in pages} == {"guide", "reference", "experiments"}
    assert pages <= set(LINK.findall((ROOT / "docs" / "README.md").read_text("utf-8")))


def test_code_names_pages_that_are_there():
    named = {
        (path, page)
        for folder in ("tracker", "export", "demos", "tests", "examples")
        for path in (ROOT / folder).rglob("*")
        if path.suffix in {".py", ".yaml", ".toml"} or path.name == "Dockerfile"
        for page in re.findall(r"\bdocs/[\w/.-]+\.md\b", path.read_text("utf-8"))
    }
    assert named
    assert [(str(path.relative_to(ROOT)), page) for path, page in named if not (ROOT / page).is_file()] == []


def test_the_command_reference_is_the_command_line():
    page = (REFERENCE / "commands.md").read_text("utf-8")
    assert page == command_page(app), "run: masktrail settings commands --out docs/reference/commands.md"


def test_the_ledger_page_names_every_kind_and_view(tmp_path):
    page = (REFERENCE / "ledger.md").read_text("utf-8")
    described = set(re.findall(r"`([^`]+)`", page))
    assert set(get_args(EventKind)) <= described
    with open_sink(tmp_path / "x.sqlite"), open_store(tmp_path / "x.sqlite") as connection:
        views = {name for (name,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'view'")}
    assert views - {"renamed", "final_classes"} <= described
    assert record_fields_page() == (REFERENCE / "record-fields.md").read_text("utf-8")


def test_every_suffix_and_column_is_described(tmp_path):
    page = "".join((REFERENCE / name).read_text("utf-8") for name in ("records.md", "record-fields.md"))
    described = set(re.findall(r"`([^`]+)`", page))
    records = {name for name in SINKS.names if not SINKS.load(name).needs_images} - {".ndjson"}
    assert records <= described
    pytest.importorskip("pyarrow")
    from pyarrow import parquet

    for suffix in (".csv", ".parquet"):
        with open_sink(tmp_path / f"out{suffix}", class_names=CLASS_NAMES, masks="rle", image_names=True) as sink:
            for frame in stream():
                sink.write(frame)
    header = (tmp_path / "out.csv").read_text("utf-8").splitlines()[0].split(",")
    columns = parquet.read_schema(tmp_path / "out.parquet").names
    assert header == columns
    assert set(columns) <= described


def test_every_metric_is_described():
    described = set(re.findall(r"`(masktrail_\w+)`", (REFERENCE / "service.md").read_text("utf-8")))
    for one in (*fields(CameraMetrics), *fields(ModelMetrics)):
        assert f"masktrail_{one.name}" + "_total" * (one.metadata["metric"].kind == "counter") in described


def test_readme_is_short_and_at_most_a_fifth_benchmarks():
    text = (ROOT / "README.md").read_text("utf-8")
    measured = text[text.index("\n## Measured") :]
    tables = [line for line in measured.splitlines() if line.startswith("|")]
    assert len(text.splitlines()) <= 160
    assert sum(map(len, tables)) <= len(text) / 5
