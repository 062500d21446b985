"""Small models in the published layouts, written once. Imports inside: without torch this file is read
too.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture(scope="session", autouse=True)
def fewer_texts() -> Iterator[None]:
    """Every conversion compares tokenizers on 10,000 texts; here one test does, the others take 300."""
    try:
        from emer_export import llm
    except ImportError:
        yield
        return
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(llm, "_CHECKED_TEXTS", 300)
        yield


@pytest.fixture(scope="session")
def light_mer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a small Light-MER: three published folders and checkpoint.pth. Not to be written to."""
    from tests.data.make_published import write_published

    return write_published(tmp_path_factory.mktemp("light-mer"), "light-mer")


@pytest.fixture(scope="session")
def affectgpt(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same of an AffectGPT 2025."""
    from tests.data.make_published import write_published

    return write_published(tmp_path_factory.mktemp("affectgpt"), "affectgpt")


@pytest.fixture(scope="session")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a byte-level BPE as Qwen publishes it, and the rows of a token table for it in `rows`."""
    from tests.data.make_checkpoints import SPARE_ROWS, write_tokenizer

    folder = tmp_path_factory.mktemp("tokenizer")
    (folder / "rows").write_text(str(write_tokenizer(folder) + SPARE_ROWS))
    return folder
