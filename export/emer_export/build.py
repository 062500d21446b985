"""Turns an opened model into a pack, artefact by artefact, so that an interrupted run goes on where it
stopped.

Knows which files a pack needs, how each is made, and what was made before. Does not know formats, prompts
or parity. Everything is made in a folder beside the pack's place, and moved there whole.
"""

from __future__ import annotations

import gc
import hashlib
import json
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from safetensors.numpy import save_file

from emer_edge.errors import InputError, OutputError
from emer_edge.limits import Limits
from emer_edge.packs.manifest import MANIFEST, PACK_NAME
from emer_edge.packs.verify import verify_pack
from emer_edge.proof import REFERENCE
from emer_export.artefacts import Artefact, Report, Row, State, files_of
from emer_export.encoder_artefacts import ENCODER_PRECISIONS, SCRATCH, encoder_artefacts, with_data
from emer_export.engines import engine_artefacts, with_engines
from emer_export.graph_files import data_path
from emer_export.llm import LlmWords, convert_llm, llm_bytes
from emer_export.manifests import (
    CARD,
    FUSION,
    LICENCE,
    Wish,
    build_manifest,
    card_text,
    licence_text,
    llm_path,
)
from emer_export.pack import describe_file, replace_folder, write_fusion, write_manifest
from emer_export.sources import Sources, identity

_FORMAT = 1
"""Raise it when the same sources would give other artefacts: nothing older is then reused."""
# Seconds for a thousand million weights on two cores, from exports at full size.
_PLAIN_SECONDS, _MIXED_SECONDS = 40.0, 110.0
_STATE = "export-state.json"
_TOOLS = ("torch", "onnx", "onnxscript", "onnxruntime", "gguf", "llama-cpp-python")


@dataclass(frozen=True)
class Plan:
    """Everything that will be made, before anything is."""

    sources: Sources
    wish: Wish
    folder: Path
    manifest: Mapping[str, Any]
    artefacts: tuple[Artefact, ...]

    @property
    def size_bytes(self) -> int:
        """Sum of what the pack will hold."""
        return sum(artefact.size_bytes for artefact in self.artefacts if artefact.kept)

    @property
    def seconds(self) -> float:
        """What making everything takes on two cores, roughly, without parity."""
        return sum(artefact.seconds for artefact in self.artefacts)

    @property
    def beside(self) -> Path:
        """Where the pack is made."""
        return self.folder.with_name(f"{self.folder.name}.part")


def make_plan(sources: Sources, wish: Wish, folder: Path) -> Plan:
    """Say what will be made; checks every name, shape and section, reads no weights and writes nothing.

    Raises:
        InputError: an unknown precision, quantisation or look, or a name that no pack can have.
        PackError: the parts or the definition do not make a pack.
    """
    if not PACK_NAME.fullmatch(wish.name):
        raise InputError(f"{wish.name!r} can't be the name of a pack.", f"It must match {PACK_NAME.pattern}.")
    unknown = [name for name in wish.precisions if name not in ENCODER_PRECISIONS]
    if unknown or not wish.precisions or not wish.quantisations:
        raise InputError(
            f"No encoder precision is called {', '.join(unknown)}."
            if unknown
            else "A pack needs encoders and an LLM.",
            todo=f"Use {', '.join(ENCODER_PRECISIONS)}.",
        )
    artefacts: list[Artefact] = []
    manifest = build_manifest(sources, wish)
    for part, encoder in (("vision", sources.vision), ("audio", sources.audio)):
        artefacts += encoder_artefacts(part, encoder, wish, manifest)
    fusion_bytes = sum(array.nbytes for array in sources.fusion.state.values())
    if sources.fusion.state:
        artefacts.append(Artefact(FUSION, fusion_bytes, lambda to, _: write_fusion(sources.fusion.state, to)))
    artefacts += [_llm_artefact(sources, name) for name in dict.fromkeys(wish.quantisations)]
    artefacts += engine_artefacts(manifest, wish, artefacts)
    return Plan(sources, wish, folder, manifest, tuple(artefacts))


def _llm_artefact(sources: Sources, quantisation: str) -> Artefact:
    llm = sources.llm
    words = LlmWords(sources.family.name, sources.family.licence["id"])

    def make(to: Path, report: Report) -> None:
        def progress(_tensor: str, done: int, total: int) -> None:
            report(to.name, done / max(total, 1))

        convert_llm(llm.checkpoint, llm.folder, to, quantisation, progress, words)

    size = llm_bytes(llm.checkpoint, llm.folder, quantisation)
    items = llm_bytes(llm.checkpoint, llm.folder, "F32") / 4
    seconds = (_MIXED_SECONDS if "_K" in quantisation else _PLAIN_SECONDS) * items / 1e9
    return Artefact(llm_path(quantisation), size, make, seconds=seconds)


