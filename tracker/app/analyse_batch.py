"""``analyse`` over the output of a batch: every recording by its manifest, under its own name."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from tracker.analytics.counts import counts
from tracker.app.batches import copied, is_batch, local_file, recordings_of
from tracker.app.console import steps
from tracker.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from rich.console import Console

    from tracker.batch.results import Manifest, Results
    from tracker.engine.analyse import Analysed
    from tracker.engine.recorded import Reading
    from tracker.events import Event
    from tracker.settings.stream import StreamSettings

__all__ = ["Recounting", "analyse_batch"]

NO_RECORDS = "name what --out of masktrail batch named"


@dataclass(frozen=True, slots=True, kw_only=True)
class Recounting:
    """What is wanted.

    Attributes:
        site: What is counted.
        out: Ledger; ``None`` = the sums only.
        revise: A store that counted otherwise gets a new edition of each recording.
        dry_run: Write nothing, compare.
        against: Ledger, site or output of a batch, to compare with.
    """

    site: Path
    out: str | Path | None
    revise: bool
    dry_run: bool
    against: Path | None


def analyse_batch(
    source: str, asked: Recounting, settings: StreamSettings, reading: Reading, console: Console
) -> Analysed:
    """Count all recordings of a batch.

    Raises:
        TrackerError: There is no batch, or a recording cannot be counted.
    """
    from tracker.batch.results import Results
    from tracker.engine import analyse as engine
    from tracker.settings.site_file import read_site

    results = Results.at(source)
    done, _ = recordings_of(results, "records", remedy=NO_RECORDS)
    kinds = {one.recording: _kind(one, occluders=bool(read_site(asked.site).occluders)) for one in done}
    files = [Path(results.place.at(one.files[kinds[one.recording]])) for one in done] if results.place.is_local else []
    with steps(console, "counting") as show:

        def recordings() -> Iterator[tuple[str, Path]]:
            for number, one in enumerate(done):
                show(one.recording, number, len(done))
                with copied(results) as folder:
                    yield one.recording, local_file(results, one.files[kinds[one.recording]], folder)

        found: Iterable[Analysed]
        if asked.dry_run:
            against = _against(results, done, asked.against)
            found = (
                engine.dry_run(
                    [path],
                    asked.site,
                    against.get(name, ()) if isinstance(against, dict) else against,
                    settings=settings,
                    reading=replace(reading, stream=name),
                )
                for name, path in recordings()
            )
        else:
            found = engine.analyse_each(
                recordings(),
                asked.site,
                asked.out,
                inputs=files,
                revise=asked.revise,
                settings=settings,
                reading=reading,
            )
        return engine.total(f"{results.place.shown} ({len(done)} recordings)", found)


def _kind(one: Manifest, *, occluders: bool) -> str:
    """The table that is read: occluders of the site hide contacts, which only instances can tell anew."""
    return "instances" if occluders and "instances" in one.files else "records"


def _against(results: Results, done: list[Manifest], against: Path | None) -> dict[str, list[Event]] | Path | None:
    """A site as it was; or what a ledger, or a batch, counted of each recording.

    Raises:
        ConfigError: It has events of other streams only.
    """
    from tracker.engine.analyse import LEDGERS
    from tracker.formats.ledger import read_events

    if against is None:
        return None
    names = {one.recording for one in done}
    found: dict[str, list[Event]] = {}
    if is_batch(str(against)):
        from tracker.batch.results import Results

        before = Results.at(str(against))
        counted, _ = recordings_of(before, "events", remedy="name a batch that ran with --site")
        for one in counted:
            if one.recording in names:
                events = read_events(Path(before.place.at(one.files["events"])))
                found[one.recording] = [event for event in events if counts(event)]
        return found
    if against.suffix.lower() not in LEDGERS:
        return against
    others = set()
    for event in read_events(against):
        if event.stream not in names:
            others.add(event.stream)
        elif counts(event):
            found.setdefault(event.stream, []).append(event)
    if not found and others:
        problem = f"expected events of {results.place.shown}, found those of {', '.join(sorted(others)[:5])} only"
        raise ConfigError(f"--against {against}", problem, "name the ledger that analyse wrote of this batch")
    return found
