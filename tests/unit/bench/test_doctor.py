"""Doctor on machines that are not here: every sentence and every command comes from a faked tree."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from emer_edge.bench import checks_engines, checks_machine, checks_user
from emer_edge.bench.doctor import examine
from emer_edge.bench.engines import Engines, look_at_engines
from emer_edge.bench.findings import Finding
from emer_edge.bench.jetson import read_jetson
from emer_edge.bench.machine import Machine, read_cpu, read_memory
from emer_edge.bench.nvidia import read_toolkits
from emer_edge.bench.self_test import faults, self_test
from emer_edge.cli.main import root as command
from emer_edge.results import Alone, Emotion, Reasoning, Timings, Used
from tests.unit.bench.fake_trees import ARM_FLAGS, X86_FLAGS, orin_nano, put, x86

WELL = Engines(
    versions={"onnxruntime": "1.32.0", "llama-cpp-python": "0.3.36", "av": "18.1.0"},
    devices={"cpu": ""},
    llama_features={"AVX2": True, "FMA": True, "F16C": True},
    native_decoder="59.37.100",
    pyav_codecs=frozenset({"h264", "aac"}),
)


def by_name(findings: Iterable[Finding]) -> dict[str, Finding]:
    return {finding.name: finding for finding in findings}


def test_a_sound_laptop_has_nothing_to_mend(tmp_path: Path) -> None:
    report = examine(x86(tmp_path), lambda: WELL, trial=lambda: Finding("self test", "ok", "fine"))
    machine = [line for line in report.findings if line.name not in ("cache", "cache state", "packs", "disk")]
    assert {line.state for line in machine} == {"ok"}
    assert all(not line.mend for line in machine)
    assert machine[-1].name == "self test"


def test_every_line_that_is_not_ok_names_a_command(tmp_path: Path) -> None:
    machine = orin_nano(tmp_path, cuda="13.0.48")
    sick = Engines(
        versions={"onnxruntime": "1.32.0"},
        devices={"cpu": "", "cuda": "libcublas.so.12: cannot open shared object file"},
        onnx_cuda_major="12",
        llama_features={"AVX2": True},
    )
    report = examine(machine, lambda: sick, trial=None)
    assert report.state == "fail"
    for line in report.findings:
        assert (line.state == "ok") == (not line.mend), line


def test_the_trial_is_left_out_where_an_engine_is_broken(tmp_path: Path) -> None:
    called = []

    def trial() -> Finding:
        called.append(1)
        return Finding("self test", "ok", "")

    broken = Engines(devices={"cpu": "no such file"})
    assert examine(x86(tmp_path), lambda: broken, trial).state == "fail"
    assert not called


def test_old_processors_fail_and_slow_ones_warn(tmp_path: Path) -> None:
    old = by_name(checks_machine.check_cpu(x86(tmp_path / "old", "fpu cx16 ssse3")))
    assert old["cpu"].state == "fail"
    assert "sse4_2" in old["cpu"].found
    slow = by_name(checks_machine.check_cpu(x86(tmp_path / "slow", X86_FLAGS.replace(" avx2 fma f16c", ""))))
    assert slow["cpu"].state == "warn"


def test_powersave_is_mended_by_cpupower(tmp_path: Path) -> None:
    machine = x86(tmp_path)
    put(tmp_path, "/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor", "powersave\n")
    clock = by_name(checks_machine.check_cpu(machine))["clock"]
    assert (clock.state, clock.mend) == ("warn", "sudo cpupower frequency-set -g performance")


def test_a_container_gets_what_its_group_allows(tmp_path: Path) -> None:
    machine = x86(tmp_path)
    put(tmp_path, "/sys/fs/cgroup/cpu.max", "150000 100000\n")
    put(tmp_path, "/sys/fs/cgroup/memory.max", f"{512 * 1024**2}\n")
    assert read_cpu(machine).usable_cores == 1.5
    assert read_memory(machine).limit_bytes == 512 * 1024**2
    memory = by_name(checks_machine.check_memory(machine))["memory"]
    assert memory.state == "warn"
    assert "control group" in memory.found


@pytest.mark.parametrize(("available_kb", "state"), [(300_000, "fail"), (800_000, "warn"), (2_000_000, "ok")])
def test_memory_by_what_is_free(tmp_path: Path, available_kb: int, state: str) -> None:
    machine = x86(tmp_path, available_kb=available_kb)
    assert by_name(checks_machine.check_memory(machine))["memory"].state == state


def test_a_jetson_is_read_from_its_files(tmp_path: Path) -> None:
    board = read_jetson(orin_nano(tmp_path))
    assert board is not None
    assert board.model == "NVIDIA Jetson Orin Nano Developer Kit Super"
    assert (board.l4t, board.jetpack, board.power_mode) == ("36.4.3", "6.2", "25W")
    assert (board.gpu_megahertz, board.gpu_most_megahertz) == (306.0, 1020.0)
    assert board.free_blocks == 17
    assert (board.cma_bytes, board.cma_free_bytes) == (256 * 1024**2, 128 * 1024**2)
    assert read_jetson(x86(tmp_path / "laptop")) is None


@pytest.mark.parametrize(
    ("l4t", "jetpack"),
    [
        ("R38 (release), REVISION: 2.0", "7"),
        ("R36 (release), REVISION: 4.4", "6.2.1"),
        ("R36 (release), REVISION: 3.0", "6.0"),
        ("R35 (release), REVISION: 6.1", "5"),
    ],
)
def test_the_jetpack_of_a_release(tmp_path: Path, l4t: str, jetpack: str) -> None:
    board = read_jetson(orin_nano(tmp_path, l4t=l4t))
    assert board is not None
    assert board.jetpack == jetpack


def test_an_installed_jetpack_is_believed_first(tmp_path: Path) -> None:
    machine = orin_nano(tmp_path)
    put(
        tmp_path,
        "/var/lib/dpkg/status",
        "Package: nvidia-jetpack-dev\nVersion: 9\n\nPackage: nvidia-jetpack\nStatus: install ok\n"
        "Version: 6.2.1+b38\n\nPackage: zlib\nVersion: 1\n",
    )
    board = read_jetson(machine)
    assert board is not None
    assert board.jetpack == "6.2.1"


def test_a_jetson_below_its_best_is_told_how_to_get_there(tmp_path: Path) -> None:
    found = by_name(checks_machine.check_jetson(orin_nano(tmp_path)))
    assert found["power"].mend == "sudo nvpmodel -m 2"
    assert found["clocks"].mend == "sudo jetson_clocks"
    assert found["contiguous"].state == "warn"
    assert "17 free blocks of 4 MiB" in found["contiguous"].found
    assert found["cuda"].state == found["tensorrt"].state == "ok"


def test_another_cuda_than_the_jetpacks_fails(tmp_path: Path) -> None:
    found = by_name(checks_machine.check_jetson(orin_nano(tmp_path, cuda="13.0.1")))
    assert found["cuda"].state == "fail"
    assert "13.0.1" in found["cuda"].found


def test_the_best_mode_is_fine(tmp_path: Path) -> None:
    assert by_name(checks_machine.check_jetson(orin_nano(tmp_path, mode=2)))["power"].state == "ok"


def test_heat_counts_zones_that_are_on(tmp_path: Path) -> None:
    machine = orin_nano(tmp_path)
    (cool,) = checks_machine.check_heat(machine)
    assert (cool.state, cool.found) == ("ok", "51 degrees in cpu-thermal")
    put(tmp_path, "/sys/class/thermal/thermal_zone0/temp", "96000\n")
    (hot,) = checks_machine.check_heat(machine)
    assert hot.state == "warn"


def test_llama_built_for_another_processor_will_crash(tmp_path: Path) -> None:
    engines = Engines(llama_features={"AVX2": True, "AVX512": True})
    line = by_name(checks_engines.check_llama(engines, x86(tmp_path)))["llama.cpp"]
    assert line.state == "fail"
    assert "AVX512" in line.found


def test_idle_instructions_are_worth_a_build(tmp_path: Path) -> None:
    machine = x86(tmp_path, ARM_FLAGS + " i8mm")
    engines = Engines(llama_features={"NEON": True, "DOTPROD": True})
    line = by_name(checks_engines.check_llama(engines, machine))["llama.cpp"]
    assert line.state == "warn"
    assert "MATMUL_INT8" in line.found
    assert "GGML_NATIVE=on" in line.mend


def test_a_gpu_that_lies_idle_is_told(tmp_path: Path) -> None:
    machine = x86(tmp_path)
    put(
        tmp_path,
        "/proc/driver/nvidia/version",
        "NVRM version: NVIDIA UNIX x86_64 Kernel Module  550.54.15  Tue\n",
    )
    assert read_toolkits(machine).driver == "550.54.15"
    assert "emer-edge[gpu]" in by_name(checks_engines.check_onnx(WELL, machine))["onnxruntime cuda"].mend
    assert "GGML_CUDA=on" in by_name(checks_engines.check_llama(WELL, machine))["llama.cpp gpu"].mend


@pytest.mark.parametrize(("driver", "state"), [("470.82.01", "fail"), ("550.54.15", "ok")])
def test_the_driver_must_serve_the_build(tmp_path: Path, driver: str, state: str) -> None:
    machine = x86(tmp_path)
    put(
        tmp_path,
        "/proc/driver/nvidia/version",
        f"NVRM version: NVIDIA UNIX x86_64 Kernel Module  {driver}  x\n",
    )
    (line,) = checks_engines.check_cuda_match(Engines(onnx_cuda_major="12"), machine)
    assert line.state == state


def test_folders_of_the_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    folder = tmp_path / "emer-edge"
    assert "will be made" in by_name(checks_user.check_cache())["cache"].found
    folder.mkdir()
    folder.chmod(0o777)
    (folder / ".emer-tmp-1").write_text("x")
    found = by_name(checks_user.check_cache())
    assert found["cache"].mend == f"chmod go-w {folder}"
    assert found["cache state"].state == "warn"


def test_the_real_engines_load_here() -> None:
    engines = look_at_engines()
    assert engines.devices["cpu"] == ""
    assert engines.llama_features
    assert {"h264", "aac"} <= engines.pyav_codecs


def test_the_self_test_passes_here() -> None:
    line = self_test()
    assert line.state in ("ok", "warn")  # a busy machine may need more than two seconds
    assert "emer-nano" in line.found


def test_noise_that_a_pack_leaves_out_was_read_all_the_same() -> None:
    out = Reasoning(
        clip="self test",
        question="explain",
        text="The words.",
        emotions=(Emotion("happy", 1.0),),
        clues=(),
        used=Used(("subtitle",)),
        timings=Timings(new_tokens=3),
        scores={"happy": 1.0},
        alone=(Alone("audio", "unclear", 0.9, True), Alone("subtitle", "happy", 0.9, True)),
    )
    assert faults(out) == ""
    assert faults(replace(out, alone=())) == "only subtitle was used"


def test_a_pack_that_is_missing_fails_the_self_test() -> None:
    line = self_test("no-such-pack")
    assert line.state == "fail"
    assert line.mend


def test_the_command_prints_lines_or_json() -> None:
    lines = CliRunner().invoke(command, ["doctor", "--no-self-test"])
    assert lines.exit_code in (0, 1)
    assert "llama.cpp" in lines.stdout
    record = json.loads(CliRunner().invoke(command, ["doctor", "--no-self-test", "--json"]).stdout)
    assert record["schema_version"] == "1.0"
    assert {"name", "state", "found", "mend"} == set(record["findings"][0])


def test_a_tree_without_anything_is_no_crash(tmp_path: Path) -> None:
    report = examine(Machine(tmp_path), lambda: Engines(devices={"cpu": ""}), trial=None)
    assert report.state == "fail"
