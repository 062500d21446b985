"""Feeds mutated clips to probe and decode: nothing but EmerError may come out, and memory must not grow.

    python tests/fuzz/fuzz_media.py --count 20000 [--backend pyav] [--seed 1] [--only 1234]

Every mutation follows from the seed and its number, so `--only` repeats one. A crash of the process leaves
the guilty clip in the folder that is printed first.
"""

from __future__ import annotations

import argparse
import os
import random
import resource
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from emer_edge.errors import EmerError
from emer_edge.limits import Limits
from emer_edge.media.source import AudioSpec, Backend, FrameSpec, open_media
from tests.data.make_clips import make_clips

LIMITS = Limits(pixels=512 * 512, decode_seconds=2.0, clip_seconds=600.0, audio_seconds=60.0)
WARM_UP = 300
"""Clips after which memory is measured for the first time: libav's tables are then built."""
GROWTH_BYTES = 64 * 1024**2
SLOWEST_SECONDS = 12.0
"""Four calls, each at the ceiling of LIMITS and one second in libav beyond it."""


def mutate(clip: bytes, dice: random.Random) -> bytes:
    """Flip bits, overwrite, repeat, cut out or truncate; headers more often than the rest."""
    data = bytearray(clip)
    for _ in range(dice.choice((1, 1, 2, 4, 16, 64))):
        span = len(data) if dice.random() < 0.4 else min(len(data), dice.choice((64, 512, 4096)))
        tail = dice.random() < 0.25  # MP4 keeps its index at the end
        at = len(data) - 1 - dice.randrange(span) if tail else dice.randrange(span)
        kind = dice.randrange(6)
        if kind == 0:
            data[at] ^= 1 << dice.randrange(8)
        elif kind == 1:
            data[at] = dice.choice((0, 1, 0x7F, 0x80, 0xFE, 0xFF, dice.randrange(256)))
        elif kind == 2:
            data[at : at + 4] = dice.choice(
                (b"\xff\xff\xff\xff", b"\0\0\0\0", b"\x7f\xff\xff\xff", dice.randbytes(4))
            )
        elif kind == 3:
            data[at:at] = data[at : at + dice.randrange(1, 256)]
        elif kind == 4:
            del data[at : at + dice.randrange(1, 64)]
        elif dice.random() < 0.2:
            del data[at:]
        if not data:
            data = bytearray(b"\0")
    return bytes(data)


def read_all(path: Path, backend: Backend) -> None:
    """Whatever a caller may do; stops at the first EmerError of opening, goes on after those of decoding."""
    source = open_media(path, LIMITS, backend=backend)
    probe = source.probe()
    for work in (
        lambda: source.frames(FrameSpec(count=3, height=16, width=16)) if probe.video else None,
        lambda: source.waveform(AudioSpec()) if probe.audio else None,
        lambda: source.embedded_cues() if probe.subtitles else None,
    ):
        try:
            work()
        except EmerError:
            continue


def resident_bytes() -> int:
    """Memory of this process that is in RAM."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def main() -> int:
    """0 when nothing but EmerError came out and memory stayed flat."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])  # type: ignore[union-attr]
    parser.add_argument("--count", type=int, default=2_000)
    parser.add_argument("--backend", choices=("auto", "native", "pyav"), default="auto")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", type=int, default=None)
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="emer-fuzz-"))
    print(f"clips in {folder}", flush=True)
    clips = [path.read_bytes() for path in make_clips(folder).values() if path.stat().st_size > 200]
    target = folder / "mutated"
    numbers = range(options.count) if options.only is None else [options.only]
    bad = refused = 0
    slowest, base, start = 0.0, 0, time.monotonic()
    for done, number in enumerate(numbers):
        dice = random.Random(options.seed * 1_000_003 + number)
        target.write_bytes(mutate(dice.choice(clips), dice))
        begin = time.monotonic()
        try:
            read_all(target, options.backend)
        except EmerError:
            refused += 1
        except BaseException as error:
            bad += 1
            print(f"{number}: {type(error).__name__}: {error}", flush=True)
        took = time.monotonic() - begin
        if took > SLOWEST_SECONDS:
            bad += 1
            print(f"{number}: took {took:.1f} s", flush=True)
        slowest = max(slowest, took)
        if done == WARM_UP:
            base = resident_bytes()
        if done % 2_000 == 1_999:
            print(f"{done + 1}: {resident_bytes() // 2**20} MiB", flush=True)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    growth = resident_bytes() - base if base else 0
    print(
        f"{len(numbers)} clips in {time.monotonic() - start:.0f} s: {refused} refused at opening, {bad} bad, "
        f"slowest {slowest:.2f} s, memory grew {growth / 2**20:.1f} MiB, peak {peak} MiB"
    )
    if growth > GROWTH_BYTES:
        print(f"memory grew by more than {GROWTH_BYTES // 2**20} MiB")
        return 1
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
