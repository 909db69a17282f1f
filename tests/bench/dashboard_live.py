"""What live viewers cost, for docs/experiments/live.md: processor, frames, ages, and a viewer that stops reading.

``python -m tests.bench.dashboard_live tiles|stalled [--cameras 25]``: cameras without a decoder or a model, whose
pictures and detections were made before, in an engine with a real dashboard process and real sockets.
``... engine [--cameras 4]``: ``masktrail live`` on looped clips, whose frames per second are compared with and without
viewers, in turns of one run: four minutes, of each further round one more.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import os
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil

from tests.engine.fakes import FakeSource
from tracker.app.clips import rendered
from tracker.app.looped_camera import LoopedCameras
from tracker.associate.tracker import Tracker
from tracker.engine.counting import ContactStage
from tracker.engine.scheduler import Engine
from tracker.engine.stage import Stage
from tracker.engine.stream import Stream
from tracker.service.dashboard_process import DashboardProcess
from tracker.service.viewers import Viewers
from tracker.settings.dashboard import DashboardSettings
from tracker.types import Frame, TrackedFrame

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tracker.types import Instances

FPS = 12.5
KEPT = 100
"""Frames of each clip that go round."""
OURS = ("previews", "dashboard-write", "dashboard-read")
"""Threads of the engine's process that work for viewers."""


class Scenes:
    """Frames of the rendered clips with what the default model sees in them; a segmenter that remembers.

    Args:
        clips: Names of rendered clips.
    """

    keep_aspect = True
    confirmation_score = 0.5

    def __init__(self, clips: Sequence[str] = ("shop", "road")) -> None:
        from tracker.segment.session import OnnxSegmenter
        from tracker.sources.open import open_source

        segmenter = OnnxSegmenter(threads=1)
        self.class_names, self.network_size = segmenter.class_names, segmenter.network_size
        self.clips: list[list[TrackedFrame]] = []
        for name in clips:
            tracker, contact = Tracker.for_model(segmenter), ContactStage()
            with open_source(str(rendered(name)), like=segmenter, want_image=False, stride=2) as source:
                frames = list(itertools.islice(source, KEPT))
            done = []
            for frame in frames:
                instances = segmenter.segment([frame])[0]
                tracks = tracker.update(instances, frame.time_s)
                tracked = TrackedFrame(
                    frame=frame, instances=instances, tracks=tracks, class_names=segmenter.class_names
                )
                done.append(contact.process(tracked))
            self.clips.append(done)

    def of(self, source: str, index: int) -> TrackedFrame:
        return self.clips[int(source.split("-")[1]) % len(self.clips)][index % KEPT]

    def segment(self, frames: Sequence[Frame]) -> list[Instances]:
        return [self.of(one.source, one.index).instances for one in frames]

    def frame(self, source: str, index: int, time_s: float) -> Frame:
        picture = self.of(source, index).frame
        return Frame(
            index=index,
            time_s=time_s,
            arrived_s=time.monotonic(),
            source=source,
            size=picture.size,
            network_image=picture.network_image,
            letterbox=picture.letterbox,
            captured_at=datetime.now(UTC),
        )


class Remembered(Stage):
    """The tracks and contacts that were found before.

    Args:
        scenes: Which has them.
    """

    name = "remembered"

    def __init__(self, scenes: Scenes) -> None:
        self._scenes = scenes

    def process(self, tracked: TrackedFrame) -> TrackedFrame:
        known = self._scenes.of(tracked.frame.source, tracked.frame.index)
        return replace(tracked, tracks=known.tracks, contacts=known.contacts)


