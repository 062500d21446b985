"""Writes small checkpoints in exactly the layouts that are published, with random weights.

Knows Hugging Face folders (one file, shards, pytorch_model.bin) and AffectGPT's .pth. Needs the exporter's
libraries.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from tokenizers import Regex, Tokenizer
from tokenizers.decoders import ByteLevel as ByteLevelDecoder
from tokenizers.models import BPE
from tokenizers.normalizers import NFC
from tokenizers.pre_tokenizers import ByteLevel, Sequence, Split
from tokenizers.trainers import BpeTrainer
from torch import Tensor

from emer_export.gguf_tokenizer import QWEN2_PATTERN
from emer_export.tokenizer_texts import sample_texts

SPECIALS = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
SPARE_ROWS = 7
PROJECTIONS = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
_SIZES = {
    "hidden_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "intermediate_size": 96,
    "max_position_embeddings": 512,
    "rope_theta": 1_000_000.0,
    "rms_norm_eps": 1e-6,
    "bos_token_id": None,
    "eos_token_id": None,
}


def write_tokenizer(
    folder: Path, size: int = 900, seed: int = 1, pattern: str = QWEN2_PATTERN, known: str = ""
) -> int:
    """Write tokenizer.json and tokenizer_config.json as Qwen publishes them; returns the number of tokens.

    `known`: text of which every word becomes one token where `size` leaves room, as in real ones.
    """
    tokenizer = Tokenizer(BPE())
    tokenizer.normalizer = NFC()
    tokenizer.pre_tokenizer = Sequence(
        [
            Split(Regex(pattern), behavior="isolated"),
            ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = ByteLevelDecoder()
    trainer = BpeTrainer(vocab_size=size, initial_alphabet=ByteLevel.alphabet(), show_progress=False)
    tokenizer.train_from_iterator([*sample_texts(400, seed), *[known] * 2000], trainer)
    tokenizer.add_special_tokens([*SPECIALS])
    tokenizer.save(str(folder / "tokenizer.json"))
    settings = {"bos_token": None, "eos_token": "<|im_end|>", "pad_token": "<|endoftext|>"}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    return int(tokenizer.get_vocab_size())


def make_llm(kind: str, vocabulary: int, seed: int = 0, **sizes: Any) -> Any:
    """A random language model of transformers: `qwen2` (biases, own head), `qwen3` (tied) or `llama`."""
    import transformers

    classes: dict[str, tuple[Any, Any]] = {
        "qwen2": (transformers.Qwen2Config, transformers.Qwen2ForCausalLM),
        "qwen3": (transformers.Qwen3Config, transformers.Qwen3ForCausalLM),
        "llama": (transformers.LlamaConfig, transformers.LlamaForCausalLM),
    }
    configuration, model = classes[kind]
    more = {"head_dim": 32} if kind == "qwen3" else {}
    config = configuration(
        vocab_size=vocabulary,
        tie_word_embeddings=kind == "qwen3",
        attn_implementation="eager",
        **{**_SIZES, **more, **sizes},
    )
    torch.manual_seed(seed)
    made = model(config).eval()
    for name, parameter in made.named_parameters():
        scale = 0.3 if name.endswith("bias") else 1.5 * parameter.shape[-1] ** -0.5
        if name.endswith("norm.weight"):
            torch.nn.init.uniform_(parameter, 0.7, 1.3)
        else:
            torch.nn.init.normal_(parameter, std=scale)
    return made


def published_state(model: Any, dtype: torch.dtype = torch.float32) -> dict[str, Tensor]:
    """The tensors that save_pretrained writes: a tied head is not repeated."""
    tied = bool(model.config.tie_word_embeddings)
    return {
        name: value.detach().to(dtype).contiguous()
        for name, value in model.state_dict().items()
        if not (tied and name == "lm_head.weight")
    }


def write_folder(folder: Path, model: Any, dtype: torch.dtype = torch.float32, shards: int = 1) -> Path:
    """Write config.json and the weights of a language model; the tokenizer is written apart."""
    (folder / "config.json").write_text(json.dumps(model.config.to_dict(), default=str))
    write_shards(folder, published_state(model, dtype), shards)
    return folder


def write_shards(folder: Path, state: Mapping[str, Tensor], shards: int, pickled: bool = False) -> None:
    """Write a state dict as one file, or as shards with their index."""
    stem, suffix = ("pytorch_model", ".bin") if pickled else ("model", ".safetensors")
    files = [f"{stem}-{number + 1:05}-of-{shards:05}{suffix}" for number in range(shards)]
    if shards == 1:
        files = [stem + suffix]
    names = list(state)
    weight_map = {name: files[place * shards // len(names)] for place, name in enumerate(names)}
    for file in files:
        part = {name: state[name] for name in names if weight_map[name] == file}
        if pickled:
            torch.save(part, folder / file)
        else:
            save_file(part, folder / file, metadata={"format": "pt"})
    if shards > 1:
        size = sum(value.numel() * value.element_size() for value in state.values())
        index = {"metadata": {"total_size": size}, "weight_map": weight_map}
        (folder / f"{stem}{suffix}.index.json").write_text(json.dumps(index))


def adapter_state(model: Any, rank: int = 16, seed: int = 3) -> dict[str, Tensor]:
    """LoRA tensors under AffectGPT's names, for every projection of every layer."""
    generator = torch.Generator().manual_seed(seed)
    state: dict[str, Tensor] = {}
    for name, parameter in model.named_parameters():
        if name.split(".")[-2] not in PROJECTIONS or not name.endswith("weight"):
            continue
        out, width = parameter.shape
        module = "llama_model.base_model.model." + name.removesuffix(".weight")
        state[f"{module}.lora_A.default.weight"] = torch.randn(rank, width, generator=generator) * width**-0.5
        state[f"{module}.lora_B.default.weight"] = torch.randn(out, rank, generator=generator) * 0.05
    return state


def fusion_state(vision: int = 24, audio: int = 16, width: int = 64, seed: int = 4) -> dict[str, Tensor]:
    """The fusion head of AffectGPT 2025 with attention everywhere, and the image projection nobody uses."""
    generator = torch.Generator().manual_seed(seed)
    wide = max(vision, audio)
    shapes = {
        "image_llama_proj": (width, vision),
        "video_attention_mlp": (1, vision),
        "affectgpt_proj": (width, vision),
        "audio_attention_mlp": (1, audio),
        "audio_llama_proj": (width, audio),
        "multi_audio_embs": (wide, audio),
        "multi_video_embs": (wide, vision),
        "attention_mlp": (wide, 2 * wide),
        "fc_att": (2, wide),
        "multi_llama_proj": (width, wide),
    }
    state: dict[str, Tensor] = {}
    for name, (out, into) in shapes.items():
        state[f"{name}.weight"] = torch.randn(out, into, generator=generator) * into**-0.5
        state[f"{name}.bias"] = torch.randn(out, generator=generator) * 0.1
    return state


def write_pth(path: Path, state: Mapping[str, Tensor]) -> Path:
    """Write what AffectGPT's trainer writes: the trained tensors under `model`, and the state of training."""
    first = next(iter(state.values()))
    torch.save(
        {
            "model": dict(state),
            "optimizer": {"state": {0: {"step": torch.tensor(7.0), "exp_avg": torch.zeros_like(first)}}},
            "config": {"run": {"max_epoch": 60, "amp": True}, "model": {"arch": "affectgpt"}},
            "scaler": {"scale": 65536.0, "growth_factor": 2.0},
            "epoch": 55,
        },
        path,
    )
    return path
