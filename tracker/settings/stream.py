"""Settings of one stream: its source, its model, its tracking and its outputs; of a camera; of a run of the command."""

from __future__ import annotations

from pathlib import PurePath
from typing import Annotated, ClassVar, Self

from pydantic import Field, model_validator

from tracker.errors import shown
from tracker.settings.choices import (
    CameraMotionChoice,
    ColourBy,
    DecodeChoice,
    EconomyChoice,
    MaskFormat,
    Policy,
    PrivacyMode,
    Transport,
)
from tracker.settings.model import Also, Flag, Note, Origin, Refusal, SettingError, Settings, Wanted
from tracker.settings.values import DrawnParts, Moment, Pairs, Text, Texts

__all__ = [
    "DEFAULT_MODEL",
    "DISPLAY_SCORE",
    "EVENT_SUFFIXES",
    "BatchSettings",
    "CameraSettings",
    "DeviceSettings",
    "RunSettings",
    "StreamSettings",
    "event_kind",
    "is_camera",
]

DEFAULT_MODEL = "yolact-nano"

DISPLAY_SCORE = 0.3
"""``segment`` keeps instances from here on unless another score is asked for."""

AVERAGE_PRECISION_SCORE = 0.01
"""COCO results hold weak instances as well: average precision is measured over all scores."""

TRACKING, COUNTING, INPUT, SEGMENTATION = "Tracking", "Counting", "Input", "Segmentation"
DRAWING, PRIVACY = "Drawing", "Privacy"
"""Headings of options that few need; the others stand first."""

EVENT_KINDS = {
    ".jsonl": ".events.jsonl",
    ".ndjson": ".events.jsonl",
    ".parquet": ".events.parquet",
    ".sqlite": ".sqlite",
    ".sqlite3": ".sqlite",
    ".db": ".sqlite",
}
"""Kind of output, as :data:`tracker.plugins.SINKS` names it, by the suffix of a file of events."""

EVENT_SUFFIXES = (".events.jsonl", ".events.parquet", ".sqlite", ".sqlite3", ".db")
"""Of files that hold events whatever names them."""

DAY_S = 86_400


