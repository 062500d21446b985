"""What may be believed of a clip: the shares each modality gives to the labels, and how they combine.

Knows one small Bayesian model and no data. Every modality is an expert with calibrated shares. With
probability AGREEING all of them show one and the same feeling, so that shares multiply; otherwise each shows
its own, and the answer is their mean. Does not know networks, texts or files.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from training.text import CANDIDATES, INDEX

UNCLEAR = "unclear"
LABELS = (*CANDIDATES, UNCLEAR)
# Order of the encoders' evidence, in the words of the candidates.
FACE_LABELS = ("neutral", "happy", "surprised", "sad", "angry", "disgusted", "fearful", "contemptuous")
VOICE_LABELS = ("neutral", "calm", "happy", "sad", "angry", "fearful", "disgusted", "surprised")
QUIET = ("neutral", "calm")
# How often the modalities of a person agree; what an expert can't know keeps this much of its belief.
AGREEING, _FLOOR = 0.8, 0.02
# A face has no calm of its own, a voice no contempt: part of the nearest class stands for it.
_LENT = {"face": ("neutral", "calm", 0.15), "voice": ("disgusted", "contemptuous", 0.2)}
# Where modalities differ, one that shows nothing counts less: people often show nothing.
_QUIET_WEIGHT = 0.4
_NOTHING = 0.9

Shares = NDArray[np.float32]


def unclear() -> Shares:
    """Return the shares of a clip in which nothing can be read."""
    shares = np.full(len(LABELS), (1 - _NOTHING) / len(CANDIDATES), np.float32)
    shares[-1] = _NOTHING
    return shares


def from_evidence(evidence: NDArray[np.floating], modality: str) -> Shares:
    """Turn an encoder's evidence [t, 8] into shares of LABELS, as a mean over its rows would read them."""
    own = FACE_LABELS if modality == "face" else VOICE_LABELS
    logs = (np.asarray(evidence, np.float64).mean(0) - 1) * 2
    weights = np.exp(logs - logs.max())
    shares = np.zeros(len(LABELS), np.float32)
    for name, weight in zip(own, weights / weights.sum(), strict=True):
        shares[INDEX[name]] = weight
    giver, taker, part = _LENT[modality]
    shares[INDEX[taker]] = part * shares[INDEX[giver]]
    shares[INDEX[giver]] *= 1 - part
    return shares


def combine(beliefs: Mapping[str, Shares]) -> Shares:
    """Combine the shares of the modalities that can be read (float32 [10] each) into one belief.

    `beliefs` that are mostly UNCLEAR are left out; with nothing left the answer is unclear.
    """
    told = [shares[:-1] / shares[:-1].sum() for shares in beliefs.values() if shares[-1] < 0.5]
    if not told:
        return unclear()
    count = len(CANDIDATES)
    experts = np.stack([(1 - _FLOOR) * shares + _FLOOR / count for shares in told]).astype(np.float64)
    product = experts.prod(0) * count ** (len(told) - 1)
    agree = AGREEING * product.sum()
    weights = np.array([_QUIET_WEIGHT if CANDIDATES[int(e.argmax())] in QUIET else 1.0 for e in experts])
    mean = (weights[:, None] * experts).sum(0) / weights.sum()
    trust = agree / (agree + 1 - AGREEING)
    mixed = trust * product / product.sum() + (1 - trust) * mean
    return np.concatenate([mixed, [0.0]]).astype(np.float32)


def chosen(shares: Shares, above: float, at_most: int) -> tuple[str, ...]:
    """Return the labels the runtime would report of `shares`: the best, and others above a share."""
    order = [LABELS[int(i)] for i in shares.argsort()[::-1]]
    if order[0] == UNCLEAR:
        return (UNCLEAR,)
    ranked = [name for name in order if name != UNCLEAR]
    kept = [name for i, name in enumerate(ranked) if i == 0 or shares[LABELS.index(name)] >= above]
    return tuple(kept[:at_most])


def reported(
    shares: Shares, alone: Mapping[str, Shares], above: float, at_most: int, sure: float
) -> tuple[str, ...]:
    """Return `chosen` labels, and the feelings that a modality alone is `sure` of, the likeliest first.

    A face and a voice that differ are then both reported; a modality that shows nothing adds nothing.
    """
    kept = list(chosen(shares, above, at_most))
    if kept == [UNCLEAR]:
        return (UNCLEAR,)
    for own in alone.values():
        label = LABELS[int(own.argmax())]
        if own.max() >= sure and label not in (*QUIET, UNCLEAR, *kept):
            kept.append(label)
    kept.sort(key=lambda name: -shares[LABELS.index(name)])
    return tuple(kept[:at_most])
