"""Streams with a pack that reads each modality by itself: what a state rests on, and when words are due."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import emer_edge as ee
import emer_edge.prompting
from emer_edge.llm.labels import score_labels
from tests.data.make_pack import alone_rule, make_stub_pack, write_manifest
from tests.unit.live.streams import failures, noise, push_all, reasoned, states


class Nobody:
    """Never hears speech."""

    step = 512

    def probabilities(self, samples: NDArray[np.float32]) -> NDArray[np.float32]:
        return np.zeros(len(samples) // self.step, np.float32)

    def reset(self) -> None:
        pass


@pytest.fixture(scope="module")
def reasoner(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ee.Reasoner]:
    folder = make_stub_pack(tmp_path_factory.mktemp("alone") / "stub", frames_source="frames")
    manifest: dict[str, Any] = json.loads(Path(folder, "manifest.json").read_text())
    manifest["labels"] |= {"when_unclear": "worried", "alone": alone_rule()}
    manifest["labels"]["sentiment"]["negative"] = ["sad", "angry"]
    write_manifest(folder, manifest)
    with ee.load(folder, threads=1) as loaded:
        yield loaded


def test_sound_that_says_nothing_is_left_out_and_words_wait_for_speech_all_the_same(
    reasoner: ee.Reasoner, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Each window is read three times: the face, the sound, and what is left of both.
    best = itertools.cycle(("happy", "worried", "happy"))

    def scored(*given: Any, **named: Any) -> dict[str, float]:
        label = next(best)
        return {other: 0.8 if other == label else 0.04 for other in score_labels(*given, **named)}

    monkeypatch.setattr(emer_edge.prompting, "score_labels", scored)
    with reasoner.live(
        window_seconds=2.0, hop_seconds=1.0, policy="block", speech=Nobody(), reasoning="on_change"
    ) as live:
        push_all(live, noise(3.0))
    events = list(live)
    told = states(events)
    assert not failures(events)
    assert [state.quality.modalities for state in told] == [("vision",)] * 3
    assert all(state.quality.audio_seconds for state in told)
    assert not any(state.quality.speech for state in told)
    assert [state.emotions[0].label for state in told] == ["happy"] * 3
    assert not reasoned(events)
