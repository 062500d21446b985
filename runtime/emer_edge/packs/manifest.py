"""`manifest.json` to a `Manifest`, strictly: unknown fields, wrong types and contradictions are errors.

Knows what a manifest may say. Does not look at the files it names: that is `packs.verify`.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from emer_edge.errors import LimitError, PackError, PackNotFoundError
from emer_edge.limits import Limits
from emer_edge.packs import sections
from emer_edge.packs.engine_section import check_engines, engines
from emer_edge.packs.fields import PATH, Fields
from emer_edge.packs.records import (
    ALONE_FIELD,
    LABELS_FIELD,
    AudioPreprocessing,
    EncoderFile,
    EncoderSpec,
    EngineSpec,
    FacePreprocessing,
    FramePreprocessing,
    FusionSpec,
    GenerationSpec,
    LabelSpec,
    Licence,
    LlmSpec,
    Manifest,
    PackFile,
    PromptPart,
    PromptSpec,
    QuoteMarks,
)
from emer_edge.results import ClueModality
from emer_edge.strict_json import StrictJsonError, parse_json

__all__ = [
    "MANIFEST",
    "PACK_NAME",
    "SCHEMA_VERSION",
    "AudioPreprocessing",
    "EncoderFile",
    "EncoderSpec",
    "EngineSpec",
    "FacePreprocessing",
    "FramePreprocessing",
    "FusionSpec",
    "GenerationSpec",
    "LabelSpec",
    "Licence",
    "LlmSpec",
    "Manifest",
    "PackFile",
    "PromptPart",
    "PromptSpec",
    "QuoteMarks",
    "load_manifest",
    "parse_manifest",
]

MANIFEST = "manifest.json"
SCHEMA_VERSION = "1.0"
"""Version of the manifest's schema; another major version is refused, a higher minor one is not."""
PACK_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")

_VERSION = re.compile(r"\d{1,5}\.\d{1,5}\.\d{1,5}([-+.][0-9A-Za-z.-]{1,32})?")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_MODALITIES: tuple[ClueModality, ...] = ("face", "voice", "words", "scene")
_FILES = 1024


def load_manifest(folder: str | Path, limits: Limits) -> Manifest:
    """Read and check the manifest of a pack; its files are not looked at.

    Args:
        folder: of the pack.
        limits: bounds the manifest's size and the sum of the files.

    Raises:
        PackNotFoundError: no manifest there. PackError: it is not valid. LimitError: a ceiling is passed.
    """
    return parse_manifest(read_manifest(Path(folder), limits), limits)


def read_manifest(folder: Path, limits: Limits) -> bytes:
    """The bytes of a manifest: a regular file, not a link, within `limits.manifest_bytes`."""
    path = folder / MANIFEST
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            if not stat.S_ISREG(os.fstat(handle).st_mode):
                raise PackError(f"{path} is not a regular file.")
            with os.fdopen(handle, "rb", closefd=False) as file:
                data = file.read(limits.manifest_bytes + 1)
        finally:
            os.close(handle)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise PackNotFoundError(
            f"{folder} is not a pack.", f"It has no {MANIFEST}.", "See `emer-edge packs list`."
        ) from error
    except OSError as error:
        raise PackError(f"Can't read {path}.", error.strerror or str(error)) from error
    if len(data) > limits.manifest_bytes:
        raise LimitError(f"{path} is too large.", f"More than {limits.manifest_bytes} bytes.")
    return data


def parse_manifest(data: bytes, limits: Limits) -> Manifest:
    """The manifest in `data`, UTF-8 JSON. Raises as `load_manifest`."""
    try:
        value = parse_json(data)
    except StrictJsonError as error:
        raise PackError("The manifest is not valid JSON.", str(error), "Correct manifest.json.") from error
    top = Fields(value, "")
    version = top.text("schema_version", most=16, pattern=re.compile(r"\d{1,4}\.\d{1,4}"))
    if version.split(".")[0] != SCHEMA_VERSION.split(".")[0]:
        raise PackError(
            f"The manifest has schema version {version}; this version reads {SCHEMA_VERSION}.",
            todo="Update emer-edge, or fetch the pack in another version.",
        )
    manifest = Manifest(
        schema_version=version,
        name=top.text("name", most=64, pattern=PACK_NAME),
        version=top.text("version", most=64, pattern=_VERSION),
        family=top.text("family", most=64, pattern=PACK_NAME),
        description=top.text("description", most=4000),
        licence=_licence(top.fields("licence")),
        card=top.path("card"),
        preprocessing=sections.preprocessing(top.fields("preprocessing")),
        encoders=sections.encoders(top.fields("encoders")),
        fusion=sections.fusion(top.fields("fusion")),
        llm=sections.llm(top.fields("llm")),
        prompt=sections.prompt(top.fields("prompt")),
        labels=sections.labels(top.fields("labels")),
        clues=_clues(top),
        generation=sections.generation(top.fields("generation")),
        files=top.items("files", 1, _FILES, lambda at, item: _file(Fields(item, at))),
        evaluation=_free(top, "evaluation"),
        parity=_free(top, "parity"),
        engines=engines(top),
    )
    top.done()
    _check_widths(manifest)
    _check_files(manifest, limits)
    return manifest


