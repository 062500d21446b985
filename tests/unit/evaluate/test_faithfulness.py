"""What becomes of each statement of an answer, and how many answers are summed up."""

from __future__ import annotations

import csv
import json
import re
from dataclasses import replace
from random import Random

import numpy as np
import pytest

from emer_edge.errors import InputError
from emer_edge.evaluate import clue_words
from emer_edge.evaluate.faithfulness import MEASUREMENT_ERROR, Checked, Evidence, check_answer
from emer_edge.evaluate.faithfulness_rates import RATES, faithfulness
from emer_edge.evaluate.prosody import Prosody, levels, measure
from emer_edge.evaluate.scores import Resampling
from emer_edge.results import Alone, Emotion, Reasoning, Timings, Used, Waveform

LEVELS = {"pitch": "low", "movement": "flat", "loudness": "quiet", "pace": "slow", "pauses": "many"}
ALL = frozenset({"face", "voice", "words"})
TEXT = (
    "The face shows a clear smile. "
    "The voice is quiet, high in pitch and flat, with a slow pace, and sounds calm. "
    'The words "... thank you ..." express joy. Therefore, the character\'s emotional state is happy, calm.'
)
EVIDENCE = Evidence(ALL, "I forgot to thank you.", LEVELS, ("happy", "calm"), {"happy": 0.6, "calm": 0.3})


def checks(text, evidence=EVIDENCE, kind=None):
    return [check for check in check_answer(text, evidence).checks if kind in (None, check.kind)]


def verdicts(text, evidence=EVIDENCE, kind=None):
    return [check.verdict for check in checks(text, evidence, kind)]


def tone(hertz: float = 200.0, level: float = 0.1, seconds: float = 2.0):
    """A buzzing tone with syllable-like swells, so that it counts as a voice."""
    t = np.arange(int(16_000 * seconds)) / 16_000
    buzz = sum(np.sin(2 * np.pi * hertz * k * t) / k for k in range(1, 6))
    return (level * buzz * (0.55 + 0.45 * np.sin(2 * np.pi * 4 * t))).astype(np.float32)


def test_one_answer_statement_by_statement():
    found = [(c.kind, c.topic, c.text, c.verdict) for c in checks(TEXT)]
    assert found == [
        ("voice", "loudness", "quiet", "right"),
        ("voice", "pitch", "high in pitch", "wrong"),
        ("voice", "movement", "flat", "right"),
        ("voice", "pace", "slow pace", "right"),
        ("quote", "words", "... thank you ...", "right"),
        ("named", "face", "face", "right"),
        ("named", "voice", "voice", "right"),
        ("named", "words", "words", "right"),
        ("label", "labels", "happy", "right"),
    ]
    wrong = checks(TEXT)[1]
    assert (wrong.claimed, wrong.measured, wrong.is_right) == ("pitch high", "pitch low", False)
    assert all(TEXT[c.start : c.stop] == c.text for c in checks(TEXT))
    assert check_answer(TEXT, EVIDENCE).has_fault
    assert not check_answer(TEXT.replace("high in", "low in"), EVIDENCE).has_fault
    assert json.loads(json.dumps([c.to_dict() for c in checks(TEXT)]))[1]["verdict"] == "wrong"


@pytest.mark.parametrize(
    ("text", "verdict"),
    [
        ("The voice is not loud.", "right"),
        ("The voice is not quiet.", "wrong"),
        ("She speaks in a low voice.", "right"),  # quiet and low: right either way
        ("The voice becomes quiet.", "not_checkable"),
        ("He may be shouting.", "not_checkable"),
        ("He shouts.", "wrong"),
    ],
)
def test_voice_clues_against_levels(text, verdict):
    assert verdicts(text, kind="voice") == [verdict]


