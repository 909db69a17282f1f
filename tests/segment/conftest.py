"""What several tests of the segmenter ask for: a card that is played by the CPU."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import pytest

from tests.segment.test_memory import FakeDriver
from tracker.segment import backend
from tracker.segment.device import open_session
from tracker.segment.memory import CudaMemory

if TYPE_CHECKING:
    from pathlib import Path

    from tracker.segment.device import OpenedSession


@pytest.fixture
def card(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The CPU plays a card: sessions, drivers and the wrapped session may be looked at and changed."""
    stage: dict[str, Any] = {"opened": [], "wrap": lambda session, _graphs: session, "driver": FakeDriver()}

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

    monkeypatch.setattr(backend, "open_session", open_card)
    monkeypatch.setattr(backend, "device_memory", lambda _opened: (CudaMemory(0, driver=stage["driver"]), "cpu"))
    return stage
