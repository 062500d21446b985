"""Reads the fusion head of an AffectGPT or Light-MER checkpoint as what the runtime can run.

Knows the published names and the three kinds of each part. Does not know encoders, language models or packs.
Names and formulas: AffectGPT 2025, `my_affectgpt/models/affectgpt.py` and arXiv 2501.16566.

The runtime runs attention and mean. A q-former (two layers of cross-attention with learned queries) it can't
run: that is an error here, not an approximation.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray

from emer_edge.errors import InputError, PackError
from emer_export.checkpoints import Checkpoint, check_finite
from emer_export.graphs.fusion import FusionHead

PartKind = Literal["attention", "mean", "qformer"]
_DROPPED = (
    "llama_model.",  # the adapter of the language model, see lora.py
    "image_llama_proj.",  # single images; a clip never takes this path
    "ot_hidden_proj.",  # Light-MER's distillation loss
)
_QFORMERS = {
    "video": ("video_Qformer.", "video_query_tokens", "video_frame_position_embedding."),
    "audio": ("audio_Qformer.", "audio_query_tokens", "audio_position_embedding."),
    "multi": ("multi_Qformer.", "multi_query_tokens", "multi_position_embedding."),
}
_SCORES = {"video": "video_attention_mlp", "audio": "audio_attention_mlp"}


@dataclass(frozen=True)
class FusionWeights:
    """A fusion head, ready for `pack.write_fusion` and for a manifest's `fusion`.

    `state` maps the eighteen published names to float32 arrays [out, in] or [out]. `kinds` says what the
    checkpoint had per part; the runtime runs all of it as `attention`.
    """

    state: dict[str, NDArray[np.float32]]
    kinds: dict[str, PartKind]
    vision_dim: int
    audio_dim: int
    model_dim: int
    kind: Literal["attention", "tokens"] = "attention"
    """`tokens`: there is none, the encoders give soft tokens."""

    def head(self) -> FusionHead:
        """The same head in torch, float32, as the reference of parity measurements.

        Raises:
            InputError: the kind is `tokens`.
        """
        if self.kind == "tokens":
            raise InputError("A model whose encoders give soft tokens has no fusion head.")
        head = FusionHead(self.kind, self.vision_dim, self.audio_dim, self.model_dim)
        head.load_state_dict({name: torch.from_numpy(value) for name, value in self.state.items()})
        return head.eval()


def fusion_kinds(checkpoint: Checkpoint) -> dict[str, PartKind]:
    """Tell from the names which kind `video`, `audio` and `multi` were trained with.

    Raises:
        PackError: a part is of none of the three kinds.
    """
    kinds: dict[str, PartKind] = {}
    names = checkpoint.names()
    for part, prefixes in _QFORMERS.items():
        if any(name.startswith(prefixes) for name in names):
            kinds[part] = "qformer"
        elif part == "multi":
            # There is no mean of the mixture upstream: without its gate there is nothing to mix with.
            if "attention_mlp.weight" not in checkpoint:
                raise PackError(
                    f"{checkpoint.origin} has no pre-fusion.",
                    "Neither attention_mlp nor multi_Qformer is in it.",
                    "Give an AffectGPT checkpoint of 2025 or later.",
                )
            kinds[part] = "attention"
        else:
            kinds[part] = "attention" if f"{_SCORES[part]}.weight" in checkpoint else "mean"
    return kinds


def read_fusion(checkpoint: Checkpoint, frames: int = 8, windows: int = 8) -> FusionWeights:
    """Read the fusion head of a published checkpoint.

    A mean over a fixed count is the attention sum with constant scores: where a part was trained with `mean`,
    its scores become weight 0 and bias 1 / count, which is exact for clips of `frames` frames and `windows`
    windows.

    Args:
        checkpoint: the trained part of AffectGPT 2025 or Light-MER, the adapter included or not.
        frames: frames that the pack takes from a clip; the published models take 8.
        windows: sound windows likewise.

    Raises:
        PackError: a q-former (which the runtime can't run), missing or unknown names, widths that do not fit
            each other, or numbers that are not finite.
    """
    if min(frames, windows) < 1:
        raise InputError(f"A mean over {frames} frames and {windows} windows makes no sense.")
    kinds = fusion_kinds(checkpoint)
    formers = [part for part, kind in kinds.items() if kind == "qformer"]
    if formers:
        raise PackError(
            f"{checkpoint.origin} fuses with q-formers, which the runtime can't run.",
            f"Trained that way: {', '.join(formers)}. The runtime knows attention and mean.",
            "Use the published attention checkpoint of the same model.",
        )
    part = checkpoint.subset("", lambda name: None if name.startswith(_DROPPED) else name)
    widths = _widths(part)
    with torch.device("meta"):  # shapes alone
        shapes = {name: tuple(t.shape) for name, t in FusionHead("attention", *widths).state_dict().items()}
    counts = {"video": frames, "audio": windows}
    means = {_SCORES[name]: counts[name] for name in counts if kinds[name] == "mean"}
    held = {name: shape for name, shape in shapes.items() if name.rpartition(".")[0] not in means}
    part.require(held, "the fusion head of an AffectGPT model")
    state: dict[str, NDArray[np.float32]] = {}
    for name in held:
        value = part.tensor(name).float()
        check_finite(value, name, part.origin)
        state[name] = value.numpy()
    for name, count in means.items():
        state[f"{name}.weight"] = np.zeros(shapes[f"{name}.weight"], np.float32)
        state[f"{name}.bias"] = np.full(1, 1 / count, np.float32)
    return FusionWeights(state, kinds, *widths)


def _widths(part: Checkpoint) -> tuple[int, int, int]:
    """Width of vision, audio and soft tokens, from the two projections."""
    names = ("affectgpt_proj.weight", "audio_llama_proj.weight")
    absent = [name for name in names if name not in part]
    if absent:
        raise PackError(
            f"{part.origin} is not the fusion head of an AffectGPT model.",
            f"missing: {', '.join(absent)}",
            "Check that it is the checkpoint of this very model.",
        )
    vision, audio = (part.shape(name) for name in names)
    if len(vision) != 2 or len(audio) != 2 or vision[0] != audio[0]:
        raise PackError(
            f"{part.origin} projects vision and audio to different widths.", f"{list(vision)}, {list(audio)}"
        )
    return vision[1], audio[1], vision[0]
