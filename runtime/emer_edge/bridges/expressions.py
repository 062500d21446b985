"""Open labels as the closed set of `hri_msgs/Expression`. Knows words, not messages.

The constants are those of hri_msgs 2.3 (github.com/ros4hri/hri_msgs, msg/Expression.msg), a list of 25 that
the message says a node need not use in full. Words without an own constant stand under the nearest: calm
under neutral, contempt under disgusted (one family in Ekman's first lists), pride and relief under happy.
`unclear` and words that are not listed stand under none.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from emer_edge.live.events import State

_WORDS = {
    "neutral": "calm composed peaceful relaxed serene indifferent",
    "angry": "anger mad hostile resentful indignant hateful",
    "sad": "sadness unhappy sorrowful sorrow grieving melancholy lonely hurt heartbroken gloomy depressed",
    "happy": "happiness joy joyful glad cheerful pleased content satisfied amused delighted proud grateful "
    "relieved loving affectionate hopeful optimistic",
    "surprised": "surprise astonished shocked startled",
    "disgusted": "disgust revolted repulsed contemptuous contempt scornful disdainful",
    "scared": "afraid fearful fear frightened anxious anxiety nervous worried worry uneasy",
    "pleading": "begging imploring",
    "vulnerable": "helpless insecure",
    "despaired": "despair despairing desperate hopeless",
    "guilty": "guilt remorseful regretful apologetic",
    "disappointed": "disappointment dissatisfied",
    "embarrassed": "ashamed shame shy awkward humiliated",
    "horrified": "horror terrified terror panicked",
    "skeptical": "sceptical doubtful dubious",
    "annoyed": "irritated annoyance frustrated impatient",
    "furious": "rage enraged outraged",
    "suspicious": "distrustful mistrustful wary",
    "rejected": "abandoned excluded",
    "bored": "boredom uninterested",
    "tired": "exhausted weary fatigued",
    "asleep": "sleeping",
    "confused": "puzzled perplexed bewildered uncertain",
    "amazed": "amazement awed fascinated",
    "excited": "enthusiastic eager thrilled elated",
}
EXPRESSIONS: tuple[str, ...] = tuple(_WORDS)
"""The values of the constants of Expression.msg, in its order; each constant is its value in capitals."""

LABELS: Mapping[str, str] = MappingProxyType(
    {word: name for name, words in _WORDS.items() for word in (name, *words.split())}
)
"""The constant of each label that has one."""


@dataclass(frozen=True, slots=True)
class Expression:
    """The values of one `hri_msgs/Expression`, apart from its header."""

    expression: str
    """One of `EXPRESSIONS`."""
    valence: float
    """-1..1."""
    arousal: float
    """-1..1."""
    confidence: float
    """0..1: the share of the label distribution whose words stand under this constant."""


def expression_name(label: str) -> str | None:
    """The constant that a label stands under, or None.

    >>> expression_name("Contemptuous"), expression_name("unclear")
    ('disgusted', None)
    """
    return LABELS.get(label.strip().lower())


def to_expression(state: State) -> Expression | None:
    """The state as values of `hri_msgs/Expression`; None where no label stands under a constant.

    The constant is that of the best label that has one: first those that the state reports, then all scores.
    """
    ranked = [emotion.label for emotion in state.emotions]
    ranked += sorted(state.scores, key=state.scores.__getitem__, reverse=True)
    name = next((found for label in ranked if (found := expression_name(label))), None)
    if name is None:
        return None
    share = sum(score for label, score in state.scores.items() if expression_name(label) == name)
    if not state.scores:
        told = (e.confidence for e in state.emotions if e.confidence and expression_name(e.label) == name)
        share = max(told, default=0.0)
    return Expression(name, _clip(state.valence, -1.0), _clip(state.arousal, -1.0), _clip(share, 0.0))


def _clip(value: float, low: float) -> float:
    return min(1.0, max(low, float(value)))
