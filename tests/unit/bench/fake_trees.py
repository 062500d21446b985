"""File trees of machines that are not here: a Jetson Orin Nano, a laptop, a container."""

from __future__ import annotations

from pathlib import Path

from emer_edge.bench.machine import Machine

X86_FLAGS = "fpu cx16 popcnt ssse3 sse4_1 sse4_2 avx avx2 fma f16c"
ARM_FLAGS = "fp asimd evtstrm aes crc32 atomics fphp asimdhp asimdrdm lrcpc dcpop asimddp"


def put(root: Path, path: str, text: str) -> None:
    """Write one file of a tree."""
    target = root / path.lstrip("/")
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(text)


def x86(root: Path, flags: str = X86_FLAGS, available_kb: int = 8_000_000) -> Machine:
    """A laptop of four cores."""
    core = f"processor\t: 0\nmodel name\t: Some Laptop CPU\ncpu MHz\t\t: 2400.5\nflags\t\t: {flags}\n\n"
    put(root, "/proc/cpuinfo", core * 4)
    put(root, "/proc/meminfo", f"MemTotal: 16000000 kB\nMemAvailable: {available_kb} kB\nSwapTotal: 0 kB\n")
    return Machine(root)


def orin_nano(
    root: Path, *, l4t: str = "R36 (release), REVISION: 4.3", mode: int = 1, cuda: str = "12.6.68"
) -> Machine:
    """An Orin Nano with JetPack 6.2, in the 25 W mode, its memory in pieces."""
    core = f"processor\t: 0\nFeatures\t: {ARM_FLAGS}\nCPU implementer\t: 0x41\n\n"
    put(root, "/proc/cpuinfo", core * 6)
    put(
        root,
        "/proc/meminfo",
        "MemTotal: 7800000 kB\nMemAvailable: 5000000 kB\nSwapTotal: 3900000 kB\n"
        "CmaTotal: 262144 kB\nCmaFree: 131072 kB\n",
    )
    put(root, "/proc/device-tree/model", "NVIDIA Jetson Orin Nano Developer Kit Super\0")
    put(root, "/etc/nv_tegra_release", f"# {l4t}, GCID: 38968081, BOARD: generic, EABI: aarch64\n")
    put(
        root,
        "/etc/nvpmodel.conf",
        "< POWER_MODEL ID=0 NAME=15W >\n< POWER_MODEL ID=1 NAME=25W >\n"
        "< POWER_MODEL ID=2 NAME=MAXN_SUPER >\n",
    )
    put(root, "/var/lib/nvpmodel/status", f"pmode:{mode:04d}\n")
    put(root, "/sys/class/devfreq/17000000.gpu/cur_freq", "306000000\n")
    put(root, "/sys/class/devfreq/17000000.gpu/max_freq", "1020000000\n")
    put(
        root,
        "/proc/buddyinfo",
        "Node 0, zone      DMA    900    700    500    300    200    100    60    40    20    10    12\n"
        "Node 0, zone   Normal   9000   7000   5000   3000   2000   1000   600   400   200   100     5\n",
    )
    put(root, "/sys/class/thermal/thermal_zone0/type", "cpu-thermal\n")
    put(root, "/sys/class/thermal/thermal_zone0/temp", "51250\n")
    put(root, "/sys/class/thermal/thermal_zone1/type", "gpu-thermal\n")
    put(root, "/sys/class/thermal/thermal_zone1/temp", "-256000\n")
    put(root, "/usr/local/cuda/version.json", f'{{"cuda": {{"name": "CUDA SDK", "version": "{cuda}"}}}}')
    put(root, "/usr/lib/aarch64-linux-gnu/libnvinfer.so.10", "")
    put(root, "/usr/lib/aarch64-linux-gnu/libnvinfer.so.10.3.0", "")
    put(
        root,
        "/proc/driver/nvidia/version",
        "NVRM version: NVIDIA UNIX Open Kernel Module for aarch64  540.4.0  Release Build\n",
    )
    return Machine(root)
