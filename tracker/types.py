"""The values that flow between the stages: frozen structs of arrays, validated once.

``Frame -> Instances -> Tracks -> TrackedFrame``. Each is checked once, when it is built at a stage's boundary. Zero
objects is an array of zero rows, never ``None``.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Protocol

import numpy as np

from tracker.errors import expect_array
from tracker.masks import BoxMasks, GridMasks, InstanceMasks

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from numpy.typing import NDArray

__all__ = [
    "SEMANTICS_VERSION",
    "BoxMasks",
    "Event",
    "EventKind",
    "Frame",
    "GridMasks",
    "InstanceMasks",
    "Instances",
    "Letterbox",
    "NetworkInput",
    "Segmenter",
    "Sighting",
    "Stay",
    "TimeFrom",
    "TrackedFrame",
    "Tracks",
]

TimeFrom = Literal["stamps", "arrival", "rate"]

EventKind = Literal[
    "crossing",
    "enter",
    "leave",
    "loitering",
    "flow",
    "identity_start",
    "identity_end",
    "reclassified",
    "rekeyed",
    "gap",
    "camera_moved",
    "frozen",
    "covered",
    "dark",
]
"""What an :class:`Event` reports; the last five are about the camera, the others about an identity."""

SEMANTICS_VERSION = 1
"""Rises whenever the same tracks and the same site would give other events than before."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Letterbox:
    """How an image lies in the network's input: scaled, anchored at the top left, the rest padded.

    Attributes:
        image_size: ``(width, height)`` of the image in pixels.
        network_size: ``(width, height)`` of the network's input in pixels.
        content_size: ``(width, height)`` of the scaled image inside the input.
    """

    image_size: tuple[int, int]
    network_size: tuple[int, int]
    content_size: tuple[int, int]

    @classmethod
    def fit(cls, image_size: tuple[int, int], network_size: tuple[int, int], *, keep_aspect: bool = True) -> Letterbox:
        """The largest placement of the image in the network's input.

        Args:
            image_size: ``(width, height)`` in pixels.
            network_size: ``(width, height)`` in pixels.
            keep_aspect: Scale both axes alike and pad right and below; else stretch to fill (official YOLACT).

        >>> Letterbox.fit((1280, 720), (640, 384)).content_size
        (640, 360)
        """
        if not keep_aspect:
            return cls(image_size=image_size, network_size=network_size, content_size=network_size)
        scale = min(network_size[0] / image_size[0], network_size[1] / image_size[1])
        content = (
            min(max(round(image_size[0] * scale), 1), network_size[0]),
            min(max(round(image_size[1] * scale), 1), network_size[1]),
        )
        return cls(image_size=image_size, network_size=network_size, content_size=content)

    @property
    def scale(self) -> tuple[float, float]:
        """Network pixels per image pixel, ``(x, y)``."""
        return self.content_size[0] / self.image_size[0], self.content_size[1] / self.image_size[1]


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
        image: ``(H, W, 3)`` uint8 BGR, or ``None`` where the source was told that nobody draws or exports pixels.
        network_image: ``(h, w, 3)`` uint8 BGR, already resized and padded for the segmenter, or ``None``.
        letterbox: How ``network_image`` was made; ``None`` exactly where ``network_image`` is.
        time_from: Where ``time_s`` comes from: the stream's ``stamps``, its ``arrival`` here because the stream has no
            clock or one that is not believed, or the frame ``rate``.
    """

    index: int
    time_s: float
    arrived_s: float
    source: str
    size: tuple[int, int]
    image: NDArray[np.uint8] | None = None
    network_image: NDArray[np.uint8] | None = None
    letterbox: Letterbox | None = None
    time_from: TimeFrom = "stamps"
    captured_at: datetime | None = None

    def __post_init__(self) -> None:
        if self.image is not None:
            expect_array("Frame.image", self.image, (self.size[1], self.size[0], 3), "u")
        if (self.network_image is None) != (self.letterbox is None):
            message = "Frame: network_image and letterbox belong together, found one without the other"
            raise ValueError(message)
        if self.network_image is not None and self.letterbox is not None:
            width, height = self.letterbox.network_size
            expect_array("Frame.network_image", self.network_image, (height, width, 3), "u")


@dataclass(frozen=True, slots=True, kw_only=True)
class Instances:
    """What the segmenter saw in one frame, best score first where the segmenter orders them.

    Attributes:
        boxes: ``(N, 4)`` float32 xyxy in image pixels.
        scores: ``(N,)`` float32 in 0..1.
        class_ids: ``(N,)`` int64 into the segmenter's ``class_names``.
        masks: Masks of the ``N`` instances, or ``None`` for detections without shape.
        embeddings: ``(N, E)`` float32, L2-normalised appearance, a row of zeros where it is not known; or ``None``.
    """

    boxes: NDArray[np.float32]
    scores: NDArray[np.float32]
    class_ids: NDArray[np.int64]
    masks: InstanceMasks | None = None
    embeddings: NDArray[np.float32] | None = None

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

    def __len__(self) -> int:
        return len(self.boxes)

    @classmethod
    def empty(cls) -> Instances:
        """No instance at all."""
        return cls(boxes=np.zeros((0, 4), np.float32), scores=np.zeros(0, np.float32), class_ids=np.zeros(0, np.int64))

    def take(self, rows: NDArray[Any]) -> Instances:
        """The instances of ``rows`` (numbers or a boolean selection), in that order."""
        return Instances(
            boxes=self.boxes[rows],
            scores=self.scores[rows],
            class_ids=self.class_ids[rows],
            masks=None if self.masks is None else self.masks.take(rows),
            embeddings=None if self.embeddings is None else self.embeddings[rows],
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Tracks:
    """The identities that are visible or coasting at one time, ordered by id.

    Attributes:
        ids: ``(N,)`` int64, gapless from 1 in order of confirmation, unique for ever within one tracker.
        detection_rows: ``(N,)`` int64, which instance row each identity took in this frame; -1 = coasting (predicted,
            not seen).
        boxes: ``(N, 4)`` float32 xyxy in image pixels; the instance's box where one was taken, else the prediction.
        velocities: ``(N, 2)`` float32, centre velocity in pixels per second, ``(x, y)``.
        class_ids: ``(N,)`` int64, by vote over the identity's life.
        scores: ``(N,)`` float32, the instance's score, or the last one while coasting.
        ages_s: ``(N,)`` float32, seconds since the identity was first detected, absences included.
        ended_ids: ``(M,)`` int64, identities that were given up for good in this update: none of them ever returns.
            With embeddings an identity may be out of view for minutes and come back under its number; it is in
            neither ``ids`` nor ``ended_ids`` meanwhile, and ends when it is remembered no longer.
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Sighting:
    """Where an identity stood at one time: evidence for an event.

    Attributes:
        time_s: Media time.
        x, y: Ground contact as shares of the picture's width and height.
    """

    time_s: float
    x: float
    y: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Stay:
    """One identity's time in one zone. Stays that did not both begin and end in view are censored: keep them apart.

    Attributes:
        entered_s: Media time of the entry, or of the first sight inside.
        left_s: Media time of the exit, or of the last sight inside; ``None`` while it lasts.
        hidden_s: Seconds of it in which the ground contact was not seen.
        began: ``already_inside`` where the entry was not seen.
        end: ``left`` in view, ``lost`` inside, or still ``open``.
    """

    entered_s: float
    left_s: float | None = None
    hidden_s: float = 0.0
    began: Literal["entered", "already_inside"] = "entered"
    end: Literal["left", "lost", "open"] = "open"

    @property
    def dwell_s(self) -> float | None:
        """Seconds from the entry to the exit; ``None`` while the stay lasts."""
        return None if self.left_s is None else self.left_s - self.entered_s

    @property
    def seen_s(self) -> float | None:
        """Seconds of the stay in which the ground contact was seen; ``None`` while the stay lasts."""
        return None if self.left_s is None else max(self.left_s - self.entered_s - self.hidden_s, 0.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One row of the ledger that every count is a query of.

    Kinds that last (``loitering`` and those of the camera) have a row when they begin and another one, with
    ``since_s``, when they are over.

    Attributes:
        kind: What happened.
        stream: The camera or recording.
        time_s: When, in media seconds; back-dated to the instant itself, so earlier than the frame that brought proof.
        utc_ms: The same as UTC in milliseconds since 1970, where the stream's wall clock is known.
        place: Name of the line, zone or flow; empty where there is none.
        direction: Name of the direction over a line.
        identity: Number of the identity; 0 = it is about the camera.
        class_name: Class of the identity, by vote so far.
        before, after: The identity's ground contact on either side of the event.
        since_s: Media time at which that began which ends here: a flow, an identity, a gap, a state of the camera.
        stay: The time in the zone, for ``enter``, ``leave`` and ``loitering``.
        bridged: The identity was not seen right at the event, which lies between two sightings further apart.
        was_class: The class under which earlier events of this identity were booked, for ``reclassified``.
        was_identity: The number under which they were booked, for ``rekeyed``.
        revision: Of the site.
        semantics: :data:`SEMANTICS_VERSION` of the code that made it.
    """

    kind: EventKind
    stream: str
    time_s: float
    utc_ms: int | None = None
    place: str = ""
    direction: str = ""
    identity: int = 0
    class_name: str = ""
    before: Sighting | None = None
    after: Sighting | None = None
    since_s: float | None = None
    stay: Stay | None = None
    bridged: bool = False
    was_class: str = ""
    was_identity: int = 0
    revision: int = 0
    semantics: int = SEMANTICS_VERSION

    @property
    def key(self) -> str:
        """The same for the same event however often it is found: writing it twice must leave one row.

        >>> Event(kind="crossing", stream="gate", time_s=2.5, place="door", direction="in", identity=7).key
        'gate|crossing|door|in|7|t2500'
        """
        when = f"t{round(self.time_s * 1000)}" if self.utc_ms is None else f"u{self.utc_ms}"
        parts = [self.stream, self.kind, self.place, self.direction, str(self.identity), when]
        if self.since_s is not None:
            parts.append(f"since{round((self.time_s - self.since_s) * 1000)}")
        return "|".join(parts)


@dataclass(frozen=True, slots=True, kw_only=True)
class TrackedFrame:
    """Everything known about one frame: what sinks receive.

    Attributes:
        frame: The picture and its times.
        instances: What was segmented; ``tracks.detection_rows`` points into it.
        tracks: The identities, or ``None`` when only segmentation was asked for.
        class_names: Names in ``class_ids`` order.
        stage_times_s: Seconds of work per stage for this frame, by stage name.
        events: What the site's lines and zones made of the frame, in the order in which it was found.
    """

    frame: Frame
    instances: Instances
    tracks: Tracks | None
    class_names: Sequence[str]
    stage_times_s: Mapping[str, float] = field(default_factory=dict)
    events: tuple[Event, ...] = ()


class NetworkInput(Protocol):
    """How a network wants its pictures; a segmenter is one."""

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
        """Score that an instance must have to confirm a track; 0 where scores are not known to mean something."""
        ...

    def segment(self, frames: Sequence[Frame]) -> list[Instances]:
        """The instances of each frame, in image pixels, one entry per frame in order."""
        ...
