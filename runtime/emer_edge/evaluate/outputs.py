"""What one system said about one clip, as one line of JSON, and as what the metrics take.

Knows the record. Does not know the system, files or truths. A record is either an answer or a failure with
its three-part error.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import astuple, dataclass, field, fields
from types import MappingProxyType
from typing import Any

from emer_edge.errors import EmerError, InputError
from emer_edge.evaluate.faithfulness import shown_alone
from emer_edge.evaluate.mentions import MODALITIES
from emer_edge.evaluate.prosody import Prosody
from emer_edge.results import ClueModality, Reasoning


@dataclass(frozen=True)
class Output:
    """What was said about one clip.

    Args:
        id: of the row.
        labels: lower case, the surest first.
        text: the reasoning, "" where none was asked for.
        scores: confidence of every candidate, sums to 1; empty where the system gives none.
        sentiment: positive, negative or neutral; "" where the system says nothing of it.
        used: modalities that the answer rests on: vision, audio, subtitle; empty where not known.
        subtitle: the words that reached the model.
        missing: one sentence for each thing that could not be used.
        voice: how the sound was measured, where there was any and the text may speak of it.
        alone: the label that face, voice and words show by themselves, where the pack has it read.
        error: what, why, todo and kind of a failure; None for an answer.
    """

    id: str
    labels: tuple[str, ...] = ()
    text: str = ""
    scores: Mapping[str, float] = field(default_factory=lambda: MappingProxyType({}))
    sentiment: str = ""
    used: tuple[str, ...] = ()
    subtitle: str = ""
    missing: tuple[str, ...] = ()
    voice: Prosody | None = None
    alone: Mapping[ClueModality, str] = field(default_factory=lambda: MappingProxyType({}))
    error: Mapping[str, Any] | None = None

    @property
    def failed(self) -> bool:
        """Whether there is an error in the place of an answer."""
        return self.error is not None

    @classmethod
    def of(cls, row: str, reasoning: Reasoning, voice: Prosody | None = None) -> Output:
        """The answer of a pack; labels that only the text names come last."""
        sentiment = reasoning.sentiment
        emotions = sorted(reasoning.emotions, key=lambda emotion: -(emotion.confidence or 0.0))
        return cls(
            id=row,
            labels=tuple(dict.fromkeys(emotion.label.lower() for emotion in emotions)),
            text=reasoning.text,
            scores={label: round(score, 6) for label, score in reasoning.scores.items()},
            sentiment=max(sentiment, key=lambda name: sentiment[name]) if sentiment else "",
            used=tuple(reasoning.used.modalities),
            subtitle=reasoning.used.subtitle,
            missing=tuple(reasoning.used.missing),
            voice=voice,
            alone=shown_alone(reasoning),
        )

    @classmethod
    def failure(cls, row: str, error: EmerError) -> Output:
        """A clip that has no answer, and why."""
        return cls(row, error=error.to_dict())

    def to_line(self) -> bytes:
        """One line of JSON, with its end; equal outputs give equal lines. Half a character becomes "?".

        Raises:
            InputError: a number that JSON has no word for.
        """
        record: dict[str, Any] = {"id": self.id, "status": "failed" if self.failed else "ok"}
        if self.failed:
            record["error"] = dict(self.error or {})
        else:
            record |= {
                "labels": list(self.labels),
                "text": self.text,
                "scores": dict(self.scores),
                "sentiment": self.sentiment,
                "used": list(self.used),
                "subtitle": self.subtitle,
                "missing": list(self.missing),
                "voice": None if self.voice is None else [round(value, 6) for value in astuple(self.voice)],
            }
            if self.alone:
                record["alone"] = dict(self.alone)
        try:
            return (json.dumps(record, ensure_ascii=False, allow_nan=False) + "\n").encode("utf-8", "replace")
        except ValueError as error:
            raise InputError(f"The output for {self.id} can't be written.", str(error)) from error

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> Output:
        """The reverse of `to_line`, from its parsed JSON.

        Raises:
            InputError: another layout.
        """
        try:
            if record["status"] == "failed":
                return cls(_text(record["id"]), error=dict(record["error"]))
            voice = record["voice"]
            return cls(
                id=_text(record["id"]),
                labels=tuple(_text(label) for label in record["labels"]),
                text=_text(record["text"]),
                scores={_text(label): float(score) for label, score in record["scores"].items()},
                sentiment=_text(record["sentiment"]),
                used=tuple(_text(name) for name in record["used"]),
                subtitle=_text(record["subtitle"]),
                missing=tuple(_text(sentence) for sentence in record["missing"]),
                voice=None if voice is None else _voice(voice),
                alone=_alone(record.get("alone", {})),
            )
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise InputError("A stored output can't be read.", f"{type(error).__name__}: {error}") from error


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r:.40} is no text")
    return value


def _alone(labels: Mapping[str, object]) -> dict[ClueModality, str]:
    if not set(labels) <= set(MODALITIES):
        raise ValueError(f"{', '.join(labels)} are not all modalities")
    return {name: _text(labels[name]) for name in MODALITIES if name in labels}


def _voice(values: list[Any]) -> Prosody:
    if len(values) != len(fields(Prosody)):
        raise ValueError(f"a voice has {len(fields(Prosody))} values, not {len(values)}")
    return Prosody(*(float(value) for value in values))
