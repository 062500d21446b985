"""The ONNX files of one encoder: which precisions there are, what each is made from, what it takes.

Knows graphs, sizes and the order between precisions. Does not know checkpoints or how files are kept.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from emer_edge.errors import InputError
from emer_export.artefacts import Artefact, Report, Row
from emer_export.calibrate import (
    BLOCK,
    calibration_batches,
    quantize_calibrated,
    quantize_four_bits,
)
from emer_export.encoders import EncoderSource
from emer_export.manifests import Wish, check_manifest, encoder_path
from emer_export.onnx import HalfPrecision, export_onnx, quantize_onnx

CALIBRATED = "int8-calibrated"
ENCODER_PRECISIONS = ("fp32", "fp16", "int8", CALIBRATED, "int4")
SCRATCH = "scratch"
"""Folder of what only other artefacts need."""
_FROM_FP32 = {"int8", CALIBRATED, "int4"}
# Seconds for a thousand million weights on two cores, from exports at full size.
_SECONDS = 130.0


def encoder_artefacts(
    part: str, encoder: EncoderSource, wish: Wish, manifest: Mapping[str, Any]
) -> Iterator[Artefact]:
    """One artefact for each precision that is wished for, what others are made from first.

    Raises:
        InputError: no clips to calibrate on.
    """
    wanted, shape = set(wish.precisions), _input(manifest, part)["shape"]
    plain, half = encoder.items * 4, encoder.items * 2
    seconds = 5 + _SECONDS * encoder.items / 1e9

    def export(to: Path, *, in_half: bool) -> None:
        module = encoder.load()
        made = HalfPrecision(module, copied=False) if in_half else module
        export_onnx(made, torch.zeros(tuple(shape)), to, encoder.graph.input_name, "embeddings")

    kept = "fp32" in wanted
    full = encoder_path(part, "fp32") if kept else f"{SCRATCH}/{encoder_path(part, 'fp32')}"
    if kept or wanted & _FROM_FP32:
        yield Artefact(full, plain, lambda to, _: export(to, in_half=False), kept, seconds=seconds)
    if "fp16" in wanted:
        path = encoder_path(part, "fp16")
        yield Artefact(path, half, lambda to, _: export(to, in_half=True), seconds=seconds)
    rest = plain - encoder.matrix_items * 4
    if "int8" in wanted:
        path, size = encoder_path(part, "int8"), encoder.matrix_items + rest
        yield Artefact(path, size, lambda to, _: quantize_onnx(to.parent / full, to), seconds=seconds)
    if CALIBRATED in wanted:
        yield _calibrated(part, wish, manifest, full, (encoder.matrix_items + rest, seconds))
    if "int4" in wanted:
        path, size = encoder_path(part, "int4"), encoder.matrix_items // 2 + encoder.matrix_items * 4 // BLOCK
        yield Artefact(
            path, size + rest, lambda to, _: quantize_four_bits(to.parent / full, to), seconds=seconds
        )


def _input(manifest: Mapping[str, Any], part: str) -> Mapping[str, Any]:
    section = manifest["encoders"][part]
    found: Mapping[str, Any] = section["files"][section["default"]]["input"]
    return found


def with_data(manifest: Mapping[str, Any], done: Sequence[Row]) -> dict[str, Any]:
    """The manifest with the data of those graphs among the finished files whose weights lie beside them."""
    data = {row["path"]: row["data"]["path"] for row in done if "data" in row}
    made = copy.deepcopy(dict(manifest))
    for section in made["encoders"].values():
        for entry in section["files"].values():
            if entry["path"] in data:
                entry["data"] = data[entry["path"]]
    return made


def _calibrated(
    part: str, wish: Wish, manifest: Mapping[str, Any], full: str, costs: tuple[int, float]
) -> Artefact:
    """8 bits with scales from clips, made anew when these change."""
    clips = wish.calibrate
    if not clips:
        raise InputError(f"{CALIBRATED} needs clips.", todo="Name them with --calibrate.")

    def make(to: Path, _report: Report) -> None:
        batches = calibration_batches(check_manifest(manifest), part, clips)
        quantize_calibrated(to.parent / full, to, _input(manifest, part)["name"], batches)

    stamp = json.dumps([[path.name, path.stat().st_size] for path in clips])
    return Artefact(
        encoder_path(part, CALIBRATED), costs[0], make, seconds=costs[1] + len(clips), stamp=stamp
    )
