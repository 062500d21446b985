"""The clips that a system did worst on, as markup: what is true, what it said, and the texts of both.

Knows one scored system. Every word is escaped.
"""

from __future__ import annotations

from html import escape

from emer_edge.evaluate.datasets import Row
from emer_edge.evaluate.measures import Scored
from emer_edge.evaluate.outputs import Output

WORST = 12
"""Clips of the lowest quality that are shown, with what was said about them."""
FAILED = 3
"""So many of them may have failed: told in few lines, while wrong answers are worth more to a reader."""
_TEXT_CHARS = 4_000


def worst_clips(one: Scored) -> str:
    """The markup; empty where no clip could be ranked."""
    outputs = {output.id: output for output in one.outputs}
    ranked = sorted((row for row in one.rows if row.id in one.quality), key=lambda row: one.quality[row.id])
    failed = [row for row in ranked if outputs[row.id].failed][:FAILED]
    wrong = [row for row in ranked if not outputs[row.id].failed][: WORST - len(failed)]
    return "".join(_clip(row, outputs[row.id]) for row in [*wrong, *failed])


def _clip(row: Row, output: Output) -> str:
    said = "failed" if output.failed else ", ".join(output.labels) or output.sentiment or "nothing"
    error = " ".join(str((output.error or {}).get(key, "")) for key in ("what", "why", "todo"))
    texts = (
        ("words", row.subtitle or ""),
        ("system", output.text),
        ("people", row.truth.text or ""),
        ("error", error),
    )
    lines = "".join(f"<dt>{name}</dt><dd>{_lines(text)}</dd>" for name, text in texts if text.strip())
    return (
        f"<div class=clip><header><code>{escape(row.id)}</code>"
        f"<span class='pill good'>true: {escape(_true(row))}</span>"
        f"<span class='pill bad'>said: {escape(said)}</span></header><dl>{lines}</dl></div>"
    )


def _true(row: Row) -> str:
    truth = row.truth
    if truth.valence is not None:
        return f"{truth.valence:+g}"
    return ", ".join(truth.labels or (truth.label or "",)) or "see below"


def _lines(text: str) -> str:
    return escape(text.strip()[:_TEXT_CHARS]).replace("\n", "<br>")
