"""`emer-edge packs`: the packs on this machine. Opens the doors of the store and prints what they give."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from emer_edge.cli.border import debug_option
from emer_edge.cli.options import PathText, pack_argument
from emer_edge.cli.terminal import one_line, put, say
from emer_edge.errors import EmerError

if TYPE_CHECKING:
    from emer_edge.packs.records import Manifest


@click.group(name="packs", short_help="List, check, add and remove packs.")
def packs() -> None:
    """List, check, add and remove packs. A pack is a folder with everything one model needs.

    Packs live in $EMER_EDGE_PACKS (default $XDG_DATA_HOME/emer-edge/packs); emer-nano is built in.

    \b
    Examples:
      emer-edge packs list
      emer-edge packs show emer-nano
      emer-edge packs add ./my-pack
    """
    from emer_edge.cli.batch import use_packs_folder
    from emer_edge.config import load_settings

    use_packs_folder(load_settings({}))


@packs.command(name="list", short_help="List the packs on this machine.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@debug_option
def list_(as_json: bool) -> None:
    """List the packs on this machine: name, version, size, licence, folder.

    \b
    Examples:
      emer-edge packs list
      emer-edge packs list --json
      EMER_EDGE_PACKS=/data/packs emer-edge packs list
    """
    from emer_edge.packs.store import list_packs

    rows = [_row(folder) for folder in list_packs()]
    if as_json:
        put(json.dumps({"packs": rows}) + "\n")
        return
    for row in rows:
        if row["error"]:
            put(one_line(f"{row['name']}  unusable: {row['error']}  {row['folder']}") + "\n")
        else:
            size = f"{row['size_bytes'] / 1e6:.1f} MB"
            put(one_line(f"{row['name']} {row['version']}  {size}  {row['licence']}  {row['folder']}") + "\n")


@packs.command(short_help="Show what a pack says about itself.")
@pack_argument
@click.option(
    "--json", "as_json", is_flag=True, help="Print its manifest, and its folder, as one JSON object."
)
@debug_option
def show(name: str, as_json: bool) -> None:
    """Show what a pack says about itself. NAME is a pack or the path of a folder.

    \b
    Examples:
      emer-edge packs show emer-nano
      emer-edge packs show emer-nano --json
      emer-edge packs show ./my-pack
    """
    folder, manifest = _load(name)
    if as_json:
        record = json.loads((folder / "manifest.json").read_bytes())
        put(json.dumps({"folder": str(folder), "manifest": record}) + "\n")
        return
    lines = [
        f"{manifest.name} {manifest.version}",
        manifest.description,
        f"family    {manifest.family}",
        f"licence   {manifest.licence.id}  {manifest.licence.note}",
        f"size      {manifest.size_bytes / 1e6:.1f} MB in {len(manifest.files)} files",
        f"labels    {', '.join(manifest.labels.candidates)}",
        f"folder    {folder}",
    ]
    put("".join(f"{one_line(line)}\n" for line in lines))


@packs.command(short_help="Check every file of a pack.")
@pack_argument
@click.argument("clips", nargs=-1, type=PathText())
@click.option("--parity", is_flag=True, help="Prove too that it still computes what the original computes.")
@click.option("--family", metavar="FAMILY", type=PathText(), help="With CLIPS: what the pack was made of.")
@click.option("--checkpoint", metavar="FILE", type=PathText(), help="With CLIPS: the published trained part.")
@click.option("--models", metavar="DIR", type=PathText(), help="With CLIPS: the published models.")
@debug_option
def verify(name: str, clips: tuple[str, ...], parity: bool, **published: str | None) -> None:
    """Check every file of a pack: manifest, sizes, hashes, headers, nothing that leads outside.

    With --parity every stage is computed again on this machine and held against what the published weights
    gave in torch when the pack was made: for an input that is made here, with results that lie in the pack.
    That trusts whoever exported the pack. With CLIPS and the published files nobody has to be trusted: torch
    runs here, on these clips; it needs `pip install 'emer-edge[export]'`.

    \b
    Examples:
      emer-edge packs verify emer-nano
      emer-edge packs verify ./my-pack --parity
      emer-edge packs verify ./my-pack --parity clips/ --family light-mer --checkpoint ck.pth --models models
    """
    from emer_edge.cli.verify_parity import print_parity
    from emer_edge.limits import Limits
    from emer_edge.packs.store import find_pack
    from emer_edge.packs.verify import verify_pack

    folder = find_pack(name)
    with _watched("checking") as progress:
        manifest = verify_pack(folder, Limits(), progress=progress)
    if parity or clips or any(published.values()):
        print_parity(folder, clips, published)
    put(one_line(f"{manifest.name} {manifest.version} is whole: {folder}") + "\n")


@packs.command(short_help="Print the folder of a pack.")
@pack_argument
@debug_option
def path(name: str) -> None:
    """Print the folder of a pack.

    \b
    Examples:
      emer-edge packs path emer-nano
      ls "$(emer-edge packs path emer-nano)"
      cat "$(emer-edge packs path emer-nano)/CARD.md"
    """
    from emer_edge.packs.store import find_pack

    put(f"{find_pack(name)}\n")


@packs.command(short_help="Copy a pack into the store.")
@click.argument("folder", type=PathText())
@click.option("--force", is_flag=True, help="Replace a pack of the same name.")
@debug_option
def add(folder: str, force: bool) -> None:
    """Check a pack and copy it into the store, so that it can be used by name.

    \b
    Examples:
      emer-edge packs add ./my-pack
      emer-edge packs add /media/usb/my-pack --force
      emer-edge packs add ./my-pack && emer-edge infer clip.mp4 --pack my-pack
    """
    from emer_edge.packs.store import add_pack

    with _watched("copying") as progress:
        target = add_pack(Path(folder), force=force, progress=progress)
    put(f"{target}\n")


@packs.command(short_help="Remove a pack from the store.")
@pack_argument
@debug_option
def rm(name: str) -> None:
    """Remove a pack from the store. A built-in pack stays.

    \b
    Examples:
      emer-edge packs rm my-pack
      emer-edge packs rm my-pack && emer-edge packs add ./my-pack
      EMER_EDGE_PACKS=/data/packs emer-edge packs rm my-pack
    """
    from emer_edge.packs.store import remove_pack

    remove_pack(name)
    say(f"removed {one_line(name)}")


@contextlib.contextmanager
def _watched(what: str) -> Iterator[Callable[[int, int], None]]:
    """A live line with the share of bytes that are done; takes bytes so far and in all."""
    from emer_edge.cli.progress import Progress
    from emer_edge.cli.terminal import Terminal

    live = Progress(Terminal.look(), quiet=False)
    live.start(what)
    try:
        yield lambda done, total: live.hint(f"{done / max(1, total):.0%}")
    finally:
        live.clear()


def _load(name: str | Path) -> tuple[Path, Manifest]:
    from emer_edge.limits import Limits
    from emer_edge.packs.manifest import load_manifest
    from emer_edge.packs.store import find_pack

    folder = find_pack(name)
    return folder, load_manifest(folder, Limits())


def _row(folder: Path) -> dict[str, Any]:
    """One pack for a list; a broken one is listed too, with its error."""
    row: dict[str, Any] = {"name": folder.name, "folder": str(folder), "error": None}
    try:
        manifest = _load(folder)[1]
    except EmerError as error:
        return {**row, "error": error.what}
    return {
        **row,
        "name": manifest.name,
        "version": manifest.version,
        "family": manifest.family,
        "licence": manifest.licence.id,
        "files": len(manifest.files),
        "size_bytes": manifest.size_bytes,
    }
