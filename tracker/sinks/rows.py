"""One plain row per identity (or per instance) of a frame: what every record format writes down."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import PurePath
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np

from tracker.contacts import CONTACT_DIGITS
from tracker.errors import ConfigError
from tracker.formats.fields import Field
from tracker.formats.notes import CONTACT_STATES, packed
from tracker.formats.run_length import encode_crop, polygons
from tracker.settings.choices import MaskFormat
from tracker.sinks.silhouettes import code_of, silhouette_of

if TYPE_CHECKING:
    from tracker.types import Instances, TimeFrom, TrackedFrame

__all__ = ["IDENTITY_FIELDS", "MASK_FORMATS", "ROW_FIELDS", "MaskFormat", "Row", "RowBuilder"]

MASK_FORMATS: tuple[MaskFormat, ...] = get_args(MaskFormat)


ROW_FIELDS = (
    Field("frame", "whole", "", "Position in the stream, from 0; MOT, MOTS and KITTI text count from 1."),
    Field("time_s", "number", "s", "Media time, to the microsecond."),
    Field(
        "time_from",
        "text",
        "",
        "`arrival`: the camera has no clock that is believed, and `time_s` is when the frame came here.",
        present="JSON Lines, in rows of such cameras",
    ),
    Field("image", "text", "", "The image's file name.", present="folders of images"),
    Field("id", "whole", "", "The identity; null without tracking."),
    Field(
        "class",
        "text",
        "",
        "By vote over the identity's life. The final vote in all rows of a file written as a whole; in parts of "
        "a camera's records, in pipes and in what a killed process leaves, the vote so far. Without tracking the "
        "instance's own.",
    ),
    Field(
        "class_then",
        "text",
        "",
        "The vote so far, where the final one is another; CSV and Parquet have an empty cell elsewhere.",
        present="where it differs",
    ),
    Field("score", "number", "0 to 1", "Of the instance; while coasting the last one. To four digits."),
    Field(
        "box",
        "list",
        "px",
        "x1, y1, x2, y2 of the picture, to a hundredth: the instance's, or while coasting where it is presumed to be.",
        columns=("x1", "y1", "x2", "y2"),
    ),
    Field(
        "velocity_px_s",
        "list",
        "px/s",
        "x and y of the box centre's velocity, relative to the scene where the camera moves; null without tracking.",
        columns=("vx_px_s", "vy_px_s"),
    ),
    Field("age_s", "number", "s", "Since the identity was first detected, absences included; null without tracking."),
    Field("area_px", "whole", "px", "Pixels of the silhouette at the picture's resolution; null where there is none."),
    Field(
        "detection",
        "whole",
        "",
        "Row of the instance among those of the frame; null while coasting, in frames that were interpolated "
        "(`--economy auto`), and of boxes that were added by hand.",
    ),
    Field(
        "coasting",
        "flag",
        "",
        "Predicted, or filled in by a second pass, and not seen. CSV has 0 and 1; MOT text has visibility 0; "
        "MOTS text and COCO results leave such rows out, unless a second pass has a silhouette for them.",
    ),
    Field(
        "contact",
        "list",
        "px",
        "x and y of the ground contact, to the thousandth with which lines and zones count; null without tracking.",
        columns=("contact_x", "contact_y"),
    ),
    Field(
        "contact_state",
        "text",
        "",
        "`seen`, `hidden` (something lies right under it, so it is too high) or `predicted`; null without tracking.",
    ),
    Field(
        "notes",
        "object",
        "",
        "What [counting again](records.md#notes) needs beside the rows: with the first row of a frame, and of an "
        "identity. CSV and Parquet have it as JSON text.",
        present="where there is something to say",
    ),
    Field(
        "mask",
        "list",
        "",
        "COCO's compressed run-length code or polygons, at the picture's resolution; null where there is none.",
        present="with masks",
    ),
    Field(
        "mask_from",
        "text",
        "",
        "`predicted`: the row coasts, and its mask is what of the object shows where it is presumed to be. `outline`: "
        "by a promptable segmenter in place of the model's. `interpolated`: between those of the frames before and "
        "after.",
        present="JSON Lines, in rows with such a mask (`--predicted-masks`, `--outline`, `--economy auto`)",
    ),
)
"""Columns of JSON Lines, CSV and Parquet in their order: a row per identity (or else instance) and frame."""

IDENTITY_FIELDS = (
    Field("id", "whole", "", "The identity."),
    Field("class", "text", "", "The vote at the end of the file; final where the identity has ended."),
    Field("first_frame", "whole", "", "The first frame of the file that has a row of it."),
    Field("last_frame", "whole", "", "The last one."),
    Field("first_s", "number", "s", "Media time of the first."),
    Field("last_s", "number", "s", "Media time of the last."),
    Field("frames", "whole", "", "In how many frames it was seen: rows that coast are not counted."),
    Field("score", "number", "0 to 1", "Mean over these frames; null where there is none."),
    Field("ended", "flag", "", "Given up within the file: it does not return."),
)
"""Columns of ``*.identities.jsonl``, ``.csv`` and ``.parquet``, a row per identity."""


MaskFrom = Literal["predicted", "outline", "interpolated"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One identity in one frame; without tracking, one instance.

    Attributes:
        frame: Position in the stream, from 0.
        time_s: Media time in seconds, to the microsecond.
        image: The image's file name for image folders, else ``None``.
        identity: The track's id, ``None`` without tracking.
        class_name: By vote over the identity's life; without tracking the instance's own.
        class_id: The same as a number.
        score: In 0..1.
        box: xyxy in image pixels, to a hundredth.
        velocity_px_s: Of the box centre, ``None`` without tracking.
        age_s: Seconds since the identity was first detected, ``None`` without tracking.
        area_px: Pixels of the silhouette at image resolution, of which ``mask`` is the code; ``None`` where there is
            none, also while coasting.
        detection: Row of the instance in this frame, ``None`` while coasting and in a frame that was interpolated.
        coasting: The box is predicted, not seen.
        contact: Ground contact in image pixels, to a thousandth; ``None`` where it is not known.
        contact_state: ``seen``, ``hidden`` or ``predicted``.
        notes: What the rows of the frame do not say, as :func:`tracker.formats.notes.packed` has it; else ``None``.
        mask: COCO run-length code or polygons at image resolution; ``None`` where there is none or none is asked for.
        time_from: Where ``time_s`` comes from; see :class:`tracker.types.Frame`.
        mask_from: ``predicted`` where the mask is that of a track that coasts, ``outline`` where it is by a promptable
            segmenter, ``interpolated`` where it lies between two others; else ``None``.
    """

    frame: int
    time_s: float
    image: str | None
    identity: int | None
    class_name: str
    class_id: int
    score: float
    box: tuple[float, float, float, float]
    velocity_px_s: tuple[float, float] | None
    age_s: float | None
    area_px: int | None
    detection: int | None
    coasting: bool
    contact: tuple[float, float] | None = None
    contact_state: str | None = None
    notes: dict[str, Any] | None = None
    mask: Any = None
    time_from: TimeFrom = "stamps"
    mask_from: MaskFrom | None = None