class StreamSettings(Settings):
    """One stream, for every command: ``track``, ``segment``, or ``live`` with a camera of its file.

    Class attributes:
        has_store: The command names a store for heatmaps itself.
    """

    has_store: ClassVar[bool] = False

    save: Annotated[
        Text | None,
        Field(description="Annotated video (.mp4, .mkv, ...); a folder or {name} with several sources."),
        Note("In a file `{name}` is the camera's name, and `{time}` begins a new part every `rotate_s`."),
        Flag("FILE"),
    ] = None
    records: Annotated[
        Texts,
        Field(description="Records by suffix: .jsonl .csv .parquet .txt .mots.txt .coco.json .instances; repeatable."),
        Note("`{name}` and `{time}` are filled in as for `save`."),
        Flag("FILE"),
    ] = ()
    masks: Annotated[
        MaskFormat | None,
        Field(
            description="Shapes in JSONL, CSV and Parquet: rle, polygon or none; by default rle, in CSV none.",
        ),
        Flag("FORM"),
    ] = None
    model: Annotated[
        Text,
        Field(description="A model of the zoo (see: masktrail models list) or an .onnx file."),
        Note("Cameras with the same model and `iou_threshold` share one session and its batches."),
        Flag("NAME"),
    ] = DEFAULT_MODEL
    classes: Annotated[
        Texts,
        Field(description="Only these classes: --classes car,bus; repeatable."),
        Flag("NAMES", split=","),
    ] = ()

    draw: Annotated[
        DrawnParts | None,
        Field(
            description="What --save shows: labels, masks, trails, site (these by default), boxes, contacts, "
            "occluders; none for none."
        ),
        Note(
            "Instances without a mask get their box where masks are drawn. `site`: lines and zones with their counts, "
            "where there is a site. `contacts`: dots where objects stand, hollow where that is hidden. `occluders`: "
            "those of the site, hatched."
        ),
        Wanted(
            "a list of labels, masks, trails, site, boxes, contacts and occluders, or none", "write labels,masks, say"
        ),
        Flag("PARTS", panel=DRAWING),
    ] = None
    colour_by: Annotated[
        ColourBy,
        Field(description="identity or class: what has a colour of its own."),
        Flag("WHAT", panel=DRAWING),
    ] = "identity"
    line_width: Annotated[
        int | None,
        Field(ge=1, le=100, description="Width of outlines and boxes in pixels; by default it follows the picture."),
        Note("Trails are twice as wide."),
        Flag("PIXELS", panel=DRAWING),
    ] = None

    save_height: Annotated[
        int | None,
        Field(ge=64, le=16_384, description="Lines of what --save writes, 720 say; by default as many as the source."),
        Note("The width follows. Nothing is enlarged; records, events and the model's input stay as they are."),
        Flag("LINES", panel=DRAWING),
    ] = None

    privacy: Annotated[
        PrivacyMode,
        Field(description="Persons in pictures: fill covers them; pixelate is not private: they may be recognised."),
        Note(
            "Before anything is encoded: video, picture files, and on the dashboard also `clear` pictures. Live "
            "pictures are 0.5 s late. See docs/guide/privacy.md for what may still show."
        ),
        Flag("HOW", panel=PRIVACY, command="track"),
    ] = "none"
    privacy_classes: Annotated[
        Texts,
        Field(min_length=1, description="What `privacy` covers: --privacy-classes person,bicycle; person by default."),
        Flag("NAMES", panel=PRIVACY, command="track", split=","),
    ] = ("person",)

    confirmation_score: Annotated[
        float | None,
        Field(ge=0, le=1, description="A track gets its number once it has this score; by default the model's own."),
        Also("confirm"),
        Flag("SCORE", panel=TRACKING, command="track"),
    ] = None
    camera_motion: Annotated[
        CameraMotionChoice,
        Field(description="auto: tracks move along with the camera; off: it stands still."),
        Flag("MODE", panel=TRACKING, command="track"),
    ] = "auto"
    predicted_masks: Annotated[
        bool,
        Field(description="Tracks that coast get a mask too, from the picture as it is now, where they show."),
        Note("In the video and in JSON Lines, there with `mask_from: predicted`; models with prototypes only."),
        Flag(panel=TRACKING, command="track"),
    ] = False
    detect_every: Annotated[
        int,
        Field(ge=1, le=1000, description="Run the model on every n-th frame; outlines carry tracks between."),
        Note("With `outline`. A track is seen in the frames between where its predicted box has an outline."),
        Flag("N", panel=TRACKING, command="track"),
    ] = 1
    economy: Annotated[
        EconomyChoice,
        Field(description="auto: frames that hardly tell anything are not segmented; off: every frame is."),
        Note(
            "Fixed cameras: while nothing moves and no track lives, one frame a second. Recordings of 20 fps or more: "
            "also every second frame where things move slowly, with boxes and masks between those of its neighbours. "
            "Not with `privacy`, `outline` or `.instances`. [Guide](../guide/economy.md)."
        ),
        Flag("MODE", panel=TRACKING, command="track"),
    ] = "off"
    reid: Annotated[
        Text | None,
        Field(description="Re-identification: an .onnx network that recognises objects by their appearance."),
        Note("Without it the model's own embeddings, if it has any; cameras that name the same network share it."),
        Flag("FILE", panel=TRACKING, command="track"),
    ] = None

    site: Annotated[
        Text | None,
        Field(description="A site's file: its lines, zones and flows, over which tracks are counted."),
        Flag("FILE", panel=COUNTING, command="track"),
    ] = None
    events: Annotated[
        Texts,
        Field(description="Events of the site by suffix, .jsonl .parquet .sqlite, or to a URL; repeatable."),
        Note(
            "`{name}` and `{time}` are filled in as for `records`; a database is one file without `{time}`. URLs: "
            "[postgresql, mqtt, webhook, smtp](../guide/outside.md)."
        ),
        Flag("FILE", panel=COUNTING, command="track"),
    ] = ()
    spool: Annotated[
        Text | None,
        Field(description="Folder in which events wait for receivers that are away; by default in your state folder."),
        Note("For events to URLs. By default `~/.local/state/masktrail/spool`, or what the system has for it."),
        Flag("FOLDER", panel=COUNTING, command="track"),
    ] = None
    spool_mb: Annotated[
        float,
        Field(ge=0.01, le=1e6, description="Size of what waits there per stream and receiver; then the oldest go."),
    ] = 256.0
    heatmap: Annotated[
        bool,
        Field(description="Seconds and visits by cell of the picture, hour by hour, in the store of --events."),
        Note("The store is a .sqlite of `events`. Without a site too; `masktrail heatmap` draws it."),
        Flag(panel=COUNTING, command="track"),
    ] = False
    start_at: Annotated[
        Moment | None,
        Field(description="When a recording began, 2026-03-29T01:30+01:00; by default its own date of creation."),
        Wanted("a moment with its offset from UTC", "write 2026-03-29T01:30+01:00, or Z for UTC"),
        Flag("TIME", panel=COUNTING, command="track"),
    ] = None
    gap_s: Annotated[
        float,
        Field(ge=0.001, le=DAY_S, description="Seconds without a frame from which the site's events have a gap."),
    ] = 2.0

    stages: Annotated[
        Texts,
        Field(description="Further steps by name, from other packages, between tracking and outputs."),
        Note("Names of the entry points `masktrail.stages` of installed packages."),
    ] = ()
    analytics: Annotated[
        Texts,
        Field(description="Further analytics by name, from other packages, whose events join those of the site."),
        Note("Names of the entry points `masktrail.analytics` of installed packages."),
    ] = ()

    stride: Annotated[
        int,
        Field(ge=1, le=10_000, description="Use every n-th frame."),
        Flag("N", panel=INPUT),
    ] = 1
    decode: Annotated[
        DecodeChoice,
        Field(description="Where video is decoded: auto, cpu, cuda, vaapi or videotoolbox."),
        Note("A device that is named must do it; `auto` takes one that works, else the CPU."),
        Flag("NAME", panel=INPUT),
    ] = "auto"
    rtsp_transport: Annotated[
        Transport,
        Field(description="How RTSP cameras send: tcp or udp."),
        Also("transport"),
        Flag("NAME", panel=INPUT),
    ] = "tcp"
    max_pixels: Annotated[
        int,
        Field(ge=1, le=250_000_000, description="Most pixels of a picture; a stream of larger ones is refused."),
        Note("A picture takes 3 bytes a pixel several times over. In a folder of images larger ones are skipped."),
        Flag("N", panel=INPUT),
    ] = 100_000_000
    policy: Annotated[
        Policy,
        Field(description="latest: the newest frame; all: every frame, the reader waits; auto: latest for cameras."),
    ] = "auto"
    max_age_s: Annotated[
        float | None,
        Field(ge=0.001, le=DAY_S, description="A frame that waited longer is dropped and counted as late."),
    ] = None
    timeout_s: Annotated[
        float,
        Field(ge=0.001, le=DAY_S, description="Longest wait for an answer of a source."),
    ] = 5.0
    stall_s: Annotated[
        float,
        Field(ge=0.001, le=DAY_S, description="Without a frame for this long, the camera is reconnected."),
        Note("Playlists: at least 30."),
    ] = 10.0
    fps: Annotated[
        float | None,
        Field(ge=0.01, le=1000, description="Rate of images and of streams without times; asked of a webcam."),
        Note("Images by default: the frameRate of a seqinfo.ini beside or above them, else 30."),
        Flag("RATE", panel=INPUT),
    ] = None
    size: Annotated[
        Text | None,
        Field(pattern="^[0-9]{1,5}x[0-9]{1,5}$", description="Size of picture that is asked of a webcam, 1280x720."),
        Wanted("a size such as 1280x720"),
    ] = None
    format: Annotated[
        Text | None,
        Field(pattern="^[A-Za-z0-9_]{3,16}$", description="Format that is asked of a webcam: mjpeg or yuyv422, say."),
        Wanted("a format such as mjpeg"),
    ] = None
    ffmpeg_options: Annotated[
        Pairs,
        Field(description="FFmpeg's own options of the source, {buffer_size: 1000000}."),
        Also("options"),
        Wanted("`key: value` options", "write {buffer_size: 1000000}"),
    ] = ()

    score_threshold: Annotated[
        float | None,
        Field(ge=0, le=1, description="Lowest score to use; by default the model's own."),
        Also("conf"),
        Flag("SCORE", panel=SEGMENTATION),
    ] = None
    iou_threshold: Annotated[
        float | None,
        Field(ge=0, le=1, description="Overlap from which two instances are one; by default the model's own."),
        Also("iou"),
        Flag("SHARE", panel=SEGMENTATION),
    ] = None

    outline: Annotated[
        Text | None,
        Field(description="Folder of a Segment Anything export: its outlines of boxes take the place of the masks."),
        Note("In records, video, contacts and privacy; identities and boxes stay as they are. Cameras share it."),
        Flag("FOLDER", panel=SEGMENTATION),
    ] = None
    outline_every: Annotated[
        int | None,
        Field(ge=1, le=1000, description="Encode every n-th frame for outlines; by default by its cost on the CPU."),
        Note("Between, an outline moves along with its box for up to 0.15 s."),
        Flag("N", panel=SEGMENTATION),
    ] = None

    rotate_s: Annotated[
        float,
        Field(ge=1, le=31 * DAY_S, description="Length of the parts of outputs with {time} in their name."),
    ] = 3600.0
    rotate_mb: Annotated[
        float | None,
        Field(ge=0.01, le=1e6, description="Size at which a part is ended; by default by time only."),
    ] = None

    @model_validator(mode="after")
    def _events_are_of_a_site(self) -> Self:
        owner = type(self).__name__
        for path in self.events:
            if "://" not in path and event_kind(path) is None:
                expected = f"events as {' '.join(EVENT_KINDS)}"
                found = f"{PurePath(path).suffix or 'no suffix'} in {path}"
                raise SettingError(owner, (Refusal("events", expected, found, "change the suffix"),), found)
        if self.heatmap and not self.has_store and not any(event_kind(path) == ".sqlite" for path in self.events):
            expected, found = "a store to keep it in", f"{', '.join(self.events) or 'none'}"
            refusal = Refusal("heatmap", expected, found, "name one for the events too: store.sqlite")
            raise SettingError(owner, (refusal,), found)
        if self.events and self.site is None and not self.analytics and not self.heatmap:
            expected, found = "a site, whose lines and zones make the events", "events without one"
            raise SettingError(owner, (Refusal("events", expected, found, "name the site's file too"),), found)
        for path in self.records:
            if self.site is None and "://" not in path and PurePath(path).name.lower().endswith(EVENT_SUFFIXES):
                expected, found = "a site, whose lines and zones make the events", f"none for {path}"
                raise SettingError(owner, (Refusal("records", expected, found, "name the site's file too"),), found)
        return self

    @model_validator(mode="after")
    def _outlines_carry_tracks(self) -> Self:
        chosen = {
            "detect_every": self.detect_every if self.detect_every > 1 else None,
            "outline_every": self.outline_every,
        }
        for name, value in chosen.items():
            if value is not None and self.outline is None:
                expected, found = "a folder of a promptable segmenter in `outline`", f"{value} without one"
                refusal = Refusal(name, expected, found, "name the folder, or leave it out; `stride` drops frames")
                raise SettingError(type(self).__name__, (refusal,), found)
        if self.detect_every > 1 and self.privacy != "none":
            expected, found = (
                "1 with `privacy`, which covers what the model finds in every frame",
                f"{self.detect_every}",
            )
            refusal = Refusal("detect_every", expected, found, "leave one of the two out")
            raise SettingError(type(self).__name__, (refusal,), found)
        return self

    @model_validator(mode="after")
    def _economy_leaves_frames_out(self) -> Self:
        if self.economy == "off":
            return self
        saved = [path for path in self.records if path.endswith(".instances")]
        needs = {
            "`privacy`, which covers what the model finds in every frame": self.privacy != "none",
            "`outline`, which has `detect_every` for that": self.outline is not None,
            f"{saved[0] if saved else ''}, which keeps the instances of every frame": bool(saved),
        }
        for what, is_so in needs.items():
            if is_so:
                refusal = Refusal("economy", f"`off` with {what}", self.economy, "leave one of the two out")
                raise SettingError(type(self).__name__, (refusal,), self.economy)
        return self

    @property
    def start_ms(self) -> int | None:
        """``start_at`` as UTC in milliseconds."""
        return None if self.start_at is None else round(self.start_at.timestamp() * 1000)

    @property
    def rotate_bytes(self) -> int | None:
        """Size in bytes at which a part is ended."""
        return None if self.rotate_mb is None else int(self.rotate_mb * 1e6)


