"""`emer-edge doctor`: the flags and the lines, and nothing else."""

from __future__ import annotations

import json

import click

from emer_edge.cli.border import debug_option
from emer_edge.cli.terminal import Terminal, one_line, put

_COLOURS = {"ok": "32", "warn": "33", "fail": "31"}


@click.command(name="doctor", short_help="Check this machine, and say what mends it.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.option("--no-self-test", is_flag=True, help="Leave out the trial run of the built-in pack.")
@debug_option
def doctor(as_json: bool, no_self_test: bool) -> int:
    """Check everything that emer-edge stands on: processor, memory, decoders, engines, GPU, Jetson, folders.

    Every line is ok, warn or fail; below a line that is not ok stands the command that mends it. The last
    line is a trial: a made clip through the built-in pack. The exit code is 1 if any line is fail.

    \b
    Examples:
      emer-edge doctor
      emer-edge doctor --json
      emer-edge doctor --no-self-test
    """
    from emer_edge.bench.doctor import examine
    from emer_edge.bench.self_test import self_test

    report = examine(trial=None if no_self_test else self_test)
    if as_json:
        put(json.dumps(report.to_dict()) + "\n")
    else:
        terminal = Terminal.look()
        width = max(len(finding.name) for finding in report.findings)
        for finding in report.findings:
            state = f"{finding.state:4}"
            if terminal.out_is_tty and terminal.colour:
                state = f"\x1b[{_COLOURS[finding.state]}m{state}\x1b[0m"
            put(f"{state}  {finding.name:{width}}  {one_line(finding.found)}\n")
            if finding.mend:
                put(f"      {'':{width}}  {one_line(finding.mend)}\n")
    return 1 if report.state == "fail" else 0
