"""AffectGPT's fusion head in torch: encoder embeddings to the three soft tokens.

Knows the two kinds (attention pooling and plain means) and the published tensor names. Does not know
encoders, language models or files. All layers are plain linear layers: no softmax, no activation, no norm
(AffectGPT 2025, ICML).
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

FusionKind = Literal["attention", "mean"]


class FusionHead(nn.Module):
    """Embeddings [b, t, vision_dim] and [b, t, audio_dim] to soft tokens [b, 1, model_dim]."""

    def __init__(self, kind: FusionKind, vision_dim: int, audio_dim: int, model_dim: int) -> None:
        super().__init__()
        self.kind = kind
        wide = max(vision_dim, audio_dim)
        self.video_attention_mlp = nn.Linear(vision_dim, 1)
        self.audio_attention_mlp = nn.Linear(audio_dim, 1)
        self.affectgpt_proj = nn.Linear(vision_dim, model_dim)
        self.audio_llama_proj = nn.Linear(audio_dim, model_dim)
        self.multi_video_embs = nn.Linear(vision_dim, wide)
        self.multi_audio_embs = nn.Linear(audio_dim, wide)
        self.attention_mlp = nn.Linear(2 * wide, wide)
        self.fc_att = nn.Linear(wide, 2)
        self.multi_llama_proj = nn.Linear(wide, model_dim)

    def start_as_mean(self, frames: int, scale: float) -> None:
        """Set weights so that pooling starts as a mean over `frames` and soft tokens have about `scale` per
        number.
        """
        with torch.no_grad():
            for pool in (self.video_attention_mlp, self.audio_attention_mlp):
                pool.weight.zero_()
                pool.bias.fill_(1 / frames)
            self.fc_att.weight.mul_(0.1)
            self.fc_att.bias.fill_(0.5)
            for project in (self.affectgpt_proj, self.audio_llama_proj, self.multi_llama_proj):
                nn.init.normal_(project.weight, std=scale * project.in_features**-0.5)
                project.bias.zero_()

    def _pool(self, hidden: Tensor, scores: nn.Linear) -> Tensor:
        if self.kind == "mean":
            return hidden.mean(1)
        pooled: Tensor = (scores(hidden) * hidden).sum(1)
        return pooled

    def vision(self, hidden: Tensor) -> Tensor:
        """Pool and project face or frame embeddings [b, t, vision_dim] -> [b, 1, model_dim]."""
        return self.affectgpt_proj(self._pool(hidden, self.video_attention_mlp)).unsqueeze(1)  # type: ignore[no-any-return]

    def audio(self, hidden: Tensor) -> Tensor:
        """Pool and project voice embeddings [b, t, audio_dim] -> [b, 1, model_dim]."""
        return self.audio_llama_proj(self._pool(hidden, self.audio_attention_mlp)).unsqueeze(1)  # type: ignore[no-any-return]

    def multi(self, vision: Tensor, audio: Tensor) -> Tensor:
        """Merge both (pre-fusion on the plain means, as upstream) -> [b, 1, model_dim]."""
        v = self.multi_video_embs(vision.mean(1))
        a = self.multi_audio_embs(audio.mean(1))
        if self.kind == "mean":
            return self.multi_llama_proj((v + a) / 2).unsqueeze(1)  # type: ignore[no-any-return]
        weights = self.fc_att(self.attention_mlp(torch.cat((v, a), -1)))
        return self.multi_llama_proj(weights[:, :1] * v + weights[:, 1:] * a).unsqueeze(1)  # type: ignore[no-any-return]
