"""Measures on dev rows what parts of the recipe are worth: views of a face, networks of a voice, lines of
text.

Knows which parts can be left out without training the rest again, and how many lines a small model of words
is given. Does not know the language model, test rows or plots.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from emer_edge.evaluate.scores import score
from training import calibrate, corpus, faces, record, voices
from training.text import CANDIDATES, Utterance, load_text
from training.words_linear import Runs, fit_linear, linear_shares

_PARTS = (1.0, 0.5, 0.25, 0.1)
_WORDS = {
    "meld": ("Words, MELD dev: weighted F1", "weighted_f1"),
    "goemotions": ("Words, GoEmotions dev: macro F1", "macro_f1"),
}
_SEED = 5
# The power of a frequency that the bag is divided by, to find rare labels: the best of four on dev rows.
_EVENED = 0.8

Groups = dict[str, dict[str, dict[str, Any]]]
Array = NDArray[Any]


def _uar(truth: Array, shares: Array, groups: Array | None = None) -> dict[str, Any]:
    names = [str(label) for label in truth]
    guess = [str(label) for label in shares.argmax(1)]
    classes = sorted(set(names) | set(guess))
    return score(
        names, guess, classes=classes, groups=None if groups is None else groups.tolist()
    ).uar.to_dict()


@torch.no_grad()
def face_parts(out: Path, corpora: Path) -> Groups:
    """Measure faces without the mirror image, and without evening the classes."""
    module, _ = calibrate.vision_module(out, corpora)
    everything = corpus.load_ferplus(corpora)
    dev = everything.where((everything.split == "dev") & (everything.hard >= 0))
    pictures = torch.split(faces.normalise(dev.pixels), 256)
    seen = torch.cat([module.encoder.embed_grey(x) for x in pictures])
    mirrored = torch.cat([module.encoder.embed_grey(x.flip(3)) for x in pictures])
    plain = torch.load(out / "face.pt", weights_only=True)["head"]
    heads = {
        "both": module.head((seen + mirrored) / 2),
        "without the mirror image": module.head(seen),
        "classes as frequent as in FER+": functional.linear(
            (seen + mirrored) / 2, plain["weight"], plain["bias"]
        ),
    }
    found = {name: (dev.hard, logits.softmax(1).numpy()) for name, logits in heads.items()}
    accuracy = {
        name: {"value": float((shares.argmax(1) == truth).mean())} for name, (truth, shares) in found.items()
    }
    recall = {name: _uar(*pair) for name, pair in found.items()}
    return {"Faces, FER+ dev: accuracy": accuracy, "Faces, FER+ dev: UAR": recall}


def voice_parts(out: Path, corpora: Path) -> Groups:
    """Measure voices with fewer networks."""
    module, _ = calibrate.audio_module(out, corpora)
    clips = corpus.load_voices(corpora, out / "cache")
    dev = clips.where(np.flatnonzero(clips.split == "dev"))
    logits = []
    for encoder, head in zip(module.encoders, module.heads, strict=True):
        parts = torch.nn.ModuleDict({"encoder": encoder, "head": head})
        logits.append(voices.window_logits(parts, dev))
    groups: Groups = {}
    for name in ("ravdess", "emospeech"):
        mine = dev.corpus == name
        classes = np.unique(dev.label[mine])
        own = {}
        for count in range(len(logits), 0, -1):
            pooled = voices.mean_shares(logits[:count])[mine][:, classes]
            title = "one network" if count == 1 else f"{count} networks"
            own[title] = _uar(np.searchsorted(classes, dev.label[mine]), pooled, dev.speaker[mine])
        groups[f"Voices, {'RAVDESS' if name == 'ravdess' else 'EmoSpeech'} dev: UAR"] = own
    return groups


def word_parts(corpora: Path, expert: Mapping[str, Any], dev: Mapping[str, Any]) -> Groups:
    """Measure words: the language model, the text expert, and a bag of words of ever fewer lines.

    `expert` is words_expert.json, `dev` the pack's own figures on the dev split where they were measured.
    """
    utterances = load_text(corpora)
    runs = Runs([item.text for item in utterances])
    groups: Groups = {}
    for name, (title, metric) in _WORDS.items():
        own: dict[str, dict[str, Any]] = {}
        measured = dev.get("recognise", {}).get(name, {}).get(metric)
        if measured is not None:
            own["language model"] = measured
        own["text expert"] = expert["dev"][name]["shares_tilted"][metric]
        for part in _PARTS:
            words = "bag of words" if part == 1 else f"bag of {100 * part:.0f} % of the lines"
            own[words] = _bag(utterances, runs, name, part)[metric]
        groups[title] = own
    return groups


def _bag(utterances: list[Utterance], runs: Runs, name: str, part: float) -> dict[str, Any]:
    known = [i for i, item in enumerate(utterances) if item.corpus == name and item.single is not None]
    train = np.array([i for i in known if utterances[i].split == "train"])
    dev = np.array([i for i in known if utterances[i].split == "dev"])
    kept = np.sort(np.random.default_rng(_SEED).permutation(train)[: round(part * len(train))])
    bags = runs.weighted(kept)
    table = fit_linear(bags, kept, np.stack([utterances[i].shares for i in kept]))
    truth = [utterances[i].label for i in dev]
    frequency = np.mean([utterances[i].shares for i in kept], 0) + 1e-6
    scores = linear_shares(bags, table, dev) / frequency**_EVENED
    scores[:, [name not in set(truth) for name in CANDIDATES]] = 0
    guess = [CANDIDATES[best] for best in scores.argmax(1)]
    found = score(truth, guess, classes=sorted(set(truth)))
    return {"macro_f1": found.macro_f1.to_dict(), "weighted_f1": found.weighted_f1.to_dict()}


def main(argv: list[str] | None = None) -> int:
    """Write the record's `ablations`; nothing is trained but bags of words."""
    parser = argparse.ArgumentParser(prog="python -m training.ablations", description=main.__doc__)
    parser.add_argument("--corpus", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=Path("build/training"))
    parser.add_argument("--figures", type=Path, required=True)
    options = parser.parse_args(argv)
    figures = record.read(options.figures)
    expert = json.loads((options.out / "words_expert.json").read_text())
    groups = face_parts(options.out, options.corpus) | voice_parts(options.out, options.corpus)
    figures["ablations"] = groups | word_parts(options.corpus, expert, figures.get("dev", {}))
    record.write(options.figures, figures)
    print(json.dumps(figures["ablations"], indent=1), file=sys.stderr)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
