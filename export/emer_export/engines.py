"""Compiled encoders as artefacts of a pack, and what its manifest says about them.

Knows which graph of a pack is compiled and where the result goes. Does not know TensorRT.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from emer_edge.errors import InputError
from emer_edge.packs.engine_section import graph_sha256
from emer_export.artefacts import Artefact, Report, Row
from emer_export.graph_files import data_path
from emer_export.pack import describe_file
from emer_export.tensorrt import Target, build_engine, find_target

if TYPE_CHECKING:
    from emer_export.manifests import Wish

_PRECISIONS = ("fp16", "fp32")
"""What can be compiled, the better one first: no operator of theirs scales activations while it runs."""


def engine_artefacts(manifest: Mapping[str, Any], wish: Wish, graphs: Sequence[Artefact]) -> list[Artefact]:
    """One engine for each encoder and each wish, made from the fp16 graph where the pack has one.

    Raises:
        InputError: neither fp16 nor fp32 is among the precisions, or an unknown architecture. DeviceError:
        the library is not installed, or the GPU that it asks for is not there.
    """
    if not wish.engines:
        return []
    precision = next((name for name in _PRECISIONS if name in wish.precisions), None)
    if precision is None:
        raise InputError(
            "Engines are compiled from fp16 or fp32.",
            f"The pack is to hold {', '.join(wish.precisions)}.",
            "Add fp16 to --precision.",
        )
    sizes = {graph.path: graph.size_bytes for graph in graphs}
    made = []
    for one in wish.engines:
        target = find_target(one)
        for part in ("vision", "audio"):
            source = manifest["encoders"][part]["files"][precision]["path"]
            made.append(_artefact(part, precision, source, sizes[source], target))
    return made


def _artefact(part: str, precision: str, source: str, size_bytes: int, target: Target) -> Artefact:
    def make(to: Path, report: Report) -> Row:
        graph = to.parent / source
        seconds = build_engine(graph, to, target, lambda share: report(to.name, share))
        files = [file for file in (graph, data_path(graph)) if file.is_file()]
        digest = graph_sha256(*(str(describe_file(to.parent, file)["sha256"]) for file in files))
        key = {"encoder": part, "precision": precision, "onnx_sha256": digest, **asdict(target)}
        return {"engine": key, "build_seconds": seconds}

    path = f"{part}.{precision}.{target.library}.engine"
    seconds = 5 + 100 * size_bytes / 1e9
    return Artefact(
        path,
        size_bytes,
        make,
        source=source,
        seconds=seconds,
        stamp=json.dumps(asdict(target), sort_keys=True),
    )


def with_engines(manifest: Mapping[str, Any], done: Sequence[Row]) -> dict[str, Any]:
    """The manifest with the engines that are among the finished files, and what building them took."""
    found = [row for row in done if "engine" in row.get("facts", {})]
    if not found:
        return dict(manifest)
    rows = [{**row["facts"]["engine"], "path": row["path"]} for row in found]
    took = {
        row["path"]: {"size_bytes": row["size_bytes"], "build_seconds": row["facts"]["build_seconds"]}
        for row in found
    }
    return {**manifest, "engines": rows, "evaluation": {**manifest["evaluation"], "engines": took}}
