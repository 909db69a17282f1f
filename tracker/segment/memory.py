"""Host arrays and device addresses enter, copies between them leave: by the GPU's copy engines, or within the CPU.

Page-locked ("pinned") host memory is what lets the card fetch and store by itself while Python goes on; from ordinary
memory the driver first copies to a page-locked block of its own and makes the caller wait. ONNX Runtime 1.31's Python
package hands out page-locked memory only for provider libraries that are registered as plugins, and copies no part of
an output; the NVIDIA driver's own functions do both, and are there wherever CUDA runs.
"""

from __future__ import annotations

import ctypes
import math
import weakref
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from tracker.errors import ModelError
from tracker.segment.survey import DRIVER

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import DTypeLike, NDArray

__all__ = ["CudaMemory", "HostMemory", "Memory", "Stream"]

PORTABLE = 1
"""``CU_MEMHOSTALLOC_PORTABLE``: page-locked for every context of the process, ONNX Runtime's included."""
NON_BLOCKING = 1
"""``CU_STREAM_NON_BLOCKING``: does not wait for the default stream, nor does that one wait for it."""


class Stream(Protocol):
    """Copies in the order in which they were asked for; arrays must be contiguous and stay alive until :meth:`wait`."""

    def upload(self, address: int, source: NDArray[Any]) -> None:
        """Start to copy ``source`` to a device address."""
        ...

    def download(self, target: NDArray[Any], address: int) -> None:
        """Start to fill ``target`` from a device address."""
        ...

    def wait(self) -> None:
        """Return when everything asked for is done."""
        ...


class Memory(Protocol):
    """Where a device's inputs and outputs wait on the host, and how they get there."""

    pinned: bool

    def host(self, shape: Sequence[int], dtype: DTypeLike) -> NDArray[Any]:
        """A zeroed array that the device reaches as fast as it can."""
        ...

    def stream(self) -> Stream:
        """A queue of copies of its own."""
        ...


class HostMemory:
    """The CPU as its own device, where a copy is done when the call returns. What tests use in place of a card."""

    pinned = False

    def host(self, shape: Sequence[int], dtype: DTypeLike) -> NDArray[Any]:
        """An ordinary array."""
        return np.zeros(shape, dtype)

    def stream(self) -> Stream:
        """A queue that never is longer than one."""
        return _HostStream()


class _HostStream:
    def upload(self, address: int, source: NDArray[Any]) -> None:
        ctypes.memmove(address, source.ctypes.data, source.nbytes)

    def download(self, target: NDArray[Any], address: int) -> None:
        ctypes.memmove(target.ctypes.data, address, target.nbytes)

    def wait(self) -> None:
        pass


class CudaMemory:
    """One card, through the NVIDIA driver's library; in the primary context, which ONNX Runtime uses too.

    Args:
        card: Number of the card, as ONNX Runtime counts.
        driver: The driver's library; ``None`` = load it.

    Attributes:
        pinned: Whether all memory given out is page-locked: the system may refuse (``ulimit -l``), which costs speed.

    Raises:
        ModelError: The driver is not there or refuses the card.
    """

    def __init__(self, card: int, *, driver: Any = None) -> None:
        try:
            self._driver = ctypes.CDLL(DRIVER) if driver is None else driver
        except OSError as error:
            raise ModelError(f"card {card}", f"no NVIDIA driver ({error})", "see `masktrail doctor`") from error
        self._card = card
        self.pinned = True
        device, self._context = ctypes.c_int(), ctypes.c_void_p()
        self.call("cuInit", ctypes.c_uint(0))
        self.call("cuDeviceGet", ctypes.byref(device), ctypes.c_int(card))
        self.call("cuDevicePrimaryCtxRetain", ctypes.byref(self._context), device)

    def host(self, shape: Sequence[int], dtype: DTypeLike) -> NDArray[Any]:
        """A page-locked array; an ordinary one, and ``pinned`` false from then on, where the system refuses."""
        size = math.prod(shape) * np.dtype(dtype).itemsize
        pointer = ctypes.c_void_p()
        self.enter()
        status = self._driver.cuMemHostAlloc(ctypes.byref(pointer), ctypes.c_size_t(size), ctypes.c_uint(PORTABLE))
        if status or not pointer.value:
            self.pinned = False
            return np.zeros(shape, dtype)
        block = (ctypes.c_uint8 * size).from_address(pointer.value)
        weakref.finalize(block, self._free, "cuMemFreeHost", pointer).atexit = False
        array = np.frombuffer(memoryview(block), np.dtype(dtype)).reshape(shape)  # holds the block
        array[...] = 0
        return array

    def stream(self) -> Stream:
        """A stream of the card's."""
        handle = ctypes.c_void_p()
        self.enter()
        self.call("cuStreamCreate", ctypes.byref(handle), ctypes.c_uint(NON_BLOCKING))
        stream = _CudaStream(self, handle)
        weakref.finalize(stream, self._free, "cuStreamDestroy_v2", handle).atexit = False
        return stream

    def enter(self) -> None:
        """Make the card's context the calling thread's; under a microsecond where it is already."""
        self.call("cuCtxSetCurrent", self._context)

    def call(self, function: str, *arguments: Any) -> None:
        """One function of the driver; its complaint as an error."""
        status = getattr(self._driver, function)(*arguments)
        if status:
            name = ctypes.c_char_p()
            self._driver.cuGetErrorName(status, ctypes.byref(name))
            what = name.value.decode() if name.value else "unknown"
            problem = f"{function} failed with {what} ({status})"
            raise ModelError(f"card {self._card}", problem, "see `nvidia-smi` for memory and health of the card")

    def _free(self, function: str, handle: ctypes.c_void_p) -> None:
        self._driver.cuCtxSetCurrent(self._context)
        getattr(self._driver, function)(handle)


class _CudaStream:
    def __init__(self, memory: CudaMemory, handle: ctypes.c_void_p) -> None:
        self._memory, self._handle = memory, handle

    def upload(self, address: int, source: NDArray[Any]) -> None:
        self._copy("cuMemcpyHtoDAsync_v2", ctypes.c_uint64(address), ctypes.c_void_p(source.ctypes.data), source.nbytes)

    def download(self, target: NDArray[Any], address: int) -> None:
        self._copy("cuMemcpyDtoHAsync_v2", ctypes.c_void_p(target.ctypes.data), ctypes.c_uint64(address), target.nbytes)

    def wait(self) -> None:
        self._memory.enter()
        self._memory.call("cuStreamSynchronize", self._handle)

    def _copy(self, function: str, target: Any, source: Any, size: int) -> None:
        self._memory.enter()
        self._memory.call(function, target, source, ctypes.c_size_t(size), self._handle)
