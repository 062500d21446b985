"""One window after another: what was sensed to a state, and a state to words.

Knows the senses, the pack's session and `pipeline.answer`. Knows no queue, no thread and no policy.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from emer_edge._core import CancelToken
from emer_edge.answers import Options, fit_words
from emer_edge.errors import Cancelled, InputError
from emer_edge.live.affect import valence_arousal
from emer_edge.live.clock import Kind
from emer_edge.live.events import LiveEvent, Quality, Reasoned, State, Token
from emer_edge.live.hearing import Hearing, Samples
from emer_edge.live.inbox import Item
from emer_edge.live.plan import Plan
from emer_edge.live.sight import Sight
from emer_edge.live.speech import SpeechDetector, SpeechTrack
from emer_edge.live.transcribe import Dictation
from emer_edge.live.words import Words
from emer_edge.llm.parse import parse_clues
from emer_edge.media.subtitles import cues_to_text
from emer_edge.pipeline import Event, Perception, answer, modalities_of
from emer_edge.results import Emotion, Used
from emer_edge.senses import Percept
from emer_edge.session import Session

Sense = Literal["vision", "audio"]
_PUSHES = 65_536


@dataclass(frozen=True, slots=True)
class Made:
    """One window: its state, and what words about it are made from; None where nothing could be sensed."""

    hop: int
    state: State
    perception: Perception | None
    heard: bool
    """Whether there was sound, be it sound that says nothing and that the state does not rest on."""


class Windows:
    """Senses, and what is made of them window by window. One thread.

    Args:
        session: the pack; its lock is held for one window, or one answer, at a time.
        plan: the grid.
        speech: hears whether somebody speaks; None: nobody listens for that.
    """

    def __init__(self, session: Session, plan: Plan, speech: SpeechDetector | None) -> None:
        self._session, self.plan = session, plan
        self.speech = None if speech is None else SpeechTrack(speech, plan.sample_rate)
        self.sight = Sight(session, plan)
        self.dictation: Dictation | None = None
        self.hearing = Hearing(session, plan, self._hear)
        self.words = Words()
        self._origin = 0.0
        self._pushed: deque[tuple[float, float]] = deque(maxlen=_PUSHES)
        self._index = 0
        self._cost: dict[Sense, float] = {"vision": 0.0, "audio": 0.0}
        self.newest: Made | None = None
        self.without: Sense | None = None
        """A sense that is left out for now."""
        self.max_tokens: int | None = None

    @property
    def hears_speech(self) -> bool:
        """Whether somebody listens for speech."""
        return self.speech is not None

    @property
    def costliest(self) -> Sense:
        """The sense that has taken more time lately."""
        return "vision" if self._cost["vision"] >= self._cost["audio"] else "audio"

    @property
    def origin(self) -> float:
        """Where the stream's clock began, on the caller's."""
        return self._origin

    @property
    def states(self) -> int:
        """States so far."""
        return self._index

    def restart(self, origin: float, *, first: bool) -> None:
        """The stream starts anew at `origin`; nothing of before belongs to it but words before the first."""
        self._origin = origin
        if not first:
            self.words.clear()
        for sense in (self.sight, self.hearing, self._pushed):
            sense.clear()
        if self.speech is not None:
            self.speech.clear()
        if self.dictation is not None:
            self.dictation.clear()

    def take(self, item: Item) -> bool:
        """Keep what was pushed; False where it comes too late to be of use."""
        if item.what == "text":
            self.words.take(item.payload, item.start, item.end, item.final)
            return True
        self._pushed.append((item.start - self._origin, item.pushed_at))
        if item.what == "audio":
            return self.hearing.take(item, self._origin)
        self.sight.take(item)
        return True

    def reached(self, kind: Kind, end: float) -> float:
        """How far a modality of which `end` was pushed can be used, in seconds from the origin."""
        if self.without == ("vision" if kind == "frames" else "audio"):
            return np.inf
        # A time stamp is known a moment before its sound has come through the queue.
        pushed = end - self._origin
        return pushed if kind == "frames" else max(0.0, min(pushed, self.hearing.end_seconds))

    def finish(self) -> None:
        """Nothing follows for now."""
        self.hearing.finish()

    def forget(self, hop: int) -> None:
        """Forget what no window after `hop` needs."""
        self.sight.forget(hop)
        self.hearing.forget(hop)
        before = self.plan.end_seconds(hop + 1) - self.plan.reach_seconds
        self.words.forget(self._origin + before)
        while self._pushed and self._pushed[0][0] < before:
            self._pushed.popleft()
        if self.speech is not None:
            self.speech.forget(before)

    def work_ahead(self) -> bool:
        """Do a little of what the next window needs; False where there is nothing."""
        if self.without == "vision":
            return False
        with self._session.lock:
            return self.sight.search_ahead()

    def age(self, hop: int) -> float:
        """Wall-clock seconds since the newest input of window `hop` was pushed."""
        end = self.plan.end_seconds(hop)
        newest = max((at for pts, at in self._pushed if pts < end), default=None)
        return 0.0 if newest is None else time.monotonic() - newest

    def make(self, hop: int, until: float, degraded: tuple[str, ...], cancel: CancelToken) -> Made:
        """The state of window `hop`, which has input up to `until` seconds from the origin.

        Raises:
            Cancelled, DeviceError, PackError, GenerationError, LimitError.
        """
        plan = self.plan
        end = min(plan.end_seconds(hop), until)
        start = max(0.0, plan.end_seconds(hop) - plan.window_seconds)
        with self._session.lock:
            perception = self._perceive(hop, (start, end), cancel)
            heard = perception is not None and "audio" in perception.used.modalities
            scores: dict[str, float] = {}
            emotions: tuple[Emotion, ...] = ()
            if perception is not None:
                question = self._session.manifest.labels.question
                said = answer(self._session, perception, question, Options(max_tokens=0), _nobody, cancel)
                scores, emotions = said.scores, said.emotions
        valence, arousal = valence_arousal(scores)
        used = Used(()) if perception is None else perception.used
        state = State(
            start_pts_seconds=self._origin + start,
            end_pts_seconds=self._origin + end,
            emotions=emotions,
            scores=dict(scores),
            valence=valence,
            arousal=arousal,
            quality=Quality(
                used.modalities,
                used.frames,
                used.faces,
                used.audio_seconds,
                self.speech is not None and self.speech.speaks(start, end),
                degraded,
            ),
            age_seconds=self.age(hop),
            index=self._index,
            subtitle=used.subtitle,
        )
        self._index += 1
        self.newest = Made(hop, state, perception, heard)
        return self.newest

    def reason(
        self, made: Made, question: str, tell: Callable[[LiveEvent], None], cancel: CancelToken
    ) -> bool:
        """Words about a window, piece by piece and then whole; False where they were interrupted.

        Raises:
            InputError: there was nothing in the window, or the question makes no sense.
            LimitError, GenerationError, DeviceError.
        """
        if made.perception is None:
            raise InputError(
                "Nothing was sensed in this window.", todo="Ask again once there is a face or sound."
            )
        pieces: list[str] = []
        state = made.state

        def hear(event: Event) -> None:
            if event.kind == "text":
                pieces.append(event.text)
                tell(Token(event.text, state.index))

        finish: Literal["stop", "length", "interrupted"] = "stop"
        with self._session.lock:
            try:
                options = Options(max_tokens=self.max_tokens)
                said = answer(self._session, made.perception, question, options, hear, cancel)
                finish = "length" if said.finish == "length" else "stop"
            except Cancelled:
                finish = "interrupted"
        text = "".join(pieces).strip()
        clues = tuple(parse_clues(text, self._session.manifest.clues))
        span = (state.start_pts_seconds, state.end_pts_seconds)
        tell(Reasoned(text, clues, state.index, *span, finish))
        return finish != "interrupted"

    def _hear(self, first: int, samples: Samples) -> None:
        """New sound, once it is mono and at the pack's rate: to all who listen beside the encoder."""
        if self.speech is not None:
            self.speech.hear(first, samples)
        if self.dictation is not None:
            self.dictation.hear(first, samples)

    def _perceive(self, hop: int, span: tuple[float, float], cancel: CancelToken) -> Perception | None:
        """What the encoders make of a window, as `pipeline.perceive` says of a clip; None: of nothing."""
        session = self._session
        sight = Percept() if self.without == "vision" else self.sight.percept(hop, cancel)
        sound = Percept() if self.without == "audio" else self.hearing.percept(hop, cancel)
        self._note_cost(sight, sound)
        start, end = (self._origin + seconds for seconds in span)
        cues = self.words.between(start, end, session.limits.subtitle_prompt_chars)
        words = fit_words(session, cues_to_text(cues))
        modalities = modalities_of(sight, sound, words)
        used = Used(
            modalities=modalities,
            frames=sight.frames,
            faces=sight.faces,
            audio_seconds=sound.audio_seconds,
            audio_windows=sound.windows,
            subtitle=words,
            subtitle_source="array" if words else "",
            missing=(*sight.missing, *sound.missing),
        )
        if not modalities:
            return None
        soft = session.fusion.fuse(sight.embeddings, sound.embeddings)
        return Perception("live", soft, used, cues, span[1] - span[0], {**sight.seconds, **sound.seconds})

    def _note_cost(self, sight: Percept, sound: Percept) -> None:
        senses: tuple[tuple[Sense, Percept], ...] = (("vision", sight), ("audio", sound))
        for sense, percept in senses:
            if percept.seconds:
                self._cost[sense] += 0.3 * (sum(percept.seconds.values()) - self._cost[sense])


def _nobody(_event: Event) -> None:
    """Nobody is told of the steps to a state."""
