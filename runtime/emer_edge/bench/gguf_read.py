"""The sizes of a language model from its GGUF header. Knows llama.cpp's key and tensor names, no weights."""

from __future__ import annotations

import math
from dataclasses import asdict
from pathlib import Path
from typing import Any

from emer_edge import _core
from emer_edge.bench.costs import LlmShape
from emer_edge.errors import PackError
from emer_edge.limits import Limits


def read_llm(path: Path, limits: Limits) -> LlmShape:
    """The shape of the model; see `costs.llm_shape`."""
    try:
        header = _core.gguf_header(str(path), asdict(limits))
    except _core.CoreError as error:
        raise PackError(f"{path.name} can't be read.", ": ".join(error.args[1:])) from error
    metadata, tensors = header["metadata"], header["tensors"]
    kind = str(metadata.get("general.architecture", ""))

    def number(key: str, default: int | None = None) -> int:
        value = metadata.get(f"{kind}.{key}", default)
        if not isinstance(value, int):
            raise PackError(f"{path.name} does not tell {kind}.{key}.")
        return value

    table = tensors.get("token_embd.weight")
    if table is None:
        raise PackError(f"{path.name} has no token table.")
    head = tensors.get("output.weight", table)
    blocks = [tensor for name, tensor in tensors.items() if name.startswith("blk.")]
    heads, width = number("attention.head_count"), number("embedding_length")
    length = number("attention.key_length", width // heads)
    return LlmShape(
        layers=number("block_count"),
        heads=heads,
        kv_heads=number("attention.head_count_kv", heads),
        key_length=length,
        value_length=number("attention.value_length", length),
        n_embd=width,
        n_vocab=int(table["shape"][1]),
        block_bytes=sum(int(tensor["size_bytes"]) for tensor in blocks),
        block_items=sum(math.prod(tensor["shape"]) for tensor in blocks),
        head_bytes=int(head["size_bytes"]),
        head_items=math.prod(head["shape"]),
        table_bytes=int(table["size_bytes"]),
        precision=_main_type(blocks),
        feed_forward=number("feed_forward_length", 4 * width),
        file_bytes=int(header["file_bytes"]),
        tied="output.weight" not in tensors,
    )


def _main_type(tensors: list[dict[str, Any]]) -> str:
    """The type that holds most of the weights."""
    bytes_of: dict[str, int] = {}
    for tensor in tensors:
        bytes_of[tensor["type"]] = bytes_of.get(tensor["type"], 0) + int(tensor["size_bytes"])
    return max(bytes_of, key=lambda name: bytes_of[name], default="F32")
