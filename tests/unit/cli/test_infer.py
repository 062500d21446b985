"""`emer-edge infer`: what goes to which stream, which files appear, which code it ends with."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.support.stub_reasoner import PIECES, StubOptions

TEXT = "".join(PIECES)


def test_one_clip(run, clips) -> None:
    result = run("infer", *clips("a.mp4"))
    assert result.exit_code == 0
    assert result.stdout == f"{TEXT}\n\nhappy      62 %\nrelieved   21 %\namused    named in the text\n"
    assert "pack stub 1.0 on cpu" in result.stderr
    assert "8 frames (8 with a face), 3.5 s of sound, subtitle from sidecar:happy.srt" in result.stderr
    assert "missing" not in result.stderr


def test_missing_inputs_are_said(run, clips) -> None:
    assert "mute.mp4: no audio stream" in run("infer", *clips("mute.mp4")).stderr


@pytest.mark.parametrize("flags", [[], ["--json"]])
def test_what_the_language_model_leaves_out_is_said_too(run, clips, flags) -> None:
    said = run("infer", *clips("mutters.mp4"), *flags)
    assert said.stderr.count("mutters.mp4: no audio") == 0
    assert said.stderr.count("mutters.mp4: the voice can not be read: left out") == 1


def test_what_each_modality_shows_is_one_line_without_escapes(run, clips) -> None:
    assert (
        "\nalone: vision happy 80 %, audio un\ufffdclear 50 %\n" in run("infer", *clips("mutters.mp4")).stdout
    )
    assert "alone" not in run("infer", *clips("a.mp4")).stdout


def test_labels_only(run, clips) -> None:
    result = run("infer", *clips("a.mp4"), "--question", "labels")
    assert result.stdout.startswith("happy ")


def test_json_is_one_object_per_clip_and_nothing_else(run, clips) -> None:
    result = run("infer", *clips("a.mp4", "bad.mp4", "b.mp4"), "--json", "--keep-going")
    records = [json.loads(line) for line in result.stdout.splitlines()]
    assert [Path(record["clip"]).name for record in records] == ["a.mp4", "bad.mp4", "b.mp4"]
    assert ["error" in record for record in records] == [False, True, False]
    assert records[1]["error"]["kind"] == "MediaError"
    assert "timings" not in records[0]
    assert "2 of 3 clips answered, 1 failed" in result.stderr
    assert result.exit_code == 1


def test_timings_on_request(run, clips) -> None:
    result = run("infer", *clips("a.mp4"), "--json", "--timings")
    assert json.loads(result.stdout)["timings"]["total"] == 0.9
    assert "decode video" in result.stderr


def test_quiet_says_nothing_but_errors(run, clips) -> None:
    assert run("infer", *clips("a.mp4"), "--quiet").stderr == ""
    assert run("infer", *clips("a.mp4", "b.mp4"), "--quiet").stderr == ""
    assert "damaged" in run("infer", *clips("bad.mp4"), "--quiet").stderr


def test_flags_reach_the_reasoner(run, clips, reasoner) -> None:
    words = ["--question", "Why?", "--subtitle", "I am fine.", "--seed", "7"]
    result = run("infer", *clips("a.mp4"), *words, "--max-tokens", "9", "--temperature", "0.5")
    assert result.exit_code == 0
    call = reasoner.calls[0]
    assert (call["question"], call["subtitle"]) == ("Why?", "I am fine.")
    assert call["options"] == StubOptions(9, 0.5, 7)


@pytest.mark.parametrize(("flags", "subtitle"), [([], None), (["--no-subtitle"], "")])
def test_subtitle_default(run, clips, reasoner, flags, subtitle) -> None:
    run("infer", *clips("a.mp4"), *flags)
    assert reasoner.calls[0]["subtitle"] == subtitle
    assert reasoner.closed


@pytest.mark.parametrize(
    ("name", "code"), [("bad.mp4", 1), ("long.mp4", 5), ("bug.mp4", 1), ("a.mp4", 0)]
)  # fmt: skip
def test_the_code_of_one_clip_is_its_own(run, clips, name, code) -> None:
    for flags in ([], ["--keep-going"]):
        result = run("infer", *clips(name), *flags)
        assert result.exit_code == code
        assert "Traceback" not in result.output


def test_an_error_is_three_lines(run, clips) -> None:
    clip = clips("long.mp4")[0]
    lines = run("infer", clip, "--quiet").stderr.splitlines()
    assert lines == [f"error: {clip} is too long.", "  2 h are more than 1 h.", "  Cut it."]


def test_without_keep_going_the_first_failure_ends_the_run(run, clips, reasoner) -> None:
    result = run("infer", *clips("a.mp4", "long.mp4", "b.mp4"))
    assert result.exit_code == 5
    assert len(reasoner.calls) == 2
    assert "1 of 3 clips answered, 1 failed, 1 not done" in result.stderr


def test_with_keep_going_every_clip_is_tried(run, clips, reasoner) -> None:
    result = run("infer", *clips("long.mp4", "bug.mp4", "b.mp4"), "absent.mp4", "--keep-going")
    assert result.exit_code == 1
    assert len(reasoner.calls) == 4
    assert "1 of 4 clips answered, 3 failed" in result.stderr


@pytest.mark.parametrize(
    ("flags", "code"),
    [
        (["--pack", "absent"], 3),
        (["--device", "cuda"], 4),
        (["--device", "gpu"], 2),
        (["--threads", "0"], 2),
        (["--temperature", "nan"], 2),
        (["--temperature", "-1"], 2),
        (["--seed", "-1"], 2),
        (["--format", "doc"], 2),
        (["--question", " "], 2),
        (["--subtitle", "x", "--no-subtitle"], 2),
        (["--subtitle", "https://example.org/a.srt"], 2),
        (["--no-such-flag"], 2),
        (["https://example.org/clip.mp4"], 2),
        (["absent.mp4"], 2),
        (["a\x00b"], 2),
    ],
)
def test_calls_that_make_no_sense(run, clips, reasoner, flags, code) -> None:
    result = run("infer", *clips("a.mp4"), *flags)
    assert result.exit_code == code
    assert result.stderr.startswith("error: ") or "\nerror: " in result.stderr
    assert result.stdout == ""
    assert reasoner.calls == []


def test_no_clip(run) -> None:
    result = run("infer")
    assert result.exit_code == 2
    assert "Try: emer-edge infer --help" in result.stderr


def test_a_subtitle_belongs_to_one_clip(run, clips) -> None:
    result = run("infer", *clips("a.mp4", "b.mp4"), "--subtitle", "words")
    assert result.exit_code == 2


def test_debug_shows_the_traceback(run, clips) -> None:
    assert "Traceback" in run("infer", *clips("bug.mp4"), "--debug").stderr
    assert "Traceback" not in run("infer", *clips("bug.mp4")).stderr


def test_settings_come_from_the_environment(run, clips, monkeypatch) -> None:
    monkeypatch.setenv("EMER_EDGE_PACK", "absent")
    assert run("infer", *clips("a.mp4")).exit_code == 3
    assert run("infer", *clips("a.mp4"), "--pack", "stub").exit_code == 0


# Clips


def test_a_folder_is_its_clips_sorted(run, clips, reasoner) -> None:
    clips("b.mp4", "a.MKV", "notes.txt", ".hidden.mp4", "deep/c.mp4", "a.emer.srt")
    result = run("infer", clips("d.wav")[0].parent)
    assert result.exit_code == 0
    assert [Path(call["clip"]).name for call in reasoner.calls] == ["a.MKV", "b.mp4", "d.wav"]
    assert result.stdout.count("happy") == 3
    assert str(clips("a.MKV")[0]) in result.stdout


def test_a_clip_that_is_named_twice_is_answered_once(run, clips, reasoner) -> None:
    clip = clips("a.mp4")[0]
    run("infer", clip, clip.parent, clip.parent / ".." / "clips" / "a.mp4")
    assert len(reasoner.calls) == 1


def test_a_list_on_standard_input(run, clips, reasoner) -> None:
    first, second = clips("a b.mp4", "ü.mp4")
    result = run("infer", "-", stdin=f"{first}\r\n\n{second}".encode())
    assert result.exit_code == 0
    assert [call["clip"] for call in reasoner.calls] == [str(first), str(second)]


@pytest.mark.parametrize("stdin", ["", "\n\n", "absent.mp4\n"])
def test_a_list_without_clips(run, stdin) -> None:
    assert run("infer", "-", stdin=stdin).exit_code == 2


def test_a_folder_without_clips(run, clips) -> None:
    assert run("infer", clips("notes.txt")[0].parent).exit_code == 2


# Files


def test_files_are_written(run, clips, tmp_path) -> None:
    out = tmp_path / "new" / "out"
    result = run("infer", *clips("a.mp4", "b.mp4"), "-f", "json,txt", "-f", "srt,vtt,jsonl", "-o", out)
    assert result.exit_code == 0
    names = {f"{stem}.emer.{suffix}" for stem in "ab" for suffix in ("json", "txt", "srt", "vtt")}
    assert {path.name for path in out.iterdir()} == names | {"emer.jsonl"}
    assert json.loads((out / "a.emer.json").read_bytes())["text"] == TEXT
    assert len((out / "emer.jsonl").read_text().splitlines()) == 2
    assert f"wrote {out / 'b.emer.vtt'}" in result.stderr


def test_a_folder_alone_means_json(run, clips, tmp_path) -> None:
    run("infer", *clips("a.mp4"), "-o", tmp_path / "out")
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["a.emer.json"]


def test_files_that_exist_are_kept_and_no_work_is_spent(run, clips, tmp_path, reasoner) -> None:
    kept = tmp_path / "a.emer.json"
    kept.write_text("mine")
    result = run("infer", *clips("b.mp4", "a.mp4"), "-o", tmp_path)
    assert result.exit_code == 1
    assert "exists already" in result.stderr
    assert kept.read_text() == "mine"
    assert reasoner.calls == []
    assert run("infer", *clips("b.mp4", "a.mp4"), "-o", tmp_path, "--force").exit_code == 0
    assert json.loads(kept.read_bytes())["device"] == "cpu"


def test_two_clips_never_share_a_file(run, clips, tmp_path, reasoner) -> None:
    result = run("infer", *clips("a.mp4", "a.mkv"), "-o", tmp_path / "out")
    assert result.exit_code == 2
    assert "would both write" in result.stderr
    assert reasoner.calls == []
    assert not (tmp_path / "out").exists()


def test_a_folder_in_the_way_is_refused_even_with_force(run, clips, tmp_path) -> None:
    (tmp_path / "a.emer.json").mkdir()
    assert run("infer", *clips("a.mp4"), "-o", tmp_path, "--force").exit_code == 1


def test_an_output_folder_that_is_a_file(run, clips, tmp_path) -> None:
    clip = clips("a.mp4")[0]
    assert run("infer", clip, "-o", clip).exit_code == 1
    assert run("infer", clip, "-o", clip / "out").exit_code == 1


def test_lines_of_what_was_done_before_a_failure_are_kept(run, clips, tmp_path) -> None:
    result = run("infer", *clips("a.mp4", "bad.mp4", "b.mp4"), "-f", "jsonl", "-o", tmp_path)
    assert result.exit_code == 1
    assert len((tmp_path / "emer.jsonl").read_text().splitlines()) == 1


def test_no_leftovers(run, clips, tmp_path) -> None:
    run("infer", *clips("a.mp4", "bad.mp4"), "-f", "json,jsonl", "-o", tmp_path / "out", "-k")
    assert not list((tmp_path / "out").glob(".*"))


def test_names_and_words_can_not_steer_a_terminal(run, clips, monkeypatch) -> None:
    clip = clips("a\x1b[2J\n.mp4")[0]
    monkeypatch.setattr("tests.support.stub_reasoner.PIECES", ("\x1b]0;title\x07", "word\x9b31m"))
    result = run("infer", clip, "-o", clip.parent.parent / "out")
    assert result.exit_code == 0
    assert not set("\x1b\x07\x9b") & set(result.output)
