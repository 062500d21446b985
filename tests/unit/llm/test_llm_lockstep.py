"""Several clips side by side give the answers of each alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from emer_edge._core import CancelToken
from emer_edge.errors import Cancelled, InputError, LimitError
from emer_edge.llm.batch import Rows
from emer_edge.llm.context import ClipContext
from emer_edge.llm.generate import Generation
from emer_edge.llm.gguf import Llm
from emer_edge.llm.lockstep import write_together
from emer_edge.llm.sampling import GenerationOptions

OPTIONS = GenerationOptions(max_new_tokens=16)


@pytest.fixture
def wide(gguf_path: Path) -> Iterator[Llm]:
    """Room for three clips."""
    with Llm(gguf_path, n_ctx=256, threads=1, n_seq=12, at_once=3, kv_f32=True) as model:
        yield model


def rows(llm: Llm, text: str) -> Rows:
    return llm.lay([np.array(llm.tokenize(text), np.int32)])


def alone(llm: Llm, prefix: str, tail: str, options: GenerationOptions = OPTIONS) -> str:
    context = ClipContext(llm, rows(llm, prefix), [rows(llm, tail)])
    return "".join(Generation(context.branches[0], options))


@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_three_clips_at_once_are_answered_as_alone(wide: Llm, temperature: float) -> None:
    options = GenerationOptions(max_new_tokens=16, temperature=temperature, seed=3)
    clips = [("he is happy", " why?"), ("the emotion and the other", " what is it?"), ("x", " y")]
    wanted = [alone(wide, *clip, options) for clip in clips]
    wide.reset()
    contexts = [ClipContext(wide, rows(wide, p), [rows(wide, t)], beside=True) for p, t in clips]
    branches = [context.branches[0] for context in contexts]
    for context in contexts:
        context.close()
    assert [one.text for one in write_together(branches, options, [None] * 3)] == wanted
    assert len(wide.free_sequences()) == wide.n_seq


def test_the_first_logits_do_not_depend_on_who_is_beside(wide: Llm) -> None:
    lone = ClipContext(wide, rows(wide, "he is happy"), [rows(wide, " why?")]).branches[0].logits.copy()
    wide.reset()
    for other in ("another clip", "and one more"):
        ClipContext(wide, rows(wide, other), [rows(wide, " why?")], beside=True)
    beside = ClipContext(wide, rows(wide, "he is happy"), [rows(wide, " why?")], beside=True).branches[0]
    np.testing.assert_allclose(beside.logits, lone, atol=1e-5)


def test_a_clip_that_fills_its_own_context_ends_without_the_others(wide: Llm) -> None:
    long, options = "a b c " * 40, GenerationOptions(max_new_tokens=120)
    wide.reset()
    branches = [
        ClipContext(wide, rows(wide, text), [rows(wide, " ?")], beside=True).branches[0]
        for text in (long, "short")
    ]
    full, short = write_together(branches, options, [None, None])
    assert full.writing.finish == "length"
    assert full.writing.n_tokens < 120
    assert short.text == alone(wide, "short", " ?", options)
    with pytest.raises(LimitError):
        ClipContext(wide, rows(wide, long * 3), [rows(wide, " ?")])


def test_the_end_of_one_frees_its_place(wide: Llm, batch_sizes: Callable[[Llm], list[int]]) -> None:
    wide.reset()
    branches = [
        ClipContext(wide, rows(wide, text), [rows(wide, " ?")], beside=True).branches[0] for text in "ab"
    ]

    class Once:
        """Lets the second answer end at its third token."""

        left = 2

        def mask(self, logits):
            ends = [token for token in range(len(logits)) if wide.is_end(token)]
            masked = np.full_like(logits, -np.inf) if not self.left else logits.copy()
            masked[ends] = 0 if not self.left else -np.inf
            return masked

        def accept(self, piece: bytes) -> None:
            self.left -= 1

    sizes = batch_sizes(wide)
    options = GenerationOptions(max_new_tokens=5)
    first, second = write_together(branches, options, [None, Once()])
    assert (second.writing.n_tokens, second.writing.finish) == (2, "stop")
    assert first.writing.n_tokens <= 5
    assert sizes[:2] == [2, 2]
    assert set(sizes[2:]) <= {1}


def test_cancelling_stops_all(wide: Llm) -> None:
    wide.reset()
    branch = ClipContext(wide, rows(wide, "a"), [rows(wide, " ?")], beside=True).branches[0]
    token = CancelToken()
    token.cancel()
    with pytest.raises(Cancelled):
        write_together([branch], OPTIONS, [None], token)


def test_questions_of_two_models_are_refused(wide: Llm, llm: Llm) -> None:
    branches = [
        ClipContext(model, rows(model, "a"), [rows(model, " ?")]).branches[0] for model in (wide, llm)
    ]
    with pytest.raises(InputError, match="one language model"):
        write_together(branches, OPTIONS, [None, None])
