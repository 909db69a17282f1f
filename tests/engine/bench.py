"""Figures of docs/experiments/live.md: fairness, frame ages, a dead camera, recordings, recovery, kills.

``python -m tests.engine.bench cameras CLIP`` (needs GStreamer's RTSP server), ``... recordings CLIP [CLIP ...]``,
``... recovery``, ``... kills CLIP --count 20``.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from tests.engine.rtsp import RtspServer, elementary, film, pattern, why_not
from tracker.associate.tracker import Tracker
from tracker.engine.batcher import Batcher
from tracker.engine.opener import Flow, open_stream
from tracker.engine.plan import plan_camera
from tracker.engine.scheduler import Engine
from tracker.segment.session import OnnxSegmenter
from tracker.settings.stream import CameraSettings
from tracker.sources.open import open_source
from tracker.sources.reconnect import open_live

if TYPE_CHECKING:
    from collections.abc import Callable

CORES = 2


def report(figures: dict[str, object]) -> None:
    sys.stdout.write(json.dumps(figures) + "\n")
    sys.stdout.flush()


def cameras(clip: Path, count: int, seconds: float) -> None:
    segmenter = OnnxSegmenter(threads=1)
    with tempfile.TemporaryDirectory() as folder:
        path = elementary(clip, Path(folder))
        with RtspServer({"clip": film(path, 25, loop=True)}) as server:
            for dead in (0, 1):
                result = watch([segmenter], server.url("clip"), count, dead, seconds)
                report({"cameras": count, "dead": dead} | result)
            other = OnnxSegmenter("yolact-nano-416x416", threads=1)
            result = watch([segmenter, other], server.url("clip"), count, 0, seconds)
            report({"cameras": count, "models": 2} | result)


def watch(segmenters: list[OnnxSegmenter], url: str, count: int, dead: int, seconds: float) -> dict[str, object]:
    """Cameras take the models in turn, as ``model:`` in their settings would have it."""
    engine = Engine(workers=CORES)
    batchers = [Batcher(segmenter, name=segmenter.file.label) for segmenter in segmenters]
    for batcher in batchers:
        engine.add_model(batcher)
    configs = [CameraSettings(name=f"camera-{n}", url=url) for n in range(count)]
    configs += [CameraSettings(name=f"dead-{n}", url="rtsp://127.0.0.1:9/x") for n in range(dead)]
    for number, config in enumerate(configs):
        which = number % len(segmenters)
        one = open_stream(plan_camera(config), segmenter=segmenters[which], tracker=lambda: Tracker(class_count=6))
        engine.add(one, batchers[which])
    streams = engine.streams[:count]
    while any(one.meter.figures().frames < 5 for one in streams):
        for one in streams:
            if one.failures:
                raise one.failures[0]
        time.sleep(0.2)
    for one in streams:
        one.meter.reset_ages()
    before = [one.meter.figures().frames for one in streams]
    started_s = time.monotonic()
    time.sleep(seconds)
    took_s = time.monotonic() - started_s
    figures = [one.meter.figures() for one in streams]
    rates = [(now.frames - then) / took_s for now, then in zip(figures, before, strict=True)]
    cycle_s = count / sum(rates)
    p99_s = max(one.age_p99_s for one in figures)
    result = {
        "fps_each": [round(rate, 2) for rate in rates],
        "max/min": round(max(rates) / min(rates), 3),
        "total_fps": round(sum(rates), 1),
        "cycle_ms": round(1000 * cycle_s, 1),
        "age_p50_ms": round(1000 * statistics.median(one.age_p50_s for one in figures), 1),
        "age_p99_ms": round(1000 * p99_s, 1),
        "p99/cycle": round(p99_s / cycle_s, 2),
        "batch_ms": {batcher.name: round(1000 * batcher.cost_s, 1) for batcher in batchers},
    }
    engine.close()
    return result


def recordings(clips: list[Path], rounds: int = 4) -> None:
    """Several recordings at once against one after another, and against the bare session on decoded frames.

    Wall time is what is promised; CPU time per frame tells the same on a machine that others use as well.
    """
    segmenter = OnnxSegmenter(threads=1)
    for _ in range(rounds):
        bare = Spent(lambda: bare_run(segmenter, clips[0]))
        together = Spent(lambda: run_recordings(segmenter, clips))
        apart = Spent(lambda: sum(run_recordings(segmenter, [clip]) for clip in clips))
        report(
            {
                "recordings": len(clips),
                "frames": together.frames,
                "fps_together": round(together.fps, 1),
                "fps_one_after_another": round(apart.fps, 1),
                "fps_bare": round(bare.fps, 1),
                "together/one_after_another": round(together.fps / apart.fps, 3),
                "together/bare": round(together.fps / bare.fps, 3),
                "cpu_ms_together": round(together.cpu_ms, 1),
                "cpu_ms_one_after_another": round(apart.cpu_ms, 1),
                "cpu_ms_bare": round(bare.cpu_ms, 1),
            }
        )


class Spent:
    """Frames of a run with the wall and CPU time that it took."""

    def __init__(self, run: Callable[[], int]) -> None:
        wall_s, cpu_s = time.perf_counter(), time.process_time()
        self.frames = run()
        self.fps = self.frames / (time.perf_counter() - wall_s)
        self.cpu_ms = (time.process_time() - cpu_s) / self.frames * 1000


def run_recordings(segmenter: OnnxSegmenter, clips: list[Path]) -> int:
    engine = Engine(segmenter=segmenter, workers=CORES)
    for number, clip in enumerate(clips):
        config = CameraSettings(name=f"r{number}", url=str(clip), stride=4)
        flow = Flow(max_in_flight=CORES + 1)
        engine.add(open_stream(plan_camera(config), segmenter=segmenter, flow=flow))
    engine.wait()
    frames = sum(one.meter.figures().frames for one in engine.streams)
    engine.close()
    return frames


def bare_run(segmenter: OnnxSegmenter, clip: Path, count: int = 120) -> int:
    """The session alone on packed batches, one thread per core."""
    with open_source(str(clip), like=segmenter, want_image=False) as source:
        frames = [picture for picture, _ in zip(source, range(8), strict=False)]
    batches = [segmenter.pack([one]).copy() for one in frames]

    def run() -> None:
        for number in range(count // CORES):
            segmenter.run(batches[number % len(batches)])

    threads = [threading.Thread(target=run) for _ in range(CORES)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return count


def recovery(rounds: int) -> None:
    """Seconds from the server's return to the first new frame, after outages of different lengths."""
    for outage_s in (1.0, 5.0, 15.0, 40.0)[:rounds]:
        with RtspServer({"gate": pattern((640, 360))}) as server, open_live(server.url("gate")) as live:
            next(live)
            server.kill()
            time.sleep(outage_s)
            server.start()
            back_s = time.monotonic()
            while next(live).arrived_s < back_s:
                pass
            report({"outage_s": outage_s, "recovered_s": round(time.monotonic() - back_s, 2)})


