"""Messages between server and worker, the moments of clues, and the examples of both."""

from __future__ import annotations

import asyncio
import doctest
import io
from dataclasses import replace
from types import ModuleType

import pytest
from hypothesis import given
from hypothesis import settings as tuned
from hypothesis import strategies as st

from emer_edge.results import Clue, Cue
from emer_edge.server import live_messages, metrics, problems, settings, wire
from emer_edge.server.moments import Moment, clue_moments
from emer_edge.server.wire import BrokenWireError, encode, receive, receive_blocking
from tests.support.sample_results import FULL

CUES = (Cue(0.5, 2.0, "I can't believe it,\nwe won!"), Cue(3.0, 4.0, "This is the best day"))


@tuned(deadline=None)
@given(st.dictionaries(st.text(), st.integers() | st.text() | st.none()), st.binary())
def test_a_message_comes_back(message: dict[str, object], blob: bytes) -> None:
    data = encode(message, blob)
    assert receive_blocking(io.BytesIO(data)) == (message, blob)

    async def read() -> object:
        reader = asyncio.StreamReader()
        reader.feed_data(data + data)
        reader.feed_eof()
        return [await receive(reader) for _ in range(3)]

    assert asyncio.run(read()) == [message, message, None]


@pytest.mark.parametrize("cut", [0, 3, 8, 12])
def test_a_stream_that_ends_early_is_an_end(cut: int) -> None:
    assert receive_blocking(io.BytesIO(encode({"op": "x"}, b"12345")[:cut])) is None


@pytest.mark.parametrize("data", [b"\xff" * 12, b"\x02\0\0\0\0\0\0\0[]", b"\x01\0\0\0\0\0\0\0{"])
def test_what_is_no_message_is_told(data: bytes) -> None:
    with pytest.raises(BrokenWireError):
        receive_blocking(io.BytesIO(data))


@pytest.mark.parametrize(
    ("clue", "moment"),
    [
        (Clue("words", 'The words "believe it, we" sound glad.'), Moment(0.5, 2.0, 0.5, "cue")),
        (Clue("words", "The words “Won! This is” sound glad."), Moment(0.5, 4.0, 0.5, "cue")),
        (Clue("words", 'She says "never".'), Moment(0.5, 4.0, 0.5, "speech")),
        (Clue("voice", "The voice is bright."), Moment(0.5, 4.0, 0.5, "speech")),
        (Clue("face", "The face smiles."), Moment(0.2, 3.2, 1.7, "frames")),
        (Clue("scene", "It rains."), Moment(0.2, 3.2, 1.7, "frames")),
    ],
)
def test_a_clue_has_its_moment(clue: Clue, moment: Moment) -> None:
    used = replace(FULL.used, frame_seconds=(0.2, 1.7, 3.2))
    assert clue_moments(replace(FULL, cues=CUES, clues=(clue,), used=used)) == [moment]


def test_without_times_a_clue_is_about_what_there_is() -> None:
    clues = (Clue("words", 'The words "I am glad".'), Clue("voice", "Bright."), Clue("face", "Smiles."))
    untimed = replace(FULL, cues=(Cue(0.0, 0.0, "I am glad."),), clues=clues)
    assert [moment.basis for moment in clue_moments(untimed)] == ["clip", "sound", "clip"]


@pytest.mark.parametrize("module", [live_messages, metrics, problems, settings, wire])
def test_the_examples_hold(module: ModuleType) -> None:
    results = doctest.testmod(module)
    assert results.attempted > 0
    assert results.failed == 0
