"""The memory planner: against a measured peak, and what it advises where memory is short."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from emer_edge.bench.cold import cold_starts
from emer_edge.bench.costs import llm_shape
from emer_edge.bench.onnx_read import Graph, Node, Value
from emer_edge.bench.plan import (
    MIB,
    Choice,
    advise,
    choices,
    default_choice,
    estimate,
    live_bytes,
    llm_bytes,
)
from emer_edge.cli.main import root
from emer_edge.errors import InputError
from emer_edge.limits import Limits
from emer_edge.packs.manifest import Manifest, load_manifest
from emer_edge.packs.records import LlmFile
from emer_edge.packs.verify import BUILTIN

NANO = BUILTIN / "emer-nano"


@pytest.fixture
def manifest() -> Manifest:
    return load_manifest(NANO, Limits())


def test_the_estimate_is_within_10_percent_of_a_measured_peak(manifest: Manifest, demo_clip: Path) -> None:
    """A fresh process that loads the built-in pack and answers two clips of 640 x 360."""
    request = {
        "pack": "emer-nano",
        "device": "cpu",
        "threads": 2,
        "decoder": "auto",
        "question": "explain",
        "max_tokens": None,
    }
    (run,) = cold_starts(NANO, [demo_clip], request, runs=1, evict=False)
    told = estimate(NANO, manifest, default_choice(manifest), (640, 360)).total_bytes
    assert abs(told / run["peak_bytes"] - 1) < 0.10, (told, run["peak_bytes"])


def test_a_fusion_without_a_file_takes_nothing(manifest: Manifest) -> None:
    none = replace(manifest, fusion=replace(manifest.fusion, kind="tokens", path=""))
    assert estimate(NANO, none, default_choice(none)).host["fusion"] == 0


def test_what_lives_between_operators_is_followed() -> None:
    """a (4) -> b (8) -> c (4), with a used again at the end: at most a, b and c at once."""
    graph = Graph(
        nodes=[Node("X", ["a"], ["b"]), Node("Y", ["b"], ["c"]), Node("Add", ["c", "a"], ["d"])],
        values={name: Value((count,), 1) for name, count in (("a", 4), ("b", 8), ("c", 4), ("d", 4))},
        inputs=["a"],
        outputs=["d"],
    )
    assert live_bytes(graph) == (4 + 8 + 4) * 4


def test_keys_and_values_grow_with_the_context() -> None:
    shape = llm_shape(NANO / "llm.F16.gguf")
    small, large = llm_bytes(shape, 1000), llm_bytes(shape, 2048)
    assert small["keys and values"] == 1024 * shape.kv_bytes_per_token()
    assert large["keys and values"] == 2 * small["keys and values"]
    assert small["llm weights"] == shape.file_bytes
    repacked = llm_bytes(replace(shape, precision="Q4_0"), 1000)
    assert repacked["llm weights"] == shape.file_bytes + shape.block_bytes


def test_larger_clips_need_more(manifest: Manifest) -> None:
    choice = default_choice(manifest)
    small, large = (estimate(NANO, manifest, choice, clip).total_bytes for clip in ((640, 360), (3840, 2160)))
    assert large - small > 200 * MIB


def test_on_a_gpu_engines_leave_the_host(manifest: Manifest) -> None:
    on_cpu = estimate(NANO, manifest, default_choice(manifest))
    on_gpu = estimate(NANO, manifest, default_choice(manifest, "cuda"))
    assert not on_cpu.device
    assert set(on_gpu.device) >= {"vision weights", "keys and values", "llm weights"}
    assert on_gpu.host_bytes < on_cpu.host_bytes


def with_llms(manifest: Manifest) -> Manifest:
    """The same pack with a language model that is said to be smaller."""
    smaller = replace(manifest.files[0], path="llm.small.gguf", size_bytes=1000)
    files = {**manifest.llm.files, "Q4_0": LlmFile("llm.small.gguf")}
    return replace(manifest, files=(*manifest.files, smaller), llm=replace(manifest.llm, files=files))


def test_the_language_model_shrinks_first_then_the_context(manifest: Manifest) -> None:
    found = list(choices(with_llms(manifest), "cpu"))
    assert [(choice.llm, choice.n_ctx) for choice in found] == [("F16", 1024), ("Q4_0", 1024), ("Q4_0", 512)]


def test_advice_takes_the_first_that_fits(manifest: Manifest) -> None:
    roomy = advise(NANO, manifest, 1024 * MIB)
    assert roomy.fits
    assert roomy.note == "load it as it is"
    whole = roomy.asked.total_bytes
    tight = advise(NANO, manifest, round((whole - MIB // 2) / 0.95))
    assert tight.best is not None
    assert not tight.fits
    assert "n_ctx 512 instead of 1024" in tight.note
    none = advise(NANO, manifest, 50 * MIB)
    assert none.best is None
    with pytest.raises(InputError, match="has no 'int4'"):
        estimate(NANO, manifest, Choice("int4", "fp32", "F16", 1024))


def test_the_command_says_whether_it_fits() -> None:
    run = CliRunner().invoke
    fits = run(root, ["plan", "emer-nano", "--memory", "8GB"])
    assert (fits.exit_code, "load it as it is" in fits.stdout) == (0, True)
    short = run(root, ["plan", "emer-nano", "--memory", "64MiB", "--json"])
    assert short.exit_code == 1
    assert json.loads(short.stdout)["best"] is None
    assert run(root, ["plan", "emer-nano", "--memory", "much"]).exit_code == 2
    assert run(root, ["plan", "emer-nano", "--clip", "wide"]).exit_code == 2
