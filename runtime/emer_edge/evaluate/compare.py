"""Sets systems side by side: figures with intervals, paired differences, and which of these are noise.

Knows scored systems. Does not know files or how a table is drawn.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from emer_edge.errors import InputError
from emer_edge.evaluate.datasets import DataSet
from emer_edge.evaluate.figures import difference, holm
from emer_edge.evaluate.measures import Scored, headline_names
from emer_edge.evaluate.scores import Difference, Resampling

PAIRED = Resampling(10_000)
"""More draws than an interval needs: the smallest p-value has to survive the correction for many systems."""
LEVEL = 0.05
EXTRA = ("set_average", "clue_overlap", "label_overlap", "cue_visual_f", "cue_auditory_f", "cue_emotional_f")
"""Figures that stand in a table where they were asked for."""


@dataclass(frozen=True)
class Against:
    """One system minus the reference, on the same clips.

    `p_corrected` is Holm's over all systems of the comparison; `is_noise` says that it is not under 0.05.
    """

    difference: Difference
    p_corrected: float

    @property
    def is_noise(self) -> bool:
        """Whether the difference can't be told from chance."""
        return self.p_corrected >= LEVEL

    def to_dict(self) -> dict[str, Any]:
        """As plain data."""
        d = self.difference
        return {
            "value": d.value,
            "interval_95": [d.low, d.high],
            "p": d.p_value,
            "p_corrected": self.p_corrected,
            "noise": self.is_noise,
        }


@dataclass(frozen=True)
class Comparison:
    """Systems on one data set, the best first.

    Args:
        figure: which one decides.
        reference: name of the system that the others are compared with.
        systems: all of them.
        against: system -> its difference from the reference; without the reference itself.
    """

    figure: str
    reference: str
    systems: tuple[Scored, ...]
    against: Mapping[str, Against]

    @property
    def data(self) -> DataSet:
        """The data set they were scored on."""
        return self.systems[0].data

    @property
    def columns(self) -> tuple[str, ...]:
        """The figures of a table, the deciding one first."""
        names = [name for name in headline_names(self.data) if name in self.systems[0].figures]
        extra = [name for name in EXTRA if name in self.systems[0].figures]
        return tuple(dict.fromkeys((self.figure, *names, *extra)))

    def to_dict(self) -> dict[str, Any]:
        """As plain data: one entry for each system, the best first."""
        rows = []
        for scored in self.systems:
            name = scored.system.name
            rows.append(
                {
                    **scored.to_dict(),
                    "against_reference": self.against[name].to_dict() if name in self.against else None,
                }
            )
        return {"figure": self.figure, "reference": self.reference, "systems": rows}


def compare(
    scored: Sequence[Scored],
    figure: str = "",
    reference: str = "",
    resampling: Resampling = PAIRED,
) -> Comparison:
    """Compare systems scored on the same clips.

    Args:
        scored: at least one.
        figure: which one decides; by default the first headline of the data set.
        reference: name of a system; by default the best one.
        resampling: how the paired bootstrap draws.

    Raises:
        InputError: other clips, an unknown figure or system, or two systems of one name.
    """
    _check(scored)
    figure = figure or headline_names(scored[0].data)[0]
    absent = [one.system.name for one in scored if figure not in one.figures]
    if absent:
        known = ", ".join(scored[0].figures)
        raise InputError(f"There is no figure {figure!r} of {absent[0]}.", f"There are {known}.")
    # Systems without a value stand last.
    ranked = sorted(
        scored,
        key=lambda one: (-_or_low(one.estimates[figure].value), one.system.name),
    )
    by_name = {one.system.name: one for one in ranked}
    reference = reference or ranked[0].system.name
    if reference not in by_name:
        raise InputError(f"There is no system {reference!r}.", f"There are {', '.join(by_name)}.")
    best = by_name[reference]
    found = {
        name: difference(one.figures[figure], best.figures[figure], best.groups, resampling)
        for name, one in by_name.items()
        if name != reference
    }
    corrected = holm({name: change.p_value for name, change in found.items()})
    against = {name: Against(change, corrected[name]) for name, change in found.items()}
    return Comparison(figure, reference, tuple(ranked), against)


def _check(scored: Sequence[Scored]) -> None:
    if not scored:
        raise InputError("There is nothing to compare.", todo="Name at least one run.")
    names = [one.system.name for one in scored]
    if len(set(names)) < len(names):
        raise InputError("Two systems have the same name.", todo="Give them names: NAME=PATH.")
    clips = [row.id for row in scored[0].rows]
    for one in scored[1:]:
        if [row.id for row in one.rows] != clips:
            raise InputError(
                f"{one.system.name} and {scored[0].system.name} were scored on different clips.",
                f"{len(one.rows)} and {len(clips)} clips.",
            )


def _or_low(value: float) -> float:
    return value if value == value else float("-inf")
