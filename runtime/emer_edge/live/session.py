"""The public face of a stream: push frames, sound and words; events come back. Knows threads, no model."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import suppress
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emer_edge.answers import Options, settle_options, words_of_question
from emer_edge.errors import InputError, LimitError
from emer_edge.live.channel import Channel
from emer_edge.live.clock import Clock
from emer_edge.live.events import LiveEvent
from emer_edge.live.inbox import Inbox
from emer_edge.live.options import LiveOptions
from emer_edge.live.plan import Plan, make_plan
from emer_edge.live.silero import SileroDetector
from emer_edge.live.speech import SpeechDetector
from emer_edge.live.transcribe import Dictation, Said
from emer_edge.live.windows import Windows
from emer_edge.live.worker import Worker
from emer_edge.session import Session

JUMP_SECONDS = 10.0
"""A time stamp further ahead than this, or than a window, is a jump and not a pause."""
_CHANNELS = 64
_PATIENCE_SECONDS = 30.0


class LiveSession:
    """A stream that is being watched; from `Reasoner.live`.

    Pushing only copies into bounded queues; one thread of the session does the work. Any thread may push,
    and events may be read from any. Times are seconds on the caller's own clock, the same for frames, sound
    and words. Closing, also at the end of a `with` block, works off what was pushed first.
    """

    def __init__(
        self,
        session: Session,
        options: LiveOptions,
        on_event: Callable[[LiveEvent], None] | None = None,
        is_closed: Callable[[], bool] = lambda: False,
    ) -> None:
        manifest = session.manifest
        words_of_question(manifest, options.question, session.limits)
        settle_options(manifest, Options(max_tokens=options.max_tokens), session.limits)
        self._session = session
        self.options = options
        self.plan: Plan = make_plan(manifest, options.window_seconds, options.hop_seconds)
        self._inbox = Inbox(self.plan, options.policy, Clock(max(JUMP_SECONDS, options.window_seconds)))
        self._channel = Channel(on_event)
        self._windows = Windows(session, self.plan, _detector(options))
        self._windows.max_tokens = options.max_tokens
        self._worker = Worker(self._inbox, self._channel, self._windows, options, is_closed)
        if options.transcriber is not None:
            self._windows.dictation = Dictation(
                options.transcriber,
                self.plan.sample_rate,
                self._say,
                lambda n: self._inbox.note("queue_full", "text", n, 0.0),
                self._worker.tell_failure,
            )
        self._worker.start()

    def push_frame(
        self, array: NDArray[np.uint8] | Callable[[], NDArray[np.uint8]], pts_seconds: float | None = None
    ) -> None:
        """Push a frame.

        One frame of each stretch of the plan is looked at, the one that is shown at its beginning; the others
        cost next to nothing. It is copied unless it is read-only; of one above 3.2 MB only every n-th row is.
        Read-only frames are taken as they are, at any size.

        Args:
            array: (height, width, 3) uint8 RGB; or a function that gives it, called now and only where the
                frame is needed, for sources that would have to decode or convert it first.
            pts_seconds: its time; None: now, on the stream's clock. One that can't be used is counted and
                told in a `Dropped`.

        Raises:
            InputError: another array, or the session is closed. LimitError: too many pixels.
        """
        if callable(array):
            self._inbox.push_frame(lambda: self._checked(array()), _number(pts_seconds))
            return
        frame = self._checked(array)
        self._inbox.push_frame(lambda: frame, _number(pts_seconds))

    def _checked(self, array: object) -> NDArray[np.uint8]:
        if not isinstance(array, np.ndarray) or array.dtype != np.uint8 or array.ndim != 3:
            raise InputError("A frame is not uint8 (height, width, 3).", todo="Push RGB frames as uint8.")
        if array.shape[2] != 3 or 0 in array.shape:
            raise InputError(f"A frame has the shape {array.shape}.", todo="Push (height, width, 3).")
        if array.shape[0] * array.shape[1] > self._session.limits.pixels:
            raise LimitError(
                "A frame is too large.",
                f"{array.shape[1]}x{array.shape[0]} > {self._session.limits.pixels} pixels.",
            )
        return array

    def push_audio(self, pcm: NDArray[Any], sample_rate: int, pts_seconds: float | None = None) -> None:
        """Push sound, any length at a time.

        Args:
            pcm: (n,) or (channels, n); float32 in -1..1 or int16.
            sample_rate: Hz.
            pts_seconds: time of the first sample; None: it follows the sound before.

        Raises:
            InputError: another array or rate, or the session is closed. LimitError: too long at a time.
        """
        if not isinstance(pcm, np.ndarray) or pcm.ndim not in (1, 2) or 0 in pcm.shape:
            raise InputError("Sound is not (n,) or (channels, n).", todo="Push float32 or int16 samples.")
        if pcm.dtype not in (np.float32, np.float64, np.int16):
            raise InputError(f"Sound has the type {pcm.dtype}.", todo="Push float32 or int16 samples.")
        if pcm.ndim == 2 and len(pcm) > _CHANNELS:
            raise InputError(f"Sound has {len(pcm)} channels.", todo="Push (channels, n): transpose it.")
        if isinstance(sample_rate, bool) or not isinstance(sample_rate, int | np.integer):
            raise InputError(f"A sample rate of {sample_rate!r} is not a whole number.")
        if not 1_000 <= sample_rate <= 768_000:
            raise InputError(f"A sample rate of {sample_rate} Hz is not between 1000 and 768000.")
        if pcm.shape[-1] / sample_rate > self._session.limits.audio_seconds:
            raise LimitError("The sound is too long.", f"More than {self._session.limits.audio_seconds:g} s.")
        self._inbox.push_audio(pcm, int(sample_rate), _number(pts_seconds))

    def push_text(self, text: str, start: float, end: float, final: bool = True) -> None:
        """Push what was said from `start` to `end`; one that is not final gives way to one with its start.

        Raises:
            InputError: not text, or the session is closed. LimitError: longer than a subtitle may be.
        """
        if not isinstance(text, str):
            raise InputError(f"A text of the type {type(text).__name__} can't be pushed.", todo="Push text.")
        if len(text) > self._session.limits.subtitle_bytes:
            raise LimitError("The text is too long.", f"{len(text)} characters.", "Push it in pieces.")
        first, last = _number(start), _number(end)
        self._inbox.push_text(
            text, np.nan if first is None else first, np.nan if last is None else last, final
        )

    def ask(self, question: str = "explain") -> None:
        """Ask about the newest state, or the first where there is none yet; the answer comes as events.

        Raises:
            InputError: the question is empty, or the session is closed. LimitError: it is too long.
        """
        words_of_question(self._session.manifest, question, self._session.limits)
        self._inbox.ask(question)

    def flush(self, timeout: float | None = _PATIENCE_SECONDS) -> bool:
        """Wait until a state tells of everything that was pushed; False where that took too long.

        The window that has begun gets a state too, with the end of the input as its end; when more is pushed
        it gets another at its own end.
        """
        if self._worker.is_self:
            raise InputError("A callback can't wait for its own session.", todo="Flush from another thread.")
        began = time.monotonic()
        done = self._worker.flush(timeout)
        dictation = self._windows.dictation
        if dictation is None or not done:
            return done
        left = None if timeout is None else max(0.0, timeout - (time.monotonic() - began))
        return dictation.finish(left) and self._worker.flush(left)

    def interrupt(self) -> None:
        """Stop the words that are being generated, before the next token; states go on."""
        self._worker.interrupt()

    def close(self, *, drain: bool = True, timeout: float = _PATIENCE_SECONDS) -> None:
        """End the session; may be called again.

        Args:
            drain: work off what was pushed first, for at most `timeout` seconds; else drop it.
            timeout: wall-clock seconds.
        """
        dictation = self._windows.dictation
        if drain and dictation is not None and not self.closed and not self._worker.is_self:
            self.flush(timeout)  # words come after sound: the queue may not close before they have come
        if not drain:
            self._worker.abort()  # before the queue: what wakes at its end must not begin on the rest
        self._inbox.close(discard=not drain)
        if dictation is not None:
            dictation.close()
        if self._worker.is_self:
            return
        if not self._worker.join(timeout):
            self._inbox.close(discard=True)
            self._worker.abort()
            self._worker.join(_PATIENCE_SECONDS)

    @property
    def closed(self) -> bool:
        """Whether nothing can be pushed any more."""
        return self._inbox.closed

    def get(self, timeout: float | None = None) -> LiveEvent | None:
        """The next event; None where none comes within `timeout` seconds, or at all."""
        return self._channel.get(timeout)

    def __iter__(self) -> Iterator[LiveEvent]:
        """Every event, until the session is closed and everything is told."""
        return iter(self._channel)

    def events_async(self) -> AsyncIterator[LiveEvent]:
        """The same for asyncio."""
        return self._channel.events_async()

    def stats(self) -> dict[str, Any]:
        """Counts since the beginning: pushed, encoded, reused, dropped by cause, and what waits now."""
        counts = dict(self._inbox.counts)
        windows = self._windows
        return {
            "pushed": {kind: counts.get(f"{kind}_pushed", 0) for kind in ("frames", "audio", "text")},
            "frames_between": counts.get("frames_between", 0),
            "stamped_here": counts.get("stamped_here", 0),
            "encoded": {"frames": windows.sight.encoded, "sounds": windows.hearing.encoded},
            "reused": {"frames": windows.sight.reused, "sounds": windows.hearing.reused},
            "dropped": {
                name.removeprefix("dropped_"): n for name, n in counts.items() if name.startswith("dropped_")
            },
            "sound_missing_seconds": round(windows.hearing.lost_seconds, 3),
            "states": windows.states,
            "rung": self._worker.ladder.rung,
            "waiting": self._inbox.waiting(),
            "events_waiting": self._channel.waiting,
            "events_lost": self._channel.lost,
            "callback_errors": self._worker.callback_errors,
        }

    def _say(self, said: Said) -> None:
        """Take what the transcriber has written down."""
        origin = self._windows.origin
        with suppress(InputError):  # the session was closed meanwhile
            self.push_text(said.text, origin + said.start_seconds, origin + said.end_seconds, said.final)

    def __enter__(self) -> LiveSession:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close(drain=kind is None)


def _detector(options: LiveOptions) -> SpeechDetector | None:
    return SileroDetector() if options.speech == "auto" else options.speech


def _number(value: object) -> float | None:
    """A time stamp as a float; what is no number is NaN, which the clock counts as invalid."""
    if value is None:
        return None
    try:
        return float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        return float("nan")