def test_words_that_can_mean_either_are_left_out_where_it_matters():
    loud_and_low = replace(EVIDENCE, voice=LEVELS | {"loudness": "loud"})
    assert verdicts("She speaks in a low voice.", loud_and_low, "voice") == ["not_checkable"]
    neither = replace(EVIDENCE, voice=LEVELS | {"loudness": "loud", "pitch": "high"})
    assert verdicts("She speaks in a low voice.", neither, "voice") == ["wrong"]
    assert checks("She speaks in a low voice.", neither, "voice")[0].topic == "ambiguous"


def test_a_voice_that_is_not_there_has_no_levels():
    silence = Evidence(ALL, voice=np.zeros(16_000, np.float32))
    assert set(silence.levels.values()) == {"none"}
    [check] = checks("The voice is quiet.", silence, "voice")
    assert (check.verdict, check.reason) == ("wrong", "there is no such voice")
    assert verdicts("The voice is quiet.", Evidence(ALL), "voice") == ["not_checkable"]
    assert verdicts("The voice is quiet.", replace(EVIDENCE, given=frozenset({"words"})), "voice") == [
        "not_checkable"
    ]


def test_sound_is_measured():
    sound = tone(hertz=120.0, level=0.3)
    for given in (sound, Waveform(sound, 16_000), measure(sound), levels(measure(sound))):
        evidence = Evidence(ALL, voice=given)
        assert evidence.levels["pitch"] == "low"
        assert verdicts("The voice is low in pitch.", evidence, "voice") == ["right"]
        assert verdicts("The voice is high in pitch.", evidence, "voice") == ["wrong"]


def _near_the_cut(name: str, words: tuple[str, str]) -> Prosody:
    """A voice whose value lies just below the cut between two words, found without knowing the cut."""
    field = {
        "pitch": "pitch_median_hz",
        "movement": "pitch_range_semitones",
        "loudness": "loudness_dbfs",
        "pace": "speech_rate_per_second",
        "pauses": "pause_ratio",
    }[name]
    voice = Prosody(200.0, 5.0, 0.0, -30.0, 20.0, 0.1, 4.0)
    low, high = {
        "pitch": (70, 500),
        "movement": (0.1, 30),
        "loudness": (-70, -1),
        "pace": (0.1, 12),
        "pauses": (0.0, 0.9),
    }[name]
    values = np.linspace(low, high, 4000)
    said = [levels(replace(voice, **{field: float(value)}))[name] for value in values]
    last = max(i for i, word in enumerate(said) if word == words[0])
    assert said[last + 1] == words[1]
    return replace(voice, **{field: float(values[last])})


@pytest.mark.parametrize(
    ("name", "words", "texts"),
    [
        ("pitch", ("low", "medium"), ("The pitch is low.", "The pitch is medium.", "The pitch is high.")),
        ("movement", ("flat", "varied"), ("The pitch is flat.", "The pitch is varied.", None)),
        ("loudness", ("quiet", "moderate"), ("A quiet voice.", "A moderate volume.", "A loud voice.")),
        ("pace", ("slow", "steady"), ("A slow voice.", "A steady pace of speech.", "A fast voice.")),
        ("pauses", ("few", "some"), ("He speaks with few pauses.", "He speaks with some pauses.", None)),
    ],
)
def test_borderline_is_judged_by_the_measured_level(name, words, texts):
    near = Evidence(ALL, voice=_near_the_cut(name, words))
    own, neighbour, far = texts
    [mine] = checks(own, near, "voice")
    [other] = checks(neighbour, near, "voice")
    assert (mine.verdict, mine.is_right) == ("borderline", True)
    assert (other.verdict, other.is_right) == ("borderline", False)
    if far:  # no error within reason makes it right
        assert verdicts(far, near, "voice") == ["wrong"]
    assert verdicts(own, Evidence(ALL, voice=near.levels), "voice") == ["right"]


def test_every_quantity_has_an_error():
    assert set(MEASUREMENT_ERROR) == set(LEVELS)


@pytest.mark.parametrize(
    ("text", "verdict"),
    [
        ('The words "... forgot to thank ..." suggest joy.', "right"),
        ('The words "... thank them ..." suggest joy.', "wrong"),
        ('A "CCTV 1" logo is shown.', "not_checkable"),
        ('She says "thank you, I forgot".', "wrong"),
    ],
)
def test_quotes(text, verdict):
    assert verdicts(text, kind="quote") == [verdict]


