"""Mutates the files of a stub pack and opens them: only errors of the family may come out, and no memory go.

Run: python tests/fuzz/fuzz_gguf.py --rounds 20000 --seed 1
"""

from __future__ import annotations

import argparse
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[2]))

from emer_edge import _core
from emer_edge.errors import EmerError
from emer_edge.limits import Limits
from emer_edge.packs.onnx_wire import check_onnx
from emer_edge.safetensors import read_safetensors
from tests.data.make_pack import make_stub_pack

_LIMITS = asdict(Limits())
_WORTHY = np.array([0, 1, 2, 7, 8, 9, 0x7F, 0x80, 0xFE, 0xFF], np.uint8)


def _open_gguf(path: Path) -> None:
    _core.gguf_header(str(path), _LIMITS)
    table = _core.EmbeddingTable(str(path))
    table.rows(np.array([0, table.n_rows - 1], np.int32))


def _open_fusion(path: Path) -> None:
    _core.Fusion("attention", read_safetensors(path))


def _mutate(sound: bytes, random: np.random.Generator) -> bytes:
    data = np.frombuffer(sound, np.uint8).copy()
    reach = len(data) if random.random() < 0.2 else min(len(data), 9000)  # headers are where lies matter
    for _ in range(random.integers(1, 6)):
        at = int(random.integers(0, reach))
        run = 8 if random.random() < 0.2 else 1
        data[at : at + run] = random.choice(_WORTHY) if random.random() < 0.7 else random.integers(0, 256)
    cut = random.random()
    if cut < 0.1:
        data = data[: random.integers(0, len(data))]
    elif cut < 0.15:
        at, length = random.integers(0, reach, 2)
        data = np.concatenate([data[:at], data[at : at + length], data[at:]])
    return data.tobytes()


def main() -> int:
    """Fuzz; exit 1 when something else than an error of ours came out, or memory grew."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    random = np.random.default_rng(options.seed)
    opened = refused = strange = 0
    warm_kib = 0
    start = time.perf_counter()
    with tempfile.TemporaryDirectory() as name:
        folder = make_stub_pack(Path(name), quantisation="Q8_0")
        doors: list[tuple[bytes, Callable[[Path], None]]] = [
            ((folder / "llm.Q8_0.gguf").read_bytes(), _open_gguf),
            ((folder / "llm.Q8_0.gguf").read_bytes(), _open_gguf),
            ((folder / "vision.fp32.onnx").read_bytes(), check_onnx),
            ((folder / "fusion.safetensors").read_bytes(), _open_fusion),
        ]
        mutant = folder / "mutant"
        for index in range(options.rounds):
            sound, door = doors[index % len(doors)]
            data = _mutate(sound, random)
            mutant.write_bytes(data)
            try:
                door(mutant)
                opened += 1
            except (EmerError, _core.CoreError):
                refused += 1
            except Exception as error:
                strange += 1
                print(f"round {index}: {door.__name__}: {type(error).__name__}: {error}", file=sys.stderr)
            if index == options.rounds // 10:
                warm_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    growth_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - warm_kib
    seconds = time.perf_counter() - start
    print(
        f"{options.rounds} mutants in {seconds:.1f} s: {opened} opened, {refused} refused, {strange} strange,"
        f" {growth_kib} KiB more at the peak"
    )
    return int(strange > 0 or growth_kib > 16 * 1024)


if __name__ == "__main__":
    raise SystemExit(main())
