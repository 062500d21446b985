"""Writes a small AffectGPT of 2023 in exactly the files and names in which its parts are published.

Knows those names, used and unused. Needs the exporter's libraries and transformers.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from emer_export.graphs.emer_towers import EmerAudio, EmerVision
from emer_export.graphs.eva_vit import EvaSizes
from emer_export.graphs.imagebind_audio import ImageBindSizes
from emer_export.graphs.qformer import QFormerSizes
from tests.data.make_checkpoints import make_llm, published_state, write_shards
from tests.data.make_sentencepiece import write_sentencepiece

VIDEO, AUDIO = "finetune-vicuna7b-v2.pth", "finetune_vicuna7b_audiobranch.pth"
MODEL_DIM, SIDE = 64, 16
IMAGE_QUERIES, VIDEO_QUERIES, AUDIO_QUERIES = 4, 5, 3


def towers(eva_depth: int) -> tuple[EmerVision, EmerAudio]:
    """Both towers with random numbers everywhere."""
    eva = EvaSizes(width=32, depth=eva_depth, heads=16, inner=48, patch=4, tokens=17)
    image = QFormerSizes(width=24, layers=4, heads=12, inner=32, reads=32, cross_every=2)
    video = QFormerSizes(width=24, layers=2, heads=12, inner=32, reads=24, cross_every=1)
    former = QFormerSizes(width=24, layers=2, heads=12, inner=32, reads=20, cross_every=1)
    sound = ImageBindSizes(width=24, depth=2, heads=12, inner=32, tokens=229, output=20)
    torch.manual_seed(8)
    sight = EmerVision(eva, image, video, (IMAGE_QUERIES, VIDEO_QUERIES, 32), MODEL_DIM)
    hearing = EmerAudio(sound, former, AUDIO_QUERIES, 8, MODEL_DIM)
    for module in (sight, hearing):
        for value in module.parameters():
            scale = 0.05 if value.ndim < 2 else 0.6 * value[0].numel() ** -0.5
            value.data += scale * torch.randn_like(value)
    return sight.eval(), hearing.eval()


def write_emer(root: Path, eva_depth: int = 2) -> Path:
    """Write all five files and the folder of the language model below `root`; returns root."""
    sight, hearing = (module.state_dict() for module in towers(eva_depth))
    eva = _below(sight, "visual_encoder.")
    # One block more than is run, and the ends that BLIP-2 leaves off.
    eva |= {name.replace("blocks.0.", f"blocks.{eva_depth}."): value for name, value in eva.items()}
    eva |= {"norm.weight": torch.ones(32), "norm.bias": torch.zeros(32), "head.weight": torch.zeros(3, 32)}
    torch.save(eva, root / "eva_vit_g.pth")
    blip = {name: value for name, value in sight.items() if name.startswith(("query_tokens", "ln_vision."))}
    blip |= {name: value for name, value in sight.items() if name.startswith("Qformer.")}
    blip |= _text_half("Qformer.") | {"t5_proj.weight": torch.zeros(4, 24), "t5_proj.bias": torch.zeros(4)}
    torch.save({"model": blip}, root / "blip2_pretrained_flant5xxl.pth")
    bind = _below(hearing, "audio_encoder.")
    bind |= {"modality_preprocessors.vision.cls_token": torch.zeros(1, 1, 40)}
    bind |= {"modality_trunks.thermal.blocks.0.norm_1.weight": torch.zeros(40)}
    bind |= {"modality_postprocessors.text.1.log_logit_scale": torch.zeros(())}
    torch.save(bind, root / "imagebind_huge.pth")
    own = ("visual_encoder.", "query_tokens", "ln_vision.", "Qformer.")
    video = {name: value for name, value in sight.items() if not name.startswith(own)}
    audio = {name: value for name, value in hearing.items() if not name.startswith("audio_encoder.")}
    torch.save({"model": video}, root / VIDEO)
    torch.save({"model": audio}, root / AUDIO)
    write_vicuna(root / "vicuna-7b")
    return root


def write_vicuna(folder: Path) -> None:
    """Write a small Vicuna: pickled shards, sentencepiece, and one token more than its pieces."""
    folder.mkdir()
    write_sentencepiece(folder)
    rows = json.loads((folder / "added_tokens.json").read_text())["[PAD]"] + 1
    model = make_llm("llama", rows, hidden_size=MODEL_DIM, max_position_embeddings=2048)
    (folder / "config.json").write_text(json.dumps(model.config.to_dict(), default=str))
    write_shards(folder, published_state(model, torch.float16), 2, pickled=True)


def _below(state: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name[len(prefix) :]: value for name, value in state.items() if name.startswith(prefix)}


def _text_half(prefix: str) -> dict[str, Any]:
    """What BLIP-2's Q-Former holds for text alone."""
    layer = f"{prefix}bert.encoder.layer.0."
    return {
        f"{prefix}cls.predictions.bias": torch.zeros(50),
        f"{prefix}bert.embeddings.position_ids": torch.arange(9)[None],
        f"{prefix}bert.embeddings.word_embeddings.weight": torch.zeros(50, 24),
        f"{prefix}bert.embeddings.position_embeddings.weight": torch.zeros(9, 24),
        f"{layer}intermediate.dense.weight": torch.zeros(32, 24),
        f"{layer}output.LayerNorm.bias": torch.zeros(24),
    }
