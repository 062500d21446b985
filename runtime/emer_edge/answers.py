"""Between a pack's wishes and an answer: the question's words, the options, the labels worth showing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from emer_edge.errors import InputError, LimitError
from emer_edge.inputs import shorten
from emer_edge.limits import Limits
from emer_edge.llm.sampling import GenerationOptions
from emer_edge.packs.manifest import Manifest
from emer_edge.packs.records import ALONE_FIELD, LABELS_FIELD
from emer_edge.results import Alone, Emotion
from emer_edge.session import Session


@dataclass(frozen=True, slots=True)
class Options:
    """How to answer; None takes the pack's own default.

    Args:
        max_tokens: ceiling of generated tokens; 0 asks for labels only, without text.
        temperature: 0 is greedy and exactly repeatable.
        top_p: for temperature above 0, the share of likely tokens that is kept.
        top_k: for temperature above 0, how many likely tokens are kept.
        seed: of the sampler.
    """

    max_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("max_tokens", "top_k", "seed", "temperature", "top_p"):
            value = getattr(self, name)
            kinds = (int,) if name in ("max_tokens", "top_k", "seed") else (int, float)
            if value is None and name != "seed":
                continue
            if isinstance(value, bool) or not isinstance(value, kinds):
                raise InputError(f"Options.{name} = {value!r} is not a number that makes sense there.")
        if not 0 <= self.seed < 2**63:
            raise InputError(f"Options.seed = {self.seed} makes no sense.", todo="Use 0 or more.")


def words_of_question(manifest: Manifest, question: str, limits: Limits) -> str:
    """The words behind a question's name in the pack, or the question itself where it is free text.

    A field in the pack's words is left for `tell_labels` to fill in; free text has no fields.

    Raises:
        InputError: it is empty. LimitError: it is too long.
    """
    if not isinstance(question, str):
        raise InputError(
            f"A question of the type {type(question).__name__} can't be asked.", todo="Pass text."
        )
    known = manifest.prompt.questions.get(question)
    words = known if known is not None else plain(manifest, question)
    if not words:
        raise InputError(
            "The question is empty.", todo="Ask labels, explain, sentiment or anything in words."
        )
    if len(words) > limits.question_chars:
        raise LimitError(
            "The question is too long.", f"{len(words)} > {limits.question_chars} characters.", "Shorten it."
        )
    return words


def tell_labels(
    manifest: Manifest, question: str, words: str, scores: dict[str, float], alone: Sequence[Alone] = ()
) -> str:
    """The words of a question with what was read from the logits, if the pack tells it there.

    Args:
        manifest: of the pack.
        question: the name of the question, or free text, in which braces stay as they are.
        words: from `words_of_question`.
        scores: confidence of every candidate.
        alone: what each modality shows by itself.
    """
    if not manifest.prompt.needs_labels(question):
        return words
    chosen = choose_emotions(manifest, scores, (), alone)
    told = words.replace(LABELS_FIELD, ", ".join(emotion.label for emotion in chosen))
    return told.replace(ALONE_FIELD, _tell_alone(manifest, alone))


def _tell_alone(manifest: Manifest, alone: Sequence[Alone]) -> str:
    """`face happy, voice unsure`."""
    rule = manifest.labels.alone
    if rule is None:
        return ""
    shown = [
        one.label if one.sure or one.label == manifest.labels.when_unclear else rule.unsure for one in alone
    ]
    return ", ".join(f"{rule.names[one.modality]} {what}" for one, what in zip(alone, shown, strict=True))


def plain(manifest: Manifest, text: str) -> str:
    """The text without the stop strings: no subtitle or question can imitate the end of a turn."""
    for stop in manifest.generation.stop:
        text = text.replace(stop, " ")
    return text.strip()


def fit_words(session: Session, words: str) -> str:
    """The beginning of a subtitle that leaves room in the model's context for the prompt and an answer."""
    tokenize, room = session.llm.tokenize, session.words_room
    while words and (count := len(tokenize(words))) > room:
        words = shorten(words, min(len(words) - 1, len(words) * room // count)).strip()
    return words


def settle_options(manifest: Manifest, options: Options, limits: Limits) -> GenerationOptions | None:
    """The caller's options over the pack's defaults; None where no text is wanted.

    Raises:
        InputError: a value out of range. LimitError: too many tokens asked for.
    """
    wish = manifest.generation
    # The pack's own wish yields to the ceiling; the caller's is refused.
    tokens = min(wish.max_new_tokens, limits.new_tokens) if options.max_tokens is None else options.max_tokens
    if tokens < 0:
        raise InputError(f"max_tokens = {tokens} makes no sense.", todo="Use 0 or more; 0 gives labels only.")
    if tokens > limits.new_tokens:
        raise LimitError(
            f"{tokens} new tokens are too many.", f"The ceiling is {limits.new_tokens}.", "Ask for fewer."
        )
    if tokens == 0:
        return None
    return GenerationOptions(
        max_new_tokens=tokens,
        temperature=wish.temperature if options.temperature is None else options.temperature,
        top_p=wish.top_p if options.top_p is None else options.top_p,
        top_k=wish.top_k if options.top_k is None else options.top_k,
        repetition_penalty=wish.repetition_penalty,
        seed=options.seed,
        stop=tuple(wish.stop),
    )


def choose_emotions(
    manifest: Manifest, scores: dict[str, float], named: Sequence[str], alone: Sequence[Alone] = ()
) -> tuple[Emotion, ...]:
    """The labels to report, surest first: the best candidates, and what the text names beside them.

    Where the best one says that nothing can be read it stands alone; as second best it is not reported. A
    feeling that a modality by itself is sure of is reported too: where face and voice differ, both are.

    Args:
        manifest: says above which confidence a candidate is reported and how many are.
        scores: confidence of every candidate.
        named: labels that the text names, in its order.
        alone: what each modality shows by itself.
    """
    rule = manifest.labels
    ranked = sorted(scores, key=lambda label: -scores[label])
    if ranked and ranked[0] == rule.when_unclear:
        ranked, named, alone = ranked[:1], [label for label in named if label == rule.when_unclear], ()
    ranked = [label for i, label in enumerate(ranked) if i == 0 or label != rule.when_unclear]
    sure = {one.label for one in alone if one.sure} - set(rule.alone.quiet if rule.alone else ())
    chosen = [
        label
        for i, label in enumerate(ranked)
        if i == 0 or scores[label] >= rule.report_above or label in sure
    ]
    emotions = [
        Emotion(label, scores[label], "both" if label in named else "logits")
        for label in chosen[: rule.at_most]
    ]
    known = {emotion.label for emotion in emotions}
    emotions += [Emotion(label, scores.get(label), "text") for label in named if label not in known]
    return tuple(emotions)
