"""A small made-up record of figures: every number is its own, so that a card that shows it is known to."""

from __future__ import annotations

from itertools import count
from typing import Any

import numpy as np

from emer_edge.evaluate.faithfulness_rates import RATES
from training import goals
from training.measure_data import Item, Rows
from training.measure_figures import recognition
from training.measure_pairs import DISTURBED, PAIR_LABELS, SUBSETS


def made_rows(name: str, modality: str, items: int = 40, seed: int = 3) -> Rows:
    """Rows of four classes that hold nothing, by four groups."""
    random = np.random.default_rng(seed)
    classes = ("angry", "happy", "neutral", "sad")
    labels = tuple(classes[i % 4] for i in range(items))
    groups = tuple(str(group) for group in random.integers(0, 4, items))
    return Rows(name, modality, classes, (Item(words="so"),) * items, labels, groups, "speaker")


def made_answers(rows: Rows, right: float = 0.7, seed: int = 4) -> list[dict[str, Any]]:
    """Scores that name the right label for about `right` of the rows."""
    random = np.random.default_rng(seed)
    answers = []
    for label in rows.labels:
        best = label if random.random() < right else random.choice(rows.classes)
        shares = random.dirichlet(np.full(len(rows.classes) + 1, 0.7)) * 0.4
        scores = dict(zip((*rows.classes, "unclear"), shares.tolist(), strict=True))
        scores[best] += 0.6
        answers.append({"scores": scores})
    return answers


def made_figures() -> dict[str, Any]:
    """A record with everything in it, for the test split."""
    values = count(1)

    def estimate() -> dict[str, Any]:
        value = 0.3 + 0.00137 * next(values)
        return {"value": value, "interval_95": [value - 0.1111, value + 0.0999]}

    def points() -> dict[str, Any]:
        value = 3 + 0.7 * next(values)
        return {"value": value, "interval_95": [value - 2.2, value + 2.3]}

    recognise = {}
    for name, modality in (("ferplus", "face"), ("ravdess", "voice"), ("meld", "words")):
        rows = made_rows(name, modality)
        other = "weighted_f1" if modality == "words" else "uar"
        head = {"accuracy": 0.7123, other: 0.6987}
        recognise[name] = recognition(rows, made_answers(rows), head)
    part: dict[str, Any] = {
        "pack": {"name": "emer-nano", "version": "9.8.7", "sha256": "ab" * 32},
        "measured": {
            "date": "2026-01-02",
            "machine": {"cpu": "Made-up CPU", "cores": 3, "memory_gigabytes": 7.5, "system": "Linux"},
            "libraries": {"numpy": "9.9.9"},
            "seconds": {"recognise ferplus": 61.0, "combine": 123.0},
        },
        "recognise": recognise,
        "detector": {
            **{"items": 321, "found_share": 0.9377, "accuracy": estimate(), "uar": estimate()},
            "behind": {"accuracy": estimate(), "uar": estimate()},
        },
        "combine": {
            "items": 1234,
            "speakers": 17,
            "classes": list(PAIR_LABELS),
            "subsets": {subset: {"accuracy": estimate(), "uar": estimate()} for subset in SUBSETS},
            "best_single": "v",
            "gain_points": points(),
            "disturbed": {
                name: {"what": what, "without": without, "accuracy": estimate(), "change_points": points()}
                for name, (without, what) in DISTURBED.items()
            },
            "worst_disturbed_points": points(),
        },
        "disagree": {
            "items": 456,
            **{key: estimate() for key in ("both_in_labels", "contrast_said", "contrast_names_both")},
            "read_alone": {
                "items": 123,
                **{key: estimate() for key in ("both_in_labels", "contrast_said", "contrast_names_both")},
            },
        },
        "explain": {
            "answers": 789,
            "without_fault": estimate(),
            "different_texts": 701,
            "cut_off": 31,
            **{
                name: {
                    "stated": 2000 + next(values),
                    "checked": 1000 + next(values),
                    "right": estimate(),
                    "clear_right": estimate(),
                    "by_chance": 0.2 + 0.00173 * next(values),
                }
                for name in RATES
            },
            "subsets": {
                subset: {"answers": 9, "voice": estimate(), "quotes": estimate()} for subset in SUBSETS
            },
        },
        "speed": {
            **{goal.place[1]: goal.target * 0.777 for goal in goals.SPEED},
            **{"threads": 2, "repeats": 13, "load_before": 1.7},
        },
    }
    part["goals"] = goals.judge(part)
    return {
        "pack": part["pack"],
        "described": {
            "frames": {"count": 8, "height": 48, "width": 48},
            "audio": {"windows": 8, "window_seconds": 2.0, "sample_rate": 16000},
            "encoders": {"vision": {"dim": 111, "file": "v.onnx"}, "audio": {"dim": 222, "file": "a.onnx"}},
            "llm": {"architecture": "qwen3", "n_embd": 333, "n_vocab": 4444, "n_ctx": 555}
            | {"precision": "Q8_0", "file": "llm.gguf"},
            "fusion": {"kind": "attention", "file": "f.safetensors"},
            "candidates": ["neutral", "happy", "unclear"],
            "size_bytes": {
                "v.onnx": 1_100_000,
                "a.onnx": 2_200_000,
                "llm.gguf": 3_300_000,
                "f.safetensors": 1,
            },
            "parity": {"vision.fp32": {"cosine": 0.9876, "parameters": 123456}},
        },
        "data": {"ferplus": {"train": 24001, "dev": 2801, "test": 1301}, "meld": {"train": 9001}},
        "training_seconds": {"faces": 600, "whole": 4500, "joint": 4260},
        "ablations": {"voice dev UAR": {"all": estimate(), "without noise": {"value": 0.4444}}},
        "curves": {"face encoder": [{"epoch": i, "loss": 2.0 / (i + 1), "uar": 0.1 * i} for i in range(5)]},
        "language_training": {
            "curve": [{"step": 100 * i, "seconds": i, "loss": 3.0 - 0.1 * i} for i in range(5)]
        },
        "test": part,
    }
