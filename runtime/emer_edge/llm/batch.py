"""What is sent to one `llama_decode`, checked before llama.cpp sees it.

Knows rows, positions and sequence ids, because llama.cpp ends the whole process (GGML_ASSERT) over some
mistakes in them. Does not know llama.cpp's structures, models or text.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from emer_edge.errors import InputError, LimitError

Ids: TypeAlias = NDArray[np.int32]
Rows: TypeAlias = NDArray[np.float32]
Positions: TypeAlias = Sequence[int] | NDArray[np.signedinteger[Any]]


@dataclass(frozen=True, slots=True)
class Sizes:
    """The ceilings of one context and model."""

    n_ctx: int
    """Rows of one batch, and of all sequences together."""
    n_positions: int
    """Rows of one sequence."""
    n_seq: int
    n_embd: int
    n_vocab: int
    n_outputs: int
    """How many rows of one batch may ask for logits."""


class BatchArrays:
    """The arrays that a `llama_batch` points to, allocated once; not safe for two threads at a time."""

    def __init__(self, sizes: Sizes) -> None:
        rows, n_seq = sizes.n_ctx, sizes.n_seq
        self.positions = np.zeros(rows, np.int32)
        self.seq_counts = np.zeros(rows, np.int32)
        self.seq_table = np.zeros((rows, n_seq), np.int32)
        self.seq_pointers = (self.seq_table.ctypes.data + np.arange(rows) * self.seq_table.strides[0]).astype(
            np.uintp
        )
        self.wanted = np.zeros(rows, np.int8)
        self._sizes = sizes
        self._ends: dict[int, int] = {}

    @property
    def ends(self) -> dict[int, int]:
        """Position after the last row of every sequence that holds any."""
        return self._ends

    def fill(
        self,
        inputs: Ids | Rows,
        positions: Positions,
        seq_ids: Sequence[tuple[int, ...]],
        want_logits: Sequence[bool] | NDArray[np.bool_],
    ) -> dict[int, int]:
        """Check one batch, copy it in, and return what `ends` becomes once it is decoded.

        Raises:
            InputError: wrong shape, dtype, token, sequence id or position, or a number that is not finite.
            LimitError: more rows or wanted logits than the context has room for.
        """
        _check_inputs(inputs, self._sizes)
        n = len(inputs)
        if not n == len(positions) == len(seq_ids) == len(want_logits):
            raise _wrong(
                f"{n} rows, {len(positions)} positions, {len(seq_ids)} sequence lists, "
                f"{len(want_logits)} logit flags"
            )
        ends = self._fill_sequences(positions, seq_ids)
        self.positions[:n] = positions
        self.wanted[:n] = want_logits
        wanted = int(np.count_nonzero(self.wanted[:n]))
        if wanted > self._sizes.n_outputs:
            raise LimitError(
                f"{wanted} rows of one batch ask for logits; this context gives {self._sizes.n_outputs}.",
                todo="Ask in several batches.",
            )
        return ends

    def _fill_sequences(self, positions: Positions, seq_ids: Sequence[tuple[int, ...]]) -> dict[int, int]:
        ends = dict(self._ends)
        n_ctx, n_seq = self._sizes.n_positions, self._sizes.n_seq
        for row, sequences in enumerate(seq_ids):
            position = int(positions[row])
            if not 0 <= position < n_ctx:
                raise LimitError(
                    f"Position {position} is outside this context of {n_ctx} tokens.",
                    todo="Ask for fewer tokens or load with a larger context.",
                )
            if not sequences or len(set(sequences)) != len(sequences):
                raise _wrong(f"row {row} names the sequences {sequences}")
            for sequence in sequences:
                if not 0 <= sequence < n_seq:
                    raise _wrong(f"sequence {sequence} of row {row} is not in 0..{n_seq - 1}")
                if ends.get(sequence, 0) != position:
                    raise _wrong(
                        f"row {row} puts position {position} where sequence {sequence} "
                        f"continues at {ends.get(sequence, 0)}"
                    )
                ends[sequence] = position + 1
            self.seq_counts[row] = len(sequences)
            self.seq_table[row, : len(sequences)] = sequences
        return ends

    def commit(self, ends: dict[int, int]) -> None:
        """Note that the batch was decoded."""
        self._ends = ends


def _check_inputs(inputs: Ids | Rows, sizes: Sizes) -> None:
    kind: Any = getattr(inputs, "dtype", None)
    if (
        not isinstance(inputs, np.ndarray)
        or not inputs.flags.c_contiguous
        or kind not in (np.int32, np.float32)
    ):
        raise _wrong("inputs must be a C-contiguous int32 or float32 array")
    if len(inputs) == 0:
        raise _wrong("a batch needs at least one row")
    if len(inputs) > sizes.n_ctx:
        raise LimitError(
            f"{len(inputs)} rows don't fit a context of {sizes.n_ctx} tokens.",
            todo="Shorten the subtitle or the question, or load with a larger context.",
        )
    if kind == np.int32:
        if inputs.ndim != 1 or int(inputs.min()) < 0 or int(inputs.max()) >= sizes.n_vocab:
            raise _wrong(f"token ids must be (n,) in 0..{sizes.n_vocab - 1}")
    elif inputs.ndim != 2 or inputs.shape[1] != sizes.n_embd:
        raise _wrong(f"rows of shape {inputs.shape} where (n, {sizes.n_embd}) is needed")
    elif not bool(np.isfinite(inputs).all()):
        raise InputError(
            "The prompt's embeddings hold NaN or infinity.",
            "An encoder or the fusion gave a number that is not finite.",
            "Check the clip and the pack with `emer-edge packs verify`.",
        )


def _wrong(why: str) -> InputError:
    return InputError("A batch for the language model makes no sense.", why)
