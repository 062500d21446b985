"""The fusion against the formulas in plain NumPy, in double precision, and what it refuses."""

from __future__ import annotations

import json
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from safetensors.numpy import save_file

from emer_edge import _core
from emer_edge.errors import InputError, PackError
from emer_edge.fusion import Fusion
from emer_edge.safetensors import read_safetensors
from tests.data.make_pack import fusion_tensors

Doubles = NDArray[np.float64]


@dataclass(frozen=True)
class Shape:
    kind: str
    vision_dim: int
    audio_dim: int
    model_dim: int


def reference(
    tensors: dict[str, NDArray[np.float32]], kind: str, vision: Doubles, audio: Doubles
) -> dict[str, Doubles]:
    def linear(name: str, x: Doubles) -> Doubles:
        out: Doubles = x @ tensors[f"{name}.weight"].astype(np.float64).T + tensors[f"{name}.bias"]
        return out

    def pool(name: str, h: Doubles) -> Doubles:
        scores = np.full((len(h), 1), 1 / len(h)) if kind == "mean" else linear(name, h)
        out: Doubles = (scores * h).sum(axis=0)
        return out

    v = linear("multi_video_embs", vision.mean(axis=0))
    a = linear("multi_audio_embs", audio.mean(axis=0))
    gates = np.array([0.5, 0.5])
    if kind == "attention":
        gates = linear("fc_att", linear("attention_mlp", np.concatenate([v, a])))
    return {
        "multi": linear("multi_llama_proj", gates[0] * v + gates[1] * a),
        "audio": linear("audio_llama_proj", pool("audio_attention_mlp", audio)),
        "vision": linear("affectgpt_proj", pool("video_attention_mlp", vision)),
    }


@pytest.mark.parametrize("kind", ["attention", "mean"])
@pytest.mark.parametrize(
    ("vision_dim", "audio_dim", "model_dim", "seen", "heard"),
    [(16, 16, 64, 8, 8), (128, 96, 256, 8, 3), (7, 13, 5, 1, 30), (512, 768, 1024, 8, 8)],
)
def test_fusion_equals_the_formulas(
    kind: str, vision_dim: int, audio_dim: int, model_dim: int, seen: int, heard: int
) -> None:
    random = np.random.default_rng(3)
    tensors = fusion_tensors(
        random, kind=kind, vision_dim=vision_dim, audio_dim=audio_dim, model_dim=model_dim
    )
    fusion = Fusion(kind, tensors)
    assert (fusion.vision_dim, fusion.audio_dim, fusion.model_dim) == (vision_dim, audio_dim, model_dim)
    for scale in (1.0, 30.0):
        vision = (random.standard_normal((seen, vision_dim)) * scale).astype(np.float32)
        audio = (random.standard_normal((heard, audio_dim)) * scale).astype(np.float32)
        got = fusion.fuse(vision, audio)
        expected = reference(tensors, kind, vision.astype(np.float64), audio.astype(np.float64))
        assert list(got) == ["multi", "audio", "vision"]
        for name, token in got.items():
            assert token.shape == (1, model_dim)
            assert token.dtype == np.float32
            largest = max(1.0, np.abs(expected[name]).max())
            assert np.abs(token[0] - expected[name]).max() <= 1e-5 * largest, name


def test_only_what_is_there_is_fused() -> None:
    fusion = Fusion("attention", fusion_tensors(np.random.default_rng(1)))
    rows = np.ones((8, 16), np.float32)
    assert list(fusion.fuse(rows, None)) == ["vision"]
    assert list(fusion.fuse(None, rows)) == ["audio"]
    assert fusion.fuse(None, None) == {}
    both = fusion.fuse(rows, rows)
    assert np.array_equal(both["vision"], fusion.fuse(rows, None)["vision"])
    assert np.array_equal(both["audio"], fusion.fuse(None, rows)["audio"])


def test_strided_embeddings_are_taken() -> None:
    fusion = Fusion("attention", fusion_tensors(np.random.default_rng(1)))
    wide = np.random.default_rng(2).standard_normal((8, 32)).astype(np.float32)
    got = fusion.fuse(wide[:, ::2], None)["vision"]
    assert np.array_equal(got, fusion.fuse(np.ascontiguousarray(wide[:, ::2]), None)["vision"])


@pytest.mark.parametrize(
    "rows",
    [
        np.ones((8, 15), np.float32),
        np.ones((0, 16), np.float32),
        np.ones(16, np.float32),
        np.ones((1, 8, 16), np.float32),
        np.ones((8, 16)),
        np.ones((8, 16), np.float16),
        np.full((8, 16), np.nan, np.float32),
        np.full((8, 16), np.inf, np.float32),
        [[1.0] * 16],
    ],
)
def test_bad_embeddings_are_refused(rows: NDArray[np.float32]) -> None:
    fusion = Fusion("attention", fusion_tensors(np.random.default_rng(1)))
    good = np.ones((8, 16), np.float32)
    for pair in ((rows, None), (None, rows), (rows, good), (good, rows)):
        with pytest.raises(InputError):
            fusion.fuse(*pair)


