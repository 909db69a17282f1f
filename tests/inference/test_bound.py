"""Runs in bound buffers, on the CPU in a card's place, give what plain runs give, whoever else is at work."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from tests.inference.sessions import Recorder
from tests.segment.models import brightness_model
from tracker.errors import ModelError
from tracker.inference.bound import BoundRunner
from tracker.inference.device import open_session
from tracker.inference.runner import PlainRunner
from tracker.inference.tensors import Inputs

if TYPE_CHECKING:
    from pathlib import Path

PICTURE = (96, 160, 3)


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> Any:
    path = brightness_model(tmp_path_factory.mktemp("model") / "mean.onnx")
    return open_session(path, label="m", device="cpu", threads=1).session


def outputs_of(session: Any) -> list[str]:
    return [output.name for output in session.get_outputs()]


def bound(session: Any, **changed: Any) -> BoundRunner:
    inputs = Inputs(sample={"frames": np.zeros((1, *PICTURE), np.uint8)})
    arguments = {"inputs": inputs, "batch": 4, "device_type": "cpu"}
    return BoundRunner(session, label="m", output_names=outputs_of(session), **arguments | changed)


def greys(*values: int) -> dict[str, np.ndarray]:
    return {"frames": np.stack([np.full(PICTURE, value, np.uint8) for value in values])}


@pytest.mark.parametrize("count", [1, 2, 4, 5])
def test_bound_runs_give_what_plain_runs_give(session: Any, count: int) -> None:
    plain, runner = PlainRunner(session, label="m", output_names=outputs_of(session)), bound(session)
    for shift in (0, 50):
        batch = greys(*(10 + shift + 30 * number for number in range(count)))
        found, expected = runner.run(batch), plain.run(batch)
        assert found.keys() == expected.keys()
        for name, value in expected.items():
            np.testing.assert_array_equal(found[name], value, strict=True)


def test_outputs_are_the_callers_to_keep(session: Any) -> None:
    runner = bound(session)
    first = runner.run(greys(10, 20, 30, 40))
    kept = first["scores"].copy()
    runner.run(greys(90, 91, 92, 93))
    np.testing.assert_array_equal(first["scores"], kept)


def test_only_the_bound_batch_has_a_graph_and_all_run_in_one_thread(session: Any) -> None:
    recorder = Recorder(session)
    runner = bound(recorder, graphs=True)
    recorder.bound.clear()
    with ThreadPoolExecutor(3) as executor:
        list(executor.map(runner.run, [greys(value, 1, 2, 3) for value in range(6)]))
        list(executor.map(runner.run, [greys(value) for value in range(6)]))  # plain
    assert [graph for graph, _ in recorder.bound] == [1] * 6
    assert len({thread for _, thread in recorder.bound}) == 1
    assert threading.get_ident() not in {thread for _, thread in recorder.bound}


def test_without_graphs_nothing_is_recorded(session: Any) -> None:
    recorder = Recorder(session)
    bound(recorder)
    assert {graph for graph, _ in recorder.bound} == {-1}


def test_a_graph_that_replays_old_data_is_found_out(session: Any) -> None:
    with pytest.raises(ModelError, match=r"the graph of batch 4 gives output scores as a plain run in 0%"):
        bound(Recorder(session, stale=True), graphs=True)


def test_a_failing_run_is_one_error_and_the_next_one_works(session: Any) -> None:
    runner = bound(session)
    with pytest.raises(ModelError, match=r"m: the network failed on a batch \(4, 9, 9, 3\) of uint8"):
        runner.run({"frames": np.zeros((4, 9, 9, 3), np.uint8)})
    assert runner.run(greys(51, 0, 0, 0))["scores"][0, 0] == pytest.approx(0.2)


def test_outputs_without_a_batch_axis_come_whole(tmp_path: Path) -> None:
    """Priors are the same for every picture of a batch."""
    path = brightness_model(tmp_path / "priors.onnx", priors=7)
    found = bound(open_session(path, label="m", device="cpu").session).run(greys(3, 4, 5, 6))
    assert found["priors"].shape == (7, 4)
    assert found["scores"].shape == (4, 4)


def test_the_bare_run_reads_the_bound_input_alone(session: Any) -> None:
    recorder = Recorder(session)
    runner = bound(recorder)
    recorder.bound.clear()
    runner.run_bare(greys(1, 2))
    assert len(recorder.bound) == 1
