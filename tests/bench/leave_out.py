"""Are the settings fitted to the sequences they were chosen on? Half of a set's sequences is tuned, the other scored.

The arguments are folders of a tracking benchmark; run it with ``python -m tests.bench.leave_out``. Each of the main
settings is set to the best of its values on one half (HOTA, one setting at a time); what was gained there is compared
with what the same choice gains on the other half, both ways round.
"""

from __future__ import annotations

import sys
import tempfile
from functools import partial
from pathlib import Path
from typing import Any

from tracker.associate.parameters import TrackerSettings
from tracker.associate.tracker import Tracker
from tracker.measure.associate import associate
from tracker.measure.evaluate import evaluate

CANDIDATES: dict[str, tuple[float, ...]] = {
    "lost_s": (1.0, 3.0),
    "buffer": (0.1, 0.2),
    "gate": (0.1, 0.2),
    "tentative_gate": (0.2, 0.3),
}


def score(half: Path, **settings: Any) -> float:
    """HOTA of the tracker with these settings, the mean over the classes."""
    with tempfile.TemporaryDirectory() as folder:
        associate(half, folder, tracker=partial(Tracker, settings=TrackerSettings(**settings)))
        combined = evaluate(half, folder).combined
    return (combined.get("all") or next(iter(combined.values())))["HOTA"]


def tune(half: Path) -> dict[str, float]:
    """Of each setting the value with which the half scores best; defaults are left out."""
    default = score(half)
    chosen = {}
    for name, values in CANDIDATES.items():
        best, value = max((score(half, **{name: value}), value) for value in values)
        if best > default:
            chosen[name] = value
    return chosen


def main() -> None:
    """Two lines per set."""
    for argument in sys.argv[1:]:
        root = Path(argument).resolve()
        sequences = sorted(folder for folder in root.iterdir() if folder.is_dir())
        with tempfile.TemporaryDirectory() as folder:
            halves = [Path(folder) / name for name in ("one", "other")]
            for place, half in enumerate(halves):
                half.mkdir()
                for sequence in sequences[place::2]:
                    (half / sequence.name).symlink_to(sequence)
            for half, rest in (halves, halves[::-1]):
                chosen = tune(half)
                tuned, held_out = (score(part, **chosen) - score(part) for part in (half, rest))
                sys.stdout.write(f"{root.name}: {chosen} tuned half {tuned:+.2f}, other half {held_out:+.2f} HOTA\n")
                sys.stdout.flush()


if __name__ == "__main__":
    main()
