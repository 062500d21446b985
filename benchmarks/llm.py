"""Our language-model loop beside the bare library: tokens per second, one prefill against several, reuse.

    python -m benchmarks.llm MODEL.gguf [--threads 2] [--runs 7] [--prompt 256] [--tokens 128] [--json FILE]

`bare` follows llama-bench's two tests on the same library: a prompt of random tokens in one llama_decode
(pp), and single random tokens one after the other without looking at their logits (tg). `ours` is what an
answer costs: rows looked up and laid, the logits read, the sampler and the text stream, every token. Samples
of both take turns in one process, the first of each is apart, and every sample has tokens of its own.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import llama_cpp
import numpy as np
from numpy.typing import NDArray

from benchmarks.environment import environment, median
from emer_edge.llm.context import Branch, ClipContext
from emer_edge.llm.generate import Generation
from emer_edge.llm.gguf import Llm
from emer_edge.llm.sampling import GenerationOptions

Ids = NDArray[np.int32]
_QUESTION = 24


class Bare:
    """llama.cpp without anything of ours: what llama-bench times."""

    def __init__(self, path: Path, n_ctx: int, threads: int) -> None:
        settings = llama_cpp.llama_model_default_params()
        settings.n_gpu_layers = 0
        self.model = llama_cpp.llama_model_load_from_file(str(path).encode(), settings)
        wish = llama_cpp.llama_context_default_params()
        wish.n_ctx = wish.n_batch = wish.n_ubatch = n_ctx
        wish.n_threads = wish.n_threads_batch = threads
        self.context = llama_cpp.llama_init_from_model(self.model, wish)
        self.memory = llama_cpp.llama_get_memory(self.context)

    def decode(self, ids: Ids) -> None:
        array = (llama_cpp.llama_token * len(ids))(*ids.tolist())
        if llama_cpp.llama_decode(self.context, llama_cpp.llama_batch_get_one(array, len(ids))):
            raise SystemExit("llama_decode failed")

    def clear(self) -> None:
        llama_cpp.llama_memory_clear(self.memory, True)

    def prompt(self, ids: Ids) -> float:
        self.clear()
        began = time.perf_counter()
        self.decode(ids)
        llama_cpp.llama_synchronize(self.context)
        return time.perf_counter() - began

    def tokens(self, prompt: Ids, ids: Ids) -> float:
        self.prompt(prompt)
        began = time.perf_counter()
        for token in ids:
            self.decode(token[None])
            llama_cpp.llama_synchronize(self.context)
        return time.perf_counter() - began


class Endless:
    """A branch whose answer goes on: random weights end when they like, and a rate needs a fixed length."""

    def __init__(self, branch: Branch) -> None:
        self.logits, self.step, self.piece = branch.logits, branch.step, branch.piece

    def is_end(self, token: int) -> bool:
        return token < 0


class Ours:
    """The runtime's own path."""

    def __init__(self, path: Path, n_ctx: int, threads: int) -> None:
        self.llm = Llm(path, n_ctx=n_ctx, threads=threads)

    def prompt(self, ids: Ids) -> float:
        began = time.perf_counter()
        ClipContext(self.llm, self.llm.lay([ids]))
        return time.perf_counter() - began

    def tokens(self, prompt: Ids, count: int) -> float:
        rows = self.llm.lay([prompt])
        branch = ClipContext(self.llm, rows[:-1], [rows[-1:]]).branches[0]
        generation = Generation(Endless(branch), GenerationOptions(max_new_tokens=count + 1))
        # The first token needs no step of its own: its logits are the prompt's.
        began = time.perf_counter()
        for _ in generation:
            pass
        seconds = time.perf_counter() - began
        if generation.n_tokens != count + 1:
            raise SystemExit(f"{generation.n_tokens} tokens came, not {count + 1}")
        return seconds

    def second_question(self, prompt: Ids, question: Ids) -> tuple[float, float]:
        """Seconds to the logits of the first and of the second question about one prefix."""
        prefix, tail = self.llm.lay([prompt]), self.llm.lay([question])
        began = time.perf_counter()
        context = ClipContext(self.llm, prefix, [tail])
        first = time.perf_counter()
        context.ask(self.llm.lay([question[::-1].copy()]))
        return first - began, time.perf_counter() - first

    def in_pieces(self, prompt: Ids, pieces: int) -> float:
        """The same prompt in several batches: how text and embeddings that take turns would be run."""
        rows = self.llm.lay([prompt])
        began = time.perf_counter()
        parts = np.array_split(rows, pieces)
        context = ClipContext(self.llm, parts[0])
        branch = context.ask(parts[1])
        end = len(parts[0]) + len(parts[1])
        for part in parts[2:]:
            positions = np.arange(end, end + len(part), dtype=np.int32)
            self.llm.decode(
                part, positions, [(branch.seq_id,)] * len(part), [False] * (len(part) - 1) + [True]
            )
            end += len(part)
        return time.perf_counter() - began


