"""Claims that clues agree or differ: which are read, and what becomes of them."""

from __future__ import annotations

import doctest
import time
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emer_edge.evaluate import agreement, agreement_check, agreement_words, faithfulness
from emer_edge.evaluate.agreement import read_agreement
from emer_edge.evaluate.agreement_words import CODES, adjective, label_class, label_words, same_label
from emer_edge.evaluate.faithfulness import Evidence, check_answer
from emer_edge.evaluate.faithfulness_rates import faithfulness as rates

ALL = frozenset({"face", "voice", "words"})
LABELS = ("neutral", "calm", "happy", "sad", "angry", "fearful", "disgusted", "surprised", "contemptuous")


def read(text: str) -> list[tuple[object, ...]]:
    """What is claimed: the stance, then each modality with its labels, or the labels of all."""
    return [
        (claim.stance, *([(side.modality, *side.labels) for side in claim.sides] or claim.labels))
        for claim in read_agreement(text).claims
    ]


def checks(text: str, alone=None, given=ALL, **more):
    evidence = Evidence(frozenset(given), alone=alone or {}, **more)
    return [check for check in check_answer(text, evidence).checks if check.kind == "agreement"]


def verdicts(text: str, alone=None, given=ALL, **more) -> list[str]:
    return [check.verdict for check in checks(text, alone, given, **more)]


@pytest.mark.parametrize("module", [agreement, agreement_check, agreement_words, faithfulness])
def test_examples_of_the_documentation(module):
    result = doctest.testmod(module)
    assert result.attempted
    assert result.failed == 0


@pytest.mark.parametrize("label", LABELS)
def test_every_label_has_a_class_of_its_own_but_for_the_quiet_ones(label):
    assert label in label_words()
    assert label_class(label) == ("quiet" if label in ("neutral", "calm") else label)
    assert same_label(label, label.upper())
    assert not same_label(label, "excited")


@pytest.mark.parametrize(
    ("label", "expected"),
    [
        ("Cheerful", "happy"),
        ("sorrow", "sad"),
        ("irritated", "angry"),
        ("anxious", "fearful"),
        ("relaxed", "quiet"),
        ("tense", ""),  # a face may be tense with anger or with fear
        ("at ease", ""),
        ("concerned", ""),
        ("weak", ""),
        ("nonsense", ""),
    ],
)
def test_classes_are_those_that_everybody_would_give(label, expected):
    assert label_class(label) == expected


def test_forms_of_one_word_are_one_label():
    assert same_label("sadness", "sad")
    assert same_label("anger", "angrily")
    assert same_label("neutrality", "calmness")
    assert not same_label("happy", "sad")
    assert not same_label("angry", "irritated")
    assert adjective("Fear") == "fearful"


def test_no_word_is_both_a_label_and_part_of_a_pattern():
    assert not label_words() & set(CODES)


@pytest.mark.parametrize(
    ("text", "claims"),
    [
        ("The clues agree.", [("agree",)]),
        ("All clues are consistent with each other.", [("agree",)]),
        ("Therefore, all of the clues are in agreement.", [("agree",)]),
        ("All clues point to sadness.", [("agree", "sadness")]),
        ("The face and the voice agree.", [("agree", ("face",), ("voice",))]),
        ("The voice matches the face.", [("agree", ("voice",), ("face",))]),
        ("Her words are in line with her sad face.", [("agree", ("words",), ("face", "sad"))]),
        ("Both the face and the voice look sad.", [("agree", ("face", "sad"), ("voice", "sad"))]),
        (
            "The face, the voice and the words all suggest sadness.",
            [("agree", ("face", "sadness"), ("voice", "sadness"), ("words", "sadness"))],
        ),
    ],
)
def test_claims_of_agreement(text, claims):
    assert read(text) == claims


