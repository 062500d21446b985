"""The two ways of `trip` in their own processes. Knows how each is asked and what its clock says."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.turns import Figures, Job

REFERENCES = (
    ("float32", "float32", False),
    ("compile", "float32", True),
    ("bfloat16", "bfloat16", False),
)
"""Name, precision, compiled."""
_FRAMES = 8


def our_job(pack: Path, threads: int, tokens: int) -> Job:
    """emer-edge: items are {"clip": (path, words)}."""
    import emer_edge as ee

    reasoner = ee.load(pack, threads=threads)
    options = ee.Options(max_tokens=tokens, temperature=0.0)

    def run(item: dict[str, Any]) -> Figures:
        path, words = item["clip"]
        began = time.perf_counter()
        found = reasoner.infer(path, subtitle=words, options=options)
        seconds = time.perf_counter() - began
        timings = found.timings
        if timings.new_tokens != tokens:
            raise RuntimeError(f"{timings.new_tokens} tokens came, not {tokens}")
        return {
            "first_label_ms": 1e3 * timings.first_label,
            "first_token_ms": 1e3 * timings.first_token,
            "total_ms": 1e3 * seconds,
            "per_token_ms": 1e3 * (timings.total - timings.first_token) / (tokens - 1),
            # Both senses work at the same time: the longer of the two is what is waited for.
            "decode_ms": 1e3 * max(timings.decode_video, timings.decode_audio),
            "encode_ms": 1e3 * max(timings.vision, timings.audio),
            "prefill_ms": 1e3 * timings.prefill,
            "prompt_tokens": timings.prompt_tokens,
        }

    return run


class _Kept:
    """An encoder that keeps what it was given."""

    def __init__(self, inner: Any) -> None:
        self._inner, self.given = inner, np.empty(0, np.float32)

    def encode(self, rows: Any, cancel: Any = None) -> Any:
        self.given = np.array(rows)
        return self._inner.encode(rows, cancel)

    def close(self) -> None:
        self._inner.close()


def our_look(pack: Path, threads: int) -> Job:
    """What emer-edge sees and thinks of a clip; items as `our_job`'s."""
    from emer_edge.session import Session

    session = Session(pack, threads=threads)
    return lambda item: _look(session, *item["clip"])


def _look(session: Any, path: str, words: str) -> Figures:
    from emer_edge.answers import words_of_question
    from emer_edge.inputs import open_inputs
    from emer_edge.llm.prompt import build_prompt, layout
    from emer_edge.pipeline import perceive

    sight, sound = _Kept(session.vision), _Kept(session.audio)
    session.vision, session.audio = sight, sound
    seen = perceive(session, open_inputs(path, words, session.limits), lambda _event: None)
    llm, manifest = session.llm, session.manifest
    question = words_of_question(manifest, "explain", session.limits)
    prompt = build_prompt(
        session.template, set(seen.used.modalities), seen.used.subtitle, question, llm.tokenize
    )
    rows = llm.lay(layout((*prompt.prefix, *prompt.tail), llm.tokenize, seen.soft, bos=None))
    n = len(rows)
    llm.decode(rows, range(n), [(0,)] * n, [False] * (n - 1) + [True])
    return {
        "pictures": sight.given,
        "windows": sound.given,
        "subtitle": seen.used.subtitle,
        "soft": seen.soft,
        "logits": llm.logits(n - 1).copy(),
        "prompt_tokens": n,
    }


def reference_job(models: Path, precision: str, compiled: bool, threads: int, tokens: int) -> Job:
    """PyTorch and transformers: items as `our_job`'s; "look" holds the pictures and sound that ours saw."""
    from benchmarks.decode_ways import Decoder, Decord, PyavSequential
    from benchmarks.reference import LABELS_BEGIN, Models, Reference, cut_sound

    model = Reference(Models(models), precision, compiled, threads)
    side = model.picture_side
    loader: Decoder
    try:
        loader = Decord(side)
    except ImportError:
        loader = PyavSequential(side=side)

    def run(item: dict[str, Any]) -> Figures:
        path, words = Path(item["clip"][0]), item["clip"][1]
        if "look" in item:
            return _reference_look(model, item["look"])
        began = time.perf_counter()
        pictures, sound = loader.frames(path, _FRAMES), loader.sound(path)
        windows = cut_sound(np.asarray(sound, np.float32))
        decoded = time.perf_counter()
        soft = model.fuse(*model.embed(pictures, windows))
        encoded = time.perf_counter()
        model.first_logits(model.rows(soft, words, "labels", LABELS_BEGIN))
        labelled = time.perf_counter()
        rows = model.rows(soft, words, "explain")
        _, first = model.generate(rows, tokens)
        ended = time.perf_counter()
        labels = labelled - encoded  # asked apart, so the explanation is not charged for it
        return {
            "first_label_ms": 1e3 * (labelled - began),
            "first_token_ms": 1e3 * (first - began - labels),
            "total_ms": 1e3 * (ended - began - labels),
            "per_token_ms": 1e3 * (ended - first) / (tokens - 1),
            "decode_ms": 1e3 * (decoded - began),
            "encode_ms": 1e3 * (encoded - decoded),
            "prefill_ms": 1e3 * (first - labelled),
            "prompt_tokens": rows.shape[1],
        }

    return run


def _reference_look(model: Any, look: Figures) -> Figures:
    soft = model.fuse(*model.embed(look["pictures"], look["windows"]))
    rows = model.rows(soft, look["subtitle"], "explain")
    return {
        "soft": {name: row.float().numpy() for name, row in soft.items()},
        "logits": model.first_logits(rows).numpy(),
        "prompt_tokens": rows.shape[1],
    }
