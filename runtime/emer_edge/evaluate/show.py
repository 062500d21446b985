"""Figures as people read them: names, percent, intervals, aligned columns. Knows no terminal and no HTML."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from emer_edge.evaluate.compare import Comparison
from emer_edge.evaluate.faithfulness_rates import Faithfulness
from emer_edge.evaluate.measures import Scored, headline_names
from emer_edge.evaluate.scores import Estimate

TITLES = {
    "ew_f": "EW-F",
    "m_avg": "M-avg",
    "ew_precision": "EW-P",
    "ew_recall": "EW-R",
    "ew_f_level2": "EW-F L2",
    "set_accuracy": "Accuracy_S",
    "set_recall": "Recall_S",
    "set_average": "Avg",
    "set_f": "F_s (groups)",
    "accuracy": "accuracy",
    "uar": "UAR",
    "macro_f1": "macro F1",
    "weighted_f1": "weighted F1",
    "hit_rate": "hit rate",
    "m_score": "m-score",
    "waf": "WAF",
    "acc": "ACC",
    "clue_overlap": "clue overlap of 10",
    "label_overlap": "label overlap of 10",
    "cue_visual_f": "cues of the face, F",
    "cue_auditory_f": "cues of the voice, F",
    "cue_emotional_f": "cues of the emotion, F",
}
RATE_TITLES = {
    "voice": "voice clues right",
    "pitch": "  pitch",
    "movement": "  pitch movement",
    "loudness": "  loudness",
    "pace": "  pace",
    "pauses": "  pauses",
    "quotes": "quotes stand in the words",
    "absent_unnamed": "absent modality not named",
    "given_named": "given modality named",
    "labels_agree": "labels agree with logits",
    "agreement": "clues agree or differ as said",
}


def title(name: str) -> str:
    """The figure's name in the papers, or its own."""
    return TITLES.get(name, name)


def percent(value: float) -> str:
    """`55.37`; a dash where there is no value."""
    return "-" if np.isnan(value) else f"{100 * value:.2f}"


def with_interval(estimate: Estimate) -> str:
    """`55.37 [51.15, 59.50]`, in percent."""
    if np.isnan(estimate.value):
        return "-"
    return f"{percent(estimate.value)} [{percent(estimate.low)}, {percent(estimate.high)}]"


def aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Rows of cells as lines; the first column to the left, the others to the right."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return [
        "  ".join(
            cell.ljust(width) if column == 0 else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]


def figure_rows(scored: Scored) -> list[tuple[str, str, str]]:
    """The cells of one system's figures, header first; the headlines come first."""
    rows = [("figure, %", "value", "95 % interval")]
    shown = headline_names(scored.data)
    for name in (*shown, *(name for name in scored.figures if name not in shown)):
        estimate = scored.estimates[name]
        interval = f"{percent(estimate.low)} .. {percent(estimate.high)}"
        rows.append((title(name), percent(estimate.value), "" if np.isnan(estimate.value) else interval))
    return rows


def score_lines(scored: Scored) -> list[str]:
    """One system: every figure with its interval, then calibration and faithfulness."""
    failed = f", {scored.failed} failed" if scored.failed else ""
    head = f"{scored.system.name} on {scored.data.name}: {len(scored.rows)} clips{failed}"
    lines = [head, *aligned(figure_rows(scored))]
    if scored.calibration is not None:
        found = scored.calibration
        lines.append(f"calibration error {with_interval(found.ece)} % over {found.items} clips")
    if scored.faithfulness is not None:
        lines += ["", *faithfulness_lines(scored.faithfulness)]
    return lines


def faithfulness_rows(found: Faithfulness) -> list[tuple[str, ...]]:
    """The cells that say how many statements of each kind were right, header first."""
    rows = [("statements", "right, %", "95 % interval", "checked", "per answer", "by chance, %")]
    for name, rate in found.rates.items():
        if not rate.stated:
            continue
        interval = f"{percent(rate.right.low)} .. {percent(rate.right.high)}" if rate.checked else ""
        rows.append(
            (
                RATE_TITLES.get(name, name),
                percent(rate.right.value),
                interval,
                str(rate.checked),
                f"{rate.per_answer:.2f}",
                percent(rate.by_chance),
            )
        )
    return [*rows]


def faithfulness_lines(found: Faithfulness) -> list[str]:
    """How many statements of each kind were right, and how many answers have no fault."""
    return [*aligned(faithfulness_rows(found)), fault_line(found)]


def fault_line(found: Faithfulness) -> str:
    """How many answers have no fault."""
    return f"without any fault: {with_interval(found.without_fault)} % of {found.answers} answers"


def comparison_rows(comparison: Comparison) -> list[tuple[str, ...]]:
    """The table's cells, header first: system, figures in percent, difference from the reference, verdict."""
    figure = title(comparison.figure)
    rows: list[tuple[str, ...]] = [
        (
            "system",
            *(f"{title(name)}, %" for name in comparison.columns),
            f"{figure} minus {comparison.reference}",
            "p (Holm)",
            "",
        )
    ]
    for scored in comparison.systems:
        name = scored.system.name
        first, *others = comparison.columns
        cells = [with_interval(scored.estimates[first])]
        cells += [percent(scored.estimates[other].value) for other in others]
        found = comparison.against.get(name)
        if found is None:
            rows.append((name, *cells, "", "", "reference"))
            continue
        d = found.difference
        change = f"{100 * d.value:+.2f} [{100 * d.low:+.2f}, {100 * d.high:+.2f}]"
        rows.append(
            (name, *cells, change, f"{found.p_corrected:.4f}", "noise" if found.is_noise else "differs")
        )
    return rows
