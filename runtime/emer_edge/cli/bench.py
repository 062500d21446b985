"""`emer-edge bench`: the flags of its verbs, and nothing else."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from emer_edge.cli.border import debug_option
from emer_edge.cli.options import PathText, engine_options
from emer_edge.cli.terminal import Terminal, put, safe


class _RunByDefault(click.Group):
    """A group whose verb `run` may be left out: `bench clips/` is `bench run clips/`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Put `run` in front of anything that is neither a verb nor a question for help."""
        if not args or (args[0] not in self.commands and args[0] not in ctx.help_option_names):
            args = ["run", *args]
        return super().parse_args(ctx, args)


@click.group(name="bench", cls=_RunByDefault, short_help="Measure this device, compare and guard figures.")
def bench() -> None:
    """Measure a pack on this device, compare result files of devices, and guard against regressions.

    Without a verb it is `bench run`. See docs/bench.md.

    \b
    Examples:
      emer-edge bench run -o laptop.json
      emer-edge bench compare laptop.json orin.json -o page
      emer-edge bench gate new.json --baseline old.json
    """


@bench.command(short_help="Measure a pack on this device.")
@click.argument("clips", nargs=-1, type=PathText(), metavar="[CLIP...]")
@engine_options
@click.option(
    "--scenario",
    "scenarios",
    multiple=True,
    metavar="LIST",
    help="stages, single_stream, multi_stream, offline, server, live, cold_start: a list. [default: all]",
)
@click.option(
    "--seconds", type=float, default=10.0, show_default=True, metavar="S", help="Least duration of each."
)
@click.option("--mlperf", is_flag=True, help="As long as MLPerf asks: 600 s and enough queries each.")
@click.option(
    "--driver",
    type=click.Choice(("auto", "native", "loadgen")),
    default="auto",
    show_default=True,
    help="Who issues the queries; auto: LoadGen where it is installed.",
)
@click.option("--count", type=click.IntRange(1, 1000), default=16, show_default=True, help="Clips to draw.")
@click.option(
    "--seed", type=click.IntRange(0, 2**31), default=0, show_default=True, help="Of clips and order."
)
@click.option(
    "--rate", type=float, metavar="N", help="Server: queries a second. [default: half of what it can]"
)
@click.option("--bound", type=float, metavar="S", help="Server: latency it promises. [default: 4 medians]")
@click.option("-q", "--question", default="explain", show_default=True, metavar="TEXT", help="What is asked.")
@click.option("--max-tokens", type=click.IntRange(0), metavar="N", help="Ceiling of the text.")
@click.option(
    "--warm-up", type=click.IntRange(1), default=4, show_default=True, help="Clips before it counts."
)
@click.option(
    "--cold-runs", type=click.IntRange(1), default=5, show_default=True, help="Processes a cold start."
)
@click.option(
    "-o", "--output", type=PathText(), metavar="FILE", help="Write the result file, every sample in it."
)
@click.option("--force", is_flag=True, help="Overwrite a file that exists.")
@click.option("--json", "as_json", is_flag=True, help="Print the result file instead of lines.")
@click.option("--quiet", is_flag=True, help="Say nothing on standard error but errors.")
@debug_option
def run(clips: tuple[str, ...], scenarios: tuple[str, ...], **flags: Any) -> int:
    """Measure a pack on this device by MLPerf's scenarios, stage by stage, against its roofline.

    Without CLIPs a set of talking faces is drawn from --seed, once, and kept in the cache. Every clip is
    asked about before any comes again, and none twice in a row, so that nothing comes from a cache.

    \b
    Examples:
      emer-edge bench run -o laptop.json
      emer-edge bench run clips/ --pack my-pack --device cuda --scenario single_stream,offline
      emer-edge bench run --mlperf --json
    """
    from emer_edge.atomic import write_text_atomic
    from emer_edge.bench.result import to_text
    from emer_edge.bench.run import SCENARIOS, Request, run_bench
    from emer_edge.bench.show import lines
    from emer_edge.cli.batch import use_packs_folder
    from emer_edge.cli.progress import Progress
    from emer_edge.config import DEFAULTS, load_settings
    from emer_edge.errors import OutputError

    settings = load_settings({name: flags.pop(name, None) for name in DEFAULTS})
    use_packs_folder(settings)
    output, force = flags.pop("output"), flags.pop("force")
    as_json, quiet = flags.pop("as_json"), flags.pop("quiet")
    if output and Path(output).exists() and not force:
        raise OutputError(f"{output} exists already.", todo="Pass --force to overwrite it.")
    named = tuple(part.strip() for value in scenarios for part in value.split(","))
    request = Request(
        pack=settings.text("pack") or "emer-nano",
        device=settings.text("device") or "cpu",
        threads=settings.threads,
        decoder=settings.text("decoder") or "auto",
        clips=clips,
        scenarios=named or SCENARIOS,
        bound_seconds=flags.pop("bound"),
        command=("emer-edge", *sys.argv[1:]),
        **flags,
    )
    progress = Progress(Terminal.look(), quiet=quiet)
    progress.start("bench")
    try:
        result = run_bench(request, progress.stage)
    finally:
        progress.clear()
    if output:
        write_text_atomic(Path(output), to_text(result), overwrite=force)
    if as_json:
        put(to_text(result))
    else:
        put("".join(f"{safe(line)}\n" for line in lines(result)))
    return 0


@bench.command(short_help="Set result files side by side.")
@click.argument("files", nargs=-1, required=True, type=PathText(), metavar="FILE...")
@click.option(
    "-o", "--output", type=PathText(), metavar="DIR", help="Write compare.html and every plot as SVG."
)
@click.option("--force", is_flag=True, help="Overwrite files that exist.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@debug_option
def compare(files: tuple[str, ...], output: str | None, force: bool, as_json: bool) -> int:
    """Set result files side by side: a column by device, rate and latency, and what their settings differ in.

    \b
    Examples:
      emer-edge bench compare laptop.json orin.json
      emer-edge bench compare *.json -o page
      emer-edge bench compare laptop.json --json
    """
    import json

    from emer_edge.atomic import write_text_atomic
    from emer_edge.bench.compare import differences, table, text_table
    from emer_edge.bench.page import page, plots
    from emer_edge.bench.result import read_result

    results = [read_result(path) for path in files]
    if output:
        folder = Path(output)
        folder.mkdir(parents=True, exist_ok=True)
        write_text_atomic(folder / "compare.html", page(results), overwrite=force)
        for name, drawn in plots(results).items():
            write_text_atomic(folder / f"{name}.svg", drawn + "\n", overwrite=force)
    if as_json:
        put(json.dumps({"table": table(results), "differences": differences(results)}) + "\n")
    else:
        put("".join(f"{safe(line)}\n" for line in text_table(results)))
    return 0


@bench.command(short_help="Fail if a stage became slower than a baseline.")
@click.argument("new", required=False, type=PathText(), metavar="[NEW]")
@click.option("--baseline", required=True, type=PathText(), metavar="FILE", help="Result to hold against.")
@click.option(
    "--tolerance",
    type=click.FloatRange(0, 10),
    default=0.03,
    show_default=True,
    help="Excess of a stage over the others that is not worth a failure.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@debug_option
def gate(new: str | None, baseline: str, tolerance: float, as_json: bool) -> int:
    """Fail, with exit code 1, if a stage became slower than in a baseline beyond noise.

    NEW is a result file; without it the baseline's scenario `stages` is measured now, in fresh processes,
    and up to twice more where a stage looks slower but the visits are too few to say so.
    Stages are judged by CPU time, against the other stages of the same visits, so that another clock or a
    busy machine is no regression; what all stages share is judged more widely. See docs/bench.md.

    \b
    Examples:
      emer-edge bench gate --baseline main.json
      emer-edge bench gate new.json --baseline old.json --tolerance 0.05
      emer-edge bench gate --baseline main.json --json
    """
    import json

    from emer_edge.bench.gate import judge, lines
    from emer_edge.bench.result import read_result
    from emer_edge.bench.run import gate_now

    old = read_result(baseline)
    judgement = judge(old, read_result(new), tolerance) if new else gate_now(old, tolerance)
    put(json.dumps(judgement.to_dict()) + "\n" if as_json else "\n".join(lines(judgement)) + "\n")
    return 0 if judgement.passed else 1
