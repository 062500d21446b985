"""Cues of an answer: what it says of the face, of the voice and of the emotion, read by rules or from a file.

Knows English clauses and a JSON-lines file of cues. Does not know encoders or scores. EmoCue-360 has a
language model list the cues; these rules stand in for it, and figures made from them compare with each other
only.
"""

from __future__ import annotations

import re
from pathlib import Path

from emer_edge.errors import InputError
from emer_edge.evaluate.answer_labels import read_labels
from emer_edge.evaluate.mentions import mentions
from emer_edge.evaluate.overlap_cues import KINDS, CueKind, Cues
from emer_edge.evaluate.tables import read_jsonl
from emer_edge.llm.parse import split_sentences

NAME = "rules of emer-edge for cues, 1"
"""Goes into every result that rests on cues read here."""

_CLAUSES = re.compile(r"[,;:]\s+|\s+(?:and|while|but|as well as|with)\s+", re.IGNORECASE)


def read_cues(text: str) -> Cues:
    """The cues of an English text: clauses that name the face or the voice, and the labels.

    >>> read_cues("His brows are knit, and his voice is loud. He is angry.")
    {'visual': ['His brows are knit'], 'auditory': ['his voice is loud'], 'emotional': ['angry']}
    """
    found: dict[CueKind, list[str]] = {"visual": [], "auditory": [], "emotional": [*read_labels(text)]}
    for sentence in split_sentences(text):
        for clause in _CLAUSES.split(sentence):
            named = {mention.modality for mention in mentions(clause)}
            clean = clause.strip(" .!?,;:")
            if "face" in named:
                found["visual"].append(clean)
            if "voice" in named:
                found["auditory"].append(clean)
    return found


def read_cue_file(path: Path) -> dict[str, Cues]:
    """Clip -> cues, of a jsonl with `id` and lists of texts `visual`, `auditory`, `emotional`, each optional.

    Raises:
        InputError: another layout, or a clip twice.
    """
    found: dict[str, Cues] = {}
    for number, row in enumerate(read_jsonl(path), 1):
        name = row.get("id")
        lists = {kind: row.get(kind, []) for kind in KINDS}
        right = all(
            isinstance(cues, list) and all(isinstance(c, str) for c in cues) for cues in lists.values()
        )
        if not isinstance(name, str) or not right or name in found:
            raise InputError(
                f"{path}, row {number} holds no cues.",
                f"It needs an id of its own and lists of texts: {', '.join(KINDS)}.",
            )
        found[name] = {kind: tuple(cues) for kind, cues in lists.items()}
    return found
