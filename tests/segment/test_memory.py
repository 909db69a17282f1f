"""Arrays and addresses enter; the driver's functions must be called in an order in which no byte is read too early."""

from __future__ import annotations

import ctypes
import gc
from typing import Any

import numpy as np
import pytest

from tracker.errors import ModelError
from tracker.segment.memory import CudaMemory, HostMemory, Memory


class FakeDriver:
    """The NVIDIA driver's functions on host memory; a copy happens when its stream is waited for, not before."""

    def __init__(self, *, locks: bool = True, fails: str = "") -> None:
        self.locks, self.fails = locks, fails
        self.calls: list[str] = []
        self.blocks: dict[int, Any] = {}
        self.streams: dict[int, list[tuple[int, int, int]]] = {}
        self.context_entered = False

    def _called(self, name: str) -> int:
        self.calls.append(name)
        return 2 if name == self.fails else 0

    def cuInit(self, _flags: Any) -> int:
        return self._called("cuInit")

    def cuDeviceGet(self, device: Any, number: Any) -> int:
        device._obj.value = number.value
        return self._called("cuDeviceGet")

    def cuDevicePrimaryCtxRetain(self, context: Any, _device: Any) -> int:
        context._obj.value = 77
        return self._called("cuDevicePrimaryCtxRetain")

    def cuCtxSetCurrent(self, context: Any) -> int:
        assert context.value == 77
        self.context_entered = True
        return 0

    def cuMemHostAlloc(self, pointer: Any, size: Any, flags: Any) -> int:
        assert flags.value == 1
        if not self.locks:
            return 2
        block = (ctypes.c_uint8 * size.value)(*[255] * size.value)
        pointer._obj.value = ctypes.addressof(block)
        self.blocks[pointer._obj.value] = block
        return self._called("cuMemHostAlloc")

    def cuMemFreeHost(self, pointer: Any) -> int:
        del self.blocks[pointer.value]
        return self._called("cuMemFreeHost")

    def cuStreamCreate(self, stream: Any, flags: Any) -> int:
        assert self.context_entered
        assert flags.value == 1
        stream._obj.value = 1000 + len(self.streams)
        self.streams[stream._obj.value] = []
        return self._called("cuStreamCreate")

    def cuStreamDestroy_v2(self, stream: Any) -> int:
        del self.streams[stream.value]
        return self._called("cuStreamDestroy_v2")

    def cuMemcpyHtoDAsync_v2(self, target: Any, source: Any, size: Any, stream: Any) -> int:
        assert isinstance(target, ctypes.c_uint64)  # a plain Python int would be cut to 32 bits
        self.streams[stream.value].append((target.value, source.value, size.value))
        return self._called("cuMemcpyHtoDAsync_v2")

    def cuMemcpyDtoHAsync_v2(self, target: Any, source: Any, size: Any, stream: Any) -> int:
        assert isinstance(source, ctypes.c_uint64)
        self.streams[stream.value].append((target.value, source.value, size.value))
        return self._called("cuMemcpyDtoHAsync_v2")

    def cuStreamSynchronize(self, stream: Any) -> int:
        for copy in self.streams[stream.value]:
            ctypes.memmove(*copy)
        self.streams[stream.value].clear()
        return self._called("cuStreamSynchronize")

    def cuGetErrorName(self, _status: int, name: Any) -> int:
        name._obj.value = b"CUDA_ERROR_OUT_OF_MEMORY"
        return 0


@pytest.fixture(params=["host", "cuda"])
def memory(request: pytest.FixtureRequest) -> Memory:
    return HostMemory() if request.param == "host" else CudaMemory(0, driver=FakeDriver())


def test_arrays_go_to_an_address_and_come_back(memory: Memory) -> None:
    device = np.zeros(24, np.float32)
    source, target = memory.host((2, 3), np.float32), memory.host((2, 3), np.float32)
    assert not source.any()
    source[:] = np.arange(6).reshape(2, 3)
    stream = memory.stream()
    stream.upload(device.ctypes.data, source)
    stream.upload(device.ctypes.data + source.nbytes, source[1])
    stream.download(target, device.ctypes.data)
    stream.wait()
    assert device[:9].tolist() == [0, 1, 2, 3, 4, 5, 3, 4, 5]
    np.testing.assert_array_equal(target, source)


def test_page_locked_memory_is_freed_with_its_last_array() -> None:
    driver = FakeDriver()
    memory = CudaMemory(0, driver=driver)
    array = memory.host((4, 5), np.int64)
    part = array[1:, 2]
    assert memory.pinned
    assert len(driver.blocks) == 1
    assert array.ctypes.data in driver.blocks
    del array
    gc.collect()
    assert len(driver.blocks) == 1  # a view of it lives
    del part
    gc.collect()
    assert driver.blocks == {}


def test_streams_are_destroyed_with_their_object() -> None:
    driver = FakeDriver()
    stream = CudaMemory(0, driver=driver).stream()
    assert len(driver.streams) == 1
    del stream
    gc.collect()
    assert driver.streams == {}


def test_a_system_that_locks_no_pages_costs_speed_and_not_the_run() -> None:
    memory = CudaMemory(0, driver=FakeDriver(locks=False))
    assert memory.host((2, 2), np.uint8).tolist() == [[0, 0], [0, 0]]
    assert not memory.pinned


@pytest.mark.parametrize("function", ["cuDevicePrimaryCtxRetain", "cuStreamCreate", "cuMemcpyHtoDAsync_v2"])
def test_the_drivers_complaints_are_named(function: str) -> None:
    def work() -> None:
        memory = CudaMemory(1, driver=FakeDriver(fails=function))
        memory.stream().upload(0, memory.host((1,), np.uint8))

    with pytest.raises(
        ModelError, match=rf"card 1: {function} failed with CUDA_ERROR_OUT_OF_MEMORY \(2\)\n.*nvidia-smi"
    ):
        work()
