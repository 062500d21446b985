"""A run's outputs as one Parquet file, for whoever works on with them. Knows columns; needs pyarrow.

One row per clip, in the order of the run. `COLUMNS` says what stands in each; after them comes one column per
candidate label, `score_LABEL`, and one per measure of the voice, `voice_NAME`. What is not known is null.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, fields
from itertools import islice
from pathlib import Path
from types import MappingProxyType
from typing import Any

from emer_edge.atomic import open_atomic
from emer_edge.errors import OutputError
from emer_edge.evaluate.mentions import MODALITIES
from emer_edge.evaluate.outputs import Output
from emer_edge.evaluate.prosody import Prosody
from emer_edge.evaluate.run_files import StoredRun

COLUMNS = MappingProxyType(
    {
        "id": "of the clip",
        "status": "ok or failed",
        "label": "the first label",
        "confidence": "its confidence, 0..1",
        "labels": "all labels that are reported, the surest first",
        "sentiment": "positive, negative or neutral",
        "text": "the reasoning",
        "subtitle": "the words that reached the model",
        "used": "modalities that the answer rests on: vision, audio, subtitle",
        "missing": "one sentence for each thing that could not be used",
        **{f"alone_{name}": f"the label that {name} shows by itself, or unclear" for name in MODALITIES},
        "error_kind": "of a failure",
        "error": "what failed, why, and what to do",
    }
)
"""The columns and what they mean."""
_LISTS = ("labels", "used", "missing")
_ROWS_AT_ONCE = 20_000


def write_parquet(run: StoredRun, path: Path) -> int:
    """Write a run's outputs, whole or not at all; returns how many.

    Raises:
        OutputError: pyarrow is not installed, or the file can't be written.
    """
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise OutputError(
            "Parquet needs pyarrow, which is not installed.", str(error), "pip install 'emer-edge[eval]'"
        ) from error
    outputs = [run.outputs[row.id] for row in run.data.rows if row.id in run.outputs]
    candidates = list(dict.fromkeys(label for output in outputs for label in output.scores))
    voices = [field.name for field in fields(Prosody)]
    schema = pyarrow.schema(
        [
            *((name, _type(pyarrow, name)) for name in COLUMNS),
            *((f"score_{label}", pyarrow.float64()) for label in candidates),
            *((f"voice_{name}", pyarrow.float64()) for name in voices),
        ],
        metadata={f"emer_edge.{key}": str(value) for key, value in run.record["system"].items()},
    )
    rows = (_row(output, candidates, voices) for output in outputs)
    try:
        with open_atomic(path) as handle, pyarrow.parquet.ParquetWriter(handle, schema) as writer:
            for part in _parts(rows):
                writer.write_table(pyarrow.Table.from_pylist(part, schema=schema))
    except (pyarrow.ArrowException, UnicodeError, ValueError) as error:
        raise OutputError(f"Can't write {path}.", str(error)) from error
    return len(outputs)


def _parts(rows: Iterator[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    while part := list(islice(rows, _ROWS_AT_ONCE)):
        yield part


def _row(output: Output, candidates: Sequence[str], voices: Sequence[str]) -> dict[str, Any]:
    first = output.labels[0] if output.labels else None
    error = output.error or {}
    voice = {} if output.voice is None else asdict(output.voice)
    lines = (str(error.get(key, "")) for key in ("what", "why", "todo"))
    return {
        "id": output.id,
        "status": "failed" if output.failed else "ok",
        "label": first,
        "confidence": output.scores.get(first) if first is not None else None,
        "labels": [*output.labels],
        "sentiment": output.sentiment or None,
        "text": output.text,
        "subtitle": output.subtitle,
        "used": [*output.used],
        "missing": [*output.missing],
        **{f"alone_{name}": output.alone.get(name) for name in MODALITIES},
        "error_kind": error.get("kind"),
        "error": "\n".join(line for line in lines if line) or None,
        **{f"score_{label}": output.scores.get(label) for label in candidates},
        **{f"voice_{name}": voice.get(name) for name in voices},
    }


def _type(pyarrow: Any, name: str) -> Any:
    if name in _LISTS:
        return pyarrow.list_(pyarrow.string())
    return pyarrow.float64() if name == "confidence" else pyarrow.string()
