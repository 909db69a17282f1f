"""Till data from CSV and JSON as tills export them; what is wrong is named with its row."""

from __future__ import annotations

import json
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tracker.errors import SourceError
from tracker.formats.till import read_till
from tracker.groups import Transaction

BERLIN = ZoneInfo("Europe/Berlin")
NINE = 1_796_025_600_000  # 2026-11-30T09:00+01:00


def read(text: str) -> list[Transaction]:
    return read_till(text.encode(), "till.csv", BERLIN)


@pytest.mark.parametrize(
    "text",
    [
        "time\n2026-11-30T09:00\n",
        "Time;Amount\n2026-11-30 09:00:00;9,90\n",
        "receipt\tTIMESTAMP\n17\t2026-11-30T08:00:00Z\n",
        f"created_at,count\n{NINE // 1000},\n",
        "\ufefftime,transactions\n2026-11-30T09:00:00+01:00,1\n",
        json.dumps([{"time": "2026-11-30T09:00"}]),
        json.dumps({"data": [{"Timestamp": NINE / 1000, "id": 4}]}),
    ],
)
def test_times_are_those_of_the_place(text):
    assert read(text) == [Transaction(NINE, 1)]


def test_a_row_may_stand_for_many_and_a_receipt_counts_once():
    text = "time,transactions,id\n2026-11-30T09:00,12,a\n2026-11-30T10:00,3,b\n2026-11-30T10:00,3,b\n"
    assert read(text) == [Transaction(NINE, 12), Transaction(NINE + 3_600_000, 3)]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (
            "when,amount\nnow,1\n",
            "till.csv: expected one of the columns time, timestamp, datetime, created_at, found",
        ),
        ("time\nyesterday\n", "till.csv:2: expected a time such as 2026-03-29T07:15:00+02:00, found 'yesterday'"),
        ("time,count\n2026-11-30T09:00,many\n", "till.csv:2: expected a whole number of receipts, found 'many'"),
        ("time,count\n2026-11-30T09:00,-1\n", "expected a whole number of receipts, found '-1'"),
        ("[1]", "till.csv row 1: expected an object"),
        ("{]", "till.csv: expected JSON, found"),
        ('{"a": 1}', "expected a list of receipts, also under data, items, results, transactions"),
    ],
)
def test_mistakes_are_named(text, problem):
    with pytest.raises(SourceError) as caught:
        read(text)
    assert problem in str(caught.value)


def test_other_encodings_are_refused():
    with pytest.raises(SourceError, match="expected text as UTF-8"):
        read_till("time\nÜ\n".encode("utf-16"), "till.csv", BERLIN)


@given(data=st.binary(max_size=80) | st.text(max_size=80).map(str.encode))
def test_any_bytes_are_receipts_or_one_clear_line(data):
    problem = ""
    try:
        read_till(data, "till.csv", BERLIN)
    except SourceError as error:
        problem = str(error)
    assert not problem or problem.startswith("till.csv")
