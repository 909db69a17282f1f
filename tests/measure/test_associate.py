"""Files in, files out: layout of the lines, what is passed through, folders, errors."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tracker.errors import ConfigError, DetectionsError, SinkError
from tracker.formats.run_length import decode_rle, encode_rle
from tracker.measure.associate import associate


def walk(path: Path, frames: int = 20, *, missing: tuple[int, ...] = ()) -> None:
    rows = []
    for frame in range(1, frames + 1):
        if frame not in missing:
            rows.append(f"{frame},-1,{10 + 3 * frame},50,30,80,0.9,3,-1")
            rows.append(f"{frame},-1,300.25,{60 + frame},40.5,90,0.8,1,0.5")
    path.write_text("\n".join(rows) + "\n")


def sequence(folder: Path, **options: object) -> None:
    folder.mkdir(parents=True)
    (folder / "seqinfo.ini").write_text("[Sequence]\nframeRate=30\nseqLength=22\nimWidth=640\nimHeight=480\n")
    walk(folder / "det.txt", **options)


def test_lines_carry_the_detection_and_its_class_column(tmp_path: Path) -> None:
    walk(tmp_path / "det.txt")
    result = associate(tmp_path / "det.txt", tmp_path / "out.txt", fps=30)[0]
    lines = (tmp_path / "out.txt").read_text().splitlines()
    assert result.lines == len(lines)
    assert result.identities == 2
    assert result.frames == 20
    assert lines[-1] == "20,2,300.25,80.00,40.50,90.00,0.8,1,0.5"
    assert lines[-2] == "20,1,70.00,50.00,30.00,80.00,0.9,3,-1"
    assert not list(tmp_path.glob("*.part")) + list(tmp_path.glob(".*.part"))


def test_ids_are_unique_over_classes_and_frames_outside_detections_stay_empty(tmp_path: Path) -> None:
    sequence(tmp_path / "root" / "one", missing=(9,))
    sequence(tmp_path / "root" / "two")
    seen: list[tuple[str, int, int]] = []
    results = associate(tmp_path / "root", tmp_path / "out", progress=lambda *what: seen.append(what))
    assert [r.name for r in results] == ["one", "two"]
    assert seen == [("one", 22, 22), ("two", 22, 22)]
    for result in results:
        table = np.loadtxt(result.path, delimiter=",")
        keys = [tuple(row) for row in table[:, :2]]
        assert len(set(keys)) == len(keys)
        assert set(table[:, 1]) == {1, 2}


def test_unseen_but_present_is_written_with_visibility_zero_unless_refused(tmp_path: Path) -> None:
    walk(tmp_path / "det.txt", 40, missing=(30,))
    associate(tmp_path / "det.txt", tmp_path / "with.txt", fps=30)
    associate(tmp_path / "det.txt", tmp_path / "without.txt", fps=30, coasting=False)
    kept = [line for line in (tmp_path / "with.txt").read_text().splitlines() if line.startswith("30,")]
    assert [line.split(",")[-1] for line in kept] == ["0", "0"]
    assert [line.split(",")[-2] for line in kept] == ["3", "1"]
    assert not [line for line in (tmp_path / "without.txt").read_text().splitlines() if line.startswith("30,")]


def test_masks_pass_through_unchanged(tmp_path: Path) -> None:
    codes = {}
    with (tmp_path / "det_mots.txt").open("w") as file:
        for frame in range(1, 15):
            mask = np.zeros((60, 90), np.bool_)
            mask[10:40, 5 + frame : 25 + frame] = True
            codes[frame] = encode_rle(mask)["counts"]
            file.write(f"{frame} 0 2 60 90 {codes[frame]} 0.95\n")
    associate(tmp_path / "det_mots.txt", tmp_path / "out.txt", fps=10)
    lines = [line.split() for line in (tmp_path / "out.txt").read_text().splitlines()]
    assert len(lines) >= 13
    for frame, identity, class_id, height, width, code in lines:
        assert (identity, class_id, height, width) == ("1", "2", "60", "90")
        assert code == codes[int(frame)]


def test_same_input_same_bytes(tmp_path: Path) -> None:
    walk(tmp_path / "det.txt")
    for name in ("a.txt", "b.txt"):
        associate(tmp_path / "det.txt", tmp_path / name, fps=25)
    assert (tmp_path / "a.txt").read_bytes() == (tmp_path / "b.txt").read_bytes()


def test_errors_leave_nothing_behind(tmp_path: Path) -> None:
    walk(tmp_path / "det.txt")
    with pytest.raises(SinkError):
        associate(tmp_path / "det.txt", tmp_path / "no" / "out.txt")
    with pytest.raises(ConfigError, match="fps"):
        associate(tmp_path / "det.txt", tmp_path / "out.txt", fps=-1)
    (tmp_path / "bad.txt").write_text("1,-1,1,1,-4,4,0.5\n")
    with pytest.raises(DetectionsError, match=r"bad\.txt:1"):
        associate(tmp_path / "bad.txt", tmp_path / "out.txt")
    assert not (tmp_path / "out.txt").exists()
    (tmp_path / "file").write_text("")
    sequence(tmp_path / "root" / "one")
    with pytest.raises(SinkError):
        associate(tmp_path / "root", tmp_path / "file")


def test_a_second_pass_fills_gaps_and_numbers_anew(tmp_path: Path) -> None:
    walk(tmp_path / "det.txt", 60, missing=tuple(range(30, 50)))
    told: list[str] = []
    result = associate(
        tmp_path / "det.txt", tmp_path / "out.txt", refine=True, progress=lambda name, *_: told.append(name)
    )[0]
    assert result.refined
    assert result.problem == ""
    assert "det, second pass" in told
    table = np.loadtxt(tmp_path / "out.txt", delimiter=",")
    assert result.lines == len(table) == 120
    assert set(table[:, 1]) == {1, 2}
    gap = table[(table[:, 0] >= 30) & (table[:, 0] < 50)]
    assert len(gap) == 40
    assert (gap[:, 8] == 0).all()
    first = gap[gap[:, 1] == 1]
    np.testing.assert_allclose(first[:, 2], 10 + 3 * first[:, 0], atol=3)
    assert not list(tmp_path.glob(".*.part"))


def test_a_second_pass_morphs_masks_that_share_no_pixel_with_seen_ones(tmp_path: Path) -> None:
    with (tmp_path / "det_mots.txt").open("w") as file:
        for frame in range(1, 41):
            for number in (0, 1):
                if number == 0 and 18 <= frame < 23:
                    continue
                mask = np.zeros((80, 200), np.bool_)
                left = 5 + 2 * frame if number == 0 else 80
                mask[10:40, left : left + (20 + frame // 4)] = True
                if number == 0:
                    mask[10:40, 80:] = False
                if mask.any():
                    file.write(f"{frame} 0 2 80 200 {encode_rle(mask)['counts']} 0.95\n")
    associate(tmp_path / "det_mots.txt", tmp_path / "out.txt", fps=10, refine=True)
    by_frame: dict[int, dict[str, np.ndarray]] = {}
    for line in (tmp_path / "out.txt").read_text().splitlines():
        frame, identity, _, height, width, code = line.split()
        mask = decode_rle({"size": [int(height), int(width)], "counts": code})
        by_frame.setdefault(int(frame), {})[identity] = mask
    moving = next(name for name, mask in by_frame[10].items() if mask[20, 30])
    for frame in range(18, 23):
        truth = np.zeros((80, 200), np.bool_)
        truth[10:40, 5 + 2 * frame : 25 + 2 * frame + frame // 4] = True
        found = by_frame[frame][moving]
        assert (found & truth).sum() / (found | truth).sum() > 0.85
    for masks in by_frame.values():
        assert np.sum(list(masks.values()), axis=0).max() == 1


@pytest.mark.parametrize("failure", [MemoryError("too much"), KeyboardInterrupt()])
def test_a_second_pass_that_fails_leaves_the_online_result(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failure: BaseException
) -> None:
    sequence(tmp_path / "root" / "one")
    sequence(tmp_path / "root" / "two")
    associate(tmp_path / "root", tmp_path / "online")

    def fail(*_: object, **__: object) -> None:
        raise failure

    monkeypatch.setattr("tracker.refine.refine.refine", fail)
    results = associate(tmp_path / "root", tmp_path / "out", refine=True)
    assert [result.refined for result in results] == [False] * len(results)
    assert all(result.problem for result in results)
    assert len(results) == (1 if isinstance(failure, KeyboardInterrupt) else 2)
    assert (tmp_path / "out" / "one.txt").read_bytes() == (tmp_path / "online" / "one.txt").read_bytes()
    assert not list((tmp_path / "out").glob(".*"))


def test_a_second_pass_needs_an_output_it_can_replace(tmp_path: Path) -> None:
    walk(tmp_path / "det.txt")
    with pytest.raises(ConfigError, match="replace"):
        associate(tmp_path / "det.txt", "/dev/null", refine=True)
