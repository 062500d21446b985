"""Exports both encoders and caches their embeddings of every corpus, for training fusion and language model.

Knows the layout of embeddings.npz, encoders.json and the ONNX files of emer-nano. Does not know how anything
is trained. Every embedding comes from the exported ONNX file, the one the runtime runs.

embeddings.npz (float16 unless said; `k` views per item: view 0 is clean, the others are altered; an embedding
holds evidence for 8 classes, of a face behind 128 features, of a voice before 53 measures):

    ferplus_{train,dev,test}_index       int32 [n]          row of the FER+ manifest
    ferplus_{train,dev,test}_votes       [n, 8]             shares in the order of face_classes
    ferplus_{train,dev,test}_label       int8 [n]           majority, -1 where no class has one
    ferplus_{train,dev,test}_embeddings  [n, k, 136]        k = views for train, 1 for dev and test
    muxspace_{train,dev,test}_name       str [n]
    muxspace_{train,dev,test}_label      int8 [n]
    muxspace_{train,dev,test}_embeddings [n, k, 136]
    voice_{train,dev,test,cross}_{corpus,file,speaker,intensity}  str [n]
    voice_{train,dev,test,cross}_label       int8 [n]            in the order of voice_classes
    voice_{train,dev,test,cross}_embeddings  [n, k, 8, 61]       the eight windows of the clip
    voice_{train,dev,test,cross}_prosody     float32 [n, k, 7]   of the very waveform embedded, prosody_names
    voice_{train,dev,test,cross}_levels      str [n, k, 5]       in words, level_names; 'none' where not clear
    none_voice_embeddings  [n, 8, 61],  none_voice_kind str [n]  silence and noise, no speaker
    none_face_embeddings   [n, 136],    none_face_kind  str [n]  flat, noisy and smeared pictures, no face
    face_classes, voice_classes, prosody_names, level_names      str

'cross' is EMO-DB: test only. The faces of one person in a clip are to be drawn as views of several items.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
import sys
import time
from collections.abc import Callable
from concurrent.futures import Future, ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from emer_edge.evaluate import prosody
from emer_export.graphs.nano import AUDIO_DIM, AUDIO_EVIDENCE, VISION_EVIDENCE, folded
from emer_export.onnx import compare, export_onnx
from training import calibrate, corpus, faces, voices

LEVEL_NAMES = ("pitch", "movement", "loudness", "pace", "pauses")
# Frames and windows of a clip.
_ITEMS = 8
QUIET = (corpus.VOICE_CLASSES.index("neutral"), corpus.VOICE_CLASSES.index("calm"))
Arrays = dict[str, NDArray[Any]]


class Encoder:
    """One exported encoder on one CPU thread, item by item."""

    def __init__(self, path: Path) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self.session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        self.name = self.session.get_inputs()[0].name

    def __call__(self, items: NDArray[np.float32]) -> NDArray[np.float16]:
        """Embed items float32 [n, ...] -> float16 [n, dim]."""
        rows = [self.session.run(None, {self.name: items[i : i + 1]})[0] for i in range(len(items))]
        return np.concatenate(rows).astype(np.float16)


def face_arrays(options: argparse.Namespace, name: str, split: str) -> Arrays:
    """Embed one split of one face corpus; views past the first are altered as in training."""
    torch.set_num_threads(1)
    encoder = Encoder(options.out / "vision.fp32.onnx")
    everything = (corpus.load_ferplus if name == "ferplus" else corpus.load_muxspace)(options.corpus)
    rows = everything.where(everything.split == split)
    clean = faces.normalise(rows.pixels)
    generator = torch.Generator().manual_seed(options.seed)
    views = []
    for view in range(options.face_views if split == "train" else 1):
        grey = (
            clean if view == 0 else torch.cat([faces.augment(x, generator) for x in torch.split(clean, 256)])
        )
        # Chunks, because three equal channels of a whole split take gigabytes.
        views.append(
            np.concatenate([encoder(x.expand(-1, 3, -1, -1).numpy()) for x in torch.split(grey, 1024)])
        )
    key = f"{name}_{split}"
    result: Arrays = {}
    result[f"{key}_label"] = rows.hard.astype(np.int8)
    result[f"{key}_embeddings"] = np.stack(views, 1)
    if name == "ferplus":
        result[f"{key}_index"] = rows.names.astype(np.int32)
        result[f"{key}_votes"] = rows.votes.astype(np.float16)
    else:
        result[f"{key}_name"] = rows.names
    return result


def voice_arrays(options: argparse.Namespace, rows: NDArray[np.int64], views: int) -> Arrays:
    """Embed and measure some clips; views past the first are altered as in training."""
    encoder = Encoder(options.out / "audio.fp32.onnx")
    clips = corpus.load_voices(options.corpus, options.out / "cache").where(rows)
    embeddings = np.zeros((len(rows), views, voices.WINDOWS, AUDIO_DIM), np.float16)
    values = np.zeros((len(rows), views, len(prosody.NAMES)), np.float32)
    words = np.full((len(rows), views, len(LEVEL_NAMES)), "moderate")  # the longest word
    for row, waveform in enumerate(clips.waveforms):
        # Seeded by the clip, so that the altered views do not depend on how the work is shared out.
        random = np.random.default_rng((options.seed, int(rows[row])))
        for view in range(views):
            speed = math.exp(random.uniform(-0.12, 0.12))
            sound = waveform.astype(np.float32) if view == 0 else voices.alter(waveform, speed, random)
            embeddings[row, view] = encoder(voices.windows(sound))
            measured = prosody.measure(sound)
            values[row, view] = measured.array()
            clear = prosody.clear_levels(measured)
            words[row, view] = [clear.get(name, "none") for name in LEVEL_NAMES]
    return {
        **{k: getattr(clips, k) for k in ("corpus", "speaker", "intensity")},
        "file": clips.files,
        "label": clips.label.astype(np.int8),
        "embeddings": embeddings,
        "prosody": values,
        "levels": words,
    }


def none_arrays(options: argparse.Namespace) -> Arrays:
    """Embed what holds no person: silence, hiss, hum; flat, noisy and smeared pictures."""
    random, vision = np.random.default_rng(options.seed), Encoder(options.out / "vision.fp32.onnx")
    audio = Encoder(options.out / "audio.fp32.onnx")
    sounds, sound_kinds = [], []
    for kind in ("silence", "white", "brown", "hum"):
        for _ in range(1 if kind == "silence" else 64):
            noise = random.standard_normal(48_000)
            if kind == "brown":
                noise = np.cumsum(noise) - np.linspace(0, noise.sum(), len(noise))
            elif kind == "hum":
                tone = 2 * np.pi * random.choice([50, 60, 100, 120]) * np.arange(len(noise)) / 16_000
                noise = sum(np.sin(k * tone) / k for k in range(1, 6)) + 0.2 * noise
            level = 10 ** (random.uniform(-75, -25) / 20)
            sound = np.zeros(48_000) if kind == "silence" else noise / noise.std() * level
            sounds.append(audio(voices.windows(sound)))
            sound_kinds.append(kind)
    pictures = np.zeros((192, 1, 48, 48), np.float32)
    pictures[:64] += random.uniform(-1, 1, (64, 1, 1, 1)) + random.normal(0, 0.01, (64, 1, 48, 48))
    pictures[64:128] = random.normal(0, 0.4, (64, 1, 48, 48))
    coarse = torch.from_numpy(random.uniform(-1, 1, (64, 1, 5, 5)).astype(np.float32))
    pictures[128:] = torch.nn.functional.interpolate(coarse, size=(48, 48), mode="bicubic").numpy()
    return {
        "none_voice_embeddings": np.stack(sounds),
        "none_voice_kind": np.array(sound_kinds),
        "none_face_embeddings": vision(np.repeat(np.clip(pictures, -1, 1), 3, 1)),
        "none_face_kind": np.repeat(["flat", "noise", "smear"], 64),
    }


def export(options: argparse.Namespace) -> dict[str, Any]:
    """Write both ONNX files from the checkpoints and return their parity, size and speed."""
    import onnxruntime

    figures: dict[str, Any] = {}
    clips = corpus.load_voices(options.corpus, options.out / "cache")
    pixels = corpus.load_muxspace(options.corpus).pixels[:32]
    frames = list(torch.split(faces.normalise(pixels).expand(-1, 3, -1, -1).contiguous(), _ITEMS))
    sounds = [torch.from_numpy(voices.windows(clips.waveforms[i])) for i in (0, 1500, 2500, 3500)]
    table: tuple[tuple[str, str, Callable[..., Any], str, list[torch.Tensor]], ...] = (
        ("face", "vision", calibrate.vision_module, "frames", frames),
        ("voice", "audio", calibrate.audio_module, "windows", sounds),
    )
    for kind, name, made, input_name, examples in table:
        if options.only not in (None, kind):
            continue
        checkpoint = options.out / f"{kind}.pt"
        module, calibration = made(options.out, options.corpus)
        path, final = options.out / f"{name}.fp32.onnx", folded(module)
        # Written anew only after training: two exports differ in bytes, and kept embeddings go by them.
        if not path.is_file() or path.stat().st_mtime < checkpoint.stat().st_mtime:
            # For one item: a stream then pays for what is new alone, and a whole clip hardly more.
            export_onnx(final, examples[0][:1], path, input_name, "embeddings")
        singles = [item for example in examples for item in torch.split(example, 1)]
        parity = compare(final, path, [*singles, torch.zeros_like(singles[0])])
        settings = onnxruntime.SessionOptions()
        settings.intra_op_num_threads = 2
        session = onnxruntime.InferenceSession(str(path), settings, providers=["CPUExecutionProvider"])
        seconds = []
        for _ in range(30):
            start = time.perf_counter()
            for item in torch.split(examples[0], 1):
                session.run(None, {input_name: item.numpy()})
            seconds.append(time.perf_counter() - start)
        figures[name] = {
            "calibration": calibration,
            "max_abs_error": parity.max_abs_error,
            "cosine": parity.cosine,
            "bytes": path.stat().st_size,
            "parameters": sum(p.numel() for p in module.parameters()),
            "milliseconds_8_items_2_threads_median": 1e3 * float(np.median(seconds)),
        }
    return figures


def head_figures(options: argparse.Namespace, arrays: Arrays) -> dict[str, Any]:
    """Measure what the evidence in the cached embeddings reaches by itself: no language model, clean view."""
    found: dict[str, Any] = {}
    for key in ("ferplus_dev", "muxspace_dev", *(("ferplus_test", "muxspace_test") if options.final else ())):
        evidence = arrays[f"{key}_embeddings"][:, 0, VISION_EVIDENCE].astype(np.float32)
        known = arrays[f"{key}_label"] >= 0
        found[key] = calibrate.head_figures(_shares(evidence)[known], arrays[f"{key}_label"][known])
    for split in ("dev", *(("test", "cross") if options.final else ())):
        rows = arrays[f"voice_{split}_embeddings"][:, 0, :, AUDIO_EVIDENCE]
        shares = _shares(rows.astype(np.float32).mean(1))
        corpora, labels = arrays[f"voice_{split}_corpus"], arrays[f"voice_{split}_label"]
        for name in np.unique(corpora):
            mine = corpora == name
            classes = np.unique(labels[mine])
            rows = shares[mine]
            if QUIET[0] in classes and QUIET[1] not in classes:
                # Where a corpus has no calm, calm is neutral: as the whole pack is measured.
                rows[:, QUIET[0]] += rows[:, QUIET[1]]
            own = rows[:, classes] / rows[:, classes].sum(1, keepdims=True)
            found[f"{name}_{split}"] = calibrate.head_figures(own, np.searchsorted(classes, labels[mine]))
    return found


def _shares(evidence: NDArray[np.float32]) -> NDArray[np.float32]:
    """Undo the scale of evidence [n, classes] -> shares [n, classes]."""
    weights = np.exp((evidence - 1) * 2)
    return np.asarray(weights / weights.sum(1, keepdims=True), np.float32)


def embed(options: argparse.Namespace) -> Arrays:
    """Share the corpora out to worker processes and gather what they embedded."""
    arrays: Arrays = none_arrays(options)
    arrays |= {"face_classes": np.array(corpus.FACE_CLASSES), "voice_classes": np.array(corpus.VOICE_CLASSES)}
    arrays |= {"prosody_names": np.array(prosody.NAMES), "level_names": np.array(LEVEL_NAMES)}
    splits = corpus.load_voices(options.corpus, options.out / "cache").split
    with ProcessPoolExecutor(options.workers) as pool:
        voice_jobs: dict[str, list[Future[Arrays]]] = {}
        for split in ("train", "dev", "test", "cross") if options.only != "face" else ():
            views, rows = options.voice_views if split == "train" else 1, np.flatnonzero(splits == split)
            pieces = np.array_split(rows, 12 if split == "train" else 1)
            jobs = [pool.submit(_kept, options, "audio", voice_arrays, piece, views) for piece in pieces]
            voice_jobs[split] = jobs
        pairs = [(name, split) for split in ("train", "dev", "test") for name in ("ferplus", "muxspace")]
        pairs = pairs if options.only != "voice" else []
        face_jobs = [pool.submit(_kept, options, "vision", face_arrays, *pair) for pair in pairs]
        for split, jobs in voice_jobs.items():
            parts = [job.result() for job in jobs]
            arrays |= {
                f"voice_{split}_{key}": np.concatenate([part[key] for part in parts]) for key in parts[0]
            }
            print(f"voice {split} is embedded", file=sys.stderr, flush=True)
        for job in face_jobs:
            arrays |= job.result()
    return arrays


def _kept(options: argparse.Namespace, encoder: str, work: Callable[..., Arrays], *arguments: Any) -> Arrays:
    """Do a piece of work, or read what an interrupted run left of it with the same encoder and views."""
    digest = hashlib.sha256((options.out / f"{encoder}.fp32.onnx").read_bytes())
    digest.update(repr((options.seed, options.face_views, options.voice_views)).encode())
    digest.update(b"".join(np.asarray(argument).tobytes() for argument in arguments))
    path = options.out / "cache" / f"{work.__name__}_{digest.hexdigest()[:16]}.npz"
    if not path.is_file():
        beside = path.with_suffix(".partial.npz")
        # Prefixed, because savez has a parameter of its own called 'file'.
        np.savez(beside, **{f"kept_{key}": array for key, array in work(options, *arguments).items()})  # type: ignore[arg-type]
        beside.replace(path)
    with np.load(path) as kept:
        return {key.removeprefix("kept_"): kept[key] for key in kept.files}


def main(argv: list[str] | None = None) -> int:
    """Export both encoders and write embeddings.npz; with --final also the test figures."""
    parser = argparse.ArgumentParser(prog="python -m training.embeddings", description=main.__doc__)
    parser.add_argument("--corpus", type=Path, default=Path("../shared/data/corpus"))
    parser.add_argument("--out", type=Path, default=Path("build/training"))
    parser.add_argument("--face-views", type=int, default=3)
    parser.add_argument("--voice-views", type=int, default=2)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", choices=("face", "voice"), help="fill the cache for one encoder and stop")
    parser.add_argument("--final", action="store_true")
    options = parser.parse_args(argv)
    started = time.monotonic()
    record: dict[str, Any] = {"export": export(options)}
    for name in ("face", "voice") if options.only is None else (options.only,):
        state = torch.load(options.out / f"{name}.pt", weights_only=True)
        networks = state.get("members", [state])
        record[name] = [{key: own[key] for key in ("seconds", "epoch", "seed", "dev")} for own in networks]
    record["views"] = {"face": options.face_views, "voice": options.voice_views}
    arrays = embed(options)
    print(f"embedded in {time.monotonic() - started:.0f}s", file=sys.stderr, flush=True)
    if options.only is None:
        beside = options.out / "embeddings.partial.npz"
        np.savez(beside, **arrays)  # type: ignore[arg-type]
        beside.replace(options.out / "embeddings.npz")
        record["heads"] = head_figures(options, arrays)
        _write(options.out / "encoders.json", json.dumps(record, indent=2).encode())
    print(json.dumps(record, indent=2), file=sys.stderr, flush=True)
    return 0


def _write(path: Path, content: bytes) -> None:
    beside = path.with_name(path.name + ".partial")
    beside.write_bytes(content)
    beside.replace(path)


if __name__ == "__main__":
    raise SystemExit(main())
