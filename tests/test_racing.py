"""Races for outputs: two processes, two cameras, kill -9 and a full disk at random moments.

After every round each file under its final name is whole and of one run; a run that says 0 has all of its files there.
As a script it tries many rounds: ``python -m tests.test_racing 50``.
"""

from __future__ import annotations

import collections
import contextlib
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from pyarrow import parquet

from tests.nameless import nameless, nameless_table
from tests.segment.models import end2end_model
from tests.sources.videos import textured, write_video
from tracker.formats.instances import open_saved

ROOT = Path(__file__).resolve().parents[1]
ROUNDS = 6
BUDGET_S = 60.0
"""A round takes 5 to 10 s; a loaded machine tries fewer."""

LINES = ("c.jsonl", "c.csv", "c.txt", "c.mots.txt")
TABLES = ("c.coco.json", "c.parquet")
FILES = (*LINES, *TABLES, "c.identities.csv", "c.instances", "c.mp4")
VIDEOS = {"old": (20, (64, 48)), "one": (250, (96, 64)), "two": (350, (128, 96))}
"""Frames and size of each video: a file tells by them of which run it is."""

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="limits of other processes are Linux's")


def process(folder: Path, *arguments: object) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "tracker", *map(str, arguments)],
        cwd=folder,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "MASKTRAIL_TRIAL": "off"},
    )


def outputs(folder: str) -> list[str]:
    words = [word for name in FILES if name != "c.mp4" for word in ("--records", f"{folder}/{name}")]
    return [*words, "--save", f"{folder}/c.mp4"]


def tracked(folder: Path, video: str, out: str = "out") -> subprocess.Popen[str]:
    return process(
        folder, "track", f"{video}.mp4", "--model", "constant.onnx", "--device", "cpu", "--quiet", *outputs(out)
    )


def fill(folder: Path) -> Path:
    """Take the last byte of a small disk."""
    filler = folder / "filler"
    with contextlib.suppress(OSError), filler.open("wb", buffering=0) as file:
        for size in (1 << 16, 1 << 8, 1):
            with contextlib.suppress(OSError):
                while True:
                    file.write(bytes(size))
    return filler


