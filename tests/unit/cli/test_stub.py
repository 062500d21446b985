"""The stub keeps the shape of what it stands for."""

from __future__ import annotations

import inspect
from dataclasses import fields

import emer_edge as ee
from tests.support import stub_reasoner as stub


def test_the_stub_has_the_shape_of_the_reasoner() -> None:
    assert [field.name for field in fields(stub.StubEvent)] == [field.name for field in fields(ee.Event)]
    assert {field.name for field in fields(stub.StubOptions)} <= {field.name for field in fields(ee.Options)}
    ours = inspect.signature(stub.StubReasoner.infer).parameters
    assert list(ours) == list(inspect.signature(ee.Reasoner.infer).parameters)
    assert set(inspect.signature(stub.load).parameters) <= set(inspect.signature(ee.load).parameters)
    for name in ("device", "threads", "pack_name", "manifest"):
        assert hasattr(ee.Reasoner, name)