def test_the_native_part_refuses_by_itself() -> None:
    core = _core.Fusion("attention", fusion_tensors(np.random.default_rng(1)))
    for rows in (np.ones((8, 15), np.float32), np.ones((8, 16)), np.ones((16, 8), np.float32).T, "rows", 3):
        with pytest.raises(_core.CoreError):
            core.fuse(rows, None)  # type: ignore[arg-type]
    for tensors in ({"a": 1}, {"a": np.ones(3)}):
        with pytest.raises(_core.CoreError):
            _core.Fusion("attention", tensors)  # type: ignore[arg-type]


def test_bad_weights_are_refused() -> None:
    good = fusion_tensors(np.random.default_rng(1))
    with pytest.raises(PackError):
        Fusion("qformer", good)
    with pytest.raises(PackError):
        Fusion("mean", good)
    for name in good:
        with pytest.raises(PackError):
            Fusion("attention", {key: value for key, value in good.items() if key != name})
        with pytest.raises(PackError):
            Fusion("attention", good | {name: good[name].reshape(-1)[:-1]})
        with pytest.raises(PackError):
            Fusion("attention", good | {name: np.full_like(good[name], np.nan)})


def test_overflow_is_an_error_of_the_pack() -> None:
    fusion = Fusion("attention", fusion_tensors(np.random.default_rng(1)))
    with pytest.raises(PackError, match="not finite"):
        fusion.fuse(np.full((8, 16), 3e38, np.float32), None)


def test_weights_are_copied() -> None:
    tensors = fusion_tensors(np.random.default_rng(1))
    fusion = Fusion("attention", tensors)
    rows = np.ones((8, 16), np.float32)
    before = fusion.fuse(rows, rows)["multi"]
    for value in tensors.values():
        value[:] = 0
    assert np.array_equal(before, fusion.fuse(rows, rows)["multi"])


def test_many_threads_fuse_at_once() -> None:
    fusion = Fusion("attention", fusion_tensors(np.random.default_rng(1)))
    inputs = [np.random.default_rng(i).standard_normal((8, 16)).astype(np.float32) for i in range(8)]
    alone = [fusion.fuse(rows, rows)["multi"] for rows in inputs]
    wrong: list[int] = []

    def work(index: int) -> None:
        for _ in range(200):
            if not np.array_equal(fusion.fuse(inputs[index], inputs[index])["multi"], alone[index]):
                wrong.append(index)

    threads = [threading.Thread(target=work, args=(index,)) for index in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_loading_checks_the_declared_shape(tmp_path: Path) -> None:
    path = tmp_path / "fusion.safetensors"
    save_file(fusion_tensors(np.random.default_rng(1)), str(path))
    assert Fusion.load(path, Shape("attention", 16, 16, 64)).model_dim == 64
    for shape in (Shape("attention", 16, 16, 32), Shape("attention", 32, 16, 64), Shape("mean", 16, 16, 64)):
        with pytest.raises(PackError):
            Fusion.load(path, shape)
    with pytest.raises(PackError):
        Fusion.load(tmp_path / "absent.safetensors", Shape("attention", 16, 16, 64))


def _store(path: Path, dtype: str, values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Write `values` in the precision `dtype`, unaligned; returns them as they can be read back."""
    bits = values.view(np.uint32) >> 16
    if dtype == "BF16":  # by hand, since neither NumPy nor the writer knows it
        body, expected = bits.astype("<u2").tobytes(), (bits << 16).view(np.float32)
    else:
        stored = values.astype({"F32": "<f4", "F16": "<f2"}[dtype])
        body, expected = stored.tobytes(), stored.astype(np.float32)
    header = {"x": {"dtype": dtype, "shape": list(values.shape), "data_offsets": [0, len(body)]}}
    text = json.dumps(header | {"__metadata__": {"format": "np"}}).encode()
    text += b" " * (1 - len(text) % 2)
    path.write_bytes(len(text).to_bytes(8, "little") + text + body)
    return expected


@pytest.mark.parametrize("dtype", ["F32", "F16", "BF16"])
def test_stored_precisions_are_widened(tmp_path: Path, dtype: str) -> None:
    values = np.random.default_rng(1).standard_normal((5, 3)).astype(np.float32)
    expected = _store(tmp_path / "t.safetensors", dtype, values)
    got = read_safetensors(tmp_path / "t.safetensors")["x"]
    assert got.dtype == np.float32
    assert got.flags.c_contiguous
    assert got.flags.aligned
    assert np.array_equal(got, expected)
    assert np.abs(got - values).max() < {"F32": 1e-9, "F16": 1e-2, "BF16": 1e-1}[dtype]


def test_what_the_safetensors_package_writes_is_read(tmp_path: Path) -> None:
    square = np.arange(15, dtype=np.float32).reshape(5, 3)
    tensors: dict[str, NDArray[Any]] = {"odd": np.ones(1, np.float16), "x": square}
    save_file(tensors, str(tmp_path / "t.safetensors"), metadata={"format": "np"})
    got = read_safetensors(tmp_path / "t.safetensors")
    assert set(got) == set(tensors)
    assert all(np.array_equal(got[name], tensors[name]) for name in tensors)
