"""A GGUF language model: token ids or rows in, logits out. The only import of llama_cpp.

Knows contexts, the KV cache, sequences and aborting. Does not know prompts, labels, sampling or clips.
"""

from __future__ import annotations

import ctypes
import importlib
import importlib.util
import sys
import threading
import types
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emer_edge import _core
from emer_edge.errors import Cancelled, DeviceError, GenerationError, InputError, LimitError, PackError
from emer_edge.llm.batch import BatchArrays, Ids, Positions, Rows, Sizes
from emer_edge.llm.chat import chat_tokens
from emer_edge.llm.grammar import Grammar
from emer_edge.llm.library import Cancellable, Library, Wish, copy_floats, pointer
from emer_edge.llm.turn import Turn
from emer_edge.llm.vocabulary import Vocabulary

_NO_ROOM, _ABORTED = 1, 2  # llama.h, what llama_decode returns
_LOAD = threading.Lock()
_LOADED: list[Library] = []


class Llm:
    """One GGUF model with one context: feed it ids or rows, read logits, fork and drop sequences.

    One thread at a time; a second one that enters gets InputError, not a crash. A prompt of up to `n_ctx`
    rows is one batch. All sequences share one KV buffer, so that a forked prefix costs nothing (`kv_unified`
    in llama.h).

    Args:
        path: a GGUF file of a decoder model; its weights are memory-mapped.
        n_ctx: tokens that the KV cache holds, over all sequences; rounded up to what llama.cpp allocates. 0:
            what the model was trained for, at most 4096.
        threads: CPU threads at most; a model takes one for every 16 MiB of weights, see `threads` afterwards.
        device: `cpu`, or `cuda` for all layers on the GPU.
        n_seq: sequences that may live at the same time.
        at_once: clips that are worked on side by side; each of them has `n_ctx` tokens.
        kv_f32: keep keys and values in float32 without flash attention, for parity tests; the default is
            float16 with flash attention, which is quicker and errs by a few 1e-3 in the logits.

    Raises:
        DeviceError: the device can't be had, or llama-cpp-python is missing.
        PackError: the file is not a model that can be used; the end of llama.cpp's log is the cause.
        InputError: an argument makes no sense.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        n_ctx: int,
        threads: int,
        device: str = "cpu",
        n_seq: int = 64,
        at_once: int = 1,
        kv_f32: bool = False,
    ) -> None:
        wish = Wish(n_ctx, threads, device, n_seq, kv_f32, at_once)
        wish.check()
        self.path = Path(path)
        self.device = device
        self._library = library = load_library()
        self._turn = Turn()
        library.lines.clear()
        model = library.load_model(self.path, device)
        context = None
        try:
            context = library.open_context(model, wish, self.path)
            self._describe(model, context, wish)
            self._table = self._open_table()
        except BaseException:
            library.free(model, context)
            raise
        # Frees once, whichever comes first: close(), the collector or the end of the interpreter.
        self._free: Callable[[], object] = weakref.finalize(self, library.free, model, context)

    def _describe(self, model: Any, context: Any, wish: Wish) -> None:
        self._api = api = self._library.api
        self._context = context
        self._memory = api.llama_get_memory(context)
        self._vocabulary = Vocabulary(api, model)
        self._chat = partial(chat_tokens, api, model, self._vocabulary)
        self.n_vocab = self._vocabulary.size
        self.bos = self._vocabulary.bos
        self.n_embd = int(api.llama_model_n_embd(model))
        cells = int(api.llama_n_ctx(context))
        self.n_ctx = cells // wish.at_once
        self.n_seq = n_seq = wish.n_seq
        self.at_once = wish.at_once
        self.threads = int(api.llama_n_threads(context))
        self.epoch = 0
        self._arrays = BatchArrays(Sizes(cells, self.n_ctx, n_seq, self.n_embd, self.n_vocab, n_seq))
        self._batch = self._library.batch_structure(self._arrays)
        self._token = np.zeros(1, np.int32)
        self._token_batch = self._library.batch_structure(self._arrays)
        self._token_batch.n_tokens = 1
        self._token_batch.token = pointer(self._token, ctypes.c_int32)
        self._logits = np.empty(self.n_vocab, np.float32)
        self._wanted = np.zeros(0, np.int8)

    def _open_table(self) -> _core.EmbeddingTable:
        try:
            table = _core.EmbeddingTable(str(self.path))
        except _core.CoreError as error:
            raise PackError(
                f"The token table of {self.path.name} can't be read.", ": ".join(error.args[1:])
            ) from error
        if (table.n_rows, table.n_embd) != (self.n_vocab, self.n_embd):
            raise PackError(
                f"The token table of {self.path.name} has shape {table.n_rows} x {table.n_embd}.",
                f"The model has {self.n_vocab} tokens of width {self.n_embd}.",
            )
        return table

    def tokenize(self, text: str) -> list[int]:
        """Token ids of `text`; no BOS is added and text that looks like a special token stays text.

        Lone surrogates become `?`.

        Raises:
            LimitError: the text has more than 1 MiB.
        """
        with self._turn:
            return self._vocabulary.tokenize(text)

    def tokenize_chat(self, text: str) -> list[int]:
        """Token ids of one question to a chat model, up to the beginning of its answer.

        The turn is worded by the file's own template; a model without one gets the text as it is. Control
        tokens come from the template alone, never from `text`.

        Raises:
            InputError: llama.cpp does not know the template.
        """
        with self._turn:
            return self._chat(text)

    def grammar(self, gbnf: str) -> Grammar:
        """A grammar for one answer of this model, which must stay open as long as it is used.

        Raises:
            InputError: llama.cpp can't read it.
        """
        with self._turn:
            return Grammar(self._api, self._vocabulary.handle, self.n_vocab, gbnf)

    def piece(self, token: int) -> bytes:
        """The bytes of one token, possibly part of a UTF-8 character; empty for control tokens."""
        with self._turn:
            return self._vocabulary.piece(token)

    def pieces(self) -> list[bytes]:
        """The bytes of every token, by id; one call for all of them is several times quicker than `piece`."""
        with self._turn:
            return self._vocabulary.pieces()

    def is_end(self, token: int) -> bool:
        """True for every end-of-generation token of the vocabulary."""
        with self._turn:
            return self._vocabulary.is_end(token)

    def lay(self, segments: Sequence[Ids | Rows]) -> Rows:
        """Lay token ids (k,) int32 and soft rows (k, n_embd) float32 into one (n, n_embd) sequence."""
        try:
            rows: Rows = self._table.lay(list(segments))
        except _core.CoreError as error:
            raise InputError("The prompt can't be laid out.", ": ".join(error.args[1:])) from error
        return rows

    def decode(
        self,
        inputs: Ids | Rows,
        positions: Positions,
        seq_ids: Sequence[tuple[int, ...]],
        want_logits: Sequence[bool] | NDArray[np.bool_],
        *,
        cancel: Cancellable | None = None,
    ) -> None:
        """Run one batch; row i belongs to every sequence of `seq_ids[i]` and continues each of them.

        Args:
            inputs: ids (n,) int32, or rows (n, n_embd) float32.
            positions: (n,) position of each row in its sequences.
            seq_ids: sequences of each row, 0..n_seq-1.
            want_logits: for which rows `logits` can be read afterwards; at most n_seq of them.
            cancel: polled between graph nodes on the CPU.

        Raises:
            Cancelled: all sequences are lost (`epoch` counts on); the context can be used again.
            InputError, LimitError: nothing was run.
            GenerationError: llama.cpp failed; all sequences are lost.
        """
        with self._turn:
            ends = self._arrays.fill(inputs, positions, seq_ids, want_logits)
            batch = self._batch
            batch.n_tokens = len(inputs)
            ids = inputs.dtype == np.int32
            batch.token = pointer(inputs, ctypes.c_int32) if ids else None
            batch.embd = None if ids else pointer(inputs, ctypes.c_float)
            with self._aborting(cancel):
                status = self._api.llama_decode(self._context, batch)
            self._settle(status)
            self._arrays.commit(ends)
            self._wanted = self._arrays.wanted[: len(inputs)].copy()

    def step(self, token: int, seq_id: int) -> NDArray[np.float32]:
        """Append one token to a sequence; its logits, (n_vocab,) float32, are overwritten by the next call.

        Raises:
            LimitError: the context is full.
            GenerationError: llama.cpp failed, or the logits hold NaN.
        """
        with self._turn:
            arrays, ends = self._arrays, self._arrays.ends
            self._token[0] = token
            ends = arrays.fill(self._token, (ends.get(seq_id, 0),), ((seq_id,),), (True,))
            self._settle(self._api.llama_decode(self._context, self._token_batch))
            arrays.commit(ends)
            self._wanted = arrays.wanted[:1]
            return self._read_logits(0, self._logits)

    def steps(
        self, tokens: Mapping[int, int], *, cancel: Cancellable | None = None
    ) -> dict[int, NDArray[np.float32]]:
        """Append one token to each of several sequences, in one batch.

        Args:
            tokens: sequence -> token.
            cancel: as `decode`.

        Returns:
            Sequence -> its logits, (n_vocab,) float32.

        Raises:
            Cancelled, InputError, LimitError, GenerationError: as `decode`.
        """
        ends = [self.end(sequence) for sequence in tokens]
        ids = np.fromiter(tokens.values(), np.int32, len(tokens))
        self.decode(ids, ends, [(one,) for one in tokens], [True] * len(ids), cancel=cancel)
        return {sequence: self.logits(row) for row, sequence in enumerate(tokens)}

    def logits(self, row: int) -> NDArray[np.float32]:
        """A copy of the logits of one row of the last batch, (n_vocab,) float32.

        Raises:
            InputError: that row did not ask for logits.
            GenerationError: the logits hold NaN.
        """
        with self._turn:
            if not (0 <= row < len(self._wanted) and self._wanted[row]):
                raise InputError(f"Row {row} of the last batch did not ask for logits.")
            return self._read_logits(row, np.empty(self.n_vocab, np.float32))

    def _read_logits(self, row: int, out: NDArray[np.float32]) -> NDArray[np.float32]:
        source = self._api.llama_get_logits_ith(self._context, row)
        if not source:
            raise self._failed("llama.cpp gave no logits.")
        copy_floats(source, out)
        # The sum is NaN if any logit is; cheaper than a mask over the vocabulary.
        if np.isnan(out.sum()):
            self._clear(data=True)
            raise self._failed("The language model gave NaN.")
        return out

    def _settle(self, status: int) -> None:
        if status == 0:
            return
        if status == _NO_ROOM:
            raise LimitError(
                f"The context of {self.n_ctx} tokens is full.",
                todo="Ask for fewer tokens or load with a larger context.",
            )
        self._clear(data=True)
        if status == _ABORTED:
            raise Cancelled("The language model was stopped.")
        raise self._failed(f"llama.cpp could not run a batch (status {status}).")

    def _failed(self, what: str) -> GenerationError:
        return GenerationError(what, self._library.tail(), "Check the pack with `emer-edge packs verify`.")

    @contextmanager
    def _aborting(self, cancel: Cancellable | None) -> Iterator[None]:
        if cancel is None:
            yield
            return
        if cancel.cancelled:
            raise Cancelled("The language model was stopped.")
        keep = self._library.set_abort(self._context, cancel)
        try:
            yield
        finally:
            self._library.set_abort(self._context, None)
            del keep

    def end(self, seq_id: int) -> int:
        """How many rows a sequence holds, which is the position of its next row."""
        return self._arrays.ends.get(seq_id, 0)

    def free_sequences(self) -> list[int]:
        """Ids of the sequences that hold nothing, in order."""
        return [number for number in range(self.n_seq) if number not in self._arrays.ends]

    def fork(self, source: int, target: int) -> None:
        """Let the empty sequence `target` begin with all of `source`; copies no keys or values."""
        with self._turn:
            ends = self._arrays.ends
            if source not in ends or target in ends or not 0 <= target < self.n_seq:
                raise InputError(
                    f"Sequence {source} can't be forked to {target}.",
                    "The target must be free, the source not.",
                )
            self._api.llama_memory_seq_cp(self._memory, source, target, -1, -1)
            ends[target] = ends[source]

    def drop(self, seq_id: int) -> None:
        """Forget a sequence; rows that it shares with others stay."""
        with self._turn:
            if self._arrays.ends.pop(seq_id, None) is not None:
                self._api.llama_memory_seq_rm(self._memory, seq_id, -1, -1)

    def reset(self) -> None:
        """Forget every sequence; whoever holds one can tell by `epoch`."""
        with self._turn:
            self._clear(data=False)

    def _clear(self, *, data: bool) -> None:
        # NaN left in the values would survive masking (0 x NaN), so after a failure the data go too.
        self._api.llama_memory_clear(self._memory, data)
        self._arrays.commit({})
        self._wanted = np.zeros(0, np.int8)
        self.epoch += 1

    def close(self) -> None:
        """Free the context and the model; may be called again, and waits for a running call to end."""
        self._turn.end(self._free)

    def __enter__(self) -> Llm:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: types.TracebackType | None,
    ) -> None:
        self.close()


def load_library() -> Library:
    """llama.cpp, loaded at the first call.

    Raises:
        DeviceError: llama-cpp-python is missing or its library can't be loaded.
    """
    with _LOAD:
        if not _LOADED:
            try:
                library = Library(_import_bindings())
            except (ImportError, OSError, RuntimeError) as error:
                raise DeviceError(
                    "The language model runtime can't be loaded.",
                    str(error),
                    "Install it with: pip install llama-cpp-python",
                ) from error
            library.start()
            _LOADED.append(library)
        return _LOADED[0]


def _import_bindings() -> Any:
    # The package's __init__ imports its chat and server side for 0.3 s; the bindings need none of it. A bare
    # package stands in for the moment of the import and leaves no trace for whoever imports the whole.
    name = "llama_cpp"
    if name in sys.modules:
        return importlib.import_module(f"{name}.{name}")
    spec = importlib.util.find_spec(name)
    if spec is None or spec.submodule_search_locations is None:
        raise ImportError("No package llama_cpp is installed.")
    bare = types.ModuleType(name)
    bare.__path__ = list(spec.submodule_search_locations)
    sys.modules[name] = bare
    try:
        return importlib.import_module(f"{name}.{name}")
    finally:
        del sys.modules[name]
