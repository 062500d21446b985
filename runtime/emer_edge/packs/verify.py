"""Checks the files of a pack against its manifest before native code sees any of them.

Knows files, hashes and headers. Does not load a model, and does not know where packs live.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

from emer_edge import _core
from emer_edge.errors import LimitError, PackError, PackNotFoundError
from emer_edge.limits import Limits
from emer_edge.packs import stamps
from emer_edge.packs.manifest import MANIFEST, Manifest, PackFile, parse_manifest, read_manifest
from emer_edge.packs.onnx_wire import DataFile, check_onnx
from emer_edge.safetensors import check_safetensors

BUILTIN = Path(__file__).parent / "builtin"
"""Packs that come with the package."""
STAMP_BYTES = 256 * 1024**2
"""From this size on `open_pack` remembers that a pack was hashed; smaller ones are hashed every time."""

Progress = Callable[[int, int], None]
"""Called with the bytes hashed so far and in all."""

_BLOCK = 1024**2
_ENTRIES = 4096
_TODO = "Fetch the pack again, or see `emer-edge packs verify`."
_MODEL_SUFFIXES = (
    *(".onnx", ".ort", ".gguf", ".safetensors", ".data", ".bin", ".engine", ".plan", ".trt"),
    *(".pt", ".pth", ".pkl", ".npz", ".so", ".dll", ".dylib"),
)


def verify_pack(
    folder: str | Path, limits: Limits, *, hashes: bool = True, progress: Progress | None = None
) -> Manifest:
    """Check a pack: manifest, then every file, then every header.

    Every listed file must be there, regular, without links below the pack's folder, of the size and SHA-256
    that the manifest gives, and no further model file may lie beside them. GGUF, ONNX and safetensors headers
    are read with bounds and compared with the manifest. Files of packs outside the package must have one hard
    link only: a second name is a second way to change them.

    Args:
        folder: of the pack.
        limits: the ceilings.
        hashes: off leaves the SHA-256 out and everything else in.
        progress: told the bytes hashed so far and in all.

    Returns:
        The manifest.

    Raises:
        PackNotFoundError, PackError: what is wrong with which file. LimitError: a ceiling is passed.
    """
    folder = Path(os.path.realpath(folder))
    manifest = parse_manifest(read_manifest(folder, limits), limits)
    _check_files(folder, manifest)
    if hashes:
        _check_hashes(folder, manifest, progress)
    _check_headers(folder, manifest, limits)
    return manifest


def open_pack(folder: str | Path, limits: Limits, *, progress: Progress | None = None) -> Manifest:
    """`verify_pack`, hashing a pack of 256 MiB and more only when it has changed since it was last hashed.

    "Changed" goes by path, size, inode, both times and the manifest's own hash; what was found is remembered
    in `$XDG_CACHE_HOME/emer-edge/verified`. Arguments, result and errors as `verify_pack`.
    """
    folder = Path(os.path.realpath(folder))
    data = read_manifest(folder, limits)
    manifest = parse_manifest(data, limits)
    if manifest.size_bytes < STAMP_BYTES:
        return verify_pack(folder, limits, progress=progress)
    verify_pack(folder, limits, hashes=False)
    paths = [file.path for file in manifest.files]
    stamp = stamps.make_stamp(folder, hashlib.sha256(data).hexdigest(), paths)
    if not stamps.is_known(folder, stamp):
        _check_hashes(folder, manifest, progress)
        stamps.remember(folder, stamp)
    return manifest


def _check_files(folder: Path, manifest: Manifest) -> None:
    listed = {file.path: file for file in manifest.files}
    present = _walk(folder)
    builtin = folder.is_relative_to(os.path.realpath(BUILTIN))
    for path, file in listed.items():
        status = present.get(path)
        if status is None:
            raise PackError(f"{path} is missing in the pack {manifest.name}.", todo=_TODO)
        # Installers link the package's own files from their cache; those are as safe as the code beside them.
        if status.st_nlink != 1 and not builtin:
            raise PackError(
                f"{path} has {status.st_nlink} hard links.", "A pack's file must have one name.", _TODO
            )
        if status.st_size != file.size_bytes:
            raise PackError(
                f"{path} is {status.st_size} bytes long.", f"The manifest says {file.size_bytes}.", _TODO
            )
    for path in present:
        if path not in listed and Path(path).suffix.lower() in _MODEL_SUFFIXES:
            raise PackError(f"{path} is not listed in the manifest of {manifest.name}.", todo="Remove it.")


def _walk(folder: Path) -> dict[str, os.stat_result]:
    """Every file below `folder` by its relative path; links and special files are refused."""
    found: dict[str, os.stat_result] = {}
    waiting = [folder]
    entries = 0
    try:
        while waiting:
            with os.scandir(waiting.pop()) as listing:
                for entry in listing:
                    entries += 1
                    if entries > _ENTRIES:
                        raise LimitError("The pack has too many files.", f"More than {_ENTRIES}.")
                    status = entry.stat(follow_symlinks=False)
                    path = Path(entry.path)
                    if stat.S_ISDIR(status.st_mode):
                        waiting.append(path)
                    elif stat.S_ISREG(status.st_mode):
                        found[path.relative_to(folder).as_posix()] = status
                    else:
                        raise PackError(
                            f"{path.relative_to(folder)} is not a regular file.",
                            "A pack holds files and folders, no links.",
                            _TODO,
                        )
    except FileNotFoundError as error:
        raise PackNotFoundError(f"{folder} is not a pack.", error.strerror or "") from error
    except OSError as error:
        raise PackError(f"Can't read {folder}.", error.strerror or str(error)) from error
    return found


def _check_hashes(folder: Path, manifest: Manifest, progress: Progress | None) -> None:
    done = 0
    for file in manifest.files:
        done = _check_hash(folder, file, done, manifest.size_bytes, progress)


def _check_hash(folder: Path, file: PackFile, done: int, total: int, progress: Progress | None) -> int:
    digest = hashlib.sha256()
    block = memoryview(bytearray(_BLOCK))
    try:
        handle = os.open(folder / file.path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(handle, "rb", buffering=0) as stream:
            while count := stream.readinto(block):
                digest.update(block[:count])
                done += count
                if progress is not None:
                    progress(min(done, total), total)
    except OSError as error:
        raise PackError(f"Can't read {file.path}.", error.strerror or str(error)) from error
    if digest.hexdigest() != file.sha256:
        raise PackError(
            f"{file.path} is not the file that the manifest lists.", "Its SHA-256 differs.", _TODO
        )
    return done


def _check_headers(folder: Path, manifest: Manifest, limits: Limits) -> None:
    sizes = {file.path: file.size_bytes for file in manifest.files}
    for spec in (manifest.encoders.vision, manifest.encoders.audio):
        for encoder in spec.files.values():
            beside = DataFile(Path(encoder.data).name, sizes[encoder.data]) if encoder.data else None
            check_onnx(folder / encoder.path, beside)
    if manifest.fusion.path:
        check_safetensors(folder / manifest.fusion.path)
    for file in manifest.llm.files.values():
        _check_gguf(folder, file.path, manifest, limits)


def _check_gguf(folder: Path, path: str, manifest: Manifest, limits: Limits) -> None:
    try:
        header = _core.gguf_header(str(folder / path), asdict(limits))
    except _core.CoreError as error:
        kind, what, why = error.args
        raise (LimitError if kind == "limit" else PackError)(
            f"{path} is refused: {what}.", why, _TODO
        ) from error
    llm, metadata = manifest.llm, header["metadata"]
    # llama.cpp opens the sibling files of a split model by itself.
    if metadata.get("split.count", 1) not in (0, 1):
        raise PackError(f"{path} is one piece of a split model.", todo="Merge it with llama-gguf-split.")
    table = header["tensors"].get("token_embd.weight", {"shape": ()})
    context = metadata.get(f"{llm.architecture}.context_length")
    found = {
        "architecture": (metadata.get("general.architecture"), llm.architecture),
        "n_embd": (metadata.get(f"{llm.architecture}.embedding_length"), llm.n_embd),
        "token table": (table["shape"], (llm.n_embd, llm.n_vocab)),
        "vocabulary": (metadata.get("tokenizer.ggml.tokens"), {"length": llm.n_vocab}),
    }
    for what, (got, declared) in found.items():
        if got != declared:
            raise PackError(
                f"{path} is not the model that {MANIFEST} declares.",
                f"{what}: {got!r} is not {declared!r}.",
                _TODO,
            )
    if not isinstance(context, int) or context < llm.n_ctx:
        raise PackError(
            f"{path} was made for {context!r} tokens.", f"The manifest asks for {llm.n_ctx}.", _TODO
        )
