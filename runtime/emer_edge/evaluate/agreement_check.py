"""Decides whether clues agree or differ as an answer says.

Knows claims, the labels of the answer's own clues, and the label that each modality shows alone. Does not
know texts or packs.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

from emer_edge.evaluate.agreement import Claim, Side
from emer_edge.evaluate.agreement_words import UNCLEAR, adjective, label_class, same_label
from emer_edge.evaluate.mentions import MODALITIES
from emer_edge.results import ClueModality


@dataclass(frozen=True)
class Judged:
    """What becomes of one claim: None where it can't be checked, with the reason."""

    is_right: bool | None
    reason: str = ""


def judge(
    claim: Claim,
    clues: Sequence[Side],
    given: Collection[ClueModality],
    alone: Mapping[ClueModality, str],
    known: Collection[str] = (),
) -> Judged:
    """Judge one claim, first by the answer itself, then by what each modality shows alone.

    Args:
        claim: as it was read.
        clues: the labels that the answer's own sentences give each modality.
        given: the modalities that were given.
        alone: the label read from each modality when it alone is given; "unclear" is no party.
        known: the labels that the model can choose from; a word that is one of them means no other.

    >>> claim = Claim("agree", "The clues agree", 0, 15)
    >>> judge(claim, [], ["face", "voice"], {"face": "calm", "voice": "neutral"}).is_right
    True
    >>> judge(claim, [], ["face", "voice"], {"face": "calm", "voice": "sad"}).is_right
    False
    >>> judge(claim, [], ["face", "voice"], {})
    Judged(is_right=None, reason='what the face shows alone is not known')
    """
    parties = [name for name in MODALITIES if name in _named(claim, given)]
    contradiction = _contradiction(claim, clues, parties)
    if contradiction:
        return Judged(False, contradiction)
    absent = [name for name in parties if name not in given]
    if absent:
        return Judged(None, f"the {absent[0]} was not given")
    shown = {name: alone[name] for name in parties if name in alone and alone[name] != UNCLEAR}
    differ = any(not same_label(one, other) for one, other in combinations(shown.values(), 2))
    missing = [name for name in parties if name not in alone]
    if missing and not differ:
        return Judged(None, f"what the {missing[0]} shows alone is not known")
    sides = claim.sides or [Side(name, claim.labels) for name in parties if alone.get(name) != UNCLEAR]
    labelled = [side for side in sides if side.labels]
    fits = [_fits(side, alone[side.modality], known) for side in labelled if side.modality in alone]
    if False in fits:
        return Judged(False)
    if claim.stance == "agree" and differ:
        return Judged(False)
    if len(shown) < 2:
        return Judged(None, "fewer than two clues can be read alone")
    if claim.stance == "contrast" and not differ:
        return Judged(False)
    if missing or None in fits:
        return Judged(None, "what is not known may turn it" if missing else "the label means no known one")
    return Judged(True)


def _named(claim: Claim, given: Collection[ClueModality]) -> Collection[ClueModality]:
    return [side.modality for side in claim.sides] or given


def _contradiction(claim: Claim, clues: Sequence[Side], parties: Sequence[ClueModality]) -> str:
    """What is wrong with a claim by the answer alone; "" for nothing."""
    if claim.stance == "contrast":
        labels = [side.labels for side in claim.sides if side.labels]
        for left, right in combinations(labels, 2):
            if _within(left, right) and _within(right, left):
                return "both sides have the same label"
        return ""
    shown: dict[ClueModality, set[str]] = {}
    for side in clues:
        if side.modality in parties:
            shown.setdefault(side.modality, set()).update(map(label_class, side.labels))
    for one, other in combinations([classes for classes in shown.values() if "" not in classes], 2):
        if one and other and not one & other:
            return "the answer's own clues have different labels"
    return ""


def _within(labels: Sequence[str], others: Sequence[str]) -> bool:
    return all(any(same_label(label, other) for other in others) for label in labels)


def _fits(side: Side, label: str, known: Collection[str]) -> bool | None:
    """Whether a side has the label that its modality shows alone; None where its words may mean another."""
    outcomes = {_means(own, label, known) for own in side.labels}
    return True if True in outcomes else None if None in outcomes else False


def _means(word: str, label: str, known: Collection[str]) -> bool | None:
    if same_label(word, label):
        return True
    if label == UNCLEAR or adjective(word) in {adjective(name) for name in known}:
        return False
    one, other = label_class(word), label_class(label)
    return one == other if one and other else None
