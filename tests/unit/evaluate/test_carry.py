"""Groups of rows: asked whole, kept once, the same after any kill, and what fails fails alone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

import emer_edge as ee
from emer_edge.errors import DeviceError, GenerationError, InputError, MediaError
from emer_edge.evaluate.asking import Asked, ask_row, ask_rows
from emer_edge.evaluate.carry import Group, carry_out_groups, groups_left, one_by_one, or_failure
from emer_edge.evaluate.datasets import Row
from emer_edge.evaluate.datasets_media import folder_of_clips
from emer_edge.evaluate.outputs import Output
from emer_edge.evaluate.outputs_table import COLUMNS, write_parquet
from emer_edge.evaluate.run_files import OUTPUTS, load_run
from emer_edge.evaluate.runs import RunFolder
from tests.support.run_driver import answer, config, rows


def answer_group(group: Group) -> list[Output]:
    """The answers of a group, which tell who was beside."""
    beside = " ".join(row.id for row in group)
    found = [or_failure(row, lambda row=row: answer(row)) for row in group]  # type: ignore[misc]
    return [one if one.failed else Output(one.id, one.labels, beside) for one in found]


def whole(folder: Path, count: int, size: int) -> bytes:
    data = rows(count)
    with RunFolder(folder, config(data), data) as run:
        assert carry_out_groups(run, one_by_one(answer_group), size) == count
    return (folder / OUTPUTS).read_bytes()


@pytest.mark.parametrize("kept", [0, 1, 3, 4, 6, 11])
def test_a_run_that_goes_on_asks_the_groups_of_an_unbroken_one(tmp_path, kept) -> None:
    wanted = whole(tmp_path / "whole", 11, 4)
    whole(tmp_path / "torn", 11, 4)
    path, data, asked = tmp_path / "torn" / OUTPUTS, rows(11), list[tuple[str, ...]]()
    path.write_bytes(b"".join(line + b"\n" for line in wanted.split(b"\n")[:kept]))

    def noted(group: Group) -> Sequence[Output]:
        asked.append(tuple(row.id for row in group))
        return answer_group(group)

    with RunFolder(tmp_path / "torn", config(data), data) as run:
        assert carry_out_groups(run, one_by_one(noted), 4) == 11 - kept
    assert path.read_bytes() == wanted
    assert [group[0] for group in asked] == ["clip 0", "clip 4", "clip 8"][kept // 4 :][
        : 3 if kept < 11 else 0
    ]


def test_answers_that_end_early_leave_the_rest_for_later(tmp_path) -> None:
    data = rows(6)

    def two(groups: Sequence[Group]) -> Iterator[Sequence[Output]]:
        yield answer_group(groups[0])
        raise DeviceError("The cluster has gone.")

    with RunFolder(tmp_path, config(data), data) as run:
        with pytest.raises(DeviceError):
            carry_out_groups(run, two, 2)
        assert [row.id for group in groups_left(run, 2) for row in group] == [
            f"clip {n}" for n in range(2, 6)
        ]


def test_rows_side_by_side_get_the_outputs_of_each_alone(tmp_path) -> None:
    words = ("I am so happy!", "", "Leave me alone.", "My dog died.")
    group = [Row(f"clip {n}", subtitle=text) for n, text in enumerate(words)]
    asked = Asked(text_only=True, at_once=4)
    with ee.load("emer-nano", threads=1, at_once=4) as reasoner:
        found = ask_rows(reasoner, group, asked)
        alone = [or_failure(row, lambda row=row: ask_row(reasoner, row, asked)) for row in group]  # type: ignore[misc]
        ask_many, reasoner.ask_many = reasoner.ask_many, fail  # type: ignore[method-assign]
        again = ask_rows(reasoner, group, asked)
        reasoner.ask_many = ask_many  # type: ignore[method-assign]
    assert [one.failed for one in found] == [False, True, False, False]
    assert found[1] == alone[1]
    for one, other, third in zip(found, alone, again, strict=True):
        assert (one.id, one.text, one.labels) == (other.id, other.text, other.labels)
        assert one.scores == pytest.approx(other.scores, abs=1e-3)
        assert third == other
    assert "at_once" not in Asked().to_dict()
    assert asked.to_dict()["at_once"] == 4


def fail(*_: object, **__: object) -> None:
    raise GenerationError("The language model gave NaN.")


def test_the_clips_of_a_folder_are_rows_in_order(tmp_path) -> None:
    for name in ("b/2.mp4", "a/1.wav", "notes.txt", ".hidden.mp4"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    data = folder_of_clips(tmp_path)
    assert [row.id for row in data.rows] == ["a/1.wav", "b/2.mp4"]
    assert data.rows[1].media == tmp_path / "b/2.mp4"
    for folder in (tmp_path / "none", tmp_path / "empty"):
        (tmp_path / "empty").mkdir(exist_ok=True)
        with pytest.raises(InputError):
            folder_of_clips(folder)


def test_a_run_becomes_a_table(tmp_path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    whole(tmp_path / "run", 12, 1)
    path = tmp_path / "outputs.parquet"
    assert write_parquet(load_run(tmp_path / "run"), path) == 12
    table = parquet.read_table(path)
    assert table.column_names[: len(COLUMNS)] == list(COLUMNS)
    lines = table.to_pylist()
    assert [line["id"] for line in lines] == [f"clip {n}" for n in range(12)]
    assert (lines[3]["status"], lines[3]["error_kind"], lines[3]["label"]) == ("failed", "MediaError", None)
    assert lines[3]["error"].splitlines() == ["Can't read clip 3.", "It is damaged.", "Record it again."]
    assert (lines[4]["labels"], lines[4]["label"]) == (["happy"], "happy")
    assert table.schema.metadata[b"emer_edge.pack"] == b"none"


def test_a_table_tells_what_each_modality_shows_alone(tmp_path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    data = rows(2)
    with RunFolder(tmp_path / "run", config(data), data) as run:
        alone = {"clip 0": {"face": "happy", "words": "unclear"}, "clip 1": {}}
        carry_out_groups(
            run,
            one_by_one(lambda group: [Output(row.id, ("happy",), alone=alone[row.id]) for row in group]),  # type: ignore[arg-type]
            1,
        )
    write_parquet(load_run(tmp_path / "run"), tmp_path / "outputs.parquet")
    lines = parquet.read_table(tmp_path / "outputs.parquet").to_pylist()
    names = ("alone_face", "alone_voice", "alone_words")
    assert [[line[name] for name in names] for line in lines] == [["happy", None, "unclear"], [None] * 3]


def test_an_error_of_the_clip_is_its_output() -> None:
    def broken() -> Output:
        raise MediaError("Can't read it.")

    assert or_failure(Row("a"), broken).failed
