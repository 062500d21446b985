"""Which labels are reported, and what a question says of them."""

from __future__ import annotations

import dataclasses
import json

import pytest

from emer_edge.answers import choose_emotions, tell_labels, words_of_question
from emer_edge.limits import Limits
from emer_edge.packs.manifest import Manifest, load_manifest
from emer_edge.packs.records import AloneSpec
from emer_edge.results import Alone, Modality
from tests.data.make_pack import make_stub_pack, write_manifest

SCORES = {"neutral": 0.05, "happy": 0.5, "sad": 0.25, "angry": 0.15, "surprised": 0.03, "worried": 0.02}


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    folder = make_stub_pack(tmp_path_factory.mktemp("pack") / "stub")
    data = json.loads((folder / "manifest.json").read_text())
    data["prompt"]["questions"]["explain"] = "Why {labels}, and {labels}?"
    write_manifest(folder, data)
    return load_manifest(folder, Limits())


def unclear(manifest: Manifest, label: str) -> Manifest:
    return dataclasses.replace(manifest, labels=dataclasses.replace(manifest.labels, when_unclear=label))


def chosen(
    manifest: Manifest, scores: dict[str, float], named: tuple[str, ...] = ()
) -> list[tuple[str, str]]:
    return [(emotion.label, emotion.source) for emotion in choose_emotions(manifest, scores, named)]


def test_the_best_labels_and_what_the_text_names_beside_them(manifest: Manifest) -> None:
    assert chosen(manifest, SCORES, ("sad", "bitter")) == [
        ("happy", "logits"), ("sad", "both"), ("angry", "logits"), ("bitter", "text")
    ]  # fmt: skip


def test_unclear_as_the_best_label_stands_alone(manifest: Manifest) -> None:
    happy = unclear(manifest, "happy")
    assert chosen(happy, SCORES) == [("happy", "logits")]
    assert chosen(happy, SCORES, ("sad", "happy")) == [("happy", "both")]
    assert choose_emotions(happy, SCORES, ())[0].confidence == 0.5


def test_unclear_as_second_best_is_not_reported(manifest: Manifest) -> None:
    sad = unclear(manifest, "sad")
    assert chosen(sad, SCORES) == [("happy", "logits"), ("angry", "logits")]
    # The text is reported as it stands.
    assert ("sad", "text") in chosen(sad, SCORES, ("sad",))


def test_no_scores_no_labels(manifest: Manifest) -> None:
    assert chosen(unclear(manifest, "sad"), {}) == []


def test_a_question_of_the_pack_tells_the_labels(manifest: Manifest) -> None:
    words = words_of_question(manifest, "explain", Limits())
    told = tell_labels(manifest, "explain", words, SCORES)
    assert told == "Why happy, sad, angry, and happy, sad, angry?"
    assert tell_labels(unclear(manifest, "happy"), "explain", words, SCORES) == "Why happy, and happy?"


@pytest.fixture(scope="module")
def alone(manifest: Manifest) -> Manifest:
    """A pack that has each modality read by itself, and tells it."""
    names: dict[Modality, str] = {"vision": "face", "audio": "voice", "subtitle": "words"}
    rule = AloneSpec(names, sure=0.4, unsure="unsure", quiet=("neutral",))
    labels = dataclasses.replace(manifest.labels, alone=rule, when_unclear="worried")
    questions = {**manifest.prompt.questions, "explain": "Why {labels}? Alone: {alone}."}
    return dataclasses.replace(
        manifest, labels=labels, prompt=dataclasses.replace(manifest.prompt, questions=questions)
    )


ALONE = (
    Alone("vision", "happy", 0.8, True),
    Alone("audio", "surprised", 0.41, True),
    Alone("subtitle", "angry", 0.39, False),
)


def test_a_feeling_that_a_modality_alone_is_sure_of_is_reported(alone: Manifest) -> None:
    few = {**SCORES, "sad": 0.1, "angry": 0.1, "happy": 0.7}
    assert [e.label for e in choose_emotions(alone, few, (), ALONE)] == ["happy", "surprised"]
    assert [e.label for e in choose_emotions(alone, few, ())] == ["happy"]
    # The surest stay where there are more than are reported, and what shows nothing adds nothing.
    assert [e.label for e in choose_emotions(alone, SCORES, (), ALONE)] == ["happy", "sad", "angry"]
    assert [e.label for e in choose_emotions(alone, few, (), (Alone("vision", "neutral", 0.9, True),))] == [
        "happy"
    ]


def test_unclear_stands_alone_whatever_a_modality_shows(alone: Manifest) -> None:
    scores = {**SCORES, "worried": 0.9}
    assert [e.label for e in choose_emotions(alone, scores, (), ALONE)] == ["worried"]


def test_a_question_tells_what_each_modality_shows_alone(alone: Manifest) -> None:
    words = words_of_question(alone, "explain", Limits())
    unread = (*ALONE[:2], Alone("subtitle", "worried", 0.2, False))
    assert tell_labels(alone, "explain", words, SCORES, unread) == (
        "Why happy, sad, angry? Alone: face happy, voice surprised, words worried."
    )
    assert tell_labels(alone, "explain", words, SCORES, ALONE).endswith("words unsure.")


@pytest.mark.parametrize(
    "question",
    ["Is it {labels}?", "What of {alone}?", "{}", "{0} {labels!r} {{", "Why {labels}, and {labels}?"],
)
def test_free_questions_keep_their_braces(manifest: Manifest, question: str) -> None:
    words = words_of_question(manifest, question, Limits())
    assert tell_labels(manifest, question, words, SCORES) == question
