"""The association benchmark measures what it says; no test here is timed."""

from __future__ import annotations

import json

import numpy as np
import pytest

from tracker.measure.bench_associate import bench_associate, crowd
from tracker.measure.tables import association_table


@pytest.mark.slow
def test_every_setting_has_its_row_and_the_table_and_json_show_them() -> None:
    bench = bench_associate((5, 12), frames=6, rounds=2, peers=False)
    assert [(cost.objects, cost.tracker) for cost in bench.costs] == [
        (5, "masktrail"),
        (5, "masktrail with masks"),
        (12, "masktrail"),
        (12, "masktrail with masks"),
    ]
    assert all(0 < cost.median_ms <= cost.p99_ms for cost in bench.costs)
    assert json.loads(json.dumps(bench.as_json()))["costs"][0]["ratio"] == 1
    assert association_table(bench).row_count == 4


def test_crowds_are_the_same_every_time_and_of_the_size_asked() -> None:
    one, other = (crowd(50, 30, np.random.default_rng(1)) for _ in range(2))
    for a, b in zip(one, other, strict=True):
        np.testing.assert_array_equal(a.boxes, b.boxes)
    assert 42 < np.mean([len(instances) for instances in one]) < 52
