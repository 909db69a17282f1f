"""Damaged, old and hostile states: no traceback, no memory, no number given twice.

As a script it tries many mutations: ``python -m tests.engine.test_damaged_states 1000``.
"""

from __future__ import annotations

import collections
import io
import json
import logging
import sys
import tempfile
import time
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.analytics.walks import tracked
from tests.engine.test_snapshot import crowd
from tests.segment.models import end2end_model
from tracker.alert_rules import AlertRule
from tracker.associate.tracker import Tracker
from tracker.engine import snapshot
from tracker.engine.resume import Resumption
from tracker.engine.snapshot import Kept, Snapshots, next_number
from tracker.engine.stage import Stage
from tracker.engine.steady import SteadyTracker
from tracker.events import Event, Stay
from tracker.plugins import STAGES, StageContext
from tracker.segment.zoo import find_model
from tracker.service.cameras import result_settings
from tracker.settings.stream import CameraSettings
from tracker.sinks.base import Checkpoint
from tracker.site import Site, Zone


def stream_state() -> dict:
    """Of a stream with five identities."""
    tracker = SteadyTracker(Tracker(class_count=2))
    for k in range(20):
        tracker.update(crowd(k), k / 25, (640, 360))
    return {"stages": {"associate": tracker.state()}}


@pytest.fixture
def saved(tmp_path: Path) -> Snapshots:
    snapshots = Snapshots(tmp_path, max_age_s=100.0)
    snapshots.save("gate", stream_state(), facts={"final": True})
    return snapshots


def mutations(data: bytes, count: int, seed: int = 0) -> list[bytes]:
    """Flipped bytes all over and in the directory at the end, cuts, repeats, zeros."""
    random = np.random.default_rng(seed)
    directory = data.rindex(b"PK\x05\x06") - 60 * len(zipfile.ZipFile(io.BytesIO(data)).namelist())
    made = []
    for number in range(count):
        changed = bytearray(data)
        low = max(directory, 0) if number % 2 else 0
        for place in random.integers(low, len(data), 1 + number % 3).tolist():
            changed[place] ^= 1 << int(random.integers(8))
        start, stop = sorted(random.integers(0, len(data), 2).tolist())
        if number % 20 == 0:
            changed = changed[:start]
        elif number % 20 == 7:
            changed[start:stop] = bytes(stop - start)
        elif number % 20 == 13:
            changed += changed[start:stop]
        made.append(bytes(changed))
    return made


def test_damage_costs_identities_and_no_number(saved: Snapshots, tmp_path: Path, caplog) -> None:
    path = tmp_path / "gate.state.npz"
    before = saved.load("gate")
    assert before is not None
    used = 0
    for data in mutations(path.read_bytes(), 300):
        path.write_bytes(data)
        caplog.clear()
        loaded = saved.load("gate")
        assert loaded is not None
        assert next_number(loaded.state) == 6
        used += not loaded.numbers_only
        if loaded.numbers_only:
            [note] = caplog.records
            assert note.message == "state not used"
            assert "numbers go on from 6" in note.problem
        else:  # a flip where nobody looks: a date in the directory
            assert loaded.facts == before.facts
    assert used < 100


@pytest.mark.parametrize(("later_s", "said"), [(-5.3, "one of 5 s ahead"), (200.0, "one of 200 s ago")])
def test_a_clock_set_back_and_an_old_state_leave_the_numbers(saved, monkeypatch, caplog, later_s, said) -> None:
    now_s = snapshot.time.time()
    monkeypatch.setattr(snapshot.time, "time", lambda: now_s + later_s)
    loaded = saved.load("gate")
    assert loaded is not None
    assert loaded.numbers_only
    assert next_number(loaded.state) == 6
    assert said in caplog.records[-1].problem
    whole = saved.load("gate", any_age=True)
    assert whole is not None
    assert not whole.numbers_only


