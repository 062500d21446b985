"""`emer-edge`: the list of verbs. Knows where each one lives; imports it when it is called."""

from __future__ import annotations

from typing import Any

import click

from emer_edge.cli.border import EXIT_CODES, Root
from emer_edge.cli.terminal import open_missing_streams, put

_CODES = "\n".join(f"      {code:>3}  {meaning}" for code, meaning in EXIT_CODES)

HOMES = {
    "infer": "emer_edge.cli.infer:infer",
    "live": "emer_edge.cli.live:live",
    "probe": "emer_edge.cli.probe:probe",
    "eval": "emer_edge.cli.eval:eval_",
    "bridge": "emer_edge.cli.bridge:bridge",
    "annotate": "emer_edge.cli.annotate:annotate",
    "timeline": "emer_edge.cli.timeline:timeline",
    "packs": "emer_edge.cli.packs:packs",
    "serve": "emer_edge.cli.serve:serve",
    "export": "emer_edge.cli.export:export",
    "bench": "emer_edge.cli.bench:bench",
    "plan": "emer_edge.cli.plan:plan",
    "doctor": "emer_edge.cli.doctor:doctor",
    "config": "emer_edge.cli.config:config",
    "completion": "emer_edge.cli.completion:completion",
}


def _version(ctx: click.Context, _parameter: click.Parameter, value: bool) -> None:
    if value and not ctx.resilient_parsing:
        from importlib.metadata import version  # costs a third of the time that --help takes

        put(f"emer-edge {version('emer-edge')}\n")
        ctx.exit()


@click.group(
    "emer-edge",
    cls=Root,
    homes=HOMES,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    help=f"""What the person in a clip feels, and why, on this machine alone.

    \b
    Examples:
      emer-edge infer clip.mp4
      emer-edge probe clip.mp4
      emer-edge packs list

    \b
    Exit codes:
{_CODES}
    """,
)
@click.option(
    "--version", is_flag=True, is_eager=True, expose_value=False, callback=_version, help="Print the version."
)
def root() -> None:
    """Open the door; a verb does the rest."""


def main(argv: list[str] | None = None) -> Any:
    """Run the command line; leaves the process with one of `EXIT_CODES`."""
    open_missing_streams()
    root.owns_process = True
    return root.main(argv)
