"""Writes whole small models in exactly the layouts that are published: checkpoint, encoders, language model.

Knows the folders of AffectGPT 2025 and Light-MER. Needs the exporter's libraries and transformers.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import torch

from tests.data.make_checkpoints import (
    SPARE_ROWS,
    adapter_state,
    fusion_state,
    make_llm,
    write_folder,
    write_pth,
    write_shards,
    write_tokenizer,
)

VISION_DIM, AUDIO_DIM, MODEL_DIM, PICTURE = 24, 16, 64, 32
_TEXT = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "vocab_size": 50}
_OLD_NORM = {"parametrizations.weight.original0": "weight_g", "parametrizations.weight.original1": "weight_v"}
LIGHT_MER = {"vision": "clip-vit-base-patch16", "audio": "chinese-hubert-base", "llm": "Qwen3-0.6B"}
AFFECTGPT = {
    "vision": "clip-vit-large-patch14",
    "audio": "chinese-hubert-large",
    "llm": "Qwen2.5-7B-Instruct",
}


@dataclass(frozen=True)
class Scale:
    """Sizes of the parts, as their configurations call them; the default is small enough for a test."""

    vision: Mapping[str, Any]
    vision_dim: int
    audio: Mapping[str, Any]
    llm: Mapping[str, Any]
    vocabulary: int | None = None
    """Rows of the token table; None takes what the tokenizer needs."""


SMALL = Scale(
    vision={
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "image_size": PICTURE,
        "patch_size": 16,
    },
    vision_dim=VISION_DIM,
    audio={
        "hidden_size": AUDIO_DIM,
        "intermediate_size": 32,
        "num_hidden_layers": 5,
        "num_attention_heads": 2,
        "conv_dim": (16,) * 7,
        "num_conv_pos_embeddings": 16,
        "num_conv_pos_embedding_groups": 4,
    },
    llm={"hidden_size": MODEL_DIM, "max_position_embeddings": 2048},
)
FULL_LIGHT_MER = Scale(
    vision={"patch_size": 16, "image_size": 224},
    vision_dim=512,
    audio={},
    llm={
        "hidden_size": 1024,
        "num_hidden_layers": 28,
        "num_attention_heads": 16,
        "num_key_value_heads": 8,
        "head_dim": 128,
        "intermediate_size": 3072,
        "max_position_embeddings": 40_960,
    },
    vocabulary=151_936,
)
"""CLIP ViT-B/16, HuBERT-base and Qwen3-0.6B at their published sizes."""
FULL_AFFECTGPT_ENCODERS = Scale(
    vision={
        "hidden_size": 1024,
        "intermediate_size": 4096,
        "num_hidden_layers": 24,
        "num_attention_heads": 16,
        "patch_size": 14,
        "image_size": 224,
    },
    vision_dim=768,
    audio={
        "hidden_size": 1024,
        "intermediate_size": 4096,
        "num_hidden_layers": 24,
        "num_attention_heads": 16,
    },
    llm={"hidden_size": MODEL_DIM, "max_position_embeddings": 2048},
)
"""CLIP ViT-L/14 and HuBERT-large at their published sizes, before a small language model."""


def write_published(root: Path, family: str = "light-mer", scale: Scale = SMALL) -> Path:
    """Write an `affectgpt` or `light-mer` below `root`: its three folders and checkpoint.pth; returns
    root.
    """
    small = family == "light-mer"
    names = LIGHT_MER if small else AFFECTGPT
    for name in names.values():
        (root / name).mkdir(parents=True)
    write_clip(root / names["vision"], scale, pickled=not small)
    audio = write_hubert(root / names["audio"], scale, "base" if small else "large")
    llm = root / names["llm"]
    rows = scale.vocabulary or write_tokenizer(llm) + SPARE_ROWS
    if scale.vocabulary:
        write_tokenizer(llm, 4000, known=family_words())
    model = make_llm("qwen3" if small else "qwen2", rows, **scale.llm)
    write_folder(llm, model, torch.bfloat16 if small else torch.float16, shards=2)
    fusion = fusion_state(scale.vision_dim, audio.config.hidden_size, model.config.hidden_size)
    state = {**fusion, **adapter_state(model)}
    if small:
        state["ot_hidden_proj.weight"] = torch.zeros(4, model.config.hidden_size)
    write_pth(root / "checkpoint.pth", state)
    return root


def family_words() -> str:
    """Prompt and labels of the AffectGPT family, of which real tokenizers know most words."""
    place = files("emer_export").joinpath("families/affectgpt.toml")
    return " ".join(re.findall(r"[A-Za-z']+", place.read_text(encoding="utf-8")))


def write_clip(folder: Path, scale: Scale, *, pickled: bool) -> Any:
    """Write a whole CLIPModel, text tower included, and return it."""
    import transformers

    torch.manual_seed(5)
    config = transformers.CLIPConfig(
        text_config=_TEXT, vision_config=dict(scale.vision), projection_dim=scale.vision_dim
    )
    model = _shaken(transformers.CLIPModel(config))
    positions = torch.arange((config.vision_config.image_size // config.vision_config.patch_size) ** 2 + 1)
    state = {**model.state_dict(), "vision_model.embeddings.position_ids": positions[None]}
    return _write(folder, model, state, pickled)


def write_hubert(folder: Path, scale: Scale, layout: str) -> Any:
    """Write a HubertModel of layout `base` or `large`, with the weight norm's older names, and return it."""
    import transformers

    torch.manual_seed(6)
    large = layout == "large"
    config = transformers.HubertConfig(
        **scale.audio, feat_extract_norm="layer" if large else "group", do_stable_layer_norm=large
    )
    model = _shaken(transformers.HubertModel(config))
    state = {}
    for name, value in model.state_dict().items():
        for new, old in _OLD_NORM.items():
            name = name.replace(new, old)
        state[name] = value
    return _write(folder, model, state, True)


def _shaken(model: Any) -> Any:
    # Norms and biases start as ones and zeros, which would hide faults.
    for parameter in model.parameters():
        scale = 0.05 if parameter.ndim < 2 else 0.3 * parameter[0].numel() ** -0.5
        parameter.data += scale * torch.randn_like(parameter)
    return model.eval()


def _write(folder: Path, model: Any, state: dict[str, Any], pickled: bool) -> Any:
    (folder / "config.json").write_text(json.dumps(model.config.to_dict(), default=str))
    write_shards(folder, {name: value.contiguous() for name, value in state.items()}, 1, pickled)
    return model
