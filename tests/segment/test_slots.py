"""Batches enter a ring of slots on the CPU; what leaves must be what plain runs give, whoever else is at work."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from tests.segment.models import brightness_model, end2end_model
from tests.segment.test_memory import FakeDriver
from tracker.errors import ModelError
from tracker.segment.device import open_session
from tracker.segment.memory import CudaMemory, HostMemory
from tracker.segment.runner import Gate, PlainRunner
from tracker.segment.slots import SlotRunner, used_rows

if TYPE_CHECKING:
    from pathlib import Path

PICTURE = (96, 160, 3)


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> Any:
    path = brightness_model(tmp_path_factory.mktemp("model") / "mean.onnx")
    return open_session(path, label="m", device="cpu", threads=1).session


def names(session: Any) -> dict[str, Any]:
    outputs = [output.name for output in session.get_outputs()]
    return {"label": "m", "input_name": "frames", "output_names": outputs}


def slots(session: Any, **changed: Any) -> SlotRunner:
    arguments = {"picture": PICTURE, "dtype": np.uint8, "sizes": (1, 4), "memory": HostMemory(), "device_type": "cpu"}
    return SlotRunner(session, **names(session), **arguments | changed)


def greys(*values: int) -> np.ndarray:
    return np.stack([np.full(PICTURE, value, np.uint8) for value in values])


class Recorder:
    """A session that notes each run's graph number and thread."""

    def __init__(self, session: Any, *, stale: bool = False) -> None:
        self._session, self._stale = session, stale
        self.bound: list[tuple[int, int, int]] = []
        self._seen: set[int] = set()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._session, name)

    def run_with_iobinding(self, binding: Any, options: Any) -> None:
        graph = int(options.get_run_config_entry("gpu_graph_id"))
        self.bound.append((graph, id(binding), threading.get_ident()))
        if not (self._stale and graph in self._seen):  # stale: what was recorded first is all there ever is
            self._session.run_with_iobinding(binding, options)
        self._seen.add(graph)


@pytest.mark.parametrize("memory", ["host", "cuda"])
@pytest.mark.parametrize("count", [1, 2, 4])
def test_slots_give_what_plain_runs_give(session: Any, memory: str, count: int) -> None:
    """Also through a driver whose copies happen at the last moment: every wait is in its place."""
    plain = PlainRunner(session, **names(session))
    runner = slots(session, memory=HostMemory() if memory == "host" else CudaMemory(0, driver=FakeDriver()))
    for shift in (0, 50):
        batch = greys(*(10 + shift + 30 * number for number in range(count)))
        found, expected = runner.run(batch), plain.run(batch)
        assert found.keys() == expected.keys()
        for name, value in expected.items():
            np.testing.assert_array_equal(found[name], value, strict=True)


def test_frames_are_padded_to_the_next_prepared_batch(session: Any) -> None:
    recorder = Recorder(session)
    runner = slots(recorder, graphs=True, slots=1)
    graphs = dict(zip((1, 4), (1, 2), strict=True))
    recorder.bound.clear()
    for count in (1, 2, 3, 4):
        runner.run(greys(*range(count)))
        assert recorder.bound[-1][0] == graphs[runner.padded(count)]
    assert [runner.padded(count) for count in (1, 2, 4)] == [1, 4, 4]
    with pytest.raises(ModelError, match=r"a batch \(5, 96, 160, 3\) of uint8: expected at most 4"):
        runner.run(greys(*range(5)))


def test_every_slot_and_size_has_a_graph_of_its_own_and_all_run_in_one_thread(session: Any) -> None:
    recorder = Recorder(session)
    runner = slots(recorder, graphs=True, slots=3)
    assert {graph for graph, _, _ in recorder.bound} == {1, 2, 3, 4, 5, 6}
    assert len({(graph, binding) for graph, binding, _ in recorder.bound}) == 6
    with ThreadPoolExecutor(3) as executor:
        list(executor.map(runner.run, [greys(value) for value in range(9)]))
    assert len({thread for _, _, thread in recorder.bound}) == 1
    assert threading.get_ident() not in {thread for _, _, thread in recorder.bound}


def test_without_graphs_nothing_is_recorded_and_callers_run_themselves(session: Any) -> None:
    recorder = Recorder(session)
    slots(recorder)
    assert {(graph, thread) for graph, _, thread in recorder.bound} == {(-1, threading.get_ident())}


def test_a_graph_that_replays_old_data_is_found_out(session: Any) -> None:
    with pytest.raises(ModelError, match=r"the graph of batch 4 gives output scores as a plain run in 0%"):
        slots(Recorder(session, stale=True), graphs=True)


