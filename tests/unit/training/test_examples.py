"""Examples for the language model: truthful answers, the runtime's own prompt, targets in their places."""

from __future__ import annotations

import re
from random import Random
from typing import Any

import numpy as np
import pytest
from tokenizers import Tokenizer

from emer_edge.llm.prompt import PromptPart, PromptTemplate, Soft, Text, build_prompt
from emer_export.graphs.nano import AUDIO_DIM, VISION_DIM
from training import explain, prompt
from training.batches import END, Encoder
from training.beliefs import FACE_LABELS, LABELS, UNCLEAR, VOICE_LABELS
from training.pairs import Example, FacePool, Line, Sampler, VoicePool
from training.text import CANDIDATES, Utterance, clean, shares_of
from training.tokenizer import train_tokenizer
from training.words import Quoter, train_bag

_LINES = {
    "joy": "I am so happy that you came to see me, this is wonderful!",
    "anger": "Stop it, I hate this, you always ruin everything we planned!",
    "sadness": "I miss her so much, and nothing will ever be the same again.",
    "neutral": "The train leaves at five.",
    "surprise": "What? I did not expect that!",
    "fear": "I am scared, please stay.",
    "disgust": "That smells awful, yuck.",
}


@pytest.fixture(scope="module")
def utterances() -> list[Utterance]:
    made = []
    for word, line in _LINES.items():
        mapped = shares_of([word])
        assert mapped is not None
        made.append(Utterance(line, "train", "drawn", *mapped))
    return made * 20


@pytest.fixture(scope="module")
def tokenizer(utterances: list[Utterance]) -> Tokenizer:
    return train_tokenizer(utterances, grammar=400)


@pytest.fixture(scope="module")
def sampler(utterances: list[Utterance], tokenizer: Tokenizer) -> Sampler:
    bag = train_bag(utterances, tokenizer, 16, epochs=2)
    random = np.random.default_rng(0)
    votes = random.dirichlet(np.full(8, 0.3), 80).astype(np.float32)
    votes[:8] = np.eye(8)
    levels = {"pitch": "high", "movement": "varied", "loudness": "loud", "pace": "fast", "pauses": "few"}
    faces = FacePool(
        random.normal(size=(80, 2, VISION_DIM)).astype(np.float32),
        votes,
        np.zeros((3, VISION_DIM), np.float32),
    )
    voices = VoicePool(
        random.normal(size=(24, 2, 8, AUDIO_DIM)).astype(np.float32),
        np.arange(24) % len(VOICE_LABELS),
        np.array(["ravdess", "emospeech"] * 12),
        [[levels, levels]] * 24,
        np.zeros((2, 8, AUDIO_DIM), np.float32),
    )
    lines = [Line(item, np.append(item.shares, 0).astype(np.float32)) for item in utterances]
    return Sampler(lines, Quoter(bag, tokenizer), faces, voices)


@pytest.fixture(scope="module")
def examples(sampler: Sampler) -> list[Example]:
    rng = Random(4)
    return [sampler.draw(rng) for _ in range(400)]


_NAMES = {
    "face": r"\b(face|brows?|mouth|smil\w*|eyes)\b",
    "voice": r"\b(voice|pitch|pace)\b",
    "words": r"\bwords\b",
}
_SIDE = re.compile(r"the (face|voice|words) (?:looks|sounds?) (\w+)[,.]")
_QUOTE = re.compile(r'"\.\.\. (.*?) \.\.\."')


def test_explanations_say_nothing_that_is_not_given(examples: list[Example]) -> None:
    rng = Random(1)
    for example in examples:
        text = explain.explanation(example.facts, rng)
        given = {"face": example.vision, "voice": example.audio, "words": example.subtitle}
        outside = _QUOTE.sub("", text)
        for name, pattern in _NAMES.items():
            assert bool(re.search(pattern, outside)) == (given[name] is not None), text
        assert all(quote in (example.subtitle or "") for quote in _QUOTE.findall(text)), text
        if example.facts.voice is not None and example.facts.voice.label != UNCLEAR:
            assert "loud, high in pitch and varied in melody, with a fast pace and few pauses" in text


def test_answers_name_the_likeliest_label_first(examples: list[Example]) -> None:
    for example in examples:
        assert np.isclose(example.shares.sum(), 1, atol=1e-5)
        assert example.facts.labels[0] == LABELS[int(example.shares.argmax())]
        assert example.answers[0].soft


def test_an_explanation_is_asked_for_by_the_labels_it_concludes_with(examples: list[Example]) -> None:
    asked = [a for e in examples for a in e.answers if a.question.startswith("Why does the character feel ")]
    assert len(asked) > 100
    for answer in asked:
        labels = answer.question.removeprefix("Why does the character feel ").partition("? Alone: ")[0]
        assert answer.answer.endswith(f"the character's emotional state is {labels}.")


def test_an_explanation_follows_what_it_is_told_of_each_modality(examples: list[Example]) -> None:
    compared, misread = 0, 0
    for example in examples:
        for answer in example.answers:
            told = re.search(r"\? Alone: (.*)\.$", answer.question)
            if told is None:
                continue
            alone = dict(part.rsplit(" ", 1) for part in told[1].split(", "))
            given = {"face": example.vision, "voice": example.audio, "words": example.subtitle}
            assert set(alone) == {name for name, part in given.items() if part is not None}
            sure = {name: label for name, label in alone.items() if label not in (UNCLEAR, explain.UNSURE)}
            misread += sum(example.facts.seen.get(name) != label for name, label in sure.items())
            text = _QUOTE.sub("", answer.answer)
            if len(sure) > 1:
                compared += 1
                assert ("The clues agree." in text) == (len(set(sure.values())) == 1), (answer, text)
            for name, label in _SIDE.findall(text.lower()):
                assert label not in LABELS or sure[name] == label, answer
    assert compared > 30
    assert misread > 10, "what is told decides, also where it is not what the encoder believes"