def _licence(fields: Fields) -> Licence:
    licence = Licence(
        fields.text("id", most=128, least=1), fields.path("file"), fields.text("note", most=4000)
    )
    fields.done()
    return licence


def _clues(top: Fields) -> Mapping[ClueModality, tuple[str, ...]]:
    fields = top.fields("clues")
    clues = {word: fields.texts(word, 0, 512, most=64) for word in _MODALITIES if fields.has(word)}
    fields.done()
    return clues


def _free(top: Fields, key: str) -> Mapping[str, Any]:
    value = top.take(key) if top.has(key) else {}
    if not isinstance(value, dict):
        raise top.error(key, "is not an object")
    return cast("Mapping[str, Any]", value)


def _file(fields: Fields) -> PackFile:
    file = PackFile(
        fields.text("path", most=200, pattern=PATH),
        fields.whole("size_bytes", 0, 2**48),
        fields.text("sha256", most=64, pattern=_SHA256),
    )
    fields.done()
    return file


def _check_widths(manifest: Manifest) -> None:
    """Stages that follow each other must agree on the width between them."""
    pairs = (
        (
            "fusion.vision_dim",
            manifest.fusion.vision_dim,
            "encoders.vision.dim",
            manifest.encoders.vision.dim,
        ),
        ("fusion.audio_dim", manifest.fusion.audio_dim, "encoders.audio.dim", manifest.encoders.audio.dim),
        ("fusion.model_dim", manifest.fusion.model_dim, "llm.n_embd", manifest.llm.n_embd),
    )
    for left_name, left, right_name, right in pairs:
        if left != right:
            raise _invalid(f"{left_name} = {left} and {right_name} = {right} differ")
    _check_rows(manifest)
    frames, audio = manifest.preprocessing.frames, manifest.preprocessing.audio
    picture = (3, frames.height, frames.width)
    samples = round(audio.window_seconds * audio.sample_rate)
    for precision, file in manifest.encoders.vision.files.items():
        if file.input.shape[1:] != picture:
            raise _invalid(f"encoders.vision.files.{precision}.input.shape is not [n, 3, height, width]")
    for precision, file in manifest.encoders.audio.files.items():
        if file.input.shape[1:] != (samples,):
            raise _invalid(f"encoders.audio.files.{precision}.input.shape is not [n, {samples}]")
    if manifest.labels.question not in manifest.prompt.questions:
        raise _invalid("labels.question is not one of prompt.questions")
    if manifest.prompt.needs_labels(manifest.labels.question):
        raise _invalid(
            f"prompt.questions.{manifest.labels.question} holds {LABELS_FIELD} or {ALONE_FIELD}",
            "It is the question of labels.question, from whose answer the labels are chosen.",
        )
    telling = [name for name, words in manifest.prompt.questions.items() if ALONE_FIELD in words]
    if telling and manifest.labels.alone is None:
        raise _invalid(f"prompt.questions.{telling[0]} holds {ALONE_FIELD}, and there is no labels.alone")


def _check_rows(manifest: Manifest) -> None:
    """Each row of an encoder's input gives one embedding, unless embeddings are soft tokens already."""
    fusion = manifest.fusion
    if fusion.kind == "tokens":
        if not fusion.vision_dim == fusion.audio_dim == fusion.model_dim:
            raise _invalid("fusion.kind is `tokens`, and its widths differ")
        if "multi" in manifest.prompt.markers.values():
            raise _invalid("prompt.markers holds `multi`, which a fusion of the kind `tokens` does not give")
        return
    for part, spec in (("vision", manifest.encoders.vision), ("audio", manifest.encoders.audio)):
        for precision, file in spec.files.items():
            if file.output.shape[0] != file.input.shape[0]:
                raise _invalid(
                    f"encoders.{part}.files.{precision}.output.shape is not [rows of the input, dim]"
                )


def _check_files(manifest: Manifest, limits: Limits) -> None:
    """Every file that is named is listed, and no two are the same."""
    listed = [file.path for file in manifest.files]
    if len({path.casefold() for path in listed}) != len(listed):
        raise _invalid("files lists a path twice")
    if MANIFEST in (path.casefold() for path in listed):
        raise _invalid(f"files lists {MANIFEST} itself")
    encoders = (manifest.encoders.vision, manifest.encoders.audio)
    named = [manifest.licence.file, manifest.card]
    named += [manifest.fusion.path] if manifest.fusion.path else []
    named += [path for spec in encoders for file in spec.files.values() for path in file.paths]
    named += [file.path for file in manifest.llm.files.values()]
    named += [engine.path for engine in manifest.engines]
    for path in named:
        if path not in listed:
            raise _invalid(f"{path} is not listed under files")
    check_engines(manifest)
    if manifest.size_bytes > limits.pack_bytes:
        raise LimitError(
            f"The pack {manifest.name} is too large.", f"{manifest.size_bytes} > {limits.pack_bytes} bytes."
        )


def _invalid(what: str, why: str = "") -> PackError:
    return PackError(f"The manifest is not valid: {what}.", why, "Correct manifest.json.")
