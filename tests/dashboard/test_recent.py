"""Recent contacts: packed frames give the same events, ten minutes are kept, a changed site is tried on them."""

from __future__ import annotations

import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from demos.scenes.script import group_walk
from tests.analytics.walks import CLASS_NAMES, SIZE, counts, frames, run, through, tracked
from tests.analytics.worlds import on_screen, tracked_truth
from tracker.analytics.contact import ContactFinder
from tracker.dashboard.contact_log import note_of, pack, unpack
from tracker.dashboard.recent import AWAY_S, KEPT_S, RecentContacts, _thinned
from tracker.errors import ConfigError
from tracker.events import Event
from tracker.site import Line, Site, Zone

LINE = Site(lines=(Line(name="line", points=((0.5, 0.1), (0.5, 0.9))),))
HALL = Zone(name="hall", polygons=(((0.6, 0.1), (0.9, 0.1), (0.9, 0.9), (0.6, 0.9)),))
BEGAN = datetime(2026, 3, 1, 12, tzinfo=UTC)


def seen(stream, *, utc: bool = False):
    """Frames as the engine has them: with contacts, and with wall clock times."""
    finder = ContactFinder([])
    for one in stream:
        at = BEGAN + timedelta(seconds=one.frame.time_s) if utc else None
        frame = replace(one.frame, captured_at=at)
        yield replace(one, frame=frame, contacts=finder.find(one.instances, one.frame.size))


def logged(stream, *, batch: int = 25) -> list:
    """The same frames, packed and unpacked."""
    notes = [note_of(one) for one in stream]
    found = []
    for start in range(0, len(notes), batch):
        header, body = pack(notes[start : start + batch])
        found += unpack(header, body, stream="s", class_names=CLASS_NAMES)
    return found


def kept(stream, **options) -> RecentContacts:
    recent = RecentContacts()
    notes = [note_of(one) for one in stream]
    for start in range(0, len(notes), 25):
        header, body = pack(notes[start : start + 25])
        recent.add("cam", header, body, class_names=CLASS_NAMES, **options)
    return recent


WALKS = {
    1: through((0, 0.1, 0.5), (8, 0.98, 0.5), (10, 0.98, 0.5)),
    2: through((1, 0.9, 0.4), (5, 0.1, 0.4)),
    3: through((2, 0.2, 0.7), (4, 0.7, 0.7), (9, 0.7, 0.7)),
}


@pytest.mark.parametrize("utc", [False, True])
def test_packed_frames_give_the_same_events(utc: bool) -> None:
    site = replace(LINE, zones=(HALL,))
    stream = list(seen(frames(WALKS, fps=12.5, duration_s=12), utc=utc))
    expected, found = run(site, iter(stream)), run(site, iter(logged(stream)))
    assert [one.kind for one in found] == [one.kind for one in expected]
    for a, b in zip(found, expected, strict=True):
        assert (a.place, a.direction, a.identity, a.class_name) == (b.place, b.direction, b.identity, b.class_name)
        assert a.time_s == pytest.approx(b.time_s, abs=1e-3)
        assert (a.utc_ms is None) == (b.utc_ms is None)


def test_hidden_contacts_and_late_confirmation_come_through() -> None:
    scene = group_walk()
    site = Site(lines=(Line(name="line", points=on_screen(scene, (4.0, 0.0), (12.0, 0.0))),))
    stream = list(seen(tracked_truth(scene, fps=12.5)))
    assert any((one.contacts.states == 1).any() for one in stream)
    expected = counts(run(site, iter(stream)))
    again = logged(stream)
    assert counts(run(site, iter(again))) == expected
    assert np.array_equal(again[40].contacts.states, stream[40].contacts.states)
    late = tracked(0, 1.0, {5: (0.5, 0.5)})
    late = replace(late, tracks=replace(late.tracks, earlier_rows=np.array([[5, 1, 0]])))
    assert logged(seen([late]))[0].tracks.earlier_rows.tolist() == [[5, 1, 0]]


def test_outages_come_through() -> None:
    stream = list(seen(frames(WALKS, fps=12.5, duration_s=9)))
    dark = Event(kind="dark", stream="cam", time_s=1.0)
    stream[13] = replace(stream[13], events=(dark, Event(kind="crossing", stream="cam", time_s=1.0)))
    assert [one.kind for one in logged(stream)[13].events] == ["dark"]
    assert counts(run(LINE, iter(logged(stream)))) == (0, 0)


def test_a_frame_without_tracks_or_contacts_is_no_note_and_wrong_bytes_are_refused() -> None:
    bare = replace(tracked(0, 0.0, {1: (0.5, 0.5)}), contacts=None)
    assert note_of(bare) is None
    [one] = seen([bare])
    assert note_of(replace(one, tracks=None)) is None
    header, body = pack([note_of(one)])
    for wrong in (body[:-1], body + b"x"):
        with pytest.raises(ValueError, match="contacts: expected"):
            list(unpack(header, wrong, stream="s", class_names=CLASS_NAMES))