def test_alerts_of_a_state_that_is_not_continued_are_ended(tmp_path: Path, monkeypatch) -> None:
    rule = AlertRule(name="busy", watch="presence", place="hall", over=0)
    hall = Zone(name="hall", polygons=(((0, 0), (1, 0), (1, 1), (0, 1)),))
    site = Site(zones=(hall,), alerts=(rule,))

    def stage() -> Stage:
        return STAGES.load("analytics")(StageContext(stream="gate", settings={"kind": "alerts", "site": site}))

    stay = Stay(entered_s=0.0)
    enter = Event(kind="enter", stream="gate", time_s=0.0, place="hall", identity=1, stay=stay)
    before = stage()
    [on] = before.process(replace(tracked(0, 0.0, {}), events=(enter,))).events[1:]
    assert (on.kind, on.since_s) == ("alert", None)
    snapshots, now_s = Snapshots(tmp_path, max_age_s=60.0), snapshot.time.time()
    snapshots.save("gate", {"stages": {"associate": {"tracker": {"next_id": 6}}, before.name: before.state()}})
    monkeypatch.setattr(snapshot.time, "time", lambda: now_s + 100.0)
    loaded = snapshots.load("gate")
    assert (loaded.numbers_only, next_number(loaded.state), round(loaded.elapsed_s)) == (True, 6, 100)
    after = stage()
    after.restore(Kept(state=loaded.state["stages"][after.name], elapsed_s=loaded.elapsed_s, numbers_only=True))
    [off] = after.process(tracked(0, 0.0, {})).events
    assert (off.kind, off.place, off.time_s, round(off.since_s)) == ("alert", "busy", 0.0, -100)


def test_the_higher_number_of_state_and_line_counts(saved: Snapshots, tmp_path: Path, caplog) -> None:
    """A kill between the two files, or a state that lost its number: none is given twice."""
    (tmp_path / "gate.next-id").write_bytes(b"9\n")
    loaded = saved.load("gate")
    assert loaded is not None
    assert not loaded.numbers_only
    assert next_number(loaded.state) == 9
    checkpoint = saved.load("gate", any_age=True)
    assert checkpoint is not None
    assert next_number(checkpoint.state) == 6, "a recording continues from its checkpoint"
    saved.save("gate", {"stages": {}}, facts={})
    loaded = saved.load("gate")
    assert loaded is not None
    assert loaded.numbers_only
    assert next_number(loaded.state) == 9
    assert "no next number, 9 is noted" in caplog.records[-1].problem


@pytest.mark.parametrize("part", ["boxes", "class_ids", "embeddings"])
def test_a_state_that_would_fail_the_first_picture_is_not_restored(part: str) -> None:
    """Arrays of another shape or kind, as another version may have kept them."""

    def changed(value, hits: list[str]):
        if isinstance(value, dict):
            return {key: changed(inner, hits) for key, inner in value.items()}
        if isinstance(value, np.ndarray) and value.dtype.kind == "f" and value.ndim == 2:
            hits.append(part)
            return value.reshape(-1)[:3] if part == "boxes" else np.full_like(value, np.nan)
        return value.astype(np.float64) if part == "class_ids" and isinstance(value, np.ndarray) else value

    hits: list[str] = []
    state = changed(stream_state()["stages"]["associate"], hits)
    assert hits
    with pytest.raises((ValueError, IndexError, TypeError)):
        SteadyTracker(Tracker(class_count=2)).restore(snapshot.Kept(state=state, elapsed_s=1.0))


def hostile(layout: str, **arrays: bytes) -> bytes:
    """A state with any layout and any members."""
    made = io.BytesIO()
    np.savez(made, layout=np.array(layout))
    with zipfile.ZipFile(made, "a", zipfile.ZIP_DEFLATED) as archive:
        for name, data in arrays.items():
            archive.writestr(f"{name}.npy", data)
    return made.getvalue()


def head(values: str) -> str:
    return f'{{"format": "masktrail state", "version": 2, "values": {values}}}'


HUGE = b"\x93NUMPY\x01\x00F\x00" + b"{'descr': '<f8', 'fortran_order': False, 'shape': (1000000000000,), }\n"


