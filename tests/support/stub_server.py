"""A server whose reasoner has no model: the question says what it does. As a module it is `emer-edge serve`.

`slow` writes for a minute unless it is cancelled, `stuck` sits for a minute and hears nothing, `crash` ends
the process in the middle of a word, `bug` has a bug, `path` tells its paths in an error; anything else is
answered after `BUSY_SECONDS`.
"""

from __future__ import annotations

import os
import queue
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from emer_edge.errors import Cancelled, InputError, MediaError, PackNotFoundError
from emer_edge.live.events import Quality, Reasoned, State, Token
from emer_edge.pipeline import Event
from emer_edge.results import Clue, Emotion, Reasoning
from tests.support.sample_results import FULL

BUSY_SECONDS = 0.05
PIECES = ("She smiles ", "broadly, ", "and she says ", "that she is glad!")


class StubReasoner:
    """Answers by the question."""

    device = "cpu"
    threads = 2
    manifest = SimpleNamespace(
        name="stub",
        version="1.0",
        family="stub",
        description="No model at all.",
        licence=SimpleNamespace(id="Apache-2.0"),
        labels=SimpleNamespace(candidates=("happy", "sad")),
        prompt=SimpleNamespace(questions={"explain": "", "labels": ""}),
    )

    def infer(
        self,
        clip: str,
        *,
        question: str,
        subtitle: Path | str | None,
        options: Any,
        on_event: Callable[[Event], None],
        cancel: Any,
    ) -> Reasoning:
        on_event(Event("stage", "perceive"))
        words = subtitle.read_text() if isinstance(subtitle, Path) else ""
        if question == "path":
            raise MediaError(f"Can't read {clip}.", f"{clip} and {subtitle} are odd.", f"Look at {clip}.")
        if question == "bug":
            raise TypeError("unsupported operand")
        if question == "stuck":
            time.sleep(60)
        on_event(Event("used", used=FULL.used))
        on_event(Event("labels", emotions=FULL.emotions))
        for piece in self._pieces(question):
            if cancel.cancelled:
                raise Cancelled("Interrupted.")
            on_event(Event("text", text=piece))
        text = f"{''.join(PIECES)} [{words}] [{Path(clip).stat().st_size}]"
        return replace(FULL, clip=clip, question=question, text=text, seed=options.seed)

    def _pieces(self, question: str) -> Iterator[str]:
        time.sleep(BUSY_SECONDS)
        if question == "crash":
            yield "So far "
            os.kill(os.getpid(), 9)
        if question == "slow":
            for number in range(1200):
                time.sleep(0.05)
                yield f"word{number} "
        yield from PIECES

    def live(self, **config: Any) -> StubLive:
        if config.get("window_seconds", 8.0) <= 0:
            raise InputError("window_seconds makes no sense.")
        return StubLive(**config)


class StubLive:
    """A state for each whole second of sound; frames are counted."""

    def __init__(self, *, window_seconds: float = 8.0, hop_seconds: float = 1.0, **_: Any) -> None:
        self.options = SimpleNamespace(window_seconds=window_seconds, hop_seconds=hop_seconds)
        self._events: queue.Queue[Any] = queue.Queue()
        self._heard = 0.0
        self._frames = 0
        self._states = 0
        self._subtitle = ""

    def __enter__(self) -> StubLive:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def push_frame(self, pixels: Any, pts_seconds: float) -> None:
        assert pixels.ndim == 3
        self._frames += 1

    def push_audio(self, pcm: Any, sample_rate: int, pts_seconds: float) -> None:
        self._heard += pcm.shape[-1] / sample_rate
        while self._heard >= self._states + 1:
            self._state()

    def _state(self) -> None:
        start, end = float(self._states), float(self._states + 1)
        quality = Quality(("vision", "audio"), frames=self._frames, audio_seconds=self._heard)
        emotions, scores = (Emotion("happy", 0.9),), {"happy": 0.9, "sad": 0.1}
        self._events.put(
            State(start, end, emotions, scores, 0.6, 0.4, quality, 0.01, self._states, self._subtitle)
        )
        self._states += 1

    def push_text(self, text: str, start: float, end: float, final: bool = True) -> None:
        self._subtitle = text

    def ask(self, question: str = "explain") -> None:
        for piece in PIECES:
            self._events.put(Token(piece, self._states - 1))
        clue = Clue("face", "She smiles broadly.")
        self._events.put(Reasoned("".join(PIECES), (clue,), self._states - 1, 0.0, 1.0))

    def interrupt(self) -> None: ...

    def flush(self, timeout: float | None = None) -> None: ...

    def close(self) -> None:
        self._events.put(None)

    def stats(self) -> dict[str, int]:
        return {"frames": self._frames, "states": self._states}

    def __iter__(self) -> Iterator[Any]:
        return iter(self._events.get, None)


def load(pack: str, *, device: str, threads: int | None, decoder: str) -> StubReasoner:
    """Stands for `emer_edge.load`."""
    if pack == "absent":
        raise PackNotFoundError("There is no pack absent.")
    return StubReasoner()


def main() -> None:
    """`emer-edge serve` with the stub in the place of a model."""
    from emer_edge.cli.main import main as real_main
    from emer_edge.server import settings

    settings.Engine = partial(settings.Engine, loader="tests.support.stub_server:load")  # type: ignore
    real_main(["serve", *sys.argv[1:]])


if __name__ == "__main__":
    main()
