"""Reads safetensors files: a JSON header, then numbers. Knows the format, not what the tensors are for.

Format: https://github.com/huggingface/safetensors#format.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emer_edge.errors import LimitError, PackError
from emer_edge.strict_json import StrictJsonError, parse_json

_HEADER_BYTES = 1024**2
_FILE_BYTES = 2 * 1024**3
_ITEM_BYTES = {"F32": 4, "F16": 2, "BF16": 2}


@dataclass(frozen=True, slots=True)
class TensorPlace:
    """Where one tensor lies."""

    dtype: str
    """F32, F16 or BF16."""
    shape: tuple[int, ...]
    start: int
    """First byte, counted from the end of the header."""
    end: int


def read_safetensors(path: Path) -> dict[str, NDArray[np.float32]]:
    """All tensors of a file.

    Returns:
        name -> float32, C-contiguous and aligned; F16 and BF16 are widened.

    Raises:
        PackError: the file can't be read or its header lies.
        LimitError: it is larger than 2 GiB.
    """
    data = _read(path)
    places, offset = _parse(data, len(data), path.name)
    return {name: _widen(data, place, offset) for name, place in places.items()}


def check_safetensors(path: Path) -> dict[str, TensorPlace]:
    """The tensors of a file and where they lie, without reading them. Raises as `read_safetensors`."""
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            head = file.read(8 + _HEADER_BYTES)
    except OSError as error:
        raise _broken(path.name, error.strerror or str(error)) from error
    return _parse(head, size, path.name)[0]


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            data = file.read(_FILE_BYTES + 1)
    except OSError as error:
        raise _broken(path.name, error.strerror or str(error)) from error
    if len(data) > _FILE_BYTES:
        raise LimitError(f"{path.name} is too large.", f"More than {_FILE_BYTES} bytes.")
    return data


def _parse(head: bytes, file_bytes: int, name: str) -> tuple[dict[str, TensorPlace], int]:
    if file_bytes < 8 or len(head) < 8:
        raise _broken(name, "it is shorter than its header's length")
    length = int.from_bytes(head[:8], "little")
    if length > min(_HEADER_BYTES, file_bytes - 8):
        raise _broken(name, f"its header claims {length} bytes")
    try:
        header = parse_json(head[8 : 8 + length])
    except StrictJsonError as error:
        raise _broken(name, str(error)) from error
    if not isinstance(header, dict):
        raise _broken(name, "its header is no object")
    header.pop("__metadata__", None)
    places = {key: _place(key, entry, name) for key, entry in header.items()}
    # The format allows neither holes nor overlaps: sorted by start, each begins where the last one ended.
    end = 0
    for key, place in sorted(places.items(), key=lambda item: (item[1].start, item[1].end)):
        if place.start != end:
            raise _broken(name, f"{key} does not begin where the tensor before it ends")
        end = place.end
    if 8 + length + end != file_bytes:
        raise _broken(name, "its tensors do not fill it")
    return places, 8 + length


def _place(key: str, entry: Any, name: str) -> TensorPlace:
    if not isinstance(entry, dict) or set(entry) != {"dtype", "shape", "data_offsets"}:
        raise _broken(name, f"{key} is not described by dtype, shape and data_offsets")
    dtype, shape, offsets = entry["dtype"], entry["shape"], entry["data_offsets"]
    if not isinstance(dtype, str) or dtype not in _ITEM_BYTES:
        raise _broken(name, f"{key} has the type {dtype!r}; F32, F16 and BF16 can be read")
    if not _whole_numbers(shape) or len(shape) > 8 or 0 in shape:
        raise _broken(name, f"{key} has no proper shape")
    if not _whole_numbers(offsets) or len(offsets) != 2 or offsets[0] > offsets[1]:
        raise _broken(name, f"{key} has no proper offsets")
    if offsets[1] - offsets[0] != math.prod(shape) * _ITEM_BYTES[dtype]:
        raise _broken(name, f"{key} has another size than its shape says")
    return TensorPlace(dtype, tuple(shape), offsets[0], offsets[1])


def _whole_numbers(values: Any) -> bool:
    return isinstance(values, list) and all(
        isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**48 for value in values
    )


def _widen(data: bytes, place: TensorPlace, offset: int) -> NDArray[np.float32]:
    stored = {"F32": "<f4", "F16": "<f2", "BF16": "<u2"}[place.dtype]
    flat = np.frombuffer(data, stored, math.prod(place.shape), offset + place.start)
    if place.dtype == "BF16":  # the upper half of a float32
        flat = (flat.astype("<u4") << 16).view("<f4")
    return np.require(flat.astype(np.float32, copy=False).reshape(place.shape), requirements=["C", "A"])


def _broken(name: str, why: str) -> PackError:
    return PackError(f"{name} is not a sound safetensors file.", why, "Fetch or export the pack again.")
