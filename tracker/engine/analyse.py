"""Counting afterwards: events of a site from recorded tracks, beside what was counted before, or as an audit page."""

from __future__ import annotations

import contextlib
import os
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from tracker.analytics.comparison import KINDS, Compared, compare
from tracker.analytics.tally import Tally
from tracker.engine.recorded import Reading, open_input
from tracker.errors import ConfigError, SinkError
from tracker.formats.event_store import SUFFIXES
from tracker.formats.ledger import read_events
from tracker.formats.postgres import is_postgres
from tracker.plugins import open_sink
from tracker.settings.stream import StreamSettings, event_kind
from tracker.sinks.base import Sink, SinkContext
from tracker.sinks.claims import Claim, check_claims
from tracker.sinks.exclusive import reserved, staged_name
from tracker.sinks.part_file import refusal

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from tracker.engine.recorded import RecordedInput
    from tracker.events import Event
    from tracker.sinks.base import Edition
    from tracker.site import Site
    from tracker.types import TrackedFrame

__all__ = ["LEDGERS", "Analysed", "analyse", "analyse_each", "dry_run", "events_of", "total"]

LEDGERS = (".jsonl", ".ndjson", ".parquet", *SUFFIXES)


@dataclass(frozen=True, slots=True, kw_only=True)
class Analysed:
    """What came of it.

    Attributes:
        stream: Name of the recording, as in the events.
        frames: Frames looked at, those without rows as far as they matter.
        seconds: Of media time from the first frame to the last.
        events: How many there are.
        tally: What lines, zones and flows counted.
        compared: Beside what was counted before; empty where that was not asked for.
        notes: What the user should know about the input.
    """

    stream: str
    frames: int
    seconds: float
    events: int
    tally: Tally
    compared: list[Compared] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


class Recount:
    """Events of one input as they are found, with sums that need no memory.

    Args:
        source: Of the frames.
        site: For the tally.
        progress: Called with frames and seconds done.
    """

    def __init__(self, source: RecordedInput, site: Site, progress: Callable[[int, float], None]) -> None:
        self._source, self._progress = source, progress
        self.tally = Tally.of(site)
        self.frames = self.events = 0
        self.first_s = self.last_s = 0.0

    def counted(self) -> Iterator[TrackedFrame]:
        """The frames with their events."""
        for tracked in self._source.counted(bare=True):
            time_s = tracked.frame.time_s
            self.first_s = self.first_s if self.frames else time_s
            self.last_s = time_s
            self.frames += 1
            self._note(tracked.events)
            self._progress(self.frames, time_s - self.first_s)
            yield tracked

    def closing(self) -> tuple[Event, ...]:
        """What is open at the end."""
        return self._note(self._source.closing())

    def all(self) -> list[Event]:
        """Every event, to its end."""
        return [*(event for tracked in self.counted() for event in tracked.events), *self.closing()]

    def _note(self, events: tuple[Event, ...]) -> tuple[Event, ...]:
        self.tally.add(events)
        self.events += len(events)
        return events

    def outcome(self, compared: list[Compared] | None = None) -> Analysed:
        """What came of it, once all events were taken."""
        return Analysed(
            stream=self._source.stream,
            frames=self.frames,
            seconds=self.last_s - self.first_s,
            events=self.events,
            tally=self.tally,
            compared=compared or [],
            notes=[*self._source.notes, *(note for stage in self._source.stages for note in stage.notes())],
        )


def _nothing(_frames: int, _seconds: float) -> None:
    """No progress."""


def analyse(
    paths: Sequence[str | os.PathLike[str]],
    site_path: str | os.PathLike[str],
    out: str | os.PathLike[str] | None = None,
    *,
    revise: bool = False,
    settings: StreamSettings | None = None,
    reading: Reading | None = None,
    progress: Callable[[int, float], None] = _nothing,
) -> Analysed:
    """Count a recording without its video.

    Args:
        paths: A ``.instances`` file, or rows of records: one file, or the parts of one recording in order.
        site_path: What is counted.
        out: Ledger by its suffix, or a ``postgresql://`` address as a text; ``None`` = the sums only.
        revise: A store that has other events of the recording gets these as a new edition.
        settings: ``start_at`` and ``gap_s``.
        reading: What the files do not say.
        progress: Called with the frames and seconds of media time done.

    Raises:
        SourceError: The records cannot be read or are damaged.
        SinkError: The ledger cannot be written, or has other events of this recording.
        ConfigError: The site does not fit, or something is not known.
    """
    files, settings, site = _checked(paths, site_path, settings)
    with (
        _ledger(out, files, site_path, revise=revise) as sink_of,
        open_input(files, site, settings, reading or Reading()) as source,
    ):
        return _counted(source, site, sink_of, progress)


