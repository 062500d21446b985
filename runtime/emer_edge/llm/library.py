"""llama.cpp's side of a model: log, devices, files, contexts, batch structures, abort callbacks.

Knows llama.cpp's C structures through the bindings it is given. Does not import them; knows no rows or text.
"""

from __future__ import annotations

import ctypes
import os
from collections import deque
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from emer_edge.errors import DeviceError, InputError, PackError
from emer_edge.llm.batch import BatchArrays

DEVICES = ("cpu", "cuda")
_LOG_WARN, _LOG_ERROR, _LOG_CONTINUE = 3, 4, 5  # ggml.h, ggml_log_level
_BYTES_PER_THREAD = (
    16 * 1024**2
)  # of weights; a 10 MB model is no faster with two, and far slower on a busy CPU
_CELLS_AT_MOST = 4096  # where the caller leaves it to the model
_CELLS = 256  # llama.cpp rounds the cells of a KV cache up to this


class Cancellable(Protocol):
    """Anything with a flag that says the caller asked to stop, for example `_core.CancelToken`."""

    @property
    def cancelled(self) -> bool:
        """True once the caller asked to stop."""


@dataclass(frozen=True, slots=True)
class Wish:
    """What the context should be like; see `Llm`."""

    n_ctx: int
    threads: int
    device: str
    n_seq: int
    kv_f32: bool
    at_once: int = 1

    def check(self) -> None:
        """Raise InputError where a number or the device makes no sense."""
        if self.device not in DEVICES:
            raise InputError(
                f"The language model knows no device {self.device!r}.",
                todo=f"Use one of {', '.join(DEVICES)}.",
            )
        for name, low, high in (
            ("n_ctx", 0, 1 << 20),
            ("threads", 1, 512),
            ("n_seq", 1, 256),
            ("at_once", 1, 64),
        ):
            value = getattr(self, name)
            if not low <= value <= high:
                raise InputError(f"{name} = {value} makes no sense.", todo=f"Use {low} to {high}.")


