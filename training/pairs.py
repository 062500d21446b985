"""Draws training examples: which modalities are given, what each one shows, what the answers are.

Knows how to pair faces, voices and utterances of different people by label (synthetic pairs, agreeing or
not) and how their shares mix into the target. Does not know tokens, networks or files.
"""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

import numpy as np
from numpy.typing import NDArray

from training import explain
from training.text import CANDIDATES, INDEX, Utterance
from training.words import Quoter

FRAMES = 8
# Order of the columns of FER+ votes, in the words of the candidates.
FACE_LABELS = ("neutral", "happy", "surprised", "sad", "angry", "disgusted", "fearful", "contemptuous")
VOICE_LABELS = ("neutral", "calm", "happy", "sad", "angry", "fearful", "disgusted", "surprised")

_SUBSETS = {"fvw": 0.35, "fv": 0.08, "fw": 0.1, "vw": 0.1, "f": 0.09, "v": 0.09, "w": 0.19}
_PRIOR = {
    "neutral": 0.32,
    "calm": 0.06,
    "happy": 0.15,
    "sad": 0.13,
    "angry": 0.13,
    "fearful": 0.1,
    "disgusted": 0.09,
    "surprised": 0.11,
    "contemptuous": 0.03,
}
# Spoken dialogue is what subtitles hold; most of the other lines were written.
_COPIES = {"meld": 3}
# How much one modality counts where they disagree; a neutral one counts less, since people often show
# nothing.
_WEIGHT = {"face": 1.0, "voice": 0.9, "words": 0.8}
_QUIET, _QUIET_FACTOR = ("neutral", "calm"), 0.4
_SMOOTH = 0.06
_VOICE_SURE = 0.85
# Share of faces and voices that are none at all, so that noise is called unclear and not given an emotion.
# Few faces: the runtime's detector keeps pictures without a face away, and grimaces lie near smeared ones.
_NO_FACE_SHARE, _NO_VOICE_SHARE = 0.003, 0.02


# What to say of nothing that can be read: neutral, and not at all sure.
_NOTHING = np.array([0.44, *[0.07] * 8], np.float32)


@dataclass(frozen=True)
class FacePool:
    """Cached face embeddings float32 [n, k, dim] of n pictures (k variants each) and votes float32 [n, 8].

    `nothing` float32 [m, dim] comes from pictures without a face.
    """

    rows: NDArray[np.float32]
    votes: NDArray[np.float32]
    nothing: NDArray[np.float32]


@dataclass(frozen=True)
class VoicePool:
    """Cached voice embeddings float32 [n, k, 8, dim], labels int [n] (VOICE_LABELS) and level words per
    clip and variant.

    `nothing` float32 [m, 8, dim] comes from silence and noise.
    """

    rows: NDArray[np.float32]
    labels: NDArray[np.int64]
    levels: list[list[dict[str, str]]]
    nothing: NDArray[np.float32]


@dataclass(frozen=True)
class Answer:
    """One question with its answer; `soft` marks the label answer, whose first label is learnt from the
    shares.
    """

    question: str
    answer: str
    soft: bool = False


@dataclass(frozen=True)
class Example:
    """What is given (embeddings float32 [8, dim] or None, subtitle or None) and the answers to learn."""

    vision: NDArray[np.float32] | None
    audio: NDArray[np.float32] | None
    subtitle: str | None
    shares: NDArray[np.float32]
    facts: explain.Facts
    answers: tuple[Answer, ...]


