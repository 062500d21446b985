"""Opens AffectGPT of 2023: five published files become two towers and a language model.

Knows whose names stand in which file, what of it is used, and how sizes show in shapes. Does not know the
towers' arithmetic, ONNX or GGUF. Load order as upstream: eva_vit_g, blip2, imagebind, then the trained files
as given; which of those holds the video and which the audio branch does not matter, their names differ.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from emer_edge.errors import InputError, PackError
from emer_export.checkpoints import Checkpoint, open_checkpoint, read_json
from emer_export.encoders import EncoderSource, Graph
from emer_export.families import Family
from emer_export.fusion_weights import FusionWeights
from emer_export.gguf_layout import read_sizes
from emer_export.graphs import qformer
from emer_export.graphs.emer_towers import EmerAudio, EmerVision
from emer_export.graphs.eva_vit import EvaSizes
from emer_export.graphs.imagebind_audio import ImageBindSizes
from emer_export.layered import Layered
from emer_export.sources import LlmSource, Paths, Sources, model_folder
from emer_export.weights import listed

_SIGHT = ("visual_encoder.", "ln_vision.", "query_tokens", "Qformer.", "video_", "llama_proj.")
_SOUND = ("audio_",)
_EVA_UNUSED = r"(norm|fc_norm|head|lm_head)\..*|mask_token|rel_pos_bias\..*"
_BLIP_USED = ("query_tokens", "ln_vision.", "Qformer.")
_QFORMERS = ("Qformer.", "video_Qformer.", "audio_Qformer.")


def open_emer_sources(family: Family, paths: Paths) -> Sources:
    """Open the parts and check names, shapes and widths, as `sources.open_sources` does for other families.

    Raises:
        InputError, PackError, LimitError: a part is not what the family needs, with a list of what is wrong.
    """
    if paths.qformer is None:
        raise InputError(f"{family.name} needs the file with BLIP-2's Q-Former.", todo="Give --qformer.")
    sizes = family.graphs["sizes"]
    whole = _assembled(paths, paths.qformer, int(sizes["eva_depth"]))
    sight = whole.subset("", lambda name: name if name.startswith(_SIGHT) else None)
    sound = whole.subset("", lambda name: name if name.startswith(_SOUND) else None)
    strange = [name for name in whole.names() if not name.startswith(_SIGHT + _SOUND)]
    if strange:
        raise PackError(f"{whole.origin} holds parts of another model.", f"unknown: {listed(strange)}")
    rules = family.manifest["preprocessing"]
    window = round(rules["audio"]["window_seconds"] * rules["audio"]["sample_rate"])
    vision = _tower(EmerVision, "frames", _vision_parts(sight, sizes), sight, 0)
    audio = _tower(EmerAudio, "windows", _audio_parts(sound, sizes), sound, window)
    llm = _open_llm(family, paths)
    if not vision.dim == audio.dim == llm.sizes.hidden:
        raise PackError(
            f"{whole.origin} was trained with another language model.",
            f"Soft tokens are {vision.dim} and {audio.dim} wide, the language model {llm.sizes.hidden}.",
            "Give the language model it was trained with.",
        )
    fusion = FusionWeights({}, {}, vision.dim, audio.dim, llm.sizes.hidden, "tokens")
    notes = ["the published files of this family hold Video-LLaMA, not weights trained on emotions"]
    return Sources(family, paths, fusion, vision, audio, llm, tuple(notes))


def _assembled(paths: Paths, blip: Path, eva_depth: int) -> Checkpoint:
    """All files under the names of the assembled model, without what inference never reads."""
    blocks = re.compile(r"blocks\.(\d+)\.")

    def eva(name: str) -> str | None:
        block = blocks.match(name)
        unused = re.fullmatch(_EVA_UNUSED, name) or (block and int(block[1]) >= eva_depth)
        return None if unused else f"visual_encoder.{name}"

    layers = [
        open_checkpoint(paths.vision).subset("", eva),
        open_checkpoint(blip).subset("", lambda n: n if n.startswith(_BLIP_USED) else None),
        open_checkpoint(paths.audio).subset("", _imagebind),
        *(open_checkpoint(path) for path in (paths.checkpoint, *paths.more)),
    ]
    return Layered([layer.subset("", _used) for layer in layers])


def _imagebind(name: str) -> str | None:
    """Of five modalities' towers the one that listens."""
    return f"audio_encoder.{name}" if re.match(r"modality_[a-z]+\.audio\.", name) else None


def _used(name: str) -> str | None:
    if name.startswith("llama_model."):  # published beside the language model, and frozen
        return None
    for prefix in _QFORMERS:
        if name.startswith(prefix) and re.fullmatch(qformer.UNUSED, name.removeprefix(prefix)):
            return None
    return name


