"""States on disk: whole or not at all, and none that is too old or no state."""

from __future__ import annotations

import numpy as np
import pytest

from tracker.associate.tracker import Tracker
from tracker.engine import snapshot
from tracker.engine.snapshot import Kept, Snapshots
from tracker.engine.steady import SteadyTracker
from tracker.errors import ConfigError
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
    snapshots.save("gate", state, facts={"final": True})
    loaded = snapshots.load("gate")
    assert loaded is not None
    assert 0 <= loaded.elapsed_s < 60
    assert loaded.facts == {"final": True}
    other = SteadyTracker(Tracker(class_count=2))
    other.restore(Kept(state=loaded.state, elapsed_s=0.04))
    for k in range(20, 40):
        one = tracker.update(crowd(k), k / 25, (640, 360))
        two = other.update(crowd(k), (k - 20) / 25, (640, 360))
        np.testing.assert_array_equal(one.ids, two.ids)
        np.testing.assert_allclose(one.boxes, two.boxes)
        np.testing.assert_allclose(one.velocities, two.velocities, rtol=1e-3, atol=1e-3)
    assert not list((tmp_path / "state").glob(".*"))


def same(one: object, two: object) -> bool:
    """Equal in type, dtype, shape and value, all the way down."""
    if isinstance(one, np.ndarray) and isinstance(two, np.ndarray):
        return one.dtype == two.dtype and one.shape == two.shape and one.tobytes() == two.tobytes()
    if isinstance(one, dict) and isinstance(two, dict):
        return list(one) == list(two) and all(same(one[key], two[key]) for key in one)
    if isinstance(one, list) and isinstance(two, list):
        return len(one) == len(two) and all(map(same, one, two))
    return type(one) is type(two) and (one == two or one != one)  # noqa: PLR0124 - NaN


def test_whatever_a_tracker_keeps_comes_back_as_it_was(tmp_path) -> None:
    """Appearance, a gallery by identity, a camera's homography, nothing yet: no tracker has to ask for its format."""
    random = np.random.default_rng(0)
    state = {
        "tracker": {
            "next_id": 2**40,
            "time_s": None,
            "gallery": {
                7: {"embeddings": random.normal(size=(3, 16)).astype(np.float16), "seen_s": 0.1 + 0.2},
                12: {"embeddings": np.zeros((0, 16), np.float16), "seen_s": float("nan")},
            },
            "homography": np.eye(3),
            "flags": np.array([True, False]),
            "words": np.array(["car", "lorry"]),
            "history": [np.arange(2), {"deep": [1, None, -1.5, "text/with/slashes"]}, []],
            "a/b": {"": {}},
            "scalar": np.array(3, np.int16),
            "moving": True,
        }
    }
    snapshots = Snapshots(tmp_path)
    snapshots.save("gate", state)
    loaded = snapshots.load("gate")
    assert loaded is not None
    assert same(loaded.state, state)
    snapshots.save("lobby", {"number": np.float32(0.5), "pair": (1, 2)})
    assert (snapshots.load("lobby") or loaded).state == {"number": 0.5, "pair": [1, 2]}


@pytest.mark.parametrize("value", [object(), {"a": {1, 2}}, np.array([None]), {2.5: 1}, lambda: 0])
def test_what_is_no_value_is_refused_when_it_is_saved(tmp_path, value: object) -> None:
    with pytest.raises(TypeError, match="expected"):
        Snapshots(tmp_path).save("gate", {"x": value})
    assert not list(tmp_path.iterdir())


def test_what_is_old_broken_or_missing_is_left(tmp_path, monkeypatch, caplog) -> None:
    snapshots = Snapshots(tmp_path, max_age_s=100.0)
    assert snapshots.load("gate") is None
    assert not caplog.records
    snapshots.save("gate", {"x": np.arange(3)})
    now_s = snapshot.time.time()
    monkeypatch.setattr(snapshot.time, "time", lambda: now_s + 200)
    assert snapshots.load("gate") is None
    assert "expected a state of the last 100 s" in caplog.records[-1].problem
    monkeypatch.undo()
    path = tmp_path / "gate.state.npz"
    whole = path.read_bytes()
    for cut in range(0, len(whole), 37):
        path.write_bytes(whole[:cut])
        assert snapshots.load("gate") is None
        assert "cannot be read" in caplog.records[-1].problem


@pytest.mark.parametrize(
    ("arrays", "said"),
    [
        ({"version": 1, "saved_s": 1.0, "state/tracker/next_id": 5}, "of an older version or foreign"),
        ({"weights": np.zeros(3)}, "of an older version or foreign"),
        ({"layout": np.array('{"format": "masktrail state", "version": 99}')}, "found masktrail state 99"),
        ({"layout": np.array('{"format": "other", "version": 2}')}, "found other 2"),
        ({"layout": np.array("[1")}, "cannot be read"),
        (
            {
                "layout": np.array(
                    '{"format": "masktrail state", "version": 2, "values": {"dict": [["a", {"array": 4}]]}}'
                )
            },
            "cannot be read",
        ),
    ],
)
def test_an_old_or_foreign_file_is_refused_with_a_note(tmp_path, caplog, arrays: dict, said: str) -> None:
    np.savez(tmp_path / "gate.state.npz", **arrays)
    assert Snapshots(tmp_path).load("gate") is None
    [note] = caplog.records
    assert (note.message, note.camera) == ("state not used", "gate")
    assert said in note.problem
    assert "starting fresh" in note.problem


def test_a_folder_that_cannot_be_made_is_refused(tmp_path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="choose another folder"):
        Snapshots(tmp_path / "file" / "state")
