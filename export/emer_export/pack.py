"""Writes a pack: its files, their sizes and hashes, the manifest that names them.

Knows folders, safetensors and the `files` table of a manifest. Does not know what a model means, nor how
the runtime checks a pack. A pack is replaced whole: it is built in a folder beside its place and moved there.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save_file

from emer_edge.errors import PackError

FUSION_TENSORS = tuple(
    f"{layer}.{kind}"
    for layer in (
        "video_attention_mlp",
        "audio_attention_mlp",
        "affectgpt_proj",
        "audio_llama_proj",
        "multi_video_embs",
        "multi_audio_embs",
        "attention_mlp",
        "fc_att",
        "multi_llama_proj",
    )
    for kind in ("weight", "bias")
)


def write_fusion(state: Mapping[str, NDArray[Any]], path: Path) -> None:
    """Write the fusion head as float32 safetensors under its published names (torch Linear layout [out, in]).

    Other tensors in `state` are left out. Raises PackError when one of the eighteen is missing.
    """
    missing = [name for name in FUSION_TENSORS if name not in state]
    if missing:
        raise PackError(
            "the fusion head lacks tensors", ", ".join(missing[:4]), "give the whole fusion checkpoint"
        )
    save_file({name: np.ascontiguousarray(state[name], np.float32) for name in FUSION_TENSORS}, path)


def describe_file(folder: Path, path: Path) -> dict[str, object]:
    """Return one row of the manifest's `files`: path inside the pack, size_bytes, sha256."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while chunk := stream.read(1 << 20):
            digest.update(chunk)
    return {
        "path": path.relative_to(folder).as_posix(),
        "size_bytes": path.stat().st_size,
        "sha256": digest.hexdigest(),
    }


def write_pack(folder: Path, manifest: Mapping[str, Any], files: Mapping[str, Path | str]) -> Path:
    """Write `folder` with `files` (name in the pack -> file to copy, or the text itself) and the manifest.

    The manifest's `files` is filled in here. An older pack at `folder` is replaced. Raises PackError when
    the manifest names a file that is not among `files`.
    """
    named = set(named_files(manifest))
    if named - set(files):
        raise PackError(
            "the manifest names files that were not given", ", ".join(sorted(named - set(files))), ""
        )
    beside = folder.with_name(folder.name + ".part")
    if beside.exists():
        shutil.rmtree(beside)
    beside.mkdir(parents=True)
    for name, content in files.items():
        target = beside / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, Path):
            shutil.copyfile(content, target)
        else:
            target.write_text(content, encoding="utf-8")
    rows = [describe_file(beside, path) for path in sorted(beside.rglob("*")) if path.is_file()]
    write_manifest(beside, manifest, rows)
    return replace_folder(beside, folder)


def write_manifest(folder: Path, manifest: Mapping[str, Any], rows: Sequence[Mapping[str, object]]) -> None:
    """Write manifest.json into `folder`, with `rows` from `describe_file` as its `files`."""
    text = json.dumps({**manifest, "files": list(rows)}, indent=1, ensure_ascii=False)
    (folder / "manifest.json").write_text(text + "\n", encoding="utf-8")


def replace_folder(beside: Path, folder: Path) -> Path:
    """Give a finished folder its name; an older one of that name goes once the new one has it."""
    old = folder.with_name(f".{folder.name}.old")
    if old.exists():
        shutil.rmtree(old)
    if folder.exists():
        folder.replace(old)
    beside.replace(folder)
    if old.exists():
        shutil.rmtree(old)
    return folder


def named_files(manifest: Mapping[str, Any]) -> list[str]:
    """Paths of every file that a manifest's own sections name; a part may be missing yet."""
    found = [str(manifest[key]) for key in ("card",) if key in manifest]
    found += [str(manifest["licence"]["file"])] if "licence" in manifest else []
    for part in (*manifest.get("encoders", {}).values(), manifest.get("llm", {})):
        entries = part.get("files", {}).values()
        found += [str(entry[key]) for entry in entries for key in ("path", "data") if key in entry]
    if "path" in manifest.get("fusion", {}):  # that of the kind `tokens` has no file
        found.append(str(manifest["fusion"]["path"]))
    return found
