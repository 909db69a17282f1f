"""Results of a batch: tables by recording, and a manifest per recording that is written last.

::

    OUT/records/recording=KEY/ATTEMPT.parquet      rows, as `track --records` writes them
    OUT/identities/recording=KEY/ATTEMPT.identities.parquet
    OUT/events/recording=KEY/ATTEMPT.parquet       with a site
    OUT/instances/recording=KEY/ATTEMPT.instances  on demand
    OUT/heatmap/recording=KEY/ATTEMPT.sqlite       on demand: tiles of presence, and the events
    OUT/manifest/KEY.json                          names the attempt that counts; written last
    OUT/failed/KEY.json                            why a recording has no manifest

Files of attempts have names of their own and are never changed, so that nothing has to be renamed, which object stores
cannot do. Readers go by the manifests: what no manifest names is of an attempt that was cut off.
"""

from __future__ import annotations

import contextlib
import json
import uuid
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from tracker.batch.storage import Place
from tracker.errors import ConfigError, SinkError, SourceError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

__all__ = ["TABLES", "Manifest", "Results"]

VERSION = 1
TABLES = {
    "records": ".parquet",
    "identities": ".identities.parquet",
    "events": ".parquet",
    "instances": ".instances",
    "heatmap": ".sqlite",
}
"""Kinds of files of a recording, with their suffixes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """What is known of one recording that is done.

    Attributes:
        key: Of the recording and its settings, see :func:`tracker.batch.recordings.key_of`.
        recording: Its name.
        address: Where it lay: an absolute path, or a URI free of credentials.
        size: Bytes.
        attempt: Name of the attempt that counts.
        files: Paths below the output by kind.
        sha256: Checksum of each file.
        frames, media_s, wall_s: Of the run.
        identities: How many by class.
        counts: What the site counted, as in ``--json``; ``None`` without a site.
        notes: What the source had to skip or repair.
        settings: Those the rows depend on.
        masktrail: Version.
        finished_at: UTC, as ISO 8601.
        version: Of this form.
    """

    key: str
    recording: str
    address: str
    size: int
    attempt: str
    files: dict[str, str]
    sha256: dict[str, str]
    frames: int
    media_s: float
    wall_s: float
    identities: dict[str, int]
    counts: dict[str, Any] | None
    notes: list[str]
    settings: dict[str, Any]
    masktrail: str
    finished_at: str
    version: int = VERSION


@dataclass(slots=True)
class Results:
    """The output of a batch.

    Attributes:
        place: Where it lies.
    """

    place: Place

    @classmethod
    def at(cls, uri: str) -> Results:
        """The results at a path or URI.

        Raises:
            ConfigError: There is no file system for it.
        """
        return cls(Place.of(uri))

    def check_writable(self) -> None:
        """Write and delete a file, before hours of work depend on it.

        Raises:
            SinkError: It cannot be written.
        """
        probe = f"manifest/.{uuid.uuid4().hex}.probe"
        self.place.write(probe, b"")
        self.place.remove(probe)

    def done(self) -> set[str]:
        """Keys of the recordings that have a manifest.

        Raises:
            SourceError: It cannot be listed.
        """
        return self._keys("manifest")

    def failed(self) -> set[str]:
        """Keys of what failed and was not done since.

        Raises:
            SourceError: It cannot be listed.
        """
        return self._keys("failed")

    def manifests(self) -> Iterator[Manifest]:
        """All manifests, by key.

        Raises:
            SourceError: One is damaged or of a newer version.
        """
        for key in sorted(self.done()):
            yield self.manifest(key)

    def manifest(self, key: str) -> Manifest:
        """The manifest of one recording.

        Raises:
            SourceError: It is missing, damaged or of a newer version.
        """
        name = f"manifest/{key}.json"
        try:
            values = json.loads(self.place.read(name))
            version = values["version"]
            if version == VERSION:
                return Manifest(**values)
            problem, remedy = f"expected a manifest of version {VERSION}, found {version}", "update masktrail"
        except (ValueError, TypeError, KeyError) as failure:
            problem = f"expected a manifest, found {type(failure).__name__}: {failure}"
            remedy = "delete it, and run the batch again with --resume"
        raise SourceError(f"{self.place.shown}/{name}", problem, remedy)

    def commit(self, manifest: Manifest, *, older: Iterable[str] = ()) -> None:
        """Declare an attempt to be the one that counts.

        Args:
            manifest: Of the attempt.
            older: Keys that may be of the same recording before it changed, or by another version of masktrail; what
                the new manifest replaces of them counts no more.

        Raises:
            SinkError: It cannot be written.
        """
        self.place.write(f"manifest/{manifest.key}.json", _text(asdict(manifest)))
        self.place.remove(f"failed/{manifest.key}.json")
        for key in older:
            self._withdraw(key, manifest)

    def note_failure(self, key: str, *, recording: str, address: str, problem: str) -> None:
        """Keep why a recording failed; what cannot be written is only on the screen then."""
        with contextlib.suppress(SinkError):
            note = {"recording": recording, "address": address, "problem": problem}
            self.place.write(f"failed/{key}.json", _text(note))

    def _withdraw(self, key: str, newer: Manifest) -> None:
        """Remove the note of the same recording, and its manifest if settings are the same and no table is lost."""
        with contextlib.suppress(SourceError, ValueError, TypeError, KeyError):
            note = json.loads(self.place.read(f"failed/{key}.json"))
            if (note["recording"], note["address"]) == (newer.recording, newer.address):
                self.place.remove(f"failed/{key}.json")
        with contextlib.suppress(SourceError):
            before = self.manifest(key)
            same = (before.recording, before.address) == (newer.recording, newer.address)
            if same and _chosen(before) == _chosen(newer) and before.files.keys() <= newer.files.keys():
                self.place.remove(f"manifest/{key}.json")

    def _keys(self, below: str) -> set[str]:
        names = (entry.path.rpartition("/")[2] for entry in self.place.files(below))
        return {name.removesuffix(".json") for name in names if name.endswith(".json") and not name.startswith(".")}

    def check_fresh(self, *, resume: bool) -> None:
        """Refuse to add to results by accident.

        Raises:
            ConfigError: There are results, and nobody asked to resume.
        """
        if not resume and (count := len(self.done())):
            problem = f"expected a place without results, found {count} recordings that are done"
            raise ConfigError(f"--out {self.place.shown}", problem, "add --resume to go on, or name another place")


def _text(values: dict[str, Any]) -> bytes:
    return (json.dumps(values, indent=1, ensure_ascii=False) + "\n").encode("utf-8", "backslashreplace")


def _chosen(manifest: Manifest) -> Any:
    """What people chose for a recording, as JSON has it: the settings without the version of masktrail."""
    chosen = {name: value for name, value in manifest.settings.items() if name != "masktrail"}
    return json.loads(json.dumps(chosen))
