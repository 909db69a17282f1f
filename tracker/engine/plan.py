"""What one stream is to do: its settings with the address that is opened and the outputs that are written."""

from __future__ import annotations

import dataclasses
import difflib
import os
import re
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import TYPE_CHECKING

from tracker import plugins
from tracker.engine.counting import check_site, listed_classes, site_of
from tracker.errors import ConfigError, SinkError, system_refusals
from tracker.plugins import sink_class
from tracker.settings.stream import event_kind
from tracker.sinks.base import file_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tracker.settings.stream import CameraSettings, RunSettings, StreamSettings
    from tracker.sinks.base import Edition, Sink
    from tracker.site import Site
    from tracker.sources.address import Address

__all__ = ["StreamPlan", "chosen_classes", "plan_camera", "plan_run"]

PLACEHOLDER = re.compile(r"\{([A-Za-z_]\w*)\}")
PLACEHOLDERS = ("name", "time", "frame", "image")
"""What is filled in: the stream, the moment at which a part begins, the number of a picture, its file's name."""
NAMES_A_STREAM = ("camera", "source", "stream", "video", "stem", "file", "id")


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamPlan:
    """One stream before anything of it is opened.

    Attributes:
        name: Of the stream, free of credentials.
        address: What is opened.
        settings: How; the same settings give the same result in every command.
        outputs: Where it is written, the annotated video first and events last, with the stream's name filled in.
        events: Those of the outputs that are files of events, whatever their suffix says otherwise.
        site: What is counted; ``None`` = nothing.
        lowest_score: Of the instances to use; ``None`` = the model's own.
        associates: Whether instances get identities.
        limit: Most frames.
        coco_annotations: A COCO file whose image and category numbers COCO results follow.
        sound: The recording's sound is copied into its video.
        shows_images: Frames carry their full-size pictures whatever the outputs want.
        shows_contacts: Frames carry ground contacts whatever the outputs want.
        edition: How its events come into stores.
    """

    name: str
    address: Address
    settings: StreamSettings
    outputs: tuple[str, ...]
    events: tuple[str, ...] = ()
    site: Site | None = None
    lowest_score: float | None = None
    associates: bool = True
    limit: int | None = None
    coco_annotations: str | None = None
    sound: bool = False
    shows_images: bool = False
    shows_contacts: bool = False
    edition: Edition = "append"

    def kind_of(self, output: str) -> str | None:
        """The kind of one of the outputs, as :func:`tracker.plugins.sink_class` takes it; ``None`` = by its suffix."""
        return event_kind(output) if output in self.events else None

    def shown(self, output: str) -> str:
        """One of the outputs, free of credentials."""
        from tracker.sinks.destination import shown_address
        from tracker.sources.address import redact

        return shown_address(output) if sink_class(output, self.kind_of(output)).secret_path else redact(output)

    @property
    def sink_classes(self) -> list[type[Sink]]:
        """Of the outputs, in their order."""
        return [sink_class(output, self.kind_of(output)) for output in self.outputs]

    @property
    def looks_for_tracks(self) -> bool:
        """Whether what tracking needs is to be found, to be used now or kept for later."""
        return self.associates or any(sink.keeps_instances for sink in self.sink_classes)

    @property
    def wants_contacts(self) -> bool:
        """Whether an output needs to know where identities stand."""
        if not self.associates:
            return False
        sinks = self.sink_classes
        drawn = "contacts" in (self.settings.draw or ()) and any(sink.needs_images for sink in sinks)
        return self.shows_contacts or drawn or any(sink.needs_contacts for sink in sinks)

    @property
    def wants_images(self) -> bool:
        """Whether an output or a network of its own needs the full-size pictures."""
        embeds = self.looks_for_tracks and self.settings.reid is not None
        looks = embeds or self.settings.outline is not None
        small = self.small_height is not None
        read = any(sink.needs_images and not (small and sink.draws_only) for sink in self.sink_classes)
        return self.shows_images or looks or read

    @property
    def small_height(self) -> int | None:
        """Lines of the pictures that are decoded for drawing; ``None`` where nothing is drawn, or at full size.

        What is covered is covered at full size, and made smaller after that.
        """
        covers = self.settings.privacy != "none" or (self.site is not None and bool(self.site.never_shown))
        draws = any(sink.needs_images and sink.draws_only for sink in self.sink_classes)
        return self.settings.save_height if draws and not covers else None


