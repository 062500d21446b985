"""Trains the face encoder of emer-nano on FER+ and muxspace, stopping by the clock.

Knows picture augmentation, the loss and the figures of the face encoder. Does not know voices, ONNX or the
language model. The learning rate follows elapsed time, so a run with more minutes than its checkpoint has
used goes on from there; seeds fix sampling and augmentation, the number of steps depends on the machine.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from emer_export.graphs.nano import EMBEDDING_DIM, FaceEncoder
from training.corpus import FACE_CLASSES, Faces, load_ferplus, load_muxspace

_BATCH, _PEAK_RATE, _DECAY = 128, 2.5e-3, 0.05
# muxspace is two thirds neutral or happy from one annotator each: a slice per epoch is enough.
_MUXSPACE_COMMON = 700


def normalise(pixels: NDArray[np.uint8]) -> Tensor:
    """Turn uint8 [n, 48, 48] into float32 [n, 1, 48, 48] in -1..1, as the runtime does per channel."""
    return torch.from_numpy(pixels.astype(np.float32) / 127.5 - 1).unsqueeze(1)


def augment(faces: Tensor, generator: torch.Generator) -> Tensor:
    """Vary faces [n, 1, 48, 48] as a detector, a lens, a lamp and a codec would."""
    n = len(faces)

    def uniform(low: float, high: float, *shape: int) -> Tensor:
        return torch.rand(n, *shape, generator=generator) * (high - low) + low

    angle = uniform(-15, 15) * math.pi / 180
    scale = torch.exp(uniform(-0.22, 0.22))
    aspect = torch.exp(uniform(-0.08, 0.08))
    mirror = torch.where(uniform(0, 1) < 0.5, -1.0, 1.0)
    cosine, sine = torch.cos(angle) * scale, torch.sin(angle) * scale
    rows = [
        cosine * aspect * mirror,
        -sine,
        uniform(-0.14, 0.14),
        sine * aspect * mirror,
        cosine,
        uniform(-0.14, 0.14),
    ]
    theta = torch.stack(rows, 1).view(n, 2, 3)
    grid = functional.affine_grid(theta, list(faces.shape), align_corners=False)
    faces = functional.grid_sample(faces, grid, padding_mode="reflection", align_corners=False)

    def some(share: float) -> Tensor:
        return uniform(0, 1, 1, 1, 1) < share

    size = int(torch.randint(16, 40, (1,), generator=generator))
    small = functional.interpolate(faces, size=(size, size), mode="area")
    faces = torch.where(
        some(0.3), functional.interpolate(small, size=faces.shape[2:], mode="bilinear"), faces
    )
    # A lamp from one side, then exposure, contrast and gamma.
    ramp = torch.linspace(-1, 1, faces.shape[3])
    lamp = uniform(-0.35, 0.35, 1, 1, 1) * ramp.view(1, 1, 1, -1) + uniform(-0.35, 0.35, 1, 1, 1) * ramp.view(
        1, 1, -1, 1
    )
    faces = faces * torch.exp(uniform(-0.45, 0.35, 1, 1, 1)) + torch.where(some(0.5), lamp, torch.zeros(()))
    faces = (faces + uniform(-0.25, 0.25, 1, 1, 1)).clamp(-1, 1)
    gamma = torch.exp(uniform(-0.35, 0.35, 1, 1, 1))
    faces = ((faces + 1) / 2).clamp(1e-4, 1) ** gamma * 2 - 1
    noise = torch.randn(faces.shape, generator=generator) * uniform(0, 0.12, 1, 1, 1)
    faces = faces + torch.where(some(0.4), noise, torch.zeros(()))
    # A hand, hair or a microphone in front of the face.
    across, down = (
        torch.arange(faces.shape[3]).view(1, 1, 1, -1),
        torch.arange(faces.shape[2]).view(1, 1, -1, 1),
    )
    left, top = uniform(-6, 44, 1, 1, 1), uniform(-6, 44, 1, 1, 1)
    inside = (across >= left) & (across < left + uniform(6, 18, 1, 1, 1))
    inside = inside & (down >= top) & (down < top + uniform(6, 18, 1, 1, 1))
    return torch.where(inside & some(0.35), uniform(-1, 1, 1, 1, 1), faces).clamp(-1, 1)


class FaceTrainer:
    """Encoder, linear head, optimiser and their place in time."""

    def __init__(self, seed: int) -> None:
        torch.manual_seed(seed)
        self.generator = torch.Generator().manual_seed(seed)
        self.encoder = FaceEncoder().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.head = nn.Linear(EMBEDDING_DIM, len(FACE_CLASSES))
        parameters = [*self.encoder.parameters(), *self.head.parameters()]
        self.optimiser = torch.optim.AdamW(parameters, lr=_PEAK_RATE, weight_decay=_DECAY)
        self.seconds, self.epoch = 0.0, 0

    def state(self) -> dict[str, Any]:
        """Return everything a later run needs to go on."""
        return {
            "encoder": self.encoder.state_dict(),
            "head": self.head.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "generator": self.generator.get_state(),
            "seconds": self.seconds,
            "epoch": self.epoch,
        }

    def load(self, state: dict[str, Any]) -> None:
        """Go on from `state`."""
        self.encoder.load_state_dict(state["encoder"])
        self.head.load_state_dict(state["head"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.generator.set_state(state["generator"])
        self.seconds, self.epoch = state["seconds"], state["epoch"]

    def run_epoch(self, faces: Faces, weights: Tensor, budget_seconds: float) -> float:
        """Take one pass over `faces`, or as much as the budget allows; return the mean loss."""
        self.encoder.train()
        order = torch.randperm(len(faces.pixels), generator=self.generator)
        total, steps, resumed = 0.0, 0, time.monotonic() - self.seconds
        for batch in torch.split(order, _BATCH):
            progress = min((time.monotonic() - resumed) / budget_seconds, 1.0)
            if progress >= 1.0:
                break
            for group in self.optimiser.param_groups:
                group["lr"] = (
                    _PEAK_RATE * min(1.0, progress / 0.03 + 0.02) * (0.5 + 0.5 * math.cos(math.pi * progress))
                )
            chosen = batch.numpy()
            pictures = augment(normalise(faces.pixels[chosen]), self.generator)
            logits = self.head(
                self.encoder.embed_grey(pictures.contiguous(memory_format=torch.channels_last))
            )
            target = torch.from_numpy(faces.votes[chosen])
            loss = -(target * weights * functional.log_softmax(logits, 1)).sum(1).mean()
            self.optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            nn.utils.clip_grad_norm_(self.encoder.parameters(), 2.0)
            self.optimiser.step()
            total, steps = total + float(loss.detach()), steps + 1
        self.seconds, self.epoch = time.monotonic() - resumed, self.epoch + 1
        return total / max(steps, 1)


def measure(encoder: FaceEncoder, head: nn.Linear, faces: Faces) -> dict[str, float]:
    """Return accuracy and unweighted average recall over the rows with a hard label."""
    known = faces.where(faces.hard >= 0)
    encoder.eval()
    with torch.inference_mode():
        parts = [head(encoder.embed_grey(x)) for x in torch.split(normalise(known.pixels), 256)]
    guess = torch.cat(parts).argmax(1).numpy()
    recalls = [float((guess[known.hard == c] == c).mean()) for c in np.unique(known.hard)]
    return {
        "accuracy": float((guess == known.hard).mean()),
        "uar": float(np.mean(recalls)),
        "faces": len(guess),
    }


def _epoch_faces(ferplus: Faces, muxspace: Faces, generator: torch.Generator) -> Faces:
    """FER+ and a slice of muxspace in which the two common classes are cut down."""
    keep = torch.rand(len(muxspace.hard), generator=generator).numpy()
    share = np.ones(len(muxspace.hard))
    for label in np.unique(muxspace.hard):
        share[muxspace.hard == label] = min(1.0, _MUXSPACE_COMMON / int((muxspace.hard == label).sum()))
    chosen = muxspace.where(keep < share)
    join = [(getattr(ferplus, n), getattr(chosen, n)) for n in ("pixels", "votes", "hard", "split", "names")]
    return Faces(*(np.concatenate(pair) for pair in join))


def main(argv: list[str] | None = None) -> int:
    """Train the face encoder for a number of minutes and write face.pt beside its figures."""
    parser = argparse.ArgumentParser(prog="python -m training.faces", description=main.__doc__)
    parser.add_argument("--corpus", type=Path, default=Path("../shared/data/corpus"))
    parser.add_argument("--out", type=Path, default=Path("build/training"))
    parser.add_argument("--minutes", type=float, default=15.0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args(argv)
    torch.set_num_threads(options.threads)
    options.out.mkdir(parents=True, exist_ok=True)

    ferplus, muxspace = load_ferplus(options.corpus), load_muxspace(options.corpus)
    train, extra = ferplus.where(ferplus.split == "train"), muxspace.where(muxspace.split == "train")
    dev = ferplus.where(ferplus.split == "dev")
    # A mild lift of rare classes: full inverse frequency would let 41 disgusted faces outvote 7000 neutral.
    frequency = torch.from_numpy(train.votes.mean(0))
    weights = frequency**-0.3
    weights = weights / (weights * frequency).sum()

    trainer, resume = FaceTrainer(options.seed), options.out / "face.state.pt"
    if resume.is_file():
        trainer.load(torch.load(resume, weights_only=True))
    while trainer.seconds < options.minutes * 60:
        loss = trainer.run_epoch(_epoch_faces(train, extra, trainer.generator), weights, options.minutes * 60)
        figures = measure(trainer.encoder, trainer.head, dev)
        _save(trainer.state(), resume)
        print(
            f"face epoch {trainer.epoch} {trainer.seconds:.0f}s loss {loss:.3f} {figures}",
            file=sys.stderr,
            flush=True,
        )
    final = measure(trainer.encoder, trainer.head, dev)
    kept = {"encoder": trainer.encoder.state_dict(), "head": trainer.head.state_dict()}
    _save(
        {**kept, "seconds": trainer.seconds, "epoch": trainer.epoch, "seed": options.seed, "dev": final},
        options.out / "face.pt",
    )
    print(json.dumps(final))
    return 0


def _save(state: dict[str, Any], path: Path) -> None:
    """Write beside and rename, so that a reader never meets half a checkpoint."""
    beside = path.with_suffix(".partial")
    torch.save(state, beside)
    beside.replace(path)


if __name__ == "__main__":
    raise SystemExit(main())
