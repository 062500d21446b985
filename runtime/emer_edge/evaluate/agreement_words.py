"""The words with which English text says that clues agree or differ, and which labels are one and the same.

Knows words, phrases and the default vocabulary. Does not know sentences, clips or verdicts. `agreement` reads
texts with them.
"""

from __future__ import annotations

from functools import cache
from types import MappingProxyType

from emer_edge.evaluate.mentions import normalised
from emer_edge.evaluate.vocabulary import default_vocabulary

# The nouns of the basic emotions (Ekman 1992) and of the two quiet labels, which texts use instead.
_ADJECTIVES = {
    "happiness": "happy",
    "sadness": "sad",
    "anger": "angry",
    "fear": "fearful",
    "disgust": "disgusted",
    "surprise": "surprised",
    "contempt": "contemptuous",
    "neutrality": "neutral",
    "calmness": "calm",
}
QUIET = "quiet"
"""The class of calm and neutral, which show the same: little."""
UNCLEAR = "unclear"
"""The label of what can't be read; it neither agrees nor differs."""

# Senses of the default vocabulary that everybody would give the same basic emotion.
_CLASSES = {
    "joy": "happy",
    "sadness": "sad",
    "grief": "sad",
    "anger": "angry",
    "rage": "angry",
    "annoyance": "angry",
    "frustration": "angry",
    "fear": "fearful",
    "terror": "fearful",
    "anxiety": "fearful",
    "surprise": "surprised",
    "shock": "surprised",
    "disgust": "disgusted",
    "contempt": "contemptuous",
    "calm": QUIET,
}
# Word families of these senses that go with more than one basic emotion, or with none.
_VAGUE = (
    "agitation alarm composure concern desperation disbelief distress grumpiness hysteria mortification "
    "positivity sarcasm tearfulness threat unease"
)

# Every word or phrase stands for one character, so that sentences can be read by short patterns:
# A agree, a agree with (a verb that takes an object), D, d the same for differing, C clue, N not, H doubt,
# M but, U although, W while, J however, P despite, R therefore, K a verb that says what one thing shows,
# k what several show, B all, b both, S also, & and, t with, T between, o on, h that, p a person, g any word
# that changes nothing.
_ROWS = {
    "A": "agree agrees agreed coincide coincides align aligns aligned correspond corresponds consistent "
    "congruent concordant agreement consistency harmony",
    "a": "match matches matched mirror mirrors mirrored",
    "D": "disagree disagrees disagreed conflict conflicts conflicting clash clashes differ differs differed "
    "diverge diverges contradictory inconsistent incongruent incongruous mismatched contrast contrasts "
    "contradiction discrepancy mismatch disagreement inconsistency incongruity incongruence",
    "d": "contradict contradicts contradicted belie belies belied",
    "C": "clue clues cue cues signal signals modality modalities channel channels",
    "N": "not never no none neither nor without hardly barely scarcely cannot lack lacks nothing",
    "H": "may might could would should if whether unless perhaps possibly maybe probably when whenever until",
    "M": "but yet",
    "U": "although though whereas albeit",
    "W": "while whilst",
    "J": "however nevertheless nonetheless conversely",
    "P": "despite unlike notwithstanding",
    "R": "therefore thus hence because suggesting indicating implying which",
    "K": "looks sounds seems appears is remains stays feels expresses conveys suggests indicates reveals "
    "reflects betrays shows displays implies communicates radiates has carries bears wears",
    "k": "look sound seem appear are remain stay feel express convey suggest indicate reveal reflect betray "
    "show display imply communicate radiate have carry bear wear say looked sounded seemed appeared was were "
    "remained stayed felt expressed conveyed suggested indicated revealed reflected showed displayed implied "
    "had carried",
    "B": "all every each",
    "b": "both",
    "S": "also too likewise similarly equally same alike",
    "&": "and plus",
    "t": "with to from",
    "T": "between",
    "o": "on in about",
    "h": "that",
    "p": "person speaker character individual he she they someone man woman people",
    "g": "a an the his her their its this these those of very quite rather clearly plainly somewhat really "
    "truly genuinely fairly slightly deeply strongly openly almost do does did be being been feeling "
    "feelings emotion emotions expression expressions tone tones "
    "mood manner content delivery sense sign signs hint "
    "hints trace traces state clear strong evident obvious great deep genuine pure spoken together here "
    "overall again still indeed fully completely perfectly well so",
}
_PHRASE_ROWS = {
    "x": "as if|as though|not only|but also|nothing but|all but",
    "g": "with each other|with one another|to each other|to one another|from each other|from one another|"
    "each other|one another|a bit|a little|full of",
    "K": "seems to|appears to|points to|hints at|speaks of",
    "k": "seem to|appear to|point to|hint at|speak of",
    "A": "in agreement|in harmony|in line|in accord|in keeping|point the same way|"
    "point in the same direction|tell the same story|"
    "say the same|say the same thing|show the same|show the same feeling|"
    "show the same emotion|express the same feeling|express the same emotion|convey the same feeling|"
    "convey the same emotion|suggest the same feeling|suggest the same emotion|go together|fit together|"
    "support each other|support one another|confirm each other|confirm one another|reinforce each other|"
    "reinforce one another",
    "D": "at odds|in conflict|in contradiction|out of line|out of step|point in different directions|"
    "point in opposite directions|tell different stories|tell a different story|say different things",
    "U": "even though",
    "J": "by contrast|in contrast|on the other hand|on the contrary",
    "P": "in spite of|in contrast to|in contrast with|as opposed to",
    "R": "as a result",
    "S": "as well",
    "&": "as well as",
}
CODES = MappingProxyType(
    {
        **{word: code for code, words in _ROWS.items() for word in words.split()},
        **{phrase: code for code, phrases in _PHRASE_ROWS.items() for phrase in phrases.split("|")},
    }
)
"""Words and phrases, in lower case -> what they do in a sentence."""
PHRASES = tuple(sorted((phrase for phrase in CODES if " " in phrase), key=lambda phrase: -len(phrase)))
"""Those of more than one word, longest first."""


def adjective(label: str) -> str:
    """A label in lower case, and as an adjective where it is the noun of a basic emotion.

    >>> adjective("Sadness"), adjective("bored")
    ('sad', 'bored')
    """
    word = normalised(label)
    return _ADJECTIVES.get(word, word)


def label_class(label: str) -> str:
    """The basic emotion that a label surely means, `QUIET` for calm and neutral, or "".

    >>> label_class("cheerful"), label_class("worried"), label_class("calm"), label_class("tense")
    ('happy', 'fearful', 'quiet', '')
    """
    word = adjective(label)
    return QUIET if word == "neutral" else _classes().get(word, "")


def same_label(first: str, second: str) -> bool:
    """Whether two labels are forms of one word, or both are quiet.

    >>> same_label("sadness", "sad"), same_label("calm", "neutral"), same_label("happy", "cheerful")
    (True, True, False)
    """
    one, other = adjective(first), adjective(second)
    if one == other or label_class(one) == label_class(other) == QUIET:
        return True
    families = default_vocabulary().table("M1")
    return one in families and families[one] == families.get(other)


@cache
def label_words() -> frozenset[str]:
    """The words that are read as labels: those with a class."""
    return frozenset([*_classes(), *_ADJECTIVES, "neutral"])


@cache
def _classes() -> dict[str, str]:
    words = default_vocabulary()
    families, senses, vague = words.table("M1"), words.table("M2"), _VAGUE.split()
    return {
        form: _CLASSES[senses[form]]
        for form, family in families.items()
        if senses.get(form) in _CLASSES and family not in vague
    }
