"""Evidence of a stream: sums of everything, samples of bounded size, paths of identities that have ended."""

from __future__ import annotations

import numpy as np
import pytest

from tests.analytics.walks import frames, through
from tracker.analytics.approaches import SKETCH_POINTS, Approach, PathPoint, Sketch, joined
from tracker.analytics.audit_trail import AuditTrail, Sample
from tracker.analytics.measures import SiteMeasures
from tracker.analytics.near_misses import NearMiss
from tracker.analytics.reasons import MEANINGS, TITLES, sentence
from tracker.site import Line, Site, Zone

SITE = Site(
    lines=(Line(name="line", points=((0.2, 0.5), (0.8, 0.5))),),
    zones=(Zone(name="zone", polygons=(((0.0, 0.0), (1.0, 0.0), (1.0, 0.4), (0.0, 0.4)),)),),
)


def trail_of(paths, *, duration_s: float, **options) -> AuditTrail:
    measures, trail = SiteMeasures(SITE, stream="cam"), AuditTrail(SITE, stream="cam", **options)
    for frame in frames(paths, fps=10, duration_s=duration_s):
        trail.process(frame, measures.process(frame))
    trail.close(measures.close())
    return trail


def test_sums_paths_and_near_misses() -> None:
    paths = {
        1: through((0, 0.5, 0.9), (4, 0.5, 0.1)),
        2: through((5, 0.6, 0.9), (9, 0.6, 0.1)),
        3: through((0, 0.3, 0.1), (6, 0.3, 0.9)),
        4: through((0, 0.7, 0.7), (2, 0.7, 0.52), (4, 0.7, 0.7)),
    }
    trail = trail_of(paths, duration_s=9)
    line, zone = trail.places["line"], trail.places["zone"]
    assert line.sums == {("in", "person"): 2, ("out", "person"): 1}
    assert zone.sums == {("entered", "person"): 2, ("found inside", "person"): 1}
    assert {reason: sample.total for reason, sample in line.missed.items()} == {"not_reached": 1}
    for one in line.counted.rows(lambda row: row.event.time_s):
        assert one.path[0].time_s < one.event.time_s < one.path[-1].time_s
        assert max(abs(point.time_s - one.event.time_s) for point in one.path) < 4
    assert trail.span_s == pytest.approx((0, 9))


def test_more_than_fit_are_a_sample_and_sums_are_of_all() -> None:
    paths = {number: through((0, 0.2 + 0.03 * number, 0.9), (4, 0.2 + 0.03 * number, 0.1)) for number in range(1, 11)}
    trail = trail_of(paths, duration_s=8, most=4)
    line = trail.places["line"]
    assert line.sums.total() == line.counted.total == 10
    assert len(line.counted.rows(lambda row: row.event.time_s)) == 4


def test_a_sample_is_fair() -> None:
    rng, hits = np.random.default_rng(5), np.zeros(20)
    for _ in range(2000):
        sample: Sample[int] = Sample(5, rng)
        for row in range(20):
            sample.add(row)
        hits[sample.rows(float)] += 1
    assert hits / 2000 == pytest.approx(0.25, abs=0.04)


def test_a_sketch_stays_small_and_keeps_its_ends() -> None:
    sketch = Sketch()
    for step in range(5000):
        sketch.add(PathPoint(time_s=step / 10, x=step / 5000, y=0.5), 16 / 9)
    points = sketch.between(0, 500)
    assert len(points) <= SKETCH_POINTS + 1
    assert (points[0].time_s, points[-1].time_s) == (0.0, 499.9)
    assert [point.time_s for point in points] == sorted(point.time_s for point in points)


def test_approaches_that_meet_are_one() -> None:
    approaches: list[Approach] = []
    for from_s, to_s in [(0, 1), (10, 11), (20, 21), (12, 19)]:
        joined(approaches, Approach(from_s=from_s, to_s=to_s, counted=1, net=1))
    assert [(one.from_s, one.to_s, one.counted) for one in approaches] == [(0, 1, 1), (10, 21, 3)]
    for step in range(100):
        joined(approaches, Approach(from_s=100 + 10 * step, to_s=100 + 10 * step, counted=1))
    assert len(approaches) == 16
    assert sum(one.counted for one in approaches) == 104


@pytest.mark.parametrize("place", [*SITE.lines, *SITE.zones], ids=["line", "zone"])
def test_every_reason_that_occurs_has_its_words(place) -> None:
    assert set(TITLES) == set(MEANINGS)
    for reason in TITLES:
        if isinstance(place, Zone) and reason in {"unsettled", "beyond_end"}:
            continue
        miss = NearMiss(
            stream="cam",
            place=place.name,
            identity=1,
            class_name="person",
            reason=reason,
            time_s=5.0,
            point=(0.5, 0.5),
            distance=0.0147,
            direction="in" if isinstance(place, Line) else "",
            from_s=4.8,
            to_s=9.0,
        )
        words = sentence(miss, place)
        assert words.endswith("It was first seen here.")
        assert "lost" not in words
