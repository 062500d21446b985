"""`emer-edge doctor` in one place: runs every check, in the order of the report. Knows no terminal."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import chain

from emer_edge.bench.checks_engines import check_cuda_match, check_llama, check_media, check_onnx
from emer_edge.bench.checks_machine import check_cpu, check_energy, check_heat, check_jetson, check_memory
from emer_edge.bench.checks_user import check_cache, check_devices, check_packs
from emer_edge.bench.engines import Engines, look_at_engines
from emer_edge.bench.findings import Finding, Report
from emer_edge.bench.machine import Machine
from emer_edge.bench.self_test import self_test


def examine(
    machine: Machine | None = None,
    engines: Callable[[], Engines] = look_at_engines,
    trial: Callable[[], Finding] | None = self_test,
) -> Report:
    """Look at everything that emer-edge stands on.

    Args:
        machine: whose /proc, /sys and /etc; this one's by default.
        engines: looks at the engines.
        trial: the self test; None leaves it out.
    """
    machine = machine or Machine()
    found = engines()
    lines: Iterator[Finding] = chain(
        check_cpu(machine),
        check_memory(machine),
        check_heat(machine),
        check_energy(machine),
        check_media(found),
        check_onnx(found, machine),
        check_llama(found, machine),
        check_cuda_match(found, machine),
        check_jetson(machine),
        check_devices(machine),
        check_cache(),
        check_packs(),
    )
    findings = list(lines)
    # An engine that does not load fails the trial too: said once is enough.
    if trial is not None and not any(line.state == "fail" for line in findings):
        findings.append(trial())
    return Report(tuple(findings))
