"""What several tests of the segmenter ask for: a card that is played by the CPU."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import pytest

from tracker.inference import network
from tracker.inference.device import open_session

if TYPE_CHECKING:
    from pathlib import Path

    from tracker.inference.device import OpenedSession


@pytest.fixture
def card(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The CPU plays a card: what was opened is noted, and ``wrap`` may stand a session of the test's in between."""
    stage: dict[str, Any] = {"opened": [], "wrap": lambda session, _graphs: session}

    def open_card(path: Path, *, label: object, device: str, graphs: bool = False, **_options: Any) -> OpenedSession:
        opened = open_session(path, label=label, device="cpu", threads=1)
        if device == "cpu":
            return opened
        stage["opened"].append(graphs)
        return dataclasses.replace(
            opened,
            session=stage["wrap"](opened.session, graphs),
            device="cuda",
            provider="CUDAExecutionProvider",
            reason="NVIDIA L4, driver CUDA 13.0",
            graphs=graphs,
        )

    monkeypatch.setattr(network, "open_session", open_card)
    monkeypatch.setattr(network, "auto_takes_openvino", lambda: False)
    monkeypatch.setattr(network, "device_type", lambda _opened: "cpu")
    return stage
