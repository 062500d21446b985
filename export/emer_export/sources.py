"""Opens everything that one model is made of and checks that the parts belong together, before a byte is
written.

Knows a family's parts, where they lie and which widths must agree. Does not know ONNX, GGUF's format or
packs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from emer_edge.errors import InputError, PackError
from emer_export.checkpoints import Checkpoint, open_checkpoint, read_json
from emer_export.encoders import EncoderSource, open_encoder
from emer_export.families import PARTS, Family
from emer_export.fusion_weights import FusionWeights, read_fusion
from emer_export.gguf_layout import Sizes, read_sizes
from emer_export.lora import adapter_of, merge_lora
from emer_export.weights import listed


@dataclass(frozen=True)
class Paths:
    """Where the parts of a model lie: trained checkpoints, and published folders or files.

    Of several checkpoints the later ones replace what they have in common with the earlier ones.
    """

    checkpoint: Path
    vision: Path
    audio: Path
    llm: Path
    qformer: Path | None = None
    more: tuple[Path, ...] = ()

    def named(self) -> Mapping[str, Path]:
        """All of them by name."""
        found = {"checkpoint": self.checkpoint, **{part: getattr(self, part) for part in PARTS}}
        found |= {f"checkpoint {number}": path for number, path in enumerate(self.more, 2)}
        return found if self.qformer is None else {**found, "qformer": self.qformer}


@dataclass(frozen=True)
class LlmSource:
    """The language model with its adapter merged as it is read; `folder` holds config.json and
    tokenizer.
    """

    checkpoint: Checkpoint
    folder: Path
    sizes: Sizes
    adapted: bool


@dataclass(frozen=True)
class Sources:
    """A whole model, opened and checked; only its fusion head is in memory."""

    family: Family
    paths: Paths
    fusion: FusionWeights
    vision: EncoderSource
    audio: EncoderSource
    llm: LlmSource
    notes: tuple[str, ...]
    """What is worth telling the user."""


def find_paths(
    family: Family,
    checkpoint: str | Path | Sequence[Path],
    models: str | Path | None,
    given: Mapping[str, str | Path | None],
) -> Paths:
    """Find the parts: what was given, else the folder of the published name below `models`.

    Raises:
        InputError: a part is nowhere; the message names all that are missing.
    """
    first, *more = [Path(checkpoint)] if isinstance(checkpoint, (str, Path)) else checkpoint
    found: dict[str, Path] = {"checkpoint": first}
    missing = [f"--checkpoint {path}" for path in (first, *more) if not path.exists()]
    for part in family.models:
        own = given.get(part)
        path = Path(own) if own else Path(models or ".") / family.models[part]
        found[part] = path
        if not path.exists():
            missing.append(f"--{part} {path}")
    if missing:
        raise InputError(
            f"Parts of {family.name} are missing.",
            f"Not there: {', '.join(missing)}.",
            "Give their folders, or the folder that holds all of them as --models.",
        )
    return Paths(**found, more=tuple(more))


def open_sources(family: Family, paths: Paths) -> Sources:
    """Open a model's parts and check names, shapes, widths, configuration and tokenizer.

    Raises:
        InputError, PackError, LimitError: a part is not what the family needs, with a list of what is
        wrong.
    """
    if paths.more:
        raise InputError(f"{family.name} has one checkpoint.", f"{len(paths.more) + 1} are given.")
    rules = family.manifest["preprocessing"]
    audio_rule = rules["audio"]
    samples = round(audio_rule["window_seconds"] * audio_rule["sample_rate"])
    checkpoint = open_checkpoint(paths.checkpoint)
    fusion = read_fusion(checkpoint, frames=rules["frames"]["count"], windows=audio_rule["windows"])
    vision, audio = (
        open_encoder(family.graphs[part], read_json(path / "config.json"), open_checkpoint(path), samples)
        for part, path in (("vision", model_folder(paths.vision)), ("audio", model_folder(paths.audio)))
    )
    llm = _open_llm(family, model_folder(paths.llm), checkpoint)
    widths = {
        "vision": (vision.dim, fusion.vision_dim),
        "audio": (audio.dim, fusion.audio_dim),
        "model": (llm.sizes.hidden, fusion.model_dim),
    }
    wrong = [f"{part} {own}, the checkpoint's {its}" for part, (own, its) in widths.items() if own != its]
    if wrong:
        raise PackError(
            f"{checkpoint.origin} was trained with other parts.",
            f"Widths differ: {'; '.join(wrong)}.",
            "Give the encoders and the language model it was trained with.",
        )
    other = [
        f"{part} {own}, not {family.widths[part]}"
        for part, (own, _) in widths.items()
        if own != family.widths[part]
    ]
    notes = [f"other widths than the published {family.name}: {'; '.join(other)}"] if other else []
    if not llm.adapted:
        notes.append("the checkpoint has no adapter: the language model goes in as it was published")
    return Sources(family, paths, fusion, vision, audio, llm, tuple(notes))


def model_folder(path: Path) -> Path:
    """The path of a published folder. Raises InputError when it is none."""
    if not path.is_dir():
        raise InputError(
            f"{path} is not a folder.",
            "A published model is a folder with a config.json.",
            "Give that folder.",
        )
    return path


def _open_llm(family: Family, folder: Path, checkpoint: Checkpoint) -> LlmSource:
    config = read_json(folder / "config.json")
    kind = config.get("model_type")
    if kind not in family.graphs["llm"]:
        raise PackError(
            f"{folder.name} is a {kind!r} language model.",
            f"{family.name} has {' or '.join(family.graphs['llm'])}.",
            "Give the language model that the checkpoint was trained with.",
        )
    strange = [
        name
        for name in checkpoint.names()
        if name.startswith("llama_model.") and not name.startswith("llama_model.base_model.model.")
    ]
    if strange:
        raise PackError(
            f"{checkpoint.origin} holds parts of a language model that are no adapter.", listed(strange)
        )
    base, adapter, sizes = open_checkpoint(folder), adapter_of(checkpoint), read_sizes(config)
    merged = merge_lora(base, adapter, family.alpha, sizes.layers) if len(adapter) else base
    return LlmSource(merged, folder, sizes, adapted=bool(len(adapter)))


def identity(paths: Paths) -> dict[str, Any]:
    """Names, sizes and times of every file of the parts: what has to stay the same for work to be
    reused.
    """
    files: dict[str, Any] = {}
    for part, path in paths.named().items():
        members = [path] if path.is_file() else sorted(p for p in path.iterdir() if p.is_file())
        files[part] = [[p.name, p.stat().st_size, p.stat().st_mtime_ns] for p in members]
    return files
