"""Backdrops: scenery drawn once, with depth."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from demos.scenes.drawing import encode_colours, shade
from demos.scenes.world import Backdrop

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from demos.scenes.camera import Camera
    from demos.scenes.drawing import Light
    from demos.scenes.mesh import Mesh

__all__ = ["Noise", "Plate", "soft_step"]

OVERSAMPLED_UP_TO_PX = 1_500_000
"""Up to so many pixels, pictures are drawn at twice their size and averaged down; larger ones at their own size, to
bound memory (peak RSS of building both scenes at 1920 x 1080: 0.58 GB)."""


def soft_step(low: float, high: float, values: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
    """0 below ``low``, 1 above ``high``, a smooth cubic between.

    >>> soft_step(0, 2, np.array([-1.0, 1.0, 3.0])).tolist()
    [0.0, 0.5, 1.0]
    """
    share = np.clip((values - low) / (high - low), 0.0, 1.0)
    return np.asarray(share * share * (3 - 2 * share))


class Noise:
    """Smooth random fields over the plane (value noise, Perlin 1985), the same for one seed.

    Args:
        rng: Source of the lattice.
    """

    def __init__(self, rng: np.random.Generator) -> None:
        lattice = rng.random((256, 256)).astype(np.float32)
        # Cubic steps between lattice points are sampled once, four to a cell; linear interpolation does the rest.
        place = np.arange(1024) / 4
        cell = place.astype(int)
        share = soft_step(0, 1, place - cell).astype(np.float32)
        rows = lattice[cell] * (1 - share[:, None]) + lattice[(cell + 1) & 255] * share[:, None]
        self._table = rows[:, cell] * (1 - share) + rows[:, (cell + 1) & 255] * share

    def field(
        self, x: NDArray[np.floating[Any]], y: NDArray[np.floating[Any]], *, octaves: int = 1
    ) -> NDArray[np.float32]:
        """Values 0..1 with features about one unit wide; each further octave is half as wide and half as strong."""
        shape, count = np.shape(x), np.size(x)
        if not count:
            return np.zeros(shape, np.float32)
        # OpenCV resamples pictures of fewer than 32768 columns, so the points are folded into rows.
        rows = -(-count // 1024)
        place = np.zeros((2, rows * 1024), np.float32)
        place[0, :count], place[1, :count] = np.ravel(x), np.ravel(y)
        # The lattice repeats every 256 units, and OpenCV keeps coordinates in 16 bits.
        place = np.mod(place * 4, 1024)
        total, weight = np.zeros((rows, 1024), np.float32), 0.0
        for octave in range(octaves):
            u, v = place.reshape(2, rows, 1024) + np.float32(37.7 * octave)
            total += cv2.remap(self._table, u, v, cv2.INTER_LINEAR, borderMode=cv2.BORDER_WRAP) * np.float32(
                0.5**octave
            )
            weight += 0.5**octave
            place *= 2
        return np.asarray((total.ravel()[:count] / np.float32(weight)).reshape(shape))


class Plate:
    """The picture that scenery is drawn on, with the depth of every pixel.

    Args:
        camera: The panorama that the backdrop is for.
        light: What lights it.
    """

    def __init__(self, camera: Camera, light: Light) -> None:
        width, height = camera.size
        self._scale = scale = 2 if width * height <= OVERSAMPLED_UP_TO_PX else 1
        self.light = light
        self.camera = replace(camera, focal_px=camera.focal_px * scale, size=(width * scale, height * scale))
        self.size = (width, height)
        columns, rows = self.camera.size
        grid = np.stack(np.meshgrid(np.arange(columns) + 0.5, np.arange(rows) + 0.5), axis=-1)
        self.rays = self.camera.rays(grid).astype(np.float32)  # (H, W, 3), one metre of depth each
        self.image = np.zeros((rows, columns, 3), np.uint8)
        self.depth = np.full((rows, columns), np.inf, np.float32)
        self.ground = np.zeros((rows, columns), np.uint8)

    def plane(
        self, height_m: float = 0.0, *, reach_m: float = 1e4
    ) -> tuple[NDArray[np.bool_], NDArray[np.float64], NDArray[np.float64]]:
        """Where a horizontal plane shows: mask ``(H, W)``, points ``(N, 2)`` in metres, depths ``(N,)``."""
        up = self.rays[..., 2]
        rise = height_m - self.camera.position_m[2]
        with np.errstate(divide="ignore", invalid="ignore"):
            depth = rise / up
        mask = np.isfinite(depth) & (depth > 0.05) & (depth < reach_m)
        depths = depth[mask]
        return mask, self.rays[mask][:, :2] * depths[:, None] + np.array(self.camera.position_m[:2], np.float32), depths

    def sky(self, *, above: float) -> tuple[NDArray[np.bool_], NDArray[np.float32]]:
        """Where the ``z`` of unit rays is more than ``above``: mask ``(H, W)`` and unit rays ``(N, 3)``."""
        unit = self.rays / np.sqrt(np.einsum("hwc,hwc->hw", self.rays, self.rays))[..., None]
        mask = unit[..., 2] > above
        return mask, unit[mask]

    def wall(self, axis: int, place_m: float) -> tuple[NDArray[np.bool_], NDArray[np.float64], NDArray[np.float64]]:
        """Where the upright plane ``x = place_m`` (axis 0) or ``y = place_m`` (axis 1) shows: mask, points, depths."""
        with np.errstate(divide="ignore", invalid="ignore"):
            depth = (place_m - self.camera.position_m[axis]) / self.rays[..., axis]
            up = self.camera.position_m[2] + self.rays[..., 2] * depth
        mask = np.isfinite(depth) & (depth > 0.05) & (depth < 1e3) & (up > -0.05)
        depths = depth[mask]
        return mask, self.rays[mask] * depths[:, None] + np.array(self.camera.position_m, np.float32), depths

    def paint(
        self,
        mask: NDArray[np.bool_],
        depths: NDArray[np.floating[Any]],
        light: NDArray[np.floating[Any]],
        *,
        is_ground: bool = False,
    ) -> None:
        """Put linear colours ``(N, 3)`` on ``mask`` wherever they are nearer than what is there."""
        nearer = depths < self.depth[mask]
        shown = mask.copy()
        shown[mask] = nearer
        self.image[shown] = encode_colours(light[nearer])
        self.depth[shown] = depths[nearer]
        self.ground[shown] = 255 if is_ground else 0

    def mesh(self, mesh: Mesh, *, solid: bool = True) -> None:
        """Draw quads (world axes) with shading and depth; ``solid`` leaves out what faces away."""
        camera = self.camera
        towards = np.array(camera.position_m) - mesh.centres
        distance = np.linalg.norm(towards, axis=1)
        facing = (mesh.normals * towards).sum(axis=1) > 0 if solid else np.ones(len(distance), np.bool_)
        pixels, depth = camera.project(mesh.quads.reshape(-1, 3))
        pixels, depth = pixels.reshape(-1, 4, 2), depth.reshape(-1, 4)
        width, height = camera.size
        inside = (
            (depth.min(axis=1) > 0.2)
            & (pixels.max(axis=1) > 0).all(axis=1)
            & (pixels.min(axis=1) < (width, height)).all(axis=1)
        )
        rows = np.flatnonzero(facing & inside)
        colours = shade(
            normals=mesh.shading[rows],
            towards_camera=towards[rows] / distance[rows, None],
            albedo=mesh.albedo[rows],
            gloss=mesh.gloss[rows],
            glow=mesh.glow[rows],
            occlusion=mesh.occlusion[rows],
            light=self.light,
        )
        faded = np.exp(-distance[rows] / self.light.haze_m)[:, None]
        shown = encode_colours(colours * faded + self.light.haze_colour * (1 - faded))
        for number, row in enumerate(rows):
            self._face(pixels[row], depth[row], float(mesh.bias[row]), shown[number])

    def _face(
        self, corners: NDArray[np.float64], depth: NDArray[np.float64], bias: float, colour: NDArray[np.uint8]
    ) -> None:
        """One quad: 1/depth is linear over the picture, so three corners give it everywhere."""
        rows, columns = self.depth.shape
        x0, y0 = np.maximum(np.floor(corners.min(axis=0)).astype(int), 0)
        x1, y1 = np.minimum(np.ceil(corners.max(axis=0)).astype(int) + 1, (columns, rows))
        if x1 <= x0 or y1 <= y0:
            return
        inside = np.zeros((y1 - y0, x1 - x0), np.uint8)
        cv2.fillConvexPoly(inside, np.rint((corners - (x0 + 0.5, y0 + 0.5)) * 16).astype(np.int32), 1, cv2.LINE_8, 4)
        slope_x, slope_y, level = _plane_through(corners, 1 / depth)
        inverse = slope_x * (np.arange(x0, x1) + 0.5)[None, :] + slope_y * (np.arange(y0, y1) + 0.5)[:, None] + level
        found = (1 / np.clip(inverse, 1 / depth.max(), 1 / depth.min())).astype(np.float32)
        region = (slice(y0, y1), slice(x0, x1))
        shows = (inside > 0) & (found - bias < self.depth[region])
        self.image[region][shows] = colour
        self.depth[region][shows] = found[shows]
        self.ground[region][shows] = 0

    def blobs(
        self,
        points: NDArray[np.floating[Any]],
        radii_m: NDArray[np.floating[Any]],
        light: NDArray[np.floating[Any]],
        *,
        haze: bool = True,
    ) -> NDArray[np.bool_]:
        """Draw balls ``(N, 3)`` (leaves, fruit) with one linear colour each; returns where they show ``(H, W)``."""
        drawn = np.zeros(self.depth.shape, np.bool_)
        pixels, depth = self.camera.project(points)
        radii = radii_m * self.camera.focal_px / np.maximum(depth, 0.1)
        if haze:
            faded = np.exp(-depth / self.light.haze_m)[:, None]
            light = light * faded + self.light.haze_colour * (1 - faded)
        colours = encode_colours(light).tolist()
        width, height = self.camera.size
        shown = (depth > 0.5) & (pixels[:, 0] > -radii) & (pixels[:, 1] > -radii)
        shown &= (pixels[:, 0] < width + radii) & (pixels[:, 1] < height + radii)
        centres, sizes = np.rint(pixels * 16).astype(np.int64), np.maximum(np.rint(radii * 16), 8).astype(int)
        for row in np.argsort(-depth):
            if not shown[row]:
                continue
            x, y = int(centres[row, 0]), int(centres[row, 1])
            reach = int(sizes[row] / 16) + 2
            x0, y0 = max(x // 16 - reach, 0), max(y // 16 - reach, 0)
            x1, y1 = min(x // 16 + reach + 1, width), min(y // 16 + reach + 1, height)
            if x1 <= x0 or y1 <= y0:
                continue
            stamp = np.zeros((y1 - y0, x1 - x0), np.uint8)
            cv2.circle(stamp, (x - 16 * x0, y - 16 * y0), int(sizes[row]), 1, -1, cv2.LINE_8, 4)
            region = (slice(y0, y1), slice(x0, x1))
            shows = (stamp > 0) & (depth[row] < self.depth[region])
            self.image[region][shows] = colours[row]
            self.depth[region][shows] = depth[row]
            self.ground[region][shows] = 0
            drawn[region] |= shows
        return drawn

    def ruffle(self, mask: NDArray[np.bool_], noise: Noise, amount_px: float) -> None:
        """Fray what ``mask`` shows: each pixel takes the place of one up to ``amount_px`` picture pixels away."""
        amount = amount_px * self._scale
        size = max(round(amount * 2) | 1, 3)
        near = cv2.dilate(mask.astype(np.uint8), np.ones((size, size), np.uint8)) > 0
        rows, columns = (axis.astype(np.float32) for axis in np.nonzero(near))
        pitch = 0.5 / amount
        shift = [
            (noise.field(columns * pitch + 91 * n, rows * pitch + 17 * n, octaves=3) - 0.5) * (4.0 * amount)
            for n in (0, 1)
        ]
        last_row, last_column = mask.shape[0] - 1, mask.shape[1] - 1
        from_rows = np.clip(rows + shift[0], 0, last_row).astype(np.intp)
        from_columns = np.clip(columns + shift[1], 0, last_column).astype(np.intp)
        # Only foliage moves, and it never pulls in anything else: rails and signs keep their edges.
        moves = mask[from_rows, from_columns] | mask[near]
        keeps = ~mask[near] & (self.depth[near] < self.depth[from_rows, from_columns])
        moves &= ~keeps & (mask[from_rows, from_columns] | (self.depth[from_rows, from_columns] > self.depth[near]))
        target = np.flatnonzero(near)[moves]
        source = (from_rows * mask.shape[1] + from_columns)[moves]
        for picture in (self.image.reshape(-1, 3), self.depth.reshape(-1), self.ground.reshape(-1)):
            picture[target] = picture[source].copy()

    def finish(self, *, blur_px: float = 0.0) -> Backdrop:
        """The backdrop at the picture's own size.

        Args:
            blur_px: Standard deviation of the lens' softness.
        """
        image = cv2.resize(self.image, self.size, interpolation=cv2.INTER_AREA)
        if blur_px > 0:
            image = cv2.GaussianBlur(image, (0, 0), blur_px)
        step = self._scale
        depth, rays = self.depth[::step, ::step], self.rays[::step, ::step]
        ground = self.ground[::step, ::step]
        with np.errstate(invalid="ignore"):
            range_m = np.where((ground > 0) | ~np.isfinite(depth), np.inf, depth * np.hypot(rays[..., 0], rays[..., 1]))
        return Backdrop(image=image, range_m=range_m.astype(np.float32), shadowed=np.ascontiguousarray(ground))


def _plane_through(corners: NDArray[np.float64], values: NDArray[np.float64]) -> tuple[float, float, float]:
    """``a, b, c`` of ``a x + b y + c`` through the two diagonals of a quad; flat where it is seen edge-on."""
    (ax, ay), (bx, by) = corners[2] - corners[0], corners[3] - corners[1]
    area = ax * by - ay * bx
    middle, level = corners.mean(axis=0), float(values.mean())
    if abs(area) < 1e-9:
        return 0.0, 0.0, level
    da, db = values[2] - values[0], values[3] - values[1]
    slope_x, slope_y = (da * by - db * ay) / area, (db * ax - da * bx) / area
    return float(slope_x), float(slope_y), float(level - slope_x * middle[0] - slope_y * middle[1])
