"""Makes a stub pack: tiny random encoders, fusion and language model, with a complete manifest.

Knows the file formats of a pack. Does not know the runtime: the manifest is written by hand here, so that a
mistake in the runtime's parser can't hide in its own output.
"""

from __future__ import annotations

import argparse
import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from safetensors.numpy import save_file

from tests.data.make_llm import CONTEXT, MODEL_DIM, vocabulary, write_llm

FRAMES, SIZE, WINDOWS, WINDOW_SAMPLES = 8, 48, 8, 32_000
ENCODER_DIM = 16
LABELS = ("neutral", "happy", "sad", "angry", "surprised", "worried")
QUESTIONS = {
    "labels": "Please recognize all possible emotional states of the character.",
    "explain": "Please infer the person's emotional state and provide your reasoning process.",
    "sentiment": "Please select the most likely sentiment label: positive, negative, neutral.",
}


def make_stub_pack(
    folder: Path,
    *,
    seed: int = 1,
    quantisation: str = "F32",
    name: str = "stub",
    frames_source: str = "frames",
    fusion_kind: str = "attention",
    architecture: str = "qwen3",
) -> Path:
    """Write a stub pack into `folder` (made if absent) and return the folder.

    The same arguments give the same bytes. `quantisation` is F32, F16, BF16, Q8_0 or Q4_0 and holds for every
    matrix of the language model; `architecture` is qwen3 or qwen2. All files together stay under 1 MB.
    """
    folder.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(seed)
    _write_encoder(folder / "vision.fp32.onnx", _vision_nodes(random), "frames", (FRAMES, 3, SIZE, SIZE))
    _write_encoder(folder / "audio.fp32.onnx", _audio_nodes(random), "windows", (WINDOWS, WINDOW_SAMPLES))
    save_file(fusion_tensors(random, kind=fusion_kind), str(folder / "fusion.safetensors"))
    write_llm(folder / f"llm.{quantisation}.gguf", random, quantisation, architecture)
    (folder / "LICENSE").write_text("CC0-1.0: random numbers.\n", encoding="utf-8")
    (folder / "CARD.md").write_text(
        "# A stub\n\nRandom weights for tests. It knows nothing.\n", encoding="utf-8"
    )
    manifest = _manifest(name, quantisation, frames_source, fusion_kind, architecture)
    write_manifest(folder, manifest)
    return folder


def alone_rule() -> dict[str, Any]:
    """A `labels.alone` for the stub's labels: each modality is read by itself too."""
    names = {"vision": "face", "audio": "voice", "subtitle": "words"}
    return {"names": names, "sure": 0.4, "unsure": "unsure", "quiet": ["neutral"]}


