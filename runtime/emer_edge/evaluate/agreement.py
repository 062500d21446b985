"""Reads from an answer which clues it says agree, and which it sets against each other.

Knows sentences about face, voice and words, in English and in any wording it is sure of; what it can't read
for sure is no claim. Does not know clips, or whether a claim is right (`agreement_check`).
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

from emer_edge.evaluate.agreement_words import CODES, PHRASES, UNCLEAR, label_class, label_words
from emer_edge.evaluate.mentions import mentions, outside_quotes
from emer_edge.results import ClueModality

Stance: TypeAlias = Literal["agree", "contrast"]


@dataclass(frozen=True)
class Side:
    """A modality and the labels that a claim or a clue gives it, as they are written, in lower case."""

    modality: ClueModality
    labels: tuple[str, ...] = ()


@dataclass(frozen=True)
class Claim:
    """That clues agree, or that they differ, with its place in the answer.

    `sides` are the modalities it names, two at least; none where it is said of all that are given, of which
    it then says `labels`.
    """

    stance: Stance
    text: str
    start: int
    stop: int
    sides: tuple[Side, ...] = ()
    labels: tuple[str, ...] = ()


@dataclass(frozen=True)
class Said:
    """What an answer says: claims about agreement, and the labels its other sentences give one modality."""

    claims: tuple[Claim, ...]
    clues: tuple[Side, ...]


@dataclass(frozen=True)
class _Token:
    code: str
    text: str
    start: int
    stop: int
    modality: ClueModality | None = None


_SEGMENT = re.compile(r"[^.!?;\n。！？]+")
# Longer sentences are not read, so that no text takes long; neither are more than a few ways to part one.
_MAX_TOKENS, _MAX_SPLITS = 120, 4
_TOKEN = re.compile(
    rf"\b(?:{'|'.join(map(re.escape, PHRASES))})\b"
    r"|, so\b|[^\W_]+(?:['’-][^\W_]+)*|\S",
    re.IGNORECASE,
)
# A whole modality, as against a part of it or what it does ("she smiles").
_WHOLE = re.compile(
    r"(?:faces?|facial|visuals?|voices?|vocal|audio|acoustic|words?|subtitles?|captions?|sentences?|wording|"
    r"text|textual|utterances?)",
    re.IGNORECASE,
)

# The patterns are of the codes in `agreement_words`; besides, L is a label, m names a whole modality and e
# another part of one, a comma is a comma or a dash, x anything else.
_SHOWN = re.compile(r"[Kk][gChKkp]{0,8}?L(?:[,&g]*L)*")
_GIVEN_TO = re.compile(r"L(?=g{0,2}[me])")
_AFTER = r"(?=g*(?:$|[,&MUWJRoh]))"
_ALL_CLUES = r"(?:^|(?<=[,&MUWJR]))g*B?g*C[gB]*"
_SEVERAL = r"(?:Lg{0,2})?m(?:[gCbBL&,]*m)+"
_VERB = r"[gbBKk]*(?P<not>N)?[gBKk]*"
_PATTERNS = tuple(
    re.compile(pattern)
    for pattern in (
        # "a contrast between the face and the voice", "between the clues"
        r"(?P<word>[AD])g*T(?:[gCL]*m[gCL]*&[gCL]*m|g*C)",
        # "the voice matches the face", "the happy face is at odds with the sad voice"
        rf"(?:Lg{{0,2}})?[me][gC]*{_VERB}(?:(?P<word>[ad])|(?P<other>[AD])t)[gCL]*[me](?:[gCL&,]*m)*",
        # "the face and the voice do not agree"
        rf"{_SEVERAL}[gC]*{_VERB}(?P<word>[AaDd]){_AFTER}",
        # "both the face and the voice look sad"
        rf"{_SEVERAL}[gCbB]*(?P<word>k)[gChKkp]{{0,8}}L(?:[,&g]*L)*",
        # "the clues agree", "all clues are consistent with each other"
        rf"{_ALL_CLUES}{_VERB}(?P<word>[AaDd]){_AFTER}",
        # "all clues suggest sadness"
        r"(?:^|(?<=[,&MUWJR]))g*Bg*Cg*(?P<word>k)[gChKkp]{0,8}L(?:[,&g]*L)*",
    )
)


def read_agreement(text: str, known: Iterable[str] = ()) -> Said:
    """Find what an answer says of clues that agree or differ; of 20,000 characters or more, the beginning.

    Left out are sentences that doubt, ask, negate in another way than "do not agree", or can be read in two
    ways: "The face is sad while the voice is sad" may mean "and". Quotations say nothing.

    Args:
        text: an answer.
        known: labels beside those of the default vocabulary, each of one word.

    >>> said = read_agreement("The face looks tense. While the face looks sad, the voice sounds happy.")
    >>> [(claim.stance, [(side.modality, *side.labels) for side in claim.sides]) for claim in said.claims]
    [('contrast', [('face', 'sad'), ('voice', 'happy')])]
    >>> [claim.sides for claim in read_agreement("The clues agree. The speakers agree, too.").claims]
    [()]
    """
    claims: list[Claim] = []
    clues: list[Side] = []
    before: tuple[Side, _Token] | None = None
    outside = outside_quotes(text)
    words = label_words() | {word.lower() for word in known} - {UNCLEAR}
    for tokens in _segments(outside, words):
        codes = _codes(tokens)
        side = None if set(codes) & set("HMUWJP") else _side(tokens)
        found = [] if "H" in codes else _claims(outside, tokens, before)
        claims += found
        if not found and side is not None:
            clues.append(side)
        clues += [own for claim in found if claim.stance == "contrast" for own in claim.sides if own.labels]
        before = None if side is None else (side, tokens[0])
    return Said(tuple(claims), tuple(clues))


def _codes(tokens: Sequence[_Token]) -> str:
    return "".join(token.code for token in tokens)


def _segments(outside: str, labels: frozenset[str]) -> Iterator[list[_Token]]:
    """The sentences and their parts between semicolons, without questions and what is too long."""
    named = deque(mentions(outside))
    for match in _SEGMENT.finditer(outside):
        if outside[match.end() : match.end() + 1] in ("?", "？"):
            yield []
            continue
        tokens: list[_Token] = []
        for word in _TOKEN.finditer(outside, match.start(), match.end()):
            if len(tokens) > _MAX_TOKENS:
                break
            while named and named[0].stop <= word.start():
                named.popleft()
            inside = named[0] if named and named[0].start < word.end() else None
            # The words after the first of a longer name say nothing of their own.
            if inside is None or word.start() <= inside.start:
                name = None if inside is None else inside.modality
                code = _code(word[0], inside.text if inside else "", labels)
                tokens.append(_Token(code, word[0].lower(), word.start(), word.end(), name))
        yield tokens if len(tokens) <= _MAX_TOKENS else []


def _code(word: str, name: str, labels: frozenset[str]) -> str:
    word = " ".join(word.lower().replace("’", "'").split())
    if name:
        # "says that" names the words, but what follows is their content.
        return "m" if _WHOLE.fullmatch(name) else "h" if name.lower().endswith(" that") else "e"
    if word in labels:
        return "L"
    if word == ", so":
        return "R"
    if word.endswith("n't"):
        return "N"
    if word in (",", ":", "-", "–", "—"):
        return ","
    return CODES.get(word.removesuffix("'s"), "x")


def _side(tokens: Sequence[_Token]) -> Side | None:
    """What a clause about one modality says it shows; None where it can't be read for sure."""
    codes = _codes(tokens)
    skipped = len(codes) - len(codes.lstrip("gR,&"))
    codes, tokens = codes[skipped:], tokens[skipped:]
    # A conclusion or a relative clause is about something else.
    codes = codes.split("R", 1)[0]
    named = {token.modality for token in tokens[: len(codes)] if token.modality}
    first = re.search("[me]", codes)
    if len(named) != 1 or first is None or set(codes) & set("NHAaDdMUWJPT"):
        return None
    places = [
        place
        for match in _SHOWN.finditer(codes, first.end())
        if "h" not in codes[first.end() : match.start()]
        for place in range(*match.span())
        if codes[place] == "L"
    ] or [match.start() for match in _GIVEN_TO.finditer(codes)]
    if not places or codes.count("L") != len(places):
        return None
    (modality,) = named
    labels = dict.fromkeys(tokens[place].text for place in places)
    return None if modality is None else Side(modality, tuple(labels))


