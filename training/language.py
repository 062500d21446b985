"""Trains the language model of emer-nano together with its fusion head, on cached embeddings.

Knows the loss and checkpoints. Does not know how examples are drawn, how files are exported or what the
figures on held-out data are. Steps decide when it ends, so a seed gives the same model on any machine.
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
from emer_export.graphs.nano import AUDIO_DIM, AUDIO_EVIDENCE, VISION_DIM, VISION_EVIDENCE
from training import circuits, pools
from training.batches import Batch, Encoder
from training.beliefs import FACE_LABELS, LABELS, VOICE_LABELS
from training.lines import load_lines
from training.optimise import Optimiser, rate
from training.pairs import FRAMES, Sampler
from training.words import Bag, Quoter, train_bag

# Layers half as wide as Qwen3's usual: with a few million tokens of training, more tokens beat more weights.
_INNER = 512
# Rows are as large as what layers add to them, so that they are not drowned; the last norm makes up for it.
_ROW_SCALE, _LAST_NORM = 0.6, 0.06
_BATCH = 20
# Between any two batches of examples come so many of lines of text alone: words are the hardest to learn, and
# a line of which only the label is asked costs a fifth of an example.
_LINES_BETWEEN, _LINES = 1, 64
# Examples are drawn in lots and sorted by length, so that a batch pads little.
_LOT = 10
_MUON_RATE, _ADAM_RATE, _TABLE_RATE, _DECAY = 0.02, 2e-3, 0.015, 0.01
# The rate rises for so many steps, and falls from this share of them on.
_WARM_UP, _DECAY_FROM = 15, 0.4
# The label is one token among eighty, and the one that counts.
_LABEL_LOSS = 1.5
# What a unit of evidence weighs in a soft token, against its other entries.
_EVIDENCE = 2.0
_SAVE_SECONDS = 120.0


def language_config(tokenizer: Tokenizer) -> LanguageConfig:
    """Return the sizes of emer-nano's language model for a vocabulary."""
    return LanguageConfig(vocab_size=tokenizer.get_vocab_size(), intermediate_size=_INNER)


def fusion_head(width: int) -> FusionHead:
    """Return an untrained fusion head between emer-nano's encoders and a language model of `width`."""
    return FusionHead("attention", VISION_DIM, AUDIO_DIM, width)


class Network(nn.Module):
    """Language model and fusion head together."""

    def __init__(self, config: LanguageConfig) -> None:
        super().__init__()
        self.language = LanguageModel(config)
        self.fusion = fusion_head(config.hidden_size)
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
        """Return the loss and its part that is the mean cross entropy of the label."""
        hidden = self.language.hidden(self.rows(batch), batch.positions, batch.branch)
        picked = hidden[batch.rows[:, 0], batch.rows[:, 1]]
        scores = functional.log_softmax(self.language.logits(picked), -1)
        each = -scores.gather(1, batch.targets.unsqueeze(1)).squeeze(1)
        soft = batch.shares.sum(1) > 0
        label = -(batch.shares[soft] * scores[soft][:, candidates]).sum(1).mean()
        told = batch.weights * ~soft
        # No target but labels in a batch of lines alone.
        return (each * told).sum() / told.sum().clamp(min=1.0) + _LABEL_LOSS * label, label


def _start(config: LanguageConfig, bag: Bag, encoder: Encoder) -> tuple[Network, list[circuits.Planted]]:
    """Make a network whose token table starts from the bag of words."""
    torch.manual_seed(11)
    network = Network(config)
    table = torch.from_numpy(bag.table)
    heads = functional.normalize(torch.from_numpy(bag.heads), dim=1)
    with torch.no_grad():
        rows = table / table.std() * _ROW_SCALE * 0.7
        rows += torch.randn_like(rows) * _ROW_SCALE * 0.7
        rows[:, circuits.SOFT_PLACE] = 0.0
        rows[encoder.candidates[: len(heads)]] = heads * _ROW_SCALE * config.hidden_size**0.5
        network.language.model.embed_tokens.weight.copy_(rows)
        _start_fusion(network.fusion, heads)
        network.language.model.norm.weight.fill_(_LAST_NORM)
    planted = circuits.plant(network.language)
    circuits.plant_labels(network.language, heads)
    circuits.plant_evidence(network.language, heads)
    return network, planted


