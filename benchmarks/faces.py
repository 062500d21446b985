"""Share of sampled frames in which the speaker's face is found, and the time it takes, per folder of clips.

python -m benchmarks.faces CLIPS/talking CLIPS/faces_no_speech [--threads 2] [--side 192]
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from emer_edge.encoders.base import TensorSpec
from emer_edge.encoders.onnx import OnnxNetwork
from emer_edge.errors import EmerError
from emer_edge.limits import Limits
from emer_edge.media.face_detector import INPUT, OUTPUTS, Detector, DetectorOptions, detector_path
from emer_edge.media.faces import FaceAlignment, FaceOptions, crop_speaker, find_speaker
from emer_edge.media.source import FrameSpec, open_media

ALIGNMENT = FaceAlignment((0.32, 0.405), (0.68, 0.405), (0.5, 0.745))
CROP = 48


@dataclass(frozen=True)
class Row:
    clip: str
    found: int
    frames: int
    mean_score: float
    others: int
    seconds: float


def measure(path: Path, detector: Detector, options: FaceOptions, count: int) -> Row:
    spec = FrameSpec(rule="uniform_index", count=count, height=640, width=640, resize="fit", dtype="uint8")
    pixels = open_media(path, Limits()).frames(spec).pixels
    start = time.perf_counter()
    track = find_speaker(pixels, detector, options)
    crop_speaker(pixels, track, ALIGNMENT, height=CROP, width=CROP)
    seconds = time.perf_counter() - start
    mean = float(track.scores.mean()) if track.found else 0.0
    return Row(path.name, track.found, track.frames, mean, track.others, seconds)


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folders", type=Path, nargs="+")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--frames", type=int, default=8)
    parser.add_argument("--side", type=int, default=DetectorOptions().side)
    args = parser.parse_args(argv)
    gives = [TensorSpec(name, "float32", (None, depth, None, None)) for name, depth in OUTPUTS.items()]
    takes = TensorSpec(INPUT, "uint8", (None, 3, None, None))
    detector = OnnxNetwork(detector_path(), takes, gives, threads=args.threads).run
    options = FaceOptions(detector=DetectorOptions(side=args.side))
    for folder in args.folders:
        rows = []
        for path in sorted(folder.iterdir()):
            try:
                row = measure(path, detector, options, args.frames)
            except EmerError as error:
                print(f"  {path.name:42} {error.what}")
                continue
            rows.append(row)
            print(
                f"  {row.clip:42} {row.found:2} of {row.frames:2}  score {row.mean_score:.2f}"
                f"  others {row.others}  {1e3 * row.seconds:6.1f} ms"
            )
        if rows:
            found, frames = sum(row.found for row in rows), sum(row.frames for row in rows)
            middle = statistics.median(row.seconds for row in rows)
            print(
                f"{folder}: a face in {found} of {frames} frames ({found / frames:.1%}), {len(rows)} clips,"
                f" median {1e3 * middle:.1f} ms per clip with {args.threads} threads"
            )
    return 0


if __name__ == "__main__":
    sys.exit(main())
