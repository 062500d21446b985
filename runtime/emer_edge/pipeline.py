"""The whole trip on one page: clip in, Reasoning out.

Knows the order of the stages and which of them run side by side. Knows no file format and no model's name.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Literal

from emer_edge._core import CancelToken
from emer_edge.answers import Options, choose_emotions, plain, settle_options, words_of_question
from emer_edge.errors import EmerError, MediaError
from emer_edge.inputs import Inputs
from emer_edge.llm.context import ClipContext
from emer_edge.llm.generate import Generation
from emer_edge.llm.labels import score_labels
from emer_edge.llm.parse import parse_clues, parse_labels
from emer_edge.llm.prompt import Segments, build_prompt, layout
from emer_edge.results import Cue, Emotion, Modality, Reasoning, Timings, Used
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
    with ThreadPoolExecutor(2) as pool:
        seeing = pool.submit(see, session, inputs, cancel) if inputs.has_video else None
        hearing = pool.submit(hear, session, inputs, cancel) if inputs.has_audio else None
    missing = list(inputs.missing)
    failures: list[EmerError] = []
    sight, sound = (_settle(future, missing, failures) for future in (seeing, hearing))
    if sight.embeddings is None and sound.embeddings is None and not inputs.subtitle:
        raise (
            failures[0]
            if failures
            else MediaError(
                f"Nothing in {inputs.name} can be used.",
                "; ".join(missing) + ".",
                "Add a subtitle, or use another clip.",
            )
        )
    began = time.perf_counter()
    soft = session.fusion.fuse(sight.embeddings, sound.embeddings)
    seconds = {**sight.seconds, **sound.seconds, "fusion": time.perf_counter() - began}
    there = {
        "vision": sight.embeddings is not None,
        "audio": sound.embeddings is not None,
        "subtitle": bool(inputs.subtitle),
    }
    modalities: tuple[Modality, ...] = tuple(m for m in ("vision", "audio", "subtitle") if there[m])
    used = Used(
        modalities, sight.frames, sight.faces, sound.audio_seconds, sound.windows, inputs.subtitle,
        inputs.subtitle_source, tuple(missing), sight.decoder or sound.decoder,
    )  # fmt: skip
    on_event(Event("used", used=used))
    duration = inputs.duration_seconds or sound.audio_seconds
    return Perception(inputs.name, soft, used, inputs.cues, duration, seconds)


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
    """Ask about a perceived clip: one prefill, the labels from its logits, then the words.

    Args:
        session: holds the language model.
        perception: of the clip.
        question: `labels`, `explain`, `sentiment`, another name of the pack's, or free words.
        options: how.
        on_event: told of each step.
        cancel: stops between tokens and within the prefill.
        began: `time.perf_counter()` when the caller's clock started.

    Raises:
        InputError, LimitError, GenerationError, Cancelled.
    """
    # What perceiving took belongs to a call that perceived; a further question did not pay for it.
    perceiving = {} if began is None else perception.seconds
    began = time.perf_counter() if began is None else began
    manifest, llm = session.manifest, session.llm
    words = words_of_question(manifest, question, session.limits)
    generation = settle_options(manifest, options, session.limits)
    present, subtitle = set(perception.used.modalities), plain(manifest, perception.used.subtitle)

    def rows(segments: Segments, first: bool) -> Rows:
        bos = llm.bos if first and manifest.prompt.add_bos else None
        return llm.lay(layout(segments, llm.tokenize, perception.soft, bos=bos))

    on_event(Event("stage", "prefill"))
    prefill_began = time.perf_counter()
    prompt = build_prompt(session.template, present, subtitle, words, llm.tokenize)
    tail = rows(prompt.tail, not prompt.prefix)
    context = session.context
    if context is None or session.context_owner is not perception:
        session.context = session.context_owner = None
        asked_for_labels = words_of_question(manifest, manifest.labels.question, session.limits)
        labels_prompt = build_prompt(
            session.template, present, subtitle, asked_for_labels, llm.tokenize
        ).answered(manifest.labels.answer_prefix)
        prefix = rows(prompt.prefix, True) if prompt.prefix else tail[:0]
        context = ClipContext(llm, prefix, [rows(labels_prompt.tail, not prompt.prefix), tail], cancel=cancel)
        labels_branch, branch = context.branches
        prefilled = time.perf_counter()
        perception.scores = score_labels(labels_branch, session.label_paths, cancel=cancel)
        labels_branch.drop()
        session.context, session.context_owner = context, perception
    else:
        branch = context.ask(tail, cancel=cancel)
        prefilled = time.perf_counter()
    emotions = choose_emotions(manifest, perception.scores, ())
    first_label = time.perf_counter()
    on_event(Event("labels", emotions=emotions))

    pieces: list[str] = []
    finish: Literal["stop", "length", "labels_only"] = "labels_only"
    first_token = 0.0
    prompt_tokens, new_tokens = branch.n_rows, 0
    try:
        if generation is not None:
            on_event(Event("stage", "generate"))
            stream = Generation(branch, generation, cancel)
            for piece in stream:
                first_token = first_token or time.perf_counter()
                pieces.append(piece)
                on_event(Event("text", text=piece))
            finish, new_tokens = stream.finish or "stop", stream.n_tokens
    finally:
        branch.drop()
    ended = time.perf_counter()
    text = "".join(pieces).strip()
    labels = parse_labels(text, manifest.labels.candidates)
    timings = Timings(
        **perceiving,
        prefill=prefilled - prefill_began,
        first_label=first_label - began,
        first_token=first_token - began if first_token else 0.0,
        per_token=(ended - first_label) / new_tokens if new_tokens else 0.0,
        total=ended - began,
        prompt_tokens=prompt_tokens,
        new_tokens=new_tokens,
    )
    on_event(Event("done"))
    return Reasoning(
        clip=perception.clip,
        question=question,
        text=text,
        emotions=choose_emotions(manifest, perception.scores, labels),
        clues=parse_clues(text, manifest.clues),
        used=perception.used,
        timings=timings,
        scores=dict(perception.scores),
        cues=perception.cues,
        duration_seconds=perception.duration_seconds,
        finish=finish,
        pack=manifest.name,
        pack_version=manifest.version,
        device=session.device,
        seed=options.seed,
    )
