"""Mutated files of cameras: each is read as it says, or refused in a short message without secrets.

As a script it tries many: ``python -m tests.test_settings_mutations 1000``.
"""

from __future__ import annotations

import collections
import re
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pytest

from tests.sources.mutations import mutated as bytes_mutated
from tests.thorough import examples
from tracker.engine.claims import check_cameras
from tracker.engine.plan import plan_camera
from tracker.errors import TrackerError, mask
from tracker.settings.yaml_file import load_service_settings

COUNT = examples(400)
HANG_S = 30.0
"""A file takes some milliseconds; so much passes for a machine under load."""

SECRET = "hunter2-canary"
TEXT = """\
model: yolact-nano
device: cpu
metrics: off
log: json
state: {folder}/state
state_max_age_s: 3600
defaults: {{stride: 2, classes: [person, car]}}
cameras:
  - name: gate
    url: rtsp://viewer:${{GATE}}@10.0.0.7/stream1
    conf: 0.3
    records: ["{folder}/{{name}}-{{time}}.jsonl", "{folder}/{{name}}-{{time}}.csv"]
    rotate_mb: 1.5
    options: {{rtsp_flags: prefer_tcp}}
  - name: lobby-2
    url: {folder}/clip.mp4
    classes: person
    policy: all
    save: {folder}/lobby.mp4
"""
# fmt: off
PIECES = (
    ":", ": ", "-", "- ", "[", "]", "{", "}", '"', "'", "#", "&a ", "*a", "|", ">", "%", "@", "`", "!", "<<: ", "? ",
    "é", "${GATE}", "${", "$${X}", "${NOWHERE}", "1e999", ".nan", "-.inf", "0x10", "1_0", "٣", "true", "null", "~",
    "off", "!!python/object:os.system ", "!!binary ", "../../etc/passwd", "{name}", "{time}", "{x",
    "[" * 300, "{a: " * 300, "\t", "\n", "\r", "---\n", "...\n", "\u2028", "\x00", "\x1b[2J", "\ufeff",
    "cameras:\n", "name: gate\n", "9" * 400,
)
LONG = "9" * 300
VALUES = (
    "", "''", "0", "-1", "1.5", "nan", ".inf", "1e400", "[]", "{}", "[a, b]", "{a: b}", "{a: {b: c}}", "*x", "&x y",
    "..", "${GATE}", "x/y", "a\\n", "'a b'", ".", "/", "rtsp://", "http://u:${GATE}@[::1", "rtsp://h:99999/x",
    "/dev/zero", "-", "file:///etc/passwd", "{name}-{time}.jsonl", "|\n x",
    "\n", '"a\\n"', '"\\e[31m"', "1" + "0" * 22, "9" * 5000,
)
# fmt: on


def mutated(text: str, rng: np.random.Generator) -> bytes:
    """One to three values, keys, lines or places of a file changed."""
    for _ in range(int(rng.integers(1, 4))):
        lines = text.split("\n")
        row, kind = int(rng.integers(len(lines))), rng.random()
        key, colon, _ = lines[row].partition(": ")
        if colon and kind < 0.45:
            lines[row] = f"{key}: {VALUES[int(rng.integers(len(VALUES)))]}"
        elif kind < 0.55:
            del lines[row]
        elif kind < 0.65:
            lines.insert(row, lines[int(rng.integers(len(lines)))])
        elif kind < 0.7:
            lines[row] = " " * int(rng.integers(6)) + lines[row].lstrip()
        else:
            place = int(rng.integers(len(lines[row]) + 1))
            piece = PIECES[int(rng.integers(len(PIECES)))]
            lines[row] = lines[row][:place] + piece + lines[row][place + int(rng.integers(4)) :]
        text = "\n".join(lines)
    data = text.encode("utf-8", "surrogateescape")
    return bytes_mutated(data, rng) if rng.random() < 0.1 else data


def verdict(path: Path) -> str:
    """``read`` or ``refused``.

    Raises:
        AssertionError: What was read does not hold what it must, or the message is no message.
        Exception: Whatever else leaves the library.
    """
    started_s = time.monotonic()
    refusal: TrackerError | None = None
    try:
        config = load_service_settings(path, {"GATE": SECRET})
        names = [camera.name for camera in config.cameras]
        assert len(set(names)) == len(names) > 0
        assert all(re.fullmatch(r"[A-Za-z0-9._-]+", name) for name in names), names
        assert all(camera.stride >= 1 and 0 <= (camera.score_threshold or 0) <= 1 for camera in config.cameras)
        assert SECRET not in mask(repr(config))
        check_cameras(config, [plan_camera(camera) for camera in config.cameras])
    except TrackerError as error:
        refusal = error
    if refusal is not None:
        told = str(refusal)
        assert refusal.remedy, told
        assert SECRET not in told, told
        assert len(told) < 1500 or LONG in told, told  # a path of that length is named
        assert told.count("\n") < 8, told
        assert "\x1b" not in told, told
    assert time.monotonic() - started_s < HANG_S
    return "read" if refusal is None else "refused"


def prepared(folder: Path) -> str:
    """The text of a good file whose recording and folders are there."""
    (folder / "state").mkdir()
    (folder / "clip.mp4").write_bytes(b"not opened by these tests")
    return TEXT.format(folder=folder)


def test_the_file_that_is_mutated_is_good(tmp_path: Path) -> None:
    path = tmp_path / "cameras.yaml"
    path.write_text(prepared(tmp_path))
    assert verdict(path) == "read"


@pytest.mark.examples
@pytest.mark.timeout(180)
def test_mutated_files_are_read_or_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    rng, text, path = np.random.default_rng(20), prepared(tmp_path), tmp_path / "cameras.yaml"
    outcomes: collections.Counter[str] = collections.Counter()
    until_s = time.monotonic() + 60
    for _ in range(COUNT):
        path.write_bytes(mutated(text, rng))
        outcomes[verdict(path)] += 1
        if time.monotonic() > until_s:
            break
    assert set(outcomes) == {"read", "refused"}


def main(count: int, seed: int) -> None:
    """Try ``count`` mutations and tell what they came to."""
    tally: collections.Counter[str] = collections.Counter()
    slowest = 0.0
    with tempfile.TemporaryDirectory() as name:
        rng, text, path = np.random.default_rng(seed), prepared(Path(name)), Path(name) / "cameras.yaml"
        for number in range(count):
            path.write_bytes(mutated(text, rng))
            started_s = time.monotonic()
            try:
                outcome = verdict(path)
            except Exception as error:  # noqa: BLE001 - what is looked for
                outcome = f"FAULT {type(error).__name__}"
                sys.stdout.write(f"{number} {error!r:.300}\n{path.read_bytes()!r:.900}\n")
            tally[outcome] += 1
            slowest = max(slowest, time.monotonic() - started_s)
    sys.stdout.write(f"{dict(tally)}, slowest {slowest:.2f} s\n")


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 0)
