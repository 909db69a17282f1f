"""Settings: files of cameras with their mistakes and lines; one declaration of a field for all places it is seen in."""

from __future__ import annotations

import json
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Annotated

import pytest
import typer
import yaml
from pydantic import Field, ValidationError
from typer.testing import CliRunner

from tracker.app.flags import flags, settings_from, takes
from tracker.errors import ConfigError
from tracker.settings.model import Also, Flag, choices
from tracker.settings.reference import file_schema, reference_page
from tracker.settings.service import ServiceSettings
from tracker.settings.stream import CameraSettings, RunSettings, StreamSettings
from tracker.settings.yaml_file import load_service_settings, parse_service_settings
from tracker.settings.yaml_nodes import LARGEST_FILE
from tracker.sinks.rows import MASK_FORMATS
from tracker.sources.hardware import DECODE_CHOICES

ROOT = Path(__file__).resolve().parent.parent

GOOD = """\
model: yolact-nano
batch: 4
batch_wait_ms: 8
metrics: off
log: json
defaults:
  stride: 2
  classes: [person, car]
cameras:
  - name: gate
    url: rtsp://viewer:${GATE}@10.0.0.7/stream1
    conf: 0.3
    records: ["out/{name}-{time}.jsonl", "out/{name}-{time}.csv"]
    rotate_mb: 1.5
    options: {rtsp_flags: prefer_tcp}
  - {name: lobby-2, url: clips/lobby.mp4, classes: person, stride: 1, policy: all, save: out/lobby.mp4}
"""


def test_a_whole_file() -> None:
    config = parse_service_settings(GOOD, environment={"GATE": "s$cret"})
    gate, lobby = config.cameras
    assert (config.batch, config.batch_wait_s, config.metrics, config.log) == (4, 0.008, None, "json")
    assert gate.url == "rtsp://viewer:s$cret@10.0.0.7/stream1"
    assert (gate.stride, gate.classes, gate.score_threshold) == (2, ("person", "car"), 0.3)
    assert gate.records == ("out/{name}-{time}.jsonl", "out/{name}-{time}.csv")
    assert (gate.rotate_bytes, gate.rotate_s, gate.ffmpeg_options) == (
        1_500_000,
        3600.0,
        (("rtsp_flags", "prefer_tcp"),),
    )
    assert (lobby.classes, lobby.stride, lobby.policy) == (("person",), 1, "all")
    assert "s$cret" not in repr(config)
    assert parse_service_settings(GOOD, environment={"GATE": "s$cret"}) == config
    assert parse_service_settings(GOOD, environment={"GATE": "other"}).cameras[0] != gate


def test_a_camera_may_name_its_own_model() -> None:
    text = (
        "model: a.onnx\niou: 0.4\n{}cameras:\n"
        "  - {{name: x, url: x.mp4}}\n  - {{name: y, url: y.mp4, model: b.onnx, iou: 0.7}}\n"
    )
    cameras = parse_service_settings(text.format("")).cameras
    assert [(camera.model, camera.iou_threshold) for camera in cameras] == [("a.onnx", 0.4), ("b.onnx", 0.7)]
    cameras = parse_service_settings(text.format("defaults: {model: c.onnx}\n")).cameras
    assert [(camera.model, camera.iou_threshold) for camera in cameras] == [("c.onnx", 0.4), ("b.onnx", 0.7)]
    [camera] = parse_service_settings("cameras: [{name: x, url: x.mp4}]").cameras
    assert (camera.model, camera.iou_threshold) == ("yolact-nano", None)


