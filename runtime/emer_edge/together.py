"""Several clips through the language model at a time, for throughput.

Knows which steps every clip takes on its own and which all take together. Does not know media or data sets.
Prompts are run clip by clip, as for one clip alone; answers are written in lockstep, one batch for the next
token of each.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

from emer_edge._core import CancelToken
from emer_edge.answers import Options, settle_options, words_of_question
from emer_edge.errors import LimitError
from emer_edge.llm.lockstep import write_together
from emer_edge.pipeline import Perception, Said, make_reasoning
from emer_edge.prompting import open_clip, subtitle_of
from emer_edge.results import Reasoning, Timings
from emer_edge.session import Session


def answer_together(
    session: Session,
    perceptions: Sequence[Perception],
    question: str,
    options: Options,
    cancel: CancelToken | None = None,
) -> list[Reasoning]:
    """Ask the same about several perceived clips; `Timings.total` of each is that of all together.

    Args:
        session: loaded for at least as many clips at once.
        perceptions: of the clips; each gets its scores.
        question: as `answer`.
        options: as `answer`; the sampler of every clip has the same seed.
        cancel: stops between tokens and within batches.

    Raises:
        LimitError: more clips than the session was loaded for.
        InputError, GenerationError, Cancelled: all answers are lost.
    """
    llm, manifest = session.llm, session.manifest
    if len(perceptions) > llm.at_once:
        raise LimitError(
            f"{len(perceptions)} clips at once are more than {llm.at_once}.",
            todo="Load with a larger at_once.",
        )
    words = words_of_question(manifest, question, session.limits)
    generation = settle_options(manifest, options, session.limits)
    session.context = session.context_owner = None
    llm.reset()
    began = time.perf_counter()
    branches, prefilled = [], []
    for perception in perceptions:
        started = time.perf_counter()
        context, branch = open_clip(session, perception, question, words, beside=True, cancel=cancel)
        context.close()
        branches.append(branch)
        prefilled.append((branch.n_rows, time.perf_counter() - started))
    labelled = time.perf_counter()
    said = [Said() for _ in perceptions]
    if generation is not None:
        locks = [session.quote_lock(subtitle_of(session, perception)) for perception in perceptions]
        for one, written in zip(said, write_together(branches, generation, locks, cancel), strict=True):
            one.text, one.finish = written.text.strip(), written.writing.finish or "stop"
            one.tokens = written.writing.n_tokens
    llm.reset()
    ended = time.perf_counter()
    answers = []
    for perception, one, (rows, seconds) in zip(perceptions, said, prefilled, strict=True):
        timings = Timings(
            prefill=seconds,
            per_token=(ended - labelled) / one.tokens if one.tokens else 0.0,
            total=ended - began,
            prompt_tokens=rows,
            new_tokens=one.tokens,
        )
        answers.append(make_reasoning(session, perception, question, one, timings, options.seed))
    return answers
