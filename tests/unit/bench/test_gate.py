"""The gate: finds what is planted, lets noise pass, refuses what can't be compared."""

from __future__ import annotations

import doctest
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from emer_edge.bench import gate
from emer_edge.bench.gate import judge, lines
from emer_edge.bench.result import to_text
from emer_edge.bench.run import pool
from emer_edge.bench.serial import Errand, Visit, profile, visit
from emer_edge.cli.main import root
from emer_edge.errors import GenerationError, InputError
from emer_edge.session import Session

COSTS = {"decode_video": 0.03, "faces": 0.3, "vision": 0.02, "audio": 0.06, "prefill": 0.01, "generate": 0.05}


def made(seed: int, slow: str = "", *, share: float = 0.15, level: float = 1.0) -> dict[str, Any]:
    """Visits of 8 clips by 3 processes: 6 % noise in each stage, 15 % that the stages of a visit share."""
    random = np.random.default_rng(seed)
    clip_factors = np.random.default_rng(0).uniform(0.7, 1.4, (8, len(COSTS)))
    visits = []
    for process in range(3):
        for number in range(2):
            for index in range(8):
                shared = level * np.exp(0.15 * random.standard_normal())
                seconds = {
                    stage: float(
                        cost * clip_factors[index, at] * shared * np.exp(0.06 * random.standard_normal())
                    )
                    for at, (stage, cost) in enumerate(COSTS.items())
                }
                if slow:
                    seconds[slow] *= 1 + share
                one = Visit("c", index, number, process, 0.001, seconds, seconds)
                visits.append(one.to_dict())
    return {
        "kind": "emer-edge-bench",
        "schema_version": "1.0",
        "device": {},
        "scenarios": {},
        "summary": {},
        "visits": visits,
        "settings": {"device": "cpu", "threads": 2},
        "clips": {"sha256": "x", "origin": "own"},
        "state": {"others_busy_cores": 0.0},
    }


def test_twenty_clean_repeats_pass() -> None:
    judgements = [judge(made(1), made(seed)) for seed in range(2, 22)]
    assert [judgement.passed for judgement in judgements] == [True] * 20


@pytest.mark.parametrize("stage", COSTS)
def test_a_planted_slowdown_of_15_percent_is_found_in_its_stage(stage: str) -> None:
    judgement = judge(made(1), made(2, stage))
    assert [verdict.stage for verdict in judgement.verdicts if verdict.regressed] == [stage]
    found = next(verdict for verdict in judgement.verdicts if verdict.stage == stage)
    assert found.low < 0.15 < found.high


def test_what_looks_slower_in_too_few_visits_is_unclear_until_there_are_more() -> None:
    before, after = made(1), made(2, "vision", share=0.10)
    first = judge(before, {**after, "visits": [v for v in after["visits"] if v["index"] < 3]})
    assert first.unclear
    assert first.passed
    assert "too few visits" in "\n".join(lines(first))
    pool(before, made(4), 1)
    for batch in (1, 2):
        pool(after, made(20 + batch, "vision", share=0.10), batch)
    assert len(after["visits"]) == 3 * 48
    assert [verdict.stage for verdict in judge(before, after).verdicts if verdict.regressed] == ["vision"]


def test_a_faster_stage_is_no_regression() -> None:
    assert judge(made(1), made(2, "vision", share=-0.3)).passed


def test_a_slower_machine_is_judged_as_a_whole() -> None:
    """All stages 10 % slower is another clock; 40 % on a quiet machine is not."""
    assert judge(made(1), made(2, level=1.1)).passed
    slower = judge(made(1), made(2, level=1.5))
    assert [verdict.stage for verdict in slower.verdicts if verdict.regressed] == ["all stages"]
    busy = made(2, level=1.3)
    busy["state"]["others_busy_cores"] = 1.7
    assert judge(made(1), busy).passed
    assert "others used the machine" in "\n".join(lines(judge(made(1), busy)))


