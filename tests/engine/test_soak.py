"""Some thousand frames, each with a new identity: memory, files and threads after all as after the first third."""

from __future__ import annotations

import pytest

from tests.bench.soak_live import soak


@pytest.mark.slow
def test_nothing_grows_with_frames_and_identities(monkeypatch) -> None:
    monkeypatch.setattr("tracker.engine.meter.AGES", 200)  # what is kept of the last frames is full at once
    first, last = soak(2400, kinds=(".jsonl", ".csv"), part_bytes=100_000, marks=(800, 2400))
    assert (first["identities"], last["identities"]) == (800, 2400)
    assert last["files"] <= first["files"]  # other tests' may still be closing
    assert last["threads"] <= first["threads"]
    assert last["resident_mb"] <= 1.05 * first["resident_mb"]