def analyse_each(
    recordings: Iterable[tuple[str, Path]],
    site_path: str | os.PathLike[str],
    out: str | os.PathLike[str] | None = None,
    *,
    inputs: Sequence[Path] = (),
    revise: bool = False,
    settings: StreamSettings | None = None,
    reading: Reading | None = None,
) -> Iterator[Analysed]:
    """Count many recordings into one ledger, each as the stream of its name.

    A store has each recording when it was counted; a file is replaced when all of them were.

    Args:
        recordings: Name and file of each; a file need only be there until the next one is asked for.
        site_path: As for :func:`analyse`, like the others.
        out: The same.
        inputs: Files that are not to be written over.
        revise: As for :func:`analyse`.
        settings: The same.
        reading: The same; its stream is not used.

    Yields:
        What came of each.

    Raises:
        TrackerError: As for :func:`analyse`, for the first recording that it concerns.
    """
    _, settings, site = _checked((), site_path, settings)
    with _ledger(out, inputs, site_path, revise=revise) as sink_of:
        for name, path in recordings:
            with open_input([path], site, settings, replace(reading or Reading(), stream=name)) as source:
                found = _counted(source, site, sink_of, _nothing)
            yield found


def total(name: str, found: Iterable[Analysed]) -> Analysed:
    """The sum over recordings; notes come once, with the number of recordings that they are of.

    Args:
        name: For all of them.
        found: Of each recording.
    """
    tally, notes = Tally(), Counter[str]()
    frames = events = 0
    seconds = 0.0
    rows: dict[tuple[str, str, str], Compared] = {}
    for one in found:
        tally.merge(one.tally)
        notes.update(one.notes)
        frames, seconds, events = frames + one.frames, seconds + one.seconds, events + one.events
        for row in one.compared:
            place = row.kind, row.place, row.direction
            rows[place] = row if place not in rows else rows[place].plus(row)
    return Analysed(
        stream=name,
        frames=frames,
        seconds=seconds,
        events=events,
        tally=tally,
        compared=[rows[place] for place in sorted(rows, key=lambda place: (KINDS.index(rows[place].kind), *place[1:]))],
        notes=[f"{count} recordings: {note}" for note, count in notes.most_common()],
    )


SinkOf = Callable[[str], contextlib.AbstractContextManager[Sink | None]]
"""Opens the output of a stream; ``None`` where nothing is written."""


@contextlib.contextmanager
def _ledger(
    out: str | os.PathLike[str] | None, inputs: Sequence[Path], site_path: str | os.PathLike[str], *, revise: bool
) -> Iterator[SinkOf]:
    """The ledger of any number of streams: a store is opened for each, a file once for all."""
    if out is None:
        yield lambda _stream: contextlib.nullcontext()
        return
    database = is_postgres(out)
    kind = None if database else _kind_of(out)
    shared = database or kind == ".sqlite"
    if not database:
        read = [*(Claim(path=path) for path in inputs), Claim(path=Path(site_path), named_by="--site")]
        check_claims([Claim(path=Path(out), named_by="--out", shared=shared)], read)
    if revise and not shared:
        problem = "expected a store, which keeps editions, found a file that is replaced as a whole"
        raise ConfigError(f"--revise with {out}", problem, "leave --revise out")
    if shared:
        edition: Edition = "revise" if revise else "append"
        yield lambda stream: open_sink(out, SinkContext(stream=stream, edition=edition), kind=kind)
        return
    with _replaced(Path(out)) as staged, open_sink(staged, SinkContext(), kind=kind) as sink:
        yield lambda _stream: contextlib.nullcontext(sink)


