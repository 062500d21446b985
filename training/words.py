"""A bag-of-words view of the training text: what each token says about each label.

Knows one linear model over mean token vectors, which gives the language model's token table its start and
explanations the words worth quoting. Does not know prompts, pairs or the language model.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from random import Random

import numpy as np
import torch
from numpy.typing import NDArray
from tokenizers import Tokenizer
from torch import nn
from torch.nn import functional

from training.text import CANDIDATES, INDEX, Utterance

_QUOTE_WORDS = 6


@dataclass(frozen=True)
class Bag:
    """`table` float32 [vocabulary, width] token vectors, `heads` float32 [9, width] one vector per
    candidate label.
    """

    table: NDArray[np.float32]
    heads: NDArray[np.float32]

    def save(self, path: Path) -> None:
        """Write both arrays to an npz file."""
        np.savez(path, table=self.table, heads=self.heads)

    @staticmethod
    def load(path: Path) -> Bag:
        """Read what `save` wrote."""
        with np.load(path) as arrays:
            return Bag(arrays["table"], arrays["heads"])


def train_bag(
    utterances: list[Utterance], tokenizer: Tokenizer, width: int, *, epochs: int = 6, seed: int = 5
) -> Bag:
    """Fit mean token vectors to label shares (cross entropy, Adam); `utterances` are training rows."""
    torch.manual_seed(seed)
    codes = tokenizer.encode_batch([" " + item.text for item in utterances], add_special_tokens=False)
    ids = [torch.tensor(code.ids) for code in codes]
    shares = torch.from_numpy(np.stack([item.shares for item in utterances]))
    frequency = shares.sum(0).clamp(min=50)
    balance = (frequency.max() / frequency) ** 0.5
    table = nn.EmbeddingBag(tokenizer.get_vocab_size(), width, mode="mean")
    nn.init.normal_(table.weight, std=0.1)
    heads = nn.Linear(width, len(CANDIDATES))
    optimiser = torch.optim.Adam([*table.parameters(), *heads.parameters()], lr=4e-3)
    batch = 512
    for epoch in range(epochs):
        order = torch.randperm(len(ids))
        total = 0.0
        for group in optimiser.param_groups:
            group["lr"] = 4e-3 * (1 - epoch / epochs)
        for start in range(0, len(ids), batch):
            chosen = order[start : start + batch].tolist()
            joined = [ids[i][torch.rand(len(ids[i])) < 0.9] if len(ids[i]) > 3 else ids[i] for i in chosen]
            offsets = torch.tensor([0, *np.cumsum([len(part) for part in joined])[:-1].tolist()])
            logits = heads(table(torch.cat(joined), offsets))
            target = shares[chosen]
            loss = -(target * balance * functional.log_softmax(logits, -1)).sum() / (target * balance).sum()
            loss = loss + 1e-4 * (table.weight[torch.cat(joined)] ** 2).sum(-1).mean()
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            total += float(loss.detach())
        print(f"words epoch {epoch + 1} loss {total * batch / len(ids):.3f}", file=sys.stderr)
    return Bag(table.weight.detach().numpy(), heads.weight.detach().numpy())


class Quoter:
    """Chooses the run of words of a subtitle that says most about a label."""

    def __init__(self, bag: Bag, tokenizer: Tokenizer) -> None:
        scores = bag.table @ bag.heads.T
        self._scores = scores - scores.mean(1, keepdims=True)
        self._tokenizer = tokenizer
        self._known: dict[str, NDArray[np.float32]] = {}

    def _score(self, word: str, label: int) -> float:
        if word not in self._known:
            ids = self._tokenizer.encode(" " + word, add_special_tokens=False).ids
            self._known[word] = self._scores[ids].sum(0)
        return float(self._known[word][label])

    def quote(self, text: str, label: str, rng: Random) -> str:
        """Return 1 to 6 consecutive words of `text`, verbatim; all of a short text."""
        words = text.split()
        if len(words) <= _QUOTE_WORDS:
            return text
        size = rng.choice((3, 4, 5, 6))
        starts = range(len(words) - size + 1)
        if label == "neutral" or rng.random() < 0.15:
            start = rng.choice((0, rng.choice(starts)))
        else:
            scores = [self._score(word, INDEX[label]) for word in words]
            start = max(starts, key=lambda first: sum(scores[first : first + size]))
        return " ".join(words[start : start + size]).rstrip(",;:-")