def spread(values: list[float]) -> dict[str, Any]:
    """First sample apart, then median, least and most."""
    warm = values[1:]
    return {
        "first": values[0],
        "median": median(warm),
        "least": min(warm),
        "most": max(warm),
        "runs": len(warm),
    }


def measure(options: argparse.Namespace) -> dict[str, Any]:
    random = np.random.default_rng(1)
    n_ctx = options.prompt + options.tokens + 2 * _QUESTION + 64
    ours, bare = Ours(options.model, n_ctx, options.threads), Bare(options.model, n_ctx, options.threads)

    def ids(count: int) -> Ids:
        return random.integers(0, ours.llm.n_vocab, count).astype(np.int32)

    cases: dict[str, Callable[[], float]] = {
        "prompt bare": lambda: bare.prompt(ids(options.prompt)),
        "prompt ours": lambda: ours.prompt(ids(options.prompt)),
        "prompt ours in 5 batches": lambda: ours.in_pieces(ids(options.prompt), 5),
        "tokens bare": lambda: bare.tokens(ids(options.prompt), ids(options.tokens)),
        "tokens ours": lambda: ours.tokens(ids(options.prompt), options.tokens),
    }
    seconds: dict[str, list[float]] = {name: [] for name in (*cases, "first question", "second question")}
    for number in range(options.runs + 1):
        names = list(cases)
        shift = number % len(names)  # who begins changes, so that nobody always follows the same other one
        for name in [*names[shift:], *names[:shift]]:
            seconds[name].append(cases[name]())
        first, second = ours.second_question(ids(options.prompt), ids(_QUESTION))
        seconds["first question"].append(first)
        seconds["second question"].append(second)
    found = {name: spread(values) for name, values in seconds.items()}
    return {
        "benchmark": "llm",
        "command": ["python", "-m", "benchmarks.llm", *sys.argv[1:]],
        "environment": environment(),
        "model": options.model.name,
        "megabytes": round(options.model.stat().st_size / 1e6, 1),
        "threads": options.threads,
        "prompt_tokens": options.prompt,
        "new_tokens": options.tokens,
        "seconds": found,
        "tokens_per_second": {
            name: options.tokens / found[f"tokens {name}"]["median"] for name in ("bare", "ours")
        },
        "ours_over_bare": {
            "tokens": found["tokens bare"]["median"] / found["tokens ours"]["median"],
            "prompt": found["prompt bare"]["median"] / found["prompt ours"]["median"],
        },
        "one_batch_over_five": found["prompt ours in 5 batches"]["median"] / found["prompt ours"]["median"],
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", type=Path)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--runs", type=int, default=7)
    parser.add_argument("--prompt", type=int, default=256)
    parser.add_argument("--tokens", type=int, default=128)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    report = measure(options)
    print(json.dumps(report, indent=1))
    if options.json:
        options.json.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
