"""The examples are what the programs that read them take, and say what the code says."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

from tests.engine.fakes import SlowSegmenter
from tests.sinks.broker import Broker, Watcher, needs_broker
from tests.sinks.outside import context, crossing, frame
from tests.sources.cameras import wait_until
from tracker.engine.scheduler import WORKERS_S, Engine
from tracker.engine.stream import CLOSE_S
from tracker.plugins import open_sink
from tracker.service.status import StatusServer
from tracker.settings.service import METRICS_ADDRESS
from tracker.settings.yaml_file import load_service_settings

ROOT = Path(__file__).parents[2]
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT)}
UNIT = (ROOT / "examples" / "masktrail.service").read_text()
DOCKERFILE = (ROOT / "examples" / "Dockerfile").read_text()


def test_the_cameras_are_valid() -> None:
    config = load_service_settings(ROOT / "examples" / "cameras.yaml", {"GATE_PASSWORD": "x"})
    assert [camera.name for camera in config.cameras] == ["gate", "lobby", "loading-dock", "yesterday"]
    assert config.metrics == METRICS_ADDRESS


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="no systemd here")
def test_systemd_takes_the_unit(tmp_path) -> None:
    unit = tmp_path / "masktrail.service"
    unit.write_text(UNIT.replace("/opt/masktrail/bin/masktrail", sys.executable))
    verified = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(unit)], capture_output=True, text=True, check=False
    )
    assert "masktrail.service" not in verified.stderr, verified.stderr
    assert verified.returncode == 0, verified.stderr


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="no systemd here")
def test_the_unit_is_hardened(tmp_path) -> None:
    unit = tmp_path / "masktrail.service"
    unit.write_text(UNIT)
    words = ["systemd-analyze", "security", "--offline=true", "--no-pager", str(unit)]
    told = subprocess.run(words, capture_output=True, text=True, check=False).stdout
    score = re.search(r"Overall exposure level for masktrail\.service: ([0-9.]+)", told)
    assert score is not None, told
    assert float(score[1]) < 2
    for limit in ("LimitNOFILE=65536", "MemoryMax=80%", "TasksMax=1024"):
        assert f"\n{limit}\n" in UNIT


def test_the_image_has_what_the_wheel_is_made_of() -> None:
    """Every file that pyproject names by path is below something that the Dockerfile copies."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    copied = [
        word for line in re.findall(r"^COPY (?!--from)(.*) /src/", DOCKERFILE, re.MULTILINE) for word in line.split()
    ]
    wheel = project["tool"]["hatch"]["build"]["targets"]["wheel"]
    needed = [
        *wheel["force-include"],
        *wheel["packages"],
        project["project"]["readme"],
        *project["project"]["license-files"],
    ]
    assert [name for name in needed if not any(name == one or name.startswith(f"{one}/") for one in copied)] == []


def test_the_lock_has_every_runtime_package_with_hashes_and_no_index() -> None:
    lock = (ROOT / "examples" / "requirements.lock").read_text()
    assert "://" not in lock
    pinned = re.findall(r"^([a-z0-9._-]+)==\S+(?: ; [^\\\n]+)? \\\n    --hash=sha256:[0-9a-f]{64}", lock, re.MULTILINE)
    assert len(pinned) == len(re.findall(r"^[a-z0-9]", lock, re.MULTILINE)) >= 40
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = [name for extra in ("live", "dashboard") for name in project["optional-dependencies"][extra]]
    wanted = [*project["dependencies"], *extras]
    names = {re.split(r"[><=\[; ]", requirement)[0] for requirement in wanted}
    assert names <= set(pinned)
    assert "--require-hashes" in DOCKERFILE


def refused(words: list[str], folder: Path) -> str:
    """Run the command with a file that is not there: options that did not exist would be what it complains about."""
    command = [sys.executable, "-m", "tracker", *words]
    ended = subprocess.run(command, cwd=folder, env=ENVIRONMENT, capture_output=True, text=True, check=False)
    assert ended.returncode == 2
    return ended.stderr


def test_the_commands_are_ones_that_exist(tmp_path) -> None:
    program, *started = re.search(r"^ExecStart=(.*)$", UNIT, re.MULTILINE)[1].split()
    assert program.endswith("/bin/masktrail")
    assert f"{started[1]}: expected a YAML file of cameras" in refused(started, tmp_path)
    program, *entry = json.loads(re.search(r"^ENTRYPOINT (.*)$", DOCKERFILE, re.MULTILINE)[1])
    assert program == "masktrail"
    words = entry + json.loads(re.search(r"^CMD (.*)$", DOCKERFILE, re.MULTILINE)[1])
    assert f"{words[1]}: expected a YAML file of cameras" in refused(words, tmp_path)


