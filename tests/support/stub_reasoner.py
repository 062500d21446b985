"""A reasoner without a model: the name of the clip says what it does. Run as a module it is `emer-edge`.

`bad*` can't be read, `long*` passes a limit, `bug*` has a bug, `slow*` writes for a minute unless it is
cancelled, `stuck*` sits for a minute and hears nothing, `mute*` has no sound and `mutters*` a voice that
can't be read; anything else is answered at once.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import emer_edge as ee
from emer_edge.errors import Cancelled, DeviceError, LimitError, MediaError, PackNotFoundError
from emer_edge.results import Alone, Emotion, Reasoning, Used
from tests.support.sample_results import FULL

PIECES = ("She smiles ", "broadly. ", "Her voice is bright, ", "and she says that she is glad!")


@dataclass(frozen=True)
class StubEvent:
    """The fields of `emer_edge.Event`."""

    kind: str
    stage: str = ""
    text: str = ""
    emotions: tuple[Emotion, ...] = ()
    used: Used | None = None


@dataclass(frozen=True)
class StubOptions:
    """The fields of `emer_edge.Options` that the command line sets."""

    max_tokens: int | None = None
    temperature: float | None = None
    seed: int = 0


class StubToken:
    """A cancel token without the native part."""

    cancelled = False

    def cancel(self) -> None:
        self.cancelled = True


class StubReasoner:
    """Answers by the name of the clip."""

    device = "cpu"
    threads = 2
    pack_name = "stub"
    manifest = SimpleNamespace(name="stub", version="1.0")

    def __init__(self) -> None:
        self.calls: list[dict[str, Any]] = []
        self.closed = False

    def __enter__(self) -> StubReasoner:
        return self

    def __exit__(self, *_: object) -> None:
        self.closed = True

    def infer(
        self,
        clip: str,
        *,
        question: str = "explain",
        subtitle: str | None = None,
        options: Any = None,
        on_event: Callable[[Any], None] = lambda _: None,
        cancel: Any = None,
    ) -> Reasoning:
        self.calls.append({"clip": clip, "question": question, "subtitle": subtitle, "options": options})
        name = Path(clip).name
        on_event(StubEvent("stage", stage="perceive"))
        if not Path(clip).is_file():
            raise MediaError(f"Can't open {clip}.", "There is no such file.", "Check the path.")
        if name.startswith("bad"):
            raise MediaError(f"Can't read {clip}.", "It is damaged.", "Record it again.")
        if name.startswith("long"):
            raise LimitError(f"{clip} is too long.", "2 h are more than 1 h.", "Cut it.")
        if name.startswith("bug"):
            raise TypeError("unsupported operand")
        if name.startswith("stuck"):
            print("STUCK", flush=True)
            time.sleep(60)
        used = replace(FULL.used, missing=("no audio stream",)) if name.startswith("mute") else FULL.used
        alone: tuple[Alone, ...] = ()
        on_event(StubEvent("used", used=used))
        on_event(StubEvent("stage", stage="prefill"))
        on_event(StubEvent("labels", emotions=FULL.emotions))
        text = FULL.text
        if question == "labels":
            text = ""
        else:
            on_event(StubEvent("stage", stage="generate"))
            text = "".join(PIECES)
            for piece in self._pieces(name):
                if cancel is not None and cancel.cancelled:
                    raise Cancelled("Interrupted.")
                on_event(StubEvent("text", text=piece))
        on_event(StubEvent("done"))
        if name.startswith("mutters"):
            used = replace(used, missing=(*used.missing, "the voice can not be read: left out"))
            alone = Alone("vision", "happy", 0.8, True), Alone("audio", "un\x1bclear", 0.5, True)
        return replace(FULL, clip=clip, question=question, text=text, used=used, alone=alone)

    def _pieces(self, name: str) -> Any:
        if not name.startswith("slow"):
            return PIECES
        return (time.sleep(0.05) or f"word{number} " for number in range(1200))  # type: ignore[func-returns-value]


def load(
    pack: str, *, device: str = "cpu", threads: int | None = None, decoder: str = "auto"
) -> StubReasoner:
    """Stands for `emer_edge.load`."""
    if pack == "absent":
        raise PackNotFoundError("There is no pack absent.", "", "See emer-edge packs list.")
    if device == "cuda":
        raise DeviceError("There is no CUDA device.", "", "Use --device cpu.")
    if pack == "slow-to-load":
        print("LOADING", flush=True)
        time.sleep(60)
    return StubReasoner()


NAMES = {"load": load, "Options": StubOptions, "CancelToken": StubToken}


def main() -> None:
    """`emer-edge` with the stub in the place of a model."""
    vars(ee).update(NAMES)
    os.environ.setdefault("XDG_CONFIG_HOME", "/nonexistent")
    from emer_edge.cli.main import main as real_main

    real_main()


if __name__ == "__main__":
    main()
