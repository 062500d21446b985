"""What an answer says, as data: labels, clues, sentiment.

Knows the sentences that models of this family write and plain English punctuation. Does not know packs or
logits, or which label is right. Everything is bounded, because the text may be anything.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Literal, TypeAlias

from emer_edge.results import Clue, ClueModality

Sentiment: TypeAlias = Literal["positive", "negative", "neutral"]

MAX_LABELS, MAX_LABEL_CHARS, MAX_LABEL_WORDS, MAX_CLUES, MAX_TEXT_CHARS = 16, 40, 3, 32, 20_000

_CONCLUDES = re.compile(
    r"(?:therefore|thus|hence|consequently|overall|altogether|so,|in summary|in conclusion|in short|"
    r"to sum up|taken together|as a result|all in all|this (?:further )?(?:supports|conclusion))\b",
    re.IGNORECASE,
)
_NAMED = (
    # "The character's emotional state is a, b, c", "the emotional state conveyed by her can be considered a"
    re.compile(
        r"\bemotional states?\b[^.!?:]{0,100}?"
        r"(?:\b(?:is|are|was|were|as|considered|includes?|involves?)\b|:)\s*([^.!?\n]*)",
        re.IGNORECASE,
    ),
    # "The most likely label is a", "<answer>a</answer>"
    re.compile(r"(?:\blabels? (?:is|are)\b|<answer>)\s*:?\s*([^.!?<\n]*)", re.IGNORECASE),
    # "The character's emotion is a", "Emotions: a; b", "the emotions include a and b"
    re.compile(
        r"\b(?:emotions?|feelings?|mood)\b[^.!?:,]{0,40}?(?:\b(?:is|are|was|were|includes?)\b|:)\s*([^.!?\n]*)",
        re.IGNORECASE,
    ),
    # "It can be inferred that he is a"
    re.compile(
        r"\b(?:infer|inferred|conclude|concluded) that (?:he|she|they|the \w+) "
        r"(?:is|are|was|were|feels?|felt)\s+([^.!?\n]*)",
        re.IGNORECASE,
    ),
)
_BETWEEN = re.compile(r"\s*(?:[,;/&、，；]|\band\b|\bor\b|\bas well as\b|\bbut also\b|\balong with\b)\s*")
_HEDGE = re.compile(
    r"(?:(?:both|also|very|quite|rather|mainly|mostly|initially|likely|possibly|probably|perhaps|feeling|being|either|"
    r"an?|the|one of|(?:mix|mixture|blend|combination|sense|state|feelings?|hint) of)\s+)+"
)
_LABEL = re.compile(r"[^\W\d_]+(?:['’ -][^\W\d_]+)*")
_NOT_LABELS = frozenset(
    {"that", "this", "it", "there", "he", "she", "they", "not", "one", "his", "her", "their", "which"}
    | {"what", "how", "unknown", "etc", "characterized"}
)
_NEGATION = re.compile(
    r"(?:\bnot|\bno|n't|\bwithout|\bnever|\brather than|\binstead of)(?:\s+\w+)?\s*$", re.IGNORECASE
)

_ABBREVIATION = re.compile(
    r"(?:\b(?:mr|mrs|ms|dr|prof|st|jr|sr|vs|etc|e\.g|i\.e|approx|no|fig)|\b[A-Z])\.$", re.I
)
_SENTENCE_END = re.compile(r"[.!?。！？]+[\"'”’)\]]*(?=\s|$)|\n+")
_MARKUP = re.compile(r"</?(?:think|answer)>|[*#`_]{2,}|^[ \t]*(?:[-*•]|\d{1,3}[.)])[ \t]+", re.MULTILINE)
_QUOTED = re.compile(r"\"[^\"]*\"|“[^”]*”")


def parse_labels(text: str, candidates: Sequence[str] = ()) -> tuple[str, ...]:
    """The emotion labels a text names, lower case, in order, each once; at most 16 of at most 40 characters.

    A sentence that concludes is believed first, then one that names the emotional state, a label or emotions.
    Where there is none, the `candidates` that occur in the text, unless negated, are the labels.

    Args:
        text: an answer; what is past 20,000 characters is not read.
        candidates: known labels for the last resort.
    """
    text = text[:MAX_TEXT_CHARS]
    spoken = split_sentences(text)
    ends = [sentence for sentence in spoken if _CONCLUDES.match(sentence)]
    for source in ("\n".join(ends), text):
        for pattern in _NAMED:
            for match in pattern.finditer(source):
                labels = _listed(match[1])
                if labels:
                    return labels
    return _known(text, candidates)


def parse_clues(text: str, lexicon: Mapping[ClueModality, Sequence[str]]) -> tuple[Clue, ...]:
    """The sentences of a text that give evidence, in order, each with the modality whose words it uses most.

    Quoted words don't count towards a modality. Sentences without any of the words, and the concluding ones,
    are not clues.

    Args:
        text: an answer; what is past 20,000 characters is not read.
        lexicon: words of each modality; their plural, -ed and -ing forms count too.
    """
    patterns = {modality: _any_of(words) for modality, words in lexicon.items() if words}
    clues: list[Clue] = []
    for sentence in split_sentences(text[:MAX_TEXT_CHARS]):
        if _CONCLUDES.match(sentence) or any(_listed(m[1]) for m in _NAMED[0].finditer(sentence)):
            continue
        said = _QUOTED.sub('""', sentence)
        hits = {
            modality: [m.start() for m in pattern.finditer(said)] for modality, pattern in patterns.items()
        }
        best = max(
            hits, key=lambda modality: (len(hits[modality]), -min(hits[modality], default=0)), default=None
        )
        if best is not None and hits[best]:
            clues.append(Clue(best, sentence))
    return tuple(clues[:MAX_CLUES])


def parse_sentiment(text: str) -> Sentiment | None:
    """The sentiment that a text names: after "sentiment ... is" if it says so, else the first one named."""
    text = text[:MAX_TEXT_CHARS]
    for pattern in (r"\bsentiment\b[^.!?]{0,60}?\b(?:is|:)\s*(?:\w+\s+){0,2}?", ""):
        match = re.search(pattern + r"\b(positive|negative|neutral)\b", text, re.IGNORECASE)
        if match:
            found = match[1].lower()
            return "positive" if found == "positive" else "negative" if found == "negative" else "neutral"
    return None


def split_sentences(text: str) -> list[str]:
    """Sentences of a text, without list marks and markup; quotes and common abbreviations are not torn."""
    text = _MARKUP.sub(" ", text)
    sentences: list[str] = []
    begin = 0
    for match in _SENTENCE_END.finditer(text):
        end = match.end()
        if "\n" not in match[0] and not _ends_here(text, begin, match):
            continue
        sentence = " ".join(text[begin:end].split())
        if re.search(r"\w", sentence):
            sentences.append(sentence)
        begin = end
    rest = " ".join(text[begin:].split())
    return [*sentences, rest] if re.search(r"\w", rest) else sentences


def _ends_here(text: str, begin: int, match: re.Match[str]) -> bool:
    following = text[match.end() : match.end() + 40].lstrip()
    if following and not (following[0].isupper() or following[0].isdigit() or following[0] in "\"'“‘(<"):
        return following[0] > "\u2e7f"  # scripts without capitals
    sentence = text[begin : match.end()]
    if sentence.count('"') % 2 or sentence.count("“") > sentence.count("”"):
        return not following  # inside a quotation
    return not following or not _ABBREVIATION.search(sentence[-12:])


def _listed(text: str) -> tuple[str, ...]:
    labels: list[str] = []
    for item in _BETWEEN.split(text[:1000]):
        label = _normalised(item)
        if not label:
            if item.strip(" \"'*"):
                break  # the list has turned into a sentence
            continue
        labels.append(label)
    return tuple(dict.fromkeys(labels))[:MAX_LABELS]


def _normalised(text: str) -> str:
    label = " ".join(text.lower().strip(" \t\"'“”‘’*`()[]<>.:").split())
    hedge = _HEDGE.match(label + " ")
    label = label[hedge.end() :] if hedge else label
    if len(label) > MAX_LABEL_CHARS or not _LABEL.fullmatch(label):
        return ""
    words = label.split()
    return "" if len(words) > MAX_LABEL_WORDS or not _NOT_LABELS.isdisjoint(words) else label


def _known(text: str, candidates: Sequence[str]) -> tuple[str, ...]:
    found: list[tuple[int, str]] = []
    for label in dict.fromkeys(candidates):
        for match in re.finditer(rf"\b{re.escape(label)}\b", text, re.IGNORECASE):
            if not _NEGATION.search(text[max(0, match.start() - 40) : match.start()]):
                found.append((match.start(), label.lower()))
                break
    return tuple(label for _, label in sorted(found))[:MAX_LABELS]


def _any_of(words: Sequence[str]) -> re.Pattern[str]:
    return re.compile("|".join(_forms(words)), re.IGNORECASE)


def _forms(words: Sequence[str]) -> Iterator[str]:
    for word in words:
        stem = word.removesuffix("e")
        yield rf"\b(?:{re.escape(word)}(?:s|es|d|ed|ing)?|{re.escape(stem)}ing)\b"
