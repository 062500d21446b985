"""Labels, clues and sentiment out of text: what models of this family wrote, and worse."""

from __future__ import annotations

import csv
import io
import time
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emer_edge.llm.parse import (
    MAX_CLUES,
    MAX_LABEL_CHARS,
    MAX_LABELS,
    parse_clues,
    parse_labels,
    parse_sentiment,
    split_sentences,
)
from emer_edge.results import ClueModality

REFERENCE = Path(__file__).resolve().parents[4] / "shared" / "data" / "emer"
LEXICON: dict[ClueModality, list[str]] = {
    "face": ["face", "facial", "eye", "brow", "mouth", "smile", "frown"],
    "voice": ["voice", "tone", "pitch", "loud", "pace", "audio", "speak"],
    "words": ["words", "subtitle", "caption", "says", "sentence"],
    "scene": ["room", "office"],
}


@pytest.mark.parametrize(
    ("text", "labels"),
    [
        ("The character's emotional state is skepticism, confusion, anger.", "skepticism confusion anger"),
        ("The character's emotional state is Happy.", "happy"),
        ("the character's emotional state is calm", "calm"),
        (
            "Therefore, it is inferred that his emotional state is sad, reluctant, and worried.",
            "sad reluctant worried",
        ),
        (
            "Therefore, his emotional state is one of worry, helplessness, and guilt.",
            "worry helplessness guilt",
        ),
        ("The emotional state conveyed by the girl can be considered a blend of joy and fear.", "joy fear"),
        (
            "The character's emotion is comforting, encouraging. She may feel anxious.",
            "comforting encouraging",
        ),
        ("Therefore, it can be inferred that he is feeling quite angry.", "angry"),
        ("The most likely label is surprise.", "surprise"),
        ("<think>He frowns.</think>\n<answer>angry</answer>", "angry"),
        ("Emotions: joy; relief / pride", "joy relief pride"),
        ("The emotional states are happy, Happy, HAPPY and proud!", "happy proud"),
        ('The character\'s emotional state is **tense**, "anxious".', "tense anxious"),
        ("His emotional state is angry, because nobody ever told him the truth about it.", "angry"),
        ("The emotional state is sad. Therefore, the character's emotional state is relieved.", "relieved"),
        ("The character's emotional state can be deduced from the rapid and urgent speech.", ""),
        ("", ""),
        ("No idea at all.", ""),
    ],
)
def test_labels(text: str, labels: str) -> None:
    assert parse_labels(text) == tuple(labels.split())


def test_labels_of_two_words_stay_whole() -> None:
    assert parse_labels("The character's emotional state is mild frustration, at ease.") == (
        "mild frustration",
        "at ease",
    )


def test_candidates_are_the_last_resort_and_negation_counts() -> None:
    words = ["happy", "sad", "angry", "fearful"]
    assert parse_labels("She seems fearful but not sad, and rather happy.", words) == ("fearful", "happy")
    assert parse_labels("She isn't really angry, she says. But sad.", words) == ("sad",)
    assert parse_labels("unhappy", words) == ()
    assert parse_labels("The character's emotional state is proud. Not happy? Happy.", words) == ("proud",)


def test_clues_of_a_small_model() -> None:
    text = (
        "The face shows a broad smile with raised cheeks. The voice is loud and high in pitch, with a fast "
        'pace, and sounds cheerful. The words "... I loved your face ..." express joy. The clues agree. '
        "Therefore, the character's emotional state is happy."
    )
    clues = parse_clues(text, LEXICON)
    assert [clue.modality for clue in clues] == ["face", "voice", "words"]
    assert clues[2].text == 'The words "... I loved your face ..." express joy.'


def test_clues_of_a_large_model() -> None:
    text = (
        'In the text, the subtitle reads: "If he was here, he would support me. Mr. Li is gone." '
        "This may be hope. Given the audio cues, the speaker's tone is sharp. "
        "In the video, her eyes widen and her mouth is open. "
        "They sit in an office. Overall, the voice and face show anger."
    )
    clues = parse_clues(text, LEXICON)
    assert [clue.modality for clue in clues] == ["words", "voice", "face", "scene"]
    assert clues[0].text.endswith('Mr. Li is gone."')


def test_forms_of_a_word_count_and_parts_of_words_do_not() -> None:
    assert [c.modality for c in parse_clues("He is smiling. She smiled. Eyebrowless surfaces.", LEXICON)] == [
        "face",
        "face",
    ]


def test_no_lexicon_no_clues() -> None:
    assert parse_clues("The face smiles.", {}) == ()
    assert parse_clues("The face smiles.", {"face": []}) == ()


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        ("One. Two! Three?", ["One.", "Two!", "Three?"]),
        (
            "Dr. Who met Mrs. Smith at 3.5 p.m. today. He left.",
            ["Dr. Who met Mrs. Smith at 3.5 p.m. today.", "He left."],
        ),
        ("He said, e.g. this. Then that.", ["He said, e.g. this.", "Then that."]),
        ('She says: "Stop. Go away." Then she leaves.', ['She says: "Stop. Go away."', "Then she leaves."]),
        (
            'The words "... so it is ..." suggest calm. Yes.',
            ['The words "... so it is ..." suggest calm.', "Yes."],
        ),
        ("“Really? No.” He laughs.", ["“Really? No.”", "He laughs."]),
        ("1. **Face**: smiling.\n- Voice: loud\n\n", ["Face : smiling.", "Voice: loud"]),
        ("他很高兴。她不高兴！", ["他很高兴。她不高兴！"]),
        ("Wait... what? J. Smith came.", ["Wait... what?", "J. Smith came."]),
        (" \n .. ", []),
    ],
)
def test_sentences(text: str, sentences: list[str]) -> None:
    assert split_sentences(text) == sentences


