"""What an identity took before it was confirmed."""

from __future__ import annotations

import numpy as np

from tracker.associate.tracker import Tracker
from tracker.types import Instances


def instances(*boxes: tuple[float, float, float, float]) -> Instances:
    return Instances(
        boxes=np.array(boxes, np.float32).reshape(-1, 4),
        scores=np.full(len(boxes), 0.6, np.float32),
        class_ids=np.zeros(len(boxes), np.int64),
    )


def test_a_new_identity_names_every_row_it_took() -> None:
    """A box without area comes first in every other frame, so rows are those of the frame, not of the usable ones."""
    tracker, given = Tracker(), []
    for index in range(20):
        box = (100.0 + 4 * index, 100.0, 140.0 + 4 * index, 200.0)
        bad = (50.0, 50.0, 50.0, 50.0)
        tracks = tracker.update(instances(bad, box) if index % 2 else instances(box), index / 25)
        given.append(tracks)
        if index == 2:
            restored = Tracker()
            restored.restore(tracker.state())
            tracker = restored
    confirmed = next(index for index, tracks in enumerate(given) if len(tracks))
    assert confirmed >= 1
    expected = [[1, ago, (confirmed - ago) % 2] for ago in range(1, confirmed + 1)]
    assert given[confirmed].earlier_rows.tolist() == expected
    assert all(tracks.earlier_rows.shape == (0, 3) for n, tracks in enumerate(given) if n != confirmed)
