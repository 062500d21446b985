"""Draws training examples: which modalities are given, what each one shows, what the answers are.

Knows how to pair faces, voices and utterances of different people by label (synthetic pairs, agreeing or
not). Does not know tokens, networks or files. What a face or a voice shows is what its encoder believes, not
its annotation: the language model can only be true to what reaches it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from random import Random

import numpy as np
from numpy.typing import NDArray

from emer_export.graphs.nano import AUDIO_EVIDENCE, VISION_EVIDENCE
from training import explain
from training.beliefs import (
    AGREEING,
    FACE_LABELS,
    LABELS,
    UNCLEAR,
    VOICE_LABELS,
    Shares,
    chosen,
    combine,
    from_evidence,
    reported,
    unclear,
)
from training.text import CANDIDATES, Utterance
from training.words import Quoter

FRAMES = 8
# The runtime's rule for the labels it reports, also in the manifest.
REPORT_ABOVE, AT_MOST = 0.2, 3

_SUBSETS = {"fvw": 0.36, "fv": 0.08, "fw": 0.08, "vw": 0.1, "f": 0.08, "v": 0.1, "w": 0.2}
# Classes are drawn more evenly than they occur, so that rare feelings are learnt too; what is believed of an
# example does not depend on how often it is drawn.
_PRIOR = {
    "neutral": 0.2,
    "calm": 0.07,
    "happy": 0.15,
    "sad": 0.13,
    "angry": 0.13,
    "fearful": 0.11,
    "disgusted": 0.09,
    "surprised": 0.12,
    "contemptuous": 0.04,
}
# Spoken dialogue is what subtitles hold; most of the other lines were written.
_COPIES = {"meld": 3}
# Of lines alone, so many are drawn as they occur and the others by label, so that rare labels are learnt too.
_AS_THEY_OCCUR = 0.6
# Share of faces, voices and lines in which nothing can be read.
_NO_FACE, _NO_VOICE, _NO_WORDS = 0.06, 0.06, 0.01
# Share of examples with an explanation; what a voice is like is all there is to read off a soft token.
_EXPLAINED, _VOICE_EXPLAINED = 0.4, 0.75
# Between two clips of one corpus, beliefs that are rare among training clips occur.
_BLENDED = 0.4
# So often is a modality read as something else than its encoder believes, or less surely.
_MISREAD = 0.15
_GIBBERISH = ("[inaudible]", "...", "mm", "uh", "[music]", "la la la", "xq zrt", "?", "eh eh", "[noise]")


@dataclass(frozen=True)
class FacePool:
    """Cached face embeddings float32 [n, k, 136] of n pictures (k variants each) and votes float32 [n, 8].

    `nothing` float32 [m, 136] comes from pictures without a face.
    """

    rows: NDArray[np.float32]
    votes: NDArray[np.float32]
    nothing: NDArray[np.float32]


@dataclass(frozen=True)
class VoicePool:
    """Cached voice embeddings float32 [n, k, 8, 61], labels int [n] (VOICE_LABELS), corpus names, and clear
    level words per clip and variant.

    `nothing` float32 [m, 8, 61] comes from silence and noise.
    """

    rows: NDArray[np.float32]
    labels: NDArray[np.int64]
    corpora: NDArray[np.str_]
    levels: list[list[dict[str, str]]]
    nothing: NDArray[np.float32]


@dataclass(frozen=True)
class Line:
    """An utterance and what is believed of it, float32 [10]."""

    utterance: Utterance
    shares: Shares


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
    """What is given (embeddings float32 [8, dim] or None, subtitle or None) and the answers to learn.

    `drawn` names the label each modality was drawn for, for measuring.
    """

    vision: NDArray[np.float32] | None
    audio: NDArray[np.float32] | None
    subtitle: str | None
    shares: Shares
    facts: explain.Facts
    answers: tuple[Answer, ...]
    drawn: tuple[str, ...] = ()


class Sampler:
    """Draws examples without end from lines and, when given, pools of faces and voices."""

    def __init__(
        self, lines: Sequence[Line], quoter: Quoter, faces: FacePool | None, voices: VoicePool | None
    ) -> None:
        self._faces, self._voices, self._quoter = faces, voices, quoter
        self._all = [line for line in lines for _ in range(_COPIES.get(line.utterance.corpus, 1))]
        self._lines: dict[str, list[Line]] = {name: [] for name in CANDIDATES}
        for line in self._all:
            for name, share in zip(CANDIDATES, line.utterance.shares, strict=True):
                if share >= 0.5 or (name in ("calm", "contemptuous") and share > 0.2):
                    self._lines[name].append(line)
        if faces is not None:
            best = faces.votes.argmax(1)
            self._face_rows = {name: np.flatnonzero(best == i) for i, name in enumerate(FACE_LABELS)}
        if voices is not None:
            self._voice_rows = {
                name: np.flatnonzero(voices.labels == i) for i, name in enumerate(VOICE_LABELS)
            }

    def draw(self, rng: Random) -> Example:
        """Draw one example with a label answer, an explanation and, at times, one more question."""
        subset = "w"
        if self._faces is not None and self._voices is not None:
            subset = rng.choices(list(_SUBSETS), list(_SUBSETS.values()))[0]
        labels = rng.choices(CANDIDATES, [_PRIOR[name] for name in CANDIDATES], k=3)
        if rng.random() < AGREEING:
            labels = [labels[0]] * 3
        elif rng.random() < 0.5:
            odd = rng.randrange(3)
            labels = [labels[0] if i != odd else labels[1] for i in range(3)]
        return self.compose(subset, labels, rng)

    def draw_line(self, rng: Random) -> Example:
        """Draw a line of text alone of which only the label is asked: many more fit into a batch."""
        label = rng.choices(CANDIDATES, [_PRIOR[name] for name in CANDIDATES])[0]
        subtitle, shares, _ = self._words(label, rng.random() < _AS_THEY_OCCUR, rng)
        facts = explain.Facts(chosen(shares, REPORT_ABOVE, AT_MOST), None, None, None)
        answer = Answer(explain.LABELS_QUESTION, explain.state_sentence(facts.labels), soft=True)
        return Example(None, None, subtitle, shares, facts, (answer,), (label,))

    def compose(self, subset: str, labels: list[str], rng: Random) -> Example:
        """Put an example together: `subset` of "fvw", one label per modality."""
        given: dict[str, Shares] = {}
        vision = audio = subtitle = None
        face = voice = words = None
        if "f" in subset:
            vision, given["face"] = self._face(labels[0], rng)
            face = _face_facts(given["face"])
        if "v" in subset:
            audio, given["voice"], levels = self._voice(labels[1], rng)
            voice = _voice_facts(given["voice"], levels)
        if "w" in subset:
            subtitle, given["words"], extra = self._words(labels[2], subset == "w", rng)
            words = self._words_facts(subtitle, given["words"], extra, rng)
        shares = combine(given)
        labels_told = reported(shares, given, REPORT_ABOVE, AT_MOST, explain.SURE)
        facts = explain.Facts(labels_told, face, voice, words)
        answers = _answers(facts, shares, given, subtitle, rng)
        return Example(vision, audio, subtitle, shares, facts, answers, tuple(labels))

    def _face(self, label: str, rng: Random) -> tuple[NDArray[np.float32], Shares]:
        assert self._faces is not None
        if rng.random() < _NO_FACE:
            nothing = self._faces.nothing
            return nothing[[rng.randrange(len(nothing))] * FRAMES], unclear()
        label = "neutral" if label == "calm" else label
        variants = self._faces.rows[int(rng.choice(self._face_rows[label]))]
        # A short clip repeats few pictures; a long one shows many moments, some of them with a neutral face.
        few = rng.choice((1, 2, 4, 8, 8))
        frames = variants[[rng.randrange(len(variants)) for _ in range(few)]][
            np.arange(FRAMES) * few // FRAMES
        ]
        if rng.random() < _BLENDED:
            other = self._faces.rows[rng.randrange(len(self._faces.rows)), 0]
            part = np.float32(rng.uniform(0, 0.5))
            frames = (1 - part) * frames + part * other
        elif label != "neutral" and rng.random() < 0.25:
            other = self._faces.rows[int(rng.choice(self._face_rows["neutral"]))]
            quiet = rng.sample(range(FRAMES), rng.randint(1, 3))
            frames[quiet] = other[[rng.randrange(len(other)) for _ in quiet]]
        return frames, from_evidence(frames[:, VISION_EVIDENCE], "face")

    def _voice(self, label: str, rng: Random) -> tuple[NDArray[np.float32], Shares, dict[str, str]]:
        assert self._voices is not None
        if rng.random() < _NO_VOICE:
            return np.asarray(rng.choice(self._voices.nothing)), unclear(), {}
        label = rng.choice(("angry", "disgusted", "neutral")) if label == "contemptuous" else label
        row = int(rng.choice(self._voice_rows[label]))
        variant = rng.randrange(self._voices.rows.shape[1])
        windows = self._voices.rows[row, variant].copy()
        if rng.random() < _BLENDED:
            same = np.flatnonzero(self._voices.corpora == self._voices.corpora[row])
            other = self._voices.rows[int(rng.choice(same)), variant]
            part = np.float32(rng.uniform(0, 0.5))
            # Only what is believed is blended: pitch and pace stay those of one clip.
            believed = windows[:, AUDIO_EVIDENCE]
            windows[:, AUDIO_EVIDENCE] = (1 - part) * believed + part * other[:, AUDIO_EVIDENCE]
        return windows, from_evidence(windows[:, AUDIO_EVIDENCE], "voice"), self._voices.levels[row][variant]

    def _words(self, label: str, alone: bool, rng: Random) -> tuple[str, Shares, tuple[str, ...]]:
        if rng.random() < _NO_WORDS:
            return rng.choice(_GIBBERISH), unclear(), ()
        line = rng.choice(self._all if alone else self._lines[label] or self._lines["neutral"])
        return _as_recognised(line.utterance.text, rng), line.shares, line.utterance.extra

    def _words_facts(
        self, subtitle: str, shares: Shares, extra: tuple[str, ...], rng: Random
    ) -> explain.WordsFacts:
        best = int(shares.argmax())
        if LABELS[best] == UNCLEAR:
            return explain.WordsFacts(subtitle, UNCLEAR, 1.0)
        label = CANDIDATES[best]
        return explain.WordsFacts(self._quoter.quote(subtitle, label, rng), label, float(shares[best]), extra)


def _face_facts(shares: Shares) -> explain.FaceFacts:
    best = int(shares.argmax())
    return explain.FaceFacts(LABELS[best], float(shares[best]))


def _voice_facts(shares: Shares, levels: dict[str, str]) -> explain.VoiceFacts:
    best = int(shares.argmax())
    return explain.VoiceFacts(LABELS[best], float(shares[best]), levels)


def _as_recognised(text: str, rng: Random) -> str:
    """Sometimes drop case and punctuation, as speech recognisers do."""
    if rng.random() < 0.12:
        bare = "".join(letter for letter in text.lower() if letter not in ".,!?;:")
        return bare.strip() or text
    return text


def _told(shares: Shares, labels: tuple[str, ...], rng: Random) -> tuple[str, ...]:
    """Labels to explain: at times not quite those of the shares, since the model's own will differ too."""
    if UNCLEAR in labels or rng.random() > 0.15:
        return labels
    likely = [CANDIDATES[int(i)] for i in shares[:-1].argsort()[::-1][:4]]
    return tuple(rng.sample(likely, rng.choice((1, 1, 2))))


