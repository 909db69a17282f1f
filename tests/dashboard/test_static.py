"""The page's files: what they weigh, what they bring along, what they may contain, that every text is there."""

from __future__ import annotations

import gzip
import hashlib
import itertools
import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from tracker.render.colour import identity_colour, ink_for

if TYPE_CHECKING:
    from numpy.typing import NDArray

STATIC = Path(__file__).resolve().parents[2] / "tracker" / "dashboard" / "static"
SCRIPTS = sorted((STATIC / "js").rglob("*.js"))
STYLES = sorted((STATIC / "css").glob("*.css"))
FIRST_LOAD_BYTES = 300_000
IMPORT = re.compile(r"""(?:from|import)\s*\(?\s*"(\.{1,2}/[^"]+)\"""")


def code() -> str:
    return "\n".join(path.read_text(encoding="utf-8") for path in SCRIPTS)


def reachable(start: Path, *, lazily: bool) -> set[Path]:
    """Modules that a module loads, with those of ``import()`` where ``lazily``."""
    found, waiting = set(), [start]
    while waiting:
        path = waiting.pop()
        if path in found:
            continue
        found.add(path)
        text = path.read_text(encoding="utf-8")
        for name in IMPORT.findall(text if lazily else re.sub(r"import\(\"[^\"]+\"\)", "", text)):
            waiting.append((path.parent / name).resolve())
    return found


def test_first_load_is_small() -> None:
    """The wall is half of what may be; with every other view and library it is still less than that."""
    document = (STATIC / "index.html").read_text(encoding="utf-8")
    named = [STATIC / name for name in re.findall(r'/static/([^"]+)"', document)]
    always = {*named, STATIC / "index.html", STATIC / "texts.json"}
    for lazily, most in ((False, FIRST_LOAD_BYTES / 2), (True, FIRST_LOAD_BYTES)):
        files = {*always, *reachable(STATIC / "js" / "main.js", lazily=lazily)}
        weight = sum(len(gzip.compress(path.read_bytes(), 9)) for path in files)
        assert weight < most, weight
    assert STATIC / "vendor" / "uplot.js" not in reachable(STATIC / "js" / "main.js", lazily=False), (
        "charts come with the views of numbers"
    )


def test_every_module_is_used_and_every_import_exists() -> None:
    scripts = reachable(STATIC / "js" / "main.js", lazily=True)
    assert all(path.is_file() for path in scripts)
    assert {*SCRIPTS, *(STATIC / "vendor").glob("*.js")} == scripts


def test_libraries_are_what_their_table_says() -> None:
    table = (STATIC / "vendor" / "README.md").read_text(encoding="utf-8")
    rows = dict(re.findall(r"^\| (\S+) \|.*\| ([0-9a-f]{64}) \|$", table, re.MULTILINE))
    brought = {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in (STATIC / "vendor").iterdir()
        if path.suffix in {".js", ".css"}
    }
    own = brought.pop("preact.js")
    assert own, "the one file that binds them is ours"
    assert rows == brought
    for name in re.findall(r"\((\w+\.LICENSE)\)", table):
        assert (STATIC / "vendor" / name).stat().st_size > 500


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.stem)
def test_scripts_need_nothing_that_the_policy_forbids(path: Path) -> None:
    """Strict content security policy, no other host, no markup out of strings."""
    text = path.read_text(encoding="utf-8")
    for word in (
        "eval(",
        "new Function",
        "innerHTML",
        "outerHTML",
        "insertAdjacentHTML",
        "document.write",
        "dangerouslySetInnerHTML",
        "http://",
        "https://",
    ):
        assert word not in text, word
    assert not re.search(r"\sstyle=", text), "styles are classes, or set by script"
    assert not re.search(r"\son[a-z]+=\"", text), "listeners are functions"
    assert len(text.splitlines()) < 400


def test_the_document_has_no_inline_script_or_style() -> None:
    text = (STATIC / "index.html").read_text(encoding="utf-8")
    assert not re.search(r"<script(?![^>]*\ssrc=)|<style|\sstyle=|\son[a-z]+=", text)
    assert set(re.findall(r'(?:src|href)="(/[^/"]+)/', text)) == {"/static"}


def test_every_text_is_in_the_table_and_every_entry_is_used() -> None:
    table: dict[str, str] = json.loads((STATIC / "texts.json").read_text(encoding="utf-8"))
    text = code()
    plain = set(re.findall(r'\bt\(\s*"([a-z0-9_]+(?:\.[a-z0-9_-]+)+)"', text))
    counted = {f"{key}.{form}" for key in re.findall(r'plural\("([^"]+)"', text) for form in ("one", "many")}
    assert sorted((plain | counted) - set(table)) == []
    mentioned = set(re.findall(r'"([a-z0-9_]+(?:\.[a-z0-9_-]+)+)"', text)) | counted
    made = [
        re.compile(re.sub(r"\\\$\\\{.*?\\\}", ".+", re.escape(key)))
        for key in re.findall(r"`([a-z_.]+\.\$\{[^`]*)`", text)
    ]
    grouped = set(re.findall(r'word\("([a-z_]+)"', text))
    assert [
        key
        for key in table
        if key not in mentioned and key.split(".")[0] not in grouped and not any(one.fullmatch(key) for one in made)
    ] == []


