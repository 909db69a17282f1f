"""Prometheus from the system, started for the tests; it scrapes five times a second and can be killed."""

from __future__ import annotations

import json
import shutil
import subprocess
import urllib.parse
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from tests.ports import free_port
from tests.sources.cameras import wait_until


class PrometheusServer:
    """A server with its data in a folder.

    Args:
        folder: Of its data.
        target: ``host:port`` of what it scrapes.
    """

    def __init__(self, folder: Path, target: str) -> None:
        if shutil.which("prometheus") is None:
            pytest.skip("no Prometheus here (apt-get install prometheus)")
        self._folder = folder
        self._port = free_port()
        scrape = {"job_name": "masktrail", "static_configs": [{"targets": [target]}]}
        config = {"global": {"scrape_interval": "200ms", "scrape_timeout": "200ms"}, "scrape_configs": [scrape]}
        (folder / "prometheus.yaml").write_text(json.dumps(config))
        self.start()

    def start(self) -> None:
        words = [
            "prometheus",
            f"--config.file={self._folder / 'prometheus.yaml'}",
            f"--storage.tsdb.path={self._folder / 'data'}",
            f"--web.listen-address=127.0.0.1:{self._port}",
            "--log.level=error",
        ]
        self._process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        assert wait_until(lambda: self._answers("/-/ready"))

    def kill(self) -> None:
        self._process.kill()
        self._process.wait(60)

    def ask(self, expr: str) -> dict[tuple[str, ...], float]:
        """Values of a query by the values of their labels, sorted by name.

        Raises:
            AssertionError: The server does not take the query.
        """
        answer = self._get("/api/v1/query?" + urllib.parse.urlencode({"query": expr}))
        assert answer["status"] == "success", answer
        hidden = {"instance", "job", "__name__"}
        found = {}
        for one in answer["data"]["result"]:
            labels = tuple(value for name, value in sorted(one["metric"].items()) if name not in hidden)
            found[labels] = float(one["value"][1])
        return found

    def _answers(self, path: str) -> bool:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self._port}{path}", timeout=30) as answer:
                return answer.status == 200
        except OSError:
            return False

    def _get(self, path: str) -> Any:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self._port}{path}", timeout=30) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as failure:
            with failure:
                return json.loads(failure.read() or b"{}")