def _read(facts: explain.Facts, given: Mapping[str, Shares], rng: Random) -> explain.Facts:
    """Clues as the runtime may read them from each modality alone: at times not what its encoder believes.

    The text then follows what it is told, not the embedding, so that both can't differ.
    """
    for name, shares in given.items():
        if shares[-1] >= 0.5 or rng.random() > _MISREAD:
            continue
        likely = [LABELS[int(i)] for i in shares[:-1].argsort()[::-1]]
        own = FACE_LABELS if name == "face" else VOICE_LABELS if name == "voice" else CANDIDATES
        label = next(label for label in likely[rng.choice((0, 1)) :] if label in own)
        facts = facts.misread(name, label, rng.uniform(0.25, 0.85))
    return facts


def _answers(
    facts: explain.Facts, shares: Shares, given: Mapping[str, Shares], subtitle: str | None, rng: Random
) -> tuple[Answer, ...]:
    """The label answer always; further answers by chance, since an explanation costs three times as many
    tokens.
    """
    answers = [Answer(explain.LABELS_QUESTION, explain.state_sentence(facts.labels), soft=True)]
    if rng.random() < (_EXPLAINED if facts.voice is None else _VOICE_EXPLAINED):
        told = _read(facts.about(_told(shares, facts.labels, rng)), given, rng)
        answers.append(Answer(explain.explain_question(told), explain.explanation(told, rng)))
    chance = rng.random()
    if chance < 0.06:
        answers.append(Answer(explain.SENTIMENT_QUESTION, explain.sentiment_sentence(facts.labels[0])))
    elif chance < 0.25:
        answers.append(Answer(*explain.free_answer(facts, subtitle, rng)))
    return tuple(answers)
