"""Repeats, without torch, the proof that a pack is the published model: on an input that anyone can make.

Whoever exported the pack ran this very input through the published weights in float32 torch and left what
came out in the pack. Here every file of the pack runs it again, on this machine's libraries and processor.
Knows that input and how the stages are compared. Does not know torch, clips or how a reference is made.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from emer_edge.encoders.audio import AudioEncoder
from emer_edge.encoders.onnx import OnnxEncoder
from emer_edge.encoders.vision import VisionEncoder
from emer_edge.errors import PackError
from emer_edge.llm.gguf import Llm
from emer_edge.llm.prompt import Text, build_prompt
from emer_edge.media.audio import AudioWindows, cut_windows
from emer_edge.packs.manifest import Manifest
from emer_edge.safetensors import read_safetensors
from emer_edge.session import Session, tensor_pair
from emer_edge.strays import Row, encoder_row, judged, llm_bounds, stray

REFERENCE = "reference.safetensors"
"""The file of a pack that holds torch's results; manifest.parity.repeat says which input they are of."""
INPUT = 1
"""Version of the input below; another one has other results."""
SUBTITLE = "I told you twice already. Well, never mind, it's all right."
QUESTION = "explain"
SOFT_IDS = {"multi": -1, "audio": -2, "vision": -3}
"""How a stored prompt says where soft tokens stand."""

Rows = NDArray[np.float32]
Report = Callable[[str, float | None], object]


@dataclass(frozen=True)
class MadeInput:
    """What the encoders are given: pictures uint8 (n, 3, height, width) RGB, windows (n, samples) float32."""

    pictures: NDArray[np.uint8]
    windows: Rows


