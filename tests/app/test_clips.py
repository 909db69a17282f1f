"""The pinned clips: served from the cache, downloaded once, refused when the checksum differs."""

from __future__ import annotations

import dataclasses
import hashlib
import threading
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tracker.app import clips
from tracker.errors import SourceError
from tracker.sources.open import open_source

BODY = b"not really a video" * 9999


class QuietHandler(SimpleHTTPRequestHandler):
    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def served(tmp_path: Path) -> Iterator[clips.Clip]:
    """A clip that a server on loopback offers."""
    folder = tmp_path / "www"
    folder.mkdir()
    (folder / "clip.mp4").write_bytes(BODY)
    server = ThreadingHTTPServer(("127.0.0.1", 0), lambda *args: QuietHandler(*args, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield clips.Clip(
        name="clip",
        url=f"http://127.0.0.1:{server.server_port}/clip.mp4",
        sha256=hashlib.sha256(BODY).hexdigest(),
        credit="nobody",
    )
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MASKTRAIL_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_downloaded_once_with_progress(served: clips.Clip, cache: Path) -> None:
    seen: list[tuple[int, int | None]] = []
    path = clips.fetch(served, lambda received, total: seen.append((received, total)))
    assert path == cache / "clip.mp4"
    assert path.read_bytes() == BODY
    assert seen[-1] == (len(BODY), len(BODY))
    again = clips.fetch(dataclasses.replace(served, url="http://127.0.0.1:9/nobody-listens"))
    assert again == path


def test_other_content_is_refused_and_not_kept(served: clips.Clip, cache: Path) -> None:
    with pytest.raises(SourceError, match="expected SHA-256 000"):
        clips.fetch(dataclasses.replace(served, sha256="0" * 64))
    assert list(cache.iterdir()) == []


def test_a_spoilt_cache_is_named(served: clips.Clip, cache: Path) -> None:
    clips.fetch(served).write_bytes(b"spoilt")
    with pytest.raises(SourceError, match=r"clip\.mp4: expected SHA-256"):
        clips.fetch(served)


def test_no_network_says_so(cache: Path) -> None:
    nowhere = clips.Clip(name="x", url="http://127.0.0.1:9/x.mp4", sha256="0" * 64, credit="nobody")
    with pytest.raises(clips.NoNetworkError, match=r"clip x: expected a download from http://127.0.0.1:9/x.mp4, found"):
        clips.fetch(nowhere)


def test_the_shipped_clips_are_pinned() -> None:
    for clip in clips.CLIPS:
        assert len(clip.sha256) == 64
        assert clip.url.startswith("https://")
        assert any(len(part) == 40 for part in clip.url.split("/")), "no commit in the address"


@pytest.mark.parametrize("name", ["road", "shop"])
def test_rendered_clips_come_along(name: str) -> None:
    with open_source(clips.rendered(name)) as source:
        assert source.info.size == (640, 360)
        assert source.info.frame_count == 500


def test_a_missing_rendered_clip_is_named() -> None:
    with pytest.raises(SourceError, match="expected a rendered clip"):
        clips.rendered("moon")
