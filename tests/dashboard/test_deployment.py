"""Deployment files: they are what their programs take; a real Caddy in front of the dashboard is believed."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest
import yaml

from tests.dashboard.served import Served
from tests.ports import free_port
from tracker.settings.yaml_file import parse_service_settings

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "examples"
COMPOSE = (EXAMPLES / "compose.yaml").read_text()
UNIT = (EXAMPLES / "masktrail-dashboard.service").read_text()
SECRET = "0123456789abcdef0123"

needs_caddy = pytest.mark.skipif(shutil.which("caddy") is None, reason="no Caddy here")
needs_systemd = pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="no systemd here")


@needs_caddy
def test_caddy_takes_its_file():
    words = ["caddy", "validate", "--adapter", "caddyfile", "--config", str(EXAMPLES / "Caddyfile")]
    told = subprocess.run(words, capture_output=True, text=True, env=os.environ | {"PROXY_SECRET": SECRET}, check=False)
    assert told.returncode == 0, told.stderr


@needs_caddy
def test_the_dashboard_behind_caddy(tmp_path):
    settings = {"behind_proxy": True, "trusted_proxies": ["127.0.0.1"], "proxy_secret": SECRET}
    port = free_port()
    with Served(tmp_path / "dash", settings=settings) as served:
        environment = os.environ | {
            "DASHBOARD_HOST": f"http://127.0.0.1:{port}",
            "DASHBOARD": f"127.0.0.1:{served.port}",
            "PROXY_SECRET": SECRET,
            "CADDY_ADMIN": f"127.0.0.1:{free_port()}",
            "XDG_DATA_HOME": str(tmp_path / "data"),
            "XDG_CONFIG_HOME": str(tmp_path / "config"),
        }
        words = ["caddy", "run", "--adapter", "caddyfile", "--config", str(EXAMPLES / "Caddyfile")]
        process = subprocess.Popen(words, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            page, token = f"http://127.0.0.1:{port}", served.context.set_up.secret
            body = json.dumps({"token": token, "name": "ann", "password": "seven green bicycles"}).encode()
            headers = {
                "origin": page,
                "x-masktrail-csrf": "anonymous",
                "content-type": "application/json",
                "x-forwarded-for": "6.6.6.6",
                "x-masktrail-proxy-secret": "guessed",
            }
            deadline_s = time.monotonic() + 60
            while True:
                try:
                    request = urllib.request.Request(f"{page}/api/setup", body, headers)
                    with urllib.request.urlopen(request, timeout=30) as answer:
                        made = json.loads(answer.read())
                    break
                except urllib.error.HTTPError:
                    raise
                except OSError:
                    assert time.monotonic() < deadline_s
                    time.sleep(0.2)
            assert made["user"]["name"] == "ann"
            row = served.context.accounts.log()[0]
            assert (row.what, row.address) == ("set up", "127.0.0.1"), (
                "what a client says of its address is not believed"
            )
            with pytest.raises(urllib.error.HTTPError) as refused:
                urllib.request.urlopen(f"http://127.0.0.1:{served.port}/api/session", timeout=30)
            assert refused.value.code == 421, "what does not come from the proxy is refused"
            refused.value.close()
        finally:
            process.terminate()
            process.wait(60)


def test_the_compose_file_says_what_the_settings_need():
    compose = yaml.safe_load(COMPOSE)
    ours, caddy = compose["services"]["masktrail"], compose["services"]["caddy"]
    assert "ports" not in ours, "only the proxy is open"
    assert set(caddy["ports"]) == {"80:80", "443:443", "443:443/udp"}
    for service in (ours, caddy):
        assert service["read_only"]
        assert service["cap_drop"] == ["ALL"]
        assert set(service["networks"]) <= set(compose["networks"])
        for volume in service["volumes"]:
            name = volume.partition(":")[0]
            assert name in compose["volumes"] or (EXAMPLES / name).exists() or name == "./config"
    assert (EXAMPLES / ours["build"]["context"] / ours["build"]["dockerfile"]).is_file()
    told = "\n".join(line.removeprefix("#   ") for line in COMPOSE.splitlines() if re.match(r"#   (\w+:|  \w+:)", line))
    config = parse_service_settings(
        told + "\ncameras: [{name: gate, url: gate.mp4}]\n", environment={"PROXY_SECRET": SECRET}
    )
    assert config.dashboard is not None
    assert config.dashboard.behind_proxy
    [subnet] = [one["subnet"] for one in compose["networks"]["inside"]["ipam"]["config"]]
    assert config.dashboard.trusted_proxies == (subnet,)
    assert "header_up X-Masktrail-Proxy-Secret {$PROXY_SECRET}" in (EXAMPLES / "Caddyfile").read_text()


@needs_systemd
def test_systemd_takes_the_unit(tmp_path):
    unit = tmp_path / "masktrail-dashboard.service"
    unit.write_text(UNIT.replace("/opt/masktrail/bin/masktrail", sys.executable))
    words = ["systemd-analyze", "verify", "--man=no", str(unit)]
    told = subprocess.run(words, capture_output=True, text=True, check=False)
    assert "masktrail-dashboard.service" not in told.stderr, told.stderr


@needs_systemd
def test_the_unit_is_hardened(tmp_path):
    unit = tmp_path / "masktrail-dashboard.service"
    unit.write_text(UNIT)
    words = ["systemd-analyze", "security", "--offline=true", "--no-pager", str(unit)]
    told = subprocess.run(words, capture_output=True, text=True, check=False).stdout
    score = re.search(r"Overall exposure level for masktrail-dashboard\.service: ([0-9.]+)", told)
    assert score is not None, told
    assert float(score[1]) < 1.5


def test_the_unit_starts_a_command_that_exists(run, tmp_path, monkeypatch):
    monkeypatch.setenv("MASKTRAIL_PROXY_SECRET", SECRET)
    program, *words = re.search(r"^ExecStart=(.*)$", UNIT, re.MULTILINE)[1].split()
    assert program.endswith("/bin/masktrail")
    words[words.index("/srv/runs")] = str(tmp_path / "none")
    result = run(*words)
    assert result.status == 2
    assert "expected a folder of results, found nothing" in result.text
