from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.data.make_pack import make_stub_pack, write_manifest

Edit = Callable[[dict[str, Any]], None]


@pytest.fixture(scope="session")
def stub_source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sound stub pack that no test may change."""
    return make_stub_pack(tmp_path_factory.mktemp("source") / "stub")


@pytest.fixture
def stub(stub_source: Path, tmp_path: Path) -> Path:
    """A sound stub pack of the test's own."""
    return Path(shutil.copytree(stub_source, tmp_path / "stub"))


@pytest.fixture
def manifest(stub_source: Path) -> dict[str, Any]:
    """The stub's manifest as plain data."""
    data: dict[str, Any] = json.loads((stub_source / "manifest.json").read_text())
    return data


@pytest.fixture
def rehash() -> Callable[[Path], None]:
    """Bring sizes and hashes of a manifest up to date with its folder, as an attacker would."""

    def run(folder: Path) -> None:
        write_manifest(folder, json.loads((folder / "manifest.json").read_text()))

    return run


@pytest.fixture
def no_native(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make sure that nothing of the native part is asked."""
    from emer_edge import _core

    def forbidden(*_arguments: object) -> None:
        raise AssertionError("native code saw the pack")

    monkeypatch.setattr(_core, "gguf_header", forbidden)