def kills(clip: Path, count: int) -> None:
    """``kill -9`` at random moments of a recording, then ``--resume``: are the bytes those of a run left alone?"""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        text = (
            "{state}metrics: off\ncameras:\n  - {{name: a, url: '{clip}', records: ['{out}/a.jsonl', '{out}/a.csv']}}\n"
        )
        config = folder / "cameras.yaml"
        (folder / "whole").mkdir()
        config.write_text(text.format(state="", clip=clip.resolve(), out="whole"))
        started_s = time.monotonic()
        subprocess.run([sys.executable, "-m", "tracker", "live", str(config)], cwd=folder, check=True)
        whole_s = time.monotonic() - started_s
        moments_s = np.random.default_rng(0).uniform(1.0, 0.95 * whole_s, count)
        same, resumed = 0, 0
        for number, moment_s in enumerate(moments_s.tolist()):
            out = f"out{number}"
            (folder / out).mkdir()
            config.write_text(text.format(state=f"state: st{number}\n", clip=clip.resolve(), out=out))
            command = [sys.executable, "-m", "tracker", "live", str(config), "--resume"]
            with subprocess.Popen(command, cwd=folder, stderr=subprocess.DEVNULL) as process:
                time.sleep(moment_s)
                process.kill()
            log = subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True).stderr
            resumed += "resumed" in log
            files = ("a.jsonl", "a.csv")
            same += all((folder / out / one).read_bytes() == (folder / "whole" / one).read_bytes() for one in files)
            report({"killed_at_s": round(moment_s, 1), "of_s": round(whole_s, 1), "resumed": resumed, "same": same})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=["cameras", "recordings", "recovery", "kills"])
    parser.add_argument("clips", nargs="*", type=Path)
    parser.add_argument("--count", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--rounds", type=int, default=4)
    arguments = parser.parse_args()
    if arguments.what in {"cameras", "recovery"} and why_not():
        sys.exit(why_not())
    if arguments.what == "cameras":
        cameras(arguments.clips[0], arguments.count, arguments.seconds)
    elif arguments.what == "recordings":
        recordings(arguments.clips, arguments.rounds)
    elif arguments.what == "recovery":
        recovery(min(arguments.count, 4))
    else:
        kills(arguments.clips[0], arguments.count)


if __name__ == "__main__":
    main()