def _vision_parts(part: Checkpoint, sizes: Mapping[str, Any]) -> dict[str, Any]:
    at = _Shapes(part)
    eva = EvaSizes(
        width=at("visual_encoder.cls_token", -1),
        depth=int(sizes["eva_depth"]),
        heads=int(sizes["eva_heads"]),
        inner=at("visual_encoder.blocks.0.mlp.fc1.weight", 0),
        patch=at("visual_encoder.patch_embed.proj.weight", -1),
        tokens=at("visual_encoder.pos_embed", 1),
    )
    counts = ("query_tokens", "video_query_tokens")
    return {
        "eva": eva,
        "image": at.qformer("Qformer.", "query_tokens", sizes),
        "video": at.qformer("video_Qformer.", "video_query_tokens", sizes),
        "counts": (*(at(name, 1) for name in counts), at("video_frame_position_embedding.weight", 0)),
        "model": at("llama_proj.weight", 0),
    }


def _audio_parts(part: Checkpoint, sizes: Mapping[str, Any]) -> dict[str, Any]:
    at = _Shapes(part)
    stem, trunk = "audio_encoder.modality_preprocessors.audio.", "audio_encoder.modality_trunks.audio.blocks."
    imagebind = ImageBindSizes(
        width=at(f"{stem}cls_token", -1),
        depth=at.count(trunk),
        heads=int(sizes["audio_heads"]),
        inner=at(f"{trunk}0.mlp.fc1.weight", 0),
        tokens=at(f"{stem}pos_embedding_helper.pos_embed", 1),
        output=at("audio_encoder.modality_heads.audio.2.weight", 0),
        kernel=at(f"{stem}rgbt_stem.proj.weight", -1),
    )
    return {
        "sizes": imagebind,
        "former": at.qformer("audio_Qformer.", "audio_query_tokens", sizes),
        "queries": at("audio_query_tokens", 1),
        "places": at("audio_position_embedding.weight", 0),
        "model": at("audio_llama_proj.weight", 0),
    }


class _Shapes:
    """Reads sizes off shapes; what is not there is named in one error."""

    def __init__(self, part: Checkpoint) -> None:
        self._part = part

    def __call__(self, name: str, axis: int) -> int:
        shape = self._part.shape(name)
        if not -len(shape) <= axis < len(shape):
            raise PackError(f"{self._part.origin} has a strange {name}.", f"Its shape is {list(shape)}.")
        return shape[axis]

    def count(self, prefix: str) -> int:
        """Layers whose names begin with `prefix` and a number."""
        numbers = (
            name[len(prefix) :].split(".")[0] for name in self._part.names() if name.startswith(prefix)
        )
        return 1 + max((int(number) for number in numbers if number.isdigit()), default=-1)

    def qformer(self, prefix: str, queries: str, sizes: Mapping[str, Any]) -> qformer.QFormerSizes:
        """Sizes of one Q-Former; whether its second layer reads tells how often layers do."""
        layers = f"{prefix}bert.encoder.layer."
        every = 1 if f"{layers}1.crossattention.self.key.weight" in self._part else 2
        return qformer.QFormerSizes(
            width=self(queries, -1),
            layers=self.count(layers),
            heads=int(sizes["qformer_heads"]),
            inner=self(f"{layers}0.intermediate_query.dense.weight", 0),
            reads=self(f"{layers}0.crossattention.self.key.weight", 1),
            cross_every=every,
        )


def _tower(
    kind: type[EmerVision] | type[EmerAudio],
    name: str,
    parts: Mapping[str, Any],
    held: Checkpoint,
    window: int,
) -> EncoderSource:
    """A tower held against its files, without reading a tensor."""
    graph = Graph(name, lambda config: kind(**config), lambda given: given, lambda *_: (), lambda _: 0)
    with torch.device("meta"):
        module = kind(**parts)
    state = module.state_dict()
    held.require(
        {key: tuple(value.shape) for key, value in state.items()}, f"the {name} tower of AffectGPT 2023"
    )
    side = parts["eva"].side if "eva" in parts else 0
    return EncoderSource(
        graph=graph,
        config=parts,
        checkpoint=held,
        row=(3, side, side) if side else (window,),
        dim=parts["model"],
        matrix_items=sum(p.weight.numel() for p in module.modules() if isinstance(p, nn.Linear)),
        items=sum(value.numel() for value in state.values()),
        tokens=parts["counts"][1] if "counts" in parts else parts["queries"],
    )


def _open_llm(family: Family, paths: Paths) -> LlmSource:
    folder = model_folder(paths.llm)
    config = read_json(folder / "config.json")
    if config.get("model_type") not in family.graphs["llm"]:
        raise PackError(
            f"{folder.name} is a {config.get('model_type')!r} language model.",
            f"{family.name} has {' or '.join(family.graphs['llm'])}.",
            "Give the language model that the checkpoint was trained with.",
        )
    return LlmSource(open_checkpoint(folder), folder, read_sizes(config), adapted=False)
