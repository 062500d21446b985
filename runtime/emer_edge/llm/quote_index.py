"""A vocabulary by its bytes: which tokens spell a text, and in which of them a quotation mark ends.

Knows pieces and a pair of marks. Does not know what is quoted, or what stands in the answer so far.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from emer_edge.errors import InputError, PackError

Completing: TypeAlias = tuple[bytes, int]
"""A token that completes a mark: the bytes that follow the mark in it, and its id."""
_DEPTHS = (6, 16)  # most tokens end before the first, nearly all before the second
_NEVER_IN_UTF8 = frozenset((0xC0, 0xC1, *range(0xF5, 0x100)))


class QuoteIndex:
    """A vocabulary by its bytes, for one pair of marks; made once per model, it serves every answer.

    Args:
        pieces: the bytes of every token, by id; a token without bytes never stands in a quote.
        is_end: whether a token ends the text.
        opening: the opening mark; begins with no white space.
        closing: the closing mark; ends with no white space. Neither holds letters or digits.

    Raises:
        InputError: marks that can't be told from words.
        PackError: a byte of UTF-8 has no token of its own, so that some texts could not be copied.
    """

    look = _DEPTHS[-1]
    """How many bytes `longest` looks at."""

    def __init__(
        self, pieces: Sequence[bytes], is_end: Callable[[int], bool], opening: str, closing: str
    ) -> None:
        for mark, edge in ((opening, opening[:1]), (closing, closing[-1:])):
            if not edge or edge.isspace() or any(x.isalnum() or x == "\ufffd" for x in mark):
                raise InputError(f"{mark!r} can't be a quotation mark.")
        self.open, self.close = opening.encode(), closing.encode()
        self.spaced = not opening[-1].isspace()
        """Whether a space may stand between the opening mark and the first word."""
        self._one_character = len(closing) == 1
        self._is_end = is_end
        # The lowest id of each piece; the others in `_twins`.
        self._ids = dict(zip(reversed(pieces), range(len(pieces) - 1, -1, -1), strict=True))
        self._ids.pop(b"", None)
        self._twins: dict[int, list[int]] = {}
        if len(self._ids) < len(pieces) - pieces.count(b""):
            for token, piece in enumerate(pieces):
                if piece and (first := self._ids[piece]) != token:
                    self._twins.setdefault(first, []).append(token)
        self.token = self._ids.get
        """The lowest id of a token with exactly these bytes, or None."""
        self._ending: dict[int, bool] = {}
        self._check_bytes()
        self._longest = max(map(len, self._ids))
        self._deep = tuple({piece[:size] for piece in self._ids if len(piece) > size} for size in _DEPTHS)
        self._opened_by: dict[int, list[Completing]] = {}
        self._closing: dict[bytes, list[Completing]] = {}
        self._continuing: dict[int, list[Completing]] = {at: [] for at in range(len(self.close))}
        self._continued_by: dict[int, tuple[NDArray[np.int64], list[Completing]]] = {}
        self._strays: dict[bytes, NDArray[np.int64]] = {}
        self._tails: set[bytes] = set()
        self._read_marks()

    def _check_bytes(self) -> None:
        missing = [
            byte
            for byte in range(256)
            if byte not in _NEVER_IN_UTF8
            and ((token := self._ids.get(bytes([byte]))) is None or not self.twins([token]).size)
        ]
        if missing:
            raise PackError(
                "The vocabulary of this pack can't copy every text, so its quotes can't be kept true.",
                f"{len(missing)} bytes have no token of their own, for example 0x{missing[0]:02X}.",
                "Use a vocabulary with byte tokens, or leave `generation.quotes` out of the manifest.",
            )

    def _read_marks(self) -> None:
        """Find the tokens in which a mark ends, or in which the closing one begins."""
        # One quick look at each of a hundred thousand tokens, a closer one at few.
        behind = self.open[-1]
        self._opening = [piece for piece in self._ids if behind in piece]
        close, size = self.close, len(self.close)
        behind = close[-1]
        self._closers = [piece for piece in self._ids if behind in piece]
        for piece in self._closers:
            token, at = self._ids[piece], piece.find(close)
            if at >= 0:
                self._closing.setdefault(piece[:at], []).append((piece[at + size :], token))
                self._tails.add(piece[:at])
            for done in range(size):
                if piece.startswith(close[done:]):
                    self._continuing[done].append((piece[size - done :], token))
        parts = tuple(close[:length] for length in range(1, size))
        for piece in [piece for piece in self._ids if piece.endswith(parts)]:
            self._tails.update(piece[: -len(part)] for part in parts if piece.endswith(part))

    def twins(self, tokens: Iterable[int]) -> NDArray[np.int64]:
        """The tokens and those with the same bytes, each once; those that end the text are left out."""
        ending, same = self._ending, set(tokens)
        if self._twins:
            same.update(twin for token in list(same) for twin in self._twins.get(token, ()))
        for token in same:
            if token not in ending:
                ending[token] = self._is_end(token)
        return np.array([token for token in same if not ending[token]], np.int64)

    def longest(self, start: bytes) -> int:
        """Bytes that a token which begins as `start` does can have at most; `look` bytes of it are needed."""
        for size, deep in zip(_DEPTHS, self._deep, strict=True):
            if start[:size] not in deep:
                return size
        return self._longest

    def opened_by(self, begun: int) -> list[Completing]:
        """Tokens that complete the opening mark of which `begun` bytes stand there."""
        known = self._opened_by.get(begun)
        if known is None:
            known = self._opened_by[begun] = []
            for piece in self._opening:
                joined = self.open[:begun] + piece
                at = joined.find(self.open)
                if at >= 0:
                    known.append((joined[at + len(self.open) :], self._ids[piece]))
        return known

    def closed_by(self, tail: bytes) -> list[Completing]:
        """Tokens that hold `tail` and then the whole closing mark."""
        return self._closing.get(tail, [])

    def continued_by(self, done: int) -> tuple[NDArray[np.int64], list[Completing]]:
        """Tokens that go on with the closing mark, of which `done` bytes stand there.

        Returns:
            The ids of those that complete no mark but this, and the tokens that complete this and another.
        """
        known = self._continued_by.get(done)
        if known is None:
            parts = (self.token(self.close[done:more]) for more in range(done + 1, len(self.close)))
            safe = [part for part in parts if part is not None]
            others: list[Completing] = []
            for rest, token in self._continuing[done]:
                if self.open in rest or self.close in rest:
                    others.append((rest, token))
                else:
                    safe.append(token)
            known = self._continued_by[done] = self.twins(safe), others
        return known

    def strays(self, before: bytes) -> NDArray[np.int64]:
        """Tokens that complete a closing mark outside of a quote, where `before` stands there of a mark."""
        known = self._strays.get(before)
        if known is None:
            found = (self._ids[piece] for piece in self._closers if self.is_stray(before + piece))
            known = self._strays[before] = self.twins(found)
        return known

    def is_stray(self, outside: bytes) -> bool:
        """Whether text outside of a quote holds a closing mark before it opens a quote.

        Marks of one character may stand there, for an apostrophe as well.
        """
        closed, opened = outside.find(self.close), outside.find(self.open)
        if closed < 0 or self._one_character:
            return False
        return not 0 <= opened <= closed + len(self.close) - len(self.open)

    def is_tail(self, tail: bytes) -> bool:
        """Whether some token holds `tail` and then the closing mark or a part of it."""
        return tail in self._tails
