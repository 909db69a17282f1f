"""What holds for every test of the PyTorch side: one thread, and the same random numbers."""

from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def one_thread() -> None:
    """The machine may be shared, and results are compared."""
    torch = pytest.importorskip("torch", reason="the PyTorch side needs torch: pip install torch")
    torch.set_num_threads(1)
    torch.manual_seed(0)
