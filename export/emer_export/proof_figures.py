"""What a proof measured, stage by stage, beside the bounds that are asked for.

Knows figures and bounds. Does not know models, clips or where the figures come from.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from emer_edge.strays import encoder_row, judged, llm_bounds, stray

REFERENCE = "against the published weights in torch, float32, on the CPU"
INT8_SAME_TOP_LABEL = 0.97


@dataclass(frozen=True)
class LlmFigures:
    """One clip, one quantisation."""

    first_token_max_abs_error: float
    same_greedy_tokens: int
    """Tokens before the first that the float32 model would not have picked."""
    greedy_tokens: int
    kl_divergence: float
    """Mean over positions, nats, of torch's distribution from the pack's."""
    top1_agreement: float
    """Share of positions with the same best token."""


@dataclass(frozen=True)
class Scored:
    """Confidence of every candidate label, and the labels that are reported, the best first."""

    scores: Mapping[str, float]
    reported: Sequence[str]


@dataclass(frozen=True)
class _Labels:
    top: bool
    same: bool
    difference: float


def _compare(truth: Scored, found: Scored) -> _Labels:
    return _Labels(
        truth.reported[:1] == found.reported[:1],
        set(truth.reported) == set(found.reported),
        max(abs(truth.scores[label] - found.scores[label]) for label in truth.scores),
    )


def kl_and_agreement(truth: Tensor, found: Tensor) -> tuple[float, float]:
    """Mean KL(truth || found) in nats and the share of rows with the same best entry, for logits [n,
    vocabulary].
    """
    p, q = truth.double().log_softmax(1), found.double().log_softmax(1)
    divergence = (p.exp() * (p - q)).sum(1).mean()
    return float(divergence.clamp(min=0)), float((truth.argmax(1) == found.argmax(1)).double().mean())


@dataclass
class Figures:
    """Gathers figures over clips and says which bounds hold."""

    _embeddings: dict[str, list[Any]] = field(default_factory=dict)
    _pooled: dict[str, list[float]] = field(default_factory=dict)
    _soft: dict[str, list[Any]] = field(default_factory=dict)
    _ids: list[bool] = field(default_factory=list)
    _words: dict[str, list[LlmFigures]] = field(default_factory=dict)
    _labels: dict[str, list[_Labels]] = field(default_factory=dict)
    _encoder_labels: dict[str, list[_Labels]] = field(default_factory=dict)

    def embeddings(
        self,
        part: str,
        precision: str,
        truth: NDArray[np.float32] | None,
        found: NDArray[np.float32] | None,
    ) -> None:
        """Take the embeddings [n, dim] of one clip, None where it has none."""
        if truth is None or found is None:
            return
        key = f"{part}.{precision}"
        self._embeddings.setdefault(key, []).append(stray(truth, found))
        self._pooled.setdefault(key, []).append(stray(truth.mean(0), found.mean(0)).cosine)

    def soft_tokens(
        self,
        precision: str,
        truth: Mapping[str, NDArray[np.float32]],
        found: Mapping[str, NDArray[np.float32]],
    ) -> None:
        """Take the soft tokens [1, model_dim] of one clip by name."""
        for name in truth:
            self._soft.setdefault(f"soft.{name}.{precision}", []).append(stray(truth[name], found[name]))

    def prompt_ids(self, same: bool) -> None:
        """Take whether one prompt has the published ids."""
        self._ids.append(same)

    def words(self, name: str, figures: LlmFigures) -> None:
        """Take what one quantisation said about one clip."""
        self._words.setdefault(name, []).append(figures)

    def labels(self, key: str, truth: Scored, found: Scored) -> None:
        """Take one clip's labels: all of it in torch, then the pack's by `precision quantisation`."""
        self._labels.setdefault(key, []).append(_compare(truth, found))

    def encoder_labels(self, precision: str, truth: Scored, found: Scored) -> None:
        """Take one clip's labels by the same language model: with torch's encoders, then with the pack's."""
        self._encoder_labels.setdefault(precision, []).append(_compare(truth, found))

    def result(self, clips: int) -> dict[str, Any]:
        """What a manifest's `parity` says."""
        stages: dict[str, Any] = {}
        for key, found in self._embeddings.items():
            stages[key] = encoder_row(found, key.rsplit(".", 1)[1], min(self._pooled[key]))
        for key, found in self._soft.items():
            stages[key] = encoder_row(found, key.rsplit(".", 1)[1], None)
        stages["prompt_ids"] = judged(
            {"prompts": len(self._ids), "same": sum(self._ids)}, [("all the same", all(self._ids))]
        )
        for name, figures in self._words.items():
            stages[f"llm.{name}"] = _words(name, figures)
        for precision, pairs in self._encoder_labels.items():
            stages[f"labels.{precision}"] = _label_row(precision, pairs)
        for key, pairs in self._labels.items():
            stages[f"labels.{key.replace(' ', '.')}"] = _label_row("", pairs)
        return {
            "reference": REFERENCE,
            "clips": clips,
            "holds": all(row["holds"] for row in stages.values()),
            "stages": stages,
        }


def _words(name: str, figures: Sequence[LlmFigures]) -> dict[str, Any]:
    error = max(one.first_token_max_abs_error for one in figures)
    same = all(one.same_greedy_tokens == one.greedy_tokens for one in figures)
    row = {
        "first_token_max_abs_error": error,
        "same_greedy_text": sum(one.same_greedy_tokens == one.greedy_tokens for one in figures),
        "greedy_tokens": sum(one.greedy_tokens for one in figures),
        "same_greedy_tokens": sum(one.same_greedy_tokens for one in figures),
        "kl_divergence": float(np.mean([one.kl_divergence for one in figures])),
        "top1_agreement": float(np.mean([one.top1_agreement for one in figures])),
    }
    return judged(row, llm_bounds(name, error, same=same))


def _label_row(precision: str, pairs: Sequence[_Labels]) -> dict[str, Any]:
    top = sum(pair.top for pair in pairs) / len(pairs)
    row = {
        "same_top_label": top,
        "same_label_set": sum(pair.same for pair in pairs) / len(pairs),
        "confidence_difference": max(pair.difference for pair in pairs),
    }
    bounds = []
    if precision.startswith("int8"):
        bounds.append((f"same top label on {INT8_SAME_TOP_LABEL:.0%} of clips", top >= INT8_SAME_TOP_LABEL))
    return judged(row, bounds)
