"""Temporary files: unguessable, exclusive, never followed; the living refuse, what the dead left is removed."""

from __future__ import annotations

import os
import re
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path
from typing import Self

import pytest

from tests.sinks.streams import CLASS_NAMES, tracked_frame
from tracker.errors import SinkError
from tracker.plugins import open_sink
from tracker.sinks.exclusive import ExclusiveFile, check_free, reserved, staged_name
from tracker.sinks.part_file import PartFile, write_whole

ROOT = Path(__file__).resolve().parents[2]
HOLD = """
import sys, time
from pathlib import Path
from typing import Self
from tracker.sinks.part_file import PartFile
part = PartFile(Path(sys.argv[1]))
part.open().write(b"half")
print(part.part.name, flush=True)
time.sleep(60)
"""


class Other:
    """Another process in the middle of writing an output."""

    def __init__(self, path: Path) -> None:
        environment = os.environ | {"PYTHONPATH": str(ROOT)}
        self.process = subprocess.Popen(
            [sys.executable, "-c", HOLD, str(path)], stdout=subprocess.PIPE, text=True, env=environment
        )
        assert self.process.stdout is not None
        self.part = path.with_name(self.process.stdout.readline().strip())

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.communicate(timeout=60)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()


def names(folder: Path) -> list[str]:
    return sorted(entry.name for entry in folder.iterdir())


def test_names_are_unguessable_and_the_mode_is_that_of_the_umask(tmp_path):
    before = os.umask(0o027)
    try:
        parts = [PartFile(tmp_path / f"{number}.jsonl") for number in range(20)]
    finally:
        os.umask(before)
    found = [re.fullmatch(r"\.\d+\.jsonl\.([0-9a-f]{16})\.part", part.part.name) for part in parts]
    assert len({match[1] for match in found if match}) == 20
    assert {stat.S_IMODE(part.part.stat().st_mode) for part in parts} == {0o640}
    for part in parts:
        part.discard()
    assert names(tmp_path) == []


def test_links_and_pipes_at_temporary_names_harm_nothing(tmp_path, monkeypatch):
    out = tmp_path / "out"
    out.mkdir()
    victim = tmp_path / "victim"
    victim.write_text("precious")
    token = "0123456789abcdef"
    # The names of before, and what would be there if the random one had been guessed.
    (out / ".o.jsonl.part").symlink_to(victim)
    os.link(victim, out / f".o.jsonl.{'a' * 16}.part")
    os.mkfifo(out / f".o.jsonl.{'b' * 16}.part")
    (out / f".o.jsonl.{'c' * 16}.lock").symlink_to(victim)
    started_s = time.monotonic()
    with open_sink(out / "o.jsonl", class_names=CLASS_NAMES) as sink:
        sink.write(tracked_frame(boxes=[(4, 4, 60, 60)]))
    assert time.monotonic() - started_s < 30
    assert not (out / "o.jsonl").is_symlink()
    assert len((out / "o.jsonl").read_text().splitlines()) == 1
    assert victim.read_text() == "precious"

    (out / f".p.jsonl.{token}.part").symlink_to(victim)
    os.mkfifo(out / f".q.jsonl.{token}.part")
    monkeypatch.setattr("tracker.sinks.exclusive.secrets.token_hex", lambda _: token)
    for name in ("p.jsonl", "q.jsonl"):
        with pytest.raises(SinkError, match="File exists"):
            PartFile(out / name)
    assert victim.read_text() == "precious"
    assert not (out / "p.jsonl").exists()


def test_a_part_that_is_swapped_for_a_link_is_not_published(tmp_path):
    victim = tmp_path / "victim"
    victim.write_text("precious")
    part = PartFile(tmp_path / "o.jsonl")
    with part.open() as file:
        part.part.unlink()
        part.part.symlink_to(victim)
        file.write(b"rows")
    with pytest.raises(SinkError, match="rename"):
        part.publish()
    part.discard()
    assert victim.read_text() == "precious"
    assert not (tmp_path / "o.jsonl").exists()
    assert part.part.is_symlink()


def test_a_living_process_is_not_disturbed_and_the_later_one_refused(tmp_path):
    path = tmp_path / "o.jsonl"
    path.write_text("yesterday")
    with Other(path) as other:
        for opener in (PartFile, lambda path: open_sink(path, class_names=CLASS_NAMES), check_free):
            with pytest.raises(SinkError, match=re.escape(f"another process does ({other.part.name})")) as caught:
                opener(path)
            assert caught.value.offender == str(path)
        with pytest.raises(SinkError, match="another process"), reserved(tmp_path / "free.jsonl", path):
            pass
        (tmp_path / "link.jsonl").symlink_to(path)
        with pytest.raises(SinkError, match="another process"):
            PartFile(tmp_path / "link.jsonl")
        PartFile(tmp_path / "o.jsonl.jsonl").discard()
        assert other.part.read_bytes() == b"half"
        assert names(tmp_path) == sorted([other.part.name, "link.jsonl", "o.jsonl"])
    assert path.read_text() == "yesterday"


