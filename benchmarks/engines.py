"""Compiles the encoders of a pack ahead of time and says keys, sizes, seconds and peak memory.

Usage: python -m benchmarks.engines PACK [--for sm86,sm89,sm120] [--apart]

Knows `emer_export.tensorrt`. Each engine is compiled in a process of its own.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path

from emer_edge.limits import Limits
from emer_edge.packs.verify import verify_pack
from emer_export.tensorrt import EngineWish, build_engine, find_target


def one(graph: Path, architectures: tuple[str, ...]) -> None:
    """Compile one graph and print a row."""
    target = find_target(EngineWish("tensorrt-rtx", architectures))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "x.engine"
        seconds = build_engine(graph, path, target, lambda _share: None)
        size = path.stat().st_size
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    row = {"graph": graph.name, **asdict(target), "graph_mb": round(graph.stat().st_size / 1e6, 1)}
    row |= {"engine_mb": round(size / 1e6, 1), "seconds": round(seconds, 1), "peak_mb": round(peak / 1024)}
    print(json.dumps(row), flush=True)


def main() -> int:
    """All encoders of a pack, for all architectures at once or apart."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("pack", type=Path)
    parser.add_argument("--for", dest="wanted", default="sm86,sm89,sm120")
    parser.add_argument("--apart", action="store_true", help="one engine for each architecture")
    options = parser.parse_args()
    if options.pack.is_file():
        one(options.pack, tuple(options.wanted.split(",")))
        return 0
    manifest = verify_pack(options.pack, Limits(), hashes=False)
    wishes = options.wanted.split(",") if options.apart else [options.wanted]
    for spec in (manifest.encoders.vision, manifest.encoders.audio):
        precision = "fp16" if "fp16" in spec.files else "fp32"
        for wanted in wishes:
            graph = options.pack / spec.files[precision].path
            command = [sys.executable, "-m", "benchmarks.engines", str(graph), "--for", wanted]
            subprocess.run(command, check=True)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
