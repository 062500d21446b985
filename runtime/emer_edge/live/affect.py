"""Valence and arousal of labels, from a published table. Knows words and numbers; no model, no window.

Source: Russell, J. A., and Mehrabian, A. (1977). Evidence for a three-factor theory of emotions. Journal of
Research in Personality 11(3), 273-294, doi:10.1016/0092-6566(77)90037-X: the mean pleasure and arousal, each
-1..1, with which terms of emotion were rated.
"""

from __future__ import annotations

from collections.abc import Mapping

SOURCE = "Russell and Mehrabian 1977, doi:10.1016/0092-6566(77)90037-X"
TERMS: dict[str, tuple[float, float]] = {
    "angry": (-0.51, 0.59),
    "anxious": (0.01, 0.59),
    "ashamed": (-0.57, 0.01),  # "shamed"
    "astonished": (0.16, 0.88),
    "bored": (-0.65, -0.62),
    "confused": (-0.53, 0.27),
    "contemptuous": (-0.24, 0.31),
    "curious": (0.22, 0.62),
    "depressed": (-0.72, -0.29),
    "disgusted": (-0.60, 0.35),
    "distressed": (-0.61, 0.28),
    "embarrassed": (-0.46, 0.54),
    "enraged": (-0.44, 0.72),
    "excited": (0.62, 0.75),
    "fearful": (-0.64, 0.60),
    "friendly": (0.69, 0.35),
    "frustrated": (-0.64, 0.52),
    "grateful": (0.64, 0.16),
    "guilty": (-0.57, 0.28),
    "happy": (0.81, 0.51),
    "helpless": (-0.71, 0.42),
    "hopeful": (0.51, 0.23),
    "interested": (0.64, 0.51),
    "joyful": (0.76, 0.48),
    "lonely": (-0.66, -0.43),
    "proud": (0.77, 0.38),
    "relaxed": (0.68, -0.46),
    "sad": (-0.63, -0.27),
    "surprised": (0.40, 0.67),
    "tense": (-0.33, 0.58),
    "troubled": (-0.63, 0.16),
    "upset": (-0.63, 0.30),
}
"""(valence, arousal) of the terms that are used, as published."""
STANDS_FOR: dict[str, str] = {
    "afraid": "fearful",
    "anger": "angry",
    "annoyed": "frustrated",
    "anxiety": "anxious",
    "boredom": "bored",
    "calm": "relaxed",
    "contempt": "contemptuous",
    "content": "relaxed",
    "disappointed": "upset",
    "disgust": "disgusted",
    "excitement": "excited",
    "fear": "fearful",
    "frustration": "frustrated",
    "furious": "enraged",
    "happiness": "happy",
    "joy": "joyful",
    "nervous": "tense",
    "pride": "proud",
    "relief": "relaxed",
    "sadness": "sad",
    "scared": "fearful",
    "surprise": "surprised",
    "worried": "troubled",
}
"""Our choice: the term whose rating a label takes that was not rated itself."""
ORIGIN = frozenset({"neutral", "unclear"})
"""Labels that pull to the origin: they say that there is nothing, or nothing to be seen."""


def place(label: str) -> tuple[float, float] | None:
    """(valence, arousal) of a label, each -1..1; None for a label that the table does not know.

    >>> place("calm")
    (0.68, -0.46)
    """
    word = label.strip().lower()
    if word in ORIGIN:
        return 0.0, 0.0
    return TERMS.get(STANDS_FOR.get(word, word))


def valence_arousal(scores: Mapping[str, float]) -> tuple[float, float]:
    """The mean valence and arousal of a distribution over labels; labels without a place are left out.

    Args:
        scores: confidence of each label, 0..1.

    Returns:
        (valence, arousal), each -1..1; (0, 0) where no label has a place.

    >>> valence_arousal({"happy": 0.5, "neutral": 0.5})
    (0.405, 0.255)
    """
    placed = [
        (share, at) for label, share in scores.items() if share > 0 and (at := place(label)) is not None
    ]
    total = sum(share for share, _ in placed)
    if not total:
        return 0.0, 0.0
    valence, arousal = (sum(share * at[axis] for share, at in placed) / total for axis in (0, 1))
    return round(valence, 6), round(arousal, 6)
