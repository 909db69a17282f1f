"""Every extension point, proven by packages that are installed from tiny wheels; and what goes wrong with such."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest

from tests.segment.models import constant_model, end2end_model
from tests.sinks.streams import CLASS_NAMES, stream
from tests.sources.videos import write_video
from tracker import plugins
from tracker.errors import ConfigError, ModelError, SourceError
from tracker.plugins import ANALYTICS, CONTRACTS, SINKS, SOURCES, STAGES, StageContext, open_sink, sink_class
from tracker.sinks.base import Checkpoint, Sink, SinkContext
from tracker.sources.address import expand_sources

POINTS = {"sources": SOURCES, "contracts": CONTRACTS, "stages": STAGES, "analytics": ANALYTICS, "sinks": SINKS}

SINK = '''
from pathlib import Path
from tracker.sinks.base import Sink

class TallySink(Sink):
    """Counts instances; tally://folder/name writes there, a file *.tally at its path."""

    def __init__(self, address, context):
        self._address, self._context = address, context
        self._path = Path(address.removeprefix("tally://"))
        self._count = 0

    @classmethod
    def open(cls, address, context):
        return cls(address, context)

    @property
    def address(self):
        return self._address

    def write(self, tracked_frame):
        self._count += len(tracked_frame.instances)

    def close(self):
        self._path.write_text(f"{self._count} of {','.join(self._context.class_names)}")
'''

SOURCE = '''
from dataclasses import replace
from tracker.sources.decoder import VideoDecoder

def open_archive(address, context):
    """archive://PATH is a video of the archive."""
    inner = replace(address, kind="video", target=address.target.removeprefix("archive://"))
    return VideoDecoder(inner, context)
'''

CONTRACT = '''
import numpy as np

from tracker.segment.contracts.contract import Contract
from tracker.segment.contracts.decoder import Decoded, Decoder
from tracker.segment.manifest import InputSpec

def match(info):
    names = [output.name for output in info.outputs if output.shape[2:] == (3,)]
    return {"points": names[0]} if len(names) == len(info.outputs) == 1 else None

class PointDecoder(Decoder):
    """Objects as points: (B, K, 3) of x and y in network pixels and a score."""

    contract = "points-1"
    input_defaults = InputSpec(channels="BGR", resize="stretch", pad_value=0, mean=(0.0,) * 3, std=(1.0,) * 3)
    class_names = ("point",)

    def __init__(self, info, names):
        self.output_names = dict(names)

    def decode(self, outputs, row, limits):
        points = outputs[self.output_names["points"]][row]
        points = points[points[:, 2] >= limits.score_threshold]
        return Decoded(
            boxes=np.hstack([points[:, :2] - 4, points[:, :2] + 4]).astype(np.float32),
            scores=points[:, 2].astype(np.float32),
            class_ids=np.zeros(len(points), np.int64),
            masks=np.full((len(points), 12, 20), 255, np.uint8),
        )

