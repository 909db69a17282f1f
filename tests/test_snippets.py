"""Python snippets of README, the guides and the package docstring, and the demos, run as they are printed."""

from __future__ import annotations

import re
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Any

import av
import pytest

import tracker
from tracker.app.clips import rendered

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("**/*.md")), *sorted((ROOT / "models").glob("*/README.md"))]
SNIPPET = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)
SECONDS = 3.0


def snippets() -> Iterator[tuple[str, str]]:
    """Name and text of every Python snippet."""
    for page in PAGES:
        for number, text in enumerate(SNIPPET.findall(page.read_text("utf-8")), 1):
            yield f"{page.relative_to(ROOT)}:{number}", text
    assert tracker.__doc__ is not None
    for number, text in enumerate(re.findall(r"::\n\n((?:    .*\n|\n)+)", tracker.__doc__), 1):
        yield f"tracker:{number}", textwrap.dedent(text).strip() + "\n"


SNIPPETS = dict(snippets())


@pytest.fixture(scope="module")
def street(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The beginning of the rendered road that comes with masktrail, under the name that the snippets use."""
    path = tmp_path_factory.mktemp("snippets") / "street.mp4"
    with av.open(rendered("road")) as clip, av.open(path, "w") as short:
        video = clip.streams.video[0]
        out = short.add_stream_from_template(video)
        for packet in clip.demux(video):
            if packet.dts is None or packet.dts * video.time_base >= SECONDS:
                break
            packet.stream = out
            short.mux(packet)
    return path


@pytest.fixture
def folder(street: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory of a snippet: nothing but the recording."""
    (tmp_path / "street.mp4").symlink_to(street)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_snippets_are_found() -> None:
    assert set(SNIPPETS) >= {"README.md:1", "README.md:2", "docs/guide/python.md:1", "tracker:1", "tracker:2"}


def test_readme_and_docstring_show_the_same_snippets() -> None:
    assert SNIPPETS["README.md:1"] == SNIPPETS["tracker:1"]
    assert SNIPPETS["README.md:2"] == SNIPPETS["tracker:2"]


@pytest.mark.quick("README.md:1")
@pytest.mark.parametrize("name", SNIPPETS)
def test_a_snippet_runs(name: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    names: dict[str, Any] = {}
    exec(compile(SNIPPETS[name], name, "exec"), names)
    text = SNIPPETS[name]
    if "in track(" in text:
        assert len(names["tracked"].tracks) > 0
        assert names["tracked"].frame.index > 70
    if "tracks =" in text:
        assert names["tracks"].ids.tolist() == sorted(set(names["tracks"].ids.tolist())) != []
    if "street.tracked.mp4" in text:
        assert '"class":"car"' in (folder / "street.jsonl").read_text("utf-8")
        assert (folder / "street.tracked.mp4").stat().st_size > 10_000
        assert re.match(r"street\.mp4 .*\{.*'car': \d+", capsys.readouterr().out)
    if "missing.mp4" in text:
        assert "missing.mp4" in capsys.readouterr().out


@pytest.mark.slow
@pytest.mark.parametrize(
    ("demo", "expected"),
    [("one_file.py", r"car \d+ +from +0\.00 s to "), ("one_camera.py", r"0\.0 s +\d+ in view: .*\bcar \d+")],
)
def test_a_demo_runs(demo: str, expected: str, street: Path) -> None:
    done = subprocess.run(
        [sys.executable, ROOT / "demos" / demo, street],
        cwd=ROOT,
        env={"PYTHONPATH": str(ROOT), "PATH": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stderr == ""
    assert done.returncode == 0
    assert re.search(expected, done.stdout), done.stdout
