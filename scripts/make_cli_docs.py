"""Writes docs/cli.md from the command line's own help. Run it after a change of a verb; a test fails without.

Usage: python scripts/make_cli_docs.py [--check]
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import click

from emer_edge.cli.border import EXIT_CODES, PROGRAM
from emer_edge.cli.main import root
from emer_edge.config import DEFAULTS, variable

TARGET = Path(__file__).resolve().parent.parent / "docs" / "cli.md"
WIDTH = 100

INTRODUCTION = """\
# The command line

<!-- Written by scripts/make_cli_docs.py from `--help`; change the verbs, not this page. -->

Data goes to standard output, talk to standard error. Escapes for colour are written to a terminal only, and
never where `NO_COLOR` is set. An error is three lines: what happened, why, what to do. No argument may be a
URL, and nothing is ever fetched, but for an rtsp:// address that `live` is given with `--allow-network`.
"""

STREAMS = """\
## Streams, files and signals

- `--json` prints one object per clip, on one line each:
  [`reasoning.schema.json`](../runtime/emer_edge/schemas/reasoning.schema.json), or for a clip that failed
  [`failure.schema.json`](../runtime/emer_edge/schemas/failure.schema.json). Without `--timings` it is equal
  for equal input at temperature 0.
- Every file that is written is whole or absent. What exists already is found before any work is spent, and
  kept unless `--force` is given. Two clips never share a file: such a run is refused.
- `--format srt,vtt`: every caption is the label line and a piece of the reasoning of at most two lines. The
  pieces share the duration of the clip in proportion to their length.
- Ctrl-C or SIGTERM ends a run within a second with code 130; files of finished clips stay, and `jsonl` holds
  the clips that were done. A second one ends it at once.
- A reader that leaves early, as `| head` does, ends the run quietly with code 1.
- `--subtitle` is a file where one of that name exists, otherwise the words themselves. Without it these are
  tried for `clip.mp4`: `clip.srt`, `clip.vtt`, `clip.mp4.srt`, `clip.en.srt`, then any `clip.LANGUAGE.srt` or
  `.vtt`, then text inside the clip. A subtitle may be UTF-8, UTF-16 or Western 8-bit.
"""


def render() -> str:
    """The whole page."""
    parts = [INTRODUCTION, _exit_codes(), STREAMS, _settings(), "## Verbs\n"]
    parts += [_section(context) for context in contexts(root_context())]
    return "\n".join(parts)


def _exit_codes() -> str:
    rows = "".join(f"| {code} | {meaning} |\n" for code, meaning in EXIT_CODES)
    return (
        f"## Exit codes\n\n| code | meaning |\n|---|---|\n{rows}\n"
        "One clip ends with the code of its own error. Several clips end at the first failure, with its\n"
        "code; with `--keep-going` all are tried, and the code is 1 if any failed.\n"
    )


def _settings() -> str:
    rows = "".join(
        f"| `{name}` | `{variable(name)}` | {'' if name == 'packs' else f'`--{name}`'} | "
        f"{'automatic' if default is None else f'`{default}`'} |\n"
        for name, default in DEFAULTS.items()
    )
    return (
        "## Settings\n\nA flag wins over the environment, which wins over the file\n"
        "`$XDG_CONFIG_HOME/emer-edge/config.toml`, which wins over the default. `emer-edge config show`\n"
        "says what is in effect and where it came from.\n\n"
        f"| setting, and name in the file | variable | flag | default |\n|---|---|---|---|\n{rows}"
    )


def root_context() -> click.Context:
    """The context of `emer-edge` itself."""
    return click.Context(
        root, info_name=PROGRAM, help_option_names=root.context_settings["help_option_names"]
    )


def contexts(context: click.Context) -> Iterator[click.Context]:
    """This command, then every command below it."""
    yield context
    if isinstance(context.command, click.Group):
        for name in context.command.list_commands(context):
            command = context.command.get_command(context, name)
            assert command is not None
            yield from contexts(click.Context(command, info_name=name, parent=context))


def _section(context: click.Context) -> str:
    context.terminal_width = WIDTH
    text = "\n".join(line.rstrip() for line in context.get_help().splitlines())
    return f"### {context.command_path}\n\n```text\n{text}\n```\n"


def main() -> int:
    """Write the page, or with --check say whether it is stale."""
    page = render()
    if "--check" in sys.argv[1:]:
        if TARGET.read_text(encoding="utf-8") == page:
            return 0
        print(f"{TARGET} is stale: run python scripts/make_cli_docs.py", file=sys.stderr)
        return 1
    TARGET.write_text(page, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
