"""Words come beside states, on the stream's clock; a slow or broken transcriber stops nothing."""

from __future__ import annotations

import json
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import emer_edge as ee
from emer_edge.errors import InputError
from emer_edge.live.transcribe import MOST_SECONDS, Dictation, Said
from emer_edge.live.vosk import VoskTranscriber
from tests.unit.live.streams import RATE, dropped, failures, noise, push_all, states


class Counting:
    """Says a word for every second, and what it has heard of the next as not final."""

    def __init__(self) -> None:
        self.fed = 0.0
        self.finished = 0

    def feed(self, samples: np.ndarray) -> list[Said]:
        before, self.fed = self.fed, self.fed + len(samples) / RATE
        out = [Said(f"word{n}", n, n + 0.9) for n in range(int(before + 1e-6), int(self.fed + 1e-6))]
        return [*out, Said("half", int(self.fed + 1e-6), self.fed, final=False)]

    def finish(self) -> list[Said]:
        self.finished += 1
        self.fed = 0.0
        return []


def test_what_is_written_down_reaches_the_windows(stub: ee.Reasoner) -> None:
    transcriber = Counting()
    with stub.live(
        window_seconds=4.0, hop_seconds=1.0, policy="block", speech=None, transcriber=transcriber
    ) as live:
        push_all(live, noise(3.0).between(0, 3), offset=50.0)
        assert live.flush(20)
        push_all(live, noise(6.0).between(3, 6), offset=53.0)
    told = states(list(live))
    assert "word0 word1 word2" in told[3].subtitle
    assert told[-1].end_pts_seconds == pytest.approx(56.0)
    assert transcriber.finished >= 1
    assert live.stats()["pushed"]["text"] > 6


def test_a_broken_transcriber_is_told_and_states_go_on(stub: ee.Reasoner) -> None:
    class Broken(Counting):
        def feed(self, samples: np.ndarray) -> list[Said]:
            raise OSError("no model")

    with stub.live(
        window_seconds=2.0, hop_seconds=1.0, policy="block", speech=None, transcriber=Broken()
    ) as live:
        push_all(live, noise(4.0))
    events = list(live)
    assert len(states(events)) == 4
    assert ["no model" in str(event.error["why"]) for event in failures(events)] == [True]


def test_a_slow_transcriber_loses_sound_and_not_states(stub: ee.Reasoner) -> None:
    class Slow(Counting):
        def feed(self, samples: np.ndarray) -> list[Said]:
            time.sleep(2.0)
            return []

    with stub.live(
        window_seconds=2.0, hop_seconds=1.0, policy="block", speech=None, transcriber=Slow()
    ) as live:
        push_all(live, noise(40.0, size=(4, 4)), chunk_seconds=1.0)
        began = time.monotonic()
        live.close(timeout=3.0)
        assert time.monotonic() - began < 12
    events = list(live)
    assert len(states(events)) == 40
    assert dropped(events).get(("queue_full", "text"), 0) >= 1


def test_the_queue_before_a_transcriber_is_bounded() -> None:
    lost: list[int] = []
    gate = threading.Event()

    class Waiting(Counting):
        def feed(self, samples: np.ndarray) -> list[Said]:
            gate.wait(10)
            return []

    dictation = Dictation(Waiting(), RATE, lambda _: None, lost.append, lambda _: None)
    for second in range(100):
        dictation.hear(second * RATE, np.zeros(RATE, np.float32))
    assert sum(lost) >= 100 - MOST_SECONDS - 2
    gate.set()
    assert dictation.finish(10)
    dictation.close()


@pytest.fixture
def fake_vosk(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """Vosk's interface as its documentation describes it: bytes in, JSON text out."""

    class Recogniser:
        def __init__(self, model: Any, rate: int) -> None:
            assert rate == RATE
            self.bytes = 0

        def SetWords(self, _on: bool) -> None: ...  # noqa: N802

        def AcceptWaveform(self, data: bytes) -> int:  # noqa: N802
            self.bytes += len(data)
            return int(self.bytes % (2 * RATE) == 0)

        def Result(self) -> str:  # noqa: N802
            word = {"word": "well", "start": 0.1, "end": 0.8, "conf": 1.0}
            return json.dumps({"text": "well", "result": [word]})

        def PartialResult(self) -> str:  # noqa: N802
            return json.dumps({"partial": "we"})

        def FinalResult(self) -> str:  # noqa: N802
            return json.dumps({"text": ""})

        def Reset(self) -> None:  # noqa: N802
            self.bytes = 0

    module = SimpleNamespace(
        KaldiRecognizer=Recogniser, Model=lambda path: path, SetLogLevel=lambda level: None
    )
    monkeypatch.setitem(sys.modules, "vosk", module)
    return module


def test_vosk_tells_partial_and_final_words(fake_vosk: SimpleNamespace, tmp_path: Path) -> None:
    transcriber = VoskTranscriber(tmp_path)
    half = np.zeros(RATE // 2, np.float32)
    assert transcriber.feed(half) == [Said("we", 0.0, 0.5, False)]
    assert transcriber.feed(half) == [Said("well", 0.0, 0.8, True)]
    assert transcriber.feed(half) == [Said("we", 1.0, 1.5, False)]
    assert transcriber.finish() == []
    assert transcriber.feed(half) == [Said("we", 0.0, 0.5, False)]


def test_a_folder_that_is_no_model_is_refused(tmp_path: Path) -> None:
    pytest.importorskip("vosk")
    with pytest.raises(InputError, match="not a folder"):
        VoskTranscriber(tmp_path / "absent")
    with pytest.raises(InputError, match="no model"):
        VoskTranscriber(tmp_path)


def test_without_vosk_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "vosk", None)
    with pytest.raises(InputError, match=r"emer-edge\[live\]"):
        VoskTranscriber(tmp_path)
