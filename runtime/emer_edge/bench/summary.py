"""Figures from samples: percentiles by stage, rates, time to first label and token. Knows no scenario."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median
from typing import Any

from emer_edge.bench.early_stopping import percentile
from emer_edge.bench.subject import STAGES, Sample

SIGHT, SOUND = ("decode_video", "faces", "vision"), ("decode_audio", "audio")
FIGURES = ("seconds", "cpu_seconds", "first_label", "first_token", "per_token")


def summary(samples: Sequence[Sample]) -> dict[str, Any]:
    """p50, p90 and p99 of every stage and figure, rates, and what the runtime adds to its stages."""
    by_name = {name: [sample.stages.get(name, 0.0) for sample in samples] for name in STAGES}
    by_name |= {name: [float(getattr(sample, name)) for sample in samples] for name in FIGURES}
    tokens = sum(sample.new_tokens for sample in samples)
    generating = sum(sample.stages.get("generate", 0.0) for sample in samples)
    prompts = sum(sample.prompt_tokens for sample in samples)
    prefilling = sum(sample.stages.get("prefill", 0.0) for sample in samples)
    return {
        "samples": len(samples),
        "stages": {name: _points(values) for name, values in by_name.items() if any(values)},
        "tokens_per_second": round(tokens / generating, 3) if generating else 0.0,
        "prompt_tokens_per_second": round(prompts / prefilling, 3) if prefilling else 0.0,
        "median_new_tokens": median(sample.new_tokens for sample in samples) if samples else 0,
        "median_prompt_tokens": median(sample.prompt_tokens for sample in samples) if samples else 0,
        "overhead_share": round(median(overhead(sample) for sample in samples), 5) if samples else 0.0,
        "yardstick_seconds": round(median(_told(samples)), 6) if _told(samples) else None,
    }


def _told(samples: Sequence[Sample]) -> list[float]:
    return [sample.yardstick_seconds for sample in samples if sample.yardstick_seconds]


def _points(values: Sequence[float]) -> dict[str, float]:
    """Percentiles over the samples that had the stage."""
    there = [value for value in values if value > 0]
    return {f"p{round(100 * share)}": round(percentile(there, share), 6) for share in (0.5, 0.9, 0.99)} | {
        "samples": len(there)
    }


def path_of(sample: Sample) -> dict[str, float]:
    """The stages that an answer waited for: the slower of the two senses, then the rest."""
    sight, sound = ({name: sample.stages.get(name, 0.0) for name in names} for names in (SIGHT, SOUND))
    slower = sight if sum(sight.values()) >= sum(sound.values()) else sound
    return slower | {name: sample.stages.get(name, 0.0) for name in ("fusion", "prefill", "generate")}


def overhead(sample: Sample) -> float:
    """Share of the whole call that is in no stage of its path."""
    return 1 - sum(path_of(sample).values()) / sample.seconds if sample.seconds else 0.0
