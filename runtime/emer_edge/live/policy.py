"""What is left out, and when it comes back, while the model is slower than the stream. Knows seconds only."""

from __future__ import annotations

from dataclasses import dataclass

RUNGS = ("everything", "no reasoning", "every second state", "every fourth state", "one modality less")
"""What each rung leaves out; every rung leaves out what those before it do."""
_STRIDES = (1, 1, 2, 4, 4)
_UP, _DOWN, _MOST_PATIENCE = 2, 3, 48
_CALM = 0.6
"""Share of the time at hand that a state may take, on the rung below, for that rung to be tried again."""


@dataclass(slots=True)
class Ladder:
    """Climbs a rung when states come too late and steps down when there is time again.

    Args:
        deadline: wall-clock age, seconds, that a state should not pass.
        hop: seconds between two states.
        active: off: stays on the ground.
    """

    deadline: float
    hop: float
    active: bool = True
    rung: int = 0
    _late: int = 0
    _calm: int = 0
    _patience: int = _DOWN
    _since: int = 0
    _stepped: bool = False

    @property
    def stride(self) -> int:
        """Every so many windows get a state."""
        return _STRIDES[self.rung]

    @property
    def reasons(self) -> bool:
        """Whether words may be generated that nobody asked for."""
        return self.rung < 1

    @property
    def drops_modality(self) -> bool:
        """Whether the most expensive modality is left out."""
        return self.rung >= 4

    def observe(self, age: float, busy: float) -> bool:
        """Take in a state, its age and how long the worker was busy for it; True where the rung changed."""
        if not self.active:
            return False
        room = self.hop * self.stride
        late = age > self.deadline or busy > room
        below = self.hop * _STRIDES[max(0, self.rung - 1)]
        calm = age < _CALM * self.deadline and busy < _CALM * below
        self._late = self._late + 1 if late else 0
        self._calm = self._calm + 1 if calm else 0
        self._since += 1
        if self._late >= _UP and self.rung < len(RUNGS) - 1:
            # A climb soon after a step down: the next step down takes longer to try.
            soon = self._stepped and self._since <= 2 * self._patience
            self._patience = min(_MOST_PATIENCE, self._patience * 2) if soon else self._patience
            self._move(1)
            return True
        if self.rung and self._calm >= self._patience:
            self._move(-1)
            return True
        if not self.rung and self._calm > 4 * _MOST_PATIENCE:
            self._patience = _DOWN
        return False

    def _move(self, by: int) -> None:
        self.rung += by
        self._late = self._calm = self._since = 0
        self._stepped = by < 0