@pytest.mark.parametrize(
    "data",
    [
        hostile(head('{"dict": [["saved_s", 1e12]]}')),
        hostile(head('{"dict": [["saved_s", "soon"], ["state", 1], ["facts", 1]]}')),
        hostile(head('{"dict": [["saved_s", NaN], ["state", {"dict": []}], ["facts", {"dict": []}]]}')),
        hostile(head("[" * 3000 + "]" * 3000)),
        hostile(head('{"dict": [["a", ' * 3000 + "1" + "]]}" * 3000)),
        hostile(head('{"dict": [["a"]]}')),
        hostile(head('{"dict": [["a", {"array": "x"}]]}')),
        hostile(head("[]")),
        hostile("[1]"),
        hostile("null"),
        hostile(head('{"dict": [["a", {"array": 0}]]}'), array0=HUGE),
        hostile(head('{"dict": [["a", {"array": 0}]]}'), array0=bytes(1 << 22)),
        hostile(head('{"dict": [["saved_s", {"array": 0}]]}'), array0=b""),
        b"",
        b"PK\x05\x06" + bytes(18),
    ],
)
def test_hostile_states_leave_the_numbers(saved: Snapshots, tmp_path: Path, caplog, data: bytes) -> None:
    (tmp_path / "gate.state.npz").write_bytes(data)
    loaded = saved.load("gate")
    assert loaded is not None
    assert loaded.numbers_only
    assert next_number(loaded.state) == 6
    assert [note.message for note in caplog.records] == ["state not used"]


def test_a_state_that_unpacks_to_gigabytes_is_not_unpacked(
    saved: Snapshots, tmp_path: Path, monkeypatch, caplog
) -> None:
    monkeypatch.setattr(snapshot, "MOST_BYTES", 100_000)
    (tmp_path / "gate.state.npz").write_bytes(hostile(head("1"), array0=bytes(1 << 20)))
    assert saved.load("gate") is not None
    assert "expected at most 100000 bytes when unpacked, found 1048" in caplog.records[-1].problem
    (tmp_path / "gate.state.npz").write_bytes(bytes(100_001))
    assert saved.load("gate") is not None
    assert "expected at most 100000 bytes, found 100001" in caplog.records[-1].problem


@pytest.mark.parametrize("line", [b"", b"-3\n", b"0\n", b"9" * 16 + b"\n", b"7", b"1" * 5000, "٣\n".encode()])
def test_a_damaged_line_of_numbers_is_no_number(saved: Snapshots, tmp_path: Path, line: bytes) -> None:
    (tmp_path / "gate.next-id").write_bytes(line)
    (tmp_path / "gate.state.npz").write_bytes(b"")
    assert saved.load("gate") is None


def test_numbers_go_on_where_the_state_is_gone(saved: Snapshots, tmp_path: Path) -> None:
    (tmp_path / "gate.state.npz").unlink()
    loaded = saved.load("gate")
    assert loaded is not None
    tracker = SteadyTracker(Tracker(class_count=2))
    tracker.restore(
        snapshot.Kept(state=loaded.state["stages"]["associate"], elapsed_s=0.0, skip_ids=10, numbers_only=True)
    )
    for k in range(20):
        tracks = tracker.update(crowd(k), k / 25, (640, 360))
    assert tracks.ids.tolist() == [16, 17, 18, 19, 20]


KEY = {"model": "m", "settings": {"stride": 1}, "recording": [1, 2]}


@pytest.mark.parametrize(
    ("key", "why"),
    [
        (KEY | {"model": "n"}, "another model than before"),
        (KEY | {"settings": {"stride": 2}, "recording": [1, 3]}, "another recording, another settings than before"),
    ],
)
def test_why_a_recording_is_not_resumed(tmp_path: Path, caplog, key: dict, why: str) -> None:
    one = Resumption(tmp_path, "a", KEY)
    one.chunks.mkdir()
    one.save(Checkpoint(next_index=100, state={"n": 1}), 0)
    assert Resumption(tmp_path, "a", KEY).load() is not None
    assert not caplog.records
    assert Resumption(tmp_path, "a", key).load() is None
    [note] = caplog.records
    assert (note.message, note.camera) == ("not resumed", "a")
    assert why in note.problem


def test_the_key_of_a_recording_knows_no_paths_and_no_devices(tmp_path: Path) -> None:
    """The same bytes elsewhere, through a copied model, written elsewhere and decoded otherwise: the same rows."""
    (tmp_path / "b").mkdir()
    model = end2end_model(tmp_path / "one.onnx")
    other = tmp_path / "b" / "two.onnx"
    other.write_bytes(Path(model).read_bytes())
    assert find_model(model).digest() == find_model(other).digest()
    one = CameraSettings(name="a", url="a.mp4", model=str(model), records=("out/a.jsonl",), stride=2)
    two = CameraSettings(name="b", url="b/a.mp4", model=str(other), records=("a.jsonl",), stride=2, decode="cpu")
    assert result_settings(one) == result_settings(two)
    assert result_settings(one) != result_settings(one.replace(stride=3))
    other.write_bytes(other.read_bytes() + b" ")
    assert find_model(model).digest() != find_model(other).digest()
    before = find_model(model).digest()
    (tmp_path / "one.toml").write_text("score_threshold = 0.2\n")
    assert find_model(model).digest() != before


