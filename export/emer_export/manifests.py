"""Writes what a pack says about itself: the manifest, and the card and licence note that people read.

Knows the manifest's sections and what each is taken from. Does not know how artefacts are made or measured.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from emer_edge.limits import Limits
from emer_edge.packs.manifest import Manifest, parse_manifest
from emer_edge.strays import told
from emer_export.encoders import EncoderSource
from emer_export.pack import named_files
from emer_export.sources import Sources
from emer_export.tensorrt import EngineWish

FUSION, CARD, LICENCE = "fusion.safetensors", "CARD.md", "LICENSE"


@dataclass(frozen=True)
class Wish:
    """What a pack is to hold: its name, the precisions of the encoders and the quantisations of the LLM.

    The first of each is the default one. `look` is one of the family's, `channel_order` replaces the
    look's own.
    """

    name: str
    precisions: tuple[str, ...]
    quantisations: tuple[str, ...]
    look: str | None = None
    channel_order: str | None = None
    version: str = "1.0.0"
    engines: tuple[EngineWish, ...] = ()
    calibrate: tuple[Path, ...] = ()
    """Clips that the scales of `int8-calibrated` are measured on."""


def encoder_path(part: str, precision: str) -> str:
    """The name of an encoder's file in the pack."""
    return f"{part}.{precision}.onnx"


def llm_path(quantisation: str) -> str:
    """The name of the language model's file in the pack."""
    return f"llm.{quantisation}.gguf"


def build_manifest(sources: Sources, wish: Wish) -> dict[str, Any]:
    """The manifest without `files`, `evaluation` and `parity`, checked as the runtime will check it.

    Raises:
        InputError: an unknown look. PackError: the family's definition does not make a manifest.
    """
    family, look = sources.family, sources.family.look(wish.look)
    made: dict[str, Any] = copy.deepcopy(dict(family.manifest))
    frames = {**made["preprocessing"]["frames"], **copy.deepcopy(dict(look.frames))}
    frames["height"], frames["width"] = sources.vision.row[1:]
    if wish.channel_order:
        frames["channel_order"] = wish.channel_order
    made["preprocessing"]["frames"] = frames
    made["prompt"] = _prompt(made["prompt"], look.vision_text)
    rows = {"vision": frames["count"], "audio": made["preprocessing"]["audio"]["windows"]}
    made |= {
        "schema_version": "1.0",
        "name": wish.name,
        "version": wish.version,
        "family": "affectgpt",
        "description": family.description,
        "licence": {"id": family.licence["id"], "file": LICENCE, "note": family.licence["note"]},
        "card": CARD,
        "encoders": {
            part: _encoder(part, encoder, rows[part], wish.precisions)
            for part, encoder in (("vision", sources.vision), ("audio", sources.audio))
        },
        "fusion": {
            "kind": sources.fusion.kind,
            **({"path": FUSION} if sources.fusion.state else {}),
            "vision_dim": sources.fusion.vision_dim,
            "audio_dim": sources.fusion.audio_dim,
            "model_dim": sources.fusion.model_dim,
        },
        "llm": _llm(sources, wish, made["llm"]["n_ctx"]),
        "evaluation": {},
        "parity": {},
    }
    check_manifest(made)
    return made


def check_manifest(made: Mapping[str, Any], files: Sequence[Mapping[str, Any]] | None = None) -> Manifest:
    """Parse a manifest as the runtime will; without `files` those that it names are taken to be there."""
    if files is None:
        files = [{"path": path, "size_bytes": 0, "sha256": "0" * 64} for path in named_files(made)]
    return parse_manifest(json.dumps({**made, "files": list(files)}).encode(), Limits())


def _prompt(prompt: Mapping[str, Any], vision_text: str) -> dict[str, Any]:
    parts = [{**part, "text": part["text"].replace("{vision_text}", vision_text)} for part in prompt["parts"]]
    whole = "".join(part["text"] for part in parts)
    markers = {marker: token for marker, token in prompt["markers"].items() if marker in whole}
    return {**prompt, "parts": parts, "markers": markers}


