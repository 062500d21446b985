"""Options that several verbs share. Knows no verb."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click
from click.shell_completion import CompletionItem

from emer_edge.config import CHOICES, variable

Decorator = Callable[[Any], Any]


def _complete_packs(
    _ctx: click.Context, _parameter: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """Names of the packs on this machine, for the shell."""
    try:
        from emer_edge.packs.store import list_packs

        return [CompletionItem(path.name) for path in list_packs() if path.name.startswith(incomplete)]
    except Exception:  # a completion that fails must not write into the user's command line
        return []


class PathText(click.ParamType):  # type: ignore[type-arg]
    """A path that is only completed by the shell: whether it exists is judged later, in our own words."""

    name = "path"

    def convert(self, value: Any, *_context: Any) -> str:
        """The text as it was given."""
        return str(value)

    def shell_complete(self, _ctx: Any, _param: Any, incomplete: str) -> list[CompletionItem]:
        """Let the shell complete files and folders."""
        return [CompletionItem(incomplete, type="file")]


def pack_argument(command: Any) -> Any:
    """NAME of a pack, or the path of its folder."""
    return click.argument("name", metavar="NAME", shell_complete=_complete_packs)(command)


def engine_options(command: Any) -> Any:
    """Adds --pack, --device, --threads and --decoder."""
    options: list[Decorator] = [
        click.option(
            "--pack",
            metavar="NAME",
            shell_complete=_complete_packs,
            help=f"Pack to use: a name or a folder. [{variable('pack')}; default emer-nano]",
        ),
        click.option(
            "--device",
            type=click.Choice(CHOICES["device"]),
            help=f"Where the engines run; nothing else is tried. [{variable('device')}; default cpu]",
        ),
        click.option(
            "--threads",
            type=click.IntRange(1, 256),
            metavar="N",
            help=f"CPU threads of each engine. [{variable('threads')}; default as many as suit]",
        ),
        click.option(
            "--decoder",
            type=click.Choice(CHOICES["decoder"]),
            help=f"What decodes the clip. [{variable('decoder')}; default auto]",
        ),
    ]
    for option in reversed(options):
        command = option(command)
    return command
