"""EVA-ViT-g as BLIP-2 uses it: all tokens of the last block but one, without a norm.

Knows the arithmetic and the names of `eva_vit_g.pth`. Does not know the norm behind it (`ln_vision`).
Source: LAVIS, `lavis/models/eva_vit.py`. Keys have no bias; queries and values have one each, beside `qkv`.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

EPSILON = 1e-6


@dataclass(frozen=True)
class EvaSizes:
    """`depth` counts the blocks that are run: 39 of the 40 that EVA-g was trained with."""

    width: int
    depth: int
    heads: int
    inner: int
    patch: int
    tokens: int

    @property
    def side(self) -> int:
        """Height and width of a picture."""
        return round((self.tokens - 1) ** 0.5) * self.patch


class EvaVit(nn.Module):
    """Pictures [n, 3, side, side] -> tokens [n, tokens, width], CLS first."""

    def __init__(self, sizes: EvaSizes) -> None:
        super().__init__()
        self.sizes = sizes
        self.cls_token = nn.Parameter(torch.zeros(1, 1, sizes.width))
        self.pos_embed = nn.Parameter(torch.zeros(1, sizes.tokens, sizes.width))
        conv = nn.Conv2d(3, sizes.width, sizes.patch, stride=sizes.patch)
        self.patch_embed = nn.ModuleDict({"proj": conv})
        self.blocks = nn.ModuleList(_Block(sizes) for _ in range(sizes.depth))

    def forward(self, frames: Tensor) -> Tensor:
        """frames float [n, 3, side, side], normalised as CLIP's."""
        patches = self.patch_embed["proj"](frames).flatten(2).transpose(1, 2)
        x = torch.cat([self.cls_token.expand(len(frames), -1, -1), patches], 1) + self.pos_embed
        for block in self.blocks:
            x = block(x)
        return x


class _Block(nn.Module):
    def __init__(self, sizes: EvaSizes) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(sizes.width, EPSILON)
        self.attn = _Attention(sizes.width, sizes.heads)
        self.norm2 = nn.LayerNorm(sizes.width, EPSILON)
        self.mlp = nn.ModuleDict(
            {"fc1": nn.Linear(sizes.width, sizes.inner), "fc2": nn.Linear(sizes.inner, sizes.width)}
        )

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attn(self.norm1(x))
        return x + self.mlp["fc2"](functional.gelu(self.mlp["fc1"](self.norm2(x))))  # type: ignore[no-any-return]


class _Attention(nn.Module):
    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width, bias=False)
        self.q_bias = nn.Parameter(torch.zeros(width))
        self.v_bias = nn.Parameter(torch.zeros(width))
        self.proj = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        bias = torch.cat([self.q_bias, torch.zeros_like(self.q_bias), self.v_bias])
        parts = functional.linear(x, self.qkv.weight, bias).chunk(3, 2)
        q, k, v = (part.view(*part.shape[:2], self.heads, -1).transpose(1, 2) for part in parts)
        mixed = functional.scaled_dot_product_attention(q, k, v)
        return self.proj(mixed.transpose(1, 2).flatten(2))  # type: ignore[no-any-return]
