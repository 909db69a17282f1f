"""Steps of identities from sight to sight, where they end at all lines and zones, and what they passed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from tracker.analytics.geometry import Flags, Floats, Rows

__all__ = ["NOTHING", "Marks", "Passed", "Steps"]


@dataclass(slots=True, kw_only=True)
class Marks:
    """Where ``N`` sights lie at ``L`` lines and ``Z`` zones, whatever was before.

    Attributes:
        points: ``(N, 2)`` in picture heights.
        heights: ``(N,)`` of the objects, in picture heights.
        middles: ``(N,)`` twice the middles of their widths, the same; NaN where that is not known.
        distances: ``(N, L)`` signed, positive on the left.
        codes: ``(N, L + Z)`` the next two.
        beyond: ``(N, L)`` on which side, beyond the band of an object of that height: 1 left, -1 right, 0 within.
        inside: ``(N, Z)``, 1 inside.
        on_both: ``(N, L)`` :meth:`tracker.analytics.lines.Lines.on_both`; ``None`` until it is asked for.
        near: ``(N, L)`` as ``beyond``, with the narrowest band; ``None`` until it is asked for.
    """

    points: Floats
    heights: Floats
    middles: Floats
    distances: Floats
    codes: NDArray[np.int8]
    beyond: NDArray[np.int8]
    inside: NDArray[np.int8]
    on_both: Flags | None = None
    near: NDArray[np.int8] | None = None

    def part(self, low: int, high: int) -> Marks:
        """Some of them, as views."""
        return Marks(
            points=self.points[low:high],
            heights=self.heights[low:high],
            middles=self.middles[low:high],
            distances=self.distances[low:high],
            codes=self.codes[low:high],
            beyond=self.beyond[low:high],
            inside=self.inside[low:high],
            on_both=None if self.on_both is None else self.on_both[low:high],
        )


class Passed:
    """What ``N`` steps passed.

    Attributes:
        lines: By step and line: net crossings to the left, and how far along the step the last one is, 0..1.
        zones: By step and zone: how far along the step the boundary was passed.
    """

    __slots__ = ("lines", "zones")

    def __init__(self) -> None:
        self.lines: dict[tuple[int, int], tuple[int, float]] = {}
        self.zones: dict[tuple[int, int], list[float]] = {}


NOTHING = Passed()


@dataclass(slots=True, kw_only=True)
class Steps:
    """Identities' ways from their last sight to one of the same time; a first sight is a step from itself.

    Attributes:
        time_s: Media time of the sights.
        slots: ``(N,)`` of the identities.
        marks: Of the sights.
        before: ``(N, 2)`` the last sights, in picture heights.
        times_before_s: ``(N,)`` their media times.
        first: ``(N,)`` whether it is the first sight; ``None`` where none is.
        bridged: ``(N,)`` whether there were frames without a sight in between.
        passed: Lines and boundaries on the way.
    """

    time_s: float
    slots: Rows
    marks: Marks
    before: Floats
    times_before_s: Floats
    first: Flags | None
    bridged: Flags
    passed: Passed = NOTHING
