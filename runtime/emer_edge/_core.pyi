"""The native part. Errors are CoreError(kind, what, why); arrays in must have the stated dtype and be C-contiguous."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

class CoreError(RuntimeError):
    args: tuple[str, str, str]

class CancelToken:
    def __init__(self) -> None: ...
    def cancel(self) -> None: ...
    @property
    def cancelled(self) -> bool: ...

# media
def decode_backend() -> dict[str, Any]: ...
def probe(path: str, limits: dict[str, Any]) -> dict[str, Any]: ...
def decode_frames(
    path: str, spec: dict[str, Any], limits: dict[str, Any], cancel: CancelToken | None = None
) -> dict[str, Any]: ...
def decode_audio(
    path: str, spec: dict[str, Any], limits: dict[str, Any], cancel: CancelToken | None = None
) -> dict[str, Any]: ...
def read_subtitles(
    path: str, stream_index: int, limits: dict[str, Any], cancel: CancelToken | None = None
) -> list[tuple[float, float, str]]: ...
def resize(pixels: NDArray[np.uint8], spec: dict[str, Any]) -> NDArray[Any]: ...
def warp_faces(
    pixels: NDArray[np.uint8],
    matrices: NDArray[np.float32],
    height: int,
    width: int,
    spec: dict[str, Any],
) -> NDArray[Any]: ...