def _counted(source: RecordedInput, site: Site, sink_of: SinkOf, progress: Callable[[int, float], None]) -> Analysed:
    """Count one recording into its sink."""
    found = Recount(source, site, progress)
    with sink_of(source.stream) as sink:
        for tracked in found.counted():
            if sink is not None and (tracked.events or tracked.heat is not None):
                sink.write(tracked)
        closing = found.closing()
        if sink is not None:
            sink.write_events(closing)
    return found.outcome()


@contextlib.contextmanager
def _replaced(path: Path) -> Iterator[Path]:
    """Another name for a file, which takes its place when the block ends well; else what was there stays."""
    with reserved(path):
        staged = staged_name(path)
        try:
            yield staged
            staged.replace(os.path.realpath(path))
        except OSError as failure:
            raise refusal(path, failure, "put the ledger in its place") from failure
        except SinkError as failure:  # of the file that the user named, whose other name is no one's business
            words = (one.replace(str(staged), str(path)) for one in (failure.offender, failure.problem, failure.remedy))
            raise SinkError(*words) from failure
        finally:
            staged.unlink(missing_ok=True)


def dry_run(
    paths: Sequence[str | os.PathLike[str]],
    site_path: str | os.PathLike[str],
    against: str | os.PathLike[str] | Sequence[Event] | None = None,
    *,
    settings: StreamSettings | None = None,
    reading: Reading | None = None,
    progress: Callable[[int, float], None] = _nothing,
) -> Analysed:
    """What a site would have counted, beside what a ledger has or another site would have; nothing is written.

    Args:
        paths: As for :func:`analyse`.
        site_path: The site in question.
        against: A ledger, its events of this recording, or the site as it was; ``None`` = nothing to compare with.
        settings: As for :func:`analyse`, like the others.
        reading: The same.
        progress: The same; called for the site in question.

    Raises:
        TrackerError: As for :func:`analyse`; or ``against`` is neither, or knows nothing of this recording.
    """
    files, settings, site = _checked(paths, site_path, settings)
    with open_input(files, site, settings, reading or Reading()) as source:
        found = Recount(source, site, progress)
        now = found.all()
    if against is None or not isinstance(against, str | os.PathLike):
        return found.outcome(compare(against or (), now, now=site))
    suffix = Path(against).suffix.lower()
    if suffix in LEDGERS:
        before = _of_stream(against, found)
        return found.outcome(compare(before, now, now=site))
    if suffix not in {".yaml", ".yml"}:
        problem = f"expected a ledger ({' '.join(LEDGERS)}) or a site (.yaml), found the suffix {suffix or 'none'}"
        raise ConfigError(f"--against {against}", problem, "name one of the two")
    _, _, was = _checked(paths, against, settings)
    return found.outcome(compare(events_of(files, was, settings, reading), now, was=was, now=site))


def events_of(
    files: Sequence[Path], site: Site, settings: StreamSettings, reading: Reading | None = None
) -> list[Event]:
    """Events of a site from records."""
    with open_input(files, site, settings, reading or Reading()) as source:
        return Recount(source, site, _nothing).all()


def _of_stream(ledger: str | os.PathLike[str], found: Recount) -> list[Event]:
    """What a ledger has of the recording within its time.

    Raises:
        ConfigError: Nothing, although it has others.
    """
    stream = found.outcome().stream
    events, others = [], set()
    for event in read_events(ledger):
        if event.stream == stream:
            events.append(event)
        else:
            others.add(event.stream)
    if not events and others:
        problem = f"expected events of {stream}, found those of {', '.join(sorted(others)[:5])} only"
        raise ConfigError(f"--against {ledger}", problem, "name the stream with --stream, or another ledger")
    return events


def _checked(
    paths: Sequence[str | os.PathLike[str]], site_path: str | os.PathLike[str], settings: StreamSettings | None
) -> tuple[list[Path], StreamSettings, Site]:
    """Paths, settings that name the site, and the site."""
    from tracker.settings.site_file import read_site

    settings = (settings or StreamSettings()).replace(site=os.fspath(site_path))
    return [Path(path) for path in paths], settings, read_site(site_path)


def _kind_of(out: str | os.PathLike[str]) -> str:
    kind = event_kind(os.fspath(out))
    if kind is None:
        problem = f"expected .jsonl, .parquet or .sqlite, found {Path(out).suffix or 'none'}"
        raise ConfigError(f"--out {out}", problem, "events are written as one of the three")
    return kind
