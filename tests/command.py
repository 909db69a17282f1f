"""Words of a command line enter; the exit status and what was printed leave, without a process of its own."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from tracker.__main__ import main


@dataclass
class Result:
    status: int
    out: str
    err: str

    @property
    def text(self) -> str:
        """All that was printed, on one line."""
        return " ".join((self.err + self.out).split())


Run = Callable[..., Result]


def runner(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """What calls ``masktrail`` with the words it is given."""

    def call(*arguments: object) -> Result:
        monkeypatch.setattr(sys, "argv", ["masktrail", *map(str, arguments)])
        monkeypatch.setenv("COLUMNS", "300")
        status = 0
        try:
            main()
        except SystemExit as end:
            status = int(end.code or 0)
        captured = capsys.readouterr()
        return Result(status, captured.out, captured.err)

    return call
