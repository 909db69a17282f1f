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


def test_recordings_under_two_settings_are_not_added_up(run: Run, inputs: Path, tmp_path: Path) -> None:
    batch(run, inputs, tmp_path / "out")
    batch(run, inputs, tmp_path / "out", "--resume", "--stride", 2)
    result = run("compact", tmp_path / "out", "--out", tmp_path / "all")
    assert result.status != 0
    assert "found several of 0.mp4" in result.text
    assert not list((tmp_path / "all").glob("*")) if (tmp_path / "all").exists() else True


def test_a_place_without_results_is_told(run: Run, tmp_path: Path) -> None:
    result = run("compact", tmp_path, "--out", tmp_path / "all")
    assert result.status != 0
    assert "expected results of a batch, found no manifest" in result.text


def test_the_guide_reads_results(
    run: Run, inputs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    batch(run, inputs, tmp_path / "results")
    monkeypatch.chdir(tmp_path)
    capsys.readouterr()
    [snippet] = re.findall(
        r"^```py\n(.*?)^```", (ROOT / "docs/guide/batch.md").read_text("utf-8"), re.MULTILINE | re.DOTALL
    )
    exec(compile(snippet, "batch.md", "exec"), {})
    assert capsys.readouterr().out.split() == ["0.mp4", "2", "1.mp4", "2"]
