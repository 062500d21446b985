"""`emer-edge eval`: runs that go on, tables, and errors in three lines."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result

import emer_edge as ee
from emer_edge.cli.eval_progress import Pace, duration
from emer_edge.cli.main import root
from emer_edge.cli.terminal import Terminal
from tests.support import stub_eval

ROOT = Path(__file__).resolve().parents[3]
TABLE = """\
id,subtitle,label,text
a,I am sad today,sad,He looks sad.
b,I am so angry,angry,
c,What a day,happy,
d,A good one,happy,
"""

Run = Callable[..., Result]


@pytest.fixture
def stub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> stub_eval.StubReasoner:
    """The reasoner that every call gets."""
    reasoner = stub_eval.StubReasoner()
    monkeypatch.setitem(vars(ee), "load", lambda _pack, **_options: reasoner)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "no-config"))
    return reasoner


@pytest.fixture
def run(stub: stub_eval.StubReasoner) -> Run:
    """Calls `emer-edge eval` in this process."""

    def call(*arguments: str | Path) -> Result:
        return CliRunner().invoke(root, ["eval", *map(str, arguments)])

    return call


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """A data set of four clips, of words alone."""
    path = tmp_path / "d.csv"
    path.write_text(TABLE, encoding="utf-8")
    return path


def test_a_run_is_scored_and_written_whole(run, table, tmp_path) -> None:
    folder = tmp_path / "run"
    result = run("run", table, "--text-only", "-o", folder, "--json", "--resamples", "100")
    assert result.exit_code == 0, result.stderr
    record = json.loads(result.stdout)
    assert (record["clips"], record["failed"]) == (4, 0)
    assert record["metrics"]["figures"]["accuracy"]["value"] == 1
    assert json.loads((folder / "metrics.json").read_text(encoding="utf-8")) == record["metrics"]
    assert "<!doctype html>" in (folder / "report.html").read_text(encoding="utf-8")
    about = json.loads((folder / "run.json").read_text(encoding="utf-8"))
    assert about["system"]["pack"] == "emer-nano"
    assert len(about["system"]["sha256"]) == 64
    assert about["asked"]["text_only"] is True


def test_a_run_goes_on_and_asks_nothing_twice(run, table, tmp_path, stub) -> None:
    lines = ("run", table, "--text-only", "-o", tmp_path / "run", "--quiet")
    run(*lines)
    outputs = (tmp_path / "run/outputs.jsonl").read_bytes()
    (tmp_path / "run/outputs.jsonl").write_bytes(outputs[:-20])
    stub.asked.clear()
    again = run(*lines)
    assert stub.asked == ["d"]
    assert (tmp_path / "run/outputs.jsonl").read_bytes() == outputs
    assert again.exit_code == 0
    assert again.stderr == ""
    other = run(*lines, "--question", "labels")
    assert other.exit_code == 2
    assert "asked.question" in other.stderr


def test_clips_that_fail_stay_and_can_be_asked_again(run, tmp_path, stub) -> None:
    path = tmp_path / "d.csv"
    path.write_text("id,subtitle,label\na,broken,sad\nb,bug,sad\nc,sad,sad\ne,,sad\n", encoding="utf-8")
    result = run("run", path, "--text-only", "-o", tmp_path / "run")
    assert result.exit_code == 1
    assert "3 of 4 clips failed" in result.stderr
    lines = (tmp_path / "run/outputs.jsonl").read_text(encoding="utf-8").splitlines()
    failed = [json.loads(line)["error"] for line in lines if '"failed"' in line]
    assert [error["kind"] for error in failed] == ["MediaError", "EmerError", "InputError"]
    assert failed[0]["todo"] == "Record it again."
    stub.asked.clear()
    run("run", path, "--text-only", "-o", tmp_path / "run", "--retry-failed")
    assert stub.asked == ["a", "b"]


def test_a_device_that_goes_ends_the_run(run, tmp_path) -> None:
    path = tmp_path / "d.csv"
    path.write_text("id,subtitle,label\na,sad,sad\nb,gone,sad\n", encoding="utf-8")
    result = run("run", path, "--text-only", "-o", tmp_path / "run")
    assert result.exit_code == 4
    assert len((tmp_path / "run/outputs.jsonl").read_bytes().splitlines()) == 1
    assert not (tmp_path / "run/metrics.json").exists()


def test_missing_clips_are_listed_never_made_up(run, table, tmp_path) -> None:
    media = tmp_path / "media"
    media.mkdir()
    base = ("run", table, "-o", tmp_path / "run")
    assert "--media" in run(*base).stderr
    assert "None of the 4 clips" in run(*base, "--media", media).stderr
    for name in ("a.mp4", "b.wav", "c.mp4"):
        (media / name).write_bytes(b"")
    refused = run(*base, "--media", media)
    assert refused.exit_code == 2
    assert "1 of 4 clips are missing" in refused.stderr
    assert "d" in refused.stderr.splitlines()[1]
    told = run(*base, "--media", media, "--allow-missing")
    assert told.exit_code == 1
    assert "missing: d" in told.stderr
    lines = (tmp_path / "run/outputs.jsonl").read_text(encoding="utf-8").splitlines()
    assert [json.loads(line)["status"] for line in lines] == ["ok", "ok", "ok", "failed"]


def test_data_without_truth_is_run_and_not_scored(run, tmp_path) -> None:
    path = tmp_path / "d.jsonl"
    path.write_text('{"id": "a", "subtitle": "sad"}\n', encoding="utf-8")
    result = run("run", path, "--text-only", "-o", tmp_path / "run")
    assert result.exit_code == 0
    assert "no truth" in result.stdout
    assert run("score", tmp_path / "run").exit_code == 2


def test_score_and_compare_take_a_run_as_it_is(run, table, tmp_path) -> None:
    run("run", table, "--text-only", "-o", tmp_path / "run", "--quiet", "--name", "stub")
    scored = run("score", tmp_path / "run")
    assert scored.exit_code == 0
    assert "stub on d: 4 clips" in scored.stdout
    (tmp_path / "other.csv").write_text("name,openset\na,[sad]\nb,[]\nc,[]\nd,[happy]\n", encoding="utf-8")
    compared = run(
        "compare", tmp_path / "run", tmp_path / "other.csv", "--baselines", "-o", tmp_path / "page"
    )
    assert compared.exit_code == 0, compared.stderr
    assert {"stub", "other", "majority", "random,"} <= {
        line.split()[0] for line in compared.stdout.splitlines()[2:]
    }
    assert (tmp_path / "page/compare.html").is_file()
    rows = json.loads((tmp_path / "page/compare.json").read_text(encoding="utf-8"))["systems"]
    assert rows[0]["system"] == "stub"
    assert rows[0]["against_reference"] is None
    assert rows[1]["against_reference"]["noise"] in (True, False)
    alone = run("score", tmp_path / "other.csv")
    assert alone.exit_code == 2
    assert "--data" in alone.stderr


def test_only_what_all_answered(run, table, tmp_path) -> None:
    for name, text in (("x", "a,[sad]\nb,[angry]\n"), ("y", "b,[sad]\nc,[happy]\n")):
        (tmp_path / f"{name}.csv").write_text(f"name,openset\n{text}", encoding="utf-8")
    files = (tmp_path / "x.csv", tmp_path / "y.csv", "--data", table)
    assert "no output for 2 of 4" in run("compare", *files).stderr
    result = run("compare", *files, "--answered-only", "--json", "--resamples", "100")
    record = json.loads(result.stdout)
    assert [(row["system"], row["clips"]) for row in record["systems"]] == [("x", 1), ("y", 1)]


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (("--wheels", "w", "--vocabulary", "v"), "exclude"),
        (("--wheel-tables", "w"), "--wheels"),
        (("--wheels", "absent"), "synonym.xlsx"),
        (("--groups", "absent.zip"), "absent.zip"),
        (("--figure", "beauty"), "ew_f"),
        (("--split", "train"), "split"),
        (("--as", "emer-v9"), "emer-v1"),
    ],
)
def test_calls_that_make_no_sense(run, tmp_path, flags, words) -> None:
    path = tmp_path / "p.csv"
    path.write_text("name,openset\na,[sad]\nb,[happy]\n", encoding="utf-8")
    result = run("compare", path, "--data", path, *flags)
    assert result.exit_code == 2
    assert result.stderr.startswith("error: ")
    assert words in result.stderr
    assert len(result.stderr.splitlines()) <= 3


def test_faithfulness_of_clips(run, tmp_path, stub, monkeypatch) -> None:
    from emer_edge.results import Waveform

    answered = stub.infer

    def infer(clip: Any, **options: Any) -> Any:
        return answered(clip, **{**options, "subtitle": f"words of {Path(clip).stem}"})

    monkeypatch.setattr(stub, "infer", infer)
    monkeypatch.setattr("emer_edge.evaluate.asking.voice_of", lambda *_: Waveform([], 16_000))
    for name in ("a.mp4", "sad.mp4", "broken.mp4"):
        (tmp_path / name).write_bytes(b"")
    result = run("faithfulness", "emer-nano", tmp_path, "--keep-going", "--json", "--faults")
    assert result.exit_code == 1
    record = json.loads(result.stdout)
    assert record["faithfulness"]["answers"] == 2
    assert record["faithfulness"]["quotes"]["right"]["value"] == 1
    assert record["failed"][0]["kind"] == "MediaError"
    assert record["faults"] == []
    text = run("faithfulness", "emer-nano", tmp_path / "a.mp4")
    assert "quotes stand in the words" in text.stdout


def test_pace_says_how_long_it_takes(capsys, monkeypatch) -> None:
    clock = iter((0.0, 31.0, 40.0, 80.0))
    monkeypatch.setattr("emer_edge.cli.eval_progress.time.monotonic", lambda: next(clock))
    pace = Pace(Terminal(False, False, False, True), quiet=False)
    for done in (10, 20, 21, 30):
        pace(done, 100, "clip" if done < 30 else "")
    assert capsys.readouterr().err == "20 of 100 clips, 3.1 s each, 4 min left\n"
    assert [duration(seconds) for seconds in (12, 89.6, 150, 12_000)] == [
        "12 s",
        "90 s",
        "2 min",
        "3 h 20 min",
    ]


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs POSIX signals")
def test_ctrl_c_and_then_on(table, tmp_path) -> None:
    table.write_text("id,subtitle,label\n" + "".join(f"{n},sad,sad\n" for n in range(40)), encoding="utf-8")
    command = [sys.executable, "-m", "tests.support.stub_eval", "eval", "run", str(table), "--text-only"]
    command += ["-o", str(tmp_path / "run"), "--resamples", "100", "--json"]
    slow = {**os.environ, "STUB_SECONDS": "0.05"}
    process = subprocess.Popen(command, cwd=ROOT, env=slow, stderr=subprocess.PIPE, stdout=subprocess.PIPE)
    path = tmp_path / "run/outputs.jsonl"
    deadline = time.monotonic() + 120
    while not (path.exists() and path.read_bytes().count(b"\n") >= 3) and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130
    assert b"Interrupted." in said
    kept = path.read_bytes().count(b"\n")
    assert 3 <= kept < 40
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300, check=True)
    assert f"{40 - kept} of 40 clips to ask, {kept} done before" in done.stderr
    assert json.loads(done.stdout)["clips"] == 40


def test_a_judge_and_cues_are_scored_from_the_command_line(run, table, tmp_path) -> None:
    from tests.data.make_llm import write_llm

    judge, kept = tmp_path / "judge.gguf", tmp_path / "kept.jsonl"
    write_llm(judge, np.random.default_rng(1), "F32")
    table.write_text("id,subtitle,label,text\na,I am sad,sad,He looks sad.\nb,fine,happy,She smiles.\n")
    run("run", table, "--text-only", "-o", tmp_path / "run", "--quiet")
    line = ("score", tmp_path / "run", "--judge", judge, "--judgements", kept, "--cues", "--json")
    first = run(*line)
    assert first.exit_code == 0, first.stderr
    found = json.loads(first.stdout)
    assert found["clue_overlap"]["judge"].startswith("judge.gguf, sha256")
    assert 1 <= found["clue_overlap"]["mean"] <= 10
    assert found["figures"]["label_overlap"]["value"] == pytest.approx(found["label_overlap"]["mean"] / 10)
    assert found["cues"]["encoder"].startswith("bag of words")
    before = kept.read_bytes()
    assert run(*line).stdout == first.stdout
    assert kept.read_bytes() == before
    for wrong in (("--judge-model", "m"), ("--encoder", "words"), ("--judge", "none.gguf")):
        assert run("score", tmp_path / "run", *wrong).exit_code == 2
    run("run", table, "--text-only", "-o", tmp_path / "judged", "--quiet", "--judge", judge)
    assert "clue overlap of 10" in (tmp_path / "judged/report.html").read_text(encoding="utf-8")


def test_lists_of_cues_are_matched(run, tmp_path) -> None:
    path = tmp_path / "cues.jsonl"
    path.write_text('{"id": "a", "visual": ["a broad smile"], "emotional": ["joy"]}\n')
    found = json.loads(run("cues", path, path, "--json").stdout)
    assert found["visual"] == {
        "clips": 1,
        "precision": pytest.approx(1),
        "recall": pytest.approx(1),
        "f1": pytest.approx(1),
    }
    assert found["auditory"]["f1"] is None
    assert "emotional" in run("cues", path, path).stdout


def test_a_folder_is_annotated_and_goes_on(stub, tmp_path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    for name in ("b/2.mp4", "a/1.wav", "notes.txt"):
        (tmp_path / "clips" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "clips" / name).touch()

    def annotate(*more: str) -> Result:
        line = ["annotate", str(tmp_path / "clips"), "-o", str(tmp_path / "run"), "--parquet", *more]
        return CliRunner().invoke(root, line)

    first = annotate("--json")
    assert first.exit_code == 0, first.stderr
    assert json.loads(first.stdout) == {"run": str(tmp_path / "run"), "clips": 2, "failed": 0}
    assert stub.asked == ["1", "2"]
    assert parquet.read_table(tmp_path / "run/outputs.parquet")["id"].to_pylist() == ["a/1.wav", "b/2.mp4"]
    again = annotate()
    assert stub.asked == ["1", "2"]
    assert "0 of 2 clips to ask, 2 done before" in again.stderr
    assert annotate("--workers", "2").exit_code == 2
    assert annotate("--question", "labels").exit_code == 2
    assert CliRunner().invoke(root, ["annotate", str(tmp_path / "none"), "-o", "x"]).exit_code == 2


def test_words_alone_are_annotated_from_a_table(stub, table, tmp_path) -> None:
    line = ["annotate", str(table), "--text-only", "-o", str(tmp_path / "run"), "--limit", "2"]
    result = CliRunner().invoke(root, line)
    assert result.exit_code == 0, result.stderr
    assert "2 clips, 0 failed" in result.stderr
    assert not (tmp_path / "run/metrics.json").exists()