def test_neighbours_who_come_or_go_are_no_regression() -> None:
    before, after = made(1), made(2, "generate", share=0.25)
    assert [verdict.stage for verdict in judge(before, after).verdicts if verdict.regressed] == ["generate"]
    pool(after, {**made(3, "generate", share=0.25), "state": {"others_busy_cores": 0.6}}, 1)
    assert after["state"]["others_busy_cores"] == 0.6
    judgement = judge(before, after)
    assert judgement.passed
    assert judgement.to_dict()["neighbours_changed"]
    assert any("than at the baseline: stages are judged at 25 %" in line for line in lines(judgement))
    # As many at the baseline: the visits can be compared again.
    before["state"]["others_busy_cores"] = 0.5
    assert not judge(before, after).passed
    # However many came, what is far slower is found.
    assert not judge(made(1), {**made(4, "generate", share=0.6), "state": {"others_busy_cores": 0.6}}).passed


def test_a_stage_that_some_clips_lack_is_judged_by_the_others() -> None:
    before, after = made(1), made(2, "vision")
    for result in (before, after):
        for one in result["visits"]:
            if one["index"] == 3:
                del one["cpu_seconds"]["vision"]
    assert [v.stage for v in judge(before, after).verdicts if v.regressed] == ["vision"]


def test_on_a_gpu_the_wall_clock_counts() -> None:
    before, after = made(1), made(2)
    for result in (before, after):
        result["settings"]["device"] = "cuda"
    for one in after["visits"]:
        one["seconds"] = {**one["seconds"], "vision": 1.3 * one["seconds"]["vision"]}
    assert judge(before, after).measure == "seconds"
    assert not judge(before, after).passed


def test_what_can_not_be_compared_is_refused() -> None:
    other_clips, other_threads, empty = made(2), made(2), made(2)
    other_clips["clips"] = {"sha256": "y"}
    other_threads["settings"]["threads"] = 4
    empty["visits"] = []
    for result, words in ((other_clips, "clips"), (other_threads, "threads"), (empty, "no visits")):
        with pytest.raises(InputError, match=words):
            judge(made(1), result)


def test_the_tests_behind_it() -> None:
    random = np.random.default_rng(0)
    first, second = random.normal(0, 1, 60), random.normal(0.8, 1, 60)
    assert gate._mann_whitney(first, second) < 1e-3
    assert 0.05 < gate._mann_whitney(first, first) < 0.95
    scipy = pytest.importorskip("scipy.stats")
    theirs = scipy.mannwhitneyu(second, first, alternative="greater", method="asymptotic").pvalue
    assert gate._mann_whitney(first, second) == pytest.approx(theirs, rel=1e-6)
    assert gate._holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    cube = random.normal(0, 1, (3, 4, 5))
    cube[0, 0, :2] = np.nan
    assert np.allclose(gate._nanmedian(cube), np.nanmedian(cube, axis=-1))
    assert doctest.testmod(gate).failed == 0


def test_the_command_ends_with_one_where_a_stage_regressed(tmp_path: Path) -> None:
    files = {name: tmp_path / f"{name}.json" for name in ("old", "same", "slow")}
    for (_, path), result in zip(files.items(), (made(1), made(2), made(3, "audio")), strict=True):
        path.write_text(to_text(result))
    run = CliRunner().invoke
    passed = run(root, ["bench", "gate", str(files["same"]), "--baseline", str(files["old"])])
    assert (passed.exit_code, "passed" in passed.stdout) == (0, True)
    failed = run(root, ["bench", "gate", str(files["slow"]), "--baseline", str(files["old"]), "--json"])
    assert failed.exit_code == 1
    assert json.loads(failed.stdout)["passed"] is False
    again = run(root, ["bench", "gate", "--baseline", str(files["old"])])
    assert again.exit_code == 2
    assert "clips of your own" in again.stderr


def test_a_clip_is_visited_stage_by_stage(demo_clip: Path) -> None:
    session = Session("emer-nano", threads=1)
    try:
        one = visit(session, demo_clip, Errand(max_tokens=4))
    finally:
        session.close()
    wanted = {"decode_video", "faces", "vision", "decode_audio", "audio", "fusion", "prefill", "generate"}
    assert set(one.seconds) == set(one.cpu_seconds) == wanted
    assert one.new_tokens == 4
    # One thread and one stage at a time: what the processor did is no more than what the clock shows.
    assert all(one.cpu_seconds[name] <= one.seconds[name] * 1.5 + 0.02 for name in wanted)


def test_processes_that_fail_are_an_error(tmp_path: Path) -> None:
    with pytest.raises(GenerationError, match="visits clips failed"):
        profile([tmp_path / "absent.mp4"], Errand(), processes=1)
