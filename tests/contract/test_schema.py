"""The JSON on stdout is what the schema files say."""

from __future__ import annotations

import copy
import importlib.resources
import json
from typing import Any

import jsonschema
import pytest

from emer_edge.errors import EmerError, InputError
from emer_edge.results import SCHEMA_VERSION, Timings
from emer_edge.writers import records
from tests.support.sample_results import ALL, FULL


def schema(name: str) -> dict[str, Any]:
    file = importlib.resources.files("emer_edge") / "schemas" / f"{name}.schema.json"
    return json.loads(file.read_text(encoding="utf-8"))


REASONING = jsonschema.Draft202012Validator(schema("reasoning"))
FAILURE = jsonschema.Draft202012Validator(schema("failure"))


@pytest.mark.parametrize("name", ["reasoning", "failure"])
def test_the_schema_is_valid_and_closed(name: str) -> None:
    jsonschema.Draft202012Validator.check_schema(schema(name))
    assert schema(name)["additionalProperties"] is False
    assert schema(name)["properties"]["schema_version"]["const"] == SCHEMA_VERSION == records.SCHEMA_VERSION


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("timings", [False, True])
def test_results_are_valid(name: str, timings: bool) -> None:
    REASONING.validate(ALL[name].to_dict(timings=timings))


def test_every_documented_field_is_there() -> None:
    properties = schema("reasoning")["properties"]
    record = FULL.to_dict()
    assert set(record) == set(properties)
    assert set(record["used"]) == set(properties["used"]["properties"])
    assert set(Timings.__slots__) == set(properties["timings"]["properties"])


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("extra",), 1),
        (("schema_version",), "2.0"),
        (("finish",), "crashed"),
        (("emotions", 0, "confidence"), 1.5),
        (("scores", "happy"), "0.6"),
        (("used", "subtitle_source"), "guess"),
        (("clues", 0, "modality"), "smell"),
        (("timings", "extra"), 1),
    ],
)
def test_anything_else_is_invalid(path: tuple[Any, ...], value: Any) -> None:
    record = copy.deepcopy(FULL.to_dict())
    parent: Any = record
    for step in path[:-1]:
        parent = parent[step]
    parent[path[-1]] = value
    assert not REASONING.is_valid(record)


@pytest.mark.parametrize("error", [EmerError("a", "b", "c"), InputError("a")])
def test_failures_are_valid(error: EmerError) -> None:
    FAILURE.validate(json.loads(records.failure_line("x.mp4", error)))
    assert not FAILURE.is_valid({**FULL.to_dict(), "error": error.to_dict()})
