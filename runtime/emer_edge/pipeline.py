"""The whole trip on one page: clip in, Reasoning out.

Knows the order of the stages and which of them run side by side. Knows no file format and no model's name.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from typing import Literal

from emer_edge._core import CancelToken
from emer_edge.answers import (
    Options,
    choose_emotions,
    fit_words,
    settle_options,
    words_of_question,
)
from emer_edge.errors import EmerError, MediaError
from emer_edge.inputs import Inputs
from emer_edge.llm.context import Branch
from emer_edge.llm.generate import Generation
from emer_edge.llm.labels import sentiment_scores
from emer_edge.llm.parse import parse_clues, parse_labels
from emer_edge.llm.quotes import QuoteLock
from emer_edge.llm.sampling import GenerationOptions
from emer_edge.prompting import open_clip, question_rows, subtitle_of
from emer_edge.results import Alone, Cue, Emotion, Modality, Reasoning, Timings, Used
from emer_edge.senses import Percept, Rows, hear, see
from emer_edge.session import Session


@dataclass(frozen=True, slots=True)
class Event:
    """What `on_event` is told while a clip is worked on."""

    kind: Literal["stage", "used", "labels", "text", "done"]
    stage: str = ""
    """For `stage`: perceive, prefill, generate."""
    text: str = ""
    """For `text`: the next piece of the reasoning."""
    emotions: tuple[Emotion, ...] = ()
    """For `labels`: the decision, before any text is generated."""
    used: Used | None = None
    """For `used`: what was found in the clip."""


@dataclass(slots=True)
class Perception:
    """What the encoders made of one clip: ask it as many questions as you like."""

    clip: str
    soft: dict[str, Rows]
    """Soft tokens by name (`multi`, `audio`, `vision`), each (k, model_dim) float32."""
    used: Used
    cues: tuple[Cue, ...]
    duration_seconds: float
    seconds: dict[str, float]
    """Wall-clock seconds by stage."""
    scores: dict[str, float] = field(default_factory=dict)
    """Confidences of the candidate labels, once a question was asked."""
    alone: tuple[Alone, ...] = ()
    """What each modality shows by itself, once a question was asked, where the pack has it read."""


OnEvent = Callable[[Event], None]


def perceive(
    session: Session, inputs: Inputs, on_event: OnEvent, cancel: CancelToken | None = None
) -> Perception:
    """Decode and encode a clip: see and hear side by side, then fuse.

    A modality that fails where another one works is left out and named in `used.missing`.

    Raises:
        MediaError: nothing in the clip can be used.
        LimitError, Cancelled, InputError, DeviceError, PackError.
    """
    on_event(Event("stage", "perceive"))
    sight, sound, missing, failures = _sense(session, inputs, cancel or CancelToken())
    words = fit_words(session, inputs.subtitle)
    if words != inputs.subtitle:
        missing.append(f"the subtitle was cut to {len(words)} characters, more would not fit the model")
    modalities = modalities_of(sight, sound, words)
    if not modalities:
        why = "; ".join(missing) + "."
        nothing = MediaError(
            f"Nothing in {inputs.name} can be used.", why, "Add a subtitle, or use another clip."
        )
        raise failures[0] if failures else nothing
    began = time.perf_counter()
    soft = session.fusion.fuse(sight.embeddings, sound.embeddings)
    seconds = {**sight.seconds, **sound.seconds, "fusion": time.perf_counter() - began}
    used = Used(
        modalities=modalities,
        frames=sight.frames,
        faces=sight.faces,
        audio_seconds=sound.audio_seconds,
        audio_windows=sound.windows,
        subtitle=words,
        subtitle_source=inputs.subtitle_source,
        missing=tuple(missing),
        decoder=sight.decoder or sound.decoder,
        frame_seconds=sight.frame_seconds,
    )
    on_event(Event("used", used=used))
    duration = inputs.duration_seconds or sound.audio_seconds
    return Perception(inputs.name, soft, used, inputs.cues, duration, seconds)


def modalities_of(sight: Percept, sound: Percept, words: str) -> tuple[Modality, ...]:
    """What there is to answer from, in the order of the prompt."""
    there = {"vision": sight.embeddings, "audio": sound.embeddings, "subtitle": words or None}
    names: tuple[Modality, ...] = ("vision", "audio", "subtitle")
    return tuple(name for name in names if there[name] is not None)


def _sense(
    session: Session, inputs: Inputs, cancel: CancelToken
) -> tuple[Percept, Percept, list[str], list[EmerError]]:
    """Sight, sound, what was missing, and what failed; both senses work at the same time."""
    pool = ThreadPoolExecutor(2)
    try:
        seeing = pool.submit(see, session, inputs, cancel) if inputs.has_video else None
        hearing = pool.submit(hear, session, inputs, cancel) if inputs.has_audio else None
        wait([future for future in (seeing, hearing) if future])
    except BaseException:  # an interrupt: nobody works on for a caller who has gone
        cancel.cancel()
        raise
    finally:
        pool.shutdown()
    missing, failures = list(inputs.missing), list[EmerError]()
    sight, sound = (_settle(future, missing, failures) for future in (seeing, hearing))
    return sight, sound, missing, failures


def _settle(future: Future[Percept] | None, missing: list[str], failures: list[EmerError]) -> Percept:
    """The percept of one sense; unreadable media count as a missing modality."""
    if future is None:
        return Percept()
    try:
        percept = future.result()
    except MediaError as error:
        failures.append(error)
        missing.append(" ".join(part for part in (error.what, error.why) if part))
        return Percept()
    missing += percept.missing
    return percept


def answer(
    session: Session,
    perception: Perception,
    question: str,
    options: Options,
    on_event: OnEvent,
    cancel: CancelToken | None = None,
    began: float | None = None,
) -> Reasoning:
    """Ask about a perceived clip: the prefill, the labels from its logits, then the words.

    Args:
        session: holds the language model.
        perception: of the clip.
        question: `labels`, `explain`, `sentiment`, another name of the pack's, or free words.
        options: how.
        on_event: told of each step.
        cancel: stops between tokens and within the prefill.
        began: `time.perf_counter()` when the clock of a call that also perceived started.

    Raises:
        InputError, LimitError, GenerationError, Cancelled.
    """
    # What perceiving took belongs to a call that perceived; a further question did not pay for it.
    perceiving = {} if began is None else perception.seconds
    began = time.perf_counter() if began is None else began
    manifest = session.manifest
    words = words_of_question(manifest, question, session.limits)
    generation = settle_options(manifest, options, session.limits)
    on_event(Event("stage", "prefill"))
    prefill_began = time.perf_counter()
    branch = _prefill(session, perception, question, words, cancel)
    try:
        prompt_tokens = branch.n_rows
        first_label = time.perf_counter()
        emotions = choose_emotions(manifest, perception.scores, (), perception.alone)
        on_event(Event("labels", emotions=emotions))
        lock = session.quote_lock(subtitle_of(session, perception)) if generation else None
        writing_began = time.perf_counter()  # the first lock of a session reads the whole vocabulary
        said = _say(branch, generation, lock, on_event, cancel)
    finally:
        branch.drop()
    ended = time.perf_counter()
    timings = Timings(
        **perceiving,
        prefill=first_label - prefill_began,
        first_label=first_label - began,
        first_token=said.first_token - began if said.first_token else 0.0,
        per_token=(ended - writing_began) / said.tokens if said.tokens else 0.0,
        total=ended - began,
        prompt_tokens=prompt_tokens,
        new_tokens=said.tokens,
    )
    on_event(Event("done"))
    return make_reasoning(session, perception, question, said, timings, options.seed)


def make_reasoning(
    session: Session, perception: Perception, question: str, said: Said, timings: Timings, seed: int
) -> Reasoning:
    """Everything that is known about a clip once the question is answered."""
    manifest = session.manifest
    named = parse_labels(said.text, manifest.labels.candidates)
    return Reasoning(
        clip=perception.clip,
        question=question,
        text=said.text,
        emotions=choose_emotions(manifest, perception.scores, named, perception.alone),
        clues=parse_clues(said.text, manifest.clues),
        used=perception.used,
        timings=timings,
        scores=dict(perception.scores),
        sentiment=sentiment_scores(perception.scores, manifest.labels.sentiment.groups),
        alone=perception.alone,
        cues=perception.cues,
        duration_seconds=perception.duration_seconds,
        finish=said.finish,
        pack=manifest.name,
        pack_version=manifest.version,
        device=session.device,
        seed=seed,
    )


def _prefill(
    session: Session, perception: Perception, question: str, words: str, cancel: CancelToken | None
) -> Branch:
    """The question's branch, ready to be answered; the labels of the clip are scored on the way, once."""
    context = session.context
    if context is not None and context.alive and session.context_owner is perception:
        return context.ask(question_rows(session, perception, question, words), cancel=cancel)
    session.context = session.context_owner = None
    context, branch = open_clip(session, perception, question, words, cancel=cancel)
    session.context, session.context_owner = context, perception
    return branch


@dataclass(slots=True)
class Said:
    """The words of an answer."""

    text: str = ""
    finish: Literal["stop", "length", "labels_only"] = "labels_only"
    tokens: int = 0
    first_token: float = 0.0


def _say(
    branch: Branch,
    generation: GenerationOptions | None,
    lock: QuoteLock | None,
    on_event: OnEvent,
    cancel: CancelToken | None,
) -> Said:
    """Generate the words, telling each piece; nothing where none are wanted."""
    said = Said()
    if generation is None:
        return said
    on_event(Event("stage", "generate"))
    stream, pieces = Generation(branch, generation, cancel, lock), list[str]()
    for piece in stream:
        pieces.append(piece)
        on_event(Event("text", text=piece))
    said.first_token = stream.first_token_at
    said.text, said.finish, said.tokens = "".join(pieces).strip(), stream.finish or "stop", stream.n_tokens
    return said
