"""A recorded timeline as a table for analysis: CSV, and Parquet where pyarrow is installed.

One row per state, in order. `COLUMNS` says what stands in each; after them comes one column per candidate
label, `score_LABEL`. CSV joins lists with `|` and leaves empty what is unknown; Parquet has lists and nulls.
"""

from __future__ import annotations

import csv
import io
import json
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from emer_edge.errors import OutputError

if TYPE_CHECKING:
    from emer_edge.writers.timeline import Timeline

COLUMNS = MappingProxyType(
    {
        "index": "number of the state, from 0",
        "start_pts_seconds": "begin of the window on the stream's clock",
        "end_pts_seconds": "end of the window",
        "label": "the first label",
        "confidence": "its confidence, 0..1",
        "labels": "all labels that were reported, best first",
        "valence": "-1..1",
        "arousal": "-1..1",
        "modalities": "what the state rests on: vision, audio, subtitle",
        "frames": "frames in the window",
        "faces": "frames in which a face was found",
        "audio_seconds": "sound in the window",
        "speech": "whether speech was heard",
        "degraded": "what the policy left out to keep up",
        "age_seconds": "wall-clock age of the newest input when the state was told",
        "subtitle": "the words of the window",
        "reasoning": "the reasoning about this state, where one was asked for",
        "finish": "how that ended: stop, length, interrupted",
        "dropped": "things told as dropped after the state before this one",
        "errors": "errors told after the state before this one",
    }
)
"""The columns and what they mean."""
_LISTS = ("labels", "modalities", "degraded")
_WHOLE = ("index", "frames", "faces", "dropped", "errors")
_TEXT = ("label", "subtitle", "reasoning", "finish")


def timeline_rows(timeline: Timeline) -> list[dict[str, Any]]:
    """One mapping per state, with the keys of `COLUMNS` and `score_LABEL` for every label of any state."""
    scores = list(dict.fromkeys(label for state in timeline.states for label in state.scores))
    said = {reasoning.state_index: reasoning for reasoning in timeline.reasonings}
    lost = _lost_before(timeline)
    rows: list[dict[str, Any]] = []
    for state in timeline.states:
        first = state.emotions[0] if state.emotions else None
        quality, reasoning = state.quality, said.get(state.index)
        dropped, errors = lost.get(state.index, (0, 0))
        row: dict[str, Any] = {
            "index": state.index,
            "start_pts_seconds": state.start_pts_seconds,
            "end_pts_seconds": state.end_pts_seconds,
            "label": first.label if first else None,
            "confidence": first.confidence if first else None,
            "labels": [emotion.label for emotion in state.emotions],
            "valence": state.valence,
            "arousal": state.arousal,
            "modalities": list(quality.modalities),
            "frames": quality.frames,
            "faces": quality.faces,
            "audio_seconds": quality.audio_seconds,
            "speech": quality.speech,
            "degraded": list(quality.degraded),
            "age_seconds": state.age_seconds,
            "subtitle": state.subtitle,
            "reasoning": reasoning.text if reasoning else None,
            "finish": reasoning.finish if reasoning else None,
            "dropped": dropped,
            "errors": errors,
        }
        rows.append(row | {f"score_{label}": state.scores.get(label) for label in scores})
    return rows


def timeline_to_csv(timeline: Timeline) -> str:
    """The table as CSV (RFC 4180, with a header and CRLF); flags are 0 and 1."""
    rows = timeline_rows(timeline)
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(list(rows[0]) if rows else list(COLUMNS))
    writer.writerows([[_cell(value) for value in row.values()] for row in rows])
    return out.getvalue()


def timeline_to_parquet(timeline: Timeline) -> bytes:
    """The table as a Parquet file; the session's record is in its metadata under `emer_edge.session`.

    Raises:
        OutputError: pyarrow is not installed, or a text can't be written.
    """
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise OutputError(
            "Parquet needs pyarrow, which is not installed.",
            str(error),
            "pip install 'emer-edge[timeline]', or write .csv.",
        ) from error
    rows = timeline_rows(timeline)
    names = list(rows[0]) if rows else list(COLUMNS)
    schema = pyarrow.schema(
        [(name, _parquet_type(pyarrow, name)) for name in names],
        metadata={"emer_edge.session": json.dumps(timeline.session, ensure_ascii=True)},
    )
    sink = io.BytesIO()
    try:
        pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows, schema=schema), sink)
    except (pyarrow.ArrowException, UnicodeError, ValueError) as error:
        raise OutputError("The timeline can't be written as Parquet.", str(error)) from error
    return sink.getvalue()


def _parquet_type(pyarrow: Any, name: str) -> Any:
    if name in _LISTS:
        return pyarrow.list_(pyarrow.string())
    if name in _WHOLE:
        return pyarrow.int64()
    if name in _TEXT:
        return pyarrow.string()
    return pyarrow.bool_() if name == "speech" else pyarrow.float64()


def _cell(value: Any) -> Any:
    if value is None:
        return ""
    if isinstance(value, bool):
        return int(value)
    if isinstance(value, list):
        return "|".join(value)
    return value


def _lost_before(timeline: Timeline) -> dict[int, tuple[int, int]]:
    """For each state, what was told as dropped or failed since the one before it in the record."""
    lost: dict[int, tuple[int, int]] = {}
    dropped = errors = 0
    for event in timeline.events:
        if event.kind == "dropped":
            dropped += event.n  # type: ignore[union-attr]
        elif event.kind == "error":
            errors += 1
        elif event.kind == "state":
            lost[event.index] = (dropped, errors)  # type: ignore[union-attr]
            dropped = errors = 0
    return lost
