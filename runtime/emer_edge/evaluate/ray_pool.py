"""Groups of rows on a Ray cluster: actors that hold a pack each; a worker that dies costs time and no clip.

Knows Ray, which groups are under way, and who died. Does not know runs, files of results or metrics. Answers
come back in the order of the groups, whatever the workers do, so that outputs are those of one process. Media
have to lie at the same paths on every node, and packs under the same name.
"""

from __future__ import annotations

import contextlib
import os
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from emer_edge import errors
from emer_edge.errors import Cancelled, DeviceError, EmerError, PackError
from emer_edge.evaluate.asking import Asked
from emer_edge.evaluate.carry import Group
from emer_edge.evaluate.outputs import Output
from emer_edge.evaluate.ray_worker import Done, Worker
from emer_edge.llm.library import Cancellable

DEATHS = 3
"""So many workers may die over one group before its clips count as what kills them."""
_AHEAD = 4
"""Groups for each worker that may be finished before an earlier one is."""
_POLL_SECONDS = 0.2


@dataclass(frozen=True)
class Job:
    """What every worker is to do.

    Args:
        pack: a name, or a path that every node has.
        device: of the engines.
        threads: CPU threads of a worker's engines, and the CPUs that it takes of the cluster.
        asked: how the pack is asked.
        system: what `pack_record` says of the pack here; a worker with another pack is refused.
        versions: what `runs.versions` says here; likewise.
        workers: how many; 0 takes as many as the cluster has CPUs (or GPUs, on a GPU) for.
        packs: folder of packs, where it is not the default.
        folder: that relative paths begin at; every node has it.
    """

    pack: str
    device: str
    threads: int
    asked: Asked
    system: dict[str, Any]
    versions: dict[str, str]
    workers: int = 0
    packs: str = ""
    folder: str = field(default_factory=os.getcwd)


def answer_on_ray(
    address: str,
    job: Job,
    groups: Sequence[Group],
    cancel: Cancellable | None = None,
    told: Callable[[str], None] = lambda _line: None,
    started: Callable[[int], None] = lambda _pid: None,
) -> Iterator[Sequence[Output]]:
    """The outputs of every group, in order.

    Args:
        address: `local` starts a cluster on this machine; else that of a running one, or `auto`.
        job: what to do.
        groups: what to ask.
        cancel: looked at several times a second.
        told: gets a line for people where a worker dies.
        started: gets the process id of every worker once it is ready.

    Raises:
        DeviceError: Ray is not installed, the cluster can't be reached, or no worker starts.
        PackError: a worker has another pack. Cancelled.
    """
    if not groups:
        return
    ray = _ray()
    here = _connect(ray, address)
    pool = _Pool(ray, job, told, started)
    try:
        yield from pool.run(groups, cancel)
    finally:
        pool.end()
        if here:
            ray.shutdown()


def _ray() -> Any:
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing is reported to anybody
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    try:
        import ray
    except ImportError as error:
        raise DeviceError("Ray is not installed.", str(error), "pip install 'emer-edge[ray]'") from error
    return ray


def _connect(ray: Any, address: str) -> bool:
    """Whether the connection was made here, and has to be closed here."""
    if ray.is_initialized():
        return False
    where = None if address == "local" else address
    try:
        ray.init(
            address=where or "local",
            include_dashboard=False if where is None else None,
            log_to_driver=False,
            logging_level="ERROR",
            namespace="emer-edge",
        )
    except Exception as error:  # Ray raises whatever its parts raise
        raise DeviceError(
            f"The Ray cluster {address!r:.80} can't be reached.", str(error)[:300], "Check --ray."
        ) from error
    return True


@dataclass
class _Actor:
    handle: Any
    place: int | None = None
    """Of the group that it works on."""


