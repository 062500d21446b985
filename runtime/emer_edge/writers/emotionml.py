"""EmotionML 1.0 documents of one Reasoning or of a timeline. Knows the standard, not files.

Sources: W3C Recommendation "Emotion Markup Language (EmotionML) 1.0" of 22 May 2014 (elements, attributes,
scale values, timestamps) and W3C Note "Vocabularies for EmotionML" (big6, fsre-dimensions).

An `<emotion>` names one category set, so what fits the standard's big6 stands in an `<emotion>` of its own
beside the one with the pack's labels. Valence and arousal, -1..1 here, are scale values 0..1 there.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree as Xml

from emer_edge.errors import OutputError

if TYPE_CHECKING:
    from emer_edge.live.events import State
    from emer_edge.results import Emotion, Reasoning
    from emer_edge.writers.timeline import Timeline

NAMESPACE = "http://www.w3.org/2009/10/emotionml"
VOCABULARIES = "http://www.w3.org/TR/emotion-voc/xml"
OURS = "urn:emer-edge:timeline:1"
PREFIX = "emer"
"""Namespace of what stands inside `<info>`: text, clues, where the answer comes from."""

BIG6: Mapping[str, str] = MappingProxyType(
    {
        **dict.fromkeys(("angry", "anger", "furious", "mad", "rage"), "anger"),
        **dict.fromkeys(("disgusted", "disgust", "disgusting", "revolted"), "disgust"),
        **dict.fromkeys(("fearful", "fear", "afraid", "scared", "frightened", "terrified"), "fear"),
        **dict.fromkeys(("happy", "happiness", "joy", "joyful", "glad", "cheerful"), "happiness"),
        **dict.fromkeys(("sad", "sadness", "sorrowful", "unhappy"), "sadness"),
        **dict.fromkeys(("surprised", "surprise", "astonished", "amazed"), "surprise"),
    }
)
"""Labels that are a word for one of the six; everything else has no place in big6."""

EXPRESSED_THROUGH: Mapping[str, str] = MappingProxyType(
    {
        "vision": "face",
        "audio": "voice",
        "subtitle": "text",
        "face": "face",
        "voice": "voice",
        "words": "text",
    }
)
"""Our modalities and those of clues in the words of EmotionML (section 2.4.1)."""

# What XML 1.0 can't hold in any form.
_UNWRITABLE = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
# What a name can't hold: all but letters and digits (in Python's sense and in that of XML 1.0's NameChar,
# below U+10000, since validators differ above), `_`, `.` and `-`.
_NO_NAME = re.compile(
    r"[^\w.\-]+|[^-._0-9A-Za-z\u00b7\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u037d\u037f-\u1fff\u203f\u2040"
    r"\u2070-\u218f\u2c00-\u2fef\u3001-\ud7ff\uf900-\ufdcf\ufdf0-\ufffd]+"
)
_ATTRIBUTE = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*\Z")


def timeline_to_emotionml(
    timeline: Timeline, *, media_uri: str = "", unix_origin_seconds: float | None = None
) -> str:
    """The document of a timeline: for each state one `<emotion>`, and one more where big6 has a word for it.

    Args:
        timeline: the states and reasonings.
        media_uri: of the recording that the stream's clock belongs to; empty where there is none.
        unix_origin_seconds: wall-clock time of zero on the stream's clock. With it, times are `start` and
            `end` in milliseconds since 1970, as the standard defines these two; without it they are
            `offset-to-start` and `duration`, relative to the media or to the session (`time-ref-uri`).

    Raises:
        OutputError: a time lies before 1970.
    """
    states = timeline.states
    names = _names(label for state in states for label in (*state.scores, *_labels(state.emotions)))
    root = _root()
    info = Xml.SubElement(root, "info", {"id": "session"})
    _note(info, "session", **_attributes(timeline.session))
    _declare(root, names)
    said = {reasoning.state_index: reasoning for reasoning in timeline.reasonings}
    for state in states:
        times = _times(state, media_uri or "#session", unix_origin_seconds)
        emotion = _emotion(root, f"state-{state.index}", times, state.quality.modalities)
        _describe(emotion, "#labels", _shares(state.emotions, names))
        _dimensions(emotion, state)
        if state.index in said:
            note = Xml.Element("info")
            _note(note, "reasoning", said[state.index].text, finish=said[state.index].finish)
            for clue in said[state.index].clues:
                _note(note, "clue", clue.text, modality=clue.modality)
            emotion.insert(0, note)
        if media_uri:
            span = f"#t={max(0.0, state.start_pts_seconds):.3f},{max(0.0, state.end_pts_seconds):.3f}"
            _reference(emotion, media_uri + span)
        six = _big6(state.scores)
        if six:
            emotion = _emotion(root, f"state-{state.index}-big6", times, state.quality.modalities)
            _describe(emotion, f"{VOCABULARIES}#big6", six)
    return _text(root)


def reasoning_to_emotionml(reasoning: Reasoning, *, media_uri: str = "") -> str:
    """The document of one result; an `<emotion>` for its labels, and one more for what fits big6.

    Where nothing was felt and no scores were read there is no `<emotion>`, since one must hold a description.
    """
    scores = reasoning.scores
    names = _names((*scores, *_labels(reasoning.emotions)))
    root = _root()
    info = Xml.SubElement(root, "info")
    _note(info, "reasoning", reasoning.text, question=reasoning.question, finish=reasoning.finish)
    for clue in reasoning.clues:
        _note(info, "clue", clue.text, modality=clue.modality)
    _note(info, "source", clip=reasoning.clip, pack=f"{reasoning.pack} {reasoning.pack_version}".strip())
    _declare(root, names)
    times = {"duration": str(round(1000 * reasoning.duration_seconds))} if reasoning.duration_seconds else {}
    through = reasoning.used.modalities
    for name, set_uri, found in (
        ("labels-1", "#labels", _shares(reasoning.emotions, names) or _shares_of(scores, names)),
        ("big6-1", f"{VOCABULARIES}#big6", _big6(scores)),
    ):
        if found:
            emotion = _emotion(root, name, times, through)
            _describe(emotion, set_uri, found)
            if media_uri:
                _reference(emotion, media_uri)
    return _text(root)


def big6_scores(scores: Mapping[str, float]) -> dict[str, float]:
    """The share of the label distribution that big6 has words for, summed word by word.

    >>> big6_scores({"happy": 0.5, "glad": 0.25, "calm": 0.25})
    {'happiness': 0.75}
    """
    sums: dict[str, float] = {}
    for label, share in scores.items():
        word = BIG6.get(label.strip().lower())
        if word:
            sums[word] = min(1.0, sums.get(word, 0.0) + share)
    return sums


def to_scale(value: float) -> float:
    """A value of -1..1 as a scale value of EmotionML, 0..1 with the middle at 0.5.

    >>> to_scale(-0.5)
    0.25
    """
    return min(1.0, max(0.0, (value + 1.0) / 2.0))


def _big6(scores: Mapping[str, float]) -> list[tuple[str, float | None]]:
    return [(word, share) for word, share in big6_scores(scores).items()]


def _labels(emotions: Iterable[Emotion]) -> tuple[str, ...]:
    return tuple(emotion.label for emotion in emotions)


def _names(labels: Iterable[str]) -> dict[str, str]:
    """For each label a name that an `<item>` may have, no two the same."""
    names: dict[str, str] = {}
    taken: set[str] = set()
    for label in labels:
        if label in names:
            continue
        stem = _NO_NAME.sub("-", _UNWRITABLE.sub("", label)).strip("-") or "label"
        name, number = stem, 2
        while name in taken:
            name, number = f"{stem}-{number}", number + 1
        taken.add(name)
        names[label] = name
    return names


def _shares(emotions: Iterable[Emotion], names: Mapping[str, str]) -> list[tuple[str, float | None]]:
    shares: dict[str, float | None] = {}
    for emotion in emotions:
        shares.setdefault(names[emotion.label], emotion.confidence)
    return list(shares.items())


def _shares_of(scores: Mapping[str, float], names: Mapping[str, str]) -> list[tuple[str, float | None]]:
    """The best of the scores alone, for a result that reports no label."""
    if not scores:
        return []
    best = max(scores, key=scores.__getitem__)
    return [(names[best], scores[best])]


def _times(state: State, reference: str, unix_origin_seconds: float | None) -> dict[str, str]:
    start, end = state.start_pts_seconds, max(state.start_pts_seconds, state.end_pts_seconds)
    if unix_origin_seconds is None:
        start_ms, end_ms = round(1000 * start), round(1000 * end)
        return {
            "time-ref-uri": reference,
            "offset-to-start": str(start_ms),
            "duration": str(end_ms - start_ms),
        }
    start_ms, end_ms = (round(1000 * (unix_origin_seconds + seconds)) for seconds in (start, end))
    if start_ms < 0:
        raise OutputError(
            "EmotionML has no time before 1970.", f"A state begins at {start_ms} ms.", "Check the origin."
        )
    return {"start": str(start_ms), "end": str(end_ms)}


def _root() -> Xml.Element:
    # Names are written as they shall stand: ElementTree's own way to name prefixes is global to the process.
    return Xml.Element("emotionml", {"xmlns": NAMESPACE, f"xmlns:{PREFIX}": OURS, "version": "1.0"})


def _declare(root: Xml.Element, names: Mapping[str, str]) -> None:
    if not names:
        return
    vocabulary = Xml.SubElement(root, "vocabulary", {"type": "category", "id": "labels"})
    for label, name in names.items():
        item = Xml.SubElement(vocabulary, "item", {"name": name})
        if label != name:
            _note(Xml.SubElement(item, "info"), "label", label)


def _emotion(
    root: Xml.Element, name: str, times: Mapping[str, str], modalities: Iterable[str]
) -> Xml.Element:
    through = [EXPRESSED_THROUGH[modality] for modality in modalities if modality in EXPRESSED_THROUGH]
    attributes = {"id": name, **times}
    if through:
        attributes["expressed-through"] = " ".join(dict.fromkeys(through))
    return Xml.SubElement(root, "emotion", attributes)


def _describe(emotion: Xml.Element, set_uri: str, found: list[tuple[str, float | None]]) -> None:
    if found:
        emotion.set("category-set", set_uri)
    for name, confidence in found:
        attributes = {"name": name}
        if confidence is not None:
            attributes["confidence"] = f"{min(1.0, max(0.0, confidence)):.6f}"
        Xml.SubElement(emotion, "category", attributes)


def _dimensions(emotion: Xml.Element, state: State) -> None:
    emotion.set("dimension-set", f"{VOCABULARIES}#fsre-dimensions")
    for name, value in (("valence", state.valence), ("arousal", state.arousal)):
        Xml.SubElement(emotion, "dimension", {"name": name, "value": f"{to_scale(value):.6f}"})


def _reference(emotion: Xml.Element, uri: str) -> None:
    Xml.SubElement(emotion, "reference", {"uri": uri, "role": "expressedBy"})


def _note(info: Xml.Element, name: str, text: str = "", **attributes: str) -> None:
    """Something of ours inside `<info>`, in our own namespace."""
    clean = {key: _UNWRITABLE.sub("\ufffd", value) for key, value in attributes.items() if value}
    note = Xml.SubElement(info, f"{PREFIX}:{name}", clean)
    note.text = _UNWRITABLE.sub("\ufffd", text) or None


def _attributes(session: Mapping[str, Any]) -> dict[str, str]:
    """The record of the session as attributes; what is no text stands as JSON."""
    named = {key: value for key, value in session.items() if key != "kind" and _ATTRIBUTE.match(key)}
    return {key: value if isinstance(value, str) else json.dumps(value) for key, value in named.items()}


def _text(root: Xml.Element) -> str:
    Xml.indent(root)
    body = Xml.tostring(root, encoding="unicode")
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{body}\n'