def made_input(manifest: Manifest) -> MadeInput:
    """Pictures and sound for a pack, the same everywhere: integers alone, and sines of float64.

    Moving discs on a slope with grain; three notes that swell and fade, with noise. They resemble nothing,
    but fill the range that pictures and voices fill.
    """
    frames, audio = manifest.preprocessing.frames, manifest.preprocessing.audio
    height, width, count = frames.height, frames.width, frames.count
    t, c, y, x = np.ogrid[:count, :3, :height, :width]
    slope = (y * 96 // height + x * (64 + 32 * c) // width) % 256
    reach = (min(height, width) // 4) ** 2
    disc = (y - height // 2) ** 2 + (x - (t + 1) * width // (count + 1)) ** 2 < reach
    shape = (count, 3, height, width)
    grain = (_noise(count * 3 * height * width) % 48).reshape(shape)
    pictures = np.where(disc, 220 - 40 * c, slope) + grain - 24
    seconds = audio.window_seconds * 2
    samples = round(seconds * audio.sample_rate)
    time = np.arange(samples) / audio.sample_rate
    swell = 0.5 - 0.5 * np.cos(2 * np.pi * time / seconds)
    notes = sum(np.sin(2 * np.pi * hertz * time) / k for k, hertz in enumerate((140.0, 620.0, 2350.0), 1))
    hiss = (_noise(samples) % 2001 - 1000.0) / 20_000
    rule = AudioWindows(
        audio.windows, audio.window_seconds, audio.sample_rate, audio.center, audio.normalise, audio.epsilon
    )
    wave = (0.3 * swell * notes + hiss).astype(np.float32)
    return MadeInput(np.clip(pictures, 0, 255).astype(np.uint8), cut_windows(wave, rule))


def _noise(count: int) -> NDArray[np.int64]:
    """Whole numbers from 0 to 65535 by a multiplicative hash of their index (Knuth 6.4)."""
    index = np.arange(1, count + 1, dtype=np.uint64)
    mixed = (index * np.uint64(2_654_435_761)) & np.uint64(0xFFFF_FFFF)
    mixed = ((mixed ^ (mixed >> np.uint64(15))) * np.uint64(2_246_822_519)) & np.uint64(0xFFFF_FFFF)
    return (mixed >> np.uint64(16)).astype(np.int64)


def repeat_proof(session: Session, report: Report) -> dict[str, Row]:
    """Run the made input through every file of a pack and compare with what torch gave.

    Args:
        session: of the pack, on the CPU.
        report: told each stage.

    Returns:
        Rows by stage, named as in the manifest's `parity`.

    Raises:
        PackError: the pack holds no reference, or one of another version or of other parts.
    """
    manifest = session.manifest
    truth = _reference(session.folder, manifest)
    made = made_input(manifest)
    stages: dict[str, Row] = {}
    embeddings: dict[str, dict[str, Rows]] = {}
    for part in ("vision", "audio"):
        for precision in getattr(manifest.encoders, part).files:
            report(f"{part} {precision}", None)
            found = encode(session, part, precision, made)
            embeddings.setdefault(precision, {})[part] = found
            pooled = stray(truth[part].mean(0), found.mean(0)).cosine
            stages[f"{part}.{precision}"] = encoder_row([stray(truth[part], found)], precision, pooled)
    for precision, both in embeddings.items():
        for name, rows in session.fusion.fuse(both.get("vision"), both.get("audio")).items():
            row = encoder_row([stray(truth[f"soft.{name}"], rows)], precision, None)
            stages[f"soft.{name}.{precision}"] = row
    stages["prompt_ids"] = _ids(session, truth)
    for name in manifest.llm.files:
        report(f"llm {name}", None)
        stages[f"llm.{name}"] = _words(session, name, truth)
    return stages


def _reference(folder: Path, manifest: Manifest) -> dict[str, Rows]:
    said = manifest.parity.get("repeat")
    if not isinstance(said, dict) or REFERENCE not in (file.path for file in manifest.files):
        raise PackError(
            f"The pack {manifest.name} holds no reference to compare with.",
            "It was exported without --parity.",
            "Export it again with --parity CLIPS, or name the published files with --checkpoint.",
        )
    if said.get("input") != INPUT:
        raise PackError(
            f"The reference of {manifest.name} is of another input.", f"{said.get('input')!r}, not {INPUT}."
        )
    truth = read_safetensors(folder / REFERENCE)
    needed = {"vision", "audio", "first", *(f"ids.{name}" for name in manifest.prompt.questions)}
    needed |= {f"{kind}.{name}" for kind in ("words", "truth") for name in manifest.llm.files}
    missing = sorted(needed - set(truth))
    if missing:
        raise PackError(f"{REFERENCE} does not fit the pack.", f"It lacks {', '.join(missing[:4])}.")
    return truth


def encode(session: Session, part: str, precision: str, made: MadeInput) -> Rows:
    """Embeddings of the made input by one file of a pack, on the CPU."""
    frames = session.manifest.preprocessing.frames
    file = getattr(session.manifest.encoders, part).files[precision]
    network = OnnxEncoder(session.folder / file.path, tensor_pair(file), threads=session.threads)
    try:
        if part == "audio":
            return AudioEncoder(network).encode(made.windows)
        order = frames.channel_order
        sight = VisionEncoder(network, mean=frames.mean, std=frames.std, channel_order=order)
        return sight.encode(made.pictures)
    finally:
        network.close()


def prompt_ids(session: Session, question: str) -> list[int]:
    """The ids of one question's prompt about the made input; below zero where soft tokens stand."""
    tokenize = session.llm.tokenize
    everything: Any = {"vision", "audio", "subtitle"}
    prompt = build_prompt(session.template, everything, SUBTITLE, question, tokenize)
    bos = session.llm.bos if session.manifest.prompt.add_bos else None
    ids: list[int] = [] if bos is None else [bos]
    for piece in (*prompt.prefix, *prompt.tail):
        ids += tokenize(piece.text) if isinstance(piece, Text) else [SOFT_IDS[piece.name]]
    return ids


def _ids(session: Session, truth: Mapping[str, Rows]) -> Row:
    questions = session.manifest.prompt.questions
    same = sum(
        prompt_ids(session, words) == truth[f"ids.{name}"].astype(int).tolist()
        for name, words in questions.items()
    )
    return judged({"prompts": len(questions), "same": same}, [("all the same", same == len(questions))])


def _words(session: Session, name: str, truth: Mapping[str, Rows]) -> Row:
    """First-token logits, and what the file picks at each of the words that torch was asked about."""
    llm = session.manifest.llm
    ids = truth[f"ids.{QUESTION}"].astype(np.int32)
    words, best = (truth[f"{kind}.{name}"].astype(np.int32) for kind in ("words", "truth"))
    soft = {number: truth[f"soft.{word}"] for word, number in SOFT_IDS.items() if f"soft.{word}" in truth}
    path = session.folder / llm.files[name].path
    # Float32 keys and values, as when the reference was made: what is proved is the file, not the cache.
    with Llm(path, n_ctx=llm.n_ctx, threads=session.threads, kv_f32=True, n_seq=1) as model:
        rows = model.lay([soft[int(item)] if item < 0 else np.array([item], np.int32) for item in ids])
        wanted = np.zeros(len(rows), bool)
        wanted[-1] = True
        model.decode(rows, range(len(rows)), [(0,)] * len(rows), wanted)
        first = model.logits(len(rows) - 1)
        picked = [int(first.argmax())]
        picked += [int(model.step(int(word), 0).argmax()) for word in words[:-1]]
    error = float(np.abs(first - truth["first"]).max())
    same = [int(one) for one in best] == picked
    row: Row = {
        "first_token_max_abs_error": error,
        "words": len(picked),
        "same_words": int((best == picked).sum()),
        "kl_divergence": _divergence(truth["first"], first),
    }
    return judged(row, llm_bounds(name, error, same=same))


def _divergence(truth: Rows, found: Rows) -> float:
    """KL(truth || found) of the first token, nats."""
    p, q = (_log_softmax(one.astype(np.float64)) for one in (truth, found))
    return max(0.0, float((np.exp(p) * (p - q)).sum()))


def _log_softmax(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    shifted = logits - logits.max()
    return cast("NDArray[np.float64]", shifted - np.log(np.exp(shifted).sum()))
