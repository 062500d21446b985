"""Each modality read by itself, on a stub pack: real ONNX and GGUF files, random weights."""

from __future__ import annotations

import dataclasses
import itertools
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import emer_edge as ee
import emer_edge.prompting
from emer_edge.errors import Cancelled
from emer_edge.llm.labels import score_labels
from emer_edge.llm.prompt import build_prompt
from emer_edge.prompting import open_clip
from tests.data.make_pack import alone_rule, make_stub_pack, write_manifest

LABELS_ONLY = ee.Options(max_tokens=0)
Scores = dict[str, float]


@pytest.fixture(scope="module")
def reasoner(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ee.Reasoner]:
    folder = make_stub_pack(tmp_path_factory.mktemp("alone") / "stub", frames_source="frames")
    write_manifest(folder, _with_the_rule(folder))
    with ee.load(folder, threads=1, at_once=2) as loaded:
        yield loaded


def _with_the_rule(folder: Path) -> dict[str, Any]:
    manifest: dict[str, Any] = json.loads((folder / "manifest.json").read_text())
    manifest["labels"] |= {"when_unclear": "worried"}
    manifest["labels"]["sentiment"]["negative"] = ["sad", "angry"]
    manifest["labels"]["alone"] = alone_rule()
    manifest["prompt"]["questions"]["explain"] = "Why {labels}? Alone: {alone}."
    manifest["generation"]["quotes"] = {"open": '"', "close": '"'}
    return manifest


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> Callable[[list[str]], None]:
    """Have the next readings of labels come out as these, in this order; `?` is unsure, `!` less sure."""
    score = score_labels

    def rigged(labels: list[str]) -> None:
        left = iter(labels)

        def scored(*given: Any, **named: Any) -> Scores:
            real = score(*given, **named)
            best = next(left)
            share = {"?": 0.3, "!": 0.6}.get(best[-1], 0.75)
            best = best.rstrip("?!")
            return {label: share if label == best else (1 - share) / (len(real) - 1) for label in real}

        monkeypatch.setattr(emer_edge.prompting, "score_labels", scored)

    return rigged


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[set[str], str]]:
    """What every prompt is built of: modalities and question."""
    found: list[tuple[set[str], str]] = []
    build = build_prompt

    def noted(template: Any, present: Any, subtitle: str, question: str, tokenize: Any) -> Any:
        found.append((set(present), question))
        return build(template, present, subtitle, question, tokenize)

    monkeypatch.setattr(emer_edge.prompting, "build_prompt", noted)
    return found


def _clip(**parts: Any) -> ee.Clip:
    random = np.random.default_rng(5)
    whole = ee.Clip(
        frames=random.integers(0, 255, (12, 40, 60, 3), dtype=np.uint8),
        waveform=random.normal(0, 0.1, 48_000).astype(np.float32),
        subtitle="I did not expect that.",
        name="made",
    )
    return dataclasses.replace(whole, **parts)


def _only(name: str) -> ee.Clip:
    absent: dict[str, Any] = {"vision": "frames", "audio": "waveform", "subtitle": "subtitle"}
    return _clip(**{part: None for modality, part in absent.items() if modality != name})


def test_each_modality_is_read_as_if_nothing_else_were_given(reasoner: ee.Reasoner) -> None:
    out = reasoner.infer(_clip(), options=LABELS_ONLY)
    assert [one.modality for one in out.alone] == ["vision", "audio", "subtitle"]
    for one in out.alone:
        scores = reasoner.infer(_only(one.modality), options=LABELS_ONLY).scores
        assert one.label == max(scores, key=scores.__getitem__)
        assert one.confidence == pytest.approx(scores[one.label], abs=1e-3)
        assert one.sure == (one.confidence >= 0.4)
    assert out.to_dict()["alone"][1]["modality"] == "audio"


def test_the_labels_of_all_together_do_not_depend_on_it(reasoner: ee.Reasoner) -> None:
    with_them = reasoner.infer(_clip(), options=LABELS_ONLY)
    session: Any = reasoner._session
    perception = reasoner.perceive(_clip())
    perception.alone = with_them.alone
    assert reasoner.ask(perception, options=LABELS_ONLY).scores == with_them.scores
    assert session.context_owner is perception


def test_one_modality_alone_is_not_read_twice(
    reasoner: ee.Reasoner, asked: list[tuple[set[str], str]]
) -> None:
    out = reasoner.infer(_only("audio"), question="labels", options=LABELS_ONLY)
    assert len(asked) == 2  # up to the label, and the question behind the same prefix
    assert [(one.modality, one.confidence) for one in out.alone] == [("audio", max(out.scores.values()))]