def test_a_checkpoint_does_not_depend_on_the_clock(tmp_path: Path, monkeypatch) -> None:
    one = Resumption(tmp_path, "a", KEY)
    one.chunks.mkdir()
    one.save(Checkpoint(next_index=100, state={"n": 1}), 0)
    now_s = snapshot.time.time()
    monkeypatch.setattr(snapshot.time, "time", lambda: now_s - 1e6)
    loaded = one.load()
    assert loaded is not None
    assert loaded[0].next_index == 100


def test_damaged_checkpoints_begin_anew(tmp_path: Path, caplog) -> None:
    one = Resumption(tmp_path, "a", KEY)
    one.chunks.mkdir()
    one.save(Checkpoint(next_index=100, state=stream_state()), 2)
    assert one.load() is None
    assert "chunk 0 of 2 is missing" in caplog.records[-1].problem
    for number in range(2):
        (one.chunks / f"{number:06d}-start").write_text("0.0")
    path = one.chunks / "checkpoint.state.npz"
    found = set()
    for data in mutations(path.read_bytes(), 60):
        path.write_bytes(data)
        loaded = one.load()
        found.add(None if loaded is None else (loaded[0].next_index, loaded[1]))
    assert found <= {None, (100, 2)}
    (tmp_path / "a.done").write_text(json.dumps({"model": 1}))
    assert not one.done


def main(count: int, seed: int) -> None:
    """Try ``count`` mutations of a camera's state and of a recording's checkpoint, and tell what they came to."""
    logging.disable(logging.CRITICAL)
    tally: collections.Counter[str] = collections.Counter()
    slowest_s = 0.0

    def tell(kind: str, number: int, data: bytes, found: object) -> None:
        if isinstance(found, Exception):
            kept = Path(tempfile.gettempdir()) / f"fault-{seed}-{number}.state.npz"
            kept.write_bytes(data)
            sys.stdout.write(f"{kind} {number} {found!r:.300} ({kept})\n")
            found = f"FAULT {type(found).__name__}"
        tally[f"{kind} {found}"] += 1

    with tempfile.TemporaryDirectory() as folder:
        snapshots = Snapshots(Path(folder), max_age_s=1e6)
        snapshots.save("gate", stream_state(), facts={"final": True})
        path = Path(folder) / "gate.state.npz"
        for number, data in enumerate(mutations(path.read_bytes(), count, seed)):
            path.write_bytes(data)
            started_s = time.monotonic()
            try:
                loaded = snapshots.load("gate")
                assert loaded is not None
                assert next_number(loaded.state) == 6
                if not loaded.numbers_only:
                    SteadyTracker(Tracker(class_count=2)).restore(
                        snapshot.Kept(state=loaded.state["stages"]["associate"], elapsed_s=1.0)
                    )
                tell("state", number, data, "numbers only" if loaded.numbers_only else "whole")
            except Exception as error:  # noqa: BLE001 - what is looked for
                tell("state", number, data, error)
            slowest_s = max(slowest_s, time.monotonic() - started_s)
        one = Resumption(Path(folder), "a", KEY)
        one.chunks.mkdir()
        one.save(Checkpoint(next_index=100, state=stream_state()), 2)
        for number in range(2):
            (one.chunks / f"{number:06d}-start").write_text("0.0")
        path = one.chunks / "checkpoint.state.npz"
        for number, data in enumerate(mutations(path.read_bytes(), count, seed)):
            path.write_bytes(data)
            started_s = time.monotonic()
            try:
                loaded = one.load()
                found = None if loaded is None else (loaded[0].next_index, loaded[1])
                assert found in {None, (100, 2)}
                tell("checkpoint", number, data, "refused" if found is None else "whole")
            except Exception as error:  # noqa: BLE001 - what is looked for
                tell("checkpoint", number, data, error)
            slowest_s = max(slowest_s, time.monotonic() - started_s)
    sys.stdout.write(f"{dict(tally)}, slowest {slowest_s:.2f} s\n")


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 0)
