"""The subtitle reader: what it accepts, what it leaves out, what it refuses."""

from __future__ import annotations

import contextlib
import os
import time
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from emer_edge.errors import EmerError, LimitError, SubtitleError
from emer_edge.limits import Limits
from emer_edge.media.subtitles import (
    cues_to_text,
    find_sidecar,
    load_subtitle,
    parse_counted,
    parse_subtitles,
)
from emer_edge.results import Cue

LIMITS = Limits()

SRT = (
    "1\n00:00:01,000 --> 00:00:02,500\nHello there.\n\n2\n"
    + "00:00:03,000 --> 00:00:04,000\nI am <i>fine</i>.\nReally.\n"
)
VTT = (
    "WEBVTT - a title\nKind: captions\n\nNOTE never read --> me\n\nSTYLE\n::cue { color: red }\n\n"
    "intro\n00:01.000 --> 00:02.500 align:start position:0%\n<v Mary>Hello &amp; <c.big>welcome</c>\n\n"
    "01:00:03.000 --> 01:00:04.000\n<00:00:03.500>late\n"
)


def test_srt() -> None:
    assert parse_subtitles(SRT, LIMITS) == [
        Cue(1.0, 2.5, "Hello there."),
        Cue(3.0, 4.0, "I am fine.\nReally."),
    ]


def test_vtt_leaves_header_notes_and_markup_out() -> None:
    cues, skipped = parse_counted(VTT, LIMITS)
    assert cues == [Cue(1.0, 2.5, "Hello & welcome"), Cue(3603.0, 3604.0, "late")]
    assert skipped == 0


def test_vtt_header_without_blank_line() -> None:
    assert parse_subtitles("WEBVTT\n00:00.000 --> 00:01.000\nhi", LIMITS) == [Cue(0.0, 1.0, "hi")]


@pytest.mark.parametrize(
    "encode",
    [
        lambda text: text.encode(),
        lambda text: text.encode("utf-8-sig"),
        lambda text: text.encode("utf-16"),
        lambda text: text.encode("utf-16-le"),
        lambda text: text.encode("utf-16-be"),
        lambda text: b"\xfe\xff" + text.encode("utf-16-be"),
        lambda text: text.encode("cp1252"),
        lambda text: text.replace("\n", "\r\n").encode(),
        lambda text: text.replace("\n", "\r").encode(),
    ],
)
def test_encodings_and_line_ends(encode) -> None:
    text = "1\n00:00:01,000 --> 00:00:02,000\nC’est déjà l'été.\n"
    assert parse_subtitles(encode(text), LIMITS) == [Cue(1.0, 2.0, "C’est déjà l'été.")]


def test_latin_1_that_cp1252_lacks() -> None:
    cues = parse_subtitles(b"00:00:01,000 --> 00:00:02,000\ncaf\xe9 \x81!\n", LIMITS)
    assert cues == [Cue(1.0, 2.0, "café !")]


def test_broken_cues_are_left_out_and_counted() -> None:
    text = (
        "1\n00:00:05,000 --> 00:00:01,000\nends before it starts\n\n"
        "2\nno time at all\n\n3\n00:00:xx --> 00:00:02,000\nbad time\n\n"
        "4\n00:00:06,000 --> 00:00:07,000\ngood\n"
    )
    assert parse_counted(text, LIMITS) == ([Cue(6.0, 7.0, "good")], 3)


def test_missing_blank_line_between_cues() -> None:
    text = "1\n00:00:01,000 --> 00:00:02,000\none\n2\n00:00:02,000 --> 00:00:03,000\ntwo\n"
    assert [cue.text for cue in parse_subtitles(text, LIMITS)] == ["one", "two"]


def test_cues_are_ordered_by_start() -> None:
    text = "00:00:05,000 --> 00:00:06,000\nlater\n\n00:00:01,000 --> 00:00:02,000\nsooner\n"
    assert [cue.text for cue in parse_subtitles(text, LIMITS)] == ["sooner", "later"]


def test_override_tags_go_and_srt_entities_stay() -> None:
    text = "00:00:01,000 --> 00:00:02,000\n" r"{\an8}<font color='red'>AT&amp;T</font>\Nno < or > harm"
    assert parse_subtitles(text, LIMITS)[0].text == "AT&amp;T\nno < or > harm"


@pytest.mark.parametrize("data", ["", "WEBVTT", "just words", b"\x00" * 100, b"\xff\xfe", b"\xff\xfe\x00"])
def test_nothing_to_read(data) -> None:
    assert parse_subtitles(data, LIMITS) == []


def test_limits_come_first() -> None:
    with pytest.raises(LimitError):
        parse_subtitles(SRT, Limits(subtitle_bytes=20))
    with pytest.raises(LimitError):
        parse_subtitles(SRT, Limits(subtitle_cues=1))
    assert len(parse_subtitles(SRT, Limits(subtitle_cues=2))) == 2


