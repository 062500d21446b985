"""`emer-edge packs verify --parity`: which proof to run, its progress and lines. Proves nothing itself."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from emer_edge.cli.progress import Progress
from emer_edge.cli.terminal import Terminal, one_line, put
from emer_edge.errors import InputError, PackError


def print_parity(folder: Path, clips: tuple[str, ...], published: Mapping[str, str | None]) -> None:
    """Run the proof and print one line a stage.

    Raises:
        InputError: clips without the published files, or these without clips. PackError: a bound is missed.
    """
    from emer_edge.strays import missed, stage_lines

    together = (clips, published["checkpoint"], published["family"])
    if (any(together) or published["models"]) and not all(together):
        raise InputError(
            "Clips are compared with the published files, and these with clips.",
            "What torch makes of a clip is not in the pack.",
            "Give CLIPS, --family and --checkpoint together, or --parity alone.",
        )
    progress = Progress(Terminal.look(), quiet=False)
    progress.start("parity")

    def report(stage: str, _share: float | None) -> None:
        progress.stage(stage)

    try:
        stages = _against_files(folder, clips, published, report) if clips else _repeated(folder, report)
    finally:
        progress.clear()
    put("".join(f"{one_line(line)}\n" for line in stage_lines(stages)))
    if missed(stages):
        raise PackError(
            f"The pack in {folder} does not compute what the original computes.",
            f"Bounds are missed at {', '.join(missed(stages))}.",
            "Export it again on this machine, or ask for a higher precision.",
        )


def _repeated(folder: Path, report: Any) -> Mapping[str, Any]:
    from emer_edge.proof import repeat_proof
    from emer_edge.session import Session

    session = Session(folder)
    try:
        return repeat_proof(session, report)
    finally:
        session.close()


def _against_files(
    folder: Path, clips: tuple[str, ...], published: Mapping[str, str | None], report: Any
) -> Mapping[str, Any]:
    from emer_edge.cli.inputs import collect_clips

    try:
        exporter = importlib.import_module("emer_export.run")
    except ModuleNotFoundError as error:
        raise InputError(
            "Comparing with the published files needs the exporter's libraries.",
            f"There is no module {error.name}.",
            "pip install 'emer-edge[export]'",
        ) from error
    paths = {key: Path(value) if value else None for key, value in published.items() if key != "family"}
    request = exporter.Request(family=published["family"], out=folder, **paths)
    found = exporter.prove_again(request, folder, report, [Path(clip) for clip in collect_clips(clips)])
    stages: Mapping[str, Any] = found["stages"]
    return stages
