"""Draws two plain plots as SVG text: a heat map and a reliability diagram.

Knows numbers and words. Does not know systems or metrics. Every word is escaped; nothing points outside.
Colours are classes of the page's style, so that they follow the reader's choice of light or dark.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

import numpy as np
from numpy.typing import NDArray

from emer_edge.evaluate.calibration import Reliability
from emer_edge.writers.drawing import picture, shorten, text


def heat_map(words: Sequence[str], weights: NDArray[np.floating], title: str, rest: str = "") -> str:
    """A confusion matrix, rows are the truth; each row is shaded by its own share.

    Args:
        words: names of rows and columns.
        weights: float [words, words].
        title: what is drawn.
        rest: name of the last row, where it is not that of the last column.
    """
    names = [*words[:-1], rest or words[-1]]
    cell, left, top = 52, 130, 96
    sums = weights.sum(1, keepdims=True)
    shares = weights / np.where(sums == 0, 1.0, sums)
    parts = [text(left, 40, "said", tone="soft"), text(8, top - 8, "true", tone="soft")]
    for column, word in enumerate(words):
        x = left + column * cell + cell / 2
        parts.append(
            f'<text x="{x:.0f}" y="{top - 8}" class="ink" '
            f'transform="rotate(-35 {x:.0f} {top - 8})">{escape(shorten(word, 14))}</text>'
        )
    for row, name in enumerate(names):
        y = top + row * cell * 0.6
        parts.append(text(left - 8, y + 20, shorten(name, 16), "end", full=name))
        for column in range(len(words)):
            share, weight = float(shares[row, column]), float(weights[row, column])
            x = left + column * cell
            parts.append(
                f'<rect x="{x}" y="{y:.0f}" width="{cell - 2}" height="29" rx="3" class="cell" '
                f'fill-opacity="{0.06 + 0.94 * share:.2f}"/>'
            )
            if weight > 0:
                tone = "on" if share > 0.5 else "ink"
                parts.append(text(x + cell / 2 - 1, y + 19, _count(weight), "middle", tone))
    height = int(top + len(names) * cell * 0.6 + 10)
    return picture(left + len(words) * cell + 50, height, title, parts)


def reliability_diagram(found: Reliability, title: str) -> str:
    """How often each confidence was right; on the diagonal confidences mean what they say."""
    side, left, top = 260, 50, 50
    parts = [
        f'<rect x="{left}" y="{top}" width="{side}" height="{side}" class="rule"/>',
        f'<path d="M{left} {top + side}L{left + side} {top}" class="rule" stroke-dasharray="4 4"/>',
        text(left + side / 2, top + side + 34, "confidence", "middle"),
        text(8, top - 8, "share that was right"),
    ]
    for tick in (0.0, 0.5, 1.0):
        parts.append(text(left + side * tick, top + side + 16, f"{tick:g}", "middle"))
        parts.append(text(left - 6, top + side * (1 - tick) + 4, f"{tick:g}", "end"))
    for low, high, right, count in zip(found.low, found.high, found.accuracy, found.count, strict=True):
        x, width = left + side * low, max(side * (high - low) - 1, 1)
        parts.append(
            f'<rect x="{x:.1f}" y="{top + side * (1 - right):.1f}" width="{width:.1f}" '
            f'height="{side * right:.1f}" class="bar" fill-opacity="0.8">'
            f"<title>{int(count)} clips</title></rect>"
        )
    return picture(left + side + 20, top + side + 44, title, parts)


def _count(weight: float) -> str:
    return f"{weight:.0f}" if abs(weight - round(weight)) < 0.05 else f"{weight:.1f}"
