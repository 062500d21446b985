"""Runs the whole recipe of emer-nano: encoders, embeddings, text expert, language model, pack, figures.

Knows the steps and their sizes. Does not know what a step does; each one goes on from its own checkpoint.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path

from training import assemble, card, embeddings, evaluate, faces, language, tokenizer, voices, words_expert

# What the published pack was trained with; --scale makes all of them smaller or larger.
_FACE_EPOCHS, _VOICE_EPOCHS, _LANGUAGE_STEPS = 20, 28, 4800

_STEPS = (
    "faces",
    "voices",
    "embeddings",
    "words_expert",
    "tokenizer",
    "language",
    "assemble",
    "evaluate",
    "test",
    "publish",
)


def steps(options: argparse.Namespace) -> dict[str, tuple[Callable[[list[str]], int], list[str]]]:
    """Return entry point and command line of every step."""
    out, pack = ["--out", str(options.out)], options.out / "pack" / "emer-nano"
    place = ["--corpus", str(options.corpus), *out]
    threads = ["--threads", str(options.threads)]

    def scaled(name: str, size: int) -> list[str]:
        return [name, str(max(1, round(size * options.scale)))]

    figures = ["--figures", str(options.out / "figures.json")]
    measured = [*place, "--pack", str(pack), *figures]
    split = "test" if options.test else "dev"
    published = [*figures, "--split", split, "--pack", str(pack), "--docs", str(options.out / "docs")]
    return {
        "faces": (faces.main, [*place, *threads, *scaled("--epochs", _FACE_EPOCHS)]),
        "voices": (voices.main, [*place, *threads, *scaled("--epochs", _VOICE_EPOCHS)]),
        "embeddings": (embeddings.main, [*place, *(["--final"] if options.test else [])]),
        "words_expert": (words_expert.main, place),
        "tokenizer": (tokenizer.main, place),
        "language": (language.main, [*place, *threads, *scaled("--steps", _LANGUAGE_STEPS)]),
        "assemble": (assemble.main, [*out, *figures]),
        "evaluate": (evaluate.main, measured),
        "test": (evaluate.main, [*measured, "--split", "test"]),
        "publish": (card.main, published),
    }


def main(argv: list[str] | None = None) -> int:
    """Run every step; a step that was done, or begun, goes on where it stopped."""
    parser = argparse.ArgumentParser(prog="python -m training", description=__doc__)
    parser.add_argument("--corpus", type=Path, required=True, help="folder that holds the corpora")
    parser.add_argument("--out", type=Path, default=Path("build/training"))
    parser.add_argument("--scale", type=float, default=1.0, help="factor of all training lengths")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--test", action="store_true", help="also measure the test splits: once, at the end")
    parser.add_argument(
        "--from-step", default=_STEPS[0], choices=_STEPS, help="leave out the steps before it"
    )
    options = parser.parse_args(argv)
    options.out.mkdir(parents=True, exist_ok=True)
    todo = steps(options)
    for name in _STEPS[_STEPS.index(options.from_step) :]:
        if name == "test" and not options.test:
            continue
        began = time.monotonic()
        print(f"== {name}", file=sys.stderr, flush=True)
        run, arguments = todo[name]
        code = run(arguments)
        if code:
            return code
        _note(options.out / "times.json", name, time.monotonic() - began)
    return 0


def _note(path: Path, name: str, seconds: float) -> None:
    """Add the seconds of a step to those of earlier, broken-off runs."""
    times = json.loads(path.read_text()) if path.is_file() else {}
    times[name] = round(times.get(name, 0) + seconds)
    path.write_text(json.dumps(times, indent=1) + "\n")
    print(f"== {name} took {seconds:.0f}s", file=sys.stderr, flush=True)


if __name__ == "__main__":
    raise SystemExit(main())
