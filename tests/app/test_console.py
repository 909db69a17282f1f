"""Consoles: whole words in the 80 columns of a terminal, whole lines where there is none."""

from __future__ import annotations

import io
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console
from rich.table import Table

from tracker.app.commands.validate import _table
from tracker.app.console import console_for, show_table, steps
from tracker.measure.validation import Agreement


def printed(table: Table, width: int) -> str:
    out = io.StringIO()
    show_table(Console(file=out, width=width), table)
    return out.getvalue()


def test_the_agreement_with_a_person_fits_into_a_terminal() -> None:
    one = Agreement(
        place="towards 2",
        direction="wrong way",
        class_name="motorcycle",
        intervals=20,
        hours=0.5,
        ledger=1234,
        person=1200,
        ratio=1.028,
        low=0.987,
        high=1.112,
        method="bootstrap",
        geh=1.4,
        verdict="good",
    )
    text = printed(_table([one, replace(one, class_name="all classes", verdict="too few")]), 80)
    assert {"towards", "wrong", "direction", "motorcycle", "classes", "0.99-1.11", "1234", "good"} <= set(text.split())


def test_a_narrow_terminal_wraps_lines_not_letters() -> None:
    table = Table(box=None)
    for name in ("line", "direction"):
        table.add_column(name, overflow="fold")
    table.add_column("numbers", no_wrap=True)
    table.add_row("north", "southbound", "1 2 3 4 5 6 7 8 9 10")
    text = printed(table, 24)
    assert {"north", "southbound"} <= set(text.split())


def test_what_is_no_terminal_gets_whole_lines(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    line = "a line of more than eighty columns " * 5
    console = console_for()
    with steps(console, "reading") as show:
        show("road.mp4", 1, 2)
    console.print(line.strip())
    assert capsys.readouterr().out == line.strip() + "\n"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a device of Linux")
@pytest.mark.parametrize("words", [("counts", "x.events.jsonl"), ("--version",)], ids=["table", "text"])
def test_output_that_is_refused_is_one_sentence(tmp_path: Path, words: tuple[str, ...]) -> None:
    (tmp_path / "x.events.jsonl").write_text("")
    command = [sys.executable, "-m", "tracker", *words]
    with open("/dev/full", "w") as full:  # noqa: PTH123 - a device
        done = subprocess.run(command, cwd=tmp_path, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith("masktrail: standard output: expected to write, found: No space left on device\n")
    assert done.stderr.count("\n") == 2


def test_output_that_is_closed_is_no_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", None)
    console_for().print("nothing")