class CameraSettings(StreamSettings):
    """One camera or recording of cameras.yaml."""

    name: Annotated[
        Text,
        Field(
            pattern="^[A-Za-z0-9][A-Za-z0-9_.-]*$",
            max_length=100,
            description="Names the camera in files, records and metrics.",
        ),
        Note("Letters, digits, `_`, `-` and `.`, at most 100."),
        Wanted("a name of letters, digits, _, - and ., at most 100", "it becomes part of file names and metrics"),
    ]
    url: Annotated[
        Text,
        Field(repr=False, description="What is opened: rtsp://, http:// (MJPEG, HLS), srt://, a device, a file."),
        Note("Passwords belong in the environment: `rtsp://viewer:${GATE_PASSWORD}@10.0.0.7/stream1`."),
    ]
    place: Annotated[str, Field(repr=False, description="`file:line` where it was read, for messages."), Origin()] = ""

    @model_validator(mode="after")
    def _cameras_begin_now(self) -> Self:
        if self.start_at is not None and is_camera(self.url):
            raise _no_start(type(self).__name__, "a camera, whose clock is that of this machine")
        return self

    @model_validator(mode="after")
    def _endless_outputs_come_in_parts(self) -> Self:
        for name in ("records", "save", "events") if is_camera(self.url) else ():
            value = getattr(self, name)
            for text in (value,) if isinstance(value, str) else value or ():
                if "{time}" not in text and "://" not in text and event_kind(text) != ".sqlite":
                    path = PurePath(text)
                    expected = f"a file per part of an endless camera for {shown(text)}"
                    found = "one file that would grow without end, and be replaced at the next start"
                    example = path.parent / f"{{name}}-{{time}}{path.suffix[:10]}"
                    remedy = f"write {{time}} into its name: {example}"
                    raise SettingError(type(self).__name__, (Refusal(name, expected, found, remedy),), found)
        return self


