"""Makes the stub pack's language model: two random layers and a byte-level tokenizer, as one GGUF file.

Knows GGUF through the `gguf` package. Does not know the rest of the pack.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import gguf
import numpy as np
from numpy.typing import NDArray

MODEL_DIM, LAYERS, HEAD_DIM, HEADS, KV_HEADS, FEED_FORWARD = 64, 2, 32, 2, 1, 96
CONTEXT = 1024
MERGES = (
    "h e", "e r", "i n", "o n", "Ġ t", "Ġt he", "Ġ a", "n d", "Ġa nd", "i s", "Ġ is", "o u", "e m", "Ġ em",
    "o t", "Ġem ot", "i on", "Ġemot ion", "a p", "h ap", "p y", "hap py", "Ġ happy", "# #", "## #",
)  # fmt: skip
SPECIALS = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")


def write_llm(
    path: Path, random: np.random.Generator, quantisation: str, architecture: str = "qwen3"
) -> None:
    """Write a random language model of two layers with its own byte-level tokenizer."""
    writer = gguf.GGUFWriter(str(path), architecture)
    writer.add_name("stub")
    writer.add_context_length(CONTEXT)
    writer.add_embedding_length(MODEL_DIM)
    writer.add_block_count(LAYERS)
    writer.add_feed_forward_length(FEED_FORWARD)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(KV_HEADS)
    writer.add_layer_norm_rms_eps(1e-6)
    writer.add_rope_freq_base(10_000.0)
    if architecture == "qwen3":
        writer.add_key_length(HEAD_DIM)
        writer.add_value_length(HEAD_DIM)
    _add_tokenizer(writer)
    kind = gguf.GGMLQuantizationType[quantisation]
    for name, tensor in _llm_tensors(random, architecture).items():
        if tensor.ndim == 1 or kind is gguf.GGMLQuantizationType.F32:
            writer.add_tensor(name, tensor)
        else:
            writer.add_tensor(name, gguf.quants.quantize(tensor, kind), raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def vocabulary() -> list[str]:
    """The stub's tokens: 256 bytes in GPT-2's printable spelling, the merges, then the specials."""
    return [_BYTES[byte] for byte in range(256)] + [merge.replace(" ", "") for merge in MERGES] + [*SPECIALS]


def _byte_spelling() -> Mapping[int, str]:
    # GPT-2 spells unprintable bytes with letters from 256 on, so that a token is always readable text.
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    spelling = {byte: chr(byte) for byte in printable}
    for byte in range(256):
        if byte not in spelling:
            spelling[byte] = chr(256 + len(spelling) - len(printable))
    return spelling


_BYTES = _byte_spelling()


def _add_tokenizer(writer: gguf.GGUFWriter) -> None:
    tokens = vocabulary()
    types = [gguf.TokenType.NORMAL] * (len(tokens) - len(SPECIALS)) + [gguf.TokenType.CONTROL] * len(SPECIALS)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("qwen2")
    writer.add_token_list(tokens)
    writer.add_token_types(types)
    writer.add_token_merges(list(MERGES))
    writer.add_bos_token_id(tokens.index("<|im_start|>"))
    writer.add_eos_token_id(tokens.index("<|im_end|>"))
    writer.add_pad_token_id(tokens.index("<|endoftext|>"))
    writer.add_add_bos_token(False)


def _llm_tensors(random: np.random.Generator, architecture: str) -> dict[str, NDArray[np.float32]]:
    width, keys = HEADS * HEAD_DIM, KV_HEADS * HEAD_DIM
    table = _normal(random, (len(vocabulary()), MODEL_DIM), 0.5)
    # The table is also the output layer: short rows keep the specials improbable, so text runs on.
    table[-len(SPECIALS) :] *= 0.01
    tensors = {
        "token_embd.weight": table,
        "output_norm.weight": 1 + _normal(random, (MODEL_DIM,), 0.1),
    }
    for layer in range(LAYERS):
        shapes: dict[str, tuple[int, ...]] = {
            "attn_q": (width, MODEL_DIM),
            "attn_k": (keys, MODEL_DIM),
            "attn_v": (keys, MODEL_DIM),
            "attn_output": (MODEL_DIM, width),
            "ffn_gate": (FEED_FORWARD, MODEL_DIM),
            "ffn_up": (FEED_FORWARD, MODEL_DIM),
            "ffn_down": (MODEL_DIM, FEED_FORWARD),
        }
        for name, shape in shapes.items():
            tensors[f"blk.{layer}.{name}.weight"] = _normal(random, shape, 2 * shape[1] ** -0.5)
        for name in ("attn_norm", "ffn_norm"):
            tensors[f"blk.{layer}.{name}.weight"] = 1 + _normal(random, (MODEL_DIM,), 0.1)
        if architecture == "qwen3":
            for name in ("attn_q_norm", "attn_k_norm"):
                tensors[f"blk.{layer}.{name}.weight"] = 1 + _normal(random, (HEAD_DIM,), 0.1)
        else:
            for name, size in (("attn_q", width), ("attn_k", keys), ("attn_v", keys)):
                tensors[f"blk.{layer}.{name}.bias"] = _normal(random, (size,), 0.1)
    return tensors


def _normal(random: np.random.Generator, shape: tuple[int, ...], scale: float) -> NDArray[np.float32]:
    return (random.standard_normal(shape) * scale).astype(np.float32)
