"""Arrays and addresses enter; the driver's functions must be called in an order in which no byte is read too early."""

from __future__ import annotations

import ctypes
import gc
import shutil
import subprocess
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from tracker.errors import ModelError
from tracker.segment.memory import CudaMemory, HostMemory, Memory

if TYPE_CHECKING:
    from pathlib import Path

# The prototypes of cuda.h, on host memory: what ctypes passes must arrive whole in C.
DRIVER_IN_C = r"""
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
static int context, stream_of_ours;
static void *current;
int cuInit(unsigned int flags) { return flags ? 1 : 0; }
int cuDeviceGet(int *device, int ordinal) { *device = ordinal + 40; return ordinal == 1 ? 0 : 101; }
int cuDevicePrimaryCtxRetain(void **made, int device) { *made = &context; return device == 41 ? 0 : 101; }
int cuCtxSetCurrent(void *wanted) { current = wanted; return wanted == &context ? 0 : 201; }
int cuMemHostAlloc(void **block, size_t size, unsigned int flags) {
    if (current != &context || flags != 1) return 1;
    *block = malloc(size);
    memset(*block, 255, size);
    return *block ? 0 : 2;
}
int cuMemFreeHost(void *block) { free(block); return 0; }
int cuStreamCreate(void **stream, unsigned int flags) { *stream = &stream_of_ours; return flags == 1 ? 0 : 1; }
int cuStreamDestroy_v2(void *stream) { return stream == &stream_of_ours ? 0 : 400; }
int cuMemcpyHtoDAsync_v2(uint64_t target, const void *source, size_t size, void *stream) {
    memcpy((void *)target, source, size);
    return stream == &stream_of_ours ? 0 : 400;
}
int cuMemcpyDtoHAsync_v2(void *target, uint64_t source, size_t size, void *stream) {
    memcpy(target, (const void *)source, size);
    return stream == &stream_of_ours ? 0 : 400;
}
int cuStreamSynchronize(void *stream) { return stream == &stream_of_ours ? 0 : 400; }
int cuGetErrorName(int status, const char **name) {
    *name = status == 101 ? "CUDA_ERROR_INVALID_DEVICE" : "CUDA_ERROR_UNKNOWN";
    return 0;
}
"""


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
        stream._obj.value = 1000 + self.calls.count("cuStreamCreate")
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


def test_calls_arrive_whole_in_c(tmp_path: Path) -> None:
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("no C compiler here")
    source, library = tmp_path / "driver.c", tmp_path / "driver.so"
    source.write_text(DRIVER_IN_C)
    subprocess.run([compiler, "-shared", "-fPIC", "-o", str(library), str(source)], check=True)
    driver = ctypes.CDLL(str(library))
    memory = CudaMemory(1, driver=driver)
    sent, received = memory.host((5, 700), np.float32), memory.host((5, 700), np.float32)
    assert memory.pinned
    assert not sent.any()
    sent[:] = np.random.default_rng(0).random(sent.shape)
    device = np.zeros_like(sent)  # far above 4 GB in the address space
    assert device.ctypes.data > 1 << 32
    stream = memory.stream()
    stream.upload(device.ctypes.data, sent)
    stream.download(received[1:3], device[1:3].ctypes.data)
    stream.wait()
    np.testing.assert_array_equal(device, sent)
    np.testing.assert_array_equal(received[1:3], sent[1:3])
    assert not received[3:].any()
    with pytest.raises(ModelError, match=r"card 7: cuDeviceGet failed with CUDA_ERROR_INVALID_DEVICE \(101\)"):
        CudaMemory(7, driver=driver)
