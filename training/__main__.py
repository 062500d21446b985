"""Runs the whole recipe of emer-nano in order: encoders, embeddings, tokenizer, language model, figures,
pack.

Knows the steps and their share of the time. Does not know what a step does; each one goes on from its own
checkpoint.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path

from training import assemble, embeddings, evaluate, faces, language, tokenizer, voices

# Minutes at --scale 1: the shares the published pack was trained with on two busy cores.
_FACE_MINUTES, _VOICE_MINUTES, _LANGUAGE_MINUTES, _POLISH_MINUTES = 25.0, 15.0, 30.0, 6.5

# A second, short fall of the rate from half its height: quotes and labels gain, as after any cooling.
_POLISH = ("--stage", "joint", "--name", "final", "--init", "joint", "--scale", "0.5", "--decay-from", "0")


def steps(options: argparse.Namespace) -> list[tuple[str, Callable[[list[str]], int], list[str]]]:
    """Return name, entry point and command line of every step."""
    place = ["--corpus", str(options.corpus), "--out", str(options.out)]
    threads = ["--threads", str(options.threads)]

    def minutes(share: float) -> list[str]:
        return ["--minutes", str(share * options.scale)]

    final = ["--final"] if options.test else []
    return [
        ("faces", faces.main, [*place, *threads, *minutes(_FACE_MINUTES)]),
        ("voices", voices.main, [*place, *threads, *minutes(_VOICE_MINUTES)]),
        ("embeddings", embeddings.main, [*place, *final]),
        ("tokenizer", tokenizer.main, place),
        ("language", language.main, [*place, *threads, "--stage", "joint", *minutes(_LANGUAGE_MINUTES)]),
        ("polish", language.main, [*place, *threads, *_POLISH, *minutes(_POLISH_MINUTES)]),
        ("evaluate", evaluate.main, [*place, *(["--test"] if options.test else [])]),
        ("assemble", assemble.main, ["--out", str(options.out)]),
    ]


def main(argv: list[str] | None = None) -> int:
    """Run every step; a step that was done, or begun, goes on where it stopped."""
    parser = argparse.ArgumentParser(prog="python -m training", description=__doc__)
    parser.add_argument("--corpus", type=Path, required=True, help="folder that holds the corpora")
    parser.add_argument("--out", type=Path, default=Path("build/training"))
    parser.add_argument("--scale", type=float, default=1.0, help="factor of all training times")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--test", action="store_true", help="also measure the test splits: once, at the end")
    parser.add_argument("--from-step", default="faces", help="leave out the steps before this one")
    options = parser.parse_args(argv)
    todo = steps(options)
    names = [name for name, _, _ in todo]
    if options.from_step not in names:
        parser.error(f"--from-step must be one of {', '.join(names)}")
    options.out.mkdir(parents=True, exist_ok=True)
    for name, run, arguments in todo[names.index(options.from_step) :]:
        began = time.monotonic()
        print(f"== {name}", file=sys.stderr, flush=True)
        code = run(arguments)
        if code:
            return code
        print(f"== {name} took {time.monotonic() - began:.0f}s", file=sys.stderr, flush=True)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
