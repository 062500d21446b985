"""Large packs are hashed once, until anything about them changes."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from emer_edge.errors import PackError
from emer_edge.limits import Limits
from emer_edge.packs import stamps, verify
from emer_edge.packs.manifest import PackFile
from emer_edge.packs.verify import open_pack


def _flip(folder: Path, name: str, at: int) -> None:
    data = bytearray((folder / name).read_bytes())
    data[at] ^= 0x40
    (folder / name).write_bytes(data)


@pytest.fixture
def hashed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[str]:
    """The files that are hashed from here on; every pack counts as large and the cache is the test's own."""
    names: list[str] = []
    check = verify._check_hash

    def note(folder: Path, file: PackFile, *rest: object) -> int:
        names.append(file.path)
        return check(folder, file, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(verify, "_check_hash", note)
    monkeypatch.setattr(verify, "STAMP_BYTES", 1)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return names


def test_a_large_pack_is_hashed_once(stub: Path, hashed: list[str]) -> None:
    open_pack(stub, Limits())
    first = len(hashed)
    assert first == 6
    open_pack(stub, Limits())
    assert len(hashed) == first
    (stub / "CARD.md").write_bytes((stub / "CARD.md").read_bytes())  # the same bytes, but touched
    open_pack(stub, Limits())
    assert len(hashed) == 2 * first
    _flip(stub, "llm.F32.gguf", 200_000)
    os.utime(stub / "llm.F32.gguf", ns=(1, 1))
    with pytest.raises(PackError):
        open_pack(stub, Limits())


def test_a_moved_or_broken_stamp_does_not_count(stub: Path, hashed: list[str], tmp_path: Path) -> None:
    open_pack(stub, Limits())
    other = Path(shutil.copytree(stub, tmp_path / "other"))
    open_pack(other, Limits())
    assert len(hashed) == 12
    stamps._path(stub.resolve()).write_bytes(b"\xff")
    open_pack(stub, Limits())
    assert len(hashed) == 18


def test_an_unwritable_cache_only_costs_time(
    stub: Path, hashed: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    open_pack(stub, Limits())
    open_pack(stub, Limits())
    assert len(hashed) == 12


def test_a_small_pack_is_hashed_every_time(
    stub: Path, hashed: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(verify, "STAMP_BYTES", 10**9)
    open_pack(stub, Limits())
    open_pack(stub, Limits())
    assert len(hashed) == 12
