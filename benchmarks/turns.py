"""Peers that take turns: each lives in a process of its own, gets the same items, and tells its figures.

Knows processes, pipes, turns and medians. Does not know what is measured. A process of its own keeps one
peer's libav, threads and memory away from another's, and a peer that dies is a line in the result.
"""

from __future__ import annotations

import multiprocessing
import resource
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any

from benchmarks.environment import median

Figures = dict[str, Any]
Job = Callable[[Any], Figures]
"""Takes an item, returns figures by name; numbers are milliseconds where the name ends in _ms."""
WAIT_SECONDS = 1800.0
"""A peer that has not answered by then counts as hanging; the first call of a compiled one takes minutes."""


class Absent(Exception):
    """What a maker raises where its peer can't be had here; the words say why."""


@dataclass(frozen=True)
class Way:
    """One way to do the work: a name, and what makes its job in the peer's process."""

    name: str
    make: Callable[..., Job]
    settings: tuple[Any, ...] = ()


class Stopwatch:
    """Wall and processor milliseconds of all threads of this process, from one `stop` to the next."""

    def __init__(self) -> None:
        self._wall, self._cpu = time.perf_counter(), time.process_time()

    def stop(self, name: str) -> Figures:
        """Figures `NAME_ms` and `NAME_cpu_ms` since the last stop, or since the beginning."""
        wall, cpu = time.perf_counter(), time.process_time()
        out = {f"{name}_ms": 1e3 * (wall - self._wall), f"{name}_cpu_ms": 1e3 * (cpu - self._cpu)}
        self._wall, self._cpu = wall, cpu
        return out


def peak_megabytes() -> float:
    """The largest resident memory this process has had."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


class Peer:
    """A running way. `absent` says why it is not there; `ask` gives its figures or an `error`."""

    def __init__(self, way: Way) -> None:
        context = multiprocessing.get_context("spawn")
        self.name, self.absent = way.name, ""
        self._pipe, there = context.Pipe()
        self._process = context.Process(target=_serve, args=(there, way.make, way.settings), daemon=True)
        self._process.start()
        there.close()
        self.start = self._take()
        self.absent = str(self.start.get("absent") or self.start.get("error") or "")

    def ask(self, item: Any) -> Figures:
        """What the peer measured on an item."""
        if self.absent:
            return {"error": self.absent}
        self._pipe.send(item)
        return self._take()

    def _take(self) -> Figures:
        try:
            if self._pipe.poll(WAIT_SECONDS):
                found: Figures = self._pipe.recv()
                return found
            why = f"no answer in {WAIT_SECONDS:g} s"
        except (EOFError, OSError):
            self._process.join(5)
            why = f"the process died with code {self._process.exitcode}"
        self.absent = why
        self._process.kill()
        self._process.join(5)
        return {"error": why}

    def close(self) -> None:
        """End the process."""
        if self._process.is_alive():
            try:
                self._pipe.send(None)
            except OSError:
                self._process.kill()
            self._process.join(10)
            if self._process.is_alive():
                self._process.kill()
                self._process.join(5)
        self._pipe.close()


def _serve(pipe: Connection, make: Callable[..., Job], settings: tuple[Any, ...]) -> None:
    began = time.perf_counter()
    try:
        job = make(*settings)
    except (Absent, ImportError) as why:
        pipe.send({"absent": str(why)})
        return
    except Exception as error:
        pipe.send({"error": f"{type(error).__name__}: {error}"[:400]})
        return
    pipe.send({"load_seconds": time.perf_counter() - began, "loaded_megabytes": peak_megabytes()})
    while (item := pipe.recv()) is not None:
        try:
            found = {**job(item), "peak_megabytes": peak_megabytes()}
        except Exception as error:
            found = {"error": f"{type(error).__name__}: {error}"[:400]}
        pipe.send(found)


def take_turns(peers: Sequence[Peer], items: Iterable[Any]) -> dict[str, list[Figures]]:
    """Every peer on every item, by peer; who begins changes from item to item."""
    found: dict[str, list[Figures]] = {peer.name: [] for peer in peers}
    for number, item in enumerate(items):
        shift = number % max(1, len(peers))
        for peer in [*peers[shift:], *peers[:shift]]:
            found[peer.name].append(peer.ask(item))
    return found


def summary(samples: Sequence[Mapping[str, Any]]) -> Figures:
    """First call apart; median, least and most of every number in the others, or the first error.

    >>> summary([{"x_ms": 9.0}, {"x_ms": 1.0}, {"x_ms": 2.0}, {"x_ms": 3.0}])["median"]
    {'x_ms': 2.0}
    """
    errors = [str(sample["error"]) for sample in samples if "error" in sample]
    if errors:
        return {"error": errors[0], "failed": len(errors), "runs": len(samples)}
    first, warm = samples[0], samples[1:]
    names = [name for name, value in first.items() if isinstance(value, (int, float))]
    columns = {name: [float(sample[name]) for sample in warm] for name in names if warm}
    return {
        "first": {name: _round(float(first[name])) for name in names},
        "median": {name: _round(median(values)) for name, values in columns.items()},
        "least": {name: _round(min(values)) for name, values in columns.items()},
        "most": {name: _round(max(values)) for name, values in columns.items()},
        "runs": len(warm),
    }


def _round(value: float) -> float:
    return float(f"{value:.5g}")
