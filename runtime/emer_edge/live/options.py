"""How a live session behaves: windows, deadlines, policies. Knows what makes sense, not who obeys."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypedDict

from emer_edge.errors import InputError

if TYPE_CHECKING:
    from emer_edge.live.speech import SpeechDetector
    from emer_edge.live.transcribe import Transcriber

Policy = Literal["drop_oldest", "degrade", "block"]
Reasoning = Literal["never", "on_change", "on_demand"]
POLICIES = ("drop_oldest", "degrade", "block")
REASONING = ("never", "on_change", "on_demand")
_LONGEST_SECONDS = 600.0


class LiveSettings(TypedDict, total=False):
    """The keywords of `Reasoner.live`, as `LiveOptions` describes them."""

    window_seconds: float
    hop_seconds: float
    deadline_seconds: float | None
    policy: Policy
    reasoning: Reasoning | float
    question: str
    max_tokens: int | None
    language: str
    speech: SpeechDetector | Literal["auto"] | None
    transcriber: Transcriber | None
    patience_seconds: float


@dataclass(frozen=True, slots=True)
class LiveOptions:
    """How a live session behaves.

    Args:
        window_seconds: how far back a state looks.
        hop_seconds: stream time between two states; at most `window_seconds`.
        deadline_seconds: wall-clock age that a state should not pass; None: `hop_seconds`.
        policy: what gives way when the model is too slow. `drop_oldest`: states of old windows, then the
            oldest input. `degrade`: reasoning, then hops, then a modality, and back again. `block`: nothing;
            pushing waits.
        reasoning: when words are asked for without `ask()`: `never`, `on_change` of the best label, or every
            so many seconds of stream time; `on_demand` is another word for `never`.
        question: what automatic reasoning asks: `explain`, another name of the pack's, or words.
        max_tokens: ceiling of one reasoning; None takes the pack's.
        language: of what is said, for whoever writes words down; a BCP 47 tag.
        speech: hears whether somebody speaks, so that automatic reasoning is about utterances and not
            about silence. `auto` is Silero's; None: nobody listens for it, and nothing is gated.
        transcriber: writes down what is said, in a thread of its own, for example
            `emer_edge.live.vosk.VoskTranscriber`; None: words come by `push_text` alone.
        patience_seconds: wall-clock time that a window waits for a modality whose clock is behind.

    Raises:
        InputError: a value that makes no sense.

    >>> LiveOptions(hop_seconds=1.0).deadline
    1.0
    """

    window_seconds: float = 8.0
    hop_seconds: float = 2.0
    deadline_seconds: float | None = None
    policy: Policy = "drop_oldest"
    reasoning: Reasoning | float = "never"
    question: str = "explain"
    max_tokens: int | None = None
    language: str = "en"
    speech: SpeechDetector | Literal["auto"] | None = "auto"
    transcriber: Transcriber | None = None
    patience_seconds: float = 0.3

    def __post_init__(self) -> None:
        for name in ("window_seconds", "hop_seconds", "deadline_seconds", "patience_seconds"):
            value = getattr(self, name)
            if value is None and name == "deadline_seconds":
                continue
            if not _is_number(value) or not 0 < value <= _LONGEST_SECONDS:
                raise InputError(
                    f"{name} = {value!r} makes no sense.", todo=f"Use 0 to {_LONGEST_SECONDS:g} seconds."
                )
        if self.hop_seconds < 0.1 or self.hop_seconds > self.window_seconds:
            raise InputError(
                f"hop_seconds = {self.hop_seconds!r} makes no sense.",
                todo=f"Use 0.1 to window_seconds, {self.window_seconds:g}.",
            )
        if self.policy not in POLICIES:
            raise InputError(
                f"No policy is called {self.policy!r}.", todo=f"Use one of {', '.join(POLICIES)}."
            )
        every = self.reasoning
        if every not in REASONING and (not _is_number(every) or not 0 < float(every) < math.inf):
            raise InputError(
                f"reasoning = {every!r} makes no sense.",
                todo=f"Use one of {', '.join(REASONING)}, or seconds above 0.",
            )

    @property
    def deadline(self) -> float:
        """Wall-clock age, in seconds, that a state should not pass."""
        return self.hop_seconds if self.deadline_seconds is None else self.deadline_seconds

    @property
    def every_seconds(self) -> float | None:
        """Stream time between two automatic reasonings, where it was given as a number."""
        return None if isinstance(self.reasoning, str) else float(self.reasoning)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
