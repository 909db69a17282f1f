"""Replay: a process that counts is killed, starts again, and its ledger has the live totals of an undisturbed run."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.analytics.test_properties import SITE
from tests.analytics.walks import Path as Way
from tests.analytics.walks import frames, run, through
from tracker.analytics.counts import count_bins
from tracker.analytics.tally import Tally
from tracker.formats.ledger import read_events
from tracker.plugins import open_sink

ROOT = Path(__file__).resolve().parents[2]
FPS, DURATION_S, START_MS = 12.5, 60.0, 1_790_000_000_000
WALKERS = 25


def walkers(seed: int) -> dict[int, Way]:
    """Identities that walk between random places, a second apart, at random times."""
    rng = np.random.default_rng(seed)
    found = {}
    for identity in range(1, WALKERS + 1):
        start_s = float(rng.integers(0, 50))
        places = rng.uniform(0.02, 0.98, (int(rng.integers(2, 8)), 2))
        found[identity] = through(*((start_s + second, x, y) for second, (x, y) in enumerate(places.tolist())))
    return found


def counting(path: str, seed: int) -> None:
    """Count into a store, frame by frame, as a stream's thread does; says each frame that is done."""
    from dataclasses import replace

    from tracker.analytics.measures import SiteMeasures

    measures = SiteMeasures(SITE, stream="gate", start_utc_ms=START_MS)
    with open_sink(path, stream="gate") as sink:
        for frame in frames(walkers(seed), fps=FPS, duration_s=DURATION_S):
            sink.write(replace(frame, events=measures.process(frame)))
            print(frame.frame.index, flush=True)  # noqa: T201 - to the test that kills this process
        sink.write(replace(frame, events=measures.close()))


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_a_replay_after_kills_has_the_live_totals(tmp_path: Path, seed: int) -> None:
    live = Tally.of(SITE)
    live.add(run(SITE, frames(walkers(seed), fps=FPS, duration_s=DURATION_S), start_utc_ms=START_MS))
    path = tmp_path / "x.sqlite"
    code = f"from tests.analytics.test_replay import counting; counting({str(path)!r}, {seed})"
    last = round(DURATION_S * FPS)
    for stop in np.random.default_rng(seed).integers(50, last, 2).tolist():
        command = [sys.executable, "-c", code]
        with subprocess.Popen(
            command, stdout=subprocess.PIPE, text=True, env=os.environ | {"PYTHONPATH": str(ROOT)}
        ) as child:
            assert child.stdout is not None
            for line in child.stdout:
                if int(line) >= stop:
                    break
            os.kill(child.pid, signal.SIGKILL)
            child.communicate(timeout=60)
    counting(str(path), seed)
    events = list(read_events(path))
    kept = Tally.of(SITE)
    kept.add(events)
    assert kept.crossings == live.crossings
    assert kept.flows == live.flows
    assert kept.as_json() == live.as_json()
    assert live.crossings["line", "in"]  # otherwise nothing was tried
    crossed = sum(counts.total() for counts in live.crossings.values())
    assert sum(one.count or 0 for one in count_bins(events, kinds=["crossing"], bin_s=60)) == crossed
    assert len({event.key for event in events}) == len(events)