def write_manifest(folder: Path, manifest: dict[str, Any]) -> None:
    """Write `manifest.json` with sizes and hashes of what is in `folder`."""
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path.name != "manifest.json")
    manifest["files"] = [
        {
            "path": path.relative_to(folder).as_posix(),
            "size_bytes": path.stat().st_size,
            "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        }
        for path in files
    ]
    (folder / "manifest.json").write_text(json.dumps(manifest, indent=1) + "\n", encoding="utf-8")


def fusion_tensors(
    random: np.random.Generator,
    *,
    kind: str = "attention",
    vision_dim: int = ENCODER_DIM,
    audio_dim: int = ENCODER_DIM,
    model_dim: int = MODEL_DIM,
) -> dict[str, NDArray[np.float32]]:
    """Random weights of the fusion under the names and in the [out, in] layout of the checkpoint."""
    widest = max(vision_dim, audio_dim)
    shapes = {
        "affectgpt_proj": (model_dim, vision_dim),
        "audio_llama_proj": (model_dim, audio_dim),
        "multi_video_embs": (widest, vision_dim),
        "multi_audio_embs": (widest, audio_dim),
        "multi_llama_proj": (model_dim, widest),
    }
    if kind == "attention":
        shapes |= {
            "video_attention_mlp": (1, vision_dim),
            "audio_attention_mlp": (1, audio_dim),
            "attention_mlp": (widest, 2 * widest),
            "fc_att": (2, widest),
        }
    tensors = {}
    for layer, (rows, columns) in shapes.items():
        tensors[f"{layer}.weight"] = _normal(random, (rows, columns), columns**-0.5)
        tensors[f"{layer}.bias"] = _normal(random, (rows,), 0.1)
    return tensors


def _vision_nodes(random: np.random.Generator) -> tuple[list[Any], dict[str, NDArray[Any]]]:
    cells = 3 * 6 * 6
    nodes = [
        helper.make_node("AveragePool", ["frames"], ["pooled"], kernel_shape=[8, 8], strides=[8, 8]),
        helper.make_node("Reshape", ["pooled", "flat_shape"], ["flat"]),
        helper.make_node("MatMul", ["flat", "weight"], ["linear"]),
        helper.make_node("Tanh", ["linear"], ["embeddings"]),
    ]
    weight = _normal(random, (cells, ENCODER_DIM), cells**-0.5)
    return nodes, {"flat_shape": np.array([FRAMES, cells], np.int64), "weight": weight}


def _audio_nodes(random: np.random.Generator) -> tuple[list[Any], dict[str, NDArray[Any]]]:
    hops = WINDOW_SAMPLES // 160
    nodes = [
        helper.make_node("Reshape", ["windows", "hop_shape"], ["hops"]),
        helper.make_node("Abs", ["hops"], ["loudness"]),
        helper.make_node("ReduceMean", ["loudness"], ["envelope"], axes=[2], keepdims=0),
        helper.make_node("MatMul", ["envelope", "weight"], ["linear"]),
        helper.make_node("Tanh", ["linear"], ["embeddings"]),
    ]
    weight = _normal(random, (hops, ENCODER_DIM), 4 * hops**-0.5)
    return nodes, {"hop_shape": np.array([WINDOWS, hops, 160], np.int64), "weight": weight}


def _write_encoder(
    path: Path, graph: tuple[list[Any], dict[str, NDArray[Any]]], input_name: str, shape: Sequence[int]
) -> None:
    nodes, constants = graph
    model = helper.make_model(
        helper.make_graph(
            nodes,
            path.stem.split(".")[0],
            [helper.make_tensor_value_info(input_name, TensorProto.FLOAT, shape)],
            [helper.make_tensor_value_info("embeddings", TensorProto.FLOAT, (shape[0], ENCODER_DIM))],
            [numpy_helper.from_array(value, key) for key, value in constants.items()],
        ),
        opset_imports=[helper.make_opsetid("", 17)],
        producer_name="emer-edge tests",
    )
    model.ir_version = 8
    onnx.checker.check_model(model)
    path.write_bytes(model.SerializeToString(deterministic=True))


def _normal(random: np.random.Generator, shape: tuple[int, ...], scale: float) -> NDArray[np.float32]:
    return (random.standard_normal(shape) * scale).astype(np.float32)


def _manifest(
    name: str, quantisation: str, frames_source: str, fusion_kind: str, architecture: str
) -> dict[str, Any]:
    frames: dict[str, Any] = {
        "source": frames_source,
        "rule": "uniform_index",
        "count": FRAMES,
        "height": SIZE,
        "width": SIZE,
        "resize": "stretch",
        "filter": "bicubic",
        "channel_order": "rgb",
        "mean": [0.5, 0.5, 0.5],
        "std": [0.5, 0.5, 0.5],
    }
    if frames_source == "faces":
        align = {"left_eye": [0.31, 0.38], "right_eye": [0.69, 0.38], "mouth": [0.5, 0.78]}
        frames["faces"] = {"align": align, "minimum_share": 0.25}
    return {
        "schema_version": "1.0",
        "name": name,
        "version": "0.1.0",
        "family": "affectgpt",
        "description": "Random weights for tests.",
        "licence": {"id": "CC0-1.0", "file": "LICENSE", "note": "Random numbers."},
        "card": "CARD.md",
        "preprocessing": {
            "frames": frames,
            "audio": {
                "sample_rate": 16_000,
                "windows": WINDOWS,
                "window_seconds": 2.0,
                "rule": "affectgpt",
                "center": "window",
                "normalise": "none",
                "epsilon": 1e-7,
            },
        },
        "encoders": {
            "vision": _encoder("vision.fp32.onnx", "frames", [FRAMES, 3, SIZE, SIZE]),
            "audio": _encoder("audio.fp32.onnx", "windows", [WINDOWS, WINDOW_SAMPLES]),
        },
        "fusion": {
            "kind": fusion_kind,
            "path": "fusion.safetensors",
            "vision_dim": ENCODER_DIM,
            "audio_dim": ENCODER_DIM,
            "model_dim": MODEL_DIM,
        },
        "llm": {
            "architecture": architecture,
            "n_embd": MODEL_DIM,
            "n_vocab": len(vocabulary()),
            "n_ctx": CONTEXT,
            "default": quantisation,
            "files": {quantisation: {"path": f"llm.{quantisation}.gguf"}},
        },
        "prompt": _prompt(),
        "labels": {
            "candidates": list(LABELS),
            "question": "labels",
            "answer_prefix": "The character's emotional state is",
            "joiner": " ",
            "report_above": 0.15,
            "at_most": 3,
            "sentiment": {
                "positive": ["happy"],
                "negative": ["sad", "angry", "worried"],
                "neutral": ["neutral", "surprised"],
            },
        },
        "clues": {
            "face": ["face", "eyes", "brow", "mouth", "smile"],
            "voice": ["voice", "tone", "pitch", "loud", "pace"],
            "words": ["says", "words", "subtitle"],
        },
        "generation": {
            "max_new_tokens": 32,
            "temperature": 0.0,
            "top_p": 0.9,
            "top_k": 20,
            "repetition_penalty": 1.0,
            "stop": ["###"],
        },
        "files": [],
        "evaluation": {},
        "parity": {},
    }


def _encoder(path: str, input_name: str, shape: list[int]) -> dict[str, Any]:
    return {
        "dim": ENCODER_DIM,
        "default": "fp32",
        "files": {
            "fp32": {
                "path": path,
                "input": {"name": input_name, "dtype": "float32", "shape": shape},
                "output": {"name": "embeddings", "dtype": "float32", "shape": [shape[0], ENCODER_DIM]},
            }
        },
    }


def _prompt() -> dict[str, Any]:
    parts: list[dict[str, Any]] = [
        {"text": "###Human: "},
        {
            "text": "The audio and video merged info is: <Multi><MultiHere></Multi>. ",
            "needs": ["vision", "audio"],
        },
        {"text": "The audio content is as follows: <Audio><AudioHere></Audio>. ", "needs": ["audio"]},
        {"text": "We sample frames from the video: <Video><FrameHere></Video>. ", "needs": ["vision"]},
        {
            "text": "The subtitle of this video is: <Subtitle>{subtitle}</Subtitle>. ",
            "needs": ["subtitle"],
        },
        {"text": "Now, please answer my question based on all the provided information. "},
        {"text": "{question} ###Assistant: "},
    ]
    return {
        "add_bos": False,
        "parts": parts,
        "markers": {"<MultiHere>": "multi", "<AudioHere>": "audio", "<FrameHere>": "vision"},
        "questions": QUESTIONS,
    }


def main() -> None:
    """Write one stub pack from the command line: `python -m tests.data.make_pack FOLDER`."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--quantisation", default="F32")
    parser.add_argument("--frames-source", default="frames", choices=["frames", "faces"])
    options = parser.parse_args()
    make_stub_pack(
        options.folder,
        seed=options.seed,
        quantisation=options.quantisation,
        frames_source=options.frames_source,
    )


if __name__ == "__main__":
    main()
