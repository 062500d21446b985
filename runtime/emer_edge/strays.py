"""How far numbers stray from a reference, and which bounds an exported pack keeps.

Knows figures and bounds. Does not know models, files or where the figures come from.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

FP32_RELATIVE = 1e-4
FP16_COSINE = 0.9999
INT8_COSINE = 0.99
F32_LOGITS = 2e-3
"""For F32 encoders and language model; everything else of the language model is reported only."""

Row = dict[str, Any]
"""One stage: what was measured, its `bounds` in words, and whether it `holds`."""


@dataclass(frozen=True)
class Stray:
    """Largest absolute error, smallest cosine of a row, and largest |error| / |expected| of a row."""

    max_abs_error: float
    cosine: float
    relative_error: float = 0.0


def stray(expected: NDArray[np.float32], actual: NDArray[np.float32]) -> Stray:
    """Compare rows [..., width].

    >>> import numpy as np
    >>> stray(np.array([[3.0, 4.0]], np.float32), np.array([[3.0, 4.5]], np.float32)).relative_error
    0.1
    """
    error = actual.astype(np.float64) - expected
    lengths = np.linalg.norm(expected.astype(np.float64), axis=-1)
    norms = lengths * np.linalg.norm(actual.astype(np.float64), axis=-1)
    return Stray(
        float(np.abs(error).max()),
        float(((expected.astype(np.float64) * actual).sum(-1) / np.maximum(norms, 1e-12)).min()),
        float((np.linalg.norm(error, axis=-1) / np.maximum(lengths, 1e-12)).max()),
    )


def judged(row: Row, bounds: Sequence[tuple[str, bool]]) -> Row:
    """A stage's row with its bounds."""
    return {**row, "bounds": [text for text, _ in bounds], "holds": all(held for _, held in bounds)}


def encoder_row(found: Sequence[Stray], precision: str, pooled: float | None) -> Row:
    """Embeddings or soft tokens by encoders of one precision; `pooled` is the cosine of pooled embeddings."""
    relative, cosine = max(one.relative_error for one in found), min(one.cosine for one in found)
    row: Row = {"relative_error": relative, "cosine": cosine}
    if pooled is not None:
        row["pooled_cosine"] = pooled
    bounds = {
        "fp32": [(f"relative error <= {FP32_RELATIVE:g}", relative <= FP32_RELATIVE)],
        "fp16": [(f"cosine >= {FP16_COSINE}", cosine >= FP16_COSINE)],
    }.get(precision, [])
    if precision.startswith("int8") and pooled is not None:
        bounds = [(f"pooled cosine >= {INT8_COSINE}", pooled >= INT8_COSINE)]
    return judged(row, bounds)


def llm_bounds(name: str, error: float, *, same: bool) -> list[tuple[str, bool]]:
    """What is asked of a language model's file: its first-token logits, and the words it would pick."""
    bounds = []
    if name == "F32":
        bounds.append((f"first-token logits within {F32_LOGITS:g}", error <= F32_LOGITS))
    if name in ("F32", "F16"):
        bounds.append(("same greedy text", same))
    return bounds


def told(row: Mapping[str, Any]) -> str:
    """One stage's figures in words."""
    return ", ".join(
        f"{key.replace('_', ' ')} {_number(value)}"
        for key, value in row.items()
        if key not in ("bounds", "holds")
    )


def stage_lines(stages: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """One line a stage: what was measured, and the bounds that hold."""
    return [
        f"{stage}: {told(row)}" + (f"  [{'; '.join(row['bounds'])}]" if row["bounds"] else "")
        for stage, row in stages.items()
    ]


def missed(stages: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """The stages whose bounds do not hold."""
    return [stage for stage, row in stages.items() if not row["holds"]]


def _number(value: Any) -> str:
    if not isinstance(value, float):
        return str(value)
    # Cosines and shares differ in their last digits, errors in their first.
    return f"{value:.6f}" if 0.9 < value <= 1.1 else f"{value:.3g}"
