"""The reference way: PyTorch and transformers as the authors of AffectGPT 2025 and Light-MER run inference.

Knows the published folders, the arithmetic of the fusion and the prompt, written down from the papers' code
and apart from emer-edge's own, so that the two can be held against each other. Does not know clips' files,
turns or emer-edge.

Generous to the reference: LoRA is merged (the authors run it beside the weights), CLIP's text tower is left
out, no gradient is kept, words are greedy, and the label needs one forward pass, although the authors read it
from generated text.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

Rows = NDArray[np.float32]
MARKERS = ("<ImageHere>", "<AudioHere>", "<FrameHere>", "<FaceHere>", "<MultiHere>")
QUESTIONS = {
    "explain": "Please infer the person's emotional state and provide your reasoning process.",
    "labels": "Please recognize all possible emotional states of the character.",
}
LABELS_BEGIN = "The character's emotional state is"
_PROMPT = (
    "###Human: The audio and video merged info is: <Multi><MultiHere></Multi>. The audio content is as "
    "follows: <Audio><AudioHere></Audio>. Meanwhile, we uniformly sample raw frames from the video: "
    "<Video><FrameHere></Video>. The subtitle of this video is: <Subtitle>{subtitle}</Subtitle>. Now, please "
    "answer my question based on all the provided information. {question} ###Assistant: "
)
_LORA = "llama_model.base_model.model."
_LORA_ALPHA = 32.0


@dataclass(frozen=True)
class Models:
    """Folders and file of one published model, below `root`."""

    root: Path
    vision: str = "clip-vit-base-patch16"
    audio: str = "chinese-hubert-base"
    llm: str = "Qwen3-0.6B"
    checkpoint: str = "checkpoint.pth"


class Reference:
    """The model in torch.

    Args:
        models: what is published.
        precision: `float32` or `bfloat16`, of everything.
        compiled: encoders through torch.compile, and generation with transformers' own static cache, whose
            steps it compiles.
        threads: of torch.
    """

    def __init__(self, models: Models, precision: str, compiled: bool, threads: int) -> None:
        import transformers as untyped

        transformers: Any = untyped
        transformers.logging.set_verbosity_error()
        transformers.logging.disable_progress_bar()
        torch.set_num_threads(threads)
        self.dtype, self.compiled = getattr(torch, precision), compiled
        how = {"dtype": self.dtype, "local_files_only": True}
        self.vision, self.audio = load_encoders(models, self.dtype, compiled)
        self.picture_side: int = self.vision.config.image_size
        self.llm = transformers.AutoModelForCausalLM.from_pretrained(models.root / models.llm, **how).eval()
        state = torch.load(models.root / models.checkpoint, weights_only=True)["model"]
        merge_lora(self.llm, state)
        self.fusion = {name: value.to(self.dtype) for name, value in state.items() if "lora_" not in name}
        self.tokenizer = transformers.PreTrainedTokenizerFast(
            tokenizer_file=str(models.root / models.llm / "tokenizer.json")
        )
        self.tokenizer.add_tokens(list(MARKERS), special_tokens=True)

    @torch.inference_mode()
    def embed(self, pictures: Rows, windows: Rows) -> tuple[Tensor, Tensor]:
        """CLIP's projected CLS rows [8, dv], and the mean over time of HuBERT's last four states [8, da]."""
        return self.vision(torch.from_numpy(pictures)), self.audio(torch.from_numpy(windows))

    @torch.inference_mode()
    def fuse(self, seen: Tensor, heard: Tensor) -> dict[str, Tensor]:
        """The three soft tokens, each [1, width]: multi, audio, vision."""
        linear = self._linear
        video = (linear("video_attention_mlp", seen) * seen).sum(0, keepdim=True)
        sound = (linear("audio_attention_mlp", heard) * heard).sum(0, keepdim=True)
        v = linear("multi_video_embs", seen.mean(0, keepdim=True))
        a = linear("multi_audio_embs", heard.mean(0, keepdim=True))
        gate = linear("fc_att", linear("attention_mlp", torch.cat([v, a], 1)))
        return {
            "multi": linear("multi_llama_proj", gate[:, :1] * v + gate[:, 1:] * a),
            "audio": linear("audio_llama_proj", sound),
            "vision": linear("affectgpt_proj", video),
        }

    def _linear(self, name: str, x: Tensor) -> Tensor:
        return functional.linear(x, self.fusion[f"{name}.weight"], self.fusion[f"{name}.bias"])

    @torch.inference_mode()
    def rows(self, soft: Mapping[str, Tensor], subtitle: str, question: str, begun: str = "") -> Tensor:
        """The prompt as embeddings [1, n, width], the soft tokens laid over their markers."""
        text = _PROMPT.format(subtitle=subtitle, question=QUESTIONS[question]) + begun
        ids = torch.tensor(self.tokenizer.encode(text, add_special_tokens=False))
        places: dict[str, Tensor] = {
            "multi": ids.eq(self.tokenizer.convert_tokens_to_ids("<MultiHere>")),
            "audio": ids.eq(self.tokenizer.convert_tokens_to_ids("<AudioHere>")),
            "vision": ids.eq(self.tokenizer.convert_tokens_to_ids("<FrameHere>")),
        }
        for place in places.values():
            ids = ids.masked_fill(place, 0)
        rows = self.llm.get_input_embeddings()(ids)
        for name, place in places.items():
            rows[place] = soft[name].to(rows.dtype)
        laid: Tensor = rows[None]
        return laid

    @torch.inference_mode()
    def first_logits(self, rows: Tensor) -> Tensor:
        """Logits [vocabulary] behind the prompt, in float32; none are computed for the rows before."""
        return self.llm(inputs_embeds=rows, use_cache=False, logits_to_keep=1).logits[0, -1].float()  # type: ignore[no-any-return]

    @torch.inference_mode()
    def generate(self, rows: Tensor, tokens: int) -> tuple[list[int], float]:
        """Greedy ids, exactly `tokens` of them, and `time.perf_counter()` when the first was there."""
        clock = _Clock()
        more: dict[str, Any] = {}
        if self.compiled:
            from transformers import generation

            compile_all: Any = generation.CompileConfig  # type: ignore[attr-defined]
            compile_all = compile_all(fullgraph=False, mode="default")
            compile_all._compile_all_devices = True  # transformers compiles on GPUs only otherwise
            more = {"cache_implementation": "static", "compile_config": compile_all}
        out = self.llm.generate(
            inputs_embeds=rows,
            attention_mask=torch.ones(rows.shape[:2], dtype=torch.long),
            max_new_tokens=tokens,
            min_new_tokens=tokens,
            do_sample=False,
            pad_token_id=0,
            streamer=clock,
            **more,
        )
        return out[0].tolist(), clock.first


class _Vision(nn.Module):
    """CLIP's image tower: pictures [n, 3, side, side] -> projected CLS rows [n, dv]."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model, self.config = model, model.config

    def forward(self, pictures: Tensor) -> Tensor:
        rows: Tensor = self.model(pixel_values=pictures.to(self.model.dtype)).image_embeds
        return rows