@pytest.mark.parametrize("unit", ["<", "<a", "{\\", "-->", "1\n", "00:", " ", "\n", "00:00:01,0 --> ", "&#"])
def test_hostile_repeats_take_linear_time(unit: str) -> None:
    started = time.perf_counter()
    for head in ("", "WEBVTT\n\n00:00.000 --> 00:01.000\n", "00:00:00,000 --> 00:00:01,000\n"):
        parse_subtitles(head + unit * (900_000 // len(unit)), Limits(subtitle_cues=1_000_000))
    assert time.perf_counter() - started < 10


def test_cues_to_text_drops_rolling_repeats() -> None:
    cues = [Cue(0, 1, "so I said"), Cue(1, 2, "so I said\nno"), Cue(2, 3, "no"), Cue(3, 4, "no more")]
    assert cues_to_text(cues) == "so I said no no more"


def touch(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).write_text(SRT)


@pytest.mark.parametrize(
    ("names", "found"),
    [
        ((), None),
        (("other.srt", "clip2.srt", "clip.txt"), None),
        (("clip.vtt", "clip.srt"), "clip.srt"),
        (("clip.vtt",), "clip.vtt"),
        (("clip.SRT",), "clip.SRT"),
        (("clip.mp4.srt", "clip.en.srt"), "clip.mp4.srt"),
        (("clip.de.srt", "clip.en.srt"), "clip.en.srt"),
        (("clip.de.srt", "clip.en-GB.vtt"), "clip.en-GB.vtt"),
        (("clip.de.srt",), "clip.de.srt"),
        (("clip.emer.srt", "clip.part2.srt"), None),
    ],
)
def test_find_sidecar(tmp_path: Path, names: tuple[str, ...], found: str | None) -> None:
    touch(tmp_path, *names)
    sidecar = find_sidecar(tmp_path / "clip.mp4")
    assert (sidecar.name if sidecar else None) == found


def test_find_sidecar_takes_regular_files_only(tmp_path: Path) -> None:
    (tmp_path / "clip.srt").mkdir()
    os.mkfifo(tmp_path / "clip.vtt")
    assert find_sidecar(tmp_path / "clip.mp4") is None
    assert find_sidecar(tmp_path / "absent" / "clip.mp4") is None


def test_load_file(tmp_path: Path) -> None:
    touch(tmp_path, "a.srt")
    for argument in (tmp_path / "a.srt", str(tmp_path / "a.srt")):
        cues = load_subtitle(argument, LIMITS)
        assert cues_to_text(cues) == "Hello there. I am fine. Really."
        assert [cue.start_seconds for cue in cues] == [1.0, 3.0]


def test_load_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "no").mkdir()
    assert load_subtitle("I can't\tbelieve\x00 it.", LIMITS) == [Cue(0.0, 0.0, "I can't believe it.")]
    assert load_subtitle("no", LIMITS)[0].text == "no"
    assert load_subtitle("see the file notes.txt", LIMITS)[0].text == "see the file notes.txt"
    assert load_subtitle("x" * 10_000, LIMITS)[0].text == "x" * 10_000
    assert load_subtitle("  ", LIMITS) == []


def test_load_plain_text_file(tmp_path: Path) -> None:
    (tmp_path / "words.txt").write_text("Oh,\n  well.\n")
    assert load_subtitle(tmp_path / "words.txt", LIMITS) == [Cue(0.0, 0.0, "Oh, well.")]


@pytest.mark.parametrize("name", ["absent.srt", "absent.VTT", "/nowhere/words.txt"])
def test_a_missing_file_is_not_taken_for_words(name: str) -> None:
    with pytest.raises(SubtitleError, match="Can't read"):
        load_subtitle(name, LIMITS)


def test_refused_files(tmp_path: Path) -> None:
    (tmp_path / "empty.srt").write_text("")
    (tmp_path / "empty.txt").write_text(" \n")
    (tmp_path / "styled.ass").write_text("[Script Info]")
    (tmp_path / "large.srt").write_text(SRT)
    os.mkfifo(tmp_path / "pipe.srt")
    for name in ("empty.srt", "empty.txt", "styled.ass", "pipe.srt"):
        with pytest.raises(SubtitleError):
            load_subtitle(tmp_path / name, LIMITS)
    with pytest.raises(SubtitleError):
        load_subtitle(tmp_path, LIMITS)
    with pytest.raises(LimitError):
        load_subtitle(tmp_path / "large.srt", Limits(subtitle_bytes=10))
    with pytest.raises(LimitError):
        load_subtitle("y" * 11, Limits(subtitle_bytes=10))


FRAGMENTS = st.sampled_from(
    [
        *("WEBVTT", "\n", "\n\n", "\r\n", "1", "00:00:01,000", "00:01.5", " --> ", "-->", "999999:59:59,9"),
        *("<i>", "</i>", "<v A>", "{\\an8}", "&amp;", "&#0;", "&#1114112;", "NOTE", "STYLE", "words"),
        *("\ufeff", "\x00", "\u2028"),
    ]
)


@settings(max_examples=400, deadline=None)
@given(st.binary(max_size=400) | st.text(max_size=400) | st.lists(FRAGMENTS, max_size=60).map("".join))
@example("WEBVTT\n\n00:00.000 --> 00:01.000\n&#xD800;")
def test_any_input_gives_clean_cues(data) -> None:
    small = Limits(subtitle_bytes=300, subtitle_cues=3)
    try:
        cues = parse_subtitles(data, small)
    except EmerError:
        return
    assert len(cues) <= 3
    assert cues == sorted(cues, key=lambda cue: cue.start_seconds)
    for cue in cues:
        assert 0 <= cue.start_seconds <= cue.end_seconds < float("inf")
        assert cue.text == cue.text.strip() != ""
        assert "\x00" not in cue.text
        cue.text.encode()
    cues_to_text(cues)


@settings(max_examples=200, deadline=None)
@given(st.one_of(st.text(max_size=100), st.lists(FRAGMENTS, max_size=10).map("".join)))
def test_any_argument_gives_words_or_an_error_of_ours(argument: str) -> None:
    with contextlib.suppress(EmerError):
        text = cues_to_text(load_subtitle(argument, LIMITS))
        assert text == text.strip()
