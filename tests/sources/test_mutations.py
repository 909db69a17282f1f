"""Damaged media of every kind are read, read with a note, or refused with a reason: no crash, no hang, no traceback."""

from __future__ import annotations

import time

import numpy as np
import pytest

from tests.sources.mutations import mutated, mutations, seeds, verdict
from tests.thorough import examples

COUNT = examples(400)
BUDGET_S = 60.0
"""400 take 2 s on an idle machine; a loaded one tries fewer."""


def test_good_files_are_read_without_a_note(tmp_path) -> None:
    assert {path.name for path in seeds(tmp_path) if verdict(path) != "read"} == set()


@pytest.mark.examples
@pytest.mark.timeout(180)
def test_mutated_files_are_read_noted_or_refused(tmp_path) -> None:
    until_s = time.monotonic() + BUDGET_S
    outcomes = []
    for path in mutations(tmp_path, COUNT, seed=20):
        outcomes.append(verdict(path))
        if time.monotonic() > until_s:
            break
    assert len(outcomes) >= 20
    assert set(outcomes) == {"read", "noted", "refused"}


def test_mutations_are_the_same_for_the_same_seed() -> None:
    data = bytes(range(256)) * 4
    first = [mutated(data, np.random.default_rng(seed)) for seed in range(40)]
    assert first == [mutated(data, np.random.default_rng(seed)) for seed in range(40)]
    assert sum(changed != data for changed in first) >= 36
