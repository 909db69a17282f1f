"""What happens to a camera, synthesised on pictures: faults that must be told, and changes that must not."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import cv2
import numpy as np
from numpy.typing import NDArray

from demos.scenes.road import road
from demos.scenes.shop import shop
from demos.scenes.world import Scene
from tests.sinks.streams import CLASS_NAMES
from tracker.engine.camera_state import CameraStateStage
from tracker.events import Event
from tracker.types import Frame, Instances, TrackedFrame

Image = NDArray[np.uint8]
Fault = Callable[[Image, float], Image]
FROM_S, TO_S, END_S = 8.0, 24.0, 31.0
"""The fault lasts from the first to the second; the picture is sound before and after."""


@cache
def scene(name: str) -> Scene:
    build = {"shop": shop, "road": road}[name]
    return build(duration_s=END_S, seed=3)


@cache
def picture(name: str, time_ms: int) -> Image:
    return scene(name).render(time_ms / 1000).image


def noise(image: Image, sigma: float, time_s: float) -> Image:
    rng = np.random.default_rng(round(time_s * 1000))
    return np.clip(image + rng.normal(0, sigma, image.shape), 0, 255).astype(np.uint8)


def warped(image: Image, matrix: NDArray[np.float64]) -> Image:
    return cv2.warpAffine(image, matrix, image.shape[1::-1], borderMode=cv2.BORDER_REFLECT)


def shifted(share_x: float, pixels_y: float = 0.0) -> Fault:
    return lambda image, _: warped(image, np.array([[1, 0, share_x * image.shape[1]], [0, 1, pixels_y]]))


def turned(degrees: float) -> Fault:
    def turn(image: Image, _: float) -> Image:
        height, width = image.shape[:2]
        return warped(image, cv2.getRotationMatrix2D((width / 2, height / 2), degrees, 1))

    return turn


def blurred(share: float, haze: float) -> Fault:
    def blur(image: Image, time_s: float) -> Image:
        soft = cv2.GaussianBlur(image, (0, 0), share * image.shape[1])
        return noise(cv2.addWeighted(soft, 1 - haze, np.full_like(soft, 200), haze, 0), 1.5, time_s)

    return blur


def dimmed(gain: float) -> Fault:
    return lambda image, time_s: noise((image * gain).astype(np.uint8), 1.5, time_s)


def dusk(image: Image, time_s: float) -> Image:
    """Down to a fifth of the light and back."""
    middle = (FROM_S + TO_S) / 2
    return dimmed(0.2 + 0.8 * min(abs(time_s - middle) / (middle - FROM_S), 1.0))(image, time_s)


def other_lights(image: Image, time_s: float) -> Image:
    """Half of the lamps go out at once: darker, and unevenly so."""
    share = np.linspace(0.8, 0.25, image.shape[1])[:, None]
    return noise((255 * (image / 255) ** 1.3 * share).astype(np.uint8), 2.0, time_s)


FAULTS: dict[str, tuple[str, Fault]] = {
    "cover": ("covered", lambda image, time_s: noise(np.full_like(image, 110), 1.5, time_s)),
    "spray": ("covered", blurred(0.03, 0.6)),
    "defocus": ("covered", blurred(0.03, 0.0)),
    "lights out": ("dark", dimmed(0.05)),
    "shift 2 %": ("camera_moved", shifted(0.02)),
    "shift 10 px": ("camera_moved", shifted(0.0, 10.0)),
    "turn 1.5 degrees": ("camera_moved", turned(1.5)),
    "turn 20 %": ("camera_moved", shifted(0.2)),
    "other view": ("camera_moved", lambda image, time_s: image[::-1, ::-1].copy()),
    "freeze": ("frozen", lambda image, time_s: image),
    "black": ("frozen dark", lambda image, time_s: np.zeros_like(image)),
}
HARMLESS: dict[str, Fault] = {
    "nothing": lambda image, _: image,
    "dusk": dusk,
    "other lights": other_lights,
    "infrared": lambda image, time_s: noise(image[..., 2:].repeat(3, axis=2), 3.0, time_s),
    "wind": lambda image, time_s: shifted(0.004 * np.sin(7 * time_s))(image, time_s),
}


def watch(
    name: str, fps: float, fault: Fault, *, freeze: bool = False, outage: tuple[float, float] = (0.0, 0.0), **options
) -> list[Event]:
    """Events of a scene with a fault, as the stage gives them."""
    stage = CameraStateStage(stream="cam", **options)
    found: list[Event] = []
    last_s = -1.0
    image = picture(name, 0)
    for index in range(round(END_S * fps)):
        time_s = index / fps
        if outage[0] <= time_s < outage[1]:
            continue
        # Rendering takes longer than the stage, which skips what lies between.
        if time_s - last_s > 0.49:
            last_s = time_s
            faulty = FROM_S <= time_s < TO_S
            image = picture(name, round((FROM_S if faulty and freeze else time_s) * 1000))
            image = fault(image, time_s) if faulty else image
        found += stage.process(tracked(image, index, time_s)).events
    return [*found, *stage.close()]


def tracked(image: Image | None, index: int, time_s: float, **frame) -> TrackedFrame:
    size = (640, 360) if image is None else (image.shape[1], image.shape[0])
    return TrackedFrame(
        frame=Frame(index=index, time_s=time_s, arrived_s=time_s, source="cam", size=size, image=image, **frame),
        instances=Instances.empty(),
        tracks=None,
        class_names=CLASS_NAMES,
    )
