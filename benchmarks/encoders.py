"""A pack's encoders: ONNX Runtime in every precision beside OpenVINO on the same files and torch.

    python -m benchmarks.encoders --pack PACK [--models FOLDER] [--threads 2] [--json FILE]

One sample is one clip's worth: the frames and the sound windows that the pack declares, drawn from a seed of
its own. Each way lives in a process of its own; they take turns, the first call stands apart. Accuracy is
the relative distance |a - b| / |b| of the embeddings to the first way that is there: torch in float32 where
--models names the published folders (a Light-MER or AffectGPT), else ONNX Runtime's float32.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.environment import environment
from benchmarks.tables import figures_table
from benchmarks.trip import distance
from benchmarks.turns import Absent, Figures, Job, Peer, Stopwatch, Way, summary, take_turns

Run = Callable[[NDArray[Any]], NDArray[Any]]
PARTS = ("vision", "audio")
COLUMNS = (
    ("vision_ms", "vision, ms"),
    ("audio_ms", "audio, ms"),
    ("vision_cpu_ms", "vision, processor ms"),
    ("audio_cpu_ms", "audio, processor ms"),
    ("peak_megabytes", "peak, MB"),
)
_LIBRARIES = ("torch", "transformers", "openvino")


def job(make: Callable[..., dict[str, Run]], pack: Path, *settings: Any) -> Job:
    """What runs in the way's process: items are {"seed": n, "look": bool}."""
    shapes = input_shapes(pack)
    runs = make(pack, *settings)

    def run(item: dict[str, Any]) -> Figures:
        inputs = {part: drawn(shape, item["seed"]) for part, shape in shapes.items()}
        figures: Figures = {}
        for part, rows in inputs.items():
            watch = Stopwatch()
            out = runs[part](rows)
            figures |= watch.stop(part)
            if item["look"]:
                figures[part] = np.asarray(out, np.float32)
        return figures

    return run


def drawn(shape: tuple[int, ...], seed: int) -> NDArray[np.float32]:
    """Normalised input: numbers with mean 0 and variance 1, smooth along the last axis as signals are.

    >>> drawn((2, 8), 1).shape, bool(abs(drawn((2, 800), 1).std() - 1) < 1e-3)
    ((2, 8), True)
    """
    noise = np.random.default_rng(seed).standard_normal(shape).astype(np.float32)
    smooth = noise.copy()
    for step in (1, 2, 3):
        smooth += np.roll(noise, step, -1)
    return np.asarray((smooth - smooth.mean()) / smooth.std(), np.float32)


def input_shapes(pack: Path) -> dict[str, tuple[int, ...]]:
    """Shape of one clip's input, by part."""
    encoders = json.loads((pack / "manifest.json").read_text(encoding="utf-8"))["encoders"]
    return {part: tuple(encoders[part]["files"][_any(encoders[part])]["input"]["shape"]) for part in PARTS}


def _any(encoder: dict[str, Any]) -> str:
    return str(encoder["default"])


def _file(pack: Path, part: str, precision: str) -> tuple[Path, dict[str, Any]]:
    files = json.loads((pack / "manifest.json").read_text(encoding="utf-8"))["encoders"][part]["files"]
    if precision not in files:
        raise Absent(f"the pack has no {precision}")
    return pack / files[precision]["path"], files[precision]


def onnx_runtime(pack: Path, precision: str, threads: int) -> dict[str, Run]:
    """As the runtime runs them."""
    from emer_edge.encoders.base import TensorPair, TensorSpec
    from emer_edge.encoders.onnx import OnnxEncoder

    runs: dict[str, Run] = {}
    for part in PARTS:
        path, record = _file(pack, part, precision)
        specs = [
            TensorSpec(record[end]["name"], record[end]["dtype"], tuple(record[end]["shape"]))
            for end in ("input", "output")
        ]
        runs[part] = OnnxEncoder(path, TensorPair(specs[0], specs[1]), threads=threads).encode
    return runs


