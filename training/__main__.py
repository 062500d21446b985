"""Runs the whole recipe of emer-nano: encoders, embeddings, text expert, language model, pack, figures.

Knows the steps, their sizes and which of them run side by side. Does not know what a step does; each is a
process of its own that goes on from its own checkpoint, and what it tells is kept in STEP.log.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from training import record

# What the published pack was trained with; --scale makes all of them smaller or larger.
_FACE_EPOCHS, _VOICE_EPOCHS, _LANGUAGE_STEPS = 20, 28, 4000

_PUBLISH = (("publish",),)

# Rows follow each other; the chains of a row run side by side. Small networks gain little from a second
# thread, and two of them on a thread each all of it.
_ROWS: tuple[tuple[tuple[str, ...], ...], ...] = (
    (("faces",), ("voices", "words_expert", "tokenizer")),
    (("embeddings",),),
    (("language",),),
    (("assemble",),),
    (("evaluate",),),
    (("ablations",),),
    (("test",),),
    _PUBLISH,
)


def steps(options: argparse.Namespace) -> dict[str, list[str]]:
    """Return module and arguments of every step, in order."""
    out, pack = ["--out", str(options.out)], options.out / "pack" / "emer-nano"
    place = ["--corpus", str(options.corpus), *out]

    def scaled(name: str, size: int) -> list[str]:
        return [name, str(max(1, round(size * options.scale)))]

    figures = ["--figures", str(options.out / "figures.json")]
    measured = [*place, "--pack", str(pack), *figures]
    split = "test" if options.test else "dev"
    published = [*figures, "--split", split, "--pack", str(pack), "--docs", str(options.out / "docs")]
    threads = ["--threads", str(options.threads)]
    test = ["--test"] if options.test else []
    return {
        "faces": ["faces", *place, "--threads", "1", *scaled("--epochs", _FACE_EPOCHS)],
        "voices": ["voices", *place, "--threads", "1", *scaled("--epochs", _VOICE_EPOCHS)],
        "words_expert": ["words_expert", *place, *test],
        "tokenizer": ["tokenizer", *place],
        "embeddings": ["embeddings", *place, *(["--final"] if options.test else [])],
        "language": ["language", *place, *threads, *scaled("--steps", _LANGUAGE_STEPS)],
        "assemble": ["assemble", *out, *figures],
        "evaluate": ["evaluate", *measured],
        "ablations": ["ablations", *place, *figures],
        "test": ["evaluate", *measured, "--split", "test"],
        "publish": ["card", *published],
    }


def run_chain(names: tuple[str, ...], todo: dict[str, list[str]], out: Path) -> int:
    """Run steps one after the other; return the exit code of the first that failed, or 0."""
    for name in names:
        began = time.monotonic()
        print(f"== {name}", file=sys.stderr, flush=True)
        module, *arguments = todo[name]
        command = [sys.executable, "-m", f"training.{module}", *arguments]
        with (
            (out / f"{name}.log").open("a", encoding="utf-8") as log,
            subprocess.Popen(command, stderr=subprocess.PIPE, text=True, errors="replace") as process,
        ):
            assert process.stderr is not None
            for line in process.stderr:
                log.write(line)
                sys.stderr.write(line)
        if process.returncode:
            print(f"== {name} failed with exit code {process.returncode}", file=sys.stderr, flush=True)
            return process.returncode
        seconds = time.monotonic() - began
        print(f"== {name} took {seconds:.0f}s", file=sys.stderr, flush=True)
        _note(out / "times.json", name, seconds)
    return 0


def main(argv: list[str] | None = None) -> int:
    """Run every step; a step that was done, or begun, goes on where it stopped."""
    parser = argparse.ArgumentParser(prog="python -m training", description=__doc__)
    parser.add_argument("--corpus", type=Path, required=True, help="folder that holds the corpora")
    parser.add_argument("--out", type=Path, default=Path("build/training"))
    parser.add_argument("--scale", type=float, default=1.0, help="factor of all training lengths")
    parser.add_argument(
        "--threads", type=int, default=2, help="of the language model; the encoders take one each"
    )
    parser.add_argument("--test", action="store_true", help="also measure the test splits: once, at the end")
    every = [name for row in _ROWS for chain in row for name in chain]
    parser.add_argument("--from-step", default=every[0], choices=every, help="leave out the steps before it")
    options = parser.parse_args(argv)
    options.out.mkdir(parents=True, exist_ok=True)
    todo = steps(options)
    left_out = set(every[: every.index(options.from_step)]) | (set() if options.test else {"test"})
    for row in _ROWS:
        chains = [tuple(name for name in chain if name not in left_out) for chain in row]
        began = time.monotonic()
        if row == _PUBLISH:
            _record_times(options.out)
        with ThreadPoolExecutor(len(chains)) as pool:
            codes = list(pool.map(lambda chain: run_chain(chain, todo, options.out), chains))
        if any(codes):
            return next(code for code in codes if code)
        _note(options.out / "times.json", record.WHOLE, time.monotonic() - began)
    return 0


def _record_times(out: Path) -> None:
    """Put the seconds of every step so far into the record of figures, for the card to tell."""
    figures = record.read(out / "figures.json")
    record.write(out / "figures.json", {**figures, "training_seconds": record.read(out / "times.json")})


def _note(path: Path, name: str, seconds: float) -> None:
    """Add the seconds of a step, or of a row of them, to those of earlier, broken-off runs."""
    times = record.read(path)
    record.write(path, {**times, name: round(times.get(name, 0) + seconds)})


if __name__ == "__main__":
    raise SystemExit(main())
