"""AffectGPT of 2023 from pixels and sound to soft tokens: each tower with the Q-Formers behind it.

Knows how Video-LLaMA joins its parts, and their names in the assembled model. Does not know the parts'
arithmetic, files or prompts. Source: zeroQiaoba/AffectGPT, `video_llama/models/video_llama.py`.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from emer_export.graphs.eva_vit import EvaSizes, EvaVit
from emer_export.graphs.imagebind_audio import ImageBindAudio, ImageBindSizes
from emer_export.graphs.kaldi_fbank import KaldiFbank
from emer_export.graphs.qformer import QFormer, QFormerSizes

MODALITY_EPSILON = 1e-5


class EmerVision(nn.Module):
    """The frames of one clip [t, 3, side, side] -> soft tokens [queries, model].

    BLIP-2's queries read each frame and are marked with its place in time; a second Q-Former reads these.
    """

    def __init__(
        self,
        eva: EvaSizes,
        image: QFormerSizes,
        video: QFormerSizes,
        counts: tuple[int, int, int],
        model: int,
    ) -> None:
        super().__init__()
        queries, video_queries, places = counts
        self.visual_encoder = EvaVit(eva)
        self.ln_vision = nn.LayerNorm(eva.width, MODALITY_EPSILON)
        self.query_tokens = nn.Parameter(torch.zeros(1, queries, image.width))
        self.Qformer = QFormer(image)
        self.video_frame_position_embedding = nn.Embedding(places, video.reads)
        self.video_query_tokens = nn.Parameter(torch.zeros(1, video_queries, video.width))
        self.video_Qformer = QFormer(video)
        self.llama_proj = nn.Linear(video.width, model)

    def forward(self, frames: Tensor) -> Tensor:
        """frames float [t, 3, side, side], normalised as CLIP's."""
        seen = self.ln_vision(self.visual_encoder(frames))
        read = self.Qformer(self.query_tokens.expand(len(frames), -1, -1), seen)
        marked = read + self.video_frame_position_embedding.weight[: len(frames), None]
        said = self.video_Qformer(self.video_query_tokens, marked.flatten(0, 1).unsqueeze(0))
        return self.llama_proj(said)[0]  # type: ignore[no-any-return]


class EmerAudio(nn.Module):
    """The sound windows of one clip [t, samples] at 16 kHz -> soft tokens [queries, model]."""

    takes_float32 = True

    def __init__(
        self, sizes: ImageBindSizes, former: QFormerSizes, queries: int, places: int, model: int
    ) -> None:
        super().__init__()
        self.fbank = KaldiFbank()
        self.audio_encoder = ImageBindAudio(sizes)
        self.audio_position_embedding = nn.Embedding(places, former.reads)
        self.audio_query_tokens = nn.Parameter(torch.zeros(1, queries, former.width))
        self.audio_Qformer = QFormer(former)
        self.audio_llama_proj = nn.Linear(former.width, model)

    def forward(self, windows: Tensor) -> Tensor:
        """windows float32 [t, samples]: each lost its mean, none was scaled."""
        heard = self.audio_encoder(self.fbank(windows).to(self.audio_query_tokens.dtype))
        marked = (heard + self.audio_position_embedding.weight[: len(windows)]).unsqueeze(0)
        said = self.audio_Qformer(self.audio_query_tokens, marked)
        return self.audio_llama_proj(said)[0]  # type: ignore[no-any-return]