def test_a_killed_process_blocks_nobody_and_its_left_over_goes(tmp_path):
    path = tmp_path / "o.jsonl"
    other = Other(path)
    other.kill()
    keep = [".o.jsonl.part", ".o.jsonl.0123.part", f".other.jsonl.{'a' * 16}.part", f".o.jsonl.{'a' * 16}.part.bak"]
    for name in keep:
        (tmp_path / name).write_text("not ours")
    check_free(path)
    assert other.part.read_bytes() == b"half"
    write_whole(path, b"whole")
    assert path.read_bytes() == b"whole"
    assert names(tmp_path) == sorted([*keep, "o.jsonl"])


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make another user's file")
def test_left_overs_of_another_user_stay(tmp_path):
    theirs = tmp_path / f".o.jsonl.{'a' * 16}.part"
    theirs.write_text("theirs")
    os.chown(theirs, 12345, 12345)
    write_whole(tmp_path / "o.jsonl", b"whole")
    assert theirs.read_text() == "theirs"


def test_one_process_writes_an_output_once_at_a_time(tmp_path):
    path = tmp_path / "o.jsonl"
    with reserved(path):
        first = PartFile(path)
        with pytest.raises(SinkError, match="this process does"):
            PartFile(path)
        first.discard()
        write_whole(path, b"whole")
        assert [name for name in names(tmp_path) if name.endswith(".part")] == []
    assert names(tmp_path) == ["o.jsonl"]


def test_a_forgotten_part_file_gives_up_its_name(tmp_path):
    PartFile(tmp_path / "o.jsonl")
    write_whole(tmp_path / "o.jsonl", b"whole")
    assert names(tmp_path) == ["o.jsonl"]


@pytest.mark.parametrize("there_before", [True, False])
def test_a_file_that_changed_hands_is_not_replaced(tmp_path, there_before):
    path = tmp_path / "o.jsonl"
    if there_before:
        path.write_text("yesterday")
    part = PartFile(path)
    with part.open() as file:
        file.write(b"ours")
    (tmp_path / "theirs").write_text("theirs")
    (tmp_path / "theirs").replace(path)
    with pytest.raises(SinkError, match="found another file") as caught:
        part.publish()
    assert str(part.part) in str(caught.value)
    assert path.read_text() == "theirs"
    assert part.part.read_text() == "ours"


def test_what_was_there_before_is_replaced_and_what_was_taken_away_is_made(tmp_path):
    path = tmp_path / "o.jsonl"
    path.write_text("yesterday")
    write_whole(path, b"today")
    part = PartFile(path)
    path.unlink()
    with part.open() as file:
        file.write(b"anew")
    part.publish()
    assert path.read_bytes() == b"anew"


def test_staged_versions_of_killed_second_passes_go_with_the_next_run(tmp_path):
    path = tmp_path / "o.mots.txt"
    staged = staged_name(path)
    assert re.fullmatch(r"\.refined-[0-9a-f]{16}-o\.mots\.txt", staged.name)
    staged.write_text("half")
    (tmp_path / ".refined-o.mots.txt").write_text("not ours")
    write_whole(path, b"whole")
    assert names(tmp_path) == [".refined-o.mots.txt", "o.mots.txt"]


def test_long_names_have_part_files_too(tmp_path):
    paths = [tmp_path / ("ä" * 120 + f"{number}.jsonl") for number in range(2)]
    parts = [PartFile(path) for path in paths]
    for part in parts:
        part.publish()
    assert names(tmp_path) == sorted(path.name for path in paths)


def test_size_is_that_of_the_open_file_and_removal_is_told(tmp_path):
    part = PartFile(tmp_path / "o.jsonl")
    with part.open() as file:
        file.write(b"12345")
    assert part.size() == 5
    part.part.unlink()
    part.part.write_bytes(b"other")
    with pytest.raises(SinkError, match="found it was removed"):
        part.size()


def test_a_sibling_takes_the_place_of_the_part(tmp_path):
    part = PartFile(tmp_path / "o.mp4")
    sibling = part.sibling()
    assert isinstance(sibling, ExclusiveFile)
    os.write(sibling.fd, b"plain")
    part.adopt(sibling)
    assert names(tmp_path) == [sibling.path.name]
    part.publish()
    assert names(tmp_path) == ["o.mp4"]
    assert (tmp_path / "o.mp4").read_bytes() == b"plain"


def test_somebody_elses_lock_on_the_folder_is_not_waited_for_long(tmp_path, monkeypatch):
    import fcntl

    monkeypatch.setattr("tracker.sinks.exclusive.FOLDER_LOCK_S", 0.1)
    fd = os.open(tmp_path, os.O_RDONLY)
    fcntl.flock(fd, fcntl.LOCK_EX)
    try:
        write_whole(tmp_path / "o.jsonl", b"whole")
    finally:
        os.close(fd)
    assert names(tmp_path) == ["o.jsonl"]
