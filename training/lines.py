"""Reads the lines of the text corpora together with what is believed of each.

Knows how annotation and the text expert share the say. Does not know how the expert was trained, nor faces
and voices.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from training.pairs import Line
from training.text import CANDIDATES, load_text

# One annotator's word against what like lines were called: less noisy, and leaning to rare labels.
_ANNOTATION = 0.3
# EmoContext was called by three turns of which only the last is here, and RECCON by politeness: what is
# learnt is what their lines would be called elsewhere.
_CALLED_ELSEWHERE = ("emocontext", "reccon_dailydialog")


def load_lines(corpus: Path, out: Path) -> list[Line]:
    """Return every line of every corpus and split with shares float32 [10], unclear being 0 for all."""
    utterances = load_text(corpus)
    path = out / "words_expert.npz"
    if not path.is_file():
        raise FileNotFoundError(f"{path} is missing: run python -m training.words_expert first")
    with np.load(path) as arrays:
        expert, elsewhere = arrays["shares_tilted"], arrays["shares_free_tilted"]
    if expert.shape != (len(utterances), len(CANDIDATES)):
        raise ValueError(f"{path} is of other text: remove it and run python -m training.words_expert")
    lines = []
    for utterance, shares, free in zip(utterances, expert, elsewhere, strict=True):
        mixed = _ANNOTATION * utterance.shares + (1 - _ANNOTATION) * shares
        if utterance.corpus in _CALLED_ELSEWHERE:
            mixed = free
        lines.append(Line(utterance, np.append(mixed / mixed.sum(), 0.0).astype(np.float32)))
    return lines