@system_refusals(SinkError)
def plan_camera(camera: CameraSettings) -> StreamPlan:
    """The stream of a camera of a service.

    Raises:
        TrackerError: A recording that is not there, an output that cannot be written, a device that cannot decode.
    """
    from tracker.sources.address import expand_sources
    from tracker.sources.hardware import choose

    addresses = expand_sources(camera.url)
    if len(addresses) > 1:
        problem = f"expected one stream, found {len(addresses)}"
        raise ConfigError(camera.name, problem, "write a camera entry for each of them")
    outputs = tuple(output.replace("{name}", camera.name) for output in _outputs(camera))
    events = outputs[len(outputs) - len(camera.events) :]
    for output in outputs:
        sink_class(output, event_kind(output) if output in events else None).check(output)
        path = file_of(output)
        if path is None:
            continue
        _check_placeholders(output, camera.place or camera.name)
        folder = path.parent
        if not folder.is_dir():
            raise SinkError(path, f"expected the folder {folder} to exist, found nothing", f"mkdir -p {folder}")
        if not os.access(folder, os.W_OK | os.X_OK):
            raise SinkError(path, f"expected a writable folder {folder}, found no permission", f"chmod u+wx {folder}")
    choose(camera.decode)
    return StreamPlan(
        name=camera.name,
        address=_asking(dataclasses.replace(addresses[0], name=camera.name), camera),
        settings=camera,
        outputs=outputs,
        events=events,
        site=site_of(camera),
        lowest_score=camera.score_threshold,
    )


def plan_run(settings: RunSettings) -> list[StreamPlan]:
    """The streams of a run, one after another.

    Raises:
        SourceError: A source is not there.
        ConfigError: Several streams would write to one path.
    """
    from tracker.sources.address import expand_sources

    addresses = expand_sources(list(settings.sources))
    site = site_of(settings)
    return [
        _plan_of(settings, address, _named_outputs(settings, address, several=len(addresses) > 1), site)
        for address in addresses
    ]


def _plan_of(settings: RunSettings, address: Address, outputs: Sequence[str], site: Site | None) -> StreamPlan:
    """The stream of one address of a run."""
    return StreamPlan(
        name=address.name,
        address=_asking(address, settings),
        settings=settings,
        outputs=tuple(outputs),
        events=tuple(outputs[len(outputs) - len(settings.events) :]),
        site=site,
        lowest_score=settings.lowest_score,
        associates=settings.associates,
        limit=settings.limit,
        coco_annotations=settings.coco_annotations,
        sound=settings.sound,
    )


def chosen_classes(plan: StreamPlan, class_names: tuple[str, ...]) -> list[int]:
    """Numbers of the classes that a stream keeps; empty = all.

    Raises:
        ConfigError: The model has no such class, or none that a line or zone of the site counts.
    """
    lowered = [name.lower() for name in class_names]
    for name in plan.settings.classes:
        if name.lower() not in lowered:
            shown = listed_classes(class_names)
            close = difflib.get_close_matches(name.lower(), lowered, 1)
            problem = f"expected classes of the model, found {name!r}; it has {shown}"
            remedy = f"did you mean {class_names[lowered.index(close[0])]!r}?" if close else "choose among these"
            raise ConfigError(f"classes of {plan.name}", problem, remedy)
    wanted = {name.lower() for name in plan.settings.classes}
    if plan.site is not None:
        offender = f"{plan.settings.site} of {plan.name}"
        check_site(plan.site, class_names, offender)
        kept = [name for name in class_names if name.lower() in wanted]
        check_site(plan.site, kept or class_names, offender, whose="the stream; `classes` keeps")
    return [number for number, name in enumerate(lowered) if name in wanted]


