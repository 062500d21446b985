"""Starts two layers of the language model as copying heads, so that quoting need not be discovered first.

Knows one construction: a head of layer 0 that looks one token back, and heads of layer 1 that look for the
token after an earlier copy of the current one (induction heads, Olsson et al. 2022). Does not know text or
training. Everything stays trainable; the other heads keep their random start.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from emer_export.graphs.language import LanguageModel

# Coordinate 0 of every row holds a constant: without biases, a head has nothing else to build a fixed query
# from.
CONSTANT_PLACE, CONSTANT = 0, 0.4
_BACK_PAIRS = 12
_MATCH_FROM = 16
_BACK_GAIN, _MATCH_GAIN = 2.0, 1.8
_WRITTEN, _COPIED = 0.06, 0.25


def _orthonormal(rows: int, columns: int, generator: torch.Generator) -> Tensor:
    square = torch.randn(columns, columns, generator=generator)
    found: Tensor = torch.linalg.qr(square)[0][:rows].clone()
    found[:, CONSTANT_PLACE] = 0
    return found


@torch.no_grad()
def plant(model: LanguageModel, seed: int = 17) -> None:
    """Overwrite parts of layers 0 and 1 of `model` and the constant coordinate of its token table."""
    layers: Any = model.model.layers
    for layer in layers:
        # Outputs start at nothing, so that at first the rows themselves reach the head.
        layer.self_attn.o_proj.weight.zero_()
        layer.mlp.down_proj.weight.zero_()
    generator = torch.Generator().manual_seed(seed)
    config = model.config
    size, width = config.head_dim, config.hidden_size
    half = size // 2
    model.model.embed_tokens.weight[:, CONSTANT_PLACE] = CONSTANT
    rates = config.rope_theta ** (-torch.arange(0, size, 2).float() / size)

    back = layers[0].self_attn
    query, key = torch.zeros(size), torch.zeros(size)
    chosen = torch.arange(_BACK_PAIRS)
    # Rotary pairs (i, i + half) as complex numbers: the product peaks where key = query position - 1.
    query[chosen], query[chosen + half] = torch.cos(rates[chosen]), -torch.sin(rates[chosen])
    key[chosen] = 1.0
    back.q_proj.weight[:size] *= 0.1
    back.k_proj.weight[:size] *= 0.1
    back.q_proj.weight[:size, CONSTANT_PLACE] = query
    back.k_proj.weight[:size, CONSTANT_PLACE] = key
    back.q_norm.weight.fill_(_BACK_GAIN)
    back.k_norm.weight.fill_(_BACK_GAIN)
    read, write = _orthonormal(half, width, generator), _orthonormal(half, width, generator)
    places = torch.cat((torch.arange(_MATCH_FROM, half), torch.arange(_MATCH_FROM, half) + half))
    back.v_proj.weight[:size] = 0
    back.v_proj.weight[:half] = read
    back.o_proj.weight[:, :size] = 0
    back.o_proj.weight[:, :half] = write.T * _WRITTEN

    match = layers[1].self_attn
    groups = config.num_attention_heads // config.num_key_value_heads
    match.q_norm.weight.fill_(_MATCH_GAIN)
    match.k_norm.weight.fill_(_MATCH_GAIN)
    for number in range(config.num_key_value_heads):
        head, shared = (
            slice(number * groups * size, (number * groups + 1) * size),
            slice(number * size, (number + 1) * size),
        )
        # Low frequencies only: they keep their phase over the length of a prompt.
        match.q_proj.weight[head] = 0
        match.k_proj.weight[shared] = 0
        match.q_proj.weight[head][places] = read
        match.k_proj.weight[shared][places] = write
        copied = _orthonormal(size, width, generator)
        match.v_proj.weight[shared] = copied
        match.o_proj.weight[:, head] = copied.T * _COPIED
