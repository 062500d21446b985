"""`emer-edge completion`: the script that lets a shell complete verbs, flags, packs and paths."""

from __future__ import annotations

import click

from emer_edge.cli.border import PROGRAM, debug_option
from emer_edge.cli.terminal import put


@click.command(name="completion", short_help="Print the completion script of a shell.")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@debug_option
@click.pass_context
def completion(ctx: click.Context, shell: str) -> None:
    """Print the completion script of a shell, to be loaded at its start.

    \b
    Examples:
      emer-edge completion bash > ~/.local/share/bash-completion/completions/emer-edge
      emer-edge completion zsh > ~/.zfunc/_emer-edge
      emer-edge completion fish > ~/.config/fish/completions/emer-edge.fish
    """
    from click.shell_completion import get_completion_class

    kind = get_completion_class(shell)
    assert kind is not None  # the choice above holds only shells that click knows
    script = kind(ctx.find_root().command, {}, PROGRAM, "_EMER_EDGE_COMPLETE")
    # Not script.source(): for bash that starts a bash to ask for its version.
    put(script.source_template % script.source_vars() + "\n")
