"""Synthetic pairs of held-out people, and the questions put to them: what do more modalities bring, what
do missing and noisy ones cost, what of disagreement?

Knows how rows are drawn together by label, and the variants of an example. Does not know metrics. A face, a
voice and a line never belong to one person: nothing measured here is about natural audio-visual speech.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emer_edge.evaluate.faithfulness import shown_alone
from emer_edge.results import ClueModality, Reasoning
from emer_edge.senses import Rows as Embeddings
from training.beliefs import UNCLEAR
from training.measure_data import Rows
from training.measure_pack import Gauge

SUBSETS = ("f", "v", "w", "fv", "fw", "vw", "fvw")
# What is added to which subset: `~` is noise in place of a modality, `0` digital silence.
DISTURBED = {
    "f+v~": ("f", "the voice is noise"),
    "fw+v~": ("fw", "the voice is noise"),
    "fw+v0": ("fw", "the voice is silence"),
    "w+v~": ("w", "the voice is noise"),
    "v+f~": ("v", "the face is noise"),
    "vw+f~": ("vw", "the face is noise"),
    "w+f~": ("w", "the face is noise"),
}
PAIR_LABELS = ("neutral", "happy", "sad", "angry", "fearful", "disgusted", "surprised")
_LETTERS: dict[str, ClueModality] = {"f": "face", "v": "voice", "w": "words"}
_AGREE_SHARE = 0.65
_NOISE_SECONDS, _SAMPLE_RATE = 3.0, 16_000
# As loud as ordinary speech, so that loudness does not give it away.
_NOISE_RMS = 0.05


@dataclass(frozen=True)
class Pair:
    """A face, a voice and a line put together; `labels` are what each one shows.

    `speaker` is whose voice it is and `clip` which of theirs: there are fewer voices than pairs. `seed`
    decides the noise that stands in for one of them, `subset` what is given where only one is asked.
    """

    face: NDArray[np.uint8]
    voice: NDArray[np.float16]
    words: str
    labels: tuple[str, str, str]
    speaker: str
    clip: str
    seed: int
    subset: str = "fvw"


@dataclass(frozen=True)
class Shelf:
    """Held-out rows to draw from: faces, voices of one or more corpora, lines."""

    faces: Rows
    voices: Sequence[Rows]
    words: Rows

    def draw(self, labels: tuple[str, str, str], rng: Random, subset: str = "fvw") -> Pair:
        """Draw one row of each modality with the label wanted; every clip of a label is as likely."""
        face = rng.choice(self.faces.of(labels[0]))
        voices, voice = rng.choice([(rows, row) for rows in self.voices for row in rows.of(labels[1])])
        line = rng.choice(self.words.of(labels[2]))
        picture, sound = self.faces.items[face].face, voices.items[voice].voice
        text = self.words.items[line].words
        if picture is None or sound is None or text is None:
            raise ValueError("a row of the shelf does not hold its modality")
        speaker = f"{voices.name} {voices.groups[voice]}"
        seed = rng.randrange(2**31)
        return Pair(picture, sound, text, labels, speaker, f"{voices.name} {voice}", seed, subset)


def agreeing(shelf: Shelf, count: int, seed: int = 31) -> list[Pair]:
    """Draw examples whose three parts show the same label, each label as often as any other."""
    rng = Random(seed)
    labels = [PAIR_LABELS[number % len(PAIR_LABELS)] for number in range(count)]
    return [shelf.draw((label, label, label), rng) for label in labels]


def disagreeing(shelf: Shelf, count: int, seed: int = 32) -> list[Pair]:
    """Draw face and voice of two different labels, neither neutral, without words."""
    rng = Random(seed)
    found = []
    for _ in range(count):
        face, voice = rng.sample([label for label in PAIR_LABELS if label != "neutral"], 2)
        found.append(shelf.draw((face, voice, face), rng, "fv"))
    return found


def mixed(shelf: Shelf, count: int, seed: int = 33) -> list[Pair]:
    """Draw `count` examples of every subset of modalities, most of them agreeing, as clips to explain."""
    rng = Random(seed)
    found = []
    for subset in SUBSETS:
        for _ in range(count):
            first, second, third = rng.choices(PAIR_LABELS, k=3)
            same = rng.random() < _AGREE_SHARE
            found.append(shelf.draw((first,) * 3 if same else (first, second, third), rng, subset))
    return found


def noise_voice(seed: int) -> NDArray[np.float32]:
    """Return three seconds of white noise as loud as speech, float32 [samples] at 16 kHz."""
    random = np.random.default_rng(seed)
    samples = random.standard_normal(int(_NOISE_SECONDS * _SAMPLE_RATE)) * _NOISE_RMS
    return np.clip(samples, -1, 1).astype(np.float32)


def noise_face(seed: int) -> NDArray[np.uint8]:
    """Return a picture of noise, uint8 [48, 48]."""
    return np.random.default_rng(seed).integers(0, 256, (48, 48), np.uint8)


def combine_step(gauge: Gauge, pair: Pair) -> dict[str, Any]:
    """Score one agreeing example in every subset and disturbed; each encoder sees each input once."""
    silence = np.zeros(int(_NOISE_SECONDS * _SAMPLE_RATE), np.float32)
    face: dict[str, Embeddings | None] = {"f": gauge.see(pair.face), "~": gauge.see(noise_face(pair.seed))}
    voice: dict[str, Embeddings | None] = {
        "v": gauge.hear(pair.voice),
        "~": gauge.hear(noise_voice(pair.seed)),
        "0": gauge.hear(silence),
    }
    scores = {}
    for subset in (*SUBSETS, *DISTURBED):
        given, _, disturbance = subset.partition("+")
        vision = face["~"] if disturbance == "f~" else face["f"] if "f" in given else None
        audio = voice[disturbance[1]] if disturbance[:1] == "v" else voice["v"] if "v" in given else None
        scores[subset] = _short(gauge.scores(vision, audio, pair.words if "w" in given else None))
    return {"scores": scores}


def explain_step(gauge: Gauge, pair: Pair) -> dict[str, Any]:
    """Ask for the reasoning of one example, and where it has several modalities for the label of each alone.

    The labels of the answer come from the answer itself, and so does `alone`: the label that each modality
    shows by itself, unclear where the runtime was not sure of it or called a voice silent.
    """
    vision = gauge.see(pair.face) if "f" in pair.subset else None
    audio = gauge.hear(pair.voice) if "v" in pair.subset else None
    words = pair.words if "w" in pair.subset else None
    answer = gauge.explain(vision, audio, words)
    alone = {name: UNCLEAR for letter, name in _LETTERS.items() if letter in pair.subset}
    alone |= shown_alone(answer)
    return {**_told(answer), "alone": alone if len(answer.alone) > 1 else {}}


def _told(answer: Reasoning) -> dict[str, Any]:
    return {
        "used": list(answer.used.modalities),
        "text": answer.text,
        "finish": answer.finish,
        "scores": _short(answer.scores),
        "labels": [emotion.label for emotion in answer.emotions],
        "from_logits": [emotion.label for emotion in answer.emotions if emotion.source != "text"],
    }


def disagree_step(gauge: Gauge, pair: Pair) -> dict[str, Any]:
    """Ask for the reasoning of a disagreeing face and voice, and what each of them shows alone."""
    vision, audio = gauge.see(pair.face), gauge.hear(pair.voice)
    alone = [gauge.scores(vision, None, None), gauge.scores(None, audio, None)]
    return {**_told(gauge.explain(vision, audio, None)), "alone": [_short(scores) for scores in alone]}


def _short(scores: dict[str, float]) -> dict[str, float]:
    return {label: round(share, 5) for label, share in scores.items()}
