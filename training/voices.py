"""Trains the voice encoder of emer-nano on RAVDESS and EmoSpeech.

Knows the eight-window rule, waveform and spectrum augmentation, the two losses (emotion and prosody) and
their figures. Does not know faces, ONNX or the language model. Epochs decide, as in training.faces.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from emer_edge.evaluate.prosody import Prosody, Track, summarise, track
from emer_export.graphs.nano import EMBEDDING_DIM, VOICES, WINDOW_SAMPLES, VoiceEncoder
from training.corpus import VOICE_CLASSES, Voices, load_voices

WINDOWS = 8
EMOSPEECH_CLASSES = ("calm", "happy", "angry", "fearful")
TARGETS = ("log2_pitch", "pitch_range", "loudness", "loudness_range", "pause_ratio", "speech_rate")
_BATCH, _PEAK_RATE, _DECAY, _STEPS_PER_EPOCH, _MEAN_DECAY = 32, 1.5e-3, 0.05, 60, 0.997
_SHARES = (("ravdess", 0.62), ("emospeech", 0.38))
_PROSODY, _SMOOTHING = 0.3, 0.05
_HOP = 160


@dataclass(frozen=True)
class Augmentation:
    """What training alters: the `waveform` (`alter`), the `spectrum` (throat, microphone and masks)."""

    waveform: bool = True
    spectrum: bool = True


FULL = Augmentation()


def windows(waveform: NDArray[np.floating]) -> NDArray[np.float32]:
    """Cut a waveform [samples] into the runtime's eight 2-s windows, float32 [8, 32000], without means."""
    signal = np.asarray(waveform, np.float32)
    if len(signal) < WINDOW_SAMPLES:
        signal = np.pad(signal, (0, WINDOW_SAMPLES - len(signal)))
    spare = len(signal) - WINDOW_SAMPLES
    cuts = np.stack([signal[(s := int(i * spare / WINDOWS)) : s + WINDOW_SAMPLES] for i in range(WINDOWS)])
    return np.asarray(cuts - cuts.mean(1, keepdims=True), np.float32)


def alter(waveform: NDArray[np.floating], speed: float, random: np.random.Generator) -> NDArray[np.float32]:
    """Play a waveform [samples] at `speed` (pitch follows), in a room, with noise, at another gain."""
    signal = np.asarray(waveform, np.float32)
    count = int(len(signal) / speed)
    signal = np.interp(np.arange(count) * speed, np.arange(len(signal)), signal).astype(np.float32)
    power = float((signal**2).mean()) + 1e-12
    if random.random() < 0.2:
        tail = int(random.uniform(0.05, 0.3) * 16_000)
        decay = np.exp(-6.9 * np.arange(tail) / tail) * random.standard_normal(tail)
        echo = random.uniform(0.1, 0.5) * decay / np.sqrt((decay**2).sum())
        room = np.concatenate([[1.0], echo]).astype(np.float32)
        size = 1 << (count + tail - 1).bit_length()
        wet = np.fft.irfft(np.fft.rfft(signal, size) * np.fft.rfft(room, size), size)[:count]
        signal = np.asarray(wet * math.sqrt(power / (float((wet**2).mean()) + 1e-12)), np.float32)
    if random.random() < 0.35:
        # A power of two, because transforms of odd lengths would cost more than the training step.
        noise = random.standard_normal(1 << (count - 1).bit_length(), dtype=np.float32)
        if random.random() < 0.6:
            # Most rooms hum and rumble more than they hiss.
            spectrum = np.fft.rfft(noise)
            slope = 1 + np.arange(len(spectrum)) / (len(spectrum) / 40)
            noise = np.asarray(np.fft.irfft(spectrum / slope), np.float32)
        noise = noise[:count]
        relative = math.sqrt(power / float((noise**2).mean())) * 10 ** (-random.uniform(10, 38) / 20)
        signal = signal + np.float32(relative) * noise
    gain = 10 ** (random.uniform(-6, 6) / 20)
    if random.random() < 0.7:
        gain = 10 ** (random.uniform(-50, -14) / 20) / math.sqrt(power)
    return np.asarray(np.clip(signal * gain, -1, 1), np.float32)


