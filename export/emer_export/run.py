"""One export from beginning to end: open and check, plan, make, prove, publish.

Knows the order of the steps. Does not know formats, prompts or the command line, which is its only caller
beside Python code.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from emer_edge.errors import InputError, OutputError, PackError
from emer_edge.strays import missed, stage_lines
from emer_export.artefacts import Report
from emer_export.build import Plan, as_output_error, make_artefacts, make_plan, publish, seal
from emer_export.families import Family, load_family
from emer_export.manifests import Wish, engine_rows
from emer_export.proof import prove
from emer_export.sources import Paths, Sources, find_paths, open_sources
from emer_export.sources_emer import open_emer_sources
from emer_export.tensorrt import EngineWish

__all__ = [
    "EngineWish",
    "Request",
    "engine_lines",
    "parity_lines",
    "plan_export",
    "prove_again",
    "run_export",
]


@dataclass(frozen=True)
class Request:
    """What to export, from where, to where.

    Of several checkpoints the later ones replace what the earlier ones hold.
    `parts` maps vision, audio, llm and qformer to folders; absent ones are looked for by their
    published name in `models`. `precisions` and `quantisations` begin with the default one.
    """

    family: str
    checkpoint: Path | tuple[Path, ...]
    out: Path
    models: Path | None = None
    parts: Mapping[str, Path | None] = field(default_factory=dict)
    name: str | None = None
    precisions: tuple[str, ...] = ("fp32",)
    quantisations: tuple[str, ...] = ("Q8_0",)
    look: str | None = None
    channel_order: str | None = None
    force: bool = False
    engines: tuple[EngineWish, ...] = ()
    calibrate: tuple[Path, ...] = ()


def plan_export(request: Request) -> Plan:
    """Open every part, check that they belong together, and say what will be made; nothing is written.

    Raises:
        InputError, PackError, LimitError: what is wrong with which part. OutputError: `out` exists already.
    """
    if request.out.exists() and not request.force:
        raise OutputError(f"{request.out} exists already.", todo="Pass --force to replace it.")
    family = load_family(request.family)
    paths = find_paths(family, request.checkpoint, request.models, request.parts)
    wish = Wish(
        name=request.name or request.out.name,
        precisions=tuple(dict.fromkeys(request.precisions)),
        quantisations=tuple(dict.fromkeys(request.quantisations)),
        look=request.look,
        channel_order=request.channel_order,
        engines=request.engines,
        calibrate=request.calibrate,
    )
    return make_plan(_open(family, paths), wish, request.out)


def _open(family: Family, paths: Paths) -> Sources:
    opener = open_emer_sources if family.graphs["vision"] == "emer-vision" else open_sources
    return opener(family, paths)


def run_export(plan: Plan, report: Report, clips: Sequence[Path] = ()) -> dict[str, Any]:
    """Make the pack and give it its name; with `clips` only if it is proved to be the same model.

    Args:
        plan: from `plan_export`.
        report: told the file or stage and the share of it that is done.
        clips: media files to prove the pack on.

    Returns:
        The parity, empty without clips.

    Raises:
        PackError: a bound does not hold; the pack stays beside its place, with its figures. OutputError:
        it can't
            be written. Others: as the formats and the runtime.
    """
    if any(not clip.is_file() for clip in clips):
        raise InputError("A clip to prove the pack on is missing.", ", ".join(map(str, clips)))
    with as_output_error(plan.folder):
        beside, _ = make_artefacts(plan, report)
        parity: dict[str, Any] = {}
        if clips:
            parity, kept = prove(
                plan.sources, beside, clips, lambda stage, share: report(f"parity: {stage}", share)
            )
            seal(plan, parity, kept)
            if not parity["holds"]:
                strays = ", ".join(missed(parity["stages"]))
                raise PackError(
                    f"The pack strays from {plan.sources.family.name}: {strays}.",
                    f"It was left at {beside}, with the figures in its {'CARD.md'}.",
                    "Ask for a higher precision, or export without --parity to have it all the same.",
                )
        report("moving it into place", None)
        publish(plan)
    return parity


def parity_lines(parity: Mapping[str, Any]) -> list[str]:
    """One line a stage: what was measured, and the bounds that hold."""
    return stage_lines(parity.get("stages", {}))


def prove_again(request: Request, pack: Path, report: Report, clips: Sequence[Path]) -> dict[str, Any]:
    """Prove a finished pack on clips against the published files, writing nothing.

    Args:
        request: names the family and the published files; what it says of a pack is not used.
        pack: its folder.
        report: told the stage and the share of it that is done.
        clips: media files.

    Raises:
        InputError, PackError and others: as `plan_export` and the runtime.
    """
    family = load_family(request.family)
    paths = find_paths(family, request.checkpoint, request.models, request.parts)
    return prove(_open(family, paths), pack, clips, report)[0]


def engine_lines(pack: Path) -> list[str]:
    """One line an engine of a finished pack: its key, its size and what building it took."""
    made = json.loads((pack / "manifest.json").read_text(encoding="utf-8"))
    return [
        f"{row['path']}: {row['library']} {row['version']}, {', '.join(row['architectures'])}, "
        f"driver {row['driver'] or 'any'}, graph {row['onnx_sha256'][:12]}; "
        f"{row['size_bytes'] / 1e6:.1f} MB in {row['build_seconds']:.1f} s"
        for row in engine_rows(made)
    ]
