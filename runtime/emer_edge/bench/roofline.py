"""How near each stage came to what the machine can do, and what binds it.

Knows costs, ceilings and measured seconds. Seconds are those of visits, one stage after the other, where
there are some: the quickest visit of each clip counts, as the quickest try does for a ceiling. In the
pipeline seeing and hearing share the machine, so that their seconds there are too long.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

from emer_edge.bench.ceilings import Ceilings
from emer_edge.bench.costs import (
    Cost,
    LlmShape,
    encoder_cost,
    fusion_cost,
    llm_shape,
    prefill_cost,
    token_cost,
)
from emer_edge.bench.subject import Sample
from emer_edge.packs.records import Manifest


def rooflines(
    folder: Path,
    manifest: Manifest,
    samples: Sequence[Sample],
    ceilings: Ceilings,
    visits: Sequence[Mapping[str, Any]] = (),
) -> dict[str, dict[str, Any]]:
    """One record by stage: what it has to do, the floor that follows, what was measured, percent and bound.

    Raises:
        PackError: a file of the pack can't be read.
    """
    shape = llm_shape(folder / manifest.llm.files[manifest.llm.default].path)
    costs = stage_costs(folder, manifest, shape, samples)
    measured = {name: _median(sample.stages.get(name, 0.0) for sample in samples) for name in costs}
    measured["token"] = _median(sample.per_token for sample in samples)
    measured |= {name: value for name, value in _quickest(visits).items() if name in costs}
    return {
        name: record(cost, measured[name], ceilings) for name, cost in costs.items() if measured.get(name)
    }


def stage_costs(
    folder: Path, manifest: Manifest, shape: LlmShape, samples: Sequence[Sample]
) -> dict[str, Cost]:
    """The least that each countable stage has to do, by stage; `token` is one generated token."""
    encoders = {"vision": manifest.encoders.vision, "audio": manifest.encoders.audio}
    costs = {name: encoder_cost(folder / spec.files[spec.default].path) for name, spec in encoders.items()}
    frames, windows = manifest.preprocessing.frames.count, manifest.preprocessing.audio.windows
    fusion_bytes = sum(file.size_bytes for file in manifest.files if file.path == manifest.fusion.path)
    costs["fusion"] = fusion_cost(manifest.fusion, fusion_bytes, frames, windows)
    rows = round(_median(sample.prompt_tokens for sample in samples))
    said = round(_median(sample.new_tokens for sample in samples))
    costs["prefill"] = prefill_cost(shape, max(1, rows), 1)
    costs["token"] = token_cost(shape, rows + said // 2)
    return costs


def record(cost: Cost, seconds: float, ceilings: Ceilings) -> dict[str, Any]:
    """One stage on the roofline."""
    precision = as_precision(cost.precision)
    rate = ceilings.rate(precision)
    bandwidth, place = ceilings.bandwidth(cost.weight_bytes)
    by_products = cost.products / rate if rate else 0.0
    by_bytes = cost.total_bytes / bandwidth if bandwidth else 0.0
    floor = max(by_products, by_bytes)
    return {
        "operations": round(cost.operations),
        "product_operations": round(cost.products),
        "bytes": round(cost.total_bytes),
        "weights": cost.precision,
        "precision": precision,
        "uncounted_operators": cost.uncounted,
        "ceiling_operations_per_second": round(rate),
        "ceiling_bytes_per_second": round(bandwidth),
        "floor_seconds": round(floor, 9),
        "measured_seconds": round(seconds, 9),
        "percent": round(100 * floor / seconds, 2) if seconds else 0.0,
        "bound": "compute" if by_products >= by_bytes else place,
    }


def as_precision(kind: str) -> str:
    """The precision in which products of weights of a type are computed at best: ggml's types and ours."""
    if kind in ("fp32", "F32"):
        return "fp32"
    return "fp16" if kind in ("fp16", "bf16", "F16", "BF16") else "int8"


def _quickest(visits: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """Wall-clock seconds by stage, and of a token: the median over the clips of each one's quickest visit."""
    best: dict[str, dict[int, float]] = {}
    for visit in visits:
        seconds = dict(visit["seconds"])
        if visit["new_tokens"]:
            seconds["token"] = seconds.get("generate", 0.0) / visit["new_tokens"]
        for name, value in seconds.items():
            clips = best.setdefault(name, {})
            clips[visit["index"]] = min(value, clips.get(visit["index"], value))
    return {name: _median(clips.values()) for name, clips in best.items()}


def _median(values: Any) -> float:
    """Over the samples that had the stage."""
    there = [float(value) for value in values if value]
    return median(there) if there else 0.0
