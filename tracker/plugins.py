"""Registry of the extension points: sources, model families, stages and outputs, ours and those of other packages.

A new one is a file, a line here and a test; or, in a package of your own, a file and an entry point::

    [project.entry-points."masktrail.sinks"]
    ".svg" = "their_package.svg:SvgSink"         # --records tracks.svg
    tally = "their_package.tally:TallySink"      # --records tally://host/table

Both stand in the same tables. Nothing is imported before it is used: a line names a module and an object in it. One
name belongs to one package; two that want it are an error which names both.

| point | entry points | a name is | the object is |
|---|---|---|---|
| :data:`SOURCES` | ``masktrail.sources`` | a URL scheme | ``(Address, SourceContext) -> Decoder`` |
| :data:`CONTRACTS` | ``masktrail.contracts`` | what a model's metadata or manifest says | a ``Contract`` |
| :data:`STAGES` | ``masktrail.stages`` | what settings say | ``(StageContext) -> Stage`` |
| :data:`ANALYTICS` | ``masktrail.analytics`` | what settings say | a subclass of ``Analytic`` |
| :data:`SINKS` | ``masktrail.sinks`` | a suffix with its dot, or a URL scheme | a subclass of ``Sink`` with ``open`` |
"""

from __future__ import annotations

import dataclasses
import importlib
import os
import re
from dataclasses import dataclass, field
from functools import cache
from pathlib import PurePath
from typing import TYPE_CHECKING, Any, cast

from tracker.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from tracker.sinks.base import Sink, SinkContext

__all__ = [
    "ANALYTICS",
    "CONTRACTS",
    "SINKS",
    "SOURCES",
    "STAGES",
    "ExtensionPoint",
    "StageContext",
    "open_sink",
    "sink_class",
]