def test_texts_name_only_values_that_are_given() -> None:
    table: dict[str, str] = json.loads((STATIC / "texts.json").read_text(encoding="utf-8"))
    text = code()
    for key, values in re.findall(r'\bt\("([^"]+)"(?:,\s*\{([^{}]*)\})?\)', text):
        wanted = set(re.findall(r"\{(\w+)\}", table[key]))
        given = {part.split(":")[0].strip() for part in values.split(",")} if values else set()
        if "..." not in values:
            assert wanted <= given, f"{key}: wants {sorted(wanted)}, is given {sorted(given)}"


def tokens(theme: str) -> dict[str, str]:
    text = (STATIC / "css" / "tokens.css").read_text(encoding="utf-8")
    block = re.search(r':root\[data-theme="' + theme + r'"\] \{(.*?)\}', text, re.DOTALL)
    assert block is not None
    return dict(re.findall(r"--([a-z0-9-]+): ([^;]+);", block[1]))


def test_both_ways_to_the_dark_theme_are_the_same() -> None:
    text = (STATIC / "css" / "tokens.css").read_text(encoding="utf-8")
    by_system = re.search(r'data-theme="auto"\] \{(.*?)\}', text, re.DOTALL)
    assert by_system is not None
    assert dict(re.findall(r"--([a-z0-9-]+): ([^;]+);", by_system[1])) == tokens("dark")


def linear(colour: str) -> NDArray[np.float64]:
    channels = np.array([int(colour[at : at + 2], 16) for at in (1, 3, 5)]) / 255
    return np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)


def contrast(one: str, other: str) -> float:
    low, high = sorted(float(linear(colour) @ [0.2126, 0.7152, 0.0722]) for colour in (one, other))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_words_can_be_read_in_both_themes(theme: str) -> None:
    """WCAG 2 AA: 4.5 to 1 for words, 3 to 1 for edges of controls and lines of charts."""
    colours = tokens(theme)
    for surface in ("ground", "surface", "raised"):
        for ink in ("ink", "ink-soft", "accent", "bad", "good", "warn"):
            assert contrast(colours[ink], colours[surface]) >= 4.5, (ink, surface)
    for kind in ("good", "warn", "bad"):
        assert contrast(colours[kind], colours[f"{kind}-soft"]) >= 4.5, kind
    assert contrast(colours["accent-ink"], colours["accent"]) >= 4.5
    for name in ("border-strong", *(f"series-{number}" for number in range(1, 9))):
        assert contrast(colours[name], colours["surface"]) >= 3, name


# Machado, Oliveira, Fernandes 2009, severity 1: what is left of linear RGB without one kind of cone.
SIGHT = {
    "normal": np.eye(3),
    "protanopia": np.array(
        [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]
    ),
    "deuteranopia": np.array(
        [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]
    ),
}


def lab(rgb: NDArray[np.float64]) -> NDArray[np.float64]:
    matrix = np.array(
        [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]]
    )
    x, y, z = (matrix @ np.clip(rgb, 0, 1)) / [0.95047, 1, 1.08883]
    f = [np.cbrt(one) if one > 0.008856 else 7.787 * one + 16 / 116 for one in (x, y, z)]
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("sight", SIGHT)
def test_eight_colours_of_charts_are_told_apart(theme: str, sight: str) -> None:
    colours = [lab(SIGHT[sight] @ linear(tokens(theme)[f"series-{number}"])) for number in range(1, 9)]
    nearest = min(float(np.linalg.norm(one - other)) for one, other in itertools.combinations(colours, 2))
    assert nearest > 25, nearest


@pytest.mark.browser
def test_identities_have_the_colours_of_the_video(browser: Any, served: str) -> None:
    page = browser.new_page()
    page.goto(served + "/login")
    numbers = [*range(1, 400), 1000, 4097, 123_456]
    script = """async (numbers) => {
        const m = await import('/static/js/colour.js');
        return numbers.map((one) => [m.identityColour(one), m.inkFor(m.identityColour(one))]);
    }"""
    for number, (colour, ink) in zip(numbers, page.evaluate(script, numbers), strict=True):
        expected = identity_colour(number)
        assert colour == "#{2:02x}{1:02x}{0:02x}".format(*expected), number
        assert ink == "#{2:02x}{1:02x}{0:02x}".format(*ink_for(expected)), number
    page.close()


