"""``--split`` on real clips: ids, rows, boxes and events of an unsplit run."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.command import Run

pytest.importorskip("pyarrow")
from pyarrow import parquet

SITE = """\
version: 1
lines: [{name: across, points: [[0.0, 0.55], [1.0, 0.55]]}, {name: down, points: [[0.5, 0.05], [0.5, 1.0]]}]
zones: [{name: middle, polygon: [[0.25, 0.3], [0.75, 0.3], [0.75, 0.9], [0.25, 0.9]]}]
"""
CLIPS = (
    "corridor.mp4",
    "crowd.mp4",
    "dashcam.mp4",
    "moving_pedestrians.avi",
    "retail.mp4",
    "street.mp4",
    "traffic.mp4",
)


@pytest.mark.slow
@pytest.mark.data
@pytest.mark.timeout(3000)
@pytest.mark.parametrize("name", CLIPS)
def test_a_clip_in_chunks_is_the_clip(
    run: Run, data_root: Path, tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tracker.batch.split.CHUNK_S", 2.0)
    clip, site = data_root / "clips" / name, tmp_path / "site.yaml"
    site.write_text(SITE)
    found = {}
    for way in ("whole", "split"):
        out = tmp_path / way
        words = ["--split"] if way == "split" else []
        result = run("batch", clip, "--out", out, "--site", site, "--processes", 2, "--quiet", *words)
        assert result.status == 0, result.err
        [manifest] = [json.loads(path.read_text("utf-8")) for path in (out / "manifest").glob("*.json")]
        found[way] = out, manifest
    whole, split = found["whole"][1], found["split"][1]
    assert set(whole["files"]) == {"records", "identities", "events"}
    assert split["sha256"] == whole["sha256"]
    assert (split["frames"], split["identities"], split["counts"]) == (
        whole["frames"],
        whole["identities"],
        whole["counts"],
    )
    rows, events = (
        parquet.read_metadata(found["split"][0] / split["files"][kind]).num_rows for kind in ("records", "events")
    )
    assert rows > 0
    assert events > 0
    print(f"\n{name}: {split['frames']} frames, {rows} rows, {events} events equal; notes: {split['notes']}")  # noqa: T201
