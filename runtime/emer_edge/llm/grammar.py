"""A GBNF grammar that lets a model say only what it describes.

Knows llama.cpp's grammar sampler through the bindings it is given. Does not know prompts, models or what an
answer means. The format: https://github.com/ggml-org/llama.cpp/blob/master/grammars/README.md
"""

from __future__ import annotations

import ctypes
import weakref
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emer_edge.errors import InputError
from emer_edge.llm.generate import TokenSource

_TOKEN = np.dtype([("id", np.int32), ("logit", np.float32), ("p", np.float32)])  # llama.h, llama_token_data


class Grammar:
    """One answer's way through a grammar; begin a new one for each answer.

    Args:
        api: llama.cpp's bindings.
        vocab: of a loaded model, which the caller keeps alive.
        size: tokens of the vocabulary.
        gbnf: the grammar; its start is the rule `root`.

    Raises:
        InputError: llama.cpp can't read the grammar.
    """

    def __init__(self, api: Any, vocab: Any, size: int, gbnf: str) -> None:
        self._api = api
        self._sampler = api.llama_sampler_init_grammar(vocab, gbnf.encode(), b"root")
        if not self._sampler:
            raise InputError("llama.cpp can't read the grammar of an answer.", gbnf[:80])
        weakref.finalize(self, api.llama_sampler_free, self._sampler)
        self._tokens = np.zeros(size, _TOKEN)
        self._list = api.llama_token_data_array()
        self._list.data = ctypes.cast(self._tokens.ctypes.data, type(self._list.data))

    def mask(self, logits: NDArray[np.float32]) -> NDArray[np.float32]:
        """The logits, (n_vocab,) float32, with -infinity for every token that may not come next."""
        self._tokens["id"] = np.arange(len(self._tokens))
        self._tokens["logit"] = logits
        self._list.size, self._list.selected, self._list.sorted = len(self._tokens), -1, False
        self._api.llama_sampler_apply(self._sampler, ctypes.byref(self._list))
        masked = np.full(len(logits), -np.inf, np.float32)
        masked[self._tokens["id"]] = self._tokens["logit"]
        return masked

    def accept(self, token: int) -> None:
        """Take a token that `mask` allows; llama.cpp ends the process over any other."""
        self._api.llama_sampler_accept(self._sampler, token)


class Constrained:
    """A source of tokens that offers only those a grammar allows; otherwise the source itself.

    Args:
        source: a `Branch`, or anything that steps.
        grammar: at its beginning.
    """

    def __init__(self, source: TokenSource, grammar: Grammar) -> None:
        self._source = source
        self._grammar = grammar
        self._next = grammar.mask(source.logits)

    @property
    def logits(self) -> NDArray[np.float32]:
        """(n_vocab,) float32 that the first token is picked from."""
        return self._next

    def step(self, token: int) -> NDArray[np.float32]:
        """Append a token that is allowed and return the next logits, (n_vocab,) float32.

        Raises:
            InputError: the grammar does not allow it. LimitError: the context is full.
        """
        if not np.isfinite(self._next[token]):
            raise InputError(f"The grammar does not allow the token {token} here.")
        self._grammar.accept(token)
        self._next = self._grammar.mask(self._source.step(token))
        return self._next

    def piece(self, token: int) -> bytes:
        """The bytes of a token."""
        return self._source.piece(token)

    def is_end(self, token: int) -> bool:
        """True for an end-of-generation token."""
        return self._source.is_end(token)