def test_slots_in_flight_do_not_disturb_each_other(session: Any) -> None:
    runner, wrong = slots(session), []

    def work(grey: int) -> None:
        for _ in range(20):
            with runner.slot() as slot:
                slot.buffer[:2] = greys(grey, grey + 1)
                scores = slot.run(slot.buffer[:2])["scores"]
                if not np.allclose(scores[:, 0] * 255, [grey, grey + 1], atol=0.01):
                    wrong.append(scores)

    threads = [threading.Thread(target=work, args=(grey,)) for grey in (20, 60, 100, 140, 180)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


@pytest.mark.parametrize("graphs", [True, False])
def test_a_batch_is_uploaded_while_another_is_computed(session: Any, graphs: bool) -> None:
    """The first batch's run does not end before the second batch's upload: without overlap both wait for ever."""
    uploaded = threading.Semaphore(0)

    class Driver(FakeDriver):
        def cuMemcpyHtoDAsync_v2(self, *arguments: Any) -> int:
            uploaded.release()
            return super().cuMemcpyHtoDAsync_v2(*arguments)

    class Session(Recorder):
        waits = False

        def run_with_iobinding(self, binding: Any, options: Any) -> None:
            if self.waits:
                self.waits = False
                overlapped.append(uploaded.acquire(timeout=10) and uploaded.acquire(timeout=10))
            super().run_with_iobinding(binding, options)

    overlapped: list[bool] = []
    blocked = Session(session)
    runner = slots(blocked, memory=CudaMemory(0, driver=Driver()), slots=2, graphs=graphs)
    while uploaded.acquire(blocking=False):
        pass
    blocked.waits = True
    with ThreadPoolExecutor(2) as executor:
        found = list(executor.map(runner.run, [greys(51), greys(102)]))
    assert overlapped == [True]
    assert [float(outputs["scores"][0, 0]) for outputs in found] == pytest.approx([0.2, 0.4])


def test_a_batch_waits_for_a_free_slot_and_gets_it_after_a_failure(session: Any) -> None:
    runner = slots(session, slots=1)
    waited = threading.Event()

    def second() -> None:
        runner.run(greys(9))
        waited.set()

    with runner.slot():
        thread = threading.Thread(target=second)
        thread.start()
        assert not waited.wait(0.05)
    thread.join(10)
    assert waited.is_set()
    with pytest.raises(ModelError):
        runner.run(np.zeros((1, 9, 9, 3), np.uint8))
    assert runner.run(greys(51))["scores"][0, 0] == pytest.approx(0.2)


def test_only_rows_that_count_leave_the_device(tmp_path: Path) -> None:
    session = open_session(end2end_model(tmp_path / "m.onnx", open_batch=True), label="m", device="cpu").session
    driver = FakeDriver()
    runner = slots(session, memory=CudaMemory(0, driver=driver), slots=1)
    gate = Gate(scores="scores", threshold=0.7, outputs=("masks",))
    whole = runner.run(greys(1, 2))
    with runner.slot() as slot:
        slot._hosts["masks"][:] = 9
        driver.calls.clear()
        found = slot.run(greys(1, 2), gate)
        np.testing.assert_array_equal(found["scores"], whole["scores"])  # (0.6, 0.9, 0, 0) for each picture
        np.testing.assert_array_equal(found["masks"][:, :2], whole["masks"][:, :2])
        assert (found["masks"][:, 2:] == 9).all()
        assert driver.calls.count("cuMemcpyDtoHAsync_v2") == 3 + 2  # three outputs whole, the masks of two pictures
        slot.run(greys(1), Gate(scores="scores", threshold=0.95, outputs=("masks",)))
        assert driver.calls.count("cuMemcpyDtoHAsync_v2") == 5 + 3  # no mask at all


def test_used_rows_end_at_the_last_score_that_counts() -> None:
    scores = np.array([[0.9, 0.1, 0.5, 0.0], [0.0, 0.0, 0.0, 0.3], [0.2, 0.1, 0.0, 0.0]], np.float32)
    assert used_rows(scores, 0.3) == [3, 4, 0]


def test_outputs_without_a_batch_axis_come_whole(tmp_path: Path) -> None:
    """Priors are the same for every picture of a batch."""
    path = brightness_model(tmp_path / "priors.onnx", priors=7)
    session = open_session(path, label="m", device="cpu").session
    found = slots(session).run(greys(3, 4))
    assert found["priors"].shape == (7, 4)
    assert found["scores"].shape == (2, 4)


def test_the_bare_run_copies_nothing(session: Any) -> None:
    driver = FakeDriver()
    runner = slots(session, memory=CudaMemory(0, driver=driver))
    driver.calls.clear()
    runner.run_bare(greys(1, 2))
    assert driver.calls == []
