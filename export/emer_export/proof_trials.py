"""Clips on their way through both models: what the runtime saw and heard, and what either made of it.

Knows encoders and fusion on both sides. Does not know the language model, figures' bounds or how a pack is
made. Torch gets the very pictures and sound that the pack's encoders got, and from there on its own results.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from emer_edge.encoders.audio import AudioEncoder
from emer_edge.encoders.base import Encoder
from emer_edge.encoders.onnx import OnnxEncoder
from emer_edge.encoders.vision import VisionEncoder
from emer_edge.inputs import open_inputs
from emer_edge.packs.manifest import Manifest
from emer_edge.pipeline import Event, Perception, perceive
from emer_edge.proof import SUBTITLE, made_input
from emer_edge.results import Used
from emer_edge.session import Session, tensor_pair
from emer_export.encoders import EncoderSource
from emer_export.graphs.fusion import FusionHead
from emer_export.proof_figures import Figures
from emer_export.sources import Sources

Rows = NDArray[np.float32]
Report = Callable[[str, float | None], object]


@dataclass
class Trial:
    """One clip. `soft` is torch's, `by_precision` the pack's by the encoders' precision, each name -> (1,
    dim).
    """

    perception: Perception
    pictures: NDArray[Any] | None
    windows: Rows | None
    soft: dict[str, Rows] = field(default_factory=dict)
    by_precision: dict[str, dict[str, Rows]] = field(default_factory=dict)
    embeddings: dict[str, Rows] = field(default_factory=dict)
    """Torch's, by part."""
    made: bool = False
    """Not a clip but the input that anyone can make; it has no labels worth comparing."""


class _Kept:
    """An encoder of the runtime that keeps what it was given."""

    def __init__(self, inner: VisionEncoder | AudioEncoder) -> None:
        self._inner = inner
        self.given: NDArray[Any] | None = None

    def encode(self, rows: Any, cancel: Any = None) -> Rows:
        self.given = np.array(rows)
        return self._inner.encode(rows, cancel)


class _TorchEncoder:
    """A torch module in the place of an ONNX file, row by row where it can be: memory is that of one row."""

    provider = "torch"

    def __init__(self, source: EncoderSource, rows: int) -> None:
        self._module, self.output_dim, self.whole = source.load(), source.dim, source.tokens > 0
        self.input_shape = (rows if self.whole else 1, *source.row)

    def encode(self, batch: Rows, cancel: Any = None) -> Rows:  # noqa: ARG002
        with torch.inference_mode():
            found: Rows = self._module(torch.from_numpy(batch)).numpy()
        return found

    def close(self) -> None:
        pass


def look_and_listen(session: Session, clips: Sequence[Path], report: Report) -> list[Trial]:
    """Run clips through the runtime and keep what its encoders were given.

    Raises:
        MediaError, LimitError and others: as `emer_edge.pipeline.perceive`.
    """
    trials = []
    for number, path in enumerate(clips):
        report("clips", number / len(clips))
        inner = session.vision, session.audio
        sight, sound = _Kept(session.vision), _Kept(session.audio)
        session.vision, session.audio = sight, sound  # type: ignore[assignment]
        try:
            perception = perceive(session, open_inputs(path, None, session.limits), nobody)
        finally:
            session.vision, session.audio = inner
        used = perception.used.modalities
        trials.append(
            Trial(
                perception,
                sight.given if "vision" in used else None,
                sound.given if "audio" in used else None,
            )
        )
    return trials


def made_trial(session: Session) -> Trial:
    """The input of `emer_edge.proof`, as if it had come from a clip with picture, sound and subtitle."""
    made = made_input(session.manifest)
    used = Used(("vision", "audio", "subtitle"), subtitle=SUBTITLE)
    perception = Perception("made", {}, used, (), 0.0, {})
    return Trial(perception, made.pictures, made.windows, made=True)


def encode_and_fuse(
    session: Session, sources: Sources, trials: list[Trial], figures: Figures, report: Report
) -> None:
    """Embeddings and soft tokens by torch and by every precision of the pack; fills in the trials."""
    rows: dict[str, list[dict[str, Rows]]] = {}
    for part in ("vision", "audio"):
        source = getattr(sources, part)
        truth = rows.setdefault("torch", [{} for _ in trials])
        report(f"{part} torch", None)
        files = getattr(session.manifest.encoders, part).files
        rows_in = next(iter(files.values())).input.shape[0]
        _encode(session.manifest, part, _TorchEncoder(source, rows_in), trials, truth)
        for precision, file in files.items():
            report(f"{part} {precision}", None)
            found = rows.setdefault(precision, [{} for _ in trials])
            network = OnnxEncoder(session.folder / file.path, tensor_pair(file), threads=session.threads)
            _encode(session.manifest, part, network, trials, found)
            for left, right in zip(truth, found, strict=True):
                if part in left:
                    figures.embeddings(part, precision, left[part], right[part])
    head = None if sources.fusion.kind == "tokens" else sources.fusion.head()
    for number, trial in enumerate(trials):
        trial.embeddings = rows["torch"][number]
        trial.soft = dict(trial.embeddings) if head is None else _fuse(head, trial.embeddings)
        for precision in session.manifest.encoders.vision.files:
            both = rows[precision][number]
            trial.by_precision[precision] = session.fusion.fuse(both.get("vision"), both.get("audio"))
            figures.soft_tokens(precision, trial.soft, trial.by_precision[precision])


def _encode(
    manifest: Manifest, part: str, network: Encoder, trials: list[Trial], to: list[dict[str, Rows]]
) -> None:
    frames = manifest.preprocessing.frames
    encoder: VisionEncoder | AudioEncoder
    if part == "vision":
        encoder = VisionEncoder(network, mean=frames.mean, std=frames.std, channel_order=frames.channel_order)
    else:
        encoder = AudioEncoder(network)
    for trial, row in zip(trials, to, strict=True):
        given = trial.pictures if part == "vision" else trial.windows
        if given is not None:
            row[part] = encoder.encode(given)
    encoder.close()


def _fuse(head: FusionHead, rows: dict[str, Rows]) -> dict[str, Rows]:
    """Soft tokens by the torch head, each (1, model_dim)."""
    there = {part: torch.from_numpy(found)[None] for part, found in rows.items()}
    with torch.inference_mode():
        soft: dict[str, Rows] = {
            part: getattr(head, part)(hidden)[0].numpy() for part, hidden in there.items()
        }
        if len(there) == 2:
            soft["multi"] = head.multi(there["vision"], there["audio"])[0].numpy()
    return soft


def nobody(_event: Event) -> None:
    """Whom the pipeline tells what it does."""