@contextmanager
def wall(count: int, folder: Path) -> Iterator[tuple[Engine, Viewers, DashboardProcess, str]]:
    """An engine with cameras that need no model, its dashboard, and the page's address."""
    scenes = Scenes()
    settings = DashboardSettings(address="127.0.0.1:0", login=False, folder=str(folder))
    viewers = Viewers(settings)
    viewers._look_for_drops = lambda: None  # other programs' load drops frames here: the full price is asked for
    process = DashboardProcess(settings, viewers, log="text")
    engine = Engine(segmenter=scenes, workers=1)
    viewers.engine = engine
    over = threading.Event()
    sources = [FakeSource(f"camera-{number}", policy="latest") for number in range(count)]
    for source in sources:
        stream = Stream(name=source.name, open_source=source.open, stages=[Remembered(scenes)])
        viewers.opened(_Plan(source.name), stream, scenes.class_names)
        engine.add(stream)

    def feed() -> None:
        begun_s = time.monotonic()
        for index in itertools.count():
            for place, source in enumerate(sources):
                due_s = begun_s + (index + place / count) / FPS
                if over.wait(max(due_s - time.monotonic(), 0)):
                    return
                source.handoff.put(scenes.frame(source.name, index, due_s - begun_s))

    feeding = threading.Thread(target=feed, daemon=True)
    feeding.start()
    address = f"http://{process.address}"
    try:
        wait_for(lambda: len(get(address + "/api/streams")["streams"]) == count)
        yield engine, viewers, process, address
    finally:
        over.set()
        feeding.join()
        for source in sources:
            source.handoff.finish()
        engine.close()
        viewers.close()
        process.close()


class _Plan:
    """What :meth:`Viewers.opened` asks of a plan, for a stream that was made without one."""

    outputs: tuple[str, ...] = ()

    def __init__(self, name: str) -> None:
        self.name = name
        self.settings = type("Settings", (), {"site": None, "privacy": "none"})
        self.site = None
        self.address = type("Address", (), {"kind": "camera"})

    def kind_of(self, _output: str) -> None:
        return None


def wait_for(true: Any, seconds: float = 60.0) -> None:
    until_s = time.monotonic() + seconds
    while time.monotonic() < until_s:
        try:
            if true():
                return
        except OSError:
            pass
        time.sleep(0.2)
    message = "expected it within time, found nothing"
    raise TimeoutError(message)


def get(url: str) -> Any:
    with urllib.request.urlopen(url, timeout=10) as answer:
        return json.load(answer)


async def look(
    address: str,
    streams: Sequence[str],
    seconds: float,
    *,
    width: int = 320,
    variant: str = "masked",
    reads: bool = True,
) -> dict[str, Any]:
    """One viewer: draws at once what comes; one that does not read takes the first pictures and stops."""
    import websockets

    ages_ms: list[float] = []
    count = received = 0
    async with websockets.connect(
        address.replace("http", "ws") + "/api/live", origin=address, max_size=None, max_queue=None if reads else 1
    ) as socket:
        watch = [{"stream": name, "width": width, "variant": variant, "fps": 5} for name in streams]
        for start in range(0, len(watch), 64):
            await socket.send(json.dumps({"watch": watch[start : start + 64]}))
        until_s = time.monotonic() + seconds
        while time.monotonic() < until_s:
            if not reads and count >= 10:
                await asyncio.sleep(max(until_s - time.monotonic(), 0))
                break
            try:
                message = await asyncio.wait_for(socket.recv(), max(until_s - time.monotonic(), 0.01))
            except TimeoutError:
                break
            received += len(message)
            if isinstance(message, str):
                continue
            length = int.from_bytes(message[:4], "big")
            header = json.loads(message[4 : 4 + length])
            ages_ms.append(time.time() * 1000 - header["t_ms"])
            count += 1
            await socket.send(json.dumps({"ack": header["stream"]}))
        if not reads:
            socket.transport.abort()
    drawn = sorted(ages_ms)
    return {
        "seconds": round(seconds, 1),
        "pictures": count,
        "mb": round(received / 1e6, 2),
        "age_p50_ms": round(statistics.median(drawn), 1) if drawn else None,
        "age_p95_ms": round(drawn[int(0.95 * (len(drawn) - 1))], 1) if drawn else None,
    }


