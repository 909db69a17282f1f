"""Blocks of frames: what is counted does not depend on how many frames are taken at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.analytics.crowds import SITE, crowd
from tests.thorough import examples
from tracker.analytics.measures import SiteMeasures
from tracker.events import Event
from tracker.site import Site
from tracker.track_block import TrackBlock, blocks_of
from tracker.types import TrackedFrame


def singles(frames: Sequence[TrackedFrame]) -> Iterator[TrackBlock]:
    for tracked in frames:
        assert tracked.tracks is not None
        assert tracked.contacts is not None
        yield TrackBlock.of(tracked, tracked.tracks, tracked.contacts)


def by_frame(frames: Sequence[TrackedFrame], site: Site) -> tuple[list[tuple[Event, ...]], dict, tuple[Event, ...]]:
    measures = SiteMeasures(site, stream="cam")
    found = [measures.process(tracked) for tracked in frames]
    return found, measures.state(), measures.close()


def by_block(
    frames: Sequence[TrackedFrame], site: Site, most: Sequence[int]
) -> tuple[list[tuple[Event, ...]], dict, tuple[Event, ...]]:
    """Blocks of the lengths ``most``, over and over."""
    measures, found, rest, turn = SiteMeasures(site, stream="cam"), [], singles(frames), 0
    while part := list(islice(rest, most[turn % len(most)])):
        turn += 1
        found += measures.take(TrackBlock.joined(part))
    return found, measures.state(), measures.close()


@pytest.mark.quick("1-0", "7-1", "1000-2")
@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("most", [1, 7, 1000])
def test_blocks_of_any_length_give_the_events_of_single_frames(seed: int, most: int) -> None:
    frames = list(crowd(seed, fps=(25.0, 12.5, 4.2)[seed]))
    expected = by_frame(frames, SITE)
    kinds = {event.kind for events in expected[0] for event in events}
    assert kinds >= {"crossing", "enter", "leave", "loitering", "identity_start", "reclassified", "gap"}
    assert repr(by_block(frames, SITE, [most])) == repr(expected)  # NaN is not equal to itself


@given(seed=st.integers(3, 10_000), most=st.lists(st.integers(1, 60), min_size=1, max_size=4))
@settings(max_examples=examples(15), deadline=None)
def test_any_cutting_into_blocks_gives_the_same(seed: int, most: list[int]) -> None:
    frames = list(crowd(seed, count=90, walkers=5))
    assert repr(by_block(frames, SITE, most)) == repr(by_frame(frames, SITE))


@pytest.mark.parametrize("site", [Site(lines=SITE.lines), Site(zones=SITE.zones), Site()])
def test_sites_without_zones_lines_or_both(site: Site) -> None:
    frames = list(crowd(1, count=100))
    assert repr(by_block(frames, site, [30])) == repr(by_frame(frames, site))


def test_a_block_keeps_every_row_of_its_frames() -> None:
    frames = list(crowd(2, count=40))
    [block] = blocks_of(singles(frames))
    assert block.times_s == [tracked.frame.time_s for tracked in frames]
    for number, tracked in enumerate(frames):
        rows = slice(block.cuts[number], block.cuts[number + 1])
        assert tracked.tracks is not None
        assert tracked.contacts is not None
        own = tracked.contacts.of_tracks(tracked.tracks.detection_rows, tracked.tracks.boxes)
        joined = block.contacts.of_tracks(block.detection_rows, block.boxes)
        np.testing.assert_array_equal(block.ids[rows], tracked.tracks.ids)
        np.testing.assert_array_equal(joined.points[rows], own.points)
        np.testing.assert_array_equal(joined.states[rows], own.states)
        assert block.events.get(number, ()) == tracked.events
        assert list(block.ended.get(number, ())) == tracked.tracks.ended_ids.tolist()


def test_a_new_block_begins_where_the_size_of_the_pictures_changes() -> None:
    from dataclasses import replace

    frames = list(crowd(4, count=20))
    frames[12:] = [replace(one, frame=replace(one.frame, size=(640, 360))) for one in frames[12:]]
    assert [(len(block), block.size) for block in blocks_of(singles(frames), 8)] == [
        (8, (1280, 720)),
        (4, (1280, 720)),
        (8, (640, 360)),
    ]
