"""Trains the byte-level BPE of emer-nano on the text corpora, the explanation language and the prompt.

Knows the pre-tokenisation that llama.cpp calls "qwen2" and the special tokens. Does not know models or
GGUF. No normaliser and no added space: a text piece gives the same ids here and in llama.cpp.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path
from random import Random

from tokenizers import Regex, Tokenizer
from tokenizers.decoders import ByteLevel as ByteLevelDecoder
from tokenizers.models import BPE
from tokenizers.pre_tokenizers import ByteLevel, Sequence, Split
from tokenizers.trainers import BpeTrainer

from emer_export.gguf import QWEN2_PATTERN
from training import explain, prompt
from training.beliefs import LABELS
from training.text import Utterance, load_text

VOCABULARY = 6144
_ASKED = explain.Facts(
    ("sad",),
    explain.FaceFacts("sad", 1.0),
    explain.VoiceFacts("sad", 0.0, {}),
    explain.WordsFacts("so", "sad", 0.0),
)
SPECIAL_TOKENS = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")


def _grammar_lines(rng: Random, count: int) -> Iterator[str]:
    labels = list(LABELS)
    tones = [name for name in LABELS if name != "contemptuous"]
    faces = [name for name in LABELS if name != "calm"]
    levels = {
        "pitch": ("low", "medium", "high"),
        "movement": ("flat", "varied"),
        "loudness": ("quiet", "moderate", "loud"),
        "pace": ("slow", "steady", "fast"),
        "pauses": ("few", "some", "many", "none"),
    }
    for _ in range(count):
        facts = explain.Facts(
            (rng.choice(labels),),
            explain.FaceFacts(rng.choice(faces), rng.random()),
            explain.VoiceFacts(
                rng.choice(tones), rng.random(), {name: rng.choice(words) for name, words in levels.items()}
            ),
            explain.WordsFacts("that", rng.choice(labels), rng.random()),
        )
        yield " " + explain.explanation(facts, rng)
        question, answer = explain.free_answer(facts, "so it is", rng)
        yield f" {question} ###Assistant: {answer} ###"


def lines(utterances: list[Utterance], seed: int, grammar: int) -> Iterator[str]:
    """Yield what the vocabulary has to be short on: training text, answers, prompts."""
    rng = Random(seed)
    for utterance in utterances:
        yield " " + utterance.text
        for word in utterance.extra:
            yield f" {explain.state_sentence((utterance.label, word))}"
    yield from _grammar_lines(rng, grammar)
    for question in (explain.LABELS_QUESTION, explain.explain_question(_ASKED), explain.SENTIMENT_QUESTION):
        for _ in range(grammar // 4):
            yield from prompt.pieces(question)


def train_tokenizer(utterances: list[Utterance], seed: int = 7, grammar: int = 20_000) -> Tokenizer:
    """Train on utterances (training split only) and `grammar` drawn answers; ids 0..2 are the special
    tokens.
    """
    tokenizer = Tokenizer(BPE())
    tokenizer.pre_tokenizer = Sequence(
        [Split(Regex(QWEN2_PATTERN), behavior="isolated"), ByteLevel(add_prefix_space=False, use_regex=False)]
    )
    tokenizer.decoder = ByteLevelDecoder()
    trainer = BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=list(SPECIAL_TOKENS),
        initial_alphabet=ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(lines(utterances, seed, grammar), trainer)
    return tokenizer


def main(argv: list[str] | None = None) -> int:
    """Write tokenizer.json into --out, unless it is there."""
    parser = argparse.ArgumentParser(prog="python -m training.tokenizer", description=__doc__)
    parser.add_argument("--corpus", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=Path("build/training"))
    arguments = parser.parse_args(argv)
    path = arguments.out / "tokenizer.json"
    if path.is_file():
        print(f"tokenizer: {path} is there", file=sys.stderr)
        return 0
    train = [item for item in load_text(arguments.corpus) if item.split == "train"]
    tokenizer = train_tokenizer(train)
    arguments.out.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(path))
    print(f"tokenizer: {tokenizer.get_vocab_size()} tokens -> {path}", file=sys.stderr)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
