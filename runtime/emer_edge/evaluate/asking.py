"""Asks a pack about one row of a data set: with all it has, with words alone, or with one modality.

Knows a loaded pack and what a row brings. Does not know truths, runs or metrics.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal, TypeAlias

import numpy as np

from emer_edge._core import CancelToken
from emer_edge.answers import Options
from emer_edge.errors import EmerError, InputError, MediaError, PackError
from emer_edge.evaluate import prosody
from emer_edge.evaluate.carry import NOT_THE_CLIPS, or_failure
from emer_edge.evaluate.datasets import Row
from emer_edge.evaluate.outputs import Output
from emer_edge.inputs import open_inputs
from emer_edge.limits import Limits
from emer_edge.media.source import AudioSpec, Backend, FrameSpec, open_media
from emer_edge.packs.manifest import MANIFEST, Manifest
from emer_edge.pipeline import Perception
from emer_edge.reasoner import Reasoner
from emer_edge.results import Clip, Reasoning, Waveform
from emer_edge.senses import FACE_FRAME_SIDE

Only: TypeAlias = Literal["", "face", "voice", "words"]
MODALITIES: Mapping[str, str] = MappingProxyType({"face": "vision", "voice": "audio", "words": "subtitle"})
"""What can be given alone -> the runtime's word for it."""

# The largest square that Limits.pixels takes; pictures up to this size come as they are.
_LARGEST_SIDE = 4_096


@dataclass(frozen=True)
class Asked:
    """How a pack is asked about every row.

    Args:
        question: `explain`, `labels`, `sentiment` or words.
        only: the one modality that is given; "" gives all there are.
        text_only: ask by the subtitle alone where there is no clip, rather than fail.
        max_tokens: ceiling of the text; 0 asks for labels only.
        temperature: of the sampler; None is the pack's.
        seed: of the sampler.
        decoder: auto, native or pyav.
        at_once: rows that stand side by side in the language model.
    """

    question: str = "explain"
    only: Only = ""
    text_only: bool = False
    max_tokens: int | None = None
    temperature: float | None = None
    seed: int = 0
    decoder: Backend = "auto"
    at_once: int = 1

    def to_dict(self) -> dict[str, Any]:
        """As plain data, for the run's record; `at_once` where it changes anything."""
        known = asdict(self)
        if self.at_once == 1:
            del known["at_once"]
        return known


def ask_row(reasoner: Reasoner, row: Row, asked: Asked, cancel: CancelToken | None = None) -> Output:
    """Ask about one row; where the text may speak of the voice, the voice is measured too.

    Raises:
        MediaError: the row has no clip (and `text_only` is off), or nothing in it can be used.
        EmerError: whatever `Reasoner.infer` raises.
    """
    source, subtitle = _given(reasoner, row, asked, cancel)
    options = Options(max_tokens=asked.max_tokens, temperature=asked.temperature, seed=asked.seed)
    reasoning = reasoner.infer(
        source, question=asked.question, subtitle=subtitle, options=options, cancel=cancel
    )
    return _output(row, reasoning, asked, cancel)


def ask_rows(
    reasoner: Reasoner, rows: Sequence[Row], asked: Asked, cancel: CancelToken | None = None
) -> list[Output]:
    """Ask about several rows side by side; what fails of one is its own output, and the others go on.

    Where the language model fails with all of them, each is asked again alone.

    Raises:
        PackError, DeviceError, OutputError, Cancelled: no row is to blame.
    """
    if len(rows) == 1:
        return [or_failure(rows[0], lambda: ask_row(reasoner, rows[0], asked, cancel))]
    options = Options(max_tokens=asked.max_tokens, temperature=asked.temperature, seed=asked.seed)
    seen: dict[str, Perception] = {}
    outputs: dict[str, Output] = {}

    def look(row: Row) -> None:
        source, subtitle = _given(reasoner, row, asked, cancel)
        seen[row.id] = reasoner.perceive(source, subtitle=subtitle, cancel=cancel)

    for row in rows:
        if failure := or_failure(row, lambda row=row: look(row)):  # type: ignore[misc]
            outputs[row.id] = failure
    try:
        found = reasoner.ask_many([*seen.values()], asked.question, options=options, cancel=cancel)
        reasonings = dict(zip(seen, found, strict=True))
    except NOT_THE_CLIPS:
        raise
    except EmerError:
        reasonings = {}

    def output(row: Row) -> Output:
        reasoning = reasonings.get(row.id) or reasoner.ask(
            seen[row.id], asked.question, options=options, cancel=cancel
        )
        return _output(row, reasoning, asked, cancel)

    for row in rows:
        if row.id in seen:
            outputs[row.id] = or_failure(row, lambda row=row: output(row))  # type: ignore[misc]
    return [outputs[row.id] for row in rows]


