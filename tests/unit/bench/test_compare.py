"""Results: the file and its schema, the device table, what differs, plots that are well-formed."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from click.testing import CliRunner

import emer_edge
from emer_edge.bench.compare import differences, names_of, table, text_table
from emer_edge.bench.page import page, plots
from emer_edge.bench.result import read_result, samples_of, to_text
from emer_edge.bench.run import Request, rule_of, run_bench
from emer_edge.bench.show import lines, milliseconds
from emer_edge.bench.subject import Sample
from emer_edge.bench.summary import overhead, path_of
from emer_edge.cli.main import root
from emer_edge.errors import InputError


@pytest.fixture(scope="module")
def result(demo_clip: Path) -> dict[str, Any]:
    """A small benchmark of the built-in pack, measured here: every scenario, natively."""
    other = demo_clip.with_name("other.mp4")
    other.write_bytes(demo_clip.read_bytes())
    request = Request(
        clips=(str(demo_clip), str(other)),
        seconds=0.05,
        max_tokens=3,
        driver="native",
        warm_up=2,
        cold_runs=1,
        rounds=1,
        rate=20.0,
        command=("emer-edge", "bench"),
    )
    return run_bench(request)


def test_the_file_holds_to_its_schema(result: dict[str, Any], tmp_path: Path) -> None:
    jsonschema = pytest.importorskip("jsonschema")
    schema = Path(emer_edge.__file__).parent / "schemas" / "bench.schema.json"
    jsonschema.Draft202012Validator(json.loads(schema.read_text())).validate(json.loads(to_text(result)))
    path = tmp_path / "result.json"
    path.write_text(to_text(result))
    assert read_result(path) == json.loads(to_text(result))


def test_every_scenario_was_measured(result: dict[str, Any]) -> None:
    assert set(result["scenarios"]) == {"single_stream", "multi_stream", "offline", "server"}
    samples = samples_of(result, "single_stream")
    assert samples
    assert {sample["new_tokens"] for sample in samples} == {3}
    assert all(sample["stages"]["vision"] > 0 for sample in samples)
    assert len(result["visits"]) == 3 * 1 * 2
    assert result["live"]["states"] >= 1
    assert 0 < result["live"]["age_p50_seconds"] <= result["live"]["age_p99_seconds"]
    assert not result["live"]["errors"]
    for name in ("files_cached", "files_evicted"):
        (run,) = result["cold_start"][name]
        parts = sum(run[phase] for phase in ("start", "imports", "load", "first_call"))
        assert run["total"] == pytest.approx(parts, abs=1e-4)
    assert result["memory"]["host_peak_bytes"] > 100e6
    assert {"vision", "audio", "prefill", "token"} <= set(result["roofline"])
    assert all(stage["percent"] > 0 for stage in result["roofline"].values())
    assert {"fp32", "int8"} <= set(result["ceilings"]["operations_per_second"])


def test_a_result_is_told_in_lines(result: dict[str, Any]) -> None:
    told = "\n".join(lines(result))
    for words in ("single-stream", "cold start", "of roofline", "tokens/s", "peak memory"):
        assert words in told


def other_device(result: dict[str, Any]) -> dict[str, Any]:
    found = copy.deepcopy(result)
    found["device"]["name"] = "NVIDIA Jetson <Orin>"
    found["device"]["jetson"] = {"power_mode": "25W", "jetpack": "6.2"}
    found["device"]["versions"]["numpy"] = "1.26.4"
    found["settings"]["threads"] = 6
    return found


def test_a_column_for_each_device_with_rate_and_latency(result: dict[str, Any]) -> None:
    rows = table([result, other_device(result)])
    assert rows[0][2] == "NVIDIA Jetson <Orin> cpu"
    by_name = {row[0]: row[1:] for row in rows}
    assert all("clips/s" in cell and "ms" in cell for cell in by_name["single-stream (p90)"])
    assert by_name["offline"][0].endswith("clips/s")
    assert "MB" in by_name["peak memory"][0]
    assert names_of([result, result]) == [f"{names_of([result])[0]} #1", f"{names_of([result])[0]} #2"]


def test_what_differs_is_flagged(result: dict[str, Any]) -> None:
    other = other_device(result)
    found = differences([result, other])
    assert any(line.startswith("power mode: - | 25W") for line in found)
    assert any(line.startswith("threads: ") for line in found)
    assert any(line.startswith("numpy: ") for line in found)
    assert not any(line.startswith("not comparable") for line in found)
    other["pack"]["manifest_sha256"] = "0" * 64
    other["settings"]["question"] = "labels"
    assert [line.split(":")[1].strip() for line in differences([result, other])[:2]] == ["pack", "question"]
    quiet = copy.deepcopy(result)
    quiet["state"]["others_busy_cores"] = 0.0
    assert text_table([quiet])[-1] == "the environments are equal"


def test_plots_and_page_are_whole_and_escape_names(result: dict[str, Any]) -> None:
    results = [result, other_device(result)]
    drawn = plots(results)
    assert set(drawn) == {"stages", "latency", "roofline-1", "roofline-2"}
    for svg in drawn.values():
        ElementTree.fromstring(svg)
    whole = page(results)
    assert "<Orin>" not in whole
    assert "&lt;Orin&gt;" in whole
    assert "http://" not in whole.replace("http://www.w3.org/2000/svg", "")
    assert "decode video" in drawn["stages"]


def test_a_result_without_scenarios_is_drawn_too(result: dict[str, Any]) -> None:
    bare = copy.deepcopy(result) | {"scenarios": {}, "roofline": {}, "cold_start": {}}
    for svg in plots([bare]).values():
        ElementTree.fromstring(svg)
    assert table([bare])[0] == ["", names_of([bare])[0]]


def test_the_command_writes_page_and_plots(result: dict[str, Any], tmp_path: Path) -> None:
    files = [tmp_path / "a.json", tmp_path / "b.json"]
    for path, found in zip(files, (result, other_device(result)), strict=True):
        path.write_text(to_text(found))
    folder = tmp_path / "page"
    called = CliRunner().invoke(root, ["bench", "compare", *map(str, files), "-o", str(folder)])
    assert called.exit_code == 0, called.output
    assert {path.name for path in folder.iterdir()} == {
        *("compare.html", "stages.svg", "latency.svg", "roofline-1.svg", "roofline-2.svg")
    }
    as_json = CliRunner().invoke(root, ["bench", "compare", str(files[0]), "--json"])
    assert json.loads(as_json.stdout)["differences"] is not None


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[]", "is not a result"),
        ("{}", "is not a result"),
        ("{", "can't be read"),
        ('{"kind": "emer-edge-bench"}', "version"),
    ],
)
def test_files_that_are_no_results_are_refused(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "bad.json"
    path.write_text(text)
    with pytest.raises(InputError, match=words):
        read_result(path)


def test_the_path_of_an_answer_is_the_slower_sense() -> None:
    stages = {
        "decode_video": 0.2,
        "faces": 0.3,
        "vision": 0.1,
        "audio": 0.1,
        "prefill": 0.05,
        "generate": 0.3,
    }
    sample = Sample("c", 0, 0.0, 1.0, 1.0, 0.0, stages)
    assert "audio" not in path_of(sample)
    assert sum(path_of(sample).values()) == pytest.approx(0.95)
    assert overhead(sample) == pytest.approx(0.05)
    assert [milliseconds(value) for value in (0.00123, 0.25, 12.0)] == ["1.23 ms", "250 ms", "12.0 s"]


def test_mlperfs_lengths() -> None:
    rule = rule_of(Request(mlperf=True), "multi_stream", 0.5, 16)
    assert (rule.least_seconds, rule.least_queries, rule.per_query) == (600.0, 662, 8)
    server = rule_of(Request(seconds=5), "server", 0.5, 16)
    assert (server.rate, server.bound_seconds, server.most_seconds) == (1.0, 2.0, 30.0)


def test_requests_that_make_no_sense_are_refused() -> None:
    for request in (Request(scenarios=("fast",)), Request(seconds=0), Request(rate=-1)):
        with pytest.raises(InputError):
            run_bench(request)