def test_a_quotation_of_words_that_were_not_given_is_wrong():
    deaf = Evidence(frozenset({"face"}))
    [quote] = checks('The person says "I am so tired".', deaf, "quote")
    assert (quote.verdict, quote.reason) == ("wrong", "quotes words that were not given")
    assert [c.verdict for c in checks('The person says "I am so tired".', deaf) if c.topic == "words"] == [
        "wrong",
        "wrong",
    ]
    # A model that hears is held to a transcript.
    heard = Evidence(frozenset({"voice"}), subtitle="I am so tired.")
    assert verdicts('The person says "so tired".', heard, "quote") == ["right"]


def test_modalities_absent_and_given():
    only_words = Evidence(frozenset({"words"}), "his face fell")
    found = {(c.kind, c.topic): c for c in checks('The words "his face fell" sound sad.', only_words)}
    assert found["absent", "face"].verdict == "right"  # inside the quotation
    assert found["absent", "voice"].verdict == "right"
    assert found["named", "words"].verdict == "right"
    found = {(c.kind, c.topic): c for c in checks("She smiles and speaks quickly.", only_words)}
    assert (found["absent", "face"].verdict, found["absent", "face"].text) == ("wrong", "smiles")
    assert (found["absent", "voice"].verdict, found["absent", "voice"].text) == ("wrong", "quickly")
    assert (found["named", "words"].verdict, found["named", "words"].text) == ("wrong", "")
    assert verdicts("No face is given.", only_words, "absent") == ["right", "right"]


@pytest.mark.parametrize(
    ("text", "labels", "scores", "verdict"),
    [
        ("the emotional state is happy.", ("happy", "sad"), {}, ["right"]),
        ("the emotional state is sad, happy.", ("happy", "sad"), {}, ["wrong"]),
        ("the emotional state is sad.", ("happy",), {"happy": 0.45, "sad": 0.42}, ["borderline"]),
        ("the emotional state is sad.", ("happy",), {"happy": 0.6, "sad": 0.2}, ["wrong"]),
        ("The character's emotion is sadness.", ("sad",), {}, ["right"]),
        ("the emotional state is happy.", (), {}, ["not_checkable"]),
        ("The voice trembles.", ("happy",), {}, []),
    ],
)
def test_labels_of_text_and_logits(text, labels, scores, verdict):
    evidence = Evidence(ALL, labels=labels, scores=scores)
    found = checks(text, evidence, "label")
    assert [check.verdict for check in found] == verdict
    assert all(check.is_right is False for check in found if check.verdict in ("borderline", "wrong"))


def test_evidence_of_an_answer_of_the_runtime():
    reasoning = Reasoning(
        clip="a",
        question="",
        text="",
        emotions=(Emotion("calm", 0.3), Emotion("happy", 0.6), Emotion("amused", None, "text")),
        clues=(),
        used=Used(modalities=("vision", "subtitle"), subtitle="Hello."),
        timings=Timings(),
        scores={"happy": 0.6, "calm": 0.3},
    )
    evidence = Evidence.of(reasoning, tone())
    assert evidence.given == {"face", "words"}
    assert evidence.subtitle == "Hello."
    assert evidence.labels == ("happy", "calm")
    assert isinstance(evidence.voice, Prosody)
    assert evidence.alone == {}


