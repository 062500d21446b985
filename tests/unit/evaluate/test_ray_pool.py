"""Workers on a real Ray cluster of this machine: one is killed, no clip is lost, none comes twice."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections import Counter
from pathlib import Path

import pytest

from emer_edge.errors import DeviceError, PackError
from emer_edge.evaluate.asking import Asked, pack_record
from emer_edge.evaluate.carry import carry_out_groups, groups_left
from emer_edge.evaluate.datasets import DataSet, Row
from emer_edge.evaluate.run_files import OUTPUTS
from emer_edge.evaluate.runs import RunConfig, RunFolder, versions
from emer_edge.limits import Limits
from emer_edge.packs.manifest import load_manifest
from emer_edge.packs.store import find_pack

CLIPS = 40
WORDS = ("I am so happy!", "Leave me alone.", "My dog died.", "Where is the station?", "")


def test_without_ray_the_error_says_what_to_install(monkeypatch) -> None:
    from emer_edge.evaluate.ray_pool import answer_on_ray

    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(DeviceError, match="not installed"):
        next(iter(answer_on_ray("local", job(), [(Row("a"),)])))
    assert list(answer_on_ray("local", job(), [])) == []


def test_a_worker_answers_groups_and_says_what_it_is(tmp_path) -> None:
    from emer_edge.evaluate.ray_worker import Worker

    here = Path.cwd()
    worker = Worker("emer-nano", "cpu", 1, Asked(text_only=True, max_tokens=0), str(here))
    about = worker.about()
    assert about.system == job().system
    assert about.versions == versions()
    first, second = worker.answer([Row("a", subtitle="Great!"), Row("b", subtitle="")]).outputs()
    assert first.labels
    assert (second.failed, second.id) == (True, "b")
    broken = Worker("no-such-pack", "cpu", 1, Asked(), str(here))
    assert broken.answer([Row("a")]).error == broken.about().error
    assert broken.about().error["kind"] == "PackNotFoundError"
    lost = Worker("emer-nano", "cpu", 1, Asked(), str(tmp_path / "none"))
    assert lost.about().error["kind"] == "DeviceError"


def job(**changes):
    from emer_edge.evaluate.ray_pool import Job

    folder = find_pack("emer-nano")
    system = pack_record(folder, load_manifest(folder, Limits()), "cpu")
    fields = {
        "pack": "emer-nano",
        "device": "cpu",
        "threads": 1,
        "asked": Asked(text_only=True, max_tokens=8),
        "system": system,
        "versions": versions(),
        "workers": 2,
    }
    return Job(**{**fields, **changes})


def data() -> DataSet:
    clips = (Row(f"clip {n}", subtitle=f"{WORDS[n % 5]} {n}" if n % 5 < 4 else "") for n in range(CLIPS))
    return DataSet("words", "plain", tuple(clips))


@pytest.fixture(scope="module")
def cluster():
    """A cluster of its own processes on this machine, which this process joins.

    EMER_EDGE_TEST_RAY names one that runs already: Ray gives its own parts 15 s to start, which is not enough
    on a machine that is busy with something else.
    """
    ray = pytest.importorskip("ray")
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    where = os.environ.get("EMER_EDGE_TEST_RAY", "local")
    own = {"num_cpus": 2, "include_dashboard": False} if where == "local" else {}
    ray.init(address=where, log_to_driver=False, logging_level="ERROR", **own)
    yield ray
    ray.shutdown()


@pytest.mark.slow
@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize("size", [1, 4])
def test_a_killed_worker_costs_no_clip_and_changes_nothing(cluster, tmp_path, size) -> None:
    import emer_edge as ee
    from emer_edge.evaluate.asking import ask_rows
    from emer_edge.evaluate.carry import one_by_one
    from emer_edge.evaluate.ray_pool import answer_on_ray

    rows, asked = data(), Asked(text_only=True, max_tokens=8, at_once=size)
    work = job(asked=asked)
    config = RunConfig("run", work.system, asked.to_dict(), rows.describe())
    with (
        ee.load("emer-nano", threads=1, at_once=size) as reasoner,
        RunFolder(tmp_path / "one", config, rows) as run,
    ):
        carry_out_groups(run, one_by_one(lambda group: ask_rows(reasoner, group, asked)), size)
    wanted = (tmp_path / "one" / OUTPUTS).read_bytes()

    started, killed, told = list[int](), list[int](), list[str]()
    with RunFolder(tmp_path / "ray", config, rows) as run:

        def answers(groups):
            for place, outputs in enumerate(
                answer_on_ray("local", work, groups, None, told.append, started.append)
            ):
                if place in (2, 2 + 8 // size):  # two of them die, while they work
                    killed.append(next(pid for pid in reversed(started) if pid not in killed))
                    os.kill(killed[-1], signal.SIGKILL)
                yield outputs

        assert carry_out_groups(run, answers, size) == CLIPS
        assert groups_left(run, size) == []
    assert (tmp_path / "ray" / OUTPUTS).read_bytes() == wanted
    ids = Counter(json.loads(line)["id"] for line in wanted.splitlines())
    assert len(ids) == CLIPS
    assert set(ids.values()) == {1}
    assert len(killed) == 2
    assert len(told) >= 1
    assert len(started) >= 3


@pytest.mark.slow
@pytest.mark.filterwarnings("default")
def test_a_worker_with_another_pack_is_refused(cluster) -> None:
    from emer_edge.evaluate.ray_pool import answer_on_ray

    other = job(system={**job().system, "sha256": "0" * 64})
    with pytest.raises(PackError, match="another sha256"):
        list(answer_on_ray("local", other, [(Row("a", subtitle="hello"),)]))
    with pytest.raises(PackError):
        list(answer_on_ray("local", job(pack="no-such-pack"), [(Row("a", subtitle="hello"),)]))


@pytest.mark.slow
@pytest.mark.filterwarnings("default")
def test_a_clip_that_kills_its_workers_fails_and_the_others_go_on(cluster, monkeypatch) -> None:
    from emer_edge.evaluate import ray_pool

    class Deadly(ray_pool.Worker):
        def answer(self, rows):
            if rows[0].id == "deadly":
                os._exit(1)
            return super().answer(rows)

    monkeypatch.setattr(ray_pool, "Worker", Deadly)
    groups = [(Row(name, subtitle="hello"),) for name in ("a", "deadly", "b")]
    found = [output for (output,) in ray_pool.answer_on_ray("local", job(workers=1), groups)]
    assert [(one.id, one.failed) for one in found] == [("a", False), ("deadly", True), ("b", False)]
    assert "3 workers died" in found[1].error["why"]
