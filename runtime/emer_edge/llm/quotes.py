"""Holds the words between quotation marks to the text they are quoted from, token by token.

Knows which tokens keep a quote true, in bytes. Does not know the model or packs, nor which words are worth
quoting: among the tokens that stay true, the logits decide.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from emer_edge.errors import GenerationError
from emer_edge.llm.quote_index import Completing, QuoteIndex
from emer_edge.llm.spans import quotable

_SPACE = b" "
_WORDS, _SPACED, _OPENED = 0, 1, 2


class _Inside(NamedTuple):
    """A quote that is open."""

    stage: int
    """`_OPENED`: nothing follows the mark yet; `_SPACED`: a space does; `_WORDS`: words do."""
    places: tuple[int, ...] = ()
    """How far the text is copied, for each place at which these words occur in it; with `_WORDS` only."""
    closing: tuple[int, ...] = ()
    """How many bytes of the closing mark stand there, for each way to read them."""


_State: TypeAlias = _Inside | bytes
"""An open quote, or outside of one: the longest beginning of either mark that stands there."""
_OUTSIDE = b""


class QuoteLock:
    """Keeps the quotes of one answer verbatim: whole words that stand side by side in `text`.

    A quote begins where the opening mark is complete and ends where the closing mark is. In between only
    tokens are left that copy on or close, and the closing mark can always be reached. A quote holds one word
    at least; where `text` has none, no quote is opened. Nor does a closing mark stand where none is open.

    Args:
        index: of the vocabulary.
        text: exactly as it stands in the prompt; may be empty.
    """

    def __init__(self, index: QuoteIndex, text: str) -> None:
        self._index = index
        self._spans = quotable(text, index.close)
        self._state: _State = _OUTSIDE
        self._begins: dict[int, list[int]] = {}
        for start in self._spans.starts:
            self._begins.setdefault(self._spans.data[start], []).append(start)
        self._banned: dict[bytes, NDArray[np.int64]] = {}
        self._allowed: dict[_Inside, NDArray[np.int64]] = {}
        self._known_endings: dict[int, NDArray[np.int64]] = {}

    @property
    def quoting(self) -> bool:
        """Whether a quote is open."""
        return isinstance(self._state, _Inside)

    def mask(self, logits: NDArray[np.float32]) -> NDArray[np.float32]:
        """The logits (n_vocab,) float32 with -infinity for every token that would break a quote.

        What is given is left as it is; where nothing is banned it is returned itself.
        """
        state = self._state
        if isinstance(state, _Inside):
            allowed = self._allowed.get(state)
            if allowed is None:
                allowed = self._allowed[state] = self._continuations(state)
            masked = np.full_like(logits, -np.inf)
            masked[allowed] = logits[allowed]
            return masked
        banned = self._banned.get(state)
        if banned is None:
            untrue = self._index.twins(self._untrue(self._index.opened_by(self._opening(state))))
            banned = self._banned[state] = np.union1d(untrue, self._index.strays(state))
        if banned.size:
            logits = logits.copy()
            logits[banned] = -np.inf
        return logits

    def accept(self, piece: bytes) -> None:
        """Take the bytes of the token that was picked.

        Raises:
            GenerationError: it breaks a quote, so `mask` was not asked.
        """
        state = self._run(self._state, piece)
        if state is None:
            raise GenerationError("The answer has left the words that it quotes.", f"By {piece!r}.")
        self._state = state

    def _untrue(self, opening: Iterable[Completing]) -> Iterator[int]:
        """Tokens that open a quote, and with what follows in them break it."""
        first = self._opened()
        for rest, token in opening:
            copied = rest.removeprefix(_SPACE) if self._index.spaced else rest
            # Most are seen through at once: what follows is neither copied nor the beginning of an end.
            possible = copied in self._spans.data or self._index.close[:1] in copied
            if not possible or self._run(first, rest) is None:
                yield token

    def _continuations(self, state: _Inside) -> NDArray[np.int64]:
        """Every token that may come next in an open quote, some of them twice."""
        copies: list[int] = []
        endings: list[NDArray[np.int64]] = []
        if state.stage == _WORDS:
            for place in state.places:
                self._copy(copies, b"", place)
            begun = (0, *state.closing) if not self._spans.ends.isdisjoint(state.places) else state.closing
            endings = [self._endings(done) for done in begun]
        else:
            spaced = state.stage == _OPENED and self._index.spaced
            if spaced and (token := self._index.token(_SPACE)) is not None:
                copies.append(token)
            for lead in (b"", _SPACE) if spaced else (b"",):
                for start in self._spans.starts:
                    self._copy(copies, lead, start)
        return np.concatenate([self._index.twins(copies), *endings])

    def _copy(self, found: list[int], lead: bytes, place: int) -> None:
        """Add the tokens of `lead` and then text from `place` on, which may run into the closing mark."""
        index, data, ends = self._index, self._spans.data, self._spans.ends
        longest = index.longest(lead + data[place : place + index.look]) - len(lead)
        for to in range(place + 1, min(place + longest, self._spans.last[place]) + 1):
            piece = lead + data[place:to]
            token = index.token(piece)
            if token is not None:
                found.append(token)
            if to in ends and index.is_tail(piece):
                parts = (index.token(piece + index.close[:length]) for length in range(1, len(index.close)))
                found += (part for part in parts if part is not None)
                found += self._harmless(index.closed_by(piece))

    def _endings(self, done: int) -> NDArray[np.int64]:
        """Tokens that go on with the closing mark, of which `done` bytes stand there, and may complete it."""
        known = self._known_endings.get(done)
        if known is None:
            safe, others = self._index.continued_by(done)
            known = np.concatenate([safe, self._index.twins(self._harmless(others))])
            self._known_endings[done] = known
        return known

    def _harmless(self, completing: Iterable[Completing]) -> Iterator[int]:
        # What follows the mark in the same token may open the next quote, or close one that is not open.
        return (token for rest, token in completing if self._run(_OUTSIDE, rest) is not None)

    def _opening(self, state: bytes) -> int:
        """How many bytes of the opening mark stand there."""
        mark = self._index.open
        return max(size for size in range(len(mark)) if state.endswith(mark[:size]))

    def _opened(self) -> _Inside | None:
        return _Inside(_OPENED) if self._spans.starts else None

    def _run(self, state: _State | None, data: bytes) -> _State | None:
        """The state after `data`; None where it breaks a quote, opens an empty one or closes none."""
        mark = self._index.open
        while data and state is not None:
            if isinstance(state, _Inside):
                state, data = self._copied(state, data)
                continue
            joined = state + data
            if self._index.is_stray(joined):
                return None
            at = joined.find(mark)
            if at < 0:
                begun = (part[:size] for part in (mark, self._index.close) for size in range(len(part)))
                return max((part for part in begun if joined.endswith(part)), key=len)
            state, data = self._opened(), joined[at + len(mark) :]
        return state

    def _copied(self, state: _Inside, data: bytes) -> tuple[_State | None, bytes]:
        """The state after `data`, or at the end of the quote; and what of the data follows it."""
        for at, byte in enumerate(data, start=1):
            after = self._step(state, byte)
            if not isinstance(after, _Inside):
                return after, data[at:]
            state = after
        return state, b""

    def _step(self, state: _Inside, byte: int) -> _State | None:
        spans, close = self._spans, self._index.close
        if state.stage != _WORDS:
            if byte == _SPACE[0] and state.stage == _OPENED and self._index.spaced:
                return _Inside(_SPACED)
            begun = tuple(start + 1 for start in self._begins.get(byte, ()))
            return _Inside(_WORDS, begun) if begun else None
        closing = [done + 1 for done in state.closing if close[done] == byte]
        if byte == close[0] and not spans.ends.isdisjoint(state.places):
            closing.append(1)
        if len(close) in closing:
            return _OUTSIDE
        places = tuple(
            place + 1 for place in state.places if spans.last[place] > place and spans.data[place] == byte
        )
        return _Inside(_WORDS, places, tuple(closing)) if places or closing else None
