"""Turns trained encoders and heads into the modules that are exported, with shares that mean what they say.

Knows temperature scaling (Guo et al. 2017) of the shares pooled over a clip, fitted on dev rows. Does not
know how encoders are trained, ONNX or the language model.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from emer_export.graphs.nano import CLASSES, EMBEDDING_DIM, Audio, Vision
from training import corpus, faces, voices

# Two thirds of FER+ are neutral or happy, which people's feelings need not be. Shares are divided by this
# power of a class's frequency: on dev rows, mean recall rises by six points and accuracy falls by two.
_EVENED = 0.4


def fit_temperature(logits: Tensor, labels: Tensor, allowed: Tensor) -> float:
    """Return the factor on logits [networks, n, windows, classes] whose pooled shares fit labels [n] best.

    Pooled is the mean of the networks, then the geometric mean of the windows. `allowed` bool [n, classes]:
    the classes of the corpus a row is from.
    """

    def loss(factor: float) -> float:
        shares = functional.softmax(logits * factor, 3).mean(0)
        pooled = torch.log(shares + 1e-9).mean(1).masked_fill(~allowed, -1e4)
        return float(functional.cross_entropy(pooled, labels))

    candidates = np.geomspace(0.2, 3.0, 57)
    return float(candidates[int(np.argmin([loss(float(c)) for c in candidates]))])


@torch.no_grad()
def vision_module(out: Path, corpora: Path) -> tuple[Vision, dict[str, Any]]:
    """Return the trained, evened and calibrated face encoder and what its head reaches on dev rows."""
    module, state = Vision(), torch.load(out / "face.pt", weights_only=True)
    module.encoder.load_state_dict(state["encoder"])
    module.head.load_state_dict(state["head"])
    module.eval()
    ferplus = corpus.load_ferplus(corpora)
    known = ferplus.hard >= 0
    frequency = np.bincount(ferplus.hard[known & (ferplus.split == "train")], minlength=CLASSES)
    evened = _EVENED * np.log(frequency / frequency.sum())
    dev = ferplus.where((ferplus.split == "dev") & known)
    views = [torch.cat([x, x.flip(3)]) for x in torch.split(faces.normalise(dev.pixels), 256)]
    features = torch.cat([module.encoder.embed_grey(x).view(2, -1, EMBEDDING_DIM).mean(0) for x in views])
    labels, factors = torch.from_numpy(dev.hard), []
    # Shares are evened once they mean what they say, and then made to mean it again.
    for bias in (np.zeros(CLASSES), evened):
        module.head.bias.sub_(torch.from_numpy(bias.astype(np.float32)))
        logits = module.head(features)
        allowed = torch.ones_like(logits, dtype=torch.bool)
        factors.append(fit_temperature(logits[None, :, None], labels, allowed))
        _scale(module.head, factors[-1])
    shares = module.head(features).softmax(1).numpy()
    return module, {"factors": factors, **head_figures(shares, dev.hard)}


@torch.no_grad()
def audio_module(out: Path, corpora: Path) -> tuple[Audio, dict[str, Any]]:
    """Return the trained, calibrated networks of the voice and their factor."""
    members = torch.load(out / "voice.pt", weights_only=True)["members"]
    module = Audio(len(members))
    clips = corpus.load_voices(corpora, out / "cache")
    dev = clips.where(np.flatnonzero(clips.split == "dev"))
    logits = []
    for member, encoder, head in zip(members, module.encoders, module.heads, strict=True):
        encoder.load_state_dict(member["encoder"])
        head.load_state_dict(member["head"])
        parts = nn.ModuleDict({"encoder": encoder, "head": head})
        logits.append(torch.from_numpy(voices.window_logits(parts, dev)))
    known = torch.tensor([name in voices.EMOSPEECH_CLASSES for name in corpus.VOICE_CLASSES])
    foreign = torch.from_numpy(dev.corpus == "emospeech").unsqueeze(1)
    factor = fit_temperature(torch.stack(logits), torch.from_numpy(dev.label), ~foreign | known)
    for head in module.heads:
        _scale(head, factor)
    return module, {"factor": factor}


def head_figures(shares: NDArray[np.floating], labels: NDArray[np.int64]) -> dict[str, float]:
    """Accuracy, UAR and mean confidence of class shares [n, classes] against labels [n]."""
    guess = shares.argmax(1)
    recalls = [float((guess[labels == c] == c).mean()) for c in np.unique(labels)]
    return {
        "items": len(labels),
        "accuracy": float((guess == labels).mean()),
        "uar": float(np.mean(recalls)),
        "confidence": float(shares.max(1).mean()),
    }


def _scale(head: nn.Module, factor: float) -> None:
    for parameter in head.parameters():
        parameter.mul_(factor)
