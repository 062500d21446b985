"""The few calls of the CUDA driver that an engine needs, through ctypes: no CUDA toolkit has to be installed.

Knows the driver's interface (CUDA Driver API, version 11 and later). Does not know engines or tensors.
"""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emer_edge.errors import DeviceError

_LIBRARY = "libcuda.so.1"
_MAJOR, _MINOR = 75, 76  # CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR and _MINOR


class Cuda:
    """The first GPU, its primary context and a stream. Any thread may call.

    Raises:
        DeviceError: there is no driver or no GPU.
    """

    def __init__(self) -> None:
        try:
            self._lib: Any = ctypes.CDLL(_LIBRARY)
        except OSError as error:
            raise DeviceError(
                "There is no NVIDIA GPU here.", str(error), "Install the driver, or use the device cpu."
            ) from error
        self._call("cuInit", 0)
        device = ctypes.c_int()
        self._call("cuDeviceGet", ctypes.byref(device), 0)
        self._device = device
        self._context = ctypes.c_void_p()
        self._stream = ctypes.c_void_p()

    @property
    def architecture(self) -> str:
        """`sm86` for compute capability 8.6."""
        return f"sm{self._attribute(_MAJOR)}{self._attribute(_MINOR)}"

    @property
    def driver(self) -> str:
        """The newest CUDA version that the driver knows: `12.8`."""
        found = ctypes.c_int()
        self._call("cuDriverGetVersion", ctypes.byref(found))
        return f"{found.value // 1000}.{found.value % 1000 // 10}"

    def _attribute(self, which: int) -> int:
        found = ctypes.c_int()
        self._call("cuDeviceGetAttribute", ctypes.byref(found), which, self._device)
        return found.value

    @property
    def stream(self) -> int:
        """Handle of the stream, made with the context on first use."""
        self.enter()
        if not self._stream:
            self._call("cuStreamCreate", ctypes.byref(self._stream), 0)
        return int(self._stream.value or 0)

    def enter(self) -> None:
        """Make the context that of the calling thread; every thread has to."""
        if not self._context:
            self._call("cuDevicePrimaryCtxRetain", ctypes.byref(self._context), self._device)
        self._call("cuCtxSetCurrent", self._context)

    def allocate(self, size_bytes: int) -> int:
        """Memory on the GPU; give it back with `free`."""
        self.enter()
        found = ctypes.c_void_p()
        self._call("cuMemAlloc_v2", ctypes.byref(found), ctypes.c_size_t(size_bytes))
        return int(found.value or 0)

    def free(self, address: int) -> None:
        """Give memory back."""
        self.enter()
        self._call("cuMemFree_v2", ctypes.c_void_p(address))

    def upload(self, array: NDArray[Any], address: int) -> None:
        """Copy a contiguous array to the GPU."""
        source = ctypes.c_void_p(array.ctypes.data)
        self._call("cuMemcpyHtoD_v2", ctypes.c_void_p(address), source, ctypes.c_size_t(array.nbytes))

    def download(self, address: int, shape: tuple[int, ...], dtype: str) -> NDArray[Any]:
        """Copy an array from the GPU, once the stream has done its work."""
        self._call("cuStreamSynchronize", self._stream)
        array = np.empty(shape, dtype)
        target = ctypes.c_void_p(array.ctypes.data)
        self._call("cuMemcpyDtoH_v2", target, ctypes.c_void_p(address), ctypes.c_size_t(array.nbytes))
        return array

    def close(self) -> None:
        """Give the stream and the context back."""
        if self._stream:
            self._call("cuStreamDestroy_v2", self._stream)
        if self._context:
            self._call("cuDevicePrimaryCtxRelease_v2", self._device)
        self._stream, self._context = ctypes.c_void_p(), ctypes.c_void_p()

    def _call(self, name: str, *arguments: Any) -> None:
        code = getattr(self._lib, name)(*arguments)
        if code:
            text = ctypes.c_char_p()
            self._lib.cuGetErrorString(code, ctypes.byref(text))
            why = (text.value or b"").decode("utf-8", "replace")
            raise DeviceError("The GPU can't be used.", f"{name} gave {code}: {why or 'unknown error'}.")
