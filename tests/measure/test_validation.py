"""Validation of counts: draws, and agreement against values computed by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from tests.sinks.ledgers import crossing
from tracker.errors import ConfigError, SourceError
from tracker.measure.validation import ALL, Cell, agreements, draw_intervals, geh, weak_words
from tracker.measure.validation_sheet import read_sheet, sheet_text


def cells(pairs, class_name: str = "car", hours: float = 0.25) -> list[Cell]:
    return [
        Cell(
            interval=number,
            hours=hours,
            place="gate",
            direction="in",
            class_name=class_name,
            ledger=ledger,
            person=person,
        )
        for number, (ledger, person) in enumerate(pairs, 1)
    ]


def test_geh_by_hand() -> None:
    assert geh(450, 400) == pytest.approx(math.sqrt(2 * 2500 / 850))
    assert geh(0, 50) == pytest.approx(10.0)  # sqrt(2 * 2500 / 50)


def test_ratio_geh_and_interval() -> None:
    pairs = [(8, 10), (10, 10), (9, 10), (7, 10), (10, 10), (9, 10), (8, 10), (9, 10)]
    [found] = agreements(cells(pairs), rng=np.random.default_rng(1))
    assert (found.intervals, found.hours, found.ledger, found.person) == (8, 2.0, 70, 80)
    assert found.ratio == pytest.approx(0.875)
    assert found.geh == pytest.approx(math.sqrt(2 * 25 / 75))  # 35 and 40 an hour
    # Each interval has 10: the ratio is a mean, whose standard error is that of 8 values with a deviation of 0.1.
    error = np.std([pair[0] / 10 for pair in pairs]) / math.sqrt(8)
    assert found.method == "bootstrap"
    assert found.low == pytest.approx(0.875 - 1.96 * error, abs=0.015)
    assert found.high == pytest.approx(0.875 + 1.96 * error, abs=0.015)
    assert found.verdict == "weak"
    [words] = weak_words([found])
    assert words.startswith("gate, in, car is weak: 12% too few (70 counted, 80 by a person; ratio 0.88")


def test_full_agreement_has_an_interval_by_the_rule_of_three() -> None:
    [found] = agreements(cells([(30, 30), (30, 30)]), rng=np.random.default_rng(1))
    assert (found.ratio, found.geh, found.verdict, found.method) == (1.0, 0.0, "good", "rule of three")
    assert (found.low, found.high) == pytest.approx((0.95, 1.05))
    assert weak_words([found]) == []


def test_few_passages_are_not_judged() -> None:
    [found] = agreements(cells([(1, 3), (0, 0)], hours=1 / 60), rng=np.random.default_rng(1))
    assert found.verdict == "too few"
    assert math.isnan(found.low)
    assert weak_words([found]) == [
        "Not judged, with fewer than 30 passages by ledger and person: gate, in, car (1 and 3)."
    ]


def test_none_by_a_person() -> None:
    [found] = agreements(cells([(40, 0)]), rng=np.random.default_rng(1))
    assert math.isnan(found.ratio)
    assert found.verdict == "weak"
    assert weak_words([found]) == ["gate, in, car is weak: 40 counted, and none by a person."]


def test_classes_are_summed() -> None:
    found = agreements([*cells([(30, 40)]), *cells([(40, 30)], "bus")], rng=np.random.default_rng(1))
    assert [(one.class_name, one.ledger, one.person) for one in found] == [
        ("bus", 40, 30),
        ("car", 30, 40),
        (ALL, 70, 70),
    ]


def test_intervals_are_drawn_from_every_stratum_in_proportion() -> None:
    strata = ["day"] * 80 + ["night"] * 19 + ["dusk"]
    drawn = draw_intervals(strata, from_ms=500, length_ms=1000, count=10, rng=np.random.default_rng(3))
    assert [one.number for one in drawn] == list(range(1, 11))
    assert [one.from_ms for one in drawn] == sorted({one.from_ms for one in drawn})
    assert all(one.to_ms == one.from_ms + 1000 and strata[(one.from_ms - 500) // 1000] == one.stratum for one in drawn)
    assert [one.stratum for one in drawn].count("dusk") == 1
    assert [one.stratum for one in drawn].count("night") == 1
    again = draw_intervals(strata, from_ms=500, length_ms=1000, count=10, rng=np.random.default_rng(3))
    assert drawn == again
    assert drawn != draw_intervals(strata, from_ms=500, length_ms=1000, count=10, rng=np.random.default_rng(4))


def test_too_few_intervals_for_the_strata_are_refused() -> None:
    with pytest.raises(ConfigError, match="expected an interval for each of 3 groups"):
        draw_intervals(["a", "b", "c"], from_ms=0, length_ms=1, count=2, rng=np.random.default_rng(0))
    with pytest.raises(ConfigError, match="found a shorter one"):
        draw_intervals([], from_ms=0, length_ms=1, count=2, rng=np.random.default_rng(0))


def test_sheets_survive_a_spreadsheet(tmp_path) -> None:
    drawn = draw_intervals(["a"] * 3, from_ms=0, length_ms=10_000, count=3, rng=np.random.default_rng(0))
    asked = [("=door", "in", "car"), ("=door", "out", "car")]
    text = sheet_text(drawn, asked, stream="gate", clock="media", times=["x", "y", "z"])
    assert "'=door" in text
    lines = text.splitlines()
    lines[1] += "2"
    lines[2] += "0"
    path = tmp_path / "filled.csv"
    path.write_text("\n".join(lines).replace(",", ";"), encoding="utf-8-sig")
    sheet = read_sheet(path)
    assert (sheet.stream, sheet.clock, sheet.rows[0].place) == ("gate", "media", "=door")
    assert [row.counted for row in sheet.rows] == [2, 0, None, None, None, None]


def test_cells_hold_what_the_ledger_has_in_the_counted_intervals(tmp_path) -> None:
    drawn = draw_intervals(["a"] * 2, from_ms=0, length_ms=10_000, count=2, rng=np.random.default_rng(0))
    text = sheet_text(drawn, [("north", "in", "car")], stream="gate", clock="media", times=["", ""])
    lines = text.splitlines()
    lines[1] += "3"
    (tmp_path / "filled.csv").write_text("\n".join(lines))
    passages = [(2, "car"), (9, "car"), (10, "car"), (3, "bus")]
    events = [crossing(at_s, place="north", direction="in", class_name=name, identity=at_s) for at_s, name in passages]
    found = {one.class_name: (one.ledger, one.person) for one in read_sheet(tmp_path / "filled.csv").cells(events)}
    assert found == {"car": (2, 3), "bus": (1, 0)}


def test_counts_of_a_line_that_nobody_knows_are_named(tmp_path) -> None:
    drawn = draw_intervals(["a"], from_ms=0, length_ms=10_000, count=1, rng=np.random.default_rng(0))
    asked = [("north", "in", "car"), ("sooth", "in", "car"), ("attic", "in", "car")]
    lines = sheet_text(drawn, asked, stream="gate", clock="media", times=[""]).splitlines()
    path = tmp_path / "filled.csv"
    path.write_text("\n".join([lines[0], lines[1] + "3", lines[2] + "1", lines[3]]))
    sheet = read_sheet(path)
    told = r"filled.csv:3: expected lines and zones of the ledger, north, south, found 'sooth'\n.*mean 'south'\? name"
    with pytest.raises(SourceError, match=told):
        sheet.check_places(["south", "north", "south"])
    sheet.check_places(["north", "sooth"])  # nothing was counted in the attic


@pytest.mark.parametrize("counted", ["-1", "2.5", "many", "1e3"])
def test_counts_that_are_none_are_named_by_their_line(tmp_path, counted: str) -> None:
    drawn = draw_intervals(["a"], from_ms=0, length_ms=10_000, count=1, rng=np.random.default_rng(0))
    text = sheet_text(drawn, [("north", "in", "car")], stream="gate", clock="media", times=[""]).rstrip() + counted
    (tmp_path / "filled.csv").write_text(text)
    with pytest.raises(SourceError, match=r"filled.csv:2: expected a whole number"):
        read_sheet(tmp_path / "filled.csv")
    (tmp_path / "filled.csv").write_text(text.removesuffix(counted))
    with pytest.raises(ConfigError, match="found none"):
        read_sheet(tmp_path / "filled.csv")
