"""PostgreSQL under whole commands: recordings, counting again, and what the console says of a database."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.command import Run
from tests.engine.test_ledger_runs import MODEL, SITE, folder  # noqa: F401 - the fixture
from tracker.formats.ledger import read_editions, read_events


@pytest.fixture
def events(postgres, monkeypatch: pytest.MonkeyPatch, folder: Path) -> str:  # noqa: F811
    """The address of an empty database, which the environment has too."""
    monkeypatch.setenv("XDG_STATE_HOME", str(folder / "state"))
    address = postgres.fresh()
    monkeypatch.setenv("LEDGER", address.partition("://")[2])
    return address


@pytest.mark.slow
def test_a_recording_and_its_second_analysis(run: Run, folder: Path, events: str) -> None:  # noqa: F811
    words = ("track", "a.mp4", "b.mp4", *MODEL, "--site", "site.yaml", "--records", "{name}.jsonl")
    for _ in range(2):
        result = run(*words, "--events", "x.sqlite", "--events", events)
        assert result.status == 0, result.text
    assert list(read_events(events)) == list(read_events("x.sqlite"))
    assert run("counts", events, "--kind", "enter").out == run("counts", "x.sqlite", "--kind", "enter").out
    (folder / "site.yaml").write_text(SITE.format(revision=2, right=0.2))
    result = run("track", "a.mp4", *MODEL, "--limit", "30", "--site", "site.yaml", "--events", events)
    assert result.status == 1
    assert "expected the events that it has of a.mp4, found others of the same time" in result.text
    result = run("analyse", "a.jsonl", "--site", "site.yaml", "--out", "postgresql://${LEDGER}", "--revise")
    assert result.status == 0, result.text
    assert run("analyse", "a.jsonl", "--site", "site.yaml", "--out", "x.sqlite", "--revise").status == 0
    assert [(one.stream, one.edition, one.rows) for one in read_editions(events)] == [
        (one.stream, one.edition, one.rows) for one in read_editions("x.sqlite")
    ]
    assert sorted(read_events(events), key=str) == sorted(read_events("x.sqlite"), key=str)


def test_a_database_that_refuses_is_one_line_before_the_first_frame(run: Run, events: str, postgres) -> None:
    name = events.rpartition("/")[2]
    for address, found in (
        (postgres.address(name, "guarded", "wrong-Pa55word"), "found the login of guarded refused"),
        (postgres.address("nowhere", "masktrail", "Pa55word-of-x"), "found no database nowhere"),
        ("postgresql://me:Pa55word-of-x@db/x?sslmode=perhaps", "sslmode='perhaps'"),
    ):
        result = run("track", "a.mp4", *MODEL, "--site", "site.yaml", "--events", address)
        assert result.status == 2, result.text
        assert found in result.text
        assert "Pa55word" not in result.text
        assert "Traceback" not in result.text