OURS = "masktrail"
_SCHEME = re.compile(r"^([A-Za-z][A-Za-z0-9+.-]*)://")


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One line of a table: ``target`` is ``module:object``, ``package`` the distribution that it comes from."""

    name: str
    target: str
    package: str = OURS


@dataclass(frozen=True, slots=True, kw_only=True)
class StageContext:
    """Facts about a stream for the factory of a stage.

    Attributes:
        stream: The stream's name, free of credentials.
        class_names: Names in ``class_ids`` order.
        frame_rate: Nominal frames per second that will come, or ``None`` where it is not known.
        settings: What the user wrote for this stage.
    """

    stream: str
    class_names: Sequence[str] = ()
    frame_rate: float | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)


class ExtensionPoint:
    """One table of names and what stands behind them.

    Args:
        group: The entry-point group of other packages.
        expects: What an object must be, in words, for errors.
        fits: Whether an object is that.
        built_in: Ours, by name, as ``module:object``.
    """

    def __init__(
        self, group: str, *, expects: str, fits: Callable[[Any], bool], built_in: Mapping[str, str] | None = None
    ) -> None:
        self.group = group
        self._expects, self._fits = expects, fits
        self._built_in = [Entry(name=name, target=target) for name, target in (built_in or {}).items()]

    @property
    def names(self) -> tuple[str, ...]:
        """All names: ours in the order of the table, then those of other packages."""
        return tuple(self.entries())

    def entries(self) -> dict[str, Entry]:
        """Every line of the table by name.

        Raises:
            ConfigError: Two packages want the same name.
        """
        found: dict[str, Entry] = {}
        for entry in (*self._built_in, *_installed(self.group)):
            other = found.setdefault(entry.name, entry)
            if other is not entry:
                problem = f"expected one package for {entry.name!r}, found two: {other.package} and {entry.package}"
                remedy = f"pip uninstall {entry.package}" if other.package == OURS else "uninstall one of the two"
                raise ConfigError(self.group, problem, remedy)
        return found

    def load(self, name: str) -> Any:
        """Import what stands behind a name.

        Raises:
            ConfigError: There is no such name, or what a package provides cannot be imported or is something else.
        """
        entries = self.entries()
        if name not in entries:
            known = ", ".join(entries) or "none"
            raise ConfigError(self.group, f"expected one of {known}, found {name!r}", "install the package that has it")
        entry = entries[name]
        module, _, attribute = entry.target.partition(":")
        try:
            loaded = importlib.import_module(module)
            for part in attribute.split("."):
                loaded = getattr(loaded, part)
        except Exception as failure:
            if entry.package == OURS:
                raise
            found = " ".join(f"{type(failure).__name__}: {failure}".split())
            problem = f"expected {entry.target} of the package {entry.package} for {name!r}, found {found}"
            raise ConfigError(self.group, problem, f"update {entry.package}, or pip uninstall it") from failure
        if not self._fits(loaded):
            problem = f"expected {self._expects} for {name!r}, found {loaded!r} in {entry.target} of {entry.package}"
            raise ConfigError(self.group, problem, f"update {entry.package}, or pip uninstall it")
        return loaded


@cache
def _installed(group: str) -> tuple[Entry, ...]:
    """The entry points of other packages, by name; the search takes 10 ms."""
    from importlib.metadata import entry_points  # takes longer to import than this page

    found = {
        (point.name, f"{point.module}:{point.attr}", point.dist.name if point.dist is not None else "unknown")
        for point in entry_points(group=group)
    }
    return tuple(Entry(name=name, target=target, package=package) for name, target, package in sorted(found))


def _is_sink(loaded: Any) -> bool:
    from tracker.sinks.base import Sink

    return isinstance(loaded, type) and issubclass(loaded, Sink)


def _is_analytic(loaded: Any) -> bool:
    return isinstance(loaded, type) and all(hasattr(loaded, name) for name in ("open", "process", "close", "state"))


def _is_contract(loaded: Any) -> bool:
    return all(hasattr(loaded, name) for name in ("name", "form", "match", "decoder", "extra_inputs"))


SOURCES = ExtensionPoint(
    "masktrail.sources",
    expects="a class of decoders or a function that opens one",
    fits=callable,
    built_in={
        "video": "tracker.sources.decoder:VideoDecoder",
        "camera": "tracker.sources.decoder:VideoDecoder",
        "network": "tracker.sources.decoder:VideoDecoder",
        "images": "tracker.sources.images:ImagesDecoder",
        **dict.fromkeys(("s3", "gs", "gcs", "abfs", "abfss", "az"), "tracker.sources.decoder:VideoDecoder"),
    },
)
"""Kinds of :class:`tracker.sources.address.Address`. Another package's name is a URL scheme, which it takes over from
FFmpeg; ``network`` is FFmpeg, for all the others. Only what FFmpeg reads is reconnected when it breaks off: a live
source of another package reconnects by itself."""

CONTRACTS = ExtensionPoint(
    "masktrail.contracts",
    expects="a tracker.segment.contracts.contract.Contract with name, form, match and decoder",
    fits=_is_contract,
    built_in={
        "end2end-1": "tracker.segment.contracts.end2end:CONTRACT",
        "end2end-2": "tracker.segment.contracts.end2end_2:CONTRACT",
        "yolact": "tracker.segment.contracts.yolact:CONTRACT",
        "yolo": "tracker.segment.contracts.yolo:CONTRACT",
        "boxes-masks": "tracker.segment.contracts.boxes_masks:CONTRACT",
        "queries": "tracker.segment.contracts.queries:CONTRACT",
        "solo": "tracker.segment.contracts.solo:CONTRACT",
    },
)
"""Output contracts of networks, tried in this order where a model does not name its own."""

STAGES = ExtensionPoint(
    "masktrail.stages",
    expects="a function that makes a stage",
    fits=callable,
    built_in={
        "camera": "tracker.engine.stage:camera_motion",
        "camera_state": "tracker.engine.camera_state:camera_state",
        "filter": "tracker.engine.stage:instance_filter",
        "reid": "tracker.engine.stage:embeddings",
        "associate": "tracker.engine.steady:associate",
        "predicted_masks": "tracker.engine.predicted_masks:predicted_masks",
        "outline": "tracker.engine.outline:outline",
        "contact": "tracker.engine.counting:contact",
        "analytics": "tracker.engine.counting:analytics",
        "heatmap": "tracker.engine.heatmap:heatmap",
        "notes": "tracker.engine.notes:notes",
    },
)
"""Steps of a stream between segmentation and its outputs, one instance per stream."""

ANALYTICS = ExtensionPoint(
    "masktrail.analytics",
    expects="a subclass of tracker.analytics.analytic.Analytic",
    fits=_is_analytic,
    built_in={
        "site": "tracker.analytics.measures:SiteMeasures",
        "traffic": "tracker.analytics.traffic_measures:TrafficMeasures",
        "alerts": "tracker.analytics.alerts:Alerts",
    },
)
"""Measures over a stream's tracked frames, which give events for its ledger."""