def _output(row: Row, reasoning: Reasoning, asked: Asked, cancel: CancelToken | None) -> Output:
    voice = None
    if reasoning.text and "audio" in reasoning.used.modalities and row.media is not None:
        samples = voice_of(row.media, asked.decoder, cancel).samples
        voice = prosody.measure(samples) if len(samples) else None
    return Output.of(row.id, replace(reasoning, clip=row.id), voice)


def voice_of(path: Path, decoder: Backend = "auto", cancel: CancelToken | None = None) -> Waveform:
    """The sound of a clip, mono and at the rate that voices are measured at.

    Raises:
        MediaError, LimitError, Cancelled, InputError.
    """
    return open_media(path, Limits(), backend=decoder).waveform(AudioSpec(prosody.SAMPLE_RATE), cancel)


def pack_record(folder: Path, manifest: Manifest, device: str) -> dict[str, Any]:
    """What a run keeps about its pack; the digest is that of the manifest, which holds those of all files.

    Raises:
        PackError: the manifest can't be read.
    """
    try:
        digest = hashlib.sha256((folder / MANIFEST).read_bytes()).hexdigest()
    except OSError as error:
        raise PackError(f"{folder / MANIFEST} can't be read.", error.strerror or str(error)) from error
    return {
        "kind": "pack",
        "pack": manifest.name,
        "version": manifest.version,
        "sha256": digest,
        "device": device,
    }


def _given(
    reasoner: Reasoner, row: Row, asked: Asked, cancel: CancelToken | None
) -> tuple[Path | Clip, str | None]:
    """What is passed as the clip, and as its subtitle (None: the runtime looks for one)."""
    if row.media is None:
        if asked.only in ("face", "voice") or not (asked.text_only or asked.only == "words"):
            raise MediaError(
                f"There is no clip of {row.id}.", "None was found in the media folder.", "Check --media."
            )
        return _words(row, row.subtitle or ""), None
    if asked.only == "words":
        words = row.subtitle
        if words is None:
            words = open_inputs(row.media, None, Limits(), asked.decoder, cancel).subtitle
        return _words(row, words), None
    if asked.only == "voice":
        rate = reasoner.manifest.preprocessing.audio.sample_rate
        media = open_media(row.media, Limits(), backend=asked.decoder)
        heard = media.waveform(AudioSpec(rate), cancel)
        return Clip(waveform=heard.samples, sample_rate=heard.sample_rate, name=row.id), None
    if asked.only == "face":
        return _frames(reasoner.manifest, row, row.media, asked, cancel), None
    return row.media, row.subtitle


def _words(row: Row, words: str) -> Clip:
    if not words.strip():
        raise InputError(f"There are no words of {row.id}.", "It can't be asked about by its words alone.")
    return Clip(subtitle=words, name=row.id)


def _frames(manifest: Manifest, row: Row, path: Path, asked: Asked, cancel: CancelToken | None) -> Clip:
    """The very frames that the pack's rule picks from the file, without its sound and words."""
    rule = manifest.preprocessing.frames
    side = FACE_FRAME_SIDE if rule.source == "faces" else _LARGEST_SIDE
    spec = FrameSpec(rule.rule, rule.count, side, side, "fit", dtype="uint8")
    batch = open_media(path, Limits(), backend=asked.decoder).frames(spec, cancel)
    sampled = batch.pixels[: len(batch.pixels) - batch.padded]
    return Clip(frames=np.ascontiguousarray(sampled.transpose(0, 2, 3, 1)), name=row.id)