@pytest.mark.parametrize(
    "text",
    [
        "While the face looks sad, the voice sounds happy.",
        "The face looks sad, but the voice sounds happy.",
        "Although the face looks sad, the voice sounds happy.",
        "Even though her face seems rather sad, her tone of voice is quite happy.",
        "The face appears sad, whereas the voice conveys a happy mood.",
        "The face looks sad, yet the voice sounds happy.",
        "The face looks sad while the voice sounds happy.",
        "Despite the sad face, the voice sounds happy.",
        "In contrast to the sad face, the voice sounds happy.",
        "Overall, the eyes look sad, but the voice sounds happy, so she hides something.",
        "The face looks sad. However, the voice sounds happy.",
        "The face looks sad; the voice, however, sounds happy.",
        "The face looks sad. But the voice sounds happy.",
        "The face looks sad. The voice sounds happy, though.",
        "The sad face contradicts the happy voice.",
        "Her sad face is at odds with her happy voice.",
        "There is a clear contrast between the sad face and the happy voice.",
        "The sad face doesn’t match the happy voice.",
    ],
)
def test_claims_of_contrast(text):
    assert read(text) == [("contrast", ("face", "sad"), ("voice", "happy"))]
    assert verdicts(text, {"face": "sad", "voice": "happy"}) == ["right"]
    assert verdicts(text, {"face": "sad", "voice": "sad"}) == ["wrong"]
    assert verdicts(text, {"face": "happy", "voice": "sad"}) == ["wrong"]
    assert verdicts(text) == ["not_checkable"]


@pytest.mark.parametrize(
    ("text", "sides"),
    [
        ("The clues do not agree.", []),
        ("The clues disagree.", []),
        ("There is a contradiction between the clues.", []),
        ("The face and the voice contradict each other.", [("face",), ("voice",)]),
        ("The audio and visual clues are inconsistent.", [("voice",), ("face",)]),
        ("There is no agreement between the face and the voice.", [("face",), ("voice",)]),
        ("The voice does not match the facial expression.", [("voice",), ("face",)]),
    ],
)
def test_claims_of_contrast_without_labels(text, sides):
    assert read(text) == [("contrast", *sides)]
    two = {"face", "voice"}
    assert verdicts(text, {"face": "sad", "voice": "happy"}, two) == ["right"]
    assert verdicts(text, {"face": "calm", "voice": "neutral"}, two) == ["wrong"]
    assert verdicts(text, {"face": "unclear", "voice": "sad"}, two) == ["not_checkable"]


@pytest.mark.parametrize(
    "text",
    [
        "If the clues agree, the person is sad.",
        "Do the clues agree?",
        "The clues may agree.",
        "Most clues agree.",
        "Two of the clues agree.",
        "The vocal cues agree.",
        "The speakers agree.",
        "She agrees with the words.",
        "The clues are consistent with happiness.",
        "There is no contradiction between the face and the voice.",
        "The face is consistent and the voice calm.",
        "She smiles and her voice sounds happy.",
        "Neither the face nor the voice looks sad.",
        "The face does not look sad, but the voice sounds happy.",
        "The face might look sad, but the voice sounds happy.",
        "The voice is low but sounds happy.",
        "The person looks sad, but is happy.",
        "The face looks sad while the voice sounds sad.",
        "The face shows anger, while the voice is irritated.",
        "The face looks sad, while the voice also sounds sad.",
        "The face of the happy man looks sad, but the voice sounds calm.",
        "The words say that his mother is sad, but the voice sounds happy.",
        "The face looks tense, but the voice sounds bright.",
        "Her mouth contradicts her eyes.",
        'The words "... the clues agree ..." sound sad.',
        'The words "while the face looks sad, the voice sounds happy" are calm.',
        "",
    ],
)
def test_what_cannot_be_read_for_sure_is_no_claim(text):
    assert read(text) == []
    assert verdicts(text, {"face": "sad", "voice": "sad", "words": "sad"}) == []


def test_places_are_those_of_the_answer():
    text = 'The words "a, but b" sound sad. While the face looks sad, the voice sounds happy. So clues agree.'
    found = read_agreement(text).claims
    assert [text[claim.start : claim.stop] for claim in found] == [claim.text for claim in found]
    assert [claim.text for claim in found] == [
        "While the face looks sad, the voice sounds happy",
        "So clues agree",
    ]
    spoken = checks(text)
    assert [text[check.start : check.stop] for check in spoken] == [check.text for check in spoken]


@pytest.mark.parametrize(
    "text",
    [
        "While the face looks sad, the voice sounds sad.",
        "The face looks sad, but the words express sadness.",
        "The face looks calm, but the voice sounds neutral.",
        "The angry face is at odds with the angry voice.",
    ],
)
def test_a_contrast_of_one_label_with_itself_is_wrong(text):
    [check] = checks(text)
    assert (check.verdict, check.is_right) == ("wrong", False)
    assert check.reason == "both sides have the same label"
    assert verdicts(text, {"face": "sad", "voice": "angry", "words": "happy"}) == ["wrong"]