def make_artefacts(plan: Plan, report: Report) -> tuple[Path, tuple[str, ...]]:
    """Make what is not there yet and check the whole as the runtime will.

    Returns:
        The folder beside the pack's place, a complete pack but for its parity; and what was reused.

    Raises:
        OutputError: there is no room, or the folder can't be written. PackError, LimitError: as the formats.
    """
    beside = plan.beside
    state = State(beside / _STATE, _key(plan))
    reused = tuple(state.open())
    missing = state.missing(plan.artefacts)
    # What only others need is made only for them.
    waiting = any(a.kept for a in missing)
    _check_room(plan.folder, sum(a.size_bytes for a in missing))
    for artefact in missing if waiting else ():
        report(artefact.path, None)
        path = beside / artefact.path
        path.parent.mkdir(parents=True, exist_ok=True)
        facts = artefact.make(path, report) or {}
        gc.collect()
        row = _described(beside, path) if artefact.kept else {"path": artefact.path, "size_bytes": 0}
        state.add({**row, "stamp": artefact.stamp, "facts": facts})
    state.forget(SCRATCH)
    sweep(plan)
    seal(plan, {})
    return beside, reused


def _described(folder: Path, path: Path) -> Row:
    """What is kept of a finished file, and of the data that a graph may have beside it."""
    data = data_path(path)
    row: Row = describe_file(folder, path)
    return {**row, "data": describe_file(folder, data)} if data.is_file() else row


def sweep(plan: Plan) -> None:
    """Remove what is no part of this pack: scratch, files of an earlier wish, halves that a kill left."""
    wanted = {artefact.path for artefact in plan.artefacts if artefact.kept}
    # Data beside a graph is that graph's: an older one goes when a graph gets its name.
    wanted |= {data_path(Path(path)).as_posix() for path in wanted}
    wanted |= {LICENCE, CARD, REFERENCE, MANIFEST, _STATE}
    for scratch in (plan.beside / SCRATCH, *plan.beside.glob("*.partial")):
        shutil.rmtree(scratch, ignore_errors=True)
    for path in plan.beside.rglob("*"):
        if path.is_file() and path.relative_to(plan.beside).as_posix() not in wanted:
            path.unlink()


def seal(plan: Plan, parity: Mapping[str, Any], reference: Mapping[str, Any] | None = None) -> None:
    """Write licence note, card and manifest of the folder that is being made, and check it as the runtime
    will.
    """
    beside = plan.beside
    kept = {artefact.path for artefact in plan.artefacts if artefact.kept}
    done = [row for path, row in State(beside / _STATE, _key(plan)).open().items() if path in kept]
    made = with_engines(with_data(plan.manifest, done), done)
    (beside / LICENCE).write_text(licence_text(plan.sources), encoding="utf-8")
    (beside / CARD).write_text(card_text(plan.sources, made, parity), encoding="utf-8")
    rows = [
        {key: file[key] for key in ("path", "size_bytes", "sha256")} for row in done for file in files_of(row)
    ]
    (beside / REFERENCE).unlink(missing_ok=True)
    if reference:
        save_file(dict(reference), beside / REFERENCE)
    written = (LICENCE, CARD, REFERENCE) if reference else (LICENCE, CARD)
    rows += [describe_file(beside, beside / name) for name in written]
    rows.sort(key=lambda row: str(row["path"]))
    write_manifest(beside, {**made, "parity": parity}, rows)
    verify_pack(beside, Limits(), hashes=False)


def publish(plan: Plan) -> Path:
    """Give the finished pack its name; an older one of that name is replaced."""
    (plan.beside / _STATE).unlink(missing_ok=True)
    return replace_folder(plan.beside, plan.folder)


def _key(plan: Plan) -> str:
    """Equal for two runs that would make the same artefacts."""
    shapes = {part: section["files"] for part, section in plan.manifest["encoders"].items()}
    told = {
        "format": _FORMAT,
        "tools": {name: _version(name) for name in _TOOLS},
        "files": identity(plan.sources.paths),
        "alpha": plan.sources.family.alpha,
        "graphs": dict(plan.sources.family.graphs),
        "shapes": {part: next(iter(files.values()))["input"] for part, files in shapes.items()},
        "wish": asdict(plan.wish)["name"],
    }
    return hashlib.sha256(json.dumps(told, sort_keys=True, default=str).encode()).hexdigest()


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "absent"


def _check_room(folder: Path, size: int) -> None:
    above = next((parent for parent in folder.absolute().parents if parent.is_dir()), Path("/"))
    free = shutil.disk_usage(above).free
    if size > free:
        raise OutputError(
            f"There is too little room for {folder}.",
            f"{size / 1e9:.1f} GB are needed, {free / 1e9:.1f} are free.",
        )


@contextmanager
def as_output_error(folder: Path) -> Iterator[None]:
    """Turn the file system's own errors into ours."""
    try:
        yield
    except OSError as error:
        raise OutputError(
            f"Can't write {folder}.", error.strerror or str(error), "Check the folder and its free space."
        ) from error