def _asking(address: Address, settings: StreamSettings) -> Address:
    """What is asked of a webcam."""
    rate = f"{settings.fps:g}" if settings.fps is not None and address.kind == "camera" else None
    return address.asking(size=settings.size, fps=rate, format=settings.format)


def _outputs(settings: StreamSettings) -> list[str]:
    return [*([settings.save] if settings.save else []), *settings.records, *settings.events]


def _check_placeholders(output: str, offender: str) -> None:
    """Braces in a file's name that nothing fills in are a slip: the name would be taken as it stands.

    Raises:
        ConfigError: An unknown placeholder.
    """
    if file_of(output) is None:
        return
    known = ", ".join(f"{{{name}}}" for name in PLACEHOLDERS)
    for name in PLACEHOLDER.findall(output):
        if name not in PLACEHOLDERS:
            meant = difflib.get_close_matches(name, PLACEHOLDERS, 1) or (["name"] if name in NAMES_A_STREAM else [])
            remedy = f"did you mean {{{meant[0]}}}?" if meant else "use one of them, or a name without braces"
            raise ConfigError(offender, f"expected placeholders {known}, found {{{name}}}", remedy)


def _with_name(output: str) -> str:
    """An output's name with ``{name}``: in the place of the stem, or before its other placeholders.

    >>> _with_name("out/a.mp4"), _with_name("z/{frame}.jpg")
    ('out/{name}.mp4', 'z/{name}-{frame}.jpg')
    """
    path = PurePath(output)
    stem = f"{{name}}-{path.stem}" if PLACEHOLDER.search(path.stem) else "{name}"
    return str(path.with_name(stem + path.suffix))


@system_refusals(SinkError)
def _named_outputs(settings: RunSettings, address: Address, *, several: bool) -> list[str]:
    """The outputs of one of the streams of a run; ``save`` may be a folder."""
    name = Path(address.name).stem or "stream"
    if address.kind not in {"video", "images"}:
        name = "".join(letter if letter.isalnum() else "-" for letter in address.name.rpartition("://")[2]).strip("-")
    for output in _outputs(settings):
        _check_placeholders(output, f"{_option_of(settings, output)} {output}")
    outputs: list[str] = []
    if settings.save is not None:
        folder = Path(settings.save).is_dir() or settings.save.endswith(("/", os.sep))
        is_file = not folder and PurePath(settings.save).suffix.lower() in plugins.SINKS.names
        lacks_name = several and "{name}" not in settings.save
        if is_file and lacks_name:
            problem = "expected a file per source, found one name for several sources"
            raise ConfigError(f"--save {settings.save}", problem, f"write {_with_name(settings.save)}, or a folder")
        names_pictures = PLACEHOLDER.search(PurePath(settings.save).name) is not None  # a file whose suffix is missing
        into = file_of(settings.save) is not None and (folder or (lacks_name and not names_pictures))
        inside = "{image}.jpg" if address.kind == "images" else f"{name}.mp4"
        outputs.append(str(Path(settings.save) / inside) if into else settings.save)
    for output in (*settings.records, *settings.events):
        path = file_of(output)
        kind = event_kind(output) if output in settings.events else None
        if path is not None and several and "{name}" not in output and not sink_class(output, kind).shared:
            raise ConfigError(
                f"{_option_of(settings, output)} {output}",
                "expected one file per stream, found one path for several streams",
                f"write {{name}} where the stream's name goes: {_with_name(output)}",
            )
        outputs.append(output)
    for output in outputs:
        sink_class(output, event_kind(output) if output in settings.events else None).check(output)
    return [output.replace("{name}", name) for output in outputs]


def _option_of(settings: RunSettings, output: str) -> str:
    """The option that names an output, for messages."""
    return "--save" if output == settings.save else "--events" if output in settings.events else "--records"
