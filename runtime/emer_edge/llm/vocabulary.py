"""Text to token ids and back. Knows llama.cpp's vocabulary calls; does not know prompts or turns."""

from __future__ import annotations

import ctypes
from itertools import repeat
from typing import Any

from emer_edge.errors import InputError, LimitError

_PIECE_ROOM = 48  # bytes; the few tokens that are longer are asked for one by one
_PIECES_AT_ONCE = 4096
# llama_token_to_piece, which only copies some bytes: to let the interpreter go and take it back again would
# cost more than the call, and there is one for each of up to some hundred thousand tokens.
_TO_PIECE = ctypes.PYFUNCTYPE(
    ctypes.c_int32,
    ctypes.c_void_p,
    ctypes.c_int32,
    ctypes.c_void_p,
    ctypes.c_int32,
    ctypes.c_int32,
    ctypes.c_bool,
)
MAX_TEXT_BYTES = 1024 * 1024
"""Longest text that `tokenize` takes; llama.cpp needs about 0.3 s for it."""


class Vocabulary:
    """The vocabulary of one loaded model, which the caller keeps alive.

    Args:
        api: llama.cpp's bindings.
        model: a loaded model.
    """

    def __init__(self, api: Any, model: Any) -> None:
        self._api = api
        self._vocab = api.llama_model_get_vocab(model)
        self.size = int(api.llama_vocab_n_tokens(self._vocab))
        bos = int(api.llama_vocab_bos(self._vocab))
        self.bos: int | None = bos if bos >= 0 else None
        self.adds_bos = bool(api.llama_vocab_get_add_bos(self._vocab))
        self._pieces: dict[int, bytes] = {}
        self._ends: dict[int, bool] = {}

    @property
    def handle(self) -> Any:
        """llama.cpp's own, for what else works on vocabularies."""
        return self._vocab

    def tokenize(self, text: str, *, control: bool = False) -> list[int]:
        """Token ids of `text`, without BOS; see `Llm.tokenize`."""
        data = text.encode("utf-8", "replace")
        if len(data) > MAX_TEXT_BYTES:
            raise LimitError(
                f"A text of {len(data)} bytes is too long to tokenise.",
                f"The ceiling is {MAX_TEXT_BYTES} bytes.",
            )
        room = len(data) + 8
        while data:
            ids = (ctypes.c_int32 * room)()
            count = self._api.llama_tokenize(self._vocab, data, len(data), ids, room, False, control)
            if count >= 0:
                return ids[:count]
            room = -count
        return []

    def piece(self, token: int) -> bytes:
        """The bytes of one token; see `Llm.piece`."""
        known = self._pieces.get(token)
        if known is not None:
            return known
        self._check(token)
        room = 64
        while True:
            buffer = ctypes.create_string_buffer(room)
            count = self._api.llama_token_to_piece(self._vocab, token, buffer, room, 0, False)
            if count >= 0:
                self._pieces[token] = buffer.raw[:count]
                return self._pieces[token]
            room = -count

    def pieces(self) -> list[bytes]:
        """The bytes of every token, by id; see `Llm.pieces`."""
        call = _TO_PIECE(ctypes.cast(self._api.llama_token_to_piece, ctypes.c_void_p).value or 0)
        vocab, room = ctypes.cast(self._vocab, ctypes.c_void_p), _PIECE_ROOM
        buffer = ctypes.create_string_buffer(_PIECES_AT_ONCE * room)
        first = ctypes.addressof(buffer)
        places, rest = range(first, first + len(buffer), room), (repeat(room), repeat(0), repeat(False))
        pieces: list[bytes] = []
        for start in range(0, self.size, _PIECES_AT_ONCE):
            tokens = range(start, min(start + _PIECES_AT_ONCE, self.size))
            sizes = list(map(call, repeat(vocab), tokens, places, *rest))
            data = buffer.raw
            pieces += [
                data[at : at + size] if size >= 0 else self.piece(token)
                for token, at, size in zip(tokens, range(0, len(data), room), sizes, strict=False)
            ]
        return pieces

    def is_end(self, token: int) -> bool:
        """True for every end-of-generation token."""
        known = self._ends.get(token)
        if known is None:
            self._check(token)
            known = self._ends[token] = bool(self._api.llama_vocab_is_eog(self._vocab, token))
        return known

    def _check(self, token: int) -> None:
        if not 0 <= token < self.size:
            raise InputError(f"Token {token} is not in 0..{self.size - 1}.")