SINKS = ExtensionPoint(
    "masktrail.sinks",
    expects="a subclass of tracker.sinks.base.Sink",
    fits=_is_sink,
    built_in={
        ".jsonl": "tracker.sinks.lines:JsonLinesSink",
        ".ndjson": "tracker.sinks.lines:JsonLinesSink",
        ".csv": "tracker.sinks.lines:CsvSink",
        ".parquet": "tracker.sinks.parquet:ParquetSink",
        ".identities.jsonl": "tracker.sinks.identities:IdentitySink",
        ".identities.csv": "tracker.sinks.identities:IdentitySink",
        ".identities.parquet": "tracker.sinks.identities:IdentitySink",
        ".instances": "tracker.sinks.instances:InstancesSink",
        ".events.jsonl": "tracker.sinks.events:EventLinesSink",
        ".events.parquet": "tracker.sinks.events:EventTableSink",
        ".sqlite": "tracker.sinks.sqlite:SqliteSink",
        ".sqlite3": "tracker.sinks.sqlite:SqliteSink",
        ".db": "tracker.sinks.sqlite:SqliteSink",
        ".txt": "tracker.sinks.motchallenge:MotSink",
        ".mots.txt": "tracker.sinks.motchallenge:MotsSink",
        ".coco.json": "tracker.sinks.coco:CocoSink",
        ".mp4": "tracker.sinks.video:VideoSink",
        ".m4v": "tracker.sinks.video:VideoSink",
        ".mov": "tracker.sinks.video:VideoSink",
        ".mkv": "tracker.sinks.video:VideoSink",
        ".ts": "tracker.sinks.video:VideoSink",
        ".webm": "tracker.sinks.video:VideoSink",
        ".avi": "tracker.sinks.video:VideoSink",
        ".gif": "tracker.sinks.video:VideoSink",
        ".jpg": "tracker.sinks.pictures:PictureSink",
        ".jpeg": "tracker.sinks.pictures:PictureSink",
        ".png": "tracker.sinks.pictures:PictureSink",
        "postgresql": "tracker.sinks.postgres:PostgresSink",
        "postgres": "tracker.sinks.postgres:PostgresSink",
        "mqtt": "tracker.sinks.mqtt:MqttSink",
        "mqtts": "tracker.sinks.mqtt:MqttSink",
        "webhook+https": "tracker.sinks.webhook:WebhookSink",
        "webhook+http": "tracker.sinks.webhook:WebhookSink",
        "smtp": "tracker.sinks.mail:MailSink",
        "smtps": "tracker.sinks.mail:MailSink",
    },
)
"""Outputs; of several suffixes that a name ends in, the longest is meant."""


def sink_class(address: str | os.PathLike[str], kind: str | None = None) -> type[Sink]:
    """The kind of output that an address asks for, by its URL scheme or its suffix.

    Args:
        address: A path or a URL.
        kind: A name of :data:`SINKS` to disregard the address, for devices and pipes.

    Raises:
        ConfigError: There is no such scheme, suffix or kind; the message lists those that there are.

    >>> sink_class("runs/street.mots.txt").__name__, sink_class("street.MP4").__name__
    ('MotsSink', 'VideoSink')
    """
    text = os.fspath(address)
    names = SINKS.names
    scheme = _SCHEME.match(text)
    if kind is not None:
        chosen = kind if kind in names else None
        found = kind
    elif scheme is not None:
        found = f"{scheme[1].lower()}://"
        chosen = found.removesuffix("://")
        chosen = chosen if chosen in names else None
    else:
        name = PurePath(text).name.lower()
        fits = [suffix for suffix in names if suffix.startswith(".") and name.endswith(suffix) and name not in names]
        chosen = max(fits, key=len, default=None)
        found = PurePath(name).suffix or "none"
    if chosen is None:
        raise _unknown(text, found, names)
    return cast("type[Sink]", SINKS.load(chosen))


def open_sink(
    address: str | os.PathLike[str], context: SinkContext | None = None, *, kind: str | None = None, **facts: Any
) -> Sink:
    """Open any output; it is checked before any frame is decoded.

    Args:
        address: A path or a URL; its suffix or scheme says what is written there, see :data:`SINKS`.
        context: What is known about the stream.
        kind: A name of :data:`SINKS` to disregard the address, for devices and pipes: ``".jsonl"``.
        facts: Fields of :class:`tracker.sinks.base.SinkContext`, in the place of those of ``context``:
            ``open_sink("out.mp4", class_names=segmenter.class_names)``.

    Raises:
        ConfigError: The suffix, scheme or kind is unknown, or an optional package is missing.
        SinkError: The outside refuses: the folder is missing or not writable, say.
    """
    from tracker.sinks.base import SinkContext

    chosen = sink_class(address, kind)
    context = dataclasses.replace(context or SinkContext(), **facts)
    if chosen.needs_images and context.draw is None:
        from tracker.render.annotate import Annotator

        context = dataclasses.replace(context, draw=Annotator().draw)
    return chosen.open(os.fspath(address), context)


def _unknown(address: str, found: str, names: Sequence[str]) -> ConfigError:
    suffixes = " ".join(name for name in names if name.startswith("."))
    schemes = " ".join(f"{name}://" for name in names if not name.startswith("."))
    problem = f"expected one of the suffixes {suffixes}" + (f" or of the addresses {schemes}" if schemes else "")
    remedy = "change the file name"
    if "://" in found:
        address = f"{found}..."  # the rest may hold a password
        remedy = "change the address, or install the package that has this scheme"
    elif address.endswith(".json"):
        remedy = "name a COCO results file *.coco.json"
    elif found == "none":
        name = os.path.basename(address)  # noqa: PTH119 - `out/` has a name of its own for Path
        remedy = (
            f"add a suffix: {name}.mp4 for video, {name}.jsonl for records" if name else "name a file in the folder"
        )
    return ConfigError(address, f"{problem}, found {found}", remedy)
