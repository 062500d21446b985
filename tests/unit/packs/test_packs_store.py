"""The store: finding, listing, adding and removing packs, and what a killed process leaves."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from emer_edge.errors import InputError, OutputError, PackError, PackNotFoundError
from emer_edge.limits import Limits
from emer_edge.packs import store
from emer_edge.packs.store import add_pack, find_pack, list_packs, remove_pack, sweep_store, user_store
from emer_edge.packs.verify import verify_pack
from tests.data.make_pack import make_stub_pack


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A store of the test's own, not made yet, and no built-in packs."""
    monkeypatch.setenv("EMER_EDGE_PACKS", str(tmp_path / "store"))
    monkeypatch.setattr(store, "BUILTIN", tmp_path / "builtin")
    return tmp_path / "store"


def test_the_store_follows_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert user_store() == tmp_path / "store"
    monkeypatch.delenv("EMER_EDGE_PACKS")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    assert user_store() == tmp_path / "data/emer-edge/packs"
    monkeypatch.setenv("XDG_DATA_HOME", "relative")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert user_store() == tmp_path / ".local/share/emer-edge/packs"
    monkeypatch.setenv("EMER_EDGE_PACKS", "~/mine")
    assert user_store() == tmp_path / "mine"


def test_a_pack_is_added_found_listed_and_removed(stub: Path, home: Path) -> None:
    assert list_packs() == []
    added = add_pack(stub)
    assert added == home / "stub"
    assert find_pack("stub") == added
    assert list_packs() == [added]
    assert verify_pack(added, Limits()).name == "stub"
    assert sorted(path.name for path in added.iterdir()) == sorted(path.name for path in stub.iterdir())
    assert added.stat().st_mode & 0o777 == 0o755
    remove_pack("stub")
    assert list_packs() == []
    assert list(home.iterdir()) == []
    with pytest.raises(PackNotFoundError):
        find_pack("stub")


def test_only_listed_files_are_copied(stub: Path) -> None:
    (stub / "NOTES.txt").write_text("mine")
    assert not (add_pack(stub) / "NOTES.txt").exists()


def test_a_pack_is_not_overwritten_unless_asked(stub: Path, tmp_path: Path, home: Path) -> None:
    add_pack(stub)
    other = make_stub_pack(tmp_path / "other", seed=2)
    with pytest.raises(PackError, match="there already"):
        add_pack(other)
    before = (home / "stub/manifest.json").read_bytes()
    add_pack(other, force=True)
    assert (home / "stub/manifest.json").read_bytes() != before
    assert [path.name for path in home.iterdir()] == ["stub"]


def test_a_broken_pack_leaves_nothing(stub: Path, home: Path) -> None:
    data = bytearray((stub / "llm.F32.gguf").read_bytes())
    data[200_000] ^= 1
    (stub / "llm.F32.gguf").write_bytes(data)
    with pytest.raises(PackError):
        add_pack(stub)
    assert list(home.iterdir()) == []


def test_a_pack_that_changes_while_it_is_copied_leaves_nothing(
    stub: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = store._copy

    def swap(source: Path, target: Path, path: str, most_bytes: int) -> None:
        if path.endswith(".gguf"):
            (source / path).write_bytes(b"GGUF" + b"\0" * (most_bytes - 4))
        copy(source, target, path, most_bytes)

    monkeypatch.setattr(store, "_copy", swap)
    with pytest.raises(PackError):
        add_pack(stub)
    assert list(home.iterdir()) == []


def test_names_and_paths(stub: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert find_pack(stub) == stub
    assert find_pack(str(stub)) == stub
    monkeypatch.chdir(stub.parent)
    assert find_pack("./stub") == stub
    assert find_pack(Path("stub")) == stub
    monkeypatch.setenv("HOME", str(tmp_path))
    assert find_pack("~/stub") == stub
    for wrong in (
        "stub",
        "",
        "..",
        ".",
        "a b",
        "UPPER",
        "x" * 300,
        "a\0b",
        "/",
        "~nobody-here/x",
        "./absent",
        "../" * 50,
    ):
        with pytest.raises(PackNotFoundError):
            find_pack(wrong)


def test_the_users_pack_hides_the_built_in_one(stub: Path, tmp_path: Path) -> None:
    built_in = make_stub_pack(tmp_path / "builtin/stub", seed=3)
    assert list_packs() == [built_in]
    added = add_pack(stub)
    assert list_packs() == [added]
    assert find_pack("stub") == added
    remove_pack("stub")
    assert find_pack("stub") == built_in
    with pytest.raises(InputError, match="built in"):
        remove_pack("stub")
    assert built_in.is_dir()


def test_removal_never_leaves_the_store(stub: Path, home: Path) -> None:
    for wrong in ("..", "../stub", str(stub), "", ".", "a/b"):
        with pytest.raises(InputError):
            remove_pack(wrong)
    with pytest.raises(PackNotFoundError):
        remove_pack("absent")
    home.mkdir()
    (home / "linked").symlink_to(stub)
    assert list_packs() == [home / "linked"]
    remove_pack("linked")
    assert (stub / "manifest.json").is_file()
    assert not os.path.lexists(home / "linked")


def test_strangers_in_the_store_are_no_packs(stub: Path, home: Path) -> None:
    add_pack(stub)
    (home / "empty").mkdir()
    (home / "file").write_text("")
    (home / ".hidden").mkdir()
    assert [path.name for path in list_packs()] == ["stub"]


def test_a_store_that_cannot_be_written_is_said_so(
    stub: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("EMER_EDGE_PACKS", str(tmp_path / "file"))
    with pytest.raises(OutputError):
        add_pack(stub)
    assert list_packs() == []


def test_a_full_disk_leaves_nothing(stub: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_number: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OutputError) as caught:
        add_pack(stub)
    assert "No space" in caught.value.why
    assert list(home.iterdir()) == []


def test_a_killed_process_leaves_no_half_pack(stub: Path, home: Path) -> None:
    code = (
        "import os\n"
        "from emer_edge.packs import store\n"
        "store._put = lambda *_, **__: os._exit(9)\n"
        f"store.add_pack({str(stub)!r})\n"
    )
    done = subprocess.run([sys.executable, "-c", code], check=False, timeout=60)
    assert done.returncode == 9
    assert list_packs() == []
    (leftover,) = home.iterdir()
    assert sweep_store() == 0  # it may belong to a process that is still at it
    old = time.time() - 2 * 3600
    os.utime(leftover, (old, old))
    add_pack(stub)
    assert [path.name for path in home.iterdir()] == ["stub"]