POINTS = Contract(name="points-1", form="points (B, K, 3)", match=match, decoder=PointDecoder)
'''

STAGE = """
from dataclasses import replace

from tracker.engine.stage import Stage

class Loudest(Stage):
    name = "loudest"

    def __init__(self, context):
        self._least = context.settings.get("least_score", 0.85)

    def process(self, tracked):
        return replace(tracked, instances=tracked.instances.take(tracked.instances.scores >= self._least))
"""

ANALYTIC = """
from tracker.analytics.analytic import Analytic
from tracker.events import Event

class FirstSight(Analytic):
    def __init__(self, stream):
        self._stream, self._seen = stream, set()

    @classmethod
    def open(cls, context):
        return cls(context.stream)

    def process(self, tracked):
        assert tracked.contacts is not None
        new = sorted(set(tracked.tracks.ids.tolist()) - self._seen)
        self._seen.update(new)
        time_s = tracked.frame.time_s
        return tuple(
            Event(kind="flow", stream=self._stream, time_s=time_s, place="first sight", identity=one, since_s=time_s)
            for one in new
        )
"""


def wheel(folder: Path, package: str, modules: dict[str, str], points: dict[str, dict[str, str]]) -> Path:
    """A wheel as a build tool would make it: modules, metadata, entry points and a record of all files."""
    info = f"{package.replace('-', '_')}-1.0.dist-info"
    groups = "\n".join(
        f"[masktrail.{group}]\n" + "\n".join(f"{name} = {target}" for name, target in entries.items()) + "\n"
        for group, entries in points.items()
    )
    files = {f"{name}.py": text for name, text in modules.items()} | {
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{info}/entry_points.txt": groups,
    }
    record = ""
    for name, text in files.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()
        record += f"{name},sha256={digest},{len(text.encode())}\n"
    files[f"{info}/RECORD"] = record + f"{info}/RECORD,,\n"
    path = folder / f"{package.replace('-', '_')}-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    return path


@pytest.fixture
def install(tmp_path, monkeypatch):
    """Install wheels made on the spot for one test: what is theirs is forgotten afterwards."""
    site = tmp_path / "site"
    site.mkdir()
    before = set(sys.modules)

    def install_(package: str, modules: dict[str, str], points: dict[str, dict[str, str]]) -> None:
        with zipfile.ZipFile(wheel(tmp_path, package, modules, points)) as archive:
            archive.extractall(site)
        monkeypatch.syspath_prepend(site)
        plugins._installed.cache_clear()

    yield install_
    plugins._installed.cache_clear()
    for name in set(sys.modules) - before:
        if str(getattr(sys.modules[name], "__file__", "")).startswith(str(site)):
            del sys.modules[name]


@pytest.mark.parametrize(("group", "name"), [(group, name) for group, point in POINTS.items() for name in point.names])
def test_every_built_in_line_leads_to_what_it_promises(group, name):
    loaded = POINTS[group].load(name)
    assert POINTS[group].entries()[name].package == "masktrail"
    if group == "contracts":
        assert loaded.name == name
    if group == "sinks":
        address = f"out{name}" if name.startswith(".") else f"{name}://host/out"
        assert sink_class(address) is loaded
        assert isinstance(loaded.why_not_joined(address), str)


def test_every_container_of_the_encoder_has_its_line():
    from tracker.sinks.encoder import CONTAINERS
    from tracker.sinks.video import VideoSink

    assert {name for name in SINKS.names if SINKS.load(name) is VideoSink} == set(CONTAINERS)


def test_the_page_loads_nothing():
    code = (
        "import sys; from tracker import plugins;"
        "assert plugins.SINKS.names and plugins.SOURCES.names and plugins.CONTRACTS.names;"
        "print(sorted({name for name in sys.modules if name.startswith('tracker.')}"
        " | {'cv2', 'av', 'numpy', 'onnxruntime', 'pyarrow'} & set(sys.modules)))"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "['tracker.errors', 'tracker.plugins', 'tracker.version']"


def test_a_sink_comes_in_by_suffix_and_by_scheme(install, tmp_path):
    target = "tally_package.sinks:TallySink"
    install(
        "tally",
        {"tally_package/__init__": "", "tally_package/sinks": SINK},
        {"sinks": {".tally": target, "tally": target}},
    )
    assert SINKS.names[-2:] == (".tally", "tally")
    addresses = [str(tmp_path / "OUT.TALLY"), f"tally://{tmp_path}/counted"]
    for address in addresses:
        with open_sink(address, class_names=CLASS_NAMES) as sink:
            assert sink.address == address
            for frame in stream():
                sink.write(frame)
    found = sum(len(frame.instances) for frame in stream())
    assert (
        (tmp_path / "OUT.TALLY").read_text() == (tmp_path / "counted").read_text() == f"{found} of person,bicycle,car"
    )


def test_the_command_line_writes_to_a_scheme(install, tmp_path, run):
    """The whole way: an address with two slashes arrives at the package as it was written."""
    install("tally", {"tally_package": SINK}, {"sinks": {"tally": "tally_package:TallySink"}})
    video, model = write_video(tmp_path / "in.mp4", count=5), end2end_model(tmp_path / "model.onnx")
    address = f"tally://{tmp_path}/{{name}}.count"
    result = run("track", video, "--model", model, "--records", address, "--json", tmp_path / "summary.json")
    assert result.status == 0, result.text
    assert (tmp_path / "in.count").read_text() == "10 of person,car"
    [summary] = json.loads((tmp_path / "summary.json").read_text())
    assert summary["outputs"] == [f"tally://{tmp_path}/in.count"]


def test_a_camera_writes_to_a_scheme(install, tmp_path):
    """Endless files need parts; what an address takes is for its package to say."""
    from tracker.engine.plan import plan_camera
    from tracker.settings.yaml_file import parse_service_settings

    install("tally", {"tally_package": SINK}, {"sinks": {"tally": "tally_package:TallySink"}})
    text = "cameras: [{name: gate, url: 'rtsp://10.0.0.7/1', records: 'tally://host/{name}'}]"
    [camera] = parse_service_settings(text).cameras
    assert plan_camera(camera).outputs == ("tally://host/gate",)


def test_a_source_comes_in_by_scheme(install, tmp_path):
    from tracker.sources.open import open_source

    install("archive", {"archive_package": SOURCE}, {"sources": {"archive": "archive_package:open_archive"}})
    video = write_video(tmp_path / "in.mp4")
    [address] = expand_sources(f"archive://{video}")
    assert (address.kind, address.name) == ("archive", f"archive://{video}")
    with open_source(f"archive://{video}") as theirs, open_source(video) as ours:
        pairs = list(zip(theirs, ours, strict=True))
    assert len(pairs) > 1
    assert all(np.array_equal(one.image, other.image) and one.time_s == other.time_s for one, other in pairs)
    assert {one.source for one, _ in pairs} == {f"archive://{video}"}
    assert [entry.kind for entry in expand_sources("tcp://127.0.0.1:1")] == ["network"]


def test_without_the_package_a_scheme_is_left_to_ffmpeg(tmp_path):
    from tracker.sources.open import open_source

    with pytest.raises(SourceError):
        open_source(f"archive://{tmp_path}/in.mp4")


@pytest.mark.parametrize("metadata", [{}, {"masktrail.contract": "points-1"}])
def test_a_contract_comes_in_by_shape_and_by_name(install, tmp_path, metadata):
    from tracker.segment.session import OnnxSegmenter

    points = np.array([[[40, 20, 0.9], [100, 60, 0.8], [9, 9, 0.01]]], np.float32)
    model = constant_model(
        tmp_path / "points.onnx",
        {"points": points},
        input_shape=(1, 96, 160, 3),
        input_dtype="uint8",
        metadata=metadata,
    )
    with pytest.raises(ModelError, match=r"contract 'points-1'|no known instance segmentation contract"):
        OnnxSegmenter(model)
    install("points", {"points_package": CONTRACT}, {"contracts": {"points-1": "points_package:POINTS"}})
    [instances] = OnnxSegmenter(model).segment([next(iter(stream())).frame])
    assert instances.scores.tolist() == pytest.approx([0.9, 0.8])
    assert instances.boxes.tolist() == [[36, 20, 44, 30], [96, 70, 104, 80]]


def test_a_stage_comes_in_by_name(install):
    install("loud", {"loud_package": STAGE}, {"stages": {"loudest": "loud_package:Loudest"}})
    stage = STAGES.load("loudest")(StageContext(stream="gate", settings={"least_score": 0.8}))
    frame = next(iter(stream()))
    kept = stage.process(frame).instances
    assert len(frame.instances) > len(kept) > 0
    assert (kept.scores >= 0.8).all()


def test_a_stage_of_the_settings_works_after_the_association(install, tmp_path):
    from tests.segment.models import end2end_model
    from tracker.engine.run import run

    install("loud", {"loud_package": STAGE}, {"stages": {"loudest": "loud_package:Loudest"}})
    options = {"model": end2end_model(tmp_path / "constant.onnx"), "device": "cpu"}
    video = write_video(tmp_path / "in.mp4")
    [plain], [loud] = run(video, **options), run(video, stages="loudest", **options)
    assert list(loud.stage_ms)[-1] == "loudest"
    assert 0 < loud.figures.instances < plain.figures.instances
    assert loud.figures.frames == plain.figures.frames
    with pytest.raises(ConfigError, match=r"expected one of camera, .*, loudest, found 'shy'"):
        run(video, stages="shy", **options)


def test_an_analytic_writes_to_the_ledger(install, tmp_path):
    from tests.segment.models import end2end_model
    from tracker.engine.run import run
    from tracker.formats.ledger import read_events

    install("sights", {"sights_package": ANALYTIC}, {"analytics": {"first-sight": "sights_package:FirstSight"}})
    video, ledger = write_video(tmp_path / "in.mp4", count=30), tmp_path / "x.events.jsonl"
    model = end2end_model(tmp_path / "constant.onnx")
    [outcome] = run(video, model=model, analytics="first-sight", events=[ledger])
    found = [event for event in read_events(ledger) if event.kind == "flow"]
    assert [(event.place, event.identity) for event in found] == [("first sight", 1), ("first sight", 2)]
    assert outcome.identities.total() == 2
    assert list(outcome.stage_ms)[-3:] == ["contact", "analytics first-sight", "write"]


def test_an_unknown_address_is_refused_with_the_list(install, tmp_path):
    install("tally", {"tally_package": SINK}, {"sinks": {"tally": "tally_package:TallySink"}})
    with pytest.raises(ConfigError) as caught:
        open_sink("sqlite:///counts.db")
    assert "expected one of the suffixes .jsonl .ndjson .csv" in str(caught.value)
    assert re.search(r"or of the addresses \S+.* tally://, found sqlite://", str(caught.value))
    assert "install the package" in str(caught.value)
    with pytest.raises(ConfigError) as caught:
        open_sink("amqp://me:hunter2@host/queue")
    assert "hunter2" not in str(caught.value)
    assert not list(tmp_path.glob("*.db"))


def test_an_address_is_not_a_file_of_that_suffix():
    with pytest.raises(ConfigError, match="found ftp://"):
        sink_class("ftp://host/out.jsonl")


def test_two_packages_with_one_name_are_both_named(install):
    install("rival", {"rival_package": SINK}, {"sinks": {".jsonl": "rival_package:TallySink"}})
    with pytest.raises(ConfigError, match=r"'\.jsonl', found two: masktrail and rival\s+remedy: pip uninstall rival"):
        open_sink("out.jsonl")
    install("second", {"second_package": SINK}, {"stages": {"x": "a:b"}})
    install("third", {"third_package": SINK}, {"stages": {"x": "c:d"}})
    with pytest.raises(ConfigError, match="'x', found two: second and third"):
        STAGES.load("x")


def test_a_package_that_fails_is_named_in_one_line(install):
    install(
        "broken",
        {"broken_package": "import not_there_at_all", "odd_package": "class Odd: pass"},
        {"sinks": {".one": "broken_package:Sink", ".two": "odd_package:Missing", ".three": "odd_package:Odd"}},
    )
    for name, found in (
        (".one", "ModuleNotFoundError: No module named 'not_there_at_all'"),
        (".two", "AttributeError: module 'odd_package' has no attribute 'Missing'"),
        (".three", "expected a subclass of tracker.sinks.base.Sink"),
    ):
        with pytest.raises(ConfigError) as caught:
            open_sink(f"out{name}")
        problem, remedy = str(caught.value).splitlines()
        assert found in problem
        assert "broken" in problem
        assert "update broken, or pip uninstall it" in remedy
    with open_sink("/dev/null", kind=".jsonl") as sink:  # the others are not harmed
        assert sink.address == "/dev/null"


def test_a_sink_without_an_address_of_its_own_says_so():
    class Bare(Sink):
        def write(self, tracked_frame):
            pass

        def close(self):
            pass

    with pytest.raises(TypeError, match="Bare has no address of its own"):
        Bare.open("x", SinkContext())
    bare = Bare()
    bare.checkpoint(Checkpoint(next_index=1, state=None))
    bare.abort()
    assert (bare.address, dict(bare.cpu_s), bare.part_bytes()) == ("Bare", {}, 0)
    assert Bare.why_not_joined("tally://x") == "tally://x is not made of files that could be put together"
