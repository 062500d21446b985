"""Turns a published language model into the GGUF file of a pack, and proves its tokenizer before it has a
name.

Knows the files of a Hugging Face folder. Does not know encoders, fusion or manifests.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from emer_edge.errors import PackError
from emer_export.checkpoints import Checkpoint, read_json
from emer_export.gguf import GgufSource, OnProgress, gguf_bytes, write_gguf
from emer_export.tokenizer_parity import require_same_tokenizer

_CHECKED_TEXTS = 10_000
_TOKENIZER = "tokenizer.json"


@dataclass(frozen=True)
class LlmWords:
    """What a GGUF file says of itself beside its numbers."""

    name: str = ""
    licence: str = ""
    extra: Mapping[str, str] = field(default_factory=dict)


def convert_llm(
    checkpoint: Checkpoint,
    folder: Path,
    out: Path,
    precision: str,
    on_progress: OnProgress | None = None,
    words: LlmWords | None = None,
) -> Path:
    """Write a language model as GGUF: streamed, checked, and there only when it is whole.

    Args:
        checkpoint: tensors under Hugging Face's names, adapters merged (`lora.merge_lora`).
        folder: holds config.json and the tokenizer (tokenizer.json, or tokenizer.model for Llama).
        out: the GGUF file to write; an older one is replaced.
        precision: F32, F16, BF16, Q8_0, Q6_K, Q5_K_M, Q4_K_M or Q4_0.
        on_progress: called after every tensor with its name, bytes written so far and bytes in all.
        words: name and licence to write into the file.

    Raises:
        InputError: an unknown precision or architecture.
        PackError: checkpoint, configuration and tokenizer do not belong together, or llama.cpp gives other
            ids than the Hugging Face tokenizer for one of 10,000 texts. Nothing is left behind.
        OutputError: the file can't be written.
    """
    source = describe_llm(checkpoint, folder, words)
    staged = out.with_name(f".{out.name}.unchecked")
    try:
        write_gguf(source, staged, precision, on_progress)
        # Old Llama folders have tokenizer.model alone, for which there is nothing to compare with.
        if (folder / _TOKENIZER).is_file():
            require_same_tokenizer(staged, folder / _TOKENIZER, _CHECKED_TEXTS)
        staged.replace(out)
    finally:
        staged.unlink(missing_ok=True)
    return out


def llm_bytes(checkpoint: Checkpoint, folder: Path, precision: str) -> int:
    """Bytes of the tensors that `convert_llm` would write; reads none of them, raises as it does."""
    return gguf_bytes(describe_llm(checkpoint, folder), precision)


def describe_llm(checkpoint: Checkpoint, folder: Path, words: LlmWords | None = None) -> GgufSource:
    """Gather what `write_gguf` needs from a Hugging Face folder.

    Raises:
        PackError: config.json or the tokenizer is missing, or no end token is named.
    """
    words = words or LlmWords()
    config = read_json(folder / "config.json")
    tokenizer = folder / _TOKENIZER
    if config.get("model_type") == "llama" and (folder / "tokenizer.model").is_file():
        tokenizer = folder / "tokenizer.model"
    if not tokenizer.is_file():
        raise PackError(
            f"{folder.name} has no tokenizer.", f"{tokenizer.name} is missing.", "Give the whole folder."
        )
    end = _end_token(folder) if tokenizer.suffix == ".json" else ""
    return GgufSource(checkpoint, config, tokenizer, end, words.name, words.licence, words.extra)


def _end_token(folder: Path) -> str:
    settings = read_json(folder / "tokenizer_config.json")
    token: Any = settings.get("eos_token")
    if isinstance(token, dict):  # older versions wrote the whole AddedToken
        token = token.get("content")
    if not isinstance(token, str) or not token:
        raise PackError(
            "tokenizer_config.json names no eos_token.", f"{token!r}", "Give the folder as it was published."
        )
    return token
