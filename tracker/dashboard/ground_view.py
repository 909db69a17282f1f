"""A calibrated ground as the editor draws it: its metric grid in the picture, and how far each known point lies off."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from tracker.dashboard.problems import ApiError
from tracker.dashboard.sites import problem_of, site_of_json
from tracker.render.ground_grid import grid_lines

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from tracker.ground import Ground

__all__ = ["ground_view"]

SHARE_DIGITS, METRE_DIGITS = 5, 4


def ground_view(value: dict[str, Any], size: tuple[int, int] | None) -> dict[str, Any]:
    """Points with their residuals and the grid, or what is wrong; places in shares of the picture.

    Args:
        value: ``ground`` of a site, as the page sends it.
        size: Of the picture in pixels, where it is known: then ``pixel_m`` is the least and the most that one pixel
            down the picture is at the points, in metres.
    """
    try:
        found = site_of_json({"ground": value}).ground
    except ApiError as refusal:
        return {"problems": [problem_of(refusal)], "ground": None}
    return {"problems": [], "ground": None if found is None else _drawn(found, size)}


def _drawn(ground: Ground, size: tuple[int, int] | None) -> dict[str, Any]:
    known = np.array([point.metres for point in ground.known])
    put, off_m = ground.to_picture(known), ground.residuals_m
    step, lines = grid_lines(ground)
    pixel_m = None
    if size is not None:
        down_m = ground.metres_per_share(np.array([point.at for point in ground.known]))[:, 1] / size[1]
        pixel_m = [float(down_m.min()), float(down_m.max())]
    return {
        "points": [
            {"at": list(point.at), "metres": list(point.metres), "put_at": _shares(place), "off_m": _metres(off)}
            for point, place, off in zip(ground.known, put, off_m.tolist(), strict=True)
        ],
        "is_checked": ground.is_checked,
        "residual_m": _metres(ground.residual_m),
        "pixel_m": pixel_m,
        "step_m": step,
        "lines": [
            # Straight on the ground is straight in the picture: two ends are the whole piece.
            {
                "axis": "xy"[line.axis],
                "metres": line.metres,
                "is_strong": line.is_strong,
                "ends": [_shares(piece[0]), _shares(piece[-1])],
            }
            for line in lines
            for piece in line.pieces
        ],
    }


def _shares(place: NDArray[np.float64]) -> list[float] | None:
    """A place in the picture; ``None`` behind the camera."""
    return [round(value, SHARE_DIGITS) for value in place.tolist()] if np.isfinite(place).all() else None


def _metres(value: float) -> float | None:
    return round(value, METRE_DIGITS) if np.isfinite(value) else None
