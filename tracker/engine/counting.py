"""Counting in a stream: the stages that find ground contacts, and what a site's lines, zones and flows make of them."""

from __future__ import annotations

import contextlib
import difflib
import logging
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tracker.analytics.analytic import AnalyticContext
from tracker.analytics.contact import ContactFinder
from tracker.engine.stage import Stage
from tracker.errors import ConfigError
from tracker.plugins import ANALYTICS, STAGES, StageContext
from tracker.traffic import Traffic

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime

    from tracker.analytics.analytic import Analytic
    from tracker.engine.snapshot import Kept
    from tracker.events import Event
    from tracker.settings.stream import StreamSettings
    from tracker.site import Site
    from tracker.track_block import TrackBlock
    from tracker.types import TrackedFrame

__all__ = [
    "AnalyticsStage",
    "ContactStage",
    "analytics",
    "check_site",
    "contact",
    "counting_stages",
    "kinds_of",
    "listed_classes",
    "site_of",
]

logger = logging.getLogger("tracker.live")


class ContactStage(Stage):
    """Finds the ground contact of every instance.

    Args:
        site: Its occluders hide contacts.
    """

    name = "contact"

    def __init__(self, site: Site | None = None) -> None:
        self._finder = ContactFinder([] if site is None else [occluder.polygon for occluder in site.occluders])

    def process(self, tracked: TrackedFrame) -> TrackedFrame:
        """The frame with its ``contacts``."""
        return replace(tracked, contacts=self._finder.find(tracked.instances, tracked.frame.size))


class AnalyticsStage(Stage):
    """Finds the events of one analytic.

    Args:
        kind: The analytic.
        context: Of the stream.
        name: Of the stage, for its state and its seconds.
        site_file: By which errors name the site.
    """

    name = "analytics"

    def __init__(
        self, kind: type[Analytic], context: AnalyticContext, *, name: str = "analytics", site_file: str = "site"
    ) -> None:
        self._kind, self._context = kind, context
        self.name, self._site_file = name, site_file
        self._analytic = kind.open(context)

    def process(self, tracked: TrackedFrame) -> TrackedFrame:
        """The frame with its ``events``, after those that it came with."""
        with self._named():
            return replace(tracked, events=(*tracked.events, *self._analytic.process(tracked)))

    @property
    def takes_blocks(self) -> bool:
        """See :attr:`tracker.analytics.analytic.Analytic.takes_blocks`."""
        return self._analytic.takes_blocks

    def take(self, block: TrackBlock) -> list[tuple[Event, ...]]:
        """Events by frame, after those that the frames came with."""
        with self._named():
            found = self._analytic.take(block)
        for number, events in block.events.items():
            found[number] = (*events, *found[number])
        return found

    @contextlib.contextmanager
    def _named(self) -> Iterator[None]:
        """Errors of the site name its file, which analytics do not know."""
        try:
            yield
        except ConfigError as error:
            if error.offender != "site":
                raise
            raise ConfigError(self._site_file, error.problem, error.remedy) from None

    def state(self) -> dict[str, Any] | None:
        """See :meth:`tracker.analytics.analytic.Analytic.state`."""
        return self._analytic.state()

    def restore(self, kept: Kept) -> None:
        """Continue where the identities do; counts of a camera that cannot be continued cost none of its identities."""
        if kept.numbers_only:
            try:
                self._analytic.abandon(kept.state, elapsed_s=kept.elapsed_s or 0.0)
            except Exception as failure:  # noqa: BLE001 - whatever a state of another version makes of it
                problem = f"expected counts of this version, found {type(failure).__name__}: {failure}"
                extra = {"camera": self._context.stream, "problem": problem}
                logger.warning("alerts of before are not ended", extra=extra)
            return
        try:
            self._analytic.restore(kept.state, elapsed_s=kept.elapsed_s)
        except Exception as failure:
            if kept.elapsed_s is None:  # a recording continues exactly or begins anew
                raise
            self._analytic = self._kind.open(self._context)
            problem = f"expected counts of this version and site, found {type(failure).__name__}: {failure}"
            logger.warning("counts begin anew", extra={"camera": self._context.stream, "problem": problem})

    def close(self) -> tuple[Event, ...]:
        """What nothing can contradict any more, and the stays that last."""
        return self._analytic.close()

    def notes(self) -> tuple[str, ...]:
        """See :meth:`tracker.analytics.analytic.Analytic.notes`."""
        return self._analytic.notes()

    def present(self) -> dict[str, dict[str, int]]:
        """Identities by zone and class."""
        return self._analytic.present()

    def waiting(self) -> dict[str, int]:
        """Identities by queue."""
        return self._analytic.waiting()


