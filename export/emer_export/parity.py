"""Measures how far an exported language model strays from its torch original, through llama.cpp itself.

Knows how to send rows to llama.cpp and read logits, and how to time it. Does not know packs, prompts or
training.
"""

from __future__ import annotations

import ctypes
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emer_edge.errors import PackError

_DECODE_STEPS = 64


@dataclass(frozen=True)
class Parity:
    """Largest absolute logit error, smallest cosine, and share of rows with the same best token."""

    max_abs_error: float
    cosine: float
    same_best: float


_LOG: list[Any] = []


class Reference:
    """One GGUF file in llama.cpp with a plain context; a float32 cache without flash attention unless told
    otherwise.
    """

    def __init__(self, path: Path, *, n_ctx: int = 1024, threads: int = 2, kv_f32: bool = True) -> None:
        from llama_cpp import llama_cpp as api

        self._api: Any = api
        api.llama_backend_init()
        # Quiet: what goes wrong shows in the results below. llama.cpp keeps the callback for good, so do we.
        if not _LOG:
            _LOG.append(api.llama_log_callback(lambda *_: None))
        api.llama_log_set(_LOG[0], None)
        settings = api.llama_model_default_params()
        settings.n_gpu_layers = 0
        self._model = api.llama_model_load_from_file(str(path).encode(), settings)
        if not self._model:
            raise PackError(f"llama.cpp does not load {path.name}", "", "export it again")
        wish = api.llama_context_default_params()
        wish.n_ctx = wish.n_batch = wish.n_ubatch = n_ctx
        wish.n_threads = wish.n_threads_batch = threads
        if kv_f32:
            wish.type_k = wish.type_v = api.GGML_TYPE_F32
            wish.flash_attn_type = api.LLAMA_FLASH_ATTN_TYPE_DISABLED
        self._context = api.llama_init_from_model(self._model, wish)
        self._vocabulary = api.llama_model_get_vocab(self._model)
        self.n_vocab = int(api.llama_vocab_n_tokens(self._vocabulary))
        self.n_embd = int(api.llama_model_n_embd(self._model))
        self._n_ctx = n_ctx

    def __enter__(self) -> Reference:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._api.llama_free(self._context)
        self._api.llama_model_free(self._model)

    def tokenize(self, text: str) -> list[int]:
        """Return ids of `text`, special tokens read as plain text and none added."""
        data = text.encode()
        room = len(data) + 8
        ids = (self._api.llama_token * room)()
        count = self._api.llama_tokenize(self._vocabulary, data, len(data), ids, room, False, False)
        return list(ids[:count])

    def logits(self, rows: NDArray[np.float32], *, last_only: bool = False) -> NDArray[np.float32]:
        """Run rows float32 [n, n_embd] from an empty cache and return logits float32 [n or 1, n_vocab]."""
        n = len(rows)
        if rows.shape != (n, self.n_embd) or not 0 < n <= self._n_ctx:
            raise PackError(
                f"rows of shape {rows.shape} do not fit", f"width {self.n_embd}, room {self._n_ctx}", ""
            )
        api = self._api
        api.llama_memory_clear(api.llama_get_memory(self._context), True)
        batch = api.llama_batch_init(n, self.n_embd, 1)
        try:
            batch.n_tokens = n
            data = np.ascontiguousarray(rows, np.float32)
            ctypes.memmove(batch.embd, data.ctypes.data, data.nbytes)
            for i in range(n):
                batch.pos[i], batch.n_seq_id[i] = i, 1
                batch.logits[i] = i == n - 1 or not last_only
                batch.seq_id[i][0] = 0
            if api.llama_decode(self._context, batch) != 0:
                raise PackError("llama.cpp could not run the rows")
            found = [
                np.ctypeslib.as_array(api.llama_get_logits_ith(self._context, i), (self.n_vocab,)).copy()
                for i in range(n - 1 if last_only else 0, n)
            ]
        finally:
            api.llama_batch_free(batch)
        return np.stack(found)

    def generate(self, rows: NDArray[np.float32], end: int, limit: int) -> list[int]:
        """Continue rows float32 [n, n_embd] with the likeliest token until `end` or `limit` tokens; ids
        without `end`.
        """
        best = int(self.logits(rows, last_only=True)[-1].argmax())
        made: list[int] = []
        token = (self._api.llama_token * 1)()
        while best != end and len(made) < limit:
            made.append(best)
            token[0] = best
            if self._api.llama_decode(self._context, self._api.llama_batch_get_one(token, 1)) != 0:
                raise PackError("llama.cpp could not run a token", f"after {len(rows) + len(made)} rows", "")
            found = self._api.llama_get_logits_ith(self._context, -1)
            best = int(np.ctypeslib.as_array(found, (self.n_vocab,)).argmax())
        return made

    def speed(self, rows: NDArray[np.float32]) -> dict[str, float]:
        """Time the prompt `rows` (best of five) and single tokens after it, in tokens per second."""
        best = min(_timed(lambda: self.logits(rows, last_only=True)) for _ in range(5))
        api = self._api
        token = (api.llama_token * 1)(0)
        began = time.perf_counter()
        for _ in range(_DECODE_STEPS):
            api.llama_decode(self._context, api.llama_batch_get_one(token, 1))
            api.llama_get_logits_ith(self._context, -1)
        took = time.perf_counter() - began
        return {
            "prompt_tokens_per_second": len(rows) / best,
            "decode_tokens_per_second": _DECODE_STEPS / took,
        }


def _timed(work: Any) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def compare(reference: Sequence[NDArray[np.float32]], found: Sequence[NDArray[np.float32]]) -> Parity:
    """Compare logits [n, n_vocab] pair by pair: `reference` from torch, `found` from llama.cpp."""
    worst, cosine, same, count = 0.0, 1.0, 0, 0
    for left, right in zip(reference, found, strict=True):
        worst = max(worst, float(np.abs(left - right).max()))
        product = (left * right).sum(1) / (np.linalg.norm(left, axis=1) * np.linalg.norm(right, axis=1))
        cosine = min(cosine, float(product.min()))
        same += int((left.argmax(1) == right.argmax(1)).sum())
        count += len(left)
    return Parity(worst, cosine, same / max(count, 1))
