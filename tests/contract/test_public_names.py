"""The public names: what is promised is there, lazily, with a docstring."""

from __future__ import annotations

import subprocess
import sys

import emer_edge as ee


def test_every_public_name_resolves_and_is_documented() -> None:
    for name in ee.__all__:
        assert getattr(ee, name).__doc__, name
    assert not hasattr(ee, "no_such_name")


def test_type_checkers_see_the_same_names() -> None:
    source = open(ee.__file__).read()  # noqa: PTH123, SIM115
    block = source.split("if TYPE_CHECKING:")[1].split("# Names are fetched")[0]
    assert sorted(line.rsplit(" as ", 1)[1] for line in block.splitlines() if " as " in line) == ee.__all__


def test_importing_the_package_loads_no_engine() -> None:
    heavy = "numpy,av,onnxruntime,llama_cpp,torch"
    code = f"import emer_edge, sys; print([m for m in '{heavy}'.split(',') if m in sys.modules])"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"