class _Audio(nn.Module):
    """HuBERT: windows [n, samples] -> the mean over time of the mean of the last four states [n, da]."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model

    def forward(self, windows: Tensor) -> Tensor:
        found = self.model(windows.to(self.model.dtype), output_hidden_states=True)
        return torch.stack(found.hidden_states[-4:]).mean(0).mean(1)


def load_encoders(models: Models, dtype: torch.dtype, compiled: bool) -> tuple[Any, Any]:
    """Both encoders as modules from arrays to embeddings; CLIP's says its `config`."""
    import transformers as untyped

    transformers: Any = untyped
    how = {"dtype": dtype, "local_files_only": True}
    # In a whole CLIPModel the width of the projection stands beside the image tower's configuration.
    whole = transformers.CLIPConfig.from_pretrained(models.root / models.vision, local_files_only=True)
    whole.vision_config.projection_dim = whole.projection_dim
    vision = transformers.CLIPVisionModelWithProjection.from_pretrained(
        models.root / models.vision, config=whole.vision_config, **how
    )
    audio = transformers.HubertModel.from_pretrained(models.root / models.audio, **how)
    both = _Vision(vision.eval()), _Audio(audio.eval())
    if not compiled:
        return both
    return torch.compile(both[0]), torch.compile(both[1])


class _Clock:
    """What transformers calls a streamer: told the prompt, then each token."""

    def __init__(self) -> None:
        self.first, self._told = 0.0, False

    def put(self, _ids: Tensor) -> None:
        if self._told and not self.first:
            self.first = time.perf_counter()
        self._told = True

    def end(self) -> None:
        pass


def merge_lora(llm: Any, state: Mapping[str, Tensor]) -> int:
    """Add 32 / rank * B A to the weights that have an adapter; returns how many."""
    weights, merged = dict(llm.named_parameters()), 0
    for name, down in state.items():
        if ".lora_A." not in name:
            continue
        up = state[name.replace(".lora_A.", ".lora_B.")]
        weight = weights[name.removeprefix(_LORA).split(".lora_A.")[0] + ".weight"]
        weight.data += (_LORA_ALPHA / len(down) * up.float() @ down.float()).to(weight.dtype)
        merged += 1
    return merged


def cut_sound(waveform: Rows, windows: int = 8, seconds: float = 2.0, rate: int = 16_000) -> Rows:
    """Windows [8, 32000] as the authors cut them: each loses its mean in place, then one norm for all."""
    length = int(seconds * rate)
    sound = np.pad(waveform.astype(np.float32), (0, max(0, length - len(waveform))))
    # Fractions, as pytorchvideo's ConstantClipsPerVideoSampler counts.
    spare = Fraction(max(len(sound) / rate - seconds, 0.0)) / windows
    cut = []
    for i in range(windows):
        start = min(int(spare * i * rate), len(sound) - length)
        view = sound[start : start + length]
        view -= view.mean()
        cut.append(view.copy())
    out = np.stack(cut)
    normal: Rows = ((out - out.mean()) / np.sqrt(out.var() + 1e-7)).astype(np.float32)
    return normal
