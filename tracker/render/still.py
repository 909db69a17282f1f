"""One picture drawn by itself, as the annotated videos show it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from tracker.render.annotate import Annotator
from tracker.types import Frame, TrackedFrame

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from tracker.types import Instances, Tracks

__all__ = ["draw"]


def draw(
    image: NDArray[np.uint8],
    instances: Instances,
    tracks: Tracks | None = None,
    *,
    class_names: Sequence[str] = (),
    **look: Any,
) -> NDArray[np.uint8]:
    """A copy of a picture with its instances, or its identities, drawn on it.

    For a stream use one :class:`tracker.render.annotate.Annotator`, which remembers trails and where labels stood.

    Args:
        image: ``(H, W, 3)`` uint8 BGR; it is not touched.
        instances: Of the picture.
        tracks: Their identities.
        class_names: Of the model, for the labels.
        look: Keywords of the annotator: ``masks``, ``boxes``, ``labels``, ``colour_by``, ``line_width_px``, ``scale``.

    Raises:
        ConfigError: A value is out of range.
        ValueError: The array is no picture.
    """
    size = (image.shape[1], image.shape[0])
    frame = Frame(index=0, time_s=0.0, arrived_s=0.0, source="picture", size=size, image=image)
    highest = int(max(np.max(one.class_ids, initial=-1) for one in (instances, tracks) if one is not None))
    names = [*class_names, *(f"class {number}" for number in range(len(class_names), highest + 1))]
    drawn = TrackedFrame(frame=frame, instances=instances, tracks=tracks, class_names=names)
    return Annotator(**{"trail_s": 0.0, **look}).draw(drawn)
