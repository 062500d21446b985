"""Exports the picture tower of AffectGPT 2023 at its published size: seconds and memory of every step.

Usage: python -m benchmarks.export_tower FOLDER [--precision fp32,fp16,int8] [--threads 1]

EVA-ViT-g with BLIP-2's Q-Former and Video-LLaMA's behind it, 1.1 B random weights: too many for one file.
Each step runs in a process of its own. Knows the tower's sizes and the exporter's artefacts. Does not know
the other parts of that family; random weights say nothing about emotions.
"""

from __future__ import annotations

import argparse
import json
import os
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

FRAMES, SIDE, QUERIES, MODEL_DIM = 8, 224, 32, 4096
CHECKPOINT = "tower.pth"


def sizes() -> dict[str, Any]:
    """What the published files of the family hold (LAVIS' EVA-ViT-g and BLIP-2, Video-LLaMA on Vicuna 7B)."""
    from emer_export.graphs.eva_vit import EvaSizes
    from emer_export.graphs.qformer import QFormerSizes

    return {
        "eva": EvaSizes(width=1408, depth=39, heads=16, inner=6144, patch=14, tokens=257),
        "image": QFormerSizes(width=768, layers=12, heads=12, inner=3072, reads=1408, cross_every=2),
        "video": QFormerSizes(width=768, layers=2, heads=12, inner=3072, reads=768, cross_every=1),
        "counts": (QUERIES, QUERIES, 32),
        "model": MODEL_DIM,
    }


def measure(step: str, work: Callable[[], dict[str, Any]]) -> None:
    """Run one step in a forked process and print its row; ends everything where it fails."""
    began = time.perf_counter()
    reader, writer = os.pipe()
    process = os.fork()
    if process == 0:
        code = 1
        try:
            os.write(writer, json.dumps(work()).encode())
            code = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(code)
    os.close(writer)
    with os.fdopen(reader) as told:
        said = told.read()
    _, status, usage = os.wait4(process, 0)
    if status:
        raise SystemExit(f"{step} failed")
    row = {
        "step": step,
        "seconds": round(time.perf_counter() - began, 1),
        "cpu_seconds": round(usage.ru_utime + usage.ru_stime, 1),
        "peak_resident_mb": round(usage.ru_maxrss / 1024),
    }
    print(json.dumps({**row, **json.loads(said)}), flush=True)


def write_weights(folder: Path) -> dict[str, Any]:
    """Random numbers under the tower's own names, scaled by what goes into each of them."""
    import torch

    from emer_export.graphs.emer_towers import EmerVision

    with torch.device("meta"):
        shapes = {name: value.shape for name, value in EmerVision(**sizes()).state_dict().items()}
    torch.manual_seed(8)
    state = {}
    for name, shape in shapes.items():
        scale = 0.05 if len(shape) < 2 else 0.6 * shape[1:].numel() ** -0.5
        state[name] = torch.randn(shape) * scale + (1.0 if "norm" in name.lower() and "weight" in name else 0)
    torch.save(state, folder / CHECKPOINT)
    return {"items": sum(value.numel() for value in state.values())}


def _source(folder: Path) -> Any:
    from emer_export.checkpoints import open_checkpoint
    from emer_export.graphs.emer_towers import EmerVision
    from emer_export.sources_emer import _tower

    return _tower(EmerVision, "frames", sizes(), open_checkpoint(folder / CHECKPOINT), 0)


def export(folder: Path, precision: str) -> dict[str, Any]:
    """One artefact as `emer-edge export` makes it."""
    from emer_export.encoder_artefacts import encoder_artefacts
    from emer_export.graph_files import data_path
    from emer_export.manifests import Wish, encoder_path

    wish = Wish(name="tower", precisions=tuple({"fp32": 0, precision: 0}), quantisations=("Q8_0",))
    manifest = {"encoders": {"vision": {"default": "fp32", "files": {"fp32": {"input": _tensors()[0]}}}}}
    made = encoder_artefacts("vision", _source(folder), wish, manifest)
    path = folder / encoder_path("vision", precision)
    next(artefact for artefact in made if artefact.path == path.name).make(path, lambda *_: None)
    return {file.name: file.stat().st_size for file in (path, data_path(path)) if file.exists()}


def _tensors() -> tuple[dict[str, Any], dict[str, Any]]:
    taken = {"name": "frames", "dtype": "float32", "shape": [FRAMES, 3, SIDE, SIDE]}
    return taken, {"name": "embeddings", "dtype": "float32", "shape": [QUERIES, MODEL_DIM]}


def _frames() -> Any:
    import numpy as np

    return np.random.default_rng(5).standard_normal((FRAMES, 3, SIDE, SIDE)).astype(np.float32)


def run_torch(folder: Path, threads: int) -> dict[str, Any]:
    """The tower in float32 torch, on one clip; what comes out is kept for `run`."""
    import numpy as np
    import torch

    torch.set_num_threads(threads)
    module = _source(folder).load()
    began = time.perf_counter()
    with torch.inference_mode():
        np.save(folder / "torch.npy", module(torch.from_numpy(_frames())).numpy())
    return {"run_seconds": round(time.perf_counter() - began, 1)}


def run(folder: Path, precision: str, threads: int) -> dict[str, Any]:
    """The graph as the runtime checks, loads and runs it, on the same clip."""
    import numpy as np

    from emer_edge.encoders.base import TensorPair, TensorSpec
    from emer_edge.encoders.onnx import OnnxEncoder
    from emer_edge.packs.onnx_wire import DataFile, check_onnx
    from emer_edge.strays import stray

    path = folder / f"vision.{precision}.onnx"
    data = path.with_name(f"{path.name}.data")
    check_onnx(path, DataFile(data.name, data.stat().st_size) if data.exists() else None)
    taken, given = (TensorSpec(one["name"], one["dtype"], tuple(one["shape"])) for one in _tensors())
    began = time.perf_counter()
    encoder = OnnxEncoder(path, TensorPair(taken, given, whole=True), threads=threads)
    loaded = time.perf_counter()
    found = encoder.encode(_frames())
    row = {"load_seconds": round(loaded - began, 1), "run_seconds": round(time.perf_counter() - loaded, 1)}
    expected = np.load(folder / "torch.npy")
    apart = stray(expected, found)
    pooled = stray(expected.mean(0), found.mean(0))
    return {
        **row,
        "relative_error": float(apart.relative_error),
        "cosine": float(apart.cosine),
        "pooled_cosine": float(pooled.cosine),
    }


def main() -> int:
    """Write, export, run and compare."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--precision", default="fp32,fp16,int8")
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    folder: Path = options.folder
    folder.mkdir(parents=True, exist_ok=True)
    os.environ["OMP_NUM_THREADS"] = str(options.threads)
    precisions = options.precision.split(",")
    if not (folder / CHECKPOINT).exists():
        measure("write weights", lambda: write_weights(folder))
    if not (folder / "torch.npy").exists():
        measure("torch", lambda: run_torch(folder, options.threads))
    for precision in precisions:
        measure(f"export {precision}", lambda: export(folder, precision))  # noqa: B023  # it runs at once
    for precision in precisions:
        measure(f"run {precision}", lambda: run(folder, precision, options.threads))  # noqa: B023
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