def cpu_s(process: DashboardProcess) -> tuple[float, float]:
    """Processor seconds so far that go to viewers: threads of the engine's process, and the dashboard's process."""
    names = {thread.native_id: thread.name for thread in threading.enumerate()}
    threads = psutil.Process().threads()
    ours = sum(one.user_time + one.system_time for one in threads if names.get(one.id) in OURS)
    times = psutil.Process(process.pid).cpu_times()
    return ours, times.user + times.system


def report(**figures: Any) -> None:
    sys.stdout.write(json.dumps(figures) + "\n")
    sys.stdout.flush()


def tiles(count: int, seconds: float) -> None:
    """One viewer of a whole wall: share of a core, pictures per second, ages; and nobody, for comparison."""
    with tempfile.TemporaryDirectory() as folder, wall(count, Path(folder)) as (engine, _, process, address):
        names = [stream.name for stream in engine.streams]
        time.sleep(3)
        for variant, viewers in ((None, 0), ("clear", 1), ("masked", 1), ("masked", 4)):
            before_s, started_s = cpu_s(process), time.monotonic()
            if variant is None:
                time.sleep(seconds)
                seen: dict[str, Any] = {}
            else:
                seen = _elsewhere(address, names, seconds, variant, viewers)
            took_s = seen.get("seconds", time.monotonic() - started_s)  # without the start of the viewers' process
            report(
                cameras=count,
                variant=variant,
                viewers=viewers,
                core_percent=round(100 * (sum(cpu_s(process)) - sum(before_s)) / took_s, 1),
                of_it_in_the_engine=round(100 * (cpu_s(process)[0] - before_s[0]) / took_s, 1),
                pictures_per_s=round(seen.get("pictures", 0) / took_s, 1),
                load=round(os.getloadavg()[0], 1),
                **seen,
            )


def _elsewhere(address: str, names: Sequence[str], seconds: float, variant: str, viewers: int) -> dict[str, Any]:
    """Viewers in a process of their own."""
    command = [sys.executable, "-m", "tests.bench.dashboard_live", "view", address, "--seconds", str(seconds)]
    command += ["--variant", variant, "--viewers", str(viewers), "--names", *names]
    seen: dict[str, Any] = json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout)
    return seen


async def _several(address: str, names: Sequence[str], seconds: float, variant: str, viewers: int) -> dict[str, Any]:
    seen = await asyncio.gather(*(look(address, names, seconds, variant=variant) for _ in range(viewers)))
    return seen[0]


def stalled(count: int, seconds: float) -> None:
    """Memory of the dashboard's process and ages of another viewer, while viewers stop reading."""
    with tempfile.TemporaryDirectory() as folder, wall(count, Path(folder)) as (engine, _, process, address):
        names = [stream.name for stream in engine.streams]
        watched = psutil.Process(process.pid)

        async def run(slow: int) -> tuple[dict[str, Any], float]:
            tasks = [asyncio.create_task(look(address, names, seconds, reads=False)) for _ in range(slow)]
            good = asyncio.create_task(look(address, names, seconds - 1))
            await asyncio.sleep(seconds - 2)
            resident_mb = watched.memory_info().rss / 1e6
            seen = await good
            await asyncio.gather(*tasks)
            return seen, resident_mb

        asyncio.run(run(0))
        for slow in (0, 7, 0, 7):
            seen, resident_mb = asyncio.run(run(slow))
            report(cameras=count, stopped_reading=slow, resident_mb=round(resident_mb, 2), **seen)


