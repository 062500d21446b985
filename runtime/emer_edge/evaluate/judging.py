"""Clue overlap and label overlap of a system, judged by a model.

Knows which texts go to the judge, and what a clip without text counts as. Does not know models or figures.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from emer_edge.errors import LimitError
from emer_edge.evaluate.datasets import Language
from emer_edge.evaluate.judge_models import Kind
from emer_edge.evaluate.overlap import (
    LOWEST,
    Overlap,
    OverlapScore,
    Unreadable,
    score_clue_overlap,
    score_label_overlap,
)
from emer_edge.evaluate.overlap_judge import PromptJudge, PromptSummary


class Answering(Protocol):
    """A judge, or what remembers one's answers."""

    @property
    def name(self) -> str:
        """Goes into every result."""
        ...

    def answer(self, prompt: str, kind: Kind) -> str:
        """A number from 1 to 10 (`score`), or a list of emotion words (`words`)."""
        ...

    def close(self) -> None:
        """Give back what it holds; may be called again."""
        ...


@dataclass(frozen=True)
class Judging:
    """A judge, in the language of the descriptions.

    Args:
        model: who judges.
        unreadable: what a clip counts as for which the judge gave no number: nothing, or 0.
    """

    model: Answering
    unreadable: Unreadable = "skip"

    def overlaps(
        self, truth: Mapping[str, str], said: Mapping[str, str], language: Language
    ) -> tuple[OverlapScore, OverlapScore]:
        """Clue overlap and label overlap.

        A clip that was not answered gets the lowest score without being judged. A pair of texts that is too
        long for the judge has no score.

        Args:
            truth: clip -> description by people.
            said: clip -> description by the system, empty where there is none; has every clip of `truth`.
            language: of the prompts.

        Raises:
            EmerError: whatever the judge raises.
        """
        judge = _Fair(PromptJudge(self.model.name, lambda prompt: self._ask(prompt, "score"), language))
        words = PromptSummary(lambda prompt: self._ask(prompt, "words"), language)

        def summarise(text: str) -> str:
            return words(text) if text.strip() else ""

        return (
            score_clue_overlap(truth, said, judge, unreadable=self.unreadable),
            score_label_overlap(truth, said, summarise, judge, unreadable=self.unreadable),
        )

    def _ask(self, prompt: str, kind: Kind) -> str:
        try:
            return self.model.answer(prompt, kind)
        except LimitError:
            return ""  # counted as a clip without score, which every result names


@dataclass(frozen=True)
class _Fair:
    """Silence is never judged: nothing that is said can't overlap with anything."""

    judge: PromptJudge

    @property
    def name(self) -> str:
        return self.judge.name

    def __call__(self, truth: str, predicted: str, overlap: Overlap, /) -> float | None:
        return self.judge(truth, predicted, overlap) if predicted.strip() else LOWEST
