"""Scores the outputs of one system on one data set with every measure that its truth allows.

Knows which measure goes with which kind of truth. Does not know files or how results are shown.

Open labels: the emotion-wheel measures, and MER2024's set metric where synonym groups are given. One label:
hit rate, and accuracy, UAR and F1 of the first label. Valence: WAF and accuracy. A clip that failed has no
label and the wrong sentiment, so that failing never pays.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emer_edge.errors import InputError
from emer_edge.evaluate.answer_labels import NAME, read_labels
from emer_edge.evaluate.calibration import Calibration
from emer_edge.evaluate.datasets import DataSet, Row
from emer_edge.evaluate.faithfulness import GIVEN, Checked, Evidence, check_answer
from emer_edge.evaluate.faithfulness_rates import Faithfulness, faithfulness
from emer_edge.evaluate.figures import Figure, estimates
from emer_edge.evaluate.outputs import Output
from emer_edge.evaluate.scores import Estimate
from emer_edge.evaluate.stored import System
from emer_edge.evaluate.truth_scores import Scoring, TruthScores, label_of

HEADLINES = {
    "labels": ("ew_f", "m_avg"),
    "label": ("uar", "accuracy", "weighted_f1", "hit_rate"),
    "valence": ("waf", "acc"),
}
"""Which figures stand in a table for each kind of truth; the first decides a comparison."""


@dataclass(frozen=True)
class Scored:
    """One system on one data set.

    `quality` ranks clips, 0..1, higher is better; `confusions` holds title -> (words, weights [words,
    words], truth by prediction).
    """

    system: System
    data: DataSet
    rows: tuple[Row, ...]
    outputs: tuple[Output, ...]
    figures: Mapping[str, Figure]
    estimates: Mapping[str, Estimate]
    details: Mapping[str, Any]
    quality: Mapping[str, float]
    confusions: Mapping[str, tuple[tuple[str, ...], NDArray[np.float64]]]
    calibration: Calibration | None = None
    faithfulness: Faithfulness | None = None
    checked: Mapping[str, Checked] = field(default_factory=dict)

    @property
    def failed(self) -> int:
        """Clips with an error in the place of an answer."""
        return sum(output.failed for output in self.outputs)

    @property
    def groups(self) -> list[str] | None:
        """What the bootstrap draws: speakers or videos where every row has one, else the clips."""
        named = [row.group for row in self.rows]
        return named if all(named) else None

    def to_dict(self) -> dict[str, Any]:
        """Everything as plain data, None where nothing could be measured."""
        return {
            "system": self.system.name,
            "labels_from": self.system.labels_from,
            "data": self.data.describe(),
            "clips": len(self.rows),
            "failed": self.failed,
            "drawn": "clips" if self.groups is None else "groups",
            "figures": {name: value.to_dict() for name, value in self.estimates.items()},
            "calibration": None if self.calibration is None else self.calibration.to_dict(),
            "faithfulness": None if self.faithfulness is None else self.faithfulness.to_dict(),
            **self.details,
        }


def headline_names(data: DataSet) -> tuple[str, ...]:
    """The figures that stand in a table for this data set, the deciding one first."""
    return tuple(name for kind in HEADLINES for name in HEADLINES[kind] if kind in _kinds(data))


def score_system(data: DataSet, system: System, how: Scoring | None = None) -> Scored:
    """Score one system.

    A data set whose truth is text alone is scored by the labels that our rules read from it, which
    `details["truth_from"]` says.

    Raises:
        InputError: clips without output (unless `how.answered_only`), or no truth to score against.
    """
    how = how or Scoring()
    rows = _answered(data, system, how)
    outputs = tuple(system.outputs[row.id] for row in rows)
    kinds = _kinds(data)
    found = TruthScores(rows, outputs, how, {"truth_from": "the data set"})
    if "labels" in kinds:
        if "labels" not in data.kinds:
            found.details["truth_from"] = NAME
        found.add_labels({row.id: _true_labels(row) for row in rows})
    if "label" in kinds:
        found.add_classes(data.candidates or tuple(dict.fromkeys(label_of(row) for row in rows)))
    if "valence" in kinds:
        found.add_sentiment()
    if how.judging is not None:
        found.add_overlaps(how.judging, data.language)
    if how.encoder is not None:
        found.add_cues(how.encoder, data.language)
    if not found.figures:
        raise InputError(f"{data.name} has no truth to score against.", f"It has: {', '.join(data.kinds)}.")
    groups = [row.group for row in rows]
    drawn = groups if all(groups) else None
    checked = _checked(rows, outputs)
    return Scored(
        system=system,
        data=data,
        rows=rows,
        outputs=outputs,
        figures=found.figures,
        estimates=estimates(found.figures, drawn, how.resampling),
        details=found.details,
        quality=found.quality,
        confusions=found.confusions,
        calibration=found.calibrated,
        faithfulness=faithfulness(list(checked.values()), how.resampling) if checked else None,
        checked=checked,
    )


def _kinds(data: DataSet) -> tuple[str, ...]:
    """The kinds of truth that are scored; text alone stands in for labels."""
    return ("labels",) if data.kinds == ("text",) else data.kinds


def _true_labels(row: Row) -> tuple[str, ...]:
    return read_labels(row.truth.text or "") if row.truth.labels is None else row.truth.labels


def _answered(data: DataSet, system: System, how: Scoring) -> tuple[Row, ...]:
    absent = [row.id for row in data.rows if row.id not in system.outputs]
    if absent and not how.answered_only:
        raise InputError(
            f"{system.name} has no output for {len(absent)} of {len(data)} clips of {data.name}.",
            f"The first: {', '.join(absent[:5])}.",
            "Finish the run, or pass --answered-only to score the clips that have an answer.",
        )
    rows = tuple(
        row
        for row in data.rows
        if not how.answered_only or (row.id in system.outputs and not system.outputs[row.id].failed)
    )
    if not rows:
        raise InputError(f"{system.name} has no answer for any clip of {data.name}.")
    return rows


def _checked(rows: tuple[Row, ...], outputs: tuple[Output, ...]) -> dict[str, Checked]:
    """Checked answers of the systems that say what they rest on, which packs do."""
    done = {}
    for row, output in zip(rows, outputs, strict=True):
        if output.failed or not output.text or not output.used:
            continue
        evidence = Evidence(
            given=frozenset(GIVEN[name] for name in output.used),
            subtitle=output.subtitle or None,
            voice=output.voice,
            labels=tuple(label for label in output.labels if label in output.scores),
            scores=output.scores,
            alone=output.alone,
        )
        done[row.id] = check_answer(output.text, evidence, row.id)
    return done
