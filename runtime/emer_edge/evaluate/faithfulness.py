"""Checks what one answer states against the clip it is about.

Knows the statements that can be checked: voice clues against signal processing, quotations against the words,
modalities named against those given, labels in the text against those read from the logits, and whether clues
agree against what each modality shows alone. Does not know whether an emotion is right, and nothing of faces:
a smile in the text is not checked. `faithfulness_rates` sums up many answers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from emer_edge.errors import InputError
from emer_edge.evaluate import prosody
from emer_edge.evaluate.agreement import Claim, read_agreement
from emer_edge.evaluate.agreement_check import judge
from emer_edge.evaluate.agreement_words import UNCLEAR, adjective
from emer_edge.evaluate.clue_words import LEVELS, Quantity
from emer_edge.evaluate.mentions import MODALITIES, mentions, quotations, stands_in
from emer_edge.evaluate.prosody import Prosody
from emer_edge.evaluate.voice_clues import Reading, VoiceClue, voice_clues
from emer_edge.llm.parse import parse_labels
from emer_edge.results import ClueModality, Reasoning, Waveform

Kind: TypeAlias = Literal["voice", "quote", "absent", "named", "label", "agreement"]
Verdict: TypeAlias = Literal["right", "wrong", "borderline", "not_checkable"]
Levels: TypeAlias = Mapping[str, str]

MEASUREMENT_ERROR: dict[Quantity, float] = {
    "pitch": 0.02,
    "movement": 0.9,
    "loudness": 0.5,
    "pace": 0.6,
    "pauses": 0.025,
}
"""How far a value may lie from the truth: a share of the pitch, semitones, dB, per second, a share of time.

The 90th percentile of what changes when a clip is measured again with its start shifted by 2 ms, with white
noise 30 dB below it, or after Opus at 24 kbit/s: the larger one of 60 clips each of RAVDESS and Indian
EmoSpeech, rounded up.
"""

_VALUES: dict[Quantity, str] = {
    "pitch": "pitch_median_hz",
    "movement": "pitch_range_semitones",
    "loudness": "loudness_dbfs",
    "pace": "speech_rate_per_second",
    "pauses": "pause_ratio",
}
GIVEN: Mapping[str, ClueModality] = MappingProxyType(
    {"vision": "face", "audio": "voice", "subtitle": "words"}
)
"""The runtime's word for a modality -> that of clues."""
_CAVEATS = {
    "possible": "said as a possibility",
    "changing": "says how it changes, not how it is",
    "part": "says it of a part of the clip",
}
# Confidences nearer than this are a tie: either label may be written first.
_TIE = 0.05


@dataclass(frozen=True)
class Evidence:
    """What an answer is checked against.

    Args:
        given: the modalities the model was given.
        subtitle: the words that are said: as they were given, or a transcript where a model hears them.
        voice: the sound (mono, 16 kHz, -1..1), or how it was measured: values or levels. Levels alone know
            no borderline.
        labels: read from the logits, surest first.
        scores: their confidences, where known.
        alone: the surest label of each modality when it alone is given; "unclear" for what can't be read.

    Raises:
        InputError: an unknown modality, quantity or level, or sound at another rate.
    """

    given: frozenset[ClueModality]
    subtitle: str | None = None
    voice: Waveform | NDArray[np.floating] | Prosody | Levels | None = None
    labels: tuple[str, ...] = ()
    scores: Mapping[str, float] = field(default_factory=dict)
    alone: Mapping[ClueModality, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "given", frozenset(self.given))
        for names in (self.given, set(self.alone)):
            if not names <= set(MODALITIES):
                raise InputError(f"Modalities are {', '.join(MODALITIES)}.", f"Given: {sorted(names)}.")
        object.__setattr__(self, "voice", _measured(self.voice))

    @classmethod
    def of(
        cls,
        reasoning: Reasoning,
        waveform: Waveform | NDArray[np.floating] | None = None,
        alone: Mapping[ClueModality, str] | None = None,
    ) -> Evidence:
        """What the runtime says it has used for `reasoning`; sound is the caller's to bring.

        So is `alone`, unless the pack has each modality read by itself; what it was unsure of is unclear.
        """
        read = [emotion for emotion in reasoning.emotions if emotion.confidence is not None]
        read.sort(key=lambda emotion: -(emotion.confidence or 0.0))
        return cls(
            given=frozenset(GIVEN[name] for name in reasoning.used.modalities),
            subtitle=reasoning.used.subtitle or None,
            voice=waveform,
            labels=tuple(emotion.label for emotion in read),
            scores=reasoning.scores,
            alone=alone if alone is not None else shown_alone(reasoning),
        )

    @property
    def levels(self) -> dict[str, str]:
        """The measured level of each quantity, 'none' where there is no voice; empty without sound."""
        if isinstance(self.voice, Prosody):
            return prosody.levels(self.voice)
        return dict(self.voice) if isinstance(self.voice, Mapping) else {}


