"""Energy, memory, GPUs, clips and processes: what stands round the scenarios."""

from __future__ import annotations

import ctypes
import time
from pathlib import Path

import pytest

from emer_edge.bench import clips as clip_sets
from emer_edge.bench.energy import Energy, joules_per_clip
from emer_edge.bench.engines import Engines
from emer_edge.bench.fingerprint import Neighbours, fingerprint, state
from emer_edge.bench.machine import Machine
from emer_edge.bench.memory import forget_peak, host_bytes
from emer_edge.bench.nvidia import Nvml
from emer_edge.errors import InputError
from tests.unit.bench.fake_trees import orin_nano, put, x86


def rapl(root: Path, number: int, name: str, microjoules: int) -> None:
    folder = f"/sys/class/powercap/intel-rapl:{number}"
    put(root, f"{folder}/name", name)
    put(root, f"{folder}/energy_uj", f"{microjoules}\n")
    put(root, f"{folder}/max_energy_range_uj", "262143328850\n")


def test_rapl_counts_packages_and_survives_its_wrap(tmp_path: Path) -> None:
    rapl(tmp_path, 0, "package-0", 5_000_000)
    rapl(tmp_path, 1, "package-1", 262_143_000_000)
    put(tmp_path, "/sys/class/powercap/intel-rapl:0:0/energy_uj", "1\n")
    energy = Energy(Machine(tmp_path))
    energy.start()
    rapl(tmp_path, 0, "package-0", 9_500_000)
    rapl(tmp_path, 1, "package-1", 671_150)
    spent = energy.stop()
    assert spent == {"rapl package-0 0": 4.5, "rapl package-1 1": 1.0}
    assert joules_per_clip(spent, 9) == {"rapl package-0 0": 0.5, "rapl package-1 1": 0.1111}


def test_a_jetsons_power_is_integrated(tmp_path: Path) -> None:
    machine = orin_nano(tmp_path)
    put(tmp_path, "/sys/class/hwmon/hwmon1/in1_label", "VDD_IN\n")
    put(tmp_path, "/sys/class/hwmon/hwmon1/in1_input", "5000\n")
    put(tmp_path, "/sys/class/hwmon/hwmon1/curr1_input", "2000\n")
    put(tmp_path, "/sys/class/hwmon/hwmon1/in2_label", "VDD_CPU_GPU_CV\n")
    put(tmp_path, "/sys/class/hwmon/hwmon1/in2_input", "5000\n")
    put(tmp_path, "/sys/class/hwmon/hwmon1/curr2_input", "900\n")
    energy, began = Energy(machine), time.monotonic()
    energy.start()
    time.sleep(0.3)
    spent = energy.stop()
    # A busy machine may let time pass before the watch begins and after it ends.
    assert 2.9 < spent["ina3221"] <= 10.01 * (time.monotonic() - began)


def test_a_machine_without_counters_tells_no_joules(tmp_path: Path) -> None:
    energy = Energy(x86(tmp_path))
    energy.start()
    assert energy.stop() == {}


class FakeNvml:
    """libnvidia-ml with one GPU that used 1.5 J and knows no clocks."""

    def nvmlInit_v2(self) -> int:  # noqa: N802
        return 0

    def nvmlDeviceGetCount_v2(self, count: object) -> int:  # noqa: N802
        ctypes.cast(count, ctypes.POINTER(ctypes.c_uint))[0] = 1  # type: ignore[arg-type]
        return 0

    def nvmlDeviceGetHandleByIndex_v2(self, index: int, device: object) -> int:  # noqa: N802
        return 0

    def nvmlDeviceGetName(self, device: object, name: ctypes.Array[ctypes.c_char], size: int) -> int:  # noqa: N802
        name.value = b"NVIDIA Test"
        return 0

    def nvmlDeviceGetTotalEnergyConsumption(self, device: object, value: object) -> int:  # noqa: N802
        ctypes.cast(value, ctypes.POINTER(ctypes.c_ulonglong))[0] = 1500  # type: ignore[arg-type]
        return 0


def test_nvml_is_asked_through_its_c_functions() -> None:
    nvml = Nvml(FakeNvml())
    (gpu,) = nvml.gpus()
    assert (gpu.name, gpu.sm_megahertz, gpu.memory_bytes) == ("NVIDIA Test", 0, 0)
    assert nvml.joules() == 1.5
    assert nvml.cuda() == nvml.driver() == ""


def test_the_fingerprint_of_a_jetson(tmp_path: Path) -> None:
    machine = orin_nano(tmp_path)
    found = fingerprint(machine, Engines(llama_features={"NEON": True, "SVE": False}))
    assert found["name"] == "NVIDIA Jetson Orin Nano Developer Kit Super"
    assert found["jetson"]["power_mode"] == "25W"
    assert (found["cuda"], found["tensorrt"], found["driver"]) == ("12.6.68", "10.3.0", "540.4.0")
    assert found["build"]["llama.cpp"] == ["NEON"]
    now = state(machine)
    assert now["celsius"] == {"cpu-thermal": 51.2}
    assert now["jetson_gpu_megahertz"] == 306.0


def test_neighbours_are_what_is_busy_and_not_ours() -> None:
    neighbours, began = Neighbours(Machine()), time.process_time()
    while time.process_time() - began < 0.3:
        pass
    found = neighbours.cores()
    assert found is not None
    assert found >= 0


def test_the_peak_of_the_process_is_told_and_forgotten() -> None:
    block = bytearray(64 * 1024**2)
    block[::4096] = b"x" * len(block[::4096])
    before = host_bytes()
    assert before["peak"] >= before["resident"] > 0
    del block
    if forget_peak():
        assert host_bytes()["peak"] < before["peak"]


def test_made_clips_come_from_their_seeds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(clip_sets, "LONGEST_SECONDS", 3.1)
    told: list[tuple[int, int]] = []
    first = clip_sets.made_clips(2, 7, lambda done, of: told.append((done, of)))
    assert told == [(0, 2), (1, 2)]
    assert len({path.read_bytes() for path in first.paths}) == 2
    again = clip_sets.made_clips(2, 7, lambda *_: pytest.fail("they are there already"))
    assert again == first
    assert first.to_dict()["names"] == ["made-7-000.mp4", "made-7-001.mp4"]
    first.paths[1].unlink()
    first.paths[1].with_suffix(".srt").unlink()
    assert clip_sets.made_clips(2, 7).sha256 == first.sha256
    with pytest.raises(InputError):
        clip_sets.made_clips(0)


def test_own_clips_are_files_and_folders(tmp_path: Path) -> None:
    for name in ("b.mp4", "a.WAV", "notes.txt"):
        (tmp_path / name).write_bytes(b"x")
    found = clip_sets.own_clips([tmp_path, tmp_path / "b.mp4"])
    assert [path.name for path in found.paths] == ["a.WAV", "b.mp4", "b.mp4"]
    assert found.origin == "own"
    with pytest.raises(InputError, match="not there"):
        clip_sets.own_clips([tmp_path / "absent.mp4"])
