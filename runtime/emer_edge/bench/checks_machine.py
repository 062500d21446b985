"""Doctor's checks of the machine: processor, memory, heat, GPU libraries, Jetson. Knows no engine's code."""

from __future__ import annotations

from collections.abc import Iterator

from emer_edge.bench.findings import Finding
from emer_edge.bench.jetson import BLOCK_BYTES, Jetson, read_jetson
from emer_edge.bench.machine import Cpu, Machine, read_cpu, read_memory, temperatures
from emer_edge.bench.nvidia import read_toolkits

X86_NEEDED = ("cx16", "popcnt", "sse4_1", "sse4_2", "ssse3")
"""x86-64-v2 (https://gitlab.com/x86-psABIs/x86-64-ABI), which every wheel of the engines asks for."""
X86_WANTED = ("avx2", "fma", "f16c")
ARM_NEEDED = ("asimd",)
ARM_WANTED = ("asimddp",)
ALSO = ("avx512f", "avx512_vnni", "avx_vnni", "amx_int8", "i8mm", "bf16", "sve", "fphp")
"""Told where they are there: engines use them by themselves."""

ENOUGH_BYTES, LITTLE_BYTES = 1024**3, 400 * 1024**2
"""Free memory: below the second not even the built-in pack runs (272 MiB on a 720p clip)."""
HOT_CELSIUS = 85.0
"""Jetson Orin and most laptops begin to throttle 10 to 15 degrees above this."""
FEW_BLOCKS = 64
"""Free 4 MiB blocks below which the GPU's allocator on Jetson is known to fail although memory is free."""


def check_cpu(machine: Machine) -> Iterator[Finding]:
    """Instruction sets, cores, governor."""
    cpu = read_cpu(machine)
    arm = cpu.architecture == "aarch64"
    needed, wanted = (ARM_NEEDED, ARM_WANTED) if arm else (X86_NEEDED, X86_WANTED)
    lacking = [flag for flag in needed if flag not in cpu.flags]
    slow = [flag for flag in wanted if flag not in cpu.flags]
    there = [flag for flag in (*wanted, *ALSO) if flag in cpu.flags]
    words = f"{cpu.model}, {cpu.architecture}, {' '.join(there) or 'no vector extension of note'}"
    if lacking:
        yield Finding(
            "cpu",
            "fail",
            f"{words}; lacks {' '.join(lacking)}, which the engines' wheels need",
            "pip install --no-binary onnxruntime,llama-cpp-python emer-edge",
        )
    elif slow:
        yield Finding(
            "cpu",
            "warn",
            f"{words}; lacks {' '.join(slow)}: several times slower",
            "emer-edge plan emer-nano",
        )
    else:
        yield Finding("cpu", "ok", words)
    yield _cores(cpu)
    yield from _governor(cpu)


def _cores(cpu: Cpu) -> Finding:
    words = f"{cpu.usable_cores:g} of {cpu.cores} cores usable"
    if cpu.usable_cores < 1:
        return Finding(
            "cores",
            "warn",
            f"{words}: the container holds every engine back",
            "docker update --cpus 2 CONTAINER",
        )
    return Finding("cores", "ok", words)


def _governor(cpu: Cpu) -> Iterator[Finding]:
    if not cpu.governor:
        yield Finding("clock", "ok", "the kernel shows no frequency control, as in a virtual machine")
    elif "powersave" in cpu.governor or "conservative" in cpu.governor:
        yield Finding(
            "clock",
            "warn",
            f"governor {cpu.governor}: first answers are slow and figures vary",
            "sudo cpupower frequency-set -g performance",
        )
    else:
        yield Finding("clock", "ok", f"governor {cpu.governor}")


def check_memory(machine: Machine) -> Iterator[Finding]:
    """Free memory, and what a container leaves of it."""
    memory = read_memory(machine)
    free = min(memory.available_bytes, memory.limit_bytes or memory.available_bytes)
    words = f"{_gib(free)} free of {_gib(memory.limit_bytes or memory.total_bytes)}"
    if memory.limit_bytes:
        words += f" that the control group allows (the machine has {_gib(memory.total_bytes)})"
    if free < LITTLE_BYTES:
        yield Finding("memory", "fail", words, "ps -eo rss,pid,comm --sort=-rss | head")
    elif free < ENOUGH_BYTES:
        yield Finding("memory", "warn", f"{words}; small packs only", "emer-edge plan emer-nano")
    else:
        yield Finding("memory", "ok", words)


