"""States on disk: whole or not at all, and none that is too old or no state."""

from __future__ import annotations

import numpy as np
import pytest

from tracker.associate.tracker import Tracker
from tracker.errors import ConfigError
from tracker.live import snapshot
from tracker.live.snapshot import Snapshots
from tracker.live.steady import SteadyTracker
from tracker.types import Instances


def crowd(k: int) -> Instances:
    x = np.arange(5) * 100 + 2 * k
    boxes = np.stack([x, x * 0 + 50, x + 40, x * 0 + 150], axis=1).astype(np.float32)
    return Instances(boxes=boxes, scores=np.full(5, 0.9, np.float32), class_ids=np.arange(5) % 2)


def test_a_tracker_read_back_goes_on_as_the_one_that_was_saved(tmp_path) -> None:
    snapshots = Snapshots(tmp_path / "state")
    tracker = SteadyTracker(Tracker(class_count=2))
    for k in range(20):
        tracker.update(crowd(k), k / 25, (640, 360))
    state = tracker.state()
    assert state is not None
    snapshots.save("gate", state)
    loaded = snapshots.load("gate")
    assert loaded is not None
    assert 0 <= loaded[1] < 60
    other = SteadyTracker(Tracker(class_count=2))
    other.restore(loaded[0], elapsed_s=0.04)
    for k in range(20, 40):
        one = tracker.update(crowd(k), k / 25, (640, 360))
        two = other.update(crowd(k), (k - 20) / 25, (640, 360))
        np.testing.assert_array_equal(one.ids, two.ids)
        np.testing.assert_allclose(one.boxes, two.boxes)
        np.testing.assert_allclose(one.velocities, two.velocities, rtol=1e-3, atol=1e-3)
    assert not list((tmp_path / "state").glob(".*"))


def test_what_is_old_broken_or_missing_is_left(tmp_path, monkeypatch) -> None:
    snapshots = Snapshots(tmp_path, max_age_s=100.0)
    assert snapshots.load("gate") is None
    snapshots.save("gate", {"x": np.arange(3), "n": 7, "deep": {"y": 2.5}})
    state, _ = snapshots.load("gate") or ({}, 0.0)
    assert (state["x"].tolist(), state["n"], state["deep"]) == ([0, 1, 2], 7, {"y": 2.5})
    now_s = snapshot.time.time()
    monkeypatch.setattr(snapshot.time, "time", lambda: now_s + 200)
    assert snapshots.load("gate") is None
    monkeypatch.undo()
    path = tmp_path / "gate.state.npz"
    path.write_bytes(path.read_bytes()[:-40])
    assert snapshots.load("gate") is None


def test_a_folder_that_cannot_be_made_is_refused(tmp_path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="choose another folder"):
        Snapshots(tmp_path / "file" / "state")
