"""A perceived clip in the language model: what each modality shows alone, the labels, the question.

Knows the prompts of a clip and the order in which they run. Does not know media, encoders or how an answer is
generated.
"""

from __future__ import annotations

from collections.abc import Iterable, Set
from dataclasses import replace
from typing import TYPE_CHECKING

from emer_edge._core import CancelToken
from emer_edge.answers import plain, tell_labels, words_of_question
from emer_edge.llm.context import Branch, ClipContext
from emer_edge.llm.labels import score_labels
from emer_edge.llm.prompt import Prompt, Segments, build_prompt, layout
from emer_edge.packs.records import AloneSpec
from emer_edge.results import Alone, Modality
from emer_edge.senses import Rows
from emer_edge.session import Session

if TYPE_CHECKING:
    from emer_edge.pipeline import Perception


def open_clip(
    session: Session,
    perception: Perception,
    question: str,
    words: str,
    *,
    beside: bool = False,
    cancel: CancelToken | None = None,
) -> tuple[ClipContext, Branch]:
    """Run a clip's prompt, score its labels and run the question; its context and the question's branch.

    One batch runs the prompt, the label question and the question that was asked. Where the latter tells the
    labels it has to wait for them, and its own rows are a second, small batch. Where the pack has each
    modality read by itself, one batch before runs these short prompts.

    Args:
        session: holds the language model.
        perception: of the clip; gets its scores. What says nothing by itself is left out of what it used.
        question: its name.
        words: from `words_of_question`.
        beside: leave other clips in the language model.
        cancel: polled while the batches run.

    Raises:
        LimitError, GenerationError, Cancelled, InputError.
    """
    labels, llm = session.manifest.labels, session.llm
    if labels.alone is not None and not perception.alone:
        _read_alone(session, labels.alone, perception, beside, cancel)
    asking = _label_prompt(session, perception, set(perception.used.modalities))
    label_tail = _rows(session, perception, asking.tail, not asking.prefix)
    prefix = _rows(session, perception, asking.prefix, True) if asking.prefix else label_tail[:0]
    waits = session.manifest.prompt.needs_labels(question)
    at_once = [] if waits else [question_rows(session, perception, question, words)]
    context = ClipContext(llm, prefix, [label_tail, *at_once], beside=beside, cancel=cancel)
    labels_branch, *branches = context.branches
    perception.scores = _scores(session, labels_branch, cancel)
    labels_branch.drop()
    if labels.alone is not None and not perception.alone:
        perception.alone = _best(labels.alone, perception.used.modalities, [perception.scores])
    if branches:
        return context, branches[0]
    return context, context.ask(question_rows(session, perception, question, words), cancel=cancel)


def question_rows(session: Session, perception: Perception, question: str, words: str) -> Rows:
    """The rows of a question behind the clip's prefix; what it tells has been read by then.

    Of what was left out it tells nothing: that is not in the prompt, as if it had not been given.
    """
    shown = [one for one in perception.alone if one.modality in perception.used.modalities]
    words = tell_labels(session.manifest, question, words, perception.scores, shown)
    prompt = _prompt(session, perception, words, set(perception.used.modalities))
    return _rows(session, perception, prompt.tail, not prompt.prefix)


def _read_alone(
    session: Session, rule: AloneSpec, perception: Perception, beside: bool, cancel: CancelToken | None
) -> None:
    """Read each modality of a clip as if nothing else had been given, and leave out what says nothing so.

    One modality alone is read by the clip's own prompt. What may say something stays; with nothing that does,
    that stays which is the least surely unclear.
    """
    names = perception.used.modalities
    if len(names) < 2:
        return
    prompts = [_label_prompt(session, perception, {name}) for name in names]
    asked = [_rows(session, perception, (*prompt.prefix, *prompt.tail), True) for prompt in prompts]
    context = ClipContext(session.llm, asked[0][:0], asked, beside=beside, cancel=cancel)
    context.close()
    try:
        scores = [_scores(session, branch, cancel) for branch in context.branches]
    finally:
        for branch in context.branches:
            branch.drop()
    perception.alone = _best(rule, names, scores)
    unclear = session.manifest.labels.when_unclear
    silent = [one for one in perception.alone if one.label == unclear and one.sure]
    if silent:
        if len(silent) == len(names):
            silent.remove(min(silent, key=lambda one: one.confidence))
        clear = tuple(name for name in names if name not in {one.modality for one in silent})
        left_out = (rule.names[one.modality] for one in silent)
        missing = (f"the {name} can not be read: left out" for name in left_out)
        used = perception.used
        perception.used = replace(used, modalities=clear, missing=(*used.missing, *missing))


def _best(
    rule: AloneSpec, names: Iterable[Modality], scores: Iterable[dict[str, float]]
) -> tuple[Alone, ...]:
    best = [(name, max(own, key=own.__getitem__), own) for name, own in zip(names, scores, strict=True)]
    return tuple(Alone(name, label, own[label], own[label] >= rule.sure) for name, label, own in best)


def _scores(session: Session, branch: Branch, cancel: CancelToken | None) -> dict[str, float]:
    temperature = session.manifest.labels.temperature
    return score_labels(branch, session.label_paths, temperature=temperature, cancel=cancel)


def _label_prompt(session: Session, perception: Perception, present: Set[Modality]) -> Prompt:
    """The question of the labels about some of the modalities, up to where the label stands."""
    labels = session.manifest.labels
    words = words_of_question(session.manifest, labels.question, session.limits)
    return _prompt(session, perception, words, present).answered(labels.answer_prefix)


def _prompt(session: Session, perception: Perception, words: str, present: Set[Modality]) -> Prompt:
    subtitle = subtitle_of(session, perception)
    return build_prompt(session.template, present, subtitle, words, session.llm.tokenize)


def _rows(session: Session, perception: Perception, segments: Segments, first: bool) -> Rows:
    llm = session.llm
    bos = llm.bos if first and session.manifest.prompt.add_bos else None
    return llm.lay(layout(segments, llm.tokenize, perception.soft, bos=bos))


def subtitle_of(session: Session, perception: Perception) -> str:
    """The words exactly as they stand in the prompt; empty where they were left out."""
    used = perception.used
    return plain(session.manifest, used.subtitle) if "subtitle" in used.modalities else ""
