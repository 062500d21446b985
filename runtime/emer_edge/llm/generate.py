"""Token by token to readable text: stop strings, whole characters, reasons to end.

Knows bytes, text and when to stop. Does not know llama.cpp: tokens come from anything that steps.
"""

from __future__ import annotations

import codecs
import time
from collections.abc import Iterator, Sequence
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from emer_edge.errors import Cancelled, LimitError
from emer_edge.llm.library import Cancellable
from emer_edge.llm.sampling import GenerationOptions, Sampler


class TokenSource(Protocol):
    """What generation needs of a model; `Branch` is one."""

    @property
    def logits(self) -> NDArray[np.float32]:
        """(n_vocab,) float32 that the first token is picked from."""

    def step(self, token: int) -> NDArray[np.float32]:
        """Append a token and return the next logits, (n_vocab,) float32."""

    def piece(self, token: int) -> bytes:
        """The bytes of a token."""

    def is_end(self, token: int) -> bool:
        """True for an end-of-generation token."""


class TokenLock(Protocol):
    """What may forbid tokens as a text grows; `QuoteLock` is one."""

    def mask(self, logits: NDArray[np.float32]) -> NDArray[np.float32]:
        """The logits with -infinity for every token that may not come next; what is given stays as it is."""

    def accept(self, piece: bytes) -> None:
        """Take the bytes of the token that was picked."""


class TextStream:
    """Bytes in, text out: whole characters, without a stop string, what follows it, or white space round it.

    The text ends where the first stop string that completes begins. Only the longest ending that may still
    grow into a stop string is held back. Bytes that are no UTF-8 become U+FFFD; an unfinished character at
    the end is dropped.
    """

    def __init__(self, stop: Sequence[str] = ()) -> None:
        self._stop = tuple(stop)
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._held = ""
        self._space = ""
        self._begun = False
        self.stopped = False

    def feed(self, data: bytes) -> str:
        """Take the bytes of one token and return the text that is certain."""
        if self.stopped:
            return ""
        text = self._held + self._decoder.decode(data)
        found = [(at + len(stop), at) for stop in self._stop if (at := text.find(stop)) >= 0]
        if found:
            self.stopped, self._held = True, ""
            return self._trimmed(text[: min(found)[1]])
        keep = self._longest_start(text)
        self._held = text[len(text) - keep :]
        return self._trimmed(text[: len(text) - keep])

    def end(self) -> str:
        """The text that was held back, once no more bytes come."""
        text, self._held = self._held, ""
        return self._trimmed(text)

    def _trimmed(self, text: str) -> str:
        text = self._space + text
        kept = text.rstrip()
        # White space is certain only once something follows it.
        self._space = text[len(kept) :] if self._begun or kept else ""
        if not self._begun:
            kept = kept.lstrip()
            self._begun = bool(kept)
        return kept

    def _longest_start(self, text: str) -> int:
        longest = max((len(stop) for stop in self._stop), default=1) - 1
        for length in range(min(longest, len(text)), 0, -1):
            if any(len(stop) > length and text.endswith(stop[:length]) for stop in self._stop):
                return length
        return 0


class Writing:
    """One answer as it grows: logits in, pieces of text and the next token out.

    Args:
        source: tells the bytes of tokens and which of them end an answer; never stepped here.
        options: how.
        lock: forbids tokens, before one is picked.
    """

    def __init__(
        self, source: TokenSource, options: GenerationOptions, lock: TokenLock | None = None
    ) -> None:
        self._source = source
        self._most = options.max_new_tokens
        self._lock = lock
        self._stream, self._sampler = TextStream(options.stop), Sampler(options)
        self.finish: Literal["stop", "length"] | None = None
        """`stop`: an end token or a stop string; `length`: the token ceiling or the context is full."""
        self.n_tokens = 0
        """Tokens generated so far, an end token not counted."""

    def take(self, logits: NDArray[np.float32]) -> tuple[str, int | None]:
        """Pick a token: the text that is certain now, and the token to step with, None at the end.

        Raises:
            GenerationError: the logits are no numbers.
        """
        token = self._sampler.pick(logits if self._lock is None else self._lock.mask(logits))
        if self._source.is_end(token):
            self.finish = "stop"
            return "", None
        self.n_tokens += 1
        piece = self._source.piece(token)
        if self._lock is not None:
            self._lock.accept(piece)
        text = self._stream.feed(piece)
        if self._stream.stopped:
            self.finish = "stop"
        elif self.n_tokens >= self._most:
            self.finish = "length"
        return text, token if self.finish is None else None

    def end(self) -> str:
        """The rest of the text, once there is no next token; a context that is full ends it as well."""
        self.finish = self.finish or "length"
        return self._stream.end()


class Generation:
    """One answer: iterate over it, once, for pieces of text; afterwards it says how it ended.

    Args:
        source: a `Branch`, or anything that steps.
        options: how.
        cancel: looked at before every token.
        lock: forbids tokens, before one is picked.
    """

    def __init__(
        self,
        source: TokenSource,
        options: GenerationOptions,
        cancel: Cancellable | None = None,
        lock: TokenLock | None = None,
    ) -> None:
        self._source = source
        self._options = options
        self._cancel = cancel
        self._lock = lock
        self.finish: Literal["stop", "length"] | None = None
        """`stop`: an end token or a stop string; `length`: the token ceiling or the context is full."""
        self.n_tokens = 0
        """Tokens generated so far, an end token not counted."""
        self.first_token_at = 0.0
        """When the first token was picked, on `time.perf_counter`; 0 before."""

    def __iter__(self) -> Iterator[str]:
        """Pieces of text, none of them empty.

        Raises:
            Cancelled, GenerationError, InputError.
        """
        writing = Writing(self._source, self._options, self._lock)
        logits, self.finish = self._source.logits, None
        while True:
            if self._cancel is not None and self._cancel.cancelled:
                raise Cancelled("The answer was stopped.")
            text, token = writing.take(logits)
            self.first_token_at = self.first_token_at or time.perf_counter()
            self.n_tokens = writing.n_tokens
            if text:
                yield text
            if token is None:
                break
            try:
                logits = self._source.step(token)
            except LimitError:
                break
        rest, self.finish = writing.end(), writing.finish
        if rest:
            yield rest
