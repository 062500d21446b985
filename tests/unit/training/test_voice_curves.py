"""The voice's curves: what each variant changes, whom it hears, how its answers become figures."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")

import torch

from emer_export.graphs.nano import WINDOW_SAMPLES, VoiceEncoder
from training import card_tables, voice_curves, voices
from training.corpus import VOICE_CLASSES, Voices
from training.voices import EMOSPEECH_CLASSES, FULL, Augmentation, VoiceTrainer

_LABELS = [VOICE_CLASSES.index(name) for name in ("calm", "happy", "angry", "fearful")]


def _voices(corpus: str, speakers: int) -> Voices:
    """Four clips of 0.3 s a speaker, one of each class: a tone whose pitch tells the class, and noise."""
    random, n = np.random.default_rng(5), 4 * speakers
    time = np.arange(4800) / 16_000
    tones = [0.1 * np.sin(2 * np.pi * (120 + 60 * (i % 4)) * time) for i in range(n)]
    return Voices(
        waveforms=[np.asarray(t + 0.01 * random.standard_normal(4800), np.float16) for t in tones],
        corpus=np.array([corpus] * n),
        files=np.array([str(i) for i in range(n)]),
        split=np.array(["train"] * n),
        speaker=np.array([f"RAV{1 + i // 4:02}" for i in range(n)]),
        label=np.array(_LABELS * speakers, np.int64),
        intensity=np.array([""] * n),
    )


def _material(folder: Path) -> voice_curves.Material:
    train = _voices("ravdess", 4)
    return voice_curves.Material(
        train=train,
        tracks=voices.load_tracks(train, folder / "tracks.npz"),
        within=_voices("ravdess", 1),
        across=_voices("emospeech", 2),
    )


def test_every_variant_is_one_change_to_the_baseline() -> None:
    base, *others = voice_curves.VARIANTS
    trained = ("epochs", "actors", "augmentation", "width", "seed")
    assert base.name == "baseline"
    for variant in others:
        changed = [key for key in trained if getattr(variant, key) != getattr(base, key)]
        assert changed == [variant.measure], variant.name
    assert len({variant.name for variant in voice_curves.VARIANTS}) == len(voice_curves.VARIANTS)


def test_the_first_actors_are_of_both_sexes() -> None:
    clips = _voices("ravdess", 18)
    for count in (4, 9, 18):
        heard = set(clips.speaker[voice_curves.rows_of(clips, count)])
        assert heard == {f"RAV{number:02}" for number in range(1, count + 1)}
        men = sum(int(name[3:]) % 2 for name in heard)
        assert abs(2 * men - count) <= 1, "RAVDESS numbers men odd, women even"


def test_without_augmentation_a_window_is_the_clip_as_it_is(tmp_path: Path) -> None:
    material = _material(tmp_path)
    chosen = np.array([3, 6])
    plain = VoiceTrainer(1, 1, Augmentation(waveform=False, spectrum=False))
    sound, _ = plain.batch(material.train, material.tracks, chosen)
    for row, clip in enumerate(chosen.tolist()):
        whole = material.train.waveforms[clip].astype(np.float32)
        np.testing.assert_allclose(sound[row, : len(whole)], whole - whole.mean(), atol=1e-6)
        assert not sound[row, len(whole) :].any()
    altered, _ = VoiceTrainer(1, 1).batch(material.train, material.tracks, chosen)
    assert not torch.allclose(altered, sound)


@pytest.mark.parametrize(("spectrum", "calls"), [(True, 1), (False, 0)])
def test_the_spectrum_is_altered_only_where_it_is_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, spectrum: bool, calls: int
) -> None:
    material, masked = _material(tmp_path), []
    monkeypatch.setattr(voices, "_STEPS_PER_EPOCH", 1)
    monkeypatch.setattr(voices, "_BATCH", 2)
    monkeypatch.setattr(voices, "_masked", lambda bands, random: masked.append(1) or bands)
    VoiceTrainer(1, 1, Augmentation(spectrum=spectrum)).run_epoch(material.train, material.tracks)
    assert len(masked) == calls


def test_width_scales_channels_and_leaves_the_pack_s_networks_alone() -> None:
    sizes = {}
    for width in (0.5, 1.0, 1.5):
        encoder = VoiceEncoder(width).eval()
        assert all(tensor.shape[0] % 8 == 0 for name, tensor in encoder.named_parameters() if "norm" in name)
        assert encoder(torch.zeros(1, WINDOW_SAMPLES)).shape == (1, 128)
        sizes[width] = sum(tensor.numel() for tensor in encoder.parameters())
    torch.manual_seed(2)
    one = VoiceEncoder().state_dict()
    torch.manual_seed(2)
    assert all(torch.equal(one[name], own) for name, own in VoiceEncoder(1.0).state_dict().items())
    assert sizes[0.5] < 0.4 * sizes[1.0]
    assert sizes[1.5] > 1.9 * sizes[1.0]
    assert Augmentation(waveform=True, spectrum=True) == FULL


def test_a_run_writes_figures_and_trains_nothing_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(voices, "_STEPS_PER_EPOCH", 1)
    monkeypatch.setattr(voices, "_BATCH", 4)
    variants = tuple(
        voice_curves.Variant(name, name, f"the {name}", epochs=1, actors=actors)
        for name, actors in (("baseline", 4), ("actors", 2))
    )
    material = _material(tmp_path)
    monkeypatch.setattr(voice_curves, "VARIANTS", variants)
    monkeypatch.setattr(voice_curves, "load", lambda corpus, cache: material)
    figures = tmp_path / "figures.json"
    figures.write_text('{"kept": 1}')
    words = ["--corpus", "none", "--out", str(tmp_path), "--figures", str(figures)]
    assert voice_curves.main(words) == 0
    found = voice_curves.record.read(figures)
    assert found["kept"] == 1
    assert found["voice_curves"]["across"] == {"items": 8, "classes": 4, "speakers": 2}
    assert [entry["clips"] for entry in found["voice_curves"]["variants"].values()] == [16, 8]

    monkeypatch.setattr(voice_curves, "run_variant", lambda *given: pytest.fail("trained again"))
    assert voice_curves.main(words) == 0
    assert voice_curves.record.read(figures) == found


def test_what_was_said_becomes_recall_and_a_paired_change() -> None:
    def side(right: int) -> dict[str, list[str]]:
        """Two clips of each class, by two users; the first `right` classes are recognised."""
        truth = [*EMOSPEECH_CLASSES, *EMOSPEECH_CLASSES]
        guess = [name if i % 4 < right else EMOSPEECH_CLASSES[0] for i, name in enumerate(truth)]
        return {"truth": truth, "guess": guess, "speakers": ["a"] * 4 + ["b"] * 4}

    shared = {"clips": 1080, "weights": 654_321, "seconds": 300.0}
    # In the order in which they were trained; published are whole curves.
    results = {
        "baseline": {**shared, "within": side(4), "across": side(2)},
        "actors_4": {**shared, "within": side(3), "across": side(1)},
        "epochs_4": {**shared, "within": side(2), "across": side(2)},
        "actors_9": {**shared, "within": side(4), "across": side(3)},
    }
    found = voice_curves.curves(results)
    variants = found["variants"]
    assert list(variants) == ["baseline", "actors_4", "actors_9", "epochs_4"]
    assert [entry["across"]["value"] for entry in variants.values()] == [0.5, 0.25, 0.75, 0.5]
    assert [entry["within"]["value"] for entry in variants.values()] == [1.0, 0.75, 1.0, 0.5]
    assert variants["actors_9"]["change"] == {"value": 0.25, "interval_95": [0.25, 0.25]}
    assert "change" not in variants["baseline"]

    text = card_tables.voice_curves(found)
    assert "| 9 actors | 1,080 | 654,321 | 1.000 " in text
    assert "chance 0.25" in text
    assert card_tables.voice_curves({}) == ""


def test_bars_are_the_same_figures() -> None:
    plots = pytest.importorskip("training.plots")
    sides = {"within": {"value": 0.5}, "across": {"value": 0.25}}
    found = {"variants": {"baseline": {"words": "12 epochs", **sides}}}
    groups = plots.voice_curves(found)
    assert [bars["12 epochs"]["value"] for bars in groups.values()] == [0.5, 0.25]
    assert plots.voice_curves({}) == {}
