"""Sums up how faithful many answers are: rates with intervals, and how much was stated at all.

Knows checks and clips. Does not know how a statement is found or checked.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from emer_edge.errors import InputError
from emer_edge.evaluate.clue_words import LEVELS
from emer_edge.evaluate.faithfulness import Check, Checked
from emer_edge.evaluate.scores import Estimate, Resampling, rate

RATES: dict[str, Callable[[Check], bool]] = {
    "voice": lambda check: check.kind == "voice",
    **{
        name: lambda check, name=name: check.kind == "voice" and check.topic == name  # type: ignore[misc]
        for name in LEVELS
    },
    "quotes": lambda check: check.kind == "quote",
    "absent_unnamed": lambda check: check.kind == "absent",
    "given_named": lambda check: check.kind == "named",
    "labels_agree": lambda check: check.kind == "label",
    "agreement": lambda check: check.kind == "agreement",
}
"""Which checks each rate is of."""


@dataclass(frozen=True)
class Rate:
    """How many statements of one kind there were and how many of them were right.

    `right` counts every statement that can be checked, borderline ones by their measured level; `clear_right`
    leaves the borderline ones out. `by_chance` is what the same statements would have reached on the other
    clips' measures: what stereotypes alone are worth. NaN where it is not known.
    """

    stated: int
    checked: int
    borderline: int
    per_answer: float
    right: Estimate
    clear_right: Estimate
    by_chance: float = float("nan")

    def to_dict(self) -> dict[str, Any]:
        """As plain data, None for what is not known."""
        return {
            "stated": self.stated,
            "checked": self.checked,
            "borderline": self.borderline,
            "per_answer": self.per_answer,
            "right": self.right.to_dict(),
            "clear_right": self.clear_right.to_dict(),
            "by_chance": None if np.isnan(self.by_chance) else self.by_chance,
        }


@dataclass(frozen=True)
class Faithfulness:
    """How faithful many answers are.

    `rates` has the names of `RATES`. `without_fault` is the share of answers in which nothing is strictly
    wrong; an answer that states nothing has no fault, so read it beside `per_answer`.
    """

    answers: int
    clips: int
    rates: dict[str, Rate]
    without_fault: Estimate

    def to_dict(self) -> dict[str, Any]:
        """As plain data."""
        return {
            "answers": self.answers,
            "clips": self.clips,
            "without_fault": self.without_fault.to_dict(),
            **{name: value.to_dict() for name, value in self.rates.items()},
        }


def faithfulness(answers: Sequence[Checked], resampling: Resampling | None = None) -> Faithfulness:
    """Sum up checked answers; the 95 % intervals draw whole clips.

    Raises:
        InputError: no answers.
    """
    if not answers:
        raise InputError("Faithfulness needs at least one answer.")
    clips = [answer.clip for answer in answers]
    rates = {name: _rate(answers, clips, wanted, resampling) for name, wanted in RATES.items()}
    clean = [not answer.has_fault for answer in answers]
    without = rate(clean, np.ones(len(answers)), groups=clips, resampling=resampling)
    return Faithfulness(len(answers), len(set(clips)), rates, without)


def _rate(
    answers: Sequence[Checked],
    clips: list[str],
    wanted: Callable[[Check], bool],
    resampling: Resampling | None,
) -> Rate:
    lists = [[check for check in answer.checks if wanted(check)] for answer in answers]

    def share(clear: bool) -> Estimate:
        used = [
            [
                c.is_right
                for c in checks
                if c.is_right is not None and not (clear and c.verdict == "borderline")
            ]
            for checks in lists
        ]
        hits, totals = [sum(map(bool, some)) for some in used], [len(some) for some in used]
        return rate(hits, totals, groups=clips, resampling=resampling)

    flat = [check for checks in lists for check in checks]
    return Rate(
        stated=len(flat),
        checked=sum(check.is_right is not None for check in flat),
        borderline=sum(check.verdict == "borderline" for check in flat),
        per_answer=len(flat) / len(answers),
        right=share(clear=False),
        clear_right=share(clear=True),
        by_chance=_by_chance(answers, lists),
    )


def _by_chance(answers: Sequence[Checked], lists: list[list[Check]]) -> float:
    """The mean share of the other clips on which each checked voice statement would be right."""
    clips = {answer.clip: answer.levels for answer in answers if answer.levels}
    counts: dict[str, dict[str, int]] = {name: {} for name in LEVELS}
    for levels in clips.values():
        for name, level in levels.items():
            counts[name][level] = counts[name].get(level, 0) + 1
    shares = []
    for answer, checks in zip(answers, lists, strict=True):
        for check in checks:
            # An ambiguous statement is checked only where its readings agree, which other clips need not do.
            if check.is_right is None or len(check.readings) != 1:
                continue
            quantity, claimed = check.readings[0].quantity, check.readings[0].levels
            own = clips[answer.clip].get(quantity, "")
            others = sum(counts[quantity].values()) - 1
            if others > 0:
                hits = sum(counts[quantity].get(level, 0) for level in claimed) - (own in claimed)
                shares.append(hits / others)
    return float(np.mean(shares)) if shares else float("nan")
