"""What a source may open besides itself: nothing; where an answer may lead: not back to this machine."""

from __future__ import annotations

import http.server
import io
import sys
import threading
from types import SimpleNamespace

import pytest

from tests.sources.videos import drain, write_video
from tracker.errors import SourceError
from tracker.sources import guarded_files, redirects
from tracker.sources.address import Address, expand_sources
from tracker.sources.open import open_source
from tracker.sources.protocols import is_endless, permissions
from tracker.sources.redirects import follow, is_inside
from tracker.sources.schemes import PROTOCOLS
from tracker.types import Frame

ELSEWHERE, INSIDE = "127.0.0.1", "127.0.0.2"
"""Both are this machine's; the tests call the first one foreign."""


@pytest.mark.parametrize(
    "text",
    [
        "#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXTINF:4,\nfile://{video}\n#EXT-X-ENDLIST\n",
        "#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXTINF:4,\nother.ts\n#EXT-X-ENDLIST\n",
        "ffconcat version 1.0\nfile other.ts\n",
    ],
)
@pytest.mark.parametrize("name", ["up.m3u8", "evil.mp4"])
def test_a_file_that_names_other_files_is_refused(tmp_path, text: str, name: str) -> None:
    video = write_video(tmp_path / "other.ts", count=3)
    path = tmp_path / name
    path.write_text(text.format(video=video), encoding="utf-8")
    with pytest.raises(SourceError, match="a playlist, which names other files") as caught:
        open_source(path)
    assert caught.value.remedy


@pytest.mark.parametrize("scheme", ["concat", "tee", "subfile", "ffrtmphttp", "file+http", "data", "crypto", "fd"])
def test_schemes_of_ffmpeg_itself_are_refused_before_anything_is_opened(scheme: str) -> None:
    with pytest.raises(SourceError, match="no support for") as caught:
        expand_sources(f"{scheme}://host/x?password=hidden")
    assert "rtsp" in caught.value.remedy
    assert "hidden" not in str(caught.value)
    with pytest.raises(SourceError, match="no support for"):
        open_source(Address(kind="network", name="x", target=f"{scheme}://host/x"))


def test_nothing_but_its_own_kind_may_be_opened(tmp_path) -> None:
    def allowed(source) -> tuple[str, bool]:
        options = permissions(expand_sources(source)[0])
        return options["protocol_whitelist"], "hls" in options["format_whitelist"].split(",")

    assert allowed(write_video(tmp_path / "a.mp4", count=1)) == ("file", False)
    assert allowed("rtsp://h/x") == ("rtp,srtp,udp,http,https,httpproxy,tcp,tls,crypto", False)
    assert allowed("udp://h:1") == ("udp", False)
    assert permissions(expand_sources("0")[0]) == {}
    assert not any("file" in protocols or "pipe" in protocols for protocols in PROTOCOLS.values())


def test_an_rtsp_stream_is_live_whatever_length_it_announces() -> None:
    def endless(kind: str, name: str, duration: int, size: int) -> bool:
        container = SimpleNamespace(format=SimpleNamespace(name=name), duration=duration, size=size)
        return is_endless(Address(kind=kind, name="a", target="a"), container)

    assert endless("network", "rtsp", 3_600_000_000, -1)
    assert endless("network", "rtsp", 0, -1)
    assert not endless("network", "hls", 60_000_000, -1)
    assert endless("network", "hls", 0, 100)
    assert not endless("video", "mpegts", 0, -1)


@pytest.mark.parametrize(
    ("host", "inside"),
    [
        ("127.0.0.1", True),
        ("127.8.9.1", True),
        ("localhost", True),
        ("0.0.0.0", True),
        ("169.254.169.254", True),
        ("::1", True),
        ("fe80::1", True),
        ("::ffff:127.0.0.1", True),
        ("192.168.1.20", False),
        ("10.0.0.7", False),
        ("2001:db8::7", False),
        ("no.such.host.invalid", False),
        ("", False),
        (None, False),
    ],
)
def test_hosts_that_are_this_machine_or_its_link(host, inside: bool) -> None:
    assert is_inside(host) is inside


