"""Checks what the reasoning of a pack states against the very clips it is about.

Knows which modalities a pair gave and what was said of it. Does not know how a statement is found or checked
(emer_edge.evaluate.faithfulness).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from emer_edge.evaluate.faithfulness import GIVEN, Checked, Evidence, check_answer
from emer_edge.evaluate.faithfulness_rates import faithfulness
from training.measure_pairs import SUBSETS, Pair

# A text that was cut says less than it would have.
_WHOLE = "stop"


def checked(pair: Pair, answer: Mapping[str, Any], clip: str) -> Checked:
    """Check one explanation; the voice is measured on the waveform that was heard.

    A modality that the runtime left out, since nothing can be read from it, counts as not given.
    """
    scores = answer["scores"]
    evidence = Evidence(
        given=frozenset(GIVEN[name] for name in answer["used"]),
        subtitle=pair.words if "w" in pair.subset else None,
        voice=pair.voice.astype(np.float32) if "v" in pair.subset else None,
        labels=tuple(sorted(scores, key=lambda label: -scores[label])),
        scores=scores,
        alone=answer["alone"],
    )
    return check_answer(answer["text"], evidence, clip)


def explanation(pairs: Sequence[Pair], answers: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Sum up all explanations, and the rates of each subset of modalities."""
    done = [
        checked(pair, answer, str(row)) for row, (pair, answer) in enumerate(zip(pairs, answers, strict=True))
    ]
    figures = faithfulness(done).to_dict()
    subsets = {}
    for subset in SUBSETS:
        own = [check for check, pair in zip(done, pairs, strict=True) if pair.subset == subset]
        if own:
            rates = faithfulness(own)
            subsets[subset] = {
                "answers": rates.answers,
                "without_fault": rates.without_fault.to_dict(),
                **{name: rate.right.to_dict() for name, rate in rates.rates.items() if rate.checked},
            }
    return {
        **figures,
        "different_texts": len({answer["text"] for answer in answers}),
        "cut_off": sum(answer["finish"] != _WHOLE for answer in answers),
        "subsets": subsets,
    }
