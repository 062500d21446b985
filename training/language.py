"""Trains the language model of emer-nano, with the fusion head once cached embeddings are there, by the
clock.

Knows the loss, the stages (words only, then jointly with soft tokens) and checkpoints. Does not know how
examples are drawn, how files are exported or what the figures on held-out data are.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import torch
from tokenizers import Tokenizer
from torch import Tensor, nn
from torch.nn import functional

from emer_export.graphs.fusion import FusionHead
from emer_export.graphs.language import LanguageConfig, LanguageModel
from training import circuits, pools
from training.batches import Batch, Encoder
from training.optimise import Optimiser, rate
from training.pairs import FRAMES, Example, Sampler
from training.text import load_text
from training.words import Bag, Quoter, train_bag

EMBEDDING_DIM = 128
# Rows are as large as what layers add to them, so that they are not drowned; the last norm makes up for it.
_ROW_SCALE, _LAST_NORM = 0.6, 0.06
_BATCH = 20
# Examples are drawn in lots and sorted by length, so that a batch pads little.
_LOT = 10
_MUON_RATE, _ADAM_RATE, _TABLE_RATE, _DECAY = 0.02, 2e-3, 0.015, 0.01
_SAVE_SECONDS = 60.0


class Network(nn.Module):
    """Language model and fusion head together."""

    def __init__(self, config: LanguageConfig) -> None:
        super().__init__()
        self.language = LanguageModel(config)
        self.fusion = FusionHead("attention", EMBEDDING_DIM, EMBEDDING_DIM, config.hidden_size)
        self.fusion.start_as_mean(FRAMES, _ROW_SCALE)

    def rows(self, batch: Batch) -> Tensor:
        """Look up token rows and put the soft tokens in their places."""
        rows = self.language.rows(batch.ids)
        makers: dict[str, Any] = {
            "multi": self.fusion.multi,
            "audio": self.fusion.audio,
            "vision": self.fusion.vision,
        }
        for name, (numbers, places, *embeddings) in batch.embeddings.items():
            rows = rows.index_put((numbers, places), makers[name](*embeddings)[:, 0])
        return rows

    def loss(self, batch: Batch, candidates: list[int]) -> tuple[Tensor, Tensor]:
        """Return the weighted loss and the mean cross entropy of the label answer alone."""
        hidden = self.language.hidden(self.rows(batch), batch.positions, batch.branch)
        picked = hidden[batch.rows[:, 0], batch.rows[:, 1]]
        scores = functional.log_softmax(self.language.logits(picked), -1)
        each = -scores.gather(1, batch.targets.unsqueeze(1)).squeeze(1)
        soft = batch.shares.sum(1) > 0
        label = -(batch.shares[soft] * scores[soft][:, candidates]).sum(1)
        each = each.masked_scatter(soft, label)
        return (each * batch.weights).sum() / batch.weights.sum(), label.mean()


def _start(config: LanguageConfig, bag: Bag, encoder: Encoder) -> tuple[Network, list[circuits.Planted]]:
    """Make a network whose token table starts from the bag of words."""
    torch.manual_seed(11)
    network = Network(config)
    table = torch.from_numpy(bag.table)
    heads = functional.normalize(torch.from_numpy(bag.heads), dim=1)
    with torch.no_grad():
        rows = table / table.std() * _ROW_SCALE * 0.7
        rows += torch.randn_like(rows) * _ROW_SCALE * 0.7
        rows[encoder.candidates] = heads * _ROW_SCALE * config.hidden_size**0.5
        network.language.model.embed_tokens.weight.copy_(rows)
        for project in (
            network.fusion.affectgpt_proj,
            network.fusion.audio_llama_proj,
            network.fusion.multi_llama_proj,
        ):
            project.bias[circuits.CONSTANT_PLACE] = circuits.CONSTANT
        network.language.model.norm.weight.fill_(_LAST_NORM)
    planted = circuits.plant(network.language)
    circuits.plant_labels(network.language, heads)
    return network, planted


class Trainer:
    """Network, optimiser, sampler and their place in time."""

    def __init__(
        self,
        network: Network,
        encoder: Encoder,
        sampler: Sampler,
        planted: list[circuits.Planted],
        seed: int,
    ) -> None:
        self.network, self.encoder, self.sampler, self.planted = network, encoder, sampler, planted
        self.rng = Random(seed)
        matrices = [p for n, p in network.language.named_parameters() if p.ndim == 2 and "embed" not in n]
        known = {id(p) for p in matrices}
        table: Any = network.language.model.embed_tokens.weight
        others = [p for p in network.parameters() if id(p) not in known and p is not table]
        self.optimiser = Optimiser(matrices, others, [table], _DECAY)
        self.steps, self.seconds = 0, 0.0
        self.log: list[dict[str, float]] = []

    def batches(self) -> list[Batch]:
        """Draw a lot of examples and cut it into batches of like length."""
        drawn = [self.sampler.draw(self.rng) for _ in range(_BATCH * _LOT)]
        drawn.sort(
            key=lambda example: (
                len(example.subtitle or "") + 200 * len(example.answers) + 150 * len(example.facts.seen)
            )
        )
        lot = [self.encoder.batch(drawn[i : i + _BATCH]) for i in range(0, len(drawn), _BATCH)]
        self.rng.shuffle(lot)
        return lot

    def run(self, minutes: float, path: Path, decay_from: float, scale: float) -> None:
        """Train until `minutes` have been spent in all, saving to `path` at times and at the end."""
        began = time.monotonic() - self.seconds
        saved = started = time.monotonic()
        mean, label_mean, tokens, ran = 0.0, 0.0, 0, 0
        while self.seconds < minutes * 60:
            for batch in self.batches():
                loss, label = self.network.loss(batch, self.encoder.candidates)
                loss.backward()  # type: ignore[no-untyped-call]
                nn.utils.clip_grad_norm_(self.optimiser_others(), 1.0)
                factor = scale * rate(
                    self.seconds / (minutes * 60), self.steps, warm_up=15, decay_from=decay_from
                )
                self.optimiser.step(_MUON_RATE * factor, _ADAM_RATE * factor, _TABLE_RATE * factor)
                for part in self.planted:
                    part.restore()
                self.steps += 1
                self.seconds = time.monotonic() - began
                ran += 1
                mean += (float(loss.detach()) - mean) / min(ran, 40)
                label_mean += (float(label.detach()) - label_mean) / min(ran, 40)
                tokens += int((batch.branch >= 0).sum())
                if self.steps % 20 == 0:
                    entry = {
                        "step": self.steps,
                        "seconds": round(self.seconds),
                        "loss": mean,
                        "label": label_mean,
                    }
                    self.log.append(entry)
                    speed = tokens / max(time.monotonic() - started, 1)
                    print(
                        f"language step {self.steps} {self.seconds:.0f}s loss {mean:.3f} "
                        f"label {label_mean:.3f} {speed:.0f} tokens/s",
                        file=sys.stderr,
                        flush=True,
                    )
                if self.seconds >= minutes * 60:
                    break
            if time.monotonic() - saved > _SAVE_SECONDS:
                self.save(path)
                saved = time.monotonic()
        self.save(path)

    def optimiser_others(self) -> list[nn.Parameter]:
        """Return the parameters whose gradients are clipped: Muon's updates have a fixed size anyway."""
        table: Any = self.network.language.model.embed_tokens.weight
        return [table, *self.network.fusion.parameters()]

    def save(self, path: Path) -> None:
        """Write a checkpoint beside the old one, then replace it."""
        state = {
            "network": self.network.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "steps": self.steps,
            "seconds": self.seconds,
            "log": self.log,
        }
        beside = path.with_suffix(".part")
        torch.save(state, beside)
        beside.replace(path)

    def load(self, state: dict[str, Any]) -> None:
        """Go on from a checkpoint."""
        self.network.load_state_dict(state["network"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.steps, self.seconds, self.log = state["steps"], state["seconds"], state["log"]


def _cost(example: Example) -> int:
    """Guess the length of an example in letters."""
    return len(example.subtitle or "") + sum(
        len(answer.question) + len(answer.answer) for answer in example.answers
    )


def _bag(out: Path, utterances: list[Any], tokenizer: Tokenizer, width: int) -> Bag:
    path = out / "words.npz"
    if not path.is_file():
        train_bag(utterances, tokenizer, width).save(path)
    return Bag.load(path)


def build_parser() -> argparse.ArgumentParser:
    """Return the command line of this step."""
    parser = argparse.ArgumentParser(prog="python -m training.language", description=__doc__)
    parser.add_argument("--corpus", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=Path("build/training"))
    parser.add_argument("--stage", choices=("words", "joint"), required=True)
    parser.add_argument("--minutes", type=float, required=True)
    parser.add_argument("--name", help="name of the checkpoint, default the stage")
    parser.add_argument(
        "--init", help="checkpoint whose weights start the stage, default 'words' for 'joint'"
    )
    parser.add_argument(
        "--decay-from", type=float, default=0.45, help="share of the time after which the rate falls"
    )
    parser.add_argument("--scale", type=float, default=1.0, help="factor of all learning rates")
    parser.add_argument("--threads", type=int, default=2)
    return parser


def main(argv: list[str] | None = None) -> int:
    """Train one stage, going on from its checkpoint where there is one."""
    options = build_parser().parse_args(argv)
    torch.set_num_threads(options.threads)
    out: Path = options.out
    tokenizer = Tokenizer.from_file(str(out / "tokenizer.json"))
    utterances = [item for item in load_text(options.corpus) if item.split == "train"]
    config = LanguageConfig(vocab_size=tokenizer.get_vocab_size())
    bag = _bag(out, utterances, tokenizer, config.hidden_size)
    encoder, quoter = Encoder(tokenizer), Quoter(bag, tokenizer)
    faces = voices = None
    if options.stage == "joint":
        faces, voices = pools.face_pool(out, "train"), pools.voice_pool(out, "train")
    network, planted = _start(config, bag, encoder)
    sampler = Sampler(utterances, quoter, faces, voices)
    trainer = Trainer(network, encoder, sampler, planted, seed=13)
    path = out / f"language.{options.name or options.stage}.pt"
    if path.is_file():
        trainer.load(torch.load(path, weights_only=True))
    elif options.init:
        network.load_state_dict(torch.load(out / f"language.{options.init}.pt", weights_only=True)["network"])
    count = sum(p.numel() for p in network.language.parameters())
    print(f"language model {count} parameters, from step {trainer.steps}", file=sys.stderr)
    trainer.run(options.minutes, path, options.decay_from, options.scale)
    (out / f"language.{options.name or options.stage}.json").write_text(json.dumps(trainer.log, indent=0))
    return 0


if __name__ == "__main__":
    np.seterr(all="raise")
    raise SystemExit(main())