def test_the_question_tells_what_was_read(
    reasoner: ee.Reasoner, reads: Callable[[list[str]], None], asked: list[tuple[set[str], str]]
) -> None:
    reads(["happy", "sad", "angry", "happy"])
    out = reasoner.infer(_clip(), options=ee.Options(max_tokens=4))
    assert asked[-1][1] == "Why happy, sad, angry? Alone: face happy, voice sad, words angry."
    assert [emotion.label for emotion in out.emotions][:3] == ["happy", "sad", "angry"]
    assert out.emotions[1].confidence == pytest.approx(0.05)


@pytest.mark.parametrize(
    ("read", "left", "named"),
    [
        (["happy", "worried", "sad", "sad"], ("vision", "subtitle"), "the voice can not be read"),
        (["worried", "worried", "sad", "sad"], ("subtitle",), "the face can not be read"),
        (["happy", "sad", "worried", "sad"], ("vision", "audio"), "the words can not be read"),
    ],
)
def test_what_says_nothing_by_itself_is_left_out(
    reasoner: ee.Reasoner,
    reads: Callable[[list[str]], None],
    asked: list[tuple[set[str], str]],
    read: list[str],
    left: tuple[str, ...],
    named: str,
) -> None:
    reads(read)
    out = reasoner.infer(_clip(), options=ee.Options(max_tokens=4))
    assert out.used.modalities == left
    assert any(named in sentence for sentence in out.used.missing)
    assert [present for present, _ in asked[3:]] == [set(left)] * len(asked[3:])
    assert len(out.alone) == 3


def test_what_may_say_something_stays(
    reasoner: ee.Reasoner, reads: Callable[[list[str]], None], asked: list[tuple[set[str], str]]
) -> None:
    reads(["happy", "worried?", "sad?", "happy"])
    out = reasoner.infer(_clip(), options=LABELS_ONLY)
    assert out.used.modalities == ("vision", "audio", "subtitle")
    assert asked[-1][1] == "Why happy? Alone: face happy, voice worried, words unsure."


def test_of_what_is_left_out_the_question_tells_nothing(
    reasoner: ee.Reasoner, reads: Callable[[list[str]], None], asked: list[tuple[set[str], str]]
) -> None:
    reads(["happy", "worried", "sad", "happy"])
    perception = reasoner.perceive(_clip())
    reasoner.ask(perception, options=LABELS_ONLY)
    assert asked[-1] == ({"vision", "subtitle"}, "Why happy, sad? Alone: face happy, words sad.")
    reasoner.ask(perception, options=LABELS_ONLY)  # on the prompt that is there already
    assert asked[-1] == asked[-2]


@pytest.mark.parametrize("beside", [False, True])
def test_what_was_stopped_between_the_readings_goes_on_from_there(
    reasoner: ee.Reasoner, monkeypatch: pytest.MonkeyPatch, beside: bool
) -> None:
    def perceive() -> list[ee.Perception]:
        return [reasoner.perceive(_clip()), reasoner.perceive(_clip(subtitle="Go away!"))]

    def ask(seen: list[ee.Perception]) -> list[ee.Reasoning]:
        if beside:
            return reasoner.ask_many(seen, "labels", options=LABELS_ONLY)
        return [reasoner.ask(one, "labels", options=LABELS_ONLY) for one in seen]

    whole = ask(perceive())
    for stop_at in range(8):  # three readings and one of all together, for two clips
        seen, count = perceive(), itertools.count()

        def stopped(*given: Any, last: int = stop_at, readings: Any = count, **named: Any) -> Scores:
            if next(readings) == last:
                raise Cancelled("Stopped.")
            return score_labels(*given, **named)

        monkeypatch.setattr(emer_edge.prompting, "score_labels", stopped)
        with pytest.raises(Cancelled):
            ask(seen)
        monkeypatch.undo()
        for one, expected in zip(ask(seen), whole, strict=True):
            assert one.used == expected.used
            assert one.alone == expected.alone
            assert one.scores == pytest.approx(expected.scores, abs=1e-3)


