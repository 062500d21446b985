"""Turns examples into padded batches: ids, soft-token places, forked answers, targets with weights.

Knows the prompt and the tokeniser. Does not know where examples come from or what a network does with them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

import numpy as np
import torch
from tokenizers import Tokenizer
from torch import Tensor

from training import explain, prompt
from training.beliefs import LABELS
from training.pairs import Example

END = "<|endoftext|>"
_LABEL_REST, _OTHER, _LEVEL = 0.4, 1.0, 4.0
# A level of the voice is one token that must be read off the soft token, among many that follow from text.
_LEVEL_WORDS = (
    *("quiet", "moderately", "loud", "low", "medium", "high", "flat", "varied"),
    *("slow", "steady", "fast", "few", "some", "many"),
)
_STATE_START = " " + explain.STATE_PREFIX
# Whether clues agree, and which differ, is decided in few tokens too: a sentence and the word that follows.
_JUDGEMENT = 5.0
_AGREEMENT = re.compile(
    r"(?:The clues agree\.|While the [^.\"]*\.|The (?:face|voice|words) [^.\"]*, but the [^.\"]*\.)?"
    r"\s*Therefore"
)


@dataclass
class Sequence:
    """One example as numbers: row i predicts `targets[i]` with `weights[i]`; `soft` is the row of the label
    answer.
    """

    ids: list[int] = field(default_factory=list)
    positions: list[int] = field(default_factory=list)
    branch: list[int] = field(default_factory=list)
    targets: list[int] = field(default_factory=list)
    weights: list[float] = field(default_factory=list)
    places: dict[str, int] = field(default_factory=dict)
    soft: int = -1

    def extend(self, ids: list[int], branch: int, targets: list[int], weights: list[float]) -> None:
        """Append rows; positions go on from the end of the prefix or of the same branch."""
        start = (
            self.positions[-1] + 1 if self.positions and self.branch[-1] == branch else self.branch.count(0)
        )
        self.ids += ids
        self.positions += range(start, start + len(ids))
        self.branch += [branch] * len(ids)
        self.targets += targets
        self.weights += weights

    def end_at_label(self) -> None:
        """Leave out the rows behind the one that predicts the label, and every other target."""
        for name in ("ids", "positions", "branch", "targets"):
            setattr(self, name, getattr(self, name)[: self.soft + 1])
        self.weights = [0.0] * self.soft + [1.0]


@dataclass(frozen=True)
class Batch:
    """Tensors of one step; `targets` int64 [m], `weights` [m] and `shares` [m, 10] (zero rows: hard target)
    at `rows` [m, 2].
    """

    ids: Tensor
    positions: Tensor
    branch: Tensor
    rows: Tensor
    targets: Tensor
    weights: Tensor
    shares: Tensor
    embeddings: dict[str, tuple[Tensor, ...]]


class Encoder:
    """Encodes examples with one tokeniser, piece by piece as the runtime does."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        self._cache: dict[str, list[int]] = {}
        self._end = tokenizer.token_to_id(END)
        self._levels = {self._single(" " + word) for word in _LEVEL_WORDS}
        self.candidates = [self._single(" " + name) for name in LABELS]

    def _single(self, text: str) -> int:
        """The one token of a label or level: the runtime then reads its score from one row of logits."""
        ids = self._ids(text)
        if len(ids) != 1:
            raise ValueError(
                f"{text!r} is {len(ids)} tokens: make the vocabulary or its training text larger"
            )
        return ids[0]

    def _ids(self, text: str, *, keep: bool = False) -> list[int]:
        if text in self._cache:
            return self._cache[text]
        ids: list[int] = self._tokenizer.encode(text, add_special_tokens=False).ids
        if keep:
            self._cache[text] = ids
        return ids

    def _said(self, text: str) -> tuple[list[int], list[bool]]:
        """Tokens of an answer and its end, and which of them judge whether clues agree."""
        encoded = self._tokenizer.encode(text, add_special_tokens=False)
        found = _AGREEMENT.search(text)
        start, end = found.span() if found else (0, 0)
        judging = [start < last and first < end for first, last in encoded.offsets]
        return [*encoded.ids, self._end], [*judging, False]

    def sequence(self, example: Example) -> Sequence:
        """Lay out the prefix and every answer behind it."""
        made = Sequence()
        pieces = prompt.prefix(
            vision=example.vision is not None, audio=example.audio is not None, subtitle=example.subtitle
        )
        for piece in pieces:
            if piece in prompt.MARKERS:
                made.places[prompt.MARKERS[piece]] = len(made.ids)
                ids = [0]
            else:
                ids = self._ids(piece, keep=len(piece) < 20)
            made.extend(ids, 0, [0] * len(ids), [0.0] * len(ids))
        for number, answer in enumerate(example.answers, 1):
            asked = self._ids(prompt.question_tail(answer.question), keep=True)
            said, judging = self._said(f" {answer.answer}{prompt.ANSWER_END}")
            rows = asked + said[:-1]
            quiet = len(asked) - 1
            weight = _LABEL_REST if answer.soft else _OTHER
            weights = [0.0] * quiet + [
                _LEVEL if token in self._levels else _JUDGEMENT if judges else weight
                for token, judges in zip(said, judging, strict=True)
            ]
            if answer.soft:
                place = quiet + len(self._ids(_STATE_START, keep=True))
                weights[place] = 1.0
                made.soft = len(made.ids) + place
            made.extend(rows, number, [0] * quiet + said, weights)
        return made

    def batch(self, examples: list[Example], *, label_only: bool = False) -> Batch:
        """Encode and pad examples; with `label_only`, nothing behind the label of the label answer."""
        sequences = [self.sequence(example) for example in examples]
        if label_only:
            for item in sequences:
                item.end_at_label()
        longest = max(len(item.ids) for item in sequences)

        def padded(name: str, fill: int) -> Tensor:
            return torch.tensor([getattr(s, name) + [fill] * (longest - len(s.ids)) for s in sequences])

        rows, targets, weights, shares = [], [], [], []
        nothing = np.zeros(len(LABELS), np.float32)
        for number, (item, example) in enumerate(zip(sequences, examples, strict=True)):
            for row, weight in enumerate(item.weights):
                if weight:
                    rows.append((number, row))
                    targets.append(item.targets[row])
                    weights.append(weight)
                    shares.append(example.shares if row == item.soft else nothing)
        return Batch(
            padded("ids", 0),
            padded("positions", 0),
            padded("branch", -1),
            torch.tensor(rows),
            torch.tensor(targets),
            torch.tensor(weights),
            torch.from_numpy(np.stack(shares)),
            _embeddings(sequences, examples),
        )


def _embeddings(sequences: list[Sequence], examples: list[Example]) -> dict[str, tuple[Tensor, ...]]:
    """Per marker: example numbers, rows, and the embeddings [m, 8, dim] that make the soft token."""
    found: dict[str, tuple[Tensor, ...]] = {}
    for name in prompt.MARKERS.values():
        numbers = [i for i, item in enumerate(sequences) if name in item.places]
        if not numbers:
            continue
        places = torch.tensor([sequences[i].places[name] for i in numbers])
        vision = [examples[i].vision for i in numbers] if name != "audio" else []
        audio = [examples[i].audio for i in numbers] if name != "vision" else []
        stacks = tuple(
            torch.from_numpy(np.stack([row for row in side if row is not None]))
            for side in (vision, audio)
            if side
        )
        found[name] = (torch.tensor(numbers), places, *stacks)
    return found