def _claims(outside: str, tokens: list[_Token], before: tuple[Side, _Token] | None) -> list[Claim]:
    """The claims of one sentence; `before` is what the sentence before it says of one modality."""
    contrast = _contrast(tokens) or _contrast_with(before, tokens)
    if contrast is not None:
        sides, start = contrast
        return [_claim(outside, "contrast", start, tokens[-1], sides)]
    codes = _codes(tokens)
    found: list[Claim] = []
    for pattern in _PATTERNS:
        for match in pattern.finditer(codes):
            first, last = tokens[match.start()], tokens[match.end() - 1]
            stance, sides = _stance(codes, match), _sides(tokens, match)
            apart = all(last.stop <= other.start or other.stop <= first.start for other in found)
            # "Her mouth contradicts her eyes" is about one modality.
            if stance and apart and len(sides) != 1:
                labels = () if sides else _shared(tokens, match)
                found.append(replace(_claim(outside, stance, first, last, sides), labels=labels))
    return sorted(found, key=lambda claim: claim.start)


def _claim(outside: str, stance: Stance, first: _Token, last: _Token, sides: tuple[Side, ...]) -> Claim:
    return Claim(stance, outside[first.start : last.stop], first.start, last.stop, sides)


def _contrast(tokens: list[_Token]) -> tuple[tuple[Side, ...], _Token] | None:
    """Two clauses or phrases that are set against each other: "while A, B", "A, but B"."""
    codes = _codes(tokens)
    for place in [i for i, code in enumerate(codes) if code in "MUWJP"][:_MAX_SPLITS]:
        opens = place <= 3 and set(codes[:place]) <= set("gM&,x")
        if opens and codes[place] in "UWP":
            commas = [i for i in range(place, len(codes)) if codes[i] == ","][: 2 * _MAX_SPLITS]
            parts = [(tokens[place + 1 : comma], tokens[comma + 1 :]) for comma in commas]
        else:
            parts = [(tokens[:place], tokens[place + 1 :])]
        for left, right in parts:
            one, other = _side(left), _side(right)
            if one is None or other is None or one.modality == other.modality:
                continue
            # "the voice sounds sad, too", and a "while" between clauses that may mean "and"
            adds = codes[place] == "W" and not opens and _classes(one) == _classes(other)
            return None if adds or "S" in _codes(right) else ((one, other), tokens[0])
    return None


