"""Measures what length, data, augmentation and size of the voice's network are worth on another corpus.

Knows the variants, each one change to a common recipe, and how they are scored: on RAVDESS' dev actors and on
EmoSpeech, which no variant trains on. The network and its training are those of `voices`; only the running
mean of weights, too slow for the shortest, is left out. Does not know test rows nor EMO-DB: what is chosen by
these curves can still be tested there.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from emer_edge.evaluate.prosody import Track
from emer_edge.evaluate.scores import compare, score
from training import record
from training.corpus import VOICE_CLASSES, Voices, load_voices
from training.voices import (
    EMOSPEECH_CLASSES,
    FULL,
    Augmentation,
    VoiceTrainer,
    load_tracks,
    pooled_shares,
    window_logits,
)

_SEED = 31


@dataclass(frozen=True)
class Variant:
    """One network: on which curve (`measure`) it is a point, in which `words`, and how it is trained."""

    name: str
    measure: str
    words: str
    epochs: int = 12
    actors: int = 18
    augmentation: Augmentation = FULL
    width: float = 1.0
    seed: int = _SEED


_NONE, _WAVEFORM, _SPECTRUM = Augmentation(False, False), Augmentation(True, False), Augmentation(False, True)
# The most telling first, because a run may be cut off.
VARIANTS = (
    Variant("baseline", "baseline", "12 epochs, 18 actors"),
    Variant("augmentation_none", "augmentation", "no augmentation", augmentation=_NONE),
    Variant("actors_4", "actors", "4 actors", actors=4),
    Variant("epochs_4", "epochs", "4 epochs", epochs=4),
    Variant("width_half", "width", "half the width", width=0.5),
    Variant("epochs_24", "epochs", "24 epochs", epochs=24),
    Variant("actors_9", "actors", "9 actors", actors=9),
    Variant("augmentation_waveform", "augmentation", "only the waveform altered", augmentation=_WAVEFORM),
    Variant("augmentation_spectrum", "augmentation", "only the spectrum altered", augmentation=_SPECTRUM),
    Variant("width_larger", "width", "one and a half the width", width=1.5),
    # What chance alone changes: a smaller difference says nothing.
    Variant("seed_other", "seed", "another seed", seed=_SEED + 1),
)


@dataclass(frozen=True)
class Material:
    """What variants share: training clips with their pitch, and the clips of either score."""

    train: Voices
    tracks: list[Track]
    within: Voices
    across: Voices


def load(corpus: Path, cache: Path) -> Material:
    """Open RAVDESS (train and dev) and EmoSpeech (train and dev) below `corpus`."""
    voices = load_voices(corpus, cache)
    train = voices.where(np.flatnonzero(voices.split == "train"))
    # The recipe's own cache, which also holds EmoSpeech's clips.
    tracks = load_tracks(train, cache / "tracks.npz")
    mine = np.flatnonzero(train.corpus == "ravdess")
    seen = (voices.split == "train") | (voices.split == "dev")
    return Material(
        train=train.where(mine),
        tracks=[tracks[i] for i in mine.tolist()],
        within=voices.where(np.flatnonzero((voices.corpus == "ravdess") & (voices.split == "dev"))),
        across=voices.where(np.flatnonzero((voices.corpus == "emospeech") & seen)),
    )


def rows_of(voices: Voices, actors: int) -> NDArray[np.int64]:
    """Rows of the first `actors` in number, int64 [n]; neighbours in number are of different sex."""
    return np.flatnonzero(np.isin(voices.speaker, sorted(set(voices.speaker))[:actors]))


def told(parts: torch.nn.Module, clips: Voices, classes: tuple[str, ...]) -> dict[str, list[str]]:
    """Say of each clip what it is, which of `classes` the network takes it for, and whose it is."""
    columns = [VOICE_CLASSES.index(name) for name in classes]
    shares = pooled_shares(window_logits(parts, clips))[:, columns]
    return {
        "truth": [VOICE_CLASSES[label] for label in clips.label],
        "guess": [classes[best] for best in shares.argmax(1)],
        "speakers": clips.speaker.tolist(),
    }


def run_variant(material: Material, variant: Variant, out: Path) -> dict[str, Any]:
    """Train one network, going on from its checkpoint in `out`, and return what it says of both corpora."""
    rows = rows_of(material.train, variant.actors)
    train, tracks = material.train.where(rows), [material.tracks[i] for i in rows.tolist()]
    trainer = VoiceTrainer(variant.seed, variant.epochs, variant.augmentation, variant.width)
    for losses in trainer.train(train, tracks, out / f"voice_curve_{variant.name}.state.pt"):
        line = f"{variant.name} epoch {trainer.epoch}/{variant.epochs} {trainer.seconds:.0f}s"
        print(f"{line} loss {losses[0]:.3f} {losses[1]:.3f}", file=sys.stderr, flush=True)
    # Not the running mean that the recipe keeps: after 240 steps, half of that is where the weights began.
    parts = trainer.parts
    return {
        "variant": asdict(variant),
        "clips": len(rows),
        "weights": sum(weight.numel() for weight in parts.parameters()),
        "seconds": trainer.seconds,
        "within": told(parts, material.within, VOICE_CLASSES),
        "across": told(parts, material.across, EMOSPEECH_CLASSES),
    }


def curves(results: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """Score what was said, by name of the variant: the record's `voice_curves`, one curve after the other.

    UAR within RAVDESS has an interval over clips, since two actors would give none; across, over users.
    `change` is the variant minus the baseline across, on the same resamples of users.
    """
    base, found = results["baseline"], {}
    measures = list(dict.fromkeys(variant.measure for variant in VARIANTS))
    for variant in sorted(VARIANTS, key=lambda variant: measures.index(variant.measure)):
        if variant.name not in results:
            continue
        result = results[variant.name]
        within, across = result["within"], result["across"]
        users = across["speakers"]
        entry: dict[str, Any] = {
            "measure": variant.measure,
            "words": variant.words,
            **{key: result[key] for key in ("clips", "weights", "seconds")},
            "within": score(within["truth"], within["guess"]).uar.to_dict(),
            "across": score(across["truth"], across["guess"], groups=users).uar.to_dict(),
        }
        if result is not base:
            change = compare(across["truth"], across["guess"], base["across"]["guess"], groups=users).uar
            entry["change"] = {"value": change.value, "interval_95": [change.low, change.high]}
        found[variant.name] = entry
    return {**{side: _size(base[side]) for side in ("within", "across")}, "variants": found}


def _size(side: dict[str, list[str]]) -> dict[str, int]:
    names = ("truth", "speakers")
    classes, speakers = (len(set(side[name])) for name in names)
    return {"items": len(side["truth"]), "classes": classes, "speakers": speakers}


def main(argv: list[str] | None = None) -> int:
    """Train and score the variants that are missing; write the record's `voice_curves` after each."""
    parser = argparse.ArgumentParser(prog="python -m training.voice_curves", description=main.__doc__)
    parser.add_argument("--corpus", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=Path("build/training"))
    parser.add_argument("--figures", type=Path, required=True)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args(argv)
    torch.set_num_threads(options.threads)
    material = load(options.corpus, options.out / "cache")
    results: dict[str, dict[str, Any]] = {}
    for variant in VARIANTS:
        path = options.out / f"voice_curve_{variant.name}.json"
        if not path.is_file():
            path.write_text(json.dumps(run_variant(material, variant, options.out)))
        results[variant.name] = json.loads(path.read_text())
        figures = record.read(options.figures)
        figures["voice_curves"] = curves(results)
        record.write(options.figures, figures)
    print(json.dumps(figures["voice_curves"], indent=1))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
