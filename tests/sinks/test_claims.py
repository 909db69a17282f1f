"""Claims: an output that is a source, another output or a link to one is refused, and all offenders are named."""

from __future__ import annotations

import os

import pytest

from tracker.app.overview import write_contact_sheet
from tracker.errors import SinkError
from tracker.sinks.claims import Claim, check_claims, check_folders_differ


def claims(*paths):
    return [Claim(path=path, named_by=f"--{path.name}") for path in paths]


@pytest.fixture
def source(tmp_path):
    path = tmp_path / "a.mp4"
    path.write_bytes(b"recording")
    return path


def test_what_stands_apart_is_let_through(tmp_path, source):
    (tmp_path / "yesterday.mp4").write_bytes(b"old")
    before = sorted(entry.name for entry in tmp_path.iterdir())
    check_claims(claims(tmp_path / "yesterday.mp4", tmp_path / "b.jsonl"), claims(source, tmp_path / "none.onnx"))
    check_claims([], claims(source))
    assert sorted(entry.name for entry in tmp_path.iterdir()) == before


@pytest.mark.parametrize("way", ["itself", "spelling", "symlink", "chain", "hard link", "folder link", "dots"])
def test_an_output_that_is_a_source(tmp_path, monkeypatch, source, way):
    monkeypatch.chdir(tmp_path)
    output = tmp_path / "out.mp4"
    if way == "itself":
        output = source
    elif way == "spelling":
        output = type(source)("a.mp4")
    elif way == "symlink":
        output.symlink_to("a.mp4")
    elif way == "chain":
        (tmp_path / "between").symlink_to(source)
        output.symlink_to("between")
    elif way == "hard link":
        os.link(source, output)
    elif way == "folder link":
        (tmp_path / "folder").symlink_to(".")
        output = tmp_path / "folder" / "a.mp4"
    else:
        (tmp_path / "sub").mkdir()
        output = tmp_path / "sub" / ".." / "a.mp4"
    with pytest.raises(SinkError, match="expected a file of its own, found that it is read here") as caught:
        check_claims([Claim(path=output, named_by="--save")], [Claim(path=source, named_by="source")])
    assert caught.value.offender == f"{output} (--save)"
    assert str(source) in caught.value.problem


@pytest.mark.parametrize("way", ["itself", "link to come", "both links", "hard link", "folder link"])
def test_two_outputs_that_are_one_file(tmp_path, way):
    first, second = tmp_path / "a.jsonl", tmp_path / "b.jsonl"
    if way == "itself":
        second = first
    elif way == "link to come":
        second.symlink_to("a.jsonl")
    elif way == "both links":
        first.symlink_to("c.jsonl")
        second.symlink_to(tmp_path / "c.jsonl")
    elif way == "hard link":
        first.touch()
        os.link(first, second)
    else:
        (tmp_path / "folder").symlink_to(tmp_path)
        second = tmp_path / "folder" / "a.jsonl"
    with pytest.raises(SinkError, match="another output is the same file") as caught:
        check_claims([Claim(path=first, named_by="one"), Claim(path=second, named_by="two")])
    assert caught.value.offender == f"{second} (two)"
    assert f"{first} (one)" in caught.value.problem


def test_outputs_that_run_already_are_taken(tmp_path):
    with pytest.raises(SinkError, match="another output is the same file"):
        check_claims(claims(tmp_path / "a.jsonl"), running=claims(tmp_path / "a.jsonl"))


def test_all_offenders_are_in_one_error(tmp_path, source):
    (tmp_path / "folder.jsonl").mkdir()
    twice = tmp_path / "twice.jsonl"
    outputs = [source, twice, twice, tmp_path / "folder.jsonl", tmp_path / "none" / "x.jsonl", tmp_path / "fine.jsonl"]
    with pytest.raises(SinkError) as caught:
        check_claims(claims(*outputs), claims(source))
    said = str(caught.value)
    assert said.startswith("4 outputs: ")
    for fault in ("a.mp4 (--a.mp4): expected a file of its own", "twice.jsonl (--twice.jsonl)", "found a folder"):
        assert fault in said
    assert f"expected the folder {tmp_path / 'none'} to exist" in said
    assert "fine.jsonl" not in said


def test_devices_may_be_named_often(tmp_path, source):
    check_claims(claims(*[type(source)("/dev/null")] * 3), [*claims(source), Claim(path=type(source)("/dev/null"))])
    pipe = tmp_path / "pipe.jsonl"
    os.mkfifo(pipe)
    with pytest.raises(SinkError, match="another output"):
        check_claims(claims(pipe, pipe))


def test_letters_of_both_sizes_where_the_folder_does_not_tell_them_apart(tmp_path, monkeypatch):
    outputs = claims(tmp_path / "Cam.mp4", tmp_path / "cam.mp4")
    check_claims(outputs)
    monkeypatch.setattr("tracker.sinks.claims._folds_case", lambda _: True)
    with pytest.raises(SinkError, match="another output"):
        check_claims(outputs)


def test_a_contact_sheet_is_none_of_its_videos(source):
    with pytest.raises(SinkError, match="read here"):
        write_contact_sheet(source, [source])
    assert source.read_bytes() == b"recording"


def test_a_folder_onto_itself(tmp_path):
    (tmp_path / "set").mkdir()
    (tmp_path / "link").symlink_to("set")
    check_folders_differ(tmp_path / "new", tmp_path / "set")
    for folder in (tmp_path / "set", tmp_path / "link", tmp_path / "set" / ".." / "set"):
        with pytest.raises(SinkError, match="found the same"):
            check_folders_differ(folder, tmp_path / "set")