def test_what_the_runtime_read_of_each_modality_is_evidence():
    reasoning = Reasoning(
        clip="a",
        question="",
        text="The clues agree.",
        emotions=(Emotion("sad", 0.6),),
        clues=(),
        used=Used(modalities=("vision", "audio", "subtitle"), subtitle="Hello."),
        timings=Timings(),
        scores={"sad": 0.6, "happy": 0.3},
        alone=(
            Alone("vision", "sad", 0.8, True),
            Alone("audio", "happy", 0.5, True),
            Alone("subtitle", "angry", 0.3, False),
        ),
    )
    evidence = Evidence.of(reasoning)
    assert evidence.alone == {"face": "sad", "voice": "happy", "words": "unclear"}
    found = checks(reasoning.text, evidence, "agreement")
    assert [check.verdict for check in found] == ["wrong"]
    same = replace(reasoning, alone=(reasoning.alone[0], Alone("audio", "sad", 0.5, True)))
    both = replace(Evidence.of(same), given=frozenset({"face", "voice"}))
    assert [check.verdict for check in checks(reasoning.text, both, "agreement")] == ["right"]
    assert Evidence.of(reasoning, alone={"face": "sad"}).alone == {"face": "sad"}


@pytest.mark.parametrize(
    "arguments",
    [
        {"given": {"smell"}},
        {"given": ALL, "alone": {"smell": "sad"}},
        {"given": ALL, "voice": {"pitch": "loud"}},
        {"given": ALL, "voice": {"smell": "low"}},
        {"given": ALL, "voice": Waveform(tone(), 8_000)},
        {"given": ALL, "voice": np.zeros((2, 16_000), np.float32)},
        {"given": ALL, "voice": np.zeros(16_000, np.int16)},
    ],
)
def test_evidence_that_makes_no_sense_is_refused(arguments):
    with pytest.raises(InputError):
        Evidence(**arguments)


def test_true_explanations_of_the_recipe_are_without_fault():
    """Whole explanations of the built-in model's grammar, written from the very facts they are checked by."""
    explain = pytest.importorskip("training.explain")
    subtitle = "I really don't know what her face would say to such a quiet voice"
    # These tones say how loud a voice is, whatever was measured.
    tones = [label for label, words in explain._TONE.items() if not re.search("soft|weak", " ".join(words))]
    for seed in range(400):
        rng = Random(seed)
        measured = {name: rng.choice((*words, "none")) for name, words in clue_words.LEVELS.items()}
        face = explain.FaceFacts(rng.choice([*explain._FACE, explain.UNCLEAR]), rng.random())
        voice = explain.VoiceFacts(rng.choice([*tones, explain.UNCLEAR]), rng.random(), measured)
        words = explain.WordsFacts(
            "know what her face would", rng.choice(list(explain._MEANING)), rng.random()
        )
        given = {name for name in ("face", "voice", "words") if rng.random() < 0.6}
        labels = tuple(rng.sample(list(explain._MEANING), rng.choice((1, 2))))
        facts = explain.Facts(
            labels,
            face if "face" in given else None,
            voice if "voice" in given else None,
            words if "words" in given else None,
        )
        evidence = Evidence(
            frozenset(given),
            subtitle if "words" in given else None,
            measured if "voice" in given else None,
            labels,
            alone={name: facts.seen.get(name, explain.UNCLEAR) for name in given},
        )
        checked = check_answer(explain.explanation(facts, rng), evidence)
        assert [check for check in checked.checks if check.is_right is not True] == []
        assert len(checked.checks) >= 4


def test_rates_by_hand():
    good = check_answer("The voice is quiet and flat.", EVIDENCE, "a")
    bad = check_answer("The voice is loud and flat. The voice becomes fast.", EVIDENCE, "b")
    none = check_answer("", EVIDENCE, "c")
    found = faithfulness([good, bad, none])
    voice = found.rates["voice"]
    assert (voice.stated, voice.checked, voice.borderline) == (5, 4, 0)
    assert voice.per_answer == pytest.approx(5 / 3)
    assert voice.right.value == voice.clear_right.value == pytest.approx(3 / 4)
    assert found.rates["loudness"].right.value == pytest.approx(1 / 2)
    assert found.rates["movement"].right.value == 1.0
    assert np.isnan(found.rates["pauses"].right.value)
    assert found.rates["given_named"].right.value == pytest.approx(2 / 9)
    assert np.isnan(found.rates["absent_unnamed"].right.value)
    assert (found.answers, found.clips) == (3, 3)
    assert found.without_fault.value == 0.0  # faces and words were given and not named
    assert set(found.rates) == set(RATES)
    data = json.loads(json.dumps(found.to_dict()))
    assert data["pauses"]["right"] == {"value": None, "interval_95": None}
    assert data["voice"]["stated"] == 5