def counting_stages(
    stream: str,
    class_names: Sequence[str],
    *,
    contacts: bool,
    site: Site | None,
    settings: StreamSettings,
    pictured: bool = False,
) -> list[Stage]:
    """The stages ``contact``, ``camera_state``, ``analytics``, ``heatmap`` and ``notes``; none that nothing asks for.

    Args:
        stream: Name of the stream.
        class_names: Of its model.
        contacts: An output wants them, and the notes with which its rows can be counted again.
        site: What is counted, if anything.
        settings: Of the stream.
        pictured: Its frames have pictures, which show the state of the camera.
    """
    steps: list[tuple[str, dict[str, Any]]] = []
    if contacts or site is not None or settings.analytics or settings.heatmap:
        steps.append(("contact", {"site": site}))
    if site is not None and pictured:
        beside = Path(settings.site or "").parent / site.reference_picture
        reference = beside if site.reference_picture else None
        steps.append(
            ("camera_state", {"reference": reference, "start_at": settings.start_at, "revision": site.revision})
        )
    facts = {"site": site, "start_at": settings.start_at, "gap_s": settings.gap_s}
    kinds = kinds_of(site, settings.analytics)
    steps += [("analytics", {"kind": kind, "site_file": settings.site, **facts}) for kind in kinds]
    if settings.heatmap:  # after the camera's state, which says when the camera saw something else
        steps.append(("heatmap", {"start_at": settings.start_at, "gap_s": settings.gap_s}))
    if contacts:
        steps.append(("notes", facts))
    return [
        STAGES.load(name)(StageContext(stream=stream, class_names=class_names, settings=values))
        for name, values in steps
    ]


def kinds_of(site: Site | None, more: Sequence[str] = ()) -> list[str]:
    """The analytics that a site asks for, and others, in the order in which they take a frame.

    Args:
        site: What is counted, if anything.
        more: Names of further ones.
    """
    asked = [] if site is None else ["site"]
    if site is not None and _asks_for_traffic(site):
        asked.append("traffic")
    alerts = ["alerts"] if site is not None and site.alerts else []  # the last: they see what the others found
    return [*(kind for kind in dict.fromkeys([*asked, *more]) if kind not in alerts), *alerts]


def _asks_for_traffic(site: Site) -> bool:
    """Whether anything in a site is measured by the analytic ``traffic``."""
    lines = any(line.measures or line.wrong_way for line in site.lines)
    zones = any(zone.stopped_s is not None or zone.towards for zone in site.zones)
    return lines or zones or (site.traffic is not None and site.traffic != Traffic(sizes=site.traffic.sizes))


def site_of(settings: StreamSettings) -> Site | None:
    """The site as its file has it now.

    Raises:
        ConfigError: The file cannot be read, or something in it is wrong.
    """
    if settings.site is None:
        return None
    from tracker.settings.site_file import read_site

    return read_site(settings.site)


def check_site(site: Site, class_names: Sequence[str], offender: str, *, whose: str = "the model; it has") -> None:
    """Refuse lines, zones and bays for classes that never come: they would count nothing.

    Raises:
        ConfigError: There is such a line, zone or bay.
    """
    wanted = [(f"line {line.name!r}", line.classes) for line in site.lines]
    wanted += [(f"zone {zone.name!r}", (*zone.classes, *zone.loiter_s_by_class)) for zone in site.zones]
    wanted += [(f"bay {bay.name!r}", bay.classes) for bay in site.bays]
    for part, names in wanted:
        for name in names:
            if name not in class_names:
                close = difflib.get_close_matches(name, class_names, 1)
                owner, _, verb = whose.partition("; ")
                listed = listed_classes(class_names)
                problem = f"expected classes of {owner}, found {name!r} in {part}; {verb} {listed}"
                raise ConfigError(offender, problem, f"did you mean {close[0]!r}?" if close else "choose among these")


def listed_classes(class_names: Sequence[str]) -> str:
    """The first of a model's classes, for messages."""
    return ", ".join(class_names[:20]) + (f", ... ({len(class_names)} in all)" * (len(class_names) > 20))


def contact(context: StageContext) -> ContactStage:
    """The stage ``contact``; its setting is that of :class:`ContactStage`."""
    return ContactStage(**context.settings)


def analytics(context: StageContext) -> AnalyticsStage:
    """The stage of one analytic, by its ``kind``; the others are ``site``, ``site_file``, ``start_at`` and ``gap_s``.

    Raises:
        ConfigError: There is no such analytic.
    """
    settings = context.settings
    start_at: datetime | None = settings.get("start_at")
    kind = settings.get("kind", "site")
    facts = AnalyticContext(
        stream=context.stream,
        class_names=tuple(context.class_names),
        site=settings.get("site"),
        start_utc_ms=None if start_at is None else round(start_at.timestamp() * 1000),
        gap_s=settings.get("gap_s", 2.0),
    )
    name = "analytics" if kind == "site" else f"analytics {kind}"
    return AnalyticsStage(ANALYTICS.load(kind), facts, name=name, site_file=settings.get("site_file") or "site")