def test_every_subset_of_modalities_is_drawn(examples: list[Example]) -> None:
    given = {(e.vision is not None, e.audio is not None, e.subtitle is not None) for e in examples}
    assert len(given) == 7


def test_rows_that_are_taught_are_answers_and_end_with_the_end_token(
    examples: list[Example], tokenizer: Tokenizer
) -> None:
    encoder = Encoder(tokenizer)
    for example in examples[:60]:
        sequence = encoder.sequence(example)
        for number, answer in enumerate(example.answers, 1):
            rows = [i for i, branch in enumerate(sequence.branch) if branch == number]
            taught = [sequence.targets[i] for i in rows if sequence.weights[i]]
            assert tokenizer.decode(taught, skip_special_tokens=False) == f" {answer.answer} ###{END}"
            assert sequence.positions[rows[0]] == sequence.branch.count(0)
        assert sequence.targets[sequence.soft] == encoder.candidates[LABELS.index(example.facts.labels[0])]


@pytest.mark.parametrize(
    "judgement",
    [
        "The clues agree.",
        "The face looks sad, but the voice sounds happy.",
        "While the voice sounds sad, the words sound calm.",
        "",
    ],
)
def test_what_judges_whether_clues_agree_weighs_more(judgement: str, tokenizer: Tokenizer) -> None:
    answer = (
        f'The face looks calm. The words "but the train" sound happy. {judgement} Therefore, it is happy.'
    )
    ids, judging = Encoder(tokenizer)._said(f" {answer}")
    assert len(ids) == len(judging)
    told = tokenizer.decode([token for token, judges in zip(ids, judging, strict=True) if judges])
    assert told.split() == [*judgement.split(), "Therefore"]


def test_a_line_alone_ends_at_its_label(sampler: Sampler, tokenizer: Tokenizer) -> None:
    encoder, rng = Encoder(tokenizer), Random(2)
    lines = [sampler.draw_line(rng) for _ in range(8)]
    assert all(e.vision is None and e.audio is None and len(e.answers) == 1 for e in lines)
    batch = encoder.batch(lines, label_only=True)
    assert len(batch.targets) == 8
    assert [tokenizer.decode([token]).strip() for token in batch.targets.tolist()] == [
        e.facts.labels[0] for e in lines
    ]
    assert (batch.shares.sum(1) > 0.99).all()
    for number, row in batch.rows.tolist():
        assert (batch.branch[number, row + 1 :] == -1).all(), "nothing comes behind the label"


@pytest.mark.parametrize("given", [(1, 1, 1), (0, 1, 1), (1, 0, 0), (0, 1, 0), (0, 0, 1)])
def test_the_prompt_is_the_runtimes(given: tuple[int, int, int], tokenizer: Tokenizer) -> None:
    vision, audio, words = (bool(x) for x in given)

    def encode(text: str) -> list[int]:
        return list(tokenizer.encode(text, add_special_tokens=False).ids)

    def ids(pieces: list[str]) -> list[object]:
        found: list[object] = []
        for piece in pieces:
            if piece in prompt.MARKERS:
                found.append(prompt.MARKERS[piece])
            else:
                found.extend(encode(piece))
        return found

    shapes: list[Any] = list(prompt.PARTS)
    parts = tuple(PromptPart(part["text"], frozenset(part.get("needs", ()))) for part in shapes)
    present = {name for name, there in (("vision", vision), ("audio", audio), ("subtitle", words)) if there}
    subtitle = "What? I did not expect that!"
    template = PromptTemplate(parts, prompt.MARKERS)
    built = build_prompt(template, present, subtitle, explain.LABELS_QUESTION, encode)  # type: ignore[arg-type]
    theirs: list[object] = []
    for segment in (*built.prefix, *built.tail):
        if isinstance(segment, Soft):
            theirs.append(segment.name)
        elif isinstance(segment, Text):
            theirs.extend(encode(segment.text))
    ours = prompt.prefix(vision=vision, audio=audio, subtitle=subtitle if words else None)
    assert ids([*ours, prompt.question_tail(explain.LABELS_QUESTION)]) == theirs


def test_clean_joins_what_corpora_pulled_apart() -> None:
    assert clean("Well , I\u2019m “ fine ” .Thanks ### !") == "Well, I'm fine. Thanks #!"
    assert shares_of(["love", "gratitude"]) is not None
    assert shares_of(["no such word"]) is None


def test_label_orders_are_the_encoders() -> None:
    from training.corpus import FACE_CLASSES, VOICE_CLASSES

    assert len(FACE_LABELS) == len(FACE_CLASSES)
    assert tuple(VOICE_LABELS) == tuple(VOICE_CLASSES)
    assert set(FACE_LABELS) | set(VOICE_LABELS) == set(CANDIDATES)
    for ours, theirs in zip(FACE_LABELS, FACE_CLASSES, strict=True):
        assert ours[:3] == theirs[:3], "the same emotion as adjective and noun"