def test_the_image_runs_as_somebody_and_can_write_where_it_has_to() -> None:
    steps = DOCKERFILE.splitlines()
    user = next(number for number, line in enumerate(steps) if line.startswith("USER "))
    assert "useradd" in steps[user - 1]
    assert "chown -R masktrail /data" in steps[user - 1]
    assert "WORKDIR /data" in steps[user:]
    assert any(line.startswith("ENTRYPOINT") for line in steps[user:])


def test_the_health_check_tells_the_well_from_the_stuck(monkeypatch) -> None:
    check = re.search(r'CMD python -c "(.*)"$', DOCKERFILE, re.MULTILINE)[1]
    engine = Engine(segmenter=SlowSegmenter(), workers=1)
    server = StatusServer(engine, "127.0.0.1:0")

    def healthy() -> bool:
        here = check.replace(METRICS_ADDRESS, server.address)
        assert here != check
        return subprocess.run([sys.executable, "-c", here], capture_output=True, check=False).returncode == 0

    try:
        assert healthy()
        monkeypatch.setattr("tracker.service.status.STUCK_S", -1.0)
        assert not healthy()
    finally:
        server.close()
        engine.close()
    assert not healthy()


def test_the_unit_knows_the_exit_status_that_no_start_helps_against() -> None:
    from tracker.service import run as service
    from tracker.service import systemd

    assert "RestartPreventExitStatus=2" in UNIT
    assert "2 refused to start" in (service.__doc__ or "").replace("\n", " ")
    stop_s = int(re.search(r"TimeoutStopSec=(\d+)", UNIT)[1])
    assert stop_s >= WORKERS_S + CLOSE_S + 5
    assert f"--stop-timeout {stop_s}" in DOCKERFILE
    watchdog_s = int(re.search(r"WatchdogSec=(\d+)", UNIT)[1])
    assert watchdog_s >= 4 * systemd.WATCHDOG_S


def test_the_image_is_built_from_what_is_there() -> None:
    for line in re.findall(r"^COPY (?!--from)(.*)$", DOCKERFILE, re.MULTILINE):
        *sources, _ = line.split()
        for source in sources:
            assert (ROOT / source).exists(), source
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert set(re.search(r"whl\)\[(.*?)\]", DOCKERFILE)[1].split(",")) <= set(extras)
    port = METRICS_ADDRESS.rpartition(":")[2]
    assert f"127.0.0.1:{port}/healthz" in DOCKERFILE
    assert "STOPSIGNAL SIGTERM" in DOCKERFILE


@needs_broker
def test_the_broker_of_the_example_lets_masktrail_do_what_it_must_and_no_more(tmp_path) -> None:
    examples = ROOT / "examples"
    broker = Broker(tmp_path / "broker", config=(examples / "mosquitto.conf").read_text())
    broker.stop()
    (broker.folder / "rights").write_text((examples / "mosquitto.rights").read_text())
    broker.start()
    try:
        watcher = Watcher(broker)
        with open_sink(broker.url(), context(tmp_path)) as sink:
            sink.write(frame(crossing(1)))
            assert wait_until(lambda: sink.queues[0].rows == 0)
            assert sink.queues[0].problem == ""
            assert wait_until(lambda: watcher.last("homeassistant/device/masktrail_gate/config") is not None)
        assert [row["key"] for row in watcher.of("masktrail/rows")] == [crossing(1).key]
        watcher.close()
        with open_sink(broker.url(path="/elsewhere"), context(tmp_path)) as sink:
            sink.write(frame(crossing(1)))
            assert wait_until(lambda: "expected leave to publish to elsewhere/" in sink.queues[0].problem)
    finally:
        broker.stop()
    added = yaml.safe_load((examples / "compose.mqtt.yaml").read_text())
    files = [volume.split(":")[0] for volume in added["services"]["mosquitto"]["volumes"] if volume.startswith("./")]
    assert {name for name in files if not (examples / name).exists()} == {"./mosquitto.passwords"}
    assert set(added["services"]["mosquitto"]["networks"]) <= set(
        yaml.safe_load((examples / "compose.yaml").read_text())["networks"]
    )
