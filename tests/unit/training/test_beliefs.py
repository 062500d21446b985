"""What modalities say together: agreement makes surer, disagreement keeps both, nothing stays unclear."""

from __future__ import annotations

import numpy as np
import pytest

from training.beliefs import LABELS, Shares, chosen, combine, from_evidence, reported, unclear


def _belief(label: str, share: float) -> Shares:
    shares = np.full(len(LABELS), (1 - share) / 8, np.float32)
    shares[LABELS.index(label)], shares[-1] = share, 0.0
    return shares


def _share(shares: Shares, label: str) -> float:
    return float(shares[LABELS.index(label)])


def test_agreeing_modalities_are_surer_than_each_alone() -> None:
    one, two = _belief("sad", 0.5), _belief("sad", 0.5)
    both = combine({"face": one, "voice": two})
    assert _share(both, "sad") > 0.75
    assert _share(combine({"face": one, "voice": two, "words": one}), "sad") > _share(both, "sad")


def test_one_modality_alone_is_believed_as_it_is() -> None:
    assert _share(combine({"voice": _belief("angry", 0.6)}), "angry") == pytest.approx(0.6, abs=0.02)


def test_where_two_disagree_both_are_reported() -> None:
    mixed = combine({"face": _belief("happy", 0.95), "voice": _belief("angry", 0.95)})
    assert set(chosen(mixed, 0.2, 3)) == {"happy", "angry"}


def test_a_neutral_face_yields_to_an_angry_voice() -> None:
    mixed = combine({"face": _belief("neutral", 0.9), "voice": _belief("angry", 0.9)})
    assert chosen(mixed, 0.2, 3)[0] == "angry"


def test_what_can_not_be_read_changes_nothing_and_nothing_is_unclear() -> None:
    face = _belief("happy", 0.8)
    assert np.allclose(combine({"face": face, "voice": unclear()}), combine({"face": face}))
    assert chosen(combine({"voice": unclear()}), 0.2, 3) == ("unclear",)
    assert chosen(combine({}), 0.2, 3) == ("unclear",)


def test_what_a_modality_alone_is_sure_of_is_reported_as_the_runtime_does() -> None:
    shares = np.zeros(len(LABELS), np.float32)
    for label, share in (("neutral", 0.7), ("sad", 0.15), ("happy", 0.1), ("calm", 0.05)):
        shares[LABELS.index(label)] = share
    alone = {"face": _belief("neutral", 0.9), "voice": _belief("sad", 0.5), "words": _belief("happy", 0.39)}
    assert reported(shares, alone, 0.2, 3, 0.4) == ("neutral", "sad")
    assert reported(shares, {"voice": _belief("calm", 0.9)}, 0.2, 3, 0.4) == ("neutral",)
    assert reported(shares, {**alone, "words": _belief("happy", 0.8)}, 0.2, 2, 0.4) == ("neutral", "sad")
    assert reported(unclear(), alone, 0.2, 3, 0.4) == ("unclear",)


def test_every_combination_is_a_distribution() -> None:
    random = np.random.default_rng(1)
    for _ in range(50):
        experts = [np.append(random.dirichlet(np.full(9, 0.2)), 0).astype(np.float32) for _ in range(3)]
        mixed = combine(dict(zip(("face", "voice", "words"), experts, strict=True)))
        assert mixed.min() >= 0
        assert float(mixed.sum()) == pytest.approx(1, abs=1e-5)


def test_evidence_is_undone_to_the_shares_it_was_made_of() -> None:
    shares = np.array([0.5, 0.02, 0.02, 0.2, 0.2, 0.02, 0.02, 0.02])
    evidence = np.maximum(np.log(shares), -5) / 2 + 1
    found = from_evidence(np.repeat(evidence[None], 8, 0), "face")
    assert _share(found, "sad") == pytest.approx(0.2, abs=1e-4)
    assert _share(found, "neutral") + _share(found, "calm") == pytest.approx(0.5, abs=1e-4)
    assert _share(from_evidence(evidence[None], "voice"), "neutral") == pytest.approx(0.5, abs=1e-4)
