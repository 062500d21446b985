"""A tiny random language model for the tests of the llm room."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from emer_edge.llm.gguf import Llm
from tests.data.make_llm import write_llm


@pytest.fixture(scope="session")
def gguf_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("llm") / "stub.F32.gguf"
    write_llm(path, np.random.default_rng(7), "F32")
    return path


@pytest.fixture
def llm(gguf_path: Path) -> Iterator[Llm]:
    """Exact: keys and values in float32."""
    with Llm(gguf_path, n_ctx=1024, threads=1, kv_f32=True) as model:
        yield model


@pytest.fixture
def batch_sizes(monkeypatch: pytest.MonkeyPatch) -> Callable[[Llm], list[int]]:
    """Starts to note how many rows each batch of a model has."""

    def watch(model: Llm) -> list[int]:
        sizes: list[int] = []
        decode = model.decode

        def noted(inputs: Any, *rest: Any, **named: Any) -> None:
            sizes.append(len(inputs))
            decode(inputs, *rest, **named)

        monkeypatch.setattr(model, "decode", noted)
        return sizes

    return watch
