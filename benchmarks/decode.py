"""Eight sampled frames and the waveform of each clip: emer-edge beside PyAV (and OpenCV where installed).

    python -m benchmarks.decode CLIP... [--runs 5] [--json FILE]

Every sample is another clip; peers are interleaved; the first call is kept apart. CPU time is of all threads.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import numpy as np
from PIL import Image

from benchmarks.environment import environment, median
from emer_edge.limits import Limits
from emer_edge.media.source import AudioSpec, FrameSpec, open_media

SPEC = FrameSpec(
    rule="uniform_index",
    count=8,
    height=224,
    width=224,
    resize="stretch",
    channel_order="rgb",
    mean=(0.48145466, 0.4578275, 0.40821073),
    std=(0.26862954, 0.26130258, 0.27577711),
    dtype="float32",
)


def ours(backend: str) -> Callable[[Path], None]:
    def run(path: Path) -> None:
        media = open_media(path, Limits(), backend=backend)  # type: ignore[arg-type]
        media.frames(SPEC)

    return run


def pyav_sequential(path: Path) -> None:
    """What most loaders do: count, decode everything, keep eight, resize with Pillow, normalise."""
    with av.open(str(path)) as container:
        container.streams.video[0].thread_type = "AUTO"
        total = sum(1 for packet in container.demux(video=0) if packet.size)
    wanted = {index * total // 8 for index in range(8)}
    out = []
    with av.open(str(path)) as container:
        container.streams.video[0].thread_type = "AUTO"
        for index, frame in enumerate(container.decode(video=0)):
            if index in wanted:
                picture = Image.fromarray(frame.to_ndarray(format="rgb24")).resize(
                    (224, 224), Image.Resampling.BICUBIC
                )
                out.append(
                    (np.asarray(picture, np.float32) / 255 - np.array(SPEC.mean, np.float32)) / SPEC.std
                )
            if index >= max(wanted):
                break
    np.ascontiguousarray(np.stack(out).transpose(0, 3, 1, 2))


def opencv_sequential(path: Path) -> None:
    import cv2

    capture = cv2.VideoCapture(str(path))
    total = int(capture.get(cv2.CAP_PROP_FRAME_COUNT))
    wanted = {index * total // 8 for index in range(8)}
    out = []
    for index in range(total):
        if not capture.grab():
            break
        if index in wanted:
            _, frame = capture.retrieve()
            out.append(cv2.resize(frame, (224, 224), interpolation=cv2.INTER_AREA))
    np.ascontiguousarray(np.stack(out).transpose(0, 3, 1, 2).astype(np.float32))


def our_audio(path: Path) -> None:
    open_media(path, Limits()).waveform(AudioSpec())


def pyav_audio(path: Path) -> None:
    with av.open(str(path)) as container:
        resampler = av.AudioResampler("fltp", "mono", 16_000)
        parts = [p.to_ndarray() for f in container.decode(audio=0) for p in resampler.resample(f)]
        parts += [p.to_ndarray() for p in resampler.resample(None)]
    np.concatenate(parts, 1)


def measure(runners: dict[str, Callable[[Path], None]], clips: list[Path], runs: int) -> dict[str, Any]:
    """Median milliseconds, wall and CPU, per runner over all clips; the first call apart."""
    wall: dict[str, list[float]] = {name: [] for name in runners}
    cpu: dict[str, list[float]] = {name: [] for name in runners}
    first: dict[str, float] = {}
    per_clip: dict[str, dict[str, float]] = {}
    failed: dict[str, int] = dict.fromkeys(runners, 0)
    for clip in clips:
        best: dict[str, list[float]] = {name: [] for name in runners}
        for _ in range(runs):
            for name, run in runners.items():
                began, began_cpu = time.perf_counter(), time.process_time()
                try:
                    run(clip)
                except Exception:
                    failed[name] += 1
                    continue
                took, took_cpu = time.perf_counter() - began, time.process_time() - began_cpu
                if name not in first:
                    first[name] = took * 1e3
                    continue
                best[name].append(took_cpu * 1e3)
                wall[name].append(took * 1e3)
        per_clip[clip.name] = {name: median(values) for name, values in best.items() if values}
        for name, value in per_clip[clip.name].items():
            cpu[name].append(value)
    base = next(iter(runners))
    ratios = {
        name: float(
            np.exp(
                np.mean(
                    [np.log(row[name] / row[base]) for row in per_clip.values() if {name, base} <= set(row)]
                )
            )
        )
        for name in runners
        if any({name, base} <= set(row) for row in per_clip.values())
    }
    return {
        "median_wall_ms": {n: round(median(v), 2) for n, v in wall.items() if v},
        "median_cpu_ms": {n: round(median(v), 2) for n, v in cpu.items() if v},
        "first_call_ms": {n: round(v, 2) for n, v in first.items()},
        "geometric_mean_cpu_ratio_to_ours": {n: round(v, 3) for n, v in ratios.items()},
        "failed_calls": failed,
        "per_clip_cpu_ms": per_clip,
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("clips", nargs="+", type=Path)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    runners = {
        "emer-edge": ours("auto"),
        "emer-edge on PyAV": ours("pyav"),
        "PyAV sequential + PIL": pyav_sequential,
    }
    try:
        import cv2  # noqa: F401

        runners["OpenCV sequential"] = opencv_sequential
    except ImportError:
        print("OpenCV is not installed: left out", file=sys.stderr)
    clips = arguments.clips
    report = {
        "environment": environment(),
        "clips": len(clips),
        "runs": arguments.runs,
        "frames": measure(runners, clips, arguments.runs),
        "audio": measure(
            {"emer-edge": our_audio, "PyAV + AudioResampler": pyav_audio}, clips, arguments.runs
        ),
    }
    text = json.dumps(report, indent=1)
    if arguments.json:
        arguments.json.write_text(text + "\n")
    for part in ("frames", "audio"):
        for key in (
            "median_wall_ms",
            "median_cpu_ms",
            "first_call_ms",
            "geometric_mean_cpu_ratio_to_ours",
            "failed_calls",
        ):
            print(part, key, report[part][key])  # type: ignore[index]


if __name__ == "__main__":
    main()