class Races:
    """The videos, what each gives alone, and rounds.

    Args:
        folder: For all of it.
        seed: Of the moments.
        disk: A small disk of its own that may be filled, or ``None``: processes get a limit on their files then.
    """

    def __init__(self, folder: Path, seed: int, disk: Path | None = None) -> None:
        self.folder = folder
        self._random = np.random.default_rng(seed)
        self._disk = disk
        self._out = folder / "out"
        if disk is not None:
            self._out.symlink_to(disk)
        end2end_model(folder / "constant.onnx")
        self._seconds = {}
        for name, (count, size) in VIDEOS.items():
            write_video(folder / f"{name}.mp4", count=count, size=size, draw=textured)
            (folder / f"ref-{name}").mkdir()
            started_s = time.monotonic()
            with tracked(folder, name, f"ref-{name}") as run:
                assert run.communicate(timeout=120)[1] == ""
            self._seconds[name] = time.monotonic() - started_s

    # ---- what stands there --------------------------------------------------------------------------------------

    def run_of(self, path: Path, *, cut: bool = False) -> str:
        """The run that a published file is whole of.

        Args:
            path: Where it is.
            cut: A full disk may have kept its beginning only; a table of identities counts what was written then, and
                does not tell the runs apart.
        """
        found = [name for name in VIDEOS if self._is_of(path, self.folder / f"ref-{name}" / path.name, cut)]
        assert len(found) == 1 or (found and cut and "identities" in path.name), f"{path.name}: of {found or 'no run'}"
        return found[0]

    def _is_of(self, path: Path, reference: Path, cut: bool) -> bool:
        name = reference.name
        if name in LINES:
            data, whole = nameless(path.read_bytes()), nameless(reference.read_bytes())
            return data == whole or (cut and data.endswith(b"\n") and whole.startswith(data))
        if name == "c.parquet":
            table, whole = (nameless_table(parquet.read_table(one)) for one in (path, reference))
            return table.equals(whole) or (cut and len(table) > 0 and table.equals(whole.slice(0, len(table))))
        if name == "c.coco.json":
            rows, whole = json.loads(path.read_text()), json.loads(reference.read_text())
            return rows == whole or (cut and rows != [] and rows == whole[: len(rows)])
        if name == "c.mp4":
            (count, size), (most, expected) = pictures(path), pictures(reference)
            return size == expected and (count == most or (cut and 0 < count < most))
        if name == "c.instances":
            (frames, size), (most, expected) = instances(path), instances(reference)
            return size == expected and (frames == most or (cut and frames < most))
        table, whole = path.read_text().splitlines(), reference.read_text().splitlines()
        return table == whole or (cut and len(table) == len(whole) and table[0] == whole[0])  # counted so far

    def published(self) -> list[str]:
        return sorted(path.name for path in self._out.iterdir() if not path.name.startswith(".") and path.is_file())

    # ---- rounds -------------------------------------------------------------------------------------------------

    def moment_s(self, video: str) -> float:
        """Some time of a run of this video, its start and its end included."""
        return float(self._random.uniform(0.2, 1.1)) * self._seconds[video]

    def fault(self, run: subprocess.Popen[str], kind: str) -> None:
        """Kill a run or leave it no room, if it is still there."""
        if kind == "kill":
            run.kill()
        elif kind == "full" and self._disk is not None:
            fill(self._disk)
        elif kind == "full":
            with contextlib.suppress(ProcessLookupError):
                most = int(self._random.integers(1, 60_000))
                resource.prlimit(run.pid, resource.RLIMIT_FSIZE, (most, resource.RLIM_INFINITY))

    def clear(self) -> None:
        self._out.mkdir(exist_ok=True)
        for path in self._out.iterdir():
            path.unlink()

    def two_processes(self, kind: str) -> str:
        """Two runs want the same files, which an older run left; one of them or the disk fails."""
        self.clear()
        for name in FILES:
            shutil.copy(self.folder / "ref-old" / name, self._out / name)
        first, second = self._random.permutation(["one", "two"]).tolist()
        runs = {first: tracked(self.folder, first)}
        time.sleep(float(self._random.choice([0, 0.1, self.moment_s(first)])))
        runs[second] = tracked(self.folder, second)
        victim = str(self._random.choice([first, second]))
        time.sleep(self.moment_s(victim))
        self.fault(runs[victim], kind)
        said = {name: run.communicate(timeout=120)[1] for name, run in runs.items()}
        codes = {name: run.returncode for name, run in runs.items()}
        (self._out / "filler").unlink(missing_ok=True)
        check_codes(codes, said, kind)
        assert set(FILES) <= set(self.published()), "an older file went without a newer one"
        found = {name: self.run_of(self._out / name, cut=kind == "full") for name in self.published()}
        done = {name for name, code in codes.items() if code == 0}
        if kind == "none":
            assert len(set(found.values())) == 1, found
        if kind != "full" and done:
            assert set(found.values()) <= {*done, *(name for name, code in codes.items() if code < 0)}, (found, codes)
        self._nothing_is_left_over()
        return f"{kind}: {sorted(codes.values())}"

    def _nothing_is_left_over(self) -> None:
        """The next run is not kept out by what the killed ones left, and removes it."""
        with tracked(self.folder, "old") as run:
            assert run.communicate(timeout=120)[1] == ""
        assert {self.run_of(self._out / name) for name in FILES} == {"old"}
        assert not [path.name for path in self._out.iterdir() if path.name.startswith(".")]

    def two_cameras(self, kind: str) -> str:
        """One process with two recordings, which is resumed after its fault, or met by another one."""
        self.clear()
        shutil.rmtree(self.folder / "st", ignore_errors=True)
        text = "state: st\nmodel: constant.onnx\ndevice: cpu\nmetrics: off\ncameras:\n"
        for video in ("one", "two"):
            listed = ", ".join(f"out/{video}-{name}" for name in FILES if name != "c.mp4")
            text += f"  - {{name: {video}, url: {video}.mp4, records: [{listed}], save: out/{video}-c.mp4}}\n"
        (self.folder / "l.yaml").write_text(text)
        run = process(self.folder, "live", "l.yaml")
        time.sleep(self.moment_s("two"))
        self.fault(run, kind)
        other = process(self.folder, "live", "l.yaml", "--resume") if kind == "none" else None
        said = run.communicate(timeout=120)[1]
        assert "Traceback" not in said, said
        codes = [run.returncode]
        if other is not None:
            assert "Traceback" not in other.communicate(timeout=120)[1]
            codes.append(other.returncode)
            assert set(codes) <= {0, 2}, said
        (self._out / "filler").unlink(missing_ok=True)
        self._cameras_are_whole(whole=codes[0] == 0, cut=kind == "full")
        with process(self.folder, "live", "l.yaml", "--resume") as again:
            said = again.communicate(timeout=120)[1]
        assert again.returncode == 0, said
        self._cameras_are_whole(whole=True)
        return f"{kind}: {codes}"

    def _cameras_are_whole(self, *, whole: bool, cut: bool = False) -> None:
        """Each published file is of the camera whose name it has."""
        names = self.published()
        for name in names:
            video, _, kind = name.partition("-")
            assert self._is_of(self._out / name, self.folder / f"ref-{video}" / kind, cut), f"{name} is not whole"
        assert not whole or len(names) == 2 * len(FILES), names

    def parts(self, kind: str) -> str:
        """Two cameras whose files come in parts: those that are there hold whole rows of one camera, each once."""
        self.clear()
        text = "model: constant.onnx\ndevice: cpu\nmetrics: off\ncameras:\n"
        for video in ("one", "two"):
            listed = ", ".join(f"'out/{video}-{{time}}{Path(name).suffix}'" for name in LINES[:2])
            text += f"  - {{name: {video}, url: {video}.mp4, records: [{listed}], rotate_mb: 0.01}}\n"
        (self.folder / "l.yaml").write_text(text)
        run = process(self.folder, "live", "l.yaml")
        time.sleep(self.moment_s("two"))
        self.fault(run, kind)
        said = run.communicate(timeout=120)[1]
        assert "Traceback" not in said, said
        (self._out / "filler").unlink(missing_ok=True)
        names = self.published()
        for video in ("one", "two"):
            for suffix in (".jsonl", ".csv"):
                whole = (self.folder / f"ref-{video}" / f"c{suffix}").read_bytes()
                reference = nameless(whole).splitlines(keepends=True)
                seen: collections.Counter[bytes] = collections.Counter()
                for name in (name for name in names if name.startswith(video) and name.endswith(suffix)):
                    rows = nameless((self._out / name).read_bytes()).splitlines(keepends=True)
                    head = 1 if suffix == ".csv" else 0
                    assert rows[:head] == reference[:head]
                    start = reference.index(rows[head])
                    assert rows[head:] == reference[start : start + len(rows) - head], name
                    seen.update(rows[head:])
                assert not seen or max(seen.values()) == 1, "a row is in two parts"
                assert kind != "none" or len(seen) == len(reference) - (suffix == ".csv")
        return f"{kind}: [{run.returncode}]"

    def round(self, number: int) -> str:
        """One race; tells what it was and what it came to."""
        races: list[Callable[[str], str]] = [self.two_processes, self.two_cameras, self.parts]
        race = races[number % 3]
        kind = ("kill", "full", "kill", "none", "full")[int(self._random.integers(5))]
        return f"{race.__name__}, {race(kind)}"


