"""The Q-Former of BLIP-2 and Video-LLaMA: learned queries that read a longer sequence by cross-attention.

Knows the arithmetic (BERT's layers, post-norm, with cross-attention in every n-th) and the published names
below `Qformer.bert.`. Does not know what is read, nor the text half, which these models never run.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn
from torch.nn import functional

EPSILON = 1e-12
UNUSED = (
    r"cls\..*|bert\.embeddings\.(position_ids|word_embeddings\.weight|position_embeddings\.weight)"
    r"|bert\.encoder\.layer\.\d+\.(intermediate|output)\..*"
)
"""Names below `Qformer.` that only text needs."""


@dataclass(frozen=True)
class QFormerSizes:
    """`cross_every` 2: layers 0, 2, 4 and so on read; `reads` is the width of what they read."""

    width: int
    layers: int
    heads: int
    inner: int
    reads: int
    cross_every: int


class QFormer(nn.Module):
    """Queries [n, q, width] and what they read [n, t, reads] -> [n, q, width]."""

    def __init__(self, sizes: QFormerSizes) -> None:
        super().__init__()
        self.bert = _Bert(sizes)

    def forward(self, queries: Tensor, read: Tensor) -> Tensor:
        """Nothing is masked: every query sees every query and everything that is read."""
        x = self.bert.embeddings["LayerNorm"](queries)
        for layer in self.bert.encoder["layer"]:  # type: ignore[attr-defined]
            x = layer(x, read)
        return x


class _Bert(nn.Module):
    def __init__(self, sizes: QFormerSizes) -> None:
        super().__init__()
        self.embeddings = nn.ModuleDict({"LayerNorm": nn.LayerNorm(sizes.width, EPSILON)})
        layers = (_Layer(sizes, i % sizes.cross_every == 0) for i in range(sizes.layers))
        self.encoder = nn.ModuleDict({"layer": nn.ModuleList(layers)})


class _Layer(nn.Module):
    def __init__(self, sizes: QFormerSizes, crosses: bool) -> None:
        super().__init__()
        self.attention = _Attention(sizes, sizes.width)
        self.crossattention = _Attention(sizes, sizes.reads) if crosses else None
        self.intermediate_query = nn.ModuleDict({"dense": nn.Linear(sizes.width, sizes.inner)})
        self.output_query = _Output(sizes.inner, sizes.width)

    def forward(self, x: Tensor, read: Tensor) -> Tensor:
        x = self.attention(x, x)
        if self.crossattention is not None:
            x = self.crossattention(x, read)
        return self.output_query(functional.gelu(self.intermediate_query["dense"](x)), x)  # type: ignore[no-any-return]


class _Attention(nn.Module):
    def __init__(self, sizes: QFormerSizes, reads: int) -> None:
        super().__init__()
        self.heads = sizes.heads
        self.self = nn.ModuleDict(
            {
                "query": nn.Linear(sizes.width, sizes.width),
                "key": nn.Linear(reads, sizes.width),
                "value": nn.Linear(reads, sizes.width),
            }
        )
        self.output = _Output(sizes.width, sizes.width)

    def forward(self, x: Tensor, read: Tensor) -> Tensor:
        q, k, v = (
            self.self[name](y).unflatten(2, (self.heads, -1)).transpose(1, 2)
            for name, y in (("query", x), ("key", read), ("value", read))
        )
        mixed = functional.scaled_dot_product_attention(q, k, v)
        return self.output(mixed.transpose(1, 2).flatten(2), x)  # type: ignore[no-any-return]


class _Output(nn.Module):
    def __init__(self, inputs: int, width: int) -> None:
        super().__init__()
        self.dense = nn.Linear(inputs, width)
        self.LayerNorm = nn.LayerNorm(width, EPSILON)

    def forward(self, x: Tensor, before: Tensor) -> Tensor:
        return self.LayerNorm(self.dense(x) + before)  # type: ignore[no-any-return]