def openvino(pack: Path, precision: str, threads: int) -> dict[str, Run]:
    """The same files through OpenVINO's own plugin, asked for the least latency."""
    import openvino as ov

    core, runs = ov.Core(), {}
    settings = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_NUM_THREADS": threads}
    for part in PARTS:
        compiled = core.compile_model(str(_file(pack, part, precision)[0]), "CPU", settings)
        runs[part] = _first_output(compiled)
    return runs


def _first_output(compiled: Any) -> Run:
    request = compiled.create_infer_request()
    return lambda rows: np.array(next(iter(request.infer([rows]).values())))


def torch_way(pack: Path, models: Path, precision: str, compiled: bool, threads: int) -> dict[str, Run]:
    """transformers' CLIP and HuBERT, as the reference of `benchmarks.trip` runs them."""
    import torch

    from benchmarks.reference import Models, load_encoders

    torch.set_num_threads(threads)
    vision, audio = load_encoders(Models(models), getattr(torch, precision), compiled)

    def run(module: Any) -> Run:
        def call(rows: NDArray[Any]) -> NDArray[Any]:
            with torch.inference_mode():
                found: NDArray[Any] = module(torch.from_numpy(rows)).float().numpy()
            return found

        return call

    del pack
    return {"vision": run(vision), "audio": run(audio)}


def ways(options: argparse.Namespace) -> list[Way]:
    """Every way, the reference for accuracy first."""
    rows: list[Way] = []
    if options.models:
        for name, precision, compiled in (
            ("torch float32", "float32", False),
            ("torch.compile float32", "float32", True),
            ("torch bfloat16", "bfloat16", False),
        ):
            settings = (torch_way, options.pack, options.models, precision, compiled, options.threads)
            rows.append(Way(name, job, settings))
    for name, make in (("ONNX Runtime", onnx_runtime), ("OpenVINO", openvino)):
        for precision in ("fp32", "fp16", "int8"):
            rows.append(Way(f"{name} {precision}", job, (make, options.pack, precision, options.threads)))
    wanted = options.ways.split(",")
    return [row for row in rows if any(part in row.name for part in wanted)]


def run(options: argparse.Namespace) -> dict[str, Any]:
    """Look once, then take turns."""
    peers = [Peer(way) for way in ways(options)]
    try:
        there = [peer for peer in peers if not peer.absent]
        looks = {peer.name: peer.ask({"seed": 0, "look": True}) for peer in there}
        truth = next((look for look in looks.values() if "error" not in look), {})
        found = take_turns(there, [{"seed": seed, "look": False} for seed in range(1, options.samples + 2)])
        rows = {name: summary(samples) for name, samples in found.items()}
        for name, look in looks.items():
            if "error" not in look:
                rows[name]["apart"] = {part: distance(look[part], truth[part]) for part in PARTS}
        return {
            "benchmark": "encoders",
            "command": ["python", "-m", "benchmarks.encoders", *sys.argv[1:]],
            "environment": environment(_LIBRARIES),
            "pack": options.pack.name,
            "shapes": input_shapes(options.pack),
            "threads": options.threads,
            "columns": COLUMNS,
            "absent": {peer.name: peer.absent for peer in peers if peer.absent},
            "started": {peer.name: peer.start for peer in there},
            "peers": rows,
        }
    finally:
        for peer in peers:
            peer.close()


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--pack", type=Path, required=True)
    parser.add_argument("--models", type=Path)
    parser.add_argument("--ways", default="", help="only ways whose name holds one of these, by commas")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--samples", type=int, default=7)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    report = run(options)
    print(figures_table(report["peers"], COLUMNS, 1))
    for name, row in report["peers"].items():
        print(name, row.get("apart", row.get("error")))
    for name, why in report["absent"].items():
        print(f"absent: {name}: {why}")
    if options.json:
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
