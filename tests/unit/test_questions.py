"""What a question is told: the labels that are reported, and the words that it may quote; on a stub pack."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import emer_edge as ee
import emer_edge.prompting
from emer_edge.errors import Cancelled
from emer_edge.llm.gguf import Llm
from emer_edge.llm.labels import score_labels
from emer_edge.llm.prompt import build_prompt
from tests.data.make_pack import make_stub_pack, write_manifest
from tests.support.made_clip import made_clip

FEW = ee.Options(max_tokens=12)


@pytest.fixture(scope="module")
def reasoner(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ee.Reasoner]:
    """A pack whose questions tell nothing, beside `telling`."""
    folder = make_stub_pack(tmp_path_factory.mktemp("plain") / "stub", frames_source="frames")
    with ee.load(folder, threads=1) as loaded:
        yield loaded


@pytest.fixture(scope="module")
def telling(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ee.Reasoner]:
    """A pack whose `explain` tells the labels, and which quotes the subtitle between plain marks."""
    folder = make_stub_pack(tmp_path_factory.mktemp("telling") / "stub", frames_source="frames")
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["prompt"]["questions"]["explain"] = "Why does the person feel {labels}?"
    manifest["generation"]["quotes"] = {"open": '"', "close": '"'}
    manifest["labels"]["temperature"] = 2.0
    write_manifest(folder, manifest)
    with ee.load(folder, threads=1) as loaded:
        yield loaded


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The words of every question that is laid into a prompt."""
    words: list[str] = []
    build = build_prompt

    def noted(*arguments: Any) -> Any:
        words.append(arguments[3])
        return build(*arguments)

    monkeypatch.setattr(emer_edge.prompting, "build_prompt", noted)
    return words


@pytest.fixture
def batches(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Rows of every batch that runs a prompt or labels."""
    sizes: list[int] = []
    decode = Llm.decode

    def noted(self: Llm, inputs: Any, *rest: Any, **named: Any) -> None:
        sizes.append(len(inputs))
        decode(self, inputs, *rest, **named)

    monkeypatch.setattr(Llm, "decode", noted)
    return sizes


def test_a_question_tells_the_labels_that_are_reported(telling: ee.Reasoner, asked: list[str]) -> None:
    told: list[ee.Event] = []
    out = telling.infer(made_clip(), options=FEW, on_event=told.append)
    decision = ", ".join(e.label for event in told if event.kind == "labels" for e in event.emotions)
    assert decision == ", ".join(e.label for e in out.emotions if e.source != "text")
    assert asked[-1] == f"Why does the person feel {decision}?"
    # The same words, asked freely, get the same answer: nothing but the labels was filled in.
    assert telling.infer(made_clip(), question=asked[-1], options=FEW).text == out.text
    bare = telling.infer(made_clip(), options=ee.Options(max_tokens=0))
    assert bare.scores == out.scores


def test_only_a_question_that_tells_labels_waits_for_them(telling: ee.Reasoner, batches: list[int]) -> None:
    telling.infer(made_clip(), question="sentiment", options=FEW)
    at_once = len(batches)
    batches.clear()
    telling.infer(made_clip(), question="explain", options=FEW)
    assert len(batches) == at_once + 1
    assert batches[-1] < batches[0] / 2  # the question alone, not the clip again


def test_a_further_question_is_told_the_labels_of_the_first(telling: ee.Reasoner, batches: list[int]) -> None:
    fresh = telling.infer(made_clip(), question="explain", options=FEW)
    perception = telling.perceive(made_clip())
    telling.ask(perception, "labels", options=FEW)
    batches.clear()
    again = telling.ask(perception, "explain", options=FEW)
    assert len(batches) == 1
    assert again.text == fresh.text
    assert [e.label for e in again.emotions] == [e.label for e in fresh.emotions]
    other = telling.ask(telling.perceive(ee.Clip(subtitle="Something else.")), "explain", options=FEW)
    assert other.used.modalities == ("subtitle",)
    assert telling.ask(perception, "explain", options=FEW).text == fresh.text


@pytest.mark.parametrize("question", ["Is it {labels}?", "Why does the person feel {labels}?"])
def test_a_free_question_is_never_filled_in(telling: ee.Reasoner, asked: list[str], question: str) -> None:
    telling.infer(made_clip(), question=question, options=FEW)
    assert question in asked


def test_a_stop_between_labels_and_question_does_not_spoil_the_next(
    telling: ee.Reasoner, monkeypatch: pytest.MonkeyPatch
) -> None:
    perception, token = telling.perceive(made_clip()), ee.CancelToken()
    score = score_labels

    def scored(*arguments: Any, **named: Any) -> dict[str, float]:
        scores = score(*arguments, **named)
        token.cancel()
        return scores

    with monkeypatch.context() as patch:
        patch.setattr(emer_edge.prompting, "score_labels", scored)
        with pytest.raises(Cancelled):
            telling.ask(perception, "explain", options=FEW, cancel=token)
    assert (
        telling.ask(perception, "explain", options=FEW).text == telling.infer(made_clip(), options=FEW).text
    )


def test_the_time_of_a_token_is_that_of_writing(
    telling: ee.Reasoner, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock = telling._session.quote_lock

    def slow(subtitle: str) -> Any:
        time.sleep(0.5)
        return lock(subtitle)

    monkeypatch.setattr(telling._session, "quote_lock", slow)
    timings = telling.infer(made_clip(), options=FEW).timings
    assert timings.total - timings.first_label > 0.5
    assert 0 < timings.per_token * timings.new_tokens < 0.5


def test_the_packs_temperature_is_applied(telling: ee.Reasoner, reasoner: ee.Reasoner) -> None:
    cold, warm = (r.infer(made_clip(), question="labels", options=FEW).scores for r in (reasoner, telling))
    expected = np.sqrt(list(cold.values()))
    np.testing.assert_allclose(list(warm.values()), expected / expected.sum(), rtol=1e-4)


def _said(reasoner: ee.Reasoner, subtitle: str, seed: int) -> str:
    options = ee.Options(max_tokens=150, temperature=1.5, top_p=1.0, top_k=0, seed=seed)
    clip = ee.Clip(waveform=made_clip().waveform, subtitle=subtitle)
    return reasoner.infer(clip, question="sentiment", options=options).text


def test_what_stands_between_quotation_marks_stands_in_the_subtitle(
    telling: ee.Reasoner, reasoner: ee.Reasoner
) -> None:
    subtitle = "Well, I did not expect that, naïve as I am."
    locked = [
        quote for seed in range(12) for quote in re.findall('"(.*?)"', _said(telling, subtitle, seed), re.S)
    ]
    assert locked
    for quote in locked:
        assert quote.removeprefix(" ") in subtitle
    # The same model without marks in its manifest goes on with something else.
    free = [_said(reasoner, subtitle, seed).partition('"')[2][:6] for seed in range(12)]
    assert any(begun and begun.removeprefix(" ") not in subtitle for begun in free)


def test_without_words_nothing_is_quoted(telling: ee.Reasoner) -> None:
    assert not any('"' in _said(telling, "", seed) for seed in range(6))
