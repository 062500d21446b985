"""Hostile and broken packs: each is refused, and refused before native code sees it."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from emer_edge.errors import EmerError, PackError, PackNotFoundError
from emer_edge.limits import Limits
from emer_edge.packs import verify
from emer_edge.packs.verify import verify_pack
from tests.data.make_pack import fusion_tensors, make_stub_pack, write_manifest

Harm = Callable[[Path], object]
Rehash = Callable[[Path], None]


def _flip(folder: Path, name: str, at: int) -> None:
    data = bytearray((folder / name).read_bytes())
    data[at] ^= 0x40
    (folder / name).write_bytes(data)


def _swap_for_link(folder: Path, name: str) -> None:
    elsewhere = folder.parent / f"elsewhere-{name}"
    (folder / name).rename(elsewhere)
    (folder / name).symlink_to(elsewhere)


def _swap_for_hard_link(folder: Path, name: str) -> None:
    os.link(folder / name, folder.parent / "second-name")


def _folder_link(folder: Path) -> None:
    data = json.loads((folder / "manifest.json").read_text())
    (folder.parent / "elsewhere").mkdir()
    (folder / "CARD.md").rename(folder.parent / "elsewhere" / "CARD.md")
    (folder / "docs").symlink_to(folder.parent / "elsewhere")
    data["card"] = "docs/CARD.md"
    for file in data["files"]:
        file["path"] = file["path"].replace("CARD.md", "docs/CARD.md")
    (folder / "manifest.json").write_text(json.dumps(data))


def _folder_for_file(folder: Path) -> None:
    (folder / "CARD.md").unlink()
    (folder / "CARD.md").mkdir()


def _fifo(folder: Path) -> None:
    (folder / "CARD.md").unlink()
    os.mkfifo(folder / "CARD.md")


# Harm that the manifest does not know of: found by walking and hashing alone.
HARMS: dict[str, Harm] = {
    "a file is missing": lambda folder: (folder / "llm.F32.gguf").unlink(),
    "a file is empty": lambda folder: (folder / "llm.F32.gguf").write_bytes(b""),
    "a file is cut": lambda folder: os.truncate(folder / "llm.F32.gguf", 1000),
    "a file is longer": lambda folder: (folder / "CARD.md").write_text("x" * 4096),
    "a bit of the model is flipped": lambda folder: _flip(folder, "llm.F32.gguf", 100_000),
    "a bit of an encoder is flipped": lambda folder: _flip(folder, "vision.fp32.onnx", 3000),
    "a bit of the fusion is flipped": lambda folder: _flip(folder, "fusion.safetensors", 9000),
    "a bit of the licence is flipped": lambda folder: _flip(folder, "LICENSE", 3),
    "a file is a symbolic link": lambda folder: _swap_for_link(folder, "llm.F32.gguf"),
    "a text is a symbolic link": lambda folder: _swap_for_link(folder, "CARD.md"),
    "a folder is a symbolic link": _folder_link,
    "a stray symbolic link": lambda folder: (folder / "passwd").symlink_to("/etc/passwd"),
    "a file has a second name": lambda folder: _swap_for_hard_link(folder, "llm.F32.gguf"),
    "a file is a folder": _folder_for_file,
    "a file is a named pipe": _fifo,
    "a further encoder": lambda folder: (folder / "extra.onnx").write_bytes(b"x"),
    "a further model": lambda folder: (folder / "LLM.GGUF").write_bytes(b"x"),
    "external data": lambda folder: (folder / "weights.data").write_bytes(b"x"),
    "a library": lambda folder: (folder / "op.so").write_bytes(b"x"),
    "a model in a folder": lambda folder: shutil.copytree(folder, folder / "a"),
}  # fmt: skip


@pytest.mark.usefixtures("no_native")
@pytest.mark.parametrize("harm", HARMS)
def test_harm_is_found(stub: Path, harm: str) -> None:
    HARMS[harm](stub)
    with pytest.raises(PackError) as caught:
        verify_pack(stub, Limits())
    assert caught.value.what


def test_a_broken_gguf_is_refused(stub: Path, rehash: Rehash) -> None:
    path = stub / "llm.F32.gguf"
    sound = path.read_bytes()
    for broken in (
        b"GGUF",
        sound[:5000],
        sound[:-1],
        b"GGML" + sound[4:],
        sound[:8] + b"\xff" * 8 + sound[16:],
    ):
        path.write_bytes(broken)
        rehash(stub)
        with pytest.raises(PackError):
            verify_pack(stub, Limits())


@pytest.mark.parametrize(
    ("section", "key", "value"),
    [("llm", "n_vocab", 99), ("llm", "architecture", "llama"), ("llm", "n_ctx", 4096)],
)
def test_another_model_than_declared_is_refused(stub: Path, section: str, key: str, value: object) -> None:
    data = json.loads((stub / "manifest.json").read_text())
    data[section][key] = value
    (stub / "manifest.json").write_text(json.dumps(data))
    with pytest.raises(PackError):
        verify_pack(stub, Limits())


def test_a_piece_of_a_split_model_is_refused(
    stub: Path, rehash: Rehash, monkeypatch: pytest.MonkeyPatch
) -> None:
    from emer_edge import _core

    header = _core.gguf_header

    def split(path: str, limits: dict[str, object]) -> dict[str, object]:
        out = header(path, limits)
        out["metadata"]["split.count"] = 2
        return out

    monkeypatch.setattr(_core, "gguf_header", split)
    with pytest.raises(PackError, match="split"):
        verify_pack(stub, Limits())


@pytest.mark.parametrize("quantisation", ["F32", "F16", "BF16", "Q8_0", "Q4_0"])
@pytest.mark.parametrize("architecture", ["qwen3", "qwen2"])
def test_sound_packs_are_taken(tmp_path: Path, quantisation: str, architecture: str) -> None:
    folder = make_stub_pack(tmp_path / "stub", quantisation=quantisation, architecture=architecture)
    seen: list[tuple[int, int]] = []
    manifest = verify_pack(folder, Limits(), progress=lambda done, total: seen.append((done, total)))
    assert manifest.llm.default == quantisation
    assert seen[-1] == (manifest.size_bytes, manifest.size_bytes)
    assert seen == sorted(seen)


def test_further_texts_are_taken_and_hashes_can_be_left_out(stub: Path) -> None:
    (stub / "NOTES.txt").write_text("mine")
    verify_pack(stub, Limits())
    _flip(stub, "llm.F32.gguf", 300_000)
    verify_pack(stub, Limits(), hashes=False)
    with pytest.raises(PackError):
        verify_pack(stub, Limits())


def test_the_folder_itself_may_be_reached_through_a_link(stub: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(stub)
    assert verify_pack(tmp_path / "link", Limits()).name == "stub"
    with pytest.raises(PackNotFoundError):
        verify_pack(tmp_path / "absent", Limits())


def test_built_in_files_may_have_two_names(
    stub: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _swap_for_hard_link(stub, "llm.F32.gguf")
    monkeypatch.setattr(verify, "BUILTIN", tmp_path)
    verify_pack(stub, Limits())


def test_random_damage_never_leaves_the_family_of_errors(stub: Path, rehash: Rehash) -> None:
    random = np.random.default_rng(5)
    names = ["vision.fp32.onnx", "fusion.safetensors", "llm.F32.gguf", "manifest.json"]
    sound = {name: (stub / name).read_bytes() for name in names}
    for round_ in range(150):
        name = names[round_ % 4]
        data = bytearray(sound[name])
        for at in random.integers(0, min(len(data), 4000), 3):
            data[at] = random.integers(0, 256)
        (stub / name).write_bytes(data)
        if name != "manifest.json":
            rehash(stub)
        with contextlib.suppress(EmerError):
            verify_pack(stub, Limits())
        (stub / name).write_bytes(sound[name])
        (stub / "manifest.json").write_bytes(sound["manifest.json"])


def test_the_fusion_in_half_precision_is_taken(stub: Path) -> None:
    tensors = {
        name: value.astype(np.float16) for name, value in fusion_tensors(np.random.default_rng(1)).items()
    }
    save_file(tensors, str(stub / "fusion.safetensors"))
    write_manifest(stub, json.loads((stub / "manifest.json").read_text()))
    verify_pack(stub, Limits())