def check_heat(machine: Machine) -> Iterator[Finding]:
    """The hottest thermal zone."""
    zones = temperatures(machine)
    if not zones:
        yield Finding("heat", "ok", "the kernel shows no thermal zone")
        return
    name, degrees = max(zones.items(), key=lambda zone: zone[1])
    words = f"{degrees:.0f} degrees in {name}"
    if degrees >= HOT_CELSIUS:
        yield Finding("heat", "warn", words, "watch -n1 cat /sys/class/thermal/thermal_zone*/temp")
    else:
        yield Finding("heat", "ok", words)


def check_energy(machine: Machine) -> Iterator[Finding]:
    """Whether the processor's energy counters can be read; benchmarks tell joules where they can."""
    counters = machine.glob("/sys/class/powercap/intel-rapl:[0-9]*/energy_uj")
    if counters and not all(machine.readable(path) for path in counters):
        yield Finding(
            "energy",
            "warn",
            "RAPL is there but only root may read it: no joules in benchmarks",
            "sudo chmod a+r /sys/class/powercap/intel-rapl:*/energy_uj",
        )
    elif counters:
        yield Finding("energy", "ok", f"RAPL, {len(counters)} counters")


def check_jetson(machine: Machine) -> Iterator[Finding]:
    """Release, power mode, clocks, contiguous memory; nothing where this is no Jetson."""
    board = read_jetson(machine)
    if board is None:
        return
    release = f"{board.model or 'Jetson'}, L4T {board.l4t or '?'}, JetPack {board.jetpack or '?'}"
    if board.cuda_major:
        yield Finding("jetson", "ok", release)
    else:
        yield Finding("jetson", "warn", f"{release}: a release we don't know", "cat /etc/nv_tegra_release")
    yield from _match(machine, board)
    yield _power(board)
    yield from _gpu_clock(board)
    yield _contiguous(board)
    if board.desktop:
        yield Finding(
            "desktop",
            "warn",
            "the graphical desktop starts by default and takes about a gigabyte",
            "sudo systemctl set-default multi-user.target && sudo reboot",
        )


def _match(machine: Machine, board: Jetson) -> Iterator[Finding]:
    """CUDA and TensorRT must be those of the JetPack: Jetson's driver serves no others."""
    tools = read_toolkits(machine)
    for name, found, wanted in (
        ("cuda", tools.cuda, board.cuda_major),
        ("tensorrt", tools.tensorrt, board.tensorrt_major),
    ):
        if not found:
            yield Finding(
                name, "warn", "not installed: the CPU alone is used", "sudo apt install nvidia-jetpack"
            )
        elif wanted and found.split(".")[0] != wanted:
            yield Finding(
                name,
                "fail",
                f"{found}, but JetPack {board.jetpack} brings {wanted}",
                "sudo apt install --reinstall nvidia-jetpack",
            )
        else:
            yield Finding(name, "ok", f"{found}, as JetPack {board.jetpack} brings it")


def _power(board: Jetson) -> Finding:
    best = next((name for name in board.power_modes if name.startswith("MAXN")), "")
    if not board.power_mode:
        return Finding("power", "warn", "nvpmodel does not tell the mode", "sudo nvpmodel -q")
    if best and not board.power_mode.startswith("MAXN"):
        number = board.power_modes.index(best)
        words = f"{board.power_mode}; {best} is up to 1.5 times faster"
        return Finding("power", "warn", words, f"sudo nvpmodel -m {number}")
    return Finding("power", "ok", board.power_mode)


def _gpu_clock(board: Jetson) -> Iterator[Finding]:
    if not board.gpu_most_megahertz:
        return
    words = f"GPU at {board.gpu_megahertz:.0f} of {board.gpu_most_megahertz:.0f} MHz"
    if board.gpu_megahertz < 0.99 * board.gpu_most_megahertz:
        yield Finding("clocks", "warn", f"{words}: clocks follow the load", "sudo jetson_clocks")
    else:
        yield Finding("clocks", "ok", words)


def _contiguous(board: Jetson) -> Finding:
    free = board.free_blocks * BLOCK_BYTES
    words = f"{board.free_blocks} free blocks of 4 MiB ({_gib(free)})"
    if board.cma_bytes:
        words += f", CMA {_gib(board.cma_free_bytes)} free of {_gib(board.cma_bytes)}"
    if board.free_blocks < FEW_BLOCKS:
        return Finding(
            "contiguous",
            "warn",
            f"{words}: memory is in pieces, GPU allocations may fail although memory is free",
            "echo 3 | sudo tee /proc/sys/vm/drop_caches && echo 1 | sudo tee /proc/sys/vm/compact_memory",
        )
    return Finding("contiguous", "ok", words)


def _gib(size_bytes: int) -> str:
    return f"{size_bytes / 1024**3:.1f} GiB"
