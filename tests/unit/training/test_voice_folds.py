"""Grouped cross-validation: whole actors, both sexes in every fold, figures of all folds together."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("torch")

from training import card_tables
from training.corpus import VOICE_CLASSES, Voices
from training.voice_folds import fold_of, pooled
from training.voices import mean_shares, pooled_shares


def _voices(actors: int) -> Voices:
    speakers = [f"{number:02}" for number in range(1, actors + 1) for _ in range(3)] + ["u7", "03"]
    corpora = ["ravdess"] * 3 * actors + ["emospeech", "emodb"]
    n = len(speakers)
    return Voices(
        waveforms=[np.zeros(1, np.float16)] * n,
        corpus=np.array(corpora),
        files=np.array([str(number) for number in range(n)]),
        split=np.array(["train"] * n),
        speaker=np.array(speakers),
        label=np.zeros(n, np.int64),
        intensity=np.array([""] * n),
    )


def test_an_actor_is_in_one_fold_and_both_sexes_in_each() -> None:
    voices = _voices(22)
    folds = fold_of(voices, 4)
    assert folds[-2:].tolist() == [-1, -1], "other corpora have no fold"
    by_actor = {s: set(folds[:-2][voices.speaker[:-2] == s].tolist()) for s in set(voices.speaker[:-2])}
    assert all(len(found) == 1 for found in by_actor.values())
    for fold in range(4):
        actors = [int(actor) for actor, found in by_actor.items() if found == {fold}]
        assert len(actors) in (4, 6)
        assert {actor % 2 for actor in actors} == {0, 1}, "RAVDESS numbers men odd, women even"


def test_folds_are_pooled() -> None:
    first, second, third = VOICE_CLASSES[:3]
    results = [
        {
            "truth": [first, first, second, third],
            "guess": [first, second, second, third],
            "speakers": ["01", "01", "02", "02"],
            "epochs": 5,
            "networks": 3,
        },
        {
            "truth": [first, second],
            "guess": [first, third],
            "speakers": ["03", "04"],
            "epochs": 5,
            "networks": 3,
        },
    ]
    found = pooled(results)
    assert (found["items"], found["speakers"], found["folds"]) == (6, 4, 2)
    assert found["accuracy"]["value"] == pytest.approx(4 / 6)
    assert found["uar"]["value"] == pytest.approx((2 / 3 + 1 / 2 + 1) / 3)
    assert found["uar_each_fold"][0] == pytest.approx((1 / 2 + 1 + 1) / 3)
    words = card_tables.voice_folds(found)
    assert "4 actors" in words
    assert "3 networks of the voice together, of 5 epochs" in words
    assert "0.722" in words
    assert card_tables.voice_folds({}) == ""


def test_networks_are_heard_together_as_in_the_pack() -> None:
    """The mean of their shares in every window, then the mean of its logarithm over the windows."""
    random = np.random.default_rng(3)
    logits = [random.normal(0, 2, (4, 8, 8)).astype(np.float32) for _ in range(3)]
    shares = [np.exp(own) / np.exp(own).sum(2, keepdims=True) for own in logits]
    logs = np.log(np.mean(shares, 0)).mean(1)
    expected = np.exp(logs) / np.exp(logs).sum(1, keepdims=True)
    np.testing.assert_allclose(mean_shares(logits), expected, atol=1e-5)
    np.testing.assert_allclose(mean_shares(logits[:1]), pooled_shares(logits[0]), atol=1e-6)
