"""No clear pixel of a confirmed person leaves a service: not to a viewer, into a recording, a picture, or a broker."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

import av
import cv2
import numpy as np
import pytest

from tests.segment.models import brightness_model
from tests.service.test_viewers import Page
from tests.sinks.broker import Broker, Watcher, needs_broker
from tests.sources.cameras import wait_until
from tests.sources.videos import write_video
from tracker.service.cameras import LiveService
from tracker.service.viewers import Viewers
from tracker.settings.dashboard import DashboardSettings
from tracker.settings.service import ServiceSettings
from tracker.settings.stream import CameraSettings

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tracker.engine.plan import StreamPlan
    from tracker.engine.stream import Stream

pytestmark = [needs_broker, pytest.mark.slow]

SIZE, FPS, FRAMES = (160, 96), 20, 160
MISSED = {4, 5, 6}
"""Of every 20 frames, from the second 20 on: the model finds nothing in them, and the person is there."""
BODY = slice(30, 66), slice(22, 42)
"""Rows and columns of the person, who is all red; the model's mask is rows 24 to 72, columns 16 to 48."""
SITE = "revision: 1\nzones:\n  - {name: hall, polygon: [[0, 0], [1, 0], [1, 1], [0, 1]]}\n"
IMAGES = (b"\xff\xd8\xff", b"\x89PNG", b"RIFF", b"GIF8", b"/9j/", b"iVBOR")
"""How pictures begin, also as base64."""


def hall(number: int, size: tuple[int, int]) -> np.ndarray:
    """A red person on white; on black where the model, whose scores are the brightness, sees nobody."""
    missed = number >= 20 and number % 20 in MISSED
    image = np.full((size[1], size[0], 3), 0 if missed else 255, np.uint8)
    image[BODY] = (0, 0, 255)
    return image


def red_px(image: np.ndarray) -> int:
    """Pixels that are more red than anything else."""
    parts = image.astype(int)
    return int(((parts[..., 2] - parts[..., 1] > 40) & (parts[..., 2] - parts[..., 0] > 40)).sum())


def decoded(path: Path) -> list[np.ndarray]:
    with av.open(str(path)) as container:
        return [one.to_ndarray(format="bgr24") for one in container.decode(video=0)]


@pytest.fixture
def broker(tmp_path: Path):
    broker = Broker(tmp_path / "broker")
    yield broker
    broker.stop()


class Watching:
    """Viewers of a service, behind a tap that leaves their thread the time to see most frames of a recording."""

    def __init__(self, names: tuple[str, ...]) -> None:
        self.viewers = Viewers(DashboardSettings(folder="x", preview_fps=FPS))
        self.page = Page(self.viewers)
        wish = [{"width": SIZE[0], "variant": variant, "fps": FPS} for variant in ("masked", "clear")]
        self.viewers.watch(dict.fromkeys(names, wish))

    def opened(self, plan: StreamPlan, stream: Stream, class_names: Sequence[str]) -> None:
        self.viewers.opened(plan, stream, class_names)
        stream.taps.add(lambda _: time.sleep(0.02))

    def closed(self, name: str, *, continued: bool = False) -> None:
        self.viewers.closed(name, continued=continued)

    def pictures(self, name: str) -> dict[str, list[np.ndarray]]:
        """What the viewer got of a camera, by variant."""
        found: dict[str, list[np.ndarray]] = {"masked": [], "clear": []}
        for header, body in self.page.of("picture"):
            if header["stream"] == name:
                jpeg = np.frombuffer(body[header["state_bytes"] :], np.uint8)
                found[header["variant"]].append(cv2.imdecode(jpeg, cv2.IMREAD_COLOR))
        return found

    def close(self) -> None:
        self.page.close()
        self.viewers.close()


@pytest.mark.parametrize("privacy", ["fill", "none"])
def test_no_clear_pixel_of_a_person_leaves_the_service(tmp_path: Path, broker: Broker, privacy: str) -> None:
    """With ``none`` the same pictures show the person: so they would be seen here."""
    brightness_model(tmp_path / "mean.onnx")
    (tmp_path / "site.yaml").write_text(SITE)
    (tmp_path / "pictures").mkdir()
    clip = write_video(tmp_path / "hall.mkv", count=FRAMES, size=SIZE, rate=FPS, draw=hall, options={"crf": "1"})
    outputs = {"video": tmp_path / "video.mkv", "pictures": tmp_path / "pictures" / "{frame}.png"}
    shared = {
        "model": str(tmp_path / "mean.onnx"),
        "site": str(tmp_path / "site.yaml"),
        "events": broker.url(),
        "spool": str(tmp_path / "spool"),
        "privacy": privacy,
        "draw": "none",
    }
    cameras = tuple(
        CameraSettings(name=name, url=str(clip), save=str(save), **shared) for name, save in outputs.items()
    )
    watcher, watching = Watcher(broker), Watching(tuple(outputs))
    try:
        service = LiveService(ServiceSettings(cameras=cameras, device="cpu"), onlooker=watching)
        watching.viewers.engine = service.engine
        try:
            assert service.engine.wait(120)
        finally:
            service.close()
        seen = {name: watching.pictures(name) for name in outputs}
        assert wait_until(lambda: len(watcher.of("masktrail/rows")) >= 2)
    finally:
        watching.close()
        watcher.close()
    assert all(pictures for by_variant in seen.values() for pictures in by_variant.values())
    video, saved = (
        decoded(outputs["video"]),
        [cv2.imread(str(path)) for path in sorted(outputs["pictures"].parent.iterdir())],
    )
    assert (len(video), len(saved)) == (FRAMES, FRAMES)
    masked = [picture for by_variant in seen.values() for picture in by_variant["masked"]]
    clear = [picture for by_variant in seen.values() for picture in by_variant["clear"]]
    assert max(map(red_px, masked)) == 0
    body_px = (BODY[0].stop - BODY[0].start) * (BODY[1].stop - BODY[1].start)
    for left in (clear, video, saved):
        if privacy == "fill":
            assert max(map(red_px, left)) == 0
        else:
            assert min(map(red_px, left)) > body_px / 2
    for topic, body, _ in watcher.messages:
        assert not any(begin in body for begin in IMAGES), topic
