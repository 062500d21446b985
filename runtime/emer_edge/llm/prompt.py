"""A prompt template to segments, and segments to token ids and soft rows.

Knows parts, needs, markers and where a prefix ends. Does not know packs, the model, or what markers mean.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from emer_edge.errors import InputError
from emer_edge.results import Modality

Tokenize: TypeAlias = Callable[[str], list[int]]
_FIELD = re.compile(r"(\{subtitle\}|\{question\})")


@dataclass(frozen=True, slots=True)
class PromptPart:
    """A stretch of the template that is left out unless all of `needs` are there."""

    text: str
    needs: frozenset[Modality] = frozenset()


@dataclass(frozen=True, slots=True)
class PromptTemplate:
    """The prompt of a pack.

    Args:
        parts: in order; `{subtitle}` and, exactly once over all parts, `{question}` are filled in.
        markers: text of a marker -> name of the soft tokens that take its place.
        add_bos: begin with the vocabulary's BOS token.

    Raises:
        InputError: no `{question}`, several of them, one that may be left out, or an empty marker.
    """

    parts: tuple[PromptPart, ...]
    markers: Mapping[str, str]
    add_bos: bool = False

    def __post_init__(self) -> None:
        holders = [part for part in self.parts if "{question}" in part.text]
        if len(holders) != 1 or holders[0].text.count("{question}") != 1 or holders[0].needs:
            raise InputError(
                "A prompt template needs {question} exactly once, in a part without needs.",
            )
        if not all(self.markers):
            raise InputError("A prompt template has an empty marker.")


@dataclass(frozen=True, slots=True)
class Text:
    """Words, tokenised on their own."""

    text: str


@dataclass(frozen=True, slots=True)
class Soft:
    """The place of soft tokens."""

    name: str


Segment: TypeAlias = Text | Soft
Segments: TypeAlias = tuple[Segment, ...]


@dataclass(frozen=True, slots=True)
class Prompt:
    """One question about one clip. `prefix` is the same for every question; `tail` begins at the question."""

    prefix: Segments
    tail: Segments
    add_bos: bool = False

    def answered(self, text: str) -> Prompt:
        """The prompt with the beginning of an answer, tokenised on its own as in training."""
        return Prompt(self.prefix, (*self.tail, Text(text)), self.add_bos)


def build_prompt(
    template: PromptTemplate,
    present: Set[Modality],
    subtitle: str,
    question: str,
    tokenize: Tokenize,
) -> Prompt:
    """Fill in a template.

    Markers are split off before anything is filled in, so neither subtitle nor question can bring one along.
    The border between prefix and tail lies after a line break in front of the question or else before the
    last space there, because with the byte-pair vocabularies of GPT-2 and Qwen a word's token carries the
    space before it and punctuation the line break after it. Without one of them, and where the vocabulary
    joins tokens across that border all the same, it lies at the marker before.

    Args:
        template: of the pack.
        present: what the clip has; parts that need more are left out.
        subtitle: may be empty.
        question: the words of the question.
        tokenize: text to ids, without special tokens.
    """
    before: list[Segment] = []
    after: list[Segment] = []
    target = before
    for part in template.parts:
        if not part.needs <= present:
            continue
        for piece in _split(part.text, template.markers):
            if isinstance(piece, Soft):
                target.append(piece)
                continue
            for words in _FIELD.split(piece.text):
                if words == "{question}":
                    target = after
                _append(target, {"{subtitle}": subtitle, "{question}": question}.get(words, words))
    head, moved = _cut(before[-1].text) if before and isinstance(before[-1], Text) else ("", "")
    if moved or head:
        before.pop()
        _append(before, head)
    return _settled(Prompt(tuple(before), _joined(moved, after), template.add_bos), tokenize)


def _settled(prompt: Prompt, tokenize: Tokenize) -> Prompt:
    if not (prompt.prefix and prompt.tail):
        return prompt
    last, first = prompt.prefix[-1], prompt.tail[0]
    if not (isinstance(last, Text) and isinstance(first, Text)):
        return prompt
    if tokenize(last.text) + tokenize(first.text) == tokenize(last.text + first.text):
        return prompt
    return Prompt(prompt.prefix[:-1], _joined(last.text, prompt.tail), prompt.add_bos)


def layout(
    segments: Segments, tokenize: Tokenize, soft: Mapping[str, NDArray[np.float32]], *, bos: int | None = None
) -> list[NDArray[np.int32] | NDArray[np.float32]]:
    """Segments to what `Llm.lay` takes: ids (k,) int32 for a text, rows (k, n_embd) float32 for a marker.

    Args:
        segments: the prefix or the tail of a prompt.
        tokenize: text to ids, without special tokens.
        soft: soft tokens by name.
        bos: a token to begin with, for the prefix of a prompt with `add_bos`.

    Raises:
        InputError: a marker whose soft tokens are not given.
    """
    laid: list[NDArray[np.int32] | NDArray[np.float32]] = []
    if bos is not None:
        laid.append(np.array([bos], np.int32))
    for segment in segments:
        if isinstance(segment, Text):
            laid.append(np.array(tokenize(segment.text), np.int32))
        elif segment.name in soft:
            laid.append(np.ascontiguousarray(soft[segment.name], np.float32))
        else:
            raise InputError(
                f"The prompt has a place for {segment.name!r} tokens, which this clip does not give.",
                todo="Correct `prompt.parts` or `prompt.markers` in the pack's manifest.",
            )
    return laid


def _split(text: str, markers: Mapping[str, str]) -> Iterator[Segment]:
    if not markers:
        yield Text(text)
        return
    longest_first = sorted(markers, key=len, reverse=True)
    for piece in re.split("(" + "|".join(map(re.escape, longest_first)) + ")", text):
        if piece in markers:
            yield Soft(markers[piece])
        elif piece:
            yield Text(piece)


def _append(segments: list[Segment], text: str) -> None:
    # Neighbouring texts are one text: their tokens must be those of the whole.
    if not text:
        return
    if segments and isinstance(segments[-1], Text):
        text = segments.pop().text + text  # type: ignore[union-attr]
    segments.append(Text(text))


def _cut(text: str) -> tuple[str, str]:
    if text.endswith("\n"):
        return text, ""
    for at in range(len(text) - 1, -1, -1):
        if text[at] == " " and (at == 0 or not text[at - 1].isspace()):
            return text[:at], text[at:]
    return "", text


def _joined(text: str, segments: Sequence[Segment]) -> Segments:
    joined: list[Segment] = []
    _append(joined, text)
    for segment in segments:
        if isinstance(segment, Text):
            _append(joined, segment.text)
        else:
            joined.append(segment)
    return tuple(joined)