@pytest.mark.parametrize(
    ("text", "sentiment"),
    [
        ("The character's sentiment state is positive.", "positive"),
        ("The sentiment is clearly Negative.", "negative"),
        ("neutral", "neutral"),
        ("Not sure between positive and negative; the sentiment is neutral", "neutral"),
        ("", None),
        ("positively", None),
    ],
)
def test_sentiment(text: str, sentiment: str | None) -> None:
    assert parse_sentiment(text) == sentiment


@settings(max_examples=300, deadline=None)
@given(
    st.text(
        st.sampled_from("Theremotinalsi fc.,:!?\"'“”\n*-1,is ") | st.characters(codec="utf-8"), max_size=300
    )
)
def test_any_text_stays_within_bounds(text: str) -> None:
    for source in (text, f"The emotional state is {text}", f"Therefore, {text}"):
        labels = parse_labels(source, ["happy"])
        assert len(labels) <= MAX_LABELS
        assert all(0 < len(label) <= MAX_LABEL_CHARS and label == label.lower() for label in labels)
        assert len(set(labels)) == len(labels)
        for clue in parse_clues(source, LEXICON):
            assert clue.text in " ".join(split_sentences(source))


@pytest.mark.parametrize(
    "piece",
    [
        "emotional state ",
        "emotional state is a, ",
        "happy ",
        '"',
        "a. ",
        "A. B",
        "feelings ",
        "mr. ",
        "\n",
        "a of " * 9,
    ],
)
def test_hostile_text_costs_little(piece: str) -> None:
    text = (piece * 200_000)[:200_000]
    begin = time.perf_counter()
    parse_labels(text, ["happy", "sad"])
    assert len(parse_clues(text, LEXICON)) <= MAX_CLUES
    parse_sentiment(text)
    assert time.perf_counter() - begin < 2


def _answers() -> list[tuple[str, list[str]]]:
    """Label answers of AffectGPT, and the labels that a large language model took from each."""
    folders = list((REFERENCE / "apache2_noncommercial" / "affectgpt2025_results").glob("*/*"))
    if not folders:
        pytest.skip("the reference data are not here")
    pairs = []
    for path in sorted(folders[0].glob("*-openset.npz")):
        with np.load(path, allow_pickle=False) as taken:
            labels = dict(zip(taken["filenames"], taken["fileitems"], strict=True))
        raw = zipfile.ZipFile(str(path).replace("-openset", "")).read("name2reason.npy")
        for name, answer in _pickled_strings(raw).items():
            pairs.append((answer, [one.strip().lower() for one in str(labels[name]).strip("[]").split(",")]))
    return pairs


def _pickled_strings(raw: bytes) -> dict[str, str]:
    """A pickled {str: str} in a .npy file, read without letting it run anything of its own choice."""
    import pickle

    class Plain(pickle.Unpickler):
        def find_class(self, module: str, name: str) -> object:
            if module.startswith("numpy") and name in ("_reconstruct", "ndarray", "dtype", "scalar"):
                return super().find_class(module, name)
            raise pickle.UnpicklingError(f"{module}.{name}")

    stream = io.BytesIO(raw)
    np.lib.format.read_magic(stream)
    np.lib.format.read_array_header_1_0(stream)
    loaded: dict[str, str] = Plain(stream).load().item()
    return loaded


@pytest.mark.shared
def test_every_label_answer_of_affectgpt_is_read() -> None:
    pairs = _answers()
    assert len(pairs) > 3000
    named = kept = exact = 0
    for answer, taken in pairs:
        ours = parse_labels(answer)
        plain = [
            one.strip()
            for one in answer.removeprefix("The character's emotional state is ").strip(" .").split(",")
        ]
        exact += ours == tuple(dict.fromkeys(one.lower() for one in plain if one))[:MAX_LABELS]
        named += len([one for one in taken if one])
        kept += len(set(taken) & set(ours))
    assert exact / len(pairs) > 0.99
    assert kept / named > 0.97


@pytest.mark.shared
def test_the_conclusions_of_the_reference_descriptions_are_read() -> None:
    path = REFERENCE / "no_licence_stated" / "emer_v1" / "gt-eng.csv"
    if not path.is_file():
        pytest.skip("the reference data are not here")
    with path.open(encoding="utf-8", newline="") as stream:
        reasons = [row["reasons"] for row in csv.DictReader(stream)]
    assert sum(bool(parse_labels(reason)) for reason in reasons) >= 0.95 * len(reasons)
    assert sum(bool(parse_clues(reason, LEXICON)) for reason in reasons) >= 0.75 * len(reasons)