def test_clues_do_not_agree_where_the_answer_itself_tells_them_apart():
    same = {"face": "sad", "voice": "sad"}
    apart = "The face looks sad. The voice is quiet and flat, and sounds cheerful. The clues agree."
    [check] = checks(apart, same)
    assert (check.verdict, check.reason) == ("wrong", "the answer's own clues have different labels")
    assert (check.topic, check.claimed, check.measured) == ("agree", "all agree", "face sad, voice sad")
    for text in (
        "The face looks sorrowful. The voice sounds dejected. The clues agree.",
        "The face is hard to read, perhaps happy. The voice sounds sad. The clues agree.",
        "The face looks tense. The voice sounds sad. The clues agree.",
        "The face is relaxed. The voice sounds neutral. The clues agree.",
    ):
        assert verdicts(text) == ["not_checkable"]
    assert verdicts("The words sound happy. The voice sounds sad. The voice matches the face.") == [
        "not_checkable"
    ]
    assert verdicts("While the face looks sad, the voice sounds happy. The clues agree.") == [
        "not_checkable",
        "wrong",
    ]


@pytest.mark.parametrize(
    ("alone", "verdict", "reason"),
    [
        ({"face": "sad", "voice": "sad", "words": "sad"}, "right", ""),
        ({"face": "calm", "voice": "neutral", "words": "calm"}, "right", ""),
        ({"face": "sad", "voice": "sad", "words": "unclear"}, "right", ""),
        ({"face": "sad", "voice": "sad", "words": "happy"}, "wrong", ""),
        ({"face": "sad", "words": "happy"}, "wrong", ""),
        ({"face": "sad", "voice": "sad"}, "not_checkable", "what the words shows alone is not known"),
        ({}, "not_checkable", "what the face shows alone is not known"),
        (
            {"face": "sad", "voice": "unclear", "words": "unclear"},
            "not_checkable",
            "fewer than two clues can be read alone",
        ),
    ],
)
def test_agreement_of_all_by_what_each_shows_alone(alone, verdict, reason):
    [check] = checks("The clues agree.", alone)
    assert (check.verdict, check.reason) == (verdict, reason)
    assert check.is_right is {"right": True, "wrong": False}.get(verdict)


def test_agreement_of_two_by_what_each_shows_alone():
    alone = {"face": "sad", "voice": "sad", "words": "happy"}
    assert verdicts("The face and the voice agree.", alone) == ["right"]
    assert verdicts("The words match the voice.", alone) == ["wrong"]
    assert verdicts("Both the face and the voice look sad.", alone) == ["right"]
    assert verdicts("Both the face and the voice look angry.", alone) == ["wrong"]
    assert verdicts("All clues suggest joy.", {"face": "sad", "voice": "sad"}, {"face", "voice"}) == ["wrong"]
    assert verdicts("All clues suggest joy.", dict.fromkeys(ALL, "happy")) == ["right"]


def test_a_modality_that_was_not_given_is_no_party():
    [check] = checks("The face and the voice agree.", {"face": "sad"}, {"face", "words"})
    assert (check.verdict, check.reason) == ("not_checkable", "the voice was not given")
    assert verdicts("The clues agree.", {"face": "sad"}, {"face"}) == ["not_checkable"]


def test_other_words_for_what_is_shown_are_right():
    alone = {"face": "fearful", "voice": "angry"}
    text = "The face looks anxious, but the voice sounds irritated."
    assert verdicts(text, alone) == ["right"]
    # A model that knows the word itself has meant something else.
    assert verdicts(text, alone, labels=("angry",), scores={"angry": 0.6, "anxious": 0.2}) == ["wrong"]
    # Other labels than those of the vocabulary are read where the model has them.
    assert verdicts("The face looks curious, but the voice sounds sad.", alone) == []
    curious = {"face": "curious", "voice": "sad"}
    assert verdicts("The face looks curious, but the voice sounds sad.", curious) == ["right"]
    [check] = checks("The face looks cheerful, but the voice sounds sad.", curious)
    assert (check.verdict, check.reason) == ("not_checkable", "the label means no known one")
    assert verdicts(
        "The face looks sad, but the voice sounds happy.", {"face": "unclear", "voice": "happy"}
    ) == ["wrong"]


