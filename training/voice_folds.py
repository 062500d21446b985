"""Cross-validates the networks of the voice encoder over RAVDESS' actors.

Knows folds and how they are pooled. The network, its training and its augmentation are those of `voices`.
Chooses nothing: no released weights come from here, so that held-out actors may be among the folds.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from emer_edge.evaluate.prosody import Track
from emer_edge.evaluate.scores import score
from emer_export.graphs.nano import VOICES
from training import record
from training.corpus import VOICE_CLASSES, Voices, load_voices
from training.voices import VoiceTrainer, load_tracks, mean_shares, window_logits

_FOLDS, _EPOCHS, _SEED = 4, 20, 31


def fold_of(voices: Voices, folds: int = _FOLDS) -> NDArray[np.int64]:
    """Fold of each RAVDESS clip by its actor, -1 for other clips, int64 [n].

    Neighbours in number are of different sex, so pairs of actors stay together and every fold has both.
    """
    mine = voices.corpus == "ravdess"
    actors = sorted(set(voices.speaker[mine]))
    place = {actor: number // 2 % folds for number, actor in enumerate(actors)}
    return np.array([place[s] if m else -1 for s, m in zip(voices.speaker, mine, strict=True)], np.int64)


def run_fold(voices: Voices, tracks: list[Track], fold: int, options: argparse.Namespace) -> dict[str, Any]:
    """Train without the actors of `fold`, going on from checkpoints, and return what is said of them."""
    numbers = fold_of(voices, options.folds)
    kept = np.flatnonzero(numbers != fold)
    train, own = voices.where(kept), [tracks[i] for i in kept.tolist()]
    held = voices.where(np.flatnonzero(numbers == fold))
    logits, seconds = [], 0.0
    for member in range(options.members):
        trainer = VoiceTrainer(_SEED + fold + 100 * member, options.epochs)
        for losses in trainer.train(train, own, options.out / f"voice_fold{fold}.{member}.state.pt"):
            line = f"fold {fold} network {member} epoch {trainer.epoch}/{options.epochs}"
            print(f"{line} {trainer.seconds:.0f}s loss {losses[0]:.3f}", file=sys.stderr, flush=True)
        logits.append(window_logits(trainer.mean.module, held))
        seconds += trainer.seconds
    shares = mean_shares(logits)
    return {
        "files": held.files.tolist(),
        "speakers": held.speaker.tolist(),
        "truth": [VOICE_CLASSES[label] for label in held.label],
        "guess": [VOICE_CLASSES[best] for best in shares.argmax(1)],
        "epochs": options.epochs,
        "networks": options.members,
        "seconds": seconds,
    }


def pooled(results: list[dict[str, Any]]) -> dict[str, Any]:
    """Accuracy and UAR of all folds together, with intervals over actors, and of each fold alone."""
    names = ("truth", "guess", "speakers")
    truth, guess, speakers = ([item for result in results for item in result[name]] for name in names)
    classes = [name for name in VOICE_CLASSES if name in set(truth)]
    whole = score(truth, guess, classes=classes, groups=speakers)
    each = [score(r["truth"], r["guess"], classes=classes).uar.to_dict()["value"] for r in results]
    return {
        "corpus": "ravdess",
        "folds": len(results),
        "speakers": len(set(speakers)),
        "items": len(truth),
        "epochs": results[0]["epochs"],
        "networks": results[0]["networks"],
        "accuracy": whole.accuracy.to_dict(),
        "uar": whole.uar.to_dict(),
        "uar_each_fold": each,
    }


def _done(path: Path, members: int) -> bool:
    return path.is_file() and json.loads(path.read_text())["networks"] == members


def main(argv: list[str] | None = None) -> int:
    """Run what is missing and write the record's `voice_folds` once every fold is there."""
    parser = argparse.ArgumentParser(prog="python -m training.voice_folds", description=main.__doc__)
    parser.add_argument("--corpus", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=Path("build/training"))
    parser.add_argument("--figures", type=Path, required=True)
    parser.add_argument("--epochs", type=int, default=_EPOCHS)
    parser.add_argument("--folds", type=int, default=_FOLDS)
    parser.add_argument("--members", type=int, default=VOICES, help="networks that are heard together")
    parser.add_argument("--only", type=int, nargs="*", help="these folds alone, as on several machines")
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args(argv)
    torch.set_num_threads(options.threads)
    voices = load_voices(options.corpus, options.out / "cache")
    # EmoSpeech trains as in the recipe; its dev and test users and EMO-DB stay out.
    chosen = np.flatnonzero(
        (voices.corpus == "ravdess") | ((voices.corpus == "emospeech") & (voices.split == "train"))
    )
    voices = voices.where(chosen)
    tracks = load_tracks(voices, options.out / "cache" / "fold_tracks.npz")
    paths = [options.out / f"voice_fold{fold}.json" for fold in range(options.folds)]
    for fold in range(options.folds) if options.only is None else options.only:
        if not _done(paths[fold], options.members):
            paths[fold].write_text(json.dumps(run_fold(voices, tracks, fold, options)))
    if all(_done(path, options.members) for path in paths):
        figures = record.read(options.figures)
        figures["voice_folds"] = pooled([json.loads(path.read_text()) for path in paths])
        record.write(options.figures, figures)
        print(json.dumps(figures["voice_folds"], indent=1))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
