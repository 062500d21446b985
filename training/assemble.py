"""Puts emer-nano together: GGUF, fusion head, encoders, prompt, licence and card become one pack.

Knows what the manifest of emer-nano says and which training artefacts go into it. Does not know how they
were trained, nor how a pack is written in general (emer_export.pack).
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tokenizers import Tokenizer

from emer_export.gguf import GgufSource, write_gguf
from emer_export.graphs.fusion import FusionHead
from emer_export.graphs.language import LanguageConfig, LanguageModel
from emer_export.graphs.nano import AUDIO_DIM, VISION_DIM
from emer_export.pack import write_fusion, write_pack
from emer_export.parity import Reference, compare
from training import card, explain, prompt, record, sources
from training.batches import END
from training.beliefs import LABELS, QUIET, UNCLEAR
from training.language import fusion_head, language_config
from training.pairs import AT_MOST, REPORT_ABOVE
from training.text import SENTIMENT

VERSION = "0.6.0"
# Half precision: constants of 6 and 8 among entries of 0.6 make the blocks of Q8_0 coarse (cosine 0.99).
_PRECISION = "F16"
# Where the runtime's detector finds eyes and mouth in FER+ crops (medians): faces of a clip are cut alike.
_ALIGN = {"left_eye": [0.32, 0.405], "right_eye": [0.68, 0.405], "mouth": [0.5, 0.745]}
_BEGUN = " The face shows a slight smile. The voice is quiet and sounds calm. The words {quote} sound"


def manifest(config: LanguageConfig, parity: dict[str, Any]) -> dict[str, Any]:
    """Return manifest.json of emer-nano without its `files`."""
    return {
        "schema_version": "1.0",
        "name": "emer-nano",
        "version": VERSION,
        "family": "affectgpt",
        "description": "A small model of the AffectGPT family, trained from scratch: face, voice, words.",
        "licence": {
            "id": "CC-BY-NC-SA-4.0",
            "file": "LICENSE",
            "note": "Weights only: trained on corpora under non-commercial, share-alike and research terms.",
        },
        "card": "CARD.md",
        "preprocessing": {
            "frames": {
                "source": "faces",
                "rule": "uniform_index",
                "count": 8,
                "height": 48,
                "width": 48,
                "resize": "stretch",
                "filter": "bicubic",
                "channel_order": "rgb",
                "mean": [0.5, 0.5, 0.5],
                "std": [0.5, 0.5, 0.5],
                "faces": {"align": _ALIGN, "minimum_share": 0.25},
            },
            "audio": {
                "sample_rate": 16000,
                "windows": 8,
                "window_seconds": 2.0,
                "rule": "affectgpt",
                "center": "window",
                "normalise": "none",
                "epsilon": 1e-7,
            },
        },
        "encoders": {
            "vision": _encoder("vision", "frames", [1, 3, 48, 48], VISION_DIM),
            "audio": _encoder("audio", "windows", [1, 32000], AUDIO_DIM),
        },
        "fusion": {
            "kind": "attention",
            "path": "fusion.safetensors",
            "vision_dim": VISION_DIM,
            "audio_dim": AUDIO_DIM,
            "model_dim": config.hidden_size,
        },
        "llm": {
            "architecture": "qwen3",
            "n_embd": config.hidden_size,
            "n_vocab": config.vocab_size,
            "n_ctx": config.max_position_embeddings,
            "default": _PRECISION,
            "files": {_PRECISION: {"path": f"llm.{_PRECISION}.gguf"}},
        },
        "prompt": {
            "add_bos": False,
            "parts": [dict(part) for part in prompt.PARTS],
            "markers": prompt.MARKERS,
            "questions": {
                "labels": explain.LABELS_QUESTION,
                "explain": explain.EXPLAIN_QUESTION,
                "sentiment": explain.SENTIMENT_QUESTION,
            },
        },
        "labels": {
            "candidates": list(LABELS),
            "question": "labels",
            "answer_prefix": f" {explain.STATE_PREFIX}",
            "joiner": " ",
            "report_above": REPORT_ABOVE,
            "at_most": AT_MOST,
            "when_unclear": UNCLEAR,
            "alone": {
                "names": {"vision": "face", "audio": "voice", "subtitle": "words"},
                "sure": explain.SURE,
                "unsure": explain.UNSURE,
                "quiet": list(QUIET),
            },
            "sentiment": {name: list(members) for name, members in SENTIMENT.items()},
        },
        "clues": {
            "face": ["face"],
            "voice": ["voice"],
            "words": ["words", "says"],
        },
        "generation": {
            "max_new_tokens": 160,
            "temperature": 0.0,
            "top_p": 0.9,
            "top_k": 20,
            "repetition_penalty": 1.0,
            "stop": ["###"],
            "quotes": {"open": '"...', "close": ' ..."'},
        },
        # Filled in once the pack is measured (training.card).
        "evaluation": {},
        "parity": parity,
    }


def _encoder(name: str, input_name: str, shape: list[int], dim: int) -> dict[str, Any]:
    file = {
        "path": f"{name}.fp32.onnx",
        "input": {"name": input_name, "dtype": "float32", "shape": shape},
        "output": {"name": "embeddings", "dtype": "float32", "shape": [1, dim]},
    }
    return {"dim": dim, "default": "fp32", "files": {"fp32": file}}


_PARITY_SUBTITLES = (
    "I can't believe you did that to me!",
    "The train leaves at five.",
    "Thank you so much, this is wonderful.",
    "What? You are getting married?",
    "I miss my grandmother every day since she died.",
    "Leave me alone, I said I don't want to talk about it.",
    "Did you hear that noise? Somebody is in the house.",
    "Yuck, that smells awful.",
)


def _parity_rows(model: LanguageModel, head: FusionHead, tokenizer: Tokenizer) -> list[torch.Tensor]:
    """Prompts with soft tokens of random embeddings and the beginning of an answer, float32 [1, n, width]
    each.
    """
    generator = torch.Generator().manual_seed(3)
    found = []
    for subtitle in _PARITY_SUBTITLES:
        vision, audio = (torch.randn(1, 8, dim, generator=generator) for dim in (VISION_DIM, AUDIO_DIM))
        soft = {"multi": head.multi(vision, audio), "audio": head.audio(audio), "vision": head.vision(vision)}
        pieces = prompt.prefix(vision=True, audio=True, subtitle=subtitle)
        begun = _BEGUN.format(quote=explain.quoted(subtitle))
        facts = explain.Facts(("happy",), words=explain.WordsFacts(subtitle, "happy", 1.0))
        pieces += [prompt.question_tail(explain.explain_question(facts)), begun]
        rows = [
            soft[prompt.MARKERS[piece]]
            if piece in prompt.MARKERS
            else model.rows(torch.tensor([tokenizer.encode(piece, add_special_tokens=False).ids]))
            for piece in pieces
        ]
        found.append(torch.cat(rows, 1))
    return found


def measure_parity(
    model: LanguageModel, source: GgufSource, examples: list[torch.Tensor], folder: Path
) -> dict[str, Any]:
    """Compare torch with llama.cpp (float32 cache) on rows float32 [1, n, width], and time both files on
    one thread.
    """
    found: dict[str, Any] = {}
    expected = [model.logits(model.hidden(rows))[0].numpy() for rows in examples]
    for precision in ("F32", _PRECISION):
        path = write_gguf(source, folder / f"llm.{precision}.gguf", precision)
        with Reference(path, threads=1) as reference:
            logits = [reference.logits(rows[0].numpy()) for rows in examples]
            result = compare(expected, logits)
        with Reference(path, threads=1, kv_f32=False) as reference:
            speed = reference.speed(examples[0][0].numpy())
        found[f"llm.{precision}"] = {
            "against": "torch float32",
            "largest_logit": max(float(np.abs(logits).max()) for logits in expected),
            "max_abs_logit_error": result.max_abs_error,
            "cosine": result.cosine,
            "same_best_token": result.same_best,
            "size_bytes": path.stat().st_size,
            **{f"{key}_1_thread": round(value, 1) for key, value in speed.items()},
        }
    return found


def _json(path: Path) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    return loaded


@torch.inference_mode()
def assemble(out: Path, folder: Path) -> dict[str, Any]:
    """Write the pack `folder` from the artefacts in `out` and return its manifest (without `files`)."""
    state = torch.load(out / "language.pt", weights_only=True)["network"]
    language = {key[9:]: value for key, value in state.items() if key.startswith("language.")}
    fusion = {key[7:]: value.numpy() for key, value in state.items() if key.startswith("fusion.")}
    tokenizer = Tokenizer.from_file(str(out / "tokenizer.json"))
    config = language_config(tokenizer)
    model = LanguageModel(config).eval()
    model.load_state_dict(language)
    source = GgufSource(
        {key: np.asarray(value) for key, value in language.items()},
        config.hugging_face(),
        out / "tokenizer.json",
        END,
        "emer-nano",
        "cc-by-nc-sa-4.0",
    )
    encoders = _json(out / "encoders.json")
    with tempfile.TemporaryDirectory() as scratch:
        head = fusion_head(config.hidden_size).eval()
        head.load_state_dict({key: torch.from_numpy(value) for key, value in fusion.items()})
        examples = _parity_rows(model, head, tokenizer)
        parity = measure_parity(model, source, examples, Path(scratch))
        for name, entry in encoders.get("export", {}).items():
            parity[f"{name}.fp32"] = {"against": "torch float32", **entry}
        write_fusion(fusion, Path(scratch) / "fusion.safetensors")
        made = manifest(config, parity)
        files: dict[str, Path | str] = {
            "vision.fp32.onnx": out / "vision.fp32.onnx",
            "audio.fp32.onnx": out / "audio.fp32.onnx",
            "fusion.safetensors": Path(scratch) / "fusion.safetensors",
            f"llm.{_PRECISION}.gguf": Path(scratch) / f"llm.{_PRECISION}.gguf",
            "LICENSE": sources.licence(),
            "CARD.md": card.unmeasured(made),
        }
        write_pack(folder, made, files)
    return made


def _log(out: Path) -> dict[str, Any]:
    """Gather what was measured on the way, for the record beside the recipe."""
    state = torch.load(out / "language.pt", weights_only=True)
    every_hundredth = [entry for entry in state["log"] if entry["step"] % 100 == 0]
    return {
        "encoders": _json(out / "encoders.json"),
        "language_training": {
            "steps": state["steps"],
            "seconds": round(state["seconds"]),
            "curve": every_hundredth,
        },
    }


def main(argv: list[str] | None = None) -> int:
    """Write the pack and say how large it is."""
    parser = argparse.ArgumentParser(prog="python -m training.assemble", description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("build/training"))
    parser.add_argument("--pack", type=Path, help="folder to write, default OUT/pack/emer-nano")
    parser.add_argument("--figures", type=Path, help="the record that gets the logs of training")
    options = parser.parse_args(argv)
    torch.set_num_threads(2)
    folder: Path = options.pack or options.out / "pack" / "emer-nano"
    folder.parent.mkdir(parents=True, exist_ok=True)
    made = assemble(options.out, folder)
    size = sum(path.stat().st_size for path in folder.iterdir())
    if options.figures:
        log = _log(options.out)
        record.write(options.figures, {**record.read(options.figures), **log})
    print(json.dumps(made["parity"], indent=1), file=sys.stderr)
    print(f"pack {size / 1e6:.1f} MB -> {folder}", file=sys.stderr)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
