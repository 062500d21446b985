"""`eval run`: finds the clips, asks the pack about each, scores, and says how it ended."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from emer_edge.cli.carrying import Request, ask_all, with_media
from emer_edge.cli.eval_options import take_data, take_scoring
from emer_edge.cli.eval_score import write_files
from emer_edge.cli.terminal import put, safe, say


def run(request: Request) -> int:
    """Carry the run out, from where it was; 0 if every clip has an answer, else 1.

    Raises:
        EmerError: the call makes no sense, the pack can't be had, the folder holds another run, the disk is
            full, or it was interrupted.
    """
    how = take_scoring(request.flags)  # what can be refused is refused before any work is spent
    try:
        ask_all(request, with_media(take_data(request.flags["data"], request.flags), request))
        return _finish(request, how)
    finally:
        how.close()


def _finish(request: Request, how: Any) -> int:
    """Score the finished run, write its pages, print its figures."""
    from emer_edge.evaluate.compare import compare
    from emer_edge.evaluate.measures import score_system
    from emer_edge.evaluate.report import render
    from emer_edge.evaluate.run_files import load_run
    from emer_edge.evaluate.show import score_lines
    from emer_edge.evaluate.stored import System

    stored = load_run(request.folder)
    failed = sum(output.failed for output in stored.outputs.values())
    metrics: dict[str, Any] | None = None
    lines = [f"{stored.name} on {stored.data.name}: {len(stored.outputs)} clips, no truth to score against"]
    if stored.data.kinds:
        scored = score_system(
            stored.data, System(stored.name, stored.outputs, "the system", request.folder), how
        )
        metrics, lines = scored.to_dict(), score_lines(scored)
        page = render(compare([scored]), _facts(stored.record))
        text = json.dumps(metrics, ensure_ascii=False, indent=1) + "\n"
        write_files(request.folder, {"metrics.json": text, "report.html": page})
    if request.flags["as_json"]:
        record = {
            "run": str(request.folder),
            "clips": len(stored.outputs),
            "failed": failed,
            "metrics": metrics,
        }
        put(json.dumps(record, ensure_ascii=False) + "\n")
    else:
        put("".join(f"{safe(line)}\n" for line in lines))
    if failed and not request.flags["quiet"]:
        say(f"{failed} of {len(stored.outputs)} clips failed; --retry-failed asks again")
    return 1 if failed else 0


def _facts(record: Mapping[str, Any]) -> dict[str, str]:
    system, asked = record["system"], record["asked"]
    pack = f"{system.get('pack')} {system.get('version')} on {system.get('device')}, {system.get('sha256')}"
    given = (f"{name}: {value}" for name, value in asked.items() if value not in (None, "", False))
    return {
        "Pack": pack,
        "Asked": ", ".join(given),
        "Versions": ", ".join(f"{name} {value}" for name, value in record["versions"].items()),
        "Begun": str(record.get("began", "")),
    }