def test_borderline_statements_count_strictly_and_are_left_out_of_the_second_rate():
    near = Evidence(ALL, voice=_near_the_cut("loudness", ("quiet", "moderate")))
    found = faithfulness([check_answer("The voice has a moderate volume. The voice is not loud.", near)])
    rate = found.rates["loudness"]
    assert (rate.checked, rate.borderline) == (2, 1)
    assert rate.right.value == pytest.approx(0.5)
    assert rate.clear_right.value == 1.0


def test_chance_is_what_the_statements_reach_on_other_clips():
    """One stereotyped sentence for all: three of four voices are quiet."""
    voices = ["quiet", "quiet", "quiet", "loud"]
    evidence = [Evidence(ALL, voice=LEVELS | {"loudness": word}) for word in voices]
    same = [check_answer("The voice is quiet.", e, str(i)) for i, e in enumerate(evidence)]
    rate = faithfulness(same).rates["loudness"]
    assert rate.right.value == pytest.approx(3 / 4)
    assert rate.by_chance == pytest.approx((2 / 3 + 2 / 3 + 2 / 3 + 3 / 3) / 4)
    honest = [
        check_answer(f"The voice is {word}.", e, str(i))
        for i, (word, e) in enumerate(zip(voices, evidence, strict=True))
    ]
    rate = faithfulness(honest).rates["loudness"]
    assert rate.right.value == 1.0
    assert rate.by_chance == pytest.approx((2 / 3 + 2 / 3 + 2 / 3 + 0) / 4)
    assert np.isnan(faithfulness(same[:1]).rates["loudness"].by_chance)


def test_intervals_draw_clips():
    right = check_answer("The voice is quiet.", EVIDENCE, "a")
    wrong = check_answer("The voice is loud.", EVIDENCE, "b")
    one_clip = [replace(x, clip="same") for x in (right, wrong)]
    alone = faithfulness(one_clip, Resampling(200)).rates["loudness"].right
    assert alone.low == alone.high == 0.5
    many = faithfulness([replace(x, clip=f"{x.clip}{i}") for i in range(50) for x in (right, wrong)])
    assert 0.3 < many.rates["loudness"].right.low < 0.5 < many.rates["loudness"].right.high < 0.7


def test_no_answers_is_an_error():
    with pytest.raises(InputError):
        faithfulness([])
    assert faithfulness([Checked("a", ())]).without_fault.value == 1.0


@pytest.mark.shared
def test_texts_of_another_model_against_the_words_of_its_clips(shared_data):
    """R1-Omni on EMER v1: its quotations beside the reference translation, without sound."""
    folder = shared_data / "emer"
    with (folder / "no_licence_stated/emer_v1/gt-eng.csv").open(encoding="utf-8-sig", newline="") as lines:
        words = {row["names"]: row["subtitles"] for row in csv.DictReader(lines)}
    path = folder / "mit/nano_emox_emer_v1_predictions/r1omni/R1-Omni_for_EMER.csv"
    with path.open(encoding="utf-8-sig", newline="") as lines:
        texts = {row["names"]: row["chi_reasons"] for row in csv.DictReader(lines)}
    answers = [check_answer(texts[name], Evidence(ALL, words[name]), name) for name in texts]
    found = faithfulness(answers, Resampling(100))
    assert found.answers == 100
    assert found.rates["voice"].stated >= 120
    assert found.rates["voice"].checked == 0  # no sound, no verdict
    assert found.rates["quotes"].checked >= 30
    assert found.rates["given_named"].right.value > 0.6
    for answer in answers:
        assert all(texts[answer.clip][c.start : c.stop] == c.text for c in answer.checks)
