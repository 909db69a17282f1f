"""Values between the stages: frozen structs of arrays, validated once.

``Frame -> Instances -> Tracks -> TrackedFrame``. Each is checked once, when it is built at a stage's boundary. Zero
objects is an array of zero rows, never ``None``.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import TYPE_CHECKING, Any, Literal, Protocol

import numpy as np

from tracker.boxes import Letterbox
from tracker.errors import ConfigError, expect_array
from tracker.masks.adapters import decode_coco, on_grid
from tracker.masks.box_masks import BoxMasks
from tracker.masks.competition import divide
from tracker.masks.grid_masks import GridMasks
from tracker.masks.instance_masks import InstanceMasks

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from numpy.typing import NDArray

    from tracker.contacts import Contacts
    from tracker.events import Event
    from tracker.heat import HeatSteps
    from tracker.masks.prototypes import Prototypes
    from tracker.recount import FrameNotes

__all__ = [
    "SQUARE",
    "BoxMasks",
    "Frame",
    "GridMasks",
    "InstanceMasks",
    "Instances",
    "Letterbox",
    "NetworkInput",
    "Segmenter",
    "TimeFrom",
    "TrackedFrame",
    "Tracks",
]

TimeFrom = Literal["stamps", "arrival", "rate"]

SQUARE = Fraction(1)
"""The aspect of pixels that are as wide as high."""


def _on_cpu(values: Any) -> NDArray[Any]:
    """A NumPy array of a tensor on any device, or of an array."""
    return np.asarray(values.cpu().numpy() if hasattr(values, "cpu") else values)


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """One picture of a stream with its times.

    Attributes:
        index: Position in the stream, counted from 0, without gaps for frames that could not be decoded.
        time_s: Media time in seconds: presentation time of the recording, or arrival time where there is none.
        captured_at: When the picture was taken, UTC, where that is known: a camera's time of arrival, a recording's own
            date of creation plus the media time; ``None`` elsewhere.
        arrived_s: ``time.monotonic()`` when the frame was decoded, for ages and latencies.
        source: The stream's name as the user gave it; for image folders the image's own path.
        size: ``(width, height)`` of the picture in pixels, after rotation.
        image: ``(H, W, 3)`` uint8 BGR, or ``None`` where the source was opened without images.
        small_image: ``(h, w, 3)`` uint8 BGR, the whole picture at fewer lines, to be drawn on; or ``None``.
        network_image: ``(h, w, 3)`` uint8 BGR, already resized and padded for the segmenter, or ``None``.
        letterbox: How ``network_image`` was made; ``None`` exactly where ``network_image`` is.
        time_from: Where ``time_s`` comes from: the stream's ``stamps``, its ``arrival`` here where the stream has no
            clock or an unreliable one, or the frame ``rate``.
        pixel_aspect: Width by height of one pixel as it is to be shown; 1 where pixels are square.
    """

    index: int
    time_s: float
    arrived_s: float
    source: str
    size: tuple[int, int]
    image: NDArray[np.uint8] | None = None
    small_image: NDArray[np.uint8] | None = None
    network_image: NDArray[np.uint8] | None = None
    letterbox: Letterbox | None = None
    time_from: TimeFrom = "stamps"
    pixel_aspect: Fraction = SQUARE
    captured_at: datetime | None = None

    def __post_init__(self) -> None:
        if self.image is not None:
            expect_array("Frame.image", self.image, (self.size[1], self.size[0], 3), "u")
        if self.small_image is not None:
            expect_array("Frame.small_image", self.small_image, (None, None, 3), "u")
        if (self.network_image is None) != (self.letterbox is None):
            message = "Frame: network_image and letterbox belong together, found one without the other"
            raise ValueError(message)
        if self.network_image is not None and self.letterbox is not None:
            width, height = self.letterbox.network_size
            expect_array("Frame.network_image", self.network_image, (height, width, 3), "u")

    @property
    def shown(self) -> NDArray[np.uint8] | None:
        """The whole picture ``(h, w, 3)`` at the size at hand: the network's without its padding, else its own."""
        if self.network_image is None or self.letterbox is None:
            return self.image
        width, height = self.letterbox.content_size
        return self.network_image[:height, :width]


