"""What a user may type as a source, and what becomes of it."""

from __future__ import annotations

import pytest

from tracker.errors import SourceError
from tracker.sources.address import Address, expand_sources, redact


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("rtsp://admin:hunter2@10.0.0.7:554/s", "rtsp://admin:***@10.0.0.7:554/s"),
        ("rtsp://admin:p@ss@host/s", "rtsp://admin:***@host/s"),
        ("rtsp://admin:p/s?s#@host/s", "rtsp://admin:***@host/s"),
        ("rtsp://host:554/path@2", "rtsp://host:554/path@2"),
        ("https://tok123@host/s", "https://***@host/s"),
        ("http://host/s?user=a&password=b&x=1", "http://host/s?user=***&password=***&x=1"),
        ("http://host/s?api_key=b#t", "http://host/s?api_key=***#t"),
        ("srt://host:9000?passphrase=abc", "srt://host:9000?passphrase=***"),
        ("folder/a@b:c.mp4", "folder/a@b:c.mp4"),
    ],
)
def test_credentials_are_redacted(address: str, shown: str) -> None:
    assert redact(address) == shown


def test_address_hides_its_target() -> None:
    (address,) = expand_sources("rtsp://admin:canary@host/s?token=canary")
    assert address.kind == "network"
    assert address.target == "rtsp://admin:canary@host/s?token=canary"
    assert "canary" not in repr(address)
    assert "canary" not in address.name


@pytest.mark.parametrize("source", [0, "0", "/dev/video0"])
def test_cameras(source: int | str) -> None:
    (address,) = expand_sources(source)
    assert (address.kind, address.target.endswith("0")) == ("camera", True)


def test_images_of_a_folder_are_one_stream_in_natural_order(tmp_path) -> None:
    for name in ("img10.jpg", "img2.JPG", "img1.png", "notes.txt", ".hidden.jpg"):
        (tmp_path / name).write_bytes(b"x")
    (address,) = expand_sources(tmp_path)
    assert address.kind == "images"
    assert [file.name for file in address.files] == ["img1.png", "img2.JPG", "img10.jpg"]
    assert address.name == str(tmp_path)


def test_videos_of_a_folder_are_a_stream_each(tmp_path) -> None:
    for name in ("cam10.mp4", "cam9.mkv", "readme.md"):
        (tmp_path / name).write_bytes(b"x")
    addresses = expand_sources(tmp_path)
    assert [address.name for address in addresses] == [str(tmp_path / "cam9.mkv"), str(tmp_path / "cam10.mp4")]
    assert {address.kind for address in addresses} == {"video"}
    assert expand_sources(addresses[0]) == [addresses[0]]


def test_seldom_used_videos_of_a_folder_are_known_too(tmp_path) -> None:
    names = ["a.y4m", "b.nut", "c.divx", "d.m2v", "e.rm", "f.MKV"]
    for name in (*names, "g.txt", "h.srt"):
        (tmp_path / name).write_bytes(b"x")
    assert [address.name for address in expand_sources(tmp_path)] == [str(tmp_path / name) for name in names]


def test_a_link_that_leads_to_nothing_is_told_as_one(tmp_path) -> None:
    (tmp_path / "br.mp4").symlink_to("nothing.mp4")
    (tmp_path / "bar.mp4").write_bytes(b"x")
    with pytest.raises(SourceError, match=r"found a link that leads to nothing \(nothing\.mp4\)") as caught:
        expand_sources(tmp_path / "br.mp4")
    assert caught.value.remedy == "correct the link, or name the file itself"


def test_patterns(tmp_path) -> None:
    (tmp_path / "deep").mkdir()
    for name in ("a.jpg", "b.mp4", "deep/c.jpg"):
        (tmp_path / name).write_bytes(b"x")
    (images,) = expand_sources(str(tmp_path / "**" / "*.jpg"))
    assert [file.name for file in images.files] == ["a.jpg", "c.jpg"]
    (video,) = expand_sources(str(tmp_path / "*.mp4"))
    assert video.kind == "video"


def test_an_existing_file_is_not_taken_for_a_pattern_or_a_camera(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("clip[1].mp4", "7"):
        (tmp_path / name).write_bytes(b"x")
    assert expand_sources("clip[1].mp4")[0].target == "clip[1].mp4"
    assert expand_sources("7")[0].kind == "video"
    assert expand_sources("8")[0].kind == "camera"


def test_lists_keep_their_order_and_join_neighbouring_images(tmp_path) -> None:
    files = [tmp_path / name for name in ("2.jpg", "1.jpg", "v.mp4", "3.jpg")]
    for file in files:
        file.write_bytes(b"x")
    found = expand_sources([str(file) for file in files])
    assert [address.kind for address in found] == ["images", "video", "images"]
    assert [file.name for file in found[0].files] == ["2.jpg", "1.jpg"]


@pytest.mark.parametrize(
    ("prepare", "source", "said"),
    [
        (["highway.mp4"], "higway.mp4", "did you mean"),
        ([], "none/deep/x.mp4", "only"),
        ([], "", "no file"),
        (["a.txt"], "", "1 other files"),
        (["a.jpg", "b.mp4"], "", r"\*.jpg or \*.mp4"),
        ([], "*.mp4", "no file"),
    ],
)
def test_what_is_not_there_is_explained(tmp_path, prepare: list[str], source: str, said: str) -> None:
    for name in prepare:
        (tmp_path / name).write_bytes(b"x")
    with pytest.raises(SourceError, match=said) as caught:
        expand_sources(str(tmp_path / source))
    assert caught.value.remedy
    assert str(tmp_path / source).rstrip("/") in str(caught.value)


def test_empty_list_and_negative_camera() -> None:
    with pytest.raises(SourceError, match="empty list"):
        expand_sources([])
    with pytest.raises(SourceError, match="negative"):
        expand_sources(-1)


def test_addresses_pass_through() -> None:
    address = Address(kind="video", name="a", target="a")
    assert expand_sources(address) == [address]


@pytest.mark.parametrize("text", ["rtsp:/viewer:canary@host/x", "rtsp:viewer:canary@host", "viewer:canary@host/x"])
def test_an_address_that_was_mistyped_tells_no_password(text: str) -> None:
    with pytest.raises(SourceError, match="found no such file") as caught:
        expand_sources(text)
    assert "canary" not in str(caught.value)
    assert "***@host" in str(caught.value)
