"""EmoCue-style matching of cues: every cue goes to its nearest counterpart in a sentence encoder's space.

Knows lists of short texts and cosine. Does not know who extracts cues from an answer, nor any encoder.

Source: EmoCue-360 of XEmoGPT (W11H08Z/XEmoGPT 14ddf202): recall is the mean over true cues of the greatest
cosine with a predicted one, precision the same the other way round; published with all-MiniLM-L6-v2.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from emer_edge.errors import InputError
from emer_edge.evaluate.set_metrics import check_clips, harmonic

CueKind: TypeAlias = Literal["visual", "auditory", "emotional"]
KINDS: tuple[CueKind, ...] = ("visual", "auditory", "emotional")
Cues: TypeAlias = Mapping[CueKind, Sequence[str]]
"""Kind -> cues of one clip; an absent kind has none."""


class SentenceEncoder(Protocol):
    """Turns texts into vectors."""

    @property
    def name(self) -> str:
        """Goes into every result."""
        ...

    def encode(self, texts: Sequence[str], /) -> NDArray[np.float32]:
        """Return float32 [texts, width]; rows need no unit length."""
        ...


@dataclass(frozen=True)
class CueScore:
    """How well cues of one kind were found; -1..1 for each figure, in practice 0..1.

    Attributes:
        names: the clips that have a true cue of this kind.
        precisions: float64 [clips], 0 where nothing was predicted.
        recalls: float64 [clips], 0 where nothing was predicted.
    """

    names: tuple[str, ...]
    precisions: NDArray[np.float64] = field(repr=False)
    recalls: NDArray[np.float64] = field(repr=False)

    @property
    def precision(self) -> float:
        """Mean over the clips; nan without clips."""
        return _mean(self.precisions)

    @property
    def recall(self) -> float:
        """Mean over the clips; nan without clips."""
        return _mean(self.recalls)

    @property
    def f_scores(self) -> NDArray[np.float64]:
        """float64 [clips], the F of each clip."""
        pairs = zip(self.precisions, self.recalls, strict=True)
        return np.array([harmonic(p, r) if p + r > 0 else 0.0 for p, r in pairs])

    @property
    def f1(self) -> float:
        """Mean over the clips of each clip's own F (unlike the wheel metrics); nan without clips."""
        return _mean(self.f_scores)

    def to_dict(self) -> dict[str, float | int | None]:
        """The figures as plain data; None without clips."""
        figures = {"precision": self.precision, "recall": self.recall, "f1": self.f1}
        named = {name: None if np.isnan(value) else value for name, value in figures.items()}
        return {"clips": len(self.names), **named}


@dataclass(frozen=True)
class CueScores:
    """The scores of every kind, and the encoder they hang on."""

    encoder: str
    kinds: Mapping[CueKind, CueScore]

    def to_dict(self) -> dict[str, object]:
        """The figures as plain data."""
        return {"encoder": self.encoder, **{kind: score.to_dict() for kind, score in self.kinds.items()}}


def score_cues(
    truth: Mapping[str, Cues], predicted: Mapping[str, Cues], encoder: SentenceEncoder
) -> CueScores:
    """Match predicted cues with true ones, kind by kind.

    Auditory cues with "text" in them are left out on both sides: they quote the subtitle, which the model was
    given. A clip counts for a kind if it has a true cue of it.

    Args:
        truth: clip -> cues; every clip is scored.
        predicted: has every clip of `truth`; others are ignored.
        encoder: is asked once for all texts.

    Raises:
        InputError: no clip, a clip without prediction, or vectors that are not finite, all of one width and
            one for each text.
    """
    check_clips(truth, predicted)
    rows = {
        kind: {name: (_cues(truth[name], kind), _cues(predicted[name], kind)) for name in truth}
        for kind in KINDS
    }
    texts = sorted(
        {cue for pairs in rows.values() for pair in pairs.values() for side in pair for cue in side}
    )
    vectors = dict(zip(texts, _unit_vectors(encoder, texts), strict=True)) if texts else {}
    scores = {}
    for kind, pairs in rows.items():
        counted = {name: pair for name, pair in pairs.items() if pair[0]}
        found = np.zeros((len(counted), 2))
        for row, (right, said) in zip(found, counted.values(), strict=True):
            if said:
                cosine = (
                    np.array([vectors[cue] for cue in right]) @ np.array([vectors[cue] for cue in said]).T
                )
                row[:] = cosine.max(0).mean(), cosine.max(1).mean()
        scores[kind] = CueScore(tuple(counted), found[:, 0].copy(), found[:, 1].copy())
    return CueScores(encoder.name, scores)


def _cues(cues: Cues, kind: CueKind) -> list[str]:
    listed = cues.get(kind, ())
    return [cue for cue in listed if not (kind == "auditory" and "text" in cue)]


def _unit_vectors(encoder: SentenceEncoder, texts: Sequence[str]) -> NDArray[np.float64]:
    vectors = np.asarray(encoder.encode(texts), np.float64)
    if vectors.ndim != 2 or len(vectors) != len(texts) or not np.isfinite(vectors).all():
        raise InputError(
            f"The sentence encoder {encoder.name} gave shape {vectors.shape} for {len(texts)} texts.",
            "It has to give one finite vector for each.",
        )
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    unit: NDArray[np.float64] = vectors / np.where(lengths == 0, 1, lengths)
    return unit


def _mean(values: NDArray[np.float64]) -> float:
    return float(np.mean(values)) if values.size else float("nan")