def _encoder(part: str, encoder: EncoderSource, rows: int, precisions: Sequence[str]) -> dict[str, Any]:
    tensors = {
        "input": {"name": encoder.graph.input_name, "dtype": "float32", "shape": [rows, *encoder.row]},
        "output": {"name": "embeddings", "dtype": "float32", "shape": [encoder.tokens or rows, encoder.dim]},
    }
    files = {precision: {"path": encoder_path(part, precision), **tensors} for precision in precisions}
    return {"dim": encoder.dim, "default": precisions[0], "files": files}


def _llm(sources: Sources, wish: Wish, n_ctx: int) -> dict[str, Any]:
    sizes = sources.llm.sizes
    return {
        "architecture": sizes.kind,
        "n_embd": sizes.hidden,
        "n_vocab": sizes.vocabulary,
        "n_ctx": min(n_ctx, sizes.context),
        "default": wish.quantisations[0],
        "files": {name: {"path": llm_path(name)} for name in wish.quantisations},
    }


def licence_text(sources: Sources) -> str:
    """The licence note of a pack: whose weights these are. The terms themselves are not ours to write."""
    lines = [
        f"These are converted weights of {sources.family.description}",
        "",
        sources.family.licence["note"],
        "",
        "They were converted by emer-edge from the files named in CARD.md and stay under their terms.",
        "Read those terms where you got the files; emer-edge adds none and waives none.",
    ]
    return "\n".join(lines) + "\n"


def card_text(sources: Sources, made: Mapping[str, Any], parity: Mapping[str, Any]) -> str:
    """The card of a pack: what it was made of, what is in it, and how far it strays from the original."""
    frames = made["preprocessing"]["frames"]
    lines = [
        f"# {made['name']} {made['version']}",
        "",
        sources.family.description,
        "",
        "## Made from",
        "",
        *(f"- {part}: `{path.name}`" for part, path in sources.paths.named().items()),
        f"- fusion as trained: {_fusion_words(sources)}",
        f"- looks at {frames['count']} {frames['source']}, channels {frames['channel_order'].upper()}",
        *(f"- {note}" for note in sources.notes),
        "",
        "## Parity with the float32 original in torch",
        "",
        *(_parity_lines(parity) if parity else ["Not measured: export with --parity CLIPS."]),
        "",
        *_engine_lines(made),
        "## Limits",
        "",
        "Reads apparent emotion in filmed clips, never a person's true state. Not for decisions about people",
        "(work, school, law, health, credit). The confidences of the candidate labels are not calibrated.",
        "Without a subtitle its sentence is left out, where the original writes an empty one.",
    ]
    return "\n".join(lines) + "\n"


def _fusion_words(sources: Sources) -> str:
    kinds = [f"{part} {kind}" for part, kind in sources.fusion.kinds.items()]
    return ", ".join(kinds) or "none, the encoders end in Q-Formers"


def _engine_lines(made: Mapping[str, Any]) -> list[str]:
    rows = engine_rows(made)
    if not rows:
        return []
    head = ["| engine | from | library | for | driver | MB | built in |", "|---|---|---|---|---|---|---|"]
    lines = [
        f"| {row['path']} | {row['encoder']} {row['precision']} {row['onnx_sha256'][:12]} "
        f"| {row['library']} {row['version']} | {', '.join(row['architectures'])} | {row['driver'] or 'any'} "
        f"| {row['size_bytes'] / 1e6:.1f} | {row['build_seconds']:.1f} s |"
        for row in rows
    ]
    return ["## Engines", "", *head, *lines, ""]


def engine_rows(made: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The engines of a manifest with size and seconds of building."""
    measured = made["evaluation"].get("engines", {})
    return [{**engine, **measured[engine["path"]]} for engine in made.get("engines", ())]


def _parity_lines(parity: Mapping[str, Any]) -> list[str]:
    lines = [f"{parity['clips']} clips; {parity['reference']}.", ""]
    lines += ["| stage | measured | bound |", "|---|---|---|"]
    for stage, row in parity["stages"].items():
        missed = "" if row["holds"] else " **missed**"
        lines.append(f"| {stage} | {told(row)} | {'; '.join(row['bounds']) or 'reported'}{missed} |")
    return lines
