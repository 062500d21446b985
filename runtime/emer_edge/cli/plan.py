"""`emer-edge plan`: the flags and the lines, and nothing else."""

from __future__ import annotations

import json
import re
from typing import Any

import click

from emer_edge.cli.border import debug_option
from emer_edge.cli.options import pack_argument
from emer_edge.cli.terminal import put

_UNITS = {"": 1, "K": 1000, "M": 1000**2, "G": 1000**3, "KI": 1024, "MI": 1024**2, "GI": 1024**3}


class _Bytes(click.ParamType):  # type: ignore[type-arg]
    """`8GB`, `512MiB`, or a number of bytes."""

    name = "size"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """The size in bytes."""
        found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([KMG]I?|)B?", str(value).strip().upper())
        if not found or float(found[1]) <= 0:
            self.fail(f"{value} is no size; write 8GB or 512MiB.", param, ctx)
        return int(float(found[1]) * _UNITS[found[2]])


class _Pixels(click.ParamType):  # type: ignore[type-arg]
    """`1920x1080`."""

    name = "pixels"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[int, int]:
        """Width and height."""
        found = re.fullmatch(r"(\d{1,5})x(\d{1,5})", str(value).strip().lower())
        if not found:
            self.fail(f"{value} is no picture size; write 1920x1080.", param, ctx)
        return int(found[1]), int(found[2])


@click.command(name="plan", short_help="Say whether a pack fits in memory, before it is loaded.")
@pack_argument
@click.option("--memory", type=_Bytes(), metavar="SIZE", help="Memory to plan for. [default: what is free]")
@click.option(
    "--device",
    type=click.Choice(("cpu", "cuda", "tensorrt")),
    default="cpu",
    show_default=True,
    help="Where.",
)
@click.option("--clip", type=_Pixels(), default="1280x720", show_default=True, help="Size of the clips.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@debug_option
def plan(name: str, memory: int | None, device: str, clip: tuple[int, int], as_json: bool) -> int:
    """Say whether encoders, language model, keys and values, and workspace fit in memory, and what to take.

    Nothing of the pack is loaded: headers tell. On a machine whose GPU has no memory of its own, as a Jetson,
    host and device share what --memory says. The exit code is 1 where nothing of the pack fits.

    \b
    Examples:
      emer-edge plan emer-nano
      emer-edge plan ./my-pack --memory 8GB --device cuda
      emer-edge plan ./my-pack --memory 4GiB --json
    """
    from emer_edge.bench.machine import Machine, read_memory
    from emer_edge.bench.plan import advise
    from emer_edge.limits import Limits
    from emer_edge.packs.manifest import load_manifest
    from emer_edge.packs.store import find_pack

    folder = find_pack(name)
    manifest = load_manifest(folder, Limits())
    free = read_memory(Machine())
    room = memory or min(free.available_bytes, free.limit_bytes or free.available_bytes)
    advice = advise(folder, manifest, room, device, clip)
    if as_json:
        put(json.dumps(advice.to_dict()) + "\n")
        return 0 if advice.best else 1
    shown = advice.best or advice.asked
    for place, parts in (("host", shown.host), (device, shown.device)):
        for part, size in parts.items():
            put(f"{place:9} {part:18} {size / 1e6:9.1f} MB\n")
    put(f"{'':9} {'all':18} {shown.total_bytes / 1e6:9.1f} MB of {room / 1e6:.1f} MB\n")
    choice = shown.choice
    files = f"vision {choice.vision}, audio {choice.audio}, llm {choice.llm}, context {choice.n_ctx}"
    put(f"{files}: {advice.note}\n")
    return 0 if advice.best else 1