@pytest.mark.browser
def test_times_of_a_place_survive_the_change_of_the_clock(browser: Any, served: str) -> None:
    page = browser.new_page()
    page.goto(served + "/login")
    script = """async () => {
        const m = await import('/static/js/time.js'), zone = 'Europe/Berlin';
        const hour = 3600000, night = Date.UTC(2026, 9, 25, 0);
        const length = (at) => (m.startOfDay(at, zone, 1) - m.startOfDay(at, zone)) / hour;
        const axis = m.axisLabels([night, night + hour, night + 2 * hour], zone, 3600, night);
        return {
            axis, first: m.toUtc('2026-10-25T02:30', zone), missing: m.toUtc('2026-03-29T02:30', zone),
            plain: m.toUtc('2026-07-01T12:00', zone), long_day: length(night),
            short_day: length(Date.UTC(2026, 2, 29, 12)),
            back: m.toLocal(m.toUtc('2026-10-25T23:15', zone), zone), half: m.offsetText(night, 'Asia/Kathmandu'),
            bad: m.toUtc('x', zone), short: m.axisLabels([night, night + 5000], zone, 5, night),
            second: m.binClock(night, zone, 1), minute: m.binClock(night, zone, 60),
            durations: [0.44, 9.96, 59.6, 200, 3600, 7500, 93600].map((one) => m.duration(one)),
        };
    }"""
    found = page.evaluate(script)
    assert found["short"] == ["02:00:00\n25 Oct", "02:00:05"]
    assert (found["second"], found["minute"]) == ("02:00:00", "02:00")
    assert found["axis"] == ["02:00\n25 Oct", "02:00\nUTC+01:00", "03:00"], (
        "the hour that exists twice says which one it is"
    )
    assert found["first"] == 1792888200000
    assert found["missing"] == 1774747800000
    assert found["plain"] == 1782900000000
    assert (found["long_day"], found["short_day"]) == (25, 23)
    assert found["back"] == "2026-10-25T23:15"
    assert found["half"] == "+05:45"
    assert found["bad"] is None
    page.close()


@pytest.mark.browser
def test_an_axis_of_years_has_months_and_years(browser: Any, served: str) -> None:
    page = browser.new_page()
    page.goto(served + "/login")
    script = """async ([from, to, most]) => {
        const m = await import('/static/js/time.js'), c = await import('/static/js/chart.js'), zone = 'Europe/Berlin';
        const { splits, step_s } = c.splitsOf(Date.parse(from), Date.parse(to), most, zone, true);
        const now = Date.parse('2026-06-01');
        const labels = m.axisLabels(splits, zone, step_s, now);
        return [splits.map((at) => m.toLocal(at, zone)), labels, m.dayText(splits[0], zone, now)];
    }"""

    def axis(*asked: Any) -> Any:
        return page.evaluate(script, asked)

    years, labels, day = axis("2023-11-20T10:00Z", "2026-02-03T10:00Z", 6)
    assert years == [f"{month}-01T00:00" for month in ("2024-01", "2024-07", "2025-01", "2025-07", "2026-01")]
    assert labels == ["Jan\n2024", "Jul", "Jan\n2025", "Jul", "Jan\n2026"]
    assert day == "Mon, 1 Jan 2024"
    weeks, labels, day = axis("2026-03-16T00:00+01:00", "2026-04-20T00:00+02:00", 6)
    assert weeks == [f"2026-{day}T00:00" for day in ("03-16", "03-23", "03-30", "04-06", "04-13", "04-20")]
    assert labels[:2] == ["16 Mar", "23 Mar"]
    assert day == "Mon 16 Mar"
    hours, labels, _ = axis("2026-03-29T00:00+01:00", "2026-03-29T12:00+02:00", 12)
    assert hours[:4] == [f"2026-03-29T{hour}:00" for hour in ("00", "01", "03", "04")]
    assert labels[2] == "03:00\nUTC+02:00"
    assert len(axis("1990-01-01T00:00Z", "2026-01-01T00:00Z", 5)[0]) == 3
    page.close()


@pytest.mark.browser
def test_values_between_two_gaps_are_dots_of_long_charts(browser: Any, served: str) -> None:
    page = browser.new_page()
    page.goto(served + "/login")
    script = "async (values) => (await import('/static/js/chart.js')).alone(values)"
    for values, dots in (
        ([None, 13, None, 4, 5, None], [1]),
        ([7, None, 0], [0, 2]),
        ([1, 2, 3], []),
        ([None, None], []),
        ([9], [0]),
    ):
        assert page.evaluate(script, values) == dots
    page.close()
