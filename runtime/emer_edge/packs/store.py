"""Where packs live: built into the package, or in the user's store. Finds, lists, adds and removes them."""

from __future__ import annotations

import contextlib
import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

from emer_edge.errors import InputError, OutputError, PackError, PackNotFoundError
from emer_edge.limits import Limits
from emer_edge.packs.manifest import MANIFEST, PACK_NAME
from emer_edge.packs.verify import BUILTIN, Progress, verify_pack

_PREFIX = ".emer-tmp-"
_LEFTOVER_SECONDS = 3600.0
_BLOCK = 1024**2


def user_store() -> Path:
    """The folder of the user's packs: `$EMER_EDGE_PACKS`, else `$XDG_DATA_HOME/emer-edge/packs`."""
    data = os.environ.get("XDG_DATA_HOME", "")
    try:
        if chosen := os.environ.get("EMER_EDGE_PACKS"):
            return Path(chosen).expanduser().absolute()
        root = Path(data) if data.startswith("/") else Path.home() / ".local" / "share"
    except RuntimeError as error:  # a user without a home
        raise InputError(
            "The folder of your packs can't be told.", str(error), "Set EMER_EDGE_PACKS to a folder."
        ) from error
    return root / "emer-edge" / "packs"


def _user_store_or_none() -> Path | None:
    """The user's store where there can be one: what is built in needs no home."""
    try:
        return user_store()
    except InputError:
        return None


def _is_pack(folder: Path) -> bool:
    try:
        return (folder / MANIFEST).is_file()
    except OSError:  # another user's home, for example
        return False


def list_packs() -> list[Path]:
    """The folders of all packs by name. A user's pack hides the built-in one of the same name."""
    roots = [root for root in (BUILTIN, _user_store_or_none()) if root is not None]
    found = {folder.name: folder for root in roots for folder in _packs_in(root)}
    return [found[name] for name in sorted(found)]


def find_pack(name_or_path: str | Path) -> Path:
    """The folder of a pack; its content is not checked.

    Args:
        name_or_path: a name, or the path of a folder. Text is a path when it holds a `/` or begins with
            `.` or `~`.

    Raises:
        PackNotFoundError: no such pack.
    """
    text = os.fspath(name_or_path)
    if isinstance(name_or_path, Path) or "/" in text or text.startswith((".", "~")):
        with contextlib.suppress(RuntimeError, ValueError, OSError):  # ~nobody, a zero byte, an endless name
            folder = Path(text).expanduser().absolute()
            if (folder / MANIFEST).is_file():
                return folder
        raise PackNotFoundError(
            f"{text} is not a pack.", f"It is not a folder with a {MANIFEST}.", "See `emer-edge packs list`."
        )
    if PACK_NAME.fullmatch(text):
        for root in (_user_store_or_none(), BUILTIN):
            if root is not None and _is_pack(root / text):
                return root / text
    names = ", ".join(folder.name for folder in list_packs()) or "none"
    raise PackNotFoundError(
        f"No pack is called {text!r}.", f"Packs on this machine: {names}.", "A folder is given as ./NAME."
    )


def add_pack(
    source: str | Path,
    *,
    limits: Limits | None = None,
    force: bool = False,
    progress: Progress | None = None,
) -> Path:
    """Copy a pack into the user's store under its own name: there it is whole and verified, or not at all.

    Args:
        source: folder of the pack.
        limits: the ceilings.
        force: replace a pack of the same name.
        progress: told the bytes hashed so far and in all.

    Returns:
        The new folder.

    Raises:
        PackError, PackNotFoundError: the pack is not sound, or one of that name is there already.
        OutputError: the store can't be written.
    """
    limits = limits or Limits()
    folder = find_pack(Path(source))
    manifest = verify_pack(folder, limits, hashes=False)
    target = user_store() / manifest.name
    if os.path.lexists(target) and not force:
        raise _taken(manifest.name)
    with _temporary(target.parent) as fresh:
        _copy(folder, fresh, MANIFEST, limits.manifest_bytes)
        for file in manifest.files:
            _copy(folder, fresh, file.path, file.size_bytes)
        # The copy is what will be used, so the copy is what is hashed.
        copied = verify_pack(fresh, limits, progress=progress)
        if copied.name != manifest.name:
            raise PackError(f"{folder} changed while it was copied.", todo="Try again.")
        _put(fresh, target, force=force)
    return target


def remove_pack(name: str) -> None:
    """Remove a pack from the user's store.

    Raises:
        InputError: the pack is built in, or the name is a path. PackNotFoundError: no such pack.
        OutputError: the store can't be written.
    """
    if not PACK_NAME.fullmatch(name):
        raise InputError(f"{name!r} is not the name of a pack.", todo="See `emer-edge packs list`.")
    folder = user_store() / name
    if not os.path.lexists(folder):
        find_pack(name)
        raise InputError(f"{name} is built in and stays.", todo="See `emer-edge packs list`.")
    with _temporary(folder.parent) as doomed:
        # Out of sight in one step; what takes longer happens to a name that nobody finds.
        _rename(folder, doomed / name)


def sweep_store() -> int:
    """Remove what a killed process left in the user's store; returns how many folders."""
    removed = 0
    horizon = time.time() - _LEFTOVER_SECONDS
    with contextlib.suppress(OSError):
        for leftover in user_store().glob(f"{_PREFIX}*"):
            with contextlib.suppress(OSError):
                if leftover.lstat().st_mtime < horizon:
                    shutil.rmtree(leftover)
                    removed += 1
    return removed


def _packs_in(root: Path) -> list[Path]:
    try:
        return [
            entry
            for entry in root.iterdir()
            if PACK_NAME.fullmatch(entry.name) and (entry / MANIFEST).is_file()
        ]
    except OSError:  # a store that is not there holds no packs
        return []


@contextlib.contextmanager
def _temporary(root: Path) -> Iterator[Path]:
    """An empty folder beside the packs, gone at the end with everything in it."""
    sweep_store()
    folder = root / f"{_PREFIX}{uuid4().hex}"
    try:
        folder.mkdir(mode=0o700, parents=True)
    except OSError as error:
        raise _unwritable(root, error) from error
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _copy(source: Path, target: Path, path: str, most_bytes: int) -> None:
    """Copy one file, no further than its declared size; links are not followed."""
    to = target / path
    try:
        handle = os.open(source / path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        to.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        with os.fdopen(handle, "rb") as reader, to.open("xb") as writer:
            left = most_bytes
            while block := reader.read(min(_BLOCK, left)):
                writer.write(block)
                left -= len(block)
            writer.flush()
            os.fsync(writer.fileno())
    except OSError as error:
        raise _unwritable(to, error) from error


def _put(fresh: Path, target: Path, *, force: bool) -> None:
    fresh.chmod(0o755)
    if force and os.path.lexists(target):
        with _temporary(target.parent) as old:
            _rename(target, old / target.name)
            _rename(fresh, target)
        return
    try:
        fresh.rename(target)
    except OSError as error:
        if os.path.lexists(target):  # someone else added it in the meantime
            raise _taken(target.name) from error
        raise _unwritable(target, error) from error


def _rename(source: Path, target: Path) -> None:
    try:
        source.rename(target)
    except OSError as error:
        raise _unwritable(target, error) from error


def _taken(name: str) -> PackError:
    return PackError(
        f"A pack called {name} is there already.", todo=f"Remove it first: emer-edge packs rm {name}"
    )


def _unwritable(path: Path, error: OSError) -> OutputError:
    return OutputError(
        f"Can't write {path}.",
        error.strerror or str(error),
        "Check the folder, its permissions and the space.",
    )