class Handler(http.server.SimpleHTTPRequestHandler):
    """Serves a folder; ``/to/...`` redirects to the address that follows; ``asked`` keeps every path."""

    def log_message(self, format, *args):  # noqa: A002 - the base class's name
        pass

    def do_GET(self):
        self.server.asked.append(self.path)
        if self.server.ring:
            self.path = f"/to/{self.path}"
        if self.path.startswith("/to/"):
            self.send_response(302)
            self.send_header("Location", self.path.removeprefix("/to/"))
            self.send_header("Content-Length", "0")
            self.end_headers()
        else:
            super().do_GET()


@pytest.fixture
def servers(tmp_path, monkeypatch):
    """One server elsewhere and one inside, both with the same folder."""
    monkeypatch.setattr(redirects, "_is_inside", lambda address: address == INSIDE)
    started = []
    for host in (ELSEWHERE, INSIDE):
        server = http.server.ThreadingHTTPServer(
            (host, 0), lambda *arguments: Handler(*arguments, directory=str(tmp_path))
        )
        server.asked, server.ring = [], False
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        started.append(server)
    yield started
    for server in started:
        server.shutdown()
        server.server_close()


def base(server) -> str:
    return f"http://{server.server_address[0]}:{server.server_port}"


def test_a_redirect_elsewhere_is_followed_and_one_inside_is_not(tmp_path, servers) -> None:
    elsewhere, inside = servers
    write_video(tmp_path / "a.ts", count=5)
    with open_source(f"{base(elsewhere)}/to//to/{base(elsewhere)}/a.ts?token=hidden", timeout_s=5) as source:
        assert len(list(source)) == 5
    assert "hidden" not in source.info.name
    for target in (f"{base(inside)}/a.ts", f"/to/{base(inside)}/a.ts"):
        with pytest.raises(SourceError, match=f"a redirect to {INSIDE}") as caught:
            open_source(f"{base(elsewhere)}/to/{target}", timeout_s=5)
        assert caught.value.remedy
    assert inside.asked == []


def test_who_names_an_address_inside_may_be_redirected_inside(tmp_path, servers) -> None:
    _, inside = servers
    write_video(tmp_path / "a.ts", count=5)
    with open_source(f"{base(inside)}/to//a.ts", timeout_s=5) as source:
        assert len(list(source)) == 5


def playlist(*lines: str) -> str:
    head = "#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-TARGETDURATION:4\n#EXT-X-MEDIA-SEQUENCE:0\n"
    return head + "\n".join(lines) + "\n#EXT-X-ENDLIST\n"


def test_a_playlist_elsewhere_is_read_and_one_that_leads_inside_is_not(tmp_path, servers) -> None:
    elsewhere, inside = servers
    write_video(tmp_path / "a.ts", count=50)
    (tmp_path / "good.m3u8").write_text(playlist("#EXTINF:2,", "a.ts"), encoding="utf-8")
    with open_source(f"{base(elsewhere)}/good.m3u8", timeout_s=5) as source:
        assert len(list(source)) == 50
    host = f"//{INSIDE}:{inside.server_port}"
    bad = {
        "segment": playlist("#EXTINF:2,", f"http:{host}/a.ts"),
        "relative": playlist("#EXTINF:2,", f"{host}/a.ts"),
        "key": playlist(f'#EXT-X-KEY:METHOD=AES-128,URI="http:{host}/key"', "#EXTINF:2,", "a.ts"),
        "variant": playlist("#EXT-X-STREAM-INF:BANDWIDTH=1", "segment.m3u8"),
        "redirected": playlist("#EXT-X-STREAM-INF:BANDWIDTH=1", f"/to/http:{host}/good.m3u8"),
    }
    for name, text in bad.items():
        (tmp_path / f"{name}.m3u8").write_text(text, encoding="utf-8")
    for name in bad:
        with pytest.raises(SourceError, match=f"a playlist that leads to {INSIDE}"):
            open_source(f"{base(elsewhere)}/{name}.m3u8", timeout_s=5)
    assert inside.asked == []


def rolling(first: int, *segments: str) -> str:
    """A live playlist, which is read again and again."""
    head = f"#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-TARGETDURATION:1\n#EXT-X-MEDIA-SEQUENCE:{first}\n"
    return head + "".join(f"#EXTINF:1,\n{segment}\n" for segment in segments)