def _start_fusion(fusion: FusionHead, heads: Tensor) -> None:
    """Point each class's evidence at that class's vector; call without gradients."""
    for project, evidence, names in (
        (fusion.affectgpt_proj, VISION_EVIDENCE, FACE_LABELS),
        (fusion.audio_llama_proj, AUDIO_EVIDENCE, VOICE_LABELS),
    ):
        towards = torch.stack([heads[LABELS.index(name)] for name in names], 1)
        project.weight[:, evidence] = _EVIDENCE * towards
    for project in (fusion.affectgpt_proj, fusion.audio_llama_proj, fusion.multi_llama_proj):
        project.bias[circuits.CONSTANT_PLACE] = circuits.CONSTANT
        project.bias[circuits.SOFT_PLACE] = circuits.SOFT


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
        self.seed, self.rng = seed, Random(seed)
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
        lines = [self.sampler.draw_line(self.rng) for _ in range(_LINES * _LINES_BETWEEN * _LOT)]
        lines.sort(key=lambda example: len(example.subtitle or ""))
        lot += [
            self.encoder.batch(lines[i : i + _LINES], label_only=True) for i in range(0, len(lines), _LINES)
        ]
        self.rng.shuffle(lot)
        return lot

    def run(self, steps: int, path: Path) -> None:
        """Train until `steps` have been taken in all, saving to `path` at times and at the end."""
        saved = began = time.monotonic()
        mean, label_mean, tokens, ran = 0.0, 0.0, 0, 0
        before = self.seconds
        while self.steps < steps:
            # Seeded by the step, so that a run that was broken off draws what it would have drawn.
            self.rng = Random(self.seed * 1_000_003 + self.steps)
            for batch in self.batches()[: steps - self.steps]:
                loss, label = self.network.loss(batch, self.encoder.candidates)
                loss.backward()  # type: ignore[no-untyped-call]
                nn.utils.clip_grad_norm_(self.optimiser_others(), 1.0)
                factor = rate(self.steps / steps, self.steps, warm_up=_WARM_UP, decay_from=_DECAY_FROM)
                self.optimiser.step(_MUON_RATE * factor, _ADAM_RATE * factor, _TABLE_RATE * factor)
                for part in self.planted:
                    part.restore()
                self.steps += 1
                ran += 1
                mean += (float(loss.detach()) - mean) / min(ran, 40)
                label_mean += (float(label.detach()) - label_mean) / min(ran, 40)
                tokens += int((batch.branch >= 0).sum())
            self.seconds = before + time.monotonic() - began
            if self.steps % 50 == 0:
                self._note(steps, mean, label_mean, tokens / (time.monotonic() - began))
            if time.monotonic() - saved > _SAVE_SECONDS:
                self.save(path)
                saved = time.monotonic()
        self.save(path)

    def _note(self, steps: int, loss: float, label: float, speed: float) -> None:
        entry = {"step": self.steps, "seconds": round(self.seconds), "loss": loss, "label": label}
        self.log.append(entry)
        print(
            f"language step {self.steps}/{steps} {self.seconds:.0f}s loss {loss:.3f} label {label:.3f} "
            f"{speed:.0f} tokens/s",
            file=sys.stderr,
            flush=True,
        )

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


def _bag(out: Path, utterances: list[Any], tokenizer: Tokenizer, width: int) -> Bag:
    path = out / "words.npz"
    if not path.is_file():
        train_bag(utterances, tokenizer, width).save(path)
    return Bag.load(path)


def main(argv: list[str] | None = None) -> int:
    """Train, going on from the checkpoint where there is one."""
    parser = argparse.ArgumentParser(prog="python -m training.language", description=__doc__)
    parser.add_argument("--corpus", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=Path("build/training"))
    parser.add_argument("--steps", type=int, required=True)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seed", type=int, default=13)
    options = parser.parse_args(argv)
    torch.set_num_threads(options.threads)
    out: Path = options.out
    tokenizer = Tokenizer.from_file(str(out / "tokenizer.json"))
    lines = [line for line in load_lines(options.corpus, out) if line.utterance.split == "train"]
    config = language_config(tokenizer)
    bag = _bag(out, [line.utterance for line in lines], tokenizer, config.hidden_size)
    encoder, quoter = Encoder(tokenizer), Quoter(bag, tokenizer)
    network, planted = _start(config, bag, encoder)
    sampler = Sampler(lines, quoter, pools.face_pool(out, "train"), pools.voice_pool(out, "train"))
    trainer = Trainer(network, encoder, sampler, planted, options.seed)
    path = out / "language.pt"
    if path.is_file():
        trainer.load(torch.load(path, weights_only=True))
    count = sum(p.numel() for p in network.language.parameters())
    print(f"language model {count} parameters, from step {trainer.steps}", file=sys.stderr)
    trainer.run(options.steps, path)
    (out / "language.json").write_text(json.dumps(trainer.log, indent=0))
    return 0


if __name__ == "__main__":
    np.seterr(all="raise")
    raise SystemExit(main())
