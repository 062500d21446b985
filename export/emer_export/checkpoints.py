"""Published checkpoints, whatever their layout, as one thing: named tensors read on demand.

Knows .pth files, Hugging Face folders (one file or shards, safetensors or pytorch_model.bin) and single
safetensors files. Does not know what the tensors mean. Nothing in a checkpoint is ever executed.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from emer_edge.errors import InputError, LimitError, PackError
from emer_edge.strict_json import StrictJsonError, parse_json
from emer_export.layered import Gathered
from emer_export.pickles import PICKLE_MAGIC, ZIP_MAGIC, open_torch_file
from emer_export.shards import SafetensorsFile
from emer_export.weights import CEILINGS, Arrays, Checkpoint, check_finite, listed, load_module

__all__ = ["Arrays", "Checkpoint", "check_finite", "load_module", "open_checkpoint", "read_json"]

# In the order in which transformers and peft look for them.
_WHOLE = ("model.safetensors", "adapter_model.safetensors", "pytorch_model.bin", "adapter_model.bin")
_JSON_BYTES = CEILINGS.header_bytes


def open_checkpoint(path: str | Path) -> Checkpoint:
    """Open a published checkpoint; only its index is read.

    Args:
        path: a .pth, .pt, .bin or .safetensors file, or a folder in Hugging Face's layout.

    Raises:
        InputError: there is nothing at `path`, or nothing that is a checkpoint.
        PackError: it is broken, holds code, or a shard is missing.
        LimitError: a ceiling would be passed.
    """
    path = Path(path)
    if path.is_dir():
        return _open_folder(path)
    if not path.is_file():
        raise InputError(f"There is no checkpoint at {path}.", "", "Give a checkpoint file or its folder.")
    with path.open("rb") as file:
        head = file.read(4)
    # A safetensors header of 128 bytes more than a multiple of 256 begins like a pickle: the name goes first.
    if path.suffix == ".safetensors" and head != ZIP_MAGIC:
        return SafetensorsFile(path)
    if head == ZIP_MAGIC or head.startswith(PICKLE_MAGIC):
        return open_torch_file(path)
    raise InputError(
        f"{path.name} is not a checkpoint.",
        f"It begins with {head!r}: neither torch.save nor safetensors.",
        "Give a .pth, .bin or .safetensors file; a placeholder of Git LFS has to be pulled first.",
    )


def read_json(path: Path) -> dict[str, Any]:
    """Read one JSON object beside a checkpoint (config.json, index.json, ...).

    Raises:
        PackError: it is missing, larger than 64 MiB, or not a JSON object.
    """
    try:
        with path.open("rb") as file:
            data = file.read(_JSON_BYTES + 1)
    except OSError as error:
        raise PackError(
            f"{path.name} can't be read.", f"{path}: {error.strerror}", "Give the whole folder of the model."
        ) from error
    try:
        if len(data) > _JSON_BYTES:
            raise StrictJsonError(f"it has more than {_JSON_BYTES} bytes")
        value = parse_json(data)
        if not isinstance(value, dict):
            raise StrictJsonError("it is no object")
    except StrictJsonError as error:
        raise PackError(f"{path.name} is not sound JSON.", str(error), "Fetch it again.") from error
    return value


def _open_folder(folder: Path) -> Checkpoint:
    for name in _WHOLE:
        index = folder / f"{name}.index.json"
        if index.is_file():
            return _Shards(folder, read_json(index).get("weight_map"), index.name)
        if (folder / name).is_file():
            return open_checkpoint(folder / name)
    raise InputError(
        f"{folder} holds no checkpoint.",
        f"None of {', '.join(_WHOLE)} is there, nor an index of shards.",
        "Give the folder as Hugging Face publishes it, or the file itself.",
    )


class _Shards(Gathered):
    """Several files that an index ties together."""

    def __init__(self, folder: Path, weight_map: Any, index: str) -> None:
        self.origin = folder.name
        proper = isinstance(weight_map, dict) and all(isinstance(file, str) for file in weight_map.values())
        if not proper or not weight_map:
            raise PackError(f"{index} names no shards.", "It has no proper weight_map.", "Fetch it again.")
        files = sorted(set(weight_map.values()))
        if len(files) > CEILINGS.files or len(weight_map) > CEILINGS.tensors:
            raise LimitError(f"{index} names too much.", f"{len(files)} files, {len(weight_map)} tensors.")
        strange = [file for file in files if Path(file).name != file or file in ("", ".", "..")]
        if strange:
            raise PackError(f"{index} points outside its folder.", listed(strange), "Fetch it again.")
        absent = [file for file in files if not (folder / file).is_file()]
        if absent:
            raise PackError(f"{folder.name} lacks shards.", listed(absent), "Fetch the missing files.")
        shards = {file: open_checkpoint(folder / file) for file in files}
        wrong = [name for name, file in weight_map.items() if name not in shards[file]]
        extra = [name for file in files for name in shards[file].names() if weight_map.get(name) != file]
        if wrong or extra:
            raise PackError(
                f"{index} does not describe its shards.",
                f"not in their shard: {listed(wrong) or 'none'}; not in the index: {listed(extra) or 'none'}",
                "Fetch index and shards of one and the same version.",
            )
        self._held = {name: shards[file] for name, file in weight_map.items()}
