"""`emer-edge config show`: the effective settings and where each came from."""

from __future__ import annotations

import json

import click

from emer_edge.cli.border import debug_option
from emer_edge.cli.options import engine_options
from emer_edge.cli.terminal import one_line, put


@click.group(name="config", short_help="Show the effective settings and their sources.")
def config() -> None:
    """Show the effective settings and where each came from.

    A flag wins over an environment variable, which wins over the settings file, which wins over the
    default. The file is emer-edge/config.toml in $XDG_CONFIG_HOME (~/.config).

    \b
    Examples:
      emer-edge config show
      emer-edge config show --json
      EMER_EDGE_THREADS=4 emer-edge config show
    """


@config.command(name="show", short_help="Print every setting, its value and its source.")
@engine_options
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@debug_option
def show(as_json: bool, **flags: str | int | None) -> None:
    """Print every setting, its value and its source: flag, environment, file or default.

    \b
    Examples:
      emer-edge config show
      emer-edge config show --device cuda
      EMER_EDGE_PACK=my-pack emer-edge config show --json
    """
    from emer_edge.config import config_path, load_settings

    settings = load_settings(flags).by_name
    if as_json:
        rows = {
            name: {"value": item.value, "source": item.source, "where": item.where}
            for name, item in settings.items()
        }
        put(json.dumps({"file": str(config_path()), "settings": rows}) + "\n")
        return
    for name, item in settings.items():
        value = "automatic" if item.value is None else item.value
        put(one_line(f"{name:<8} = {value}  ({item.source}{': ' + item.where if item.where else ''})") + "\n")
    state = "" if config_path().exists() else " (absent)"
    put(f"file     {one_line(str(config_path()))}{state}\n")