class RowBuilder:
    """Turns tracked frames into rows.

    Args:
        masks: ``"rle"`` (compressed COCO run-length code), ``"polygon"`` or ``"none"``.
        image_names: The source is a folder of images: rows name the file.
        coasting: Keep rows of identities that are predicted but not seen.
        predicted: Give such rows the masks that were predicted for them.

    Raises:
        ConfigError: ``masks`` is none of the three.
    """

    def __init__(
        self,
        *,
        masks: MaskFormat = "none",
        image_names: bool = False,
        coasting: bool = True,
        predicted: bool = False,
    ) -> None:
        if masks not in MASK_FORMATS:
            problem = f"expected one of {', '.join(MASK_FORMATS)}, found {masks!r}"
            raise ConfigError("masks", problem, "choose one of them")
        self._masks: MaskFormat = masks
        self._image_names = image_names
        self._coasting = coasting
        self._predicted = predicted and masks != "none"

    def rows(self, tracked_frame: TrackedFrame) -> list[Row]:
        """The rows of one frame, ordered by identity, or by instance without tracking."""
        frame, instances, tracks = tracked_frame.frame, tracked_frame.instances, tracked_frame.tracks
        owner = instances if tracks is None else tracks
        count = len(owner)
        detections = list(range(count)) if tracks is None else tracks.detection_rows.tolist()
        identities: list[int | None] = [None] * count if tracks is None else tracks.ids.tolist()
        velocities: list[Any] = [None] * count
        ages: list[float | None] = [None] * count
        if tracks is not None:
            velocities = [tuple(pair) for pair in np.round(tracks.velocities.astype(float), 2).tolist()]
            ages = np.round(tracks.ages_s.astype(float), 3).tolist()
        boxes = np.round(owner.boxes.astype(float), 2).tolist()
        scores = np.round(owner.scores.astype(float), 4).tolist()
        class_ids = owner.class_ids.tolist()
        shapes = self._shapes(instances, detections)
        points, states = _contacts(tracked_frame, count)
        predicted = self._predicted_shapes(tracked_frame)
        made_by: dict[int, MaskFrom] = dict.fromkeys(predicted, "predicted")
        if tracked_frame.outlined is not None and self._predicted:
            outlined = tracked_frame.outlined
            made_by |= {n: "outline" for n, row in enumerate(detections) if row >= 0 and outlined[row]}
        if tracked_frame.interpolated and self._predicted:
            made_by |= {n: "interpolated" for n, row in enumerate(detections) if row >= 0 and shapes[n][1] is not None}
        own_rows = [] if tracked_frame.interpolated else detections
        image = PurePath(frame.source).name if self._image_names else None
        time_s = round(frame.time_s, 6)
        rows = [
            Row(
                frame=frame.index,
                time_s=time_s,
                image=image,
                identity=identities[n],
                class_name=tracked_frame.class_names[class_ids[n]],
                class_id=class_ids[n],
                score=scores[n],
                box=tuple(boxes[n]),
                velocity_px_s=velocities[n],
                age_s=ages[n],
                area_px=shapes[n][0],
                detection=own_rows[n] if own_rows and own_rows[n] >= 0 else None,
                coasting=detections[n] < 0,
                contact=points[n],
                contact_state=states[n],
                mask=predicted.get(n, shapes[n][1]),
                time_from=frame.time_from,
                mask_from=made_by.get(n),
            )
            for n in range(count)
            if self._coasting or detections[n] >= 0
        ]
        return self._noted(rows, tracked_frame)

    def _noted(self, rows: list[Row], tracked_frame: TrackedFrame) -> list[Row]:
        """The rows with the frame's notes at the first one, and those of new identities at theirs."""
        if tracked_frame.notes is None or not rows:
            return rows
        with_notes = packed(tracked_frame.notes, tracked_frame.frame, coasting=self._coasting)
        for n, row in enumerate(rows):
            own = with_notes.pop(row.identity, {}) if n else with_notes.pop(None) | with_notes.pop(row.identity, {})
            if own:
                rows[n] = replace(row, notes=own)
            if not with_notes:
                break
        return rows

    def _shapes(self, instances: Instances, detections: list[int]) -> list[tuple[int | None, Any]]:
        """Area of the silhouette at image resolution, and the exported mask, per row."""
        if instances.masks is None:
            return [(None, None)] * len(detections)
        shapes: list[tuple[int | None, Any]] = []
        for row in detections:
            if row < 0:
                shapes.append((None, None))
                continue
            crop, origin = silhouette_of(instances, row)
            shape = None
            if self._masks != "none":
                shape = code_of(instances, row) if self._masks == "rle" else polygons(crop, origin)
            shapes.append((int(np.count_nonzero(crop)), shape))
        return shapes

    def _predicted_shapes(self, tracked_frame: TrackedFrame) -> dict[int, Any]:
        """Exported masks of tracks that coast, by row of the tracks."""
        found, tracks = tracked_frame.predicted_masks, tracked_frame.tracks
        if found is None or tracks is None or not self._predicted:
            return {}
        shapes = {}
        for place, row in enumerate(found.rows.tolist()):
            crop, origin = found.masks.lift(place, tracks.boxes[row])
            if crop.any():
                rle = self._masks == "rle"
                shapes[row] = encode_crop(crop, origin, found.masks.image_size) if rle else polygons(crop, origin)
        return shapes


def _contacts(tracked_frame: TrackedFrame, count: int) -> tuple[list[Any], list[Any]]:
    """Place and state of each row's ground contact."""
    contacts, tracks = tracked_frame.contacts, tracked_frame.tracks
    if contacts is None:
        return [None] * count, [None] * count
    if tracks is not None:
        contacts = contacts.of_tracks(tracks.detection_rows, tracks.boxes)
    points = [tuple(point) for point in contacts.points.round(CONTACT_DIGITS).tolist()]
    return points, [CONTACT_STATES[state] for state in contacts.states.tolist()]
