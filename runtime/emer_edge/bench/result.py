"""The result file: everything that was measured, on what, by which command, down to every sample.

Knows the layout of `schemas/bench.schema.json`. Does not measure.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

from emer_edge.bench.clips import ClipSet
from emer_edge.bench.scenarios import Outcome
from emer_edge.bench.subject import Sample
from emer_edge.bench.summary import summary
from emer_edge.errors import InputError
from emer_edge.packs.manifest import MANIFEST
from emer_edge.strict_json import StrictJsonError, parse_json

if TYPE_CHECKING:
    from emer_edge.bench.run import Request
    from emer_edge.reasoner import Reasoner

KIND = "emer-edge-bench"
SCHEMA_VERSION = "1.0"
MOST_BYTES = 512 * 1024**2


@dataclass(slots=True)
class Parts:
    """What a benchmark collects on its way."""

    request: Request
    clips: ClipSet
    reasoner: Reasoner
    driver: str
    load_seconds: float = 0.0
    expected_seconds: float = 0.0
    warm_up: list[Sample] = field(default_factory=list)
    outcomes: list[Outcome] = field(default_factory=list)
    energy: dict[str, dict[str, float]] = field(default_factory=dict)
    memory: dict[str, int] = field(default_factory=dict)
    live: dict[str, Any] = field(default_factory=dict)
    visits: list[dict[str, Any]] = field(default_factory=list)
    cold: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    ceilings: dict[str, Any] = field(default_factory=dict)
    roofline: dict[str, dict[str, Any]] = field(default_factory=dict)
    states: dict[str, Any] = field(default_factory=dict)
    device: dict[str, Any] = field(default_factory=dict)


def assemble(parts: Parts) -> dict[str, Any]:
    """The result as plain data."""
    request, reasoner = parts.request, parts.reasoner
    samples = [sample for outcome in parts.outcomes for sample in outcome.samples]
    single = [o for o in parts.outcomes if o.rule.name == "single_stream"]
    return {
        "kind": KIND,
        "schema_version": SCHEMA_VERSION,
        "created": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "command": list(request.command),
        "device": parts.device,
        "state": parts.states,
        "pack": pack_record(reasoner),
        "settings": {
            "device": request.device,
            "threads": reasoner.threads,
            "decoder": request.decoder,
            "question": request.question,
            "max_tokens": request.max_tokens,
            "driver": parts.driver,
            "seconds": request.seconds,
            "mlperf": request.mlperf,
            "seed": request.seed,
        },
        "clips": parts.clips.to_dict(),
        "load_seconds": round(parts.load_seconds, 6),
        "first_call_seconds": round(parts.warm_up[0].seconds, 6),
        "warm_up": {"clips": len(parts.warm_up), "samples": [s.to_dict() for s in parts.warm_up]},
        "summary": summary([s for o in single for s in o.samples] or samples or parts.warm_up),
        "scenarios": {outcome.rule.name: _scenario(outcome, parts) for outcome in parts.outcomes},
        "live": parts.live,
        "visits": parts.visits,
        "cold_start": parts.cold,
        "memory": parts.memory,
        "ceilings": parts.ceilings,
        "roofline": parts.roofline,
    }


def pack_record(reasoner: Reasoner) -> dict[str, Any]:
    """Which pack, down to its bytes: the manifest holds the hash of every file."""
    manifest = reasoner.manifest
    data = (reasoner.folder / MANIFEST).read_bytes()
    return {
        "name": manifest.name,
        "version": manifest.version,
        "manifest_sha256": hashlib.sha256(data).hexdigest(),
        "size_bytes": manifest.size_bytes,
        "vision": manifest.encoders.vision.default,
        "audio": manifest.encoders.audio.default,
        "llm": manifest.llm.default,
    }


def _scenario(outcome: Outcome, parts: Parts) -> dict[str, Any]:
    rule = outcome.rule
    return {
        "driver": outcome.driver,
        "rule": {
            "least_seconds": rule.least_seconds,
            "least_queries": rule.least_queries,
            "most_seconds": rule.most_seconds,
            "per_query": rule.per_query,
            "seed": rule.seed,
        },
        "figures": outcome.figures(),
        "loadgen": outcome.extra,
        "joules_per_clip": parts.energy.get(rule.name, {}),
        "queries": [
            {
                "issued_seconds": round(query.issued_seconds, 6),
                "seconds": round(query.seconds, 6),
                "samples": [sample.to_dict() for sample in query.samples],
            }
            for query in outcome.queries
        ],
    }


def to_text(result: Mapping[str, Any]) -> str:
    """The file's text."""
    return json.dumps(result, indent=1, allow_nan=False) + "\n"


def read_result(path: str | Path) -> dict[str, Any]:
    """A result file, checked for kind and version.

    Raises:
        InputError: it can't be read, or is no result of this major version.
    """
    path = Path(path)
    try:
        if path.stat().st_size > MOST_BYTES:
            raise InputError(f"{path} is too large for a result.")
        record = parse_json(path.read_bytes())
    except (OSError, StrictJsonError) as error:
        raise InputError(
            f"{path} can't be read.",
            getattr(error, "strerror", None) or str(error),
            "Name a file of `bench`.",
        ) from error
    if not isinstance(record, dict) or record.get("kind") != KIND:
        raise InputError(f"{path} is not a result of `emer-edge bench`.")
    version = str(record.get("schema_version", ""))
    if version.split(".")[0] != SCHEMA_VERSION.split(".")[0]:
        raise InputError(f"{path} has version {version}.", f"This emer-edge reads {SCHEMA_VERSION}.")
    for key, kind in (("device", dict), ("settings", dict), ("scenarios", dict), ("summary", dict)):
        if not isinstance(record.get(key), kind):
            raise InputError(f"{path} has no {key}.")
    return record


def samples_of(result: Mapping[str, Any], scenario: str) -> list[dict[str, Any]]:
    """Every sample of a scenario, in order; none where it was not run."""
    queries = result["scenarios"].get(scenario, {}).get("queries", [])
    return [sample for query in queries for sample in query["samples"]]
