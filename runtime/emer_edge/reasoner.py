"""The public face: load a pack, then ask about clips. Knows whose turn it is; only EmerError leaves."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING
from weakref import WeakSet

from emer_edge._core import CancelToken
from emer_edge.answers import Options, settle_options, words_of_question
from emer_edge.errors import EmerError, InputError
from emer_edge.inputs import open_inputs
from emer_edge.limits import Limits
from emer_edge.media.source import Probe, open_media
from emer_edge.packs.manifest import Manifest
from emer_edge.pipeline import Event, Perception, answer, perceive
from emer_edge.results import Clip, Reasoning
from emer_edge.session import Session
from emer_edge.together import answer_together

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from emer_edge.live.events import LiveEvent
    from emer_edge.live.options import LiveSettings
    from emer_edge.live.session import LiveSession


def load(
    pack: str | Path = "emer-nano",
    *,
    device: str = "cpu",
    threads: int | None = None,
    limits: Limits | None = None,
    decoder: str = "auto",
    at_once: int = 1,
) -> Reasoner:
    """Load a pack.

    Args:
        pack: its name, or the path of its folder.
        device: `cpu`, `cuda`, `tensorrt` or `tensorrt-rtx`; what can't be had is an error, never replaced.
        threads: CPU threads of each engine; None takes the cores at hand, at most 8.
        limits: the ceilings for clips and answers.
        decoder: `auto`, `native` or `pyav`.
        at_once: clips that `ask_many` may take, 1 to 64; each costs the memory of one context.

    Raises:
        PackNotFoundError, PackError, DeviceError, InputError.

    >>> import emer_edge as ee
    >>> reasoner = ee.load("emer-nano", threads=2)
    >>> reasoner.pack_name
    'emer-nano'
    >>> reasoner.close()
    """
    with _Border():
        session = Session(pack, device=device, threads=threads, limits=limits, at_once=at_once)
        return Reasoner(session, decoder)


def probe(path: str | Path, *, limits: Limits | None = None, decoder: str = "auto") -> Probe:
    """What is inside a clip, without decoding it; `refusals` says what emer-edge would not take.

    Raises:
        MediaError, UnsupportedMediaError, LimitError, InputError.
    """
    with _Border():
        return open_media(path, limits or Limits(), backend=decoder).probe()  # type: ignore[arg-type]


class Reasoner:
    """A loaded pack. Threads may share it: they take turns, clip by clip."""

    def __init__(self, session: Session, decoder: str = "auto") -> None:
        self._session = session
        self._decoder = decoder
        self._closed = False
        self._lives: WeakSet[LiveSession] = WeakSet()

    @property
    def manifest(self) -> Manifest:
        """What the pack says about itself."""
        return self._session.manifest

    @property
    def pack_name(self) -> str:
        """Name of the pack."""
        return self._session.manifest.name

    @property
    def folder(self) -> Path:
        """Where the pack lies."""
        return self._session.folder

    @property
    def device(self) -> str:
        """The device that was asked for and is used."""
        return self._session.device

    @property
    def threads(self) -> int:
        """CPU threads of each engine."""
        return self._session.threads

    def infer(
        self,
        clip: str | Path | Clip,
        *,
        question: str = "explain",
        subtitle: str | Path | None = None,
        options: Options | None = None,
        on_event: Callable[[Event], None] | None = None,
        cancel: CancelToken | None = None,
    ) -> Reasoning:
        """What does the person in the clip feel, and why?

        Args:
            clip: a media file, or a `Clip` with frames (N, H, W, 3) uint8 and a waveform.
            question: `explain`, `labels`, `sentiment`, or anything in words.
            subtitle: a subtitle file or the words; None looks beside the clip and inside it; "" means none.
            options: ceilings and sampling; the pack's defaults otherwise.
            on_event: called in this thread with each `Event`: the labels come before the first word.
            cancel: `cancel()` it from another thread or a signal handler to stop.

        Raises:
            MediaError, SubtitleError, LimitError, InputError, DeviceError, GenerationError, Cancelled.

        >>> import numpy as np
        >>> import emer_edge as ee
        >>> with ee.load("emer-nano") as reasoner:
        ...     out = reasoner.infer(ee.Clip(subtitle="I am so happy for you!"), question="labels")
        >>> out.used.modalities
        ('subtitle',)
        """
        began = time.perf_counter()
        told, options = _guarded(on_event), options or Options()
        with self._session.lock, _Border():
            session = self._open_session()
            # What can be refused is refused before the clip costs anything.
            words_of_question(self.manifest, question, session.limits)
            settle_options(self.manifest, options, session.limits)
            inputs = open_inputs(clip, subtitle, session.limits, self._decoder, cancel)
            perception = perceive(session, inputs, told, cancel)
            return answer(session, perception, question, options, told, cancel, began)

    def perceive(
        self,
        clip: str | Path | Clip,
        *,
        subtitle: str | Path | None = None,
        on_event: Callable[[Event], None] | None = None,
        cancel: CancelToken | None = None,
    ) -> Perception:
        """Decode and encode a clip once, to `ask` several questions about it; arguments as `infer`."""
        with self._session.lock, _Border():
            session = self._open_session()
            inputs = open_inputs(clip, subtitle, session.limits, self._decoder, cancel)
            return perceive(session, inputs, _guarded(on_event), cancel)

    def ask(
        self,
        perception: Perception,
        question: str = "explain",
        *,
        options: Options | None = None,
        on_event: Callable[[Event], None] | None = None,
        cancel: CancelToken | None = None,
    ) -> Reasoning:
        """Ask about a perceived clip; a second question in a row reuses the prompt up to the question.

        Raises:
            InputError, LimitError, GenerationError, Cancelled.
        """
        with self._session.lock, _Border():
            session = self._open_session()
            if not isinstance(perception, Perception):
                raise InputError("There is nothing to ask about.", todo="Pass what perceive() returned.")
            told = _guarded(on_event)
            return answer(session, perception, question, options or Options(), told, cancel)

    def live(
        self, *, on_event: Callable[[LiveEvent], None] | None = None, **settings: Unpack[LiveSettings]
    ) -> LiveSession:
        """Watch a stream: push frames, sound and words, and read states, words and what was dropped.

        Args:
            on_event: called in the session's own thread with every event, which then goes nowhere else.
            settings: `window_seconds` 8, `hop_seconds` 2, `deadline_seconds`, `policy` drop_oldest,
                `reasoning` never, and more: see `emer_edge.live.options.LiveOptions`.

        Raises:
            InputError: a setting that makes no sense. LimitError: too many tokens asked for.

        >>> import numpy as np
        >>> import emer_edge as ee
        >>> with ee.load("emer-nano") as reasoner:
        ...     with reasoner.live(hop_seconds=1.0) as live:
        ...         live.push_text("I am so happy for you!", 0.0, 0.9)
        ...         live.push_audio(np.zeros(16_000, np.float32), 16_000, 0.0)
        ...     [(event.kind, event.quality.modalities) for event in live]
        [('state', ('subtitle',))]
        """
        from emer_edge.live.options import LiveOptions
        from emer_edge.live.session import LiveSession

        with _Border():
            session = self._open_session()
            try:
                options = LiveOptions(**settings)
            except TypeError as error:
                raise InputError("There is no such setting of a live session.", str(error)) from error
            live = LiveSession(session, options, on_event, lambda: self._closed)
            self._lives.add(live)
            return live

    def ask_many(
        self,
        perceptions: Sequence[Perception],
        question: str = "explain",
        *,
        options: Options | None = None,
        cancel: CancelToken | None = None,
    ) -> list[Reasoning]:
        """Ask the same about several perceived clips side by side in the language model: more clips a second.

        Answers are those of `ask` but for the order in which floats are added: confidences differ in the
        fourth digit at most, and words where two tokens are all but equally likely.

        Raises:
            LimitError: more clips than `load(at_once=...)` allows.
            InputError, GenerationError, Cancelled: all answers are lost.

        >>> import emer_edge as ee
        >>> with ee.load("emer-nano", at_once=2) as reasoner:
        ...     seen = [reasoner.perceive(ee.Clip(subtitle=words)) for words in ("Great!", "Leave me alone!")]
        ...     [len(out.scores) > 1 for out in reasoner.ask_many(seen, "labels")]
        [True, True]
        """
        with self._session.lock, _Border():
            session = self._open_session()
            if not all(isinstance(perception, Perception) for perception in perceptions):
                raise InputError("There is nothing to ask about.", todo="Pass what perceive() returned.")
            return answer_together(session, perceptions, question, options or Options(), cancel)

    def close(self) -> None:
        """Free everything; may be called again. Live sessions end first, without working off their queues."""
        self._closed = True
        for live in list(self._lives):
            live.close(drain=False)
        self._session.close()

    def __enter__(self) -> Reasoner:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _open_session(self) -> Session:
        if self._closed:
            raise InputError("This reasoner is closed.", todo="Load the pack again.")
        return self._session


class _FromCaller(BaseException):
    """Carries what the caller's own callback raised past every `except Exception`, back to the caller."""

    def __init__(self, error: BaseException) -> None:
        super().__init__()
        self.error = error


def _guarded(on_event: Callable[[Event], None] | None) -> Callable[[Event], None]:
    """The caller's callback; what it raises is marked as the caller's."""

    def tell(event: Event) -> None:
        if on_event is None:
            return
        try:
            on_event(event)
        except BaseException as error:
            raise _FromCaller(error) from error

    return tell


class _Border:
    """Nothing but EmerError leaves, save what the caller's callback raised, and interrupts."""

    def __enter__(self) -> None:
        pass

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if isinstance(error, _FromCaller):
            raise error.error from None
        if isinstance(error, MemoryError):
            raise EmerError("Memory ran out.", str(error), "Use a smaller clip, pack or Limits.") from error
        if isinstance(error, Exception) and not isinstance(error, EmerError):
            raise EmerError(
                "emer-edge failed in a way it should not.",
                f"{type(error).__name__}: {error}",
                "Please report it, with the clip if you can; --debug shows where.",
            ) from error
