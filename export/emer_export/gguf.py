"""Writes the GGUF file of a Qwen2 or Qwen3 language model from a Hugging Face state dict, configuration and
tokenizer.json.

Knows tensor names, metadata keys and the plain number formats. Does not know training, packs or llama.cpp's
own converter (which refuses tokenizers it has not seen). Key names after the GGUF specification (ggml,
docs/gguf.md).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import gguf
import numpy as np
from numpy.typing import NDArray

from emer_edge.errors import InputError, PackError

_TYPES = {
    "F32": (gguf.GGMLQuantizationType.F32, gguf.LlamaFileType.ALL_F32),
    "F16": (gguf.GGMLQuantizationType.F16, gguf.LlamaFileType.MOSTLY_F16),
    "Q8_0": (gguf.GGMLQuantizationType.Q8_0, gguf.LlamaFileType.MOSTLY_Q8_0),
}
_ARCHITECTURES = {"qwen2": gguf.MODEL_ARCH.QWEN2, "qwen3": gguf.MODEL_ARCH.QWEN3}
# The pre-tokenisation expression of Qwen2 and Qwen3, the one llama.cpp calls "qwen2".
QWEN2_PATTERN = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}|"
    r" ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)


@dataclass(frozen=True)
class GgufSource:
    """What a GGUF file is made of.

    `state` maps Hugging Face tensor names ("model.layers.0.self_attn.q_proj.weight", ...) to arrays; it may
    read them lazily. `config` is config.json, `tokenizer` the path of tokenizer.json. `end_token` stops
    generation.
    """

    state: Mapping[str, NDArray[Any]]
    config: Mapping[str, Any]
    tokenizer: Path
    end_token: str
    name: str = ""
    licence: str = ""
    extra: Mapping[str, str] = field(default_factory=dict)


def write_gguf(source: GgufSource, path: Path, precision: str) -> Path:
    """Write `path` (replaced whole or not at all) with matrices in `precision`: F32, F16 or Q8_0; vectors
    stay F32.

    Raises InputError for an unknown precision or architecture, PackError for missing tensors or a tokenizer
    that is not a byte-level BPE with Qwen2's pre-tokenisation.
    """
    if precision not in _TYPES:
        raise InputError(f"unknown precision {precision!r}", "", f"choose one of {', '.join(_TYPES)}")
    kind = str(source.config.get("model_type"))
    if kind not in _ARCHITECTURES:
        raise InputError(f"cannot write {kind!r} as GGUF", "only Qwen2 and Qwen3 are known", "")
    beside = path.with_name(path.name + ".part")
    writer = gguf.GGUFWriter(beside, kind)
    _add_sizes(writer, source, precision)
    vocabulary = _add_tokenizer(writer, source)
    _add_tensors(writer, source, _ARCHITECTURES[kind], precision, vocabulary)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    beside.replace(path)
    return path


def _add_sizes(writer: gguf.GGUFWriter, source: GgufSource, precision: str) -> None:
    config = source.config
    heads = int(config["num_attention_heads"])
    head_size = int(config.get("head_dim") or config["hidden_size"] // heads)
    if source.name:
        writer.add_name(source.name)
    if source.licence:
        writer.add_license(source.licence)
    for key, value in source.extra.items():
        writer.add_string(key, value)
    writer.add_context_length(int(config["max_position_embeddings"]))
    writer.add_embedding_length(int(config["hidden_size"]))
    writer.add_block_count(int(config["num_hidden_layers"]))
    writer.add_feed_forward_length(int(config["intermediate_size"]))
    writer.add_head_count(heads)
    writer.add_head_count_kv(int(config["num_key_value_heads"]))
    writer.add_key_length(head_size)
    writer.add_value_length(head_size)
    writer.add_rope_freq_base(float(config.get("rope_theta", 10_000.0)))
    writer.add_layer_norm_rms_eps(float(config["rms_norm_eps"]))
    writer.add_vocab_size(int(config["vocab_size"]))
    writer.add_file_type(_TYPES[precision][1])
    writer.add_quantization_version(gguf.GGML_QUANT_VERSION)


def _add_tokenizer(writer: gguf.GGUFWriter, source: GgufSource) -> int:
    data = json.loads(source.tokenizer.read_text(encoding="utf-8"))
    _check_tokenizer(data, source.tokenizer)
    model = data["model"]
    tokens: dict[int, str] = {number: token for token, number in model["vocab"].items()}
    types = dict.fromkeys(tokens, gguf.TokenType.NORMAL)
    ids: dict[str, int] = {}
    for added in data.get("added_tokens", []):
        tokens[added["id"]] = added["content"]
        types[added["id"]] = gguf.TokenType.CONTROL if added["special"] else gguf.TokenType.USER_DEFINED
        ids[added["content"]] = added["id"]
    if source.end_token not in ids:
        raise PackError(f"the tokenizer has no special token {source.end_token!r}", str(source.tokenizer), "")
    # Published checkpoints pad their table past the tokenizer; the spare rows need names too.
    count = int(source.config["vocab_size"])
    if max(tokens) >= count:
        raise PackError("the tokenizer has more tokens than the model", f"{max(tokens) + 1} > {count}", "")
    names = [tokens.get(number, f"[PAD{number}]") for number in range(count)]
    kinds = [types.get(number, gguf.TokenType.UNUSED) for number in range(count)]
    merges = [merge if isinstance(merge, str) else " ".join(merge) for merge in model["merges"]]
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("qwen2")
    writer.add_token_list(names)
    writer.add_token_types(kinds)
    writer.add_token_merges(merges)
    writer.add_eos_token_id(ids[source.end_token])
    writer.add_pad_token_id(ids[source.end_token])
    writer.add_bos_token_id(ids.get("<|im_start|>", ids[source.end_token]))
    writer.add_add_bos_token(False)
    return count


def _check_tokenizer(data: Mapping[str, Any], path: Path) -> None:
    """A tokenizer that splits otherwise would load and quietly give other ids."""
    if data.get("model", {}).get("type") != "BPE":
        raise PackError("the tokenizer is not a BPE", str(path), "export a Qwen2 or Qwen3 tokenizer.json")
    if QWEN2_PATTERN not in _patterns(data.get("pre_tokenizer")):
        raise PackError(
            "the tokenizer splits text otherwise than Qwen2", str(path), "llama.cpp would give other ids"
        )


def _patterns(node: Any) -> list[str]:
    if isinstance(node, Mapping):
        own = [node["Regex"]] if isinstance(node.get("Regex"), str) else []
        return own + [found for value in node.values() for found in _patterns(value)]
    if isinstance(node, list):
        return [found for value in node for found in _patterns(value)]
    return []


def _add_tensors(
    writer: gguf.GGUFWriter,
    source: GgufSource,
    architecture: gguf.MODEL_ARCH,
    precision: str,
    vocabulary: int,
) -> None:
    names = gguf.get_tensor_name_map(architecture, int(source.config["num_hidden_layers"]))
    tied = bool(source.config.get("tie_word_embeddings", False))
    written = set()
    for key in source.state:
        if tied and key == "lm_head.weight":
            continue
        name = names.get_name(key, try_suffixes=(".weight", ".bias"))
        if name is None:
            raise PackError(f"no place in GGUF for the tensor {key!r}", "", "merge adapters before exporting")
        array = np.ascontiguousarray(source.state[key], dtype=np.float32)
        if name == "token_embd.weight" and array.shape[0] != vocabulary:
            raise PackError(
                "the token table does not fit vocab_size", f"{array.shape[0]} rows, not {vocabulary}", ""
            )
        wanted = _TYPES[precision][0] if array.ndim == 2 else gguf.GGMLQuantizationType.F32
        block = gguf.GGML_QUANT_SIZES[wanted][0]
        if array.shape[-1] % block:
            raise PackError(
                f"{key!r} has {array.shape[-1]} columns",
                f"{precision} needs a multiple of {block}",
                "use F16",
            )
        writer.add_tensor(name, gguf.quants.quantize(array, wanted), raw_dtype=wanted)
        written.add(name)
    expected = {"token_embd.weight", "output_norm.weight"} | (set() if tied else {"output.weight"})
    for layer in range(int(source.config["num_hidden_layers"])):
        for part in (
            "attn_norm",
            "attn_q",
            "attn_k",
            "attn_v",
            "attn_output",
            "ffn_norm",
            "ffn_gate",
            "ffn_up",
            "ffn_down",
        ):
            expected.add(f"blk.{layer}.{part}.weight")
    missing = sorted(expected - written)
    if missing:
        raise PackError(
            "the checkpoint lacks tensors", ", ".join(missing[:4]), "export the whole merged model"
        )
