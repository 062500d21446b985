"""Packs for streams: random ones that are fast, and the built-in one."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import emer_edge as ee
from emer_edge.live.windows import Windows
from tests.data.make_pack import make_stub_pack, write_manifest


@pytest.fixture(scope="package")
def stub_pack(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_stub_pack(tmp_path_factory.mktemp("live") / "stub", frames_source="frames")


@pytest.fixture(scope="package")
def stub(stub_pack: Path) -> Iterator[ee.Reasoner]:
    with ee.load(stub_pack, threads=1) as loaded:
        yield loaded


@pytest.fixture(scope="package")
def mixing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ee.Reasoner]:
    """A pack whose pieces of sound are normalised together, so that none means the same in two windows."""
    folder = make_stub_pack(tmp_path_factory.mktemp("mixing") / "stub", frames_source="frames")
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["preprocessing"]["audio"] |= {"normalise": "joint", "center": "window_inplace"}
    write_manifest(folder, manifest)
    with ee.load(folder, threads=1) as loaded:
        yield loaded


@pytest.fixture(scope="package")
def nano() -> Iterator[ee.Reasoner]:
    with ee.load("emer-nano", threads=2) as loaded:
        yield loaded


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Make every window take so many seconds."""
    make = Windows.make
    seconds = [0.0]

    def slowed(self: Windows, *arguments: Any) -> Any:
        time.sleep(seconds[0])
        return make(self, *arguments)

    monkeypatch.setattr(Windows, "make", slowed)
    return lambda value: seconds.__setitem__(0, value)
