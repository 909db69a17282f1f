"""Compaction of a batch: all rows once, under the names of their recordings; and the guide's way to read results."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.command import Run
from tests.segment.models import end2end_model
from tests.sources.videos import write_video

pytest.importorskip("pyarrow")
from pyarrow import parquet

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("in")
    end2end_model(folder / "model.onnx")
    for number, count in enumerate((20, 30)):
        write_video(folder / f"{number}.mp4", count=count)
    return folder


def batch(run: Run, inputs: Path, out: Path, *words: object) -> None:
    result = run("batch", inputs, "--out", out, "--model", inputs / "model.onnx", "--processes", 1, *words)
    assert result.status == 0, result.err


def test_all_rows_are_there_once(run: Run, inputs: Path, tmp_path: Path) -> None:
    batch(run, inputs, tmp_path / "out")
    stray = next((tmp_path / "out" / "records").glob("*/*.parquet"))
    stray.with_name("cut-off.parquet").write_bytes(b"of an attempt that was cut off")
    result = run("compact", tmp_path / "out", "--out", tmp_path / "all")
    assert result.status == 0, result.err
    table = parquet.read_table(tmp_path / "all" / "records.parquet")
    plain = sum(
        parquet.read_metadata(path).num_rows for path in (tmp_path / "out").glob("records/*/????????????.parquet")
    )
    assert table.num_rows == plain > 0
    assert table.column_names[0] == "recording"
    assert sorted(set(table["recording"].to_pylist())) == ["0.mp4", "1.mp4"]
    assert parquet.read_table(tmp_path / "all" / "identities.parquet").num_rows == 4
    again = run("compact", tmp_path / "out", "--out", tmp_path / "all")
    assert again.status != 0
    assert "expected a folder without records.parquet" in again.text


@pytest.mark.slow
def test_recordings_under_two_settings_are_not_added_up(run: Run, inputs: Path, tmp_path: Path) -> None:
    batch(run, inputs, tmp_path / "out")
    batch(run, inputs, tmp_path / "out", "--resume", "--stride", 2)
    result = run("compact", tmp_path / "out", "--out", tmp_path / "all")
    assert result.status != 0
    assert "found several of 0.mp4" in result.text
    assert not list((tmp_path / "all").glob("*")) if (tmp_path / "all").exists() else True


def test_tables_without_rows_have_their_columns(run: Run, tmp_path: Path) -> None:
    model = end2end_model(tmp_path / "model.onnx")
    videos = [write_video(tmp_path / f"{number}.mp4", count=3) for number in range(2)]
    (tmp_path / "site.yaml").write_text("lines:\n  - {name: gate, points: [[0.1, 0.5], [0.9, 0.5]]}\n")
    words = ("--out", tmp_path / "out", "--model", model, "--conf", 0.999, "--site", tmp_path / "site.yaml")
    assert run("batch", *videos, *words, "--processes", 1).status == 0
    result = run("compact", tmp_path / "out", "--out", tmp_path / "all")
    assert result.status == 0, result.err
    for kind, column in (("records", "frame"), ("identities", "id"), ("events", "kind")):
        table = parquet.read_table(tmp_path / "all" / f"{kind}.parquet")
        assert table.num_rows == 0
        assert {"recording", column} <= set(table.column_names)


def test_a_folder_in_object_storage_is_refused(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    result = run("compact", tmp_path, "--out", "s3://key:hunter2@bucket/all")
    assert result.status == 2
    assert "expected a folder of this machine, found object storage" in result.text
    assert "hunter2" not in result.text
    assert not list(tmp_path.iterdir())


def test_a_place_without_results_is_told(run: Run, tmp_path: Path) -> None:
    result = run("compact", tmp_path, "--out", tmp_path / "all")
    assert result.status != 0
    assert "expected results of a batch, found no manifest" in result.text


@pytest.mark.slow
@pytest.mark.parametrize("library", ["pandas", "polars", "duckdb"])
def test_the_guide_reads_results(
    run: Run,
    inputs: Path,
    tmp_path: Path,
    library: str,
    *,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    pytest.importorskip(library)
    batch(run, inputs, tmp_path / "results")
    monkeypatch.chdir(tmp_path)
    first, *others = re.findall(
        r"^```py\n(.*?)^```", (ROOT / "docs/guide/batch.md").read_text("utf-8"), re.MULTILINE | re.DOTALL
    )
    [snippet] = [one for one in others if f"import {library}\n" in one]
    capsys.readouterr()
    exec(compile(first + snippet, "batch.md", "exec"), {})
    lines = [line for line in capsys.readouterr().out.splitlines() if ".mp4" in line]
    counted = [(re.findall(r"\d\.mp4", line), re.findall(r"[0-9]+", line)[-1]) for line in lines]
    assert counted == [(["0.mp4"], "2"), (["1.mp4"], "2")], lines
