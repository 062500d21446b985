"""ImageBind's audio tower: a log mel spectrum of 2 s -> one scaled unit vector.

Knows the arithmetic and the names of `imagebind_huge.pth` below modality_*.audio. Does not know mel spectra.
Source: facebookresearch/ImageBind, `imagebind/models/imagebind_model.py`. Every block has one more,
learned pair of key and value: nn.MultiheadAttention with add_bias_kv.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

BLOCK_EPSILON, STEM_EPSILON = 1e-6, 1e-5
LARGEST_SCALE = 100.0


@dataclass(frozen=True)
class ImageBindSizes:
    """Sizes of the audio tower; `kernel` 16 with stride 10 makes 12 x 19 patches of a 128 x 204 spectrum."""

    width: int
    depth: int
    heads: int
    inner: int
    tokens: int
    output: int
    kernel: int = 16
    stride: int = 10


class ImageBindAudio(nn.Module):
    """Spectra [n, 1, bins, frames] -> vectors [n, output] of length exp(log_logit_scale), at most 100."""

    def __init__(self, sizes: ImageBindSizes) -> None:
        super().__init__()
        self.modality_preprocessors = nn.ModuleDict({"audio": _Stem(sizes)})
        blocks = nn.ModuleList(_Block(sizes) for _ in range(sizes.depth))
        self.modality_trunks = nn.ModuleDict({"audio": nn.ModuleDict({"blocks": blocks})})
        norm = nn.LayerNorm(sizes.width, BLOCK_EPSILON)
        head = {"0": norm, "2": nn.Linear(sizes.width, sizes.output, bias=False)}
        self.modality_heads = nn.ModuleDict({"audio": nn.ModuleDict(head)})
        self.modality_postprocessors = nn.ModuleDict({"audio": nn.ModuleDict({"1": _Scale()})})

    def forward(self, spectra: Tensor) -> Tensor:
        """One vector a spectrum, from its CLS token."""
        x = self.modality_preprocessors["audio"](spectra)
        for block in self.modality_trunks["audio"]["blocks"]:  # type: ignore[index, union-attr]
            x = block(x)
        head = self.modality_heads["audio"]
        x = head["2"](head["0"](x)[:, 0])  # type: ignore[index, operator]
        return self.modality_postprocessors["audio"]["1"](functional.normalize(x, dim=-1))  # type: ignore[index, operator, no-any-return]


class _Scale(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.log_logit_scale = nn.Parameter(torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        return self.log_logit_scale.exp().clamp(max=LARGEST_SCALE) * x


class _Stem(nn.Module):
    def __init__(self, sizes: ImageBindSizes) -> None:
        super().__init__()
        self.cls_token = nn.Parameter(torch.zeros(1, 1, sizes.width))
        conv = nn.Conv2d(1, sizes.width, sizes.kernel, stride=sizes.stride, bias=False)
        norm = nn.LayerNorm(sizes.width, STEM_EPSILON)
        self.rgbt_stem = nn.ModuleDict({"proj": conv, "norm_layer": norm})
        positions = nn.ParameterDict({"pos_embed": nn.Parameter(torch.zeros(1, sizes.tokens, sizes.width))})
        self.pos_embedding_helper = positions

    def forward(self, spectra: Tensor) -> Tensor:
        patches = self.rgbt_stem["proj"](spectra).flatten(2).transpose(1, 2)
        patches = self.rgbt_stem["norm_layer"](patches)
        x = torch.cat([self.cls_token.expand(len(spectra), -1, -1), patches], 1)
        return x + self.pos_embedding_helper["pos_embed"]


class _Block(nn.Module):
    def __init__(self, sizes: ImageBindSizes) -> None:
        super().__init__()
        self.attn = _Attention(sizes.width, sizes.heads)
        self.norm_1 = nn.LayerNorm(sizes.width, BLOCK_EPSILON)
        self.mlp = nn.ModuleDict(
            {"fc1": nn.Linear(sizes.width, sizes.inner), "fc2": nn.Linear(sizes.inner, sizes.width)}
        )
        self.norm_2 = nn.LayerNorm(sizes.width, BLOCK_EPSILON)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attn(self.norm_1(x))
        return x + self.mlp["fc2"](functional.gelu(self.mlp["fc1"](self.norm_2(x))))  # type: ignore[no-any-return]


class _Attention(nn.Module):
    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.in_proj_weight = nn.Parameter(torch.zeros(3 * width, width))
        self.in_proj_bias = nn.Parameter(torch.zeros(3 * width))
        self.bias_k = nn.Parameter(torch.zeros(1, 1, width))
        self.bias_v = nn.Parameter(torch.zeros(1, 1, width))
        self.out_proj = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = functional.linear(x, self.in_proj_weight, self.in_proj_bias).chunk(3, 2)
        k = torch.cat([k, self.bias_k.expand(len(x), -1, -1)], 1)
        v = torch.cat([v, self.bias_v.expand(len(x), -1, -1)], 1)
        q, k, v = (part.view(*part.shape[:2], self.heads, -1).transpose(1, 2) for part in (q, k, v))
        mixed = functional.scaled_dot_product_attention(q, k, v)
        return self.out_proj(mixed.transpose(1, 2).flatten(2))  # type: ignore[no-any-return]