def targets(prosody: Prosody) -> NDArray[np.float32]:
    """Scale prosody to about unit variance, float32 [6] in the order of TARGETS; NaN where not measurable."""
    if prosody.loudness_dbfs == 0.0:
        return np.full(len(TARGETS), np.nan, np.float32)
    pitched = prosody.pitch_median_hz > 0
    return np.array(
        [
            (math.log2(prosody.pitch_median_hz) - 7.7) / 0.55 if pitched else math.nan,
            (min(prosody.pitch_range_semitones, 24) - 8) / 5 if pitched else math.nan,
            (prosody.loudness_dbfs + 30) / 12,
            (prosody.loudness_range_db - 20) / 4,
            (prosody.pause_ratio - 0.1) / 0.15,
            (prosody.speech_rate_per_second - 4.8) / 1.5,
        ],
        np.float32,
    )


class VoiceTrainer:
    """Encoder, two linear heads, optimiser, the running mean of the weights, and their place in the plan."""

    def __init__(self, seed: int, epochs: int, augmentation: Augmentation = FULL, width: float = 1.0) -> None:
        torch.manual_seed(seed)
        self.seed, self.random, self.augmentation = seed, np.random.default_rng((seed, 0)), augmentation
        encoder = VoiceEncoder(width).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        heads = {"head": len(VOICE_CLASSES), "prosody": len(TARGETS)}
        self.parts = nn.ModuleDict(
            {"encoder": encoder, **{name: nn.Linear(EMBEDDING_DIM, size) for name, size in heads.items()}}
        )
        self.mean = AveragedModel(
            self.parts, multi_avg_fn=get_ema_multi_avg_fn(_MEAN_DECAY), use_buffers=True
        )
        self.optimiser = torch.optim.AdamW(self.parts.parameters(), lr=_PEAK_RATE, weight_decay=_DECAY)
        self.seconds, self.epoch, self.epochs = 0.0, 0, epochs

    def state(self) -> dict[str, Any]:
        """Return everything a later run needs to go on; randomness starts anew from seed and epoch."""
        return {
            "parts": self.parts.state_dict(),
            "mean": self.mean.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "seconds": self.seconds,
            "epoch": self.epoch,
        }

    def load(self, state: dict[str, Any]) -> None:
        """Go on from `state`."""
        for name in ("parts", "mean", "optimiser"):
            getattr(self, name).load_state_dict(state[name])
        self.seconds, self.epoch = state["seconds"], state["epoch"]

    def batch(self, voices: Voices, tracks: list[Track], chosen: NDArray[np.int64]) -> tuple[Tensor, Tensor]:
        """Draw one altered 2-s window per chosen clip: windows [n, 32000] and prosody targets [n, 6]."""
        cuts = np.zeros((len(chosen), WINDOW_SAMPLES), np.float32)
        wanted = np.zeros((len(chosen), len(TARGETS)), np.float32)
        for row, clip in enumerate(chosen.tolist()):
            speed = math.exp(self.random.uniform(-0.12, 0.12)) if self.augmentation.waveform else 1.0
            need, whole = int(WINDOW_SAMPLES * speed) + 2, voices.waveforms[clip]
            start = int(self.random.integers(0, max(len(whole) - need, 0) + 1))
            cut = np.asarray(whole[start : start + need], np.float32)
            cut = (alter(cut, speed, self.random) if self.augmentation.waveform else cut)[:WINDOW_SAMPLES]
            # Pitch, pauses and pace are those of the clean voice: to be heard through the noise.
            measured = targets(summarise(tracks[clip].part(start // _HOP, (start + need) // _HOP - 3)))
            measured[0] += math.log2(speed) / 0.55
            measured[5] = (measured[5] * 1.5 + 4.8) * speed / 1.5 - 4.8 / 1.5
            louder = 10 * math.log10(
                (float((cut**2).mean()) + 1e-10)
                / (float((whole[start : start + need].astype(np.float32) ** 2).mean()) + 1e-10)
            )
            measured[2] += louder / 12
            cuts[row, : len(cut)] = cut - cut.mean()
            wanted[row] = measured
        return torch.from_numpy(cuts), torch.from_numpy(wanted)

    def run_epoch(self, voices: Voices, tracks: list[Track]) -> tuple[float, float]:
        """Take some steps over clips drawn evenly per corpus and class; return the mean losses."""
        self.parts.train()
        self.random = np.random.default_rng((self.seed, self.epoch))
        # Dropout draws from torch's own generator: seeded by the epoch, it goes on alike after a break.
        torch.manual_seed(self.seed * 1000 + self.epoch)
        share, began = _draw_shares(voices), time.monotonic()
        sums = np.zeros(2)
        for step in range(_STEPS_PER_EPOCH):
            progress = (self.epoch + step / _STEPS_PER_EPOCH) / self.epochs
            for group in self.optimiser.param_groups:
                warm = min(1.0, progress / 0.03 + 0.02)
                group["lr"] = _PEAK_RATE * warm * (0.5 + 0.5 * math.cos(math.pi * progress))
            emotion, prosody = self._losses(voices, tracks, self.random.choice(len(share), _BATCH, p=share))
            self.optimiser.zero_grad()
            (emotion + _PROSODY * prosody).backward()  # type: ignore[no-untyped-call]
            nn.utils.clip_grad_norm_(self.parts.parameters(), 2.0)
            self.optimiser.step()
            self.mean.update_parameters(self.parts)
            sums += (float(emotion.detach()), float(prosody.detach()))
        self.seconds, self.epoch = self.seconds + time.monotonic() - began, self.epoch + 1
        return float(sums[0] / _STEPS_PER_EPOCH), float(sums[1] / _STEPS_PER_EPOCH)

    def train(self, voices: Voices, tracks: list[Track], checkpoint: Path) -> Iterator[tuple[float, float]]:
        """Run the epochs that are left, from `checkpoint` on, which each writes; yield its losses."""
        if checkpoint.is_file():
            self.load(torch.load(checkpoint, weights_only=True))
        while self.epoch < self.epochs:
            losses = self.run_epoch(voices, tracks)
            _save(self.state(), checkpoint)
            yield losses

    def _losses(
        self, voices: Voices, tracks: list[Track], chosen: NDArray[np.int64]
    ) -> tuple[Tensor, Tensor]:
        sound, wanted = self.batch(voices, tracks, chosen)
        with torch.no_grad():
            bands, extra, level = self.parts["encoder"].front(sound)
            if self.augmentation.spectrum:
                bands = _masked(_coloured(bands, self.random), self.random)
        embeddings = self.parts["encoder"].embed_features(bands, extra, level)
        # EmoSpeech knows four emotions only: among all eight, the network would learn the microphone.
        foreign = torch.from_numpy(voices.corpus[chosen] == "emospeech").unsqueeze(1)
        absent = torch.tensor([name not in EMOSPEECH_CLASSES for name in VOICE_CLASSES])
        logits = functional.log_softmax(self.parts["head"](embeddings).masked_fill(foreign & absent, -1e4), 1)
        there = (~(foreign & absent)).float()
        wish = functional.one_hot(torch.from_numpy(voices.label[chosen]), len(VOICE_CLASSES)).float()
        wish = (1 - _SMOOTHING) * wish + _SMOOTHING * there / there.sum(1, keepdim=True)
        emotion = -(wish * logits * there).sum(1).mean()
        known = ~torch.isnan(wanted)
        guess = self.parts["prosody"](embeddings)
        error = functional.smooth_l1_loss(guess, torch.nan_to_num(wanted), reduction="none")
        return emotion, (error * known).sum() / known.sum()


def _draw_shares(voices: Voices) -> NDArray[np.float64]:
    """How often each clip is drawn: evenly per class within a corpus, float64 [n], sum 1."""
    share = np.zeros(len(voices.label))
    for corpus, weight in _SHARES:
        mine = voices.corpus == corpus
        for label in np.unique(voices.label[mine]):
            which = mine & (voices.label == label)
            share[which] = weight / len(np.unique(voices.label[mine])) / which.sum()
    return share / share.sum()


def window_logits(parts: nn.Module, voices: Voices) -> NDArray[np.float32]:
    """Return the head's logits for the eight windows of each clip, float32 [n, 8, classes]."""
    encoder, head = (parts.get_submodule(name) for name in ("encoder", "head"))
    parts.eval()
    with torch.inference_mode():
        found = [head(encoder(torch.from_numpy(windows(w)))).numpy() for w in voices.waveforms]
    return np.asarray(np.stack(found), np.float32)


def pooled_shares(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    """Mean log shares of a clip's windows [n, 8, classes], as the language model gets them, [n, classes]."""
    logs = functional.log_softmax(torch.from_numpy(logits), 2).mean(1)
    return np.asarray(functional.softmax(logs, 1).numpy(), np.float32)


def mean_shares(logits: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
    """Shares of clips [n, classes] from logits [n, 8, classes] of several networks, joined as in the pack."""
    logs = torch.stack([functional.log_softmax(torch.from_numpy(own), 2) for own in logits])
    return pooled_shares((torch.logsumexp(logs, 0) - math.log(len(logits))).numpy())


def measure(parts: nn.Module, clips: Voices) -> dict[str, float]:
    """Return clip-level recall per corpus and the correlation of each prosody guess (first window)."""
    scores = pooled_shares(window_logits(parts, clips))
    truth = np.stack([targets(summarise(track(windows(w)[0]))) for w in clips.waveforms])
    with torch.inference_mode():
        first = torch.from_numpy(np.stack([windows(w)[0] for w in clips.waveforms]))
        guess = parts.get_submodule("prosody")(parts.get_submodule("encoder")(first)).numpy()
    figures: dict[str, float] = {}
    for corpus in np.unique(clips.corpus):
        mine = clips.corpus == corpus
        label, score = clips.label[mine], scores[mine]
        classes = np.unique(label)
        best = classes[score[:, classes].argmax(1)]
        figures[f"{corpus}_accuracy"] = float((best == label).mean())
        figures[f"{corpus}_uar"] = float(np.mean([(best[label == c] == c).mean() for c in classes]))
    for column, name in enumerate(TARGETS):
        known = ~np.isnan(truth[:, column])
        figures[f"r_{name}"] = float(np.corrcoef(guess[known, column], truth[known, column])[0, 1])
    return figures


def _coloured(bands: Tensor, random: np.random.Generator) -> Tensor:
    """Give bands [n, 64, t] another throat (stretched along the bands) and another microphone (a curve)."""
    n, rows, _ = bands.shape
    place = np.arange(rows) * np.exp(random.uniform(-0.1, 0.1, (n, 1))) + random.uniform(-1.5, 1.5, (n, 1))
    place = torch.from_numpy(np.clip(place, 0, rows - 1).astype(np.float32)).unsqueeze(2)
    below = place.floor().clamp(max=rows - 2)
    index = below.long().expand(-1, -1, bands.shape[2])
    low, high = torch.gather(bands, 1, index), torch.gather(bands, 1, index + 1)
    knots = torch.from_numpy(random.normal(0, 0.15, (n, 1, 6)).astype(np.float32))
    curve = functional.interpolate(knots, size=rows, mode="linear", align_corners=True)
    return low + (high - low) * (place - below) + curve.transpose(1, 2)


def _masked(bands: Tensor, random: np.random.Generator) -> Tensor:
    """Blank one stretch of bands and one of frames per window (SpecAugment, Park et al. 2019)."""
    n, rows, columns = bands.shape
    for size, most, view in ((rows, 9, (1, -1, 1)), (columns, 25, (1, 1, -1))):
        start = torch.from_numpy(random.integers(0, size, (n, 1, 1)))
        width = torch.from_numpy(random.integers(0, most, (n, 1, 1)))
        at = torch.arange(size).view(view)
        bands = bands.masked_fill((at >= start) & (at < start + width), 0.0)
    return bands


def train_member(
    options: argparse.Namespace, number: int, data: tuple[Voices, Voices, list[Track]]
) -> dict[str, Any]:
    """Train network `number`, going on from its own checkpoint; `data`: train, dev, pitch of train."""
    train, dev, tracks = data
    trainer = VoiceTrainer(options.seed + number, options.epochs)
    for losses in trainer.train(train, tracks, options.out / f"voice{number}.state.pt"):
        done = number * options.epochs + trainer.epoch
        line = f"voice epoch {done}/{options.members * options.epochs} {trainer.seconds:.0f}s"
        line += f" loss {losses[0]:.3f} prosody {losses[1]:.3f}"
        if trainer.epoch % 10 == 0:
            found = measure(trainer.mean.module, dev).items()
            line += " " + " ".join(f"{name}={value:.3f}" for name, value in found)
        print(line, file=sys.stderr, flush=True)
    parts = trainer.mean.module
    kept = {name: parts.get_submodule(name).state_dict() for name in ("encoder", "head", "prosody")}
    record = {"seconds": trainer.seconds, "epoch": trainer.epoch, "seed": trainer.seed}
    return {**kept, **record, "dev": measure(parts, dev)}


def main(argv: list[str] | None = None) -> int:
    """Train the networks of the voice encoder one after the other and write voice.pt with their figures."""
    parser = argparse.ArgumentParser(prog="python -m training.voices", description=main.__doc__)
    parser.add_argument("--corpus", type=Path, default=Path("../shared/data/corpus"))
    parser.add_argument("--out", type=Path, default=Path("build/training"))
    parser.add_argument("--epochs", type=int, default=28)
    parser.add_argument("--members", type=int, default=VOICES)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args(argv)
    torch.set_num_threads(options.threads)

    voices = load_voices(options.corpus, options.out / "cache")
    dev = voices.where(np.flatnonzero(voices.split == "dev"))
    train = voices.where(np.flatnonzero(voices.split == "train"))
    data = (train, dev, load_tracks(train, options.out / "cache" / "tracks.npz"))
    members = [train_member(options, number, data) for number in range(options.members)]
    _save({"members": members}, options.out / "voice.pt")
    print(json.dumps([member["dev"] for member in members]))
    return 0


def load_tracks(voices: Voices, path: Path) -> list[Track]:
    """Pitch and level of every clip, measured once and kept in `path`."""
    if path.is_file():
        kept = np.load(path)
        ends = np.cumsum(kept["lengths"])[:-1]
        pairs = zip(np.split(kept["pitch_hz"], ends), np.split(kept["level_db"], ends), strict=True)
        return [Track(pitch, level) for pitch, level in pairs]
    tracks = [track(waveform) for waveform in voices.waveforms]
    np.savez(
        path,
        lengths=[len(t.pitch_hz) for t in tracks],
        pitch_hz=np.concatenate([t.pitch_hz for t in tracks]),
        level_db=np.concatenate([t.level_db for t in tracks]),
    )
    return tracks


def _save(state: dict[str, Any], path: Path) -> None:
    """Write beside and rename, so that a reader never meets half a checkpoint."""
    beside = path.with_suffix(".partial")
    torch.save(state, beside)
    beside.replace(path)


if __name__ == "__main__":
    raise SystemExit(main())
