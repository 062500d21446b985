"""`emer-edge export`: the flags, a plan as a table, progress. What an export is, only emer_export knows."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from emer_edge.cli.border import debug_option
from emer_edge.cli.options import Decorator, PathText
from emer_edge.cli.terminal import one_line, put
from emer_edge.errors import InputError

_INSTALL = "pip install 'emer-edge[export]'"


def _names(_ctx: click.Context, _parameter: click.Parameter, value: str) -> tuple[str, ...]:
    """Names with commas between them, each once."""
    return tuple(dict.fromkeys(name.strip() for name in value.split(",") if name.strip()))


def _path(_ctx: click.Context, _parameter: click.Parameter, value: str | None) -> Path | None:
    return None if value is None else Path(value)


def _paths(_ctx: click.Context, _parameter: click.Parameter, value: tuple[str, ...]) -> tuple[Path, ...]:
    return tuple(map(Path, value))


def _folder(name: str, what: str) -> Decorator:
    return click.option(f"--{name}", type=PathText(), callback=_path, metavar="DIR", help=what)


@click.command(name="export", short_help="Make a pack of a published checkpoint.")
@click.argument("family", metavar="FAMILY", type=PathText())
@click.option(
    "--checkpoint",
    required=True,
    multiple=True,
    type=PathText(),
    callback=_paths,
    metavar="FILE",
    help="The trained part: a .pth, a .safetensors or a folder. Several for affectgpt-emer, the last on top.",
)
@_folder("models", "Holds the encoders and the language model under their published names. [default: .]")
@_folder("vision", "The image encoder, if it lies elsewhere.")
@_folder("audio", "The sound encoder, if it lies elsewhere.")
@_folder("llm", "The language model, if it lies elsewhere.")
@_folder("qformer", "BLIP-2's file with the Q-Former (affectgpt-emer), if it lies elsewhere.")
@click.option(
    "-o",
    "--output",
    required=True,
    type=PathText(),
    callback=_path,
    metavar="PACK",
    help="The pack's folder.",
)
@click.option("--name", metavar="NAME", help="Name of the pack. [default: its folder's]")
@click.option(
    "--precision",
    "precisions",
    default="fp32",
    show_default=True,
    callback=_names,
    metavar="LIST",
    help="Of the encoders: fp32, fp16, int8, int8-calibrated, int4; several with commas, the default first.",
)
@click.option(
    "--quantize",
    "quantisations",
    default="Q8_0",
    show_default=True,
    callback=_names,
    metavar="LIST",
    help="Of the language model: F32, F16, BF16, Q8_0, Q6_K, Q5_K_M, Q4_K_M, Q4_0; the default one first.",
)
@click.option(
    "--calibrate",
    multiple=True,
    type=PathText(),
    metavar="CLIPS",
    help="Clips, or a folder of them, that the scales of int8-calibrated are measured on.",
)
@click.option("--look", metavar="NAME", help="What the checkpoint was trained to see: faces or frames.")
@click.option(
    "--channel-order",
    type=click.Choice(["rgb", "bgr"]),
    help="Of the pictures, where the checkpoint was trained otherwise than its family.",
)
@click.option(
    "--tensorrt-rtx",
    default="",
    callback=_names,
    metavar="LIST",
    help="Also compile the encoders for GPUs, which need not be here: sm75, sm80, sm86, sm89, sm120, sm121.",
)
@click.option("--tensorrt", is_flag=True, help="Also compile the encoders for the GPU at hand.")
@click.option(
    "--parity",
    multiple=True,
    type=PathText(),
    metavar="CLIPS",
    help="Clips, or a folder of them, on which the pack is proved to be the same model.",
)
@click.option("--dry-run", is_flag=True, help="Check everything, say what would be made, and make nothing.")
@click.option("--force", is_flag=True, help="Replace a pack that exists.")
@click.option("--quiet", is_flag=True, help="Say nothing on standard error but errors.")
@debug_option
def export(
    parity: tuple[str, ...],
    calibrate: tuple[str, ...],
    tensorrt_rtx: tuple[str, ...],
    tensorrt: bool,
    dry_run: bool,
    quiet: bool,
    output: Path,
    vision: Path | None,
    audio: Path | None,
    llm: Path | None,
    qformer: Path | None,
    **flags: Any,
) -> None:
    """Make a pack of a published checkpoint, and prove that it is the same model.

    FAMILY is affectgpt, light-mer, affectgpt-emer, or the path of a definition that ends in .toml
    (docs/export.md). Every part is opened and checked before anything is written; no code in a checkpoint is
    ever run. The pack appears whole at the end; a run that was interrupted goes on where it stopped.

    With --parity every stage is compared with the float32 model in torch: embeddings, soft tokens, prompt
    ids, logits, greedy text, labels. A pack that strays is not put into its place.

    \b
    Examples:
      emer-edge export light-mer --checkpoint stage1.pth --models models -o light-mer
      emer-edge export affectgpt --checkpoint ck.pth --models models -o affectgpt --quantize Q4_K_M --dry-run
      emer-edge export light-mer --checkpoint ck.pth -o mer --precision fp16 --tensorrt-rtx sm89 --parity c/
    """
    from emer_edge.cli.inputs import collect_clips

    clips = [Path(clip) for clip in collect_clips(parity)] if parity else []
    exporter = _exporter()
    wishes = [("tensorrt-rtx", tensorrt_rtx)] * bool(tensorrt_rtx) + [("tensorrt", ())] * tensorrt
    request = exporter.Request(
        out=output,
        parts={"vision": vision, "audio": audio, "llm": llm, "qformer": qformer},
        calibrate=tuple(Path(clip) for clip in collect_clips(calibrate)) if calibrate else (),
        engines=tuple(exporter.EngineWish(*wish) for wish in wishes),
        **flags,
    )
    plan = exporter.plan_export(request)
    if dry_run:
        put(_table(plan))
        return
    figures = _run(exporter, plan, clips, quiet=quiet)
    lines = [*exporter.engine_lines(output), *exporter.parity_lines(figures)]
    put("".join(f"{one_line(line)}\n" for line in lines) + f"{output}\n")


def _exporter() -> Any:
    """The exporter, imported by name: the runtime itself depends on none of its libraries."""
    try:
        return importlib.import_module("emer_export.run")
    except ModuleNotFoundError as error:
        raise InputError(
            "The exporter's libraries are not installed.", f"There is no module {error.name}.", _INSTALL
        ) from error


def _run(exporter: Any, plan: Any, clips: list[Path], *, quiet: bool) -> Mapping[str, Any]:
    from emer_edge.cli.progress import Progress
    from emer_edge.cli.terminal import Terminal

    progress = Progress(Terminal.look(), quiet=quiet)
    for note in plan.sources.notes:
        progress.note(one_line(note))
    progress.start(f"{plan.wish.name} ({plan.size_bytes / 1e9:.2f} GB)")
    stage = ""

    def report(name: str, share: float | None) -> None:
        nonlocal stage
        if name != stage:
            progress.stage(name)
            stage = name
        progress.hint("" if share is None else f"{share:.0%}")

    try:
        figures: Mapping[str, Any] = exporter.run_export(plan, report, clips)
    finally:
        progress.clear()
    return figures


def _table(plan: Any) -> str:
    """What would be made, one file a line, with its size and what it takes."""
    lines = [one_line(f"note: {note}") for note in plan.sources.notes]
    width = max(len(artefact.path) for artefact in plan.artefacts)
    lines += [
        f"{one.path:<{width}}  {one.size_bytes / 1e6:10.1f} MB  {one.seconds:6.0f} s"
        f"{'' if one.kept else '  for a while'}"
        for one in plan.artefacts
    ]
    total = f"{plan.size_bytes / 1e6:10.1f} MB  {plan.seconds:6.0f} s"
    lines.append(f"{'in all':<{width}}  {total} on two cores, roughly; in {plan.folder}")
    return "".join(f"{line}\n" for line in lines)
