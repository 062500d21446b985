"""Clips asked together through a real pack get the answers they get alone."""

from __future__ import annotations

import pytest

import emer_edge as ee
from emer_edge.errors import InputError, LimitError

WORDS = (
    "I am so happy for you!",
    "Leave me alone, I hate this.",
    "My dog died today.",
    "Where is the station?",
)


def test_four_clips_together_are_answered_as_alone() -> None:
    clips = [ee.Clip(subtitle=words, name=f"clip {n}") for n, words in enumerate(WORDS)]
    with ee.load("emer-nano", threads=1, at_once=4) as reasoner:
        seen = [reasoner.perceive(clip) for clip in clips]
        wanted = [reasoner.infer(clip) for clip in clips]
        found = reasoner.ask_many(seen)
        short = reasoner.ask_many(seen[:2], "labels", options=ee.Options(max_tokens=0))
        after = reasoner.ask(seen[3])
        with pytest.raises(LimitError, match="more than 4"):
            reasoner.ask_many([*seen, seen[0]])
        with pytest.raises(InputError):
            reasoner.ask_many(["clip"])  # type: ignore[list-item]
        assert reasoner.ask_many([]) == []
    for one, other in zip(wanted, found, strict=True):
        assert (one.clip, one.text, one.finish) == (other.clip, other.text, other.finish)
        assert [emotion.label for emotion in one.emotions] == [emotion.label for emotion in other.emotions]
        assert other.scores == pytest.approx(one.scores, abs=1e-3)
        assert one.timings.new_tokens == other.timings.new_tokens
    assert [(one.text, one.finish) for one in short] == [("", "labels_only")] * 2
    assert after.text == wanted[3].text