@pytest.mark.parametrize("beside", [False, True])
def test_reading_alone_keeps_no_sequence(reasoner: ee.Reasoner, beside: bool) -> None:
    llm, perception = reasoner._session.llm, reasoner.perceive(_clip())
    llm.reset()
    context, branch = open_clip(reasoner._session, perception, "labels", "What?", beside=beside)
    assert perception.alone
    assert len(llm.free_sequences()) == llm.n_seq - 2  # the prefix and the question
    branch.drop()
    context.close()
    assert len(llm.free_sequences()) == llm.n_seq


def test_neighbours_stay_while_modalities_are_read_alone(reasoner: ee.Reasoner) -> None:
    session = reasoner._session
    session.llm.reset()
    seen = [reasoner.perceive(_clip()), reasoner.perceive(_clip(subtitle="Go away!"))]
    _, first = open_clip(session, seen[0], "labels", "What?", beside=True)
    rows, step = first.n_rows, 65
    _, second = open_clip(session, seen[1], "labels", "What?", beside=True)
    assert (first.n_rows, bool(second.n_rows)) == (rows, True)
    beside = first.step(step).copy()
    session.llm.reset()
    _, lonely = open_clip(session, seen[0], "labels", "What?", beside=True)
    np.testing.assert_allclose(beside, lonely.step(step), atol=0.02)


@pytest.mark.parametrize("bos", [False, True])
@pytest.mark.parametrize("at_once", [1, 2])
def test_the_longest_subtitle_leaves_room_to_read_each_modality(
    tmp_path: Path, bos: bool, at_once: int
) -> None:
    """A long question of the labels and hardly an answer: reading each alone takes most rows."""
    folder = make_stub_pack(tmp_path / "stub", frames_source="frames")
    manifest = _with_the_rule(folder)
    manifest["prompt"]["add_bos"] = bos
    manifest["prompt"]["questions"]["labels"] = "Please say what the character feels at this moment. " * 3
    manifest["generation"]["max_new_tokens"] = 1
    write_manifest(folder, manifest)
    with ee.load(folder, threads=1, at_once=at_once) as small:
        seen = [small.perceive(_clip(subtitle=letter * 20_000)) for letter in "ab"[:at_once]]
        assert all("was cut" in " ".join(one.used.missing) for one in seen)
        for out in small.ask_many(seen, "labels"):
            assert len(out.alone) == 3
            assert out.finish == "length"


def test_a_modality_that_is_left_out_changes_nothing(reasoner: ee.Reasoner) -> None:
    perception = reasoner.perceive(_clip())
    perception.used = dataclasses.replace(perception.used, modalities=("vision", "subtitle"))
    scores = reasoner.ask(perception, options=LABELS_ONLY).scores
    without = reasoner.infer(_clip(waveform=None), options=LABELS_ONLY).scores
    assert scores == pytest.approx(without, abs=1e-6)


def test_where_nothing_says_anything_the_least_unclear_stays(
    reasoner: ee.Reasoner, reads: Callable[[list[str]], None]
) -> None:
    reads(["worried", "worried!", "worried", "worried"])
    out = reasoner.infer(_clip(), options=LABELS_ONLY)
    assert out.used.modalities == ("audio",)
    assert len(out.used.missing) == 2
    assert [emotion.label for emotion in out.emotions] == ["worried"]


def test_clips_side_by_side_are_read_alike(reasoner: ee.Reasoner) -> None:
    clips = [_clip(), _clip(subtitle="Go away!")]
    alone = [reasoner.infer(clip, options=LABELS_ONLY).alone for clip in clips]
    seen = [reasoner.perceive(clip) for clip in clips]
    together = reasoner.ask_many(seen, options=LABELS_ONLY)
    for one, other in zip(alone, together, strict=True):
        assert [a.label for a in one] == [a.label for a in other.alone]
        assert [a.confidence for a in one] == pytest.approx([a.confidence for a in other.alone], abs=1e-3)


def test_a_second_question_reads_nothing_again(
    reasoner: ee.Reasoner, asked: list[tuple[set[str], str]]
) -> None:
    perception = reasoner.perceive(_clip())
    first = reasoner.ask(perception, options=LABELS_ONLY)
    asked.clear()
    second = reasoner.ask(perception, "sentiment", options=LABELS_ONLY)
    assert len(asked) == 1
    assert second.alone == first.alone


def test_a_pack_without_the_rule_reads_nothing_alone(tmp_path: Path) -> None:
    folder = make_stub_pack(tmp_path / "stub", frames_source="frames")
    with ee.load(folder, threads=1) as plain:
        assert plain.infer(_clip(), options=LABELS_ONLY).alone == ()