@pytest.mark.parametrize("way", ["named", "redirected"])
def test_a_live_playlist_that_leads_inside_later_is_not_followed(tmp_path, servers, way: str) -> None:
    elsewhere, inside = servers
    for number in range(3):
        write_video(tmp_path / f"{number}.ts", count=25)
    path = tmp_path / "live.m3u8"
    path.write_text(rolling(0, "0.ts", "1.ts", "2.ts"), encoding="utf-8")
    target = f"http://{INSIDE}:{inside.server_port}/0.ts"
    frames: list[Frame] = []
    with open_source(f"{base(elsewhere)}/live.m3u8", timeout_s=5, policy="all") as source:
        path.write_text(rolling(3, target if way == "named" else f"/to/{target}"), encoding="utf-8")
        with pytest.raises(SourceError, match=f"a playlist that leads to {INSIDE}"):
            drain(source, frames)
    assert len(frames) >= 20
    assert sum(asked.endswith("live.m3u8") for asked in elsewhere.asked) >= 3
    assert inside.asked == []


def test_segments_may_be_redirected_parts_gone_or_encrypted(tmp_path, servers) -> None:
    ciphers = pytest.importorskip("cryptography.hazmat.primitives.ciphers")
    elsewhere, _ = servers
    whole = write_video(tmp_path / "whole.ts", count=50).read_bytes()
    key, vector = bytes(range(16)), bytes(15) + b"\x07"
    padded = whole + bytes([16 - len(whole) % 16]) * (16 - len(whole) % 16)
    encryptor = ciphers.Cipher(ciphers.algorithms.AES(key), ciphers.modes.CBC(vector)).encryptor()
    (tmp_path / "secret.ts").write_bytes(encryptor.update(padded))
    (tmp_path / "key").write_bytes(key)
    kinds = {
        "encrypted": ('#EXT-X-KEY:METHOD=AES-128,URI="key",IV=0x' + vector.hex(), "#EXTINF:2,", "secret.ts"),
        "redirected": ("#EXTINF:2,", f"/to/{base(elsewhere)}/whole.ts"),
        "gone": ("#EXTINF:2,", "never.ts", "#EXTINF:2,", "whole.ts"),
    }
    for name, lines in kinds.items():
        (tmp_path / f"{name}.m3u8").write_text(playlist(*lines), encoding="utf-8")
        with open_source(f"{base(elsewhere)}/{name}.m3u8", timeout_s=5) as source:
            assert len(list(source)) == 50, name


def test_parts_of_files_are_asked_for_by_their_range(monkeypatch) -> None:
    asked = []
    monkeypatch.setattr(guarded_files, "open_request", lambda *given: asked.append(given) or io.BytesIO())
    guarded_files.GuardedFiles("x", 5.0)("http://192.0.2.7/a.ts", 1, {"offset": "376", "end_offset": "752"})
    assert asked == [("http://192.0.2.7/a.ts", 5.0, {"Range": "bytes=376-751"})]
    for url in ("file:///etc/passwd", "ftp://192.0.2.7/x"):
        with pytest.raises(SourceError, match="expected a playlist of http addresses"):
            guarded_files.GuardedFiles("x", 5.0)(url, 1, {})


def test_without_the_package_an_encrypted_playlist_names_the_command(monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "cryptography.hazmat.primitives.ciphers", None)
    monkeypatch.setattr(guarded_files, "open_request", lambda *_: io.BytesIO(b"x"))
    with pytest.raises(SourceError, match="not installed") as caught:
        guarded_files.GuardedFiles("x", 5.0)("crypto+http://192.0.2.7/a.ts", 1, {"key": "00", "iv": "00"})
    assert "pip install" in caught.value.remedy


def test_an_address_that_answers_with_a_playlist_under_another_name(tmp_path, servers) -> None:
    elsewhere, inside = servers
    write_video(tmp_path / "a.ts", count=50)
    (tmp_path / "good.m3u8").write_text(playlist("#EXTINF:2,", "a.ts"), encoding="utf-8")
    with open_source(f"{base(elsewhere)}/to//good.m3u8", timeout_s=5) as source:
        assert len(list(source)) == 50
    assert inside.asked == []


@pytest.mark.parametrize("path", ["nothing.ts", "to/ftp://x/y", "to/http://[bad"])
def test_an_answer_that_leads_nowhere_is_no_answer(servers, path: str) -> None:
    assert follow(f"{base(servers[0])}/{path}", "x", 5) is None


def test_redirects_in_a_ring_end(servers) -> None:
    servers[0].ring = True
    assert follow(f"{base(servers[0])}/a.ts", "x", 5) is None
    assert len(servers[0].asked) == redirects.MAX_REDIRECTS + 1