def test_a_changed_site_is_counted_as_the_frames_are() -> None:
    recent = kept(seen(frames(WALKS, fps=12.5, duration_s=12), utc=True))
    moved = Site(lines=(Line(name="line", points=((0.85, 0.1), (0.85, 0.9))),), zones=(HALL,))
    found = recent.dry_run("cam", moved, LINE)
    assert (found["from_ms"], found["to_ms"]) == (
        round(BEGAN.timestamp() * 1000),
        round(BEGAN.timestamp() * 1000) + 12_000,
    )
    assert found["seconds"] == 12.0
    line, hall = found["places"]
    assert (line["place"], line["kind"], hall["place"], hall["kind"]) == ("line", "line", "hall", "zone")
    sums = {row["what"]: (row["was"], row["would"]) for row in line["rows"] if not row["class"]}
    before, after = (
        run(LINE, frames(WALKS, fps=12.5, duration_s=12)),
        run(moved, frames(WALKS, fps=12.5, duration_s=12)),
    )
    assert sums == {
        "in": (counts(before)[0], counts(after)[0]),
        "out": (counts(before)[1], counts(after)[1]),
    }
    assert sum(sums["in"]) + sum(sums["out"]) > 3
    rows = {row["what"]: row for row in hall["rows"] if not row["class"]}
    assert rows["entered"]["would"] == 2
    assert rows["entered"]["was"] is None  # the present site has no such zone
    assert rows["mean dwell, s"]["would"] > 0


def test_frames_that_come_close_are_left_out_without_a_change_of_counts() -> None:
    recent = kept(seen(frames(WALKS, fps=50, duration_s=12)))
    moved = Site(lines=(Line(name="line", points=((0.85, 0.1), (0.85, 0.9))),), zones=(HALL,))
    found = recent.dry_run("cam", moved)
    rows = {row["what"]: row["would"] for row in found["places"][0]["rows"] if not row["class"]}
    assert (rows["in"], rows["out"]) == counts(run(moved, frames(WALKS, fps=50, duration_s=12)))
    thinned = list(_thinned(recent.frames("cam")))
    assert len(thinned) == pytest.approx(12 * 12.5, abs=2)
    whole = list(recent.frames("cam"))
    ended, left = (np.concatenate([one.tracks.ended_ids for one in many]).tolist() for many in (whole, thinned))
    assert left == ended
    assert ended


def test_what_was_seen_before_a_confirmation_is_found_among_the_frames_that_are_left() -> None:
    stream = [tracked(number, number / 25, {5: (0.5, 0.5)}) for number in range(9)]
    late = stream[8]
    stream[8] = replace(late, tracks=replace(late.tracks, earlier_rows=np.array([[5, 8, 0], [5, 7, 1], [5, 4, 2]])))
    thinned = list(_thinned(seen(stream)))
    assert [one.frame.index for one in thinned] == [0, 2, 4, 6, 8]
    assert thinned[-1].tracks.earlier_rows.tolist() == [[5, 4, 0], [5, 2, 2]]  # number 1 was left out


def test_dry_runs_that_follow_each_other_are_over_the_same_frames(monkeypatch: pytest.MonkeyPatch) -> None:
    recent = kept(seen(frames(WALKS, fps=12.5, duration_s=6)))
    first = recent.dry_run("cam", LINE, LINE)
    notes = [note_of(one) for one in seen(frames(WALKS, fps=12.5, duration_s=4, first_s=6.1))]
    header, body = pack(notes)
    recent.add("cam", header, body, class_names=CLASS_NAMES)
    assert recent.dry_run("cam", LINE, LINE) == first
    monkeypatch.setattr("tracker.dashboard.recent.time.monotonic", lambda: 1e9)
    assert recent.dry_run("cam", LINE, LINE)["to_ms"] > first["to_ms"]


def test_classes_are_told_apart_where_there_are_several() -> None:
    stream = [
        tracked(number, number / 10, {1: (number / 100, 0.5), 2: (number / 100, 0.6)}, classes={2: 2})
        for number in range(101)
    ]
    found = kept(seen(stream)).dry_run("cam", LINE)
    rows = [(row["what"], row["class"], row["would"]) for row in found["places"][0]["rows"]]
    assert len(rows) == 4
    counted = rows[0][0] if rows[0][2] else rows[-1][0]
    assert [row for row in rows if row[0] == counted] == [(counted, "", 2), (counted, "car", 1), (counted, "person", 1)]


def test_the_last_seconds_alone_may_be_asked_for() -> None:
    recent = kept(seen(frames(WALKS, fps=12.5, duration_s=12)))
    assert recent.dry_run("cam", LINE, seconds=2.0)["seconds"] == pytest.approx(2.0, abs=0.1)
    assert sum(1 for _ in recent.frames("cam", seconds=1.0)) == pytest.approx(13, abs=1)


