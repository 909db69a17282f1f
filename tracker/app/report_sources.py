"""Sources of a report: ledgers, folders with the results of runs, and outputs of batches, as ledgers to read."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from tracker.app.batches import copied, is_batch, local_file, recordings_of
from tracker.errors import ConfigError, SourceError
from tracker.formats.event_store import SUFFIXES, store_kind
from tracker.report.store import Ledger
from tracker.settings.recording_site import FOLDER_SITE, OWN_SITE

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tracker.batch.results import Manifest

__all__ = ["EVENT_FILES", "Found", "find", "zone_beside"]

EVENT_FILES = (".events.jsonl", ".events.ndjson", ".events.parquet")
RECORD_FILES = (".tracks.jsonl", ".tracks.ndjson", ".tracks.csv", ".tracks.parquet")
AUDIT_FILES = (".audit.json",)
MANY = 5
"""Models and versions that are named."""
DIGITS = 12
"""Of a model's digest, by which manifests know it."""


@dataclass(slots=True, kw_only=True)
class Found:
    """What sources hold.

    Attributes:
        ledgers: In order.
        records: Rows with ground contacts, where they are of one recording.
        audits: Values of audits.
        made_by: Models and versions, name and value.
    """

    ledgers: list[Ledger] = field(default_factory=list)
    records: list[Path] = field(default_factory=list)
    audits: list[Path] = field(default_factory=list)
    made_by: list[tuple[str, str]] = field(default_factory=list)


@contextlib.contextmanager
def find(sources: Sequence[str]) -> Iterator[Found]:
    """The ledgers of sources; copies of what lies in object storage are removed when the block ends.

    Args:
        sources: Event files, stores, folders, and outputs of batches as paths or URIs.

    Raises:
        SourceError: There is nothing, or no ledger among it.
        ConfigError: A package for it is missing.
    """
    with contextlib.ExitStack() as copies:
        found = Found()
        for source in sources:
            if is_batch(source):
                _add_batch(source, found, copies)
            elif "://" in source:
                found.ledgers.append(Ledger(path=source))
            elif Path(source).is_dir():
                _add_folder(Path(source), found)
            else:
                found.ledgers.append(Ledger(path=Path(source)))
        yield found


def zone_beside(ledgers: Sequence[Ledger]) -> tuple[str, str]:
    """Time zone of the sites that lie beside local ledgers: ``NAME.site.yaml`` of any name, and ``site.yaml``.

    Files that cannot be read as sites are left out.

    Returns:
        Its name, UTC where there is no site or they lie in several, and the words for why.
    """
    from tracker.settings.site_file import read_site

    folders = dict.fromkeys(one.path.parent for one in ledgers if isinstance(one.path, Path) and not one.stream)
    zones: dict[str, Path] = {}
    for folder in folders:
        for path in sorted([*folder.glob(FOLDER_SITE), *folder.glob(OWN_SITE.replace("{name}", "*"))]):
            with contextlib.suppress(ConfigError):
                zones.setdefault(read_site(path).timezone, path)
    if len(zones) == 1:
        ((zone, path),) = zones.items()
        return zone, f"times are those of {zone}, from {path}; --timezone names another"
    why = f"sites beside lie in {', '.join(sorted(zones))}" if zones else "no site lies beside the ledger"
    return "UTC", f"times are UTC: {why}; --timezone or --site gives a time zone"


def _add_folder(folder: Path, found: Found) -> None:
    """Results of runs that lie side by side in a folder."""
    names = sorted(folder.iterdir())
    stores = [path for path in names if path.suffix.lower() in SUFFIXES and store_kind(path) == "ours"]
    ledgers = [*stores, *(path for path in names if path.name.lower().endswith(EVENT_FILES))]
    if not ledgers:
        problem = f"expected *{', *'.join((*EVENT_FILES, *SUFFIXES))} or a manifest of a batch, found none"
        raise SourceError(folder, problem, "track with --site and --events, or name the ledger")
    found.ledgers += [Ledger(path=path) for path in ledgers]
    found.audits += [path for path in names if path.name.lower().endswith(AUDIT_FILES)]
    records = [path for path in names if path.name.lower().endswith(RECORD_FILES)]
    if len(records) == 1:
        found.records += records


def _add_batch(source: str, found: Found, copies: contextlib.ExitStack) -> None:
    """Events of all recordings of a batch that are done, by the manifests, under the recordings' names."""
    from tracker.batch.results import Results

    results = Results.at(source)
    done, total = recordings_of(results, "events", remedy="run the batch with --site")
    folder = copies.enter_context(copied(results))
    for one in done:
        kept = one.files.get("heatmap", one.files["events"])  # a store has the same events, and tiles
        found.ledgers.append(Ledger(path=local_file(results, kept, folder), stream=one.recording))
    if len(done) == 1 and "records" in done[0].files:
        found.records.append(local_file(results, done[0].files["records"], folder))
    found.made_by += _made_by(done, total)


def _made_by(done: Sequence[Manifest], total: int) -> list[tuple[str, str]]:
    hours = sum(one.media_s for one in done) / 3600
    models = sorted({str(one.settings["model"])[:DIGITS] for one in done if one.settings.get("model")})
    versions = sorted({one.masktrail for one in done})
    facts = [("Recordings", f"{len(done):,} of {total:,} with events, {hours:,.1f} h of video")]
    for name, values in (("Model", models), ("Events by", [f"masktrail {version}" for version in versions])):
        if values:
            more = f" and {len(values) - MANY:,} more" if len(values) > MANY else ""
            facts.append((name, ", ".join(values[:MANY]) + more))
    return facts
