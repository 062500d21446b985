"""Several answers at a time: one batch appends the next token to each of them.

Knows branches of one model and when each answer ends. Does not know prompts, clips or what the text is for. A
batch of several rows adds its floats in another order than one of a single row, so that where two tokens are
all but equally likely another one may be picked than for the same answer alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from emer_edge.errors import Cancelled, InputError
from emer_edge.llm.context import Branch
from emer_edge.llm.generate import TokenLock, Writing
from emer_edge.llm.library import Cancellable
from emer_edge.llm.sampling import GenerationOptions


@dataclass(slots=True)
class Written:
    """One answer of several."""

    writing: Writing
    pieces: list[str] = field(default_factory=list)

    @property
    def text(self) -> str:
        """All of it."""
        return "".join(self.pieces)


def write_together(
    branches: Sequence[Branch],
    options: GenerationOptions,
    locks: Sequence[TokenLock | None],
    cancel: Cancellable | None = None,
) -> list[Written]:
    """Answer several questions in lockstep; each branch is dropped where its answer ends.

    Args:
        branches: of one model, asked and not answered yet.
        options: the same for all; every answer has a sampler of its own with this seed.
        locks: one for each branch, or None.
        cancel: looked at before every batch, and polled within.

    Raises:
        InputError: branches of several models. Cancelled, GenerationError: all answers are lost.
    """
    if len({id(branch.llm) for branch in branches}) > 1:
        raise InputError("These questions are not in one language model.")
    written = [Written(Writing(branch, options, lock)) for branch, lock in zip(branches, locks, strict=True)]
    going = dict(enumerate(branches))
    logits = {place: branch.logits for place, branch in going.items()}
    while going:
        if cancel is not None and cancel.cancelled:
            raise Cancelled("The answers were stopped.")
        tokens: dict[int, int] = {}
        for place, branch in list(going.items()):
            one = written[place]
            text, token = one.writing.take(logits[place])
            one.pieces.append(text)
            if token is None or branch.n_rows >= branch.llm.n_ctx:
                one.pieces.append(one.writing.end())
                branch.drop()
                del going[place]
            else:
                tokens[branch.seq_id] = token
        if tokens:
            found = branches[0].llm.steps(tokens, cancel=cancel)
            logits = {place: found[branch.seq_id] for place, branch in going.items()}
    return written
