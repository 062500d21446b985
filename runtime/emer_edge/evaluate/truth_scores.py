"""Which measure goes with which kind of truth, and the per-clip columns behind each.

Knows open labels, classes and sentiment. Does not know files, runs or how results are shown.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emer_edge.errors import InputError
from emer_edge.evaluate.calibration import Calibration, calibration
from emer_edge.evaluate.classes import OTHER, class_shares, first_class
from emer_edge.evaluate.cue_reading import NAME as CUE_RULES
from emer_edge.evaluate.cue_reading import read_cues
from emer_edge.evaluate.datasets import Language, Row
from emer_edge.evaluate.figures import Figure, class_figures, f_figure, mean_figure
from emer_edge.evaluate.judging import Judging
from emer_edge.evaluate.outputs import Output
from emer_edge.evaluate.overlap import HIGHEST
from emer_edge.evaluate.overlap_cues import SentenceEncoder, score_cues
from emer_edge.evaluate.scores import Resampling
from emer_edge.evaluate.set_metrics import Groups, LabelSets, score_grouped_sets
from emer_edge.evaluate.vocabulary import default_vocabulary
from emer_edge.evaluate.wheel import WheelVocabulary
from emer_edge.evaluate.wheel_metrics import score_hits, score_wheels, wheel_confusion


@dataclass(frozen=True)
class Scoring:
    """How to score.

    Args:
        vocabulary: the words and wheels.
        groups: synonym groups of each clip, for MER2024's set metric.
        answered_only: leave out clips that have no output or failed, rather than refuse or count them.
        resampling: how the bootstrap draws.
        judging: a judge of descriptions, for clue overlap and label overlap.
        encoder: of sentences, for EmoCue-style matching of cues that are read from the texts by rules.
    """

    vocabulary: WheelVocabulary = field(default_factory=default_vocabulary)
    groups: Mapping[str, Groups] | None = None
    answered_only: bool = False
    resampling: Resampling = field(default_factory=Resampling)
    judging: Judging | None = None
    encoder: SentenceEncoder | None = None

    def close(self) -> None:
        """Give back what a judge holds; may be called again."""
        if self.judging is not None:
            self.judging.model.close()


@dataclass
class TruthScores:
    """The figures of one system, gathered while the kinds of truth are gone through.

    `quality` ranks clips, 0..1, higher is better; `confusions` holds title -> (words, weights [words, words],
    truth by prediction).
    """

    rows: tuple[Row, ...]
    outputs: tuple[Output, ...]
    how: Scoring
    details: dict[str, Any]
    figures: dict[str, Figure] = field(default_factory=dict)
    quality: dict[str, float] = field(default_factory=dict)
    confusions: dict[str, tuple[tuple[str, ...], NDArray[np.float64]]] = field(default_factory=dict)
    calibrated: Calibration | None = None

    @property
    def said(self) -> LabelSets:
        """Clip -> predicted labels; none where it failed."""
        return {output.id: output.labels for output in self.outputs}

    def add_labels(self, truth: LabelSets) -> None:
        """The emotion-wheel measures, and the set metric where there are groups."""
        scores = score_wheels(truth, self.said, self.how.vocabulary)
        every = list(scores.measures.values())
        inner, middle = scores.rings(1), scores.rings(2)
        self.figures |= {
            "ew_f": f_figure("ew_f", [s.precisions for s in inner], [s.recalls for s in inner]),
            "m_avg": f_figure("m_avg", [s.precisions for s in every], [s.recalls for s in every]),
            "ew_precision": mean_figure("ew_precision", np.array([s.precisions for s in inner])),
            "ew_recall": mean_figure("ew_recall", np.array([s.recalls for s in inner])),
            "ew_f_level2": f_figure(
                "ew_f_level2", [s.precisions for s in middle], [s.recalls for s in middle]
            ),
        }
        for name, measure in scores.measures.items():
            self.figures[name] = f_figure(name, [measure.precisions], [measure.recalls])
        self.details["wheels"] = scores.to_dict()
        self.quality |= {name: value for name, value in scores.clip_f().items() if not np.isnan(value)}
        self._confuse(truth)
        if self.how.groups is not None:
            grouped = score_grouped_sets(truth, self.said, self.how.groups)
            pair = np.array([grouped.precisions, grouped.recalls])
            self.figures |= {
                "set_accuracy": mean_figure("set_accuracy", pair[:1]),
                "set_recall": mean_figure("set_recall", pair[1:]),
                "set_average": mean_figure("set_average", pair),
                "set_f": f_figure("set_f", [grouped.precisions], [grouped.recalls]),
            }

    def add_classes(self, candidates: tuple[str, ...]) -> None:
        """Hit rate of all labels; accuracy, UAR and F1 of the first; calibration where there are scores."""
        truth = {row.id: label_of(row) for row in self.rows}
        hits = score_hits(truth, self.said, self.how.vocabulary, candidates)
        shares = {output.id: class_shares(output.scores, candidates) for output in self.outputs}
        names = (*candidates, OTHER)
        guess = {}
        for output in self.outputs:
            share = shares[output.id]
            certain = None if share is None else candidates[int(share.argmax())]
            guess[output.id] = certain or first_class(output.labels, candidates)
        index = {name: place for place, name in enumerate(names)}
        right = [index[truth[row.id]] for row in self.rows]
        told = [index[guess[row.id]] for row in self.rows]
        self.figures |= class_figures(right, told, len(names))
        self.figures["hit_rate"] = mean_figure("hit_rate", hits.hits)
        self.figures["m_score"] = mean_figure("m_score", hits.shares)
        self.details["hits"] = hits.to_dict()
        confusion = np.zeros((len(names), len(names)))
        np.add.at(confusion, (right, told), 1.0)
        self.confusions["classes"] = (names, confusion)
        for row, output in zip(self.rows, self.outputs, strict=True):
            share = shares[output.id]
            sure = 0.0 if share is None else float(share[index[truth[row.id]]])
            # Right answers before wrong ones, and among those the surest mistakes last.
            self.quality[row.id] = (1.0 + sure) / 2 if guess[row.id] == truth[row.id] else sure / 2
        self._calibrate(shares, right, len(candidates))
        self._confuse({name: (label,) for name, label in truth.items()})

    def add_sentiment(self) -> None:
        """WAF and accuracy, where every answer says its sentiment."""
        silent = sum(not output.failed and not output.sentiment for output in self.outputs)
        if silent:
            self.details["not_scored"] = {"waf": f"{silent} answers say nothing of sentiment"}
            nothing = np.full((1, len(self.rows)), np.nan)
            self.figures |= {name: mean_figure(name, nothing) for name in ("waf", "acc")}
            return
        pairs = [
            (row.truth.valence or 0.0, output) for row, output in zip(self.rows, self.outputs, strict=True)
        ]
        right = [int(valence > 0) for valence, _ in pairs]
        # A clip that failed counts as the wrong side.
        told = [
            1 - truth if output.failed else int(output.sentiment == "positive")
            for truth, (_, output) in zip(right, pairs, strict=True)
        ]
        figures = class_figures(right, told, 2)
        neutral = np.array([valence == 0 for valence, _ in pairs])
        for name, source in (("waf", "weighted_f1"), ("acc", "accuracy")):
            columns = figures[source].columns.copy()
            columns[:, neutral] = np.nan
            self.figures[name] = Figure(name, columns, figures[source].combine)
        for row, truth, guess in zip(self.rows, right, told, strict=True):
            self.quality[row.id] = float(truth == guess)

    def add_overlaps(self, judging: Judging, language: Language) -> None:
        """Clue overlap and label overlap as shares of 10, the top of the scale, where people wrote a text.

        Raises:
            InputError: a row has no text by people.
            EmerError: whatever the judge raises.
        """
        for score in judging.overlaps(self._texts(), self._said_texts(), language):
            name = "clue_overlap" if score.overlap == "clues" else "label_overlap"
            scores = np.nan_to_num(score.scores, nan=0.0) if score.unreadable == "zero" else score.scores
            self.figures[name] = mean_figure(name, scores / HIGHEST)
            self.details[name] = score.to_dict()

    def add_cues(self, encoder: SentenceEncoder, language: Language) -> None:
        """EmoCue-style F of the cues that texts state, by kind.

        Raises:
            InputError: a row has no text by people, or it is not English.
        """
        if language != "en":
            raise InputError("The rules that read cues know English only.", todo="Leave --cues out.")
        truth, said = self._texts(), self._said_texts()
        scores = score_cues(
            {name: read_cues(text) for name, text in truth.items()},
            {name: read_cues(text) for name, text in said.items()},
            encoder,
        )
        for kind, score in scores.kinds.items():
            column = dict(zip(score.names, score.f_scores, strict=True))
            name = f"cue_{kind}_f"
            self.figures[name] = mean_figure(name, np.array([column.get(clip, np.nan) for clip in truth]))
        self.details["cues"] = {"read_by": CUE_RULES, **scores.to_dict()}

    def _texts(self) -> dict[str, str]:
        texts = {row.id: row.truth.text or "" for row in self.rows}
        if absent := [name for name, text in texts.items() if not text.strip()]:
            raise InputError(
                f"{len(absent)} rows have no text by people to compare with.", f"The first: {absent[0]}."
            )
        return texts

    def _said_texts(self) -> dict[str, str]:
        return {output.id: "" if output.failed else output.text for output in self.outputs}

    def _confuse(self, truth: LabelSets) -> None:
        for number, wheel in enumerate(self.how.vocabulary.wheels, 1):
            words, weights = wheel_confusion(truth, self.said, self.how.vocabulary, wheel)
            title = wheel.name if wheel.name == f"W{number}" else f"W{number} {wheel.name}"
            self.confusions[title] = ((*words, "none"), weights)

    def _calibrate(
        self, shares: Mapping[str, NDArray[np.float64] | None], right: list[int], classes: int
    ) -> None:
        rows = [
            (share, truth)
            for truth, share in zip(right, (shares[row.id] for row in self.rows), strict=True)
            if share is not None and truth < classes
        ]
        if rows:
            self.calibrated = calibration(
                np.array([share for share, _ in rows]),
                np.array([truth for _, truth in rows]),
                resampling=self.how.resampling,
            )


def label_of(row: Row) -> str:
    """The one label of a row that has one.

    Raises:
        InputError: it has none.
    """
    if row.truth.label is None:
        raise InputError(f"{row.id} has no label.")
    return row.truth.label