def shown_alone(reasoning: Reasoning) -> dict[ClueModality, str]:
    """The label of each modality by itself, where the pack has it read; unclear where that is not sure."""
    return {GIVEN[one.modality]: one.label if one.sure else UNCLEAR for one in reasoning.alone}


@dataclass(frozen=True)
class Check:
    """One statement and what became of it.

    `kind` `voice`: a clue about the voice. `quote`: quoted words stand in the subtitle. `absent`: a modality
    that was not given is not named. `named`: one that was given is. `label`: the text's first label is the
    surest of the logits. `agreement`: clues agree or differ as is said. `topic` is the quantity (`ambiguous`
    where the words mean either), the modality, or `agree` or `contrast`.
    The place is empty (start == stop) where a statement is that something is not said.
    """

    kind: Kind
    topic: str
    text: str
    start: int
    stop: int
    claimed: str
    measured: str
    verdict: Verdict
    is_right: bool | None
    """Judged strictly, by the measured level even where it is borderline; None where it can't be checked."""
    reason: str = ""
    readings: tuple[Reading, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """As plain data."""
        return {name: value for name, value in vars(self).items() if name != "readings"}


@dataclass(frozen=True)
class Checked:
    """The checks of one answer, with its clip and the clip's measured levels."""

    clip: str
    checks: tuple[Check, ...]
    levels: Levels = field(default_factory=dict)

    @property
    def has_fault(self) -> bool:
        """Whether any statement is strictly wrong."""
        return any(check.is_right is False for check in self.checks)


def check_answer(text: str, evidence: Evidence, clip: str = "clip") -> Checked:
    """Check every statement of one answer; of a text longer than 20,000 characters, the beginning.

    Statements stand in this order: voice clues, quotations, absent modalities, given ones, labels, agreement.

    >>> evidence = Evidence(frozenset({"face", "voice"}), alone={"face": "sad", "voice": "happy"})
    >>> checked = check_answer("While the face looks sad, the voice sounds happy.", evidence)
    >>> [(check.topic, check.verdict) for check in checked.checks if check.kind == "agreement"]
    [('contrast', 'right')]
    >>> [check.verdict for check in check_answer("The clues agree.", evidence).checks][-1]
    'wrong'
    """
    clues = voice_clues(text)
    checks = [_voice(clue, evidence) for clue in clues]
    checks += _quotes(text, evidence)
    checks += _modalities(text, clues, evidence)
    checks += _label(text, evidence)
    checks += _agreement(text, evidence)
    return Checked(clip, tuple(checks), evidence.levels)


def _measured(voice: Waveform | NDArray[np.floating] | Prosody | Levels | None) -> Prosody | Levels | None:
    if isinstance(voice, Waveform):
        if voice.sample_rate != prosody.SAMPLE_RATE:
            raise InputError(
                f"Voices are measured at {prosody.SAMPLE_RATE} Hz.", f"This one has {voice.sample_rate} Hz."
            )
        voice = voice.samples
    if isinstance(voice, np.ndarray):
        if voice.ndim != 1 or voice.dtype.kind != "f":
            raise InputError("A waveform is mono floats.", f"Its shape is {voice.shape}, {voice.dtype}.")
        return prosody.measure(voice)
    if isinstance(voice, Mapping):
        for name, level in voice.items():
            if level not in ("none", *LEVELS.get(name, ())):  # type: ignore[call-overload]
                raise InputError(f"A voice has no {name!r} of level {level!r}.")
    return voice


def _voice(clue: VoiceClue, evidence: Evidence) -> Check:
    readings = clue.readings
    topic = readings[0].quantity if len(readings) == 1 else "ambiguous"
    measured = {r.quantity: evidence.levels.get(r.quantity, "") for r in readings}
    done = Check(
        kind="voice",
        topic=topic,
        text=clue.text,
        start=clue.start,
        stop=clue.stop,
        claimed=" / ".join(map(str, readings)),
        measured=" / ".join(f"{name} {level}" for name, level in measured.items() if level),
        verdict="not_checkable",
        is_right=None,
        readings=readings,
    )
    if clue.caveat:
        return replace(done, reason=_CAVEATS[clue.caveat])
    if "voice" not in evidence.given:
        return replace(done, reason="the voice was not given")
    if not all(measured.values()):
        return replace(done, reason="there is no measurement")
    right = [measured[r.quantity] in r.levels for r in readings]
    if len(set(right)) > 1:
        return replace(done, reason="the words can mean either, and one of it is right")
    near = any(_is_near(reading, evidence.voice) for reading in readings)
    verdict: Verdict = "borderline" if near else "right" if right[0] else "wrong"
    silent = "none" in measured.values()
    return replace(
        done, verdict=verdict, is_right=right[0], reason="there is no such voice" if silent else ""
    )


def _is_near(reading: Reading, voice: object) -> bool:
    """Whether a measurement within its error would turn the verdict."""
    if not isinstance(voice, Prosody):
        return False
    name, error = _VALUES[reading.quantity], MEASUREMENT_ERROR[reading.quantity]
    value = float(getattr(voice, name))
    if prosody.levels(voice)[reading.quantity] == "none":
        return False
    away = value * error if reading.quantity == "pitch" else error
    # A loudness of 0 and a pitch of 0 stand for silence.
    low = value - away if reading.quantity == "loudness" else max(value - away, 1e-6)
    outcomes = {
        prosody.levels(replace(voice, **{name: other}))[reading.quantity] in reading.levels
        for other in (low, value, value + away)
    }
    return len(outcomes) > 1


def _quotes(text: str, evidence: Evidence) -> list[Check]:
    checks = []
    for quote in quotations(text):
        words = evidence.subtitle or ""
        right: bool | None = stands_in(quote.text, words)
        reason = ""
        if not words and "words" not in evidence.given:
            reason = "quotes words that were not given"
        if not right and not quote.is_of_words:
            right, reason = None, "may be a term in quotation marks rather than a quotation"
        checks.append(
            Check(
                kind="quote",
                topic="words",
                text=quote.text,
                start=quote.start,
                stop=quote.stop,
                claimed="said",
                measured="" if right is None else "in the words" if right else "not in the words",
                verdict="not_checkable" if right is None else "right" if right else "wrong",
                is_right=right,
                reason=reason,
            )
        )
    return checks


def _modalities(text: str, clues: tuple[VoiceClue, ...], evidence: Evidence) -> list[Check]:
    places: dict[ClueModality, list[tuple[int, int]]] = {name: [] for name in MODALITIES}
    for mention in mentions(text):
        places[mention.modality].append((mention.start, mention.stop))
    places["voice"] += [(clue.start, clue.stop) for clue in clues]
    places["words"] += [(quote.start, quote.stop) for quote in quotations(text) if quote.is_of_words]
    checks = []
    for name in sorted(MODALITIES, key=lambda name: name in evidence.given):
        given, named = name in evidence.given, bool(places[name])
        start, stop = min(places[name], default=(0, 0))
        checks.append(
            Check(
                kind="named" if given else "absent",
                topic=name,
                text=text[start:stop],
                start=start,
                stop=stop,
                claimed="named" if named else "not named",
                measured="given" if given else "not given",
                verdict="right" if given == named else "wrong",
                is_right=given == named,
            )
        )
    return checks


def _label(text: str, evidence: Evidence) -> list[Check]:
    """The text's first label beside the surest of the logits; nothing where the text names no label."""
    known = {label.lower() for label in evidence.labels} | {label.lower() for label in evidence.scores}
    written = parse_labels(text, sorted(known))
    if not written:
        return []
    first = adjective(written[0])
    start = text.lower().rfind(written[0])
    start, stop = (start, start + len(written[0])) if start >= 0 else (0, 0)
    best = [adjective(label) for label in evidence.labels[:1]]
    shares = {adjective(label): share for label, share in evidence.scores.items()}
    near = bool(best) and first in shares and shares.get(best[0], 0.0) - shares[first] < _TIE
    right = first in best
    verdict: Verdict = "right" if right else "borderline" if near else "wrong"
    done = Check(
        kind="label",
        topic="labels",
        text=text[start:stop],
        start=start,
        stop=stop,
        claimed=", ".join(written),
        measured=", ".join(evidence.labels),
        verdict=verdict,
        is_right=right,
    )
    if not best:
        return [replace(done, verdict="not_checkable", is_right=None, reason="no labels were read")]
    return [done]


def _agreement(text: str, evidence: Evidence) -> list[Check]:
    """What is said of clues that agree or differ, by the answer itself and by each modality alone."""
    known = {*evidence.labels, *evidence.scores, *evidence.alone.values()}
    said = read_agreement(text, known)
    checks = []
    for claim in said.claims:
        found = judge(claim, said.clues, evidence.given, evidence.alone, known)
        verdict: Verdict = (
            "not_checkable" if found.is_right is None else "right" if found.is_right else "wrong"
        )
        named = [side.modality for side in claim.sides] or evidence.given
        alone = [f"{name} {evidence.alone[name]}" for name in MODALITIES if name in evidence.alone]
        checks.append(
            Check(
                kind="agreement",
                topic=claim.stance,
                text=claim.text,
                start=claim.start,
                stop=claim.stop,
                claimed=_claimed(claim),
                measured=", ".join(own for own in alone if own.split()[0] in named),
                verdict=verdict,
                is_right=found.is_right,
                reason=found.reason,
            )
        )
    return checks


def _claimed(claim: Claim) -> str:
    sides = [" ".join((side.modality, *side.labels)) for side in claim.sides] or [
        " ".join(("all", *claim.labels))
    ]
    return f"{', '.join(sides)} {'agree' if claim.stance == 'agree' else 'differ'}"