@dataclass
class _Pool:
    ray: Any
    job: Job
    told: Callable[[str], None]
    started: Callable[[int], None]
    actors: dict[Any, _Actor] = field(default_factory=dict)
    """What is under way (a start, or a group) -> whose it is."""
    idle: list[_Actor] = field(default_factory=list)
    refused: int = 0

    def run(self, groups: Sequence[Group], cancel: Cancellable | None) -> Iterator[Sequence[Output]]:
        """See `answer_on_ray`."""
        wanted = max(1, min(self.job.workers or self._room(), len(groups)))
        waiting, deaths = deque(range(len(groups))), Counter[int]()
        done: dict[int, list[Output]] = {}
        for _ in range(wanted):
            self._start()
        ahead, following = _AHEAD * wanted, 0
        while following < len(groups):
            if cancel is not None and cancel.cancelled:
                raise Cancelled("The workers were stopped.")
            while self.idle and waiting and waiting[0] < following + ahead:
                place = waiting.popleft()
                actor = self.idle.pop()
                actor.place = place
                self.actors[actor.handle.answer.remote(groups[place])] = actor
            ready, _ = self.ray.wait(list(self.actors), num_returns=1, timeout=_POLL_SECONDS)
            for reference in ready:
                actor = self.actors.pop(reference)
                found, at = self._get(reference, actor), actor.place
                if at is None:
                    continue
                if found is not None:
                    done[at] = found.outputs()
                    actor.place = None
                    self.idle.append(actor)
                    continue
                deaths[at] += 1
                if deaths[at] < DEATHS:
                    waiting.appendleft(at)
                else:
                    done[at] = [_killer(row.id) for row in groups[at]]
            while following in done:
                yield done.pop(following)
                following += 1

    def end(self) -> None:
        """Let every worker go."""
        for actor in [*self.actors.values(), *self.idle]:
            with contextlib.suppress(Exception):
                self.ray.kill(actor.handle)
        self.actors.clear()
        self.idle.clear()

    def _room(self) -> int:
        resources = self.ray.cluster_resources()
        if self.job.device != "cpu":
            return int(resources.get("GPU", 0))
        return int(resources.get("CPU", 0)) // self.job.threads

    def _start(self) -> None:
        gpus = 0 if self.job.device == "cpu" else 1
        remote = self.ray.remote(num_cpus=self.job.threads, num_gpus=gpus, max_restarts=0)(Worker)
        job = self.job
        handle = remote.remote(job.pack, job.device, job.threads, job.asked, job.folder, job.packs)
        self.actors[handle.about.remote()] = _Actor(handle)

    def _get(self, reference: Any, actor: _Actor) -> Done | None:
        """What a worker gave; None where it died, and another one is on its way."""
        try:
            found: Done = self.ray.get(reference)
        except self.ray.exceptions.RayTaskError as error:
            raise EmerError("A worker failed in a way it should not.", str(error.cause)[:300]) from error
        except self.ray.exceptions.RayError as error:
            self.told(f"a worker died ({type(error).__name__}), another one takes its clips")
            self.refused += actor.place is None
            if self.refused > DEATHS:
                raise DeviceError("No worker starts on the Ray cluster.", str(error)[:300]) from error
            with contextlib.suppress(Exception):  # it may only have been out of reach
                self.ray.kill(actor.handle)
            self._start()
            return None
        if found.error is not None:
            raise _as_error(found.error)
        if actor.place is None:
            self._check(found)
            self.started(found.pid)
            self.idle.append(actor)
        return found

    def _check(self, found: Done) -> None:
        for mine, theirs in ((self.job.system, found.system), (self.job.versions, found.versions)):
            for name in sorted({*mine, *theirs}):
                if mine.get(name) != theirs.get(name):
                    raise PackError(
                        f"A worker has another {name}: {theirs.get(name)!r:.80}.",
                        f"Here it is {mine.get(name)!r:.80}.",
                        "Install the same versions and the same pack on every node.",
                    )


def _as_error(record: dict[str, Any]) -> EmerError:
    kind = getattr(errors, str(record["kind"]), EmerError)
    error: EmerError = kind(record["what"], record["why"], record["todo"])
    return error


def _killer(name: str) -> Output:
    why = f"{DEATHS} workers died over it."
    return Output.failure(name, EmerError(f"{name} was not answered.", why, "Ask with --retry-failed."))