def test_nothing_is_known_of_another_camera_and_another_shape_is_refused() -> None:
    recent = kept(seen(frames(WALKS, fps=12.5, duration_s=2)))
    assert recent.dry_run("other", LINE) is None
    assert recent.path("other", 1) == []
    with pytest.raises(ConfigError, match="shape 100 x 100"):
        recent.dry_run("cam", replace(LINE, reference_size=(100, 100)))
    old = replace(LINE, reference_size=(100, 100))  # the present one: it cannot be compared, and that is all
    assert recent.dry_run("cam", LINE, old)["places"][0]["rows"][0]["was"] is None


def test_the_path_of_an_identity_has_its_sights_only() -> None:
    path = kept(seen(frames(WALKS, fps=10, duration_s=10), utc=True)).path("cam", 2)
    assert len(path) == 41
    assert path[0] == (
        round(BEGAN.timestamp() * 1000) + 1000,
        pytest.approx(0.9, abs=0.01),
        pytest.approx(0.4, abs=0.01),
    )
    assert path[-1][1] == pytest.approx(0.1, abs=0.01)
    coasting = [tracked(0, 0.0, {1: (0.5, 0.5)}), tracked(1, 0.1, {}, coasting={1: (0.6, 0.5)})]
    assert len(kept(seen(coasting)).path("cam", 1)) == 1


def test_ten_minutes_are_kept() -> None:
    recent = RecentContacts()
    finder = ContactFinder([])
    for second in range(0, 900, 2):
        one = tracked(second, float(second), {1: (0.5, 0.5)})
        header, body = pack([note_of(replace(one, contacts=finder.find(one.instances, SIZE)))])
        recent.add("cam", header, body, class_names=CLASS_NAMES)
    times = [one.frame.time_s for one in recent.frames("cam")]
    assert times[-1] - times[0] == KEPT_S
    assert len(recent._batches["cam"]) == 301


def test_cameras_that_are_gone_are_dropped_and_those_that_restart_are_not(monkeypatch: pytest.MonkeyPatch) -> None:
    recent = kept(seen(frames(WALKS, fps=12.5, duration_s=4)))
    count = len(list(recent.frames("cam")))
    for scenes in ({"cam": 1}, {"other": 0}, {"cam": 1, "other": 0}, {"other": 0}):
        recent.keep(scenes)
        assert len(list(recent.frames("cam"))) == count
    now_s = time.monotonic()
    monkeypatch.setattr("tracker.dashboard.recent.time.monotonic", lambda: now_s + AWAY_S + 1)
    recent.keep({"other": 0})
    assert list(recent.frames("cam")) == []


def test_another_scene_or_other_classes_begin_anew() -> None:
    recent = kept(seen(frames(WALKS, fps=12.5, duration_s=4)))
    recent.keep({"cam": 1})
    recent.keep({"cam": 2})
    assert list(recent.frames("cam")) == []
    recent = kept(seen(frames(WALKS, fps=12.5, duration_s=4)))
    header, body = pack([note_of(one) for one in seen(frames({}, fps=12.5, duration_s=1, first_s=9.0))])
    recent.add("cam", header, body, class_names=("person",))
    assert min(one.frame.time_s for one in recent.frames("cam")) == 9.0


@pytest.mark.parametrize("utc", [False, True])
def test_a_restart_is_a_pause_and_what_was_before_it_still_counts(utc: bool) -> None:
    stream = list(seen(frames(WALKS, fps=12.5, duration_s=12), utc=utc))
    whole = kept(stream).dry_run("cam", replace(LINE, zones=(HALL,)))
    cut = next(number for number, one in enumerate(stream) if one.frame.time_s > 9.0)
    again = [
        replace(one, frame=replace(one.frame, time_s=one.frame.time_s - stream[cut].frame.time_s))
        for one in stream[cut:]
    ]
    recent = kept([*stream[:cut]])
    header, body = pack([note_of(one) for one in again])
    recent.add("cam", header, body, class_names=CLASS_NAMES)
    found = recent.dry_run("cam", replace(LINE, zones=(HALL,)))
    assert found["places"] == whole["places"]
    assert found["seconds"] == pytest.approx(whole["seconds"], abs=0.05)
    assert recent.path("cam", 1)[-1][0] == pytest.approx(kept(stream).path("cam", 1)[-1][0], abs=50)


def test_ten_minutes_are_tried_in_seconds() -> None:
    """And in little memory: an hour of thirty identities would be the same per second."""
    stream = list(seen(frames(WALKS, fps=12.5, duration_s=40)))
    recent = kept(stream)
    started_s = time.process_time()
    recent.dry_run("cam", LINE, LINE)
    spent_s = time.process_time() - started_s
    assert spent_s < 4, f"{len(stream)} frames"
    assert recent._bytes["cam"] / len(stream) < 400
