"""The language model of emer-nano in torch: Qwen3 with tied embeddings, fed with rows instead of token ids.

Knows the arithmetic and Hugging Face's tensor names (so that its state dict is a Qwen3ForCausalLM's), and
forked answers behind one prefix. Does not know tokens, text, training or GGUF.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional


@dataclass(frozen=True)
class LanguageConfig:
    """Sizes of a Qwen3 model, named as in its Hugging Face configuration."""

    vocab_size: int = 6144
    hidden_size: int = 256
    num_hidden_layers: int = 4
    num_attention_heads: int = 4
    num_key_value_heads: int = 2
    head_dim: int = 64
    intermediate_size: int = 1024
    max_position_embeddings: int = 1024
    rope_theta: float = 10_000.0
    rms_norm_eps: float = 1e-6

    def hugging_face(self) -> dict[str, object]:
        """Return config.json of a Qwen3ForCausalLM with these sizes."""
        return {
            "architectures": ["Qwen3ForCausalLM"],
            "model_type": "qwen3",
            "hidden_act": "silu",
            "attention_bias": False,
            "tie_word_embeddings": True,
            "torch_dtype": "float32",
            **asdict(self),
        }


class _Norm(nn.Module):
    def __init__(self, size: int, epsilon: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(size))
        self.epsilon = epsilon

    def forward(self, x: Tensor) -> Tensor:
        return functional.rms_norm(x, (x.shape[-1],), self.weight, self.epsilon)


def _rotate(x: Tensor, cosine: Tensor, sine: Tensor) -> Tensor:
    first, second = x.chunk(2, -1)
    return torch.cat((first * cosine - second * sine, second * cosine + first * sine), -1)


class _Attention(nn.Module):
    def __init__(self, config: LanguageConfig) -> None:
        super().__init__()
        self.heads, self.kv_heads, self.head_dim = (
            config.num_attention_heads,
            config.num_key_value_heads,
            config.head_dim,
        )
        width, size = config.hidden_size, config.head_dim
        self.q_proj = nn.Linear(width, self.heads * size, bias=False)
        self.k_proj = nn.Linear(width, self.kv_heads * size, bias=False)
        self.v_proj = nn.Linear(width, self.kv_heads * size, bias=False)
        self.o_proj = nn.Linear(self.heads * size, width, bias=False)
        self.q_norm = _Norm(size, config.rms_norm_eps)
        self.k_norm = _Norm(size, config.rms_norm_eps)

    def forward(self, x: Tensor, rope: tuple[Tensor, Tensor], mask: Tensor) -> Tensor:
        batch, length, _ = x.shape
        q = self.q_norm(self.q_proj(x).view(batch, length, self.heads, -1)).transpose(1, 2)
        k = self.k_norm(self.k_proj(x).view(batch, length, self.kv_heads, -1)).transpose(1, 2)
        v = self.v_proj(x).view(batch, length, self.kv_heads, -1).transpose(1, 2)
        q, k = _rotate(q, *rope), _rotate(k, *rope)
        groups = self.heads // self.kv_heads
        k, v = k.repeat_interleave(groups, 1), v.repeat_interleave(groups, 1)
        mixed = functional.scaled_dot_product_attention(q, k, v, attn_mask=mask)
        return self.o_proj(mixed.transpose(1, 2).reshape(batch, length, -1))  # type: ignore[no-any-return]


class _Feed(nn.Module):
    def __init__(self, config: LanguageConfig) -> None:
        super().__init__()
        width, inner = config.hidden_size, config.intermediate_size
        self.gate_proj = nn.Linear(width, inner, bias=False)
        self.up_proj = nn.Linear(width, inner, bias=False)
        self.down_proj = nn.Linear(inner, width, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.down_proj(functional.silu(self.gate_proj(x)) * self.up_proj(x))  # type: ignore[no-any-return]


class _Layer(nn.Module):
    def __init__(self, config: LanguageConfig) -> None:
        super().__init__()
        self.self_attn = _Attention(config)
        self.mlp = _Feed(config)
        self.input_layernorm = _Norm(config.hidden_size, config.rms_norm_eps)
        self.post_attention_layernorm = _Norm(config.hidden_size, config.rms_norm_eps)

    def forward(self, x: Tensor, rope: tuple[Tensor, Tensor], mask: Tensor) -> Tensor:
        x = x + self.self_attn(self.input_layernorm(x), rope, mask)
        return x + self.mlp(self.post_attention_layernorm(x))  # type: ignore[no-any-return]


class _Body(nn.Module):
    def __init__(self, config: LanguageConfig) -> None:
        super().__init__()
        self.embed_tokens = nn.Embedding(config.vocab_size, config.hidden_size)
        self.layers = nn.ModuleList(_Layer(config) for _ in range(config.num_hidden_layers))
        self.norm = _Norm(config.hidden_size, config.rms_norm_eps)


class LanguageModel(nn.Module):
    """Rows in, next-token logits out."""

    def __init__(self, config: LanguageConfig) -> None:
        super().__init__()
        self.config = config
        self.model = _Body(config)
        for name, parameter in self.named_parameters():
            if parameter.ndim == 2:
                scale = 0.02 if "embed" in name else parameter.shape[1] ** -0.5
                if name.endswith(("o_proj.weight", "down_proj.weight")):
                    scale /= (2 * config.num_hidden_layers) ** 0.5
                nn.init.normal_(parameter, std=scale)

    def rows(self, ids: Tensor) -> Tensor:
        """Look up token rows: int64 [...] -> float32 [..., hidden_size]."""
        return self.model.embed_tokens(ids)  # type: ignore[no-any-return]

    def hidden(self, rows: Tensor, positions: Tensor | None = None, branch: Tensor | None = None) -> Tensor:
        """Run the layers over rows float32 [b, n, hidden_size] and return the normed states of the same
        shape.

        `positions` int64 [b, n] (default 0..n-1) turn the rotary embedding; `branch` int64 [b, n]: 0 is the
        prefix, 1, 2, ... are answers that see the prefix and themselves, -1 is padding.
        """
        batch, length, _ = rows.shape
        if positions is None:
            positions = torch.arange(length).expand(batch, length)
        causal = torch.ones(length, length, dtype=torch.bool).tril()
        if branch is None:
            mask = causal.view(1, 1, length, length)
        else:
            seen = (branch[:, None, :] == branch[:, :, None]) | (branch[:, None, :] == 0)
            mask = (seen & causal).unsqueeze(1)
        size = self.config.head_dim
        rates = self.config.rope_theta ** (-torch.arange(0, size, 2).float() / size)
        angles = (positions.float().unsqueeze(-1) * rates).unsqueeze(1)
        rope = (angles.cos(), angles.sin())
        x = rows
        for layer in self.model.layers:
            x = layer(x, rope, mask)
        return self.model.norm(x)  # type: ignore[no-any-return]

    def logits(self, hidden: Tensor) -> Tensor:
        """Turn normed states [..., hidden_size] into logits [..., vocab_size] (tied embeddings)."""
        return functional.linear(hidden, self.model.embed_tokens.weight)