def _classes(side: Side) -> set[str]:
    return {label_class(label) or label for label in side.labels}


def _contrast_with(
    before: tuple[Side, _Token] | None, tokens: list[_Token]
) -> tuple[tuple[Side, ...], _Token] | None:
    """A sentence that sets itself against the one before: "However, ...", "..., though"."""
    codes = _codes(tokens)
    if before is None or "S" in codes or not (codes[:1] == "M" or "J" in codes or codes[-1:] == "U"):
        return None
    rest = [token for token in tokens if token.code != "J"]
    rest = rest[codes[:1] == "M" : len(rest) - (codes[-1:] == "U")]
    side = _side(rest)
    return None if side is None or side.modality == before[0].modality else ((before[0], side), before[1])


def _stance(codes: str, match: re.Match[str]) -> Stance | None:
    groups = match.groupdict()
    word, negated = groups["word"] or groups["other"], bool(groups.get("not"))
    differs = word in "Dd"
    before = codes[: match.end()].count("N") - negated
    if before and word == "A" and "T" in match[0] and re.search("N[gx]?$", codes[: match.start()]):
        # "There is no agreement between ..."
        before, negated = before - 1, True
    if before or (differs and negated):
        return None
    return "contrast" if differs or negated else "agree"


def _sides(tokens: list[_Token], match: re.Match[str]) -> tuple[Side, ...]:
    """The modalities that a pattern names: with the label before each, or the one that is said of all."""
    start, stop = match.span()
    shared = _shared(tokens, match)
    labels: dict[ClueModality, list[str]] = {}
    for place in range(start, stop):
        name = tokens[place].modality
        if name is not None:
            own = labels.setdefault(name, list(shared))
            near = [token for token in tokens[max(start, place - 3) : place] if token.code in "Lme"]
            own += [near[-1].text] if near and near[-1].code == "L" and not shared else []
    return tuple(Side(name, tuple(dict.fromkeys(own))) for name, own in labels.items())


def _shared(tokens: list[_Token], match: re.Match[str]) -> tuple[str, ...]:
    """The labels that "look sad" gives to all that stand before it."""
    if match["word"] != "k":
        return ()
    return tuple(token.text for token in tokens[match.start("word") : match.end()] if token.code == "L")