class DeviceSettings(Settings):
    """Where the models of a run or a service run, and how many frames at once."""

    device: Annotated[
        Text,
        Field(description="Where models run: auto, cpu, cuda, tensorrt or openvino."),
        Note("`cuda:1` is the second card; `auto` takes CUDA, then OpenVINO where it is installed and bf16 is there."),
        Flag("NAME"),
    ] = "auto"
    workers: Annotated[
        int | None,
        Field(ge=1, le=256, description="Batches at once; by default one per core on the CPU, one per slot on a GPU."),
        Note("A service on a GPU has two by default."),
        Flag("N", panel=SEGMENTATION),
    ] = None
    batch: Annotated[
        int | None,
        Field(
            ge=1,
            le=256,
            description="Frames of a recording per run of the model; by default 8 on a GPU, 1 on the CPU.",
        ),
        Note("A service runs frames of several cameras together: by default as many as the model takes."),
        Flag("N", panel=SEGMENTATION),
    ] = None
    fp16: Annotated[
        bool,
        Field(description="Half precision, with --device tensorrt."),
        Flag(panel=SEGMENTATION),
    ] = False


class RunSettings(DeviceSettings, StreamSettings):
    """One run of ``masktrail track`` or ``segment`` over its sources."""

    sources: Annotated[
        Texts,
        Field(
            min_length=1,
            repr=False,
            description="Videos, folders or patterns of images or videos, a webcam (0), RTSP or HTTP addresses.",
        ),
        Wanted("a video, a folder, a pattern, a webcam (0) or an address", "name one: masktrail track street.mp4"),
        Flag("SOURCE", argument=True),
    ]
    associates: Annotated[bool, Field(description="Identities are given; off for segment.")] = True
    coco_annotations: Annotated[
        Text | None,
        Field(description="A COCO images.json: .coco.json takes its image ids and categories."),
        Also("coco"),
        Flag("FILE", command="segment"),
    ] = None
    refine: Annotated[
        bool,
        Field(description="A second pass over recordings: fills gaps, joins tracks, drops false ones."),
        Flag(panel=TRACKING, command="track"),
    ] = False
    sound: Annotated[
        bool,
        Field(description="Copy the recording's sound into the video of --save, as it is."),
        Note("Recordings only: a camera's sound is not read."),
        Flag(panel=DRAWING),
    ] = False
    limit: Annotated[
        int | None,
        Field(ge=1, description="Stop after this many frames."),
        Flag("N", panel=INPUT),
    ] = None

    @model_validator(mode="after")
    def _sites_want_identities(self) -> Self:
        owner = type(self).__name__
        if self.site is not None and not self.associates:
            expected, found = "identities, which lines and zones count", "segmentation without them"
            raise SettingError(owner, (Refusal("site", expected, found, "track, or leave the site out"),), found)
        if self.economy != "off" and not self.associates:
            expected, found = "`off` without identities, which tell when nothing is there", self.economy
            refusal = Refusal("economy", expected, found, "track, or leave it out")
            raise SettingError(owner, (refusal,), found)
        if self.start_at is not None and len(self.sources) > 1:
            raise _no_start(owner, f"{len(self.sources)} sources")
        if self.start_at is not None and is_camera(self.sources[0]):
            raise _no_start(owner, "a camera, whose clock is that of this machine")
        return self

    @property
    def lowest_score(self) -> float | None:
        """The lowest score the segmenter keeps; ``None`` = the model's own, which the tracker wants low."""
        keeps_instances = any(path.endswith(".instances") for path in self.records)  # to be tracked later
        if self.score_threshold is not None or self.associates or keeps_instances:
            return self.score_threshold
        exports_coco = any(path.endswith(".coco.json") for path in self.records)
        return AVERAGE_PRECISION_SCORE if exports_coco else DISPLAY_SCORE


class BatchSettings(RunSettings):
    """A run of ``masktrail batch``, whose outputs lie in its place for results."""

    has_store: ClassVar[bool] = True
    heatmap: Annotated[
        bool,
        Field(description="Seconds and visits by cell of the picture, hour by hour, in a store for each recording."),
        Flag(panel=COUNTING),
    ] = False


def _no_start(owner: str, found: str) -> SettingError:
    refusal = Refusal(
        "start_at", "one recording whose start is declared", found, "leave it out, or run them one by one"
    )
    return SettingError(owner, (refusal,), found)


def event_kind(path: str) -> str | None:
    """What a file of events is, as :data:`tracker.plugins.SINKS` names it; ``None`` for another file or a URL.

    >>> event_kind("gate.events.jsonl"), event_kind("gate.DB"), event_kind("gate.csv"), event_kind("mqtt://host/a.db")
    ('.events.jsonl', '.sqlite', None, None)
    """
    return None if "://" in path else EVENT_KINDS.get(PurePath(path).suffix.lower())


def is_camera(url: str) -> bool:
    """Whether a camera's address is endless: a device or a network address."""
    if url.partition("?")[0].isdecimal() or url.startswith("/dev/video"):
        return True
    return "://" in url and not url.startswith("file://")