def check_codes(codes: dict[str, int], said: dict[str, str], kind: str) -> None:
    allowed = {"none": {0, 2}, "kill": {0, 2, -signal.SIGKILL}, "full": {0, 1, 2}}[kind]
    assert set(codes.values()) <= allowed, (codes, said)
    for name, code in codes.items():
        assert "Traceback" not in said[name], said[name]
        assert code != 2 or "another process" in said[name] or kind == "full", said[name]
        assert code in {0, -signal.SIGKILL} or said[name], "a failure without a word"


def pictures(path: Path) -> tuple[int, tuple[int, int]]:
    with av.open(str(path)) as video:
        stream = video.streams.video[0]
        return sum(1 for _ in video.decode(stream)), (stream.width, stream.height)


def instances(path: Path) -> tuple[int, Any]:
    with path.open("rb") as file:
        frames = list(open_saved(path, file)[1])
    return len(frames), frames[0].frame.size if frames else None


@contextlib.contextmanager
def little_disk(size: int) -> Iterator[Path | None]:
    """A disk of so many bytes, where this user may mount one."""
    with tempfile.TemporaryDirectory(prefix="little-disk-") as name:
        done = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", name], capture_output=True, check=False
        )
        try:
            yield Path(name) if done.returncode == 0 else None
        finally:
            if done.returncode == 0:
                subprocess.run(["umount", name], check=True)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_every_published_file_is_whole_and_of_one_run(tmp_path: Path) -> None:
    until_s = time.monotonic() + BUDGET_S
    races = Races(tmp_path, seed=4)
    for number in range(ROUNDS):
        races.round(number)
        if time.monotonic() > until_s:
            break


def main(rounds: int, seed: int) -> None:
    """Run many rounds, half of them on a small disk that is really filled, and tell what they came to."""
    tally: collections.Counter[str] = collections.Counter()
    for half, size in enumerate((0, 24_000_000)):
        with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
            disk = stack.enter_context(little_disk(size)) if size else None
            races = Races(Path(folder), seed + half, disk)
            for number in range(rounds // 2):
                try:
                    outcome = races.round(number)
                except Exception as fault:  # noqa: BLE001 - what is looked for
                    outcome = f"FAULT {type(fault).__name__}: {str(fault)[:100]} ... {str(fault)[-500:]}"
                tally[outcome] += 1
                sys.stdout.write(f"{'disk' if disk else 'limit'} {number}: {outcome}\n")
                sys.stdout.flush()
    sys.stdout.write("\n".join(f"{count:3} {outcome}" for outcome, count in sorted(tally.items())) + "\n")


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 0)
