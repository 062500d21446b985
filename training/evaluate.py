"""Measures emer-nano on held-out data through the exported GGUF: labels per modality, and how faithful
explanations are.

Knows metrics and which figures are asked for. Does not know training. The dev splits guide choices; the
test splits are touched only with --test, once, at the end.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import gguf
import numpy as np
import torch
from numpy.typing import NDArray
from tokenizers import Tokenizer

from emer_export.gguf import GgufSource, write_gguf
from emer_export.graphs.fusion import FusionHead
from emer_export.graphs.language import LanguageConfig
from emer_export.parity import Reference
from training import explain, pools, prompt
from training.batches import END
from training.language import EMBEDDING_DIM
from training.pairs import FACE_LABELS, VOICE_LABELS, Example, Sampler
from training.text import CANDIDATES, INDEX, Utterance, load_text
from training.words import Bag, Quoter

_MAX_ITEMS, _EXPLANATIONS, _LIMIT = 500, 100, 140
_RESAMPLES = 1000
# What an explanation may only say of a modality that is given.
_NAMES = {
    "face": r"\b(face|brows?|mouth|smil\w*|eyes|nose)\b",
    "voice": r"\b(voice|pitch|pace)\b",
    "words": r"\bwords\b",
}
_QUOTE = re.compile(r'"\.\.\. (.*?) \.\.\."')
_LEVEL_WORDS = {
    "loudness": {"quiet": "quiet", "moderately loud": "moderate", "loud": "loud"},
    "pitch": {"low in pitch": "low", "medium in pitch": "medium", "high in pitch": "high"},
    "movement": {"flat": "flat", "varied in melody": "varied"},
    "pace": {"slow pace": "slow", "steady pace": "steady", "fast pace": "fast"},
    "pauses": {"few pauses": "few", "some pauses": "some", "many pauses": "many"},
}


@dataclass(frozen=True)
class Model:
    """The exported language model with the fusion head and the token table of that very file."""

    reference: Reference
    fusion: FusionHead
    tokenizer: Tokenizer
    table: NDArray[np.float32]

    @torch.inference_mode()
    def rows(self, example: Example, question: str, begun: str = "") -> NDArray[np.float32]:
        """Lay out the prompt of `example` with `question` and the beginning of an answer -> float32 [n,
        width].
        """
        made = []
        pieces = prompt.prefix(
            vision=example.vision is not None, audio=example.audio is not None, subtitle=example.subtitle
        )
        vision, audio = (
            None if x is None else torch.from_numpy(x)[None] for x in (example.vision, example.audio)
        )
        for piece in [*pieces, prompt.question_tail(question), begun]:
            if piece == "<FaceHere>" and vision is not None:
                made.append(self.fusion.vision(vision)[0].numpy())
            elif piece == "<AudioHere>" and audio is not None:
                made.append(self.fusion.audio(audio)[0].numpy())
            elif piece == "<MultiHere>" and vision is not None and audio is not None:
                made.append(self.fusion.multi(vision, audio)[0].numpy())
            elif piece:
                made.append(self.table[self.tokenizer.encode(piece, add_special_tokens=False).ids])
        return np.concatenate(made).astype(np.float32)

    def scores(self, example: Example) -> NDArray[np.float32]:
        """Return the share of each candidate, float32 [9]."""
        rows = self.rows(example, explain.LABELS_QUESTION, " " + explain.STATE_PREFIX)
        ids = [self.tokenizer.encode(" " + name, add_special_tokens=False).ids[0] for name in CANDIDATES]
        logits = self.reference.logits(rows, last_only=True)[-1][ids]
        shares = np.exp(logits - logits.max())
        return np.asarray(shares / shares.sum(), np.float32)

    def answer(self, example: Example, question: str) -> str:
        """Return the greedy answer, cut at the end mark."""
        ids = self.reference.generate(self.rows(example, question), self.tokenizer.token_to_id(END), _LIMIT)
        return str(self.tokenizer.decode(ids)).split("###")[0].strip()


def open_model(out: Path, checkpoint: str, precision: str = "Q8_0") -> Model:
    """Export a checkpoint and open it in llama.cpp as the runtime would."""
    state = torch.load(out / f"language.{checkpoint}.pt", weights_only=True)["network"]
    language = {key[9:]: value.numpy() for key, value in state.items() if key.startswith("language.")}
    tokenizer = Tokenizer.from_file(str(out / "tokenizer.json"))
    config = LanguageConfig(vocab_size=tokenizer.get_vocab_size())
    source = GgufSource(language, config.hugging_face(), out / "tokenizer.json", END)
    path = write_gguf(source, out / f"evaluate.{precision}.gguf", precision)
    fusion = FusionHead("attention", EMBEDDING_DIM, EMBEDDING_DIM, config.hidden_size).eval()
    fusion.load_state_dict({key[7:]: value for key, value in state.items() if key.startswith("fusion.")})
    tensor = next(item for item in gguf.GGUFReader(path).tensors if item.name == "token_embd.weight")
    table = gguf.quants.dequantize(tensor.data, tensor.tensor_type)
    return Model(Reference(path, threads=1, kv_f32=False), fusion, tokenizer, np.asarray(table, np.float32))


def metrics(truth: Sequence[int], guess: Sequence[int], seed: int = 1) -> dict[str, Any]:
    """Return accuracy, UAR, macro and weighted F1 with 95 % bootstrap intervals of the first two."""
    t, g = np.array(truth), np.array(guess)
    classes = np.unique(t)

    def both(rows: NDArray[np.int64]) -> tuple[float, float]:
        a, b = t[rows], g[rows]
        recalls = [float((b[a == c] == c).mean()) for c in classes if (a == c).any()]
        return float((a == b).mean()), float(np.mean(recalls))

    random = np.random.default_rng(seed)
    drawn = np.array([both(random.integers(0, len(t), len(t))) for _ in range(_RESAMPLES)])
    low, high = np.percentile(drawn, (2.5, 97.5), axis=0)
    f1, counts = [], []
    for c in classes:
        hit = float(((t == c) & (g == c)).sum())
        f1.append(2 * hit / max(float((t == c).sum() + (g == c).sum()), 1.0))
        counts.append(int((t == c).sum()))
    accuracy, uar = both(np.arange(len(t)))
    return {
        "items": len(t),
        "accuracy": accuracy,
        "accuracy_95": [float(low[0]), float(high[0])],
        "uar": uar,
        "uar_95": [float(low[1]), float(high[1])],
        "macro_f1": float(np.mean(f1)),
        "weighted_f1": float(np.average(f1, weights=counts)),
    }


def _some(count: int, rng: Random) -> list[int]:
    return sorted(rng.sample(range(count), min(count, _MAX_ITEMS)))


def _bare(vision: Any = None, audio: Any = None, subtitle: str | None = None) -> Example:
    return Example(vision, audio, subtitle, np.zeros(len(CANDIDATES), np.float32), explain.Facts(()), ())


def _best(scores: NDArray[np.float32], allowed: set[str], *, calm_is_neutral: bool) -> int:
    shares = scores.copy()
    if calm_is_neutral:
        shares[INDEX["neutral"]] += shares[INDEX["calm"]]
        shares[INDEX["calm"]] = 0
    return max((INDEX[name] for name in allowed), key=lambda i: float(shares[i]))


def face_figures(model: Model, out: Path, split: str) -> dict[str, Any]:
    """Faces alone: FER+ rows with a clear majority, one picture as the whole clip."""
    pool = pools.face_pool(out, split)
    clear = np.flatnonzero(pool.votes.max(1) > 0.5)
    truth, guess = [], []
    for i in _some(len(clear), Random(1)):
        row = clear[i]
        scores = model.scores(_bare(vision=np.repeat(pool.rows[row, :1], 8, 0)))
        truth.append(INDEX[FACE_LABELS[int(pool.votes[row].argmax())]])
        guess.append(_best(scores, set(FACE_LABELS), calm_is_neutral=True))
    return {"faces_ferplus": metrics(truth, guess)}


def voice_figures(model: Model, out: Path, split: str) -> dict[str, Any]:
    """Voices alone, per corpus; where a corpus has no 'calm', calm counts as neutral."""
    pool = pools.voice_pool(out, split)
    corpora = pools.voice_corpora(out, split)
    found = {}
    for corpus in sorted(set(corpora)):
        rows = [i for i, name in enumerate(corpora) if name == corpus]
        allowed = {VOICE_LABELS[int(pool.labels[i])] for i in rows}
        truth, guess = [], []
        for k in _some(len(rows), Random(1)):
            scores = model.scores(_bare(audio=pool.rows[rows[k], 0]))
            truth.append(INDEX[VOICE_LABELS[int(pool.labels[rows[k]])]])
            guess.append(_best(scores, allowed, calm_is_neutral="calm" not in allowed))
        found[f"voices_{corpus}"] = {"classes": len(allowed), **metrics(truth, guess)}
    return found


def words_figures(model: Model, utterances: list[Utterance], split: str) -> dict[str, Any]:
    """Words alone: MELD, seven classes."""
    rows = [item for item in utterances if item.corpus == "meld" and item.split == split]
    allowed = {item.label for item in rows}
    truth, guess = [], []
    for i in _some(len(rows), Random(1)):
        scores = model.scores(_bare(subtitle=rows[i].text))
        truth.append(INDEX[rows[i].label])
        guess.append(_best(scores, allowed, calm_is_neutral=True))
    return {"words_meld": metrics(truth, guess)}


def check_explanation(text: str, example: Example) -> dict[str, list[bool]]:
    """Check one explanation: absent modalities unnamed, quotes verbatim, levels as measured, a conclusion
    there.
    """
    given = {
        "face": example.vision is not None,
        "voice": example.audio is not None,
        "words": example.subtitle is not None,
    }
    outside = _QUOTE.sub("", text)
    found: dict[str, list[bool]] = {
        "names_no_absent_modality": [
            not re.search(pattern, outside) for name, pattern in _NAMES.items() if not given[name]
        ],
        "names_every_given_modality": [
            bool(re.search(_NAMES[name], outside)) for name, there in given.items() if there
        ],
        "quote_is_verbatim": [quote in (example.subtitle or "") for quote in _QUOTE.findall(text)],
        "has_a_conclusion": [explain.STATE_PREFIX[1:] in text],
    }
    sentence = next((part for part in re.split(r"(?<=\.) ", text) if part.startswith("The voice")), "")
    for name, words in _LEVEL_WORDS.items():
        said = [
            word for phrase, word in words.items() if re.search(rf"(?<!moderately )\b{phrase}\b", sentence)
        ]
        measured = example.facts.voice.levels.get(name) if example.facts.voice else None
        if said and measured:
            found[f"voice_{name}_as_measured"] = [said[0] == measured]
    return found


def pair_figures(model: Model, sampler: Sampler, seed: int) -> dict[str, Any]:
    """Synthetic pairs: agreement of the label with the mixed shares, and checks of generated explanations."""
    rng = Random(seed)
    examples = [sampler.draw(rng) for _ in range(2 * _EXPLANATIONS)]
    truth = [int(example.shares.argmax()) for example in examples]
    scores = [model.scores(example) for example in examples]
    figures: dict[str, Any] = {"synthetic_pairs": metrics(truth, [int(share.argmax()) for share in scores])}
    checks: dict[str, list[bool]] = {}
    same = []
    texts = []
    for example, share in list(zip(examples, scores, strict=True))[:_EXPLANATIONS]:
        text = model.answer(example, explain.EXPLAIN_QUESTION)
        texts.append(text)
        for name, values in check_explanation(text, example).items():
            checks.setdefault(name, []).extend(values)
        concluded = re.search(rf"{explain.STATE_PREFIX[1:]} (\w+)", text)
        same.append(concluded is not None and concluded[1] == CANDIDATES[int(share.argmax())])
    figures["explanations_of_synthetic_pairs"] = {
        "items": len(texts),
        **{name: float(np.mean(values)) for name, values in sorted(checks.items()) if values},
        "conclusion_is_the_top_label": float(np.mean(same)),
        "different_texts": len(set(texts)),
    }
    for text in texts[:8]:
        print(f"  {text}", file=sys.stderr)
    return figures


def main(argv: list[str] | None = None) -> int:
    """Write evaluation.json; with --test the test splits and EMO-DB as well."""
    parser = argparse.ArgumentParser(prog="python -m training.evaluate", description=__doc__)
    parser.add_argument("--corpus", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=Path("build/training"))
    parser.add_argument("--checkpoint", default="final")
    parser.add_argument("--test", action="store_true", help="also the test splits and the unseen corpus")
    options = parser.parse_args(argv)
    torch.set_num_threads(1)
    out: Path = options.out
    model = open_model(out, options.checkpoint)
    utterances = load_text(options.corpus)
    quoter = Quoter(Bag.load(out / "words.npz"), model.tokenizer)
    figures: dict[str, Any] = {}
    for split in ("dev", "test") if options.test else ("dev",):
        held_out = [item for item in utterances if item.split == split]
        sampler = Sampler(held_out, quoter, pools.face_pool(out, split), pools.voice_pool(out, split))
        part: dict[str, Any] = {}
        part |= face_figures(model, out, split)
        part |= voice_figures(model, out, split)
        part |= words_figures(model, utterances, split)
        part |= pair_figures(model, sampler, seed=23)
        figures[split] = part
        (out / "evaluation.json").write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
        print(json.dumps({split: part}, indent=1), file=sys.stderr, flush=True)
    if options.test:
        figures["another_corpus"] = voice_figures(model, out, "cross")
    (out / "evaluation.json").write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