CAMERA = "cameras:\n  - name: a\n    url: a.mp4\n"


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        (CAMERA + "    colour: red\n", 4, "unknown key 'colour' in a camera"),
        (CAMERA + "    strid: 2\n", 4, "did you mean 'stride'"),
        ("modle: x\n" + CAMERA, 1, "did you mean 'model'"),
        ("defaults: {url: x}\n" + CAMERA, 1, "unknown key 'url' in defaults"),
        (CAMERA + "    stride: 0\n", 4, "whole number from 1"),
        (CAMERA + "    stride: two\n", 4, "found 'two'"),
        (CAMERA + "    conf: 1.5\n", 4, "number from 0 to 1"),
        (CAMERA + "    conf: [0.5]\n", 4, "found a list"),
        (CAMERA + "    policy: newest\n", 4, "one of auto, latest, all"),
        (CAMERA + "    url: b.mp4\n", 4, "'url' twice"),
        (CAMERA + "    save:\n", 4, "expected text"),
        (CAMERA + "    save: ${NOWHERE}.mp4\n", 4, "NOWHERE, found it is not set"),
        (CAMERA + "  - {name: a, url: b.mp4}\n", 4, "a also in line 2"),
        ("cameras:\n  - name: a\n", 2, "`url`"),
        ("cameras:\n  - name: a/b\n    url: x\n", 2, "letters, digits"),
        ("cameras:\n  - name: a\n    url: rtsp://h/x\n    records: out/a.jsonl\n", 4, "{time}"),
        ("cameras: []\n", 1, "at least one camera"),
        ("cameras: 3\n", 1, "at least one camera"),
        ("- a\n", 1, "`key: value` lines for the file, found a list"),
        ("metrics: 9117\n" + CAMERA, 1, "host:port or off"),
        (CAMERA + '    save: "x\n', 5, "expected YAML"),
        ("a: b: c\n", 1, "expected YAML"),
    ],
)
def test_mistakes_are_told_with_their_line(text: str, line: int, said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_service_settings(text, name="c.yaml", environment={})
    assert caught.value.offender == f"c.yaml:{line}"
    assert said in str(caught.value)


@pytest.mark.parametrize("extra", ["    colour: red\n", "    conf: rtsp\n", "  - {name: a, url: x}\n", "   x: ]\n"])
def test_errors_quote_no_password(extra: str) -> None:
    text = "cameras:\n  - name: a\n    url: rtsp://u:${P}@h/canary2\n" + extra
    with pytest.raises(ConfigError) as caught:
        parse_service_settings(text, environment={"P": "canary"})
    assert "canary" not in str(caught.value)
    assert caught.value.__context__ is None
    assert caught.value.__cause__ is None


def test_files_that_cannot_be_read(tmp_path) -> None:
    with pytest.raises(ConfigError, match="No such file"):
        load_service_settings(tmp_path / "none.yaml")
    (tmp_path / "empty.yaml").write_text("# nothing\n")
    with pytest.raises(ConfigError, match="empty file"):
        load_service_settings(tmp_path / "empty.yaml")
    (tmp_path / "binary.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match="not UTF-8"):
        load_service_settings(tmp_path / "binary.yaml")


def test_without_the_extra_the_pip_command_is_told(monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "yaml", None)
    with pytest.raises(ConfigError, match=r"pip install 'prometheus-client"):
        parse_service_settings(CAMERA)


# ---- files that are wrong in an unusual way -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "offender", "said"),
    [
        ('cameras:\n  - name: "a\\n"\n    url: a.mp4\n', "c.yaml:2", "a name of letters, digits, _, - and ."),
        (
            f"cameras:\n  - name: {'a' * 101}\n    url: a.mp4\n",
            "c.yaml:2",
            "a name of letters, digits, _, - and ., at most 100",
        ),
        (
            "cameras:\n  - name: a\n    url: rtsp://h/x\n    records: .\n",
            "c.yaml:4",
            "a file per part of an endless camera",
        ),
        ("x: " + "[" * 900, "c.yaml", "nested too deeply"),
        (CAMERA + "    stride: " + "9" * 100_000 + "\n", "c.yaml:4", "a whole number from 1 to 10000"),
        (CAMERA + "    conf: " + "9" * 100_000 + "\n", "c.yaml:4", "a number from 0 to 1"),
        ("metrics: h:" + "9" * 100_000 + "\n" + CAMERA, "c.yaml:1", "host:port or off"),
        (CAMERA + "#" + "x" * LARGEST_FILE, "c.yaml", "at most 1,000,000 bytes"),
        (CAMERA + "    records: &x [*x]\n", "c.yaml:4", "expected text, found a list"),
        (CAMERA + "    records: &a [x, x]\n    save: &b [*a, *a]\n", "c.yaml:4", "expected text, found a list"),
        (CAMERA + "    stride: 1\n    conf: x\n    stall_s: x\n", "c.yaml:5", "a number from 0 to 1"),
        ("defaults: {conf: 2}\n" + CAMERA, "c.yaml:1", "a number from 0 to 1"),
        (CAMERA + "    conf: 0.1\n    score_threshold: 0.2\n", "c.yaml:5", "'score_threshold' twice"),
        (CAMERA + "    place: here\n", "c.yaml:4", "unknown key 'place'"),
        (CAMERA + "    decode: cda\n", "c.yaml:4", "did you mean 'cuda'"),
        (CAMERA + "    stride: ٣\n", "c.yaml:4", "whole number"),
        (CAMERA + "    conf: .nan\n", "c.yaml:4", "a number from 0 to 1"),
    ],
)
def test_unusual_mistakes_are_told_shortly(text: str, offender: str, said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_service_settings(text, name="c.yaml", environment={})
    assert caught.value.offender == offender
    assert said in caught.value.problem + caught.value.remedy
    assert len(str(caught.value)) < 700
    assert "Error" not in str(caught.value)


def test_a_file_that_is_too_large_is_not_read_whole(tmp_path) -> None:
    path = tmp_path / "c.yaml"
    with path.open("wb") as file:
        file.truncate(100_000_000)
    with pytest.raises(ConfigError, match="at most 1,000,000 bytes"):
        load_service_settings(path)


# ---- the models themselves ------------------------------------------------------------------------------------------


def test_settings_are_frozen_picklable_and_equal_by_what_was_chosen() -> None:
    camera = CameraSettings(name="a", url="rtsp://u:canary@h/x", records="{time}.jsonl", ffmpeg_options={"a": "b"})
    assert camera.records == ("{time}.jsonl",)
    assert pickle.loads(pickle.dumps(camera)) == camera
    elsewhere = camera.replace(place="c.yaml:3")
    assert (elsewhere, hash(elsewhere)) == (camera, hash(camera))
    assert camera.replace(stride=2) != camera
    assert "canary" not in repr(camera)
    with pytest.raises(ValidationError, match="frozen"):
        camera.stride = 2


def test_an_address_needs_no_parts() -> None:
    assert CameraSettings(name="a", url="rtsp://h/x", records="mqtt://h/tracks").records == ("mqtt://h/tracks",)
    with pytest.raises(ConfigError, match=r"\{time\} into its name: out/\{name\}-\{time\}.csv"):
        CameraSettings(name="a", url="rtsp://h/x", records=("mqtt://h/tracks", "out/a.csv"))


def test_a_wrong_value_in_python_is_one_of_our_errors() -> None:
    with pytest.raises(ConfigError) as caught:
        CameraSettings(name="a", url="a.mp4", stride=0)
    told = "CameraSettings.stride: expected a whole number from 1 to 10000, found 0\n  remedy: change it"
    assert str(caught.value) == told
    assert str(pickle.loads(pickle.dumps(caught.value))) == told
    with pytest.raises(ConfigError, match="a whole number from 1 to 10000, found a number of thousands of digits"):
        CameraSettings(name="a", url="a.mp4", stride=10**5000)
    with pytest.raises(ConfigError, match="expected one of"):
        CameraSettings(name="a", url="a.mp4", policy=10**5000)
    with pytest.raises(ConfigError, match="did you mean 'score_threshold'"):
        CameraSettings(name="a", url="a.mp4", conf=0.3)
    with pytest.raises(ConfigError) as caught:
        CameraSettings(name="a", url=["canary"])
    assert "canary" not in str(caught.value)


def test_segment_keeps_what_is_worth_showing_and_coco_results_nearly_everything() -> None:
    run = RunSettings(sources=("x.mp4",))
    assert (run.lowest_score, run.replace(score_threshold=0.2).lowest_score) == (None, 0.2)
    segment = run.replace(associates=False)
    assert segment.lowest_score == 0.3
    assert segment.replace(records=("x.coco.json",)).lowest_score == 0.01


def test_words_of_stages_are_the_settings_words() -> None:
    assert choices(StreamSettings.model_fields["masks"]) == MASK_FORMATS
    assert choices(StreamSettings.model_fields["decode"]) == DECODE_CHOICES


# ---- one declaration: option, key, schema, reference ----------------------------------------------------------------


BlurPx = Annotated[
    int,
    Field(ge=0, le=99, description="Faces are blurred by so many pixels."),
    Also("blur"),
    Flag("PX", panel="Input", command="track"),
]


class Blurred(CameraSettings):
    """A camera with one more setting."""

    blur_px: BlurPx = 0


class BlurredService(ServiceSettings):
    """A service of such cameras."""

    cameras: Annotated[tuple[Blurred, ...], Field(description="The cameras.")]


class BlurredRun(RunSettings):
    """The same setting in a run."""

    blur_px: BlurPx = 0


def test_a_new_field_is_an_option_with_help_range_and_error() -> None:
    app, seen = typer.Typer(), []

    @app.command()
    @takes(BlurredRun, "track")
    def track(settings: BlurredRun) -> None:
        seen.append(settings)

    runner = CliRunner(env={"COLUMNS": "200"})
    told = runner.invoke(app, ["--help"]).output
    assert "--blur" in told
    assert "Faces are blurred by so many pixels." in told
    assert "0<=x<=99" in told
    assert runner.invoke(app, ["a.mp4", "--blur", "7", "--classes", "car,bus", "--conf", "0.4"]).exit_code == 0
    assert seen == [BlurredRun(sources=("a.mp4",), blur_px=7, classes=("car", "bus"), score_threshold=0.4)]
    assert runner.invoke(app, ["a.mp4", "--blur-px", "100"]).exit_code == 2
    assert "blur_px" not in flags(BlurredRun, "segment")
    with pytest.raises(ConfigError, match="--blur: expected a whole number from 0 to 99, found 100"):
        settings_from(BlurredRun, {"sources": ["a.mp4"], "blur_px": 100})


def test_an_option_that_is_wrong_tells_no_password(monkeypatch) -> None:
    monkeypatch.setenv("GATE", "canary")
    with pytest.raises(ConfigError, match=r"^SOURCE: expected") as caught:
        settings_from(RunSettings, {"sources": ["rtsp://viewer:${GATE}@10.0.0.7/x", ""]})
    assert "canary" not in str(caught.value)
    assert settings_from(RunSettings, {"sources": ["rtsp://v:${GATE}@h/x"]}).sources == ("rtsp://v:canary@h/x",)


def test_a_new_field_is_a_key_with_line_and_range() -> None:
    text = CAMERA + "    blur: 3\n  - {name: b, url: b.mp4}\n"
    service = parse_service_settings("defaults: {blur_px: 5}\n" + text, settings=BlurredService)
    assert [camera.blur_px for camera in service.cameras] == [3, 5]
    with pytest.raises(ConfigError, match=r"c.yaml:4: expected a whole number from 0 to 99, found '100'"):
        parse_service_settings(CAMERA + "    blur: 100\n", name="c.yaml", settings=BlurredService)
    with pytest.raises(ConfigError, match="did you mean 'blur'"):
        parse_service_settings(CAMERA + "    blurr: 1\n", settings=BlurredService)


def test_a_new_field_is_in_schema_and_reference() -> None:
    schema = file_schema(BlurredService)
    text = "Faces are blurred by so many pixels."
    expected = {"type": "integer", "minimum": 0, "maximum": 99, "default": 0, "description": text}
    camera = schema["properties"]["cameras"]["items"]["properties"]
    assert camera["blur_px"] == camera["blur"] == schema["properties"]["defaults"]["properties"]["blur"] == expected
    page = reference_page(BlurredService, BlurredRun)
    assert f"| `blur`, `blur_px` | `--blur` (track) | `0` | 0 to 99 | {text} |" in page


def test_the_reference_is_current() -> None:
    page = (ROOT / "docs" / "reference" / "settings.md").read_text("utf-8")
    assert page == reference_page(), "run: masktrail settings docs --out docs/reference/settings.md"


def test_the_schema_knows_every_key_of_the_example(run, tmp_path: Path) -> None:
    assert run("settings", "schema", "--out", tmp_path / "s.json").status == 0
    schema = json.loads((tmp_path / "s.json").read_text())
    assert schema["required"] == ["cameras"]
    written = yaml.safe_load((ROOT / "examples" / "cameras.yaml").read_text("utf-8"))
    assert set(written) <= set(schema["properties"])
    assert set(written["defaults"]) <= set(schema["properties"]["defaults"]["properties"])
    camera = schema["properties"]["cameras"]["items"]
    assert camera["required"] == ["name", "url"]
    for entry in written["cameras"]:
        assert set(entry) <= set(camera["properties"])
    assert camera["properties"]["conf"] == camera["properties"]["score_threshold"]
    assert not {"place", "path"} & set(camera["properties"]) & set(schema["properties"])


def test_the_reference_is_printed_too(run) -> None:
    assert run("settings", "docs").out == reference_page()


def test_settings_are_not_loaded_by_a_bare_import() -> None:
    code = "import sys, tracker; print('pydantic' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False\n"


# ---- counting -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("    events: a.jsonl\n", "expected a site, whose lines and zones make the events, found events without one"),
        ("    records: a.events.parquet\n", "expected a site"),
        ("    records: a.db\n", "expected a site"),
        ("    site: s.yaml\n    events: a.csv\n", "events as .jsonl .ndjson .parquet .sqlite .sqlite3 .db, found .csv"),
        ("    start_at: 2026-03-29T01:30\n", "a moment with its offset from UTC, found '2026-03-29T01:30'"),
        ("    start_at: 1774744200\n", "a moment with its offset from UTC"),
        ("    gap_s: 0\n", "a number from 0.001"),
    ],
)
def test_what_cannot_be_counted_is_told(text: str, said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_service_settings(CAMERA + text, name="c.yaml", environment={})
    assert said in str(caught.value)
    assert caught.value.offender.startswith("c.yaml:")


def test_events_of_a_camera_are_a_database_or_come_in_parts() -> None:
    text = "cameras:\n  - name: a\n    url: rtsp://h/x\n    site: s.yaml\n    events: {}\n"
    for events in ("all.sqlite", "[all.db, 'e-{time}.jsonl']", "[all.db, 'mqtt://broker/{name}', 'smtps://h/x.db']"):
        [camera] = parse_service_settings(text.format(events), environment={}).cameras
        assert camera.events
    with pytest.raises(ConfigError, match=r"\{time\}"):
        parse_service_settings(text.format("e.events.jsonl"), environment={})
    with pytest.raises(ConfigError, match="whose clock is that of this machine"):
        parse_service_settings(text.format("all.db") + "    start_at: 2026-03-29T01:30Z\n", environment={})


def test_a_declared_start_is_one_moment_however_it_is_written() -> None:
    moments = {
        RunSettings(sources="a.mp4", start_at=text).start_at for text in ("2026-03-29T01:30+01:00", "20260329T0030Z")
    }
    assert len(moments) == 1
    [moment] = moments
    assert moment is not None
    assert moment.timestamp() == 1774744200
    assert pickle.loads(pickle.dumps(RunSettings(sources="a.mp4", start_at=moment))).start_at == moment
    with pytest.raises(ConfigError, match="2 sources"):
        RunSettings(sources=("a.mp4", "b.mp4"), start_at=moment)
    with pytest.raises(ConfigError, match="segmentation without them"):
        RunSettings(sources="a.mp4", site="s.yaml", associates=False)