@dataclass(frozen=True, slots=True, kw_only=True)
class Instances:
    """Detected instances of one frame, best score first where the segmenter orders them.

    Attributes:
        boxes: ``(N, 4)`` float32 xyxy in image pixels.
        scores: ``(N,)`` float32 in 0..1.
        class_ids: ``(N,)`` int64 into the segmenter's ``class_names``.
        masks: Masks of the ``N`` instances, or ``None`` for detections without shape.
        embeddings: ``(N, E)`` float32, L2-normalised appearance, a row of zeros where it is not known; or ``None``.
        coefficients: ``(N, P)`` float32, or ``(N, P + 5)`` with shape terms: what made the masks of the frame's
            ``prototypes``, and makes masks of another frame's; ``None`` exactly where ``prototypes`` is.
        prototypes: Of the frame, shared by all of its instances, 1.4 MB at 384 x 640; ``None`` of other networks, and
            after the stages of a stream.
    """

    boxes: NDArray[np.float32]
    scores: NDArray[np.float32]
    class_ids: NDArray[np.int64]
    masks: InstanceMasks | None = None
    embeddings: NDArray[np.float32] | None = None
    coefficients: NDArray[np.float32] | None = None
    prototypes: Prototypes | None = None

    def __post_init__(self) -> None:
        expect_array("Instances.boxes", self.boxes, (None, 4), "f")
        count = len(self.boxes)
        expect_array("Instances.scores", self.scores, (count,), "f")
        expect_array("Instances.class_ids", self.class_ids, (count,), "i")
        if self.masks is not None and len(self.masks) != count:
            message = f"Instances.masks: expected {count} masks, one per box, found {len(self.masks)}"
            raise ValueError(message)
        if self.embeddings is not None:
            expect_array("Instances.embeddings", self.embeddings, (count, None), "f")
        if (self.coefficients is None) != (self.prototypes is None):
            message = "Instances: coefficients and prototypes belong together, found one without the other"
            raise ValueError(message)
        if self.coefficients is not None and self.prototypes is not None:
            expect_array("Instances.coefficients", self.coefficients, (count, None), "f")
            self.prototypes.check(self.coefficients)

    def __len__(self) -> int:
        return len(self.boxes)

    @classmethod
    def empty(cls) -> Instances:
        """No instance at all."""
        return cls(boxes=np.zeros((0, 4), np.float32), scores=np.zeros(0, np.float32), class_ids=np.zeros(0, np.int64))

    @classmethod
    def from_supervision(cls, detections: Any) -> Instances:
        """Instances of a ``supervision.Detections``.

        Masks of the whole image are averaged to a small grid (:func:`tracker.masks.adapters.on_grid`). In images of up
        to 1,920 pixels an edge is kept to about 2 pixels; a lifted mask is near the original, not equal to it.

        Args:
            detections: Scores and classes that it does not have are 1 and 0; its ``tracker_id`` and ``data`` are not
                taken.
        """
        boxes = np.asarray(detections.xyxy, np.float32).reshape(-1, 4)
        count = len(boxes)
        scores = np.ones(count) if detections.confidence is None else detections.confidence
        class_ids = np.zeros(count) if detections.class_id is None else detections.class_id
        silhouettes = [] if detections.mask is None else [detections.mask[row] for row in range(count)]
        image_size = silhouettes[0].shape[::-1] if silhouettes else None
        return cls._of(boxes, scores, class_ids, silhouettes, image_size)

    @classmethod
    def from_ultralytics(cls, result: Any) -> Instances:
        """Instances of one of Ultralytics' ``Results``, with tensors on any device.

        Masks come without the padding of the network's input, averaged to a small grid as in :meth:`from_supervision`.

        Args:
            result: ``model(image)[0]`` of a detection, segmentation or oriented-box model; of the last the upright
                boxes.

        Raises:
            ValueError: It has no boxes.
        """
        found = result.boxes if result.boxes is not None else getattr(result, "obb", None)
        if found is None:
            message = "Instances.from_ultralytics: expected a result with boxes, found none"
            raise ValueError(message)
        height, width = result.orig_shape
        pictures = None if getattr(result, "masks", None) is None else _on_cpu(result.masks.data)
        if pictures is not None and len(pictures):
            rows, columns = pictures.shape[1:]
            gain = min(rows / height, columns / width)
            inner_rows, inner_columns = round(height * gain), round(width * gain)
            top, left = (rows - inner_rows) // 2, (columns - inner_columns) // 2
            pictures = pictures[:, top : top + inner_rows, left : left + inner_columns]
        boxes = np.asarray(_on_cpu(found.xyxy), np.float32).reshape(-1, 4)
        return cls._of(boxes, _on_cpu(found.conf), _on_cpu(found.cls), pictures, (width, height))

    @classmethod
    def from_coco(
        cls,
        annotations: Sequence[Mapping[str, Any]],
        *,
        image_size: tuple[int, int] | None = None,
        category_ids: Sequence[int] | None = None,
    ) -> Instances:
        """Instances of one image's COCO annotations or results, in their order, crowd regions included.

        Masks are averaged to a small grid as in :meth:`from_supervision`; there are none unless every annotation has a
        ``segmentation``.

        Args:
            annotations: Each with ``bbox`` (x, y, width, height), ``category_id``, and where they are known ``score``
                (else 1) and ``segmentation``: polygons or a run-length code.
            image_size: ``(width, height)`` of the image in pixels; polygons ask for it.
            category_ids: ``category_id`` of each class in ``class_ids`` order; ``None`` keeps the numbers as they are.

        Raises:
            ValueError: A category that is not among ``category_ids``, or a mask that cannot be read.
        """
        class_ids = [int(one["category_id"]) for one in annotations]
        if category_ids is not None:
            places = {category: place for place, category in enumerate(category_ids)}
            unknown = sorted(set(class_ids) - set(places))
            if unknown:
                message = f"category_id: expected one of {sorted(places)}, found {unknown}"
                raise ValueError(message)
            class_ids = [places[category] for category in class_ids]
        codes = [one["segmentation"] for one in annotations if one.get("segmentation")]
        silhouettes = [decode_coco(code, image_size) for code in codes] if len(codes) == len(annotations) else []
        boxes = np.array([one["bbox"] for one in annotations], np.float64).reshape(-1, 4)
        boxes[:, 2:] += boxes[:, :2]
        scores = [one.get("score", 1.0) for one in annotations]
        size = image_size or (silhouettes[0].shape[::-1] if silhouettes else None)
        return cls._of(boxes.astype(np.float32), scores, class_ids, silhouettes, size)

    @classmethod
    def _of(
        cls,
        boxes: NDArray[np.float32],
        scores: Any,
        class_ids: Any,
        silhouettes: Sequence[NDArray[Any]] | NDArray[Any] | None,
        image_size: tuple[int, ...] | None,
    ) -> Instances:
        """Instances of arrays of another framework, with silhouettes of the whole image or none."""
        masks = None
        if silhouettes is not None and len(silhouettes) and image_size is not None:
            size = (int(image_size[0]), int(image_size[1]))
            probabilities, step_px = on_grid(silhouettes, boxes, size)
            masks = GridMasks(probabilities=probabilities, step_px=step_px, image_size=size)
        return cls(
            boxes=boxes,
            scores=np.asarray(scores, np.float32),
            class_ids=np.asarray(class_ids, np.int64),
            masks=masks,
        )

    def take(self, rows: NDArray[Any]) -> Instances:
        """The instances of ``rows`` (numbers or a boolean selection), in that order."""
        return Instances(
            boxes=self.boxes[rows],
            scores=self.scores[rows],
            class_ids=self.class_ids[rows],
            masks=None if self.masks is None else self.masks.take(rows),
            embeddings=None if self.embeddings is None else self.embeddings[rows],
            coefficients=None if self.coefficients is None else self.coefficients[rows],
            prototypes=self.prototypes,
        )

    def without_prototypes(self) -> Instances:
        """The instances without what made their masks."""
        return replace(self, coefficients=None, prototypes=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tracks:
    """The identities that are visible or coasting at one time, ordered by id.

    Attributes:
        ids: ``(N,)`` int64, gapless from 1 in order of confirmation, unique within one tracker.
        detection_rows: ``(N,)`` int64, row of the matched instance of each identity in this frame; -1 = coasting
            (predicted, not seen).
        boxes: ``(N, 4)`` float32 xyxy in image pixels; the instance's box where one is matched, else the prediction.
        velocities: ``(N, 2)`` float32, centre velocity in pixels per second, ``(x, y)``.
        class_ids: ``(N,)`` int64, by vote over the identity's life.
        scores: ``(N,)`` float32, the instance's score, or the last one while coasting.
        ages_s: ``(N,)`` float32, seconds since the identity was first detected, absences included.
        ended_ids: ``(M,)`` int64, identities that ended in this update; none of them is ever resumed. With embeddings
            an identity may be re-identified after minutes out of view; meanwhile it is in neither ``ids`` nor
            ``ended_ids``, and it ends when it leaves the gallery.
        earlier_rows: ``(K, 3)`` int64, detections that identities confirmed in this update took before: the identity,
            how many updates ago (1 = the last one), and the instance row of that update's frame.
    """

    ids: NDArray[np.int64]
    detection_rows: NDArray[np.int64]
    boxes: NDArray[np.float32]
    velocities: NDArray[np.float32]
    class_ids: NDArray[np.int64]
    scores: NDArray[np.float32]
    ages_s: NDArray[np.float32]
    ended_ids: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
    earlier_rows: NDArray[np.int64] = field(default_factory=lambda: np.zeros((0, 3), np.int64))

    def __post_init__(self) -> None:
        count = len(self.ids)
        expect_array("Tracks.ids", self.ids, (count,), "i")
        expect_array("Tracks.detection_rows", self.detection_rows, (count,), "i")
        expect_array("Tracks.boxes", self.boxes, (count, 4), "f")
        expect_array("Tracks.velocities", self.velocities, (count, 2), "f")
        expect_array("Tracks.class_ids", self.class_ids, (count,), "i")
        expect_array("Tracks.scores", self.scores, (count,), "f")
        expect_array("Tracks.ages_s", self.ages_s, (count,), "f")
        expect_array("Tracks.ended_ids", self.ended_ids, (len(self.ended_ids),), "i")
        expect_array("Tracks.earlier_rows", self.earlier_rows, (len(self.earlier_rows), 3), "i")

    def __len__(self) -> int:
        return len(self.ids)

    def to_supervision(self, instances: Instances | None = None) -> Any:
        """The tracks as a ``supervision.Detections``, coasting ones included.

        ``tracker_id`` is the identity; ``data`` has ``visible`` (False while coasting), ``velocity`` (pixels a second)
        and ``age_s``.

        Args:
            instances: The frame's instances, for their masks: ``(N, H, W)`` booleans at the image's
                size, empty for tracks that coast.

        Raises:
            ConfigError: supervision is not installed.
        """
        try:
            from supervision import Detections
        except ImportError:
            problem = "expected the package supervision, found it is not installed"
            raise ConfigError("Tracks.to_supervision", problem, "pip install supervision") from None
        silhouettes = None
        if instances is not None and instances.masks is not None:
            width, height = instances.masks.image_size
            silhouettes = np.zeros((len(self), height, width), np.bool_)
            for place in np.flatnonzero(self.detection_rows >= 0):
                silhouettes[place] = instances.masks.full(int(self.detection_rows[place]), self.boxes[place])
        return Detections(
            xyxy=self.boxes,
            mask=silhouettes,
            confidence=self.scores,
            class_id=self.class_ids,
            tracker_id=self.ids,
            data={"visible": self.detection_rows >= 0, "velocity": self.velocities, "age_s": self.ages_s},
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class PredictedMasks:
    """Masks of tracks that coast, made of their last coefficients and the prototypes of this frame.

    They are predicted, not seen: ``mask_from`` is ``predicted`` in records, and nothing counts them as seen.

    Attributes:
        rows: ``(K,)`` int64, rows of the frame's tracks.
        masks: Of these ``K`` tracks; they leave out what visible tracks own.
    """

    rows: NDArray[np.int64]
    masks: InstanceMasks

    def __post_init__(self) -> None:
        expect_array("PredictedMasks.rows", self.rows, (len(self.masks),), "i")


@dataclass(frozen=True, slots=True, kw_only=True)
class TrackedFrame:
    """One frame with its instances and tracks, as sinks receive it.

    Attributes:
        frame: The picture and its times.
        instances: The detected instances; ``tracks.detection_rows`` points into them.
        tracks: The identities, or ``None`` without tracking.
        class_names: Names in ``class_ids`` order.
        stage_times_s: Seconds of work per stage for this frame, by stage name.
        warp: ``(2, 3)`` float64, camera motion, image pixels of the frame before to those of this one; ``None``
            for no motion, or where it was not estimated.
        contacts: Ground contact of each of the ``instances``; ``None`` where nothing asked for them.
        events: What the site's lines and zones made of the frame, in the order in which it was found.
        notes: What its rows do not say; ``None`` where no record wants it, or there are no rows.
        predicted_masks: Of tracks that coast; ``None`` where there are none or nothing asked for them.
        segmented: The instances with their masks as they were segmented, where those of ``instances`` were divided
            among tracks; else ``None``.
        heat: What the frame adds to a map of presence; ``None`` where nothing asked for one.
        detected: The detector ran; else ``instances`` are those that were outlined where tracks are predicted, or none,
            or interpolated ones.
        skipped: The detector did not run, because nothing moved since it last did and no track lives.
        interpolated: It did not run either; instances and tracks lie between those of the frames before and after.
        outlined: ``(N,)`` bool, the instances whose masks are outlines of a promptable segmenter; ``None`` where there
            are none.
    """

    frame: Frame
    instances: Instances
    tracks: Tracks | None
    class_names: Sequence[str]
    stage_times_s: Mapping[str, float] = field(default_factory=dict)
    warp: NDArray[np.float64] | None = None
    contacts: Contacts | None = None
    events: tuple[Event, ...] = ()
    notes: FrameNotes | None = None
    predicted_masks: PredictedMasks | None = None
    segmented: Instances | None = None
    heat: HeatSteps | None = None
    detected: bool = True
    outlined: NDArray[np.bool_] | None = None
    skipped: bool = False
    interpolated: bool = False

    def without_prototypes(self) -> TrackedFrame:
        """The frame without coefficients and prototypes, to be kept for long."""
        if self.instances.prototypes is None:
            return self
        segmented = None if self.segmented is None else self.segmented.without_prototypes()
        return replace(self, instances=self.instances.without_prototypes(), segmented=segmented)

    def divided(self) -> TrackedFrame:
        """The frame whose tracks do not share cells of masks any more: the surer of two neighbours has them."""
        if self.tracks is None or self.instances.masks is None:
            return self
        rows = self.tracks.detection_rows[self.tracks.detection_rows >= 0]
        masks = divide(self.instances.masks, self.instances.boxes, self.instances.class_ids, rows)
        if masks is None:
            return self
        return replace(self, instances=replace(self.instances, masks=masks), segmented=self.segmented or self.instances)


class NetworkInput(Protocol):
    """Input size and resizing of a network; every segmenter has them."""

    @property
    def network_size(self) -> tuple[int, int]:
        """``(width, height)`` of the network's input in pixels."""
        ...

    @property
    def keep_aspect(self) -> bool:
        """Whether images are letterboxed (else stretched) to ``network_size``."""
        ...


class Segmenter(NetworkInput, Protocol):
    """Instance segmentation of frames. :class:`tracker.segment.session.OnnxSegmenter` is the one that ships."""

    @property
    def class_names(self) -> tuple[str, ...]:
        """Names in ``class_ids`` order."""
        ...

    @property
    def confirmation_score(self) -> float:
        """Score that an instance must have to confirm a track; 0 for uncalibrated scores of unknown meaning."""
        ...

    @property
    def digest(self) -> str:
        """SHA-256 of everything that the instances depend on besides the pictures."""
        ...

    def segment(self, frames: Sequence[Frame]) -> list[Instances]:
        """The instances of each frame, in image pixels, one entry per frame in order."""
        ...