@dataclass(slots=True)
class Library:
    """llama.cpp, loaded once per process, with its log kept back for errors."""

    api: Any
    lines: deque[str] = field(default_factory=lambda: deque(maxlen=50))
    _keep: list[Any] = field(default_factory=list)

    def start(self) -> None:
        """Begin to catch the log and load the backends."""
        kept = False

        def catch(level: int, text: bytes, _: object) -> None:
            nonlocal kept
            # A continued line belongs to the line before, kept or not.
            kept = kept if level == _LOG_CONTINUE else level in (_LOG_WARN, _LOG_ERROR)
            if kept:
                self.lines.append(text.decode("utf-8", "replace").strip())

        callback = self.api.llama_log_callback(catch)
        self._keep.append(callback)
        self.api.llama_log_set(callback, None)
        self.api.llama_backend_init()

    def tail(self) -> str:
        """The last warnings and errors of llama.cpp, on one line."""
        return " | ".join(line for line in [*self.lines][-4:] if line)

    def load_model(self, path: Path, device: str) -> Any:
        """Map a GGUF file; raises DeviceError or PackError."""
        api = self.api
        # The log has one listener per process; another user of llama.cpp may have come and gone since.
        api.llama_log_set(self._keep[0], None)
        if device == "cuda" and not api.llama_supports_gpu_offload():
            raise DeviceError(
                "The language model can't run on a GPU.",
                "The installed llama-cpp-python was built for the CPU only.",
                'Reinstall it with CMAKE_ARGS="-DGGML_CUDA=on", or use the device cpu.',
            )
        if not path.is_file():
            raise PackError(f"The language model {path.name} is not there.", str(path))
        wish = api.llama_model_default_params()
        wish.load_mode = api.LLAMA_LOAD_MODE_MMAP
        wish.n_gpu_layers = -1 if device == "cuda" else 0
        nothing = (ctypes.c_void_p * 1)(None)
        if device == "cpu":  # else a build with CUDA would touch the GPU all the same
            wish.devices = ctypes.cast(nothing, ctypes.c_void_p)
        model = api.llama_model_load_from_file(os.fsencode(path), wish)
        if not model:
            raise PackError(
                f"llama.cpp can't load {path.name}.", self.tail(), "Verify or re-install the pack."
            )
        try:
            self._check_kind(model, path)
        except PackError:
            api.llama_model_free(model)
            raise
        return model

    def _check_kind(self, model: Any, path: Path) -> None:
        api = self.api
        fits = api.llama_model_has_decoder(model) and not api.llama_model_has_encoder(model)
        if not fits or api.llama_model_is_recurrent(model) or api.llama_model_is_hybrid(model):
            raise PackError(
                f"{path.name} is not a decoder-only transformer.",
                "Other kinds can't share the prompt between questions.",
            )
        if not api.llama_vocab_type(api.llama_model_get_vocab(model)):
            raise PackError(f"{path.name} has no vocabulary.")

    def useful_threads(self, model: Any, threads: int) -> int:
        """How many of `threads` a model of this size can use; they wait for each other at every node."""
        return max(1, min(threads, int(self.api.llama_model_size(model)) // _BYTES_PER_THREAD))

    def open_context(self, model: Any, wish: Wish, path: Path) -> Any:
        """A context for one prompt batch of up to `n_ctx` rows; raises InputError or PackError."""
        api = self.api
        trained = int(api.llama_model_n_ctx_train(model))
        if wish.n_ctx > trained:
            raise InputError(f"{path.name} was trained for {trained} tokens of context, not {wish.n_ctx}.")
        params = api.llama_context_default_params()
        rows = wish.n_ctx or min(trained, _CELLS_AT_MOST)
        params.n_ctx = params.n_batch = -(-rows // _CELLS) * _CELLS * wish.at_once
        params.n_ubatch = min(512, params.n_batch)
        params.n_seq_max = wish.n_seq
        params.n_outputs_max = wish.n_seq  # sizes the logits buffers: rows x vocabulary
        params.kv_unified = True
        params.n_threads = params.n_threads_batch = self.useful_threads(model, wish.threads)
        exact = wish.kv_f32
        params.type_k = params.type_v = api.GGML_TYPE_F32 if exact else api.GGML_TYPE_F16
        params.flash_attn_type = (
            api.LLAMA_FLASH_ATTN_TYPE_DISABLED if exact else api.LLAMA_FLASH_ATTN_TYPE_ENABLED
        )
        params.offload_kqv = params.op_offload = wish.device == "cuda"
        params.no_perf = True
        context = api.llama_init_from_model(model, params)
        if not context:
            raise PackError(f"llama.cpp can't open a context for {path.name}.", self.tail())
        return context

    def free(self, model: Any, context: Any) -> None:
        """Give back what `load_model` and `open_context` gave."""
        if context:
            self.api.llama_free(context)
        self.api.llama_model_free(model)

    def batch_structure(self, arrays: BatchArrays) -> Any:
        """A `llama_batch` over `arrays`, which the caller keeps alive; inputs and count are not set."""
        batch = self.api.llama_batch()
        batch.pos = pointer(arrays.positions, ctypes.c_int32)
        batch.n_seq_id = pointer(arrays.seq_counts, ctypes.c_int32)
        batch.seq_id = pointer(arrays.seq_pointers, ctypes.POINTER(ctypes.c_int32))
        batch.logits = pointer(arrays.wanted, ctypes.c_int8)
        return batch

    def set_abort(self, context: Any, cancel: Cancellable | None) -> object:
        """Let the context poll `cancel` between graph nodes (CPU only); keep what is returned until then."""
        api = self.api
        if cancel is None:
            api.llama_set_abort_callback(context, api.ggml_abort_callback(), None)
            return None
        native: tuple[int, int] | None = getattr(cancel, "abort_callback", None)
        if native is not None:  # polled without the GIL
            function, data = api.ggml_abort_callback(native[0]), native[1]
        else:

            def poll(_: object) -> bool:
                with suppress(Exception):
                    return cancel.cancelled
                return True

            function, data = api.ggml_abort_callback(poll), None
        api.llama_set_abort_callback(context, function, data)
        return function, cancel


def pointer(array: NDArray[Any], kind: Any) -> Any:
    """A typed ctypes pointer to the data of `array`, which the caller keeps alive."""
    return ctypes.cast(array.ctypes.data, ctypes.POINTER(kind))


def copy_floats(source: Any, out: NDArray[np.float32]) -> None:
    """Copy as many floats as `out` holds from a ctypes pointer."""
    ctypes.memmove(out.ctypes.data, source, out.nbytes)
