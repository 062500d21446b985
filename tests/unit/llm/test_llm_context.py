"""One clip in the KV cache: the shared prefix gives what a prompt of its own would give."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from emer_edge.errors import Cancelled, InputError, LimitError
from emer_edge.llm.batch import Ids
from emer_edge.llm.context import Branch, ClipContext
from emer_edge.llm.generate import Generation
from emer_edge.llm.gguf import Llm
from emer_edge.llm.sampling import GenerationOptions

RANDOM = np.random.default_rng(3)
PREFIX, FIRST, SECOND, THIRD = (RANDOM.integers(0, 256, n, dtype=np.int32) for n in (80, 20, 33, 7))


class Stop:
    cancelled = True


@pytest.fixture
def soft() -> np.ndarray:
    return RANDOM.standard_normal((8, 64)).astype(np.float32)


def alone(path: Path, llm: Llm, *parts: np.ndarray) -> np.ndarray:
    """Logits at the end of one prompt of its own, in a fresh context."""
    with Llm(path, n_ctx=1024, threads=1, kv_f32=True) as fresh:
        rows = fresh.lay(list(parts))
        n = len(rows)
        fresh.decode(rows, np.arange(n), [(0,)] * n, [False] * (n - 1) + [True])
        return fresh.logits(n - 1)


def rows(llm: Llm, *parts: Ids) -> np.ndarray:
    return llm.lay(list(parts))


def test_branches_and_a_late_question_equal_prompts_of_their_own(
    llm: Llm, gguf_path: Path, soft: np.ndarray
) -> None:
    clip = ClipContext(llm, rows(llm, PREFIX, soft), [rows(llm, FIRST), rows(llm, SECOND)])
    first, second = clip.branches
    third = clip.ask(rows(llm, THIRD))
    for branch, tail in ((first, FIRST), (second, SECOND), (third, THIRD)):
        np.testing.assert_allclose(branch.logits, alone(gguf_path, llm, PREFIX, soft, tail), atol=1e-3)
        assert branch.n_rows == len(PREFIX) + len(soft) + len(tail)


def test_the_one_sequence_equals_the_token_by_token_path(llm: Llm) -> None:
    whole = ClipContext(llm, rows(llm, PREFIX), [rows(llm, FIRST)]).branches[0].logits
    llm.reset()
    for token in np.concatenate([PREFIX, FIRST]):
        stepped = llm.step(int(token), 0)
    np.testing.assert_allclose(whole, stepped, atol=1e-3)


def test_answers_of_two_branches_do_not_mix(llm: Llm) -> None:
    def answer(branch: Branch) -> str:
        return "".join(Generation(branch, GenerationOptions(max_new_tokens=12)))

    clip = ClipContext(llm, rows(llm, PREFIX), [rows(llm, FIRST), rows(llm, SECOND)])
    apart = [answer(branch) for branch in clip.branches]
    again = ClipContext(llm, rows(llm, PREFIX), [rows(llm, FIRST), rows(llm, SECOND)])
    streams = [iter(Generation(b, GenerationOptions(max_new_tokens=12))) for b in again.branches]
    mixed = ["", ""]
    alive = [0, 1]
    while alive:
        for number in list(alive):
            piece = next(streams[number], None)
            if piece is None:
                alive.remove(number)
            else:
                mixed[number] += piece
    assert mixed == apart
    assert answer(again.ask(rows(llm, FIRST))) == apart[0]


def test_only_the_tail_is_run_again(llm: Llm, batch_sizes: Callable[[Llm], list[int]]) -> None:
    counts = batch_sizes(llm)
    clip = ClipContext(llm, rows(llm, PREFIX), [rows(llm, FIRST), rows(llm, SECOND)])
    clip.ask(rows(llm, THIRD))
    assert counts == [len(PREFIX) + len(FIRST) + len(SECOND), len(THIRD)]


def test_a_branch_is_answered_once(llm: Llm) -> None:
    branch = ClipContext(llm, rows(llm, PREFIX), [rows(llm, FIRST)]).branches[0]
    list(Generation(branch, GenerationOptions(max_new_tokens=3)))
    with pytest.raises(InputError, match="already"):
        list(Generation(branch, GenerationOptions(max_new_tokens=3)))


def test_an_earlier_clip_is_told_that_it_is_gone(llm: Llm) -> None:
    old = ClipContext(llm, rows(llm, PREFIX), [rows(llm, FIRST)])
    new = ClipContext(llm, rows(llm, PREFIX), [rows(llm, FIRST)])
    old.branches[0].drop()
    for call in (
        lambda: old.ask(rows(llm, THIRD)),
        lambda: old.branches[0].step(1),
        lambda: old.branches[0].logits,
    ):
        with pytest.raises(InputError, match="no longer"):
            call()
    new.branches[0].step(1)


def test_a_dropped_branch_gives_its_room_back(llm: Llm) -> None:
    clip = ClipContext(llm, rows(llm, PREFIX))
    for _ in range(100):
        clip.ask(rows(llm, FIRST)).drop()
    branch = clip.ask(rows(llm, FIRST))
    branch.drop()
    with pytest.raises(InputError, match="no longer"):
        branch.step(1)


def test_what_does_not_fit_is_a_limit(llm: Llm) -> None:
    long = np.zeros((1100, llm.n_embd), np.float32)
    with pytest.raises(LimitError):
        ClipContext(llm, long)
    clip = ClipContext(llm, long[:900])
    with pytest.raises(LimitError):
        clip.ask(long[:200])
    clip.ask(long[:100])
    with pytest.raises(LimitError, match="full"):
        clip.ask(long[:100])
    with pytest.raises(LimitError):
        ClipContext(llm, long[:1], [long[:1]] * 64)
    with pytest.raises(InputError):
        ClipContext(llm, long[:0])
    with pytest.raises(InputError):
        ClipContext(llm, long[:1], [long[:0]])


def test_an_empty_prefix_is_a_prompt_too(llm: Llm, gguf_path: Path) -> None:
    clip = ClipContext(llm, np.zeros((0, llm.n_embd), np.float32), [rows(llm, FIRST)])
    later = clip.ask(rows(llm, SECOND))
    np.testing.assert_allclose(clip.branches[0].logits, alone(gguf_path, llm, FIRST), atol=1e-3)
    np.testing.assert_allclose(later.logits, alone(gguf_path, llm, SECOND), atol=1e-3)


def test_all_sequences_in_use(llm: Llm) -> None:
    clip = ClipContext(llm, rows(llm, PREFIX))
    held = [clip.ask(rows(llm, THIRD)) for _ in range(llm.n_seq - 1)]
    with pytest.raises(LimitError, match="sequences"):
        clip.ask(rows(llm, THIRD))
    held[5].drop()
    clip.ask(rows(llm, THIRD))


def test_a_stopped_question_loses_the_clip_and_not_the_model(llm: Llm) -> None:
    with pytest.raises(Cancelled):
        ClipContext(llm, rows(llm, PREFIX), cancel=Stop())
    clip = ClipContext(llm, rows(llm, PREFIX), [rows(llm, FIRST)])
    with pytest.raises(Cancelled):
        clip.ask(rows(llm, SECOND), cancel=Stop())
    # Stopped before anything ran, so nothing was lost.
    clip.ask(rows(llm, SECOND))
