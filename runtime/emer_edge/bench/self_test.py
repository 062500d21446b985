"""Doctor's self test: one made clip through the built-in pack, every engine on the way. Knows no figure."""

from __future__ import annotations

import time

import numpy as np

from emer_edge.bench.findings import Finding
from emer_edge.errors import EmerError
from emer_edge.results import Clip, Reasoning

PACK = "emer-nano"
ALLOWED_SECONDS = 2.0
_FRAMES, _SIDE, _SECONDS, _RATE = 8, 96, 2, 16_000
_TOKENS = 8


def made_clip(seed: int = 0) -> Clip:
    """Noise for eyes and ears with a sentence: no face in it, so the face detector runs and finds none."""
    random = np.random.default_rng(seed)
    frames = random.integers(0, 256, (_FRAMES, _SIDE, _SIDE, 3), np.uint8)
    sound = (0.1 * random.standard_normal(_SECONDS * _RATE)).astype(np.float32)
    return Clip(frames=frames, waveform=sound, subtitle="I am so happy for you!", name="self test")


def self_test(pack: str = PACK) -> Finding:
    """Load a pack and ask it about a made clip, within two seconds."""
    import emer_edge as ee

    began = time.perf_counter()
    try:
        with ee.load(pack) as reasoner:
            loaded = time.perf_counter()
            out = reasoner.infer(made_clip(), options=ee.Options(max_tokens=_TOKENS))
    except EmerError as error:
        mend = (
            error.todo if error.todo.startswith(("pip ", "emer-edge ")) else f"emer-edge packs verify {pack}"
        )
        return Finding("self test", "fail", " ".join(part for part in (error.what, error.why) if part), mend)
    ended = time.perf_counter()
    wrong = faults(out)
    words = f"{pack}: loaded in {loaded - began:.2f} s, answered in {ended - loaded:.2f} s"
    if wrong:
        return Finding("self test", "fail", f"{words}, but {wrong}", f"emer-edge packs verify {pack}")
    if ended - began > ALLOWED_SECONDS:
        return Finding("self test", "warn", f"{words}: the machine is slow or busy", "uptime")
    return Finding("self test", "ok", words)


def faults(out: Reasoning) -> str:
    """What is wrong with an answer to the made clip, or empty."""
    if not out.scores or abs(sum(out.scores.values()) - 1) > 1e-3:
        return "the confidences don't add up to 1"
    if not out.emotions:
        return "there is no label"
    # Noise is no voice: a pack that reads each modality by itself has read it, and rightly leaves it out.
    read = {*out.used.modalities, *(one.modality for one in out.alone)}
    if not {"audio", "subtitle"} <= read:
        return f"only {', '.join(out.used.modalities) or 'nothing'} was used"
    if not out.timings.new_tokens:
        return "no word was generated"
    return ""
