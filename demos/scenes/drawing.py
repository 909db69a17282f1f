"""Rasteriser: projected polygons in painter's order with supersampled edges."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

__all__ = ["Drawing", "Light", "Shadow", "encode_colours", "fill", "shade", "to_linear"]

SUBPIXEL_BITS = 4
"""OpenCV draws at 1/16 of a (supersampled) pixel."""


def _unit(vector: Sequence[float]) -> NDArray[np.float64]:
    direction = np.array(vector, dtype=np.float64)
    return np.asarray(direction / np.linalg.norm(direction))


@dataclass(frozen=True, slots=True, kw_only=True)
class Light:
    """What lights a scene; colours are linear BGR.

    Attributes:
        sun: Unit vector ``(3,)`` towards the sun (or the strongest lamps).
        sun_colour: ``(3,)`` radiance of the sun on a facing surface.
        sky_colour: ``(3,)`` light from above.
        ground_colour: ``(3,)`` light from below.
        horizon_colour: ``(3,)`` what glossy surfaces mirror at the horizon.
        haze_colour: ``(3,)`` what distance fades to.
        haze_m: Distance at which 63 % has faded.
        blur: Softness of shadows as a share of the image's width.
    """

    sun: NDArray[np.float64] = field(default_factory=lambda: _unit((-0.45, 0.28, 0.85)))
    sun_colour: NDArray[np.float64] = field(default_factory=lambda: np.array([0.66, 0.73, 0.78]))
    sky_colour: NDArray[np.float64] = field(default_factory=lambda: np.array([0.50, 0.42, 0.36]))
    ground_colour: NDArray[np.float64] = field(default_factory=lambda: np.array([0.10, 0.11, 0.12]))
    horizon_colour: NDArray[np.float64] = field(default_factory=lambda: np.array([0.90, 0.85, 0.80]))
    haze_colour: NDArray[np.float64] = field(default_factory=lambda: np.array([0.62, 0.58, 0.54]))
    haze_m: float = 900.0
    blur: float = 0.008


@dataclass(frozen=True, slots=True, kw_only=True)
class Shadow:
    """One dark patch on the ground.

    Attributes:
        polygon_m: ``(K, 2)`` convex outline on the ground plane.
        brightness: What is left of the light, 0 black to 255 untouched.
    """

    polygon_m: NDArray[np.float64]
    brightness: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawing:
    """One object as seen by a camera.

    Attributes:
        polygons_px: ``(P, K, 2)`` image pixels, farthest first; shorter polygons repeat a corner.
        colours: ``(P, 3)`` uint8 BGR, or ``None`` where only the shape was asked for.
        footprint_m: ``(C, 2)`` convex outline on the ground plane, for the order between objects.
        shadows: Patches on the ground.
    """

    polygons_px: NDArray[np.floating[Any]]
    colours: NDArray[np.uint8] | None
    footprint_m: NDArray[np.float64]
    shadows: tuple[Shadow, ...] = ()


def to_linear(colours: Any) -> NDArray[np.float64]:
    """Display values 0..255 to linear light 0..1 (gamma 2.2).

    >>> to_linear([0, 255]).tolist()
    [0.0, 1.0]
    """
    return np.asarray((np.asarray(colours, dtype=np.float64) / 255.0) ** 2.2)


def _display_table() -> NDArray[np.uint8]:
    """Display values of linear light, indexed by 1024 times its square root (even steps for the eye)."""
    light = (np.arange(4097) / 1024.0) ** 2
    bright = np.maximum(light - 0.8, 0.0)
    rolled = np.minimum(light, 0.8) + 0.2 * bright / (bright + 0.2)
    return np.asarray((255.0 * rolled ** (1 / 2.2) + 0.5).astype(np.uint8))


_DISPLAY = _display_table()


def encode_colours(light: NDArray[np.floating[Any]]) -> NDArray[np.uint8]:
    """Linear light to display values, with a soft shoulder above 0.8 instead of a hard clip.

    >>> encode_colours(np.array([0.0, 0.2, 9.0])).tolist()
    [0, 122, 254]
    """
    index = np.sqrt(np.clip(light, 0.0, 16.0).astype(np.float32)) * np.float32(1024)
    return np.asarray(_DISPLAY[index.astype(np.int16)])


def shade(
    *,
    normals: NDArray[np.floating[Any]],
    towards_camera: NDArray[np.floating[Any]],
    albedo: NDArray[np.floating[Any]],
    gloss: NDArray[np.floating[Any]],
    glow: NDArray[np.floating[Any]],
    occlusion: NDArray[np.floating[Any]],
    light: Light,
) -> NDArray[np.float64]:
    """Linear colours ``(F, 3)`` of faces: ambient, sun, and a clear coat that mirrors sky and ground (Schlick 1994).

    Args:
        normals: ``(F, 3)`` unit.
        towards_camera: ``(F, 3)`` unit.
        albedo: ``(F, 3)`` linear BGR.
        gloss: ``(F,)`` strength of the mirror, 0 matt, 1 car paint, 2 glass.
        glow: ``(F,)`` light of its own, as a multiple of the albedo.
        occlusion: ``(F,)`` share of the surroundings that the face sees.
        light: The scene's light.
    """
    up = normals[:, 2:3]
    ambient = light.ground_colour + (light.sky_colour - light.ground_colour) * (0.5 + 0.5 * up)
    facing = np.maximum(normals @ light.sun, 0.0)[:, None]
    diffuse = albedo * (
        ambient * occlusion[:, None] + light.sun_colour * facing * np.minimum(occlusion[:, None] * 1.3, 1.0)
    )
    cosine = np.clip(np.einsum("ij,ij->i", normals, towards_camera), 0.0, 1.0)
    mirrored = 2 * cosine[:, None] * normals - towards_camera
    fresnel = (0.05 + 0.75 * (1 - cosine) ** 4) * gloss
    height = mirrored[:, 2:3]
    sky = light.horizon_colour + (light.sky_colour * 0.9 - light.horizon_colour) * np.clip(height, 0, 1) ** 0.6
    # Clouds: without them flat panes and bonnets would mirror one even grey.
    clouds = np.sin(5 * mirrored[:, 0:1] + 3 * mirrored[:, 1:2] + 2 * np.sin(4 * mirrored[:, 1:2]))
    sky = sky * (1.05 + 0.45 * clouds)
    blend = np.clip(height * 8 + 0.5, 0, 1)
    surroundings = light.ground_colour * 1.2 + (sky - light.ground_colour * 1.2) * blend
    highlight = np.maximum(mirrored @ light.sun, 0.0) ** 60 * np.minimum(gloss, 1.5) * 1.6
    return np.asarray(
        diffuse
        + surroundings * (fresnel * occlusion)[:, None]
        + light.sun_colour * highlight[:, None]
        + albedo * glow[:, None]
    )


def fill(
    canvas: NDArray[np.uint8],
    polygons_px: NDArray[np.floating[Any]],
    colours: Sequence[Any],
    *,
    origin_px: tuple[int, int],
    supersample: int,
) -> None:
    """Draw polygons over a canvas in the order given.

    Args:
        canvas: ``(h * supersample, w * supersample[, C])``, changed in place.
        polygons_px: ``(P, K, 2)`` in image pixels.
        colours: ``P`` values, one scalar or tuple each.
        origin_px: Image position ``(x, y)`` of the canvas' top left corner.
        supersample: Canvas cells per image pixel and axis.
    """
    scale = supersample << SUBPIXEL_BITS
    # OpenCV counts from the centre of the first pixel, this project from its edge.
    shift = (np.array(origin_px) * scale) + (1 << (SUBPIXEL_BITS - 1))
    corners = np.clip(np.rint(polygons_px * scale - shift), -(1 << 24), 1 << 24).astype(np.int32)
    draw = cv2.fillConvexPoly
    for polygon, colour in zip(corners, colours, strict=True):
        draw(canvas, polygon, colour, cv2.LINE_8, SUBPIXEL_BITS)
