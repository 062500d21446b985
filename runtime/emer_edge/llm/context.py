"""One clip's prompt in the KV cache: a prefix that is run once, and branches that continue it.

Knows which rows are shared and which sequences hold them. Does not know templates, sampling or labels.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from emer_edge.errors import InputError, LimitError
from emer_edge.llm.batch import Rows
from emer_edge.llm.gguf import Llm
from emer_edge.llm.library import Cancellable


class Branch:
    """One continuation of a clip's prefix: a question, and then its answer token by token, once."""

    def __init__(self, llm: Llm, seq_id: int, logits: NDArray[np.float32]) -> None:
        self.llm = llm
        self.seq_id = seq_id
        self._logits = logits
        self._asked_rows = llm.end(seq_id)
        self._epoch = llm.epoch

    @property
    def logits(self) -> NDArray[np.float32]:
        """(n_vocab,) float32 at the end of the question.

        Raises:
            InputError: the branch was answered already, or its rows are gone.
        """
        self.check()
        if self.n_rows != self._asked_rows:
            raise InputError("This question has its answer already.", todo="Ask it again.")
        return self._logits

    @property
    def n_rows(self) -> int:
        """Rows of prefix, question and answer so far, which is the position of the next one."""
        return self.llm.end(self.seq_id)

    def step(self, token: int) -> NDArray[np.float32]:
        """Append a token; its logits, (n_vocab,) float32, are overwritten by the next step of any branch.

        Raises:
            InputError: the branch was dropped, or another clip has taken the context.
            LimitError: the context is full.
        """
        self.check()
        return self.llm.step(token, self.seq_id)

    def piece(self, token: int) -> bytes:
        """The bytes of one token."""
        return self.llm.piece(token)

    def is_end(self, token: int) -> bool:
        """True for an end-of-generation token."""
        return self.llm.is_end(token)

    def check(self) -> None:
        """Raise InputError where the rows of this branch are gone."""
        if self._epoch != self.llm.epoch or not self.n_rows:
            raise InputError(
                "This question is no longer in the language model.",
                "It was dropped, it failed, or another clip has taken its place.",
                "Ask it again.",
            )

    def drop(self) -> None:
        """Give the rows that only this branch holds back to the context."""
        if self._epoch == self.llm.epoch:
            self.llm.drop(self.seq_id)


class ClipContext:
    """The prefix of one clip's prompt, and the questions asked on it.

    Opening one takes the whole context of `llm`, unless it is opened `beside` others: branches of an earlier
    clip can't be used any more. Prefix and first tails are run in one `llama_decode`, in which the rows of
    the prefix belong to every branch.

    Args:
        llm: the model.
        prefix: (n, n_embd) float32, everything up to the question; may be empty where there are tails.
        tails: (k, n_embd) float32 each, k >= 1: the questions that are known already; see `branches`.
        beside: leave other clips where they are; `close` gives the place back.
        cancel: polled while the batch runs.

    Raises:
        LimitError: the rows don't fit the context; nothing was run.
        Cancelled, GenerationError, InputError: as `Llm.decode`.
    """

    def __init__(
        self,
        llm: Llm,
        prefix: Rows,
        tails: Sequence[Rows] = (),
        *,
        beside: bool = False,
        cancel: Cancellable | None = None,
    ) -> None:
        if not len(prefix) + len(tails) or any(not len(tail) for tail in tails):
            raise InputError("An empty prompt can't be run.")
        if not beside:
            llm.reset()
        free = llm.free_sequences()
        if len(tails) >= len(free):
            raise LimitError(f"{len(tails)} questions at a time are more than {max(0, len(free) - 1)}.")
        self.llm = llm
        self.n_prefix = len(prefix)
        self._epoch = llm.epoch
        self._root, *asked = shared = tuple(free[: len(tails) + 1])
        positions = [np.arange(self.n_prefix, dtype=np.int32)]
        sequences: list[tuple[int, ...]] = [shared] * self.n_prefix
        last = self.n_prefix - 1
        ends = [] if tails else [last]
        for number, tail in zip(asked, tails, strict=True):
            positions.append(np.arange(self.n_prefix, self.n_prefix + len(tail), dtype=np.int32))
            sequences += [(number,)] * len(tail)
            last += len(tail)
            ends.append(last)
        wanted = np.zeros(last + 1, np.bool_)
        wanted[ends] = True
        rows = np.concatenate([prefix, *tails])
        llm.decode(rows, np.concatenate(positions), sequences, wanted, cancel=cancel)
        self.branches: tuple[Branch, ...] = tuple(
            Branch(llm, number, llm.logits(end)) for number, end in zip(asked, ends, strict=False)
        )

    def close(self) -> None:
        """Give the rows that only the prefix holds back to the context; branches stay."""
        if self.alive:
            self.llm.drop(self._root)

    @property
    def alive(self) -> bool:
        """Whether the prefix is still in the language model: no failure and no other clip has cleared it."""
        return self._epoch == self.llm.epoch

    def ask(self, tail: Rows, *, cancel: Cancellable | None = None) -> Branch:
        """Run one more question on the prefix that is already there; only the rows of `tail` are computed.

        Raises:
            InputError: another clip has taken the context.
            LimitError: the rows don't fit; drop branches that are done.
        """
        llm = self.llm
        if not self.alive:
            raise InputError(
                "This clip is no longer in the language model.",
                "It failed, or another clip has taken its place.",
                "Open its context again.",
            )
        if not len(tail):
            raise InputError("An empty question can't be asked.")
        free = [number for number in llm.free_sequences() if number != self._root]
        if not free:
            raise LimitError(f"All {llm.n_seq} sequences are in use.", todo="Drop branches that are done.")
        number = free[0]
        if self.n_prefix:
            llm.fork(self._root, number)
        try:
            positions = np.arange(self.n_prefix, self.n_prefix + len(tail), dtype=np.int32)
            wanted = np.zeros(len(tail), np.bool_)
            wanted[-1] = True
            llm.decode(tail, positions, [(number,)] * len(tail), wanted, cancel=cancel)
        except BaseException:
            llm.drop(number)
            raise
        return Branch(llm, number, llm.logits(len(tail) - 1))
