"""Something that stands in for a live session where a bridge is tested: it remembers what it was given."""

from __future__ import annotations

import threading
from typing import Any


class Recorder:
    """Remembers frames, sound and words in order."""

    def __init__(self) -> None:
        self.frames: list[tuple[Any, float]] = []
        self.sound: list[tuple[Any, int, float | None]] = []
        self.words: list[tuple[str, float, float, bool]] = []
        self.questions: list[str] = []
        self.changed = threading.Condition()

    def push_frame(self, array: Any, pts_seconds: float) -> None:
        with self.changed:
            self.frames.append((array, pts_seconds))
            self.changed.notify_all()

    def push_audio(self, pcm: Any, sample_rate: int, pts_seconds: float | None) -> None:
        with self.changed:
            self.sound.append((pcm, sample_rate, pts_seconds))
            self.changed.notify_all()

    def push_text(self, text: str, start: float, end: float, final: bool) -> None:
        with self.changed:
            self.words.append((text, start, end, final))
            self.changed.notify_all()

    def ask(self, question: str = "explain") -> None:
        with self.changed:
            self.questions.append(question)
            self.changed.notify_all()

    def wait(self, *, frames: int = 0, sound: int = 0, words: int = 0, seconds: float = 60.0) -> bool:
        """Wait until so many have come; whether they have."""
        with self.changed:
            return self.changed.wait_for(
                lambda: len(self.frames) >= frames and len(self.sound) >= sound and len(self.words) >= words,
                seconds,
            )