def engine_rate(count: int, seconds: float, rounds: int) -> None:
    """Frames per second of a full service in turns without and with four viewers of all cameras."""
    clips = {f"{name}-{number}": rendered(name) for number in range(-(-count // 2)) for name in ("road", "shop")}
    with tempfile.TemporaryDirectory() as name, LoopedCameras(clips) as cameras:
        folder = Path(name)
        text = "metrics: off\ndashboard: {address: '127.0.0.1:0', login: false}\ncameras:\n"
        urls = list(cameras.urls.items())[:count]
        text += "".join(f"  - {{name: {camera}, url: '{url}'}}\n" for camera, url in urls)
        (folder / "cameras.yaml").write_text(text)
        log = folder / "log"
        command = [sys.executable, "-m", "tracker", "live", str(folder / "cameras.yaml"), "--log", "json"]
        with log.open("wb") as file, subprocess.Popen(command, stderr=file, stdout=file) as process:
            try:
                wait_for(lambda: '"open"' in log.read_text())
                address = re.search(r'"open": ?"(http[^"]+)"', log.read_text())[1]  # type: ignore[index]
                names = [camera for camera, _ in urls]
                time.sleep(10)
                _turns(address, names, seconds, rounds, psutil.Process(process.pid))
            finally:
                process.send_signal(signal.SIGTERM)


def _turns(address: str, names: Sequence[str], seconds: float, rounds: int, service: psutil.Process) -> None:
    """Frames per second, which a busy machine blurs, and processor time per frame, which it blurs less."""
    rates: dict[int, list[float]] = {0: [], 4: []}
    costs: dict[int, list[float]] = {0: [], 4: []}
    seen: dict[str, Any] = {}
    for number in range(2 * rounds):
        viewers = 4 if number % 2 else 0
        helper = None
        if viewers:
            # In a process of their own, of the lowest priority: viewers are elsewhere, and draw with other processors.
            command = ["nice", "-n", "19", sys.executable, "-m", "tests.bench.dashboard_live", "view", address]
            command += ["--seconds", str(seconds + 8), "--viewers", "4", "--names", *names]
            helper = subprocess.Popen(command, stdout=subprocess.PIPE)
            time.sleep(6)  # its start is not what is measured
        before, started_s, spent_s = _frames(address), time.monotonic(), _tree_s(service)
        time.sleep(seconds)
        frames = _frames(address) - before
        rates[viewers].append(frames / (time.monotonic() - started_s))
        costs[viewers].append(1000 * (_tree_s(service) - spent_s) / max(frames, 1))
        if helper is not None:
            seen = json.loads(helper.communicate()[0])
    without, with_viewers = statistics.mean(rates[0]), statistics.mean(rates[4])
    pairs = [b / a for a, b in zip(rates[0], rates[4], strict=True)]
    report(
        cameras=len(names),
        fps_without=round(without, 2),
        fps_with_four=round(with_viewers, 2),
        kept_percent=round(100 * with_viewers / without, 1),
        kept_median_percent=round(100 * statistics.median(pairs), 1),
        cpu_ms_per_frame_without=round(statistics.median(costs[0]), 2),
        cpu_ms_per_frame_with_four=round(statistics.median(costs[4]), 2),
        kept_by_cpu_percent=round(100 * statistics.median(costs[0]) / statistics.median(costs[4]), 1),
        rounds=rounds,
        load=round(os.getloadavg()[0], 1),
        **seen,
    )


def _tree_s(service: psutil.Process) -> float:
    """Processor seconds of the service and its dashboard so far."""
    times = [one.cpu_times() for one in (service, *service.children(recursive=True))]
    return sum(one.user + one.system for one in times)


def _frames(address: str) -> int:
    engine = get(address + "/api/health")["engine"]
    return sum(camera["frames"] for camera in engine["cameras"].values())


def main() -> None:
    """One line of JSON per figure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=["tiles", "stalled", "engine", "view"])
    parser.add_argument("address", nargs="?")
    parser.add_argument("--cameras", type=int, default=25)
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--variant", default="masked")
    parser.add_argument("--viewers", type=int, default=1)
    parser.add_argument("--names", nargs="*", default=[])
    arguments = parser.parse_args()
    if arguments.what == "tiles":
        tiles(arguments.cameras, arguments.seconds)
    elif arguments.what == "stalled":
        stalled(arguments.cameras, arguments.seconds)
    elif arguments.what == "view":
        seen = asyncio.run(
            _several(arguments.address, arguments.names, arguments.seconds, arguments.variant, arguments.viewers)
        )
        sys.stdout.write(json.dumps(seen) + "\n")
    else:
        engine_rate(min(arguments.cameras, 8), arguments.seconds, arguments.rounds)


if __name__ == "__main__":
    main()
