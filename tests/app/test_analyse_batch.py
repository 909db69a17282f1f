"""``masktrail analyse`` over the output of a batch: the events of each recording, under its name, in one ledger."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("pyarrow")

from demos.scenes import script
from tests.app.test_analyse import SITE
from tests.app.test_report import manifest
from tests.command import Run
from tests.engine.recorded import Chain
from tracker.app.batches import recordings_of
from tracker.batch.results import Results
from tracker.batch.storage import Place
from tracker.formats.ledger import read_editions, read_events
from tracker.settings.site_file import read_site

NAMES = ("north/clip.mp4", "south/clip.mp4")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A batch of two recordings of one name, with events and instances, as ``batch --site --keep-instances`` does."""
    folder = tmp_path_factory.mktemp("batch")
    (folder / "site.yaml").write_text(SITE.format(revision=1, y=0.5))
    (folder / "new.yaml").write_text(SITE.format(revision=2, y=0.6))
    results = Results.at(str(folder / "results"))
    for number, key in enumerate(("north", "south")):
        scene = script.dense(8, rng=np.random.default_rng(3 + number), size=(640, 360), duration_s=8)
        files = {
            "records": f"records/recording={key}/a.parquet",
            "events": f"events/recording={key}/a.parquet",
            "instances": f"instances/recording={key}/a.instances",
        }
        paths = [folder / "results" / name for name in files.values()]
        for path in paths:
            path.parent.mkdir(parents=True)
        written = paths[1].with_name("a.events.parquet")
        Chain(scene).record(read_site(folder / "site.yaml"), paths[0], written, paths[2])
        written.rename(paths[1])
        results.commit(manifest(key, files))
    return folder


@pytest.fixture
def batch(made: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The batch, read from where it is; outputs go to a folder of the test's."""
    monkeypatch.chdir(tmp_path)
    return made


def counted(batch: Path) -> dict[str, list[tuple[object, ...]]]:
    """What the batch itself counted, by recording."""
    found = {}
    for one in recordings_of(Results.at(str(batch / "results")), "events", remedy="")[0]:
        events = read_events(batch / "results" / one.files["events"])
        found[one.recording] = [(event.kind, event.place, event.identity, event.time_s) for event in events]
    return found


@pytest.mark.parametrize("ledger", ["a.events.jsonl", "a.events.parquet", "a.sqlite"])
def test_events_are_those_of_the_batch_under_the_recordings_names(run: Run, batch: Path, ledger: str) -> None:
    result = run("analyse", batch / "results", "--site", batch / "site.yaml", "--out", ledger)
    assert result.status == 0, result.err
    expected = counted(batch)
    assert sorted(expected) == sorted(NAMES)
    total = sum(map(len, expected.values()))
    assert f"(2 recordings): {total} events in 0:16 of tracks -> {ledger}" in result.out
    found: dict[str, list[tuple[object, ...]]] = {}
    for event in read_events(ledger):
        found.setdefault(event.stream, []).append((event.kind, event.place, event.identity, event.time_s))
    assert found == expected


def test_a_store_takes_nothing_twice_and_keeps_editions_of_each(run: Run, batch: Path) -> None:
    words = ("analyse", batch / "results", "--out", "a.sqlite", "--site")
    assert run(*words, batch / "site.yaml").status == 0
    once = [event.key for event in read_events("a.sqlite")]
    assert run(*words, batch / "site.yaml").status == 0
    assert [event.key for event in read_events("a.sqlite")] == once
    refused = run(*words, batch / "new.yaml")
    assert refused.status == 2
    assert "masktrail analyse --revise" in refused.text
    assert run(*words, batch / "new.yaml", "--revise").status == 0
    assert [(one.stream, one.edition) for one in read_editions("a.sqlite")] == [
        (name, edition) for name in NAMES for edition in (1, 2)
    ]


def test_a_dry_run_sums_all_recordings_and_writes_nothing(run: Run, batch: Path, tmp_path: Path) -> None:
    def table(*words: object, of: str = "") -> list[list[str]]:
        result = run("analyse", batch / "results" / of, "--site", batch / "new.yaml", "--dry-run", *words)
        assert result.status == 0, result.err
        return [line.split() for line in result.out.splitlines() if line.strip()][1:]

    north, south = (table(of=f"records/recording={name}/a.parquet") for name in ("north", "south"))
    rows = table()
    assert rows[0] == ["now"]
    assert len(rows) == 4
    for one, other, both in zip(north[1:], south[1:], rows[1:], strict=True):
        assert [*one[:-1], int(one[-1]) + int(other[-1])] == [*both[:-1], int(both[-1])]
    by_batch = table("--against", batch / "results")
    assert by_batch[0] == ["was", "now", "new", "gone"]
    assert by_batch == table("--against", batch / "site.yaml")
    assert not list(tmp_path.iterdir())


def test_occluders_of_the_site_are_counted_from_the_instances(run: Run, batch: Path) -> None:
    post = "occluders:\n  - {name: post, polygon: [[0.4, 0.2], [0.5, 0.2], [0.5, 1]]}\n"
    Path("post.yaml").write_text(SITE.format(revision=3, y=0.5) + post)
    result = run("analyse", batch / "results", "--site", "post.yaml", "--dry-run")
    assert result.status == 0, result.err
    assert "(2 recordings)" in result.out


def test_a_batch_in_object_storage_is_copied_a_recording_at_a_time(
    run: Run, batch: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pyarrow import fs

    place = Place(fs.LocalFileSystem(), str(batch / "results"), scheme="s3", shown="s3://bucket")
    monkeypatch.setattr(Place, "of", lambda _uri: place)
    result = run("analyse", "s3://bucket", "--site", batch / "site.yaml", "--out", "a.events.jsonl")
    assert result.status == 0, result.err
    assert {event.stream for event in read_events("a.events.jsonl")} == set(NAMES)


def test_what_is_of_one_recording_is_refused(run: Run, batch: Path, tmp_path: Path) -> None:
    words = (batch / "results", "--site", batch / "site.yaml")
    (tmp_path / "empty" / "manifest").mkdir(parents=True)
    for given, expected in (
        ((*words, "--stream", "gate"), "--stream gate: expected records of one recording"),
        ((*words, "--audit", "a.html"), "--audit a.html: expected records of one recording"),
        ((batch / "results", *words), "expected the output of one batch, found 2 sources"),
        (("empty", *words[1:]), "expected records of a batch, found 0 recordings"),
        ((*words, "--out", "a.events.jsonl", "--revise"), "leave --revise out"),
        ((*words, "--out", batch / "results/records/recording=north/a.parquet"), "it is read here"),
    ):
        result = run("analyse", *given)
        assert result.status == 2, given
        assert expected in result.text
        assert "Traceback" not in result.text
    assert [path.name for path in tmp_path.iterdir()] == ["empty"]


def test_a_damaged_recording_is_named_and_leaves_the_file_as_it_was(run: Run, made: Path, tmp_path: Path) -> None:
    import shutil

    shutil.copytree(made / "results", tmp_path / "results")
    (tmp_path / "results/records/recording=south/a.parquet").write_bytes(b"PAR1")
    out = tmp_path / "a.events.jsonl"
    out.write_text("kept\n")
    result = run("analyse", tmp_path / "results", "--site", made / "site.yaml", "--out", out)
    assert result.status == 2
    assert "recording=south" in result.text
    assert out.read_text() == "kept\n"
