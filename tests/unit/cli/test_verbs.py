"""The small verbs: version, config, completion, probe; and progress off a terminal."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from types import SimpleNamespace

import pytest

import emer_edge as ee
from emer_edge.cli import progress
from emer_edge.cli.terminal import Terminal, one_line, safe
from emer_edge.config import DEFAULTS
from emer_edge.errors import LimitError, MediaError


def test_version(run) -> None:
    result = run("--version")
    assert result.exit_code == 0
    assert result.stdout.startswith("emer-edge 0.")


def test_no_verb_shows_the_help_and_is_no_success(run) -> None:
    result = run()
    assert result.exit_code == 2
    assert "infer" in result.output


def test_an_unknown_verb(run) -> None:
    result = run("inferr")
    assert result.exit_code == 2
    assert result.stderr.startswith("error: ")


def test_config_show(run, monkeypatch) -> None:
    monkeypatch.setenv("EMER_EDGE_THREADS", "3")
    result = run("config", "show", "--device", "cuda", "--json")
    settings = json.loads(result.stdout)["settings"]
    assert set(settings) == set(DEFAULTS)
    assert settings["device"] == {"value": "cuda", "source": "flag", "where": "--device"}
    assert settings["threads"] == {"value": 3, "source": "environment", "where": "EMER_EDGE_THREADS"}
    assert settings["pack"]["source"] == "default"
    text = run("config", "show").stdout
    assert "threads  = 3  (environment: EMER_EDGE_THREADS)" in text
    assert "config.toml (absent)" in text


def test_a_bad_setting_names_its_source(run, monkeypatch) -> None:
    monkeypatch.setenv("EMER_EDGE_DEVICE", "gpu")
    result = run("config", "show")
    assert result.exit_code == 2
    assert "EMER_EDGE_DEVICE" in result.stderr


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_script(run, shell) -> None:
    result = run("completion", shell)
    assert result.exit_code == 0
    assert "_EMER_EDGE_COMPLETE" in result.stdout
    assert run("completion", "tcsh").exit_code == 2


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("emer-edge in", "plain,infer"),
        ("emer-edge infer --dec", "plain,--decoder"),
        ("emer-edge infer cl", "file,cl"),
    ],
)
def test_a_shell_gets_its_completions(words, expected) -> None:
    variables = {"COMP_WORDS": words, "COMP_CWORD": str(len(words.split()) - 1)}
    environment = {**os.environ, **variables, "_EMER_EDGE_COMPLETE": "bash_complete"}
    command = [sys.executable, "-c", "from emer_edge.cli.main import main; main()"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
    assert expected in done.stdout.splitlines(), done.stderr
    assert done.returncode == 0


VIDEO = SimpleNamespace(
    codec="h264", width=640, height=480, fps=25.0, frames=50, rotation=90, pixel_format="yuv420p"
)
PROBE = SimpleNamespace(
    container="mov,mp4",
    duration_seconds=2.0,
    size_bytes=1000,
    streams=3,
    video=VIDEO,
    audio=SimpleNamespace(codec="aac", sample_rate=48_000, channels=2),
    subtitles=(SimpleNamespace(index=2, codec="mov_text", language="en", is_text=True),),
    refusals=(),
    to_dict=lambda: {"container": "mov,mp4", "refusals": []},
)


@pytest.fixture
def probed(monkeypatch):
    def answer(value) -> None:
        def probe(_path, **_options):
            if isinstance(value, Exception):
                raise value
            return value

        monkeypatch.setitem(vars(ee), "probe", probe)

    return answer


def test_probe(run, probed) -> None:
    probed(PROBE)
    result = run("probe", "a.mp4")
    assert result.exit_code == 0
    assert result.stdout.splitlines() == [
        "a.mp4: mov,mp4, 2.00 s, 1000 bytes, 3 streams",
        "video     h264 640x480, 25 fps, 50 frames, yuv420p, turned 90 degrees",
        "audio     aac 48000 Hz, 2 channels",
        "subtitle  mov_text en, text (stream 2)",
        "accepted",
    ]
    assert json.loads(run("probe", "a.mp4", "--json").stdout)["clip"] == "a.mp4"


def test_probe_of_a_clip_that_would_be_refused(run, probed) -> None:
    probed(
        SimpleNamespace(**{**vars(PROBE), "video": None, "audio": None, "refusals": ("no stream is left",)})
    )
    result = run("probe", "a.mp4")
    assert result.exit_code == 1
    assert "refused   no stream is left" in result.stdout
    assert "accepted" not in result.stdout


@pytest.mark.parametrize(("error", "code"), [(MediaError("Broken."), 1), (LimitError("Too large."), 5)])
def test_probe_of_a_clip_that_is_refused_at_once(run, probed, error, code) -> None:
    probed(error)
    result = run("probe", "a.mp4", "--json")
    assert result.exit_code == code
    assert json.loads(result.stdout)["error"]["exit_code"] == code
    assert result.stderr.startswith("error: ")


def test_probe_refuses_a_url(run) -> None:
    assert run("probe", "http://example.org/a.mp4").exit_code == 2


PLAIN = Terminal(out_is_tty=False, err_is_tty=False, colour=False, unicode=True)


def test_off_a_terminal_only_long_stages_get_a_line(capsys, monkeypatch) -> None:
    clock = iter([0.0, 1.0, 1.0, 5.0])
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(clock))
    shown = progress.Progress(PLAIN, quiet=False)
    shown.start("a.mp4", 2, 3)
    shown.stage("decode")
    shown.stage("prefill")
    shown.hint("happy")
    shown.clear()
    assert capsys.readouterr().err == "███░░░░░░░ 2/3 a.mp4: prefill took 4.0 s\n"


def test_bars() -> None:
    assert PLAIN.bar(0.5, 4) == "██░░"
    assert PLAIN.bar(7.0, 4) == "████"
    assert Terminal(False, False, False, unicode=False).bar(0.25, 4) == "#..."


def test_words_are_made_safe() -> None:
    assert safe("a\x1b[1m\n\tb\u202e") == "a\ufffd[1m\n\tb\ufffd"
    assert one_line(" a\n b\x07 ") == "a b\ufffd"
