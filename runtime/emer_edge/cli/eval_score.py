"""`eval score` and `eval compare`: reads systems, scores them on one data set, prints and writes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from emer_edge.cli.eval_options import take_data, take_scoring
from emer_edge.cli.terminal import one_line, put, safe, say
from emer_edge.errors import InputError, OutputError

if TYPE_CHECKING:
    from emer_edge.evaluate.datasets import DataSet
    from emer_edge.evaluate.measures import Scored
    from emer_edge.evaluate.stored import System


def score(runs: tuple[str, ...], flags: Mapping[str, Any]) -> int:
    """Score every system and print its figures.

    Raises:
        InputError: what is named can't be read or scored.
    """
    from emer_edge.evaluate.show import score_lines

    for one in _scored(runs, flags, baselines=False):
        if flags["as_json"]:
            put(json.dumps(one.to_dict(), ensure_ascii=False) + "\n")
        else:
            put("".join(f"{safe(line)}\n" for line in [*score_lines(one), ""]))
    return 0


def cues(truth: str, predicted: str, encoder: str, *, as_json: bool) -> int:
    """Match two files of cues and print how well each kind was found.

    Raises:
        InputError: a file or the encoder can't be read, or a clip has no prediction.
    """
    from emer_edge.evaluate.cue_reading import read_cue_file
    from emer_edge.evaluate.overlap_cues import score_cues
    from emer_edge.evaluate.sentence_encoders import load_encoder
    from emer_edge.evaluate.show import aligned, percent

    found = score_cues(read_cue_file(Path(truth)), read_cue_file(Path(predicted)), load_encoder(encoder))
    if as_json:
        put(json.dumps(found.to_dict()) + "\n")
        return 0
    rows: list[tuple[str, ...]] = [("cues, %", "precision", "recall", "F", "clips")]
    for kind, score in found.kinds.items():
        values = (percent(value) for value in (score.precision, score.recall, score.f1))
        rows.append((kind, *values, str(len(score.names))))
    lines = [f"encoder: {found.encoder}", *aligned(rows)]
    put("".join(f"{safe(line)}\n" for line in lines))
    return 0


def compare(runs: tuple[str, ...], flags: Mapping[str, Any]) -> int:
    """Print the table of all systems, and write it where that is wanted.

    Raises:
        InputError: what is named can't be read, scored or compared.
        OutputError: the files can't be written.
    """
    from emer_edge.evaluate.compare import PAIRED
    from emer_edge.evaluate.compare import compare as compare_systems
    from emer_edge.evaluate.report import render
    from emer_edge.evaluate.scores import Resampling
    from emer_edge.evaluate.show import aligned, comparison_rows

    found = compare_systems(
        _scored(runs, flags, baselines=flags["baselines"]),
        flags["figure"] or "",
        flags["against"] or "",
        Resampling(flags["resamples"]) if flags["resamples"] else PAIRED,
    )
    if flags["output"]:
        folder = Path(flags["output"])
        text = json.dumps(found.to_dict(), ensure_ascii=False, indent=1) + "\n"
        write_files(folder, {"compare.json": text, "compare.html": render(found, {})})
        say(f"wrote {one_line(str(folder / 'compare.html'))}")
    if flags["as_json"]:
        put(json.dumps(found.to_dict(), ensure_ascii=False) + "\n")
    else:
        first = found.systems[0]
        put(safe(f"{found.data.name}: {len(first.rows)} clips, 95 % intervals\n"))
        put("".join(f"{safe(line)}\n" for line in aligned(comparison_rows(found))))
    return 0


def write_files(folder: Path, texts: Mapping[str, str]) -> None:
    """Write files, name -> text, each whole or not at all.

    Raises:
        OutputError: the folder can't be made or written.
    """
    from emer_edge.atomic import write_text_atomic

    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"Can't make the folder {folder}.", error.strerror or str(error)) from error
    for name, text in texts.items():
        write_text_atomic(folder / name, text)


def _scored(runs: tuple[str, ...], flags: Mapping[str, Any], *, baselines: bool) -> list[Scored]:
    from emer_edge.evaluate.baselines import baselines as make_baselines
    from emer_edge.evaluate.measures import score_system
    from emer_edge.evaluate.stored import read_systems

    systems = read_systems(runs)
    data = _data(systems, flags)
    if flags["answered_only"]:
        # What one of them can't answer, none is scored on.
        data = _answered_by_all(data, systems)
    how = take_scoring(flags)
    if baselines:
        systems += make_baselines(data)
    try:
        return [score_system(data, system, how) for system in systems]
    finally:
        how.close()


def _data(systems: list[System], flags: Mapping[str, Any]) -> DataSet:
    from emer_edge.evaluate.run_files import is_run, load_run

    if flags["data"]:
        return take_data(flags["data"], flags)
    folder = next((system.path for system in systems if system.path.is_dir() and is_run(system.path)), None)
    if folder is None:
        raise InputError(
            "Stored outputs alone don't say what is true.", todo="Name the data set with --data, or a run."
        )
    return load_run(folder).data.only(flags["split"] or "", flags["limit"])


def _answered_by_all(data: DataSet, systems: list[System]) -> DataSet:
    from dataclasses import replace

    def answered(name: str) -> bool:
        found = (system.outputs.get(name) for system in systems)
        return all(output is not None and not output.failed for output in found)

    rows = tuple(row for row in data.rows if answered(row.id))
    if not rows:
        raise InputError("No clip was answered by all of these systems.")
    return replace(data, rows=rows)
