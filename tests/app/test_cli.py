"""The command line as a user meets it: the main job end to end, and one sentence with a remedy for what is wrong."""

from __future__ import annotations

import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import av
import numpy as np
import pytest

from demos.scenes.road import road
from demos.scenes.writers import write_video
from tests.command import Result, Run
from tests.nameless import nameless

FPS = 10
FRAMES = 30


@pytest.fixture(scope="session")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three seconds of the rendered road."""
    path = tmp_path_factory.mktemp("video") / "road.mp4"
    write_video(road(seed=3), path, fps=FPS, duration_s=FRAMES / FPS)
    return path


def refused(result: Result, *phrases: str) -> None:
    """Non-zero exit, the phrases, a remedy, and no traceback."""
    text = result.text
    assert result.status != 0, text
    assert "Traceback" not in text
    for phrase in phrases:
        assert phrase in text, text
    assert "remedy" in text, text


# ---- the main job ---------------------------------------------------------------------------------------------------


def test_track_writes_everything_asked_for(run: Run, video: Path, tmp_path: Path) -> None:
    outputs = [tmp_path / name for name in ("t.jsonl", "t.csv", "t.parquet", "t.txt", "t.mots.txt", "t.coco.json")]
    records = [part for path in outputs for part in ("--records", path)]
    summary_path = tmp_path / "summary.json"
    result = run("track", video, "--save", tmp_path / "out.mp4", *records, "--json", summary_path)
    assert result.status == 0, result.err
    for path in [*outputs, tmp_path / "out.mp4"]:
        assert path.is_file(), path.name
    assert not list(tmp_path.glob(".*")), "temporary files left behind"
    (summary,) = json.loads(summary_path.read_text())
    assert summary["frames"] == FRAMES
    assert summary["failures"] == []
    assert sum(summary["identities"].values()) >= 1
    rows = [json.loads(line) for line in outputs[0].read_text().splitlines()]
    identities = {row["id"] for row in rows}
    assert identities == set(range(1, len(identities) + 1)), "ids are gapless from 1"
    with av.open(str(tmp_path / "out.mp4")) as container:
        assert sum(1 for _ in container.decode(video=0)) == FRAMES


def test_segment_gives_coco_results_by_file_name_order(run: Run, tmp_path: Path) -> None:
    import cv2

    folder = tmp_path / "images"
    folder.mkdir()
    for number, (frame, _) in enumerate(road(seed=3).frames(1, 3)):
        assert frame.image is not None
        cv2.imwrite(str(folder / f"street-{number + 8}.png"), frame.image)
    assert run("segment", folder, "--records", tmp_path / "x.coco.json").status == 0
    results = json.loads((tmp_path / "x.coco.json").read_text())
    assert {row["image_id"] for row in results} <= {1, 2, 3}
    assert all(row["segmentation"]["size"] == [360, 640] for row in results)
    assert all(0 < row["category_id"] <= 6 for row in results)


def test_several_videos_are_streams_of_their_own(run: Run, video: Path, tmp_path: Path) -> None:
    second = tmp_path / "again.mp4"
    shutil.copy(video, second)
    out = tmp_path / "out"
    out.mkdir()
    result = run("track", video, second, "--save", out, "--records", out / "{name}.jsonl", "--limit", 5)
    assert result.status == 0, result.err
    assert sorted(path.name for path in out.iterdir()) == ["again.jsonl", "again.mp4", "road.jsonl", "road.mp4"]
    again, road = (nameless((out / name).read_bytes()) for name in ("again.jsonl", "road.jsonl"))
    assert again == road, "ids start anew, same input same bytes"


def test_classes_and_limit_and_stride(run: Run, video: Path, tmp_path: Path) -> None:
    records = tmp_path / "t.jsonl"
    result = run(
        "track",
        video,
        "--classes",
        "person,bicycle",
        "--stride",
        3,
        "--records",
        records,
        "--json",
        tmp_path / "s.json",
    )
    assert result.status == 0
    (summary,) = json.loads((tmp_path / "s.json").read_text())
    assert summary["frames"] == FRAMES // 3
    assert set(summary["identities"]) <= {"person", "bicycle"}
    assert run("track", video, "--limit", 4, "--json", tmp_path / "s.json").status == 0
    assert json.loads((tmp_path / "s.json").read_text())[0]["frames"] == 4


@pytest.mark.slow
def test_a_second_pass_rewrites_recordings_and_refuses_cameras(run: Run, video: Path, tmp_path: Path) -> None:
    records, summary = tmp_path / "t.jsonl", tmp_path / "s.json"
    outputs = ("--records", records, "--save", tmp_path / "o.mp4", "--json", summary)
    result = run("track", video, "--refine", "--limit", 12, *outputs)
    assert result.status == 0, result.err
    rows = [json.loads(line) for line in records.read_text().splitlines()]
    identities = {row["id"] for row in rows}
    assert identities == set(range(1, len(identities) + 1))
    assert sum(json.loads(summary.read_text())[0]["identities"].values()) == len(identities)
    for identity in identities:
        frames = [row["frame"] for row in rows if row["id"] == identity]
        assert frames == list(range(frames[0], frames[-1] + 1)), "no gap is left"
    assert not list(tmp_path.glob(".*"))
    refused(run("track", "0", "--refine"), "--refine", "live")
    refused(run("track", video, "--refine", "--records", "/dev/null", "--limit", 2), "/dev/null")


@pytest.mark.slow
def test_ctrl_c_keeps_what_is_done(tmp_path: Path) -> None:
    path = tmp_path / "long.mp4"
    write_video(road(seed=3), path, fps=FPS, duration_s=30)
    command = [sys.executable, "-m", "tracker", "track", str(path), "--save", "out.mp4", "--records", "t.jsonl"]
    with subprocess.Popen(
        command,
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])},
    ) as process:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and not sum(part.stat().st_size for part in tmp_path.glob(".t.jsonl.*.part")):
            assert process.poll() is None, process.communicate()
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert process.returncode == 130, out + err
    assert "Traceback" not in err
    rows = [json.loads(line) for line in (tmp_path / "t.jsonl").read_text().splitlines()]
    assert rows
    with av.open(str(tmp_path / "out.mp4")) as container:
        frames = sum(1 for _ in container.decode(video=0))
    assert max(row["frame"] for row in rows) < frames < 300


# ---- models, doctor, help -------------------------------------------------------------------------------------------


def test_models_are_listed_and_shown(run: Run) -> None:
    assert "yolact-nano" in run("models", "list").out
    assert "YOLOX" in run("models", "show", "yolact-nano").out


@pytest.mark.slow
def test_models_are_checked(run: Run) -> None:
    report = run("models", "check", "yolact-nano")
    assert report.status == 0
    assert "end2end-2" in report.out


def test_doctor_finds_this_machine_fit(run: Run) -> None:
    result = run("doctor")
    assert result.status == 0, result.out
    assert "onnxruntime" in result.out
    assert "libx264" in result.out


def test_version_and_help(run: Run) -> None:
    assert run("--version").out.startswith("masktrail ")
    told = run("track", "--help").out
    places = [told.index(word) for word in ("--records", "Tracking", "--reid", "Input", "--stride", "--iou")]
    assert places == sorted(places), "what everybody needs stands first, then the headings of the rest"


# ---- bad input: one sentence with its remedy ------------------------------------------------------------------------


def test_missing_file(run: Run, tmp_path: Path) -> None:
    refused(run("track", tmp_path / "nowhere.mp4"), "nowhere.mp4")


@pytest.mark.parametrize("content", [b"", b"hello, this is text\n" * 50])
def test_not_a_video(run: Run, tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "clip.mp4"
    path.write_bytes(content)
    refused(run("track", path), "clip.mp4")


def test_truncated_before_its_index(run: Run, video: Path, tmp_path: Path) -> None:
    path = tmp_path / "cut.mp4"
    path.write_bytes(video.read_bytes()[:2000])
    refused(run("track", path), "cut.mp4")


def test_audio_only(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "sound.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=16000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        frame.sample_rate = 16000
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    refused(run("track", path), "sound.mp4", "video")


def test_model_that_is_not_onnx(run: Run, video: Path, tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(b"not a model")
    refused(run("track", video, "--model", path), "model.onnx")
    refused(run("models", "check", path), "model.onnx")


def test_model_with_outputs_nobody_knows(run: Run, video: Path, tmp_path: Path) -> None:
    from onnx import TensorProto, helper, save

    graph = helper.make_graph(
        [helper.make_node("ReduceMean", ["x"], ["surprise"], keepdims=1)],
        "strange",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3, 64, 64])],
        [helper.make_tensor_value_info("surprise", TensorProto.FLOAT, [1, 1, 1, 1])],
    )
    path = tmp_path / "strange.onnx"
    save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), path)
    refused(run("track", video, "--model", path), "strange.onnx", "surprise")


def test_unknown_model_class_and_device(run: Run, video: Path) -> None:
    refused(run("track", video, "--model", "yolact-nan"), "yolact-nano")
    refused(run("track", video, "--classes", "cars"), "cars", "'car'")
    refused(run("track", video, "--device", "gpu"), "gpu")


@pytest.mark.skipif(Path("/proc/driver/nvidia/version").exists(), reason="this machine has an NVIDIA driver")
def test_cuda_without_cuda(run: Run, video: Path) -> None:
    refused(run("track", video, "--device", "cuda"), "cuda")


def test_output_folder_missing_or_not_writable(run: Run, video: Path, tmp_path: Path) -> None:
    refused(run("track", video, "--records", tmp_path / "no" / "t.jsonl"), "mkdir")
    refused(run("track", video, "--records", tmp_path / "t.docx"), ".jsonl")
    if os.geteuid() != 0:
        locked = tmp_path / "locked"
        locked.mkdir(mode=0o500)
        refused(run("track", video, "--records", locked / "t.jsonl"), "permission")
    else:
        refused(run("track", video, "--records", "/proc/t.jsonl"), "/proc")


@pytest.mark.slow
def test_disk_full_keeps_what_is_written(video: Path, tmp_path: Path) -> None:
    """A file size limit stands in for a full disk: the system refuses the next byte in the same way."""
    command = [sys.executable, "-m", "tracker", "track", str(video), "--records", "t.jsonl", "--records", "t.txt"]
    limit = 6000
    result = subprocess.run(
        command,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])},
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)),
    )
    refused(Result(result.returncode, result.stdout, result.stderr), "t.jsonl")
    rows = [json.loads(line) for line in (tmp_path / "t.jsonl").read_text().splitlines()]
    assert rows, "what was written stays readable"
    assert (tmp_path / "t.txt").read_text().count("\n") > len(rows) / 2, "the other output goes on"


@pytest.mark.parametrize(
    ("line", "phrase"),
    [
        ("1,-1,10,20,thirty,40,0.9", "det.txt:2"),
        ("1,-1,10,20,nan,40,0.9", "det.txt:2"),
        ("1,-1,10,20,-30,40,0.9", "det.txt:2"),
        ("1,-1,10", "det.txt:2"),
    ],
)
def test_malformed_detections_name_file_and_line(run: Run, tmp_path: Path, line: str, phrase: str) -> None:
    path = tmp_path / "det.txt"
    path.write_text(f"1,-1,10,20,30,40,0.9\n{line}\n")
    refused(run("associate", path, "--out", tmp_path / "out.txt", "--fps", 25), phrase)
    assert not (tmp_path / "out.txt").exists()


# ---- associate and eval ---------------------------------------------------------------------------------------------


def test_associate_then_eval_a_benchmark_folder(run: Run, tmp_path: Path) -> None:
    from demos.scenes.script import crossing
    from demos.scenes.writers import write_sequence

    folder = write_sequence(crossing(), tmp_path / "bench", fps=10, video=False)
    rows = [line.split(",") for line in (folder / "gt" / "gt.txt").read_text().splitlines()]
    detections = "\n".join(",".join([row[0], "-1", *row[2:6], "0.9", row[7]]) for row in rows)
    (folder / "det.txt").write_text(detections + "\n")
    assert run("associate", tmp_path / "bench", "--out", tmp_path / "results").status == 0
    assert (tmp_path / "results" / f"{folder.name}.txt").is_file()
    assert run("eval", tmp_path / "results", "--gt", tmp_path / "bench", "--json", tmp_path / "e.json").status == 0
    figures = json.loads((tmp_path / "e.json").read_text())["combined"]["all"]
    assert figures["HOTA"] > 80
    assert figures["IDSW"] == 0


def test_associate_then_eval_a_folder_of_kitti_files(run: Run, tmp_path: Path) -> None:
    for name in ("0000", "0001"):
        rows = [f"{f} 0 Car 0 0 -10 {9 + 3 * f} 50 {99 + 3 * f} 90 1 1 1 0 0 9 0" for f in range(20)]
        (tmp_path / "label_02").mkdir(exist_ok=True)
        (tmp_path / "label_02" / f"{name}.txt").write_text("\n".join(rows))
    assert run("associate", tmp_path / "label_02", "--out", tmp_path / "res").status == 0
    assert run("eval", tmp_path / "res", "--gt", tmp_path / "label_02", "--json", tmp_path / "e.json").status == 0
    figures = json.loads((tmp_path / "e.json").read_text())["combined"]["car"]
    assert figures["IDF1"] > 90
    assert figures["identities"] == figures["true_identities"] == 2
    (tmp_path / "label_02" / "0001.txt").write_text("0 0 Bus 0 0 -10 9 50 99 90 1 1 1 0 0 9 0")
    refused(run("associate", tmp_path / "label_02", "--out", tmp_path / "res"), "0001.txt:1", "'Bus'")
