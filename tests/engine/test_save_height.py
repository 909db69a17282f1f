"""Video and pictures at fewer lines: their size, equal records, covered first, and nothing full-size without need."""

from __future__ import annotations

from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from tests.segment.models import end2end_model
from tests.sources.videos import write_video
from tracker import run
from tracker.engine.plan import plan_run
from tracker.errors import ConfigError
from tracker.render.privacy_paint import FILL
from tracker.settings.site_file import write_site
from tracker.settings.stream import RunSettings
from tracker.site import PrivacyZone, Site


@pytest.fixture
def clip(tmp_path: Path) -> tuple[Path, Path]:
    """A model that sees a person on the left and a car on the right of every picture, and a clip of 256 x 192."""
    model = end2end_model(tmp_path / "model.onnx")
    return model, write_video(tmp_path / "in.mp4", count=8, size=(256, 192))


def frames_of(path: Path) -> list[np.ndarray]:
    with av.open(str(path)) as container:
        return [one.to_ndarray(format="bgr24") for one in container.decode(video=0)]


@pytest.mark.parametrize("refine", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_the_video_is_smaller_and_the_records_are_the_same(clip, tmp_path: Path, refine: bool) -> None:
    model, video = clip
    large, small = tmp_path / "large.mp4", tmp_path / "small.mp4"
    run(video, model=model, save=large, records=tmp_path / "large.jsonl", refine=refine)
    run(video, model=model, save=small, records=tmp_path / "small.jsonl", refine=refine, save_height=96)
    assert (tmp_path / "large.jsonl").read_bytes() == (tmp_path / "small.jsonl").read_bytes()
    before, after = frames_of(large), frames_of(small)
    assert [len(before), len(after)] == [8, 8]
    assert after[0].shape == (96, 128, 3)
    expected = [cv2.resize(one, (128, 96), interpolation=cv2.INTER_AREA).astype(float) for one in before]
    assert np.abs(np.array(after) - expected).mean() < 12  # lines are relatively wider in small pictures


def test_persons_and_zones_are_covered_before_pictures_are_made_smaller(clip, tmp_path: Path) -> None:
    model, video = clip
    (tmp_path / "p").mkdir()
    zone = PrivacyZone(name="window", polygon=((0.6, 0.5), (1.0, 0.5), (1.0, 1.0), (0.6, 1.0)))
    write_site(tmp_path / "site.yaml", Site(privacy=(zone,)))
    options = {"site": tmp_path / "site.yaml", "draw": "none", "privacy": "fill", "save_height": 96}
    run(video, model=model, save=tmp_path / "p" / "{frame}.png", **options)
    found = [cv2.imread(str(path)) for path in sorted((tmp_path / "p").glob("*.png"))]
    assert [image.shape for image in found] == [(96, 128, 3)] * 8
    assert all((image[26:70, 16:35] == FILL).all() for image in found)
    assert all((image[50:, 79:] == FILL).all() for image in found)


def test_full_size_pictures_are_made_only_where_something_needs_them(clip, tmp_path: Path) -> None:
    _, video = clip
    write_site(tmp_path / "site.yaml", Site(privacy=(PrivacyZone(name="w", polygon=((0, 0), (1, 0), (1, 1))),)))
    common = {"sources": (str(video),), "save": str(tmp_path / "o.mp4"), "save_height": 96}
    wanted = {
        "small alone": {},
        "covered": {"privacy": "fill"},
        "zone": {"site": str(tmp_path / "site.yaml")},
        "embeddings": {"reid": "r.onnx"},
        "records alone": {"save": None},
        "full": {"save_height": None},
    }
    found = {name: plan_run(RunSettings(**{**common, **more}))[0] for name, more in wanted.items()}
    assert {name: (plan.wants_images, plan.small_height) for name, plan in found.items()} == {
        "small alone": (False, 96),
        "covered": (True, None),
        "zone": (True, None),
        "embeddings": (True, 96),
        "records alone": (False, None),
        "full": (True, None),
    }


def test_too_few_lines_are_refused(clip, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="save_height"):
        run(clip[1], save=tmp_path / "o.mp4", save_height=20)