class Sampler:
    """Draws examples without end from utterances and, when given, pools of faces and voices."""

    def __init__(
        self, utterances: list[Utterance], quoter: Quoter, faces: FacePool | None, voices: VoicePool | None
    ) -> None:
        self._faces, self._voices, self._quoter = faces, voices, quoter
        self._words: dict[str, list[Utterance]] = {name: [] for name in CANDIDATES}
        for item in utterances:
            for name, share in zip(CANDIDATES, item.shares, strict=True):
                if (
                    share >= 0.5
                    or (name == "calm" and share > 0.2)
                    or (name == "contemptuous" and share > 0.2)
                ):
                    self._words[name].extend([item] * _COPIES.get(item.corpus, 1))
        sizes = {name: len(rows) for name, rows in self._words.items()}
        weights = np.array([sizes[name] ** 0.7 for name in CANDIDATES])
        self._natural = (weights / weights.sum()).tolist()
        if faces is not None:
            best = faces.votes.argmax(1)
            self._face_rows = {name: np.flatnonzero(best == i) for i, name in enumerate(FACE_LABELS)}
        if voices is not None:
            self._voice_rows = {
                name: np.flatnonzero(voices.labels == i) for i, name in enumerate(VOICE_LABELS)
            }

    def _face(self, label: str, rng: Random) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        assert self._faces is not None
        label = "neutral" if label == "calm" else label
        row = int(rng.choice(self._face_rows[label]))
        variants = self._faces.rows[row]
        # A short clip repeats few pictures; a long one shows many moments, some of them with a neutral face.
        few = rng.choice((1, 2, 4, 8, 8))
        chosen = variants[[rng.randrange(len(variants)) for _ in range(few)]][
            np.arange(FRAMES) * few // FRAMES
        ]
        if label != "neutral" and rng.random() < 0.25:
            other = self._faces.rows[int(rng.choice(self._face_rows["neutral"]))]
            quiet = rng.sample(range(FRAMES), rng.randint(1, 3))
            chosen[quiet] = other[[rng.randrange(len(other)) for _ in quiet]]
        shares = np.zeros(len(CANDIDATES), np.float32)
        for name, vote in zip(FACE_LABELS, self._faces.votes[row], strict=True):
            shares[INDEX[name]] += vote
        return chosen, shares

    def _voice(
        self, label: str, rng: Random
    ) -> tuple[NDArray[np.float32], NDArray[np.float32], explain.VoiceFacts]:
        assert self._voices is not None
        label = rng.choice(("angry", "disgusted", "neutral")) if label == "contemptuous" else label
        row = int(rng.choice(self._voice_rows[label]))
        variant = rng.randrange(self._voices.rows.shape[1])
        shares = np.full(len(CANDIDATES), (1 - _VOICE_SURE) / len(CANDIDATES), np.float32)
        shares[INDEX[label]] += _VOICE_SURE
        facts = explain.VoiceFacts(label, self._voices.levels[row][variant])
        return self._voices.rows[row, variant], shares, facts

    def _no_face(self, rng: Random) -> NDArray[np.float32]:
        assert self._faces is not None
        nothing = self._faces.nothing
        return nothing[[rng.randrange(len(nothing))] * FRAMES]

    def _no_voice(self, rng: Random) -> NDArray[np.float32]:
        assert self._voices is not None
        return np.asarray(rng.choice(self._voices.nothing))

    def _utterance(self, label: str, rng: Random) -> Utterance:
        return rng.choice(self._words[label] or self._words["neutral"])

    def draw(self, rng: Random) -> Example:
        """Draw one example with a label answer, an explanation and, at times, one more question."""
        subset = "w"
        if self._faces is not None and self._voices is not None:
            subset = rng.choices(list(_SUBSETS), list(_SUBSETS.values()))[0]
        prior = self._natural if subset == "w" else [_PRIOR[name] for name in CANDIDATES]
        labels = rng.choices(CANDIDATES, prior, k=3)
        if rng.random() < 0.65:
            labels = [labels[0]] * 3
        elif rng.random() < 0.5:
            odd = rng.randrange(3)
            labels = [labels[0] if i != odd else labels[1] for i in range(3)]
        return self._compose(subset, labels, rng)

    def _compose(self, subset: str, labels: list[str], rng: Random) -> Example:
        given: dict[str, NDArray[np.float32]] = {}
        vision = audio = subtitle = None
        face = voice = words = None
        if "f" in subset and rng.random() < _NO_FACE_SHARE:
            vision, face = self._no_face(rng), explain.FaceFacts(explain.UNCLEAR, 1.0)
        elif "f" in subset:
            vision, given["face"] = self._face(labels[0], rng)
            best = int(given["face"].argmax())
            face = explain.FaceFacts(CANDIDATES[best], float(given["face"][best]))
        if "v" in subset and rng.random() < _NO_VOICE_SHARE:
            audio, voice = self._no_voice(rng), explain.VoiceFacts(explain.UNCLEAR, {})
        elif "v" in subset:
            audio, given["voice"], voice = self._voice(labels[1], rng)
        if "w" in subset:
            item = self._utterance(labels[2], rng)
            given["words"] = item.shares
            label = labels[2] if item.shares[INDEX[labels[2]]] > 0 else item.label
            subtitle = _as_recognised(item.text, rng)
            words = explain.WordsFacts(self._quoter.quote(subtitle, label, rng), label, item.extra)
        shares = mix(given)
        facts = explain.Facts(answer_labels(shares, words), face, voice, words)
        return Example(vision, audio, subtitle, shares, facts, _answers(facts, subtitle, rng))


def _as_recognised(text: str, rng: Random) -> str:
    """Sometimes drop case and punctuation, as speech recognisers do."""
    if rng.random() < 0.12:
        bare = "".join(letter for letter in text.lower() if letter not in ".,!?;:")
        return bare.strip() or text
    return text


def mix(given: dict[str, NDArray[np.float32]]) -> NDArray[np.float32]:
    """Mix the shares of the given modalities (float32 [9] each) into one target; agreement makes it surer."""
    if not given:
        given = {"face": _NOTHING}
    total = np.zeros(len(CANDIDATES), np.float32)
    weight = 0.0
    for name, shares in given.items():
        own = _WEIGHT[name] * (_QUIET_FACTOR if CANDIDATES[int(shares.argmax())] in _QUIET else 1.0)
        total += own * shares
        weight += own
    total /= weight
    if len(given) > 1:
        total = total**1.5
        total /= total.sum()
    return np.asarray((1 - _SMOOTH) * total + _SMOOTH / len(CANDIDATES), np.float32)


def answer_labels(shares: NDArray[np.float32], words: explain.WordsFacts | None) -> tuple[str, ...]:
    """Return the primary label, a strong second one, and the open labels of the words when they carry the
    primary.
    """
    order = shares.argsort()[::-1]
    labels = [CANDIDATES[int(order[0])]]
    second = CANDIDATES[int(order[1])]
    if shares[order[1]] > 0.3 and not {second, labels[0]} & set(_QUIET):
        labels.append(second)
    if words is not None and words.label == labels[0]:
        labels.extend(word for word in words.extra[:2] if word not in labels)
    return tuple(labels)


def _answers(facts: explain.Facts, subtitle: str | None, rng: Random) -> tuple[Answer, ...]:
    """The label answer always; further answers by chance, since an explanation costs three times as many
    tokens.
    """
    answers = [Answer(explain.LABELS_QUESTION, explain.state_sentence(facts.labels), soft=True)]
    if rng.random() < 0.55:
        answers.append(Answer(explain.EXPLAIN_QUESTION, explain.explanation(facts, rng)))
    chance = rng.random()
    if chance < 0.08:
        answers.append(Answer(explain.SENTIMENT_QUESTION, explain.sentiment_sentence(facts.labels[0])))
    elif chance < 0.35:
        answers.append(Answer(*explain.free_answer(facts, subtitle, rng)))
    return tuple(answers)
