"""The token table: every number format against the gguf package, the laid sequence, threads and bad calls."""

from __future__ import annotations

import threading
from dataclasses import asdict
from pathlib import Path

import gguf
import numpy as np
import pytest
from numpy.typing import NDArray

from emer_edge import _core
from emer_edge.limits import Limits
from tests.data.make_pack import make_stub_pack

Kind = gguf.GGMLQuantizationType
ROWS, WIDTH = 24, 512
# Where the half-precision scales lie in a block: they alone may not be any bytes, since not all are finite.
SCALES = {Kind.Q4_K: (0, 2), Kind.Q5_K: (0, 2), Kind.Q6_K: (208,)}


def _table(kind: gguf.GGMLQuantizationType) -> NDArray[np.uint8] | NDArray[np.float32]:
    random = np.random.default_rng(int(kind))
    if kind not in SCALES:
        values = random.standard_normal((ROWS, WIDTH)).astype(np.float32)
        return gguf.quants.quantize(values, kind)
    items, size = gguf.GGML_QUANT_SIZES[kind]
    blocks = random.integers(0, 256, (ROWS * WIDTH // items, size), np.uint8)
    for at in SCALES[kind]:
        scales = random.standard_normal(len(blocks)).astype(np.float16)
        blocks[:, at : at + 2] = scales.view(np.uint8).reshape(-1, 2)
    return blocks.reshape(ROWS, -1)


def _write(
    path: Path, kind: gguf.GGMLQuantizationType, table: NDArray[np.generic], name: str = "token_embd.weight"
) -> Path:
    writer = gguf.GGUFWriter(str(path), "qwen3")
    writer.add_tensor(name, table, raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


@pytest.mark.parametrize(
    "kind",
    [Kind.F32, Kind.F16, Kind.BF16, Kind.Q8_0, Kind.Q4_0, Kind.Q4_K, Kind.Q5_K, Kind.Q6_K],
    ids=lambda kind: kind.name,
)
def test_rows_equal_those_of_the_gguf_package(tmp_path: Path, kind: gguf.GGMLQuantizationType) -> None:
    stored = _table(kind)
    expected = gguf.quants.dequantize(stored, kind)
    table = _core.EmbeddingTable(str(_write(tmp_path / "t.gguf", kind, stored)))
    assert (table.n_rows, table.n_embd, table.type) == (ROWS, WIDTH, kind.name)
    ids = np.array([*range(ROWS), 0, ROWS - 1, 5], np.int32)
    got = table.rows(ids)
    assert got.shape == (len(ids), WIDTH)
    assert got.dtype == np.float32
    error = np.abs(got.astype(np.float64) - expected[ids])
    assert error.max() <= 1e-6 * np.abs(expected).max()


def test_halves_of_every_size_are_read(tmp_path: Path) -> None:
    halves = np.arange(65536, dtype=np.uint16).view(np.float16)
    finite = halves[np.isfinite(halves)].reshape(-1, 64)
    table = _core.EmbeddingTable(str(_write(tmp_path / "t.gguf", Kind.F16, finite)))
    got = table.rows(np.arange(len(finite), dtype=np.int32))
    assert np.array_equal(got.view(np.uint32), finite.astype(np.float32).view(np.uint32))


@pytest.fixture(scope="module")
def stub_table(tmp_path_factory: pytest.TempPathFactory) -> _core.EmbeddingTable:
    folder = make_stub_pack(tmp_path_factory.mktemp("embed") / "stub")
    return _core.EmbeddingTable(str(folder / "llm.F32.gguf"))


def test_segments_are_laid_in_order(stub_table: _core.EmbeddingTable) -> None:
    ids = [np.array(part, np.int32) for part in ([3, 1, 4], [], [1, 5])]
    soft = np.random.default_rng(1).standard_normal((2, 64)).astype(np.float32)
    none = np.zeros((0, 64), np.float32)
    got = stub_table.lay([ids[0], soft, ids[1], none, ids[2]])
    expected = np.concatenate([stub_table.rows(ids[0]), soft, stub_table.rows(ids[2])])
    assert np.array_equal(got, expected)
    assert got.flags.c_contiguous
    assert stub_table.lay([]).shape == (0, 64)
    assert stub_table.rows(np.zeros(0, np.int32)).shape == (0, 64)


@pytest.mark.parametrize(
    "segment",
    [
        np.array([-1], np.int32),
        np.array([284], np.int32),
        np.array([2**31 - 1], np.int32),
        np.array([[1]], np.int32),
        np.array([1], np.int64),
        np.array([1.0]),
        np.ones((1, 63), np.float32),
        np.ones(64, np.float32),
        np.ones((1, 1, 64), np.float32),
        np.ones((1, 64)),
        np.ones((64, 2), np.float32).T,
        np.full((1, 64), np.nan, np.float32),
        np.full((1, 64), -np.inf, np.float32),
        [1, 2],
        None,
    ],
    ids=repr,
)
def test_bad_segments_are_refused(stub_table: _core.EmbeddingTable, segment: object) -> None:
    assert stub_table.n_rows == 284
    with pytest.raises(_core.CoreError) as caught:
        stub_table.lay([np.array([1], np.int32), segment])  # type: ignore[list-item]
    assert caught.value.args[0] == "input"


def test_many_threads_read_one_table(stub_table: _core.EmbeddingTable) -> None:
    ids = [np.random.default_rng(i).integers(0, stub_table.n_rows, 50, np.int32) for i in range(8)]
    alone = [stub_table.rows(part) for part in ids]
    wrong: list[int] = []

    def work(index: int) -> None:
        for _ in range(200):
            if not np.array_equal(stub_table.lay([ids[index]]), alone[index]):
                wrong.append(index)

    threads = [threading.Thread(target=work, args=(index,)) for index in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_files_without_a_readable_table_are_refused(tmp_path: Path) -> None:
    other = _write(tmp_path / "other.gguf", Kind.F32, np.ones((2, 32), np.float32), name="output.weight")
    text = tmp_path / "text.gguf"
    text.write_text("hello")
    unreadable = tmp_path / "q5_1.gguf"
    _write(unreadable, Kind.Q5_1, gguf.quants.quantize(np.ones((2, 32), np.float32), Kind.Q5_1))
    broken = _write(tmp_path / "nan.gguf", Kind.F16, np.full((2, 32), np.nan, np.float16))
    for path in (other, text, unreadable, tmp_path, tmp_path / "absent.gguf"):
        with pytest.raises(_core.CoreError):
            _core.EmbeddingTable(str(path))
    with pytest.raises(_core.CoreError) as caught:
        _core.EmbeddingTable(str(broken)).rows(np.array([0], np.int32))
    assert caught.value.args[0] == "pack"


def test_the_header_is_that_of_the_gguf_package(tmp_path: Path) -> None:
    path = make_stub_pack(tmp_path / "stub", quantisation="Q8_0") / "llm.Q8_0.gguf"
    header = _core.gguf_header(str(path), asdict(Limits()))
    reader = gguf.GGUFReader(str(path))
    assert header["file_bytes"] == path.stat().st_size
    assert header["version"] == 3
    assert len(header["tensors"]) == len(reader.tensors)
    for tensor in reader.tensors:
        got = header["tensors"][tensor.name]
        assert got == {
            "type": tensor.tensor_type.name,
            "shape": tuple(int(length) for length in tensor.shape),
            "offset": tensor.data_offset,
            "size_bytes": tensor.n_bytes,
        }
    metadata = header["metadata"]
    assert metadata["general.architecture"] == "qwen3"
    assert metadata["qwen3.embedding_length"] == 64
    assert metadata["tokenizer.ggml.add_bos_token"] is False
    assert metadata["tokenizer.ggml.tokens"] == {"length": 284}
    assert metadata["qwen3.attention.layer_norm_rms_epsilon"] == pytest.approx(1e-6)


def test_a_large_file_is_refused_unread(tmp_path: Path) -> None:
    path = make_stub_pack(tmp_path / "stub") / "llm.F32.gguf"
    with pytest.raises(_core.CoreError) as caught:
        _core.gguf_header(str(path), asdict(Limits(pack_bytes=1000)))
    assert caught.value.args[0] == "limit"
