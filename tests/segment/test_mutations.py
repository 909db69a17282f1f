"""Damaged models and manifests are used, with problems told, or refused with a remedy: no crash, hang, traceback."""

from __future__ import annotations

import contextlib
import time
from typing import TYPE_CHECKING

import pytest

from tests.segment.mutations import Worker, judged, mutations
from tests.thorough import examples

if TYPE_CHECKING:
    from pathlib import Path

COUNT = examples(300)
BUDGET_S = 60.0
"""300 take 10 s on an idle machine; a loaded one tries fewer."""


@pytest.mark.examples
@pytest.mark.timeout(300)
def test_mutated_models_are_used_or_refused(tmp_path: Path) -> None:
    until_s = time.monotonic() + BUDGET_S
    outcomes: list[str] = []
    with contextlib.closing(Worker()) as worker:
        for path in mutations(tmp_path, COUNT, seed=20):
            outcomes.append(judged(path, worker))
            if time.monotonic() > until_s:
                break
    assert len(outcomes) >= 10
    assert set(outcomes) <= {"passed", "problems", "refused", "refused by the trial"}
    assert {"passed", "refused"} <= set(outcomes)
