"""The manifest's `engines`: encoders compiled for certain GPUs, each with the key under which it is loaded.

Knows what a key says and that it names a graph of the same pack. Does not know TensorRT or the machine.
"""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING, Literal

from emer_edge.errors import PackError
from emer_edge.packs.fields import KEY, Fields
from emer_edge.packs.records import EngineSpec

if TYPE_CHECKING:
    from emer_edge.packs.records import Manifest

_MOST = 64
_VERSION = re.compile(r"[0-9]{1,5}(\.[0-9]{1,6}){1,4}")
_DRIVER = re.compile(r"([0-9]{1,3}\.[0-9]{1,3})?")
_ARCHITECTURE = re.compile(r"sm[0-9]{2,3}")
_SHA256 = re.compile(r"[0-9a-f]{64}")


def engines(top: Fields) -> tuple[EngineSpec, ...]:
    """`engines`, which may be absent."""
    if not top.has("engines"):
        return ()
    return top.items("engines", 0, _MOST, lambda at, item: _engine(Fields(item, at)))


def _engine(fields: Fields) -> EngineSpec:
    encoder: Literal["vision", "audio"] = fields.choice("encoder", ("vision", "audio"))
    library: Literal["tensorrt", "tensorrt-rtx"] = fields.choice("library", ("tensorrt", "tensorrt-rtx"))
    engine = EngineSpec(
        encoder=encoder,
        precision=fields.text("precision", most=32, pattern=KEY),
        path=fields.path("path", ".engine"),
        onnx_sha256=fields.text("onnx_sha256", most=64, pattern=_SHA256),
        library=library,
        version=fields.text("version", most=40, pattern=_VERSION),
        architectures=fields.items(
            "architectures",
            1,
            16,
            lambda at, value: fields.as_text(at, value, most=8, pattern=_ARCHITECTURE),
        ),
        driver=fields.text("driver", most=8, pattern=_DRIVER),
    )
    fields.done()
    return engine


def graph_sha256(graph: str, data: str = "") -> str:
    """What an engine's key says of its graph: the graph's own SHA-256, or of one with data one of both files.

    The hash of a graph alone does not tell which weights lie beside it.

    >>> graph_sha256("ab")
    'ab'
    >>> graph_sha256("ab", "cd")[:8]
    'b09c5477'
    """
    return hashlib.sha256(f"{graph} {data}".encode()).hexdigest() if data else graph


def check_engines(manifest: Manifest) -> None:
    """Refuse an engine of a graph that is not in the pack, or is another by now."""
    hashes = {file.path: file.sha256 for file in manifest.files}
    for engine in manifest.engines:
        graph = getattr(manifest.encoders, engine.encoder).files.get(engine.precision)
        if graph is None or graph_sha256(*(hashes[path] for path in graph.paths)) != engine.onnx_sha256:
            raise PackError(
                f"The manifest is not valid: {engine.path} was compiled from another graph.",
                f"It names {engine.encoder} {engine.precision}, SHA-256 {engine.onnx_sha256[:12]}...",
                "Export the pack again.",
            )