def test_every_contrast_of_the_recipe_is_read():
    explain = pytest.importorskip("training.explain")
    verbs = {"face": explain.FaceFacts, "voice": explain.VoiceFacts, "words": explain.WordsFacts}
    rng = Random(5)
    said = {"agree": 0, "contrast": 0}
    for _ in range(300):
        labels = {name: rng.choice(list(explain._TONE)) for name in verbs if rng.random() < 0.8}
        labels["face"] = "happy" if labels.get("face") == "calm" else labels.get("face", "happy")
        facts = explain.Facts(
            ("happy",),
            face=explain.FaceFacts(labels["face"], 0.9),
            voice=explain.VoiceFacts(labels["voice"], 0.8, {}) if "voice" in labels else None,
            words=explain.WordsFacts("so", labels["words"], 0.7) if "words" in labels else None,
        )
        text = explain.explanation(facts, rng)
        expected = (
            "agree" if "The clues agree" in text else "contrast" if explain._contrast(facts, rng) else ""
        )
        found = checks(text, labels, labels)
        assert [check.topic for check in found] == ([expected] if expected else [])
        assert all(check.verdict == "right" for check in found)
        if expected:
            said[expected] += 1
            others = dict.fromkeys(labels, "surprised" if expected == "contrast" else "happy")
            others["face"] = "angry" if labels["face"] != "angry" and expected == "agree" else "surprised"
            assert [check.verdict for check in checks(text, others, labels)] == ["wrong"]
    assert min(said.values()) > 15


def test_the_rate_counts_what_can_be_checked():
    texts = {
        "a": "While the face looks sad, the voice sounds happy.",
        "b": "While the face looks sad, the voice sounds sad.",
        "c": "The clues agree.",
        "d": "The face looks sad.",
    }
    two = frozenset({"face", "voice"})
    alone = {"face": "sad", "voice": "happy"}
    done = [check_answer(text, Evidence(two, alone=alone), name) for name, text in texts.items()]
    found = rates(done).rates["agreement"]
    assert (found.stated, found.checked) == (3, 3)
    assert found.right.value == pytest.approx(1 / 3)
    blind = [check_answer(text, Evidence(two), name) for name, text in texts.items()]
    found = rates(blind).rates["agreement"]
    assert (found.stated, found.checked) == (3, 1)
    assert [answer.has_fault for answer in done[:2]] == [False, True]


@pytest.mark.parametrize(
    "piece",
    [
        "the face ",
        "while ",
        "while the face looks sad, ",
        "but the voice sounds happy ",
        "the face and the voice ",
        "all the clues ",
        "a the an his ",
        "face voice words, ",
        "The clues agree. ",
        "While the face looks sad, the voice sounds happy. ",
        "however ",
        "does not do does ",
        "looks very very ",
        ", ",
        "in the ",
        "sad ",
        "\u0130\ufb01 ",
        "'",
        '"',
    ],
)
def test_long_text_takes_no_long_time(piece):
    text = (piece * (20_000 // len(piece) + 1))[:20_000]
    began = time.perf_counter()
    read_agreement(text)
    assert time.perf_counter() - began < 2
    # What is past 20,000 characters is not read.
    assert read_agreement(text + " The clues agree." * 9) == read_agreement(text)


_PIECES = sorted(
    {*CODES, *LABELS, "face", "voice", "words", "smiles", "eyes", ",", ".", "?", ";", '"', "’s", "zig"}
)


@settings(max_examples=300, deadline=None)
@given(st.one_of(st.text(max_size=200), st.lists(st.sampled_from(_PIECES), max_size=60).map(" ".join)))
def test_any_text_is_read_or_left(text):
    said = read_agreement(text, ["curious"])
    for claim in said.claims:
        assert text[claim.start : claim.stop].lower() == claim.text.lower() or '"' in text
        assert len(claim.sides) != 1
        assert len({side.modality for side in claim.sides}) == len(claim.sides)
    for check in checks(text, {"face": "sad", "voice": "happy", "words": "unclear"}):
        assert check.verdict in ("right", "wrong", "not_checkable")
        assert (check.is_right is None) == bool(check.reason and check.verdict == "not_checkable")
