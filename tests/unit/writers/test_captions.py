"""Captions: they cover the clip, never overlap, and read back as they were written."""

from __future__ import annotations

import itertools
import re
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emer_edge.limits import Limits
from emer_edge.media.subtitles import parse_counted
from emer_edge.results import Cue
from emer_edge.writers import captions
from tests.support.sample_results import ALL, BARE, FULL, LABELS_ONLY


def test_srt_looks_as_players_expect() -> None:
    text = captions.to_srt(FULL)
    assert text.startswith("1\n00:00:00,000 --> 00:00:00,")
    assert "happy 62 % · relieved 21 % · amused\nShe smiles broadly.\n" in text
    assert text.rstrip().split("\n\n")[-1].startswith("3\n")


def test_vtt_looks_as_players_expect() -> None:
    text = captions.to_vtt(replace(FULL, text="a < b & c"))
    assert text.startswith("WEBVTT\n\n00:00:00.000 --> 00:00:03.500\n")
    assert text.endswith("a &lt; b &amp; c\n")


@pytest.mark.parametrize("name", ALL)
def test_captions_cover_the_clip_without_overlap(name: str) -> None:
    reasoning = ALL[name]
    cues = captions.reasoning_cues(reasoning)
    if not cues:
        assert reasoning is BARE
        return
    assert cues[0].start_seconds == 0
    for before, after in itertools.pairwise(cues):
        assert before.start_seconds < before.end_seconds == after.start_seconds
    if reasoning.duration_seconds > 1:
        assert cues[-1].end_seconds == pytest.approx(reasoning.duration_seconds, abs=1e-3)
    assert all(len(line) <= captions.LINE_CHARS for cue in cues for line in cue.text.split("\n")[1:])


def test_without_text_there_is_one_caption() -> None:
    cues = captions.reasoning_cues(LABELS_ONLY)
    assert [(cue.text, cue.end_seconds) for cue in cues] == [("sad 100 %", 2.0)]


def test_nothing_to_say_is_an_empty_file_of_the_format() -> None:
    assert captions.to_srt(BARE) == ""
    assert captions.to_vtt(BARE) == "WEBVTT\n"


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("write", [captions.to_srt, captions.to_vtt])
def test_every_result_reads_back_whole(name: str, write) -> None:
    cues, skipped = parse_counted(write(ALL[name]), Limits())
    assert len(cues) == len(captions.reasoning_cues(ALL[name]))
    assert skipped == 0


# What the formats can't hold is written as something near it; both sides are compared after that.
def plain(text: str) -> str:
    text = re.sub(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u2029\ufeff\ud800-\udfff]", " ", text)
    lines = [" ".join(line.split()) for line in text.split("\n")]
    text = "\n".join(line for line in lines if line)
    return text.replace("-->", "→")


TIMES = st.integers(0, 100 * 3_600_000)
TEXTS = st.text(max_size=60) | st.sampled_from(
    ["1", "WEBVTT", "NOTE x", "-->", "<i>a</i>", "{\\an8}b", "&lt;", "a\n\nb"]
)


@st.composite
def cue_lists(draw: st.DrawFn) -> list[Cue]:
    cues = []
    for start in sorted(draw(st.lists(TIMES, max_size=8))):
        cues.append(Cue(start / 1000, (start + draw(st.integers(0, 10_000))) / 1000, draw(TEXTS)))
    return cues


@settings(max_examples=300, deadline=None)
@given(cue_lists())
def test_vtt_round_trip(cues: list[Cue]) -> None:
    back, skipped = parse_counted(captions.cues_to_vtt(cues), Limits())
    wanted = [
        replace(cue, text=plain(cue.text).replace("{\\", "{ \\").replace("\\N", "\\ N")) for cue in cues
    ]
    assert skipped == 0
    assert back == [cue for cue in wanted if cue.text]


@settings(max_examples=300, deadline=None)
@given(cue_lists())
def test_srt_round_trip(cues: list[Cue]) -> None:
    back, skipped = parse_counted(captions.cues_to_srt(cues), Limits())
    wanted = [
        replace(cue, text=plain(cue.text).replace("<", "‹").replace("{\\", "{ \\").replace("\\N", "\\ N"))
        for cue in cues
    ]
    assert skipped == 0
    assert back == [cue for cue in wanted if cue.text]
